"""Tiny instances of transformers model types: small configurations and example inputs, derived from the defaults."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Mapping
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import torch
import transformers
from overrides import ADJUST, FRAMES, HEADS, INPUTS, OVERRIDES
from torch import nn
from transformers import PreTrainedConfig, PreTrainedModel
from transformers.models.auto import modeling_auto
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

BATCH, LENGTH, DECODER_LENGTH, LABELS = 2, 11, 13, 7

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

# Sizes of an attribute that an integer default gives away as one, in a first tower and in a second. All different, so
# that no two axes are matched by luck.
_INTEGERS: dict[str, tuple[int, int]] = {
    **dict.fromkeys(
        ("hidden_size", "d_model", "n_embd", "dim", "embed_dim", "emb_dim", "width", "hidden_dim_size"), (48, 40)
    ),
    **dict.fromkeys(("num_attention_heads", "n_head", "n_heads", "num_heads", "encoder_attention_heads"), (6, 5)),
    **dict.fromkeys(("decoder_attention_heads", "decoder_num_attention_heads", "attention_heads"), (6, 5)),
    **dict.fromkeys(
        (
            *("num_hidden_layers", "n_layer", "num_layers", "n_layers", "encoder_layers", "decoder_layers", "depth"),
            *("num_decoder_layers", "num_encoder_layers", "decoder_num_hidden_layers", "encoder_num_hidden_layers"),
        ),
        (2, 2),
    ),
    **dict.fromkeys(
        ("intermediate_size", "ffn_dim", "encoder_ffn_dim", "d_ff", "dff", "mlp_dim", "n_inner", "ffn_hidden_size"),
        (80, 72),
    ),
    "decoder_ffn_dim": (88, 88),
    "decoder_intermediate_size": (88, 88),
    "num_key_value_heads": (3, 5),
    "head_dim": (10, 8),
    "d_kv": (10, 10),
    "kv_channels": (10, 10),
    "embedding_size": (28, 28),
    "vocab_size": (101, 103),
    "type_vocab_size": (3, 3),
    "max_position_embeddings": (64, 64),
    "n_positions": (64, 64),
    "n_ctx": (64, 64),
    "max_source_positions": (34, 34),
    "max_target_positions": (64, 64),
    "max_sequence_length": (64, 64),
    "num_local_experts": (5, 5),
    "num_experts": (5, 5),
    "moe_num_experts": (5, 5),
    "n_routed_experts": (10, 10),
    "n_group": (2, 2),
    "topk_group": (1, 1),
    "num_experts_per_tok": (2, 2),
    "moe_topk": (2, 2),
    "moe_k": (2, 2),
    "moe_intermediate_size": (36, 36),
    "expert_ffn_hidden_size": (36, 36),
    "shared_expert_intermediate_size": (28, 28),
    "q_lora_rank": (20, 20),
    "kv_lora_rank": (16, 16),
    "qk_rope_head_dim": (4, 4),
    "qk_nope_head_dim": (6, 6),
    "qk_head_dim": (10, 10),
    "v_head_dim": (14, 14),
    "index_head_dim": (8, 8),
    "index_n_heads": (7, 7),
    "index_topk": (64, 64),
    "state_size": (7, 7),
    "mamba_d_state": (7, 7),
    "ssm_state_size": (7, 7),
    "time_step_rank": (5, 5),
    "projection_dim": (26, 26),
    "image_size": (32, 32),
    "patch_size": (8, 8),
    "num_mel_bins": (20, 20),
    "sliding_window": (6, 6),
    "window_size": (4, 4),
    "num_conv_pos_embeddings": (8, 8),
    "num_conv_pos_embedding_groups": (4, 4),
    "classifier_proj_size": (22, 22),
    "num_queries": (9, 9),
    "num_query_tokens": (9, 9),
    "q_hidden_size": (48, 40),
    "query_pre_attn_scalar": (8, 8),
    "codebook_size": (32, 32),
    "codebook_dim": (14, 14),
    "out_hidden_size": (48, 48),
    "relative_attention_num_buckets": (12, 12),
    "relative_attention_max_distance": (20, 20),
    "mamba_chunk_size": (4, 4),
    "chunk_size": (4, 4),
    "linear_num_key_heads": (2, 2),
    "linear_num_value_heads": (4, 4),
    "linear_key_head_dim": (10, 10),
    "linear_value_head_dim": (14, 14),
    "hidden_size_per_layer_input": (14, 14),
    "vocab_size_per_layer_input": (101, 101),
    "decoder_hidden_size": (44, 44),
    "num_frames": (4, 4),
    "pooler_hidden_size": (48, 40),
    "pooler_output_size": (48, 40),
    "encoder_stride": (8, 8),
    "num_position_embeddings": (64, 64),
    "decoder_layers_num": (2, 2),
    "num_nextn_predict_layers": (0, 0),
    "block_size": (4, 4),
    "n_codes_total": (4, 4),
    "pad_token_id": (0, 0),
    "bos_token_id": (1, 1),
    "eos_token_id": (2, 2),
    "sep_token_id": (2, 2),
    "cls_token_id": (1, 1),
    "mask_token_id": (3, 3),
    "decoder_start_token_id": (1, 1),
    "forced_eos_token_id": (2, 2),
}

_LISTS: dict[str, Callable[[int], list[Any]]] = {
    "depths": lambda n: [2, *[1] * (n - 1)],
    "hidden_sizes": lambda n: [24, 40, 56, 72, 88, 104][:n],
    "conv_dim": lambda n: [20, 24, 28],
    "conv_stride": lambda n: [5, 2, 2],
    "conv_kernel": lambda n: [10, 3, 2],
    "tdnn_dim": lambda n: [20, 24, 28, 30, 34][:n],
    "decoder_hidden_sizes": lambda n: [24, 40, 56, 72][:n],
}


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
    found: dict[str, Any] = {}
    tokens = iter(range(4, 100))
    for k, name in enumerate(getattr(cls, "sub_configs", {}) or {}):
        part = getattr(default, name, None)
        given = changes.get(name, {})
        kind = given.get("model_type", getattr(part, "model_type", None)) if isinstance(given, dict) else None
        if kind is not None:
            second = 0 if ("text" in name or "decoder" in name or (k == 0 and "vision" not in name)) else 1
            sub = type(part) if kind == getattr(part, "model_type", None) else CONFIG_MAPPING[kind]
            found[name] = {**_settings(sub, second, {**OVERRIDES.get(kind, {}), **given}), "model_type": kind}
    for name, value in default.to_dict().items():
        if name not in accepted or name in found:
            continue
        if isinstance(value, bool):
            continue
        if isinstance(value, int) and name in _INTEGERS:
            found[name] = _INTEGERS[name][tower]
        elif isinstance(value, int) and name.endswith(("_token_id", "_token_index", "_tok_id")):
            found[name] = next(tokens)
        elif isinstance(value, list) and name in _LISTS:
            found[name] = _LISTS[name](len(value))
        elif isinstance(value, list) and name == "eos_token_id":
            found[name] = [2]
        elif isinstance(value, float) and name.endswith(("drop", "dropout", "drop_rate", "layerdrop")):
            found[name] = 0.0
    if "kv_lora_rank" in accepted:  # latent attention: every head has keys of its own, and rotates part of them
        found["num_key_value_heads"] = found["num_attention_heads"]
        found.pop("head_dim", None)
        if getattr(default, "head_dim", None) == getattr(default, "qk_rope_head_dim", None) is not None:
            found["head_dim"] = found["qk_rope_head_dim"]
    _sections(default, found)
    for name, value in changes.items():
        if not (name in found and isinstance(found[name], dict)):
            found[name] = value
    return found


def _sections(default: PreTrainedConfig, found: dict[str, Any]) -> None:
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
    """A model with the attention implementation ``sdpa`` (where it has that) or ``eager``, its weights as the library initialises them, and example inputs by name."""
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
    ADJUST.get(model_type, lambda c: None)(config)
    model = cls(config)
    model.eval()
    return model, example_inputs(model, config)


def example_inputs(model: nn.Module, config: PreTrainedConfig) -> dict[str, Any]:
    """What forward wants, by name."""
    generator = torch.Generator().manual_seed(1)
    accepted = inspect.signature(model.forward).parameters
    special = INPUTS.get(config.model_type)
    found: dict[str, Any] = {}
    if special is not None:
        found = special(config, generator)
        if found.pop("only", False):
            return _without_cache(found, accepted)
    text = _text(config)
    main = getattr(model, "main_input_name", "input_ids")
    needed = {name for name, p in accepted.items() if p.default is p.empty and p.kind is not p.VAR_KEYWORD}
    for name in accepted:
        if name in found:
            continue
        if name == "input_ids" and (main in ("input_ids", "pixel_values") or name in needed):
            found[name] = _tokens(text, LENGTH, generator)
        elif name == "attention_mask" and "input_ids" in found:
            found[name] = torch.ones_like(found["input_ids"])
        elif name == "decoder_input_ids":
            found[name] = _tokens(text, DECODER_LENGTH, generator)
        elif name == "pixel_values" and (main == name or name in needed or _dual(config)):
            found[name] = _image(config, generator)
        elif name == "bbox" and "input_ids" in found:
            found[name] = torch.randint(0, 9, (*found["input_ids"].shape, 4), generator=generator).sort(-1).values
        elif name == "input_features" and (main == name or name in needed):
            frames = 2 * getattr(config, "max_source_positions", 34)
            bins = getattr(config, "num_mel_bins", None) or getattr(config, "feature_size", 20)
            found[name] = torch.randn(BATCH, bins, frames, generator=generator)
        elif name == "input_values" and (main == name or name in needed):
            found[name] = torch.randn(BATCH, 800, generator=generator)
    return _without_cache(found, accepted)


def _without_cache(found: dict[str, Any], accepted: Mapping[str, Any]) -> dict[str, Any]:
    return {**found, "use_cache": False} if "use_cache" in accepted else found


def _text(config: PreTrainedConfig) -> PreTrainedConfig:
    return config.get_text_config() if hasattr(config, "get_text_config") else config


def _dual(config: PreTrainedConfig) -> bool:
    """Two towers side by side, as in CLIP: both inputs are needed."""
    return hasattr(config, "projection_dim") and hasattr(config, "vision_config") and hasattr(config, "text_config")


def _tokens(config: PreTrainedConfig, length: int, generator: torch.Generator) -> torch.Tensor:
    size = getattr(config, "vocab_size", None) or 101
    tokens = torch.randint(min(size // 2, 41), size, (BATCH, length), generator=generator)
    end = getattr(config, "eos_token_id", None)
    if isinstance(end, int) and end < size:
        tokens[:, -1] = end
    return tokens


def _image(config: PreTrainedConfig, generator: torch.Generator) -> torch.Tensor:
    part = getattr(config, "vision_config", None) or getattr(config, "backbone_config", None) or config
    size = getattr(part, "image_size", None) or 64
    sides = tuple(size) if isinstance(size, list | tuple) else (size, size)
    channels = getattr(part, "num_channels", None) or getattr(part, "in_channels", None) or 3
    frames = FRAMES.get(config.model_type)
    lead = (BATCH, frames) if frames else (BATCH,)
    return torch.randn(*lead, channels if isinstance(channels, int) else 3, *sides, generator=generator)
