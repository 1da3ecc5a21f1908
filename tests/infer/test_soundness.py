"""Every element of every group keeps the function; and the function would have noticed if it did not."""

from __future__ import annotations

from itertools import product

import pytest
import torch
from tests.zoo import ARCHITECTURES, ZOO, case_of, difference, outputs, prepared, randomise

from orbitope.group import Element, SymmetryGroup, Units

LIMIT = 1e-10
"""Relative, in float64; ten times stricter than the project's promise."""
EVERY = [*ZOO, *ARCHITECTURES]


@pytest.mark.parametrize("name", EVERY)
def test_samples_keep_the_function(name: str) -> None:
    p = prepared(name)
    for seed in (0, 1):
        if seed:
            net = randomise(case_of(name).build(), seed).double()
            params = {key: tensor.clone() for key, tensor in net.state_dict().items()}
        else:
            params = p.params
        before = outputs(p.net, params, p.inputs)
        for k in range(3):
            assert difference(before, outputs(p.net, p.group.sample(k).act(params), p.inputs)) <= LIMIT


@pytest.mark.parametrize("name", EVERY)
def test_every_generator_keeps_the_function(name: str) -> None:
    """Swaps of neighbours, for every position of what the units are over, generate the group."""
    p = prepared(name)
    before = outputs(p.net, p.params, p.inputs)
    for unit in p.group.units:
        for at in product(*map(range, unit.over_sizes)):
            for i in range(unit.size - 1):
                twin = p.group.swap(unit, i, i + 1, at).act(p.params)
                assert difference(before, outputs(p.net, twin, p.inputs)) <= LIMIT, (unit.name, at, i)


@pytest.mark.parametrize("name", EVERY)
def test_the_function_depends_on_its_inputs(name: str) -> None:
    """Otherwise the tests above prove nothing."""
    p = prepared(name)
    before = outputs(p.net, p.params, p.inputs)
    for k, x in enumerate(p.inputs):
        wave = torch.sin(torch.arange(float(x.numel()))).reshape(x.shape)
        between = (x.int() + x.int().roll(1, -1)) // 2  # numbers in the same range, not only in another order
        other = x + wave if x.is_floating_point() else between.to(x.dtype)
        changed = outputs(p.net, p.params, (*p.inputs[:k], other, *p.inputs[k + 1 :]))
        assert difference(before, changed) > 1e-4


@pytest.mark.parametrize("name", EVERY)
def test_one_parameter_moved_alone_changes_the_function(name: str) -> None:
    """Along every axis that units index, shifting this one tensor by itself is noticed.

    Unless it is all that the units index: rows of a table that is summed over may change places by themselves.
    """
    p = prepared(name)
    dead = case_of(name).dead
    before = outputs(p.net, p.params, p.inputs)
    shared = [unit for unit in p.group.units if sum(parameter not in dead for parameter, _ in unit.acts_on) > 1]
    for parameter, axis in sorted({spot for unit in shared for spot in unit.acts_on}):
        placement = p.group.placements[parameter]
        pieces = placement.gather(p.params).roll(1, axis).split(placement.piece[0])
        rolled = zip(placement.tensors, pieces if placement.members else [torch.cat(pieces)], strict=True)
        broken = {**p.params, **{alias: piece for names, piece in rolled for alias in names}}
        changed = difference(before, outputs(p.net, broken, p.inputs)) > 1e-6
        assert changed == (parameter not in dead), (parameter, axis)


PLANTED = [
    "mlp_relu",
    "maxout",
    "group_norm",
    "densenet",
    "padded_shortcut",
    "attention",
    "shufflenet_v2",
    "llama",
    "t5",
]


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_wrong_group_is_noticed(name: str) -> None:
    """The harness itself: leave one parameter out of the action, or act on the wrong axis, and it fails."""
    p = prepared(name)
    element = p.group.sample(3)
    before = outputs(p.net, p.params, p.inputs)
    moved = element.act(p.params)
    touched = [key for key in p.params if not torch.equal(moved[key], p.params[key])]
    assert touched
    for key in set(touched) - set(case_of(name).dead):
        forgotten = {**moved, key: p.params[key]}
        assert difference(before, outputs(p.net, forgotten, p.inputs)) > LIMIT, key


def test_wrong_fibres_are_noticed() -> None:
    """Heads as fibres of what they are not over: one more layer of freedom than there is breaks the function."""
    p = prepared("gram_over_groups")
    (inner,) = (unit for unit in p.group.units if unit.size == 4)
    outer = next(unit for unit in p.group.units if unit is not inner)
    freer = Units(inner.name, inner.size, (outer.name,), (outer.size,), inner.role, inner.acts_on)
    wrong = SymmetryGroup((outer, freer), p.group.placements, p.group.bases)
    twin = Element(wrong, wrong.swap(freer, 0, 1, (1,)).permutations).act(p.params)
    before = outputs(p.net, p.params, p.inputs)
    assert difference(before, outputs(p.net, twin, p.inputs)) > 1e-6
