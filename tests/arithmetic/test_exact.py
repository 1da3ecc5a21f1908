"""Exact rationals: exactness, agreement with torch, and refusals."""

from __future__ import annotations

import builtins
import importlib
import math
import sys
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import flint
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from orbitope.arithmetic import ExactArithmetic, TorchArithmetic
from orbitope.errors import DataError, EnclosureError

EXACT = ExactArithmetic()
FLOATS = st.floats(allow_nan=False, allow_infinity=False)


def fractions(x: Any) -> list[Fraction]:
    """Entries as Python fractions."""
    return [Fraction(int(value.p), int(value.q)) for value in x.ravel()]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(FLOATS, FLOATS), min_size=1, max_size=5))
def test_field_is_that_of_fractions(pairs: list[tuple[float, float]]) -> None:
    """Against Python's own rationals, subnormals and near overflow included."""
    x, y = (torch.tensor([pair[k] for pair in pairs], dtype=torch.float64) for k in (0, 1))
    a, b = EXACT.lift(x), EXACT.lift(y)
    left, right = [Fraction(v) for v in x.tolist()], [Fraction(v) for v in y.tolist()]
    assert fractions(EXACT.add(a, b)) == [p + q for p, q in zip(left, right, strict=True)]
    assert fractions(EXACT.sub(a, b)) == [p - q for p, q in zip(left, right, strict=True)]
    assert fractions(EXACT.mul(a, b)) == [p * q for p, q in zip(left, right, strict=True)]
    assert fractions(EXACT.maximum(a, b)) == [max(p, q) for p, q in zip(left, right, strict=True)]
    assert fractions(EXACT.sum(a, (0,))) == [sum(left)]
    assert fractions(EXACT.mean(a, (0,))) == [sum(left) / len(left)]
    assert fractions(EXACT.contract("i,i->", [a, b])) == [sum(p * q for p, q in zip(left, right, strict=True))]
    assert fractions(EXACT.function("floor", a)) == [Fraction(math.floor(p)) for p in left]
    if all(right):
        assert fractions(EXACT.div(a, b)) == [p / q for p, q in zip(left, right, strict=True)]


@pytest.mark.parametrize(
    ("spec", "shapes"),
    [
        ("bi,oi->bo", [(3, 4), (5, 4)]),
        ("bi,oi->ob", [(3, 4), (5, 4)]),
        ("bhqd,bhkd->bhqk", [(2, 2, 3, 4), (2, 2, 2, 4)]),
        ("bhqk,bkhd->bqhd", [(2, 2, 3, 4), (2, 4, 2, 2)]),
        ("bi,i->bi", [(3, 4), (4,)]),
        ("i,j->ij", [(3,), (4,)]),
        ("ij->ji", [(3, 4)]),
        ("ij->", [(3, 4)]),
        ("iij->j", [(3, 3, 2)]),
        ("ij,jk,kl->il", [(2, 3), (3, 4), (4, 2)]),
        ("ij,j,i->i", [(2, 3), (3,), (2,)]),
        ("ab,c->b", [(2, 3), (4,)]),
        ("ijij,j->i", [(2, 3, 2, 3), (3,)]),
        (",i->i", [(), (3,)]),
    ],
)
def test_contractions_agree_with_torch(spec: str, shapes: list[tuple[int, ...]]) -> None:
    """On small integers, where torch is exact too."""
    generator = torch.Generator().manual_seed(0)
    xs = [torch.randint(-5, 6, shape, generator=generator).double() for shape in shapes]
    found = EXACT.contract(spec, [EXACT.lift(x) for x in xs])
    expected = TorchArithmetic().contract(spec, xs)
    assert found.shape == tuple(expected.shape)
    assert np.array_equal(found.astype(float), expected.numpy())


def test_convolution_agrees_with_torch() -> None:
    """On small integers, with groups."""
    generator = torch.Generator().manual_seed(1)
    x = torch.randint(-4, 5, (2, 4, 5, 6), generator=generator).double()
    w = torch.randint(-4, 5, (6, 2, 2, 3), generator=generator).double()
    chosen: dict[str, Any] = {"stride": (2, 1), "padding": (1, 1), "dilation": (1, 2), "groups": 2}
    found = EXACT.convolve(EXACT.lift(x), EXACT.lift(w), **chosen)
    assert np.array_equal(found.astype(float), TorchArithmetic().convolve(x, w, **chosen).numpy())


def test_lift_is_exact_for_every_dtype() -> None:
    """Also integers beyond 2⁵³."""
    big = [2**63 - 1, -(2**63), 2**53 + 1]
    assert fractions(EXACT.lift(torch.tensor(big))) == [Fraction(v) for v in big]
    for dtype in (torch.float16, torch.bfloat16, torch.float32, torch.float64):
        x = torch.tensor([0.1, -7e-5], dtype=dtype)
        assert fractions(EXACT.lift(x)) == [Fraction(v) for v in x.tolist()]
    assert fractions(EXACT.lift(torch.tensor([True, False]))) == [1, 0]
    assert EXACT.lift(torch.tensor(0.5)).shape == ()
    assert EXACT.lift(torch.ones(0, 3)).shape == (0, 3)
    assert EXACT.integers(EXACT.lift(torch.tensor(big))).tolist() == big


def test_full_is_exact() -> None:
    """Fractions, floats and integers."""
    for value in (Fraction(1, 3), 0.1, 2**80):
        assert fractions(EXACT.full((2,), value)) == [Fraction(value)] * 2


def test_functions_with_rational_values() -> None:
    """abs, floor and roots of squares."""
    x = EXACT.full((1,), Fraction(-9, 4))
    assert fractions(EXACT.function("abs", x)) == [Fraction(9, 4)]
    assert fractions(EXACT.function("floor", x)) == [Fraction(-3)]
    assert fractions(EXACT.function("sqrt", EXACT.neg(x))) == [Fraction(3, 2)]


def test_refusals() -> None:
    """What has no exact rational value."""
    one, two, zero = EXACT.full((1,), 1), EXACT.full((1,), 2), EXACT.full((1,), 0)
    refusals: list[Callable[[], object]] = [
        *(lambda name=name: EXACT.function(name, one) for name in ("exp", "log", "tanh", "sigmoid", "erf", "sin")),
        lambda: EXACT.function("gamma", one),
        lambda: EXACT.function("sqrt", two),
        lambda: EXACT.function("sqrt", EXACT.neg(one)),
        lambda: EXACT.div(one, zero),
        lambda: EXACT.lift(torch.tensor([math.inf])),
        lambda: EXACT.lift(torch.tensor([math.nan])),
        lambda: EXACT.lift(torch.tensor([1j])),
        lambda: EXACT.full((1,), math.nan),
        lambda: EXACT.pad(one, [(1, 0)], math.inf),
        lambda: EXACT.amax(EXACT.slice(EXACT.pad(one, [(1, 0)], -math.inf), 0, 0, 1), (0,)),
        lambda: EXACT.call("aten.roll.default", [one]),
    ]
    for refusal in refusals:
        with pytest.raises(EnclosureError):
            refusal()
    with pytest.raises(DataError):
        EXACT.integers(EXACT.full((1,), 0.5))


def test_minus_infinity_is_refused_where_it_is_no_limit() -> None:
    """A maximum absorbs it, a sum keeps it, a product refuses it."""
    x = EXACT.pad(EXACT.full((2,), -3), [(1, 1)], -math.inf)
    assert fractions(EXACT.amax(x, (0,))) == [Fraction(-3)]
    assert fractions(EXACT.maximum(x, EXACT.full((4,), -4))) == [-4, -3, -3, -4]
    assert EXACT.hidden(EXACT.add(x, x)).tolist() == EXACT.hidden(x).tolist() == [1, 0, 0, 1]
    assert EXACT.hidden(EXACT.sub(x, EXACT.full((4,), 1))).tolist() == [1, 0, 0, 1]
    for refused in (EXACT.mul, EXACT.div):
        with pytest.raises(TypeError):
            refused(x, x)
    with pytest.raises(EnclosureError):
        EXACT.sub(x, x)


def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message says which extra to install; nothing is imported before it is needed."""
    for name in [name for name in sys.modules if name.split(".")[0] == "flint"]:
        monkeypatch.delitem(sys.modules, name)
    plain = builtins.__import__

    def blocked(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.split(".")[0] == "flint":
            raise ImportError("No module named 'flint'")
        return plain(name, *args, **kwargs)

    original = importlib.import_module
    monkeypatch.setattr(
        importlib,
        "import_module",
        lambda name, *rest: blocked(name) if name == "flint" else original(name, *rest),
    )
    with pytest.raises(EnclosureError, match=r"orbitope\[exact\]"):
        ExactArithmetic()


def test_flint_is_the_reference() -> None:
    """Entries are ``flint.fmpq``."""
    assert isinstance(EXACT.full((1,), 1)[0], flint.fmpq)
