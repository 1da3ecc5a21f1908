"""Scaled dot-product attention."""

from __future__ import annotations

from orbitope.frontends.builder import Builder, Value
from orbitope.frontends.lowerings.contraction import matmul
from orbitope.frontends.lowerings.registry import Refused, lowers


@lowers("aten.scaled_dot_product_attention.default")
def attention(
    b: Builder,
    query: Value,
    key: Value,
    value: Value,
    mask: Value | None = None,
    dropout: float = 0.0,
    causal: bool = False,
    *,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Value:
    """``softmax(q kᵀ·scale + mask) v`` without dropout; a floating mask is added."""
    if dropout or causal or enable_gqa or (mask is not None and not mask.dtype.is_floating_point):
        raise Refused
    turned = b.transpose(key, [*range(key.rank - 2), key.rank - 1, key.rank - 2])
    factor = query.shape[-1] ** -0.5 if scale is None else scale
    scores = b.pointwise("mul", matmul(b, query, turned), factor)
    if mask is not None:
        scores = b.pointwise("add", scores, mask)
    weights = b.emit("softmax", (scores,), scores.shape, axis=scores.rank - 1, kind="softmax")
    return matmul(b, weights, value)
