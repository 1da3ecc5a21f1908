"""Explain: blocks of one's own, what a certificate settles, JSON and text."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch
from tests.curvature.explaining import (
    CONVEX,
    NON_CONVEX,
    UNKNOWN,
    dense,
    objective,
    verdicts,
)
from tests.zoo import Made
from torch import nn

from orbitope.curvature import explain
from orbitope.curvature.report import Analysis
from orbitope.errors import CertificateError, InputError
from orbitope.objective import Objective
from orbitope.proof import prove


# the user's own blocks ------------------------------------------------------------------------------------------------
def test_named_blocks():
    of = dense(4, 5, 6, 3)
    explanation = explain(of, blocks={"ends": ["0.*", "4.*"], "biases": "*.bias"})
    ends, biases = explanation.subsets
    assert ends.variables == ("0.weight", "0.bias", "4.weight", "4.bias")
    assert ends.loss.verdict == UNKNOWN and biases.name == "biases" and len(biases.variables) == 3
    assert explain(of, blocks=["4.weight"]).block("4.weight").loss.verdict == CONVEX
    with pytest.raises(InputError, match="names no trainable parameter") as error:
        explain(of, blocks=["0.*", "5.*", "nothing"])
    assert "5.*, nothing" in str(error.value)
    with pytest.raises(InputError):
        explain(of, blocks=[[]])


def test_buffers_cannot_be_blocks():
    of = objective(nn.Linear(4, 5), nn.BatchNorm1d(5), nn.Linear(5, 3))
    with pytest.raises(InputError):
        explain(of, blocks=["1.running_mean"])


# certificates ---------------------------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def proved():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 3))
    x = torch.randn(40, 4)
    y = (x[:, :3] * x[:, 1:]).argmax(dim=1)
    optimizer = torch.optim.Adam(model.parameters(), 0.05)
    for _ in range(60):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x), y).backward()
        optimizer.step()
    of = Objective(model.eval(), "cross_entropy", (x, y))
    certificate = prove(of)
    assert certificate
    return of, certificate


def test_a_certificate_settles_what_its_points_lie_in(proved):
    of, certificate = proved
    explanation = explain(of, certificate, blocks={"first and last": ["0.*", "2.weight"], "biases": "*.bias"})
    assert explanation.joint.loss.verdict == NON_CONVEX and explanation.joint.loss.proved
    assert certificate.statement in explanation.joint.loss.reason
    assert explanation.joint.loss.broken is not None
    assert explanation.block("first and last").loss.verdict == NON_CONVEX  # all that a swap moves
    assert explanation.block("biases").loss.verdict == UNKNOWN
    assert verdicts(explanation) == {"0": UNKNOWN, "2": CONVEX, "joint": NON_CONVEX}
    assert "certificate" in explanation.summary[-1] and not explanation.notes


def test_nothing_proved_is_nothing_cited(proved):
    of, _ = proved
    narrow = dense(4, 1, 3)
    nothing = prove(narrow, claim="swap")
    assert not nothing
    assert explain(narrow, nothing).joint.loss.verdict == UNKNOWN
    assert "`prove` looks for" in explain(of).summary[-1]


def test_a_certificate_about_something_else_is_not_used(proved):
    of, certificate = proved
    moved = {n: p + 0.5 for n, p in of.parameters.items()}
    assert explain(of, certificate, params=moved).joint.loss.verdict == NON_CONVEX  # other values of variables
    held = explain(
        of, certificate, params={**of.parameters, "2.bias": of.parameters["2.bias"] + 1}, blocks=["?.weight", "0.*"]
    )
    assert held.joint.loss.verdict == NON_CONVEX and [a.loss.verdict for a in held.subsets] == [UNKNOWN, UNKNOWN]

    other = Objective(of.model, "cross_entropy", (of.x + 1, of.y))
    explanation = explain(other, certificate)
    assert explanation.joint.loss.verdict == UNKNOWN and "other data: the inputs differ" in explanation.notes[0]

    tanh = nn.Sequential(of.model[0], nn.Tanh(), of.model[2]).eval()
    explanation = explain(Objective(tanh, "cross_entropy", (of.x, of.y)), certificate)
    assert explanation.joint.loss.verdict == UNKNOWN and "another function" in explanation.notes[0]
    assert "another function" in str(explanation)

    explanation = explain(dense(4, 5, 6, 3), certificate)
    assert explanation.joint.loss.verdict == UNKNOWN and "other parameters" in explanation.notes[0]


def test_a_certificate_against_the_rules_is_refused(proved):
    of, certificate = proved
    document = json.loads(certificate.to_bytes())
    step = document["steps"][document["violated"]]
    step["moves"] = {"2.weight": step["moves"]["2.weight"]}
    forged = replace(certificate, document=document)
    with pytest.raises(CertificateError, match="contradicts the rules"):
        explain(of, forged)


def test_absorbed_statistics_are_a_linear_change():
    of = objective(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Linear(6, 3), seed=3)
    certificate = prove(of)
    assert certificate and "absorbed" in certificate.document["agreement"]
    assert explain(of, certificate).joint.loss.verdict == NON_CONVEX


# text and JSON --------------------------------------------------------------------------------------------------------
def test_json_is_plain_and_complete(proved):
    of, certificate = proved
    document = json.loads(json.dumps(explain(of, certificate, tensors=True, blocks=["*.bias"]).to_json()))
    assert document["format"] == "orbitope explanation" and document["version"] == 1
    assert [b["name"] for b in document["blocks"]] == ["0", "2"]
    last = document["blocks"][1]["loss"]
    assert last["verdict"] == CONVEX and last["guarantee"] == "exact" and last["broken"] is None
    names = [step["node"] for step in last["steps"]]
    assert all(x in names[:k] for k, step in enumerate(last["steps"]) for x in step["operands"])
    assert last["steps"][-1]["curvature"]["kind"] == "convex"
    broken = document["blocks"][0]["loss"]["broken"]
    assert broken["module"] == "2" and broken["source"].startswith("linear.py:") and "negative" in broken["reason"]
    assert len(document["tensors"]) == 4 and len(document["subsets"]) == 1


def test_text(proved):
    of, certificate = proved
    explanation = explain(of, certificate)
    text = str(explanation)
    assert max(map(len, text.splitlines())) <= 100
    for heading in (
        "In the inputs",
        "In the parameters of one module alone",
        "In all parameters jointly",
        "Guarantee: exact",
    ):
        assert heading in text
    tree = explanation.block("2").loss.tree().splitlines()
    assert tree[0] == "convex — loss: change of sign, non-increasing and affine"
    assert tree[4].strip().startswith("affine — layer 2 (linear.py:") and tree[5].endswith("2.weight, 2.bias")
    assert [len(line) - len(line.lstrip()) for line in tree] == [0, 2, 4, 6, 8, 12]
    assert "layer 0 linear: affine → layer 1 ReLU: convex → layer 2 linear" in explanation.block("0").loss.chain()
    assert "breaks here" in text


def test_long_derivations_are_cut_and_shared_parts_named_once():
    class Deep(nn.Module):
        def __init__(self):
            super().__init__()
            self.first = nn.Linear(4, 4)

        def forward(self, x):
            h = self.first(x)
            for _ in range(12):
                h = h + torch.relu(h)
            return h

    explanation = explain(objective(Made(lambda m, x: m.inner(x), {"inner": Deep()})))
    outputs = explanation.joint.outputs
    assert outputs.verdict == CONVEX
    lines = outputs.tree().splitlines()
    assert len(lines) < 60 and any("further lines" in line for line in lines)
    assert any("as above" in line for line in lines)


def test_the_summary_answers_the_objection():
    relu, tanh = explain(dense(4, 5, 6, 3)), explain(dense(4, 5, 6, 3, activation=nn.Tanh))
    assert relu.summary[0].startswith("ReLU is convex and non-decreasing")
    assert "weights, of which" in relu.summary[0] and "proved convex in the parameters of layer 4" in relu.summary[1]
    assert "(1, −1)" in relu.summary[2]
    assert tanh.summary[0].startswith("tanh is not both convex and non-decreasing")
    assert isinstance(relu.inputs, Analysis) and len(relu.verdicts) == 6
    assert {v.axis for v in relu.verdicts} >= {"outputs, in the inputs", "loss F, in all parameters jointly"}
