"""Embeddings and entries picked by index."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import prod
from typing import Any

import torch

from orbitope.frontends.builder import Builder, Value
from orbitope.frontends.lowerings.pointwise import entrywise
from orbitope.frontends.lowerings.registry import Refused, lowers

MOST_RUNS = 8
"""A list of indices of at most so many runs is read as slices, which keep the identity of what they cut."""


@lowers("aten.embedding.default")
def embedding(b: Builder, weight: Value, indices: Value, *_options: Any, **_more: Any) -> Value:
    """Rows of a table."""
    return b.emit("gather", (weight, indices), (*indices.shape, *weight.shape[1:]), weight.dtype, axis=0)


@lowers("aten.index_select.default")
def index_select(b: Builder, x: Value, dim: int, indices: Value) -> Value:
    """Positions of one axis."""
    if indices.rank > 1:
        raise Refused
    return taken(b, x, x.axis(dim), b.reshape(indices, (prod(indices.shape),)))


@lowers("aten.take.default")
def take(b: Builder, x: Value, indices: Value) -> Value:
    """Entries of the whole tensor as one row."""
    return taken(b, b.reshape(x, (prod(x.shape),)), 0, wrapped(b, indices, prod(x.shape)))


@lowers("aten.gather.default")
def gather(b: Builder, x: Value, dim: int, indices: Value, *, sparse_grad: bool = False) -> Value:
    """One entry along an axis for each index; other axes may be read in part."""
    if not x.rank or x.rank != indices.rank:
        raise Refused
    axis = x.axis(dim)
    for k in range(x.rank):
        if k != axis:
            x = b.slice(x, k, 0, indices.shape[k])
    return b.emit("pick", (x, indices), indices.shape, x.dtype, axis=axis)


@lowers("aten.take_along_dim.default")
def take_along_dim(b: Builder, x: Value, indices: Value, dim: int | None = None) -> Value:
    """One entry along an axis for each index, the other axes broadcast."""
    if dim is None:
        return take(b, x, b.reshape(indices, (prod(indices.shape),)))
    axis = x.axis(dim)
    common = torch.broadcast_shapes(_but(x.shape, axis), _but(indices.shape, axis))
    x = b.broadcast(x, _with(common, axis, x.shape[axis]))
    return gather(b, x, axis, b.broadcast(wrapped(b, indices, x.shape[axis]), _with(common, axis, indices.shape[axis])))


def _but(shape: Sequence[int], axis: int) -> tuple[int, ...]:
    return (*shape[:axis], 1, *shape[axis + 1 :])


def _with(shape: Sequence[int], axis: int, size: int) -> tuple[int, ...]:
    return (*shape[:axis], size, *shape[axis + 1 :])


@lowers("aten.index.Tensor", "aten._unsafe_index.Tensor")
def index(b: Builder, x: Value, indices: Sequence[Value | None]) -> Value:
    """Entries at given places of one axis or of several at once."""
    found = indexed(b, x, indices)
    result = taken(b, found.table, 0, found.places)
    rank = found.places.rank
    if found.front or not found.first:
        return result
    order = [*range(rank, rank + found.first), *range(rank), *range(rank + found.first, result.rank)]
    return b.transpose(result, order)


class Indexed:
    """A tensor whose indexed axes were brought to the front and merged, and one list of places along them.

    Attributes:
        table: the merged axis, then the others in their order.
        places: what the indices broadcast to.
        order: the axes of the tensor in the order of the table's.
        sizes: of the axes that were merged.
        first: how many axes stand before the first indexed one.
        front: whether the places' axes come first in the result, as where an axis stands between indexed ones.
    """

    def __init__(self, table: Value, places: Value, order: list[int], sizes: list[int], front: bool) -> None:
        """Keep all."""
        self.table, self.places, self.order, self.sizes, self.front = table, places, order, sizes, front
        self.first = order[0]


def indexed(b: Builder, x: Value, indices: Sequence[Value | None]) -> Indexed:
    """The tensor and the places that a list of index tensors, or None, for its leading axes speaks of."""
    given = _expanded(b, x, indices)
    axes = [axis for axis, _ in given]
    if not axes:
        raise Refused
    order = [*axes, *(k for k in range(x.rank) if k not in axes)]
    sizes = [x.shape[k] for k in axes]
    turned = b.transpose(x, order)
    table = b.reshape(turned, (prod(sizes), *turned.shape[len(axes) :]))
    known = [b.known(places) for _, places in given]
    numbers = [k for k in known if k is not None and not k.is_meta]
    if len(numbers) == len(known):
        total = sum(k % n * prod(sizes[i + 1 :]) for i, (k, n) in enumerate(zip(numbers, sizes, strict=True)))
        places = b.constant(torch.as_tensor(total))
    else:
        places = _flat_places(b, [places for _, places in given], sizes)
    return Indexed(table, places, order, sizes, axes[-1] - axes[0] >= len(axes))


def _flat_places(b: Builder, given: Sequence[Value], sizes: Sequence[int]) -> Value:
    """Row-major places of the merged axis."""
    total: Value | None = None
    for k, places in enumerate(given):
        part, stride = wrapped(b, places, sizes[k]), prod(sizes[k + 1 :])
        part = part if stride == 1 else entrywise(b, "mul", part, stride)
        total = part if total is None else entrywise(b, "add", total, part)
    assert total is not None
    return total


def _expanded(b: Builder, x: Value, indices: Sequence[Value | None]) -> list[tuple[int, Value]]:
    """The axis and the integer indices of each entry; a mask lists the places where it holds."""
    found: list[tuple[int, Value]] = []
    axis = 0
    for entry in indices:
        if entry is None:
            axis += 1
        elif entry.dtype in (torch.bool, torch.uint8):
            known = b.known(entry)
            if known is None or known.is_meta:
                listed = coordinates(b, entry)
            else:
                listed = [b.constant(each) for each in known.nonzero(as_tuple=True)]
            found.extend((axis + k, each) for k, each in enumerate(listed))
            axis += entry.rank
        else:
            found.append((axis, entry))
            axis += 1
    return found


def wrapped(b: Builder, indices: Value, size: int) -> Value:
    """Indices of which negative ones count from the end."""
    known = b.known(indices)
    if known is not None and not known.is_meta:
        return b.constant(known % size)
    return entrywise(b, "remainder", indices, size)


def taken(b: Builder, x: Value, axis: int, indices: Value) -> Value:
    """Positions of one axis: slices where the indices are constant and come in few runs."""
    shape = (*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :])
    known = b.known(indices)
    if known is not None and (runs := _runs(known.flatten())) is not None:
        parts = [b.slice(x, axis, start, stop) for start, stop in runs]
        whole = (*x.shape[:axis], known.numel(), *x.shape[axis + 1 :])
        joined = parts[0] if len(parts) == 1 else b.emit("concat", parts, whole, x.dtype, axis=axis)
        return b.reshape(joined, shape)
    return b.emit("gather", (x, indices), shape, x.dtype, axis=axis)


def _runs(indices: torch.Tensor) -> list[tuple[int, int]] | None:
    """The few runs of neighbouring positions that a list of indices consists of, as ``[-2]`` or ``[4, 5, 0, 1]``."""
    if not len(indices) or indices.is_meta:
        return None
    listed = indices.tolist()
    breaks = [k for k in range(1, len(listed)) if listed[k] != listed[k - 1] + 1]
    if len(breaks) >= MOST_RUNS or min(listed) < 0:
        return None
    return [(listed[a], listed[b - 1] + 1) for a, b in pairwise([0, *breaks, len(listed)])]


def holding(b: Builder, mask: Value) -> Value:
    """Row-major places of the entries of a mask, or of numbers, that are not zero: as many as in this run.

    That the number depends on the data is a decision of a recorded program, which whoever made it has noted.
    """
    entries = b.tensors.get(mask.name)
    if entries is None:
        raise Refused
    count = int(entries.count_nonzero())
    held = entrywise(b, "nonzero", b.reshape(mask, (prod(mask.shape),)), dtype=torch.bool)
    number = entrywise(b, "number", held, dtype=torch.int64)
    settings = {"axis": 0, "count": count, "what": "indices", "rule": "sort", "largest": True}
    return b.emit("order", (number,), (count,), torch.int64, **settings)


def coordinates(b: Builder, mask: Value) -> list[Value]:
    """The same places, one list of positions for each axis."""
    flat = holding(b, mask)
    found = []
    for axis, size in enumerate(mask.shape):
        stride = prod(mask.shape[axis + 1 :])
        part = flat if stride == 1 else entrywise(b, "floor_divide", flat, stride)
        found.append(part if axis == 0 else entrywise(b, "remainder", part, size))
    return found


@lowers("aten.where.default", "aten.nonzero_numpy.default")
def nonzero_numpy(b: Builder, mask: Value) -> tuple[Value, ...]:
    """Where a mask holds, axis by axis."""
    if not mask.rank:
        raise Refused
    found = coordinates(b, mask)
    b.places.update((each.name, (mask, axis)) for axis, each in enumerate(found))
    return tuple(found)


@lowers("aten.nonzero.default", "aten.argwhere.default")
def nonzero(b: Builder, mask: Value) -> Value:
    """Where a mask holds, one row for each place."""
    if not mask.rank:
        raise Refused
    columns = [b.reshape(each, (each.shape[0], 1)) for each in coordinates(b, mask)]
    if len(columns) == 1:
        return columns[0]
    return b.emit("concat", columns, (columns[0].shape[0], len(columns)), torch.int64, axis=1)


@lowers("aten.masked_select.default")
def masked_select(b: Builder, x: Value, mask: Value) -> Value:
    """The entries where a mask holds, in a row."""
    shape = torch.broadcast_shapes(x.shape, mask.shape)
    table = b.reshape(b.broadcast(x, shape), (prod(shape),))
    places = holding(b, b.broadcast(mask, shape))
    return b.emit("gather", (table, places), places.shape, x.dtype, axis=0)


@lowers("aten.repeat_interleave.self_Tensor")
def repeat_interleave(b: Builder, x: Value, repeats: Value, dim: int | None = None, **_size: Any) -> Value:
    """Each entry as often as a constant says."""
    known = b.known(repeats)
    if known is None or known.is_meta:
        raise Refused
    if dim is None:
        x, dim = b.reshape(x, (prod(x.shape),)), 0
    axis = x.axis(dim)
    counts = known.expand(x.shape[axis])
    return taken(b, x, axis, b.constant(torch.arange(x.shape[axis]).repeat_interleave(counts)))
