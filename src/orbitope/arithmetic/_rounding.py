"""Constants of binary64 rounding, and the test that this process rounds as IEEE 754 says.

What is relied on: addition, subtraction, multiplication, division and square root of float64 are rounded to
nearest with gradual underflow (IEEE 754), in NumPy's loops and in the BLAS it calls; ``rint``, ``frexp``,
``nextafter`` and comparisons are exact. A BLAS product is a sum of products in some order, each product
rounded or fused into an addition; Strassen, Winograd and emulated float64 are excluded (``growth`` would not
cover them), and NumPy's BLAS libraries use none of these for float64. Nothing is assumed of the
transcendental functions of any library.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
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


Matmul = Callable[[NDArray[np.float64], NDArray[np.float64]], NDArray[np.float64]]

_SIZE = 384
"""Of the matrices that are multiplied as a test: large enough for threads and for blocked algorithms."""


def require_ieee(matmul: Matmul = operator.matmul) -> None:
    """Refuse a process whose float64 is not that of the rounding bounds, in NumPy's loops or in BLAS and its threads.

    What is tried: subnormal results and operands; ties that tell the rounding modes apart; the last bit of products and
    sums; small entries beside large ones in a row and in a matrix, which emulation by fixed point and Strassen's
    algorithm lose.

    Args:
        matmul: the product of matrices that is tested.

    Raises:
        EnclosureError: which of these it is.
    """
    require_rounding()
    flushed, directed = _threads(matmul)
    if flushed:
        raise _flushes()
    if directed:
        raise _not_nearest()
    if _lossy(matmul):
        raise EnclosureError(
            "products of matrices in this process lose bits of float64",
            why="the rounding bounds hold for sums of correctly rounded products, not for a reduced precision, "
            "emulation or algorithms with fewer products",
            fix="switch the precision mode off, or install NumPy with a standard BLAS",
        )


def require_rounding() -> None:
    """The part of ``require_ieee`` that costs microseconds: this thread's flags.

    Raises:
        EnclosureError: subnormals are flushed to zero, or rounding is not to nearest.
    """
    small, least, one = np.array([2.0**-1022]), np.array([2.0**-1074]), np.array([1.0])
    if (small * 0.5) * 2.0 != small or least * 2.0**1000 != 2.0**-74 or least + least == 0.0:
        raise _flushes()
    half, three_halves = np.array([U]), np.array([3 * U])
    if one + half != one or one + three_halves != 1.0 + 4 * U or -one - three_halves != -1.0 - 4 * U:
        raise _not_nearest()


def _threads(matmul: Matmul) -> tuple[bool, bool]:
    """Whether a product of matrices flushes subnormals, and whether it rounds ties otherwise than to even."""
    left = np.empty((_SIZE, 2))
    left[:, 0], left[:, 1] = 2.0**-600, 0.0
    right = np.empty((2, _SIZE))
    right[0], right[1] = 2.0**-470, 0.0
    flushed = not bool(np.all(matmul(left, right) == 2.0**-1070))  # subnormal
    left[:, 0] = left[:, 1] = 1.0
    right[0] = 1.0
    directed = False
    for tie, even in ((U, 1.0), (3 * U, 1.0 + 4 * U)):
        right[1] = tie
        directed = directed or not bool(np.all(matmul(left, right) == even))
    return flushed, directed


def _lossy(matmul: Matmul) -> bool:
    """Whether products of matrices lose what every sum of correctly rounded products keeps."""
    fine = 1.0 + 2 * U
    left, right = np.zeros((_SIZE, _SIZE)), np.zeros((_SIZE, _SIZE))
    left[:, 0], left[:, 1], right[0], right[1] = fine, -1.0, 1.0, 1.0
    if not bool(np.all(matmul(left, right) == 2 * U)):  # 1 + 2u and 1 differ
        return True
    left[:, 0], left[:, 1], right[0], right[1] = 1.0, fine * 2.0**-300, 0.0, fine
    if not bool(np.all(matmul(left, right) == fine * fine * 2.0**-300)):  # beside 1, all bits of a small number
        return True
    half = _SIZE // 2
    scale = np.where(np.arange(_SIZE) < half, 2.0**200, 2.0**-200)
    return not np.array_equal(matmul(np.diag(scale), np.diag(scale)), np.diag(scale * scale))


def _flushes() -> EnclosureError:
    return EnclosureError(
        "this process flushes subnormal numbers to zero",
        why="the rounding bounds hold for IEEE 754 arithmetic with gradual underflow",
        fix="torch.set_flush_denormal(False), and avoid libraries built with -ffast-math",
    )


def _not_nearest() -> EnclosureError:
    return EnclosureError(
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
