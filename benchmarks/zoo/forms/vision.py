"""Closed forms of transformers' models for images and sound, as formulas of the configuration, written by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from forms.terms import F, heads, total

Form = Callable[[Any], float]


def _stack(c: Any, inner: int) -> float:
    h = c.num_attention_heads
    return F(c.hidden_size) + c.num_hidden_layers * (heads(h, c.hidden_size // h) + F(inner))


def _vit(c: Any) -> float:
    return _stack(c, c.intermediate_size)


def _pooled(c: Any) -> float:
    """Behind the last layer one learned query attends to all positions, and a feed-forward part reads it."""
    h = c.num_attention_heads
    return _vit(c) + heads(h, c.hidden_size // h) + F(c.intermediate_size)


def _timesformer(c: Any) -> float:
    """In each layer attention over time, mapped once more, and attention over space."""
    h = c.num_attention_heads
    over_time = heads(h, c.hidden_size // h) + F(c.hidden_size)
    return _vit(c) + c.num_hidden_layers * over_time


def _yolos(c: Any) -> float:
    """Two heads of the network with two hidden layers each, for classes and for boxes."""
    return _vit(c) + 4 * F(c.hidden_size)


def _dinov2(c: Any) -> float:
    return _stack(c, c.mlp_ratio * c.hidden_size)


def _swin(c: Any) -> float:
    """In each stage a stream, and in each layer a table of biases of its own."""
    found = 0.0
    for stage, (depth, h) in enumerate(zip(c.depths, c.num_heads, strict=True)):
        width = c.embed_dim * 2**stage
        found += F(width) + depth * (heads(h, width // h) + F(int(c.mlp_ratio * width)))
    return found


def _swinv2(c: Any) -> float:
    """As Swin; the tables of biases come from a small network of 512 hidden units in each layer."""
    return _swin(c) + sum(c.depths) * F(512)


def _convnext(c: Any) -> float:
    return sum(F(w) + n * F(4 * w) for w, n in zip(c.hidden_sizes, c.depths, strict=True))


def _towers(c: Any) -> float:
    """Two towers that meet in one projected space."""
    text, vision = c.text_config, c.vision_config
    return F(c.projection_dim) + _vit(text) + _vit(vision)


def _segformer(c: Any) -> float:
    """In each stage a stream, keys and values of fewer positions (a convolution of its own), a convolution inside."""
    found = 0.0
    for k, (width, n, h) in enumerate(zip(c.hidden_sizes, c.depths, c.num_attention_heads, strict=True)):
        fewer = F(width) if c.sr_ratios[k] > 1 else 0.0
        found += F(width) + n * (heads(h, width // h) + fewer + F(c.mlp_ratios[k] * width))
    return found


def _poolformer(c: Any) -> float:
    return sum(F(w) + n * F(c.mlp_ratio * w) for w, n in zip(c.hidden_sizes, c.depths, strict=True))


def _resnet(c: Any) -> float:
    """Bottlenecks: the stem, each stage's stream, two inner widths for each block."""
    found = F(c.embedding_size)
    for width, n in zip(c.hidden_sizes, c.depths, strict=True):
        found += F(width) + 2 * n * F(width // 4)
    return found


def _wav2vec2(c: Any) -> float:
    """Convolutions; the stream, of which a grouped convolution over positions leaves groups; the layers.

    The first layer of convolutions is normalised channel by channel.
    """
    g = c.num_conv_pos_embedding_groups
    h = c.num_attention_heads
    layer = heads(h, c.hidden_size // h) + F(c.intermediate_size)
    stream = F(g) + g * F(c.hidden_size // g)
    return total(*c.conv_dim) + stream + c.num_hidden_layers * layer


VISION: dict[str, Form] = {
    **dict.fromkeys(("vit", "deit", "vit_msn", "ijepa", "vivit"), _vit),
    # sinusoidal positions that are no parameter pin the stream
    "videomae": lambda c: _vit(c) - F(c.hidden_size),
    "timesformer": _timesformer,
    "siglip2_vision_model": _pooled,
    "yolos": _yolos,
    "beit": _vit,
    "dinov2": _dinov2,
    # tokens without a position, which attention does not tell apart
    "dinov2_with_registers": lambda c: F(c.num_register_tokens) + _dinov2(c),
    "swin": _swin,
    "swinv2": _swinv2,
    **dict.fromkeys(("convnext", "convnextv2"), _convnext),
    "clip": _towers,
    "segformer": _segformer,
    "poolformer": _poolformer,
    "resnet": _resnet,
    **dict.fromkeys(("wav2vec2", "hubert"), _wav2vec2),
}
