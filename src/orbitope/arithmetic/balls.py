"""Midpoint–radius balls in float64: rigorous enclosures at the speed of BLAS.

A ball is the interval [c − r, c + r]. Every operation returns balls that contain the exact result for **all**
points of its operands. Midpoints are computed in plain float64; the radius adds what the operands' radii do
to the result and an a-priori bound of the rounding, valid for any order of summation and for fused
multiply-adds. What is relied on is stated in ``_rounding``; the elementary functions are in ``_elementary``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from itertools import chain

import numpy as np
import torch

from orbitope.arithmetic import _elementary as elementary
from orbitope.arithmetic._ball import (
    Ball,
    Floats,
    checked,
    factor_of,
    is_count,
    is_moderate,
    is_power,
    loses_bits,
    radii,
    shown,
    split,
)
from orbitope.arithmetic._checks import not_integers, unknown_function
from orbitope.arithmetic._decided import DecidedBalls
from orbitope.arithmetic._erf import erf
from orbitope.arithmetic._flint import enclose_by_arb
from orbitope.arithmetic._numpy import Entries, Product
from orbitope.arithmetic._rounding import (
    TINY,
    U,
    growth,
    inflation,
    is_finite,
    require_finite,
    require_ieee,
    require_rounding,
)
from orbitope.errors import EnclosureError


class BallArithmetic(DecidedBalls):
    """Balls around the exact values.

    Raises:
        EnclosureError: at construction, where the process does not follow IEEE 754 (subnormals flushed to
            zero, directed rounding); in any operation, where an enclosure overflows or a function leaves its
            domain.

    Guarantee: exact. The result of every operation encloses the exact result for all points of its operands.
    Source: Rump 1999 [rump1999], Higham 2002 [higham2002].
    """

    name = "ball"

    def __init__(self) -> None:
        """Test the process's floating-point environment."""
        require_ieee()

    # the constants of the proof, replaceable so that the tests can plant faults
    unit = U
    growth = staticmethod(growth)
    inflation = staticmethod(inflation)

    # numbers ------------------------------------------------------------------------------------------------
    def lift(self, tensor: torch.Tensor) -> Ball:
        """The tensor's values: exact for floats of up to 64 bits, booleans and integers up to 2⁵³.

        Larger integers become balls of one unit in the last place, which contain them. −∞ stays what it is.

        Raises:
            EnclosureError: complex, NaN or +∞.
        """
        if tensor.is_complex():
            raise EnclosureError("complex tensors have no enclosure", got=str(tensor.dtype))
        values = tensor.detach().cpu()
        if tensor.is_floating_point() or tensor.dtype == torch.bool:
            center = values.to(torch.float64, copy=True).numpy()
            require_finite("the given values", center if is_finite(center) else shown(center), None)
            return Ball(center)
        integers = values.numpy()
        center = integers.astype(np.float64)
        if integers.dtype.itemsize < 8 or not bool(np.any(np.abs(center) >= 2.0**53)):
            return Ball(center)
        # at or above 2^53 neighbouring floats are at least one apart, and the conversion takes the nearest
        return Ball(center, np.where(np.abs(center) < 2.0**53, 0.0, np.spacing(np.abs(center))))

    def ball(self, center: Floats, radius: Floats | None = None) -> Ball:
        """Balls with the given midpoints and radii.

        Raises:
            EnclosureError: not finite, or a negative radius.
        """
        require_finite("the given values", center, radius)
        if radius is not None and (radius.shape != center.shape or bool(np.any(radius < 0))):
            raise EnclosureError("radii must be non-negative, one for each midpoint")
        return Ball(center, radius)

    def full(self, shape: Sequence[int], value: Fraction | float | int, like: Ball | None = None) -> Ball:
        """An array of one value; where a float cannot hold it, a ball of one unit in the last place."""
        if value == -math.inf:
            return Ball(np.broadcast_to(np.float64(-np.inf), tuple(shape)))
        try:
            exact = Fraction(value)
            near = float(exact)
        except (ValueError, OverflowError) as error:
            raise EnclosureError("the value has no finite enclosure", got=str(value)) from error
        gap = abs(exact - Fraction(near))
        center = np.broadcast_to(np.float64(near), tuple(shape))
        if not gap:
            return Ball(center)
        return Ball(center, np.broadcast_to(np.nextafter(np.float64(gap), np.inf), tuple(shape)))

    def bounds(self, x: Ball) -> tuple[Floats, Floats]:
        """Lower and upper ends, rounded outward.

        Raises:
            EnclosureError: an end overflows.
        """
        if x.radius is None:
            require_finite("the lower and upper ends", x.center, None)
            return x.center, x.center
        with np.errstate(all="ignore"):
            lower = np.nextafter(x.center - x.radius, -np.inf)
            upper = np.nextafter(x.center + x.radius, np.inf)
        require_finite("the lower and upper ends", lower, upper)
        return lower, upper

    # structure ----------------------------------------------------------------------------------------------
    def _move(self, x: Ball, move: Callable[[Entries], Entries]) -> Ball:
        return Ball(move(x.center), None if x.radius is None else move(x.radius))

    def shape(self, x: Ball) -> tuple[int, ...]:
        """Shape."""
        return x.shape

    def concat(self, xs: Sequence[Ball], axis: int) -> Ball:
        """Concatenation along one axis."""
        center = np.concatenate([x.center for x in xs], axis=axis)
        if all(x.radius is None for x in xs):
            return Ball(center)
        return Ball(center, np.concatenate([radii(x) for x in xs], axis=axis))

    def pad(self, x: Ball, widths: Sequence[tuple[int, int]], value: float = 0.0) -> Ball:
        """Constant, exact padding before and after each axis.

        −∞ is allowed, for maxima over padded windows: ``maximum`` and ``amax`` absorb it, structural
        operations hand it on, and every other operation refuses it.
        """
        if math.isnan(value) or value == math.inf:
            raise EnclosureError("padding must be a number or −∞", got=str(value))
        center = np.pad(x.center, list(widths), constant_values=value)
        return Ball(center, None if x.radius is None else np.pad(x.radius, list(widths)))

    def integers(self, x: Ball) -> torch.Tensor:
        """The values as int64.

        Raises:
            DataError: a value is no integer, or not known exactly.
        """
        whole = bool(np.all(np.rint(x.center) == x.center)) and bool(np.all(np.abs(x.center) <= 2.0**53))
        if not whole or (x.radius is not None and bool(np.any(x.radius))):
            raise not_integers("balls that are not exact whole numbers below 2^53")
        return torch.tensor(x.center.astype(np.int64))

    # field --------------------------------------------------------------------------------------------------
    def add(self, x: Ball, y: Ball) -> Ball:
        """Sum."""
        return self._sum(np.add, x, y)

    def sub(self, x: Ball, y: Ball) -> Ball:
        """Difference."""
        return self._sum(np.subtract, x, y)

    def _sum(self, operation: Callable[..., Floats], x: Ball, y: Ball) -> Ball:
        """Sum or difference: r = r_x + r_y + u|c|; of exact numbers r = |error|, none where all errors are zero.

        |fl(a) − a| ≤ u|fl(a)| for a sum a of two floats. The computed u|c| is exact, or |c| < 2⁻⁹⁶⁹: then it
        is at least u times the power of two below |c|, which bounds the error too. So no underflow term is
        needed. The error of a sum of two floats is a float, and six operations find it exactly, underflow or not,
        unless one of them overflows.

        Source: Knuth, see Higham 2002, section 4.3 [higham2002].
        """
        with np.errstate(all="ignore"):
            center = np.asarray(operation(x.center, y.center))
            if x.radius is None and y.radius is None:
                radius = self._error_of_sum(operation, center, x.center, y.center)
                return self._visible("a sum", operation, x, y, center, radius if np.any(radius) else None)
            radius = np.abs(center)
            radius *= self.unit
            for part in (x.radius, y.radius):
                if part is not None:
                    radius += part
            radius *= self.inflation(0)
        return self._visible("a sum", operation, x, y, center, radius)

    def _error_of_sum(self, operation: Callable[..., Floats], total: Floats, a: Floats, b: Floats) -> Floats:
        """|a ∘ b − total|, exactly, for ∘ a sum or a difference."""
        back = np.asarray(total - a)  # ±b but for rounding
        near = total - back
        part = (b - back) if operation is np.add else (b + back)
        return np.abs((a - near) + part if operation is np.add else (a - near) - part)

    def _visible(
        self, what: str, operation: Callable[..., Floats], x: Ball, y: Ball, center: Floats, radius: Floats | None
    ) -> Ball:
        """A sum, if it is finite but for −∞ and a number, which make −∞."""
        if not is_finite(center):
            hidden = x.center == -np.inf
            if operation is np.add:
                hidden = hidden | (y.center == -np.inf)
            hidden = hidden & (center == -np.inf)
            checked(what, np.where(hidden, 0.0, center), None if radius is None else np.where(hidden, 0.0, radius))
            return Ball(center, None if radius is None else np.where(hidden, 0.0, radius))
        return checked(what, center, radius)

    def neg(self, x: Ball) -> Ball:
        """Negative, exactly."""
        return Ball(np.asarray(-x.center), x.radius)

    def mul(self, x: Ball, y: Ball) -> Ball:
        """Product, entry by entry.

        Of exact numbers the radius is the size of the error, which is a float and found exactly unless something might
        underflow or overflow on the way; so products of whole numbers and of other short ones stay exact.
        """
        for one, other in ((x, y), (y, x)):
            factor = factor_of(other)
            if factor is not None and (one.radius is not None or is_power(factor) or not is_finite(one.center)):
                return self._scaled(one, factor)
        result = self._multiply(x, y, np.multiply, 1)
        if x.radius is not None or y.radius is not None or result.radius is None:
            return result
        radius = np.where(
            is_moderate(x.center) & is_moderate(y.center), self._error(result.center, x, y), result.radius
        )
        return Ball(result.center, radius if np.any(radius) else None)

    def _error(self, total: Floats, x: Ball, y: Ball) -> Floats:
        """|xy − total|, exactly, for a product of moderate floats.

        Source: Dekker, see Ogita, Rump, Oishi 2005 [ogita2005].
        """
        with np.errstate(all="ignore"):
            (a, b), (c, d) = split(x.center), split(y.center)
            return np.abs(b * d - (((total - a * c) - b * c) - a * d))

    def _scaled(self, x: Ball, factor: float) -> Ball:
        """The product with one number: r = |factor|·r_x + u|c|, and TINY for underflow.

        A power of two rounds nothing where the result is no smaller than 2⁻¹⁰²². A positive number leaves −∞ as it is.
        """
        with np.errstate(all="ignore"):
            center = np.asarray(x.center * factor)
            if is_power(factor) and not loses_bits(center, x.center):
                radius = x.radius
                if radius is not None and abs(factor) != 1.0:
                    radius = np.where(radius > 0.0, radius * abs(factor) + TINY, 0.0)
            elif x.radius is None:
                radius = np.abs(center) * self.unit + TINY
            else:
                radius = (x.radius * abs(factor) + np.abs(center) * self.unit + TINY) * self.inflation(0)
            if factor > 0.0 and not is_finite(center):
                return self._visible("a product", np.subtract, x, x, center, radius)
        return checked("a product", center, radius)

    def _multiply(self, x: Ball, y: Ball, product: Product, terms: int) -> Ball:
        """Sums of n = ``terms`` products.

        With γ = γ_n, and all sums over the products of one entry,

            |Σ xy − fl(Σ c_x c_y)| ≤ Σ |c_x|r_y + r_x|c_y| + r_x r_y + γ|c_x||c_y|
                                   = Σ (r_x + γ|c_x|)|c_y| + (|c_x| + r_x) r_y.

        This takes one product of matrices for the midpoints and one for each sum of the bound; an exact operand
        makes one of the sums vanish. No term of the bound passes through more than n + 5 roundings, which
        ``inflation(n)`` makes up for. It must be applied to the result: a subnormal factor is too coarse to grow by it.

        Underflow: each c_x c_y and each product of the bound may lose 2⁻¹⁰⁷⁵, for which TINY is added; γ|c_x| may lose
        as much before it meets |c_y|, for which TINY·max|c_y| is.
        """
        rate = self.growth(terms)
        with np.errstate(all="ignore"):
            center = product(x.center, y.center)
            if x.radius is None and y.radius is None and is_count(x.center, y.center, terms):
                return Ball(np.asarray(center))
            if x.radius is None and y.radius is None:
                radius = product(np.abs(x.center), np.abs(y.center))
                radius *= rate
                radius += TINY
            elif x.radius is None:
                left = np.abs(x.center)
                radius = product(left, self._reach(y, rate))
                radius += TINY * (1.0 + np.max(left, initial=0.0))
            else:
                right = np.abs(y.center)
                radius = product(self._reach(x, rate), right)
                if y.radius is not None:
                    radius += product(np.abs(x.center) + x.radius, y.radius)
                radius += TINY * (1.0 + np.max(right, initial=0.0))
            radius *= self.inflation(terms)
        return checked("a sum of products", center, radius)

    def _reach(self, x: Ball, rate: float) -> Floats:
        """The sum r + rate·|c|: at least (1 − u)² times the exact value, less 2⁻¹⁰⁷⁵ for underflow."""
        reach = np.abs(x.center)
        reach *= rate
        if x.radius is not None:
            reach += x.radius
        return reach

    def div(self, x: Ball, y: Ball) -> Ball:
        """Quotient, entry by entry.

        With q = c_x/c_y, |x/y − q| = |(x − c_x) − q(y − c_y)|/|y| ≤ r_x/(|c_y| − r_y) + |q|·r_y/(|c_y| −
        r_y), and fl(q) is relatively within u of q or, where it underflows, within TINY. Quotients are taken
        before products, so that no underflow is magnified.

        Raises:
            EnclosureError: a divisor's ball contains zero.
        """
        require_finite("a dividend or divisor", x.center, y.center)
        size = np.abs(y.center)
        if bool(np.any(size == 0.0 if y.radius is None else size <= y.radius)):
            raise EnclosureError("division by an enclosure that contains zero")
        factor = factor_of(y)
        if factor is not None and is_power(factor) and 2.0**-1000 <= abs(factor) <= 2.0**1000:
            return self._scaled(x, 1.0 / factor)
        with np.errstate(all="ignore"):
            center = x.center / y.center
            quotient = np.abs(center)
            radius = quotient * self.unit + TINY
            distance = size if y.radius is None else size - y.radius
            if x.radius is not None:
                radius += x.radius / distance
            if y.radius is not None:
                share = y.radius / distance + TINY
                radius += (quotient * (1.0 + 4 * U) + TINY) * share  # |q| ≤ |fl(q)|(1 + 2u) + TINY
            radius *= self.inflation(2)
        if x.radius is None and y.radius is None:  # a quotient that divides without rest is exact
            product = Ball(np.asarray(center * y.center))
            fits = is_moderate(center) & is_moderate(y.center) & (product.center == x.center)
            radius = np.where(fits & (self._error(product.center, Ball(center), y) == 0.0), 0.0, radius)
            return checked("a quotient", center, radius if np.any(radius) else None)
        return checked("a quotient", center, radius)

    def sum(self, x: Ball, axes: Sequence[int]) -> Ball:
        """Sum over axes, which disappear; a single term is exact.

        The radius is Σ (r + γ_n|c|), for any order of summation; of exact whole numbers the sum is exact.
        """
        terms = math.prod(x.shape[axis] for axis in axes)
        if terms == 1:
            return self._move(x, lambda a: np.squeeze(a, axis=tuple(axes)))
        with np.errstate(all="ignore"):
            center = np.sum(x.center, axis=tuple(axes))
            if x.radius is None and is_count(np.ones(1), x.center, terms):
                return Ball(np.asarray(center))
            radius = np.sum(self._reach(x, self.growth(terms)), axis=tuple(axes)) + TINY
            radius = radius * self.inflation(terms)
        return checked("a sum", center, radius)

    # order --------------------------------------------------------------------------------------------------
    def maximum(self, x: Ball, y: Ball) -> Ball:
        """Larger of two, entry by entry: 1-Lipschitz, so the larger radius serves; nothing rounds.

        Where one ball lies above the other, its own radius serves: fl(c_x − c_y) > fl(r_x + r_y) implies the
        same of the exact values, rounding being monotone.
        """
        center = np.asarray(np.maximum(x.center, y.center))
        if x.radius is None and y.radius is None:
            return Ball(center)
        left, right = radii(x), radii(y)
        with np.errstate(all="ignore"):
            apart = x.center - y.center
            reach = left + right
        radius = np.where(apart > reach, left, np.where(-apart > reach, right, np.maximum(left, right)))
        return Ball(center, radius)

    def relu(self, x: Ball) -> Ball:
        """Larger of the entry and zero: the radius is kept, and is zero where the whole ball is negative."""
        center = np.asarray(np.maximum(x.center, 0.0))
        if x.radius is None:
            return Ball(center)
        return Ball(center, np.asarray(x.radius * (x.center >= -x.radius)))

    def amax(self, x: Ball, axes: Sequence[int]) -> Ball:
        """Largest over axes, which disappear.

        The largest midpoint, with the largest radius among the candidates. An entry is no candidate if its
        upper end lies below another's lower end; rounding of the ends is monotone, so that the computed ends
        never wrongly exclude one. The maximum of the candidates is 1-Lipschitz.
        """
        center = np.max(x.center, axis=tuple(axes))
        radius = None
        if x.radius is not None:
            with np.errstate(all="ignore"):
                floor = np.max(x.center - x.radius, axis=tuple(axes), keepdims=True)
                candidates = x.center + x.radius >= floor
            radius = np.max(np.where(candidates, x.radius, 0.0), axis=tuple(axes))
        return checked("a maximum", center, radius)

    # functions ----------------------------------------------------------------------------------------------
    def function(self, name: str, x: Ball) -> Ball:
        """One of the elementary functions ``ELEMENTARY``, entry by entry.

        ``sin`` and ``cos`` come from Arb and need python-flint; all others are proved here. e^−∞ = 0, exactly.
        """
        if name == "exp" and not is_finite(x.center):
            hidden = x.center == -np.inf
            value = self.function(name, Ball(np.where(hidden, 0.0, x.center), x.radius))
            return Ball(np.where(hidden, 0.0, value.center), np.where(hidden, 0.0, radii(value)))
        require_finite(f"the argument of {name}", x.center, x.radius)
        flat = self._move(x, lambda a: a.reshape(-1))
        if name in elementary.FUNCTIONS:
            with np.errstate(all="ignore"):
                parts = elementary.FUNCTIONS[name](flat.center, flat.radius)
        elif name == "erf":
            with np.errstate(all="ignore"):
                parts = erf(flat.center, flat.radius)
        elif name in ("sin", "cos"):
            parts = enclose_by_arb(name, flat.center, flat.radius)
        else:
            raise unknown_function(name, self.name)
        return self.reshape(checked(name, *parts), x.shape)

    # totals -------------------------------------------------------------------------------------------------
    def enclosing_mean(self, values: Ball | Iterable[Ball]) -> tuple[float, float]:
        """Lower and upper bound of the mean over all entries of one array, or of several.

        Σ c − Σ r and Σ c + Σ r are summed exactly and rounded once (``math.fsum``), then divided by the
        number of entries; each of the two roundings is made up for by a step to the next float outward.

        Raises:
            EnclosureError: there is no entry, the sum overflows, or rounding has been changed in the meantime.
        """
        balls = [values] if isinstance(values, Ball) else list(values)
        require_rounding()  # nobody has changed the flags since
        count = sum(ball.center.size for ball in balls)
        if not count:
            raise EnclosureError("the mean of no values")
        centers = [c for ball in balls for c in ball.center.ravel().tolist()]
        radii = [r for ball in balls if ball.radius is not None for r in ball.radius.ravel().tolist()]
        try:
            low, high = math.fsum(chain(centers, (-r for r in radii))), math.fsum(chain(centers, radii))
        except (OverflowError, ValueError) as error:
            raise EnclosureError("the enclosure of a mean overflows", got=str(error)) from error
        low = math.nextafter(math.nextafter(low, -math.inf) / count, -math.inf)
        high = math.nextafter(math.nextafter(high, math.inf) / count, math.inf)
        if not (math.isfinite(low) and math.isfinite(high)):
            raise EnclosureError("the enclosure of a mean overflows", got=f"[{low}, {high}]")
        return low, high
