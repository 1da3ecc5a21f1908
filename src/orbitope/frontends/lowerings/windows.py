"""Sliding windows laid out and summed up again: unfold, fold, im2col."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import torch

from orbitope.frontends.builder import Builder, Value
from orbitope.frontends.lowerings.places import at_places
from orbitope.frontends.lowerings.registry import Refused, lowers


@lowers("aten.unfold.default")
def unfold(b: Builder, x: Value, dim: int, size: int, step: int) -> Value:
    """Windows of one axis; the positions of a window are the last axis of the result."""
    if not x.rank:
        return b.reshape(x, (size,))
    axis = x.axis(dim)
    count = (x.shape[axis] - size) // step + 1
    if size == step:  # no position is in two windows: a split
        whole = b.slice(x, axis, 0, count * size)
        apart = b.reshape(whole, (*x.shape[:axis], count, size, *x.shape[axis + 1 :]))
    else:
        places = torch.arange(count)[:, None] * step + torch.arange(size)
        apart = at_places(b, x, axis, places)
    return b.transpose(apart, [k for k in range(apart.rank) if k != axis + 1] + [axis + 1])


def _counts(size: Sequence[int], kernel: Sequence[int], dilation: Sequence[int], stride: Sequence[int]) -> list[int]:
    return [(n - d * (k - 1) - 1) // s + 1 for n, k, d, s in zip(size, kernel, dilation, stride, strict=True)]


def _tiles(size: Sequence[int], kernel: Sequence[int], dilation: Sequence[int], stride: Sequence[int]) -> bool:
    """Whether every position is in exactly one window."""
    sides = zip(size, kernel, dilation, stride, strict=True)
    return all(n % k == 0 and s == k and (d == 1 or k == 1) for n, k, d, s in sides)


@lowers("aten.im2col.default")
def im2col(
    b: Builder, x: Value, kernel: Sequence[int], dilation: Sequence[int], padding: Sequence[int], stride: Sequence[int]
) -> Value:
    """``[N, C, H, W] -> [N, C·kh·kw, windows]``."""
    if x.rank == 3:
        return _unbatched(b, im2col(b, b.reshape(x, (1, *x.shape)), kernel, dilation, padding, stride))
    batch, channels, *_ = x.shape
    x = b.pad(x, [[0, 0], [0, 0], *([p, p] for p in padding)])
    (height, width), (kh, kw) = x.shape[2:], kernel
    rows, columns = _counts((height, width), kernel, dilation, stride)
    if _tiles((height, width), kernel, dilation, stride):
        apart = b.transpose(b.reshape(x, (batch, channels, rows, kh, columns, kw)), [0, 1, 3, 5, 2, 4])
    else:
        down = torch.arange(kh)[:, None] * dilation[0] + torch.arange(rows) * stride[0]
        right = torch.arange(kw)[:, None] * dilation[1] + torch.arange(columns) * stride[1]
        flat = b.reshape(x, (batch, channels, height * width))
        apart = at_places(b, flat, 2, down[:, None, :, None] * width + right[:, None])
    return b.reshape(apart, (batch, channels * kh * kw, rows * columns))


@lowers("aten.col2im.default")
def col2im(
    b: Builder,
    x: Value,
    size: Sequence[int],
    kernel: Sequence[int],
    dilation: Sequence[int],
    padding: Sequence[int],
    stride: Sequence[int],
) -> Value:
    """``[N, C·kh·kw, windows] -> [N, C, H, W]``; where windows overlap, their entries are added."""
    if x.rank == 2:
        return _unbatched(b, col2im(b, b.reshape(x, (1, *x.shape)), size, kernel, dilation, padding, stride))
    batch, channels = x.shape[0], x.shape[1] // prod(kernel)
    padded = [n + 2 * p for n, p in zip(size, padding, strict=True)]
    counts = _counts(padded, kernel, dilation, stride)
    if x.shape[1] % prod(kernel) or x.shape[2] != prod(counts):
        raise Refused
    apart = b.reshape(x, (batch, channels, *kernel, *counts))
    if _tiles(padded, kernel, dilation, stride):
        whole = b.reshape(b.transpose(apart, [0, 1, 4, 2, 5, 3]), (batch, channels, *padded))
        return b.pad(whole, [[0, 0], [0, 0], *([-p, -p] for p in padding)])
    rows, columns = (_overlap(*side) for side in zip(size, kernel, dilation, padding, stride, counts, strict=True))
    tall = b.contract("ncijab,iah->ncjbh", apart, b.constant(rows))
    return b.contract("ncjbh,jbw->nchw", tall, b.constant(columns))


def _overlap(size: int, kernel: int, dilation: int, padding: int, stride: int, count: int) -> torch.Tensor:
    """``[kernel, windows, size]``: one where a place of a window is a position of the axis."""
    table = torch.zeros(kernel, count, size, dtype=torch.float64)
    for i in range(kernel):
        for a in range(count):
            place = i * dilation + a * stride - padding
            if 0 <= place < size:
                table[i, a, place] = 1
    return table


def _unbatched(b: Builder, x: Value) -> Value:
    return b.reshape(x, x.shape[1:])
