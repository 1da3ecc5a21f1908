"""More of the trait table: comparisons, logic, choice, rounding, casts and rarer functions, entry by entry.

What no composition of an arithmetic's own operations gives is evaluated by torch; other arithmetics refuse it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from orbitope.arithmetic.base import Arithmetic
from orbitope.arithmetic.floats import Operand
from orbitope.primitives.activations import TRAITS, Trait, Value
from orbitope.primitives.base import Behaviour, Form, Sign, linear


def _by_torch(name: str, function: Callable[..., torch.Tensor]) -> Value:
    """The torch function on all operands, with the settings as keywords."""

    def value(a: Arithmetic[Any], xs: Sequence[Any], settings: Mapping[str, Any]) -> Any:
        kwargs = {key: setting for key, setting in settings.items() if key != "fn"}
        return a.call(name, xs, function=function, args=tuple(map(Operand, range(len(xs)))), kwargs=kwargs)

    return value


def _enter(
    name: str,
    value: Value,
    *monotone: int,
    form: Form = "other",
    sign: Sign = "any",
    degree: float | None = None,
    odd: bool = False,
) -> None:
    arity = len(monotone)
    answer = Behaviour(form, monotone, sign, (degree,) * arity, (odd,) * arity)
    TRAITS[name] = Trait(name, value, lambda _settings: answer, arity)


def _torch(name: str, *monotone: int, function: Callable[..., torch.Tensor] | None = None, **traits: Any) -> None:
    _enter(name, _by_torch(name, function or getattr(torch, name)), *monotone, **traits)


def _ceil(a: Arithmetic[Any], xs: Sequence[Any], _settings: Mapping[str, Any]) -> Any:
    return a.neg(a.function("floor", a.neg(xs[0])))


def _trunc(a: Arithmetic[Any], xs: Sequence[Any], _settings: Mapping[str, Any]) -> Any:
    return a.sub(a.function("floor", a.relu(xs[0])), a.function("floor", a.relu(a.neg(xs[0]))))


def _times_one(one: float) -> Value:
    # in torch, the product with a float is a float and the product of booleans with an integer is one
    return lambda a, xs, _settings: a.mul(xs[0], a.full(a.shape(xs[0]), one, like=xs[0]))


def _choose(condition: torch.Tensor, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return torch.where(condition != 0, x, y)


def _nonzero(x: torch.Tensor) -> torch.Tensor:
    return x != 0


def _whole(x: torch.Tensor) -> torch.Tensor:
    return x.trunc().to(torch.int64) if x.is_floating_point() else x.to(torch.int64)


# comparisons and logic: 0 or 1
for _name, _signs in {"lt": (-1, 1), "le": (-1, 1), "gt": (1, -1), "ge": (1, -1), "eq": (0, 0), "ne": (0, 0)}.items():
    _torch(_name, *_signs, sign="nonnegative")
for _name in ("logical_and", "logical_or", "logical_xor"):
    _torch(_name, 0, 0, sign="nonnegative")
_torch("logical_not", 0, sign="nonnegative")
for _name in ("isnan", "isinf", "isfinite"):
    _torch(_name, 0, sign="nonnegative")
_torch("nonzero", 0, function=_nonzero, sign="nonnegative")
# choice
_CHOICE = Behaviour(
    "other",
    (0, 1, 1),
    homogeneous=(0.0, 1.0, 1.0),
    odd=(False, True, True),
    even=(True, False, False),
    together=(1, 2),
)
TRAITS["where"] = Trait("where", _by_torch("where", _choose), lambda _settings: _CHOICE, 3)
_torch("nan_to_num", 0)
# rounding and casts
_enter("floor", lambda a, xs, _: a.function("floor", xs[0]), 1)
_enter("ceil", _ceil, 1)
_enter("trunc", _trunc, 1, odd=True)
_torch("round", 1)
_torch("sign", 1, degree=0.0, odd=True)
_torch("integer", 1, function=_whole, odd=True)
TRAITS["real"] = Trait("real", _times_one(1.0), lambda _settings: linear())
TRAITS["number"] = Trait("number", _times_one(1), lambda _settings: linear())
# division with remainder
_torch("remainder", 0, 0)
_torch("fmod", 0, 0)
_torch("floor_divide", 0, 0)
_torch("div_trunc", 0, 0, function=lambda x, y: torch.div(x, y, rounding_mode="trunc"))
# smooth
_torch("log1p", 1, form="concave")
_torch("log2", 1, form="concave")
_torch("log10", 1, form="concave")
_torch("expm1", 1, form="convex")
_torch("exp2", 1, form="convex", sign="nonnegative")
_torch("erfc", -1, sign="nonnegative")
_torch("atan", 1, odd=True)
_torch("atan2", 0, 0)
_torch("pow", 0, 0)
