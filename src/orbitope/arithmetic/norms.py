"""Balls with 2-norms: a bound of the deviation of all entries of a sample together, beside one for each entry.

Entry by entry, a layer of n inputs may multiply radii by the sums of its rows |W|, about √n times its spectral norm;
the 2-norm of all deviations of a sample grows by the spectral norm only. Both bounds hold at once, and the smaller one
is kept: no radius exceeds its sample's norm, and no norm the 2-norm of the radii.

Throughout, c is a midpoint, δ the deviation of a point from it, and R a bound of ‖δ‖₂ for one sample, that is, over all
entries with the same index along the axis of samples. Every R is computed in floats from non-negative terms and
inflated as radii are; ``FLOOR`` makes up for squares that underflow. All rules stand in this one file, as each refines
one of ``BallArithmetic`` and shares the bookkeeping.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from weakref import ref

import numpy as np
import torch

from orbitope.arithmetic import _elementary as elementary
from orbitope.arithmetic._erf import ERF_ERROR, SLOPE
from orbitope.arithmetic._numpy import Entries, Pairing
from orbitope.arithmetic._rounding import TINY
from orbitope.arithmetic._spectral import FLOOR, convolution_norm, overlap, simple_norm, spectral_norm
from orbitope.arithmetic.balls import Ball, BallArithmetic, Floats

LIPSCHITZ: dict[str, tuple[float, float]] = {
    "tanh": (1.0, elementary.TANH_ERROR),
    "sigmoid": (0.25, elementary.SIGMOID_ERROR),
    "erf": (SLOPE, ERF_ERROR),
    "abs": (1.0, 0.0),
}
"""Functions that change no more than so many times as much as their argument, and the error of their evaluation."""


@dataclass(frozen=True, eq=False, repr=False)
class NormBall(Ball):
    """An array of balls with samples.

    Attributes:
        norm: Float64[ndarray, "n"], not negative, infinite where nothing is known; for each of the n equal runs of
            ``axis`` a bound of the 2-norm of all deviations in it. None: the midpoints are exact.
        axis: the axis of samples; n divides its size.
    """

    norm: Floats | None = None
    axis: int = 0

    @property
    def samples(self) -> int:
        """The number of runs: of samples."""
        return self.shape[self.axis] if self.norm is None else self.norm.size


class NormArithmetic(BallArithmetic):
    """Balls whose deviations are bounded by entry and by sample.

    Only what comes from ``samples`` has norms; everything else is as in ``BallArithmetic``.

    Guarantee: exact. The result of every operation encloses the exact result for all points of its operands.
    """

    name = "norm"

    def __init__(self) -> None:
        """Test the process's floating-point environment."""
        super().__init__()
        self._indices: dict[int, tuple[ref[torch.Tensor], int]] = {}
        self._known: dict[Any, tuple[Entries, float]] = {}

    # the constants of the proof, replaceable so that the tests can plant faults
    spectral = staticmethod(spectral_norm)
    simple = staticmethod(simple_norm)
    convolution = staticmethod(convolution_norm)
    overlap = staticmethod(overlap)

    def samples(self, tensor: torch.Tensor, axis: int = 0) -> Ball:
        """Data, lifted: ``axis`` runs over samples, each of which has a norm of its own."""
        x = self.lift(tensor)
        return self._with(x, axis, x.shape[axis] if x.shape else 0, None)

    # bookkeeping --------------------------------------------------------------------------------------------
    def _with(self, x: Ball, axis: int | None, count: int, norm: Floats | float | None) -> Ball:
        """The ball with the smaller of a given norm and that of its radii, and no radius above it."""
        if axis is None or not count or not x.shape or x.shape[axis] % count:
            return Ball(x.center, x.radius)
        if x.radius is None:
            return NormBall(x.center, None, None, axis)
        own = self._norm(x.radius, axis, count)
        if norm is None:
            return NormBall(x.center, x.radius, own, axis)
        smaller = np.fmin(np.broadcast_to(norm, own.shape), own)  # NaN: nothing is known
        radius = x.radius
        if bool(np.any(smaller < 0.5 * own)):  # else few radii, if any, exceed it
            radius = np.minimum(radius, self._spread(smaller, x.shape, axis))
        return NormBall(x.center, radius, smaller, axis)

    def _norm(self, entries: Floats, axis: int, count: int) -> Floats:
        """Upper bounds of the 2-norms of the entries of each run: a sum of D squares and a root."""
        repeated = 1
        if axis or not entries.flags.c_contiguous:
            steps = zip(entries.strides, range(entries.ndim), strict=True)
            whole = entries.size
            entries = entries[tuple(slice(0, 1) if step == 0 and k != axis else slice(None) for step, k in steps)]
            repeated = whole // max(1, entries.size)
            entries = np.moveaxis(entries, axis, 0)
        rows = entries.reshape(count, -1)
        with np.errstate(all="ignore"):
            found = np.sqrt(np.einsum("ni,ni->n", rows, rows) * float(repeated)) * self.inflation(rows.shape[1])
        return found + FLOOR

    def _spread(self, per_sample: Floats, shape: Sequence[int], axis: int) -> Floats:
        """One number for each run, laid along the axis of samples."""
        along = np.repeat(per_sample, shape[axis] // per_sample.size) if per_sample.size else per_sample
        return along.reshape(tuple(-1 if k == axis else 1 for k in range(len(shape))))

    def _most(self, entries: Floats, axis: int, count: int) -> Floats | float:
        """The largest |entry| of each run."""
        compact = entries[tuple(slice(0, 1) if step == 0 else slice(None) for step in entries.strides)]
        if compact.shape[axis] == 1:
            return float(np.max(np.abs(compact), initial=0.0))
        rows = np.moveaxis(compact, axis, 0).reshape(count, -1)
        return np.maximum(np.max(rows, axis=1, initial=0.0), -np.min(rows, axis=1, initial=0.0))

    def _place(self, *xs: Ball) -> tuple[int | None, int]:
        """Axis and number of samples of the first operand that has them."""
        for x in xs:
            if isinstance(x, NormBall):
                return x.axis, x.samples
        return None, 0

    def _deviation(self, x: Ball, axis: int, count: int) -> Floats | float:
        """R of an operand, by the samples of another."""
        if x.radius is None:
            return 0.0
        if isinstance(x, NormBall) and x.axis == axis and x.norm is not None and x.norm.size == count:
            return x.norm
        return self._norm(x.radius, axis, count)

    def _rounding(self, center: Floats, axis: int, count: int) -> Floats:
        """u‖c‖: what one rounding of each entry changes."""
        return self._norm(center, axis, count) * self.unit

    def _tracked(self, result: Ball, norm: Callable[[int, int], Floats | float], *operands: Ball) -> Ball:
        """The result with the norm that a rule gives for the samples of the operands."""
        axis, count = self._place(*operands)
        return self._bounded(result, axis, count, norm)

    def _bounded(self, result: Ball, axis: int | None, count: int, norm: Callable[[int, int], Floats | float]) -> Ball:
        """The result with the norm that a rule gives for these samples."""
        if axis is None or not count or result.radius is None:
            return self._with(result, axis, count, None)
        with np.errstate(all="ignore"):
            return self._with(result, axis, count, np.asarray(norm(axis, count)) * self.inflation(32) + FLOOR)

    # structure ----------------------------------------------------------------------------------------------
    def _moved(self, x: Ball, result: Ball, axis: int | None, factor: float = 1.0) -> Ball:
        """Entries that were moved, each to at most factor² places: the norms times that factor."""
        if not isinstance(x, NormBall):
            return Ball(result.center, result.radius)
        norm = None if x.norm is None else x.norm * factor
        if factor != 1.0 and norm is not None:
            norm = norm * self.inflation(0)
        return self._with(result, axis, x.samples, norm)

    def reshape(self, x: Ball, shape: Sequence[int]) -> Ball:
        """Row-major reshape; samples stay apart where some axis begins and ends with them."""
        result = super().reshape(x, shape)
        if not isinstance(x, NormBall):
            return result
        before = math.prod(x.shape[: x.axis])
        inner = math.prod(x.shape[x.axis :]) // max(1, x.samples)  # entries in a row for each sample
        for axis, size in enumerate(result.shape):
            outer = math.prod(result.shape[:axis])
            below = math.prod(result.shape[axis + 1 :])
            if outer == before and below and inner % below == 0 and size * below == x.samples * inner:
                return self._moved(x, result, axis)
        return Ball(result.center, result.radius)

    def transpose(self, x: Ball, permutation: Sequence[int]) -> Ball:
        """Axes in another order."""
        result = super().transpose(x, permutation)
        return self._moved(x, result, list(permutation).index(x.axis) if isinstance(x, NormBall) else None)

    def broadcast(self, x: Ball, shape: Sequence[int]) -> Ball:
        """Right-aligned broadcasting: the norms grow by the root of the number of copies in a sample."""
        result = super().broadcast(x, shape)
        if not isinstance(x, NormBall):
            return result
        axis = x.axis + len(shape) - len(x.shape)
        if result.shape[axis] != x.shape[x.axis]:
            return Ball(result.center, result.radius)
        return self._moved(x, result, axis, math.sqrt(result.center.size // max(1, x.center.size)))

    def concat(self, xs: Sequence[Ball], axis: int) -> Ball:
        """Concatenation: norms side by side along the axis of samples, else √(Σ R²)."""
        result = super().concat(xs, axis)
        place, _ = self._place(*xs)
        if place is None:
            return result
        if place == axis:
            parts = [x.norm for x in xs if isinstance(x, NormBall) and x.axis == axis and x.norm is not None]
            whole = len(parts) == len(xs) and all(n.size == x.shape[axis] for n, x in zip(parts, xs, strict=True))
            return self._with(result, axis, result.shape[axis], np.concatenate(parts) if whole else None)

        def norm(axis: int, count: int) -> Floats | float:
            return np.sqrt(sum(np.square(self._deviation(x, axis, count)) for x in xs)) * self.inflation(len(xs))

        return self._tracked(result, norm, *xs)

    def slice(self, x: Ball, axis: int, start: int, stop: int, step: int = 1) -> Ball:
        """Entries start, start + step, … below stop of one axis."""
        result = super().slice(x, axis, start, stop, step)
        if isinstance(x, NormBall) and x.axis == axis:
            single = x.norm is not None and x.norm.size == x.shape[axis]
            norm = x.norm[start:stop:step] if single and x.norm is not None else None
            return self._with(result, axis, result.shape[axis], norm)
        return self._moved(x, result, x.axis if isinstance(x, NormBall) else None)

    def pad(self, x: Ball, widths: Sequence[tuple[int, int]], value: float = 0.0) -> Ball:
        """Constant, exact padding before and after each axis."""
        result = super().pad(x, widths, value)
        if isinstance(x, NormBall) and any(widths[x.axis]):
            return self._with(result, x.axis, result.shape[x.axis], None)
        return self._moved(x, result, x.axis if isinstance(x, NormBall) else None)

    def take(self, x: Ball, indices: torch.Tensor, axis: int) -> Ball:
        """Entries of ``axis`` at integer ``indices``; what is looked up for a sample belongs to it."""
        result = super().take(x, indices, axis)
        if not isinstance(x, NormBall):
            found, place = self._indices.get(id(indices), (lambda: None, 0))
            return self._with(result, axis + place, indices.shape[place], None) if found() is indices else result
        if x.axis == axis:
            single = x.norm is not None and indices.ndim == 1 and x.norm.size == x.shape[axis]
            norm = x.norm[indices.cpu().numpy()] if single and x.norm is not None else None
            return self._with(result, axis, result.shape[axis], norm)
        most = int(torch.bincount(indices.reshape(-1)).max()) if indices.numel() else 1
        return self._moved(x, result, x.axis + (indices.ndim - 1 if x.axis > axis else 0), math.sqrt(most))

    def pick(self, x: Ball, axis: int, indices: torch.Tensor) -> Ball:
        """One entry along ``axis`` for each integer index."""
        result = super().pick(x, axis, indices)
        if not isinstance(x, NormBall) or x.axis == axis:
            return Ball(result.center, result.radius)
        return self._moved(x, result, x.axis, math.sqrt(indices.shape[axis]))

    def windows(self, x: Ball, kernel: Sequence[int], *, stride: Sequence[int], dilation: Sequence[int]) -> Ball:
        """Sliding windows over trailing axes: each position is in at most ``overlap`` of them."""
        result = super().windows(x, kernel, stride=stride, dilation=dilation)
        if not isinstance(x, NormBall) or x.axis >= len(x.shape) - len(kernel):
            return Ball(result.center, result.radius)
        return self._moved(x, result, x.axis, math.sqrt(self.overlap(kernel, stride, dilation)))

    def integers(self, x: Ball) -> torch.Tensor:
        """The values as int64; what they index belongs to their samples."""
        result = super().integers(x)
        if isinstance(x, NormBall):
            self._indices = {key: entry for key, entry in self._indices.items() if entry[0]() is not None}
            self._indices[id(result)] = (ref(result), x.axis)
        return result

    # field --------------------------------------------------------------------------------------------------
    def _visible(self, what: str, operation: Any, x: Ball, y: Ball, center: Floats, radius: Floats | None) -> Ball:
        """Sums: ‖δ_x + δ_y‖ ≤ R_x + R_y, and u‖c‖ for rounding."""
        result = super()._visible(what, operation, x, y, center, radius)
        return self._tracked(
            result,
            lambda *at: self._deviation(x, *at) + self._deviation(y, *at) + self._rounding(center, *at),
            x,
            y,
        )

    def neg(self, x: Ball) -> Ball:
        """Negative, exactly."""
        return self._moved(x, super().neg(x), x.axis if isinstance(x, NormBall) else None)

    def _scaled(self, x: Ball, factor: float) -> Ball:
        """A product with one number s: |s|·R and u‖c‖."""
        result = super()._scaled(x, factor)
        return self._tracked(
            result,
            lambda *at: abs(factor) * self._deviation(x, *at) + self._rounding(result.center, *at),
            x,
        )

    def mul(self, x: Ball, y: Ball) -> Ball:
        """Products: xy − c_x c_y = (c_x + δ_x)·δ_y + c_y·δ_x, so max(|c_x| + r_x)·R_y + max|c_y|·R_x, and u‖c‖."""
        result = super().mul(x, y)

        def norm(axis: int, count: int) -> Floats | float:
            at = (axis, count)
            left, right = self._most(x.center, *at), self._most(y.center, *at)
            if x.radius is not None and y.radius is not None:
                left = left + self._most(x.radius, *at)
            crossed = left * self._deviation(y, *at) + right * self._deviation(x, *at)
            return crossed + self._rounding(result.center, *at)

        return self._tracked(result, norm, x, y)

    def div(self, x: Ball, y: Ball) -> Ball:
        """Quotients: x/y − c_x/c_y = (δ_x − q·δ_y)/y, so (R_x + max|q|·R_y)/min(|c_y| − r_y), and u‖q‖ for rounding.

        The computed q is within 2u of the exact quotient, relatively, or within TINY.
        """
        result = super().div(x, y)

        def norm(axis: int, count: int) -> Floats | float:
            at = (axis, count)
            distance = np.abs(y.center) if y.radius is None else np.abs(y.center) - y.radius
            shrink = self._most(1.0 / distance, *at) * (1.0 + 2.0**-50)
            quotient = self._most(result.center, *at) * (1.0 + 2.0**-50) + TINY
            crossed = self._deviation(x, *at) + quotient * self._deviation(y, *at)
            return shrink * crossed + self._rounding(result.center, *at)

        return self._tracked(result, norm, x, y)

    def sum(self, x: Ball, axes: Sequence[int]) -> Ball:
        """Sums of n entries: √n·R, and γ_n√n‖c‖ for rounding, since Σ|c| ≤ √n‖c‖ in each of them."""
        result = super().sum(x, axes)
        if not isinstance(x, NormBall) or x.axis in axes:
            return Ball(result.center, result.radius)
        terms = math.prod(x.shape[k] for k in axes)
        place = x.axis - sum(k < x.axis for k in axes)
        if x.radius is None or terms == 1:
            return self._moved(x, result, place) if terms == 1 else self._with(result, place, x.samples, None)
        with np.errstate(all="ignore"):
            reach = self._deviation(x, x.axis, x.samples) + self.growth(terms) * self._norm(x.center, x.axis, x.samples)
            return self._with(result, place, x.samples, math.sqrt(terms) * reach * self.inflation(8) + FLOOR)

    # sums of products ---------------------------------------------------------------------------------------
    def _contracted(self, x: Ball, labels: str, y: Ball, others: str, pairing: Pairing) -> Ball:
        """A product of two operands; in what follows one sample at a time.

        *One of them, W, is shared by the samples.* With the axes that both keep as a batch, W is a stack of matrices
        that act on x: W(c + δ) + δ_W(c + δ) − Wc has a norm of at most σ(W)R + ‖δ_W‖_F(‖c‖ + R). An entry of the
        computed product is wrong by at most γ_n Σ|W||c|, together γ_n‖|W|‖‖c‖, with ‖|W|‖ from ``simple_norm``.

        *Both have samples.* ‖c_x‖_F R_y + (‖c_y‖_F + R_y)R_x, and γ_n‖c_x‖_F‖c_y‖_F for rounding: Frobenius norms bound
        sums of products of any two blocks of entries.
        """
        result = super()._contracted(x, labels, y, others, pairing)
        left = labels[x.axis] if isinstance(x, NormBall) else ""
        right = others[y.axis] if isinstance(y, NormBall) else ""
        rate = self.growth(math.prod(pairing.inner))
        if left and left == right and left in pairing.labels:
            assert isinstance(x, NormBall)
            assert isinstance(y, NormBall)
            place = pairing.labels.index(left)

            def both(axis: int, count: int) -> Floats | float:
                one, other = self._norm(x.center, x.axis, count), self._norm(y.center, y.axis, count)
                near, far = self._deviation(x, x.axis, count), self._deviation(y, y.axis, count)
                return one * far + (other + far) * near + rate * one * other

            return self._bounded(result, place, x.samples, both if x.samples == y.samples else _unknown)
        for data, label, weight, terms, turned in ((x, left, y, others, False), (y, right, x, labels, True)):
            if isinstance(data, NormBall) and label in pairing.labels and label not in terms:
                rule = self._through(data, weight, pairing, turned, rate)
                return self._bounded(result, pairing.labels.index(label), data.samples, rule)
        return Ball(result.center, result.radius)

    def _through(
        self, x: NormBall, weight: Ball, pairing: Pairing, turned: bool, rate: float
    ) -> Callable[[int, int], Floats | float]:
        order = pairing.left if turned else pairing.right
        batch, inner = math.prod(pairing.batch), math.prod(pairing.inner)

        def matrices(entries: Entries) -> Floats:
            stack = entries.transpose(order)
            return stack.reshape(batch, -1, inner) if turned else stack.reshape(batch, inner, -1)

        def norm(_axis: int, _count: int) -> Floats | float:
            stretch = self._cached("spectral", weight.center, order, lambda: self.spectral(matrices(weight.center)))
            absolute = self._cached("simple", weight.center, order, lambda: self.simple(matrices(weight.center)))
            near = self._deviation(x, x.axis, x.samples)
            size = self._norm(x.center, x.axis, x.samples)
            loose = 0.0 if weight.radius is None else self.simple(matrices(weight.radius))
            return stretch * near + loose * (size + near) + rate * absolute * size

        return norm

    def convolve(
        self,
        x: Ball,
        weight: Ball,
        *,
        stride: Sequence[int],
        padding: Sequence[int],
        dilation: Sequence[int],
        groups: int,
    ) -> Ball:
        """A convolution W(c + δ): as with a shared matrix, σ(W) from ``convolution_norm``.

        ‖|W|‖ and ‖δ_W‖ are at most √m times those of the kernel as a matrix, m = ``overlap``.
        """
        chosen: dict[str, Any] = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
        result = super().convolve(x, weight, **chosen)
        if not isinstance(x, NormBall) or x.axis != 0 or isinstance(weight, NormBall):
            return Ball(result.center, result.radius)
        outs, *_, kernel = weight.shape[0], weight.shape[2:]
        rate = self.growth(math.prod(weight.shape[1:]))
        copies = math.sqrt(self.overlap(kernel, stride, dilation))
        key = (tuple(stride), tuple(dilation), groups)

        def windows(entries: Floats) -> Floats:
            return entries.reshape(groups, outs // groups, -1)

        def norm(axis: int, count: int) -> Floats | float:
            stretch = self._cached(
                "convolution", weight.center, key, lambda: self.convolution(weight.center, stride, dilation, groups)
            )
            absolute = self._cached("simple", weight.center, key, lambda: self.simple(windows(weight.center))) * copies
            near, size = self._deviation(x, axis, count), self._norm(x.center, axis, count)
            loose = 0.0 if weight.radius is None else self.simple(windows(weight.radius)) * copies
            return stretch * near + loose * (size + near) + rate * absolute * size

        return self._bounded(result, 0, x.samples, norm)

    def _cached(self, kind: str, entries: Floats, layout: Any, compute: Callable[[], float]) -> float:
        """A norm of a parameter, computed once; the array is kept, so that no other takes its place in memory."""
        key = (kind, entries.__array_interface__["data"][0], entries.shape, entries.strides, layout)
        if key not in self._known:
            while len(self._known) >= 512:
                del self._known[next(iter(self._known))]
            self._known[key] = (entries, compute())
        return self._known[key][1]

    # order --------------------------------------------------------------------------------------------------
    def maximum(self, x: Ball, y: Ball) -> Ball:
        """Larger of two: |δ| ≤ max(|δ_x|, |δ_y|) in each entry, so √(R_x² + R_y²)."""
        return self._tracked(super().maximum(x, y), lambda *at: self._either(x, y, *at), x, y)

    def _either(self, x: Ball, y: Ball, axis: int, count: int) -> Floats | float:
        """√(R_x² + R_y²), as one of them where the other is zero."""
        left, right = self._deviation(x, axis, count), self._deviation(y, axis, count)
        if x.radius is None or y.radius is None:
            return left + right
        return np.hypot(left, right)

    def where(self, condition: Ball, x: Ball, y: Ball) -> Ball:
        """A choice between two: each entry's deviation is that of one of them."""
        return self._tracked(super().where(condition, x, y), lambda *at: self._either(x, y, *at), x, y, condition)

    def relu(self, x: Ball) -> Ball:
        """Larger of the entry and zero: 1-Lipschitz."""
        return self._tracked(super().relu(x), lambda *at: self._deviation(x, *at), x)

    def amax(self, x: Ball, axes: Sequence[int]) -> Ball:
        """Largest over axes: it changes no more than some entry of its group does, and the groups share none."""
        result = super().amax(x, axes)
        if not isinstance(x, NormBall) or x.axis in axes:
            return Ball(result.center, result.radius)
        return self._with(result, x.axis - sum(k < x.axis for k in axes), x.samples, x.norm)

    def _group(self, x: Ball, axes: Sequence[int]) -> Floats:
        """2-norms of the deviations along axes: R of the sample where that is smaller."""
        found = super()._group(x, axes)
        if not isinstance(x, NormBall) or x.norm is None or x.axis in axes:
            return found
        return np.fmin(found, self._spread(x.norm, x.shape, x.axis))

    # functions ----------------------------------------------------------------------------------------------
    def softmax(self, x: Ball, axis: int, safe: bool = False) -> Ball:
        """Softmax: its derivative diag(p) − ppᵀ has row sums of at most 2p(1 − p) ≤ 1/2, so R/2."""
        result = super().softmax(x, axis, safe)
        if safe or x.radius is None:  # a safe one is a softmax of chosen entries, and a choice
            return result
        own = super().softmax(Ball(x.center), axis).radius

        def norm(place: int, count: int) -> Floats | float:
            return math.inf if place == axis else 0.5 * self._deviation(x, place, count) + self._own(own, place, count)

        return self._tracked(result, norm, x)

    def log_softmax(self, x: Ball, axis: int) -> Ball:
        """Logarithm of the softmax; see ``_log_reach``."""
        place, count = self._place(x)
        return self._with(
            super().log_softmax(Ball(x.center, x.radius) if place is None else x, axis), place, count, None
        )

    def _log_reach(self, x: Ball, axis: int, weight: Floats) -> Floats:
        """The j-th value has the gradient e_j − p, whose norm is at most √2: it moves by at most √2·R of its row."""
        limit = self._group(x, (axis,)) * (math.sqrt(2.0) * self.inflation(0))
        return np.minimum(super()._log_reach(x, axis, weight), limit)

    def normalise(self, x: Ball, axes: Sequence[int], eps: float, kind: str) -> Ball:
        """Normalisation: R over the smallest root in the sample, see ``BallArithmetic.normalise``."""
        value, slope, own = self._normalised(x, tuple(axes), eps, kind)
        if slope is None:
            return self._with(value, *self._place(x), None)

        def norm(axis: int, count: int) -> Floats | float:
            if axis in axes:
                return math.inf
            steep = self._most(np.broadcast_to(slope, x.shape), axis, count)
            return steep * self._deviation(x, axis, count) + self._own(own, axis, count)

        return self._tracked(value, norm, x)

    def _own(self, error: Floats | None, axis: int, count: int) -> Floats | float:
        """2-norms of the errors of evaluation."""
        return 0.0 if error is None else self._norm(error, axis, count)

    def function(self, name: str, x: Ball) -> Ball:
        """Elementary functions: L·R and √D times the error of evaluation, for those in ``LIPSCHITZ``."""
        result = super().function(name, Ball(x.center, x.radius))
        if name not in LIPSCHITZ:
            axis, count = self._place(x)
            return self._with(result, axis, count, None)
        lipschitz, error = LIPSCHITZ[name]

        def norm(axis: int, count: int) -> Floats | float:
            own = (error + TINY) * math.sqrt(x.center.size // count) if error else 0.0
            return lipschitz * self._deviation(x, axis, count) + own

        return self._tracked(result, norm, x)


def _unknown(_axis: int, _count: int) -> float:
    return math.inf
