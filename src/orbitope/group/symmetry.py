"""The symmetry group of a network: its units and how they index the parameters."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from math import factorial
from typing import TYPE_CHECKING, Any

import torch

from orbitope.errors import ElementError, ParametersError, SymmetryFileError
from orbitope.group.element import Element
from orbitope.group.layout import Placement, axis_from_json, axis_to_json, movings
from orbitope.group.units import Units

if TYPE_CHECKING:
    from orbitope.group.counting import Count


@dataclass(frozen=True)
class Diagnostic:
    """Why some positions of a parameter's axis are fixed.

    Attributes:
        parameter: canonical name.
        axis: its axis.
        size: how many positions.
        reason: one sentence.
        place: node, source line and module that fixed them.
        unknown: whether an operation without a rule is the cause.
    """

    parameter: str
    axis: int
    size: int
    reason: str
    place: str = ""
    unknown: bool = False

    def __str__(self) -> str:
        """One line."""
        where = f" ({self.place})" if self.place else ""
        return f"{self.parameter} axis {self.axis}: {self.size} fixed, {self.reason}{where}"


@dataclass(frozen=True, eq=False)
class SymmetryGroup:
    """All permutations of units that keep the function of a network.

    Attributes:
        units: sets of interchangeable positions.
        placements: for each parameter, by canonical name, how units index it.
        bases: sizes of fixed axes that some units are over, by name.
        diagnostics: fixed axes and why.
        unused: state-dict names that the function does not read; they never move.
        notes: what the result assumes: the sizes of inputs that were looked at, the path that was taken.

    Guarantee: exact, given that the lowered program is the model (which is tested numerically on the example inputs).
    """

    units: tuple[Units, ...]
    placements: Mapping[str, Placement]
    bases: Mapping[str, int] = field(default_factory=dict)
    diagnostics: tuple[Diagnostic, ...] = ()
    unused: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def __repr__(self) -> str:
        """Number of units and order."""
        return f"SymmetryGroup({len(self.units)} sets of units, order 10^{self.log10_order:.2f})"

    # facts ---------------------------------------------------------------------------------------------------------
    @cached_property
    def by_name(self) -> dict[str, Units]:
        """Units by name."""
        return {unit.name: unit for unit in self.units}

    @cached_property
    def _owner(self) -> dict[str, Placement]:
        return {
            name: placement
            for placement in self.placements.values()
            for names in (placement.names, *placement.members)
            for name in names
        }

    def parts(self, name: str) -> tuple[Placement, ...]:
        """How a tensor moves, by any of its names: one placement, or one for each run of its rows."""
        found = self.placement(name)
        if found is None or found.part is None or name in found.names:
            return () if found is None else (found,)
        runs = [p for p in self.placements.values() if p.part is not None and p.members == found.members]
        return tuple(sorted(runs, key=lambda p: p.part or (0, 0)))

    def placement(self, name: str) -> Placement | None:
        """How a parameter moves, by any of its names; None where the function does not read it."""
        return self._owner.get(name)

    @property
    def order(self) -> int:
        """Number of elements, exactly."""
        total = 1
        for unit in self.units:
            total *= factorial(unit.size) ** unit.copies
        return total

    @property
    def log10_order(self) -> float:
        """log10 of the number of permutations."""
        return sum(unit.log10_order for unit in self.units)

    @property
    def sign_bits(self) -> int:
        """Number of independent sign flips; only permutations are found as yet."""
        return 0

    @property
    def dimension(self) -> int:
        """Dimension of the continuous part; only permutations are found as yet."""
        return 0

    @cached_property
    def digest(self) -> str:
        """Names the structure; equal for groups with the same units in the same places."""
        document = self.to_json()
        for unit in document["units"]:
            del unit["role"]  # a word for people
        text = json.dumps({key: document[key] for key in ("units", "bases", "parameters")}, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:32]

    def innermost_first(self, names: Iterable[str]) -> list[str]:
        """Units in an order in which fibres come before what they are over."""
        wanted, order = set(names), []
        outward = {unit.name: unit.over for unit in self.units}
        while wanted:
            ready = sorted(x for x in wanted if not any(x in outward.get(y, ()) for y in wanted))
            if not ready:
                raise AssertionError("units are over each other in a circle")
            order.extend(ready)
            wanted -= set(ready)
        return order

    # elements ------------------------------------------------------------------------------------------------------
    def identity(self) -> Element:
        """The element that moves nothing."""
        return Element(self, {})

    def _unit(self, units: Units | str) -> Units:
        name = units if isinstance(units, str) else units.name
        if name not in self.by_name:
            raise ElementError("the group has no such units", got=name, fix=f"choose among {', '.join(self.by_name)}")
        return self.by_name[name]

    def swap(self, units: Units | str, i: int, j: int, at: Sequence[int] = ()) -> Element:
        """Exchange positions i and j.

        Args:
            units: which, or their name.
            i: a position.
            j: another.
            at: for units over others, the position of each of those; all zeros by default.
        """
        unit = self._unit(units)
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
        return Element(self, {unit.name: permutation})

    def element(self, permutations: Mapping[str, Any]) -> Element:
        """An element from permutations by units' name: ``p[i]`` is where position i goes."""
        tables = {name: torch.as_tensor(p, dtype=torch.int64) for name, p in permutations.items()}
        return Element(self, tables)

    def sample(self, seed: int = 0) -> Element:
        """A uniformly random element; the same for the same seed."""
        generator = torch.Generator().manual_seed(seed)
        tables = {}
        for unit in self.units:
            noise = torch.rand((*unit.over_sizes, unit.size), generator=generator, dtype=torch.float64)
            tables[unit.name] = noise.argsort(dim=-1)
        return Element(self, tables)

    # parameters ----------------------------------------------------------------------------------------------------
    def check(self, params: Mapping[str, torch.Tensor], *, partial: bool = False, finite: bool = True) -> None:
        """Refuse parameters that do not fit, naming every problem at once.

        Args:
            params: tensors by state-dict name.
            partial: allow some to be missing.
            finite: also refuse NaN and infinite entries.

        Raises:
            ParametersError: listing what is missing, unexpected, of another shape or not finite.
        """
        problems: list[str] = []
        for placement in self.placements.values():
            for names in placement.tensors:
                if not partial and not any(name in params for name in names):
                    problems.append(f"missing: {names[0]} {list(placement.piece)}")
        for name, tensor in params.items():
            placement = self.placement(name)
            if placement is None:
                if name not in self.unused:
                    problems.append(f"unexpected: {name} {list(tensor.shape)}")
            elif not placement.fits(name, tensor.shape):
                expected = placement.shape if name in placement.names else placement.piece
                problems.append(f"shape: {name} is {list(tensor.shape)}, expected {list(expected)}")
            elif finite and tensor.is_floating_point() and not bool(tensor.isfinite().all()):
                count = int((~tensor.isfinite()).sum())
                problems.append(f"not finite: {name} has {count} NaN or infinite entries")
        if problems:
            raise ParametersError(
                "the parameters do not fit this network",
                why="a symmetry acts on every parameter that the function reads",
                fix="pass the state dict of the same architecture, trained to finite values",
                details=problems,
            )

    def count(self, params: Mapping[str, torch.Tensor]) -> Count:
        """How many distinct copies these very parameters have: |orbit| = |group| / |stabiliser|.

        Raises:
            ParametersError: they do not fit, or hold NaN.

        Guarantee: exact, or both bounds where the search for the stabiliser was cut short; the result says which.
        """
        from orbitope.group.counting import count  # the count needs the whole group, and this class is part of it

        return count(self, params)

    # JSON ----------------------------------------------------------------------------------------------------------
    def to_json(self) -> dict[str, Any]:
        """The group as JSON, versioned; enough to act on checkpoints without any model code."""
        return {
            "format": "orbitope symmetry",
            "version": 1,
            "log10_order": self.log10_order,
            "units": [
                {"name": unit.name, "size": unit.size, "over": list(unit.over), "role": unit.role}
                for unit in self.units
            ],
            "bases": dict(self.bases),
            "parameters": [
                {
                    "names": list(placement.names),
                    "shape": list(placement.shape),
                    "axes": [axis_to_json(axis) for axis in placement.axes],
                    "trainable": placement.trainable,
                    **({"members": [list(names) for names in placement.members]} if placement.members else {}),
                    **({"part": list(placement.part)} if placement.part else {}),
                }
                for placement in self.placements.values()
            ],
            "unused": list(self.unused),
            "notes": list(self.notes),
            "diagnostics": [
                {
                    "parameter": d.parameter,
                    "axis": d.axis,
                    "size": d.size,
                    "reason": d.reason,
                    "place": d.place,
                    "unknown": d.unknown,
                }
                for d in self.diagnostics
            ],
        }

    @staticmethod
    def from_json(document: Mapping[str, Any]) -> SymmetryGroup:
        """The reverse of :meth:`to_json`.

        Raises:
            SymmetryFileError: another format or version, or sizes that contradict each other.
        """
        if document.get("format") != "orbitope symmetry" or document.get("version") != 1:
            raise SymmetryFileError("this is not a symmetry file of version 1", got=str(document.get("format"))[:80])
        try:
            return _read(document)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise SymmetryFileError(
                "the symmetry file is malformed",
                got=f"{type(error).__name__}: {error}"[:200],
                fix="write it again with orbitope inspect MODEL -o symmetry.json",
            ) from error


def _read(document: Mapping[str, Any]) -> SymmetryGroup:
    bases = {str(name): int(size) for name, size in document["bases"].items()}
    sizes = {**bases, **{str(u["name"]): int(u["size"]) for u in document["units"]}}
    placements = {}
    for item in document["parameters"]:
        axes = tuple(axis_from_json(axis, sizes) for axis in item["axes"])
        shape = tuple(map(int, item["shape"]))
        if tuple(axis.size for axis in axes) != shape:
            raise SymmetryFileError("an axis does not have the size of its parameter", at=str(item["names"][0]))
        members = tuple(tuple(map(str, names)) for names in item.get("members", ()))
        part = None if item.get("part") is None else (int(item["part"][0]), int(item["part"][1]))
        if part is not None and (len(members) != 1 or not shape or not 0 <= part[0] <= part[1] - shape[0]):
            raise SymmetryFileError("a part of a parameter lies outside of it", at=item["names"][0])
        if members and (not shape or shape[0] % len(members)):
            raise SymmetryFileError("the members of a parameter do not have equal shares of it", at=item["names"][0])
        placements[item["names"][0]] = Placement(
            tuple(item["names"]), shape, axes, bool(item["trainable"]), members, part
        )
    acts = places(placements)
    units = tuple(
        Units(
            str(u["name"]),
            int(u["size"]),
            tuple(u["over"]),
            tuple(sizes[base] for base in u["over"]),
            str(u["role"]),
            acts.get(str(u["name"]), ()),
        )
        for u in document["units"]
    )
    diagnostics = tuple(Diagnostic(**item) for item in document["diagnostics"])
    return SymmetryGroup(
        units, placements, bases, diagnostics, tuple(document["unused"]), tuple(map(str, document.get("notes", ())))
    )


def places(placements: Mapping[str, Placement]) -> dict[str, tuple[tuple[str, int], ...]]:
    """For each units' name the parameter axes that they index."""
    found: dict[str, list[tuple[str, int]]] = {}
    for name, placement in placements.items():
        for k, axis in enumerate(placement.axes):
            for moving in movings(axis):
                spots = found.setdefault(moving.name, [])
                if (name, k) not in spots:
                    spots.append((name, k))
    return {name: tuple(spots) for name, spots in found.items()}
