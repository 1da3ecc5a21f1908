"""Whether a permutation of the entries of some parameters is what an element of a group does to them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from math import prod

import torch

from orbitope.group import Axis, Fixed, Merged, Moving, Segments, SymmetryGroup
from orbitope.group.layout import Interleaved, Ordered


@dataclass(frozen=True)
class Coordinates:
    """What an entry of a parameter stands at: the fixed part, and ``(units, position)`` for each moving factor."""

    fixed: tuple[tuple[str, int], ...]
    moving: tuple[tuple[str, int], ...]


def _positions(axis: Axis, path: str) -> list[Coordinates]:
    match axis:
        case Moving(name=name, size=size):
            return [Coordinates((), ((name, k),)) for k in range(size)]
        case Fixed(size=size):
            return [Coordinates(((path, k),), ()) for k in range(size)]
        case Merged(factors=factors):
            tables = [_positions(factor, f"{path}.{k}") for k, factor in enumerate(factors)]
            return [_joined(parts) for parts in product(*tables)]
        case Segments(parts=parts):
            return [
                Coordinates((*each.fixed, (path, k)), each.moving)
                for k, part in enumerate(parts)
                for each in _positions(part, f"{path}.{k}")
            ]
        case Interleaved(rows=rows, parts=parts):
            tables = [_positions(part, f"{path}.{k}") for k, part in enumerate(parts)]
            widths = [part.size // rows for part in parts]
            return [
                Coordinates((*each.fixed, (path, k)), each.moving)
                for row in range(rows)
                for k, (table, width) in enumerate(zip(tables, widths, strict=True))
                for each in table[row * width : (row + 1) * width]
            ]
        case Ordered(part=part, order=order):
            return [_positions(part, path)[order.index(place)] for place in range(part.size)]


def _joined(parts: tuple[Coordinates, ...]) -> Coordinates:
    return Coordinates(tuple(x for part in parts for x in part.fixed), tuple(x for part in parts for x in part.moving))


def contains(group: SymmetryGroup, sources: Mapping[str, torch.Tensor]) -> bool:
    """Whether some element of the group moves these parameters in this way.

    Args:
        group: the group.
        sources: for each parameter, flattened, where each of its entries comes from.
    """
    tables = {unit.name: torch.arange(unit.size).repeat(*unit.over_sizes, 1) for unit in group.units}
    tables = {unit.name: tables[unit.name].reshape(*unit.over_sizes, unit.size) for unit in group.units}
    shapes = {}
    for name, source in sources.items():
        placement = group.placement(name)
        if placement is None:
            continue  # the function does not read it
        shapes[name] = placement.shape
        axes = [_positions(axis, str(k)) for k, axis in enumerate(placement.axes)]
        entries = [_joined(parts) for parts in product(*axes)]
        for target, origin in enumerate(source.tolist()):
            if not _read(group, tables, entries[origin], entries[target]):
                return False
    if any(not _is_permutation(table) for table in tables.values()):
        return False
    index = {name: torch.arange(prod(shape)).reshape(shape) for name, shape in shapes.items()}
    moved = group.element(tables).act(index, partial=True)
    return all(torch.equal(moved[name].flatten(), sources[name]) for name in shapes)


def _read(group: SymmetryGroup, tables: dict[str, torch.Tensor], origin: Coordinates, target: Coordinates) -> bool:
    """Enter what one entry's move says of each kind of units; False where no element can move it so."""
    if origin.fixed != target.fixed or [u for u, _ in origin.moving] != [u for u, _ in target.moving]:
        return False
    here = dict(origin.moving)
    for (name, k), (_, image) in zip(origin.moving, target.moving, strict=True):
        unit = group.by_name.get(name)
        if unit is None:  # a fixed base
            if k != image:
                return False
            continue
        if not all(base in here for base in unit.over):
            return False
        tables[name][(*(here[base] for base in unit.over), k)] = image
    return True


def _is_permutation(table: torch.Tensor) -> bool:
    return bool((table.sort(-1).values == torch.arange(table.shape[-1])).all())
