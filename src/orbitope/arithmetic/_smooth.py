"""Balls through softmax and normalisation: at the midpoints, and then what the radii may change."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence

import numpy as np

from orbitope.arithmetic._ball import Ball, Floats, both, checked, radii
from orbitope.arithmetic._numpy import NumpyArithmetic
from orbitope.arithmetic._rounding import TINY, U, inflation
from orbitope.errors import EnclosureError


class SmoothBalls(NumpyArithmetic[Ball]):
    """What follows from the derivatives of a function of a whole row."""

    inflation = staticmethod(inflation)

    @abstractmethod
    def bounds(self, x: Ball) -> tuple[Floats, Floats]:
        """Lower and upper ends, rounded outward."""

    def log_softmax(self, x: Ball, axis: int) -> Ball:
        """``x − log Σ exp x`` along one axis: at the midpoints by ball arithmetic, then what the radii may change."""
        value = super().log_softmax(Ball(x.center), axis)
        if x.radius is None:
            return value
        weight = self.function("exp", value)
        reach = self._log_reach(x, axis, weight.center + radii(weight))
        radius = (radii(value) + reach) * self.inflation(0)
        hidden = value.center == -np.inf
        if bool(np.any(hidden)):
            return Ball(value.center, np.where(hidden, 0.0, radius))
        return checked("log_softmax", value.center, radius)

    def _log_reach(self, x: Ball, axis: int, weight: Floats) -> Floats:
        """How far the radii may move log p_j, given upper bounds of p at the midpoints.

        Its derivative is δ_j − Σ p_i δ_i. With m = max r, log p_i moves by at most 2m on the way, so p_i stays below
        p_i·e^2m ≤ p_i(1 + 2m + 4m²) for m ≤ 1/2, and the change is at most r_j + min(m, (1 + 2m + 4m²)·Σ p_i r_i).
        """
        radius = radii(x)
        most = np.max(radius, axis=axis, keepdims=True)
        with np.errstate(all="ignore"):
            mean = np.sum(weight * radius, axis=axis, keepdims=True) * (1.0 + 2.0 * most * (1.0 + 2.0 * most)) + TINY
            shared = np.where(most <= 0.5, np.minimum(most, mean), most)
            return np.asarray((radius + shared) * self.inflation(x.shape[axis]))

    def softmax(self, x: Ball, axis: int, safe: bool = False) -> Ball:
        """``exp x / Σ exp x``: at the midpoints by ball arithmetic, then what the radii may change.

        log p_j moves by at most ρ_j, so p_j by at most p_j(e^ρ − 1) ≤ p_j(ρ + ρ²) for ρ ≤ 1, and by no more than one.
        """
        if safe or x.radius is None:
            return super().softmax(x, axis, safe)
        value = super().softmax(Ball(x.center), axis)
        own = radii(value)
        reach = self._log_reach(x, axis, value.center + own)
        with np.errstate(all="ignore"):
            moved = np.where(reach <= 1.0, np.minimum((value.center + own) * (reach * (1.0 + reach)), 1.0), 1.0)
            radius = (own + moved) * self.inflation(0)
        return checked("softmax", value.center, np.where(x.center == -np.inf, 0.0, radius))

    def normalise(self, x: Ball, axes: Sequence[int], eps: float, kind: str) -> Ball:
        """Normalisation: at the midpoints by ball arithmetic, then what the radii may change.

        Let P subtract the mean of a group of n entries (``standard``) or nothing, s² = ‖Px‖²/n + ε and y = Px/s. Then

            dy = (P dx − y·(yᵀdx)/n)/s,  ‖y‖ ≤ √n,  yᵀdx = yᵀP dx.

        The matrix P − yyᵀ/n has eigenvalues in [0, 1]. With ‖δ‖ ≤ ρ in the group, ‖Px‖/√n falls by at most ρ/√n on the
        way from c to c + δ, so s ≥ s_min, and ‖Δy‖ ≤ ρ/s_min. For one entry, with r̄ the mean radius (zero for ``rms``)
        and |y_i| ≤ |y_i(c)| + ρ/s_min on the way, |Δy_i| ≤ (r_i + r̄ + |y_i|·ρ/√n)/s_min.

        Raises:
            EnclosureError: s may be zero.
        """
        return self._normalised(x, tuple(axes), eps, kind)[0]

    def _normalised(
        self, x: Ball, axes: tuple[int, ...], eps: float, kind: str
    ) -> tuple[Ball, Floats | None, Floats | None]:
        """The value, 1/s_min of each group rounded upward, and the radii at the midpoints; the latter None if exact."""
        value = super().normalise(Ball(x.center), axes, eps, kind)
        if x.radius is None:
            return value, None, None
        count = math.prod(x.shape[k] for k in axes)
        middle = Ball(x.center)
        if kind == "standard":
            mean = super().mean(middle, axes)
            middle = self.sub(middle, Ball(*(np.broadcast_to(np.expand_dims(p, axes), x.shape) for p in both(mean))))
        square = super().mean(self.mul(middle, middle), axes)
        group = self._group(x, axes)
        near = np.asarray(group / math.sqrt(count) * self.inflation(0))
        with np.errstate(all="ignore"):
            low = np.sqrt(np.maximum(np.expand_dims(self.bounds(square)[0], axes), 0.0)) * (1.0 - 4 * U)
            low = np.maximum(low - near, 0.0) * (1.0 - 4 * U)
            root = np.sqrt(low * low + eps) * (1.0 - 16 * U)
            if not bool(np.all(root > 2.0**-400)):
                raise EnclosureError("a norm whose enclosure contains zero")
            slope = (1.0 + 4 * U) / root
            own = radii(value)
            whole = group * slope
            mean_radius = np.sum(x.radius, axis=axes, keepdims=True) / count if kind == "standard" else 0.0
            single = (x.radius + mean_radius + (np.abs(value.center) + own + whole) * near) * slope
            radius = (own + np.minimum(single, whole)) * self.inflation(count)
        return checked("a normalisation", value.center, radius), slope, own

    def _group(self, x: Ball, axes: Sequence[int]) -> Floats:
        """2-norms of the radii along axes, which stay with size one; 2⁻⁵⁰⁰ makes up for squares that underflow."""
        radius = radii(x)
        count = math.prod(x.shape[k] for k in axes)
        with np.errstate(all="ignore"):
            square = np.sum(radius * radius, axis=tuple(axes), keepdims=True)
            return np.asarray(np.sqrt(square) * self.inflation(count) + 2.0**-500)
