"""Functions of one real number that are polynomials between breaks, in exact rationals."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from math import isqrt
from typing import Any

from orbitope.errors import EnclosureError

Polynomial = tuple[Fraction, ...]
"""Coefficients, the constant first; no zeros at the end."""

HIGHEST, MOST = 4, 24
"""Degree, and number of breaks, of the functions that are followed."""

Bound = Fraction | None
"""An end of an interval; None where it has none."""


def polynomial(*coefficients: Fraction | float | int) -> Polynomial:
    """Without zeros at the end."""
    found = [Fraction(c) for c in coefficients]
    while found and not found[-1]:
        found.pop()
    return tuple(found)


def value(p: Polynomial, x: Fraction) -> Fraction:
    """At a number."""
    total = Fraction(0)
    for c in reversed(p):
        total = total * x + c
    return total


def derivative(p: Polynomial) -> Polynomial:
    """By Leibniz.

    >>> derivative(polynomial(5, 0, 1)) == polynomial(0, 2)
    True
    """
    return polynomial(*(k * c for k, c in enumerate(p) if k))


def roots(p: Polynomial) -> list[Fraction]:
    """Where it is zero; none for the zero polynomial.

    Raises:
        EnclosureError: a root is not rational, or the degree is above two.
    """
    if len(p) <= 1:
        return []
    if len(p) == 2:
        return [-p[0] / p[1]]
    if len(p) > 3:
        raise EnclosureError("roots of a polynomial of that degree are not looked for")
    c, b, a = p
    square = b * b - 4 * a * c
    if square < 0:
        return []
    top, bottom = isqrt(square.numerator), isqrt(square.denominator)
    if top * top != square.numerator or bottom * bottom != square.denominator:
        raise EnclosureError("a root is not rational")
    root = Fraction(top, bottom)
    return sorted({(-b - root) / (2 * a), (-b + root) / (2 * a)})


def nonnegative(p: Polynomial, low: Bound, high: Bound) -> bool:
    """Whether a polynomial of degree two at most is nowhere negative between two ends."""
    if len(p) > 3:
        return False
    signs = [value(p, end) for end in (low, high) if end is not None]
    if len(p) > 1 and high is None:
        signs.append(p[-1])
    if len(p) > 1 and low is None:
        signs.append(p[-1] if len(p) == 3 else -p[-1])
    if len(p) == 1:
        signs.append(p[0])
    if len(p) == 3:
        turn = -p[1] / (2 * p[2])
        if (low is None or turn > low) and (high is None or turn < high):
            signs.append(value(p, turn))
    return all(sign >= 0 for sign in signs)


@dataclass(frozen=True)
class Piecewise:
    """A function of one real number.

    Attributes:
        breaks: ascending.
        pieces: one more than there are breaks: the polynomials before, between and after them.
        values: at each break.
    """

    breaks: tuple[Fraction, ...]
    pieces: tuple[Polynomial, ...]
    values: tuple[Fraction, ...] = ()

    def refined(self, breaks: Sequence[Fraction]) -> Piecewise:
        """The same with further breaks."""
        merged = tuple(sorted({*self.breaks, *breaks}))
        if len(merged) > MOST:
            raise EnclosureError("a function of one number has too many breaks")
        pieces = tuple(self._after(bound) for bound in (None, *merged))
        return Piecewise(merged, pieces, tuple(self.at(b) for b in merged))

    def _after(self, bound: Bound) -> Polynomial:
        return self.pieces[0] if bound is None else self.pieces[sum(b <= bound for b in self.breaks)]

    def at(self, x: Fraction) -> Fraction:
        """The value at a number."""
        k = bisect_left(self.breaks, x)
        if k < len(self.breaks) and self.breaks[k] == x:
            return self.values[k]
        return value(self.pieces[k], x)

    def intervals(self) -> list[tuple[Bound, Bound]]:
        """Between the breaks."""
        ends: list[Bound] = [None, *self.breaks, None]
        return list(pairwise(ends))

    def uniform(self) -> Fraction | None:
        """The number that it is everywhere, if it is one."""
        found = {*self.values, *(p[0] if p else Fraction(0) for p in self.pieces)}
        return found.pop() if len(found) == 1 and all(len(p) <= 1 for p in self.pieces) else None


IDENTITY = Piecewise((), (polynomial(0, 1),))


def constant(number: Fraction | float | int) -> Piecewise:
    """The same everywhere."""
    return Piecewise((), (polynomial(number),))


def _inside(low: Bound, high: Bound) -> Fraction:
    """A number between two ends."""
    if low is None:
        return Fraction(0) if high is None else high - 1
    return low + 1 if high is None else (low + high) / 2


class PiecewiseArithmetic:
    """Values of entry-wise primitives as functions of one number.

    It has only what such functions are made of: whatever else a primitive asks for is an AttributeError.

    Guarantee: exact.
    """

    name = "piecewise polynomial"

    def shape(self, x: Piecewise) -> tuple[int, ...]:
        """A single entry."""
        return ()

    def full(self, shape: Sequence[int], value: Fraction | float | int, like: Piecewise | None = None) -> Piecewise:
        """A constant."""
        return constant(value)

    def add(self, x: Piecewise, y: Piecewise) -> Piecewise:
        """Sum."""
        return _each(x, y, _sum, lambda a, b: a + b)

    def sub(self, x: Piecewise, y: Piecewise) -> Piecewise:
        """Difference."""
        return self.add(x, self.neg(y))

    def neg(self, x: Piecewise) -> Piecewise:
        """Negative."""
        return self.mul(x, constant(-1))

    def mul(self, x: Piecewise, y: Piecewise) -> Piecewise:
        """Product."""
        return _each(x, y, _product, lambda a, b: a * b)

    def div(self, x: Piecewise, y: Piecewise) -> Piecewise:
        """Quotient by a constant."""
        number = y.uniform()
        if not number:
            raise EnclosureError("a quotient of functions of one number")
        return self.mul(x, constant(1 / number))

    def maximum(self, x: Piecewise, y: Piecewise) -> Piecewise:
        """The larger one, with breaks where they cross."""
        return self.where(self.compare("ge", x, y), x, y)

    def relu(self, x: Piecewise) -> Piecewise:
        """The positive part."""
        return self.maximum(x, constant(0))

    def function(self, name: str, x: Piecewise) -> Piecewise:
        """The absolute value; other functions are no polynomials."""
        if name != "abs":
            raise EnclosureError(f"no {name} of functions of one number")
        return self.maximum(x, self.neg(x))

    def compare(self, fn: str, x: Piecewise, y: Piecewise) -> Piecewise:
        """1 where the comparison holds, else 0, with breaks where they cross."""
        gap = self.sub(x, y)
        crossings = [
            root
            for p, (low, high) in zip(gap.pieces, gap.intervals(), strict=True)
            for root in roots(p)
            if (low is None or root > low) and (high is None or root < high)
        ]
        gap = gap.refined(crossings)
        holds = _COMPARISONS[fn]
        pieces = tuple(
            polynomial(holds(value(p, _inside(*between))))
            for p, between in zip(gap.pieces, gap.intervals(), strict=True)
        )
        return Piecewise(gap.breaks, pieces, tuple(Fraction(holds(v)) for v in gap.values))

    def where(self, condition: Piecewise, x: Piecewise, y: Piecewise) -> Piecewise:
        """The one where the condition is not zero, else the other."""
        breaks = (*condition.breaks, *x.breaks, *y.breaks)
        c, x, y = (f.refined(breaks) for f in (condition, x, y))
        if any(len(p) > 1 for p in c.pieces):
            raise EnclosureError("a condition that is no step")
        pieces = tuple(a if p else b for p, a, b in zip(c.pieces, x.pieces, y.pieces, strict=True))
        values = tuple(a if v else b for v, a, b in zip(c.values, x.values, y.values, strict=True))
        return Piecewise(c.breaks, pieces, values)

    def entrywise(self, name: str, xs: Sequence[Piecewise], **settings: Any) -> Piecewise:
        """Comparisons and choice."""
        if name in _COMPARISONS:
            return self.compare(name, xs[0], xs[1])
        if name == "where":
            return self.where(xs[0], xs[1], xs[2])
        if name == "real":
            return xs[0]
        raise EnclosureError(f"no {name} of functions of one number")


_COMPARISONS: dict[str, Callable[[Fraction], bool]] = {
    "lt": lambda gap: gap < 0,
    "le": lambda gap: gap <= 0,
    "gt": lambda gap: gap > 0,
    "ge": lambda gap: gap >= 0,
    "eq": lambda gap: gap == 0,
    "ne": lambda gap: gap != 0,
}


def _each(
    x: Piecewise,
    y: Piecewise,
    pieces: Callable[[Polynomial, Polynomial], Polynomial],
    values: Callable[[Fraction, Fraction], Fraction],
) -> Piecewise:
    x, y = x.refined(y.breaks), y.refined(x.breaks)
    found = tuple(pieces(a, b) for a, b in zip(x.pieces, y.pieces, strict=True))
    if any(len(p) > HIGHEST + 1 for p in found):
        raise EnclosureError("a polynomial of too high a degree")
    return Piecewise(x.breaks, found, tuple(values(a, b) for a, b in zip(x.values, y.values, strict=True)))


def _sum(a: Polynomial, b: Polynomial) -> Polynomial:
    size = max(len(a), len(b))
    wide = [(*p, *[Fraction(0)] * (size - len(p))) for p in (a, b)]
    return polynomial(*(c + d for c, d in zip(*wide, strict=True)))


def _product(a: Polynomial, b: Polynomial) -> Polynomial:
    found = [Fraction(0)] * max(len(a) + len(b) - 1, 0)
    for i, c in enumerate(a):
        for j, d in enumerate(b):
            found[i + j] += c * d
    return polynomial(*found)
