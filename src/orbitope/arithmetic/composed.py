"""Functions entry by entry that are made of the operations of any arithmetic.

Comparisons, logic and rounding give a value wherever the arithmetic can decide them, and an error elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from orbitope.errors import EnclosureError

if TYPE_CHECKING:
    from orbitope.arithmetic.base import Arithmetic

Settings = Mapping[str, Any]
Rule = Callable[["Arithmetic[Any]", Sequence[Any], Settings], Any]

_MOST_PRODUCTS = 64
"""Largest exponent for which a power is a product of its factors."""


def evaluate(a: Arithmetic[Any], name: str, xs: Sequence[Any], settings: Settings) -> Any:
    """The function of that name, in any arithmetic.

    Raises:
        EnclosureError: there is no composition of it, or the arithmetic does not decide it.
    """
    if name not in COMPOSED:
        raise EnclosureError(
            f"no {a.name} evaluation of the function {name!r}",
            got=f"{name!r}; expected one of {', '.join(sorted(COMPOSED))}",
            why="it is not made of operations whose values can be enclosed",
            fix="prove a sub-network that does not contain it",
        )
    return COMPOSED[name](a, xs, settings)


def _constant(a: Arithmetic[Any], x: Any, value: Fraction | float | int) -> Any:
    return a.full(a.shape(x), value, like=x)


def _comparison(fn: str) -> Rule:
    return lambda a, xs, _settings: a.compare(fn, xs[0], xs[1])


def _nonzero(a: Arithmetic[Any], x: Any) -> Any:
    return a.compare("ne", x, _constant(a, x, 0))


def _not(a: Arithmetic[Any], x: Any) -> Any:
    return a.sub(_constant(a, x, 1), x)


def _nan_to_num(a: Arithmetic[Any], xs: Sequence[Any], settings: Settings) -> Any:
    """Only −∞ can occur: NaN and +∞ are values of no arithmetic that encloses."""
    low = settings.get("neginf")
    if low is None:
        raise EnclosureError("nan_to_num without a number for −∞", why="the smallest number depends on the format")
    return a.where(a.hidden(xs[0]), _constant(a, xs[0], low), xs[0])


def _truncated(a: Arithmetic[Any], x: Any) -> Any:
    return a.sub(a.function("floor", a.relu(x)), a.function("floor", a.relu(a.neg(x))))


def _rounded(a: Arithmetic[Any], xs: Sequence[Any], settings: Settings) -> Any:
    """To the nearest integer, ties to even: ⌊x + 1/2⌋, less one where that is odd and x stands in the middle."""
    x = xs[0]
    if settings.get("decimals"):
        raise EnclosureError("rounding to decimals has no exact meaning in binary", got=str(settings["decimals"]))
    raised = a.add(x, _constant(a, x, Fraction(1, 2)))
    near = a.function("floor", raised)
    half = a.mul(near, _constant(a, x, Fraction(1, 2)))
    odd = a.compare("ne", a.function("floor", half), half)
    return a.sub(near, a.mul(odd, a.compare("eq", raised, near)))


def _sign(a: Arithmetic[Any], xs: Sequence[Any], _settings: Settings) -> Any:
    zero = _constant(a, xs[0], 0)
    return a.sub(a.compare("gt", xs[0], zero), a.compare("lt", xs[0], zero))


def _floored(a: Arithmetic[Any], x: Any, y: Any, settings: Settings) -> Any:
    """⌊x/y⌋; ``whole``: of integers, where it equals ⌊(2x ± 1)/2y⌋ with the sign of y.

    That quotient has an odd numerator and an even denominator, so that it is never an integer and a narrow enclosure
    decides its floor.
    """
    if settings.get("whole"):
        x, y = a.add(a.add(x, x), _sign(a, [y], {})), a.add(y, y)
    return a.function("floor", a.div(x, y))


def _rest(a: Arithmetic[Any], x: Any, y: Any, quotient: Any) -> Any:
    return a.sub(x, a.mul(y, quotient))


def _logarithm(base: int) -> Rule:
    def value(a: Arithmetic[Any], xs: Sequence[Any], _settings: Settings) -> Any:
        return a.div(a.function("log", xs[0]), a.function("log", _constant(a, xs[0], base)))

    return value


def _exp2(a: Arithmetic[Any], xs: Sequence[Any], _settings: Settings) -> Any:
    return a.function("exp", a.mul(xs[0], a.function("log", _constant(a, xs[0], 2))))


def _power(a: Arithmetic[Any], xs: Sequence[Any], _settings: Settings) -> Any:
    """A product where the exponent is one small whole number, else e^(y·log x), which needs x > 0."""
    x, exponent = xs[0], a.uniform(xs[1])
    if exponent == Fraction(1, 2):
        return a.function("sqrt", x)
    if exponent is None or exponent.denominator != 1 or abs(exponent) > _MOST_PRODUCTS:
        return a.function("exp", a.mul(xs[1], a.function("log", x)))
    one = _constant(a, x, 1)
    count = abs(int(exponent))
    result = x if count else one
    for _ in range(count - 1):
        result = a.mul(result, x)
    return a.div(one, result) if exponent < 0 else result


COMPOSED: dict[str, Rule] = {
    **{fn: _comparison(fn) for fn in ("lt", "le", "gt", "ge", "eq", "ne")},
    "where": lambda a, xs, _: a.where(xs[0], xs[1], xs[2]),
    # logic
    "nonzero": lambda a, xs, _: _nonzero(a, xs[0]),
    "logical_not": lambda a, xs, _: _not(a, _nonzero(a, xs[0])),
    "logical_and": lambda a, xs, _: a.mul(_nonzero(a, xs[0]), _nonzero(a, xs[1])),
    "logical_or": lambda a, xs, _: a.maximum(_nonzero(a, xs[0]), _nonzero(a, xs[1])),
    "logical_xor": lambda a, xs, _: a.compare("ne", _nonzero(a, xs[0]), _nonzero(a, xs[1])),
    # what is no number
    "isnan": lambda a, xs, _: _constant(a, xs[0], 0),
    "isinf": lambda a, xs, _: a.hidden(xs[0]),
    "isfinite": lambda a, xs, _: _not(a, a.hidden(xs[0])),
    "nan_to_num": _nan_to_num,
    # casts and rounding
    "real": lambda a, xs, _: xs[0],
    "number": lambda a, xs, _: xs[0],
    "round": _rounded,
    "sign": _sign,
    "integer": lambda a, xs, _: _truncated(a, xs[0]),
    # division with remainder
    "floor_divide": lambda a, xs, settings: _floored(a, xs[0], xs[1], settings),
    "div_trunc": lambda a, xs, _: _truncated(a, a.div(xs[0], xs[1])),
    "remainder": lambda a, xs, settings: _rest(a, xs[0], xs[1], _floored(a, xs[0], xs[1], settings)),
    "fmod": lambda a, xs, _: _rest(a, xs[0], xs[1], _truncated(a, a.div(xs[0], xs[1]))),
    # smooth
    "log1p": lambda a, xs, _: a.function("log", a.add(_constant(a, xs[0], 1), xs[0])),
    "log2": _logarithm(2),
    "log10": _logarithm(10),
    "expm1": lambda a, xs, _: a.sub(a.function("exp", xs[0]), _constant(a, xs[0], 1)),
    "exp2": _exp2,
    "erfc": lambda a, xs, _: a.sub(_constant(a, xs[0], 1), a.function("erf", xs[0])),
    "pow": _power,
}
"""``rule(arithmetic, operands, settings)`` for each function."""
