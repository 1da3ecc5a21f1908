"""Embeddings and index selection."""

from __future__ import annotations

from typing import Any

from orbitope.frontends.builder import Builder, Value
from orbitope.frontends.lowerings.registry import Refused, lowers


@lowers("aten.embedding.default")
def embedding(b: Builder, weight: Value, indices: Value, *_options: Any, **_more: Any) -> Value:
    """Rows of a table."""
    return b.emit("gather", (weight, indices), (*indices.shape, *weight.shape[1:]), weight.dtype, axis=0)


@lowers("aten.index_select.default")
def index_select(b: Builder, x: Value, dim: int, indices: Value) -> Value:
    """Positions of one axis."""
    axis = x.axis(dim)
    if indices.rank != 1:
        raise Refused
    shape = (*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :])
    return b.emit("gather", (x, indices), shape, x.dtype, axis=axis)
