"""Exchanges of two units, and of several pairs at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch

from orbitope.group import Axis, Fixed, Interleaved, Merged, Moving, Ordered, Segments, SymmetryGroup, Units, movings
from orbitope.proof.moves import movable, step, swap
from orbitope.proof.witnesses.witness import Point, Value, Witness, averaged

CANDIDATES = 20
"""How many swaps are evaluated, over all units."""


@dataclass(frozen=True)
class Pair:
    """Two positions of some units, and how much their exchange promises."""

    score: float
    unit: Units
    i: int
    j: int


def pairs(group: SymmetryGroup, point: Mapping[str, torch.Tensor], units: Sequence[Units] | None = None) -> list[Pair]:
    """The most promising exchanges of some units, or all, best first; none of positions whose parameters are equal.

    The score is the squared distance of what leads to the two positions, times that of what leads away from them: two
    Gram matrices for each parameter.
    """
    found: list[Pair] = []
    for unit in group.units if units is None else units:
        if not movable(group, unit):
            continue
        incoming, outgoing = _distances(group, unit, point)
        different = (incoming + outgoing) > 0
        both = outgoing.max() > 0 and incoming.max() > 0
        score = incoming * outgoing if both else incoming + outgoing
        score = score / score.max().clamp_min(1e-300)
        rows, columns = torch.triu_indices(unit.size, unit.size, 1)
        keep = different[rows, columns].nonzero().flatten()
        best = score[rows, columns][keep].topk(min(4 * CANDIDATES, len(keep)))
        for s, k in zip(best.values.tolist(), keep[best.indices].tolist(), strict=True):
            found.append(Pair(s, unit, int(rows[k]), int(columns[k])))
    return sorted(found, key=lambda pair: -pair.score)


def swaps(group: SymmetryGroup, point: Point, value: Value, promising: Sequence[Pair]) -> list[Witness]:
    """Exchanges of two units by falling gap; more are tried where the most promising ones make nothing worse."""
    start = value(point)
    witnesses: list[Witness] = []
    first = list(_fair(promising))
    later = [pair for pair in promising if pair not in first][: 4 * CANDIDATES]
    for k, pair in enumerate((*first, *later)):
        if k >= len(first) and any(witness.gap > 0 for witness in witnesses):
            break
        exchange = swap(group, pair.unit, pair.i, pair.j)
        gap = value(averaged(exchange, point)) - start
        note = f"swap of {pair.unit.name}[{pair.i}] and [{pair.j}]"
        witnesses.append(Witness("midpoint", "swap", point, gap, (exchange,), note=note))
    return sorted(witnesses, key=lambda witness: -witness.gap)


def exchanges(group: SymmetryGroup, point: Point, value: Value, promising: Sequence[Pair]) -> list[Witness]:
    """Exchanges of 2, 4, 8 … disjoint pairs of some units at a time, by falling gap."""
    start = value(point)
    witnesses = []
    for unit, disjoint in _disjoint(promising):
        count = 2
        while count <= len(disjoint):
            permutation = list(range(unit.size))
            for pair in disjoint[:count]:
                permutation[pair.i], permutation[pair.j] = pair.j, pair.i
            exchange = step(group, unit, permutation, 2)
            gap = value(averaged(exchange, point)) - start
            note = f"exchange of {count} pairs of {unit.name}"
            witnesses.append(Witness("midpoint", "exchange", point, gap, (exchange,), note=note))
            count *= 2
    return sorted(witnesses, key=lambda witness: -witness.gap)


def _disjoint(promising: Sequence[Pair]) -> Iterator[tuple[Units, list[Pair]]]:
    """For each units its best pairs, no position twice; only where there are two pairs or more."""
    taken: dict[str, tuple[Units, list[Pair], set[int]]] = {}
    for pair in promising:
        _, chosen, used = taken.setdefault(pair.unit.name, (pair.unit, [], set()))
        if not {pair.i, pair.j} & used:
            chosen.append(pair)
            used.update((pair.i, pair.j))
    for unit, chosen, _ in taken.values():
        if len(chosen) > 1:
            yield unit, chosen


def _fair(promising: Sequence[Pair]) -> list[Pair]:
    """The best pairs, no units with fewer than their share."""
    names = {pair.unit.name for pair in promising}
    share = -(-CANDIDATES // max(len(names), 1))
    taken: dict[str, int] = {}
    chosen = []
    for pair in promising:
        if taken.get(pair.unit.name, 0) < share:
            taken[pair.unit.name] = taken.get(pair.unit.name, 0) + 1
            chosen.append(pair)
    return chosen


def _distances(
    group: SymmetryGroup, unit: Units, point: Mapping[str, torch.Tensor]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Squared distances between positions: over parameters that they index first, and over all others."""
    sums = [torch.zeros(unit.size, unit.size, dtype=torch.float64) for _ in range(2)]
    for name, placement in group.placements.items():
        for k, axis in enumerate(placement.axes):
            if unit.name in {moving.name for moving in movings(axis)} and placement.trainable:
                sums[0 if k == 0 else 1] += _axis_distances(group, unit, point[name], axis.size, k, axis)
    return sums[0], sums[1]


def _axis_distances(
    group: SymmetryGroup, unit: Units, tensor: torch.Tensor, size: int, k: int, axis: Axis
) -> torch.Tensor:
    """From the positions of one axis that belong to each position of the units."""
    rows = tensor.double().movedim(k, 0).reshape(size, -1).cpu()
    label = position_labels(group, unit, axis)
    order = torch.argsort(label, stable=True)
    order = order[label[order] >= 0]
    slices = rows[order].reshape(unit.size, -1)
    gram = slices @ slices.T
    squares = gram.diagonal()
    distances = (squares[:, None] + squares[None, :] - 2 * gram).clamp_min(0)
    kind = torch.unique(slices, dim=0, return_inverse=True)[1]
    same = kind[:, None] == kind[None, :]
    return distances.clamp_min(1e-300).masked_fill(same, 0.0)


def position_labels(group: SymmetryGroup, unit: Units, axis: Axis) -> torch.Tensor:
    """For each position of an axis which position of the units it belongs to, −1 for none."""
    match axis:
        case Moving(name=name, size=size):
            return torch.arange(size) if name == unit.name else torch.full((size,), -1)
        case Fixed(size=size):
            return torch.full((size,), -1)
        case Segments(parts=parts):
            return torch.cat([position_labels(group, unit, part) for part in parts])
        case Interleaved(rows=rows, parts=parts):
            return torch.cat([position_labels(group, unit, part).reshape(rows, -1) for part in parts], 1).reshape(-1)
        case Ordered(part=part, order=order):
            return position_labels(group, unit, part)[torch.tensor(order).argsort()]
        case Merged(factors=factors):
            label = torch.full((1,), -1)
            for factor in factors:
                inner = position_labels(group, unit, factor)
                label = torch.maximum(label[:, None].expand(-1, len(inner)), inner[None, :]).reshape(-1)
            return label
