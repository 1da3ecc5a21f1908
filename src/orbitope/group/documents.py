"""Groups as JSON, versioned, and the digest that names their structure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from orbitope.errors import SymmetryFileError
from orbitope.group.continuous import Continuous
from orbitope.group.diagnostics import Diagnostic
from orbitope.group.layout import Placement, axis_from_json, axis_to_json, places
from orbitope.group.records import continuous_from_json, continuous_to_json
from orbitope.group.units import Units

if TYPE_CHECKING:
    from orbitope.group.symmetry import SymmetryGroup

Fields = tuple[
    tuple[Units, ...],
    dict[str, Placement],
    dict[str, int],
    tuple[Diagnostic, ...],
    tuple[str, ...],
    tuple[str, ...],
    Continuous,
]
"""What a group is made of, in the order of its attributes."""


def to_json(group: SymmetryGroup) -> dict[str, Any]:
    """See :meth:`orbitope.group.symmetry.SymmetryGroup.to_json`."""
    return {
        "format": "orbitope symmetry",
        "version": 1,
        "log10_order": group.log10_order,
        "units": [
            {"name": unit.name, "size": unit.size, "over": list(unit.over), "role": unit.role} for unit in group.units
        ],
        "bases": dict(group.bases),
        "parameters": [
            {
                "names": list(placement.names),
                "shape": list(placement.shape),
                "axes": [axis_to_json(axis) for axis in placement.axes],
                "trainable": placement.trainable,
                **({"members": [list(names) for names in placement.members]} if placement.members else {}),
                **({"part": list(placement.part)} if placement.part else {}),
            }
            for placement in group.placements.values()
        ],
        "unused": list(group.unused),
        "notes": list(group.notes),
        "diagnostics": [
            {
                "parameter": d.parameter,
                "axis": d.axis,
                "size": d.size,
                "reason": d.reason,
                "place": d.place,
                "unknown": d.unknown,
            }
            for d in group.diagnostics
        ],
        **({"continuous": continuous_to_json(group.continuous)} if group.families or group.continuous.reasons else {}),
    }


def digest(group: SymmetryGroup) -> str:
    """See :attr:`orbitope.group.symmetry.SymmetryGroup.digest`."""
    document = to_json(group)
    for unit in document["units"]:
        del unit["role"]  # a word for people
    keys = ("units", "bases", "parameters", *(("continuous",) if group.families else ()))
    if group.families:
        del document["continuous"]["reasons"]
        for family in document["continuous"]["matrices"]:
            del family["reason"]
        for family in document["continuous"]["scalings"]:
            family["approximate"] = bool(family["approximate"])
    text = json.dumps({key: document[key] for key in keys}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def from_json(document: Mapping[str, Any]) -> Fields:
    """See :meth:`orbitope.group.symmetry.SymmetryGroup.from_json`."""
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


def _read(document: Mapping[str, Any]) -> Fields:
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
    notes = tuple(map(str, document.get("notes", ())))
    found = document.get("continuous")
    continuous = Continuous() if found is None else continuous_from_json(found, placements)
    return units, placements, bases, diagnostics, tuple(document["unused"]), notes, continuous


__all__ = ["digest", "from_json", "to_json"]
