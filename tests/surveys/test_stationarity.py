"""Gradients on a segment and generalised gradients at kinks, held against closed forms and brute force."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from torch import nn

import orbitope
from orbitope.errors import InputError, ParametersError
from orbitope.landscapes import subgradient
from orbitope.surveys import best_swap, certify_fall

DOUBLE = torch.float64


def objective(model: nn.Module, x: Any, y: Any, loss: Any = "mse", **more: Any) -> orbitope.Objective:
    return orbitope.Objective(
        model.double().eval(), loss, (torch.tensor(x, dtype=DOUBLE), torch.tensor(y, dtype=DOUBLE)), **more
    )


def flat(gradient: dict[str, torch.Tensor]) -> np.ndarray:
    return torch.cat([part.flatten() for part in gradient.values()]).numpy()


def sampled(o: orbitope.Objective, params: dict[str, torch.Tensor], count: int = 300) -> float:
    """The shortest vector of the hull of gradients at points nearby: what Clarke's definition says, by brute force."""
    rows = []
    for seed in range(count):
        generator = torch.Generator().manual_seed(seed)
        near = {n: t + 1e-7 * torch.randn(t.shape, generator=generator, dtype=DOUBLE) for n, t in params.items()}
        rows.append(flat(o.gradient(near)))
    vertices = np.unique(np.round(rows, 5), axis=0)

    def length(w: np.ndarray) -> float:
        return float(np.sum((w @ vertices) ** 2))

    start = np.full(len(vertices), 1 / len(vertices))
    constraint = {"type": "eq", "fun": lambda w: w.sum() - 1}
    found = minimize(length, start, bounds=[(0, 1)] * len(start), constraints=constraint, options={"ftol": 1e-14})
    return float(found.fun) ** 0.5


class Bent(nn.Module):
    """|w·x| + b."""

    def __init__(self, w: float, b: float) -> None:
        super().__init__()
        self.w, self.b = nn.Parameter(torch.tensor([w])), nn.Parameter(torch.tensor([b]))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (x * self.w).abs() + self.b


def test_closed_form_of_an_absolute_value() -> None:
    # F = mean of (|w·x| + b − y)²; at w = 0: ∂F/∂b = 2·mean(b − y) and ∂F/∂w in [−c, c], c = |2·mean((b − y)·|x|)|
    x, y, b = [[1.0], [2.0], [-1.0]], [[3.0], [1.0], [0.5]], 0.3
    found = subgradient(objective(Bent(0.0, b), x, y))
    down = 2 * np.mean([b - 3.0, b - 1.0, b - 0.5])
    assert found.ties == 3
    # the three ties move together, so that not every choice of slopes is realised; both hulls contain slope 0
    assert found.realised == pytest.approx(abs(down)) and found.smallest == pytest.approx(abs(down))


def test_the_hull_of_all_choices_can_be_too_large() -> None:
    # relu(w) − relu(−w) = w: smooth, slope 1, although both terms have a kink
    class Straight(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.w = nn.Parameter(torch.zeros(1))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            z = x * self.w
            return torch.relu(z) - torch.relu(-z)

    o = objective(Straight(), [[2.0]], [[5.0]])
    found = subgradient(o)
    true = abs(2 * (0 - 5.0) * 2.0)  # d/dw (2w − 5)² at 0
    assert found.ties == 2
    assert found.gradient == 0.0, "automatic differentiation calls this point stationary, which it is not"
    assert found.smallest == pytest.approx(0.0, abs=1e-9) and found.realised == pytest.approx(true)
    assert not found.exact


def relu_net(seed: int, depth: int = 1) -> nn.Module:
    torch.manual_seed(seed)
    hidden = [layer for k in range(depth) for layer in (nn.Linear(2 if k == 0 else 4, 4), nn.ReLU())]
    return nn.Sequential(*hidden, nn.Linear(4, 1)).double().eval()


@pytest.mark.parametrize("seed", range(4))
def test_independent_ties_of_one_layer(seed: int) -> None:
    model = relu_net(seed)
    x = torch.randn(6, 2, generator=torch.Generator().manual_seed(seed), dtype=DOUBLE)
    with torch.no_grad():  # units 0 and 2 are on their kink at samples 1 and 4
        model[0].bias[0] = 0
        model[0].weight[0] = torch.stack([-x[1, 1], x[1, 0]])
        model[0].bias[2] = 0
        model[0].weight[2] = torch.stack([-x[4, 1], x[4, 0]])
    o = objective(model, x.tolist(), [[1.0], [-1.0], [0.5], [2.0], [0.0], [1.0]])
    params = {name: t.detach() for name, t in model.state_dict().items()}
    found = subgradient(o, tolerance=1e-15)
    assert found.ties == 2 and found.exact
    assert found.smallest == pytest.approx(sampled(o, params, 60), abs=1e-4)
    assert found.smallest is not None and found.smallest <= found.gradient + 1e-12


def test_ties_that_feed_each_other() -> None:
    model = relu_net(1, depth=2)
    with torch.no_grad():
        model[0].weight[1], model[0].bias[1] = 0, 0
        model[2].weight[3], model[2].bias[3] = torch.tensor([0.0, 0.7, 0.0, 0.0]), 0
    o = objective(model, [[0.3, -1.0]], [[2.0]])
    params = {name: t.detach() for name, t in model.state_dict().items()}
    found = subgradient(o)
    assert found.ties == 2 and [count for _, count in found.places] == [1, 1]
    brute = sampled(o, params, 200)
    assert found.realised == pytest.approx(brute, abs=1e-4)
    assert found.smallest is not None and found.smallest <= brute + 1e-4


def test_a_minimum_at_a_kink_is_stationary() -> None:
    # mean |b − y|: the median 1 is the minimum, where automatic differentiation need not say 0
    class Constant(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.b = nn.Parameter(torch.tensor([1.0]))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return 0 * x + self.b

    o = objective(Constant(), [[0.0]] * 4, [[-3.0], [1.0], [1.0], [9.0]], "l1")
    found = subgradient(o)
    assert found.ties == 2 and found.smallest == pytest.approx(0.0, abs=1e-9)
    assert found.realised == pytest.approx(0.0, abs=1e-9)


def test_many_ties_are_bounded_or_said_to_be_too_many() -> None:
    model = relu_net(0, depth=2)
    with torch.no_grad():
        for k in (0, 2):
            model[k].weight.zero_(), model[k].bias.zero_()
    x = torch.randn(9, 2, generator=torch.Generator().manual_seed(0)).tolist()
    found = subgradient(objective(model, x, [[1.0]] * 9))
    assert found.ties == 72 and found.smallest is None and found.realised is None
    assert found.guarantee == "heuristic" and "too many ties" in str(found)
    assert found.found == pytest.approx(found.gradient)


def test_without_kinks_it_is_the_gradient() -> None:
    torch.manual_seed(3)
    model = nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 1))
    o = objective(model, [[0.1, 0.2], [1.0, -1.0]], [[1.0], [0.0]], weight_decay=0.1)
    found = subgradient(o)
    assert found.ties == 0 and found.exact
    assert found.found == pytest.approx(float(np.linalg.norm(flat(o.gradient()))))


def test_what_is_not_looked_at_is_named() -> None:
    model = nn.Sequential(nn.Conv1d(1, 2, 3), nn.ReLU(), nn.MaxPool1d(2), nn.Flatten(), nn.Linear(4, 1))
    x = torch.randn(3, 1, 6, generator=torch.Generator().manual_seed(0)).tolist()
    assert any("max_pool" in place for place in subgradient(objective(model, x, [[0.0]] * 3)).unseen)


# the segment ------------------------------------------------------------------------------------------------------
def tanh_net() -> tuple[orbitope.Objective, dict[str, torch.Tensor]]:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)).double().eval()
    for p in model.parameters():
        p.data *= 2
    x = torch.randn(20, 3, generator=torch.Generator().manual_seed(1), dtype=DOUBLE)
    o = orbitope.Objective(model, "mse", (x, model(x).detach()))  # a minimum: its loss is 0
    return o, {name: t.detach() for name, t in model.state_dict().items()}


def test_between_two_minima_that_are_twins(tmp_path: Path) -> None:
    o, a = tanh_net()
    b, note = best_swap(o, params=a)
    assert note.startswith("swap of") and sorted(b["0.bias"].tolist()) == sorted(a["0.bias"].tolist())
    found = orbitope.stationarity(o, a, b, points=9)
    assert found.ends_stationary and not found.between_stationary and found.refuted
    assert found.losses[0] == pytest.approx(0, abs=1e-12) and max(found.losses) > 0.01
    # slopes against differences of losses that torch computes
    h = 1e-6
    for t, slope in zip(found.t[1:-1], found.slopes[1:-1], strict=True):
        ahead, behind = (o.reference({n: a[n] + (t + s * h) * (b[n] - a[n]) for n in a}) for s in (1, -1))
        assert slope == pytest.approx((ahead - behind) / (2 * h), abs=1e-6)
    certificate = certify_fall(found, o, a, b)
    assert certificate, certificate
    certificate.save(tmp_path / "fall.orbitope")
    verdict = orbitope.check(tmp_path / "fall.orbitope")
    assert verdict.accepted and "slope" in verdict.statement
    assert verdict.gap_float <= found.drop + 1e-9 and verdict.gap_float > 0.9 * found.drop


def test_any_segment_can_be_certified() -> None:
    o, a = tanh_net()
    g = torch.Generator().manual_seed(4)
    b = {name: t + 2 * torch.randn(t.shape, generator=g, dtype=DOUBLE) for name, t in a.items()}
    found = orbitope.stationarity(o, a, b, points=17)
    assert bool(certify_fall(found, o, a, b)) == found.refuted


def test_convex_controls_never_fall() -> None:
    torch.manual_seed(0)
    linear = nn.Linear(3, 2)
    x = torch.randn(12, 3, generator=torch.Generator().manual_seed(1)).tolist()
    y = torch.randn(12, 2, generator=torch.Generator().manual_seed(2)).tolist()
    for loss in ("mse", "l1", "huber"):
        o = objective(linear, x, y, loss)
        a, b = o.parameters, {n: 3 * torch.randn_like(t) for n, t in o.parameters.items()}
        found = orbitope.stationarity(o, a, b, points=65)
        assert found.fall is None and not found.refuted and found.drop == 0.0
        assert not certify_fall(found, o, a, b)
        with pytest.raises(InputError, match="there is no swap"):
            best_swap(o)


def test_a_false_derivative_at_a_kink_is_no_fall() -> None:
    # relu(w) − relu(−w) = w has slope 1 everywhere, and automatic differentiation says 0 at w = 0
    class Straight(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.w = nn.Parameter(torch.tensor([-1.0]))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.relu(self.w * x) - torch.relu(-self.w * x)

    o = objective(Straight(), [[1.0]], [[5.0]], lambda out, y: (out + 0 * y).mean())
    found = orbitope.stationarity(o, {"w": torch.tensor([-1.0])}, {"w": torch.tensor([1.0])}, points=5)
    assert 0.0 in found.slopes and not found.refuted


def test_bad_ends() -> None:
    o, a = tanh_net()
    with pytest.raises(InputError, match="a point between"):
        orbitope.stationarity(o, a, a, points=2)
    with pytest.raises(ParametersError):
        orbitope.stationarity(o, a, {**a, "0.bias": torch.zeros(3)})
