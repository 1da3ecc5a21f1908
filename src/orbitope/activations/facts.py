"""What the questionnaire does not ask: kinks, jumps, range and Lipschitz constant of each function of the trait table.

Form, monotonicity, degree, parity and reflections are in ``orbitope.primitives.activations`` and are not repeated here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import inf, pi, sqrt
from typing import Any


@dataclass(frozen=True)
class Kink:
    """A place where the derivative jumps.

    Attributes:
        at: the place.
        left: derivative from the left. right: from the right.
    """

    at: float
    left: float
    right: float


@dataclass(frozen=True)
class Facts:
    """Range, slope and smoothness of a function of all real numbers.

    Attributes:
        lipschitz: the smallest L with ``|f(x) − f(y)| ≤ L·|x − y|``; infinite where there is none.
        low: infimum. high: supremum.
        order: how often it can be differentiated continuously: −1 jumps, 0 kinks, 1 a derivative with kinks, … ∞.
        breaks: where its derivatives of order ``order + 1`` jump.
        kinks: where the first derivative jumps, with both derivatives; empty where the function itself jumps.
        linear: affine between the breaks.
    """

    lipschitz: float
    low: float = -inf
    high: float = inf
    order: float = inf
    breaks: tuple[float, ...] = ()
    kinks: tuple[Kink, ...] = ()
    linear: bool = False


def pieces(*kinks: Kink, low: float = -inf, high: float = inf) -> Facts:
    """A continuous function that is affine between kinks."""
    kept = tuple(kink for kink in kinks if kink.left != kink.right)
    slopes = [abs(slope) for kink in kinks for slope in (kink.left, kink.right)] or [1.0]
    order = 0 if kept else inf
    return Facts(max(slopes), low, high, order, tuple(kink.at for kink in kept), kept, True)


def smooth(lipschitz: float, low: float = -inf, high: float = inf) -> Facts:
    """A function with derivatives of every order."""
    return Facts(lipschitz, low, high)


def _leaky(settings: Mapping[str, Any]) -> Facts:
    slope = float(settings["slope"])
    return pieces(Kink(0.0, slope, 1.0), low=0.0 if slope <= 0 else -inf)


def _clamp(settings: Mapping[str, Any]) -> Facts:
    low, high = settings["low"], settings["high"]
    kinks = [Kink(low, 0.0, 1.0)] if low is not None else []
    kinks += [Kink(high, 1.0, 0.0)] if high is not None else []
    return pieces(*kinks, low=-inf if low is None else low, high=inf if high is None else high)


def _elu(settings: Mapping[str, Any]) -> Facts:
    alpha, scale = float(settings.get("alpha", 1.0)), float(settings.get("scale", 1.0))
    if alpha == 0:
        return pieces(Kink(0.0, 0.0, scale), low=0.0)
    if alpha == 1:
        return Facts(scale, -scale, order=1, breaks=(0.0,))
    kink = Kink(0.0, scale * alpha, scale)
    return Facts(scale * max(1.0, alpha), -scale * alpha, order=0, breaks=(0.0,), kinks=(kink,))


def _power(settings: Mapping[str, Any]) -> Facts:
    exponent = int(settings["exponent"])
    return smooth(inf, 0.0 if exponent % 2 == 0 else -inf)


_HARDSWISH = Facts(1.5, -0.375, order=0, breaks=(-3.0, 3.0), kinks=(Kink(-3.0, 0.0, -0.5), Kink(3.0, 1.5, 1.0)))
_GELU = {
    "none": smooth(1.1289041451, -0.1699712075),
    "tanh": smooth(1.1289930687, -0.1700407506),
}

FACTS: dict[str, Callable[[Mapping[str, Any]], Facts]] = {
    "identity": lambda _: pieces(),
    "neg": lambda _: pieces(),
    "relu": lambda _: pieces(Kink(0.0, 0.0, 1.0), low=0.0),
    "abs": lambda _: pieces(Kink(0.0, -1.0, 1.0), low=0.0),
    "leaky_relu": _leaky,
    "relu6": lambda _: pieces(Kink(0.0, 0.0, 1.0), Kink(6.0, 1.0, 0.0), low=0.0, high=6.0),
    "hardtanh": _clamp,
    "hardsigmoid": lambda _: pieces(Kink(-3.0, 0.0, 1 / 6), Kink(3.0, 1 / 6, 0.0), low=0.0, high=1.0),
    "hardswish": lambda _: _HARDSWISH,
    "tanh": lambda _: smooth(1.0, -1.0, 1.0),
    "sigmoid": lambda _: smooth(0.25, 0.0, 1.0),
    "erf": lambda _: smooth(2 / sqrt(pi), -1.0, 1.0),
    "atan": lambda _: smooth(1.0, -pi / 2, pi / 2),
    "sin": lambda _: smooth(1.0, -1.0, 1.0),
    "cos": lambda _: smooth(1.0, -1.0, 1.0),
    "exp": lambda _: smooth(inf, 0.0),
    "gelu": lambda settings: _GELU[settings.get("approximate", "none")],
    "silu": lambda _: smooth(1.0998393194, -0.2784645428),
    "softplus": lambda _: smooth(1.0, 0.0),
    "mish": lambda _: smooth(1.0884981613, -0.3088434130),
    "elu": _elu,
    "softsign": lambda _: Facts(1.0, -1.0, 1.0, order=1, breaks=(0.0,)),
    "power": _power,
}
"""By the names of the trait table; the numbers that have no closed form are rounded to ten digits."""
