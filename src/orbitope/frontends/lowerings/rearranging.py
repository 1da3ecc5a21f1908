"""Other names and combinations of views, transpositions and concatenations."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import torch

from orbitope.frontends.builder import Builder, Value
from orbitope.frontends.lowerings.lookup import taken
from orbitope.frontends.lowerings.registry import Refused, lowers
from orbitope.frontends.lowerings.structure import cat, repeat, split_with_sizes


@lowers("aten.concatenate.default")
def concatenate(b: Builder, tensors: Sequence[Value], dim: int = 0) -> Value:
    """Concatenation."""
    return cat(b, tensors, dim)


@lowers("aten.hstack.default", "aten.vstack.default", "aten.dstack.default", "aten.column_stack.default")
def stacked(b: Builder, tensors: Sequence[Value]) -> Value:
    """Concatenation along the first axis that rows, columns or pages have."""
    name = b.place.target.split(".")[1]
    if name == "hstack":
        return cat(b, [_at_least(b, x, 1) for x in tensors], 0 if tensors[0].rank < 2 else 1)
    if name == "column_stack":
        return cat(b, [b.reshape(x, (prod(x.shape), 1)) if x.rank < 2 else x for x in tensors], 1)
    axes = 2 if name == "vstack" else 3
    return cat(b, [_at_least(b, x, axes) for x in tensors], axes - 2 if axes == 2 else 2)


def _at_least(b: Builder, x: Value, rank: int) -> Value:
    """With axes of size one as ``atleast_1d``, ``atleast_2d`` and ``atleast_3d`` put them."""
    if x.rank >= rank:
        return x
    if x.rank == 0 or rank == 1:
        return b.reshape(x, (1,) * (rank - x.rank) + x.shape)
    return b.reshape(x, (1, *x.shape) if rank == 2 else (1, *x.shape, 1) if x.rank == 1 else (*x.shape, 1))


@lowers("aten.movedim.intlist", "aten.movedim.int", "aten.moveaxis.intlist", "aten.moveaxis.int")
def movedim(b: Builder, x: Value, source: int | Sequence[int], target: int | Sequence[int]) -> Value:
    """Axes moved to other places, the others in their order."""
    sources = [x.axis(k) for k in ([source] if isinstance(source, int) else source)]
    targets = [x.axis(k) for k in ([target] if isinstance(target, int) else target)]
    rest = iter(k for k in range(x.rank) if k not in sources)
    to = dict(zip(targets, sources, strict=True))
    return b.transpose(x, [to[k] if k in to else next(rest) for k in range(x.rank)])


@lowers("aten.swapaxes.default", "aten.swapdims.default", "aten.mT.default", "aten.adjoint.default")
def swapaxes(b: Builder, x: Value, first: int = -2, second: int = -1) -> Value:
    """Two axes exchanged."""
    if x.dtype.is_complex and "adjoint" in b.place.target:
        raise Refused
    order = list(range(x.rank))
    i, j = x.axis(first), x.axis(second)
    order[i], order[j] = order[j], order[i]
    return b.transpose(x, order)


@lowers("aten.meshgrid.default", "aten.meshgrid.indexing")
def meshgrid(b: Builder, tensors: Sequence[Value], *, indexing: str = "ij") -> list[Value]:
    """Each vector along an axis of its own, broadcast over those of the others."""
    shape = [prod(x.shape) for x in tensors]
    grids = [b.broadcast(b.along(b.reshape(x, (prod(x.shape),)), k, len(shape)), shape) for k, x in enumerate(tensors)]
    if indexing == "xy" and len(shape) > 1:
        return [b.transpose(grid, [1, 0, *range(2, len(shape))]) for grid in grids]
    return grids


@lowers("aten.broadcast_tensors.default")
def broadcast_tensors(b: Builder, tensors: Sequence[Value]) -> list[Value]:
    """All in their common shape."""
    shape = torch.broadcast_shapes(*(x.shape for x in tensors))
    return [b.broadcast(x, shape) for x in tensors]


@lowers("aten.broadcast_to.default")
def broadcast_to(b: Builder, x: Value, shape: Sequence[int]) -> Value:
    """Broadcast; −1 keeps a size."""
    lead = len(shape) - x.rank
    return b.broadcast(x, [x.shape[k - lead] if n == -1 else n for k, n in enumerate(shape)])


@lowers("aten.expand_as.default", "aten.view_as.default", "aten.reshape_as.default")
def like(b: Builder, x: Value, other: Value) -> Value:
    """In the shape of another."""
    return b.broadcast(x, other.shape) if "expand" in b.place.target else b.reshape(x, other.shape)


@lowers("aten.ravel.default")
def ravel(b: Builder, x: Value) -> Value:
    """One axis."""
    return b.reshape(x, (prod(x.shape),))


@lowers("aten.tile.default")
def tile(b: Builder, x: Value, counts: Sequence[int]) -> Value:
    """Copies one after the other; missing counts are one."""
    return repeat(b, x, [*[1] * (x.rank - len(counts)), *counts])


@lowers("aten.tensor_split.sections", "aten.tensor_split.indices")
def tensor_split(b: Builder, x: Value, parts: int | Sequence[int], dim: int = 0) -> tuple[Value, ...]:
    """About equal runs, or runs between given places."""
    size = x.shape[x.axis(dim)]
    if isinstance(parts, int):
        sizes = [size // parts + (k < size % parts) for k in range(parts)]
    else:
        ends = [max(0, min(size, k + size if k < 0 else k)) for k in parts]
        sizes = [b_ - a for a, b_ in zip([0, *ends], [*ends, size], strict=True)]
    return split_with_sizes(b, x, sizes, dim)


@lowers("aten.diagonal.default", "aten.linalg_diagonal.default")
def diagonal(b: Builder, x: Value, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Value:
    """Entries of which two indices are the same, up to an offset: places of the merged axes."""
    first, second = x.axis(dim1), x.axis(dim2)
    rows, columns = x.shape[first], x.shape[second]
    places = torch.arange(rows * columns).reshape(rows, columns).diagonal(offset)
    rest = [k for k in range(x.rank) if k not in (first, second)]
    turned = b.transpose(x, [*rest, first, second])
    merged = b.reshape(turned, (*turned.shape[:-2], rows * columns))
    shape = (*merged.shape[:-1], len(places))
    return b.emit("gather", (merged, b.constant(places)), shape, x.dtype, axis=merged.rank - 1)


@lowers("aten.zero.default", "aten.fill.Scalar", "aten.fill.Tensor")
def filled(b: Builder, x: Value, value: Any = 0) -> Value:
    """One value throughout."""
    if isinstance(value, Value):
        return b.broadcast(value, x.shape)
    return b.constant(torch.full((), value, dtype=x.dtype).expand(x.shape))


@lowers("aten.empty_like.default", "aten.new_empty.default", "aten.new_empty_strided.default")
def empty(b: Builder, x: Value, *args: Any, dtype: torch.dtype | None = None, **_options: Any) -> Value:
    """Memory whose content means nothing, as zeros."""
    shape = x.shape if "like" in b.place.target else args[0]
    return b.constant(torch.zeros((), dtype=dtype or x.dtype).expand([int(n) for n in shape]))


@lowers("aten.empty.memory_format")
def reserved(b: Builder, shape: Sequence[int], *, dtype: torch.dtype | None = None, **_options: Any) -> Value:
    """Memory whose content means nothing, as zeros."""
    return b.constant(torch.zeros((), dtype=dtype or torch.get_default_dtype()).expand([int(n) for n in shape]))


@lowers("aten.as_strided.default")
def as_strided(
    b: Builder, x: Value, size: Sequence[int], stride: Sequence[int], storage_offset: int | None = None
) -> Value:
    """Entries at regular places of memory without gaps; axes that stay as they are, before and behind, are carried."""
    order = _by_stride(b.place.strides or ())
    x = b.transpose(x, order)  # as it lies in memory
    before = [(n, prod(x.shape[k + 1 :])) for k, n in enumerate(x.shape)]
    if [step for _, step in before] != [(b.place.strides or ())[k] for k in order]:
        raise Refused
    turned = _by_stride(stride)
    after = [(size[k], stride[k]) for k in turned]
    lead = _common(before, after) if not storage_offset else 0
    tail = _common(before[lead:][::-1], after[lead:][::-1])
    while True:  # what steps into the middle of trailing axes takes them apart
        ends = x.rank - tail
        width = prod(x.shape[ends:])
        places = torch.tensor(storage_offset or 0)
        for n, step in after[lead : len(after) - tail]:
            places = places.unsqueeze(-1) + torch.arange(n) * step
        if not tail or not (places % width).any():
            break
        tail -= 1
    if places.max() // width >= prod(x.shape[lead:ends]):
        raise Refused
    merged = b.reshape(x, (*x.shape[:lead], prod(x.shape[lead:ends]), *x.shape[ends:]))
    result = taken(b, merged, lead, b.constant(places // width))
    return b.transpose(result, [turned.index(k) for k in range(len(size))])


def _by_stride(strides: Sequence[int]) -> list[int]:
    """Axes from the outermost in memory to the innermost."""
    return sorted(range(len(strides)), key=lambda k: -strides[k])


def _common(left: Sequence[tuple[int, int]], right: Sequence[tuple[int, int]]) -> int:
    """How many pairs two lists begin with alike."""
    count = 0
    while count < min(len(left), len(right)) and left[count] == right[count]:
        count += 1
    return count
