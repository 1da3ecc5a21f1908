"""Explain on every objective: losses, samples that mix, several inputs, weight decay, outlines."""

from __future__ import annotations

import pytest
import torch
from tests.curvature.explaining import CONCAVE, CONVEX, UNKNOWN, check_against_chords, dense, objective, verdicts
from tests.zoo import Made, randomise
from torch import nn
from torch.nn import functional as F

from orbitope.curvature import Outline, explain
from orbitope.errors import InputError
from orbitope.objective import Objective


def _targets(loss: str, count: int = 12) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    name = loss.partition(":")[0]
    if name in ("cross_entropy", "nll", "multi_margin"):
        return torch.randint(0, 3, (count,), generator=generator)
    noise = torch.randn(count, 3, generator=generator)
    return {"hinge": noise.sign(), "bce_with_logits": noise.sigmoid()}.get(name, noise)


def _of(model: nn.Module, loss, count: int = 12, **settings) -> Objective:
    randomise(model.eval())
    x = torch.randn(count, 4, generator=torch.Generator().manual_seed(0))
    return Objective(model, loss, (x, _targets(loss if isinstance(loss, str) else "mse", count)), **settings)


LOSSES = [
    *("cross_entropy", "cross_entropy:label_smoothing=0.2", "cross_entropy:ignore_index=1", "nll", "mse", "l1"),
    *("smooth_l1", "smooth_l1:beta=0.3", "huber", "huber:delta=2.5", "hinge", "multi_margin", "multi_margin:p=2"),
    "bce_with_logits",
]


@pytest.mark.parametrize("loss", LOSSES)
def test_the_last_layer_is_convex_under_every_loss(loss):
    of = _of(nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3)), loss)
    explanation = explain(of, tensors=True)
    assert explanation.block("2").loss.verdict == CONVEX
    assert explanation.block("0").loss.verdict == explanation.joint.loss.verdict == UNKNOWN
    assert not check_against_chords(of, explanation)
    single = _of(nn.Sequential(nn.Linear(4, 3)), loss)
    assert explain(single).joint.loss.verdict == explain(single).inputs.loss.verdict == CONVEX
    outline = explain(Outline.of(of.model, (of.x,), loss=loss))  # whatever the data
    assert outline.block("2").loss.verdict == CONVEX and outline.joint.loss.verdict == UNKNOWN


def _huber(output, target):
    d = output - target
    return torch.where(d.abs() < 0.7, 0.5 * d**2, 0.7 * (d.abs() - 0.35)).mean(1)


def _capped(output, target):
    return (output - target).abs().clamp(max=1.0).mean(1)


def _asymmetric(output, target):
    d = output - target
    return torch.maximum(0.9 * d, -0.1 * d).mean()


@pytest.mark.parametrize(
    ("loss", "verdict"),
    [
        (_huber, CONVEX),
        (_asymmetric, CONVEX),
        (_capped, UNKNOWN),
        (F.huber_loss, CONVEX),
        (F.mse_loss, CONVEX),
        (nn.SoftMarginLoss(), CONVEX),
    ],
)
def test_losses_of_the_users_own(loss, verdict):
    of = _of(nn.Sequential(nn.Linear(4, 3)), loss)
    found = explain(of)
    assert found.joint.loss.verdict == verdict
    assert not check_against_chords(of, found)


def test_the_derivation_names_the_function_of_several_steps():
    found = explain(_of(nn.Sequential(nn.Linear(4, 3)), "huber")).joint.loss
    assert "convex, not monotone function of each entry" in found.tree() and "breaks at −1, 0, 1" in found.tree()


# samples that mix -----------------------------------------------------------------------------------------------------
def test_samples_that_meet_are_explained_whole():
    def forward(m, x):
        h = m.inner(x)
        return m.out(torch.relu(h - h.mean(0, keepdim=True)))

    of = objective(Made(forward, {"inner": nn.Linear(4, 5), "out": nn.Linear(5, 3)}))
    assert of.whole
    explanation = explain(of)
    assert verdicts(explanation) == {"inner": UNKNOWN, "out": CONVEX, "joint": UNKNOWN}
    assert "all samples at once" in explanation.notes[-1]
    assert explanation.block("inner").outputs.broken.module == "out"
    assert not check_against_chords(of, explanation)
    linear = objective(Made(lambda m, x: m.inner(x - x.mean(0)), {"inner": nn.Linear(4, 3)}), loss="mse")
    assert linear.whole and explain(linear).joint.loss.verdict == explain(linear).inputs.loss.verdict == CONVEX
    assert not check_against_chords(linear, explain(linear))


def test_a_loss_that_is_one_number_for_all():
    of = _of(nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 3)), lambda o, t: (o - t).abs().max())
    assert of.whole
    explanation = explain(of)
    assert verdicts(explanation) == {"0": UNKNOWN, "2": CONVEX, "joint": UNKNOWN}
    assert not check_against_chords(of, explanation)


# inputs ---------------------------------------------------------------------------------------------------------------
def test_several_inputs_are_analysed_together_and_apart():
    def forward(m, x, y, ids):
        return m.out(m.a(x) * m.b(y) + m.table(ids))

    parts = {"a": nn.Linear(4, 5), "b": nn.Linear(2, 5), "table": nn.Embedding(7, 5), "out": nn.Linear(5, 3)}
    model = randomise(Made(forward, parts).eval())
    generator = torch.Generator().manual_seed(0)
    x, y = torch.randn(9, 4, generator=generator), torch.randn(9, 2, generator=generator)
    ids = torch.randint(0, 7, (9,), generator=generator)
    of = Objective(model, "mse", ((x, y, ids), torch.randn(9, 3, generator=generator)))
    explanation = explain(of)
    assert explanation.inputs.outputs.verdict == UNKNOWN
    assert "both factors depend on the inputs" in explanation.inputs.outputs.reason
    assert [a.loss.verdict for a in explanation.apart] == [CONVEX, CONVEX]
    assert [a.outputs.census.kind for a in explanation.apart] == ["affine", "affine"]
    assert any(note.startswith("Held, since integers") for note in explanation.notes)
    assert verdicts(explanation) == {"a": CONVEX, "b": CONVEX, "table": CONVEX, "out": CONVEX, "joint": UNKNOWN}
    assert not check_against_chords(of, explanation)
    assert "alone" in str(explanation) and len(explanation.to_json()["apart"]) == 2


def test_named_outputs():
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(4, 3), nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 3))

        def forward(self, x):
            return {"plain": self.a(x), "deep": self.b(x)}

    model = randomise(Two().eval())
    x = torch.randn(9, 4)
    plain, deep = (explain(Objective(model, "mse", (x, x[:, :3]), output=name)) for name in ("plain", "deep"))
    assert plain.joint.loss.verdict == CONVEX and deep.joint.loss.verdict == UNKNOWN
    assert "output plain" in plain.function
    outline = explain(Outline.of(model, (x,), loss="mse", output="deep"))
    assert outline.joint.loss.broken == deep.joint.loss.broken
    with pytest.raises(InputError, match="no floating output"):
        Outline.of(model, (x,), output="other")


# weight decay ---------------------------------------------------------------------------------------------------------
def test_weight_decay_keeps_convexity_and_loses_concavity():
    plain = dense(4, 3, loss="mse")
    decayed = Objective(plain.model, "mse", (plain.x, plain.y), weight_decay=0.5)
    found = explain(decayed)
    assert found.joint.loss.verdict == CONVEX and "weight decay" in found.joint.loss.reason
    assert "‖θ‖²" in found.function and not check_against_chords(decayed, found)

    def down(output, target):
        return -output.sum(1)

    model = nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 1)).eval()
    model[2].weight.data.abs_()
    x = torch.randn(9, 4)
    assert explain(Objective(model, down, (x, x))).block("0").loss.verdict == CONCAVE
    found = explain(Objective(model, down, (x, x), weight_decay=0.1))
    assert found.block("0").loss.verdict == UNKNOWN and "weight decay is convex" in found.block("0").loss.reason


# outlines -------------------------------------------------------------------------------------------------------------
def test_shapes_alone():
    with torch.device("meta"):
        model = nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 40)).eval()
        x = torch.zeros(2, 4)
    explanation = explain(Outline.of(model, (x,)))
    assert verdicts(explanation) == {"0": UNKNOWN, "2": CONVEX, "joint": UNKNOWN}
    assert "of which 200 of 200 entries are not known to be nonnegative" in explanation.block("0").loss.reason
    assert "for all data of these shapes" in explanation.guarantee


def test_what_holds_for_all_data_holds_for_these():
    """An outline never proves what an objective of the same model does not."""
    for seed in range(3):
        of = dense(4, 5, 3, activation=nn.Softplus, loss=("mse", "cross_entropy", "mse")[seed], seed=seed)
        outline = explain(Outline.of(of.model, (of.x,), loss=of.loss), tensors=True)
        mine = explain(of, tensors=True)
        for theirs, ours in zip(outline.analyses, mine.analyses, strict=True):
            assert theirs.loss.verdict in (UNKNOWN, ours.loss.verdict), theirs.name


def test_an_outline_knows_labels_are_not_negative_but_not_targets():
    def gate(m, x):
        return torch.relu(m.w(x))

    for loss, verdict in (("bce_with_logits", UNKNOWN), ("mse", UNKNOWN), ("cross_entropy", UNKNOWN), ("l1", UNKNOWN)):
        outline = Outline.of(randomise(Made(gate, {"w": nn.Linear(4, 3)}).eval()), (torch.randn(5, 4),), loss=loss)
        assert explain(outline).joint.loss.verdict == verdict  # relu is affine on no side
    of = dense(4, 3, loss="mse")
    with pytest.raises(InputError):
        explain(Outline.of(of.model, (of.x,), loss="mse"), params=of.parameters)


def test_an_outline_follows_entries():
    """Without data rows of one sign are still told from others."""
    of = dense(4, 5, 3)
    of.model[2].weight.data[0].abs_()
    outputs = explain(Outline.of(of.model, (of.x,), loss="mse")).block("0").outputs
    assert outputs.census.convex == 1 and outputs.census.unknown == 2
