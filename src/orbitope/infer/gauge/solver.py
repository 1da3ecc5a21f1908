"""Linear equations with rational coefficients, or over GF(2), solved as they come in: exact and sparse.

An unknown is an integer; a form is a sparse sum of unknowns. Each equation eliminates one unknown. What is never
eliminated is free, and every free unknown gives one basis vector of the space of solutions.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from fractions import Fraction
from heapq import heapify, heappop, heappush
from math import gcd, lcm
from typing import TypeVar

Number = int | Fraction
Form = dict[int, Number]
"""Coefficients by unknown; zeros are left out. Forms are never changed."""


class Solver:
    """Homogeneous linear equations over the rationals (``modulus`` 0) or GF(2) (``modulus`` 2)."""

    def __init__(self, modulus: int = 0) -> None:
        """No unknowns yet."""
        self.modulus = modulus
        self.count = 0
        self._pivots: dict[int, Form] = {}
        self._users: dict[int, set[int]] = {}

    def fresh(self) -> Form:
        """A new unknown."""
        self.count += 1
        return {self.count: 1}

    def known(self, form: Form) -> Form:
        """A form with what is known put in."""
        return form if self._pivots.keys().isdisjoint(form) else self.combine([(form, 1)])

    def combine(self, terms: Iterable[tuple[Form, Number]]) -> Form:
        """A sum of multiples of forms, with what is known put in."""
        total: Form = {}
        for form, factor in terms:
            for unknown, value in form.items():
                pivot = self._pivots.get(unknown)
                if pivot is None:
                    total[unknown] = total.get(unknown, 0) + factor * value
                    continue
                for inner, weight in pivot.items():
                    total[inner] = total.get(inner, 0) + factor * value * weight
        if self.modulus:
            return {unknown: 1 for unknown, value in total.items() if value % self.modulus}
        return {unknown: value for unknown, value in total.items() if value}

    def value(self, form: Form, choice: Mapping[int, Number]) -> Number:
        """What a form is, in which everything known is put in, where the unknowns are chosen; the others are zero."""
        total = sum(form[unknown] * number for unknown, number in choice.items() if unknown in form)
        return total % self.modulus if self.modulus else total

    def zero(self, form: Form) -> None:
        """Demand that a form be zero."""
        if not form:
            return
        rest = dict(self.known(form))
        if not rest:
            return
        pivot = max(rest)  # the youngest: what is left are the unknowns of early parameters
        weight = rest.pop(pivot)
        solution = rest if self.modulus else {unknown: _plain(-value, weight) for unknown, value in rest.items()}
        self._pivots[pivot] = solution
        for unknown in solution:
            self._users.setdefault(unknown, set()).add(pivot)
        for user in self._users.pop(pivot, set()):
            before = self._pivots[user]
            if pivot not in before:
                continue
            after = self.combine([(before, 1)])
            self._pivots[user] = after
            for unknown in after:
                self._users.setdefault(unknown, set()).add(user)

    def equal(self, left: Form, right: Form) -> None:
        """Demand that two forms be equal."""
        if left != right:
            self.zero(self.combine([(left, 1), (right, -1)]))


def _plain(value: Number, weight: Number) -> Number:
    """A quotient, as a whole number where it is one."""
    if weight in (1, -1):
        return value * weight
    quotient = Fraction(value) / weight
    return int(quotient) if quotient.denominator == 1 else quotient


Key = TypeVar("Key", bound=Hashable)


def whole(vector: Mapping[Key, Number]) -> dict[Key, int]:
    """The multiple of a vector with whole numbers, no common divisor and a positive first entry."""
    scale = lcm(*(Fraction(value).denominator for value in vector.values()))
    numbers = {key: int(value * scale) for key, value in vector.items()}
    divisor = gcd(*numbers.values()) * (1 if next(iter(numbers.values())) > 0 else -1)
    return {key: value // divisor for key, value in numbers.items()}


def vanishing(columns: Mapping[int, Mapping[Key, Number]], modulus: int = 0) -> list[dict[int, Number]]:
    """Independent combinations of columns that are zero, each by the factors of the columns."""
    solver = Solver(modulus)
    factors = {name: solver.fresh() for name in columns}
    rows: dict[Key, list[tuple[Form, Number]]] = {}
    for name, column in columns.items():
        for key, value in column.items():
            rows.setdefault(key, []).append((factors[name], value))
    for row in rows.values():
        solver.zero(solver.combine(row))
    found: dict[int, dict[int, Number]] = {}
    for name, factor in factors.items():
        for free, value in solver.known(factor).items():
            found.setdefault(free, {})[name] = value
    return list(found.values())


def independent(
    vectors: Iterable[Mapping[Key, Number]], modulus: int = 0, modulo: Iterable[Mapping[Key, Number]] = ()
) -> list[int]:
    """Which of several vectors, by their position, are not combinations of earlier ones, nor of ``modulo``."""
    rows: dict[Key, dict[Key, Number]] = {}
    places: dict[Key, int] = {}

    def reduced(vector: Mapping[Key, Number]) -> dict[Key, Number]:
        rest: dict[Key, Number] = {key: value % modulus if modulus else value for key, value in vector.items()}
        rest = {key: value for key, value in rest.items() if value}
        waiting = [places[key] for key in rest if key in places]
        order = list(rows)
        heapify(waiting)
        while waiting:
            key = order[heappop(waiting)]
            factor = rest.get(key)
            if not factor:
                continue
            for inner, value in rows[key].items():
                new = rest.get(inner, 0) - factor * value
                new = new % modulus if modulus else new
                if new:
                    if inner not in rest and inner in places:
                        heappush(waiting, places[inner])
                    rest[inner] = new
                else:
                    rest.pop(inner, None)
        return rest

    def enter(rest: dict[Key, Number]) -> None:
        pivot = next(iter(rest))
        lead = rest[pivot]
        places[pivot] = len(rows)
        rows[pivot] = {key: _plain(value, lead) for key, value in rest.items()}

    for vector in modulo:
        if rest := reduced(vector):
            enter(rest)
    found = []
    for k, vector in enumerate(vectors):
        if rest := reduced(vector):
            enter(rest)
            found.append(k)
    return found


__all__ = ["Form", "Number", "Solver", "independent", "vanishing", "whole"]
