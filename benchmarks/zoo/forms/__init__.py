"""Closed forms: log10 of the order of a network's group, by hand from the mathematics, not by analysis."""

from __future__ import annotations

from typing import Any

from forms.images import TIMM, TORCHVISION
from forms.language import LANGUAGE
from forms.layers import LAYERS
from forms.vision import VISION


def expected(library: str, name: str) -> float | None:
    """What the order should be; None where nobody has written it down."""
    if library == "transformers":
        form = {**LANGUAGE, **VISION}.get(name)
        return None if form is None else form(_configuration(name))
    known = {"torchvision": TORCHVISION, "timm": TIMM, "nn": LAYERS}[library].get(name)
    return None if known is None else known()


def _configuration(model_type: str) -> Any:
    import hugging_face  # only where transformers is installed

    return hugging_face.small_config(model_type)
