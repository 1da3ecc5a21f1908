"""The gains and biases of normalisations, and the weights behind them that can take them up.

A gain is a parameter that multiplies what a normalisation returns. It can be multiplied into the weights that read the
product, if whatever lies between treats its index entry by entry, and if nothing else reads these weights. All of this
is read off the index terms of the operations; what is not understood stays as it is, with the reason.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from heapq import heappop, heappush
from string import ascii_letters

import torch

from orbitope.graph import Graph, Node, labels
from orbitope.infer.chains import Chain, Edge, Lost, Place, Program, Slot, is_view, long_axes
from orbitope.primitives import PRIMITIVES

ROOTS = frozenset({"sqrt", "rsqrt", "reciprocal", "power", "maximum", "clamp"})
"""Functions between the mean of squares and the number that a norm divides by."""


class Kept(Exception):
    """A gain that must stay, and why, in one sentence."""


@dataclass(frozen=True)
class Spread:
    """What a norm's bias adds behind a weight: ``einsum(spec, weight, bias)`` in a shape.

    Attributes:
        weight: the weight's parameter and what becomes of it before it is used.
        spec: of the weight without its axes of one position, and of the bias, of which position ``i`` of the index that
            is summed over meets entry ``i // stride % n``.
        stride: along the summed index.
        shape: that of the sum, which is added to the parameter that takes it up.
        bias: the norm's bias.
    """

    weight: Chain
    spec: str
    stride: int
    shape: tuple[int, ...]
    bias: str


@dataclass
class Gain:
    """One gain.

    Attributes:
        parameter: its canonical name.
        size: how many numbers it is.
        kind: of the normalisation, ``standard`` or ``rms``.
        offset: what is added to it before it is multiplied.
        takers: the weights that can take it up, and the slot of its index there.
        biases: parameters that are added behind it.
        sums: of the biases that can be taken up by those of the weights, what each of these then adds.
        kept: why it cannot be folded; empty where it can be.
        stays: for biases that cannot be folded, why.
        tied: whether it cannot be folded because a weight that reads it is an embedding too.
    """

    parameter: str
    size: int
    kind: str = "rms"
    offset: float = 0.0
    takers: dict[str, Slot] = field(default_factory=dict)
    biases: list[str] = field(default_factory=list)
    sums: dict[str, tuple[Spread, ...]] = field(default_factory=dict)
    kept: str = ""
    stays: dict[str, str] = field(default_factory=dict)
    tied: bool = False

    @property
    def reduced(self) -> str:
        """What is left of the rotations of its index where it stays because of a tied embedding."""
        left = "permutations" if self.kind == "standard" else "signed permutations"
        return f"O({self.size}) reduced to {left} by the tied embedding"


def gains(graph: Graph) -> list[Gain]:
    """The gains of all normalisations of a program."""
    program = Program(graph)
    found: dict[str, list[tuple[Node, int, Chain, str]]] = {}
    for node in graph:
        for k, chain, kind in _products(program, node):
            found.setdefault(chain.parameter.attributes["parameter"], []).append((node, k, chain, kind))
    if graph.decisions and graph.unread:
        why = f"{next(iter(graph.unread))}, which these inputs did not reach, may read what it multiplies"
        return [Gain(name, max(uses[0][2].parameter.shape, default=1), kept=why) for name, uses in found.items()]
    return [_judged(program, name, uses) for name, uses in found.items()]


def _products(program: Program, node: Node) -> Iterator[tuple[int, Chain, str]]:
    """Where a node multiplies a normalised value with a parameter: the parameter's operand, its chain, the norm."""
    if node.op != "pointwise" or node.attributes["fn"] != "mul":
        return
    for k in (0, 1):
        kind = norm(program, node.inputs[1 - k])
        chain = program.chain(node.inputs[k], offsets=True) if kind else None
        if kind and chain is not None:
            yield k, chain, kind


def norm(program: Program, name: str) -> str:
    """Whether a value is what a normalisation returns: ``standard``, ``rms``, or empty."""
    node = program.node(name)
    while is_view(node):
        node = program.node(node.inputs[0])
    if node.op == "normalise":
        return str(node.attributes["kind"])
    if node.op != "pointwise" or node.attributes["fn"] not in ("mul", "div"):
        return ""
    x = _viewed(program, node.inputs[0])
    divisor = node.attributes["fn"] == "div"
    pairs = (
        [(x, node.inputs[1])] if divisor else [(x, node.inputs[1]), (_viewed(program, node.inputs[1]), node.inputs[0])]
    )
    return "rms" if any(_is_length(program, other, x) for x, other in pairs) else ""


def _viewed(program: Program, name: str) -> str:
    node = program.node(name)
    while is_view(node):
        node = program.node(node.inputs[0])
    return node.name


def _is_length(program: Program, name: str, x: str) -> bool:
    """Whether a value is a function of the mean square of another."""
    node = program.node(name)
    while node.op != "reduce":
        if is_view(node) or (node.op == "pointwise" and node.attributes["fn"] in ROOTS and len(node.inputs) == 1):
            node = program.node(node.inputs[0])
            continue
        if node.op != "pointwise" or node.attributes["fn"] not in ("add", "mul", "div", "maximum"):
            return False
        rest = [other for other in node.inputs if program.number(other) is None]
        if len(rest) != 1:
            return False
        node = program.node(rest[0])
    square = program.node(_viewed(program, node.inputs[0]))
    if square.op != "pointwise" or node.attributes["fn"] not in ("mean", "sum"):
        return False
    squares = square.attributes["fn"] == "power" and square.attributes["exponent"] == 2
    squares |= square.attributes["fn"] == "mul" and len(set(square.inputs)) == 1
    return squares and _viewed(program, square.inputs[0]) == x


def _judged(program: Program, name: str, uses: Iterable[tuple[Node, int, Chain, str]]) -> Gain:
    uses = list(uses)
    node = uses[0][2].parameter
    gain = Gain(name, max(node.shape, default=1), uses[0][3], uses[0][2].offset)
    walk = _Walk(program, gain)
    try:
        walk.start(uses)
        walk.run()
        walk.finish()
    except Kept as reason:
        gain.kept = str(reason)
    except Lost:
        gain.kept = f"the index of {name} is split or cut before the weights that read it"
    if gain.kept:
        gain.takers, gain.sums = {}, {}
    return gain


@dataclass(frozen=True)
class _Carried:
    """Where the gain's index stands in a value, and which biases have been added."""

    slot: Slot
    biases: tuple[str, ...] = ()


class _Walk:
    """From the products with one gain to the weights that read them."""

    def __init__(self, program: Program, gain: Gain) -> None:
        self.program = program
        self.gain = gain
        self.carried: dict[str, _Carried] = {}
        self.taken: set[Edge] = set()
        self.own: dict[str, Slot] = {}  # values on the way of parameters, and the slot of the index there
        self.waiting: list[int] = []
        self.summed: dict[Edge, list[Spread]] = {}
        self.homes: dict[str, set[Edge]] = {}
        self.names = list(program.order)

    # beginning -----------------------------------------------------------------------------------------------------
    def start(self, uses: Iterable[tuple[Node, int, Chain, str]]) -> None:
        """Check the gain's own way."""
        if not self._is_floating(self.gain.parameter):
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
                    raise Kept(f"{parameter} is also read by {_told(reader)}")

    def _carry(self, node: Node, state: _Carried) -> None:
        before = self.carried.setdefault(node.name, state)
        if before != state:
            raise Kept(f"{_told(node)} meets it twice")
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
            raise Kept(f"what it multiplies is read by {_told(node)}, which is not linear")
        if behaviour.form == "multilinear" and len(hits) > 1:
            raise Kept(f"what it multiplies is multiplied with itself by {_told(node)}")
        indexing = self.program.indexing(node)
        places = {self.program.place(indexing.operands[k], self._slot(node, k), self.gain.size) for k in hits}
        if len(places) > 1:
            raise Lost
        (place,) = places
        if place.label in indexing.fixed:
            raise Kept(f"what it multiplies is read by {_told(node)}, which tells the positions apart")
        if behaviour.form == "affine" and len(hits) < len(node.inputs):
            raise Kept(f"what it multiplies is added to something else by {_told(node)}: it is written to the stream")
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
                self.gain.stays.setdefault(name, f"it passes through {_told(node)}")
            elif any(name not in state for state in states):
                self.gain.stays.setdefault(name, f"it is not added to all that {_told(node)} joins")
        return every

    def _adds_bias(self, node: Node, hits: list[int]) -> bool:
        """The norm's bias: a parameter that is added along the same index."""
        if node.op != "pointwise" or node.attributes["fn"] != "add" or len(hits) != 1:
            return False
        chain = self.program.chain(node.inputs[1 - hits[0]])
        if chain is None or not self._is_floating(chain.parameter.attributes["parameter"]):
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
            raise Kept(f"what it multiplies is read by {_told(node)}, which sums over it without weights")
        j = holders[0]
        slot = self.program.slot(indexing.operands[j], place)
        if slot is None:
            raise Lost
        self._absorb(node, j, slot)
        for name in self.carried[node.inputs[k]].biases:
            self._sum(node, j, place, name)

    def _absorb(self, reader: Node, k: int, slot: Slot) -> None:
        """The weight that an operand is takes up the gain along a slot."""
        name = reader.inputs[k]
        node = self.program.node(name)
        self.taken.add((reader.name, k))
        if name in self.program.varying:
            raise Kept(f"what it multiplies is multiplied with another activation by {_told(reader)}")
        if self.own.setdefault(name, slot) != slot:
            raise Kept(f"{name} is read along two indices")
        if node.op == "parameter":
            self._enter(node, slot)
            return
        behaviour = PRIMITIVES[node.op].behaviour(node)
        degrees = behaviour.homogeneous or (None,) * len(node.inputs)
        if behaviour.form not in ("affine", "multilinear"):
            raise Kept(f"the weights that read it come from {_told(node)}, which is not linear")
        indexing = self.program.indexing(node)
        place = self.program.place(indexing.output, slot, self.gain.size)
        found = [(i, self.program.slot(axes, place)) for i, axes in enumerate(indexing.operands)]
        holders = [(i, at) for i, at in found if at is not None and degrees[i] == 1]
        enough = len(holders) == (len(node.inputs) if behaviour.form == "affine" else 1)
        if not enough or place.label in indexing.mixed | indexing.fixed:
            raise Kept(f"the weights that read it come from {_told(node)}, which hides their index")
        for i, at in holders:
            self._absorb(node, i, at)

    def _enter(self, node: Node, slot: Slot) -> None:
        name = node.attributes["parameter"]
        if not self._is_floating(name):
            raise Kept(f"{name} cannot be multiplied with it")
        self.gain.takers[name] = slot

    def _is_floating(self, name: str) -> bool:
        parameter = self.program.graph.parameters[name]
        return getattr(torch, parameter.dtype).is_floating_point and not parameter.members and not parameter.orders

    # the norm's bias -----------------------------------------------------------------------------------------------
    def _sum(self, node: Node, j: int, place: Place, bias: str) -> None:
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
            raise Kept(f"the weights that read it ({_told(node)}) are made of several parameters")
        return str(chain.parameter.attributes["parameter"])

    def _sum_into(self, node: Node, j: int, place: Place, bias: str) -> None:
        weight, indexing, a = self._weight(node, j), self.program.indexing(node), node.attributes
        if node.op == "convolve" and (a.get("transposed") or any(a["padding"]) or a["groups"] != 1):
            raise Kept(f"{weight} is a convolution with padding or groups")
        own = {label.name for term in indexing.operands[j] for label in labels(term) if label.size > 1}
        if node.op == "contract" and not {*indexing.mixed} & _long(indexing.operands) <= own:
            raise Kept(f"{weight} lacks an index that is summed over")
        reader, chain, k = self._behind(node, weight)
        if not self._is_floating(chain.parameter.attributes["parameter"]):
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

    # the end -------------------------------------------------------------------------------------------------------
    def finish(self) -> None:
        """Nothing else may read what changes."""
        if not self.gain.takers:
            raise Kept("nothing reads what it multiplies")
        for name in self.own:
            for edge in self.program.readers[name]:
                if edge not in self.taken:
                    raise Kept(self._also(name, edge))
        self._settle_biases()

    def _also(self, name: str, edge: Edge) -> str:
        gain = self.gain
        node, reader = self.program.node(name), self.program.node(edge[0])
        if node.op != "parameter":
            return f"the weights that read it are also read by {_told(reader)}"
        parameter = self.program.graph.parameters[node.attributes["parameter"]]
        if parameter.name not in gain.takers:
            return f"{parameter.name} is also read by {_told(reader)}"
        if reader.op != "gather":
            return f"{parameter.name}, which reads what it multiplies, is also read by {_told(reader)}"
        gain.tied = True
        if len(parameter.names) == 1:
            return f"{parameter.name}, which reads what it multiplies, is the embedding too"
        return f"{parameter.names[0]} is tied to {parameter.names[1]}, which reads what it multiplies"

    def _settle_biases(self) -> None:
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


def _told(node: Node) -> str:
    """A node in a sentence."""
    name = node.target or node.op
    return f"{name} ({node.place})"


__all__ = ["Gain", "Spread", "gains", "norm"]
