"""The plane rotations that a rotary embedding leaves: the matrices that commute with those of its positions.

A rotary embedding turns pairs of entries, ``(x, y) → (c·x − s·y, s·x + c·y)``, by angles that depend on the position.
Turning the same pairs of queries and of keys by one more angle commutes with that and is not seen by their product.
The embedding is recognised by its form; what lies between the parameters and the product is followed leaf by leaf.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from orbitope.graph import Node
from orbitope.infer.gauge.events import Event, Meeting
from orbitope.infer.gauge.fields import Fields
from orbitope.infer.gauge.leaves import LabelSlot, Slot, Starts
from orbitope.infer.gauge.rotary import Rotary

Entry = tuple[str, Starts, Slot | None]
"""A slot of a leaf of a parameter; None where there is one plane only, so that nothing indexes the planes."""

ALIKE = frozenset({"add", "sub", "neg", "identity", "real"})
"""Functions that do the same to all of their operands."""


class Unclear(Exception):
    """Something along the way does more than a rotation commutes with."""


class Pair(NamedTuple):
    """Two leaves of a value that hold the first and the second entries of planes, and the slot of the planes."""

    value: str
    first: Starts
    second: Starts
    slot: Slot | None


@dataclass
class Meetings:
    """Two leaves of an operation, with the first and the second entries of planes.

    Attributes:
        one: with the first entries.
        other: with the second ones.
        at: the label of the planes; None where there is one plane only.
        holders: the operands in which the entries are, by their position.
    """

    one: Event
    other: Event
    at: LabelSlot | None
    holders: list[int]

    @property
    def mixed(self) -> bool:
        """Whether it sums over the entries of the planes."""
        if self.at is None:
            return self.one.output.starts == self.other.output.starts
        return self.at[0] in self.one.mixed

    def inside(self, k: int) -> Pair:
        """The entries in an operand."""
        first, second = self.one.operands[k], self.other.operands[k]
        return Pair(first.value, first.starts, second.starts, None if self.at is None else first.slots[self.at])

    def outside(self) -> Pair:
        """The entries in the value."""
        first, second = self.one.output, self.other.output
        return Pair(first.value, first.starts, second.starts, None if self.at is None else first.slots[self.at])


@dataclass
class Planes:
    """Embeddings that meet in products, and the pairs of leaves of parameters that they turn."""

    nodes: set[str] = field(default_factory=set)
    pairs: set[tuple[Entry, Entry]] = field(default_factory=set)


class Rotations:
    """All rotary embeddings of a program."""

    def __init__(self, fields: Fields) -> None:
        """Over the events of its fields."""
        self.fields = fields
        self.graph = fields.graph
        self.events: dict[str, list[Event]] = {}
        for event in fields.events:
            self.events.setdefault(event.node.name, []).append(event)
        rotary = Rotary(self.graph)
        found = {node.name: x for node in self.graph if (x := rotary.turns(node)) is not None}
        self.turned = {name: x for name, (x, _) in found.items()}
        self.half = {name: half for name, (_, half) in found.items()}

    def find(self) -> list[set[tuple[Entry, Entry]]]:
        """For every set of embeddings whose planes must turn together, the pairs of leaves of parameters."""
        parts: list[Planes] = []
        for name in self.turned:
            try:
                part = Planes({name, *self._partners(name)}, set(self._sources(name)))
            except Unclear:
                part = Planes({name, *self._reached(name)}, set())
            parts.append(part)
        return [part.pairs for part in _connected(parts) if part.nodes and part.pairs]

    # backwards: from the embedding to the parameters ---------------------------------------------------------------
    def _halves(self, name: str, half: int) -> Iterator[Pair]:
        """The leaves of the two halves of a value's planes, pair by pair; of a single plane they have no slot."""
        found = self.fields.leaves.of(self.fields.axes(name))
        for starts, leaf in found.items():
            if starts[-1] >= half:
                continue
            other = found.get((*starts[:-1], starts[-1] + half))
            slots = [slot for slot in leaf.slots if slot[0] == len(starts) - 1]
            if other is None or len(slots) != (half > 1) or other.slots != leaf.slots:
                raise Unclear
            yield Pair(name, starts, other.starts, slots[0] if slots else None)

    def _sources(self, name: str) -> Iterator[tuple[Entry, Entry]]:
        x = self.turned[name]
        for each in self._halves(x, self.half[name]):
            yield from self._back(each)

    def _back(self, pair: Pair) -> Iterator[tuple[Entry, Entry]]:
        """The parameters that two leaves are linear in, of which nothing else tells the leaves apart."""
        node = self.graph.node(pair.value)
        if node.op == "parameter":
            if self.fields.held(node.attributes["parameter"]) or pair.first == pair.second:
                raise Unclear
            name = node.attributes["parameter"]
            yield (name, pair.first, pair.slot), (name, pair.second, pair.slot)
            return
        alike = node.op != "pointwise" or node.attributes["fn"] in ALIKE
        for meeting in self._made(pair):
            holders = meeting.holders
            if meeting.mixed or not holders or not (alike or len(holders) == 1):
                raise Unclear
            if alike and node.op == "pointwise" and len(holders) < len(meeting.one.operands):
                raise Unclear
            if node.op in ("contract", "convolve") and len(holders) != 1:
                raise Unclear
            for k in holders:
                yield from self._back(meeting.inside(k))

    def _made(self, pair: Pair) -> Iterator[Meetings]:
        """The leaves of the operation that makes a value in which its two leaves are made."""
        firsts, seconds = (
            [event for event in self.events.get(pair.value, ()) if event.output.starts == starts]
            for starts in (pair.first, pair.second)
        )
        if not firsts or len(firsts) != len(seconds):
            raise Unclear
        for one, other in zip(firsts, seconds, strict=True):
            at = None if pair.slot is None else _label(one.output, pair.slot)
            yield self._compared(one, other, at)

    def _compared(self, one: Event, other: Event, at: LabelSlot | None) -> Meetings:
        """Two leaves of an operation, in which nothing but the plane's index may differ."""
        if not (one.linear and other.linear) or one.operands.keys() != other.operands.keys():
            raise Unclear
        met = Meetings(one, other, at, [])
        for k, first in one.operands.items():
            second = other.operands[k]
            if first.value != second.value or first.slots != second.slots:
                raise Unclear
            if (first.starts != second.starts) if at is None else (at in first.slots):
                met.holders.append(k)
            elif first.starts != second.starts or self.fields.leaves.blurs(self.fields.axes(first.value)):
                raise Unclear
        if at is None and self.fields.keeps_mixed(one.node):
            raise Unclear  # a position may depend on others
        return met

    # forwards: from the embedding to the products ------------------------------------------------------------------
    def _partners(self, name: str) -> Iterator[str]:
        """The embeddings whose values meet this one's in products; everything else that reads it is unclear."""
        for pair in self._halves(name, self.half[name]):
            yield from self._meets(pair)

    def _meets(self, pair: Pair) -> Iterator[str]:
        for reader in self.fields.readers.get(pair.value, ()):
            if reader.op == "output" or reader.name not in self.events:
                raise Unclear
            firsts, seconds = (
                [
                    (event, k)
                    for event in self.events[reader.name]
                    for k, met in event.operands.items()
                    if met.value == pair.value and met.starts == starts
                ]
                for starts in (pair.first, pair.second)
            )
            if [k for _, k in firsts] != [k for _, k in seconds]:
                raise Unclear
            for (one, k), (other, _) in zip(firsts, seconds, strict=True):
                at = None if pair.slot is None else _label(one.operands[k], pair.slot)
                yield from self._read(self._compared(one, other, at), k)

    def _read(self, met: Meetings, k: int) -> Iterator[str]:
        """What becomes of two leaves that an operation reads."""
        others = [j for j in met.holders if j != k]
        if k not in met.holders or _adds(met.one.node):
            raise Unclear
        if met.mixed:
            if met.one.node.op != "contract" or len(others) != 1:
                raise Unclear
            yield self._origin(met.inside(others[0]))
            return
        if others or met.one.output.starts == met.other.output.starts:
            raise Unclear
        yield from self._meets(met.outside())

    def _origin(self, pair: Pair) -> str:
        """The embedding that a factor of a product comes from, in the same halves."""
        while pair.value not in self.turned:
            found = list(self._made(pair))
            if len(found) != 1 or len(found[0].holders) != 1 or found[0].mixed or _adds(found[0].one.node):
                raise Unclear
            pair = found[0].inside(found[0].holders[0])
        planes, first, last = self.half[pair.value], pair.first, len(pair.first) - 1
        if first[-1] >= planes or pair.second != (*first[:-1], first[-1] + planes):
            raise Unclear
        if (pair.slot is None) != (planes == 1) or (pair.slot is not None and pair.slot[0] != last):
            raise Unclear
        return pair.value

    def _reached(self, name: str) -> Iterator[str]:
        """Embeddings that meet one of which something is unclear: they share its fate."""
        todo, seen = [name], set()
        while todo:
            for reader in self.fields.readers.get(todo.pop(), ()):
                if reader.name not in seen:
                    seen.add(reader.name)
                    todo.append(reader.name)
        inner = {x for x in self.turned if x != name}
        before = {x for x in inner if seen & self._after(x)}
        yield from before | (inner & seen)

    def _after(self, name: str) -> set[str]:
        return {reader.name for reader in self.fields.readers.get(name, ())}


def _adds(node: Node) -> bool:
    """Whether a node adds something, which is not turned."""
    return node.op == "pointwise" and node.attributes["fn"] in ("add", "sub")


def _label(met: Meeting, slot: Slot) -> LabelSlot:
    return next(at for at, own in met.slots.items() if own == slot)


def _connected(parts: Sequence[Planes]) -> list[Planes]:
    """Embeddings that meet, or that read the same parameters, as one; without pairs where one of them is unclear."""
    merged: list[Planes] = []
    for part in parts:
        entries = {entry for pair in part.pairs for entry in pair}
        together = [
            each
            for each in merged
            if each.nodes & part.nodes or entries & {entry for pair in each.pairs for entry in pair}
        ]
        whole = Planes(set(part.nodes), set(part.pairs))
        clear = bool(part.pairs)
        for each in together:
            clear = clear and bool(each.pairs)
            whole.nodes |= each.nodes
            whole.pairs |= each.pairs
            merged.remove(each)
        merged.append(whole if clear else Planes(whole.nodes, set()))
    return merged


__all__ = ["Rotations"]
