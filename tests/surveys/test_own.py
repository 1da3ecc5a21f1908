"""Functions that are no activations: one clear error each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from orbitope.activations import ActivationError, own, traits
from orbitope.errors import InputError


class NeedsSize(nn.Module):
    def __init__(self, size: int) -> None:
        super().__init__()


def centred(x: torch.Tensor) -> torch.Tensor:
    return x - x.mean()


def by_sign_of_first(x: torch.Tensor) -> torch.Tensor:
    return x if x.flatten()[0] > 0 else -x


BAD: list[tuple[Any, str]] = [
    (lambda x: x.sum(-1), "returns another shape"),
    (lambda x: x.reshape(-1), "returns another shape"),
    (lambda x: x[:, :1], "returns another shape"),
    (lambda x: torch.log(x), "is not finite everywhere"),
    (lambda x: 1 / x, "is not finite everywhere"),
    (lambda x: x + 0.01 * torch.randn_like(x), "is random"),
    (lambda x: torch.dropout(x, 0.5, True), "is random"),
    (lambda x: x.long(), "returns another kind of number"),
    (lambda x: x > 0, "returns another kind of number"),
    (lambda x: x.float(), "returns another kind of number"),
    (lambda x: x.to(torch.complex128), "returns another kind of number"),
    (lambda x: torch.softmax(x, -1), "does not treat entries one by one"),
    (lambda x: torch.sort(x, -1).values, "does not treat entries one by one"),
    (lambda x: x.cumsum(0), "does not treat entries one by one"),
    (centred, "does not treat entries one by one"),
    (by_sign_of_first, "does not treat entries one by one"),
    (lambda x: x.relu_(), "changes its input"),
    (lambda x: "x", "returns no tensor"),
    (lambda x: (x, x), "returns no tensor"),
    (lambda: 0, "does not run"),
    (lambda x, y: x + y, "does not run"),
    (3, "is no function"),
    (NeedsSize, "cannot be made"),
]


@pytest.mark.parametrize(("function", "what"), BAD)
def test_bad_functions(function: Any, what: str) -> None:
    with pytest.raises(ActivationError) as caught:
        own(function, "mine")
    assert caught.value.what == f"mine {what}"
    assert caught.value.code == "E106" and str(caught.value).startswith("error[E106] mine ")


@pytest.mark.parametrize(
    "function",
    [torch.tanh, nn.GELU, nn.PReLU(), nn.Softplus(beta=2.0), lambda x: x, torch.exp, lambda x: 0 * x],
)
def test_good_functions(function: Callable[..., Any]) -> None:
    x = torch.linspace(-2, 2, 7, dtype=torch.float64)
    assert own(function)(x).shape == x.shape


def test_a_modules_parameters_are_not_the_networks() -> None:
    module = nn.PReLU()
    found = own(module)
    assert not isinstance(found, nn.Module)
    assert module.weight.requires_grad and module.weight.dtype == torch.float32, "the caller's module was changed"
    assert not found(torch.ones(2, dtype=torch.float64)).requires_grad


def test_unknown_names_list_the_known_ones() -> None:
    with pytest.raises(InputError, match="unknown activation 'rleu'") as caught:
        traits("rleu")
    assert "relu" in (caught.value.fix or "") and "file.py:function" in (caught.value.fix or "")
