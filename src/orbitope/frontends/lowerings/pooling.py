"""Pooling over sliding, overhanging, adaptive and recorded windows."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import torch

from orbitope.frontends.builder import Builder, Value
from orbitope.frontends.lowerings.places import at_places, weighted
from orbitope.frontends.lowerings.registry import Refused, lowers

Windows = list[range]
"""Which positions of one axis each output position covers; padding is not among them."""


def _spread(value: int | Sequence[int], space: int) -> list[int]:
    values = [value] if isinstance(value, int) else [int(n) for n in value]
    return values * space if len(values) == 1 else values


def _count(size: int, kernel: int, stride: int, padding: int, dilation: int, ceil_mode: bool) -> int:
    """How many windows: with ``ceil_mode`` also one that hangs over, if it begins before the padding behind."""
    room = size + 2 * padding - dilation * (kernel - 1) - 1
    count = room // stride + 1
    if ceil_mode and room % stride and count * stride < size + padding:
        count += 1
    return count


def _windows(size: int, kernel: int, stride: int, padding: int, dilation: int, count: int) -> Windows:
    found = []
    for k in range(count):
        start = k * stride - padding
        first = start if start >= 0 else start % dilation
        found.append(range(first, min(start + dilation * (kernel - 1) + 1, size), dilation))
    return found


def _pooled(b: Builder, x: Value, fn: str, out: Sequence[int], **settings: Any) -> Value:
    return b.emit("pool", (x,), (*x.shape[: x.rank - len(out)], *out), fn=fn, **settings)


def _largest(b: Builder, x: Value, axis: int, windows: Windows, told: bool = False) -> Value:
    """The largest of each window of one axis; shorter windows repeat their first position."""
    longest = max(map(len, windows))
    if not all(windows):
        raise Refused
    places = torch.tensor([[*window, *[window[0]] * (longest - len(window))] for window in windows])
    return b.reduce("amax", at_places(b, x, axis, places, told), [axis + 1])


def _averaged(
    b: Builder, x: Value, axis: int, windows: Windows, divisors: Sequence[float], told: bool = False
) -> Value:
    """The sum of each window of one axis over its divisor."""
    matrix = torch.zeros(x.shape[axis], len(windows), dtype=torch.float64)
    for k, (window, divisor) in enumerate(zip(windows, divisors, strict=True)):
        matrix[list(window), k] = 1 / divisor
    return weighted(b, x, axis, matrix, told)


def _max_pool(space: int) -> None:
    @lowers(f"aten.max_pool{space}d.default", f"aten.max_pool{space}d_with_indices.default")
    def lowering(
        b: Builder,
        x: Value,
        kernel: int | Sequence[int],
        stride: int | Sequence[int],
        padding: int | Sequence[int],
        dilation: int | Sequence[int],
        ceil_mode: bool,
    ) -> Any:
        """The largest of each window; which position it had is not lowered."""
        size = _spread(kernel, space)
        step = _spread(stride, space) if stride else size
        sides = list(zip(size, step, _spread(padding, space), _spread(dilation, space), strict=True))
        lengths = x.shape[x.rank - space :]
        out = [_count(n, *side, ceil_mode) for n, side in zip(lengths, sides, strict=True)]
        if out == [_count(n, *side, False) for n, side in zip(lengths, sides, strict=True)]:
            names = ("kernel", "stride", "padding", "dilation")
            settings = {name: list(values) for name, values in zip(names, zip(*sides, strict=True), strict=True)}
            result = _pooled(b, x, "max", out, **settings, count_include_pad=True)
        else:
            result = x
            for k, (n, side, count) in enumerate(zip(lengths, sides, out, strict=True)):
                result = _largest(b, result, x.rank - space + k, _windows(n, *side, count))
        return (result, None) if "indices" in b.place.target else result


def _mean_pool(space: int) -> None:
    @lowers(f"aten.avg_pool{space}d.default")
    def lowering(
        b: Builder,
        x: Value,
        kernel: int | Sequence[int],
        stride: int | Sequence[int],
        padding: int | Sequence[int],
        ceil_mode: bool,
        count_include_pad: bool,
        divisor_override: int | None = None,
    ) -> Value:
        """The sum of each window over how many positions it has, or over a given number."""
        size = _spread(kernel, space)
        step = _spread(stride, space) if stride else size
        pads = _spread(padding, space)
        sides = list(zip(size, step, pads, strict=True))
        lengths = x.shape[x.rank - space :]
        out = [_count(n, *side, 1, ceil_mode) for n, side in zip(lengths, sides, strict=True)]
        regular = out == [_count(n, *side, 1, False) for n, side in zip(lengths, sides, strict=True)]
        if regular and divisor_override is None:
            settings = {"kernel": size, "stride": step, "padding": pads, "dilation": [1] * space}
            return _pooled(b, x, "mean", out, **settings, count_include_pad=bool(count_include_pad))
        for k, (n, side, count) in enumerate(zip(lengths, sides, out, strict=True)):
            windows = _windows(n, *side, 1, count)
            divisors = _divisors(windows, n, side, count_include_pad)
            if divisor_override is not None:
                divisors = [divisor_override if k == 0 else 1] * count
            x = _averaged(b, x, x.rank - space + k, windows, divisors)
        return x


def _divisors(windows: Windows, size: int, side: tuple[int, int, int], count_include_pad: bool) -> list[float]:
    """Positions of each window: with padding those up to the end of the padding, else those of the axis."""
    kernel, stride, padding = side
    if not count_include_pad:
        return [len(window) for window in windows]
    starts = [k * stride - padding for k in range(len(windows))]
    return [min(start + kernel, size + padding) - start for start in starts]


for _space in (1, 2, 3):
    _max_pool(_space)
    _mean_pool(_space)


def _adaptive(fn: str, space: int, *targets: str) -> None:
    @lowers(*targets)
    def lowering(b: Builder, x: Value, output_size: int | Sequence[int]) -> Any:
        for k, out in enumerate(_spread(output_size, space)):
            x = _adaptive_axis(b, x, x.rank - space + k, out, fn)
        return x if fn == "mean" else (x, None)


def _adaptive_axis(b: Builder, x: Value, axis: int, out: int, fn: str) -> Value:
    """One axis: output k covers positions ⌊k·n/out⌋ up to ⌈(k+1)·n/out⌉."""
    size = x.shape[axis]
    if out == size:
        return x
    if out and size % out == 0:
        split = b.reshape(x, (*x.shape[:axis], out, size // out, *x.shape[axis + 1 :]))
        return b.reduce("mean" if fn == "mean" else "amax", split, [axis + 1])
    windows = [range(k * size // out, -(-(k + 1) * size // out)) for k in range(out)]
    # which windows are equal depends on the size of the input: no symmetry may rest on it
    if fn == "mean":
        return _averaged(b, x, axis, windows, [len(window) for window in windows], told=True)
    return _largest(b, x, axis, windows, told=True)


for _space in (1, 2, 3):
    _adaptive("mean", _space, f"aten.adaptive_avg_pool{_space}d.default", f"aten._adaptive_avg_pool{_space}d.default")
    _adaptive("max", _space, f"aten.adaptive_max_pool{_space}d.default")


def _unpool(space: int) -> None:
    @lowers(f"aten.max_unpool{space}d.default")
    def lowering(b: Builder, x: Value, indices: Value, output_size: Sequence[int], *_windows: Any) -> Value:
        """Entries put back at recorded places of an image of zeros."""
        lead, size = x.shape[: x.rank - space], [int(n) for n in output_size][-space:]
        count = prod(x.shape[x.rank - space :])
        zeros = b.constant(torch.zeros((), dtype=x.dtype).expand(*lead, prod(size)))
        sources = [b.reshape(each, (*lead, count)) for each in (indices, x)]
        result = b.emit("scatter", (zeros, *sources), zeros.shape, x.dtype, axis=len(lead), mode="set")
        return b.reshape(result, (*lead, *size))


_unpool(2)
_unpool(3)
