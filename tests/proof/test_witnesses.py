"""Witnesses: each strategy finds what it says, measured against the model itself, and nothing where nothing is."""

from __future__ import annotations

import itertools
from fractions import Fraction

import pytest
import torch
from torch import nn

from orbitope.arithmetic import ExactArithmetic
from orbitope.objective import Objective
from orbitope.proof.setting import Setting
from orbitope.proof.witnesses import (
    Witness,
    averaged,
    curvature,
    exchanges,
    flips,
    mean,
    measured,
    orbit_average,
    pairs,
    places,
    rescalings,
    slices,
    slopes,
    swaps,
    twins,
)


def _setting(activation: type[nn.Module], widths=(3, 6, 5, 2), loss="mse", seed=0) -> Setting:
    torch.manual_seed(seed)
    layers: list[nn.Module] = []
    for fan_in, fan_out in itertools.pairwise(widths):
        layers += [nn.Linear(fan_in, fan_out), activation()]
    model = nn.Sequential(*layers[:-1]).eval()
    x = torch.randn(17, widths[0])
    y = torch.randn(17, widths[-1]) if loss == "mse" else torch.randint(0, widths[-1], (17,))
    return Setting.of(Objective(model, loss, (x, y)), None, None)


def _search(setting: Setting) -> dict[str, list[Witness]]:
    group, start, value = setting.group, setting.start, setting.value
    promising = pairs(group, start)
    found = swaps(group, start, value, promising)
    return {
        "swap": found,
        "exchange": exchanges(group, start, value, promising),
        "orbit-average": orbit_average(group, start, value),
        "sign-flip": flips(group, start, value, setting.variables),
        "rescaling": rescalings(group, start, value, setting.variables),
        "twin": twins(group, start, value, setting.loss, promising),
        "curvature": curvature(start, value, setting.loss, setting.variables),
        "slice": slices(group, start, value, {}),
        "slopes": [w for witness in found[:1] for w in slopes(start, value, witness.steps[0])],
    }


@pytest.mark.parametrize("activation", [nn.ReLU, nn.Tanh, nn.GELU])
def test_gaps_are_those_of_the_model_itself(activation):
    setting = _setting(activation)
    objective = setting.objective

    def by_the_model(point):
        state = {name: point[name].double() for name in point}
        output = torch.func.functional_call(objective.model.double(), state, (objective.x.double(),))
        return nn.functional.mse_loss(output, objective.y.double()).item()

    for strategy, found in _search(setting).items():
        for witness in found[:2]:
            assert witness.strategy == strategy
            assert witness.gap == pytest.approx(measured(witness, by_the_model), abs=1e-9), witness.note
            assert set(witness.moved) <= set(setting.variables)
    objective.model.float()


@pytest.mark.parametrize("activation", [nn.ReLU, nn.Tanh])
def test_every_point_in_exact_arithmetic_is_the_point_that_was_measured(activation):
    """The points of a certificate are made by other code than those of the search."""
    setting, arithmetic = _setting(activation), ExactArithmetic()
    for found in _search(setting).values():
        for witness in found[:1]:
            got = [(where, make()) for where, make in places(arithmetic, witness)]
            for (where, point), expected in zip(got, _expected(witness), strict=True):
                for name, tensor in expected.items():
                    exact = [Fraction(int(v.p), int(v.q)) for v in point[name].flatten().tolist()]
                    near = tensor.double().flatten().tolist()
                    assert all(
                        abs(float(a) - b) <= 1e-12 * max(1.0, abs(b)) for a, b in zip(exact, near, strict=True)
                    ), where


def _expected(witness: Witness):
    start = witness.start
    if witness.claim == "slopes":
        p, q = ({**start, **point} for point in witness.points)
        return [{n: p[n].double() + float(t) * (q[n].double() - p[n].double()) for n in p} for t in witness.times]
    if not witness.steps:
        return [*({**start, **point} for point in witness.points), mean(start, witness.points)]
    found, here = [], start
    last = len(witness.steps) - 1
    if witness.violated > 0:
        found.append(here)
    for k, step in enumerate(witness.steps):
        if k == witness.violated:
            image = dict(here)
            for _ in range(step.order):
                found.append(image)
                image = {n: t.clone() for n, t in image.items()}
                for name, moves in step.moves.items():
                    for axis, p in moves:
                        new = torch.empty_like(image[name])
                        new.index_copy_(axis, torch.tensor(p), image[name])
                        image[name] = new
            found.append(averaged(step, here))
        here = averaged(step, here)
    if witness.violated < last:
        found.append(here)
    return found


def test_the_midpoint_with_a_flipped_tanh_unit_lacks_the_unit():
    setting = _setting(nn.Tanh, widths=(3, 4, 2))
    alone = [w for w in flips(setting.group, setting.start, setting.value, setting.variables) if "position [" in w.note]
    assert len(alone) == 4
    for witness in alone:
        middle = mean(witness.start, witness.points)
        gone = [j for j in range(4) if not middle["0.weight"][j].any()]
        assert len(gone) == 1
        assert not middle["0.bias"][gone].any() and not middle["2.weight"][:, gone].any()


def test_a_rescaled_unit_grows_by_the_square_of_the_mean_of_s_and_its_inverse():
    setting = _setting(nn.ReLU, widths=(3, 1, 2))
    found = rescalings(setting.group, setting.start, setting.value, setting.variables)
    by_eight = next(w for w in found if "scale 8" in w.note)
    middle = mean(by_eight.start, by_eight.points)
    factor = (8 + 1 / 8) / 2
    for name in ("0.weight", "0.bias", "2.weight"):
        assert torch.allclose(middle[name], factor * setting.start[name].double())


def test_a_twin_works_where_no_swap_does():
    """Two units of a network that nobody has trained."""
    setting = _setting(nn.Tanh, widths=(2, 2, 1), seed=3)
    promising = pairs(setting.group, setting.start)
    found = twins(setting.group, setting.start, setting.value, setting.loss, promising)
    assert found and found[0].gap > 0
    assert all((w.start["0.weight"] != 0).any(1).sum() <= 32 for w in found)
    start = found[0].start
    assert set(start) == set(setting.start)
    exchange = found[0].steps[0]
    gap = setting.value(averaged(exchange, start)) - setting.value(start)
    assert gap == pytest.approx(found[0].gap)


class _Saddle(nn.Module):
    """F = (a·b − y)² in two numbers: at a = b = 0 it bends down along (1, 1) for y > 0 and along (1, −1) for y < 0."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Parameter(torch.zeros(1)), nn.Parameter(torch.zeros(1))

    def forward(self, x):
        return self.a * self.b * x


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_curvature_finds_the_direction_that_bends_down(sign):
    x = torch.ones(4, 1)
    model = _Saddle().eval()
    with torch.no_grad():
        model.a.fill_(1e-3)
        model.b.fill_(sign * 1e-3)
    setting = Setting.of(Objective(model, "mse", (x, 2 * sign * x)), None, None)
    best = curvature(setting.start, setting.value, setting.loss, setting.variables)[0]
    assert best.gap > 0
    d = {name: best.points[0][name] - best.points[1][name] for name in ("a", "b")}
    assert (d["a"] / d["b"]).item() == pytest.approx(sign, rel=1e-2)
    for name in ("a", "b"):  # the ends lie around the given point exactly
        total = Fraction(best.points[0][name].item()) + Fraction(best.points[1][name].item())
        assert total == 2 * Fraction(setting.start[name].item())


def test_a_convex_loss_bends_down_nowhere():
    x = torch.randn(20, 4)
    setting = Setting.of(Objective(nn.Linear(4, 3).eval(), "mse", (x, torch.randn(20, 3))), None, None)
    assert not [w for w in curvature(setting.start, setting.value, setting.loss, setting.variables) if w.gap > 1e-12]


def test_a_slice_keeps_a_few_units_of_one_layer():
    setting = _setting(nn.ReLU, widths=(3, 60, 50, 2))
    found = slices(setting.group, setting.start, setting.value, {})
    assert found and found[0].gap > 0
    assert all((w.start["0.weight"] != 0).any(1).sum() <= 32 for w in found)
    for witness in found[:3]:
        left = [int((witness.start[f"{k}.weight"] != 0).any(1).sum()) for k in (0, 2)]
        assert left in ([8, 8], [32, 32], [0, 8], [8, 0], [0, 0])
        assert witness.gap == pytest.approx(measured(witness, setting.value))


def test_slopes_fall_between_the_times_that_are_named():
    setting = _setting(nn.Tanh, seed=1)
    for witness in _search(setting)["slopes"]:
        t1, t2, t3, t4 = witness.times
        assert 0 <= t1 < t2 <= t3 < t4 <= 1
        assert measured(witness, setting.value) == pytest.approx(witness.gap, rel=1e-6)
