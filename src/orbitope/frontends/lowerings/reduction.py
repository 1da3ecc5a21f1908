"""Sums, means, maxima and softmax."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import torch

from orbitope.frontends.builder import Builder, Value
from orbitope.frontends.lowerings.pointwise import converted, entrywise
from orbitope.frontends.lowerings.registry import Refused, lowers


def _reduction(fn: str, *targets: str) -> None:
    @lowers(*targets)
    def lowering(
        b: Builder,
        x: Value,
        dim: int | Sequence[int] | None = None,
        keepdim: bool = False,
        *,
        dtype: torch.dtype | None = None,
    ) -> Value:
        axes = [dim] if isinstance(dim, int) else list(dim or range(x.rank))
        whole = fn in ("sum", "prod") and not (x.dtype.is_floating_point or x.dtype.is_complex)
        target = dtype or (torch.int64 if whole else x.dtype)
        return b.reduce(fn, x if target == x.dtype else converted(b, x, target), axes, keepdim)


_reduction("prod", "aten.prod.default", "aten.prod.dim_int")
_reduction("sum", "aten.sum.dim_IntList", "aten.sum.default")
_reduction("mean", "aten.mean.dim", "aten.mean.default")
_reduction("amax", "aten.amax.default")


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

    @lowers(f"aten.{fn}.dim", f"aten.{fn}.default")
    def unbiased(
        b: Builder, x: Value, dim: Sequence[int] | bool | None = None, unbiased: bool = True, keepdim: bool = False
    ) -> Value:
        if isinstance(dim, bool):  # the form without axes has it first
            dim, unbiased = None, dim
        return finish(b, _variance(b, x, dim, int(unbiased), keepdim))


_spread_of("var", root=False)
_spread_of("std", root=True)


def _moments(fn: str, root: bool) -> None:
    @lowers(f"aten.{fn}.correction")
    def lowering(
        b: Builder, x: Value, dim: Sequence[int] | None = None, *, correction: float | None = 1, keepdim: bool = False
    ) -> tuple[Value, Value]:
        variance = _variance(b, x, dim, 1 if correction is None else correction, keepdim)
        average = b.reduce("mean", x, list(dim or range(x.rank)), keepdim)
        return b.pointwise("sqrt", variance) if root else variance, average

    @lowers(f"aten.{fn}.dim", f"aten.{fn}.default")
    def plain(
        b: Builder, x: Value, dim: Sequence[int] | bool | None = None, unbiased: bool = True, keepdim: bool = False
    ) -> tuple[Value, Value]:
        if isinstance(dim, bool):  # the form without axes has it first
            dim, unbiased = None, dim
        return lowering(b, x, dim, correction=int(unbiased), keepdim=keepdim)


_moments("var_mean", root=False)
_moments("std_mean", root=True)


def _quantifier(target: str, holds: str) -> None:
    """Whether some entry, or every entry, is other than zero."""

    @lowers(*(f"aten.{target}.{form}" for form in ("default", "dim", "dims")), f"aten._is_{target}_true.default")
    def lowering(b: Builder, x: Value, dim: int | Sequence[int] | None = None, keepdim: bool = False) -> Value:
        axes = list(range(x.rank)) if dim is None else [dim] if isinstance(dim, int) else list(dim)
        found = b.reduce("amax", entrywise(b, holds, x, dtype=torch.bool), axes, keepdim)
        return found if holds == "nonzero" else entrywise(b, "logical_not", found, dtype=torch.bool)


_quantifier("any", "nonzero")
_quantifier("all", "logical_not")


@lowers("aten.count_nonzero.default", "aten.count_nonzero.dim_IntList")
def count_nonzero(b: Builder, x: Value, dim: int | Sequence[int] | None = None) -> Value:
    """How many entries are other than zero."""
    axes = list(range(x.rank)) if dim is None else [dim] if isinstance(dim, int) else list(dim)
    return b.reduce("sum", converted(b, entrywise(b, "nonzero", x, dtype=torch.bool), torch.int64), axes)


def _softmax(kind: str, *targets: str) -> None:
    @lowers(*targets)
    def lowering(b: Builder, x: Value, dim: int, *_dtype: Any, **_more: Any) -> Value:
        return b.emit("softmax", (x,), x.shape, axis=x.axis(dim), kind=kind)


_softmax("softmax", "aten.softmax.int", "aten._softmax.default")
_softmax("log", "aten.log_softmax.int", "aten._log_softmax.default")
_softmax("safe", "aten._safe_softmax.default")


@lowers("aten.logsumexp.default")
def logsumexp(b: Builder, x: Value, dim: Sequence[int], keepdim: bool = False) -> Value:
    """``log Σ exp x`` as ``x − log softmax x``, averaged over equal entries."""
    if len(dim) != 1:
        raise Refused
    logs = b.emit("softmax", (x,), x.shape, axis=x.axis(dim[0]), kind="log")
    return b.reduce("amax", b.pointwise("sub", x, logs), dim, keepdim)
