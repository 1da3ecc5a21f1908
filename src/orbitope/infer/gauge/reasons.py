"""Why rotations of an index that norms act on are no symmetries: one sentence for each such index.

A norm sees lengths only, so that orthogonal matrices could act on the stream that it reads. What most often hides them
is a gain; whether that can be folded into the weights behind it is part of the answer.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from functools import cached_property

from orbitope.graph import Graph, Node
from orbitope.infer.chains import Program
from orbitope.infer.gains import Gain, gains
from orbitope.infer.gauge.events import Event
from orbitope.infer.gauge.fields import Fields
from orbitope.infer.gauge.leaves import LabelSlot
from orbitope.infer.joint import unmarked
from orbitope.infer.words import Atom


def reasons(graph: Graph, fields: Fields, turning: Collection[Atom | None]) -> tuple[str, ...]:
    """What reduces O(n), for every index that norms act on and that matrices do not.

    Args:
        graph: the program.
        fields: of kind ``orthogonal``.
        turning: indices along which matrices act.
    """
    found = _Reasons(graph, fields)
    lines = []
    for atom, norms in found.streams.items():
        if atom in turning or atom.size < 2:
            continue
        left = "permutations" if any(_subtracts(node) for node in norms) else "signed permutations"
        left = left if atom.fixed is None else "fewer"
        what = "the residual stream" if found.passes(atom) else f"what {_name(norms[0])} normalises"
        lines.append(f"O({atom.size}) of {what} reduced to {left} by {found.cause(atom)}")
    return tuple(dict.fromkeys(lines))


class _Reasons:
    def __init__(self, graph: Graph, fields: Fields) -> None:
        self.graph = graph
        self.fields = fields
        self.program = Program(graph)

    @cached_property
    def gains(self) -> Mapping[str, Gain]:
        """By name; worked out only if one is in the way."""
        return {gain.parameter: gain for gain in gains(self.graph)}

    @cached_property
    def at(self) -> dict[Atom, list[tuple[Event, LabelSlot]]]:
        """Where every index is met."""
        found: dict[Atom, list[tuple[Event, LabelSlot]]] = {}
        for event in self.fields.events:
            places = {at: a for met in (*event.operands.values(), event.output) for at, a in met.atoms.items()}
            for at, atom in places.items():
                found.setdefault(atom, []).append((event, at))
        return found

    @cached_property
    def streams(self) -> dict[Atom, list[Node]]:
        """Indices along which norms take lengths, and these norms."""
        found: dict[Atom, list[Node]] = {}
        for event in self.fields.events:
            for at, atom in event.output.atoms.items():
                axis = event.output.slots[at][0]
                if self._is_norm(event.node, axis) and event.node.shape[axis] == atom.size:
                    found.setdefault(atom, []).append(event.node)
        return found

    def _is_norm(self, node: Node, axis: int) -> bool:
        if node.op == "normalise":
            return axis in node.attributes["axes"]
        return self._is_square(node, axis)

    def _is_square(self, node: Node, axis: int) -> bool:
        """Whether a node makes squares that are summed along an axis."""
        a = node.attributes
        if node.op != "pointwise" or not (
            (a["fn"] == "power" and a["exponent"] == 2) or (a["fn"] == "mul" and len(set(node.inputs)) == 1)
        ):
            return False
        readers = [self.graph.node(name) for name, _ in self.program.readers[node.name]]
        return bool(readers) and all(r.op == "reduce" and axis in r.attributes["axes"] for r in readers)

    def passes(self, atom: Atom) -> bool:
        """Whether an index is carried past layers and added to what these compute."""
        for event, _ in self.at.get(atom, ()):
            node = event.node
            adds = node.op == "pointwise" and node.attributes["fn"] == "add" and len(set(node.inputs)) == 2
            if adds and all(name in self.program.varying for name in node.inputs):
                return True
        return False

    def cause(self, atom: Atom) -> str:
        """What is in the way: a gain that can be folded only if there is nothing else."""
        foldable = ""
        for event, at in self.at.get(atom, ()):
            if not self._breaks(event, at):
                continue
            gain = self._gain(event.node)
            if gain is None or gain.kept:
                return unmarked(self._told(event.node, gain))
            foldable = foldable or f"the gain {gain.parameter}; fold it"
        return foldable or unmarked(self._end(atom))

    def _breaks(self, event: Event, at: LabelSlot) -> bool:
        """Whether matrices may not pass an operation along an index."""
        node, mixed = event.node, at[0] in event.mixed
        holders = [met for met, _ in event.passing if at in met.slots]
        if not holders or node.op == "normalise" or self._is_square(node, holders[0].slots[at][0]):
            return False
        if not event.linear:
            return True
        if not mixed:
            return len(holders) > 1
        return at in event.output.slots

    def _gain(self, node: Node) -> Gain | None:
        return next((self.gains[name] for name in self._parameters(node) if name in self.gains), None)

    def _parameters(self, node: Node) -> Iterator[str]:
        for name in node.inputs:
            chain = self.program.chain(name, offsets=True)
            if chain is not None:
                yield str(chain.parameter.attributes["parameter"])

    def _told(self, node: Node, gain: Gain | None) -> str:
        if gain is not None and gain.tied:
            return f"the tied embedding: the gain {gain.parameter} cannot be folded, as {gain.kept}"
        if gain is not None:
            return f"the gain {gain.parameter}, which cannot be folded: {gain.kept}"
        name = next(self._parameters(node), None)
        if name is not None:
            return f"{name}, which multiplies it entry by entry ({node.place})"
        return f"{node.target or node.op}, which acts on its entries one by one ({node.place})"

    def _end(self, atom: Atom) -> str:
        if atom.fixed is not None:
            return f"this: {atom.fixed.text}"
        for node in self.graph:
            if node.op == "output" and self._stands_in(atom, node.inputs[0]):
                return "an output, which it is an index of"
        return "a parameter that must not change, or a sum that tells its positions apart"

    def _stands_in(self, atom: Atom, name: str) -> bool:
        return any(factor is atom for word in self.fields.axes(name) for factor in word)


def _subtracts(node: Node) -> bool:
    """Whether a norm subtracts the mean, which does not let single signs pass."""
    return node.op == "normalise" and node.attributes["kind"] == "standard"


def _name(node: Node) -> str:
    return node.module or node.name


__all__ = ["reasons"]
