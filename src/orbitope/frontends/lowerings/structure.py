"""Views, permutations, concatenation, slicing and repetition."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import torch

from orbitope.frontends.builder import Builder, Value
from orbitope.frontends.lowerings.places import repeated
from orbitope.frontends.lowerings.registry import lowers


@lowers("aten.view.default", "aten.reshape.default", "aten._unsafe_view.default", "aten._reshape_copy.default")
def view(b: Builder, x: Value, shape: Sequence[int]) -> Value:
    """Reshape; one size may be −1."""
    known = -prod(shape) if -1 in shape else 1
    sizes = [prod(x.shape) // known if n == -1 else n for n in shape]
    return b.reshape(x, sizes)


@lowers("aten.flatten.using_ints")
def flatten(b: Builder, x: Value, start: int = 0, end: int = -1) -> Value:
    """Merge neighbouring axes."""
    first, last = x.axis(start), x.axis(end)
    return b.reshape(x, (*x.shape[:first], prod(x.shape[first : last + 1]), *x.shape[last + 1 :]))


@lowers("aten.unflatten.int")
def unflatten(b: Builder, x: Value, dim: int, sizes: Sequence[int]) -> Value:
    """Split one axis."""
    axis = x.axis(dim)
    known = -prod(sizes) if -1 in sizes else 1
    full = [x.shape[axis] // known if n == -1 else n for n in sizes]
    return b.reshape(x, (*x.shape[:axis], *full, *x.shape[axis + 1 :]))


@lowers("aten.unsqueeze.default")
def unsqueeze(b: Builder, x: Value, dim: int) -> Value:
    """An axis of size one."""
    axis = dim + x.rank + 1 if dim < 0 else dim
    return b.reshape(x, (*x.shape[:axis], 1, *x.shape[axis:]))


@lowers("aten.squeeze.dim", "aten.squeeze.dims", "aten.squeeze.default")
def squeeze(b: Builder, x: Value, dim: int | Sequence[int] | None = None) -> Value:
    """Without axes of size one."""
    dims = range(x.rank) if dim is None else [dim] if isinstance(dim, int) else dim
    gone = {x.axis(k) for k in dims}
    return b.reshape(x, [n for k, n in enumerate(x.shape) if not (k in gone and n == 1)])


@lowers("aten.permute.default")
def permute(b: Builder, x: Value, dims: Sequence[int]) -> Value:
    """Axes in another order."""
    return b.transpose(x, [x.axis(k) for k in dims])


@lowers("aten.transpose.int")
def transpose(b: Builder, x: Value, first: int, second: int) -> Value:
    """Two axes exchanged."""
    order = list(range(x.rank))
    i, j = x.axis(first), x.axis(second)
    order[i], order[j] = order[j], order[i]
    return b.transpose(x, order)


@lowers("aten.t.default", "aten.numpy_T.default")
def t(b: Builder, x: Value) -> Value:
    """All axes reversed."""
    return b.transpose(x, list(reversed(range(x.rank))))


@lowers("aten.expand.default")
def expand(b: Builder, x: Value, sizes: Sequence[int], **_implicit: Any) -> Value:
    """Broadcast; −1 keeps a size."""
    lead = len(sizes) - x.rank
    shape = [x.shape[k - lead] if n == -1 else n for k, n in enumerate(sizes)]
    return b.broadcast(x, shape)


@lowers("aten.repeat.default")
def repeat(b: Builder, x: Value, repeats: Sequence[int]) -> Value:
    """Copies one after the other: an axis is created, broadcast and merged."""
    lead = len(repeats) - x.rank
    sizes = (1,) * lead + x.shape
    apart = b.reshape(x, [n for size in sizes for n in (1, size)])
    spread = b.broadcast(apart, [n for count, size in zip(repeats, sizes, strict=True) for n in (count, size)])
    return b.reshape(spread, [count * size for count, size in zip(repeats, sizes, strict=True)])


@lowers("aten.repeat_interleave.self_int")
def repeat_interleave(b: Builder, x: Value, repeats: int, dim: int | None = None, **_size: Any) -> Value:
    """Each entry several times in a row."""
    if dim is None:
        x, dim = b.reshape(x, (prod(x.shape),)), 0
    return repeated(b, x, x.axis(dim), repeats)


def _filled(value: float | None, sized: bool, *targets: str) -> None:
    """Tensors of one value, in the shape (``sized``) or only the dtype of another."""

    @lowers(*targets)
    def lowering(b: Builder, x: Value, *args: Any, dtype: torch.dtype | None = None, **_options: Any) -> Value:
        shape = x.shape if sized else args[0]
        number = args[-1] if value is None else value
        return b.constant(torch.full((), number, dtype=dtype or x.dtype).expand([int(n) for n in shape]))


_filled(0, False, "aten.new_zeros.default")
_filled(1, False, "aten.new_ones.default")
_filled(None, False, "aten.new_full.default")
_filled(0, True, "aten.zeros_like.default")
_filled(1, True, "aten.ones_like.default")
_filled(None, True, "aten.full_like.default")


@lowers("aten.cat.default", "aten.concat.default")
def cat(b: Builder, tensors: Sequence[Value], dim: int = 0) -> Value:
    """Concatenation; empty tensors are skipped."""
    shaped = [x for x in tensors if x.shape != (0,)]
    axis = shaped[0].axis(dim)
    kept = [x for x in shaped if x.shape[axis]] or shaped[:1]
    if len(kept) == 1:
        return kept[0]
    shape = [sum(x.shape[axis] for x in kept) if k == axis else n for k, n in enumerate(kept[0].shape)]
    return b.emit("concat", kept, shape, axis=axis)


@lowers("aten.stack.default")
def stack(b: Builder, tensors: Sequence[Value], dim: int = 0) -> Value:
    """Concatenation along a new axis."""
    axis = dim + tensors[0].rank + 1 if dim < 0 else dim
    return cat(b, [unsqueeze(b, x, axis) for x in tensors], axis)


@lowers("aten.slice.Tensor")
def slice_(
    b: Builder, x: Value, dim: int = 0, start: int | None = None, end: int | None = None, step: int = 1
) -> Value:
    """Part of one axis."""
    axis = x.axis(dim)
    first, last, _ = slice(start, end).indices(x.shape[axis])
    if step == 1 or last <= first:
        return b.slice(x, axis, first, max(first, last))
    lanes = _lanes(b, x, axis, first, last, step)
    return select(b, lanes, axis + 1, first % step)


def _lanes(b: Builder, x: Value, axis: int, first: int, last: int, step: int) -> Value:
    """The axis as rows of ``step`` positions, of which every ``step``-th from ``first`` on stand in one column.

    All slices with one step share these rows: ``x[::2]`` and ``x[1::2]`` are the columns of one table.
    """
    begin = first - first % step
    count = -(-(last - first) // step)
    end = begin + count * step
    size = x.shape[axis]
    x = b.pad(x, [[-begin, end - size] if k == axis else [0, 0] for k in range(x.rank)])
    return b.reshape(x, (*x.shape[:axis], count, step, *x.shape[axis + 1 :]))


@lowers("aten.select.int")
def select(b: Builder, x: Value, dim: int, index: int) -> Value:
    """One position of one axis, which disappears."""
    axis = x.axis(dim)
    at = index + x.shape[axis] if index < 0 else index
    return b.reshape(b.slice(x, axis, at, at + 1), (*x.shape[:axis], *x.shape[axis + 1 :]))


@lowers("aten.narrow.default")
def narrow(b: Builder, x: Value, dim: int, start: int, length: int) -> Value:
    """A run of one axis."""
    return b.slice(x, x.axis(dim), start, start + length)


@lowers("aten.copy.default")
def copy(b: Builder, x: Value, source: Value, _non_blocking: bool = False) -> Value:
    """What was copied, in the shape of what it overwrote."""
    return b.broadcast(source, x.shape)


@lowers("aten.slice_scatter.default")
def slice_scatter(
    b: Builder, x: Value, source: Value, dim: int = 0, start: int | None = None, end: int | None = None, step: int = 1
) -> Value:
    """Part of one axis overwritten."""
    axis = x.axis(dim)
    size = x.shape[axis]
    first, last, _ = slice(start, end).indices(size)
    if last <= first:
        return x
    if step == 1:
        parts = [b.slice(x, axis, 0, first), source, b.slice(x, axis, last, size)]
        return cat(b, [part for part in parts if part.shape[axis]], axis)
    lanes, lane = _lanes(b, x, axis, first, last, step), first % step
    begin = first - lane
    columns = [b.slice(lanes, axis + 1, 0, lane), unsqueeze(b, source, axis + 1)]
    columns.append(b.slice(lanes, axis + 1, lane + 1, step))
    rows = cat(b, [part for part in columns if part.shape[axis + 1]], axis + 1)
    count = rows.shape[axis] * step
    middle = b.reshape(rows, (*x.shape[:axis], count, *x.shape[axis + 1 :]))
    middle = b.slice(middle, axis, 0, min(count, size - begin))
    parts = [b.slice(x, axis, 0, begin), middle, b.slice(x, axis, min(begin + count, size), size)]
    return cat(b, [part for part in parts if part.shape[axis]], axis)


@lowers("aten.select_scatter.default")
def select_scatter(b: Builder, x: Value, source: Value, dim: int, index: int) -> Value:
    """One position of one axis overwritten."""
    axis = x.axis(dim)
    at = index % x.shape[axis]
    return slice_scatter(b, x, unsqueeze(b, source, axis), axis, at, at + 1)


def _cuts(b: Builder, x: Value, axis: int, sizes: Sequence[int]) -> tuple[Value, ...]:
    starts = [sum(sizes[:k]) for k in range(len(sizes))]
    return tuple(b.slice(x, axis, start, start + size) for start, size in zip(starts, sizes, strict=True))


@lowers("aten.split.Tensor", "aten.split.default")
def split(b: Builder, x: Value, size: int, dim: int = 0) -> tuple[Value, ...]:
    """Runs of equal size, the last perhaps shorter."""
    total = x.shape[x.axis(dim)]
    return _cuts(b, x, x.axis(dim), [min(size, total - at) for at in range(0, total, size)])


@lowers("aten.split_with_sizes.default", "aten.split.sizes")
def split_with_sizes(b: Builder, x: Value, sizes: Sequence[int], dim: int = 0) -> tuple[Value, ...]:
    """Runs of given sizes."""
    return _cuts(b, x, x.axis(dim), list(sizes))


@lowers("aten.chunk.default")
def chunk(b: Builder, x: Value, chunks: int, dim: int = 0) -> tuple[Value, ...]:
    """About equal runs."""
    return split(b, x, -(-x.shape[x.axis(dim)] // chunks), dim)


@lowers("aten.unbind.int")
def unbind(b: Builder, x: Value, dim: int = 0) -> tuple[Value, ...]:
    """Every position of one axis."""
    return tuple(select(b, x, dim, k) for k in range(x.shape[x.axis(dim)]))


@lowers("aten.channel_shuffle.default", "aten.native_channel_shuffle.default")
def channel_shuffle(b: Builder, x: Value, groups: int) -> Value:
    """Groups and channels of a group change places."""
    batch, channels, *space = x.shape
    apart = b.reshape(x, (batch, groups, channels // groups, *space))
    order = [0, 2, 1, *range(3, apart.rank)]
    return b.reshape(b.transpose(apart, order), x.shape)


@lowers("aten.pixel_shuffle.default")
def pixel_shuffle(b: Builder, x: Value, r: int) -> Value:
    """``[…, C·r·r, H, W] -> […, C, H·r, W·r]``."""
    *lead, channels, height, width = x.shape
    n, c = len(lead), channels // (r * r)
    apart = b.reshape(x, (*lead, c, r, r, height, width))
    order = [*range(n), n, n + 3, n + 1, n + 4, n + 2]
    return b.reshape(b.transpose(apart, order), (*lead, c, height * r, width * r))


@lowers("aten.pixel_unshuffle.default")
def pixel_unshuffle(b: Builder, x: Value, r: int) -> Value:
    """``[…, C, H·r, W·r] -> […, C·r·r, H, W]``."""
    *lead, c, height, width = x.shape
    n, h, w = len(lead), height // r, width // r
    apart = b.reshape(x, (*lead, c, h, r, w, r))
    order = [*range(n), n, n + 2, n + 4, n + 1, n + 3]
    return b.reshape(b.transpose(apart, order), (*lead, c * r * r, h, w))
