"""Torch floats: dtypes, gradients, and agreement with the generic definitions of the interface."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest
import torch

from orbitope.arithmetic import ELEMENTARY, Arithmetic, Operand, TorchArithmetic
from orbitope.arithmetic.floats import substitute
from orbitope.errors import DataError, EnclosureError

PLAIN = TorchArithmetic()
DOUBLE = TorchArithmetic(torch.float64)


def test_lift_casts_floats_only() -> None:
    """Integers and booleans stay what they are; without a dtype everything does."""
    for dtype in (torch.float16, torch.bfloat16, torch.float32, torch.float64):
        assert DOUBLE.lift(torch.ones(2, dtype=dtype)).dtype == torch.float64
        assert PLAIN.lift(torch.ones(2, dtype=dtype)).dtype == dtype
    for dtype in (torch.int64, torch.int32, torch.bool):
        assert DOUBLE.lift(torch.ones(2, dtype=dtype)).dtype == dtype
    x = torch.ones(2)
    assert PLAIN.lift(x) is x


def test_full_follows_its_model() -> None:
    """The dtype of ``like`` where it can hold the value, else that of the arithmetic."""
    assert DOUBLE.full((2,), Fraction(1, 3)).dtype == torch.float64
    assert PLAIN.full((2,), 1).dtype == torch.get_default_dtype()
    assert PLAIN.full((2,), 1, like=torch.ones(1, dtype=torch.float16)).dtype == torch.float16
    assert PLAIN.full((2,), 1, like=torch.ones(1, dtype=torch.int32)).dtype == torch.int32
    assert PLAIN.full((2,), 2, like=torch.ones(1, dtype=torch.bool)).tolist() == [2, 2]
    assert DOUBLE.full((1,), 0.5, like=torch.ones(1, dtype=torch.int64)).tolist() == [0.5]


def test_booleans_count() -> None:
    """Sums and differences of booleans are numbers, not logic."""
    x, y = torch.tensor([True, False, True]), torch.tensor([True, True, False])
    assert PLAIN.add(x, y).tolist() == [2, 1, 1]
    assert PLAIN.sub(x, y).tolist() == [0, -1, 1]
    assert PLAIN.mul(x, y).tolist() == [1, 0, 0]
    assert PLAIN.neg(x).tolist() == [-1, 0, -1]
    assert PLAIN.contract("i,i->", [x, y]).item() == 1
    assert PLAIN.sum(x, (0,)).item() == 2


def test_integers_turn_into_the_arithmetics_floats() -> None:
    """Quotients, means and functions of integers do not fall back to a lower precision."""
    x = torch.tensor([1, 2, 3])
    for y in (DOUBLE.div(x, x), DOUBLE.mean(x, (0,)), DOUBLE.function("exp", x), DOUBLE.log_softmax(x, 0)):
        assert y.dtype == torch.float64
    assert DOUBLE.contract("i,i->", [x, torch.ones(3, dtype=torch.float64)]).dtype == torch.float64
    assert DOUBLE.function("abs", x).dtype == torch.int64


@pytest.mark.parametrize("name", ELEMENTARY)
def test_functions_are_those_of_torch(name: str) -> None:
    """Every name of ``ELEMENTARY``."""
    x = torch.rand(5, dtype=torch.float64) + 0.1
    assert torch.equal(PLAIN.function(name, x), getattr(torch, name)(x))


def test_unknown_functions_are_named() -> None:
    """The error lists what there is."""
    with pytest.raises(EnclosureError, match="gamma"):
        PLAIN.function("gamma", torch.ones(1))


def test_gradients_flow_through_everything() -> None:
    """``gradcheck`` of a program that uses every differentiable operation."""
    generator = torch.Generator().manual_seed(0)

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, dtype=torch.float64, generator=generator).requires_grad_()

    def program(x: torch.Tensor, w: torch.Tensor, kernel: torch.Tensor) -> torch.Tensor:
        a = DOUBLE
        y = a.relu(a.contract("bi,oi->bo", [x, w]))
        y = a.concat([a.slice(y, 1, 0, 4, 2), a.pad(a.neg(y), [(0, 0), (1, 0)])], 1)
        y = a.reshape(a.transpose(y, (1, 0)), (2, 1, -1))
        y = a.convolve(y, kernel, stride=(1,), padding=(1,), dilation=(1,), groups=1)
        y = a.div(a.mul(y, y), a.add(a.function("exp", y), a.full(a.shape(y), 1, like=y)))
        y = a.maximum(y, a.function("tanh", a.broadcast(a.mean(y, (0,)), a.shape(y))))
        y = a.take(a.log_softmax(y, 2), torch.tensor([2, 0]), 2)
        return a.sub(a.sum(y, (0,)), a.amax(y, (0,)))

    assert torch.autograd.gradcheck(program, (draw(3, 4), draw(5, 4), draw(2, 1, 3)))


def test_overrides_agree_with_the_interface() -> None:
    """mean, neg, relu, log_softmax and convolve equal the definitions that they replace."""
    x = torch.randn(4, 6, 9, 8, dtype=torch.float64)
    w = torch.randn(4, 3, 3, 2, dtype=torch.float64)
    chosen: dict[str, Any] = {"stride": (2, 1), "padding": (1, 2), "dilation": (1, 2), "groups": 2}
    pairs = [
        (DOUBLE.mean(x, (1, 3)), Arithmetic.mean(DOUBLE, x, (1, 3))),
        (DOUBLE.neg(x), Arithmetic.neg(DOUBLE, x)),
        (DOUBLE.relu(x), Arithmetic.relu(DOUBLE, x)),
        (DOUBLE.log_softmax(x, 2), Arithmetic.log_softmax(DOUBLE, x, 2)),
        (DOUBLE.convolve(x, w, **chosen), Arithmetic.convolve(DOUBLE, x, w, **chosen)),
    ]
    for found, expected in pairs:
        assert torch.allclose(found, expected, rtol=0, atol=1e-13)


def test_empty_axes_reduce_nothing() -> None:
    """Torch would reduce everything."""
    x = torch.randn(2, 3)
    for reduce in (PLAIN.sum, PLAIN.mean, PLAIN.amax):
        assert torch.equal(reduce(x, ()), x)


@pytest.mark.parametrize("indices", [torch.tensor([3]), torch.tensor([-1]), torch.tensor([0.0]), torch.tensor([True])])
def test_bad_indices_are_refused(indices: torch.Tensor) -> None:
    """Out of range, negative, floating, boolean."""
    with pytest.raises(DataError):
        PLAIN.take(torch.ones(3), indices, 0)


def test_integers() -> None:
    """Whole floats pass; others do not."""
    assert PLAIN.integers(torch.tensor([1.0, -2.0])).dtype == torch.int64
    for bad in (0.5, float("nan"), float("inf"), 2.0**60):
        with pytest.raises(DataError):
            PLAIN.integers(torch.tensor([bad]))


def test_negative_padding_is_refused() -> None:
    """Torch would crop."""
    with pytest.raises(ValueError, match="negative"):
        PLAIN.pad(torch.ones(3), [(-1, 0)])


def test_call_puts_operands_in_their_places() -> None:
    """At any depth of the recorded arguments."""
    x, y = torch.ones(2, 3), torch.zeros(2, 3)
    joined = PLAIN.call(
        "aten.cat.default",
        [x, y],
        function=torch.ops.aten.cat.default,
        args=([Operand(1), Operand(0)], 1),
        kwargs={},
    )
    assert torch.equal(joined, torch.cat([y, x], 1))
    rolled = PLAIN.call("aten.roll.default", [x], function=torch.ops.aten.roll.default, args=(Operand(0), [1], [0]))
    assert torch.equal(rolled, x)
    assert substitute({"a": (Operand(0), [3, Operand(1)])}, [1, 2]) == {"a": (1, [3, 2])}
