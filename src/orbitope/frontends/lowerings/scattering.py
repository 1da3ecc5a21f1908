"""Entries written or added to places given by indices or by masks."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import torch

from orbitope.frontends.builder import Builder, Operand, Value
from orbitope.frontends.lowerings.lookup import indexed, wrapped
from orbitope.frontends.lowerings.pointwise import converted, entrywise
from orbitope.frontends.lowerings.registry import Refused, lowers

_MODES = {"sum": "sum", "add": "sum", "prod": "prod", "multiply": "prod", "amax": "amax", "amin": "amin"}


def _put(b: Builder, x: Value, axis: int, indices: Value, source: Value, mode: str) -> Value:
    """Sources put along an axis of a value whose other axes are theirs."""
    if not x.rank or x.rank != indices.rank:
        raise Refused
    for k in range(x.rank):
        source = b.slice(source, k, 0, indices.shape[k])
        if k != axis and indices.shape[k] != x.shape[k]:
            raise Refused  # only part of the other axes is written
    return b.emit("scatter", (x, indices, source), x.shape, x.dtype, axis=axis, mode=mode)


def _number(b: Builder, value: Operand, like: Value, shape: Sequence[int]) -> Value:
    if not isinstance(value, Value):
        dtype = torch.float64 if like.dtype.is_floating_point else like.dtype
        value = b.constant(torch.tensor(value, dtype=dtype))
    return b.broadcast(value, shape)


@lowers("aten.scatter.src", "aten.scatter.value", "aten.scatter.reduce", "aten.scatter.value_reduce")
def scatter(b: Builder, x: Value, dim: int, indices: Value, source: Operand, *, reduce: str = "set") -> Value:
    """Entries written along one axis."""
    mode = _MODES.get(reduce, "set")
    if not isinstance(source, Value):
        source = _number(b, source, x, indices.shape)
    return _put(b, x, x.axis(dim), indices, source, mode)


@lowers("aten.scatter_add.default")
def scatter_add(b: Builder, x: Value, dim: int, indices: Value, source: Value) -> Value:
    """Entries added along one axis."""
    return _put(b, x, x.axis(dim), indices, source, "sum")


@lowers("aten.scatter_reduce.two")
def scatter_reduce(
    b: Builder, x: Value, dim: int, indices: Value, source: Value, reduce: str, *, include_self: bool = True
) -> Value:
    """Entries combined with what stands there."""
    if not include_self or reduce not in _MODES:
        raise Refused
    return _put(b, x, x.axis(dim), indices, source, _MODES[reduce])


def _rows(b: Builder, x: Value, axis: int, indices: Value, source: Value, mode: str) -> Value:
    """Whole slices of one axis: the indices are the same for all other axes."""
    places = b.along(b.reshape(wrapped(b, indices, x.shape[axis]), (prod(indices.shape),)), axis, x.rank)
    return _put(b, x, axis, b.broadcast(places, source.shape), source, mode)


@lowers("aten.index_add.default")
def index_add(b: Builder, x: Value, dim: int, indices: Value, source: Value, *, alpha: Operand = 1) -> Value:
    """Slices added to slices of one axis."""
    if alpha != 1:
        source = entrywise(b, "mul", source, alpha)
    return _rows(b, x, x.axis(dim), indices, source, "sum")


@lowers("aten.index_copy.default")
def index_copy(b: Builder, x: Value, dim: int, indices: Value, source: Value) -> Value:
    """Slices of one axis overwritten."""
    return _rows(b, x, x.axis(dim), indices, source, "set")


@lowers("aten.index_fill.int_Scalar", "aten.index_fill.int_Tensor")
def index_fill(b: Builder, x: Value, dim: int, indices: Value, value: Operand) -> Value:
    """Slices of one axis overwritten by one value."""
    axis = x.axis(dim)
    shape = [prod(indices.shape) if k == axis else n for k, n in enumerate(x.shape)]
    return _rows(b, x, axis, indices, _number(b, value, x, shape), "set")


@lowers("aten.index_put.default", "aten._unsafe_index_put.default")
def index_put(b: Builder, x: Value, indices: Sequence[Value | None], values: Value, accumulate: bool = False) -> Value:
    """Entries at given places overwritten or added to."""
    given = [entry for entry in indices if entry is not None]
    if len(given) == 1 and given[0].dtype == torch.bool and b.known(given[0]) is None:
        return _where_masked(b, x, indices, given[0], values, accumulate)
    mask = _mask(b, indices)
    if mask is not None and prod(values.shape) == 1:
        return _where_masked(b, x, [mask], mask, b.reshape(values, ()), accumulate)
    found = indexed(b, x, indices)
    rank, rest = found.places.rank, found.table.shape[1:]
    lead = 0 if found.front else found.first
    target = (*rest[:lead], *found.places.shape, *rest[lead:])
    values = b.broadcast(values, target)
    values = b.transpose(values, [*range(lead, lead + rank), *range(lead), *range(lead + rank, values.rank)])
    count = prod(found.places.shape)
    values = b.reshape(values, (count, *rest))
    places = b.reshape(found.places, (count, *(1 for _ in rest)))
    mode = "sum" if accumulate else "set"
    result = _put(b, found.table, 0, b.broadcast(places, values.shape), values, mode)
    apart = b.reshape(result, (*found.sizes, *rest))
    return b.transpose(apart, [found.order.index(k) for k in range(x.rank)])


def _mask(b: Builder, indices: Sequence[Value | None]) -> Value | None:
    """The mask that a list of positions for its axes was made from."""
    known = [b.places.get(entry.name) if entry is not None else None for entry in indices]
    if not known or known[0] is None:
        return None
    mask = known[0][0]
    return mask if known == [(mask, axis) for axis in range(mask.rank)] else None


def _where_masked(
    b: Builder, x: Value, indices: Sequence[Value | None], mask: Value, values: Value, accumulate: bool
) -> Value:
    """One value, or one for each position of the axes behind the mask, where the mask holds."""
    before = next(k for k, entry in enumerate(indices) if entry is not None)
    behind = x.rank - before - mask.rank
    if before or (values.rank > behind and values.shape[0] != 1) or values.rank > behind + 1:
        raise Refused  # how many values there are depends on the data
    value = b.reshape(values, values.shape[1:]) if values.rank > behind else values
    holds = b.reshape(mask, (*mask.shape, *(1 for _ in range(behind))))
    if accumulate:
        value = entrywise(b, "add", x, value, dtype=x.dtype)
    return entrywise(b, "where", holds, value, x, dtype=x.dtype)


@lowers("aten.masked_scatter.default")
def masked_scatter(b: Builder, x: Value, mask: Value, source: Value) -> Value:
    """Where a mask holds, the entries of the source one after the other.

    A mask that is stretched over the last axes takes whole rows of the source, so that those axes are carried.
    """
    shape = torch.broadcast_shapes(x.shape, mask.shape)
    x = b.broadcast(x, shape)
    alike = _stretched(b, b.broadcast(mask, shape))
    row = 0
    while row < min(len(shape), source.rank - 1) and alike[len(shape) - 1 - row]:
        if source.shape[source.rank - 1 - row] != shape[len(shape) - 1 - row]:
            break
        row += 1
    width = shape[len(shape) - row :]
    rows = prod(source.shape) // prod(width)
    holds = b.broadcast(mask, shape)
    for k in range(row):
        holds = b.slice(holds, len(shape) - 1 - k, 0, 1)
    flat = converted(b, b.reshape(holds, (prod(shape[: len(shape) - row]),)), torch.int64)
    passed = b.emit("accumulate", (flat,), flat.shape, axis=0, fn="sum")
    places = b.pointwise("hardtanh", entrywise(b, "sub", passed, 1), low=0, high=rows - 1)
    table = b.reshape(source, (rows, *width))
    taken = b.reshape(b.emit("gather", (table, places), (*flat.shape, *width), source.dtype, axis=0), shape)
    return entrywise(b, "where", holds, taken, x, dtype=x.dtype)


def _stretched(b: Builder, x: Value) -> list[bool]:
    """For each axis whether the value is known to be constant along it: it was broadcast."""
    node = next((node for node in reversed(b.nodes) if node.name == x.name), None)
    if node is None or node.op != "broadcast":
        return [False] * x.rank
    source = next(other for other in b.nodes if other.name == node.inputs[0])
    before = (1,) * (x.rank - len(source.shape)) + source.shape
    return [m == 1 and n > 1 for m, n in zip(before, x.shape, strict=True)]
