"""Functions of matrices between layers: the order by hand, and random elements that keep the function."""

from __future__ import annotations

from math import factorial

import pytest
import torch
from torch import nn

import orbitope

X = torch.randn(4, 5, generator=torch.Generator().manual_seed(3))


class Net(nn.Module):
    """A function of matrices as the weight of a layer."""

    order = 1

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(4)
        self.a = nn.Parameter(torch.randn(5, 5, generator=generator) + 4 * torch.eye(5))
        self.b = nn.Parameter(torch.randn(5, 3, generator=generator))
        self.first, self.last = nn.Linear(5, 5), nn.LazyLinear(2)
        self.eval()(X)

    def weight(self) -> torch.Tensor:
        raise NotImplementedError

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(torch.relu(x @ self.weight()))


class Solved(Net):
    """Equations in any order, and three right-hand sides; unknowns meet the input."""

    order = factorial(5) * factorial(3)

    def weight(self) -> torch.Tensor:
        return torch.linalg.solve(self.a, self.b)


class Inverse(Net):
    """The rows of the matrix are hidden units, its columns meet the input."""

    order = factorial(5)

    def weight(self) -> torch.Tensor:
        return torch.linalg.inv(self.a)


class Exponential(Net):
    """Hidden units on both sides are one set."""

    order = factorial(5)

    def weight(self) -> torch.Tensor:
        return torch.matrix_exp(self.a / 9)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(torch.relu(self.first(x)))


class Triangular(Net):
    """Only the right-hand sides are alike."""

    order = factorial(3)

    def weight(self) -> torch.Tensor:
        return torch.linalg.solve_triangular(self.a.triu(), self.b, upper=True)


@pytest.mark.parametrize("kind", [Solved, Inverse, Exponential, Triangular])
def test_order_and_soundness(kind: type[Net]) -> None:
    model = kind()
    group = orbitope.symmetries(model, (X,))
    assert group.order == kind.order
    assert orbitope.verify(model, group.sample(seed=1), (X,))
    assert not any(each.unknown for each in group.diagnostics)
