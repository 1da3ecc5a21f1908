"""The audit of every network of its zoo; faults that are planted must be seen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import pytest
import torch
from tests.flatness.core import Network
from tests.flatness.zoo import NETWORKS
from tests.zoo.core import L, example, model, seq
from torch import nn

import orbitope
from orbitope.errors import InputError
from orbitope.flatness import Audit, Program, compare, rank_of
from orbitope.frontends import graphs
from orbitope.group import SymmetryGroup


@cache
def made(name: str) -> tuple[Program, SymmetryGroup, dict[str, torch.Tensor]]:
    """The program, the group and the parameters of a network."""
    case = NETWORKS[name]
    net, inputs = case.made(), case.inputs()
    graph = graphs(net, inputs)[0]
    trained = tuple(key for key, p in graph.parameters.items() if p.trainable and net.get_parameter(key).requires_grad)
    program = Program(graph, trained, dict(zip(graph.inputs, inputs, strict=True)), case.loss)
    params = {name: tensor.double() for name, tensor in net.state_dict().items() if name in graph.parameters}
    return program, orbitope.symmetries(net, inputs), params


def counted(group: SymmetryGroup, case: Network) -> tuple[int, ...]:
    """Scales, shifts, matrices, rotations and signs."""
    part = group.continuous
    kept = [
        [x for x in family if not getattr(x, "approximate", "") and (case.loss or not getattr(x, "loss", False))]
        for family in (part.scalings, part.translations, part.matrices, part.rotations)
    ]
    return (*(sum(x.dimension for x in family) for family in kept), group.sign_bits)


@cache
def audited(name: str) -> Audit:
    """The audit of a network."""
    case = NETWORKS[name]
    return compare(*made(name), seeds=case.seeds)


@pytest.mark.parametrize("name", NETWORKS)
def test_flat_directions_are_those_derived_by_hand(name: str) -> None:
    case, found = NETWORKS[name], audited(name)
    assert counted(made(name)[1], case) == case.found
    assert found.generic.decided and not found.generic.unsound and not found.own.unsound
    assert (found.generic.explained, found.generic.measured) == (case.expected, case.flat)
    assert found.own.explained <= found.own.measured
    assert bool(found) == (case.expected == case.flat)
    assert bool(case.reason) == (case.theory < case.flat) and bool(case.awaits) == any(case.missing)


def test_every_row_of_the_catalogue_has_a_network() -> None:
    assert len(NETWORKS) >= 30
    assert len({case.row for case in NETWORKS.values()}) == 27
    assert all(made(name)[0].size <= 310 for name in NETWORKS)


# planted faults -----------------------------------------------------------------------------------------------------
def without(group: SymmetryGroup, kind: str) -> SymmetryGroup:
    """A group that has lost the first family of a kind."""
    part = group.continuous
    return replace(group, continuous=replace(part, **{kind: getattr(part, kind)[1:]}))


@pytest.mark.parametrize(
    ("name", "kind", "where", "lost"),
    [
        ("ReLU, three layers", "scalings", {"0.weight", "0.bias", "2.weight"}, 5),
        ("attention", "matrices", {"q.weight", "k.weight"}, 18),
        ("RNN, tanh", "translations", {"cell.bias_ih_l0", "cell.bias_hh_l0"}, 4),
        ("rotary positions", "rotations", {"q.weight", "k.weight"}, 4),
        ("grouped queries", "translations", {"k.bias"}, 6),
    ],
)
def test_a_family_that_is_lost_is_named_by_its_parameters(name: str, kind: str, where: set[str], lost: int) -> None:
    program, group, params = made(name)
    found = compare(program, without(group, kind), params, seeds=NETWORKS[name].seeds)
    assert not found and found.verdict == "unexplained" and found.generic.unexplained == lost
    shares = found.generic.shares
    assert sum(share for key, share in shares.items() if key in where) > 0.75, shares
    assert {*where} & {*list(shares)[:2]} and f"of {found.generic.measured}" in str(found)
    assert 0.9 < sum(shares.values()) < 1.0001


def wrong_power(group: SymmetryGroup) -> SymmetryGroup:
    """Scales that the next layer does not take back."""
    part = group.continuous
    first = part.scalings[0]
    spots = tuple(replace(spot, power=abs(spot.power)) for spot in first.spots)
    return replace(group, continuous=replace(part, scalings=(replace(first, spots=spots), *part.scalings[1:])))


def wrong_kind(group: SymmetryGroup) -> SymmetryGroup:
    """All matrices where a norm allows orthogonal ones."""
    part = group.continuous
    return replace(group, continuous=replace(part, matrices=(replace(part.matrices[0], kind="general"),)))


@pytest.mark.parametrize(
    ("name", "plant"),
    [("ReLU, three layers", wrong_power), ("SwiGLU", wrong_power), ("RMSNorm without gain", wrong_kind)],
)
def test_a_false_family_is_unsound(name: str, plant: Callable[[SymmetryGroup], SymmetryGroup]) -> None:
    program, group, params = made(name)
    false = plant(group)
    found = compare(program, false, params)
    assert not found and found.verdict == "unsound" and "UNSOUND" in str(found)
    assert {*found.generic.unsound} == {next(iter(false.families))} and found.to_json()["verdict"] == "unsound"


def test_what_holds_at_zero_epsilon_only_is_not_counted() -> None:
    program, group, params = made("GroupNorm")
    scalings = tuple(replace(each, approximate="") for each in group.continuous.scalings)
    false = replace(group, continuous=replace(group.continuous, scalings=scalings))
    assert compare(program, false, params).verdict == "unsound"
    assert audited("GroupNorm").approximate == 3


# the public function --------------------------------------------------------------------------------------------------
def test_own_parameters_are_looked_at_apart() -> None:
    net: Any = seq(L(3, 5), nn.ReLU(), L(5, 2))
    with torch.no_grad():
        for k, p in enumerate(net.parameters()):
            p.copy_(torch.sin(torch.arange(p.numel()) * 2.3 + k).reshape(p.shape))
        net[0].weight[2], net[0].bias[2] = 0.0, -1.0
    found = orbitope.audit(net, example((4, 3))())
    assert found and found.generic.explained == found.generic.measured == 5
    # nothing reads the dead unit: its 4 entries in and 2 out are flat, beside 4 scales
    assert found.own.verdict == "unexplained" and found.own.measured == 4 + 4 + 2
    assert {"0.weight", "2.weight"} <= {*found.own.shares} and found.own.unread == 3
    assert "5 of 5 flat directions explained" in str(found)


def test_scope_and_frozen_parameters_do_not_vary() -> None:
    net: Any = seq(L(4, 3), L(3, 5))
    assert orbitope.audit(net, example((4, 4))(), scope=["0.*"]).generic.measured == 0
    net[1].requires_grad_(False)
    found = orbitope.audit(net, example((4, 4))())
    assert found.parameters == 15 and found.generic.explained == found.generic.measured == 0


def test_tied_parameters_count_once_and_rows_that_no_input_reads_are_told() -> None:
    net = NETWORKS["stream of RMSNorm, tied"].made()
    found = orbitope.audit(net, (torch.arange(12).reshape(3, 4) % 7,))
    assert found and found.parameters == 28 + 15 + 16
    table = model(lambda m, x: m.out(torch.tanh(m.table(x).sum(1))), table=nn.Embedding(9, 2), out=L(2, 7))
    found = orbitope.audit(table, (torch.arange(12).reshape(3, 4) % 7,))
    assert found.generic.unexplained == found.generic.unread == 4 and "4 entries" in str(found)
    assert {*found.generic.shares} == {"table.weight"}


def test_inputs_are_drawn_unless_they_are_masks() -> None:
    net = model(lambda m, x, keep: m.out(torch.tanh(m.up(x)) * keep), up=L(3, 4), out=L(4, 2))
    keep = torch.tensor([1.0, 0.0, 1.0, 1.0]).expand(5, 4)
    found = orbitope.audit(net, (torch.zeros(5, 3), keep))
    # the zeros of the first input stand for its shape; the unit that is masked away is flat, 4 entries in and 2 out
    assert found.generic.measured == found.generic.unread == 6 and not found


@pytest.mark.parametrize(
    ("values", "rank", "decided"),
    [
        ([1, 1e-3, 1e-15, 3e-16], 2, True),
        ([1, 3e-8, 1e-15], 2, True),
        ([1, 0.5, 0.1], 3, True),
        ([0, 0], 0, True),
        ([1, 1e-3, 1e-6, 1e-9, 1e-10, 1e-11, 1e-12, 1e-13, 1e-14, 1e-15, 1e-16, 1e-17], 4, False),
    ],
)
def test_rank_by_the_gap(values: list[float], rank: int, decided: bool) -> None:
    generator = torch.Generator().manual_seed(0)
    n = len(values)
    # singular vectors are axes, so that the values are exact; rows are more than columns
    matrix = torch.cat([torch.diag(torch.tensor(values, dtype=torch.float64)), torch.zeros(5, n, dtype=torch.float64)])
    found = rank_of(matrix[:, torch.randperm(n, generator=generator)])
    assert found.decided == decided
    assert not decided or found.rank == rank
    assert found.null.shape == (found.deficiency, n)


@pytest.mark.parametrize(
    ("build", "options", "match"),
    [
        (lambda: seq(L(60, 60)), {}, "too large to be audited"),
        (lambda: seq(nn.ReLU()), {}, "nothing varies"),
        (lambda: seq(L(60, 2)), {"scope": ["nowhere"]}, "nothing varies|matches no parameter"),
    ],
)
def test_what_cannot_be_audited_is_refused(build: Callable[[], nn.Module], options: dict[str, Any], match: str) -> None:
    with pytest.raises(InputError, match=match):
        orbitope.audit(build(), example((3, 60))(), **options)
