"""Planted faults in the bounds of ball arithmetic: each lets an exact value escape, so the campaign can fail."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
from tests.arithmetic.campaign import Campaign, U

from orbitope.arithmetic import Ball, BallArithmetic
from orbitope.arithmetic import _elementary as elementary
from orbitope.arithmetic import _rounding as rounding
from orbitope.arithmetic import balls as balls_module

BALLS = BallArithmetic()


class NoGrowth(BallArithmetic):
    """Drops the γ term."""

    growth = staticmethod(lambda terms: 0.0)


class HalfGrowth(BallArithmetic):
    """Counts half a rounding for each product."""

    growth = staticmethod(lambda terms: rounding.growth(terms) / 2 if terms == 1 else 0.0)


class NoUnit(BallArithmetic):
    """Drops the rounding of sums."""

    unit = 0.0


class NoInflation(BallArithmetic):
    """Forgets that radii round too."""

    inflation = staticmethod(lambda roundings: 1.0)


class NoWeightRadius(BallArithmetic):
    """Takes the second operand of products for exact."""

    def _multiply(self, x: Ball, y: Ball, product: Any, terms: int) -> Ball:
        return super()._multiply(x, Ball(y.center), product, terms)


class NoCrossTerm(BallArithmetic):
    """Forgets r_x·r_y."""

    def _multiply(self, x: Ball, y: Ball, product: Any, terms: int) -> Ball:
        result = super()._multiply(x, y, product, terms)
        if x.radius is None or y.radius is None:
            return result
        return Ball(result.center, np.asarray(result.radius) - product(x.radius, y.radius))


class EarlyInflation(BallArithmetic):
    """Inflates one factor of a product instead of the product: no help where that factor is subnormal."""

    inflation = staticmethod(lambda roundings: 1.0)

    def _multiply(self, x: Ball, y: Ball, product: Any, terms: int) -> Ball:
        if x.radius is None or y.radius is None:
            return BALLS._multiply(x, y, product, terms)
        factor = rounding.inflation(terms)
        return super()._multiply(Ball(x.center, x.radius * factor), Ball(y.center, y.radius * factor), product, terms)


class CoarseRelu(BallArithmetic):
    """Clips the radius wherever the midpoint is negative."""

    def relu(self, x: Ball) -> Ball:
        return Ball(np.maximum(x.center, 0), None if x.radius is None else x.radius * (x.center >= 0))


class CoarseMaximum(BallArithmetic):
    """Keeps the radius of the larger midpoint only."""

    def amax(self, x: Ball, axes: Any) -> Ball:
        result = super().amax(x, axes)
        if x.radius is None:
            return result
        top = x.center >= np.max(x.center, axis=tuple(axes), keepdims=True)
        return Ball(result.center, np.max(np.where(top, x.radius, 0.0), axis=tuple(axes)))


class CoarseQuotient(BallArithmetic):
    """Divides by the divisor's midpoint instead of its lower end."""

    def div(self, x: Ball, y: Ball) -> Ball:
        return super().div(x, Ball(y.center))


@contextmanager
def constant(name: str, value: float) -> Iterator[None]:
    """One constant of the proofs, replaced."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (elementary, balls_module):
            if hasattr(module, name):
                patch.setattr(module, name, value)
        yield


FAULTS: list[tuple[type[BallArithmetic], Callable[[Campaign], None]]] = [
    (NoGrowth, Campaign.sums_of_products),
    (HalfGrowth, Campaign.elementwise),
    (NoUnit, Campaign.elementwise),
    (NoInflation, Campaign.elementwise),
    (NoWeightRadius, Campaign.sums_of_products),
    (NoCrossTerm, Campaign.sums_of_products),
    (EarlyInflation, Campaign.subnormal_radii),
    (CoarseRelu, Campaign.unary),
    (CoarseMaximum, Campaign.unary),
    (CoarseQuotient, Campaign.elementwise),
]


@pytest.mark.parametrize(("fault", "part"), FAULTS, ids=[fault.__name__ for fault, _ in FAULTS])
def test_planted_faults_are_caught(fault: type[BallArithmetic], part: Callable[[Campaign], None]) -> None:
    """Each wrong bound lets an exact value escape."""
    campaign = Campaign(fault(), seed=8)
    part(campaign)
    assert campaign.escapes


@pytest.mark.parametrize(
    ("name", "value", "function"),
    [
        ("EXP_ERROR", U / 2, "exp"),
        ("EXP_ERROR", 0.0, "exp"),
        ("TANH_ERROR", U / 2, "tanh"),
        ("SIGMOID_ERROR", U / 2, "sigmoid"),
        ("U", U / 2, "sqrt"),
        ("LN2_LOW", elementary.LN2_LOW * (1 + 2.0**-20), "exp"),
        ("LN2_HIGH", math.log(2.0), "log"),
        ("TINY", 0.0, "exp"),
    ],
)
def test_wrong_constants_of_functions_are_caught(name: str, value: float, function: str) -> None:
    """Each wrong constant lets a value escape."""
    campaign = Campaign(BALLS, seed=9)
    with constant(name, value):
        campaign.functions((function,))
    assert campaign.escapes


def test_a_missing_underflow_term_is_caught() -> None:
    """Products of subnormals, and a vanishing γ|c| that meets a huge weight."""
    x = Ball(np.array([[2.0**-1060 * 1.2345]]))
    w = Ball(np.array([[2.0**1000 * 1.000001]]))
    small = Ball(np.full((1,), 2.0**-600 * 1.1)), Ball(np.full((1,), 2.0**-470 * 1.3))
    for tiny, escapes in ((rounding.TINY, False), (0.0, True)):
        campaign = Campaign(BALLS, seed=10)
        with constant("TINY", tiny):
            campaign.run("mul", lambda a, v: a.mul(*v), *small)
            campaign.run("contract", lambda a, v: a.contract("bi,oi->bo", v), Ball(x.center, np.zeros((1, 1))), w)
            campaign.elementwise()
        found = {escape.split(":")[0] for escape in campaign.escapes}
        assert {"mul", "contract"} <= found if escapes else not found
