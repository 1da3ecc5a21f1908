"""The campaign over everything that an arithmetic can do: no escapes, minima per rule, widths, planted faults."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from tests.arithmetic.rules import Rules
from tests.arithmetic.widths import WIDTHS, Width, widest

from orbitope.arithmetic import ArbArithmetic, Ball, BallArithmetic, NormArithmetic, NormBall
from orbitope.errors import EnclosureError

ARITHMETICS = [BallArithmetic(), NormArithmetic(), ArbArithmetic(53)]
NAMES = ["ball", "norm", "arb"]
LEAST = 40
"""Entries checked for every rule, in the run of the tests."""


@pytest.mark.parametrize("arithmetic", ARITHMETICS, ids=NAMES)
def test_everything_encloses_the_exact_value(arithmetic: Any) -> None:
    """At least 10⁵ entries, and every rule its minimum; none outside its ball or its norm."""
    campaign = Rules(arithmetic, seed=21)
    campaign.everything()
    assert not campaign.escapes, campaign.escapes[:10]
    assert campaign.checks >= 100_000
    assert len(campaign.counts) >= 70
    scarce = {name: campaign.counts[name] for name in campaign.counts if campaign.counts[name] < LEAST}
    assert not scarce
    if isinstance(arithmetic, NormArithmetic):
        assert sum(campaign.norms.values()) >= 5_000
        assert len(campaign.norms) >= 40


@pytest.mark.parametrize("precision", [24, 128, 256])
def test_arb_encloses_at_other_precisions(precision: int) -> None:
    """Also below that of float64."""
    campaign = Rules(ArbArithmetic(precision), seed=22)
    for part in (
        campaign.elementwise,
        campaign.masked,
        campaign.norms_of_groups,
        campaign.convolutions,
        campaign.networks,
    ):
        part()
    assert not campaign.escapes, campaign.escapes[:10]


@pytest.mark.parametrize("width", WIDTHS, ids=[width.name for width in WIDTHS])
def test_enclosures_are_no_wider_than_stated(width: Width) -> None:
    """In units of the reference; Arb rounds radii up to twice as much as we do."""
    for arithmetic in ARITHMETICS:
        factor = width.factor * (2.0 if isinstance(arithmetic, ArbArithmetic) else 1.0)
        most, count = widest(arithmetic, width, rounds=1)
        assert count >= 36
        assert most <= factor, (arithmetic.name, most)


def test_a_vacuous_bound_is_caught() -> None:
    """Ten times the radius is still an enclosure; the widths tell."""

    class Loose(BallArithmetic):
        def _multiply(self, x: Ball, y: Ball, product: Any, terms: int) -> Ball:
            result = super()._multiply(x, y, product, terms)
            return Ball(result.center, None if result.radius is None else 10.0 * result.radius)

    touched = [width for width in WIDTHS if width.name in ("mul", "contract", "convolve")]
    assert all(widest(Loose(), width, rounds=1)[0] > width.factor for width in touched)


# planted faults -------------------------------------------------------------------------------------------------------
class _Undecided(BallArithmetic):
    """Answers comparisons by the midpoints."""

    def compare(self, fn: str, x: Ball, y: Ball) -> Ball:
        return super().compare(fn, Ball(x.center), Ball(y.center))


class _Order(BallArithmetic):
    """Takes the order of the midpoints for granted."""

    def _places(self, x: Ball, axis: int, count: int, largest: bool) -> Any:
        return super()._places(Ball(x.center), axis, count, largest)


class _Ranked(BallArithmetic):
    """Gives ranked values the radii of the ranked midpoints."""

    def _ranked(self, x: Ball, axis: int, count: int, largest: bool) -> Ball:
        places = np.argsort(x.center, axis=axis)
        places = np.flip(places, axis=axis) if largest else places
        cut = (slice(None),) * axis + (slice(0, count),)
        radius = None if x.radius is None else np.take_along_axis(x.radius, places, axis=axis)[cut]
        return Ball(np.take_along_axis(x.center, places, axis=axis)[cut], radius)


class _Softmax(BallArithmetic):
    """Forgets the sum's part of the change."""

    def _log_reach(self, x: Ball, axis: int, weight: Any) -> Any:
        return super()._log_reach(x, axis, 0.0 * weight)


class _Masked(BallArithmetic):
    """Takes an entry that is −∞ for −10."""

    def softmax(self, x: Ball, axis: int, safe: bool = False) -> Ball:
        return super().softmax(Ball(np.where(x.center == -np.inf, -10.0, x.center), x.radius), axis)


class _Normalised(BallArithmetic):
    """Divides by the root at the midpoint."""

    def _group(self, x: Ball, axes: Any) -> Any:
        return 0.3 * super()._group(x, axes)


class _Sum(BallArithmetic):
    """Takes every sum of two exact numbers for exact."""

    def _error_of_sum(self, operation: Any, total: Any, a: Any, b: Any) -> Any:
        return np.zeros_like(total)


class _Whole(BallArithmetic):
    """Takes every number for whole."""

    def mul(self, x: Ball, y: Ball) -> Ball:
        return Ball(x.center * y.center) if x.radius is None and y.radius is None else super().mul(x, y)


class _Scaled(BallArithmetic):
    """Keeps the radius when it multiplies by a number."""

    def _scaled(self, x: Ball, factor: float) -> Ball:
        return Ball(super()._scaled(x, factor).center, x.radius)


class _Moved(NormArithmetic):
    """Forgets that entries are copied."""

    def _moved(self, x: Ball, result: Ball, axis: int | None, factor: float = 1.0) -> Ball:
        return super()._moved(x, result, axis, 1.0)


class _Concat(NormArithmetic):
    """Keeps the norm of the first part only."""

    def _place(self, *xs: Ball) -> tuple[int | None, int]:
        return super()._place(*xs)

    def concat(self, xs: Any, axis: int) -> Ball:
        result = super().concat(xs, axis)
        first = xs[0]
        if (
            isinstance(result, NormBall)
            and isinstance(first, NormBall)
            and result.norm is not None
            and result.axis != axis
        ):
            return NormBall(result.center, result.radius, first.norm, result.axis)
        return result


class _Product(NormArithmetic):
    """Forgets the midpoints of one factor."""

    def _most(self, entries: Any, axis: int, count: int) -> Any:
        return 0.5 * super()._most(entries, axis, count)


class _Rounding(NormArithmetic):
    """Forgets the rounding of sums."""

    unit = 0.0


class _Runs(NormArithmetic):
    """Takes the axis behind the samples for theirs."""

    def transpose(self, x: Ball, permutation: Any) -> Ball:
        result = super().transpose(x, permutation)
        if isinstance(result, NormBall) and result.norm is not None:
            size = result.shape[0]
            return NormBall(result.center, result.radius, np.resize(result.norm, size), 0)
        return result


class _Sums(NormArithmetic):
    """Lets sums keep the norm."""

    def sum(self, x: Ball, axes: Any) -> Ball:
        result = super().sum(x, axes)
        if isinstance(x, NormBall) and isinstance(result, NormBall) and x.norm is not None and result.norm is not None:
            return NormBall(result.center, result.radius, np.minimum(result.norm, x.norm), result.axis)
        return result


class _Activation(NormArithmetic):
    """Takes the sigmoid for flatter than it is, and its values for exact."""

    def function(self, name: str, x: Ball) -> Ball:
        result = super().function(name, x)
        if name == "sigmoid" and isinstance(result, NormBall) and result.norm is not None:
            return NormBall(result.center, result.radius, 0.5 * result.norm, result.axis)
        return result


FAULTS: list[tuple[type[BallArithmetic], Callable[[Rules], None]]] = [
    (_Undecided, Rules.orders),
    (_Order, Rules.orders),
    (_Ranked, Rules.orders),
    (_Softmax, Rules.masked),
    (_Masked, Rules.masked),
    (_Normalised, Rules.norms_of_groups),
    (_Sum, Rules.elementwise),
    (_Whole, Rules.elementwise),
    (_Scaled, Rules.entrywise),
    (_Moved, Rules.structure),
    (_Concat, Rules.structure),
    (_Product, Rules.elementwise),
    (_Rounding, Rules.elementwise),
    (_Runs, Rules.structure),
    (_Sums, Rules.structure),
    (_Activation, Rules.functions),
]


@pytest.mark.parametrize(("fault", "part"), FAULTS, ids=[fault.__name__ for fault, _ in FAULTS])
def test_planted_faults_are_caught(fault: type[BallArithmetic], part: Callable[[Rules], None]) -> None:
    """Each lets an exact value escape, or decides what is open (the exact order then finds equal numbers)."""
    for seed in range(6):
        campaign = Rules(fault(), seed)
        try:
            part(campaign)
        except EnclosureError:
            return
        if campaign.escapes:
            return
    raise AssertionError("not caught")
