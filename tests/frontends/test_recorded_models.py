"""What a model does that a tracer refuses, and what a trace leaves open: ties, draws, positions where a mask holds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

import orbitope
from orbitope.errors import LoweringError, OrbitopeError
from orbitope.frontends import fallbacks, lower, trace
from orbitope.frontends.builder import Builder, Value
from orbitope.frontends.lowerings import LOWERINGS, ordering
from orbitope.frontends.programs import told_by_inputs

X = torch.randn(4, 3, generator=torch.Generator().manual_seed(2))


class Mlp(nn.Module):
    """Two layers; what is between them is given by subclasses."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.o = nn.Linear(3, 10), nn.Linear(10, 2)
        self.eval()


def sizes(model: nn.Module) -> list[int]:
    return sorted(unit.size for unit in orbitope.symmetries(model, (X,)).units)


# ties --------------------------------------------------------------------------------------------------------
class Grouped(Mlp):
    """Tokens in the order of a number that many of them share: 60 zeros and ones."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        key = (x.repeat(15, 1)[:, 0] > 0).long()
        order = key.sort(0)[1]
        rows = torch.tanh(self.a(x.repeat(15, 1)))[order]
        return self.o(torch.zeros(60, 10).index_add(0, order, rows))


def test_equal_entries_may_come_in_any_order() -> None:
    key = (X.repeat(15, 1)[:, 0] > 0).long()
    assert not torch.equal(key.sort(0)[1], key.sort(dim=0, stable=True)[1])  # otherwise this tests nothing
    assert sizes(Grouped()) == [10]


def test_a_wrong_order_is_still_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def ascending(b: Builder, x: Value, dim: int = -1, descending: bool = False, *, stable: bool | None = None) -> Any:
        return ordering.sort(b, x, dim, not descending, stable=stable)

    monkeypatch.setitem(LOWERINGS, "aten.sort.default", ascending)
    with pytest.raises(LoweringError):
        lower(trace(Grouped(), (X,)))


# what is told to Python --------------------------------------------------------------------------------------
class Masked(Mlp):
    """Reads a mask at numbered positions, which are no data: nothing depends on what stands in it."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        kept = (x > 0)[torch.arange(4)[:, None], torch.arange(3)]
        return self.o(torch.relu(self.a(x * kept)))


class Rows(Mlp):
    """The rows where a mask holds: how many there are depends on the data."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.o(torch.tanh(self.a(x[x[:, 0] > 0])))


def test_a_mask_that_is_read_decides_nothing() -> None:
    assert told_by_inputs(fallbacks.record(Masked(), (X,), {})) == []
    assert len(told_by_inputs(fallbacks.record(Rows(), (X,), {}))) == 1


@pytest.mark.parametrize("way", ["index", "select", "nonzero", "where", "argwhere"])
def test_positions_where_a_mask_holds(way: str) -> None:
    """The units behind a selection of rows are free, and the selection itself is understood."""

    class Selected(Mlp):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            h = torch.tanh(self.a(x))
            match way:
                case "index":
                    h = h[x[:, 0] > 0]
                case "select":
                    h = h.masked_select(x[:, :1] > 0).reshape(-1, 10)
                case "nonzero":
                    h = h[(x > 0).nonzero()[:, 0]]
                case "where":
                    h = h[torch.where(x > 0)[0]]
                case _:
                    h = h[torch.argwhere(x > 0)[:, 0]]
            return self.o(h)

    with pytest.raises(OrbitopeError):
        orbitope.symmetries(Selected(), (X,))
    group = orbitope.symmetries(Selected(), (X,), specialise=True)
    assert not any(each.unknown for each in group.diagnostics)
    assert [unit.size for unit in group.units] == ([] if way == "select" else [10])


def test_an_exported_program_of_a_size_that_depends_on_data_is_refused() -> None:
    program = torch.export.export(Rows(), (X,))
    with pytest.raises(OrbitopeError, match="the size of a tensor depends on the data"):
        orbitope.symmetries(program)


# what a tracer refuses ---------------------------------------------------------------------------------------
class WrittenDropout(Mlp):
    """Writes into what dropout returned, behind rows that a constant mask selects."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = torch.tanh(self.a(x))
        new = torch.zeros_like(h)
        mask = torch.zeros(len(x)) == 0
        new[mask] = h[mask]
        new = nn.functional.dropout(new, 0.5, self.training)
        new += h
        return self.o(new)


class ListedPlaces(Mlp):
    """Positions given as a list of tensors with one entry each."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h, places = self.a(x).relu(), torch.arange(3) + 1
        kept = torch.ones(len(x))
        kept[tuple(places),] = 0.0
        return self.o(h * kept[:, None])


class Elsewhere(Mlp):
    """Fails on the way that it takes while it is exported."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if torch.compiler.is_compiling():
            x = x.reshape(7, 3)
        return self.o(torch.relu(self.a(x)))


class Checked(Mlp):
    """Hands its outputs to a distribution, which checks them."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        mean = self.o(torch.relu(self.a(x)))
        return torch.distributions.Normal(mean, 1.0).mean


@pytest.mark.parametrize("kind", [WrittenDropout, ListedPlaces, Elsewhere, Checked])
def test_models_that_run_are_recorded(kind: type[Mlp]) -> None:
    program = fallbacks.record(kind(), (X,), {})
    assert told_by_inputs(program) == []
    assert sizes(kind()) == [10]


def test_checks_of_distributions_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.distributions.Distribution, "_validate_args", True)  # tracers switch them off for good
    fallbacks.record(Checked(), (X,), {})
    with pytest.raises(ValueError, match="scale"):
        torch.distributions.Normal(torch.zeros(1), -torch.ones(1))


# draws -------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "noise",
    [
        torch.randn_like,
        torch.rand_like,
        lambda h: torch.randint_like(h, 7),
        lambda h: torch.empty_like(h).uniform_(),
        lambda h: torch.empty_like(h).normal_(),
        lambda h: torch.bernoulli(h, 0.5),
    ],
)
def test_noise_depends_on_the_shape_only(noise: Callable[[torch.Tensor], torch.Tensor]) -> None:
    """Hidden units before the mean and the deviation are free; what meets the noise is told apart, as a constant is."""

    class Latent(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.m, self.v, self.o = nn.Linear(3, 10), nn.Linear(10, 7), nn.Linear(10, 7), nn.Linear(7, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            h = torch.relu(self.a(x))
            return self.o(self.m(h) + self.v(h) * noise(self.m(h)))

    group = orbitope.symmetries(Latent().eval(), (X,))
    assert [unit.size for unit in group.units] == [10]
    assert not any(each.unknown for each in group.diagnostics)
    assert any("random number" in each.reason for each in group.diagnostics)


def test_the_mean_and_deviation_of_a_draw_are_read() -> None:
    class Drawn(Mlp):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.normal(self.o(torch.relu(self.a(x))), 0.5)

    assert sizes(Drawn()) == [10]


# a number beside a factor ------------------------------------------------------------------------------------
def test_subtraction_takes_its_factor_by_place() -> None:
    class Shifted(Mlp):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.o(torch.relu(torch.ops.aten.subtract.Scalar(self.a(x), 0.5, 2)))

    assert sizes(Shifted()) == [10]


class Emptied(Mlp):
    """Writes one number where a mask holds, by way of a list of these positions."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        far = x * 1.0
        far[torch.where(x[:, 0] > 0)] = 0.25
        return self.o(torch.relu(self.a(far)))


def test_a_number_written_where_a_mask_holds_decides_nothing() -> None:
    program = fallbacks.record(Emptied(), (X,), {})
    assert told_by_inputs(program) == []
    graph = lower(program)
    assert not any(node.op in ("order", "opaque", "scatter") for node in graph)
    assert sizes(Emptied()) == [10]


def test_a_list_of_positions_that_is_read_decides() -> None:
    class Listed(Mlp):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.o(torch.relu(self.a(x)))[torch.where(x[:, 0] > 0)]

    assert len(told_by_inputs(fallbacks.record(Listed(), (X,), {}))) == 1
