"""Midpoints of networks whose units changed sign, or were rescaled: they work at width 1, too.

A unit with an odd function in front of it may change its sign; the midpoint of the two networks has no such unit. A
unit that is homogeneous may be made s times as large before and s times as small behind; the midpoint of the networks
with s and 1/s has it ((s + 1/s)/2)² times as large.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from itertools import product
from math import prod
from typing import TypeVar

import torch

from orbitope.group import Element, SymmetryGroup
from orbitope.group.continuous import Flips, Scaling
from orbitope.proof.witnesses.witness import Point, Value, Witness, mean

CANDIDATES = 12
"""How many positions of one family are tried alone."""

SCALES = (2.0, 0.5, 8.0)
"""By what a unit is multiplied, and divided in the other point; powers of two, so that nothing rounds."""


def flips(group: SymmetryGroup, point: Point, value: Value, variables: Collection[str]) -> list[Witness]:
    """Midpoints with networks some of whose signs changed, by falling gap."""
    found = []
    for family in _families(group, Flips):
        for name, positions in _positions(family.sizes):
            element = group.flip(family, *positions)
            image = _image(element, point, variables)
            if image is not None:
                note = f"sign of {name} of {family.name}"
                found.append(_midpoint("sign-flip", point, value, [{}, image], note))
    return _sorted(found)


def rescalings(group: SymmetryGroup, point: Point, value: Value, variables: Collection[str]) -> list[Witness]:
    """Midpoints of networks some of whose units were multiplied by s and by 1/s, by falling gap."""
    found = []
    for family in _families(group, Scaling):
        for name, positions in _positions(family.sizes):
            for s in SCALES:
                images = [_scaled(group, family, positions, r, point, variables) for r in (s, 1 / s)]
                known = [image for image in images if image is not None]
                if len(known) == len(images):
                    note = f"scale {s:g} and {1 / s:g} of {name} of {family.name}"
                    found.append(_midpoint("rescaling", point, value, known, note))
    return _sorted(found)


Family = TypeVar("Family", Flips, Scaling)


def _families(group: SymmetryGroup, kind: type[Family]) -> Iterator[Family]:
    for family in group.families.values():
        if isinstance(family, kind) and not getattr(family, "approximate", ""):
            yield family


def _positions(sizes: Sequence[int]) -> Iterator[tuple[str, list[tuple[int, ...]]]]:
    """All positions at once, and a few of them alone."""
    every = list(product(*map(range, sizes))) if prod(sizes) <= 1 << 16 else []
    if len(every) != 1:
        yield "all positions", every
    stride = max(1, len(every) // CANDIDATES)
    for at in every[::stride][:CANDIDATES]:
        yield f"position {list(at)}", [at]


def _scaled(
    group: SymmetryGroup,
    family: Scaling,
    positions: Sequence[tuple[int, ...]],
    s: float,
    point: Point,
    variables: Collection[str],
) -> Point | None:
    values = torch.ones(family.sizes, dtype=torch.float64)
    for at in positions:
        values[at] = s
    return _image(group.scale(family, values), point, variables)


def _image(element: Element, point: Point, variables: Collection[str]) -> Point | None:
    """The variables that an element changes; None where it changes nothing, or something that is no variable."""
    wide = {name: t.double() if t.is_floating_point() else t for name, t in point.items()}
    moved = element.act(wide)
    changed = {name: moved[name] for name in wide if not torch.equal(moved[name], wide[name])}
    return changed if changed and set(changed) <= set(variables) else None


def _midpoint(strategy: str, point: Point, value: Value, points: Sequence[Point], note: str) -> Witness:
    gap = value(mean(point, points)) - sum(value({**point, **each}) for each in points) / len(points)
    return Witness("midpoint", strategy, point, gap, points=tuple(points), note=note)


def _sorted(found: list[Witness]) -> list[Witness]:
    return sorted(found, key=lambda witness: -witness.gap)
