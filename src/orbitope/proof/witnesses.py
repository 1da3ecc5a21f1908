"""The search for a witness: parameters between equivalent ones at which the loss is higher.

A heuristic; nothing here is trusted by a proof.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch

from orbitope.group import Axis, Fixed, Interleaved, Merged, Moving, Ordered, Segments, SymmetryGroup, Units, movings
from orbitope.proof.moves import Step, chain, movable, swap

Point = dict[str, torch.Tensor]
Value = Callable[[Mapping[str, torch.Tensor]], float]

CANDIDATES = 20
"""How many swaps are evaluated, over all units."""


@dataclass(frozen=True)
class Witness:
    """A chain of averages and the step of it that seems to violate Jensen's inequality.

    Attributes:
        steps: from the start to the end.
        violated: index of that step.
        gap: F at the step's average minus F before it, in float64.
    """

    steps: tuple[Step, ...]
    violated: int
    gap: float


def moved(step: Step, point: Mapping[str, torch.Tensor]) -> Point:
    """The point after one move."""
    result = dict(point)
    for name, axes in step.sources().items():
        for axis, source in axes:
            result[name] = result[name].index_select(axis, source.to(result[name].device))
    return result


def averaged(step: Step, point: Mapping[str, torch.Tensor]) -> Point:
    """The mean of the point and its images under one step, in float64."""
    total = {name: point[name].double().clone() for name in step.moves}
    image: Mapping[str, torch.Tensor] = point
    for _ in range(step.order - 1):
        image = moved(step, image)
        for name in step.moves:
            total[name] += image[name]
    return {**point, **{name: total[name] / step.order for name in step.moves}}


def best_swap(group: SymmetryGroup, point: Mapping[str, torch.Tensor], value: Value) -> tuple[list[Witness], int]:
    """Swaps by falling gap, and how many units have any two positions that differ.

    Pairs are scored by the product of two distances, of what comes in and of what goes out (two Gram matrices for each
    units); the best of all units are then evaluated. F is the same at both ends, so one evaluation gives the gap.
    """
    scored: list[tuple[float, Units, int, int]] = []
    differing = 0
    for unit in group.units:
        if not movable(group, unit):
            continue
        incoming, outgoing = _distances(group, unit, point)
        different = (incoming + outgoing) > 0
        differing += bool(different.any())
        both = outgoing.max() > 0 and incoming.max() > 0
        score = incoming * outgoing if both else incoming + outgoing
        score = score / score.max().clamp_min(1e-300)
        rows, columns = torch.triu_indices(unit.size, unit.size, 1)
        keep = different[rows, columns].nonzero().flatten()
        best = score[rows, columns][keep].topk(min(CANDIDATES, len(keep)))
        for s, k in zip(best.values.tolist(), keep[best.indices].tolist(), strict=True):
            scored.append((s, unit, int(rows[k]), int(columns[k])))
    scored.sort(key=lambda item: -item[0])
    start = value(point)
    witnesses = []
    for unit, i, j in _fair(scored):
        exchange = swap(group, unit, i, j)
        witnesses.append(Witness((exchange,), 0, value(averaged(exchange, point)) - start))
    return sorted(witnesses, key=lambda witness: -witness.gap), differing


def _fair(scored: Sequence[tuple[float, Units, int, int]]) -> list[tuple[Units, int, int]]:
    """The best pairs, no units with fewer than their share."""
    names = {unit.name for _, unit, _, _ in scored}
    share = -(-CANDIDATES // max(len(names), 1))
    taken: dict[str, int] = {}
    chosen = []
    for _, unit, i, j in scored:
        if taken.get(unit.name, 0) < share:
            taken[unit.name] = taken.get(unit.name, 0) + 1
            chosen.append((unit, i, j))
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


def orbit_average(group: SymmetryGroup, point: Mapping[str, torch.Tensor], value: Value) -> Witness | None:
    """The chain of averages that makes all positions of all units alike; the step with the largest rise."""
    steps = [s for unit in group.units if movable(group, unit) for s in chain(group, unit)]
    if not steps:
        return None
    here, before, rises = dict(point), value(point), []
    for s in steps:
        here = averaged(s, here)
        after = value(here)
        rises.append(after - before)
        before = after
    best = max(range(len(rises)), key=rises.__getitem__)
    return Witness(tuple(steps), best, rises[best])
