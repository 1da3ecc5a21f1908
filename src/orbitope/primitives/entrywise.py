"""More of the trait table: comparisons, logic, choice, rounding, casts and rarer functions, entry by entry.

Most are an arithmetic's own: torch has them, other arithmetics compose them or refuse.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from orbitope.arithmetic.base import Arithmetic
from orbitope.primitives.activations import TRAITS, Trait, Value
from orbitope.primitives.base import Behaviour, Form, Sign, linear


def _entrywise(name: str) -> Value:
    """The arithmetic's function of that name, with the settings as keywords."""

    def value(a: Arithmetic[Any], xs: Sequence[Any], settings: Mapping[str, Any]) -> Any:
        return a.entrywise(name, xs, **{key: setting for key, setting in settings.items() if key != "fn"})

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


def _named(name: str, *monotone: int, **traits: Any) -> None:
    _enter(name, _entrywise(name), *monotone, **traits)


def _ceil(a: Arithmetic[Any], xs: Sequence[Any], _settings: Mapping[str, Any]) -> Any:
    return a.neg(a.function("floor", a.neg(xs[0])))


def _trunc(a: Arithmetic[Any], xs: Sequence[Any], _settings: Mapping[str, Any]) -> Any:
    return a.sub(a.function("floor", a.relu(xs[0])), a.function("floor", a.relu(a.neg(xs[0]))))


# comparisons and logic: 0 or 1
for _name, _signs in {"lt": (-1, 1), "le": (-1, 1), "gt": (1, -1), "ge": (1, -1), "eq": (0, 0), "ne": (0, 0)}.items():
    _named(_name, *_signs, sign="nonnegative")
for _name in ("logical_and", "logical_or", "logical_xor"):
    _named(_name, 0, 0, sign="nonnegative")
_named("logical_not", 0, sign="nonnegative")
for _name in ("isnan", "isinf", "isfinite"):
    _named(_name, 0, sign="nonnegative")
_named("nonzero", 0, sign="nonnegative")
# choice
_CHOICE = Behaviour(
    "other",
    (0, 1, 1),
    homogeneous=(0.0, 1.0, 1.0),
    odd=(False, True, True),
    even=(True, False, False),
    together=(1, 2),
    choice=(1, 2),
)
TRAITS["where"] = Trait("where", _entrywise("where"), lambda _settings: _CHOICE, 3)
_named("nan_to_num", 0)
# rounding and casts
_enter("floor", lambda a, xs, _: a.function("floor", xs[0]), 1)
_enter("ceil", _ceil, 1)
_enter("trunc", _trunc, 1, odd=True)
_named("round", 1)
_named("sign", 1, degree=0.0, odd=True)
_named("integer", 1, odd=True)
TRAITS["real"] = Trait("real", _entrywise("real"), lambda _settings: linear())
TRAITS["number"] = Trait("number", _entrywise("number"), lambda _settings: linear())
# division with remainder
_named("remainder", 0, 0)
_named("fmod", 0, 0)
_named("floor_divide", 0, 0)
_named("div_trunc", 0, 0)
# smooth
_named("log1p", 1, form="concave")
_named("log2", 1, form="concave")
_named("log10", 1, form="concave")
_named("expm1", 1, form="convex")
_named("exp2", 1, form="convex", sign="nonnegative")
_named("erfc", -1, sign="nonnegative")
_named("atan", 1, odd=True)
_named("atan2", 0, 0)
_named("pow", 0, 0)
