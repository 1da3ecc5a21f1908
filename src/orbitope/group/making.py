"""Elements made of what is asked for: an exchange, permutations, values of families."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch

from orbitope.errors import ElementError
from orbitope.group.composition import appended
from orbitope.group.continuous import Family, Flips
from orbitope.group.element import Element
from orbitope.group.steps import Shuffle, Step, as_value
from orbitope.group.units import Units

if TYPE_CHECKING:
    from orbitope.group.symmetry import SymmetryGroup


def _unit(group: SymmetryGroup, units: Units | str) -> Units:
    name = units if isinstance(units, str) else units.name
    if name not in group.by_name:
        raise ElementError("the group has no such units", got=name, fix=f"choose among {', '.join(group.by_name)}")
    return group.by_name[name]


def swap(group: SymmetryGroup, units: Units | str, i: int, j: int, at: Sequence[int]) -> Element:
    """See :meth:`orbitope.group.symmetry.SymmetryGroup.swap`."""
    unit = _unit(group, units)
    place = tuple(at) or (0,) * len(unit.over)
    fits = len(place) == len(unit.over) and all(0 <= k < n for k, n in zip(place, unit.over_sizes, strict=False))
    if not (0 <= i < unit.size and 0 <= j < unit.size and fits):
        raise ElementError(
            "no such positions",
            at=unit.name,
            got=f"{i}, {j}" + (f" at {place}" if place else ""),
            fix=f"positions run from 0 to {unit.size - 1}",
        )
    permutation = torch.arange(unit.size).repeat(*unit.over_sizes, 1).reshape(*unit.over_sizes, unit.size)
    permutation[(*place, i)], permutation[(*place, j)] = j, i
    return Element(group, {unit.name: permutation})


def element(group: SymmetryGroup, permutations: Mapping[str, Any], values: Mapping[str, Any]) -> Element:
    """See :meth:`orbitope.group.symmetry.SymmetryGroup.element`."""
    tables = {name: torch.as_tensor(p, dtype=torch.int64) for name, p in permutations.items()}
    steps: tuple[Step | Shuffle, ...] = ()
    for name, value in values.items():
        family = family_of(group, name, None)
        try:
            step = Step(family, as_value(family, value))
            steps = appended(Element(group, {}, (*steps, step)).steps[:-1], step)
        except (ValueError, TypeError, RuntimeError) as error:
            raise ElementError("these are no values of the family", at=name, got=str(error)[:200]) from error
    return Element(group, tables, steps)


def family_of(group: SymmetryGroup, family: Family | str, kind: type[Family] | None) -> Family:
    """The family of a name.

    Raises:
        ElementError: there is none, or it is of another kind.
    """
    name = family if isinstance(family, str) else family.name
    found = group.families.get(name)
    if found is None or (kind is not None and not isinstance(found, kind)):
        names = [each.name for each in group.families.values() if kind is None or isinstance(each, kind)]
        what = "family" if kind is None else f"family of kind {kind.__name__.lower()}"
        raise ElementError(
            f"the group has no such {what}", got=name, fix=f"choose among {', '.join(names[:12]) or 'none'}"
        )
    return found


def flip(group: SymmetryGroup, family: Flips | str, positions: Sequence[int | tuple[int, ...]]) -> Element:
    """See :meth:`orbitope.group.symmetry.SymmetryGroup.flip`."""
    found = family_of(group, family, Flips)
    value = torch.zeros(found.sizes, dtype=torch.bool)
    for position in positions:
        at = (position,) if isinstance(position, int) else tuple(position)
        if len(at) != len(found.sizes) or not all(0 <= i < n for i, n in zip(at, found.sizes, strict=True)):
            raise ElementError(
                "no such positions", at=found.name, got=str(position), fix=f"the sizes are {list(found.sizes)}"
            )
        value[at] = True
    return element(group, {}, {found.name: value if positions else torch.ones_like(value)})


__all__ = ["element", "family_of", "flip", "swap"]
