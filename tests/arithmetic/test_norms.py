"""Proven spectral norms, and norms of samples where they matter: the worst direction, deep networks."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import flint
import numpy as np
import pytest
import torch
from tests.arithmetic.campaign import EXACT, Campaign, floats, rational, rationals
from tests.arithmetic.rules import Rules

from orbitope.arithmetic import Ball, BallArithmetic, NormArithmetic, NormBall
from orbitope.arithmetic._rounding import U
from orbitope.arithmetic._spectral import convolution_norm, cosines, overlap, simple_norm, spectral_norm

NORMS = NormArithmetic()


# spectral norms -------------------------------------------------------------------------------------------------------
def _is_bound(bound: float, matrix: Any) -> bool:
    """Whether bound²·I − WᵀW has no negative eigenvalue: all leading minors positive, in rationals."""
    w = flint.fmpq_mat(*matrix.shape, [rational(float(v)) for v in matrix.ravel()])
    gram = w.transpose() * w
    size = gram.ncols()
    for k in range(1, size + 1):
        part = [[(rational(bound) ** 2 if i == j else flint.fmpq(0)) - gram[i, j] for j in range(k)] for i in range(k)]
        if flint.fmpq_mat(part).det() <= 0:
            return False
    return True


@pytest.mark.parametrize("kind", ["normal", "dyadic", "near_one", "power", "bf16", "tiny", "huge", "special", "range"])
def test_bounds_hold_in_rationals(kind: str) -> None:
    """Exactly, for small matrices of every kind; overflow gives infinity."""
    rng = np.random.default_rng(1)
    for _, (p, q) in itertools.product(range(6), [(3, 5), (5, 3), (4, 4), (1, 6), (6, 1), (1, 1)]):
        matrix = floats(rng, (p, q), kind)
        for bound in (spectral_norm(matrix[None]), simple_norm(matrix[None])):
            assert bound == math.inf or _is_bound(bound, matrix)


@pytest.mark.parametrize("shape", [(40, 70), (70, 40), (200, 30), (64, 64), (3, 20, 50), (5, 50, 20)])
def test_bounds_are_tight(shape: tuple[int, ...]) -> None:
    """Within one or two per cent of the singular value, for random and for rank-deficient matrices."""
    rng = np.random.default_rng(2)
    for k in range(3):
        matrix = rng.standard_normal(shape) * 10.0 ** (5 * k - 5)
        if k == 1:
            matrix[..., 1:] = matrix[..., :1]
        true = float(np.max(np.linalg.svd(matrix, compute_uv=False)))
        assert true * (1 - 1e-12) <= spectral_norm(matrix) <= 1.02 * true
    assert spectral_norm(np.zeros(shape)) < 1e-100
    assert spectral_norm(np.ones((7, 9))) <= math.sqrt(63) * (1 + 1e-5)


def test_cosines_are_within_a_unit() -> None:
    """Against Arb."""
    for count in (1, 2, 4, 16, 32, 256):
        with flint.ctx.workprec(200):
            for j, value in enumerate(cosines(count)):
                assert abs(flint.arb(value) - flint.arb.cos_pi_fmpq(flint.fmpq(2 * j, count))) <= flint.arb(U)


def test_overlap_counts_windows() -> None:
    """By brute force over positions."""
    for k, s, d in itertools.product(range(1, 6), range(1, 5), range(1, 5)):
        reads = [o * s + d * j for o in range(60) for j in range(k)]
        most = max(reads.count(i) for i in range(60))
        assert most <= overlap((k,), (s,), (d,))
        assert overlap((k,), (s,), (d,)) - most <= 0


def _matrix(kernel: Any, size: tuple[int, ...], **chosen: Any) -> Any:
    """A convolution as an explicit matrix."""
    channels = kernel.shape[1] * chosen["groups"]
    space = math.prod(size)
    basis = torch.eye(channels * space, dtype=torch.float64).reshape(-1, channels, *size)
    convolve = {1: torch.nn.functional.conv1d, 2: torch.nn.functional.conv2d}[len(size)]
    return convolve(basis, torch.tensor(kernel), **chosen).reshape(channels * space, -1).numpy()


CASES: list[tuple[tuple[int, ...], int, int, int, int]] = [
    # kernel, size, stride, dilation, groups
    ((4, 3, 3), 40, 1, 1, 1),
    ((4, 2, 3), 41, 1, 2, 2),
    ((3, 3, 5), 40, 2, 1, 1),
    ((2, 3, 4), 40, 3, 2, 1),
    ((5, 2, 2), 40, 2, 1, 1),
    ((3, 2, 3, 3), 10, 1, 1, 1),
    ((3, 2, 3, 3), 11, 2, 1, 1),
    ((4, 2, 2, 2), 10, 2, 1, 2),
]


@pytest.mark.parametrize(("shape", "size", "stride", "dilation", "groups"), CASES)
def test_norms_of_convolutions(shape: tuple[int, ...], size: int, stride: int, dilation: int, groups: int) -> None:
    """Above the largest singular value of the explicit matrix, and not far above it on a large input."""
    rng = np.random.default_rng(3)
    space = len(shape) - 2
    for _ in range(4):
        kernel = rng.standard_normal(shape)
        bound = convolution_norm(kernel, (stride,) * space, (dilation,) * space, groups)
        chosen = {"stride": stride, "dilation": dilation, "padding": 1, "groups": groups}
        true = float(np.linalg.svd(_matrix(kernel, (size,) * space, **chosen), compute_uv=False)[0])
        assert true * (1 - 1e-12) <= bound <= (1.06 if space == 1 else 1.35) * true


def test_the_largest_frequency_may_lie_between_those_tried() -> None:
    """Without the division by the cosine the grid's largest value would be too small."""
    found = 0
    for seed in range(20):
        kernel = np.random.default_rng(seed).standard_normal((1, 1, 5))
        bound = convolution_norm(kernel, (1,), (1,), 1)
        true = float(np.linalg.svd(_matrix(kernel, (400,), stride=1, groups=1), compute_uv=False)[0])
        assert true <= bound
        found += bound * (cosines(64)[2]) < true * (1 - 1e-9)
    assert found >= 1


# deviations along the worst direction --------------------------------------------------------------------------------
def _aligned(arithmetic: NormArithmetic, kind: str, seed: int) -> Campaign:
    """One linear map whose operand deviates along its first right singular vector, as far as the norm allows."""
    rng, campaign = np.random.default_rng(seed), Campaign(arithmetic, seed)
    if kind == "dense":
        w = rng.standard_normal((7, 12))
        matrix = w
    else:
        w = rng.standard_normal((2, 1, 3))
        matrix = _matrix(w, (24,), stride=1, padding=1, groups=1).T
    direction = np.linalg.svd(matrix)[2][0]
    reach = 1e-3
    center = rng.standard_normal(direction.shape)
    moved = rationals(direction * reach * (1 - 1e-12))
    assert sum((v * v for v in moved), flint.fmpq(0)) <= rational(reach) ** 2
    shape = (1, 12) if kind == "dense" else (1, 1, 24)
    x = NormBall(center.reshape(shape), np.full(shape, reach), np.array([reach]), 0)
    point = EXACT.add(rationals(center.reshape(shape)), moved.reshape(shape))

    def apply(a: Any, v: Any) -> Any:
        if kind == "dense":
            return a.contract("bi,oi->bo", v)
        return a.convolve(*v, stride=(1,), padding=(1,), dilation=(1,), groups=1)

    result = apply(arithmetic, [x, Ball(w)])
    campaign.compare(kind, result, apply(EXACT, [point, rationals(w)]))
    assert isinstance(result, NormBall) and result.norm is not None
    length = float(np.linalg.norm(matrix @ direction)) * reach
    assert result.norm[0] <= 1.1 * length
    return campaign


@pytest.mark.parametrize("kind", ["dense", "convolution"])
def test_the_worst_direction_is_enclosed(kind: str) -> None:
    """And the bound is at most a tenth above what it reaches."""
    for seed in range(8):
        assert not _aligned(NORMS, kind, seed).escapes


def test_deep_networks_stay_narrow() -> None:
    """Twelve orthogonal layers: entry by entry the radii grow by 2/π·√n each, the norm not at all."""
    rng = np.random.default_rng(4)
    x: Ball = NORMS.samples(torch.tensor(rng.standard_normal((20, 64))))
    y: Ball = Ball(x.center)
    plain = BallArithmetic()
    for _ in range(12):
        w = Ball(np.linalg.qr(rng.standard_normal((64, 64)))[0])
        x = NORMS.function("tanh", NORMS.contract("bi,oi->bo", [x, w]))
        y = plain.function("tanh", plain.contract("bi,oi->bo", [y, w]))
    assert x.radius is not None and y.radius is not None
    assert np.array_equal(x.center, y.center)
    assert x.radius.max() < 1e-3 * y.radius.max()


# planted faults -------------------------------------------------------------------------------------------------------
def _weaker(name: str, change: Callable[[float], float]) -> type[NormArithmetic]:
    original = getattr(NormArithmetic, name)
    return type(f"Weak_{name}", (NormArithmetic,), {name: staticmethod(lambda *args: change(original(*args)))})


class _OneRadius(NormArithmetic):
    """Takes the weight for exact."""

    def _through(self, x: NormBall, weight: Ball, *rest: Any) -> Any:
        return super()._through(x, Ball(weight.center), *rest)


class _Frobenius(NormArithmetic):
    """Takes the mean square for the sum of squares."""

    def _norm(self, entries: Any, axis: int, count: int) -> Any:
        return super()._norm(entries, axis, count) / math.sqrt(max(1, entries.size // count))


class _Softmax(NormArithmetic):
    """Lets the softmax forget that it moves all entries of a row."""

    def _log_reach(self, x: Ball, axis: int, weight: Any) -> Any:
        return 0.3 * super()._log_reach(x, axis, weight)


@pytest.mark.parametrize(
    ("fault", "part"),
    [
        (_weaker("spectral", lambda v: 0.95 * v), "dense"),
        (_weaker("convolution", lambda v: 0.9 * v), "convolution"),
        (_weaker("simple", lambda _: 0.0), Rules.sums_of_products),
        (_weaker("overlap", lambda _: 1), Rules.structure),
        (_OneRadius, Rules.sums_of_products),
        (_Frobenius, Rules.structure),
        (_Softmax, Rules.log_softmaxes),
    ],
)
def test_planted_faults_are_caught(fault: type[NormArithmetic], part: Any) -> None:
    """Each lets a value or a norm escape."""
    if isinstance(part, str):
        assert any(_aligned(fault(), part, seed).escapes for seed in range(8))
        return
    campaign = Rules(fault(), seed=5)
    for _ in range(4):
        part(campaign)
    assert campaign.escapes
