"""Constants of binary64 rounding, and the test that this process rounds as IEEE 754 says.

What is relied on: addition, subtraction, multiplication, division and square root of float64 are rounded to
nearest with gradual underflow (IEEE 754), in NumPy's loops and in the BLAS it calls; ``rint``, ``frexp``,
``nextafter`` and comparisons are exact. A BLAS product is a sum of products in some order, each product
rounded or fused into an addition; Strassen, Winograd and emulated float64 are excluded (``growth`` would not
cover them), and NumPy's BLAS libraries use none of these for float64. Nothing is assumed of the
transcendental functions of any library.
"""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from orbitope.errors import EnclosureError

U = 2.0**-53
"""Unit roundoff u: fl(a ∘ b) = (a ∘ b)(1 + δ) with |δ| ≤ u, barring underflow."""

TINY = 2.0**-1000
"""Added wherever a product may have underflowed.

An underflow costs at most 2⁻¹⁰⁷⁵ per product, so this covers 2⁷⁴ of them. It is far above the subnormal
range, so that adding it to vanishing radii does not slow down the products they enter.
"""

MAX_TERMS = 2**40
"""Largest number of products in one entry for which the inflation below is proved."""


@lru_cache(maxsize=4096)
def growth(terms: int) -> float:
    """An upper bound of γ_n = n·u/(1 − n·u) for n = ``terms``, as a float.

    A sum of n products, evaluated in any order with or without fused operations, differs from the exact one
    by at most γ_n·Σ|aᵢbᵢ| plus underflow: each term passes through at most one rounding of its product and n
    − 1 of sums.

    Source: Higham 2002, chapter 3 [higham2002].
    """
    if not 0 <= terms <= MAX_TERMS:
        raise EnclosureError(f"a sum of {terms} products is too long for the proved rounding bounds")
    exact = Fraction(terms, 2**53 - terms)
    near = float(exact)
    return near if Fraction(near) >= exact else float(np.nextafter(near, np.inf))


def inflation(roundings: int) -> float:
    """The float 1 + (2n + 16)u, which makes up for n + 7 roundings of a sum of non-negative terms.

    If no term of a sum of non-negative terms passed through more than n + 6 roundings, then the computed sum
    is at least (1 − u)^(n+6) times the exact one, and the product with this factor rounds once more. With (1
    − u)^(n+7) ≥ 1 − (n + 7)u the result is at least 1 + (n + 9)u − (n + 7)(2n + 16)u² ≥ 1 times the exact sum
    for n ≤ 2⁴⁰. Being at least 1, the factor never makes a subnormal radius smaller.
    """
    if not 0 <= roundings <= MAX_TERMS:
        raise EnclosureError(f"{roundings} roundings are too many for the proved bounds")
    return 1.0 + (2 * roundings + 16) * U


def require_ieee() -> None:
    """Refuse a process that flushes subnormals to zero or does not round to nearest, BLAS threads included.

    Raises:
        EnclosureError: which of the two it is.
    """
    small, least, one = np.array([2.0**-1022]), np.array([2.0**-1074]), np.array([1.0])
    flushed = (small * 0.5) * 2.0 != small or least * 2.0**1000 != 2.0**-74 or least + least == 0.0
    half, three_halves = np.array([U]), np.array([3 * U])
    directed = one + half != one or one + three_halves != 1.0 + 4 * U or -one - three_halves != -1.0 - 4 * U
    # large enough to be shared among threads: 2⁻¹⁰⁷⁰ is subnormal; 1 + u and 1 + 3u are ties
    size = 384
    left = np.empty((size, 2))
    left[:, 0], left[:, 1] = 2.0**-600, 0.0
    right = np.empty((2, size))
    right[0], right[1] = 2.0**-470, 0.0
    flushed = bool(flushed) or not bool(np.all(left @ right == 2.0**-1070))
    left[:, 0] = left[:, 1] = 1.0
    right[0] = 1.0
    for tie, even in ((U, 1.0), (3 * U, 1.0 + 4 * U)):
        right[1] = tie
        directed = bool(directed) or not bool(np.all(left @ right == even))
    if flushed:
        raise EnclosureError(
            "this process flushes subnormal numbers to zero",
            why="the rounding bounds hold for IEEE 754 arithmetic with gradual underflow",
            fix="torch.set_flush_denormal(False), and avoid libraries built with -ffast-math",
        )
    if directed:
        raise EnclosureError(
            "this process does not round to nearest",
            why="the rounding bounds hold for IEEE 754 rounding to nearest, ties to even",
            fix="restore the rounding mode: fesetround(FE_TONEAREST)",
        )


def is_finite(x: NDArray[np.float64]) -> bool:
    """Whether no entry is infinite or NaN (which a sum hands on; the slow path is for sums that overflow)."""
    with np.errstate(all="ignore"):
        return bool(np.isfinite(np.sum(x))) or bool(np.isfinite(x).all())


def require_finite(what: str, center: NDArray[np.float64], radius: NDArray[np.float64] | None) -> None:
    """Refuse midpoints or radii that are infinite or NaN.

    Raises:
        EnclosureError: naming the operation.
    """
    if not is_finite(center) or (radius is not None and not is_finite(radius)):
        raise EnclosureError(
            f"the enclosure of {what} overflows",
            got="an infinite midpoint or radius, or NaN",
            why="an enclosure without a finite radius proves nothing",
            fix="check for infinite weights or data, or divisions by enclosures that contain zero",
        )
