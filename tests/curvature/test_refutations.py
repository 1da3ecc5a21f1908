"""Explain with certificates: in each block, tensor and subset alone, with points that differ in nothing else."""

from __future__ import annotations

import pytest
import torch
from tests.curvature.explaining import CONVEX, NON_CONVEX, UNKNOWN, dense, objective, verdicts, with_weights
from tests.zoo import Made
from torch import nn

import orbitope
from orbitope.curvature import Outline
from orbitope.errors import InputError
from orbitope.proof import NotProven, certify
from orbitope.proof.witnesses import chords as package
from orbitope.proof.witnesses.chords import chords
from orbitope.reports import explaining


def check(of, found) -> None:
    """Every certificate is accepted, is about these variables, and moves nothing else; every other claim is a rule."""
    for a in (*found.blocks, *found.tensors, *found.subsets, found.joint):
        if a.loss.verdict != NON_CONVEX:
            assert a.certificate is None
            continue
        assert a.certificate is not None
        verdict = orbitope.check(a.certificate.to_bytes())
        assert verdict.accepted and a.certificate.moved <= set(a.variables)
        held = a.certificate.parameters
        assert all(
            torch.equal(held[n].double(), p.double())
            for n, p in of.parameters.items()
            if n not in a.variables and n in held
        )


@pytest.mark.parametrize(
    ("activation", "loss"), [(nn.ReLU, "cross_entropy"), (nn.ReLU, "mse"), (nn.Tanh, "mse"), (nn.GELU, "cross_entropy")]
)
def test_every_layer_but_the_last_is_refuted(activation, loss):
    of = dense(4, 5, 6, 3, activation=activation, loss=loss)
    found = orbitope.explain(of, prove=True, tensors=True, blocks=["*.weight"])
    assert verdicts(found) == {"0": NON_CONVEX, "2": NON_CONVEX, "4": CONVEX, "joint": NON_CONVEX}
    wanted = [CONVEX if a.name.startswith("4") else NON_CONVEX for a in found.tensors]
    assert [a.loss.verdict for a in found.tensors] == wanted and found.subsets[0].loss.verdict == NON_CONVEX
    check(of, found)
    assert "proved not to be, by certificates" in found.summary[1]
    assert "all parameters jointly it is not" in found.summary[-1]


def test_a_deep_linear_network_is_refuted_jointly_and_convex_layer_by_layer():
    of = dense(4, 5, 3, activation=nn.Identity, loss="mse")
    found = orbitope.explain(of, prove=True)
    assert verdicts(found) == {"0": CONVEX, "2": CONVEX, "joint": NON_CONVEX}
    check(of, found)
    narrow = dense(3, 1, 2, activation=nn.Identity, loss="mse")  # no two units to exchange
    found = orbitope.explain(narrow, prove=True)
    assert found.joint.loss.verdict == NON_CONVEX
    check(narrow, found)


def _never(*_):
    raise AssertionError("nothing is left to look for")


def test_a_convex_model_is_never_refuted():
    for loss in ("cross_entropy", "mse"):
        of = dense(4, 3, loss=loss)
        found = orbitope.curvature.explain(of, prover=_never)
        assert verdicts(found) == {"0": CONVEX, "joint": CONVEX}


def test_what_is_convex_beyond_the_rules_stays_unknown():
    class Cosh(nn.Module):
        """log(e^w + e^−w) is convex in w; the rules see a concave function of a convex one."""

        def __init__(self):
            super().__init__()
            self.w = nn.Parameter(torch.randn(4))

        def forward(self, x):
            return x * (self.w.exp() + (-self.w).exp()).log()

    def plain(output, target):
        return output.sum(1)

    x = torch.rand(6, 4) + 0.1
    found = orbitope.explain(orbitope.Objective(Cosh().eval(), plain, (x, x)), prove=True)
    assert found.joint.loss.verdict == UNKNOWN and "higher" in found.joint.loss.searched
    assert "no certificate" not in found.joint.loss.reason and found.joint.to_json()["loss"]["searched"]


def test_an_input_convex_network_beside_its_parameters():
    of = dense(4, 5, 6, 3)
    params = with_weights(of, layer_2=torch.abs, layer_4=torch.abs)
    found = orbitope.explain(of, prove=True, params=params)
    assert found.inputs.outputs.verdict == CONVEX
    assert found.joint.loss.verdict == NON_CONVEX and found.block("4").loss.verdict == CONVEX
    for a in (*found.blocks, found.joint):
        assert a.certificate is None or orbitope.check(a.certificate.to_bytes()).accepted


def test_weight_decay_counts_in_a_block():
    """Much of it makes a block convex in truth, and then nothing is found."""
    weak = dense(4, 5, 3, activation=nn.Tanh, loss="mse")
    strong = orbitope.Objective(weak.model, "mse", (weak.x, weak.y), weight_decay=500.0)
    assert orbitope.explain(weak, prove=True).block("0").loss.verdict == NON_CONVEX
    found = orbitope.explain(strong, prove=True)
    assert found.block("0").loss.verdict == UNKNOWN and found.block("0").loss.searched


def test_batch_norm_and_samples_that_mix():
    of = objective(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Linear(6, 3), seed=3)
    found = orbitope.explain(of, prove=True)
    assert verdicts(found) == {"0": NON_CONVEX, "1": NON_CONVEX, "3": CONVEX, "joint": NON_CONVEX}
    check(of, found) if not found.joint.certificate.document["agreement"].get("absorbed") else None

    def forward(m, x):
        h = m.inner(x)
        return m.out(torch.relu(h - h.mean(0, keepdim=True)))

    mixing = objective(Made(forward, {"inner": nn.Linear(4, 5), "out": nn.Linear(5, 3)}))
    found = orbitope.explain(mixing, prove=True)
    assert verdicts(found) == {"inner": NON_CONVEX, "out": CONVEX, "joint": NON_CONVEX}
    check(mixing, found)


def test_an_outline_cannot_be_proved():
    of = dense(4, 5, 3)
    with pytest.raises(InputError, match="without data"):
        orbitope.explain(Outline.of(of.model, (of.x,)), prove=True)


def test_a_prover_that_lies_is_caught():
    """A certificate whose points lie elsewhere settles nothing, and one that contradicts a rule is refused."""
    of = dense(4, 5, 6, 3)
    joint = orbitope.prove(of)
    found = orbitope.curvature.explain(of, prover=lambda part, params: joint)
    assert verdicts(found) == {"0": UNKNOWN, "2": UNKNOWN, "4": CONVEX, "joint": NON_CONVEX}
    assert "other parameters" in found.block("0").loss.searched


# the search -----------------------------------------------------------------------------------------------------------
def test_chords_move_nothing_but_the_variables_and_are_exact():
    of = dense(4, 5, 3)
    found = chords(of.parameters, lambda p: of.value(p), of.mean, ["0.weight"])
    assert found[0].gap > 0.01 and all(set(w.moved) == {"0.weight"} for w in found)
    for w in found:
        a, b = (point["0.weight"] for point in w.points)
        middle = (a + b) / 2
        assert torch.equal(a - middle, middle - b)
        values = [of.value({**of.parameters, "0.weight": t}) for t in (middle, a, b)]
        assert w.gap == pytest.approx(values[0] - (values[1] + values[2]) / 2, abs=1e-9)


def test_no_chord_of_a_convex_function_is_certified():
    of = dense(4, 3)
    assert all(w.gap <= 1e-9 for w in chords(of.parameters, lambda p: of.value(p), of.mean, ["0.weight", "0.bias"]))
    result = certify(of, None, explaining._chord)
    assert isinstance(result, NotProven) and "higher" in result.reason
    assert not chords(of.parameters, lambda p: of.value(p), of.mean, [])
    assert package.STEPS > 0
