"""Arrays of balls, and what can be told of the floats in them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from orbitope.arithmetic._rounding import require_finite

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Ball:
    """An array of balls.

    Attributes:
        center: Float64[ndarray, "..."]; midpoints, finite.
        radius: Float64[ndarray, "..."] of the same shape, finite and not negative; None: the midpoints are
            exact.
    """

    center: Floats
    radius: Floats | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the array."""
        return self.center.shape

    def __repr__(self) -> str:
        """Shape and largest radius."""
        widest = 0.0 if self.radius is None or not self.radius.size else float(self.radius.max())
        return f"Ball(shape={self.shape}, largest radius {widest:.1e})"


def radii(x: Ball) -> Floats:
    """Radii, zero where the midpoints are exact."""
    return np.broadcast_to(np.float64(0.0), x.shape) if x.radius is None else x.radius


def checked(what: str, center: Any, radius: Any) -> Ball:
    """A ball of arrays (a full reduction gives NumPy scalars), if it is finite."""
    middle = np.asarray(center, dtype=np.float64)
    reach = None if radius is None else np.asarray(radius, dtype=np.float64)
    require_finite(what, middle, reach)
    return Ball(middle, reach)


def both(x: Ball) -> tuple[Floats, Floats]:
    """Midpoints and radii."""
    return x.center, radii(x)


def factor_of(x: Ball) -> float | None:
    """The number that all entries are, where that can be told from the layout: finite, exact and not zero."""
    if x.radius is not None or not x.center.size or any(x.center.strides[k] for k, n in enumerate(x.shape) if n > 1):
        return None
    value = float(x.center.flat[0])
    return value if value and math.isfinite(value) else None


def is_power(factor: float) -> bool:
    """Whether a number is a power of two, or the negative of one."""
    return math.frexp(abs(factor))[0] == 0.5


def shown(x: Floats) -> Floats:
    """The entries, with zeros for −∞."""
    return np.where(x == -np.inf, 0.0, x)


def is_whole(x: Floats) -> bool:
    """Whether all entries are whole numbers of at most 2⁵³ in size."""
    return bool(np.all(np.abs(x) <= 2.0**53)) and bool(np.all(np.rint(x) == x))


def is_count(x: Floats, y: Floats, terms: int) -> bool:
    """Whether sums of ``terms`` products are whole numbers of at most 2⁵³, partial sums too: then nothing rounds."""
    small, large = (x, y) if x.size <= y.size else (y, x)
    if not small.size or not is_whole(small.ravel()[:64]) or not is_whole(small) or not is_whole(large):
        return False
    return float(np.max(np.abs(small))) * float(np.max(np.abs(large))) * terms <= 2.0**53


def is_moderate(x: Floats) -> NDArray[np.bool_]:
    """Zeros, and numbers whose products and parts of products neither underflow nor overflow."""
    size = np.abs(x)
    return (size == 0.0) | ((size > 2.0**-400) & (size < 2.0**400))


def split(x: Floats) -> tuple[Floats, Floats]:
    """Two floats of at most 26 bits each whose sum is x, by Veltkamp's method [ogita2005]."""
    large = x * (2.0**27 + 1.0)
    high = np.asarray(large - (large - x))
    return high, np.asarray(x - high)


def loses_bits(result: Floats, x: Floats) -> bool:
    """Whether a product with a power of two may have lost bits."""
    return bool(np.any((np.abs(result) < 2.0**-1022) & (x != 0.0)))
