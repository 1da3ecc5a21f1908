"""Balls of any precision, by Arb: where float64 balls are too wide.

Arrays are NumPy object arrays of ``flint.arb``; products of matrices are ``flint.arb_mat``'s. Arb rounds outward in
every operation, so that nothing needs to be derived here but what is composed of its operations.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager
from fractions import Fraction
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from orbitope.arithmetic._checks import check_comparison, not_integers, undecided, unknown_function
from orbitope.arithmetic._flint import load_flint
from orbitope.arithmetic._numpy import Entries, NumpyArithmetic, Product, ranks
from orbitope.arithmetic.balls import Ball
from orbitope.arithmetic.base import ELEMENTARY
from orbitope.errors import EnclosureError

Arbs = NDArray[np.object_]

_OPPOSITES = {"lt": "ge", "le": "gt", "gt": "le", "ge": "lt", "eq": "ne", "ne": "eq"}
_TESTS: dict[str, Callable[[Any, Any], bool]] = {
    "lt": lambda x, y: x < y,
    "le": lambda x, y: x <= y,
    "gt": lambda x, y: x > y,
    "ge": lambda x, y: x >= y,
    "eq": lambda x, y: x == y,
    "ne": lambda x, y: x != y,
}
"""In Arb these hold where they do for all points of both balls."""


class ArbArithmetic(NumpyArithmetic[Arbs]):
    """NumPy object arrays of ``flint.arb``.

    Args:
        precision: bits of the midpoints.

    Raises:
        EnclosureError: at construction, where python-flint is missing or the precision is no use; in any operation,
            where an enclosure is not finite or a question is not decided.

    Guarantee: exact, on the correctness of Arb. The result of every operation encloses the exact result for all points
        of its operands.
    Source: Johansson 2017 [johansson2017].
    """

    name = "arb"

    def __init__(self, precision: int = 128) -> None:
        """Load python-flint."""
        if not 2 <= precision <= 1 << 20:
            raise EnclosureError("a precision of Arb is a number of bits", got=str(precision), fix="53, 128, 256, …")
        self._flint = load_flint("arithmetic of more than 53 bits")
        self.precision = precision
        arb = self._flint.arb
        self._zero, self._one = arb(0), arb(1)
        self._functions: dict[str, Callable[[Any], Any]] = {
            **{name: getattr(arb, name) for name in ("exp", "log", "tanh", "erf", "sqrt", "sin", "cos", "floor")},
            "abs": abs,
            "sigmoid": _sigmoid,
        }

    @contextmanager
    def _working(self) -> Generator[None]:
        with self._flint.ctx.workprec(self.precision):
            yield

    def _finite(self, what: str, x: Any) -> Arbs:
        """The array, if all its balls are finite."""
        result = np.asarray(x, dtype=object)
        if not all(value.is_finite() for value in _list(result)):
            raise EnclosureError(
                f"the enclosure of {what} is not finite",
                got=f"at {self.precision} bits",
                why="a logarithm or root of a ball that reaches below zero, a division by one that contains it",
                fix="a higher precision, if the exact value is defined",
            )
        return result

    def _array(self, entries: Sequence[Any], shape: Sequence[int]) -> Arbs:
        result = np.empty(len(entries), dtype=object)
        result[:] = entries
        return result.reshape(tuple(shape))

    # numbers ------------------------------------------------------------------------------------------------
    def lift(self, tensor: torch.Tensor) -> Arbs:
        """The tensor's values, exactly, whatever the precision; −∞ stays what it is.

        Raises:
            EnclosureError: complex, NaN or +∞.
        """
        if tensor.is_complex():
            raise EnclosureError("complex tensors have no enclosure", got=str(tensor.dtype))
        values = tensor.detach().cpu()
        values = values.to(torch.float64) if values.is_floating_point() else values
        flat = values.reshape(-1).numpy().tolist()
        if values.is_floating_point() and any(math.isnan(v) or v == math.inf for v in flat):
            raise EnclosureError("the given values are not finite", got="NaN or +∞")
        arb = self._flint.arb
        return self._array([arb(int(v)) if v is True or v is False else arb(v) for v in flat], tensor.shape)

    def ball(self, x: Ball) -> Arbs:
        """Balls in float64, enclosed: midpoints exactly, radii rounded upward."""
        arb = self._flint.arb
        if x.radius is None:
            return self._array([arb(c) for c in x.center.ravel().tolist()], x.shape)
        pairs = zip(x.center.ravel().tolist(), x.radius.ravel().tolist(), strict=True)
        return self._array([arb(c, r) if r else arb(c) for c, r in pairs], x.shape)

    def full(self, shape: Sequence[int], value: Fraction | float | int, like: Arbs | None = None) -> Arbs:
        """An array of one value, enclosed in a ball of the working precision."""
        if value == -math.inf:
            number = self._flint.arb.neg_inf()
        else:
            try:
                exact = Fraction(value)
            except (ValueError, OverflowError) as error:
                raise EnclosureError("the value has no finite enclosure", got=str(value)) from error
            with self._working():
                number = self._flint.arb(exact.numerator) / exact.denominator
        return np.broadcast_to(self._array([number], ()), tuple(shape))

    def integers(self, x: Arbs) -> torch.Tensor:
        """The values as int64.

        Raises:
            DataError: a value is no integer, or not known exactly.
        """
        if not all(value.is_exact() and value.is_integer() and abs(value) < 2**63 for value in _list(x)):
            raise not_integers("balls that are not exact whole numbers")
        return torch.tensor([int(value.unique_fmpz()) for value in _list(x)], dtype=torch.int64).reshape(x.shape)

    def bounds(self, x: Arbs) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Lower and upper ends as floats, rounded outward.

        Raises:
            EnclosureError: an end overflows.
        """
        pairs = [self._ends(value) for value in _list(x)]
        ends = np.array(pairs, dtype=np.float64).reshape(*x.shape, 2)
        return ends[..., 0], ends[..., 1]

    def _ends(self, value: Any) -> tuple[float, float]:
        """Floats below and above a ball; each is compared with the ball's own end."""
        with self._working():
            low, high = value.lower(), value.upper()
        below, above = float(low), float(high)
        arb = self._flint.arb
        while math.isfinite(below) and not arb(below) <= low:
            below = math.nextafter(below, -math.inf)
        while math.isfinite(above) and not arb(above) >= high:
            above = math.nextafter(above, math.inf)
        if not (math.isfinite(below) and math.isfinite(above)):
            raise EnclosureError("the enclosure overflows", got=str(value))
        return below, above

    # structure ----------------------------------------------------------------------------------------------
    def _move(self, x: Arbs, move: Callable[[Entries], Entries]) -> Arbs:
        return move(x)

    def shape(self, x: Arbs) -> tuple[int, ...]:
        """Shape."""
        return x.shape

    def concat(self, xs: Sequence[Arbs], axis: int) -> Arbs:
        """Concatenation along one axis."""
        return np.concatenate(list(xs), axis=axis)

    def pad(self, x: Arbs, widths: Sequence[tuple[int, int]], value: float = 0.0) -> Arbs:
        """Constant, exact padding before and after each axis; −∞ is allowed."""
        if math.isnan(value) or value == math.inf:
            raise EnclosureError("padding must be a number or −∞", got=str(value))
        return np.pad(x, list(widths), constant_values=self._flint.arb(value))

    # field --------------------------------------------------------------------------------------------------
    def add(self, x: Arbs, y: Arbs) -> Arbs:
        """Sum."""
        with self._working():
            return self._visible("a sum", x + y, x, y)

    def sub(self, x: Arbs, y: Arbs) -> Arbs:
        """Difference."""
        with self._working():
            return self._visible("a difference", x - y, x)

    def _visible(self, what: str, result: Any, *hiding: Arbs) -> Arbs:
        """A sum, if it is finite but for −∞ and a number, which make −∞."""
        value = np.asarray(result, dtype=object)
        if all(v.is_finite() for v in _list(value)):
            return value
        low = self._flint.arb.neg_inf()
        hidden = np.zeros(value.shape, dtype=bool)
        for x in hiding:
            hidden |= np.asarray([v == low for v in _list(x)], dtype=bool).reshape(x.shape)
        hidden &= np.asarray([v == low for v in _list(value)], dtype=bool).reshape(value.shape)
        self._finite(what, np.where(hidden, self._zero, value))
        return np.where(hidden, low, value)

    def neg(self, x: Arbs) -> Arbs:
        """Negative."""
        with self._working():
            return self._map(_negative, x)

    def mul(self, x: Arbs, y: Arbs) -> Arbs:
        """Product, entry by entry."""
        with self._working():
            return self._finite("a product", x * y)

    def div(self, x: Arbs, y: Arbs) -> Arbs:
        """Quotient, entry by entry.

        Raises:
            EnclosureError: a divisor's ball contains zero.
        """
        with self._working():
            return self._finite("a quotient", x / y)

    def sum(self, x: Arbs, axes: Sequence[int]) -> Arbs:
        """Sum over axes, which disappear."""
        with self._working():
            return self._finite("a sum", np.sum(x, axis=tuple(axes), initial=self._zero))

    def mean(self, x: Arbs, axes: Sequence[int]) -> Arbs:
        """Mean over axes, which disappear."""
        count = math.prod(x.shape[axis] for axis in axes)
        with self._working():
            return np.asarray(self.sum(x, axes) / self._flint.arb(count), dtype=object)

    def _multiply(self, x: Arbs, y: Arbs, product: Product, terms: int) -> Arbs:
        with self._working():
            return self._finite("a sum of products", product(x, y))

    def _matmul(self, x: Entries, y: Entries) -> Entries:
        """Products of matrices, by Arb."""
        if x.ndim == 3:
            pages = [self._matmul(a, b) for a, b in zip(x, y, strict=True)]
            return np.stack(pages) if pages else np.empty((0, x.shape[1], y.shape[2]), dtype=object)
        matrix = self._flint.arb_mat
        left = matrix(*x.shape, _list(x))
        right = matrix(*y.shape, _list(y))
        return self._array((left * right).entries(), (x.shape[0], y.shape[1]))

    # order --------------------------------------------------------------------------------------------------
    def maximum(self, x: Arbs, y: Arbs) -> Arbs:
        """Larger of two, entry by entry."""
        with self._working():
            return self._map(_larger, x, y)

    def relu(self, x: Arbs) -> Arbs:
        """Larger of the entry and zero."""
        zero = self._zero
        with self._working():
            return self._map(lambda v: v if v >= 0 else v.max(zero), x)

    def amax(self, x: Arbs, axes: Sequence[int]) -> Arbs:
        """Largest over axes, which disappear."""
        kept = [k for k in range(x.ndim) if k not in axes]
        shape = [x.shape[k] for k in kept]
        rows = x.transpose((*kept, *axes)).reshape(math.prod(shape), math.prod(x.shape[k] for k in axes))
        with self._working():
            found = [_largest(row) for row in rows.tolist()]
        return self._finite("a maximum", self._array(found, shape))

    def compare(self, fn: str, x: Arbs, y: Arbs) -> Arbs:
        """1 where ``fn`` holds for all points of both balls, 0 where it holds for none.

        Raises:
            EnclosureError: it holds for some points only.
        """
        check_comparison(fn, self.name)
        holds, fails = _TESTS[fn], _TESTS[_OPPOSITES[fn]]

        def decide(a: Any, b: Any) -> Any:
            if holds(a, b):
                return self._one
            if fails(a, b):
                return self._zero
            raise undecided("a comparison", f"{a} and {b}")

        return self._map(decide, x, y)

    def where(self, condition: Arbs, x: Arbs, y: Arbs) -> Arbs:
        """The ball of ``x`` where the condition is not zero, else that of ``y``.

        Raises:
            EnclosureError: the condition is not exact.
        """
        if not all(value.is_exact() for value in _list(condition)):
            raise undecided("a choice", "a condition that is not exactly known")
        return np.where(np.asarray(self._map(_is_not_zero, condition), dtype=bool), x, y)

    def _ranked(self, x: Arbs, axis: int, count: int, largest: bool) -> Arbs:
        """Between the k-th largest of the lower ends and that of the upper ends."""
        with self._working():
            low, high = self._map(lambda v: v.lower(), x), self._map(lambda v: v.upper(), x)
            ends = [np.take_along_axis(end, ranks(end, axis, count, largest)[0], axis=axis) for end in (low, high)]
            found = self._map(lambda a, b: a if a == b else a.union(b), *ends)
        return self._finite("a ranking", found)

    def _places(self, x: Arbs, axis: int, count: int, largest: bool) -> NDArray[np.int64]:
        """Decided where the balls of the first ranks lie apart from all that follow."""
        middle = self._map(lambda v: v.mid(), x)
        first, rest = ranks(middle, axis, count, largest)
        places = np.concatenate((first, rest), axis=axis)
        ranked = np.moveaxis(np.take_along_axis(x, places, axis=axis), axis, -1)
        beats = _TESTS["gt" if largest else "lt"]
        for row in ranked.reshape(-1, ranked.shape[-1]):
            for k in range(min(count, len(row) - 1)):
                if not all(beats(row[k], other) for other in row[k + 1 :]):
                    raise undecided("an order")
        return first

    def hidden(self, x: Arbs) -> Arbs:
        """1 where an entry is −∞, else 0."""
        low = self._flint.arb.neg_inf()
        return self._map(lambda v: self._one if v == low else self._zero, x)

    def uniform(self, x: Arbs) -> Fraction | None:
        """The number that all entries are, if it is one, exactly known and finite."""
        first: Any = _list(x)[0] if x.size else None
        if first is None or not (first.is_exact() and first.is_finite() and all(v == first for v in _list(x))):
            return None
        exact = first.fmpq()
        return Fraction(int(exact.p), int(exact.q))

    # functions ----------------------------------------------------------------------------------------------
    def function(self, name: str, x: Arbs) -> Arbs:
        """One of the elementary functions ``ELEMENTARY``, entry by entry; e^−∞ = 0."""
        if name not in ELEMENTARY:
            raise unknown_function(name, self.name)
        low = self._flint.arb.neg_inf()
        if name != "exp" and any(v == low for v in _list(x)):
            raise EnclosureError(f"{name} of an entry that is −∞")
        with self._working():
            return self._finite(name, self._map(self._functions[name], x))

    def softmax(self, x: Arbs, axis: int, safe: bool = False) -> Arbs:
        """``exp x / Σ exp x``, after an exact number was subtracted from all entries of a row."""
        if safe:
            return super().softmax(x, axis, safe)
        with self._working():
            weight = self.function("exp", self._shifted(x, axis))
            total = np.expand_dims(self.sum(weight, (axis,)), axis)
            return self._finite("softmax", weight / total)

    def log_softmax(self, x: Arbs, axis: int) -> Arbs:
        """``x − log Σ exp x``, after an exact number was subtracted from all entries of a row."""
        with self._working():
            shifted = self._shifted(x, axis)
            total = np.expand_dims(self.sum(self.function("exp", shifted), (axis,)), axis)
            return self._visible("log_softmax", shifted - self.function("log", total), shifted)

    def _shifted(self, x: Arbs, axis: int) -> Arbs:
        """Less the midpoint of the largest entry: any exact number does, and this one keeps exponentials small."""
        top = np.expand_dims(self._map(lambda v: v.mid(), self.amax(x, (axis,))), axis)
        return np.asarray(x - top, dtype=object)

    # totals -------------------------------------------------------------------------------------------------
    def enclosing_mean(self, values: Arbs | Iterable[Arbs]) -> tuple[float, float]:
        """Lower and upper bound of the mean over all entries of one array, or of several, as floats.

        Raises:
            EnclosureError: there is no entry, or the sum overflows.
        """
        arrays = [values] if isinstance(values, np.ndarray) else list(values)
        count = sum(array.size for array in arrays)
        if not count:
            raise EnclosureError("the mean of no values")
        with self._working():
            total: Any = sum((value for array in arrays for value in _list(array)), self._zero)
            return self._ends(total / count)

    def _map(self, function: Callable[..., Any], *xs: Arbs) -> Arbs:
        """A function, entry by entry."""
        if len(xs) == 1:
            return self._array([function(v) for v in _list(xs[0])], xs[0].shape)
        columns = (_list(x) for x in xs)
        return self._array([function(*values) for values in zip(*columns, strict=True)], xs[0].shape)


def _list(x: Arbs) -> list[Any]:
    """The entries in row-major order."""
    return x.ravel().tolist()


def _negative(value: Any) -> Any:
    return -value


def _sigmoid(x: Any) -> Any:
    if x < -1000:
        growth = x.exp()  # e^−x might exceed the range of exponents
        return growth / (1 + growth)
    return 1 / (1 + (-x).exp())


def _larger(a: Any, b: Any) -> Any:
    return a.max(b)


def _largest(row: Sequence[Any]) -> Any:
    top = row[0]
    for value in row[1:]:
        top = top.max(value)
    return top


def _is_not_zero(value: Any) -> bool:
    return not value.is_zero()
