"""The wider operations: torch's own values, the same in every arithmetic, refusals where nothing is decided."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

from orbitope.arithmetic import (
    ArbArithmetic,
    Arithmetic,
    Ball,
    BallArithmetic,
    ExactArithmetic,
    NormArithmetic,
    NormBall,
    TorchArithmetic,
)
from orbitope.arithmetic.composed import COMPOSED
from orbitope.errors import DataError, EnclosureError
from orbitope.primitives.activations import TRAITS

PLAIN = TorchArithmetic(torch.float64)
EXACT = ExactArithmetic()
BALLS = BallArithmetic()
RIGOROUS: list[Any] = [BALLS, NormArithmetic(), ArbArithmetic(80)]
TRANSCENDENTAL = ("log1p", "log2", "log10", "expm1", "exp2", "erfc")


def floats(x: Any) -> Any:
    """Midpoints as an array of float64."""
    if isinstance(x, Ball):
        return x.center
    return np.array([float(v) for v in x.ravel().tolist()]).reshape(x.shape)


def everywhere(operation: Callable[[Any, Any], Any], *tensors: torch.Tensor, exact: bool = True) -> None:
    """The operation's values in torch and in all other arithmetics."""
    expected = operation(PLAIN, [PLAIN.lift(x) for x in tensors]).to(torch.float64).numpy()
    for arithmetic in [EXACT, *RIGOROUS] if exact else RIGOROUS:
        found = floats(operation(arithmetic, [arithmetic.lift(x) for x in tensors]))
        assert found.shape == expected.shape
        assert np.allclose(found, expected, rtol=1e-13, atol=1e-13, equal_nan=False), arithmetic.name


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    """Normal numbers."""
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("name", sorted(COMPOSED))
def test_compositions_are_those_of_torch(name: str) -> None:
    """Every function entry by entry; on halves too, where rounding has ties and signs have zeros."""
    arity = TRAITS[name].arity
    halves = torch.tensor([-2.5, -1.5, -0.5, 0.0, 0.5, 1.0, 1.5, 2.5, 3.0, -4.0], dtype=torch.float64)
    for first in (draw(10), halves):
        others = [torch.roll(first, 3) + 0.25, draw(10, seed=1)][: arity - 1]
        operands = [first.abs() + 0.125 if name in TRANSCENDENTAL or name == "pow" else first, *others]
        if name == "where":
            operands[0] = (first > 0).double()
        settings = {"nan": 0.0, "posinf": 1.0, "neginf": -1.0} if name == "nan_to_num" else {}
        exact = name not in (*TRANSCENDENTAL, "pow")
        everywhere(lambda a, v, n=name, s=settings: a.entrywise(n, v, **s), *operands, exact=exact)


def test_the_table_of_torch_is_complete() -> None:
    """Every composed function is a trait, and torch has it."""
    for name in COMPOSED:
        arity = TRAITS[name].arity
        xs = [torch.rand(3, dtype=torch.float64) + 0.5 for _ in range(arity)]
        assert PLAIN.entrywise(name, xs).shape == (3,)


@pytest.mark.parametrize("exponent", [-3, -1, 0, 1, 2, 7, 0.5])
def test_powers_with_a_known_exponent_take_negative_bases(exponent: float) -> None:
    """As products; a root needs a base that is not negative."""
    x = draw(6) if exponent != 0.5 else draw(6).abs()
    everywhere(lambda a, v: a.entrywise("pow", [v[0], a.full((6,), exponent)]), x, exact=exponent != 0.5)


def test_softmax_is_that_of_torch() -> None:
    """Hidden entries get nothing, hidden rows zeros where that is asked for."""
    x = draw(4, 5)
    everywhere(lambda a, v: a.softmax(v[0], 1), x, exact=False)
    hidden = x.masked_fill(draw(4, 5, seed=2) > 0.7, -math.inf)
    everywhere(lambda a, v: a.softmax(v[0], 1), hidden, exact=False)
    everywhere(lambda a, v: a.softmax(v[0], 0, safe=True), hidden, exact=False)
    none = hidden.clone()
    none[2] = -math.inf
    everywhere(lambda a, v: a.softmax(v[0], 1, safe=True), none, exact=False)
    assert torch.allclose(PLAIN.softmax(hidden, 1), torch.softmax(hidden, 1))
    for arithmetic in RIGOROUS:
        logs = floats(arithmetic.log_softmax(arithmetic.lift(hidden), 1))
        assert np.array_equal(np.isneginf(logs), torch.isneginf(hidden).numpy())
        with pytest.raises(EnclosureError):
            arithmetic.softmax(arithmetic.lift(none), 1)
    assert torch.equal(PLAIN.softmax(none, 1, safe=True)[2], torch.zeros(5, dtype=torch.float64))


def test_masks_may_be_added() -> None:
    """Scores plus a mask of zeros and −∞."""
    mask = torch.zeros(4, 5, dtype=torch.float64).masked_fill(draw(4, 5, seed=3) > 0.5, -math.inf)
    for a in RIGOROUS:
        total = a.add(a.lift(draw(4, 5)), a.lift(mask))
        assert np.array_equal(np.isneginf(floats(total)), torch.isneginf(mask).numpy())
        assert np.array_equal(floats(a.hidden(total)), torch.isneginf(mask).double().numpy())
        assert np.array_equal(floats(a.entrywise("isfinite", [total])), torch.isfinite(mask).double().numpy())
        for refused in (lambda a=a, t=total: a.mul(t, t), lambda a=a, t=total: a.sum(t, (1,))):
            with pytest.raises(EnclosureError):
                refused()


def test_normalisation_is_that_of_torch() -> None:
    """Layer norm, and root mean square over two axes."""
    x = draw(3, 4, 6)
    everywhere(lambda a, v: a.normalise(v[0], (2,), 1e-5, "standard"), x, exact=False)
    assert torch.allclose(PLAIN.normalise(x, (2,), 1e-5, "standard"), functional.layer_norm(x, (6,)))
    everywhere(lambda a, v: a.normalise(v[0], (1, 2), 1e-6, "rms"), x, exact=False)
    assert torch.allclose(PLAIN.normalise(x, (2,), 1e-6, "rms"), functional.rms_norm(x, (6,), eps=1e-6))
    for a in RIGOROUS:
        with pytest.raises(EnclosureError):
            a.normalise(a.full((2, 3), 1), (1,), 0.0, "standard")


def test_pools_are_those_of_torch() -> None:
    """Padding, stride and dilation."""
    x = draw(2, 3, 7, 8)
    for kernel, stride, padding, dilation in [((2, 3), (1, 2), (1, 1), (1, 1)), ((2, 2), (2, 3), (0, 1), (2, 1))]:
        window = (kernel, stride, padding, dilation)
        everywhere(lambda a, v, w=window: a.pool(v[0], "max", *w, True), x)
        assert torch.equal(PLAIN.pool(x, "max", *window, True), functional.max_pool2d(x, *window))
    for inside in (True, False):
        window = ((2, 3), (1, 2), (1, 1), (1, 1))
        everywhere(lambda a, v, i=inside, w=window: a.pool(v[0], "mean", *w, i), x)
        expected = functional.avg_pool2d(x, (2, 3), (1, 2), (1, 1), count_include_pad=inside)
        assert torch.allclose(PLAIN.pool(x, "mean", *window, inside), expected)


def test_orders_are_those_of_torch() -> None:
    """Values, places and choices; values of equal numbers too."""
    x = draw(3, 6, 2)
    for largest, what, rule in itertools.product((True, False), ("values", "indices", "choice"), ("sort", "topk")):
        everywhere(lambda a, v, c=(1, 4, largest, what, rule): a.order(v[0], *c), x)
    everywhere(lambda a, v: a.order(v[0], 1, 1, True, "indices", "arg"), x)
    assert torch.equal(PLAIN.order(x, 1, 1, True, "indices", "arg")[:, 0], x.argmax(1))
    equal = torch.tensor([[1.0, 2.0, 2.0, 0.0]], dtype=torch.float64)
    everywhere(lambda a, v: a.order(v[0], 1, 3, True, "values", "sort"), equal)
    for a in (EXACT, *RIGOROUS):
        y = a.lift(equal)
        for what in ("indices", "choice"):
            with pytest.raises(EnclosureError, match="decide"):
                a.order(y, 1, 2, True, what, "sort")
        assert floats(a.order(y, 1, 1, False, "indices", "sort")).tolist() == [[3.0]]  # the others do not matter


@pytest.mark.parametrize("mode", ["set", "sum", "prod", "amax", "amin"])
def test_scatters_are_those_of_torch(mode: str) -> None:
    """Places that are met once, several times and never; of those that are set, the last entry stays."""
    x, source = draw(3, 5, 2), draw(3, 4, 2, seed=1)
    generator = torch.Generator().manual_seed(2)
    once = torch.stack([torch.randperm(5, generator=generator)[:4] for _ in range(6)]).reshape(3, 2, 4).transpose(1, 2)
    often = torch.randint(0, 5, (3, 4, 2), generator=generator)
    for indices in (once,) if mode == "set" else (once, often):
        everywhere(lambda a, v: a.scatter(v[0], 1, v[1], v[2], mode), x, indices.double(), source)


def test_comparisons_that_are_open_are_refused() -> None:
    """Balls that overlap or touch; a single point of both is decided."""
    wide = Ball(np.array([1.0]), np.array([0.5]))
    for other, answers in [
        (Ball(np.array([1.25])), None),
        (Ball(np.array([2.0]), np.array([0.25])), (1, 1, 0, 0, 0, 1)),
        (Ball(np.array([0.25]), np.array([0.125])), (0, 0, 1, 1, 0, 1)),
        (wide, None),
    ]:
        for arithmetic, (x, y) in [(BALLS, (wide, other)), (RIGOROUS[2], tuple(map(RIGOROUS[2].ball, (wide, other))))]:
            for k, fn in enumerate(("lt", "le", "gt", "ge", "eq", "ne")):
                if answers is None:
                    with pytest.raises(EnclosureError, match="decide"):
                        arithmetic.compare(fn, x, y)
                else:
                    assert floats(arithmetic.compare(fn, x, y)).tolist() == [answers[k]]
    same = Ball(np.array([3.0]), np.array([0.0]))
    assert BALLS.compare("eq", same, Ball(np.array([3.0]))).center.tolist() == [1.0]
    with pytest.raises(EnclosureError, match="choice"):
        BALLS.where(wide, same, same)
    with pytest.raises(EnclosureError, match="spaceship"):
        BALLS.compare("spaceship", same, same)


def test_what_has_no_enclosure_is_named() -> None:
    """Functions that are made of nothing that can be enclosed."""
    for a in (EXACT, *RIGOROUS):
        x = a.full((2,), 1)
        for name in ("atan", "atan2", "lgamma"):
            with pytest.raises(EnclosureError, match=name):
                a.entrywise(name, [x, x])
        with pytest.raises(EnclosureError, match="decimals"):
            a.entrywise("round", [x], decimals=2)
        with pytest.raises(DataError):
            a.pick(x, 0, torch.tensor([2]))


def test_numbers_that_are_whole_stay_exact() -> None:
    """Counts and positions may be computed with and used as indices."""
    x = BALLS.lift(torch.tensor([3, -2, 7]))
    one = BALLS.full((3,), 1)
    for y in (
        BALLS.add(x, one),
        BALLS.mul(x, x),
        BALLS.div(BALLS.mul(x, x), x),
        BALLS.sum(x, (0,)),
        BALLS.contract("i,i->", [x, x]),
        BALLS.mul(x, BALLS.full((3,), 0.5)),
        BALLS.entrywise("remainder", [x, BALLS.lift(torch.tensor([2, 2, 4]))]),
        BALLS.entrywise("remainder", [x, BALLS.full((3,), 5)]),
        BALLS.mul(x, BALLS.full((3,), 5)),
        BALLS.entrywise("floor_divide", [x, BALLS.lift(torch.tensor([2, 2, 4]))]),
        BALLS.sub(BALLS.lift(torch.tensor([0.25, 1.5, 3.0])), one),
    ):
        assert y.radius is None
    assert BALLS.add(BALLS.full((1,), 1.0), BALLS.full((1,), 2.0**-60)).radius is not None
    assert BALLS.mul(BALLS.full((1,), 2.0**-1000), BALLS.full((1,), 2.0**-20)).radius is None
    assert BALLS.mul(BALLS.full((1,), 1.5 * 2.0**-1000), BALLS.full((1,), 2.0**-74)).radius is not None


def test_uniform_numbers_are_known() -> None:
    """One rational for all entries, or None."""
    for a in (EXACT, *RIGOROUS):
        assert a.uniform(a.full((2, 2), Fraction(3, 4))) == Fraction(3, 4)
        assert a.uniform(a.lift(torch.tensor([1.0, 2.0]))) is None
        assert a.uniform(a.full((2,), -math.inf)) is None
    assert BALLS.uniform(BALLS.full((2,), Fraction(1, 3))) is None
    assert Arithmetic.uniform(PLAIN, torch.ones(2)) is None


def test_samples_have_norms() -> None:
    """What comes from samples; lookups by sample too; nothing else."""
    a = NormArithmetic()
    x = a.samples(draw(3, 4))
    assert isinstance(x, NormBall) and x.samples == 3 and x.norm is None
    w = a.lift(draw(5, 4))
    y = a.contract("bi,oi->bo", [x, w])
    assert isinstance(y, NormBall) and y.norm is not None and y.norm.shape == (3,)
    turned = a.transpose(y, (1, 0))
    assert isinstance(turned, NormBall) and turned.axis == 1
    ids = a.integers(a.samples(torch.tensor([[0, 2], [1, 1]])))
    embedded = a.take(a.lift(draw(4, 6)), ids, 0)
    assert isinstance(embedded, NormBall) and embedded.axis == 0 and embedded.samples == 2
    assert not isinstance(a.contract("bi,oi->bo", [w, w]), NormBall)
    assert isinstance(BALLS.samples(draw(3, 4)), Ball) and not isinstance(BALLS.samples(draw(3, 4)), NormBall)


# Arb ----------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("precision", [2, 53, 128])
def test_arb_lifts_exactly(precision: int) -> None:
    """Whatever the precision: floats, integers and balls."""
    a = ArbArithmetic(precision)
    for tensor in (torch.tensor([0.1, -3e-5], dtype=torch.float32), torch.tensor([2**60 + 1, -7]), draw(3)):
        exact = [Fraction(v) for v in tensor.tolist()]
        assert [a.uniform(v) for v in a.lift(tensor).reshape(-1, 1)] == exact
    ball = a.ball(Ball(np.array([1.0, 2.0**-1074]), np.array([1e-300, 0.0])))
    assert [float(v.mid()) for v in ball] == [1.0, 2.0**-1074]
    assert 1e-300 <= float(ball[0].rad()) <= 1.01e-300 and ball[1].is_exact()
    assert a.integers(a.lift(torch.tensor([[5, -6]]))).tolist() == [[5, -6]]
    for bad in (math.inf, math.nan):
        with pytest.raises(EnclosureError):
            a.lift(torch.tensor([bad]))
    with pytest.raises(DataError):
        a.integers(a.full((1,), Fraction(1, 3)))


def test_arb_means_are_floats_rounded_outward() -> None:
    """Below and above the exact mean, and next to each other."""
    a = ArbArithmetic(200)
    parts = [a.full((3,), Fraction(1, 3)), a.full((4,), Fraction(2, 7))]
    low, high = a.enclosing_mean(parts)
    exact = (3 * Fraction(1, 3) + 4 * Fraction(2, 7)) / 7
    assert Fraction(low) < exact < Fraction(high)
    assert Fraction(high) - Fraction(low) <= 2 * Fraction(math.ulp(high))
    ends = a.bounds(a.full((2,), Fraction(1, 3)))
    assert Fraction(ends[0][0]) < Fraction(1, 3) < Fraction(ends[1][1])
    with pytest.raises(EnclosureError, match="no values"):
        a.enclosing_mean([])
    with pytest.raises(EnclosureError, match="overflow"):
        a.enclosing_mean(a.full((2,), 2**2000))


def test_arb_narrows_as_its_precision_grows() -> None:
    """Where float64 is of no use."""
    x, w = draw(4, 8), draw(8, 8) * 3.0
    widths = []
    for precision in (53, 128, 256):
        a = ArbArithmetic(precision)
        y, weight = a.lift(x), a.lift(w)
        for _ in range(12):
            y = a.mul(y, a.function("tanh", a.contract("bi,oi->bo", [y, weight])))
            y = a.sub(a.contract("bi,oi->bo", [y, weight]), y)
        widths.append(max(float(v.rad()) for v in y.ravel()))
    assert widths[1] < 1e-15 * widths[0] and widths[2] < 1e-30 * widths[1]


def test_arb_refuses_a_precision_of_no_use() -> None:
    """Zero bits, or megabytes for each number."""
    for precision in (0, 1, 1 << 30):
        with pytest.raises(EnclosureError, match="bits"):
            ArbArithmetic(precision)
