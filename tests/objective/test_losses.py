"""Every loss against torch's own, in value and gradient, at sizes that are all different."""

from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from orbitope.errors import DataError, InputError
from orbitope.objective import LOSSES, Objective

N, T, C, H, W = 11, 4, 3, 2, 5


class Sequence(nn.Module):
    """[N, T, 6] → [N, T, C]."""

    def __init__(self, classes=C):
        super().__init__()
        self.inner, self.outer = nn.Linear(6, 7), nn.Linear(7, classes)

    def forward(self, x):
        return self.outer(torch.tanh(self.inner(x)))


def flat(classes=C):
    return nn.Sequential(nn.Linear(6, 7), nn.Tanh(), nn.Linear(7, classes))


def image():
    return nn.Sequential(nn.Conv2d(2, 4, 1), nn.Tanh(), nn.Conv2d(4, C, 1))


X = {"flat": (N, 6), "sequence": (N, T, 6), "image": (N, 2, H, W)}
MADE = {"flat": flat, "sequence": Sequence, "image": image}


def made(kind, seed=0, **settings):
    torch.manual_seed(seed)
    return MADE[kind](**settings).double().eval(), torch.randn(X[kind], dtype=torch.float64)


def agrees(objective, model, truth):
    """Value, gradient and the objective's own reference are torch's, also in blocks of two samples."""
    truth.backward()
    assert not objective.whole
    assert objective.value() == pytest.approx(truth.item(), rel=1e-12)
    assert objective.reference() == pytest.approx(truth.item(), rel=1e-12)
    gradient = objective.gradient()
    for name, parameter in model.named_parameters():
        assert torch.allclose(gradient[name], parameter.grad, rtol=1e-10, atol=1e-13), name
    graph, data = objective.program(objective.samples)
    assert {*graph.inputs} == {*data} and all(len(tensor) == objective.samples for tensor in data.values())


def ignored(shape, classes=C, value=-100):
    y = torch.randint(0, classes, shape)
    return torch.where(torch.rand(shape) < 0.3, value, y)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("classes", [C, 40])
@pytest.mark.parametrize("some", [False, True])
def test_cross_entropy(smoothing, classes, some):
    model, x = made("flat", classes=classes)
    y = ignored((N,), classes, -7) if some else torch.randint(0, classes, (N,))
    objective = Objective(model, f"cross_entropy:label_smoothing={smoothing},ignore_index=-7", (x, y))
    agrees(objective, model, F.cross_entropy(model(x), y, label_smoothing=smoothing, ignore_index=-7))
    assert objective.target.shape == ((N, classes) if classes == C else (N, 1))
    hits = (model(x).argmax(1) == y)[y != -7]
    assert objective.accuracy() == pytest.approx(hits.double().mean().item())


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize(("kind", "shape"), [("sequence", (N, T)), ("image", (N, H, W))])
@pytest.mark.parametrize("some", [False, True])
def test_cross_entropy_of_many_positions(kind, shape, smoothing, some):
    model, x = made(kind)
    y = ignored(shape) if some else torch.randint(0, C, shape)
    objective = Objective(model, f"cross_entropy:label_smoothing={smoothing}", (x, y))
    output = model(x).movedim(2, 1) if kind == "sequence" else model(x)
    agrees(objective, model, F.cross_entropy(output, y, label_smoothing=smoothing))
    hits = (output.argmax(1) == y)[y != -100]
    assert objective.accuracy() == pytest.approx(hits.double().mean().item())


def test_the_mean_of_each_sample_first():
    model, x = made("sequence")
    y = torch.randint(0, C, (N, T))
    y[3, 1:] = y[5, 2] = -100
    each = F.cross_entropy(model(x).movedim(2, 1), y, reduction="none")
    truth = (each.sum(1) / (y != -100).sum(1)).mean()
    agrees(Objective(model, "cross_entropy:reduction=sample_mean", (x, y)), model, truth)
    assert abs(truth.item() - F.cross_entropy(model(x).movedim(2, 1), y).item()) > 1e-4
    y[3] = -100
    with pytest.raises(DataError, match="a sample has no label that counts"):
        Objective(model, "cross_entropy:reduction=sample_mean", (x, y))


def test_shifted_labels():
    model, x = made("sequence")
    y = ignored((N, T))
    truth = F.cross_entropy(model(x)[:, :-1].movedim(2, 1), y[:, 1:])
    agrees(Objective(model, "cross_entropy:shift=1", (x, y)), model, truth)


def test_distributions_as_targets():
    model, x = made("flat")
    y = torch.softmax(torch.randn(N, C, dtype=torch.float64), 1)
    agrees(
        Objective(model, "cross_entropy:label_smoothing=0.1", (x, y)),
        model,
        F.cross_entropy(model(x), y, label_smoothing=0.1),
    )
    model, x = made("image")
    y = torch.softmax(torch.randn(N, C, H, W, dtype=torch.float64), 1)
    agrees(Objective(model, "cross_entropy", (x, y)), model, F.cross_entropy(model(x), y))


def test_classes_on_either_axis_must_be_said():
    model, x = made("sequence", classes=T)
    y = torch.randint(0, T, (N, T))
    with pytest.raises(DataError, match="two axes of the outputs could be the classes"):
        Objective(model, "cross_entropy", (x, y))
    agrees(Objective(model, "cross_entropy:axis=-1", (x, y)), model, F.cross_entropy(model(x).movedim(2, 1), y))
    model.zero_grad()
    agrees(Objective(model, "cross_entropy:axis=1", (x, y)), model, F.cross_entropy(model(x), y))


def test_log_probabilities():
    class Logs(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = flat()

        def forward(self, x):
            return F.log_softmax(self.inner(x), 1)

    torch.manual_seed(0)
    model, x, y = Logs().double().eval(), torch.randn(N, 6, dtype=torch.float64), ignored((N,))
    agrees(Objective(model, "nll", (x, y)), model, F.nll_loss(model(x), y))


@pytest.mark.parametrize(
    ("loss", "truth"),
    [
        ("mse", F.mse_loss),
        ("l1", F.l1_loss),
        ("smooth_l1", F.smooth_l1_loss),
        ("smooth_l1:beta=0.3", lambda o, y: F.smooth_l1_loss(o, y, beta=0.3)),
        ("huber:delta=0.7", lambda o, y: F.huber_loss(o, y, delta=0.7)),
        ("hinge:margin=0.5", lambda o, y: (0.5 - o * y).clamp(min=0).mean()),
        ("bce_with_logits", F.binary_cross_entropy_with_logits),
    ],
)
@pytest.mark.parametrize("kind", ["flat", "sequence", "image"])
def test_losses_of_entries(loss, truth, kind):
    model, x = made(kind)
    y = torch.randn(model(x).shape, dtype=torch.float64)
    if loss.startswith("hinge"):
        y = y.sign()
    if loss.startswith("bce"):
        y = torch.sigmoid(3 * y)
    agrees(Objective(model, loss, (x, y)), model, truth(model(x), y))


@pytest.mark.parametrize(
    ("own", "name"),
    [
        (nn.CrossEntropyLoss(label_smoothing=0.1, ignore_index=1), "cross_entropy:label_smoothing=0.1,ignore_index=1"),
        (F.cross_entropy, "cross_entropy"),
    ],
)
def test_torchs_own_losses_are_the_named_ones(own, name):
    model, x = made("flat")
    y = torch.arange(N) % model(x).shape[1]
    assert Objective(model, own, (x, y)).value() == pytest.approx(Objective(model, name, (x, y)).value(), rel=1e-12)


def test_weights_of_classes():
    model, x = made("flat")
    y = torch.arange(N) % model(x).shape[1]
    loss = nn.CrossEntropyLoss(weight=torch.rand(model(x).shape[1]) + 0.5)  # in float32
    found = Objective(model, loss, (x, y))
    assert found.value() == pytest.approx(loss.double()(model(x), y).item(), rel=1e-12)


def test_outputs_of_one_number():
    class One(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = flat(1)

        def forward(self, x):
            return self.inner(x)[:, 0]

    torch.manual_seed(0)
    model, x, y = One().double().eval(), torch.randn(N, 6, dtype=torch.float64), torch.randint(0, 2, (N,))
    agrees(Objective(model, "bce_with_logits", (x, y)), model, F.binary_cross_entropy_with_logits(model(x), y.double()))


@pytest.mark.parametrize("power", [1, 2])
def test_multi_margin(power):
    model, x = made("flat")
    y = torch.randint(0, C, (N,))
    truth = F.multi_margin_loss(model(x), y, p=power, margin=0.8)
    agrees(Objective(model, f"multi_margin:p={power},margin=0.8", (x, y)), model, truth)


def test_weight_decay_is_over_the_variables():
    model, x = made("flat")
    model[0].bias.requires_grad_(False)
    y = torch.randint(0, C, (N,))
    objective = Objective(model, "cross_entropy", (x, y), weight_decay=0.3)
    squares = sum((p**2).sum() for p in model.parameters() if p.requires_grad)
    truth = F.cross_entropy(model(x), y) + 0.15 * squares
    truth.backward()
    assert objective.value() == pytest.approx(truth.item(), rel=1e-12)
    assert objective.reference() == pytest.approx(F.cross_entropy(model(x), y).item(), rel=1e-12)
    assert all(torch.allclose(g, model.get_parameter(n).grad) for n, g in objective.gradient().items())


@pytest.mark.parametrize(
    ("loss", "y", "error", "words"),
    [
        ("cross_entropy", torch.full((N,), C), DataError, "labels are out of range"),
        ("cross_entropy", torch.full((N,), -100), DataError, "no label counts"),
        ("cross_entropy", torch.zeros(N, T, dtype=torch.long), DataError, "one class number"),
        ("cross_entropy:label_smoothing=1.5", torch.zeros(N, dtype=torch.long), InputError, "no share"),
        ("cross_entropy:reduction=sum", torch.zeros(N, dtype=torch.long), InputError, "no such reduction"),
        ("hinge", torch.zeros(N, C), DataError, "targets −1 and 1"),
        ("bce_with_logits", torch.full((N, C), 1.5), DataError, "from 0 to 1"),
        ("huber:delta=0", torch.zeros(N, C), InputError, "not positive"),
        ("huber:delta=x", torch.zeros(N, C), InputError, "not a number"),
        ("multi_margin:p=3", torch.zeros(N, dtype=torch.long), InputError, "p = 1 or 2"),
        ("l1", torch.zeros(N), DataError, "output's shape"),
    ],
)
def test_targets_and_options_that_do_not_fit(loss, y, error, words):
    model, x = made("flat")
    with pytest.raises(error, match=words):
        Objective(model, loss, (x, y))


def test_every_loss_is_tested_here():
    text = Path(__file__).read_text(encoding="utf-8")
    assert all(f'"{name}' in text for name in LOSSES)
