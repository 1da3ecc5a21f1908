"""Proven upper bounds of the spectral norms of matrices and of convolutions.

The largest singular value σ(W) says how much W can stretch the 2-norm of a deviation. An eigenvalue routine gives no
bound; here every guess is verified: λI − WᵀW is shown to have no eigenvalue far below zero.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from orbitope.arithmetic._rounding import U, growth, inflation

Floats = NDArray[np.float64]

FLOOR = 2.0**-500
"""Added to every 2-norm: squares may underflow, and 2⁻¹⁰⁷⁵ lost in each of n < 2⁶⁰ changes the root by less."""

_GUESSES = (1.0 + 2.0**-20, 1.003, 1.01, 1.03, 1.1, 1.5)
_STEPS = 40
_WORK = 4e10
"""Multiply–adds up to which a convolution is bounded through its symbol."""


def simple_norm(stack: Floats) -> float:
    """An upper bound of σ for all matrices ``[…, p, q]``: min(‖W‖_F, √(‖W‖₁‖W‖_∞)), which holds for |W| too.

    The second is Schur's test. It takes sums of at most p + q numbers, one product and one root.
    """
    if not stack.size:
        return 0.0
    with np.errstate(all="ignore"):
        size = np.abs(stack)
        frobenius = np.sqrt(np.sum(size * size, axis=(-2, -1)))
        schur = np.sqrt(np.max(np.sum(size, axis=-2), axis=-1) * np.max(np.sum(size, axis=-1), axis=-1))
        bound = float(np.max(np.fmin(frobenius, schur)))
    terms = stack.shape[-1] * stack.shape[-2]
    return bound * inflation(terms) + FLOOR


def spectral_norm(stack: Floats) -> float:
    """An upper bound of σ for all matrices ``[…, p, q]``.

    With G = fl(WᵀW), both triangles alike, ‖G − WᵀW‖ ≤ ‖γ_p|W|ᵀ|W|‖_F ≤ γ_p‖W‖²_F. Let λ be any number, A = fl(λI − G),
    L any matrix (a Cholesky factor of A, if there is one) and E = fl(A − fl(LLᵀ)). Then A = LLᵀ + E + Δ with

        ‖Δ‖_F ≤ γ_q‖L‖²_F + u(‖E‖_F + ‖A‖_F),

    hence λI − G = A + D with ‖D‖ ≤ u·max|a_ii|, and as LLᵀ has no negative eigenvalue, λ_max(G) ≤ λ + ‖E‖_F + ‖Δ‖_F +
    ‖D‖. So σ² = λ_max(WᵀW) ≤ λ + ‖E‖_F(1 + u) + γ_q‖L‖²_F + 2u‖A‖_F + γ_p‖W‖²_F: nothing is assumed of the routine that
    made L. λ is guessed by power iteration; where no guess works, ``simple_norm`` remains.

    Guarantee: exact upper bound.
    Source: Rump 2006 [rump2006].
    """
    simple = simple_norm(stack)
    matrices = stack.reshape(-1, *stack.shape[-2:])
    if not matrices.size or min(matrices.shape[-2:]) == 0:
        return simple
    if matrices.shape[-2] < matrices.shape[-1]:
        matrices = matrices.transpose(0, 2, 1)
    if matrices.shape[-1] == 1:
        return min(simple, _longest(matrices[..., 0]))
    with np.errstate(all="ignore"):
        bound = _verified(np.ascontiguousarray(matrices))
    return min(simple, bound) if math.isfinite(bound) else simple


def _longest(rows: Floats) -> float:
    """An upper bound of the 2-norms of the rows."""
    with np.errstate(all="ignore"):
        return float(np.max(np.sqrt(np.sum(rows * rows, axis=-1)))) * inflation(rows.shape[-1]) + FLOOR


def _verified(matrices: Floats) -> float:
    """The bound of ``spectral_norm`` for ``[n, p, q]`` with p ≥ q, infinite where no guess works."""
    p, q = matrices.shape[-2:]
    gram = np.tril(matrices.transpose(0, 2, 1) @ matrices)
    gram += np.tril(gram, -1).transpose(0, 2, 1)
    whole = np.sum(matrices * matrices, axis=(1, 2))
    top = float(np.max(_largest_eigenvalue(gram)))
    if not 0.0 < top < 2.0**900:
        return math.inf
    for factor in _GUESSES:
        guess = top * factor
        shifted = guess * np.eye(q) - gram
        try:
            lower = np.linalg.cholesky(shifted)
        except np.linalg.LinAlgError:
            continue
        rest = shifted - lower @ lower.transpose(0, 2, 1)
        square = guess + _frobenius(rest) * (1.0 + 4 * U) + growth(q) * np.sum(lower * lower, axis=(1, 2))
        square = square + 2 * U * _frobenius(shifted) + growth(p) * whole
        return math.sqrt(float(np.max(square)) * inflation(p * q)) * inflation(0) + FLOOR
    return math.inf


def _frobenius(stack: Floats) -> Floats:
    return np.sqrt(np.sum(stack * stack, axis=(1, 2)))


def _largest_eigenvalue(gram: Floats) -> Floats:
    """A guess from below, by power iteration of the squared matrix."""
    vector = np.random.default_rng(0).standard_normal((gram.shape[0], gram.shape[1], 1))
    length: Any = np.ones((gram.shape[0], 1, 1))
    for _ in range(_STEPS):
        vector = gram @ vector
        length = np.sqrt(np.sum(vector * vector, axis=1, keepdims=True)) + FLOOR
        vector = vector / length
    return length[:, 0, 0]


# convolutions -----------------------------------------------------------------------------------------------
def overlap(kernel: Sequence[int], stride: Sequence[int], dilation: Sequence[int]) -> int:
    """In how many windows one position may lie.

    The window at o reads o·s + d·j for j < k, so position i is read for those j with d·j ≡ i (mod s): every
    (s/gcd(s, d))-th j at most.
    """
    counts = (-(-k // (s // math.gcd(s, d))) for k, s, d in zip(kernel, stride, dilation, strict=True))
    return math.prod(counts)


def convolution_norm(kernels: Floats, stride: Sequence[int], dilation: Sequence[int], groups: int) -> float:
    """An upper bound of the norm of a cross-correlation with ``[O, C/groups, *kernel]``, on inputs of any size.

    *Through windows.* y is W, the kernel as a matrix [O, C·k], times the window, and the windows together are at most
    √m as long as x, each position being in at most m = ``overlap`` of them: σ(W)·√m.

    *Through the symbol.* With d·j = s·q + φ, position o of y is the sum over j of K_j·x_φ[o + q], where x_φ[m] =
    x[s·m + φ] are the s phases of x, which share no entry. On inputs without end this is a convolution of stride 1 with
    C·s channels, whose norm is the largest of σ(Ŵ(ω)) over all frequencies, Ŵ(ω) = [Σ K_j e^{iqω}]_φ; a finite input,
    padded with zeros, is one that is zero elsewhere, and fewer outputs are read. The largest value is bounded from a
    grid of N frequencies along each axis: u*Ŵ(ω)v is a trigonometric polynomial of degree m = ⌈Q/2⌉, Q the largest q
    (times e^{−imω}, which changes no size). For a real one of degree m with maximum S at ω*, S(ω) ≥ S·cos(m(ω − ω*))
    for |ω − ω*| ≤ π/m (M. Riesz); the next grid point is within π/N, so that S is at most the largest value on the grid
    divided by cos(mπ/N). Applied to the real part of e^{iθ}u*Ŵv, one axis after the other. Conjugate frequencies have
    the same norms. A complex matrix A + iB has the norm of the real [[A, −B], [B, A]].

    Guarantee: exact upper bound, the smaller of both.
    Source: Sedghi, Gupta, Long 2019 [sedghi2019]; Riesz 1914 [riesz1914].
    """
    out_channels, per_group, *kernel = kernels.shape
    windows = kernels.reshape(groups, out_channels // groups, -1)
    through_windows = spectral_norm(windows) * math.sqrt(overlap(kernel, stride, dilation)) * inflation(0)
    steps = [(1, 1) if s == 1 else (s, d) for s, d in zip(stride, dilation, strict=True)]  # e^{idω} runs over the same
    reach = [d * (k - 1) // s for k, (s, d) in zip(kernel, steps, strict=True)]
    grid = [_frequencies(-(-q // 2)) for q in reach]
    channels = per_group * math.prod(s for s, _ in steps)
    size = 2 * min(out_channels // groups, channels)
    work = groups * math.prod(grid) * size * size * (8 * max(out_channels // groups, channels) + 2 * size)
    if work > _WORK:
        return through_windows
    parts, loss = _symbol(windows.reshape(groups, out_channels // groups, per_group, *kernel), steps, reach, grid)
    bound = spectral_norm(parts)
    for q, n in zip(reach, grid, strict=True):
        bound = bound / (cosines(2 * n)[-(-q // 2)] - 2 * U)  # cos(mπ/N)
    return min(through_windows, (bound + loss) * inflation(0))


def _frequencies(degree: int) -> int:
    """Points of the grid for trigonometric polynomials of a degree: a power of two."""
    return 1 if degree == 0 else 16 << max(0, (degree - 1).bit_length())


def _symbol(
    kernels: Floats, steps: Sequence[tuple[int, int]], reach: Sequence[int], grid: Sequence[int]
) -> tuple[Floats, float]:
    """Ŵ at the grid's frequencies as real matrices ``[…, 2·O, 2·C·phases]``, and a bound of what rounding changes.

    The last axis with more than one frequency runs over half of them. The product over the axes of e^{iqω} is a cosine
    and a sine of 2π times a fraction, known within u; with |K| summed over positions, an entry of A or of B is wrong by
    at most (γ_n + 2u)Σ|K_j|, and the embedding by at most √2 times the Frobenius norm of both, which is √2 times that
    of one. The norm is divided by one cosine for each axis, at least 0.98 each, and so is this: the factor 4 is ample.
    """
    space = len(steps)
    groups, outs, ins, *kernel = kernels.shape
    phases = [s for s, _ in steps]
    spread = np.zeros((groups, outs, ins, *phases, *(q + 1 for q in reach)))
    for position in np.ndindex(*kernel):
        moved = [divmod(d * j, s) for j, (s, d) in zip(position, steps, strict=True)]
        spread[(slice(None),) * 3 + tuple(f for _, f in moved) + tuple(q for q, _ in moved)] = kernels[
            (slice(None),) * 3 + position
        ]
    taps = math.prod(q + 1 for q in reach)
    matrix = spread.reshape(groups, outs, ins * math.prod(phases), taps)
    common = max(grid)
    table = np.asarray(cosines(common))
    halves = [n if n == 1 or k != _last(grid) else n // 2 + 1 for k, n in enumerate(grid)]
    frequencies = np.stack(np.meshgrid(*(np.arange(h) for h in halves), indexing="ij"), -1).reshape(-1, space)
    places = np.stack(np.meshgrid(*(np.arange(q + 1) for q in reach), indexing="ij"), -1).reshape(-1, space)
    turns = (frequencies * [common // n for n in grid]) @ places.T % common  # exact: whole numbers
    cosine, sine = table[turns], table[(turns - common // 4) % common] if common >= 4 else np.zeros(turns.shape)
    a = np.einsum("goct,ft->gfoc", matrix, cosine, optimize=True)
    b = np.einsum("goct,ft->gfoc", matrix, sine, optimize=True)
    embedded = np.concatenate((np.concatenate((a, -b), -1), np.concatenate((b, a), -1)), -2)
    whole = np.sqrt(np.max(np.sum(np.sum(np.abs(matrix), axis=-1) ** 2, axis=(1, 2)), initial=0.0))
    loss = 4.0 * 2.0 * (growth(taps + 2) + 2 * U) * float(whole) * inflation(matrix[0].size) + FLOOR
    return embedded, loss


def _last(grid: Sequence[int]) -> int:
    return max((k for k, n in enumerate(grid) if n > 1), default=-1)


_PI = Fraction(31415926535897932384626433832795028841971693993751, 10**49)


@lru_cache(maxsize=16)
def cosines(count: int) -> tuple[float, ...]:
    """cos(2πj/``count``) for all j, within u, by Taylor's series in rationals.

    The argument is at most π/4, as a cosine or as a sine; π is known within 10⁻⁴⁹ and the series ends below 10⁻³⁰, so
    that the nearest float is within u/2 + 10⁻²⁹.
    """
    return tuple(_cosine(Fraction(j, count)) for j in range(count))


def _cosine(turn: Fraction) -> float:
    """Of 2π·turn for 0 ≤ turn < 1."""
    turn = min(turn, 1 - turn)  # an even function of period 1
    if turn > Fraction(1, 4):
        return -_cosine(Fraction(1, 2) - turn)
    series = _sine_series if turn > Fraction(1, 8) else _cosine_series
    angle = 2 * _PI * (Fraction(1, 4) - turn if turn > Fraction(1, 8) else turn)
    return float(series(angle))


def _cosine_series(x: Fraction) -> Fraction:
    terms = ((-1) ** k * x ** (2 * k) / math.factorial(2 * k) for k in range(15))
    return sum(terms, Fraction(0))


def _sine_series(x: Fraction) -> Fraction:
    terms = ((-1) ** k * x ** (2 * k + 1) / math.factorial(2 * k + 1) for k in range(15))
    return sum(terms, Fraction(0))
