"""The error function of balls, by Taylor polynomials around the multiples of 1/8.

With x_k = k/8 nearest to |c| and d = |c| − x_k, which is exact, |d| ≤ 1/16,

    erf |c| = Σ a_j d^j,  a_0 = erf x_k,  a_j = (−1)^(j−1) · 2/√π · H_(j−1)(x_k) · e^(−x_k²) / j!

with Hermite polynomials H. The coefficients are computed in integers when they are first needed.
"""

from __future__ import annotations

import math
from fractions import Fraction
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from orbitope.arithmetic._elementary import Parts, exp_point
from orbitope.arithmetic._rounding import TINY, U, inflation

Floats = NDArray[np.float64]

DEGREE = 11
"""Of the polynomials."""

LAST = 48
"""Largest k: from 6 + 1/16 on, erf is 1 within 1 − erf 6 < 2.2e-17."""

ERF_ERROR = 4 * U
"""Absolute error of ``erf`` at a float; relative to the value where k = 0."""

SLOPE = 1.1283792
"""Above 2/√π, the largest derivative."""

_BITS = 256
_PI = Fraction(31415926535897932384626433832795028841971693993751058209749445923, 10**64)


def erf_point(c: Floats) -> tuple[Floats, Floats]:
    """The error function of exact c, and an upper bound of the error made.

    * Cramér's inequality |H_n(x)| ≤ 1.0865·2^(n/2)·√n!·e^(x²/2) gives |a_j| ≤ 1.2260·2^((j−1)/2)·√(j−1)!/j!, so what
      the polynomial leaves out, Σ |a_j|16^−j over j > 11, is below 3e-18 < 0.03u.
    * Horner's scheme q_j = fl(a_j + fl(q_(j+1)·d)), |q_1| < 1.2: a_0 < 1 is rounded by at most u/2, the last sum of at
      most 1 + 1/16 by u, the last product by u·1.2/16; and q_1, wrong by at most (2 + 2/16 + …)·1.2u < 3u, is
      multiplied by 1/16. Together less than 2u, so less than ``ERF_ERROR``.
    * For k = 0, a_0 and all even a_j vanish, and the value is q_1·d with q_1 > 1.12. As q_2 < 0.1, q_1 is wrong by at
      most 2.1u, and the product is rounded: relatively less than 3u. What is left out has a factor d¹³.

    The tests evaluate these bounds in rationals and compare every table entry with Arb.
    """
    size = np.minimum(np.abs(c), LAST / 8 + 1 / 16)
    k = np.minimum(np.rint(size * 8.0), LAST)
    d = size - k / 8.0
    row = k.astype(np.intp)
    table = coefficients()
    value = np.take(table[DEGREE], row)
    for j in range(DEGREE - 1, -1, -1):
        value *= d
        value += np.take(table[j], row)
    beyond = np.abs(c) >= LAST / 8 + 1 / 16
    value[beyond] = 1.0
    error = np.where(row == 0, ERF_ERROR * value, ERF_ERROR) + TINY
    return np.copysign(value, c), error


def erf(c: Floats, r: Floats | None) -> Parts:
    """The error function for x in the ball.

    The derivative 2/√π·e^(−x²) is at most 2/√π, its own at most 4/√π·e^(−1/2)/√2 < 0.97 in size: so |erf x − erf c| ≤
    r·min(2/√π, 2/√π·e^(−c²) + 0.97r). c² is rounded once, which changes e^(−c²) relatively by less than 708u where it
    is not below TINY.
    """
    center, error = erf_point(c)
    if r is not None:
        steep = SLOPE * exp_point(-(c * c)) * (1.0 + 1024 * U) + TINY
        error = error + r * np.minimum(SLOPE, steep + 0.97 * r)
    error *= inflation(0)
    return center, np.minimum(error, 2.0)


@lru_cache(maxsize=1)
def coefficients() -> tuple[Floats, ...]:
    """a_j at all x_k, for every j: the floats nearest to them.

    Integers count units of 2⁻²⁵⁶. The alternating series of erf has terms below e³⁶ < 2⁵², and fewer than 200 of them
    until they vanish; each is cut off once, and so is each of e^(−x²), which is 1/e^(x²) by a series without
    cancellation. What is lost stays below 2⁻¹⁸⁰, far below half a unit of any float in the table that is not zero.
    """
    rows = [_row(Fraction(k, 8)) for k in range(LAST + 1)]
    return tuple(np.array([float(row[j]) for row in rows]) for j in range(DEGREE + 1))


def _row(x: Fraction) -> list[Fraction]:
    unit = 1 << _BITS
    factor = 2 * _inverse_root_of_pi()
    bell = Fraction(unit, _series(x * x, alternating=False)) if x else Fraction(1)
    odd = Fraction(_series(x * x, alternating=True), unit) * x
    values = [odd * factor]
    before, here = Fraction(0), Fraction(1)  # H_−1, H_0
    for j in range(1, DEGREE + 1):
        values.append((-1) ** (j - 1) * factor * here * bell / math.factorial(j))
        before, here = here, 2 * x * here - 2 * (j - 1) * before
    return values


def _series(square: Fraction, alternating: bool) -> int:
    """Σ s^n/n!, or Σ (−s)^n/(n!(2n + 1)), in units of 2⁻²⁵⁶."""
    term, total, n = 1 << _BITS, 0, 0
    while term:
        total += (-1) ** n * (term // (2 * n + 1)) if alternating else term
        n += 1
        term = term * square.numerator // (square.denominator * n)
    return total


def _inverse_root_of_pi() -> Fraction:
    """1/√π within 2⁻²⁰⁰."""
    root = math.isqrt(int(_PI * (1 << (2 * _BITS))))
    return Fraction(1 << _BITS, root)
