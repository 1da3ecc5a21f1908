"""The order of the group equals what the mathematics says, exactly; derivations stand in the zoo."""

from __future__ import annotations

from itertools import pairwise, product
from math import lgamma, log

import pytest
import torch
from tests.zoo import ARCHITECTURES, ZOO, ResNet18, case_of, fac, prepared, seq
from tests.zoo.page import PAGE, render

from orbitope import symmetries
from orbitope.group import SymmetryGroup

CASES = {**ZOO, **ARCHITECTURES}
EXACT = [name for name, case in CASES.items() if case.order is not None]


def _marked(name: str) -> object:
    """The name, marked where inference is known to fall short of the mathematics."""
    awaits = CASES[name].awaits
    return pytest.param(name, marks=pytest.mark.xfail(strict=True, reason=f"not yet: {awaits}")) if awaits else name


@pytest.mark.parametrize("name", map(_marked, EXACT))
def test_order_is_the_closed_form(name: str) -> None:
    assert prepared(name).group.order == case_of(name).order, case_of(name).notes


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.unknown])
def test_what_is_not_known_is_reported_by_name(name: str) -> None:
    group = prepared(name).group
    reported = {d.reason.rpartition(" ")[2] for d in group.diagnostics if d.unknown}
    assert reported == set(case_of(name).unknown)
    assert all(d.place for d in group.diagnostics if d.unknown)


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if not case.unknown and not case.awaits])
def test_nothing_else_is_unknown(name: str) -> None:
    assert not [str(d) for d in prepared(name).group.diagnostics if d.unknown]


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_architectures_have_more_than_one_copy(name: str) -> None:
    """And every swap of neighbours, at every position of what its units are over, moves some parameter."""
    p = prepared(name)
    assert p.group.units or case_of(name).awaits
    for unit in p.group.units:
        for at in product(*map(range, unit.over_sizes)):
            for i in range(unit.size - 1):
                twin = p.group.swap(unit, i, i + 1, at).act(p.params)
                assert any(not torch.equal(twin[key], p.params[key]) for key in p.params), (unit.name, at, i)


def test_resnet18_of_torchvision() -> None:
    """In each of four stages one stream and one inner set for each of two blocks: 3·ΣF(c); on the meta device."""
    net = ResNet18().to("meta").eval()
    group = symmetries(net, (torch.empty(1, 3, 64, 64, device="meta"),))
    assert group.order == fac(64, 128, 256, 512) ** 3
    assert group.log10_order == pytest.approx(sum(3 * lgamma(c + 1) / log(10) for c in (64, 128, 256, 512)))


@pytest.mark.parametrize("widths", [(2,), (5, 3), (4, 1, 6), (3, 3, 3, 3)])
def test_deep_perceptrons(widths: tuple[int, ...]) -> None:
    """One factorial for each hidden layer, equal widths or not."""
    sizes = (3, *widths, 2)
    layers = [torch.nn.Linear(a, b) for a, b in pairwise(sizes)]
    net = seq(*(part for layer in layers[:-1] for part in (layer, torch.nn.ReLU())), layers[-1])
    assert symmetries(net, (torch.randn(2, 3),)).order == fac(*widths)


def test_units_name_where_they_act() -> None:
    group = prepared("cnn").group
    acts = {unit.size: set(unit.acts_on) for unit in group.units}
    norm = {(f"1.{name}", 0) for name in ("weight", "bias", "running_mean", "running_var")}
    assert acts[5] == {("0.weight", 0), ("0.bias", 0), ("4.weight", 1)} | norm
    assert acts[6] == {("8.weight", 0), ("8.bias", 0), ("10.weight", 1)}
    assert ("8.weight", 1) in acts[7]


def test_fixed_axes_come_with_a_reason() -> None:
    group = prepared("exchange_broken").group
    assert any("constant" in d.reason and d.parameter == "a.weight" for d in group.diagnostics)


def test_unused_parameters_are_named_and_do_not_count() -> None:
    group = prepared("unused_parameters").group
    assert group.unused == ("idle.weight", "idle.bias")
    assert group.placement("idle.weight") is None


def test_positions_that_are_not_read_do_not_count() -> None:
    group = prepared("partly_read").group
    unread = [d for d in group.diagnostics if "does not read" in d.reason]
    assert {(d.parameter, d.axis, d.size) for d in unread} == {("a.weight", 0, 3), ("a.bias", 0, 3)}


class TestScope:
    def test_frozen_parameters_do_not_move(self) -> None:
        """Freezing one of the tensors that a layer's units index fixes the layer: 5! of 7!·5! is left."""
        p = prepared("mlp_relu")
        group = symmetries(p.net, p.inputs, scope=["2.*", "4.*"])
        assert group.order == fac(5)
        assert not {name for unit in group.units for name, _ in unit.acts_on} & {"0.weight", "0.bias"}
        assert any(d.reason == "0.weight is frozen by the scope" for d in group.diagnostics)

    def test_a_tied_tensor_is_in_scope_only_under_all_its_names(self) -> None:
        p = prepared("tied_embeddings")
        frozen = symmetries(p.net, p.inputs, scope=["emb.*", "up.*", "down.*"])
        assert frozen.order == fac(7), "head.weight is the embedding, and must not move"
        assert symmetries(p.net, p.inputs, scope=["emb.*", "up.*", "down.*", "head.*"]).order == fac(6, 7)

    def test_a_single_pattern_may_be_a_string(self) -> None:
        p = prepared("mlp_relu")
        assert symmetries(p.net, p.inputs, scope="*").order == p.group.order


def test_chosen_outputs_define_the_function() -> None:
    """Without the hidden layer among the outputs its 7! is free."""
    p = prepared("hidden_returned")
    assert symmetries(p.net, p.inputs, outputs=["0"]).order == fac(7, 5)
    assert symmetries(p.net, p.inputs, outputs=["1"]).order == 1


def test_group_survives_json_for_every_model() -> None:
    for name in EXACT:
        group = prepared(name).group
        again = SymmetryGroup.from_json(group.to_json())
        assert again.digest == group.digest and again.order == group.order, name


def test_the_page_of_closed_forms_is_up_to_date() -> None:
    """``python -m tests.zoo.page`` writes it."""
    assert PAGE.read_text() == render()
