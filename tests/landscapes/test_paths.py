"""Segments and planes: closed forms, exact zeros, finite differences, buffers, refusals."""

import json
import math

import pytest
import torch
from tests.zoo import model, randomise, seq
from torch import nn

from orbitope import symmetries
from orbitope.errors import InputError, ParametersError
from orbitope.landscapes import barrier, directional, plane, segment
from orbitope.objective import Objective


@pytest.fixture
def product():
    """F(u, v) = (u·v − 1)²: minima at (1, 1) and (−1, −1), and at the midpoint between them 1."""
    net = seq(nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False))
    objective = Objective(net, "mse", (torch.ones(1, 1), torch.ones(1, 1)))

    def at(u, v):
        return {"0.weight": torch.tensor([[float(u)]]), "1.weight": torch.tensor([[float(v)]])}

    return objective, at


@pytest.fixture
def classifier():
    torch.manual_seed(0)
    net = randomise(seq(nn.Linear(4, 9), nn.BatchNorm1d(9), nn.Tanh(), nn.Linear(9, 3)))
    net[3].weight.data *= 5
    x = torch.randn(20, 4)
    return net, Objective(net, "cross_entropy", (x, net(x).argmax(1)))


def test_the_barrier_of_a_product_of_two_numbers(product):
    objective, at = product
    found = barrier(objective, at(1, 1), at(-1, -1), points=5)
    assert found.t == (0.0, 0.25, 0.5, 0.75, 1.0)
    assert found.losses == pytest.approx([((1 - 2 * t) ** 2 - 1) ** 2 for t in found.t], abs=1e-15)
    assert (found.height, found.peak, found.midpoint, found.midpoint_height) == (1.0, 0.5, 1.0, 1.0)
    assert (found.accuracy, found.midpoint_accuracy) == (None, None)


def test_the_height_is_measured_from_the_chord_not_from_the_ends(product):
    objective, at = product
    found = barrier(objective, at(2, 1), at(-1, -1), points=101)
    expected = [((2 - 3 * t) * (1 - 2 * t) - 1) ** 2 - (1 - t) for t in found.t]
    assert max(expected) > 0.5
    assert found.height == pytest.approx(max(expected), abs=1e-12)
    assert found.peak == found.t[expected.index(max(expected))]


def test_a_convex_loss_has_no_barrier_and_a_closed_form():
    torch.manual_seed(0)
    net = seq(nn.Linear(5, 2))
    x, y = torch.randn(30, 5), torch.randn(30, 2)
    objective = Objective(net, "mse", (x, y))
    a, b = ({n: torch.randn(p.shape) for n, p in net.state_dict().items()} for _ in range(2))
    found = barrier(objective, a, b, points=11)
    assert found.height == 0.0
    step = {n: b[n].double() - a[n].double() for n in a}
    curvature = (x.double() @ step["0.weight"].T + step["0.bias"]).square().mean().item()
    assert found.midpoint_height == pytest.approx(-curvature / 4, rel=1e-12)
    slopes = directional(objective, a, b, [0.0, 1.0])
    assert (slopes[1] - slopes[0]).item() == pytest.approx(2 * curvature, rel=1e-10)


def test_from_a_network_to_itself_there_is_no_barrier(classifier):
    net, objective = classifier
    found = barrier(objective, net.state_dict(), dict(net.state_dict()), points=7)
    assert found.height == 0.0
    assert len(set(found.losses)) == 1
    assert found.losses[0] == objective.value()
    assert directional(objective, net.state_dict(), net.state_dict(), 0.3).item() == 0.0


def test_from_a_network_to_its_twin(classifier):
    net, objective = classifier
    a = net.state_dict()
    b = symmetries(net, (objective.x,)).sample(1).act(a)
    found = barrier(objective, a, b, points=25)
    assert found.height > 0.01
    assert found.losses[0] == pytest.approx(found.losses[-1], rel=1e-12)
    assert found.accuracy[0] == found.accuracy[-1] == objective.accuracy(a)
    assert found.midpoint == found.losses[12]
    middle = {n: (t.double() + b[n].double()) / 2 if t.is_floating_point() else t for n, t in a.items()}
    assert found.midpoint == pytest.approx(objective.value(middle), rel=1e-14)
    assert found.midpoint_accuracy == objective.accuracy(middle)
    even = barrier(objective, a, b, points=4)
    assert even.midpoint == pytest.approx(found.midpoint, rel=1e-14)
    assert even.midpoint_accuracy == found.midpoint_accuracy
    backwards = barrier(objective, b, a, points=25)
    assert backwards.height == pytest.approx(found.height, rel=1e-9)


def test_running_statistics_interpolate_too(classifier):
    net, objective = classifier
    a = net.state_dict()
    a = {n: t.double() if t.is_floating_point() else t for n, t in a.items()}
    b = {n: t + 1 if n == "1.running_var" else t.clone() for n, t in a.items()}
    quarter = {**a, "1.running_var": a["1.running_var"] + 0.25}
    assert segment(objective, a, b, 0.25).item() == pytest.approx(objective.value(quarter), rel=1e-14)
    h = 1e-6
    slope = (segment(objective, a, b, 0.25 + h) - segment(objective, a, b, 0.25 - h)) / (2 * h)
    assert directional(objective, a, b, 0.25).item() == pytest.approx(slope.item(), rel=1e-6)
    assert slope.item() != 0


def test_segments_reach_beyond_the_ends_and_slopes_are_derivatives(product):
    objective, at = product
    t = [-0.5, 0.0, 0.3, 1.0, 2.0]
    losses = segment(objective, at(1, 1), at(-1, -1), t)
    slopes = directional(objective, at(1, 1), at(-1, -1), t)
    s = 1 - 2 * torch.tensor(t, dtype=torch.float64)
    assert losses.dtype == slopes.dtype == torch.float64
    assert torch.allclose(losses, (s**2 - 1) ** 2, rtol=1e-13)
    assert torch.allclose(slopes, -8 * s * (s**2 - 1), rtol=1e-13)
    assert segment(objective, at(1, 1), at(-1, -1), 0.5).shape == ()


def test_a_plane_keeps_distances_and_holds_its_three_points(classifier):
    net, objective = classifier
    a = net.state_dict()
    group = symmetries(net, (objective.x,))
    b, c = group.sample(1).act(a), group.sample(2).act(a)
    c = {n: 0.5 * t if n.endswith("weight") else t for n, t in c.items()}
    found = plane(objective, a, b, c, resolution=5, margin=0.0)

    def distance(p, q):
        return math.sqrt(sum((p[n].double() - q[n].double()).square().sum().item() for n in objective.variables))

    for (i, p), (j, q) in (((0, a), (1, b)), ((0, a), (2, c)), ((1, b), (2, c))):
        assert math.dist(found.points[i], found.points[j]) == pytest.approx(distance(p, q), rel=1e-12)
    assert found.points[0] == (0.0, 0.0)
    assert found.points[1][1] == 0.0
    assert found.corners == pytest.approx([objective.value(p) for p in (a, b, c)], rel=1e-13)
    assert (found.x[0], found.y[0], found.y[-1]) == (min(0.0, found.points[2][0]), 0.0, found.points[2][1])
    assert len(found.losses) == len(found.losses[0]) == 5
    # one grid point by hand, statistics included
    u, v = found.x[3], found.y[1]
    toward_c = v / found.points[2][1]
    toward_b = (u - toward_c * found.points[2][0]) / found.points[1][0]
    point = {
        n: t.double() + toward_b * (b[n].double() - t.double()) + toward_c * (c[n].double() - t.double())
        if t.is_floating_point()
        else t
        for n, t in a.items()
    }
    assert found.losses[1][3] == pytest.approx(objective.value(point), rel=1e-11)


def test_a_plane_shows_three_corners_of_its_grid_where_they_are_known(product):
    objective, at = product
    found = plane(objective, at(0, 0), at(2, 0), at(0, 3), resolution=3, margin=0.5)
    assert found.x == (-1.0, 1.0, 3.0)
    assert found.y == (-1.5, 1.5, 4.5)
    for row, v in zip(found.losses, found.y, strict=True):
        assert row == pytest.approx([(u * v - 1) ** 2 for u in found.x], rel=1e-12)


def test_where_a_variance_would_be_negative_there_is_no_loss(classifier):
    net, objective = classifier
    a = net.state_dict()
    b = {n: t * 3 if n == "1.running_var" else t.clone() for n, t in a.items()}
    b["3.bias"] = a["3.bias"] + 1
    c = {**a, "3.bias": a["3.bias"] + torch.tensor([1.0, 0.0, 0.0])}
    found = plane(objective, a, b, c, resolution=4, margin=2.0)
    flat = [loss for row in found.losses for loss in row]
    assert any(math.isnan(loss) for loss in flat)
    assert any(math.isfinite(loss) for loss in flat)
    assert None in json.loads(json.dumps(found.to_json(), allow_nan=False))["losses"][0]
    assert "loss from" in str(found)


def test_points_on_a_line_span_no_plane(product):
    objective, at = product
    with pytest.raises(InputError, match="lie on a line"):
        plane(objective, at(0, 0), at(1, 1), at(3, 3))
    with pytest.raises(InputError, match="lie on a line"):
        plane(objective, at(1, 1), at(1, 1), at(0, 3))
    with pytest.raises(InputError, match="no grid"):
        plane(objective, at(0, 0), at(1, 1), at(0, 3), resolution=1)


def test_results_print_and_travel(classifier):
    net, objective = classifier
    a = net.state_dict()
    found = barrier(objective, a, symmetries(net, (objective.x,)).sample(1).act(a), points=3)
    document = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert document["losses"] == list(found.losses)
    assert document["accuracy"] == list(found.accuracy)
    assert f"{found.height:.4g}" in str(found)
    assert "accuracy" in str(found)


def test_all_problems_of_both_points_are_named(product, classifier):
    objective, at = product
    with pytest.raises(ParametersError) as caught:
        barrier(objective, {"0.weight": torch.ones(1, 1)}, {**at(1, 1), "1.weight": torch.ones(2, 1)})
    assert [detail.split(":")[0] for detail in caught.value.details] == ["a", "b"]
    with pytest.raises(InputError, match="the two ends"):
        barrier(objective, at(1, 1), at(1, 1), points=1)


def test_integers_have_no_values_in_between():
    net = model(lambda m, x: m.out(x * m.steps), out=nn.Linear(2, 2))
    net.register_buffer("steps", torch.tensor([1, 2]))
    objective = Objective(net, "mse", (torch.randn(5, 2), torch.randn(5, 2)))
    a = net.state_dict()
    with pytest.raises(ParametersError, match="steps has no values in between"):
        barrier(objective, a, {**a, "steps": torch.tensor([1, 3])})
    assert barrier(objective, a, dict(a), points=3).height == 0.0
