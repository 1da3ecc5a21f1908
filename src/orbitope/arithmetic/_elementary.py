"""Elementary functions of balls, with errors that are proved here and not taken from a mathematics library.

All functions take a vector of midpoints and one of radii (None: exact) and return both; operands are finite.
Every docstring derives its bound; u = 2⁻⁵³, and ``(1 + 16u)`` absorbs the at most seven roundings of a
radius.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from orbitope.arithmetic._rounding import TINY, U, inflation
from orbitope.errors import EnclosureError

Floats = NDArray[np.float64]
Parts = tuple[Floats, Floats | None]

LN2_HIGH = float.fromhex("0x1.62e42feep-1")
"""The leading bits of ln 2, a multiple of 2⁻³²: products with integers below 2²¹ are exact."""

LN2_LOW = float.fromhex("0x1.a39ef35793c76p-33")
"""ln 2 − LN2_HIGH to within 2⁻⁸⁶."""

EXP_ERROR = 8 * U
"""Relative error of ``exp_point``; the proof gives 3.9u."""

TANH_ERROR = 20 * U
"""Absolute error of the quotient in ``tanh``."""

SIGMOID_ERROR = 12 * U
"""Relative error of the quotient in ``sigmoid``."""

EXP_LOWEST, EXP_HIGHEST = -695.0, 709.0
"""Below, exp is under TINY; above, it is refused, close to overflow."""

_INVERSE_LN2 = 1.4426950408889634
_FACTORIALS = (1, 1, 2, 6, 24, 120, 720, 5040, 40320, 362880, 3628800, 39916800, 479001600, 6227020800)
_TAYLOR = tuple(1.0 / factorial for factorial in _FACTORIALS)
_BLOCK = 1 << 13


def exp_point(x: Floats) -> Floats:
    """e^x for exact x ≤ ``EXP_HIGHEST``, within ``EXP_ERROR``·result + TINY.

    For x < ``EXP_LOWEST`` the result is 0, and 0 < e^x < e⁻⁶⁹⁵ < 2⁻¹⁰⁰² < TINY. Otherwise, with k an integer
    near x / ln 2, |k| < 1024:

    * t = x − k·LN2_HIGH is exact. For |x| < 1/4, k = 0. Else x is a multiple of 2⁻⁵⁴, k·LN2_HIGH is one too
      and exact, and |t| < 1/2, so t has at most 53 significant bits.
    * r = fl(t − fl(k·LN2_LOW)) differs from x − k ln 2 by at most u|r| + u·2⁻²² + 2⁻⁷⁶ < 0.36u, and |r| <
      0.35: the choice of k misses x / ln 2 by at most 1/2 + 2⁻⁴¹. This changes e^r relatively by less than
      0.37u.
    * The Taylor polynomial of degree 13 misses e^r by at most 0.35¹⁴/14!·(1 − 0.35/15)⁻¹ < 5e-18 < 0.05u.
    * Horner's scheme q_j = fl(fl(q_{j+1}·r) + fl(1/j!)) has an error e_j ≤ 0.35·e_{j+1} + u(0.35·Q_{j+1} +
      Q_j + 1/j!·[j > 2]) up to O(u²), where Q_j = Σ 0.35^i/(i + j)! bounds |q_j|. From j = 13 down to 0 this
      gives e_0 < 2.5u, which is relatively at most 2.43u/e^−0.35 < 3.45u.
    * The product with 2^k is exact: 2⁻¹⁰⁰⁴ < e^r·2^k < 2¹⁰²⁴.

    Together less than 3.9u of e^x, so less than ``EXP_ERROR`` of the computed value. The tests evaluate this
    recursion in rationals.
    """
    result = np.empty_like(x)
    for start in range(0, x.size, _BLOCK):  # blocks stay in cache through the two dozen passes
        part = x[start : start + _BLOCK]
        clipped = np.maximum(part, EXP_LOWEST)
        k = np.rint(clipped * _INVERSE_LN2)
        r = (clipped - k * LN2_HIGH) - k * LN2_LOW
        q = np.full_like(r, _TAYLOR[-1])
        for coefficient in reversed(_TAYLOR[:-1]):
            q *= r
            q += coefficient
        q *= ((k.astype(np.int64) + 1023) << 52).view(np.float64)  # 2^k, −1003 ≤ k ≤ 1023
        q[part < EXP_LOWEST] = 0.0
        result[start : start + _BLOCK] = q
    return result


def exp(c: Floats, r: Floats | None) -> Parts:
    """e^x for x in the ball.

    For r ≤ 1, |e^x − e^c| ≤ e^c(e^r − 1) ≤ e^c(r + r²), since (e^r − 1 − r)/r² increases to e − 2 < 1. For
    wider balls both e^x and the midpoint lie between 0 and an upper bound of e^(c+r).
    """
    if c.size and float(c.max()) > EXP_HIGHEST:
        raise _overflow("exp")
    center = exp_point(c)
    radius = EXP_ERROR * center + TINY
    if r is None:
        return center, radius
    radius += (radius + center) * (np.minimum(r, 1.0) * (1.0 + np.minimum(r, 1.0)))
    wide = r > 1.0
    if np.any(wide):
        top = np.nextafter(c[wide] + r[wide], np.inf)
        if float(top.max()) > EXP_HIGHEST:
            raise _overflow("exp")
        radius[wide] = exp_point(top) * (1.0 + 2.0 * EXP_ERROR) + 2.0 * TINY
    radius *= inflation(0)
    return center, radius


def log(c: Floats, r: Floats | None) -> Parts:
    """The natural logarithm for x in a ball of positive numbers, verified a posteriori.

    c = m·2^e with m in [1/2, 1). Let y be any guess of ln m. With E = exp_point(−y) and p = fl(m·E), m·e^(−y)
    = 1 + δ with |δ − (p − 1)| ≤ EXP_ERROR·mE + u·p, and p − 1 is exact for p in [1/2, 2]. So |δ| ≤ D = |p −
    1| + EXP_ERROR + 4u where p ≤ 1.1 (a worse guess is refused), and |ln m − y| = |ln(1 + δ)| ≤ D/(1 − D) ≤
    D(1 + 2D) for D ≤ 1/2. ln c = ln m + e·ln 2, of which e·LN2_HIGH is exact; two sums and one product round,
    and e·2⁻⁸⁶ < 2⁻⁷⁴. For the ball, |ln x − ln c| ≤ (r/c)/(1 − r/c) = r/(c − r).
    """
    if bool(np.any(c <= (0.0 if r is None else r))):
        raise EnclosureError("logarithm of an enclosure that is not positive", got=_lowest(c, r))
    m, e = np.frexp(c)
    y = np.clip(np.log(m), -1.0, 0.0)  # untrusted
    gap = np.abs(m * exp_point(-y) - 1.0) + (EXP_ERROR + 4 * U)
    if not bool(np.all(gap < 0.1)):
        raise EnclosureError("the mathematics library's logarithm is off by more than a tenth")
    low = e * LN2_LOW
    near = y + low
    center = near + e * LN2_HIGH
    radius = gap * (1.0 + 2.0 * gap) + U * (np.abs(low) + np.abs(near) + np.abs(center)) + 2.0**-74
    if r is not None:
        radius += r / (c - r)
    radius *= inflation(0)
    return center, radius


def tanh(c: Floats, r: Floats | None) -> Parts:
    """The hyperbolic tangent for x in the ball.

    With e = exp_point(−2|c|), |tanh c| = (1 − e)/(1 + e). Its derivative in e is at most 2 in absolute value,
    so the error of e, at most 8u, contributes 16u, and three roundings of a value below one contribute 3.1u:
    together less than ``TANH_ERROR``. Near zero c itself is closer: |c − tanh c| ≤ |c|³/3. For the ball, the
    derivative is at most 1 and, since |tanh″| ≤ 2·tanh′, at most tanh′(c)·e^(2r) ≤ tanh′(c)(1 + 2r + 4r²) for
    r ≤ 1/2, where tanh′(c) = 4e/(1 + e)² is computed relatively within 64u (and TINY).
    """
    e = exp_point(-2.0 * np.abs(c))
    center = np.copysign((1.0 - e) / (1.0 + e), c)
    size = np.minimum(np.abs(c), 1.0)
    cube = 0.34 * size * size * size
    small = cube < TANH_ERROR
    center = np.where(small, c, center)
    error = np.where(small, cube, TANH_ERROR) + TINY
    if r is not None:
        slope = 4.0 * e / ((1.0 + e) * (1.0 + e)) * (1.0 + 64 * U) + TINY
        error = error + r * _slope(slope, 2.0 * r, 1.0)
    error *= inflation(0)
    return center, np.minimum(error, 2.0)


def sigmoid(c: Floats, r: Floats | None) -> Parts:
    """1/(1 + e^−x) for x in the ball.

    With e = exp_point(−|c|): 1/(1 + e) for c ≥ 0, e/(1 + e) else. The relative error of e, at most 8u (and
    TINY), changes either relatively by at most 8u; two roundings add 2.1u: less than ``SIGMOID_ERROR``. For
    the ball, σ′ = σ(1 − σ) is at most 1/4 and, since |σ″| ≤ σ′, at most σ′(c)·e^r ≤ σ′(c)(1 + r + r²) for r ≤
    1.
    """
    e = exp_point(-np.abs(c))
    positive = 1.0 / (1.0 + e)
    negative = e / (1.0 + e)
    center = np.where(c >= 0.0, positive, negative)
    error = SIGMOID_ERROR * center + TINY
    if r is not None:
        slope = positive * negative * (1.0 + 64 * U) + TINY
        error += r * _slope(slope, r, 0.25)
    error *= inflation(0)
    return center, np.minimum(error, 1.0)


def _slope(slope: Floats, r: Floats, most: float) -> Floats:
    """slope·(1 + r + r²) where r ≤ 1, and never more than ``most``."""
    near = np.minimum(r, 1.0)
    return np.minimum(most, np.where(r <= 1.0, slope * (1.0 + near * (1.0 + near)), most))


def sqrt(c: Floats, r: Floats | None) -> Parts:
    """√x for x in a ball of non-negative numbers: |√x − √c| = |x − c|/(√x + √c) ≤ r/(√(c − r) + √c).

    IEEE 754 rounds the root of c correctly: it adds u·fl(√c).
    """
    if bool(np.any(c < 0.0 if r is None else c < r)):
        raise EnclosureError("square root of an enclosure that reaches below zero", got=_lowest(c, r))
    center = np.sqrt(c)
    radius = U * center
    if r is not None:
        below = np.sqrt(c - r) + center
        radius = radius + np.divide(r, below, out=np.zeros_like(center), where=below > 0.0) + TINY
    radius *= inflation(0)
    return center, radius


def absolute(c: Floats, r: Floats | None) -> Parts:
    """|x|: 1-Lipschitz, nothing rounds."""
    return np.abs(c), r


def floor(c: Floats, r: Floats | None) -> Parts:
    """⌊x⌋: exact where all points of the ball have the same floor, else the ball of the outermost two."""
    if r is None:
        return np.floor(c), None
    low = np.floor(np.where(r == 0.0, c, np.nextafter(c - r, -np.inf)))
    high = np.floor(np.where(r == 0.0, c, np.nextafter(c + r, np.inf)))
    center = low + 0.5 * (high - low)
    radius = np.maximum(high - center, center - low)
    open_ = low != high
    return center, np.where(open_, np.nextafter(radius, np.inf), 0.0) if bool(np.any(open_)) else None


FUNCTIONS: dict[str, Callable[[Floats, Floats | None], Parts]] = {
    "exp": exp,
    "log": log,
    "tanh": tanh,
    "sigmoid": sigmoid,
    "sqrt": sqrt,
    "abs": absolute,
    "floor": floor,
}


def _overflow(name: str) -> EnclosureError:
    return EnclosureError(
        f"the enclosure of {name} overflows",
        got=f"an argument that may exceed {EXP_HIGHEST}",
        why="float64 ends near e^709.8",
    )


def _lowest(c: Floats, r: Floats | None) -> str:
    at = int(np.argmin(c if r is None else c - r))
    return f"{float(c.flat[at])!r} ± {0.0 if r is None else float(r.flat[at])!r}"
