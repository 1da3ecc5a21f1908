"""Looking for traits of a function: every claim is tried at many numbers, large and small, and where it may bend.

A trait that fails comes with numbers at which it fails. One that does not fail is proposed: that is no proof.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from math import inf, isfinite

import numpy as np
import torch

from orbitope.activations.declared import mirrored, number, shifted

Function = Callable[[torch.Tensor], torch.Tensor]
Array = np.ndarray

RELATIVE = 1e-9
"""Values that differ by less than this share of their size are equal."""

REACH = 1e4
"""The largest numbers that are tried."""

NICE = np.array([0, 1, -1, 2, -2, 3, -3, 0.5, -0.5, 4, -4, 5, -5, 6, -6, 8, -8, 1.5, -1.5, 2.5, -2.5])
"""Tried first, so that counter-examples can be checked by hand."""


@dataclass(frozen=True)
class Finding:
    """What the search says of one trait.

    Attributes:
        holds: nothing contradicted it.
        detail: its numbers, as the degree.
        counterexample: where it fails, as a formula with numbers; empty where it holds.
        values: the numbers of the detail.
    """

    holds: bool
    detail: str = ""
    counterexample: str = ""
    values: tuple[float, ...] = ()


class Probe:
    """One function, looked at from all sides."""

    def __init__(self, function: Function) -> None:
        """Keep the function; it must be entrywise and total."""
        self.function = function

    def __call__(self, x: Array) -> Array:
        """Its values."""
        given = torch.from_numpy(np.ascontiguousarray(x, dtype=np.float64))
        with torch.no_grad(), np.errstate(all="ignore"):
            return self.function(given).double().numpy()

    @cached_property
    def grid(self) -> Array:
        """Numbers of all sizes, most near 0; only where the function is finite."""
        random = np.random.default_rng(0)
        sizes = np.logspace(-8, np.log10(REACH), 121)
        near = np.linspace(-10, 10, 401)
        breaks = np.concatenate([b + np.array([-1e-3, 0, 1e-3]) for b in self.breaks]) if self.breaks else near[:0]
        spread = random.uniform(-12, 12, 150)
        found = np.unique(np.concatenate([NICE, near, sizes, -sizes, breaks, spread]))
        return found[np.isfinite(self(found)) & (np.abs(self(found)) < 1e100)]

    def slack(self, *values: Array, at: Array | float = 0.0) -> Array:
        """What rounding may explain: a share of the values, and of the numbers that were put in."""
        size = np.max([np.abs(v) for v in np.broadcast_arrays(*values)], axis=0)
        return RELATIVE * size + 1e-12 * self.scale * np.abs(at) + 1e-300

    @cached_property
    def scale(self) -> float:
        """How large the slope is near 0, 1 at most."""
        x = np.linspace(-8, 8, 1601)
        return float(min(1.0, np.abs(np.diff(self(x))).max() / 0.01))

    # order and curvature ------------------------------------------------------------------------------------------
    def curvature(self, sign: int) -> Finding:
        """Convex for 1, concave for −1."""
        for points in (NICE, self.grid[:: max(1, len(self.grid) // 200)]):
            x, y = np.meshgrid(points, points, indexing="ij")
            x, y = x[x < y], y[x < y]
            for t in (0.5, 0.25, 0.9):
                middle = t * x + (1 - t) * y
                fx, fy, fm = self(x), self(y), self(middle)
                excess = sign * (fm - t * fx - (1 - t) * fy) - self.slack(fx, fy, fm, at=np.maximum(abs(x), abs(y)))
                excess = np.where(np.isfinite(excess), excess, -inf)
                if excess.max() > 0:
                    k = _simplest(excess, np.abs(x) + np.abs(y))
                    order = ">" if sign > 0 else "<"
                    place, value, chord = map(number, (middle[k], fm[k], t * fx[k] + (1 - t) * fy[k]))
                    shares = f"{t:g}·f({number(x[k])}) + {1 - t:g}·f({number(y[k])})"
                    return Finding(False, counterexample=f"f({place}) = {value} {order} {chord} = {shares}")
        return Finding(True)

    def monotone(self, sign: int) -> Finding:
        """Non-decreasing for 1, non-increasing for −1."""
        for points in (np.sort(NICE), self.grid):
            y = self(points)
            highest = np.maximum.accumulate(sign * y)
            drop = highest - sign * y - self.slack(y, highest, at=points)
            k = int(np.where(np.isfinite(drop), drop, -inf).argmax())
            if drop[k] > 0:
                j = int((sign * y[: k + 1]).argmax())
                order = ">" if sign > 0 else "<"
                return Finding(
                    False,
                    counterexample=f"f({number(points[j])}) = {number(y[j])} {order} {number(y[k])} "
                    f"= f({number(points[k])})",
                )
        return Finding(True)

    # identities -----------------------------------------------------------------------------------------------------
    def equal(
        self, left: Callable[[Array], Array], right: Callable[[Array], Array], text: str = "{}{}", about: float = 0.0
    ) -> Finding:
        """An identity between two expressions of x; ``text`` shows one with x in braces, ``about`` is added to x."""
        for points in (NICE, self.grid):
            a, b = left(points), right(points)
            apart = np.abs(a - b) - 10 * self.slack(a, b, at=np.abs(points) + abs(about))
            known = np.isfinite(a) & np.isfinite(b)
            apart = np.where(known, apart, -inf)
            if apart.max() > 0:
                k = _simplest(apart, np.abs(points))
                shown = text.replace("{x}", number(points[k])).replace("{-x}", number(-points[k] + 0.0))
                return Finding(False, counterexample=shown.format(number(a[k]), number(b[k])))
        return Finding(True)

    def parity(self, sign: int) -> Finding:
        """Odd for −1, even for 1."""
        text = "f({-x}) = {} ≠ {} = f({x})" if sign > 0 else "f({-x}) = {} ≠ {} = −f({x})"
        return self.equal(lambda x: self(-x), lambda x: sign * self(x), text)

    def homogeneous(self) -> Finding:
        """f(s·x) = s^d·f(x) with the degree that two values suggest."""
        one, two = self(np.array([1.0, 2.0]))
        if one == 0 or not isfinite(two) or two / one <= 0:
            one, two = self(np.array([-1.0, -2.0]))
        if one == 0 or not isfinite(two / one) or two / one <= 0:
            zero = bool((self(self.grid) == 0).all())
            told = "it is 0 everywhere" if zero else f"f(1) = {number(one)}, f(2) = {number(two)}: no degree fits"
            return Finding(zero, counterexample="" if zero else told)
        degree = float(np.log2(two / one))
        degree = round(degree * 12) / 12 if abs(degree * 12 - round(degree * 12)) < 1e-6 else degree
        for s in (2.0, 0.5, 3.0, 10.0, 0.1, 0.37):
            found = self.equal(
                lambda x, s=s: self(s * x),
                lambda x, s=s: s**degree * self(x),
                f"f({number(s)}·{{x}}) = {{}} ≠ {{}} = {number(s)}^{number(degree)}·f({{x}})",
            )
            if not found.holds:
                return found
        return Finding(True, f"d = {number(degree)}", values=(degree,))

    def mirrored(self) -> Finding:
        """f(b − x) = ±f(x) + c, beyond oddness and evenness."""
        u = np.concatenate([np.linspace(0.01, 9, 180), np.array([15.0, 40.0])])
        if self._affine(self.grid):
            return Finding(False, counterexample="it is affine: it is mirrored everywhere")
        found = []
        for sign in (-1, 1):
            for centre in self._centres(lambda c, s=sign: self._unevenness(c, s, u)):
                after = _snapped(float(np.median(self(centre - u) - sign * self(centre + u))))
                before = 2 * centre
                if abs(before) < 1e-9 and abs(after) < 1e-9:
                    continue
                if self.equal(
                    lambda x, b=before: self(b - x), lambda x, s=sign, a=after: s * self(x) + a, about=before
                ).holds:
                    found.append((round(abs(before), 6), -before, sign, after))
        if not found:
            return Finding(False, counterexample="no centre between −6.5 and 6.5 is one, beyond 0")
        _, before, sign, after = min(found)
        return Finding(True, mirrored(-before, sign, after), values=(-before, sign, after))

    def tilted(self) -> Finding:
        """f(−x) = f(x) − k·x, with the k that x = 1 suggests."""
        if self._affine(self.grid):
            return Finding(False, counterexample="it is affine")
        k = _snapped(float(self(np.array([1.0]))[0] - self(np.array([-1.0]))[0]), 1e-9)
        if not k:
            return Finding(False, counterexample="f(1) = f(−1), so k would be 0")
        found = self.equal(
            lambda x: self(-x),
            lambda x: self(x) - k * x,
            f"f({{-x}}) = {{}} ≠ {{}} = f({{x}}) − {number(k)}·{{x}}",
            about=1e-3,
        )
        return Finding(True, f"k = {number(k)}", values=(k,)) if found.holds else found

    def shifted(self) -> Finding:
        """f(x + p) = ±f(x) + c for a function that is not affine."""
        u = np.linspace(-9, 9, 361)
        if self._affine(self.grid):
            return Finding(False, counterexample="it is affine: every shift will do")

        def rest(p: float, sign: int) -> float:
            values = self(u + p) - sign * self(u)
            spread = float(np.ptp(self(u))) or 1.0
            return float(np.ptp(values)) / spread if np.isfinite(values).all() else inf

        found = []
        for sign in (-1, 1):
            for period in self._centres(lambda p, s=sign: rest(p, s), 0.1, 13.0):
                after = _snapped(float(np.median(self(u + period) - sign * self(u))))
                if self.equal(
                    lambda x, p=period: self(x + p), lambda x, s=sign, a=after: s * self(x) + a, about=period
                ).holds:
                    found.append((period, sign, after))
        if not found:
            return Finding(False, counterexample="no shift between 0.1 and 13 is one")
        return Finding(True, shifted(*min(found)), values=min(found))

    def _unevenness(self, centre: float, sign: int, u: Array) -> float:
        """How far f(c − u) ∓ f(c + u) is from one constant, as a share of the values' spread."""
        left, right = self(centre - u), self(centre + u)
        values = left - sign * right
        spread = float(np.ptp(np.concatenate([left, right]))) or 1.0
        return float(np.ptp(values)) / spread if np.isfinite(values).all() else inf

    def _centres(self, rest: Callable[[float], float], low: float = -6.5, high: float = 6.5) -> list[float]:
        """Places where ``rest`` is nearly 0: the low points of a scan, refined by golden sections."""
        places = np.linspace(low, high, 521)
        values = np.array([rest(p) for p in places])
        found = []
        for k in np.argsort(values)[:12]:
            if values[k] > 0.3:  # no centre is nearer than half a step of the scan
                break
            a, b = float(places[max(k - 1, 0)]), float(places[min(k + 1, len(places) - 1)])
            for _ in range(45):
                x, y = b - 0.6180339887 * (b - a), a + 0.6180339887 * (b - a)
                a, b = (a, y) if rest(x) < rest(y) else (x, b)
            middle = (a + b) / 2
            found += [c for c in (_snapped(middle), middle) if rest(c) < 1e-6][:1]
        return sorted(found, key=abs)

    # size and smoothness --------------------------------------------------------------------------------------------
    def lipschitz(self) -> Finding:
        """The largest slope; none where slopes grow with x or as points come together."""
        if self.jumps:
            at = self.jumps[0]
            a, b = self(np.array([at - 4e-6, at + 4e-6]))
            return Finding(False, counterexample=f"f jumps from {number(a)} to {number(b)} at {number(at)}")
        slopes = []
        for reach in (10.0, 100.0, 1000.0, REACH):
            x = np.linspace(-reach, reach, 20001)
            steep, place = self._steepest(x)
            slopes.append(steep)
            if not isfinite(steep) or steep > 1.01 * slopes[0] + 1e-9:
                step = 2 * reach / 20000
                told = f"from x = {number(round(place, 3))} to {number(round(place + step, 3))} the mean slope is"
                return Finding(
                    False, counterexample=f"{told} {number(steep)}, between −10 and 10 at most {slopes[0]:.4g}"
                )
        x = np.linspace(-10, 10, 20001)
        steep, place = self._steepest(x)
        for _ in range(6):
            step = x[1] - x[0]
            x = np.linspace(place - 2 * step, place + 3 * step, 101)
            closer, place = self._steepest(x)
            if closer > 1.5 * steep:
                return Finding(False, counterexample=f"near x = {number(round(place, 6))} slopes grow without end")
            steep = max(steep, closer)
            if x[1] - x[0] < 1e-5:
                break
        steep = max(steep, *slopes)
        return Finding(True, f"L = {number(float(f'{steep:.5g}'))}", values=(steep,))

    def _steepest(self, x: Array) -> tuple[float, float]:
        y = self(x)
        slopes = np.abs(np.diff(y)) / np.diff(x)
        slopes = np.where(np.isfinite(slopes), slopes, inf)
        k = int(slopes.argmax())
        return float(slopes[k]), float(x[k])

    def bounded(self) -> Finding:
        """Smallest and largest value; none where they grow with x."""
        lows, highs = [], []
        for reach in (10.0, 100.0, 1000.0, REACH, 1e5):
            x = np.linspace(-reach, reach, 40001)
            x = np.concatenate([x, np.linspace(-10, 10, 4001)])
            y = self(x)
            if not np.isfinite(y).all():
                k = int(np.abs(np.nan_to_num(y, nan=inf, posinf=inf, neginf=inf)).argmax())
                return Finding(False, counterexample=f"f({number(x[k])}) overflows")
            lows.append(float(y.min()))
            highs.append(float(y.max()))
        low, high = _limit([-v for v in lows]), _limit(highs)
        if low is None or high is None:
            x = np.array([10.0, 1e3, 1e5]) * (1 if (high is None) == (self(np.array([1e5]))[0] > 0) else -1)
            if abs(self(x)[-1]) < abs(self(-x)[-1]):
                x = -x
            values = ", ".join(f"f({number(a)}) = {number(b)}" for a, b in zip(x, self(x), strict=True))
            return Finding(False, counterexample=values)
        low = -low
        told = " to ".join(number(float(f"{value:.5g}") + 0.0) for value in (low, high))
        return Finding(True, told, values=(low, high))

    def smooth(self) -> Finding:
        """No jump, no kink, no kink of the first derivative that a scan from −10 to 10 shows."""
        for order, what in ((0, "f jumps"), (1, "f has a kink"), (2, "the derivative of f has a kink")):
            places = self.irregular(order)
            if places:
                return Finding(False, counterexample=f"{what} at {', '.join(number(p) for p in places[:4])}")
        return Finding(True)

    def piecewise_linear(self) -> Finding:
        """Affine between the places where it bends, and far beyond them."""
        for reach in (10.0, REACH):
            cuts = [-reach, *(b for b in self.breaks if abs(b) < reach), reach]
            for a, b in itertools.pairwise(cuts):
                inner = self.grid[(self.grid > a + 1e-6) & (self.grid < b - 1e-6)]
                x = np.unique(np.concatenate([np.linspace(a + 1e-6, b - 1e-6, 41), inner]))
                if not self._affine(x):
                    return Finding(False, counterexample=self._bent(x))
        told = f"cut at {', '.join(map(number, self.breaks))}" if self.breaks else "in one piece"
        return Finding(True, told, values=self.breaks)

    def _bent(self, x: Array) -> str:
        """Three numbers of a piece whose values are on no line."""
        y = self(x)
        line = y[0] + (y[-1] - y[0]) * (x - x[0]) / (x[-1] - x[0])
        k = int(np.abs(np.nan_to_num(y - line)).argmax())
        ends = f"({number(round(x[0], 4))}, {number(y[0])}) to ({number(round(x[-1], 4))}, {number(y[-1])})"
        return f"f({number(round(x[k], 4) + 0.0)}) = {number(y[k])}, the line from {ends} has {number(line[k])} there"

    def _affine(self, x: Array) -> bool:
        y = self(x)
        line = y[0] + (y[-1] - y[0]) * (x - x[0]) / (x[-1] - x[0])
        return bool(
            np.isfinite(y).all() and (np.abs(y - line) <= 100 * self.slack(y, line, at=x) + 1e-9 * self.scale).all()
        )

    @cached_property
    def jumps(self) -> tuple[float, ...]:
        """Where the function jumps."""
        return self.irregular(0)

    @cached_property
    def breaks(self) -> tuple[float, ...]:
        """Where it jumps or has a kink."""
        return tuple(sorted({*self.irregular(0), *self.irregular(1)}))

    def irregular(self, order: int) -> tuple[float, ...]:
        """Where the derivative of that order jumps: its change over a short step does not shrink with the step."""
        cached = self.__dict__.setdefault("_irregular", {})
        if order not in cached:
            cached[order] = self._irregular_places(order)
        return cached[order]

    def _change(self, x: Array, h: float, order: int) -> Array:
        """By how much the derivative of that order changes across x, over about 4h."""

        def derivative(at: Array) -> Array:
            if order == 0:
                return self(at)
            if order == 1:
                return (self(at + h) - self(at - h)) / (2 * h)
            return (self(at + h) - 2 * self(at) + self(at - h)) / h**2

        reach = 2 * h
        ahead, here, behind = derivative(x + reach), derivative(x), derivative(x - reach)
        return np.abs(ahead - behind) + np.abs(here - (ahead + behind) / 2)  # the second for what is even, as √|x|

    def _irregular_places(self, order: int) -> tuple[float, ...]:
        steps = {0: (2e-2, 1e-4, 1e-6), 1: (1e-2, 1e-4, 1e-5), 2: (1e-2, 1e-3, 3e-4)}[order]
        x = np.linspace(-10.003, 10.003, 4001)
        change = self._change(x, steps[0], order)
        floor = {0: 1e-6, 1: 1e-5, 2: 1e-3}[order] * self.scale
        peaks = [
            k
            for k in range(1, len(x) - 1)
            if change[k] >= change[k - 1] and change[k] >= change[k + 1] and change[k] > floor
        ]
        found: list[float] = []
        plateaus = np.split(np.array(peaks, dtype=int), np.flatnonzero(np.diff(peaks) > 2) + 1) if peaks else []
        for plateau in plateaus:
            k = int(plateau[len(plateau) // 2])
            place, first = float(x[k]), float(change[k])
            for before, after in itertools.pairwise(steps):
                near = np.linspace(place - 4 * before, place + 4 * before, max(81, int(16 * before / after) + 1))
                values = self._change(near, after, order)
                # the middle of the plateau on which the break lies within the step
                top = near[values > 0.7 * values.max()]
                place = float((top.min() + top.max()) / 2)
            last = float(self._change(np.array([place]), steps[-1], order)[0])
            if last > 0.4 * first and last > floor:
                place = _snapped(place, 2 * steps[-1])
                if not any(abs(place - other) < 1e-2 for other in found):
                    found.append(place)
        return tuple(sorted(found))


def _simplest(excess: Array, size: Array) -> int:
    """Among clear violations the one with the smallest numbers."""
    return int(np.where(excess > 0.05 * excess.max(), size, inf).argmin())


def _limit(values: list[float]) -> float | None:
    """Where a growing sequence, a value for each power of ten, leads; None where it grows on."""
    steps = np.diff(values)
    scale = max(1e-9, abs(values[0]))
    if steps[-1] <= 1e-9 * scale:
        return values[-1]
    if steps[-2] <= 0 or steps[-1] > 0.4 * steps[-2]:
        return None
    ratio = steps[-1] / steps[-2]
    return values[-1] + steps[-1] * ratio / (1 - ratio)


def _snapped(value: float, within: float = 1e-5) -> float:
    """The nearest multiple of 1/24 or of π/24, if it is near."""
    for unit in (1.0, np.pi):
        whole = round(value * 24 / unit) * unit / 24
        if abs(value - whole) < within:
            return float(whole)
    return value


def probe(function: Function) -> dict[str, Finding]:
    """All traits of a function, by name.

    Guarantee: heuristic. A counter-example is checked in float64; that none was found is no proof.
    """
    p = Probe(function)
    with np.errstate(all="ignore"):
        return {
            "convex": p.curvature(1),
            "concave": p.curvature(-1),
            "non-decreasing": p.monotone(1),
            "non-increasing": p.monotone(-1),
            "odd": p.parity(-1),
            "even": p.parity(1),
            "homogeneous": p.homogeneous(),
            "mirrored": p.mirrored(),
            "tilted": p.tilted(),
            "shifted": p.shifted(),
            "Lipschitz": p.lipschitz(),
            "bounded": p.bounded(),
            "smooth": p.smooth(),
            "piecewise linear": p.piecewise_linear(),
        }
