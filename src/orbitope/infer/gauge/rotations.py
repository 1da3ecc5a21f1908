"""The plane rotations that a rotary embedding leaves: the matrices that commute with those of its positions.

A rotary embedding turns pairs of entries, ``(x, y) → (c·x − s·y, s·x + c·y)``, by angles that depend on the position.
Turning the same pairs of queries and of keys by one more angle commutes with that and is not seen by their product.
The embedding is recognised by its form; what lies between the parameters and the product is followed leaf by leaf.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import torch

from orbitope.graph import Node
from orbitope.infer.gauge.events import Event, Meeting
from orbitope.infer.gauge.fields import Fields
from orbitope.infer.gauge.leaves import LabelSlot, Slot, Starts

Entry = tuple[str, Starts, Slot]
"""A slot of a leaf of a value; of a parameter by its name."""


class Unclear(Exception):
    """Something along the way does more than a rotation commutes with."""


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
        found = {node.name: x for node in self.graph if (x := self._turns(node)) is not None}
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

    # recognition ---------------------------------------------------------------------------------------------------
    def _turns(self, node: Node) -> tuple[str, int] | None:
        """The value that a node turns, and how many planes: ``x·c + concat(−x₂, x₁)·s``, or written in halves.

        The planes are made of the first entries along the last axis and of as many behind them; c and s are alike in
        both halves.
        """
        if node.op == "concat":
            return self._turns_halves(node)
        if node.op != "pointwise" or node.attributes["fn"] != "add":
            return None
        products = [self.graph.node(name) for name in node.inputs]
        if any(each.op != "pointwise" or each.attributes["fn"] != "mul" for each in products):
            return None
        for first, second in (products, products[::-1]):
            for x, c in _both(first.inputs):
                for r, s in _both(second.inputs):
                    if self._is_quarter_turn(r, x) and self._halves_agree(c) and self._halves_agree(s):
                        return x, node.shape[-1] // 2
        return None

    def _turns_halves(self, node: Node) -> tuple[str, int] | None:
        """The same of ``concat(x₁·c − x₂·s, x₂·c + x₁·s, …)``: whatever follows is in no plane."""
        last = len(node.shape) - 1
        parts = [name for name in node.inputs if 0 not in self.graph.node(name).shape]
        if node.attributes["axis"] != last or len(parts) < 2:
            return None
        pair = [self._plain(name) for name in parts[:2]]
        if [each.attributes.get("fn") for each in pair if each.op == "pointwise"] != ["sub", "add"]:
            return None
        halves = [[self._product(name) for name in each.inputs] for each in pair]
        if any(product is None for half in halves for product in half):
            return None
        for first in _products(halves[0]):
            for second in (*_products(halves[1]), *_products(halves[1][::-1])):
                (a, c), (b, s) = first
                (d, e), (f, g) = second
                x = self._halved(a, b, last) if (a, b, c, s) == (f, d, e, g) else None
                if x is not None:
                    return x, pair[0].shape[last]
        return None

    def _product(self, name: str) -> tuple[str, str] | None:
        node = self._plain(name)
        if node.op != "pointwise" or node.attributes["fn"] != "mul":
            return None
        first, second = (self._plain(each).name for each in node.inputs)
        return first, second

    def _halved(self, first: str, second: str, last: int) -> str | None:
        """The value whose halves along its last axis these are."""
        low, high = self.graph.node(first), self.graph.node(second)
        if low.op != "slice" or high.op != "slice" or self._plain(low.inputs[0]) is not self._plain(high.inputs[0]):
            return None
        half = low.shape[last]
        wanted = ((low, 0, half), (high, half, 2 * half))
        found = all(
            (each.attributes["axis"], each.attributes["step"]) == (last, 1)
            and (each.attributes["start"], each.attributes["stop"]) == (start, stop)
            for each, start, stop in wanted
        )
        whole = self._plain(low.inputs[0])
        return whole.name if found else None

    def _is_quarter_turn(self, r: str, x: str) -> bool:
        """Whether r is x with its halves along the last axis exchanged, and one sign changed."""
        node = self._plain(r)
        shape = self.graph.node(x).shape
        last, half = len(shape) - 1, shape[-1] // 2 if shape else 0
        if node.op != "concat" or node.attributes["axis"] != last or len(node.inputs) != 2 or shape[-1] % 2:
            return False
        first, second = (self._plain(name) for name in node.inputs)
        if first.op != "pointwise" or first.attributes["fn"] != "neg":
            return False
        high, low = self._plain(first.inputs[0]), second
        wanted = ((high, half, 2 * half), (low, 0, half))
        return all(
            each.op == "slice"
            and self._plain(each.inputs[0]) is self._plain(x)
            and (each.attributes["axis"], each.attributes["step"]) == (last, 1)
            and (each.attributes["start"], each.attributes["stop"]) == (start, stop)
            for each, start, stop in wanted
        )

    def _plain(self, name: str) -> Node:
        """What a value is, casts left out."""
        node = self.graph.node(name)
        while node.op == "pointwise" and node.attributes["fn"] in ("identity", "real"):
            node = self.graph.node(node.inputs[0])
        return node

    def _halves_agree(self, name: str) -> bool:
        """Whether both halves of a value along its last axis are the same."""
        node = self.graph.node(name)
        if not node.shape or node.shape[-1] % 2:
            return not node.shape or node.shape[-1] == 1
        if node.op == "constant":
            tensor = self.graph.constants[node.attributes["constant"]]
            half = node.shape[-1] // 2
            return not tensor.is_meta and torch.equal(tensor[..., :half], tensor[..., half:])
        if node.op == "concat" and node.attributes["axis"] == len(node.shape) - 1:
            return len(node.inputs) == 2 and node.inputs[0] == node.inputs[1]
        if node.op == "pointwise":
            return all(self._halves_agree(each) for each in node.inputs)
        if node.op in ("broadcast", "reshape", "gather", "slice"):
            return self._keeps_last(node) and self._halves_agree(node.inputs[0])
        return False

    def _keeps_last(self, node: Node) -> bool:
        """Whether a node of structure leaves the last axis of its first operand alone."""
        before = self.graph.node(node.inputs[0]).shape
        if node.op in ("gather", "slice") and node.attributes["axis"] == len(before) - 1:
            return False
        if node.op == "broadcast" and before and before[-1] == 1:
            return True
        return bool(before) and bool(node.shape) and before[-1] == node.shape[-1]

    # backwards: from the embedding to the parameters ---------------------------------------------------------------
    def _halves(self, name: str, half: int) -> Iterator[tuple[tuple[Starts, Slot], tuple[Starts, Slot]]]:
        """The leaves of the two halves of a value's planes, pair by pair."""
        found = self.fields.leaves.of(self.fields.axes(name))
        for starts, leaf in found.items():
            if starts[-1] >= half:
                continue
            other = found.get((*starts[:-1], starts[-1] + half))
            slots = [slot for slot in leaf.slots if slot[0] == len(starts) - 1]
            if other is None or len(slots) != 1 or other.slots.get(slots[0]) is not leaf.slots[slots[0]]:
                raise Unclear
            yield (starts, slots[0]), (other.starts, slots[0])

    def _sources(self, name: str) -> Iterator[tuple[Entry, Entry]]:
        x = self.turned[name]
        for (first, slot), (second, other) in self._halves(x, self.half[name]):
            firsts, seconds = list(self._back(x, first, slot)), list(self._back(x, second, other))
            if [(e[0], e[2]) for e in firsts] != [(e[0], e[2]) for e in seconds]:
                raise Unclear
            yield from zip(firsts, seconds, strict=True)

    def _back(self, value: str, starts: Starts, slot: Slot) -> Iterator[Entry]:
        """The parameters that a leaf is linear in along a slot, and nothing else along that slot."""
        node = self.graph.node(value)
        if node.op == "parameter":
            if self.fields.held(node.attributes["parameter"]):
                raise Unclear
            yield node.attributes["parameter"], starts, slot
            return
        events = [event for event in self.events.get(value, ()) if event.output.starts == starts]
        if not events or not all(event.linear for event in events):
            raise Unclear
        for event in events:
            at = _label(event.output, slot)
            holders = [met for met in event.operands.values() if at in met.slots]
            alike = node.op != "pointwise" or node.attributes["fn"] in ("add", "sub", "neg", "identity", "real")
            if at[0] in event.mixed or not holders or not (alike or len(holders) == 1):
                raise Unclear
            if alike and node.op == "pointwise" and len(holders) < len(event.operands):
                raise Unclear
            if node.op in ("contract", "convolve") and len(holders) != 1:
                raise Unclear
            for met in holders:
                yield from self._back(met.value, met.starts, met.slots[at])

    # forwards: from the embedding to the products ------------------------------------------------------------------
    def _partners(self, name: str) -> Iterator[str]:
        """The embeddings whose values meet this one's in products; everything else that reads it is unclear."""
        for side in self._halves(name, self.half[name]):
            for half, (starts, slot) in enumerate(side):
                yield from self._meets(name, starts, slot, half)

    def _meets(self, value: str, starts: Starts, slot: Slot, half: int) -> Iterator[str]:
        for reader in self.fields.readers.get(value, ()):
            for event in self.events.get(reader.name, ()):
                for k, met in event.operands.items():
                    if met.value == value and met.starts == starts and reader.inputs[k] == value:
                        yield from self._read(reader, event, k, slot, half)
            if reader.op == "output" or reader.name not in self.events:
                raise Unclear

    def _read(self, reader: Node, event: Event, k: int, slot: Slot, half: int) -> Iterator[str]:
        at = _label(event.operands[k], slot)
        others = [met for j, met in event.operands.items() if j != k and at in met.slots]
        if not event.linear:
            raise Unclear
        if at[0] not in event.mixed:
            if others:
                raise Unclear
            yield from self._meets(reader.name, event.output.starts, event.output.slots[at], half)
            return
        if reader.op != "contract" or len(others) != 1:
            raise Unclear
        yield self._origin(others[0], at, half)

    def _origin(self, met: Meeting, at: LabelSlot, half: int) -> str:
        """The embedding that a factor of a product comes from, in the same half."""
        value, starts, slot = met.value, met.starts, met.slots[at]
        while value not in self.turned:
            events = [event for event in self.events.get(value, ()) if event.output.starts == starts]
            if len(events) != 1 or not events[0].linear:
                raise Unclear
            label = _label(events[0].output, slot)
            holders = [each for each in events[0].operands.values() if label in each.slots]
            if len(holders) != 1 or label[0] in events[0].mixed:
                raise Unclear
            value, starts, slot = holders[0].value, holders[0].starts, holders[0].slots[label]
        planes = self.half[value]
        if starts[-1] >= 2 * planes or (starts[-1] >= planes) != bool(half) or slot[0] != len(starts) - 1:
            raise Unclear
        return value

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


def _products(half: Sequence[tuple[str, str] | None]) -> Iterator[tuple[tuple[str, str], tuple[str, str]]]:
    """Two products, each in both orders of its factors."""
    first, second = half
    assert first is not None and second is not None
    for a in _both(first):
        for b in _both(second):
            yield a, b


def _both(pair: Sequence[str]) -> Iterable[tuple[str, str]]:
    return ((pair[0], pair[1]), (pair[1], pair[0]))


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
