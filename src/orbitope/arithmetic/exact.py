"""Exact rationals: the reference for the other arithmetics, and proofs of small networks without rounding."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from orbitope.arithmetic._checks import check_comparison, not_integers, undecided, unknown_function
from orbitope.arithmetic._flint import load_flint
from orbitope.arithmetic._numpy import Entries, NumpyArithmetic, Product, ranks
from orbitope.arithmetic.base import ELEMENTARY
from orbitope.errors import EnclosureError

Rationals = NDArray[np.object_]


class ExactArithmetic(NumpyArithmetic[Rationals]):
    """NumPy object arrays of ``flint.fmpq``.

    Raises:
        EnclosureError: at construction, where python-flint is missing; in ``function``, where the value may
            be irrational.

    Guarantee: exact.
    """

    name = "exact"

    def __init__(self) -> None:
        """Load python-flint."""
        self._flint = load_flint("exact arithmetic")
        self._zero = self._flint.fmpq(0)

    # numbers ------------------------------------------------------------------------------------------------
    def lift(self, tensor: torch.Tensor) -> Rationals:
        """The tensor's values, exactly; −∞ stays what it is.

        Raises:
            EnclosureError: complex, NaN or +∞.
        """
        if tensor.is_complex():
            raise EnclosureError("complex tensors are no rationals", got=str(tensor.dtype))
        values = tensor.detach().cpu()
        values = values.to(torch.float64) if values.is_floating_point() else values
        flat = values.reshape(-1).numpy().tolist()
        entries = [LOWEST if value == -math.inf else self._rational(value) for value in flat]
        return self._array(entries, tuple(tensor.shape))

    def full(self, shape: Sequence[int], value: Fraction | float | int, like: Rationals | None = None) -> Rationals:
        """An array of one value, exactly."""
        result = np.empty(tuple(shape), dtype=object)
        result.fill(LOWEST if value == -math.inf else self._rational(value))
        return result

    def _rational(self, value: Fraction | float | int) -> Any:
        try:
            return self._flint.fmpq(*value.as_integer_ratio())
        except (OverflowError, ValueError) as error:
            raise EnclosureError("only finite values are rationals", got=str(value)) from error

    def _array(self, entries: list[Any], shape: tuple[int, ...]) -> Rationals:
        result = np.empty(len(entries), dtype=object)
        result[:] = entries
        return result.reshape(shape)

    # structure ----------------------------------------------------------------------------------------------
    def _move(self, x: Rationals, move: Callable[[Entries], Entries]) -> Rationals:
        return move(x)

    def shape(self, x: Rationals) -> tuple[int, ...]:
        """Shape."""
        return x.shape

    def concat(self, xs: Sequence[Rationals], axis: int) -> Rationals:
        """Concatenation along one axis."""
        return np.concatenate(list(xs), axis=axis)

    def pad(self, x: Rationals, widths: Sequence[tuple[int, int]], value: float = 0.0) -> Rationals:
        """Constant padding before and after each axis; −∞ is allowed, and nothing but maxima accept it."""
        filler: Any = LOWEST if value == -math.inf else self._rational(value)
        return np.pad(x, list(widths), constant_values=filler)

    def integers(self, x: Rationals) -> torch.Tensor:
        """The values as int64.

        Raises:
            DataError: a value is no integer.
        """
        if not all(value.q == 1 for value in x.ravel()):
            raise not_integers("fractions")
        return torch.tensor([int(value.p) for value in x.ravel()], dtype=torch.int64).reshape(x.shape)

    # field --------------------------------------------------------------------------------------------------
    def add(self, x: Rationals, y: Rationals) -> Rationals:
        """Sum."""
        return np.asarray(x + y, dtype=object)

    def sub(self, x: Rationals, y: Rationals) -> Rationals:
        """Difference."""
        return np.asarray(x - y, dtype=object)

    def mul(self, x: Rationals, y: Rationals) -> Rationals:
        """Product, entry by entry."""
        return np.asarray(x * y, dtype=object)

    def div(self, x: Rationals, y: Rationals) -> Rationals:
        """Quotient, entry by entry.

        Raises:
            EnclosureError: a divisor is zero.
        """
        try:
            return np.asarray(x / y, dtype=object)
        except ZeroDivisionError as error:
            raise EnclosureError("division by zero") from error

    def sum(self, x: Rationals, axes: Sequence[int]) -> Rationals:
        """Sum over axes, which disappear."""
        return np.asarray(np.sum(x, axis=tuple(axes), initial=self._zero), dtype=object)

    def _multiply(self, x: Rationals, y: Rationals, product: Product, terms: int) -> Rationals:
        return np.asarray(product(x, y), dtype=object)

    def _matmul(self, x: Entries, y: Entries) -> Entries:
        """Products of matrices, by FLINT."""
        if x.ndim == 3:
            pages = [self._matmul(a, b) for a, b in zip(x, y, strict=True)]
            return np.stack(pages) if pages else np.empty((0, x.shape[1], y.shape[2]), dtype=object)
        matrix = self._flint.fmpq_mat
        left = matrix(*x.shape, x.ravel().tolist())
        right = matrix(*y.shape, y.ravel().tolist())
        return self._array((left * right).entries(), (x.shape[0], y.shape[1]))

    # order --------------------------------------------------------------------------------------------------
    def maximum(self, x: Rationals, y: Rationals) -> Rationals:
        """Larger of two, entry by entry."""
        return np.asarray(np.maximum(x, y), dtype=object)

    def amax(self, x: Rationals, axes: Sequence[int]) -> Rationals:
        """Largest over axes, which disappear."""
        result = np.asarray(np.max(x, axis=tuple(axes)), dtype=object)
        if any(value is LOWEST for value in result.ravel()):
            raise EnclosureError("a maximum over nothing but padding")
        return result

    def compare(self, fn: str, x: Rationals, y: Rationals) -> Rationals:
        """1 where ``fn`` holds, else 0."""
        check_comparison(fn, self.name)
        return self._truth(getattr(operator, fn)(x, y)).reshape(x.shape)

    def _truth(self, holds: Any) -> Rationals:
        return np.where(np.asarray(holds, dtype=bool), self._flint.fmpq(1), self._zero)

    def where(self, condition: Rationals, x: Rationals, y: Rationals) -> Rationals:
        """The entry of ``x`` where the condition is not zero, else that of ``y``."""
        return np.where(np.asarray(condition != self._zero, dtype=bool), x, y)

    def _ranked(self, x: Rationals, axis: int, count: int, largest: bool) -> Rationals:
        first, _ = ranks(x, axis, count, largest)
        return np.take_along_axis(x, first, axis=axis)

    def _places(self, x: Rationals, axis: int, count: int, largest: bool) -> NDArray[np.int64]:
        places = np.concatenate(ranks(x, axis, count, largest), axis=axis)
        ranked = np.moveaxis(np.take_along_axis(x, places, axis=axis), axis, 0)
        if any(a == b for a, b in zip(ranked[:count].ravel(), ranked[1 : count + 1].ravel(), strict=False)):
            raise undecided("an order")
        return np.take(places, range(count), axis=axis)

    def hidden(self, x: Rationals) -> Rationals:
        """1 where an entry is −∞, else 0."""
        return self._truth([value is LOWEST for value in x.ravel()]).reshape(x.shape)

    def uniform(self, x: Rationals) -> Fraction | None:
        """The number that all entries are, if it is one."""
        first: Any = x.flat[0] if x.size else None
        if first is None or first is LOWEST or not all(value == first for value in x.ravel()):
            return None
        return Fraction(int(first.p), int(first.q))

    # functions ----------------------------------------------------------------------------------------------
    def function(self, name: str, x: Rationals) -> Rationals:
        """``abs`` and ``floor``; ``sqrt`` where it is rational.

        Raises:
            EnclosureError: any other function, or an irrational root.
        """
        if name not in ELEMENTARY:
            raise unknown_function(name, self.name)
        match name:
            case "abs":
                values = [abs(value) for value in x.ravel()]
            case "floor":
                values = [self._flint.fmpq(value.floor()) for value in x.ravel()]
            case "sqrt":
                values = [self._root(value) for value in x.ravel()]
            case _:
                raise EnclosureError(
                    f"the function {name!r} has no exact rational value",
                    why="exact arithmetic holds rationals only",
                    fix="evaluate in ball arithmetic",
                )
        return self._array(values, x.shape)

    def _root(self, value: Any) -> Any:
        p, q = int(value.p), int(value.q)
        if p < 0 or math.isqrt(p) ** 2 != p or math.isqrt(q) ** 2 != q:
            raise EnclosureError("an irrational square root", got=str(value), fix="evaluate in ball arithmetic")
        return self._flint.fmpq(math.isqrt(p), math.isqrt(q))


class _Lowest:
    """−∞: it compares with rationals, takes sums, and any other use of it is a TypeError."""

    def __add__(self, other: object) -> _Lowest:
        return self

    __radd__ = __add__

    def __sub__(self, other: object) -> _Lowest:
        if other is self:
            raise EnclosureError("a difference of two entries that are −∞")
        return self

    def __lt__(self, other: object) -> bool:
        return other is not self

    def __le__(self, other: object) -> bool:
        return True

    def __gt__(self, other: object) -> bool:
        return False

    def __ge__(self, other: object) -> bool:
        return other is self


LOWEST = _Lowest()
"""The one instance."""
