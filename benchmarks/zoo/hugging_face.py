"""Tiny instances of transformers model types: small configurations, derived from the defaults."""

from __future__ import annotations

import inspect
import os
from collections.abc import Mapping
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import transformers
from inputs import example_inputs
from settings import HEADS, INTEGERS, LISTS, OVERRIDES
from torch import nn
from transformers import PreTrainedConfig, PreTrainedModel
from transformers.models.auto import modeling_auto
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

LABELS = 7

# Which head defines the function: one that reads the stream rather than returning it, so that the stream is free.
_TASKS = (
    *("SEQ_TO_SEQ_CAUSAL_LM", "SPEECH_SEQ_2_SEQ", "MASKED_LM", "CAUSAL_LM", "ZERO_SHOT_IMAGE_CLASSIFICATION"),
    *("IMAGE_CLASSIFICATION", "CTC", "AUDIO_CLASSIFICATION", "VIDEO_CLASSIFICATION", "IMAGE_TEXT_TO_TEXT"),
    *("MULTIMODAL_LM", "OBJECT_DETECTION", "ZERO_SHOT_OBJECT_DETECTION", "SEMANTIC_SEGMENTATION"),
    *("UNIVERSAL_SEGMENTATION", "INSTANCE_SEGMENTATION", "DEPTH_ESTIMATION", "SEQUENCE_CLASSIFICATION"),
    *("QUESTION_ANSWERING", "TOKEN_CLASSIFICATION", "VISUAL_QUESTION_ANSWERING", "MASK_GENERATION"),
    *("KEYPOINT_DETECTION", "IMAGE_TO_IMAGE", "TIME_SERIES_PREDICTION", "TEXT_TO_WAVEFORM", "TEXT_TO_SPECTROGRAM"),
    *("RNNT", "PRETRAINING"),
)


class Skipped(Exception):
    """There is nothing to measure under this name."""


def model_types() -> list[str]:
    """Every model type that has a model of its own."""
    return sorted({*modeling_auto.MODEL_MAPPING_NAMES, *HEADS} & {*CONFIG_MAPPING})


def small_config(model_type: str, tower: int = 0, **changes: Any) -> PreTrainedConfig:
    """The configuration of a model type with every size reduced."""
    cls = CONFIG_MAPPING[model_type]
    return cls(**_settings(cls, tower, {**OVERRIDES.get(model_type, {}), **changes}))


def _settings(cls: type[PreTrainedConfig], tower: int, changes: Mapping[str, Any]) -> dict[str, Any]:
    default = cls()
    accepted = inspect.signature(cls.__init__).parameters
    found = _parts(cls, default, changes)
    tokens = iter(range(4, 100))
    for name, value in default.to_dict().items():
        if name not in accepted or name in found or isinstance(value, bool):
            continue
        if isinstance(value, int) and name in INTEGERS:
            found[name] = INTEGERS[name][tower]
        elif isinstance(value, int) and name.endswith(("_token_id", "_token_index", "_tok_id")):
            found[name] = next(tokens)
        elif isinstance(value, list) and name in LISTS:
            found[name] = LISTS[name](len(value))
        elif isinstance(value, list) and name == "eos_token_id":
            found[name] = [2]
        elif isinstance(value, float) and name.endswith(("drop", "dropout", "drop_rate", "layerdrop")):
            found[name] = 0.0
    if "kv_lora_rank" in accepted:  # latent attention: every head has keys of its own, and rotates part of them
        found["num_key_value_heads"] = found["num_attention_heads"]
        found.pop("head_dim", None)
        if getattr(default, "head_dim", None) == getattr(default, "qk_rope_head_dim", None) is not None:
            found["head_dim"] = found["qk_rope_head_dim"]
    _share_frequencies(default, found)
    for name, value in changes.items():
        if not (name in found and isinstance(found[name], dict)):
            found[name] = value
    return found


def _parts(cls: type[PreTrainedConfig], default: PreTrainedConfig, changes: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of the configurations inside a configuration; a second tower has other sizes than the first."""
    found: dict[str, Any] = {}
    for k, name in enumerate(getattr(cls, "sub_configs", {}) or {}):
        part = getattr(default, name, None)
        given = changes.get(name, {})
        kind = given.get("model_type", getattr(part, "model_type", None)) if isinstance(given, dict) else None
        if kind is not None:
            second = 0 if ("text" in name or "decoder" in name or (k == 0 and "vision" not in name)) else 1
            sub = type(part) if kind == getattr(part, "model_type", None) else CONFIG_MAPPING[kind]
            found[name] = {**_settings(sub, second, {**OVERRIDES.get(kind, {}), **given}), "model_type": kind}
    return found


def _share_frequencies(default: PreTrainedConfig, found: dict[str, Any]) -> None:
    """Rotary frequencies shared out among time, height and width must add up to those that there are."""
    rotary = getattr(default, "rope_parameters", None)
    if not isinstance(rotary, dict) or "mrope_section" not in rotary:
        return
    if "head_dim" in found:
        found["head_dim"] = 16
    dim = found.get("head_dim") or found["hidden_size"] // found["num_attention_heads"]
    pairs = int(dim * rotary.get("partial_rotary_factor", 1.0)) // 2
    parts = len(rotary["mrope_section"])
    shares = [pairs // parts] * (parts - 1)
    found["rope_parameters"] = {**rotary, "mrope_section": [pairs - sum(shares), *shares]}


def model_class(model_type: str) -> type[PreTrainedModel]:
    """The class with a head of a model type."""
    if model_type in HEADS:
        return getattr(transformers, HEADS[model_type])
    for task in (*(f"MODEL_FOR_{task}_MAPPING" for task in _TASKS), "MODEL_MAPPING"):
        if model_type in getattr(modeling_auto, f"{task}_NAMES"):
            found = getattr(modeling_auto, task)[CONFIG_MAPPING[model_type]]
            return found[0] if isinstance(found, tuple) else found
    raise KeyError(model_type)


def build(model_type: str, attention: str) -> tuple[nn.Module, dict[str, Any]]:
    """A tiny model, its weights as the library initialises them, and example inputs by name.

    Args:
        model_type: as in the library's mappings.
        attention: ``sdpa``, which becomes ``eager`` where a model has nothing else, or ``eager``.

    Raises:
        Skipped: ``eager`` is asked for, and ``sdpa`` is that already.
    """
    config = small_config(model_type)
    if hasattr(config, "num_labels") and "id2label" not in OVERRIDES.get(model_type, {}):
        config.num_labels = LABELS
    cls = model_class(model_type)
    if not getattr(cls, "_supports_sdpa", False):
        if attention == "eager":
            raise Skipped("it has one implementation of attention only")
        attention = "eager"
    config._attn_implementation = attention
    if isinstance(getattr(config, "backbone_config", None), PreTrainedConfig):
        config.backbone_config._attn_implementation = "eager"
    for part in [config, *(getattr(config, name, None) for name in getattr(config, "sub_configs", {}) or {})]:
        if part is not None:
            part._experts_implementation = "batched_mm"
            part.use_cache = False
    model = cls(config)
    model.eval()
    return model, example_inputs(model, config)
