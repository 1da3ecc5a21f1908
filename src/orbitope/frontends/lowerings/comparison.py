"""Comparisons, logic, choice between two values, rounding and division with remainder, entry by entry."""

from __future__ import annotations

from math import prod
from typing import Any

import torch

from orbitope.frontends.builder import Builder, Operand, Value
from orbitope.frontends.lowerings.pointwise import common_dtype, converted, div, entrywise
from orbitope.frontends.lowerings.registry import Refused, lowers

_ALIASES = {
    "lt": ("lt", "less"),
    "le": ("le", "less_equal"),
    "gt": ("gt", "greater"),
    "ge": ("ge", "greater_equal"),
    "eq": ("eq",),
    "ne": ("ne", "not_equal"),
}


def _comparison(fn: str, names: tuple[str, ...]) -> None:
    @lowers(*(f"aten.{name}.{form}" for name in names for form in ("Tensor", "Scalar")))
    def lowering(b: Builder, x: Value, y: Operand) -> Value:
        return entrywise(b, fn, x, y, dtype=torch.bool)


for _fn, _names in _ALIASES.items():
    _comparison(_fn, _names)


def _connective(fn: str, *bitwise: str) -> None:
    @lowers(f"aten.{fn}.default")
    def logical(b: Builder, x: Value, y: Value) -> Value:
        return entrywise(b, fn, x, y, dtype=torch.bool)

    @lowers(*(f"aten.{name}.{form}" for name in bitwise for form in ("Tensor", "Scalar")))
    def on_bits(b: Builder, x: Value, y: Operand) -> Value:
        if any(v.dtype != torch.bool if isinstance(v, Value) else not isinstance(v, bool) for v in (x, y)):
            raise Refused
        return entrywise(b, fn, x, y, dtype=torch.bool)


_connective("logical_and", "bitwise_and", "__and__")
_connective("logical_or", "bitwise_or", "__or__")
_connective("logical_xor", "bitwise_xor", "__xor__")


@lowers("aten.logical_not.default", "aten.bitwise_not.default")
def negation(b: Builder, x: Value) -> Value:
    """Whether it is false."""
    if "bitwise" in b.place.target and x.dtype != torch.bool:
        raise Refused
    return entrywise(b, "logical_not", x, dtype=torch.bool)


def _property(fn: str) -> None:
    @lowers(f"aten.{fn}.default")
    def lowering(b: Builder, x: Value) -> Value:
        return entrywise(b, fn, x, dtype=torch.bool)


for _fn in ("isnan", "isinf", "isfinite"):
    _property(_fn)


@lowers("aten.where.self", "aten.where.ScalarSelf", "aten.where.ScalarOther", "aten.where.Scalar")
def where(b: Builder, condition: Value, x: Operand, y: Operand) -> Value:
    """One value where a condition holds, another elsewhere."""
    return entrywise(b, "where", condition, x, y, dtype=common_dtype(x, y))


@lowers("aten.masked_fill.Scalar", "aten.masked_fill.Tensor")
def masked_fill(b: Builder, x: Value, mask: Value, value: Operand) -> Value:
    """Another value where a mask holds."""
    return entrywise(b, "where", mask, value, x, dtype=x.dtype)


@lowers("aten.nan_to_num.default")
def nan_to_num(
    b: Builder, x: Value, nan: float | None = None, posinf: float | None = None, neginf: float | None = None
) -> Value:
    """Numbers for what is none; what infinities become is the largest number of the traced dtype."""
    limits = torch.finfo(x.dtype)
    high = limits.max if posinf is None else posinf
    low = limits.min if neginf is None else neginf
    if None in (posinf, neginf):
        b.tolerance = torch.inf  # compared in float64, whose largest number is another
    return entrywise(b, "nan_to_num", x, nan=nan or 0.0, posinf=high, neginf=low)


def _rounded(fn: str, *targets: str) -> None:
    @lowers(*(f"aten.{target}.default" for target in targets or (fn,)))
    def lowering(b: Builder, x: Value) -> Value:
        return x if not x.dtype.is_floating_point and fn != "sign" else entrywise(b, fn, x)


_rounded("floor")
_rounded("ceil")
_rounded("round")
_rounded("trunc", "trunc", "fix")
_rounded("sign")


def _divided(fn: str, *targets: str) -> None:
    @lowers(*(f"aten.{target}" for target in targets))
    def lowering(b: Builder, x: Operand, y: Operand) -> Value:
        return entrywise(b, fn, x, y)


_divided("remainder", "remainder.Tensor", "remainder.Scalar", "remainder.Scalar_Tensor")
_divided("fmod", "fmod.Tensor", "fmod.Scalar")
_divided("floor_divide", "floor_divide.default", "floor_divide.Scalar")
_divided("atan2", "atan2.default", "arctan2.default")


@lowers("aten.div.Tensor_mode", "aten.div.Scalar_mode")
def div_mode(b: Builder, x: Operand, y: Operand, *, rounding_mode: str | None = None) -> Value:
    """Quotient, rounded down, towards zero or not at all."""
    if rounding_mode is None:
        return div(b, x, y)
    return entrywise(b, "floor_divide" if rounding_mode == "floor" else "div_trunc", x, y)


@lowers("aten.isin.Tensor_Tensor", "aten.isin.Tensor_Scalar")
def isin(b: Builder, x: Value, among: Operand, *, invert: bool = False, **_options: Any) -> Value:
    """Whether an entry is one of a list."""
    if isinstance(among, Value):
        listed = b.reshape(among, [1] * x.rank + [prod(among.shape)])
        equal = entrywise(b, "eq", b.reshape(x, (*x.shape, 1)), listed, dtype=torch.bool)
        found = b.reduce("amax", equal, [x.rank])
    else:
        found = entrywise(b, "eq", x, among, dtype=torch.bool)
    return entrywise(b, "logical_not", found, dtype=torch.bool) if invert else found


@lowers("aten.bucketize.Tensor")
def bucketize(b: Builder, x: Value, boundaries: Value, *, out_int32: bool = False, right: bool = False) -> Value:
    """How many boundaries an entry has passed."""
    listed = b.reshape(boundaries, [1] * x.rank + [boundaries.shape[0]])
    passed = entrywise(b, "ge" if right else "gt", b.reshape(x, (*x.shape, 1)), listed, dtype=torch.bool)
    return _counted(b, passed, x.rank, out_int32)


@lowers("aten.searchsorted.Tensor")
def searchsorted(
    b: Builder,
    boundaries: Value,
    x: Value,
    *,
    out_int32: bool = False,
    right: bool = False,
    side: str | None = None,
    sorter: Value | None = None,
) -> Value:
    """How many boundaries, of its own row where there are several, an entry has passed."""
    if sorter is not None:
        raise Refused
    if boundaries.rank == 1:
        return bucketize(b, x, boundaries, out_int32=out_int32, right=right or side == "right")
    rows = b.reshape(boundaries, (*boundaries.shape[:-1], 1, boundaries.shape[-1]))
    beside = b.reshape(x, (*x.shape, 1))
    passed = entrywise(b, "ge" if right or side == "right" else "gt", beside, rows, dtype=torch.bool)
    return _counted(b, passed, x.rank, out_int32)


def _counted(b: Builder, passed: Value, axis: int, short: bool) -> Value:
    number = entrywise(b, "number", passed, dtype=torch.int32 if short else torch.int64)
    return b.reduce("sum", number, [axis])


@lowers("aten.one_hot.default")
def one_hot(b: Builder, x: Value, classes: int = -1) -> Value:
    """One at the place of the class, zero elsewhere."""
    if classes < 0:
        raise Refused
    places = b.constant(torch.arange(classes))
    equal = entrywise(b, "eq", b.reshape(x, (*x.shape, 1)), places, dtype=torch.bool)
    return converted(b, equal, torch.int64)


@lowers("aten.tril.default", "aten.triu.default")
def triangle(b: Builder, x: Value, diagonal: int = 0) -> Value:
    """Zero above, or below, a diagonal."""
    every = torch.ones(x.shape[-2:], dtype=torch.bool)
    kept = every.tril(diagonal) if "tril" in b.place.target else every.triu(diagonal)
    return entrywise(b, "where", b.constant(kept), x, 0 if not x.dtype.is_floating_point else 0.0, dtype=x.dtype)
