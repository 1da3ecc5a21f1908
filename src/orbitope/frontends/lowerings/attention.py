"""Scaled dot-product attention."""

from __future__ import annotations

import torch

from orbitope.frontends.builder import Builder, Value
from orbitope.frontends.lowerings.contraction import matmul
from orbitope.frontends.lowerings.pointwise import entrywise
from orbitope.frontends.lowerings.registry import Refused, lowers
from orbitope.frontends.lowerings.structure import repeat_interleave


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
    """``softmax(q kᵀ·scale + mask) v`` without dropout; what a boolean mask hides gets the score −∞."""
    if dropout or (causal and mask is not None):
        raise Refused
    if enable_gqa:  # several queries read one head of keys and values
        key = repeat_interleave(b, key, query.shape[-3] // key.shape[-3], -3)
        value = repeat_interleave(b, value, query.shape[-3] // value.shape[-3], -3)
    turned = b.transpose(key, [*range(key.rank - 2), key.rank - 1, key.rank - 2])
    factor = query.shape[-1] ** -0.5 if scale is None else scale
    scores = b.pointwise("mul", matmul(b, query, turned), factor)
    kind = "softmax"
    if causal:
        earlier = b.constant(torch.ones(scores.shape[-2:], dtype=torch.bool).tril())
        scores = entrywise(b, "where", earlier, scores, -torch.inf, dtype=scores.dtype)
    if mask is not None:
        kind = "safe"  # a row that is hidden altogether attends to nothing
        if mask.dtype == torch.bool:
            scores = entrywise(b, "where", mask, scores, -torch.inf, dtype=scores.dtype)
        else:
            scores = b.pointwise("add", scores, mask)
    weights = b.emit("softmax", (scores,), scores.shape, axis=scores.rank - 1, kind=kind)
    return matmul(b, weights, value)
