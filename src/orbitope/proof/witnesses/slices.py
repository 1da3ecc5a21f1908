"""Witnesses inside a slice of parameter space: most of the network is switched off, which costs a proof nothing.

A function that is not convex on an affine slice is not convex. The slice: all units but a few of one layer have their
parameters set to zero, and so have rows of tables that the data never ask for. What is left of a network of any size is
one block with a few units, and the checker skips whatever is multiplied by zero.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import product
from typing import NamedTuple

import torch

from orbitope.graph import Graph
from orbitope.group import Placement, SymmetryGroup, Units, movings
from orbitope.proof.witnesses.swaps import pairs as promising_pairs
from orbitope.proof.witnesses.swaps import position_labels, swaps
from orbitope.proof.witnesses.witness import Point, Value, Witness

KEPT = (8, 32)
"""How many units of the chosen layer stay; more where few do nothing."""

STREAMS = (8, None)
"""How many units of a stream that all blocks read stay: a narrow one makes a check much cheaper."""

LAYERS = 2
"""How many layers are tried, the last ones first."""

SWAPS = 6
"""How many swaps are tried in each."""

ENOUGH, PLENTY = 1e-3, 5e-3
"""With a gap of this size no more units are tried; with one of this share of F nothing else."""

BEST = 3
"""So many witnesses are handed out: each holds parameters of its own."""

STREAM = "residual stream"
"""The role of units that every block reads and writes: with none of them nothing is left."""


def slices(group: SymmetryGroup, point: Point, value: Value, used: Mapping[str, torch.Tensor]) -> list[Witness]:
    """Swaps of units in networks of which little is left, by falling gap.

    Args:
        group: symmetries.
        point: the parameters.
        value: F in float64.
        used: for tables the rows that the data ask for.
    """
    inner = [unit for unit in group.units if unit.role != STREAM and not unit.over and unit.size > 1]
    hidden = [unit for unit in inner if unit.role.startswith("hidden")] or inner
    widths = STREAMS if any(unit.role == STREAM for unit in group.units) else (None,)
    found: list[Witness] = []
    for kept, streams in product(KEPT, widths):
        for others, unit in product((0, kept), hidden[::-1][:LAYERS]):
            here = sliced(group, point, unit, Kept(kept, others, streams), used)
            rest = f"{others} of every other layer" if others else "what all of them share"
            note = f"everything but {kept} of {unit.name} and {rest} set to zero"
            note += f", {streams} of each stream" if streams else ""
            best = swaps(group, here, value, promising_pairs(group, here, [unit])[:SWAPS])
            found += [replace(witness, strategy="slice", note=f"{witness.note}, {note}") for witness in best]
            found = sorted(found, key=lambda witness: -witness.gap)[:BEST]
            if found and found[0].gap > PLENTY * abs(value(here)):
                return found
        if found and found[0].gap > ENOUGH:
            break
    return found


class Kept(NamedTuple):
    """How many units stay: of the chosen layer, of every other layer, of each stream (None: all)."""

    own: int
    others: int
    streams: int | None


def sliced(group: SymmetryGroup, point: Point, unit: Units, counts: Kept, used: Mapping[str, torch.Tensor]) -> Point:
    """The parameters with all units set to zero, but so many of one layer, of every other and of the streams."""
    wanted = {u.name: counts.streams if u.role == STREAM else counts.others for u in group.units}
    wanted[unit.name] = counts.own
    kept = {
        each.name: _strongest(group, each, point, count)
        for each in group.units
        if (count := wanted[each.name]) is not None
    }
    result = {}
    for name, tensor in point.items():
        placement = group.placements.get(name)
        off = None if placement is None or not placement.trainable else _off(group, placement, kept)
        rows = used.get(name)
        if rows is not None:
            unread = torch.ones(tensor.shape[0], dtype=torch.bool)
            unread[rows] = False
            away = unread.reshape(-1, *(1,) * (tensor.dim() - 1))
            off = away if off is None else off | away
        result[name] = tensor if off is None else tensor.masked_fill(off, 0)
    return result


def _off(group: SymmetryGroup, placement: Placement, kept: Mapping[str, torch.Tensor]) -> torch.Tensor | None:
    """Where entries of a parameter belong to inner units that are switched off."""
    off = None
    for k, axis in enumerate(placement.axes):
        for name in {moving.name for moving in movings(axis)}:
            if name not in kept:
                continue
            labels = position_labels(group, group.by_name[name], axis)
            gone = (labels >= 0) & ~torch.isin(labels, kept[name])
            shape = [1] * len(placement.axes)
            shape[k] = axis.size
            off = gone.reshape(shape) if off is None else off | gone.reshape(shape)
    return off


def _strongest(group: SymmetryGroup, unit: Units, point: Mapping[str, torch.Tensor], count: int) -> torch.Tensor:
    """The positions with the largest products of what leads in and what leads out."""
    strength = torch.ones(unit.size, dtype=torch.float64)
    for name, placement in group.placements.items():
        for k, axis in enumerate(placement.axes):
            if unit.name in {moving.name for moving in movings(axis)} and placement.trainable:
                rows = point[name].double().movedim(k, 0).reshape(axis.size, -1).square().sum(1)
                labels = position_labels(group, unit, axis)
                total = torch.zeros(unit.size, dtype=torch.float64)
                total.index_add_(0, labels[labels >= 0], rows[labels >= 0])
                strength *= total
    return strength.topk(min(count, unit.size)).indices


def rows_read(graph: Graph, data: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """For tables that the data look up directly, the rows that they ask for."""
    readers: dict[str, list[torch.Tensor | None]] = {}
    for node in graph:
        for k, name in enumerate(node.inputs):
            source = graph.node(name)
            if source.op == "parameter" and node.op == "gather" and k == 0 and node.attributes["axis"] == 0:
                index = graph.node(node.inputs[1])
                rows = data.get(index.attributes["input"]) if index.op == "input" else None
                rows = graph.constants[index.attributes["constant"]] if index.op == "constant" else rows
                readers.setdefault(source.attributes["parameter"], []).append(rows)
    return {
        name: torch.cat([rows.long().flatten() for rows in found if rows is not None]).unique()
        for name, found in readers.items()
        if all(rows is not None for rows in found)
    }
