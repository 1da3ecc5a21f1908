"""From the products with a gain to the weights that read them and can take it up."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from heapq import heappop, heappush

from orbitope.graph import Node, labels
from orbitope.infer.chains import Chain, Edge, Lost, Place, Program, Slot, is_view, long_axes
from orbitope.infer.gain import Gain, Kept, told
from orbitope.infer.spreads import Spreads
from orbitope.primitives import PRIMITIVES


@dataclass(frozen=True)
class _Carried:
    """Where the gain's index stands in a value, and which biases have been added."""

    slot: Slot
    biases: tuple[str, ...] = ()


class Walk:
    """From the products with one gain to the weights that read them."""

    def __init__(self, program: Program, gain: Gain) -> None:
        """Not begun."""
        self.program = program
        self.gain = gain
        self.carried: dict[str, _Carried] = {}
        self.taken: set[Edge] = set()
        self.own: dict[str, Slot] = {}  # values on the way of parameters, and the slot of the index there
        self.waiting: list[int] = []
        self.spreads = Spreads(program, gain)
        self.names = list(program.order)

    # beginning -----------------------------------------------------------------------------------------------------
    def start(self, uses: Iterable[tuple[Node, int, Chain, str]]) -> None:
        """Check the gain's own way."""
        if not self.program.is_floating(self.gain.parameter):
            raise Kept(f"{self.gain.parameter} holds whole numbers")
        for node, k, chain, _ in uses:
            axes = long_axes(chain.parameter.shape)
            if len(axes) != 1:
                raise Kept(f"{self.gain.parameter} is not a list of numbers along one index")
            if chain.offset != self.gain.offset:
                raise Kept(f"{self.gain.parameter} is used in two ways")
            slot = self._reach(chain, node, k, (axes[0], 1))
            self._carry(node, _Carried(slot))
        self._complete(self.gain.parameter)

    def _reach(self, chain: Chain, node: Node, k: int, slot: Slot) -> Slot:
        """The slot at the end of a chain, whose readings are ours."""
        found = self.program.along(chain, slot, self.gain.size)
        if found is None:
            raise Lost
        self.taken.update((*chain.edges, (node.name, k)))
        for name in chain.values:
            self.own.setdefault(name, (-1, 0))
        return found

    def _complete(self, parameter: str) -> None:
        for name in self.own:
            for edge in self.program.readers[name]:
                if edge not in self.taken:
                    reader = self.program.node(edge[0])
                    raise Kept(f"{parameter} is also read by {told(reader)}")

    def _carry(self, node: Node, state: _Carried) -> None:
        before = self.carried.setdefault(node.name, state)
        if before != state:
            raise Kept(f"{told(node)} meets it twice")
        for reader, _ in self.program.readers[node.name]:
            heappush(self.waiting, self.program.order[reader])

    # going on ------------------------------------------------------------------------------------------------------
    def run(self) -> None:
        """Follow the products until weights have taken them up."""
        done = -1
        while self.waiting:
            k = heappop(self.waiting)
            if k != done:
                self._step(self.program.node(self.names[k]))
            done = k

    def _step(self, node: Node) -> None:
        if node.op == "output":
            raise Kept("what it multiplies is an output of the network")
        hits = [k for k, name in enumerate(node.inputs) if name in self.carried]
        if self._adds_bias(node, hits):
            return
        behaviour = PRIMITIVES[node.op].behaviour(node)
        degrees = behaviour.homogeneous or (None,) * len(node.inputs)
        linear = behaviour.form in ("affine", "multilinear") and all(degrees[k] == 1 for k in hits)
        if not linear:
            raise Kept(f"what it multiplies is read by {told(node)}, which is not linear")
        if behaviour.form == "multilinear" and len(hits) > 1:
            raise Kept(f"what it multiplies is multiplied with itself by {told(node)}")
        indexing = self.program.indexing(node)
        places = {self.program.place(indexing.operands[k], self._slot(node, k), self.gain.size) for k in hits}
        if len(places) > 1:
            raise Lost
        (place,) = places
        if place.label in indexing.fixed:
            raise Kept(f"what it multiplies is read by {told(node)}, which tells the positions apart")
        if behaviour.form == "affine" and len(hits) < len(node.inputs):
            raise Kept(f"what it multiplies is added to something else by {told(node)}: it is written to the stream")
        if place.label in indexing.mixed:
            self._take_up(node, hits[0], place)
            return
        slot = self.program.slot(indexing.output, place)
        if slot is None:
            raise Lost
        self._carry(node, _Carried(slot, self._still(node, hits)))

    def _slot(self, node: Node, k: int) -> Slot:
        return self.carried[node.inputs[k]].slot

    def _still(self, node: Node, hits: list[int]) -> tuple[str, ...]:
        """The biases that come out of an operation as they went in."""
        states = [self.carried[node.inputs[k]].biases for k in hits]
        every = tuple(dict.fromkeys(name for state in states for name in state))
        fn = node.attributes.get("fn")
        even = (
            is_view(node) or node.op in ("slice", "gather", "pick", "concat") or (node.op == "reduce" and fn == "mean")
        )
        for name in every:
            if not even:
                self.gain.stays.setdefault(name, f"it passes through {told(node)}")
            elif any(name not in state for state in states):
                self.gain.stays.setdefault(name, f"it is not added to all that {told(node)} joins")
        return every

    def _adds_bias(self, node: Node, hits: list[int]) -> bool:
        """The norm's bias: a parameter that is added along the same index."""
        if node.op != "pointwise" or node.attributes["fn"] != "add" or len(hits) != 1:
            return False
        chain = self.program.chain(node.inputs[1 - hits[0]])
        if chain is None or not self.program.is_floating(chain.parameter.attributes["parameter"]):
            return False
        name = chain.parameter.attributes["parameter"]
        axes, state = long_axes(chain.parameter.shape), self.carried[node.inputs[hits[0]]]
        if len(axes) != 1 or chain.parameter.shape[axes[0]] != self.gain.size:
            raise Kept(f"{name} is added to what it multiplies, and has other indices")
        slot = self._reach(chain, node, 1 - hits[0], (axes[0], 1))
        if slot != state.slot:
            raise Lost
        if name not in self.gain.biases:
            self.gain.biases.append(name)
        if name in state.biases:
            raise Kept(f"{name} is added to what it multiplies more than once")
        self._carry(node, _Carried(slot, (*state.biases, name)))
        return True

    # weights -------------------------------------------------------------------------------------------------------
    def _take_up(self, node: Node, k: int, place: Place) -> None:
        indexing = self.program.indexing(node)
        holders = [
            j
            for j, axes in enumerate(indexing.operands)
            if j != k and any(label.name == place.label for term in axes for label in labels(term))
        ]
        if len(holders) != 1:
            raise Kept(f"what it multiplies is read by {told(node)}, which sums over it without weights")
        j = holders[0]
        slot = self.program.slot(indexing.operands[j], place)
        if slot is None:
            raise Lost
        self._absorb(node, j, slot)
        for name in self.carried[node.inputs[k]].biases:
            self.spreads.add(node, j, place, name)

    def _absorb(self, reader: Node, k: int, slot: Slot) -> None:
        """The weight that an operand is takes up the gain along a slot."""
        name = reader.inputs[k]
        node = self.program.node(name)
        self.taken.add((reader.name, k))
        if name in self.program.varying:
            raise Kept(f"what it multiplies is multiplied with another activation by {told(reader)}")
        if self.own.setdefault(name, slot) != slot:
            raise Kept(f"{name} is read along two indices")
        if node.op == "parameter":
            self._enter(node, slot)
            return
        behaviour = PRIMITIVES[node.op].behaviour(node)
        degrees = behaviour.homogeneous or (None,) * len(node.inputs)
        if behaviour.form not in ("affine", "multilinear"):
            raise Kept(f"the weights that read it come from {told(node)}, which is not linear")
        indexing = self.program.indexing(node)
        place = self.program.place(indexing.output, slot, self.gain.size)
        found = [(i, self.program.slot(axes, place)) for i, axes in enumerate(indexing.operands)]
        holders = [(i, at) for i, at in found if at is not None and degrees[i] == 1]
        enough = len(holders) == (len(node.inputs) if behaviour.form == "affine" else 1)
        if not enough or place.label in indexing.mixed | indexing.fixed:
            raise Kept(f"the weights that read it come from {told(node)}, which hides their index")
        for i, at in holders:
            self._absorb(node, i, at)

    def _enter(self, node: Node, slot: Slot) -> None:
        name = node.attributes["parameter"]
        if not self.program.is_floating(name):
            raise Kept(f"{name} cannot be multiplied with it")
        self.gain.takers[name] = slot

    # the end -------------------------------------------------------------------------------------------------------
    def finish(self) -> None:
        """Nothing else may read what changes."""
        if not self.gain.takers:
            raise Kept("nothing reads what it multiplies")
        for name in self.own:
            for edge in self.program.readers[name]:
                if edge not in self.taken:
                    raise Kept(self._also(name, edge))
        self.spreads.settle()

    def _also(self, name: str, edge: Edge) -> str:
        gain = self.gain
        node, reader = self.program.node(name), self.program.node(edge[0])
        if node.op != "parameter":
            return f"the weights that read it are also read by {told(reader)}"
        parameter = self.program.graph.parameters[node.attributes["parameter"]]
        if parameter.name not in gain.takers:
            return f"{parameter.name} is also read by {told(reader)}"
        if reader.op != "gather":
            return f"{parameter.name}, which reads what it multiplies, is also read by {told(reader)}"
        gain.tied = True
        if len(parameter.names) == 1:
            return f"{parameter.name}, which reads what it multiplies, is the embedding too"
        return f"{parameter.names[0]} is tied to {parameter.names[1]}, which reads what it multiplies"


__all__ = ["Walk"]
