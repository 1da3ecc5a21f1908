"""Alignment: planted permutations, optima by brute force, monotone descent, refusals."""

import json
import math
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.group.structures import SMALL, elements, handmade
from tests.zoo import ZOO, model, randomise, relu, seq
from torch import nn

from orbitope import symmetries
from orbitope.alignment import ALIGNMENTS, Problem, align
from orbitope.alignment.weights import _Descent, match_weights
from orbitope.errors import InputError, ParametersError
from orbitope.group import Fixed, Merged, Moving


def _mlp(*widths):
    layers = [layer for n, m in pairwise(widths) for layer in (nn.Linear(n, m), nn.ReLU())]
    return seq(*layers[:-1])


def _residual(stream, hidden):
    return model(
        lambda m, x: m.out((h := (g := m.first(x)) + m.down(relu(m.up(g)))) + m.low(relu(m.high(h)))),
        first=nn.Linear(10, stream),
        up=nn.Linear(stream, hidden),
        down=nn.Linear(hidden, stream),
        high=nn.Linear(stream, hidden),
        low=nn.Linear(hidden, stream),
        out=nn.Linear(stream, 5),
    )


def _convolutional():
    return seq(
        nn.Conv2d(3, 16, 3),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.Conv2d(16, 24, 3),
        nn.BatchNorm2d(24),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(24 * 16, 20),
        nn.ReLU(),
        nn.Linear(20, 5),
    )


NETWORKS = {
    "plain": (lambda: _mlp(10, 30, 50, 30, 5), (3, 10)),
    "residual": (lambda: _residual(30, 50), (3, 10)),
    "convolutional": (_convolutional, (2, 3, 8, 8)),
}


def _normal(group, seed):
    generator = torch.Generator().manual_seed(seed)
    return {n: torch.randn(p.shape, generator=generator) for n, p in group.placements.items()}


def _noisy(params, seed, sigma):
    generator = torch.Generator().manual_seed(1000 + seed)
    return {n: t + sigma * torch.randn(t.shape, generator=generator) for n, t in params.items()}


@pytest.mark.parametrize("sigma", [0.0, 1.0], ids=["exact", "noise"])
@pytest.mark.parametrize("name", NETWORKS)
def test_planted_permutations_are_recovered(name, sigma):
    """Entries of unit variance, noise as large as the signal."""
    build, shape = NETWORKS[name]
    net = build()
    group = symmetries(net, (torch.randn(shape),))
    hits = 0
    for seed in range(5):
        a, g = _normal(group, seed), group.sample(seed)
        found = align(a, g.act(_noisy(a, seed, sigma)), group, seed=seed)
        hits += found.element @ g == group.identity()
        assert found.distance_after <= found.distance_before
        assert sigma or found.distance_after == 0.0
    assert hits == 5


@pytest.mark.parametrize("name", list(ZOO)[1::3])
def test_twins_of_the_zoo_are_recognised(name):
    net, inputs = randomise(ZOO[name].build()), ZOO[name].inputs()
    group, a = symmetries(net, inputs), net.state_dict()
    found = align(a, group.sample(4).act(a), group)
    assert found.distance_after == 0.0
    assert all(torch.equal(t, a[n]) for n, t in found.element.act(group.sample(4).act(a)).items())


@pytest.mark.parametrize("name", SMALL)
@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**31), starts=st.integers(1, 3))
def test_the_distance_never_increases_and_is_what_it_says(name, seed, starts):
    group = SMALL[name]
    a, b = _normal(group, seed), _normal(group, seed + 1)
    found = align(a, b, group, seed=seed, starts=starts)
    moved = found.element.act(b)
    distance = math.sqrt(sum(float((a[n].double() - moved[n].double()).square().sum()) for n in a))
    assert found.distance_after == pytest.approx(distance, rel=1e-9)
    assert found.distance_after <= found.distance_before
    if name in ("one layer of five", "heads", "over a fixed base", "fibre before its base"):
        # one assignment problem, nested in another for the heads: nothing can be closer
        best = min(_distance(a, g.act(b)) for g in elements(group))
        assert found.distance_after == pytest.approx(best, rel=1e-6)


def _distance(a, b):
    return math.sqrt(sum(float((a[n].double() - b[n].double()).square().sum()) for n in a))


@pytest.mark.parametrize("name", ["both axes", "both axes of five", "two fibres that meet", "three storeys"])
def test_every_step_of_a_descent_comes_closer(name):
    """Also where the step is not linear, so that the best assignment may lead away."""
    group, refused = SMALL[name], 0
    for seed in range(20):
        a, b = _normal(group, seed), _normal(group, seed + 100)
        descent = _Descent(Problem.of(a, b, group))
        before = _distance(a, b)
        for _ in range(4):
            for unit in group.units:
                moved = descent._improve(unit)
                after = _distance(a, descent.b)
                assert after < before if moved else after == before
                refused += not moved and not descent._step(unit, None).is_identity
                before = after
    assert refused or not name.startswith("both")


def test_two_layers_come_within_reach_of_the_optimum():
    group, exact = SMALL["two layers"], 0
    for seed in range(10):
        a, b = _normal(group, seed), _normal(group, 100 + seed)
        best = min(_distance(a, g.act(b)) for g in elements(group))
        found = align(a, b, group, seed=seed, starts=6)
        exact += found.distance_after <= best * (1 + 1e-6)
        assert found.distance_after <= 1.1 * best
    assert exact >= 8


@pytest.mark.parametrize("inside", [1, 3, 4, 6])
def test_heads_are_matched_with_what_they_hold(inside):
    """Heads that only their contents tell apart, in another order inside each."""
    heads = 7
    group = handmade(
        [("h", heads, ()), ("d", inside, ("h",)), ("e", 2, ("h",))],
        {
            "w": (Merged((Moving("h", heads), Moving("d", inside))), Fixed(4)),
            "v": (Fixed(3), Merged((Moving("h", heads), Moving("e", 2)))),
        },
    )
    for seed in range(5):
        a, g = _normal(group, seed), group.sample(seed)
        found = align(a, g.act(_noisy(a, seed, 0.1)), group, starts=1)
        assert found.element @ g == group.identity()


def test_boundary_first_solves_what_a_start_at_the_identity_does_not():
    group = symmetries(_mlp(10, 30, 50, 30, 5), (torch.randn(3, 10),))
    hits = 0
    for seed in range(5):
        a, g = _normal(group, seed), group.sample(seed)
        hits += match_weights(Problem.of(a, g.act(_noisy(a, seed, 1.0)), group), starts=1)[0] @ g == group.identity()
    assert hits == 5


def test_networks_that_are_close_already_stay_close():
    group = symmetries(_mlp(10, 30, 50, 30, 5), (torch.randn(3, 10),))
    a = _normal(group, 0)
    assert align(a, _noisy(a, 0, 0.3), group).element.is_identity


def test_running_statistics_move_but_do_not_count():
    net = randomise(_convolutional())
    group, a = symmetries(net, (torch.randn(2, 3, 8, 8),)), net.state_dict()
    b = {n: t.clone() for n, t in group.sample(1).act(a).items()}
    first = align(a, b, group)
    b["1.running_var"] *= 1000
    b["1.running_mean"] = b["1.running_mean"].roll(1)
    second = align(a, b, group)
    assert second.element == first.element
    assert (second.distance_before, second.distance_after) == (first.distance_before, 0.0)
    assert torch.equal(second.element.act(b)["1.running_var"], 1000 * a["1.running_var"])


def test_biases_and_norm_vectors_count():
    """Units that only a bias tells apart."""
    group = handmade([("a", 6, ())], {"w": (Moving("a", 6), Fixed(3)), "bias": (Moving("a", 6),)})
    a = {"w": torch.ones(6, 3), "bias": torch.randn(6, generator=torch.Generator().manual_seed(0))}
    assert align(a, group.sample(3).act(a), group).distance_after == 0.0


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64, torch.complex64])
def test_every_floating_dtype(dtype):
    group = symmetries(_mlp(6, 12, 9, 4), (torch.randn(3, 6),))
    a = {n: t.to(dtype) for n, t in _normal(group, 0).items()}
    if dtype.is_complex:
        a = {n: t * (1 + 2j) for n, t in a.items()}
    found = align(a, group.sample(1).act(a), group)
    assert found.distance_after == 0.0
    assert found.distance_before > 1


def test_tied_parameters_are_aligned_once():
    net = randomise(ZOO["tied_embeddings"].build())
    group, a = symmetries(net, ZOO["tied_embeddings"].inputs()), net.state_dict()
    twin = group.sample(2).act(a)
    found = align(a, twin, group)
    assert found.distance_after == 0.0
    less = {n: t for n, t in twin.items() if n != "head.weight"}
    assert align(a, less, group).distance_before == found.distance_before


def test_the_seed_decides():
    group = symmetries(_mlp(6, 16, 16, 16, 4), (torch.randn(3, 6),))
    a, b = _normal(group, 0), _normal(group, 1)
    found = [align(a, b, group, seed=seed, starts=4) for seed in (0, 0, 1, 2, 3)]
    assert found[0] == found[1]
    assert len({each.distance_after for each in found}) > 1


def test_nothing_to_move():
    net = randomise(seq(nn.Linear(3, 2)))
    found = align(net.state_dict(), net.state_dict(), symmetries(net, (torch.randn(4, 3),)))
    assert found.element.is_identity
    assert found.distance_before == found.distance_after == 0.0


def test_the_result_prints_and_travels():
    group = SMALL["two layers"]
    found = align(_normal(group, 0), _normal(group, 1), group)
    document = json.loads(json.dumps(found.to_json()))
    assert type(found.element).from_json(group, document["element"]) == found.element
    assert document["guarantee"] == found.guarantee == "heuristic"
    assert "before" in str(found)


def test_bad_input_is_refused_in_words():
    group = SMALL["two layers"]
    a = _normal(group, 0)
    with pytest.raises(InputError, match="no alignment method 'weight'") as caught:
        align(a, a, group, method="weight")
    assert ", ".join(ALIGNMENTS) in str(caught.value)
    with pytest.raises(InputError, match="no option restarts"):
        align(a, a, group, restarts=3)
    with pytest.raises(InputError, match="needs a start"):
        align(a, a, group, starts=0)
    wrong = {**a, "w1": torch.ones(4, 3)}
    with pytest.raises(ParametersError) as caught:
        align({**wrong, "extra": torch.ones(1)}, {n: t for n, t in wrong.items() if n != "w3"}, group)
    assert sorted(detail.split(" ")[0] + detail.split(" ")[1] for detail in caught.value.details) == sorted(
        ["a:shape:", "a:unexpected:", "b:missing:", "b:shape:"]
    )
    with pytest.raises(ParametersError, match="b: not finite: w1 has 1"):
        align(
            a,
            {
                **a,
                "w1": a["w1"].clone().index_put_((torch.tensor(0), torch.tensor(0)), torch.tensor(math.nan)),
            },
            group,
        )
