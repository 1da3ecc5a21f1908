"""The number of copies by permutations and signs, against the orbit written out element by element."""

from dataclasses import replace
from itertools import permutations, product

import pytest
import torch
from tests.group.families import around, group_of, layers, mixed, mlp, relu, relu6, sigmoid, tanh
from torch import nn

from orbitope.group import Element, Fixed, Moving
from orbitope.group.continuous import Flips
from orbitope.group.counting import count
from orbitope.group.counting.signs import signed_stabiliser
from orbitope.group.steps import Step


def _small(activation=nn.Tanh, carry=0.0):
    """2-3-2-1: 6 · 2 permutations and 2⁵ signs."""
    from tests.group.families import _carried

    net = mlp(2, 3, 2, 1, activations=[activation(), activation()])
    carries = [_carried(k, carry) if carry else () for k in (0, 1)]
    flips = (Flips("f0", ("h",), (3,), around(0), carries[0]), Flips("f1", ("k",), (2,), around(1), carries[1]))
    params = {name: tensor.detach().clone() for name, tensor in net.state_dict().items()}
    return group_of(layers(2, 3, 2, 1, hidden=("h", "k")), {"h": 3, "k": 2}, flips=flips), params


def _orbit(group, params):
    """How many distinct parameters there are."""
    tables = [[torch.tensor(p) for p in permutations(range(unit.size))] for unit in group.units]
    values = [list(product([False, True], repeat=f.sizes[0])) for f in group.continuous.flips]
    seen = set()
    for chosen in product(*tables):
        for bits in product(*values):
            steps = tuple(Step(f, torch.tensor(b)) for f, b in zip(group.continuous.flips, bits, strict=True))
            names = {unit.name: table for unit, table in zip(group.units, chosen, strict=True)}
            image = Element(group, names, steps).act(params)
            seen.add(tuple(round(x, 9) + 0.0 for tensor in image.values() for x in tensor.flatten().tolist()))
    return len(seen)


def _plain(params):
    return params


def _dead(params):
    """A hidden unit with no weights at all."""
    return {
        **params,
        "0.weight": params["0.weight"].index_fill(0, torch.tensor([1]), 0),
        "0.bias": params["0.bias"].index_fill(0, torch.tensor([1]), 0),
        "2.weight": params["2.weight"].index_fill(1, torch.tensor([1]), 0),
    }


def _one_sided(params):
    """A hidden unit without outgoing weights, but with a bias."""
    return {**params, "2.weight": params["2.weight"].index_fill(1, torch.tensor([1]), 0)}


def _two_dead(params):
    return {name: torch.zeros_like(tensor) if name != "4.bias" else tensor for name, tensor in params.items()}


def _twins(params):
    return _alike(params, 1.0)


def _mirrored(params):
    """Two hidden units equal up to the sign of everything."""
    return _alike(params, -1.0)


def _alike(params, sign):
    found = {name: tensor.clone() for name, tensor in params.items()}
    found["0.weight"][2] = sign * found["0.weight"][0]
    found["0.bias"][2] = sign * found["0.bias"][0]
    found["2.weight"][:, 2] = sign * found["2.weight"][:, 0]
    return found


@pytest.mark.parametrize(
    ("change", "stabiliser"),
    [(_plain, 1), (_dead, 2), (_one_sided, 1), (_twins, 2), (_mirrored, 2), (_two_dead, None)],
)
def test_tanh_copies_are_those_of_the_orbit(change, stabiliser):
    group, params = _small()
    params = change(params)
    found = count(group, params)
    assert group.order * 2**group.sign_bits == 12 * 32
    assert found.guarantee == "exact" and found.copies == _orbit(group, params)
    assert stabiliser is None or found.stabiliser == stabiliser


@pytest.mark.parametrize("change", [_plain, _dead, _one_sided, _twins])
def test_sigmoid_copies_are_within_the_bounds(change):
    group, params = _small(nn.Sigmoid, 1.0)
    params = change(params)
    found, orbit = count(group, params), _orbit(group, params)
    assert found.copies <= orbit <= found.at_most
    assert change is not _plain or (found.guarantee == "exact" and found.copies == 12 * 32)


def test_mirrored_sigmoids_are_within_the_bounds():
    """σ(−z) = 1 − σ(z): units equal up to sign change places only if the next bias fits as well."""
    group, params = _small(nn.Sigmoid, 1.0)
    params = _mirrored(params)
    found = count(group, params)
    assert found.copies <= _orbit(group, params) <= found.at_most


def test_offsets_are_taken_into_account():
    """With ReLU6 a bias of 3 is its own mirror image."""
    net, group = relu6()
    params = {name: tensor.detach().clone() for name, tensor in net.state_dict().items()}
    assert count(group, params).copies == 120 * 32
    for name, index in (("0.weight", (1,)), ("2.weight", (slice(None), 1))):
        params[name][index] = 0
    assert count(group, params).copies == 120 * 32
    params["0.bias"][1] = 3
    assert count(group, params).copies == 120 * 16


@pytest.mark.parametrize("make", [tanh, sigmoid, mixed])
def test_generic_parameters_have_all_copies(make):
    net, group = make()
    found = count(group, net.state_dict())
    assert found.guarantee == "exact" and found.copies == group.order * 2**group.sign_bits
    assert found.continuous == group.dimension
    assert found.continuous_guarantee == ("numeric" if group.dimension else "exact")


def test_the_continuous_part_is_measured_here():
    net, group = relu()
    params = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    params["0.weight"][1], params["0.bias"][1], params["2.weight"][:, 1] = 0, 0, 0
    found = count(group, params)
    assert (found.continuous, found.continuous_guarantee) == (8, "numeric")
    assert found.to_json()["continuous"] == 8


def test_three_signs_at_one_entry():
    """Equations of three unknowns: w[a, b, c] flips with each of its indices."""
    names, sizes = ("a", "b", "c"), (2, 2, 2)
    axes = tuple(Moving(name, size) for name, size in zip(names, sizes, strict=True))
    from orbitope.group.continuous import Spot

    flips = tuple(Flips(f"f{n}", (n,), (2,), (Spot("w", 0, (k,), 1),)) for k, n in enumerate(names))
    group = group_of({"w": axes, "x": (Fixed(3),)}, dict(zip(names, sizes, strict=True)), flips=flips)
    generator = torch.Generator().manual_seed(0)
    params = {"w": torch.randn(2, 2, 2, generator=generator), "x": torch.randn(3, generator=generator)}
    # two of the three overall signs cancel: four of the 64 sign patterns do nothing
    assert signed_stabiliser(group, params).at_least == signed_stabiliser(group, params).at_most == 4
    assert count(group, params).copies == 8 * 16 == _orbit(group, params)
    params["w"][:, 0] = 0
    found = count(group, params)
    assert found.copies <= _orbit(group, params) <= found.at_most


def test_a_family_that_keeps_the_loss_only_does_not_count():
    net, group = tanh()
    first, second = group.continuous.flips
    part = replace(group.continuous, flips=(first, replace(second, loss=True)))
    group = replace(group, continuous=part)
    assert group.sign_bits == 5 and count(group, net.state_dict()).copies == group.order * 32
