"""What cannot be shifted: leaves of values where whatever is added, or what varies along a slot, changes the function.

A shift is followed from every parameter, but most come to the same few places where nothing takes them up: a norm, a
softmax, a function that is not linear. What lies before such a place is worked out once, backwards, from what each
operation does to every shift alike. A shift that is not told of here may still fail where it is followed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator
from typing import Literal

from orbitope.graph import Node
from orbitope.infer.gauge.entries import Reader
from orbitope.infer.gauge.events import Event
from orbitope.infer.gauge.following import is_affine, is_comparison, is_product
from orbitope.infer.gauge.laws import adds
from orbitope.infer.gauge.leaves import Slot, Starts
from orbitope.infer.gauge.taking import may_take_up

Fate = Literal["fails", "level", "passes", "taken", "open"]
"""Of shifts in a node: all change the function; those that vary along what it mixes do; they pass, or change it;
likewise, but a parameter may take up what does not depend on the data; it is not known."""

Told = set[Slot | None]
"""The slots of a leaf along which no shift may vary; None where no shift at all may come."""


class Fates:
    """What is known of shifts before they are followed."""

    def __init__(self, reader: Reader) -> None:
        """Backwards through the program: what a value is read by is known before the value is."""
        self.reader = reader
        self._known: dict[str, frozenset[str]] = {}
        self._told: dict[tuple[str, Starts, bool], Told] = {}
        for node in reversed(reader.graph.nodes):
            if node.op == "output":
                continue  # a loss may stand there
            if node.name in reader.events:
                self._learn(node)
                continue
            for name in node.inputs:
                for starts in reader.fields.values[name]:
                    self._tell(name, starts, (True, False), [None])

    def fails(self, value: str, starts: Starts, slots: Collection[Slot]) -> bool:
        """Whether what is added to a leaf of a parameter along these slots certainly changes the function."""
        told = self._told.get((value, starts, False), set())
        return None in told or not told.isdisjoint(slots)

    def _tell(self, value: str, starts: Starts, data: Collection[bool], slots: Collection[Slot | None]) -> None:
        for each in data:
            self._told.setdefault((value, starts, each), set()).update(slots)

    def _learn(self, node: Node) -> None:
        """What one operation says of its operands, from what is known of its value."""
        events = self.reader.events[node.name]
        fates = [self._fate(node, k) for k in range(len(node.inputs))]
        meeting = Counter(event.output.starts for event in events)
        for event in events:
            apart = meeting[event.output.starts] == 1
            for k, met in event.operands.items():
                if fates[k] == "fails":
                    self._tell(met.value, met.starts, (True, False), [None])
                elif fates[k] == "level":
                    mixed = [slot for at, slot in met.slots.items() if at[0] in event.mixed]
                    self._tell(met.value, met.starts, (True, False), mixed)
                elif fates[k] != "open":
                    for data in (True, False) if fates[k] == "passes" else (True,):
                        self._tell(met.value, met.starts, [data], set(self._passed(event, k, data, apart)))

    def _fate(self, node: Node, k: int) -> Fate:
        """What a node does to every shift of one of its operands."""
        if node.op == "softmax":
            return "fails" if node.attributes["kind"] == "log" else "level"
        if node.op == "normalise":
            return "level" if node.attributes["kind"] == "standard" else "fails"
        if node.op in ("contract", "convolve", "gather"):
            return "passes"
        if node.op in ("order", "scan"):
            return "level" if node.op == "order" else "open"
        if (adds(node) or is_comparison(node)) and self._meet_again(node):
            return "open"
        if is_affine(node):
            return "taken" if may_take_up(self.reader, node) else "passes"
        return "passes" if is_product(node, [k]) or self.reader.hides(node, [k]) else "fails"

    def _meet_again(self, node: Node) -> bool:
        """Whether one shift may come to both operands, or to one and be taken up by a parameter in the other."""
        first, second = (self._roots(name) for name in node.inputs)
        return not first.isdisjoint(second)

    def _roots(self, name: str) -> frozenset[str]:
        """A value and those that it is linear in, as far as it alone reads the sums that lie between."""
        if name in self._known:
            return self._known[name]
        found, pending = {name}, [name]
        while pending:
            node = self.reader.graph.node(pending.pop())
            if node.op == "parameter" or not self._is_linear(node):
                continue
            for inner in node.inputs:
                if inner not in found:
                    found.add(inner)
                    if len(self.reader.fields.readers[inner]) == 1 or self.reader.graph.node(inner).op == "contract":
                        pending.append(inner)
        self._known[name] = frozenset(found)
        return self._known[name]

    def _is_linear(self, node: Node) -> bool:
        """Whether a node only moves, adds and orders entries, or multiplies them with parameters or one number."""
        if node.op != "contract" and not is_product(node, [0]):
            return node.op in ("order", "gather") or is_affine(node)
        others = [self.reader.fields.origin(name) for name in node.inputs]
        return any(each.op == "parameter" or (each.op == "constant" and not each.shape) for each in others)

    def _passed(self, event: Event, k: int, data: bool, apart: bool) -> Iterator[Slot | None]:
        """What is known of an operand because shifts pass.

        Args:
            event: one leaf of the operation.
            k: the operand.
            data: whether the shift depends on the data, so that no parameter takes it up.
            apart: whether this leaf of the value is met with once, so that no other leaf can stand for it.
        """
        node, met, out = event.node, event.operands[k], event.output
        beyond = self._told.get((out.value, out.starts, data), set())
        if None in beyond:
            yield None
        averaged = self._is_averaged(event, k)
        if not apart and (averaged or node.op not in ("contract", "convolve", "reduce")):
            return
        yield from (slot for at, slot in met.slots.items() if out.slots.get(at) in beyond)
        if averaged or not (node.op in ("contract", "convolve") or is_product(node, [k])):
            return
        # times what the data decide it varies along every index that the other operand has
        beyond = self._told.get((out.value, out.starts, True), set())
        for j, other in event.operands.items():
            if j == k or self._is_known(event, j, data):
                continue
            if None in beyond:
                yield None
            for at, slot in out.slots.items():
                if at in met.slots and slot in beyond:
                    yield met.slots[at]
                if (at in other.slots or at not in met.slots) and slot in beyond:
                    yield None

    def _is_averaged(self, event: Event, k: int) -> bool:
        """Whether another operand is a softmax, the weights of which let pass what is the same everywhere."""
        return any(self.reader.graph.node(other.value).op == "softmax" for j, other in event.operands.items() if j != k)

    def _is_known(self, event: Event, j: int, data: bool) -> bool:
        """Whether an operand is a number, or entries of a parameter, of which a shift that varies with data is free."""
        other = event.operands[j]
        return self.reader.number(other) is not None or (not data and self.reader.entries(other) is not None)


__all__ = ["Fates"]
