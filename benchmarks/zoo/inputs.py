"""Example inputs of transformers models, by the names of the arguments of forward."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedConfig

BATCH, LENGTH, DECODER_LENGTH = 2, 11, 13

Inputs = Callable[[Any, torch.Generator], dict[str, Any]]


def example_inputs(model: nn.Module, config: PreTrainedConfig) -> dict[str, Any]:
    """What forward wants, by name."""
    generator = torch.Generator().manual_seed(1)
    accepted = inspect.signature(model.forward).parameters
    special = SPECIAL.get(config.model_type)
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


# single model types ------------------------------------------------------------------------------------------------
FRAMES: dict[str, int] = {"timesformer": 4, "videomae": 4, "vivit": 4, "xclip": 4, "vjepa2": 4, "tvp": 4}


def _series(config: Any, generator: torch.Generator) -> dict[str, Any]:
    past = config.context_length + max(config.lags_sequence)
    return {
        "past_values": torch.rand(2, past, generator=generator),
        "past_time_features": torch.rand(2, past, config.num_time_features, generator=generator),
        "past_observed_mask": torch.ones(2, past),
        "future_values": torch.rand(2, config.prediction_length, generator=generator),
        "future_time_features": torch.rand(2, config.prediction_length, config.num_time_features, generator=generator),
        "only": True,
    }


def _decisions(config: Any, generator: torch.Generator) -> dict[str, Any]:
    return {
        "states": torch.randn(2, 5, config.state_dim, generator=generator),
        "actions": torch.randn(2, 5, config.act_dim, generator=generator),
        "rewards": torch.randn(2, 5, 1, generator=generator),
        "returns_to_go": torch.randn(2, 5, 1, generator=generator),
        "timesteps": torch.arange(5).repeat(2, 1),
        "attention_mask": torch.ones(2, 5),
        "only": True,
    }


def _channels(config: Any, generator: torch.Generator) -> dict[str, Any]:
    return {
        "past_values": torch.randn(2, config.context_length, config.num_input_channels, generator=generator),
        "only": True,
    }


def _wave(config: Any, generator: torch.Generator) -> dict[str, Any]:
    return {"input_values": torch.randn(2, 1, 240, generator=generator), "only": True}


def _global(config: Any, generator: torch.Generator) -> dict[str, Any]:
    """Some tokens are attended to by all: otherwise the projections for these are not reached."""
    mask = torch.zeros(BATCH, LENGTH, dtype=torch.int64)
    mask[:, :2] = 1
    return {"global_attention_mask": mask}


def _seen(config: Any, generator: torch.Generator) -> dict[str, Any]:
    return {
        "visual_feats": torch.randn(2, 5, config.visual_feat_dim, generator=generator),
        "visual_pos": torch.rand(2, 5, 4, generator=generator),
    }


def _pixels(config: Any, generator: torch.Generator) -> dict[str, Any]:
    return {"pixel_values": torch.randn(2, 3, 32, 32, generator=generator)}


def _patches(generator: torch.Generator) -> dict[str, Any]:
    return {
        "pixel_values": torch.randn(2, 16, 192, generator=generator),
        "pixel_attention_mask": torch.ones(2, 16, dtype=torch.int64),
        "spatial_shapes": torch.tensor([[4, 4], [4, 4]]),
    }


def _video(config: Any, generator: torch.Generator) -> dict[str, Any]:
    return {"pixel_values_videos": torch.randn(2, 4, 3, 32, 32, generator=generator), "only": True}


def _frames(length: int) -> Inputs:
    return lambda config, generator: {"input_features": torch.randn(2, length, 20, generator=generator)}


# What the arguments' names do not say. With ``only``, nothing is added.
SPECIAL: dict[str, Inputs] = {
    **dict.fromkeys(("autoformer", "informer", "time_series_transformer"), _series),
    **dict.fromkeys(("patchtsmixer", "patchtst"), _channels),
    **dict.fromkeys(("dac", "encodec", "mimi", "xcodec"), _wave),
    "audio-spectrogram-transformer": lambda c, g: {"input_values": torch.randn(2, 48, 20, generator=g), "only": True},
    "clap": lambda c, g: {"input_features": torch.randn(2, 1, 32, 16, generator=g)},
    "clvp": lambda c, g: {"input_features": torch.randn(2, 80, 40, generator=g)},
    "decision_transformer": _decisions,
    **dict.fromkeys(("longformer", "led"), _global),
    "lxmert": _seen,
    "vilt": _pixels,
    "siglip": _pixels,
    "owlvit": _pixels,
    "owlv2": _pixels,
    "layoutlmv3": _pixels,
    "udop": _pixels,
    "flava": _pixels,
    "bridgetower": _pixels,
    "grounding-dino": lambda c, g: {"pixel_values": torch.randn(2, 3, 64, 64, generator=g)},
    "mm-grounding-dino": lambda c, g: {"pixel_values": torch.randn(2, 3, 64, 64, generator=g)},
    # the order in which patches are hidden is random unless it is given
    "vit_mae": lambda c, g: {"noise": torch.rand(BATCH, (c.image_size // c.patch_size) ** 2, generator=g)},
    "vjepa2": _video,
    "videoprism_vision_model": _video,
    "moonshine": lambda c, g: {"input_values": torch.randn(2, 4000, generator=g)},
    "speech_to_text": _frames(40),
    "wav2vec2-bert": _frames(24),
    "univnet": lambda c, g: {
        "input_features": torch.randn(2, 12, 20, generator=g),
        "noise_sequence": torch.randn(2, 12, 64, generator=g),
    },
    "timesfm": lambda c, g: {
        "past_values": torch.randn(2, 16, generator=g),
        "freq": torch.zeros(2, dtype=torch.int64),
        "only": True,
    },
    "oneformer": lambda c, g: {
        "pixel_values": torch.randn(2, 3, 64, 64, generator=g),
        "task_inputs": torch.randint(0, 100, (2, c.task_seq_len), generator=g),
    },
    "switch_transformers": lambda c, g: {"use_cache": False},
    **dict.fromkeys(("siglip2", "siglip2_vision_model"), lambda c, g: _patches(g)),
    "blip_2_qformer": lambda c, g: {
        "query_embeds": torch.randn(BATCH, 9, c.hidden_size, generator=g),
        "encoder_hidden_states": torch.randn(BATCH, 12, c.encoder_hidden_size, generator=g),
        "only": True,
    },
    "reformer": lambda c, g: {"input_ids": torch.randint(4, 101, (2, 16), generator=g), "only": True},
    "canine": lambda c, g: {"input_ids": torch.randint(4, 1000, (2, 32), generator=g), "only": True},
    "perceiver": lambda c, g: {"inputs": torch.randint(4, 101, (2, 11), generator=g), "only": True},
    "esm": lambda c, g: {"input_ids": torch.randint(4, 30, (2, 11), generator=g)},
}
