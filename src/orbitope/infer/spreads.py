"""The bias of a norm behind the weights that read it: other biases, added there, can take it up."""

from __future__ import annotations

from collections.abc import Iterable
from string import ascii_letters

from orbitope.graph import Node, labels
from orbitope.infer.chains import Chain, Edge, Lost, Place, Program, long_axes
from orbitope.infer.gain import Gain, Kept, Spread, told


class Spreads:
    """What the biases behind one gain add to those behind the weights."""

    def __init__(self, program: Program, gain: Gain) -> None:
        """Nothing is added yet."""
        self.program = program
        self.gain = gain
        self.summed: dict[Edge, list[Spread]] = {}
        self.homes: dict[str, set[Edge]] = {}

    def add(self, node: Node, j: int, place: Place, bias: str) -> None:
        """A bias of the norm goes on into the bias behind the weights."""
        if bias in self.gain.stays:
            return
        try:
            self._sum_into(node, j, place, bias)
        except Kept as reason:
            self.gain.stays[bias] = str(reason)
        except Lost:
            self.gain.stays[bias] = f"the bias behind {self._weight(node, j)} has other indices"

    def _weight(self, node: Node, j: int) -> str:
        chain = self.program.chain(node.inputs[j])
        if chain is None:
            raise Kept(f"the weights that read it ({told(node)}) are made of several parameters")
        return str(chain.parameter.attributes["parameter"])

    def _sum_into(self, node: Node, j: int, place: Place, bias: str) -> None:
        weight, indexing, a = self._weight(node, j), self.program.indexing(node), node.attributes
        if node.op == "convolve" and (a.get("transposed") or any(a["padding"]) or a["groups"] != 1):
            raise Kept(f"{weight} is a convolution with padding or groups")
        own = {label.name for term in indexing.operands[j] for label in labels(term) if label.size > 1}
        if node.op == "contract" and not {*indexing.mixed} & _long(indexing.operands) <= own:
            raise Kept(f"{weight} lacks an index that is summed over")
        reader, chain, k = self._behind(node, weight)
        if not self.program.is_floating(chain.parameter.attributes["parameter"]):
            raise Lost
        out: dict[int, str] = {}
        for axis in long_axes(chain.parameter.shape):
            size = chain.parameter.shape[axis]
            slot = self.program.along(chain, (axis, 1), size)
            if slot is None:
                raise Lost
            at = self.program.place(indexing.output, slot, size)
            label = next(x for term in indexing.output for x in labels(term) if x.name == at.label)
            if at.stride != 1 or label.size != size:
                raise Lost
            out[axis] = at.label
        free = own - indexing.mixed
        if not free <= set(out.values()) or len(set(out.values())) != len(out):
            raise Lost
        read = [[x.name for x in labels(term) if x.size > 1] for term in indexing.operands[j]]
        if any(len(inner) > 1 for inner in read) or len(node.inputs) != 2:
            raise Lost
        letters = dict(zip(sorted(own), ascii_letters, strict=False))
        left = "".join(letters[inner[0]] for inner in read if inner)
        right = "".join(letters[out[axis]] for axis in sorted(out) if out[axis] in free)
        shape = tuple(n if out.get(axis) in free else 1 for axis, n in enumerate(chain.parameter.shape))
        source = self.program.chain(node.inputs[j])
        assert source is not None
        spread = Spread(source, f"{left},{letters[place.label]}->{right}", place.stride, shape, bias)
        self.summed.setdefault((reader, k), []).append(spread)
        self.homes.setdefault(str(chain.parameter.attributes["parameter"]), set()).add((reader, k))

    def _behind(self, node: Node, weight: str) -> tuple[str, Chain, int]:
        """The sum that adds a parameter to what a node returns, its chain and its operand."""
        value = node
        while True:
            readers = self.program.readers[value.name]
            reader = self.program.node(readers[0][0]) if len(readers) == 1 else None
            if reader is None or reader.op != "pointwise" or reader.attributes["fn"] not in ("add", "identity"):
                raise Kept(f"its consumer {weight} has no bias to take it up")
            if reader.attributes["fn"] == "add":
                k = 1 - readers[0][1]
                chain = self.program.chain(reader.inputs[k])
                if chain is not None:
                    return reader.name, chain, k
            value = reader

    def settle(self) -> None:
        """Each bias behind the weights must take up the same wherever it is read, or the norm's biases stay."""
        for home, edges in self.homes.items():
            chains = [self.program.chain(self.program.node(name).inputs[k]) for name, k in edges]
            values = {value for chain in chains if chain is not None for value in chain.values}
            inner = {edge for chain in chains if chain is not None for edge in chain.edges}
            readings = {edge for value in values for edge in self.program.readers[value]}
            sums = {tuple(sorted(self._keys(self.summed[edge]), key=repr)) for edge in edges}
            added = [spread for edge in edges for spread in self.summed[edge]]
            if readings - inner != edges or len(sums) > 1:
                for spread in added:
                    self.gain.stays.setdefault(spread.bias, f"{home} is not read in one way only")
        for home, edges in self.homes.items():
            first = self.summed[min(edges)]
            self.gain.sums[home] = tuple(first)
        # what goes only half of the way stays altogether
        for name in self.gain.stays:
            self.gain.sums = {
                home: tuple(each for each in sums if each.bias != name) for home, sums in self.gain.sums.items()
            }
        self.gain.sums = {home: sums for home, sums in self.gain.sums.items() if sums}

    def _keys(self, spreads: Iterable[Spread]) -> list[tuple[object, ...]]:
        """What distinguishes sums: the weight by its parameter, which each trace reads by another name."""
        return [
            (each.weight.parameter.name, self._moves(each.weight), each.spec, each.stride, each.bias)
            for each in spreads
        ]

    def _moves(self, chain: Chain) -> str:
        return repr([(n.op, sorted(n.attributes.items())) for n in map(self.program.node, chain.values[1:])])


def _long(operands: Iterable[Iterable[object]]) -> set[str]:
    return {label.name for axes in operands for term in axes for label in labels(term) if label.size > 1}  # type: ignore[arg-type]


__all__ = ["Spreads"]
