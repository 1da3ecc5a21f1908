"""Sums, means, maxima, softmax and pooling."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

from orbitope.frontends.builder import Builder, Value
from orbitope.frontends.lowerings.registry import Refused, lowers


def _reduction(fn: str, *targets: str) -> None:
    @lowers(*targets)
    def lowering(
        b: Builder, x: Value, dim: int | Sequence[int] | None = None, keepdim: bool = False, **_dtype: Any
    ) -> Value:
        axes = [dim] if isinstance(dim, int) else list(dim or range(x.rank))
        return b.reduce(fn, x, axes, keepdim)


_reduction("sum", "aten.sum.dim_IntList", "aten.sum.default")
_reduction("mean", "aten.mean.dim", "aten.mean.default")
_reduction("amax", "aten.amax.default")


@lowers("aten.max.dim")
def max_dim(b: Builder, x: Value, dim: int, keepdim: bool = False) -> tuple[Value | None, ...]:
    """The largest entry; its position is not lowered."""
    return b.reduce("amax", x, [dim], keepdim), None


@lowers("aten.min.dim")
def min_dim(b: Builder, x: Value, dim: int, keepdim: bool = False) -> tuple[Value | None, ...]:
    """The smallest entry; its position is not lowered."""
    return amin(b, x, [dim], keepdim), None


@lowers("aten.max.default")
def largest(b: Builder, x: Value) -> Value:
    """The largest of all entries."""
    return b.reduce("amax", x, range(x.rank))


@lowers("aten.amin.default", "aten.min.default")
def amin(b: Builder, x: Value, dim: Sequence[int] = (), keepdim: bool = False) -> Value:
    """Smallest entry."""
    axes = list(dim) or list(range(x.rank))
    return b.pointwise("neg", b.reduce("amax", b.pointwise("neg", x), axes, keepdim))


def _variance(b: Builder, x: Value, dim: Sequence[int] | None, correction: float, keepdim: bool) -> Value:
    """``Σ(x − mean)²/(n − correction)``."""
    axes = sorted(x.axis(k) for k in dim) if dim else list(range(x.rank))
    count = prod(x.shape[k] for k in axes) - correction
    if count <= 0 or not x.dtype.is_floating_point:
        raise Refused
    centred = b.pointwise("sub", x, b.reduce("mean", x, axes, keep=True))
    total = b.reduce("sum", b.pointwise("power", centred, exponent=2), axes, keepdim)
    return b.pointwise("div", total, float(count))


def _spread_of(fn: str, root: bool) -> None:
    def finish(b: Builder, variance: Value) -> Value:
        return b.pointwise("sqrt", variance) if root else variance

    @lowers(f"aten.{fn}.correction")
    def corrected(
        b: Builder, x: Value, dim: Sequence[int] | None = None, *, correction: float | None = 1, keepdim: bool = False
    ) -> Value:
        return finish(b, _variance(b, x, dim, 1 if correction is None else correction, keepdim))

    @lowers(f"aten.{fn}.dim")
    def unbiased(
        b: Builder, x: Value, dim: Sequence[int] | None, unbiased: bool = True, keepdim: bool = False
    ) -> Value:
        return finish(b, _variance(b, x, dim, int(unbiased), keepdim))


_spread_of("var", root=False)
_spread_of("std", root=True)


@lowers("aten.linalg_vector_norm.default")
def vector_norm(
    b: Builder, x: Value, ord: float = 2, dim: Sequence[int] | None = None, keepdim: bool = False, **_dtype: Any
) -> Value:
    """The Euclidean norm; others are refused."""
    if ord != 2:
        raise Refused
    square = b.pointwise("power", x, exponent=2)
    return b.pointwise("sqrt", b.reduce("sum", square, list(dim or range(x.rank)), keepdim))


def _softmax(kind: str, *targets: str) -> None:
    @lowers(*targets)
    def lowering(b: Builder, x: Value, dim: int, *_dtype: Any, **_more: Any) -> Value:
        return b.emit("softmax", (x,), x.shape, axis=x.axis(dim), kind=kind)


_softmax("softmax", "aten.softmax.int", "aten._softmax.default")
_softmax("log", "aten.log_softmax.int", "aten._log_softmax.default")


@lowers("aten.logsumexp.default")
def logsumexp(b: Builder, x: Value, dim: Sequence[int], keepdim: bool = False) -> Value:
    """``log Σ exp x`` as ``x − log softmax x``, averaged over equal entries."""
    if len(dim) != 1:
        raise Refused
    logs = b.emit("softmax", (x,), x.shape, axis=x.axis(dim[0]), kind="log")
    return b.reduce("amax", b.pointwise("sub", x, logs), dim, keepdim)


def _windows(
    b: Builder,
    x: Value,
    fn: str,
    kernel: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    ceil_mode: bool,
    count_include_pad: bool = True,
) -> Value:
    space = len(kernel)
    lead, size = x.shape[:-space], x.shape[-space:]
    out = [
        (n + 2 * p - d * (k - 1) - 1) // s + 1
        for n, k, s, p, d in zip(size, kernel, stride, padding, dilation, strict=True)
    ]
    exact = all(
        (n + 2 * p - d * (k - 1) - 1) % s == 0
        for n, k, s, p, d in zip(size, kernel, stride, padding, dilation, strict=True)
    )
    if ceil_mode and not exact:
        raise Refused
    return b.emit(
        "pool",
        (x,),
        (*lead, *out),
        fn=fn,
        kernel=list(kernel),
        stride=list(stride),
        padding=list(padding),
        dilation=list(dilation),
        count_include_pad=count_include_pad,
    )


def _spread(value: int | Sequence[int], space: int) -> list[int]:
    values = [value] if isinstance(value, int) else [int(n) for n in value]
    return values * space if len(values) == 1 else values


def _max_pool(space: int) -> None:
    @lowers(f"aten.max_pool{space}d.default", f"aten.max_pool{space}d_with_indices.default")
    def lowering(
        b: Builder,
        x: Value,
        kernel: Sequence[int],
        stride: Sequence[int],
        padding: Sequence[int],
        dilation: Sequence[int],
        ceil_mode: bool,
    ) -> Any:
        size = _spread(kernel, space)
        step = _spread(stride, space) if stride else size
        result = _windows(b, x, "max", size, step, _spread(padding, space), _spread(dilation, space), ceil_mode)
        return (result, None) if "indices" in b.place.target else result


def _mean_pool(space: int) -> None:
    @lowers(f"aten.avg_pool{space}d.default")
    def lowering(
        b: Builder,
        x: Value,
        kernel: Sequence[int],
        stride: Sequence[int],
        padding: Sequence[int],
        ceil_mode: bool,
        count_include_pad: bool,
        divisor_override: int | None = None,
    ) -> Value:
        if divisor_override is not None:
            raise Refused
        size = _spread(kernel, space)
        step = _spread(stride, space) if stride else size
        pads = _spread(padding, space)
        return _windows(b, x, "mean", size, step, pads, [1] * space, ceil_mode, count_include_pad)


for _space in (1, 2, 3):
    _max_pool(_space)
    _mean_pool(_space)


def _adaptive(fn: str, space: int, *targets: str) -> None:
    @lowers(*targets)
    def lowering(b: Builder, x: Value, output_size: int | Sequence[int]) -> Any:
        result = x
        sizes = _spread(output_size, space)
        for k, out in enumerate(sizes):
            result = _adaptive_axis(b, result, x.rank - space + k, out, fn)
        return result if fn == "mean" else (result, None)


def _adaptive_axis(b: Builder, x: Value, axis: int, out: int, fn: str) -> Value:
    """One axis: output k covers positions ⌊k·n/out⌋ up to ⌈(k+1)·n/out⌉."""
    size = x.shape[axis]
    reduce = "mean" if fn == "mean" else "amax"
    if out == size:
        return x
    if size % out == 0:
        split = b.reshape(x, (*x.shape[:axis], out, size // out, *x.shape[axis + 1 :]))
        return b.reduce(reduce, split, [axis + 1])
    parts = [
        b.reduce(reduce, b.slice(x, axis, k * size // out, -(-(k + 1) * size // out)), [axis], keep=True)
        for k in range(out)
    ]
    shape = [out if k == axis else n for k, n in enumerate(x.shape)]
    return b.emit("concat", parts, shape, axis=axis)


for _space in (1, 2, 3):
    _adaptive("mean", _space, f"aten.adaptive_avg_pool{_space}d.default", f"aten._adaptive_avg_pool{_space}d.default")
    _adaptive("max", _space, f"aten.adaptive_max_pool{_space}d.default")
