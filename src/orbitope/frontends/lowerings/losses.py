"""Losses that are operations of their own in a traced program."""

from __future__ import annotations

import torch

from orbitope.frontends.builder import Builder, Value
from orbitope.frontends.lowerings.lookup import gather
from orbitope.frontends.lowerings.pointwise import converted, entrywise
from orbitope.frontends.lowerings.registry import lowers

MEAN, SUM = 1, 2


def _reduced(b: Builder, entries: Value, reduction: int) -> Value:
    """The entries, their mean or their sum."""
    kinds = {MEAN: "mean", SUM: "sum"}
    return b.reduce(kinds[reduction], entries, range(entries.rank)) if reduction in kinds else entries


@lowers("aten.mse_loss.default")
def mse_loss(b: Builder, x: Value, y: Value, reduction: int = MEAN) -> Value:
    """Squared differences."""
    return _reduced(b, b.pointwise("power", entrywise(b, "sub", x, y), exponent=2), reduction)


@lowers("aten.huber_loss.default")
def huber_loss(b: Builder, x: Value, y: Value, reduction: int = MEAN, delta: float = 1.0) -> Value:
    """Half the square of a difference, and δ·(|d| − δ/2) beyond δ."""
    near, far = _split(b, x, y, delta)
    return _reduced(b, entrywise(b, "add", near, b.pointwise("mul", far, delta)), reduction)


@lowers("aten.smooth_l1_loss.default")
def smooth_l1_loss(b: Builder, x: Value, y: Value, reduction: int = MEAN, beta: float = 1.0) -> Value:
    """The same over β; the difference itself for β = 0."""
    if beta == 0:
        return _reduced(b, b.pointwise("abs", entrywise(b, "sub", x, y)), reduction)
    near, far = _split(b, x, y, beta)
    return _reduced(b, entrywise(b, "add", b.pointwise("div", near, beta), far), reduction)


def _split(b: Builder, x: Value, y: Value, corner: float) -> tuple[Value, Value]:
    """With ``m = min(|d|, corner)``, the values ``m²/2`` and ``|d| − m``."""
    size = b.pointwise("abs", entrywise(b, "sub", x, y))
    near = b.pointwise("minimum", size, corner)
    half = b.pointwise("mul", b.pointwise("power", near, exponent=2), 0.5)
    return half, entrywise(b, "sub", size, near)


@lowers("aten.soft_margin_loss.default")
def soft_margin_loss(b: Builder, x: Value, y: Value, reduction: int = MEAN) -> Value:
    """log(1 + e^(−xy))."""
    return _reduced(b, b.pointwise("softplus", b.pointwise("neg", entrywise(b, "mul", x, y))), reduction)


@lowers("aten.l1_loss.default")
def l1_loss(b: Builder, x: Value, y: Value, reduction: int = MEAN) -> Value:
    """Differences without their sign."""
    return _reduced(b, b.pointwise("abs", entrywise(b, "sub", x, y)), reduction)


@lowers("aten.nll_loss_forward.default", "aten.nll_loss2d_forward.default")
def nll_loss_forward(
    b: Builder, x: Value, target: Value, weight: Value | None, reduction: int, ignore_index: int
) -> tuple[Value, Value | None]:
    """Minus the entry of the target's class; the mean is over the weights of the classes that count."""
    axis = 1 if x.rank > 1 else 0
    counts = converted(b, entrywise(b, "ne", target, ignore_index, dtype=torch.bool), x.dtype)
    place = entrywise(b, "where", entrywise(b, "ne", target, ignore_index, dtype=torch.bool), target, 0)
    shape = (*x.shape[:axis], 1, *x.shape[axis + 1 :])
    index = b.reshape(place, shape)
    picked = b.reshape(gather(b, x, axis, index), target.shape)
    if weight is not None:
        line = b.reshape(weight, tuple(n if k == axis else 1 for k, n in enumerate(x.shape)))
        own = b.reshape(gather(b, b.broadcast(line, x.shape), axis, index), target.shape)
        counts = entrywise(b, "mul", counts, own)
    entries = entrywise(b, "mul", b.pointwise("neg", picked), counts)
    if reduction == 0:
        return entries, None
    axes = range(entries.rank)
    total = b.reduce("sum", counts, axes)
    summed = b.reduce("sum", entries, axes)
    return (entrywise(b, "div", summed, total) if reduction == MEAN else summed), total


@lowers("aten.xlogy.Tensor")
def xlogy(b: Builder, x: Value, y: Value) -> Value:
    """x·log y, and 0 for x = 0."""
    product = entrywise(b, "mul", x, b.pointwise("log", y))
    return entrywise(b, "where", entrywise(b, "eq", x, 0.0, dtype=torch.bool), 0.0, product, dtype=product.dtype)
