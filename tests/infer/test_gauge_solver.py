"""The sparse solver of the gauge against dense exact linear algebra, and over GF(2) against all assignments."""

from __future__ import annotations

import random
from collections.abc import Sequence
from fractions import Fraction
from itertools import product

import pytest

from orbitope.infer.gauge.solver import Form, Number, Solver, independent, whole

Row = list[Fraction]


def _random_form(rng: random.Random, unknowns: Sequence[int], modulus: int) -> Form:
    """A sparse form; over the rationals with fractions, of both signs."""
    chosen = rng.sample(unknowns, rng.randint(1, min(4, len(unknowns))))
    if modulus:
        return dict.fromkeys(chosen, 1)
    return {u: Fraction(rng.choice([-3, -2, -1, 1, 2, 5]), rng.choice([1, 1, 2, 3])) for u in chosen}


def _row(form: Form, count: int) -> Row:
    return [Fraction(form.get(k + 1, 0)) for k in range(count)]


def _rank(rows: Sequence[Row]) -> int:
    """By dense elimination."""
    left = [list(row) for row in rows]
    rank = 0
    for column in range(len(left[0]) if left else 0):
        lead = next((k for k in range(rank, len(left)) if left[k][column]), None)
        if lead is None:
            continue
        left[rank], left[lead] = left[lead], left[rank]
        for k in range(rank + 1, len(left)):
            factor = left[k][column] / left[rank][column]
            left[k] = [a - factor * b for a, b in zip(left[k], left[rank], strict=True)]
        rank += 1
    return rank


def _solved(solver: Solver, count: int) -> list[Form]:
    """Every unknown, by those that are free."""
    return [solver.known({k + 1: 1}) for k in range(count)]


def _null_space(solver: Solver, count: int) -> list[Row]:
    """One vector for each unknown that is free."""
    values = _solved(solver, count)
    free = sorted({u for form in values for u in form})
    return [[Fraction(form.get(u, 0)) for form in values] for u in free]


@pytest.mark.parametrize("seed", range(60))
def test_rational_null_spaces(seed: int) -> None:
    """The same dimension, and every basis vector solves every equation: then the spaces are equal."""
    rng = random.Random(seed)
    count = rng.randint(1, 14)
    solver = Solver()
    for _ in range(count):
        solver.fresh()
    equations = [_random_form(rng, range(1, count + 1), 0) for _ in range(rng.randint(0, count + 3))]
    for equation in equations:
        solver.zero(equation)
    rows = [_row(equation, count) for equation in equations]
    basis = _null_space(solver, count)
    assert len(basis) == count - _rank(rows) == _rank(basis)
    assert all(sum(a * b for a, b in zip(row, vector, strict=True)) == 0 for row in rows for vector in basis)
    # membership: what is known to be zero is exactly what lies in the span of the equations
    for _ in range(5):
        form = _random_form(rng, range(1, count + 1), 0)
        assert (not solver.known(form)) == (_rank([*rows, _row(form, count)]) == _rank(rows))
    for _ in range(3):
        mixed = [(e, Fraction(rng.randint(-4, 4), 3)) for e in equations]
        assert not solver.combine(mixed)


@pytest.mark.parametrize("seed", range(40))
def test_rational_unknowns_that_come_late(seed: int) -> None:
    """Unknowns and equations in turn, forms that hold what is known already, and ``equal``."""
    rng = random.Random(1000 + seed)
    solver, rows, count = Solver(), [], 0
    for _ in range(20):
        if count < 2 or rng.random() < 0.4:
            solver.fresh()
            count += 1
            continue
        left, right = (_random_form(rng, range(1, count + 1), 0) for _ in range(2))
        rows.append([a - b for a, b in zip(_row(left, 20), _row(right, 20), strict=True)])
        solver.equal(solver.known(left) if rng.random() < 0.5 else left, right)
    basis = _null_space(solver, count)
    assert len(basis) == count - _rank(rows) == _rank(basis)
    for row in rows:
        assert all(sum(a * b for a, b in zip(row, vector, strict=False)) == 0 for vector in basis)


@pytest.mark.parametrize("seed", range(60))
def test_solutions_over_two_elements_by_trying_all(seed: int) -> None:
    rng = random.Random(seed)
    count = rng.randint(1, 9)
    solver = Solver(2)
    for _ in range(count):
        solver.fresh()
    equations = [_random_form(rng, range(1, count + 1), 2) for _ in range(rng.randint(0, count + 2))]
    for equation in equations:
        solver.zero(equation)
    right = {x for x in product((0, 1), repeat=count) if all(sum(x[u - 1] for u in e) % 2 == 0 for e in equations)}
    values = _solved(solver, count)
    free = sorted({u for form in values for u in form})
    found = set()
    for bits in product((0, 1), repeat=len(free)):
        at = dict(zip(free, bits, strict=True))
        found.add(tuple(sum(at[u] for u in form) % 2 for form in values))
    assert found == right and len(found) == 2 ** len(free)
    for _ in range(5):
        form = _random_form(rng, range(1, count + 1), 2)
        assert (not solver.known(form)) == all(sum(x[u - 1] for u in form) % 2 == 0 for x in right)


def test_characteristics_differ() -> None:
    """a = b = c = −a leaves nothing over the rationals, and one bit over GF(2)."""
    for modulus, left in ((0, 0), (2, 1)):
        solver = Solver(modulus)
        a, b, c = (solver.fresh() for _ in range(3))
        solver.equal(a, b)
        solver.equal(b, c)
        solver.zero(solver.combine([(c, 1), (a, 1)]))
        assert len({u for form in _solved(solver, 3) for u in form}) == left


def test_the_oldest_unknowns_stay_free() -> None:
    """What is left moves the parameters that come first."""
    solver = Solver()
    a, b, c = (solver.fresh() for _ in range(3))
    solver.zero(solver.combine([(a, 2), (b, -1), (c, 4)]))
    solver.equal(b, a)
    assert solver.known(a) == a
    assert solver.known(b) == a
    assert solver.known(c) == {1: Fraction(-1, 4)}


def test_forms_are_never_changed() -> None:
    solver = Solver()
    a, b = solver.fresh(), solver.fresh()
    form: Form = {1: 2, 2: -1}
    solver.zero(form)
    assert (form, a, b) == ({1: 2, 2: -1}, {1: 1}, {2: 1})


@pytest.mark.parametrize("modulus", [0, 2])
@pytest.mark.parametrize("seed", range(40))
def test_independent_vectors_one_after_the_other(seed: int, modulus: int) -> None:
    """A vector is taken exactly when it is no combination of what came before; by ranks, or by trying all."""
    rng = random.Random(seed)
    count = rng.randint(2, 7)
    vectors = [_random_form(rng, range(1, count + 1), modulus) for _ in range(rng.randint(1, 7))]
    if not modulus:  # make some dependent on purpose
        vectors.append({u: 2 * vectors[0].get(u, 0) + vectors[-1].get(u, 0) for u in {*vectors[0], *vectors[-1]}})
    cut = rng.randint(0, len(vectors) - 1)
    modulo, asked = vectors[:cut], vectors[cut:]
    assert independent(asked, modulus, modulo) == [
        k for k in range(len(asked)) if not _spanned(asked[k], [*modulo, *asked[:k]], count, modulus)
    ]


def _spanned(vector: Form, others: Sequence[Form], count: int, modulus: int) -> bool:
    if not modulus:
        rows = [_row(other, count) for other in others]
        return _rank([*rows, _row(vector, count)]) == _rank(rows)
    wanted = {u for u, value in vector.items() if value % 2}
    for bits in product((0, 1), repeat=len(others)):
        total: set[int] = set()
        for bit, other in zip(bits, others, strict=True):
            total ^= {u for u, value in other.items() if value % 2} if bit else set()
        if total == wanted:
            return True
    return False


def test_whole_numbers() -> None:
    """Denominators are cleared, common divisors go, and the first entry is positive."""
    vector: dict[str, Number] = {"a": Fraction(-2, 3), "b": Fraction(4, 5), "c": -2}
    assert whole(vector) == {"a": 5, "b": -6, "c": 15}
    assert whole({"a": 6, "b": -9}) == {"a": 2, "b": -3}
