"""Batch, layer, group, instance and RMS normalisation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from orbitope.frontends.builder import Builder, Value
from orbitope.frontends.lowerings.registry import Refused, lowers


def _affine(b: Builder, x: Value, weight: Value | None, bias: Value | None) -> Value:
    if weight is not None:
        x = b.pointwise("mul", x, weight)
    return x if bias is None else b.pointwise("add", x, bias)


def _channelwise(b: Builder, x: Value, vector: Value | None) -> Value | None:
    return None if vector is None else b.along(vector, 1, x.rank)


def _batch_norm(
    b: Builder, x: Value, weight: Value | None, bias: Value | None, mean: Value, variance: Value, eps: float
) -> Value:
    """``(x − μ)/√(σ² + ε)·γ + β`` with given statistics: arithmetic of the channel vectors, nothing else."""
    deviation = b.pointwise("sqrt", b.pointwise("add", variance, eps))
    centred = b.pointwise("sub", x, b.along(mean, 1, x.rank))
    scaled = b.pointwise("div", centred, b.along(deviation, 1, x.rank))
    return _affine(b, scaled, _channelwise(b, x, weight), _channelwise(b, x, bias))


@lowers("aten._native_batch_norm_legit_no_training.default")
def batch_norm_no_training(
    b: Builder,
    x: Value,
    weight: Value | None,
    bias: Value | None,
    mean: Value,
    variance: Value,
    _momentum: float,
    eps: float,
) -> tuple[Value | None, ...]:
    """Evaluation mode; the saved statistics are empty."""
    return _batch_norm(b, x, weight, bias, mean, variance, eps), None, None


@lowers("aten.batch_norm.default")
def batch_norm(
    b: Builder,
    x: Value,
    weight: Value | None,
    bias: Value | None,
    mean: Value | None,
    variance: Value | None,
    training: bool,
    _momentum: float,
    eps: float,
    _cudnn: bool,
) -> Value:
    """Evaluation mode with running statistics; otherwise statistics of the batch."""
    if not training and mean is not None and variance is not None:
        return _batch_norm(b, x, weight, bias, mean, variance, eps)
    return _batch_statistics(b, x, weight, bias, eps)


def _batch_statistics(b: Builder, x: Value, weight: Value | None, bias: Value | None, eps: float) -> Value:
    normalised = _standard(b, x, [0, *range(2, x.rank)], eps)
    return _affine(b, normalised, _channelwise(b, x, weight), _channelwise(b, x, bias))


@lowers("aten._native_batch_norm_legit.no_stats")
def batch_norm_no_stats(
    b: Builder, x: Value, weight: Value | None, bias: Value | None, _training: bool, _momentum: float, eps: float
) -> tuple[Value | None, ...]:
    """Without running statistics those of the batch are used in evaluation mode too."""
    return _batch_statistics(b, x, weight, bias, eps), None, None


def _standard(b: Builder, x: Value, axes: Sequence[int], eps: float) -> Value:
    return b.emit("normalise", (x,), x.shape, kind="standard", axes=list(axes), eps=eps)


@lowers("aten.layer_norm.default")
def layer_norm(
    b: Builder,
    x: Value,
    shape: Sequence[int],
    weight: Value | None = None,
    bias: Value | None = None,
    eps: float = 1e-5,
    _cudnn: bool = True,
) -> Value:
    """Over the trailing axes."""
    return _affine(b, _standard(b, x, range(x.rank - len(shape), x.rank), eps), weight, bias)


@lowers("aten.native_layer_norm.default")
def native_layer_norm(b: Builder, *args: Any) -> tuple[Value | None, ...]:
    """Layer norm whose statistics are not lowered."""
    x, shape, weight, bias, eps = args
    return layer_norm(b, x, shape, weight, bias, eps), None, None


@lowers("aten.rms_norm.default")
def rms_norm(
    b: Builder, x: Value, shape: Sequence[int], weight: Value | None = None, eps: float | None = None
) -> Value:
    """By the root mean square over the trailing axes."""
    if eps is None:
        raise Refused
    axes = list(range(x.rank - len(shape), x.rank))
    return _affine(b, b.emit("normalise", (x,), x.shape, kind="rms", axes=axes, eps=eps), weight, None)


@lowers("aten.group_norm.default")
def group_norm(
    b: Builder,
    x: Value,
    groups: int,
    weight: Value | None = None,
    bias: Value | None = None,
    eps: float = 1e-5,
    _cudnn: bool = True,
) -> Value:
    """Over the channels of a group and over space."""
    batch, channels, *space = x.shape
    split = b.reshape(x, (batch, groups, channels // groups, *space))
    normalised = b.reshape(_standard(b, split, range(2, split.rank), eps), x.shape)
    return _affine(b, normalised, _channelwise(b, x, weight), _channelwise(b, x, bias))


@lowers("aten.native_group_norm.default")
def native_group_norm(
    b: Builder, x: Value, weight: Value | None, bias: Value | None, *rest: Any
) -> tuple[Value | None, ...]:
    """Group norm whose statistics are not lowered."""
    _n, _c, _hw, groups, eps = rest
    return group_norm(b, x, groups, weight, bias, eps), None, None


@lowers("aten.instance_norm.default")
def instance_norm(
    b: Builder,
    x: Value,
    weight: Value | None,
    bias: Value | None,
    mean: Value | None,
    variance: Value | None,
    use_input_stats: bool,
    _momentum: float,
    eps: float,
    _cudnn: bool,
) -> Value:
    """Over space, channel by channel."""
    if not use_input_stats:
        assert mean is not None and variance is not None
        return _batch_norm(b, x, weight, bias, mean, variance, eps)
    normalised = _standard(b, x, range(2, x.rank), eps)
    return _affine(b, normalised, _channelwise(b, x, weight), _channelwise(b, x, bias))


@lowers("aten._weight_norm.default")
def weight_norm(b: Builder, direction: Value, length: Value, dim: int = 0) -> Value:
    """``g·v/‖v‖``, the norm over all axes but one."""
    axes = [k for k in range(direction.rank) if k != dim % direction.rank]
    square = b.reduce("sum", b.pointwise("power", direction, exponent=2), axes, keep=True)
    return b.pointwise("mul", direction, b.pointwise("div", length, b.pointwise("sqrt", square)))
