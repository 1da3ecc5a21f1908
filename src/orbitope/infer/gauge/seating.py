"""Which leaves of operands and output meet in an operation, and which of their indices correspond."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from orbitope.graph import Axes, Indexing, Label, Node, Sum, labels
from orbitope.infer.gauge.leaves import (
    LabelSlot,
    Leaf,
    Leaves,
    Slot,
    Starts,
    Unaligned,
    choices,
    chosen_labels,
    label_slot,
    position,
)
from orbitope.infer.unification import Unification, Use
from orbitope.infer.words import Atom, Word


class Seat(NamedTuple):
    """A leaf of one operand, or of the output, in one leaf of an operation.

    Attributes:
        value: its name.
        starts: where the leaf begins.
        slots: its slots by those of the labels.
        atoms: its atoms by the slots of the labels.
    """

    value: str
    starts: Starts
    slots: dict[LabelSlot, Slot]
    atoms: dict[LabelSlot, Atom]


class Gathering(NamedTuple):
    """What meets in one leaf of an operation.

    Attributes:
        operands: their seats; None where one has no part in it.
        output: the seat of the value.
        places: all slots of labels that any of them has.
    """

    operands: list[Seat | None]
    output: Seat
    places: list[LabelSlot]


class Seating:
    """The gatherings of all operations, worked out once for all kinds of fields."""

    def __init__(self, result: Unification, leaves: Leaves) -> None:
        """Of one analysis."""
        self.result = result
        self.leaves = leaves
        self._found: dict[str, list[Gathering] | None] = {}
        self._kept: dict[str, frozenset[str]] = {}
        self._axes: dict[str, tuple[Word, ...]] = {}
        self._boxes: dict[str, dict[Starts, Leaf] | None] = {}

    def axes(self, name: str) -> tuple[Word, ...]:
        """The words of a value's axes."""
        if name not in self._axes:
            self._axes[name] = tuple(map(self.leaves.words.resolve, self.result.values[name]))
        return self._axes[name]

    def boxes(self, name: str) -> dict[Starts, Leaf]:
        """The leaves of a value.

        Raises:
            Unaligned: there are too many.
        """
        if name not in self._boxes:
            try:
                self._boxes[name] = self.leaves.of(self.axes(name))
            except Unaligned:
                self._boxes[name] = None
        found = self._boxes[name]
        if found is None:
            raise Unaligned
        return found

    def kept(self, use: Use) -> frozenset[str]:
        """The labels that an operation mixes and that its value has."""
        name = use.node.name
        if name not in self._kept:
            mixed = use.indexing.mixed
            own = {label.name for term in use.indexing.output for label in labels(term)} if mixed else set()
            self._kept[name] = mixed & own
        return self._kept[name]

    def of(self, use: Use) -> list[Gathering]:
        """For every leaf of an operation what meets there.

        Raises:
            Unaligned: indices of operands and output do not correspond, or an entry is read that no leaf accounts for.
        """
        name = use.node.name
        if name not in self._found:
            try:
                self._found[name] = self._gatherings(use)
            except Unaligned:
                self._found[name] = None
        found = self._found[name]
        if found is None:
            raise Unaligned
        return found

    def _gatherings(self, use: Use) -> list[Gathering]:
        node, indexing = use.node, parted(use.node, use.indexing)
        words = {name: self.leaves.words.resolve(word) for name, word in use.labels.items()}
        if indexing is not use.indexing:
            words["p"] = words["h"]
        values = [self.axes(name) for name in node.inputs]
        own = self.axes(node.name)
        hit: list[set[Starts]] = [set() for _ in values]
        gatherings: list[Gathering] = []
        for chosen in choices([term for axes in (*indexing.operands, indexing.output) for term in axes]):
            dead = _dead(indexing, chosen)
            if any(label in dead for term in indexing.output for label in chosen_labels(term, chosen)):
                continue  # entries that a slice leaves out
            live = sorted(words.keys() - dead)
            for leaf in self.leaves.of(tuple(words[name] for name in live)).values():
                at = dict(zip(live, leaf.starts, strict=True))
                atoms = {(live[k], stride): atom for (k, stride), atom in leaf.slots.items()}
                operands: list[Seat | None] = []
                for k, (name, axes) in enumerate(zip(node.inputs, indexing.operands, strict=True)):
                    if any(label in dead for term in axes for label in chosen_labels(term, chosen)):
                        operands.append(None)
                        continue
                    found = self.leaves.at(values[k], tuple(position(term, at, chosen) for term in axes))
                    hit[k].add(found.starts)
                    operands.append(_seat(name, found, axes, chosen, atoms))
                found = self.leaves.at(own, tuple(position(term, at, chosen) for term in indexing.output))
                output = _seat(node.name, found, indexing.output, chosen, atoms)
                places = {at for seat in (*operands, output) if seat is not None for at in seat.slots}
                gatherings.append(Gathering(operands, output, sorted(places)))
        for axes, seen in zip(values, hit, strict=True):
            if _read(node, self.leaves.of(axes)) - seen:
                raise Unaligned
        return gatherings


def parted(node: Node, indexing: Indexing) -> Indexing:
    """Of a recurrent cell without a projection the two sides of its weight, which are one label, under two names."""
    if node.op != "scan" or node.attributes["projected"]:
        return indexing
    gates, hidden = indexing.operands[1]
    p = Label("p", hidden.size)
    first = len(indexing.operands) - (2 if node.attributes["cell"] == "lstm" else 1)
    operands = list(indexing.operands)
    operands[1], operands[first] = (gates, p), (operands[first][0], p)
    last = Sum((p, hidden)) if isinstance(indexing.output[2], Sum) else p
    return Indexing(tuple(operands), (*indexing.output[:2], last), indexing.mixed | {"p"}, indexing.fixed)


def _seat(name: str, leaf: Leaf, axes: Axes, chosen: Mapping[Sum, int], atoms: Mapping[LabelSlot, Atom]) -> Seat:
    slots: dict[LabelSlot, Slot] = {}
    for axis, stride in leaf.slots:
        slots[label_slot(axes[axis], stride, chosen)] = (axis, stride)
    met = {at: leaf.slots[slot] for at, slot in slots.items()}
    if len(slots) != len(leaf.slots) or any(atoms.get(at) is not atom for at, atom in met.items()):
        raise Unaligned
    return Seat(name, leaf.starts, slots, met)


def _dead(indexing: Indexing, chosen: Mapping[Sum, int]) -> set[str]:
    """Labels that belong to segments that were not chosen."""
    inside: set[str] = set()
    kept: set[str] = set()
    for each, k in chosen.items():
        kept.update(chosen_labels(each.segments[k], chosen))
        inside.update(label.name for segment in each.segments for label in labels(segment))
    return inside - kept


def _read(node: Node, found: Iterable[Starts]) -> set[Starts]:
    """Those leaves of an operand that an operation reads."""
    if node.op != "slice" or node.attributes["step"] != 1:
        return set(found)
    axis, start, stop = (node.attributes[key] for key in ("axis", "start", "stop"))
    return {starts for starts in found if start <= starts[axis] < stop}


__all__ = ["Gathering", "Seat", "Seating"]
