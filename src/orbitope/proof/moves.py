"""Moves of a certificate: cyclic permutations of units, written as permutations of whole parameter axes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from orbitope.group import Element, Placement, SymmetryGroup, Units, movings

Moves = Mapping[str, Sequence[tuple[int, list[int]]]]
"""For each parameter its moved axes: ``new[p[i]] = old[i]`` along that axis."""


@dataclass(frozen=True)
class Step:
    """One average over the ``order`` powers of a move.

    Attributes:
        units: name of the units that move.
        order: how often the move is repeated until it leads back.
        moves: what it does to each parameter.
    """

    units: str
    order: int
    moves: Moves

    def to_json(self) -> dict[str, object]:
        """As a certificate states it."""
        table = {name: [[axis, p] for axis, p in pairs] for name, pairs in self.moves.items()}
        return {"units": self.units, "order": self.order, "moves": table}

    def sources(self) -> dict[str, list[tuple[int, torch.Tensor]]]:
        """For each parameter and axis where each new entry comes from."""
        return {name: [(axis, torch.tensor(p).argsort()) for axis, p in pairs] for name, pairs in self.moves.items()}


def movable(group: SymmetryGroup, unit: Units) -> bool:
    """Whether the units' moves are permutations of whole axes: what they are over must share their axis."""
    needed = {unit.name, *unit.over}
    return unit.size > 1 and all(
        needed <= {moving.name for moving in movings(axis)}
        for placement in group.placements.values()
        for axis in placement.axes
        if unit.name in {moving.name for moving in movings(axis)}
    )


def step(group: SymmetryGroup, unit: Units, permutation: Sequence[int], order: int) -> Step:
    """The move that takes position i of some units to ``permutation[i]``, alike for all that they are over."""
    table = torch.tensor(permutation).expand(*unit.over_sizes, unit.size).contiguous()
    element = group.element({unit.name: table})
    found: dict[str, list[tuple[int, list[int]]]] = {}
    for name, placement in group.placements.items():
        pairs = _axes(element, unit, placement)
        if pairs:
            found[name] = pairs
    return Step(unit.name, order, found)


def _axes(element: Element, unit: Units, placement: Placement) -> list[tuple[int, list[int]]]:
    pairs = []
    for k, axis in enumerate(placement.axes):
        if unit.name in {moving.name for moving in movings(axis)}:
            arrived = element.act_on(torch.arange(axis.size), (axis,))
            pairs.append((k, arrived.argsort().tolist()))
    return pairs


def swap(group: SymmetryGroup, unit: Units, i: int, j: int) -> Step:
    """Exchange of two positions."""
    permutation = list(range(unit.size))
    permutation[i], permutation[j] = j, i
    return step(group, unit, permutation, 2)


def chain(group: SymmetryGroup, unit: Units) -> list[Step]:
    """Moves whose averages, one after the other, make all positions of some units alike.

    The number of positions is written in mixed radix by its prime factors; each move steps one digit in a circle of
    prime length, and together they carry every position to every other.
    """
    steps, stride = [], 1
    for prime in _primes(unit.size):
        permutation = [
            i + stride * (((i // stride) % prime + 1) % prime - (i // stride) % prime) for i in range(unit.size)
        ]
        steps.append(step(group, unit, permutation, prime))
        stride *= prime
    return steps


def _primes(n: int) -> list[int]:
    factors, p = [], 2
    while n > 1:
        while n % p == 0:
            factors.append(p)
            n //= p
        p = p + 1 if p * p <= n else max(n, p + 1)
    return factors
