"""Functions of one number: their traits against a grid, and that the law does not claim more than they have."""

from __future__ import annotations

import random
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise

import pytest
import torch
from tests.curvature.oracle import violations
from tests.curvature.test_law import end, program_of, real_inputs
from torch import nn

from orbitope.curvature import curves
from orbitope.curvature.curves import Curve
from orbitope.curvature.polynomials import (
    IDENTITY,
    PiecewiseArithmetic,
    constant,
    nonnegative,
    polynomial,
    roots,
    value,
)
from orbitope.errors import EnclosureError

A = PiecewiseArithmetic()
GRID = [Fraction(k, 8) for k in range(-64, 65)]


def _step(kind: str, one, other, c: Fraction):
    """A function and the same in plain Python, made of one or two such pairs and a number."""
    (f, p), (g, q) = one, other
    match kind:
        case "add":
            return A.add(f, g), lambda x: p(x) + q(x)
        case "shift":
            return A.add(f, constant(c)), lambda x: p(x) + c
        case "scale":
            return A.mul(f, constant(c)), lambda x: p(x) * c
        case "mul":
            return A.mul(f, g), lambda x: p(x) * q(x)
        case "abs":
            return A.function("abs", f), lambda x: abs(p(x))
        case "relu":
            return A.relu(f), lambda x: max(p(x), Fraction(0))
        case "max":
            return A.maximum(f, g), lambda x: max(p(x), q(x))
        case "min":
            return A.neg(A.maximum(A.neg(f), constant(-c))), lambda x: min(p(x), c)
        case _:
            return A.where(A.compare("lt", f, constant(c)), f, g), lambda x: p(x) if p(x) < c else q(x)


def _random(seed: int):
    """A function of one number and the same in plain Python."""
    draw = random.Random(seed)
    pool = [(IDENTITY, lambda x: x)]
    for _ in range(draw.randint(2, 6)):
        one, other = draw.choice(pool), draw.choice(pool)
        c = Fraction(draw.randint(-6, 6), draw.choice((1, 2, 4)))
        kind = draw.choice(("add", "shift", "scale", "mul", "abs", "relu", "max", "min", "where"))
        try:
            pool.append(_step(kind, one, other, c))
        except EnclosureError:
            continue
    return pool[-1]


@pytest.mark.parametrize("seed", range(150))
def test_functions_and_their_traits_on_a_grid(seed):
    f, plain = _random(seed)
    assert all(f.at(x) == plain(x) for x in GRID)
    curve = Curve.of("x", f)
    for traits, xs in (
        (curve.everywhere, GRID),
        (curve.above, [x for x in GRID if x >= 0]),
        (curve.below, [x for x in GRID if x <= 0]),
    ):
        ys = [plain(x) for x in xs]
        bends = [a - 2 * b + c for a, b, c in zip(ys, ys[1:], ys[2:], strict=False)]
        rises = [b - a for a, b in pairwise(ys)]
        assert not traits.convex or min(bends) >= 0
        assert not traits.concave or max(bends) <= 0
        assert traits.direction <= 0 or min(rises) >= 0
        assert traits.direction >= 0 or max(rises) <= 0
        assert not traits.nonnegative or min(ys) >= 0
        assert not traits.nonpositive or max(ys) <= 0
        assert not traits.constant or len(set(ys)) == 1


def test_many_of_them_are_decided():
    """Of functions that bend one way on the grid most are found to."""
    found = bent = 0
    for seed in range(150):
        f, plain = _random(seed)
        ys = [plain(x) for x in GRID]
        if min(a - 2 * b + c for a, b, c in zip(ys, ys[1:], ys[2:], strict=False)) >= 0:
            bent += 1
            found += Curve.of("x", f).everywhere.convex
    assert bent > 40 and found >= 0.9 * bent


def test_polynomials():
    assert roots(polynomial(-4, 0, 1)) == [-2, 2] and roots(polynomial(1, 0, 1)) == []
    with pytest.raises(EnclosureError):
        roots(polynomial(-2, 0, 1))
    assert nonnegative(polynomial(1, -2, 1), None, None) and not nonnegative(
        polynomial(Fraction(9, 10), -2, 1), None, None
    )
    assert nonnegative(polynomial(Fraction(9, 10), -2, 1), Fraction(2), None)
    assert nonnegative(polynomial(0, 1), Fraction(0), None) and not nonnegative(polynomial(0, 1), None, None)
    assert value(polynomial(1, 2, 3), Fraction(2)) == 17


# in programs ----------------------------------------------------------------------------------------------------------
class _Entrywise(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.inner, self.function = nn.Linear(4, 5), function

    def forward(self, x):
        return self.function(self.inner(x))


FUNCTIONS = {
    "huber": (lambda x: torch.where(x.abs() < 1, x * x / 2, x.abs() - 0.5), "convex"),
    "pulse": (lambda x: torch.relu(x + 1) - 2 * torch.relu(x) + torch.relu(x - 1), "unknown"),
    "two relus": (lambda x: torch.relu(x) - torch.relu(-x), "affine"),
    "difference": (lambda x: torch.relu(2 * x) - torch.relu(x), "convex"),
    "clipped": (lambda x: x.clamp(-1, 1) - x, "unknown"),
    "capped square": (lambda x: x.clamp(min=0) ** 2 + x.clamp(max=0), "unknown"),
    "square of positive part": (lambda x: x.clamp(min=0) ** 2 + 3 * x, "convex"),
    "jump": (lambda x: torch.where(x > 0, x, x - 1), "unknown"),
    "hard swish": (nn.functional.hardswish, "unknown"),
    "negative part": (lambda x: -(torch.relu(x) - x), "concave"),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_entry_wise_steps_are_put_together(name):
    function, kind = FUNCTIONS[name]
    program = program_of(_Entrywise(function), (torch.rand(3, 4),))
    walk = program.walk(real_inputs(program), end(program))
    assert walk.result.census.kind == kind
    assert not list(violations(program.walk(real_inputs(program), end(program), whole=True), chords=12))


def test_a_wrong_trait_of_a_curve_is_caught(monkeypatch):
    program = program_of(_Entrywise(FUNCTIONS["pulse"][0]), (torch.rand(3, 4),))
    true = curves._traits
    monkeypatch.setattr(curves, "_traits", lambda *args: replace(true(*args), convex=True))
    assert list(violations(program.walk(real_inputs(program), end(program), whole=True), chords=12))


def test_constants_that_differ_are_no_function_of_one_number():
    class Shifted(nn.Module):
        def forward(self, x):
            return torch.minimum(x.abs(), torch.tensor([0.5, 1.0, 2.0, 3.0])) * 2

    program = program_of(Shifted(), (torch.rand(3, 4),))
    assert end(program) not in program.curves
