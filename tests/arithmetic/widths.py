"""How wide enclosures are, beside what no enclosure can do without: the reference of the campaign.

The reference of a radius is the sum of two parts. *Propagation*: the radius that Arb gives at 256 bits for the same
balls, which has no rounding to speak of. *Rounding*: a first-order bound of what n roundings in float64 change, u·n
times the same sum of absolute values. A bound that is correct but vacuous exceeds its stated factor.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from tests.arithmetic.campaign import U, ball, ends

from orbitope.arithmetic import ArbArithmetic, Ball, BallArithmetic

Operation = Callable[[Any, Any], Any]


@dataclass(frozen=True)
class Width:
    """One rule.

    Attributes:
        name: of the rule.
        operation: ``operation(arithmetic, operands)``.
        shapes: of the operands.
        rounding: from the operands' midpoints, the part of the reference that is due to rounding.
        factor: the largest radius that is accepted, in units of the reference.
        positive: operands are kept away from zero.
    """

    name: str
    operation: Operation
    shapes: tuple[tuple[int, ...], ...]
    rounding: Callable[..., Any]
    factor: float
    positive: bool = False


_CONVOLUTION: dict[str, Any] = {"stride": (1, 2), "padding": (1, 0), "dilation": (2, 1), "groups": 2}


def _absolute(operation: Operation) -> Callable[..., Any]:
    """The same sums of absolute values."""
    balls = BallArithmetic()
    return lambda *centers: operation(balls, [Ball(np.abs(c)) for c in centers]).center


def _function(name: str, own: float) -> Width:
    def operation(a: Any, v: Any) -> Any:
        return a.function(name, v[0])

    def rounding(x: Any) -> Any:
        return own * U * np.maximum(np.abs(operation(BallArithmetic(), [Ball(x)]).center), 0.05)

    return Width(name, operation, ((40,),), rounding, 2.5, positive=name in ("log", "sqrt"))


WIDTHS: list[Width] = [
    Width("add", lambda a, v: a.add(*v), ((40,), (40,)), lambda x, y: U * np.abs(x + y), 1.1),
    Width("mul", lambda a, v: a.mul(*v), ((40,), (40,)), lambda x, y: U * np.abs(x * y), 1.1),
    Width("div", lambda a, v: a.div(*v), ((40,), (40,)), lambda x, y: U * np.abs(x / y), 1.1, positive=True),
    Width("sum", lambda a, v: a.sum(v[0], (1,)), ((9, 40),), lambda x: 40 * U * np.abs(x).sum(1), 1.1),
    Width("mean", lambda a, v: a.mean(v[0], (1,)), ((9, 40),), lambda x: 41 * U * np.abs(x).mean(1), 1.1),
    Width(
        "contract",
        lambda a, v: a.contract("bi,oi->bo", v),
        ((5, 60), (7, 60)),
        lambda x, w: 60 * U * (np.abs(x) @ np.abs(w).T),
        1.1,
    ),
    Width(
        "convolve",
        lambda a, v: a.convolve(*v, **_CONVOLUTION),
        ((2, 4, 5, 6), (4, 2, 2, 3)),
        lambda x, w: 12 * U * _absolute(lambda a, v: a.convolve(*v, **_CONVOLUTION))(x, w),
        1.1,
    ),
    Width("maximum", lambda a, v: a.maximum(*v), ((40,), (40,)), lambda x, _: 0 * x, 12.0),
    Width("amax", lambda a, v: a.amax(v[0], (1,)), ((9, 6),), lambda x: 0 * x[:, 0], 12.0),
    Width("relu", lambda a, v: a.relu(v[0]), ((40,),), lambda x: 0 * x, 2.0),
    Width(
        "pool max",
        lambda a, v: a.pool(v[0], "max", (2, 2), (2, 2), (0, 0), (1, 1), True),
        ((2, 3, 4, 6),),
        lambda x: 0.0,
        12.0,
    ),
    Width(
        "pool mean",
        lambda a, v: a.pool(v[0], "mean", (2, 3), (1, 1), (0, 0), (1, 1), True),
        ((2, 3, 4, 6),),
        lambda x: 7 * U * _absolute(lambda a, v: a.pool(v[0], "mean", (2, 3), (1, 1), (0, 0), (1, 1), True))(x),
        1.2,
    ),
    Width(
        "order values",
        lambda a, v: a.order(v[0], 1, 4, True, "values", "sort"),
        ((9, 6),),
        lambda x: 4 * U * np.abs(x).max(1, keepdims=True),
        2.0,
    ),
    Width("softmax", lambda a, v: a.softmax(v[0], 1), ((9, 6),), lambda x: 120 * U, 3.0),
    Width("log_softmax", lambda a, v: a.log_softmax(v[0], 1), ((9, 6),), lambda x: 120 * U * (1 + np.abs(x)), 3.0),
    Width(
        "normalise standard",
        lambda a, v: a.normalise(v[0], (1,), 1e-5, "standard"),
        ((9, 16),),
        lambda x: 200 * U * (1 + np.abs(x)),
        3.0,
    ),
    Width(
        "normalise rms",
        lambda a, v: a.normalise(v[0], (1,), 1e-5, "rms"),
        ((9, 16),),
        lambda x: 100 * U * (1 + np.abs(x)),
        3.0,
    ),
    _function("exp", 9),
    _function("log", 300),
    _function("tanh", 21 / 0.05),
    _function("sigmoid", 13),
    _function("sqrt", 2),
    _function("erf", 40),
    _function("sin", 40),
    _function("cos", 40),
    _function("abs", 0),
]


def widest(arithmetic: Any, width: Width, seed: int = 0, rounds: int = 3) -> tuple[float, int]:
    """The largest ratio of a radius to its reference, and how many were compared.

    Operands are normal numbers with radii of zero, a few units in the last place, and up to 10⁻⁶ of the number.
    """
    rng, wide = np.random.default_rng(seed), ArbArithmetic(256)
    most, count = 0.0, 0
    for kind, radius, _ in itertools.product(
        ("normal", "f32", "near_one"), ("exact", "last_place", "small"), range(rounds)
    ):
        operands = [ball(rng, shape, kind, radius) for shape in width.shapes]
        if width.positive:
            operands = [Ball(np.abs(x.center) + 0.1, x.radius) for x in operands]
        found = np.array([float(r) for _, r in ends(width.operation(arithmetic, _dressed(arithmetic, operands)))])
        spread = np.array([float(r) for _, r in ends(width.operation(wide, [wide.ball(x) for x in operands]))])
        rounded = np.broadcast_to(width.rounding(*(x.center for x in operands)), _shape(width, operands)).ravel()
        due = spread + rounded
        ratio = np.divide(found, due, out=np.where(found > 1e-290, np.inf, 0.0), where=due > 0.0)
        most, count = max(most, float(ratio.max())), count + found.size
    return most, count


def _dressed(arithmetic: Any, operands: list[Ball]) -> list[Any]:
    return [arithmetic.ball(x) for x in operands] if isinstance(arithmetic, ArbArithmetic) else operands


def _shape(width: Width, operands: list[Ball]) -> tuple[int, ...]:
    return width.operation(BallArithmetic(), operands).shape
