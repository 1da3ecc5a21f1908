"""What operations do to the fields of their operands, leaf by leaf."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Literal

from orbitope.graph import Node
from orbitope.infer.gauge.leaves import LabelSlot, Slot
from orbitope.infer.gauge.seating import Seat
from orbitope.infer.gauge.solver import Form

Kind = Literal["scale", "sign", "general", "orthogonal"]
"""What fields are: logarithms of positive scales, signs, or indices along which matrices act."""


@dataclass
class Field:
    """The field of one leaf: uniform, and along each slot. ``zero`` where the value is zero and any field is right."""

    uniform: Form = field(default_factory=dict)
    slots: dict[Slot, Form] = field(default_factory=dict)
    zero: bool = False


@dataclass(frozen=True)
class Meeting(Seat):
    """What one operand, or the output, brings to one leaf of an operation: where it sits, and its field there."""

    field: Field

    def form(self, at: LabelSlot) -> Form:
        """The field along a slot; none where the operand has no such index."""
        return self.field.slots.get(self.slots[at], {}) if at in self.slots else {}


@dataclass(frozen=True)
class Event:
    """One leaf of one operation, as it was judged.

    Attributes:
        node: the operation.
        operands: those that have a part in it, by their position.
        passing: those whose fields make up that of the value, each with its coefficient.
        output: the meeting of its value.
        mixed: labels that it mixes.
        linear: whether it is linear.
    """

    node: Node
    operands: Mapping[int, Meeting]
    passing: tuple[tuple[Meeting, Fraction | int], ...]
    output: Meeting
    mixed: frozenset[str]
    linear: bool


__all__ = ["Event", "Field", "Kind", "Meeting"]
