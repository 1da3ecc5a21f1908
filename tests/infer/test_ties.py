"""Rankings whose entries are equal for rare parameters only move with what they rank; others are told apart."""

from __future__ import annotations

from math import factorial, log10, prod

import pytest
import torch
from tests.zoo import randomise
from torch import nn
from torch.nn import functional as F

import orbitope

X = torch.randn(9, 4, generator=torch.Generator().manual_seed(3))
LOW = -float("inf")


def log_order(model: nn.Module) -> float:
    """The order, of a model of which random elements keep the function."""
    randomise(model.eval())
    group = orbitope.symmetries(model, (X,))
    assert orbitope.verify(model, group.sample(seed=5), (X,))
    return group.log10_order


def formula(*sizes: int) -> float:
    return log10(prod(map(factorial, sizes)))


# nearest rows of a table -------------------------------------------------------------------------------------
class Book(nn.Module):
    """The row of a table that a ranking chooses."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(4, 7), nn.ReLU(), nn.Linear(7, 3))
        self.book = nn.Parameter(torch.zeros(5, 3))
        self.decoder = nn.Linear(3, 2)

    def chosen(self, z: torch.Tensor) -> torch.Tensor:
        raise NotImplementedError

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.decoder(F.embedding(self.chosen(self.encoder(x)), self.book))


class Differences(Book):
    def chosen(self, z: torch.Tensor) -> torch.Tensor:
        return (z[:, None] - self.book).square().sum(-1).argmin(1)


class Expanded(Book):
    def chosen(self, z: torch.Tensor) -> torch.Tensor:
        inner = z.pow(2).sum(1, keepdim=True) - 2 * z @ self.book.t() + self.book.pow(2).sum(1)
        return (-inner).max(-1).indices


class Distances(Book):
    def chosen(self, z: torch.Tensor) -> torch.Tensor:
        return torch.cdist(z, self.book).argmin(-1)


class Scored(Book):
    """By a softmax along the axis that is ranked."""

    def chosen(self, z: torch.Tensor) -> torch.Tensor:
        return torch.softmax(-(z[:, None] - self.book).square().sum(-1), -1).argmax(1)


@pytest.mark.parametrize("kind", [Differences, Expanded, Distances, Scored])
def test_the_nearest_row_is_the_same_row_wherever_it_stands(kind: type[Book]) -> None:
    assert log_order(kind()) == pytest.approx(formula(7, 3, 5))


class Clipped(Book):
    """Several scores may be zero."""

    def chosen(self, z: torch.Tensor) -> torch.Tensor:
        return torch.relu(z @ self.book.t()).argmax(-1)


class Cancelled(Book):
    """All distances are zero."""

    def chosen(self, z: torch.Tensor) -> torch.Tensor:
        return ((z[:, None] - self.book) - (z[:, None] - self.book)).square().sum(-1).argmin(1)


class Uneven(Book):
    """Differences of the table from itself: the middle of the others' sum is no entry of its own."""

    def chosen(self, z: torch.Tensor) -> torch.Tensor:
        return (z[:, None] + self.book - self.book.sum(0)).square().sum(-1).argmin(1)


class Alone(Book):
    """A softmax along an axis with one position: all ones."""

    def chosen(self, z: torch.Tensor) -> torch.Tensor:
        return torch.softmax((z @ self.book.t())[:, :, None], -1)[..., 0].argmin(1)


@pytest.mark.parametrize("kind", [Clipped, Cancelled, Uneven, Alone])
def test_rows_that_may_be_equally_near_stay(kind: type[Book]) -> None:
    assert log_order(kind()) == pytest.approx(formula(7, 3))


# groups of experts -------------------------------------------------------------------------------------------
class Grouped(nn.Module):
    """Two groups of three experts: the better group, then the best of its experts."""

    def __init__(self, fill: float, bias: bool, count: int = 2) -> None:
        super().__init__()
        self.router, self.inward, self.outward = nn.Linear(7, 6, bias=False), nn.Linear(4, 7), nn.Linear(7, 3)
        self.up, self.down = nn.Parameter(torch.zeros(6, 7, 5)), nn.Parameter(torch.zeros(6, 5, 7))
        self.selection = nn.Buffer(torch.zeros(6))
        self.fill, self.bias, self.count = fill, bias, count

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.inward(x)
        scores = torch.sigmoid(self.router(x))
        choice = scores + self.selection if self.bias else scores
        groups = choice.view(-1, 2, 3).topk(2, -1)[0].sum(-1)
        best = torch.topk(groups, 1, -1, sorted=False)[1]
        mask = torch.zeros_like(groups).scatter(1, best, 1.0)
        mask = mask.unsqueeze(-1).expand(-1, 2, 3).reshape(-1, 6)
        chosen = torch.topk(choice.masked_fill(~mask.bool(), self.fill), self.count, -1, sorted=False)[1]
        hidden = torch.einsum("td,tkdi->tki", x, self.up[chosen]).relu()
        return self.outward(x + torch.einsum("tki,tkid,tk->td", hidden, self.down[chosen], scores.gather(1, chosen)))


NESTED = formula(7, 2, 3, 3, *[5] * 6)
"""The stream; two groups; three experts in each; five hidden units in each of the six."""
APART = formula(7, *[5] * 6)


@pytest.mark.parametrize(
    ("fill", "bias", "count", "expected"),
    [
        pytest.param(LOW, True, 2, NESTED, id="masked by minus infinity"),
        pytest.param(LOW, True, 3, NESTED, id="a whole group is chosen"),
        pytest.param(0.0, False, 2, NESTED, id="masked by zero, below positive scores"),
        pytest.param(0.0, True, 2, APART, id="masked by zero among scores of any sign"),
        pytest.param(LOW, True, 4, APART, id="more are chosen than a group has"),
    ],
)
def test_experts_in_groups(fill: float, bias: bool, count: int, expected: float) -> None:
    assert log_order(Grouped(fill, bias, count)) == pytest.approx(expected)


def test_groups_by_the_mean_of_a_softmax_stay() -> None:
    """The means of what adds up to one are equal: no group is better than another."""

    class Even(Grouped):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = self.inward(x)
            shares = torch.softmax(self.router(x).view(-1, 2, 3), -1)
            best = shares.sum(-1).argmax(-1)
            return self.outward(torch.relu(torch.einsum("td,tdi->ti", x, self.up[best]) @ self.down[0]))

    model = Even(LOW, False)
    randomise(model.eval())
    group = orbitope.symmetries(model, (X,))
    assert all("up" not in {name for name, axis in unit.acts_on if axis == 0} for unit in group.units)
