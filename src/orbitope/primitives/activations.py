"""The trait table: every function applied entry by entry, its value in any arithmetic and its traits.

Each trait is a statement about the real function and is tested numerically over its domain.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from math import pi, sqrt
from typing import Any

from orbitope.arithmetic.base import Arithmetic
from orbitope.primitives.base import Behaviour, Form, Sign, linear

Value = Callable[[Arithmetic[Any], Sequence[Any], Mapping[str, Any]], Any]
"""``value(arithmetic, operands, settings)``."""


@dataclass(frozen=True)
class Trait:
    """One entry-wise function.

    Attributes:
        name: key of the table.
        value: its value in any arithmetic.
        behaviour: form, monotonicity, sign, degree, parity; may depend on the settings.
        arity: number of operands.
        source: where the traits come from, where that is not plain calculus.
    """

    name: str
    value: Value
    behaviour: Callable[[Mapping[str, Any]], Behaviour]
    arity: int = 1
    source: str = ""


@dataclass(frozen=True)
class Reflection:
    """``f(before − z) = sign·f(z) + after`` for all z, beyond oddness and evenness."""

    sign: int
    before: float
    after: float


TRAITS: dict[str, Trait] = {}
REFLECTIONS: dict[str, Callable[[Mapping[str, Any]], Reflection]] = {
    "sigmoid": lambda _: Reflection(-1, 0.0, 1.0),
    "hardsigmoid": lambda _: Reflection(-1, 0.0, 1.0),
    "relu6": lambda _: Reflection(-1, 6.0, 6.0),
    "hardtanh": lambda s: Reflection(-1, s["low"] + s["high"], s["low"] + s["high"]),
    "sin": lambda _: Reflection(1, pi, 0.0),
    "cos": lambda _: Reflection(-1, pi, 0.0),
}
"""Functions that are mirrored onto themselves, up to sign and a constant."""


TILTS: dict[str, Callable[[Mapping[str, Any]], float]] = {
    "relu": lambda _: 1.0,
    "leaky_relu": lambda s: 1.0 + s["slope"],
    "gelu": lambda _: 1.0,
    "silu": lambda _: 1.0,
    "softplus": lambda _: 1.0,
    "hardswish": lambda _: 1.0,
}
"""Functions that are even but for a linear part: ``f(−z) = f(z) − tilt·z`` for all z."""


def tilt(settings: Mapping[str, Any]) -> float | None:
    """The linear part of a function that is even otherwise; None where it is not."""
    found = TILTS.get(settings["fn"])
    return None if found is None else found(settings)


def reflection(settings: Mapping[str, Any]) -> Reflection | None:
    """How the function of a pointwise node is mirrored; None where it is not, or in the plain way."""
    found = REFLECTIONS.get(settings["fn"])
    bounded = settings["fn"] != "hardtanh" or (settings["low"] is not None and settings["high"] is not None)
    return found(settings) if found is not None and bounded else None


def _add(
    name: str, value: Value, behaviour: Behaviour | Callable[[Mapping[str, Any]], Behaviour], arity: int = 1
) -> None:
    answer = behaviour if callable(behaviour) else (lambda _settings, fixed=behaviour: fixed)
    TRAITS[name] = Trait(name, value, answer, arity)


def _unary(
    form: Form = "other",
    monotone: int = 0,
    sign: Sign = "any",
    degree: float | None = None,
    odd: bool = False,
    even: bool = False,
) -> Behaviour:
    return Behaviour(form, (monotone,), sign, (degree,), (odd,), (even,))


def _elementary(name: str) -> Value:
    return lambda a, xs, _settings: a.function(name, xs[0])


def _scaled(a: Arithmetic[Any], x: Any, factor: Fraction | float) -> Any:
    return a.mul(x, a.full(a.shape(x), factor, like=x))


def _shifted(a: Arithmetic[Any], x: Any, shift: Fraction | float) -> Any:
    return a.add(x, a.full(a.shape(x), shift, like=x))


def _clamp(a: Arithmetic[Any], x: Any, low: float | None, high: float | None) -> Any:
    if low is not None:
        x = a.maximum(x, a.full(a.shape(x), low, like=x))
    if high is not None:
        x = a.neg(a.maximum(a.neg(x), a.full(a.shape(x), -high, like=x)))
    return x


def _leaky(a: Arithmetic[Any], xs: Sequence[Any], settings: Mapping[str, Any]) -> Any:
    positive = a.relu(xs[0])
    return a.sub(positive, _scaled(a, a.relu(a.neg(xs[0])), settings["slope"]))


def _leaky_behaviour(settings: Mapping[str, Any]) -> Behaviour:
    slope = settings["slope"]
    form: Form = "convex" if slope <= 1 else "concave"
    return _unary(form, 1 if slope >= 0 else 0, "nonnegative" if slope <= 0 else "any", degree=1.0)


def _clamp_behaviour(settings: Mapping[str, Any]) -> Behaviour:
    low, high = settings["low"], settings["high"]
    form: Form = "other" if low is not None and high is not None else "convex" if high is None else "concave"
    floor = low is not None and low >= 0 and (high is None or high >= 0)
    return _unary(form, 1, "nonnegative" if floor else "nonpositive" if high is not None and high <= 0 else "any")


def _softplus(a: Arithmetic[Any], x: Any) -> Any:
    # log(1 + e^x) = max(x, 0) + log(1 + e^{-|x|}), which cannot overflow
    tail = a.function("exp", a.neg(a.function("abs", x)))
    return a.add(a.relu(x), a.function("log", _shifted(a, tail, 1)))


def _gelu(a: Arithmetic[Any], xs: Sequence[Any], settings: Mapping[str, Any]) -> Any:
    x = xs[0]
    if settings.get("approximate", "none") == "tanh":
        cube = a.mul(a.mul(x, x), x)
        inner = _scaled(a, a.add(x, _scaled(a, cube, 0.044715)), sqrt(2 / pi))
        gate = a.function("tanh", inner)
    else:
        gate = a.function("erf", _scaled(a, x, 1 / sqrt(2)))
    return _scaled(a, a.mul(x, _shifted(a, gate, 1)), Fraction(1, 2))


def _elu(a: Arithmetic[Any], xs: Sequence[Any], settings: Mapping[str, Any]) -> Any:
    x = xs[0]
    below = a.neg(a.relu(a.neg(x)))
    negative = _scaled(a, _shifted(a, a.function("exp", below), -1), settings.get("alpha", 1.0))
    return a.add(_scaled(a, a.relu(x), settings.get("scale", 1.0)), _scaled(a, negative, settings.get("scale", 1.0)))


def _elu_behaviour(settings: Mapping[str, Any]) -> Behaviour:
    alpha, scale = settings.get("alpha", 1.0), settings.get("scale", 1.0)
    convex = 0 <= alpha <= 1 and scale >= 0
    return _unary("convex" if convex else "other", 1 if alpha >= 0 and scale >= 0 else 0)


def _power(a: Arithmetic[Any], xs: Sequence[Any], settings: Mapping[str, Any]) -> Any:
    exponent = settings["exponent"]
    if exponent == 0.5:
        return a.function("sqrt", xs[0])
    if exponent == -0.5:
        return TRAITS["rsqrt"].value(a, xs, {})
    result, count = xs[0], abs(int(exponent))
    for _ in range(count - 1):
        result = a.mul(result, xs[0])
    if exponent < 0:
        result = a.div(a.full(a.shape(result), 1, like=result), result)
    return result


def _power_behaviour(settings: Mapping[str, Any]) -> Behaviour:
    exponent = settings["exponent"]
    if exponent == 1:
        return linear()
    if exponent in (0.5, -0.5):
        return TRAITS["sqrt" if exponent > 0 else "rsqrt"].behaviour({})
    if exponent % 2 == 0:
        return _unary("convex" if exponent > 0 else "other", 0, "nonnegative", degree=float(exponent), even=True)
    return _unary("other", 1 if exponent > 0 else 0, degree=float(exponent), odd=True)


def _sigmoid_gated(a: Arithmetic[Any], xs: Sequence[Any], _settings: Mapping[str, Any]) -> Any:
    return a.mul(xs[0], a.function("sigmoid", xs[0]))


def _hardsigmoid(a: Arithmetic[Any], x: Any) -> Any:
    return _scaled(a, _clamp(a, _shifted(a, x, 3), 0.0, 6.0), Fraction(1, 6))


def _rsqrt(a: Arithmetic[Any], xs: Sequence[Any], _settings: Mapping[str, Any]) -> Any:
    root = a.function("sqrt", xs[0])
    return a.div(a.full(a.shape(root), 1, like=root), root)


_PRODUCT = Behaviour("multilinear", (0, 0), homogeneous=(1.0, 1.0), odd=(True, True))
_QUOTIENT = Behaviour("other", (0, 0), homogeneous=(1.0, -1.0), odd=(True, True))
_MAXIMUM = Behaviour("convex", (1, 1), homogeneous=(1.0, 1.0), odd=(False, False), together=(0, 1))

# arithmetic of two operands
_add("add", lambda a, xs, _: a.add(xs[0], xs[1]), linear(2), arity=2)
_add("sub", lambda a, xs, _: a.sub(xs[0], xs[1]), linear(2, (1, -1)), arity=2)
_add("mul", lambda a, xs, _: a.mul(xs[0], xs[1]), _PRODUCT, arity=2)
_add("div", lambda a, xs, _: a.div(xs[0], xs[1]), _QUOTIENT, arity=2)
_add("maximum", lambda a, xs, _: a.maximum(xs[0], xs[1]), _MAXIMUM, arity=2)
_add(
    "minimum",
    lambda a, xs, _: a.neg(a.maximum(a.neg(xs[0]), a.neg(xs[1]))),
    replace(_MAXIMUM, form="concave"),
    arity=2,
)
# piecewise linear
_add("identity", lambda a, xs, _: xs[0], linear())
_add("neg", lambda a, xs, _: a.neg(xs[0]), linear(1, (-1,)))
_add("relu", lambda a, xs, _: a.relu(xs[0]), _unary("convex", 1, "nonnegative", degree=1.0))
_add("abs", _elementary("abs"), _unary("convex", 0, "nonnegative", degree=1.0, even=True))
_add("leaky_relu", _leaky, _leaky_behaviour)
_add("relu6", lambda a, xs, _: _clamp(a, xs[0], 0.0, 6.0), _unary("other", 1, "nonnegative"))
_add("hardtanh", lambda a, xs, s: _clamp(a, xs[0], s["low"], s["high"]), _clamp_behaviour)
_add("hardsigmoid", lambda a, xs, _: _hardsigmoid(a, xs[0]), _unary("other", 1, "nonnegative"))
_add("hardswish", lambda a, xs, _: a.mul(xs[0], _hardsigmoid(a, xs[0])), _unary())
# smooth
_add("tanh", _elementary("tanh"), _unary("other", 1, odd=True))
_add("sigmoid", _elementary("sigmoid"), _unary("other", 1, "nonnegative"))
_add("erf", _elementary("erf"), _unary("other", 1, odd=True))
_add("sin", _elementary("sin"), _unary(odd=True))
_add("cos", _elementary("cos"), _unary(even=True))
_add("exp", _elementary("exp"), _unary("convex", 1, "nonnegative"))
_add("log", _elementary("log"), _unary("concave", 1))
_add("sqrt", _elementary("sqrt"), _unary("concave", 1, "nonnegative", degree=0.5))
_add("rsqrt", _rsqrt, _unary("convex", -1, "nonnegative", degree=-0.5))
_add("gelu", _gelu, _unary())
_add("silu", _sigmoid_gated, _unary())
_add("softplus", lambda a, xs, _: _softplus(a, xs[0]), _unary("convex", 1, "nonnegative"))
_add("mish", lambda a, xs, _: a.mul(xs[0], a.function("tanh", _softplus(a, xs[0]))), _unary())
_add("elu", _elu, _elu_behaviour)
_add(
    "softsign",
    lambda a, xs, _: a.div(xs[0], _shifted(a, a.function("abs", xs[0]), 1)),
    _unary("other", 1, odd=True),
)
_add("power", _power, _power_behaviour)
