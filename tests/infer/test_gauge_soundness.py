"""Every part of every group of the zoo, by itself, keeps the function; what keeps the loss only keeps the loss."""

from __future__ import annotations

import pytest
import torch
from tests.zoo import ARCHITECTURES, ZOO, difference, outputs, prepared
from tests.zoo.core import Prepared

from orbitope import SymmetryGroup
from orbitope.group import Element

PARTS = ("signs", "scales", "translations", "matrices")
LIMIT = 1e-9
"""Relative, in float64."""
EVERY = [*ZOO, *ARCHITECTURES]


def _error(p: Prepared, element: Element) -> float:
    return difference(outputs(p.net, p.params, p.inputs), outputs(p.net, element.act(p.params), p.inputs))


@pytest.mark.parametrize("name", EVERY)
def test_every_part_keeps_the_function(name: str) -> None:
    """Each by itself: what one part breaks no other can hide. Translations of the size of what they move."""
    p = prepared(name)
    wrong = {
        part: error
        for part in PARTS
        if not (error := _error(p, p.group.sample(1, parts=(part,), strength=0.5, params=p.params))) < LIMIT
    }
    assert not wrong, f"unsound: {wrong}"


@pytest.mark.parametrize("name", EVERY)
def test_what_keeps_the_loss_only_shifts_all_classes_alike(name: str) -> None:
    """Softmax over the last axis of what is returned does not see it, whatever the function does."""
    p = prepared(name)
    families = [each for each in p.group.families.values() if getattr(each, "loss", False)]
    if not families:
        return
    moved = p.group.element(values=_values(p.group, [each.name for each in families])).act(p.params)
    before, after = (outputs(p.net, params, p.inputs) for params in (p.params, moved))
    logs = [[x.log_softmax(-1) for x in each if x.is_floating_point()] for each in (before, after)]
    assert difference(*logs) < LIMIT


def _values(group: SymmetryGroup, names: list[str]) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(5)
    return {
        name: torch.randn(group.families[name].sizes, generator=generator, dtype=torch.float64) * 0.5 for name in names
    }
