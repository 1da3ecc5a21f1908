"""The average over all permutations of all units."""

from __future__ import annotations

from orbitope.group import SymmetryGroup
from orbitope.proof.moves import chain, movable
from orbitope.proof.witnesses.witness import Point, Value, Witness, averaged


def orbit_average(group: SymmetryGroup, point: Point, value: Value) -> list[Witness]:
    """The chain of averages that makes all positions of all units alike; the step with the largest rise."""
    steps = tuple(s for unit in group.units if movable(group, unit) for s in chain(group, unit))
    if not steps:
        return []
    here: Point = dict(point)
    before, rises = value(point), []
    for each in steps:
        here = averaged(each, here)
        after = value(here)
        rises.append(after - before)
        before = after
    best = max(range(len(rises)), key=rises.__getitem__)
    note = f"{len(steps)} averages of the orbit"
    return [Witness("orbit-average", "orbit-average", point, rises[best], steps, best, note=note)]
