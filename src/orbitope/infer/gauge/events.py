"""What operations do to the fields of their operands, leaf by leaf."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal, NamedTuple

from orbitope.graph import Node
from orbitope.infer.gauge.leaves import LabelSlot, Slot, Starts
from orbitope.infer.gauge.solver import Form
from orbitope.infer.words import Atom

Kind = Literal["scale", "sign", "general", "orthogonal"]
"""What fields are: logarithms of positive scales, signs, or indices along which matrices act."""


NONE: Form = {}
"""The form that is zero."""


@dataclass(slots=True)
class Field:
    """The field of one leaf: uniform, and along each slot. ``zero`` where the value is zero and any field is right."""

    uniform: Form
    slots: dict[Slot, Form]
    zero: bool = False

    @property
    def plain(self) -> bool:
        """Whether there is no unknown in it."""
        return not self.uniform and not any(self.slots.values())


class Meeting(NamedTuple):
    """What one operand, or the output, brings to one leaf of an operation: its seat there, and its field."""

    value: str
    starts: Starts
    slots: dict[LabelSlot, Slot]
    atoms: dict[LabelSlot, Atom]
    field: Field

    def form(self, at: LabelSlot) -> Form:
        """The field along a slot; none where the operand has no such index."""
        return self.field.slots.get(self.slots[at], NONE) if at in self.slots else NONE


class Event(NamedTuple):
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


__all__ = ["NONE", "Event", "Field", "Kind", "Meeting"]
