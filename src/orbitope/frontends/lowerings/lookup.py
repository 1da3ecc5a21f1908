"""Embeddings and index selection."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

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


@lowers("aten.index.Tensor")
def index(b: Builder, x: Value, indices: Sequence[Value | None]) -> Value:
    """Positions of one axis by constant indices; indices known at run time only may be negative: refused."""
    given = [(axis, entry) for axis, entry in enumerate(indices) if entry is not None]
    (axis, positions), *more = given
    known = b.known(positions)
    if more or known is None or known.dtype in (torch.bool, torch.uint8):
        raise Refused
    positive = b.constant(known % x.shape[axis])
    shape = (*x.shape[:axis], *positive.shape, *x.shape[axis + 1 :])
    return b.emit("gather", (x, positive), shape, x.dtype, axis=axis)
