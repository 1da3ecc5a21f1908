"""What tiny transformers models are made of: sizes for all of them, and what single model types need besides."""

from settings.language import LANGUAGE
from settings.signals import SIGNALS
from settings.sizes import INTEGERS, LISTS
from settings.vision import VISION

OVERRIDES = {**LANGUAGE, **VISION, **SIGNALS}

# Model types whose class with a head is in none of the mappings of transformers.
HEADS: dict[str, str] = {
    "autoformer": "AutoformerForPrediction",
    "informer": "InformerForPrediction",
    "patchtst": "PatchTSTForPrediction",
    "patchtsmixer": "PatchTSMixerForPrediction",
    "reformer": "ReformerModelWithLMHead",
    "time_series_transformer": "TimeSeriesTransformerForPrediction",
}

__all__ = ["HEADS", "INTEGERS", "LISTS", "OVERRIDES"]
