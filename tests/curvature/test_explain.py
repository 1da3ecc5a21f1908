"""Explain: the closed statements, the sentences, and that no chord contradicts a verdict."""

from __future__ import annotations

import re

import pytest
import torch
from tests.curvature.explaining import (
    CONCAVE,
    CONVEX,
    UNKNOWN,
    check_against_chords,
    dense,
    objective,
    program,
    verdicts,
    with_weights,
)
from tests.curvature.oracle import violations
from tests.zoo import Made
from torch import nn

from orbitope.curvature import explain
from orbitope.objective import Objective
from orbitope.primitives import TRAITS, Behaviour


# closed statements ----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("activation", "loss"),
    [(nn.ReLU, "cross_entropy"), (nn.ReLU, "mse"), (nn.Tanh, "cross_entropy"), (nn.GELU, "mse")],
)
def test_the_last_layer_is_convex_and_the_whole_is_not(activation, loss):
    of = dense(4, 5, 6, 3, activation=activation, loss=loss)
    explanation = explain(of)
    assert verdicts(explanation) == {"0": UNKNOWN, "2": UNKNOWN, "4": CONVEX, "joint": UNKNOWN}
    assert explanation.block("4").outputs.census.kind == "affine"
    assert not check_against_chords(of, explanation)


@pytest.mark.parametrize("loss", ["cross_entropy", "mse"])
def test_a_single_linear_layer_is_convex_jointly(loss):
    of = dense(4, 3, loss=loss)
    explanation = explain(of, tensors=True)
    assert verdicts(explanation) == {"0": CONVEX, "joint": CONVEX}
    assert [a.loss.verdict for a in explanation.tensors] == [CONVEX, CONVEX]
    assert explanation.inputs.outputs.census.kind == "affine"
    assert explanation.inputs.loss.verdict == CONVEX
    assert not check_against_chords(of, explanation)
    assert "prove F convex" in explanation.summary[-1]


def test_a_deep_linear_network_is_a_product():
    of = dense(4, 5, 3, activation=nn.Identity, loss="mse")
    explanation = explain(of)
    assert set(verdicts(explanation).values()) == {CONVEX, UNKNOWN}  # each layer alone, not jointly
    assert explanation.joint.loss.verdict == UNKNOWN
    broken = explanation.joint.loss.broken
    assert broken is not None and broken.module == "2"
    assert broken.fact == (
        "layer 2 is a product of two varying expressions: both factors depend on the parameters "
        "(weight of layer 2 × output of layer 0)"
    )
    assert not check_against_chords(of, explanation)
    assert "nothing that bends" in explanation.summary[0]


def test_a_symmetric_convex_model_stays_convex():
    class Sum(nn.Module):
        def __init__(self):
            super().__init__()
            self.w = nn.Parameter(torch.randn(2))

        def forward(self, x):
            return x * (self.w[0] + self.w[1])

    x = torch.randn(9, 1)
    assert explain(Objective(Sum().eval(), "mse", (x, x))).joint.loss.verdict == CONVEX


def test_an_input_convex_network_is_convex_in_its_inputs_only():
    of = dense(4, 5, 6, 3)
    params = with_weights(of, layer_2=torch.abs, layer_4=torch.abs)
    explanation = explain(of, params=params)
    assert explanation.inputs.outputs.verdict == CONVEX
    assert explanation.inputs.outputs.census.kind == "convex"
    assert explanation.inputs.outputs.tree().startswith("convex — layer 4 (linear.py:")
    assert explanation.inputs.outputs.broken is None
    assert explanation.inputs.loss.verdict == UNKNOWN
    assert "log-softmax" in explanation.inputs.loss.reason and "affine operand" in explanation.inputs.loss.reason
    assert explanation.joint.loss.verdict == UNKNOWN
    assert "On this network that holds" in explanation.summary[0]
    leaf = frozenset({program(of).same["input"]})
    walk = program(of, params).walk(leaf, explanation.inputs.loss.broken.node, whole=True)
    assert not list(violations(walk, chords=12))


def test_one_negative_weight_breaks_it():
    of = dense(4, 5, 6, 3)

    def spoil(w: torch.Tensor) -> torch.Tensor:
        w = w.abs()
        w[1, 2] = -0.125
        return w

    outputs = explain(of, params=with_weights(of, layer_2=spoil, layer_4=torch.abs)).inputs.outputs
    assert outputs.verdict == UNKNOWN and outputs.broken.module == "2"
    assert "its weights, of which 1 of 30 are negative (smallest −0.125)" in outputs.reason


def test_concave_networks():
    of = dense(4, 5, 3)
    explanation = explain(of, params=with_weights(of, layer_2=lambda w: -w.abs()))
    assert explanation.inputs.outputs.verdict == CONCAVE
    assert explanation.block("0").outputs.verdict == CONCAVE
    mixed = explain(of, params=with_weights(of, layer_2=lambda w: w.abs() * torch.tensor([[1.0], [-1.0], [1.0]])))
    assert mixed.inputs.outputs.verdict == UNKNOWN and mixed.inputs.outputs.broken is None
    assert mixed.inputs.outputs.reason == "of the 3 outputs 2 are convex and 1 concave in the inputs"


def test_negative_weights_before_relu_break_at_the_relu():
    of = dense(4, 5, 6, 3)
    outputs = explain(of, params=with_weights(of, layer_2=lambda w: -w.abs())).inputs.outputs
    assert outputs.broken.operation == "ReLU" and outputs.broken.module == "3"
    assert "6 of 6 entries are concave" in outputs.reason and "needs a convex operand" in outputs.reason


@pytest.mark.parametrize(
    ("slope", "positive", "negative"), [(0.1, CONVEX, CONCAVE), (3.0, CONCAVE, CONVEX), (-0.5, CONVEX, CONCAVE)]
)
def test_leaky_relu(slope, positive, negative):
    of = dense(4, 5, 3, activation=lambda: nn.LeakyReLU(slope))
    up = explain(of, params=with_weights(of, layer_2=torch.abs))
    down = explain(of, params=with_weights(of, layer_2=lambda w: -w.abs()))
    assert (up.inputs.outputs.verdict, down.inputs.outputs.verdict) == (positive, negative)


def test_mse_of_one_sided_networks_is_convex_in_the_first_layer():
    """relu(w·x)·1 − t with t ≤ 0 is convex and nonnegative, so its square is convex: a rule of signs, not of MSE."""
    of = dense(4, 5, 1, loss="mse")
    of.data["target"] = -of.target.abs()
    params = with_weights(of, layer_2=torch.abs)
    params["2.bias"] = params["2.bias"].abs()
    explanation = explain(of, params=params)
    assert verdicts(explanation) == {"0": CONVEX, "2": CONVEX, "joint": UNKNOWN}
    assert not check_against_chords(of, explanation, params)


# architectures --------------------------------------------------------------------------------------------------------
def test_convolutions_batch_norm_and_pooling():
    of = objective(
        nn.Conv2d(2, 4, 3, padding=1),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(4, 3, 3),
        nn.ReLU(),
        nn.AvgPool2d(2),
        nn.Flatten(),
        nn.Linear(3, 3),
        inputs=(2, 8, 8),
    )
    explanation = explain(of)
    assert verdicts(explanation) == {"0": UNKNOWN, "1": UNKNOWN, "4": UNKNOWN, "8": CONVEX, "joint": UNKNOWN}
    assert explanation.block("0").loss.broken.module == "4"
    assert explanation.block("0").outputs.census.total == 3
    assert explanation.joint.loss.broken.module == "1"  # gain × output of the convolution
    positive = with_weights(of, layer_4=torch.abs, layer_8=torch.abs)
    again = explain(of, params=positive)
    assert again.inputs.outputs.verdict == CONVEX  # gains are positive
    assert again.block("0").outputs.verdict == again.block("1").outputs.verdict == CONVEX
    positive["1.weight"] = -positive["1.weight"]
    assert explain(of, params=positive).inputs.outputs.verdict == CONVEX  # an affine operand may be turned over
    walk = program(of, positive).walk(frozenset({"input"}), explanation.inputs.loss.broken.node, whole=True)
    assert not list(violations(walk))


def test_residual_sums():
    def forward(m, x):
        return m.out(x + torch.relu(m.inner(x)))

    of = objective(Made(forward, {"inner": nn.Linear(4, 4), "out": nn.Linear(4, 3)}))
    explanation = explain(of)
    assert explanation.inputs.outputs.broken.module == "out"
    assert verdicts(explanation) == {"inner": UNKNOWN, "out": CONVEX, "joint": UNKNOWN}
    assert explain(of, params={**of.parameters, "out.weight": of.parameters["out.weight"].abs()}).inputs.outputs.proved


def test_a_difference_of_convex_functions():
    def forward(m, x):
        return torch.relu(m.a(x)) - torch.relu(m.b(x))

    of = objective(Made(forward, {"a": nn.Linear(4, 3), "b": nn.Linear(4, 3)}))
    explanation = explain(of)
    assert explanation.inputs.outputs.broken.operation == "difference"
    assert explanation.block("a").outputs.verdict == CONVEX and explanation.block("b").outputs.verdict == CONCAVE


@pytest.mark.parametrize(
    ("part", "name", "sentence"),
    [
        (nn.Tanh(), "tanh", "layer 1 applies tanh, neither convex nor concave by the trait table"),
        (nn.Softmax(dim=1), "softmax", "layer 1 applies softmax"),
        (nn.LayerNorm(5), "normalisation", "layer 1 applies normalisation"),
    ],
)
def test_bends_are_named(part, name, sentence):
    outputs = explain(objective(nn.Linear(4, 5), part, nn.Linear(5, 3))).inputs.outputs
    assert outputs.verdict == UNKNOWN and outputs.broken.operation == name and sentence in outputs.reason
    assert re.fullmatch(r"1 \(\w+\.py:\d+\)", outputs.broken.place)


def test_unknown_operations_are_named():
    def forward(m, x):
        return m.out(torch.asinh(m.inner(x)))

    of = objective(Made(forward, {"inner": nn.Linear(4, 5), "out": nn.Linear(5, 3)}))
    explanation = explain(of)
    assert "aten.asinh" in explanation.inputs.outputs.reason
    assert "of which nothing is known" in explanation.block("inner").loss.reason
    assert explanation.block("out").loss.verdict == CONVEX  # there it is a constant
    assert not check_against_chords(of, explanation)


def test_integer_inputs_have_no_curvature():
    model = nn.Sequential(nn.Embedding(7, 4), nn.Flatten(), nn.Linear(12, 3))
    of = Objective(model.eval(), "cross_entropy", (torch.randint(0, 7, (20, 3)), torch.randint(0, 3, (20,))))
    explanation = explain(of)
    assert explanation.inputs.loss.verdict == UNKNOWN and "integers" in explanation.inputs.loss.reason
    assert verdicts(explanation) == {"0": CONVEX, "2": CONVEX, "joint": UNKNOWN}
    assert not check_against_chords(of, explanation)


def test_tied_parameters_are_one_variable():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.a = nn.Linear(4, 4)

        def forward(self, x):
            return self.a(self.a(x))

    explanation = explain(objective(Made(lambda m, x: m.inner(x), {"inner": Twice()})))
    assert explanation.block("inner.a").loss.verdict == UNKNOWN
    assert "product of two varying expressions" in explanation.block("inner.a").loss.reason


# soundness ------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("seed", range(4))
def test_proved_verdicts_hold_on_random_chords(seed):
    generator = torch.Generator().manual_seed(seed)
    activation = (nn.ReLU, nn.Softplus, lambda: nn.LeakyReLU(0.2), nn.ELU)[seed % 4]
    of = dense(3, 4, 4, 2, activation=activation, loss=("mse", "cross_entropy")[seed % 2], seed=seed)
    params = {
        n: p.abs() if p.dim() == 2 and float(torch.rand((), generator=generator)) < 0.6 else p
        for n, p in of.parameters.items()
    }
    explanation = explain(of, params=params, tensors=True, blocks=[["0.*", "4.bias"], "*.bias"])
    assert not check_against_chords(of, explanation, params)


def test_the_chords_catch_a_wrong_trait(monkeypatch):
    of = dense(4, 5, 1, activation=nn.Tanh, loss="mse")
    of.data["target"] = -10 - of.target.abs()
    params = with_weights(of, layer_2=torch.abs)
    params["2.bias"] = params["2.bias"].abs()
    assert explain(of, params=params).block("0").loss.verdict == UNKNOWN
    wrong = TRAITS["tanh"].__class__("tanh", TRAITS["tanh"].value, lambda _: Behaviour("convex", (1,), "nonnegative"))
    monkeypatch.setitem(TRAITS, "tanh", wrong)
    explanation = explain(of, params=params)
    assert explanation.block("0").loss.verdict == CONVEX
    assert check_against_chords(of, explanation, params)


def test_signs_of_data_count_only_if_all_samples_have_them():
    class Gate(nn.Module):
        def __init__(self):
            super().__init__()
            self.w = nn.Parameter(torch.randn(4))

        def forward(self, x):
            return (torch.relu(self.w) * x).sum(dim=1, keepdim=True)

    x = torch.rand(20, 4)
    for data, kind in ((x, "convex"), (-x, "concave"), (torch.cat([x, -x[:1]]), "unknown")):
        of = Objective(Gate().eval(), "mse", (data, torch.zeros(len(data), 1)))
        assert explain(of).joint.outputs.census.kind == kind
