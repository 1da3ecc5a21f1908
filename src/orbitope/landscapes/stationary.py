"""Stationarity along a segment: gradients between two networks, slopes that fall, generalised gradients at the ends.

A convex function with two stationary points is constant between them: every point between is stationary too. One that
is not refutes convexity, and so does a slope φ′ that falls anywhere along the segment.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any

import torch

from orbitope.errors import InputError
from orbitope.guarantee import Guarantee
from orbitope.landscapes.kinks import Subgradient, subgradient
from orbitope.landscapes.paths import directional, ends, point_between, segment
from orbitope.objective import Objective

Parameters = Mapping[str, torch.Tensor]

SMALL = 1e-6
"""A gradient of at most this length counts as zero, unless told otherwise."""


@dataclass(frozen=True)
class Stationarity:
    """The gradient of F on the segment from a to b.

    Attributes:
        t: places in [0, 1]; 0 is a, 1 is b.
        losses: F there. norms: ‖∇F‖ there. slopes: φ′ there, the derivative of F along the segment.
        least: the place where the gradient is longest.
        fall: t₁ < t₂ ≤ t₃ < t₄ such that the mean slope from t₁ to t₂ exceeds that from t₃ to t₄ by most; None where no
            mean slope is less than one before it. By the mean value theorem φ′ then falls too.
        a: what is known of the generalised gradient at a. b: at b.
        small: up to this length a gradient counts as zero.
        guarantee: ``numeric``: measured in float64; a certificate of claim ``slopes`` proves the fall.
    """

    t: tuple[float, ...]
    losses: tuple[float, ...]
    norms: tuple[float, ...]
    slopes: tuple[float, ...]
    least: float
    fall: tuple[float, float, float, float] | None
    a: Subgradient
    b: Subgradient
    small: float = SMALL
    guarantee: Guarantee = "numeric"

    @property
    def ends_stationary(self) -> bool:
        """Whether a generalised gradient of length ``small`` at most was found at both ends."""
        return all(end.found <= self.small for end in (self.a, self.b))

    @property
    def between_stationary(self) -> bool:
        """Whether the gradient is zero at all places in between."""
        return all(norm <= self.small for norm in self.norms[1:-1])

    @property
    def refuted(self) -> bool:
        """Whether convexity fails on this segment, in float64: the slope falls by more than rounding explains."""
        return self.fall is not None

    @property
    def drop(self) -> float:
        """By how much the mean slope falls; 0 where it never does."""
        if self.fall is None:
            return 0.0
        f = [self.losses[self.t.index(t)] for t in self.fall]
        t = self.fall
        return (f[1] - f[0]) / (t[1] - t[0]) - (f[3] - f[2]) / (t[3] - t[2])

    def __str__(self) -> str:
        """What it says about convexity."""
        peak = max(self.norms)
        lines = [
            f"‖∇F‖ = {self.norms[0]:.3g} at a, {self.norms[-1]:.3g} at b, up to {peak:.3g} at t = {self.least:.3g}"
        ]
        if self.fall is not None:
            lines.append(
                f"the mean slope falls by {self.drop:.4g} from t in [{self.fall[0]:.3g}, {self.fall[1]:.3g}] to "
                f"[{self.fall[2]:.3g}, {self.fall[3]:.3g}]: no convex function does that"
            )
        else:
            lines.append("the slope never falls: nothing here contradicts convexity")
        if self.ends_stationary and not self.between_stationary:
            lines.append("both ends are stationary and points between are not: F is not constant, hence not convex")
        return "\n".join(lines)

    def to_json(self) -> dict[str, Any]:
        """As JSON; what is not finite is null."""
        return {
            "format": "orbitope stationarity",
            "version": 1,
            "t": list(self.t),
            **{name: [_finite(x) for x in getattr(self, name)] for name in ("losses", "norms", "slopes")},
            "least": self.least,
            "fall": None if self.fall is None else list(self.fall),
            "drop": self.drop,
            "a": self.a.to_json(),
            "b": self.b.to_json(),
            "small": self.small,
            "ends_stationary": self.ends_stationary,
            "between_stationary": self.between_stationary,
            "guarantee": self.guarantee,
        }


def stationarity(
    objective: Objective,
    a: Parameters,
    b: Parameters,
    points: int = 33,
    *,
    small: float = SMALL,
    tolerance: float = 0.0,
) -> Stationarity:
    """Gradients between two networks: which points of the segment are stationary, and whether the slope falls.

    Args:
        objective: the loss F.
        a: parameters by state-dict name.
        b: the same, for instance ``g.act(a)``.
        points: places on the segment, the ends included.
        small: up to this length a gradient counts as zero.
        tolerance: at the ends, entries this close to a kink count as on it.

    Raises:
        InputError: fewer than three points. ParametersError: the parameters do not fit.

    Guarantee: numeric, in float64. Between the ends gradients are those of automatic differentiation; at the ends
        generalised gradients are computed where entries stand on kinks.
    """
    if points < 3:
        raise InputError("a segment needs its ends and a point between them", got=f"points={points}", fix="points=33")
    start, end = ends(objective, {"a": a, "b": b})
    t = tuple(k / (points - 1) for k in range(points))
    norms = [_norm(objective.gradient(point_between(start, end, place))) for place in t]
    slopes = directional(objective, start, end, t).tolist()
    losses = segment(objective, start, end, t).tolist()
    least = max(range(points), key=lambda k: norms[k] if isfinite(norms[k]) else -1.0)
    return Stationarity(
        t,
        tuple(losses),
        tuple(norms),
        tuple(slopes),
        t[least],
        _fall(t, losses),
        subgradient(objective, start, tolerance),
        subgradient(objective, end, tolerance),
        small,
    )


def _fall(t: tuple[float, ...], losses: list[float]) -> tuple[float, float, float, float] | None:
    """The intervals between which the mean slope falls most, by more than rounding explains.

    Mean slopes, not derivatives: at a kink automatic differentiation may return what no derivative is.
    """
    rises = [(after - before) * (len(t) - 1) for before, after in itertools.pairwise(losses)]
    known = [abs(loss) for loss in losses if isfinite(loss)]
    best, places, highest = 1e-11 * len(t) * max(known, default=0.0), None, 0
    for k in range(1, len(rises)):
        if rises[k - 1] > rises[highest]:
            highest = k - 1
        if rises[highest] - rises[k] > best:
            best, places = rises[highest] - rises[k], (t[highest], t[highest + 1], t[k], t[k + 1])
    return places


def _norm(gradient: Parameters) -> float:
    return torch.cat([part.flatten() for part in gradient.values()]).norm().item()


def _finite(value: float) -> float | None:
    return value if isfinite(value) else None
