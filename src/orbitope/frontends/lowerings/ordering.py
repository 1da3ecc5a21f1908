"""Sorting, the largest few, positions of extremes, running sums and maxima."""

from __future__ import annotations

from typing import Any

import torch

from orbitope.frontends.builder import Builder, Value
from orbitope.frontends.lowerings.along import along
from orbitope.frontends.lowerings.pointwise import converted, entrywise
from orbitope.frontends.lowerings.registry import Refused, lowers


def _order(b: Builder, x: Value, axis: int, count: int, what: str, rule: str, largest: bool) -> Value:
    shape = [count if k == axis else n for k, n in enumerate(x.shape)]
    dtype = x.dtype if what == "values" else torch.int64
    settings = {"axis": axis, "count": count, "what": what, "rule": rule, "largest": largest}
    return b.emit("order", (x,), shape, dtype, **settings)


def _both(b: Builder, x: Value, axis: int, count: int, rule: str, largest: bool) -> tuple[Value, Value]:
    values = _order(b, x, axis, count, "values", rule, largest)
    return values, _order(b, x, axis, count, "indices", rule, largest)


@lowers("aten.topk.default")
def topk(b: Builder, x: Value, k: int, dim: int = -1, largest: bool = True, ordered: bool = True) -> Any:
    """The largest few and where they stood, in order; of an unordered list any order is right, and this is one."""
    b.ties = True
    if not ordered:
        b.tolerance = torch.inf
    return _both(b, x, x.axis(dim), k, "topk", largest)


@lowers("aten.sort.default", "aten.sort.stable", "aten.msort.default")
def sort(b: Builder, x: Value, dim: int = -1, descending: bool = False, *, stable: bool | None = None) -> Any:
    """All entries in order, and where they stood."""
    single = "msort" in b.place.target
    b.ties = not stable
    axis = 0 if single else x.axis(dim)
    found = _both(b, x, axis, x.shape[axis], "sort", descending)
    return found[0] if single else found


@lowers("aten.argsort.default", "aten.argsort.stable")
def argsort(b: Builder, x: Value, dim: int = -1, descending: bool = False, *, stable: bool | None = None) -> Value:
    """Where the entries stood before they were sorted."""
    b.ties = not stable
    return _order(b, x, x.axis(dim), x.shape[dim], "indices", "sort", descending)


@lowers("aten.argmax.default", "aten.argmin.default")
def argmax(b: Builder, x: Value, dim: int | None = None, keepdim: bool = False) -> Value:
    """Position of the extreme entry; without an axis, in the whole tensor as one row."""
    whole = dim is None
    if whole:
        rank, x, dim = x.rank, b.reshape(x, (torch.Size(x.shape).numel(),)), 0
    axis = x.axis(dim)
    found = _order(b, x, axis, 1, "indices", "arg", "argmax" in b.place.target)
    if whole:
        return b.reshape(found, (1,) * rank if keepdim else ())
    return found if keepdim else _without(b, found, axis)


def _without(b: Builder, x: Value, axis: int) -> Value:
    return b.reshape(x, (*x.shape[:axis], *x.shape[axis + 1 :]))


@lowers("aten.max.dim", "aten.min.dim", "aten.median.dim", "aten.kthvalue.default")
def extreme(b: Builder, x: Value, *args: Any) -> tuple[Value, Value]:
    """The largest, the smallest or another entry in the order of an axis, and where it stood."""
    name = b.place.target.split(".")[1]
    rank, *rest = args if name == "kthvalue" else (None, *args)
    axis = x.axis(rest[0] if rest else -1)
    keepdim = rest[1] if len(rest) > 1 else False
    if name in ("max", "min"):
        values = b.reduce("amax", x, [axis], True) if name == "max" else _order(b, x, axis, 1, "values", "arg", False)
        places = _order(b, x, axis, 1, "indices", "arg", name == "max")
    else:
        at = (x.shape[axis] - 1) // 2 if rank is None else rank - 1
        values, places = (b.slice(v, axis, at, at + 1) for v in _both(b, x, axis, x.shape[axis], "sort", False))
    return (values, places) if keepdim else (_without(b, values, axis), _without(b, places, axis))


def _running(fn: str, target: str) -> None:
    @lowers(f"aten.{target}.default")
    def lowering(b: Builder, x: Value, dim: int, *, dtype: torch.dtype | None = None) -> Any:
        if not x.rank:
            raise Refused
        if dtype is None and fn in ("sum", "prod") and not (x.dtype.is_floating_point or x.dtype.is_complex):
            dtype = torch.int64
        if dtype is not None and dtype != x.dtype:
            x = converted(b, x, dtype)
        result = b.emit("accumulate", (x,), x.shape, axis=x.axis(dim), fn=fn)
        return result if fn in ("sum", "prod") else (result, None)


_running("sum", "cumsum")
_running("prod", "cumprod")
_running("max", "cummax")
_running("min", "cummin")


@lowers("aten.logcumsumexp.default")
def logcumsumexp(b: Builder, x: Value, dim: int) -> Value:
    """Logarithm of the running sum of exponentials."""
    return along(b, torch.logcumsumexp, x, [dim], -1)


@lowers("aten.diff.default")
def diff(
    b: Builder, x: Value, n: int = 1, dim: int = -1, prepend: Value | None = None, append: Value | None = None
) -> Value:
    """Differences of neighbours."""
    axis = x.axis(dim)
    parts = [part for part in (prepend, x, append) if part is not None]
    if len(parts) > 1:
        size = sum(part.shape[axis] for part in parts)
        x = b.emit("concat", parts, [size if k == axis else m for k, m in enumerate(x.shape)], x.dtype, axis=axis)
    for _ in range(n):
        size = x.shape[axis]
        fn = "logical_xor" if x.dtype == torch.bool else "sub"
        x = entrywise(b, fn, b.slice(x, axis, 1, size), b.slice(x, axis, 0, size - 1), dtype=x.dtype)
    return x


@lowers("aten.flip.default")
def flip(b: Builder, x: Value, dims: list[int]) -> Value:
    """Axes in reverse."""
    for axis in map(x.axis, dims):
        places = b.constant(torch.arange(x.shape[axis]).flip(0))
        x = b.emit("gather", (x, places), x.shape, x.dtype, axis=axis)
    return x
