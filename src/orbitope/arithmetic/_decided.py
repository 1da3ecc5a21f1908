"""Balls compared, chosen and ranked: answers where the enclosures decide, errors elsewhere."""

from __future__ import annotations

import math
import operator
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from orbitope.arithmetic._ball import Ball, checked, radii
from orbitope.arithmetic._checks import check_comparison, undecided
from orbitope.arithmetic._numpy import ranks
from orbitope.arithmetic._rounding import TINY
from orbitope.arithmetic._smooth import SmoothBalls


class DecidedBalls(SmoothBalls):
    """What depends on the order of numbers."""

    def compare(self, fn: str, x: Ball, y: Ball) -> Ball:
        """1 where ``fn`` holds for all points of both balls, 0 where it holds for none.

        fl(c_x − c_y) > fl(r_x + r_y) implies the same of the exact values, rounding being monotone; exact numbers are
        compared as they are.

        Raises:
            EnclosureError: it holds for some points only.
        """
        check_comparison(fn, self.name)
        truth = getattr(operator, fn)(x.center, y.center)
        if x.radius is not None or y.radius is not None:
            left, right = radii(x), radii(y)
            with np.errstate(all="ignore"):
                apart = np.abs(x.center - y.center) > left + right
            open_ = ~apart & ((left > 0.0) | (right > 0.0))
            if bool(np.any(open_)):
                at = int(np.argmax(open_))
                raise undecided(
                    "a comparison",
                    f"{x.center.flat[at]!r} ± {left.flat[at]!r} and {y.center.flat[at]!r} ± {right.flat[at]!r}",
                )
        return Ball(np.asarray(truth, dtype=np.float64))

    def where(self, condition: Ball, x: Ball, y: Ball) -> Ball:
        """The ball of ``x`` where the condition is not zero, else that of ``y``.

        Raises:
            EnclosureError: the condition is not exact.
        """
        if condition.radius is not None and bool(np.any(condition.radius)):
            raise undecided("a choice", "a condition that is not exactly known")
        chosen = condition.center != 0.0
        center = np.where(chosen, x.center, y.center)
        if x.radius is None and y.radius is None:
            return Ball(center)
        return Ball(center, np.where(chosen, radii(x), radii(y)))

    def _ranked(self, x: Ball, axis: int, count: int, largest: bool) -> Ball:
        """The k-th largest of the lower ends, and of the upper ends: it does not decrease in any of the numbers.

        Halves and differences round by at most a unit in the last place each, which the inflation makes up for.
        """
        head = (slice(None),) * axis
        part = (*head, slice(None, None, -1) if largest else slice(None))
        cut = (*head, slice(0, count))
        if x.radius is None:
            return Ball(np.sort(x.center, axis=axis)[part][cut])
        low, high = (np.sort(end, axis=axis)[part][cut] for end in self.bounds(x))
        with np.errstate(all="ignore"):
            center = 0.5 * low + 0.5 * high
            radius = np.maximum(high - center, center - low) * self.inflation(0) + TINY
        return checked("a ranking", center, radius)

    def _places(self, x: Ball, axis: int, count: int, largest: bool) -> NDArray[np.int64]:
        """Decided where the balls of the first ranks lie apart from all that follow."""
        first, rest = ranks(x.center, axis, count, largest)
        places = np.moveaxis(np.concatenate((first, rest), axis=axis), axis, 0)
        if places.shape[0] > 1 and count:
            center = np.moveaxis(np.take_along_axis(x.center, np.moveaxis(places, 0, axis), axis=axis), axis, 0)
            radius = np.moveaxis(np.take_along_axis(radii(x), np.moveaxis(places, 0, axis), axis=axis), axis, 0)
            sign = 1.0 if largest else -1.0
            with np.errstate(all="ignore"):  # rounding is monotone: no end passes another that it did not reach
                low, high = sign * center - radius, sign * center + radius
            following = np.flip(np.maximum.accumulate(np.flip(high, axis=0), axis=0), axis=0)[1:]
            if not bool(np.all(low[:-1][:count] > following[:count])):
                raise undecided("an order")
        return first

    def hidden(self, x: Ball) -> Ball:
        """1 where an entry is −∞, else 0."""
        return Ball((x.center == -np.inf).astype(np.float64))

    def uniform(self, x: Ball) -> Fraction | None:
        """The number that all entries are, if it is one, exactly known and finite."""
        if not x.center.size or (x.radius is not None and bool(np.any(x.radius))):
            return None
        first = float(x.center.flat[0])
        return Fraction(first) if math.isfinite(first) and bool(np.all(x.center == first)) else None
