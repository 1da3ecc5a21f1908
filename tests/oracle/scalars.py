"""Networks written out scalar by scalar, and the number of automorphisms of the graph that they make.

A network is a function over numpy arrays. On arrays of :class:`Scalar` it records one node for each value that it
computes; equal nodes are one. Sums and products are n-ary and unordered. Nothing here knows axes or rules: which
permutations of parameters keep the graph is all there is to know.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
Key = tuple[Any, ...]


@dataclass
class Recorder:
    """Nodes by what they are: an operation and its operands, in order of their numbers where order is nothing."""

    keys: list[Key] = field(default_factory=list)
    numbers: dict[Key, int] = field(default_factory=dict)

    def node(self, label: Any, *operands: int) -> Scalar:
        """The node of that description, made once."""
        key = (label, *operands)
        if key not in self.numbers:
            self.numbers[key] = len(self.keys)
            self.keys.append(key)
        return Scalar(self, self.numbers[key])

    def array(self, name: str, shape: Sequence[int], apart: bool) -> Array:
        """Leaves; ``apart`` says that they are inputs, which are all told apart."""
        found = np.empty(tuple(shape), dtype=object)
        for place in np.ndindex(*shape):
            found[place] = self.leaf(name, place, apart)
        return found

    def leaf(self, name: str, place: tuple[int, ...], apart: bool) -> Scalar:
        """One leaf; a parameter's leaves differ by number and not by label."""
        return self.node(("input", name, place) if apart else ("parameter", name), *(() if apart else (-1, *place)))

    def combined(self, label: str, parts: Sequence[Scalar]) -> Scalar:
        """A sum or a product, with those inside it written out."""
        operands: list[int] = []
        for part in parts:
            key = self.keys[part.number]
            operands += key[1:] if key[0] == label else [part.number]
        return self.node(label, *sorted(operands))


@dataclass(frozen=True, eq=False)
class Scalar:
    """One value."""

    recorder: Recorder
    number: int

    def _number(self, other: Any) -> Scalar:
        return other if isinstance(other, Scalar) else self.recorder.node(("constant", float(other)))

    def __add__(self, other: Any) -> Scalar:
        return (
            self if isinstance(other, int) and other == 0 else self.recorder.combined("+", [self, self._number(other)])
        )

    def __mul__(self, other: Any) -> Scalar:
        return self.recorder.combined("*", [self, self._number(other)])

    def __sub__(self, other: Any) -> Scalar:
        return self + self._number(other) * -1.0

    def __truediv__(self, other: Any) -> Scalar:
        return self * apply("reciprocal", self._number(other))

    __radd__, __rmul__ = __add__, __mul__


FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "relu": lambda x: np.maximum(x, 0),
    "tanh": np.tanh,
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "exp": np.exp,
    "sqrt": np.sqrt,
    "reciprocal": lambda x: 1 / x,
}


def apply(name: str, x: Any) -> Any:
    """A function of one variable, entry by entry."""
    if isinstance(x, Scalar):
        return x.recorder.node(name, x.number)
    if x.dtype != object:
        return FUNCTIONS[name](x)
    return np.vectorize(lambda entry: apply(name, entry), otypes=[object])(x)


def total(x: Array, axis: int) -> Array:
    """A sum along an axis that stays, as one node with many operands."""
    return x.sum(axis=axis, keepdims=True)


def softmax(x: Array) -> Array:
    """Along the last axis."""
    e = apply("exp", x)
    return e / total(e, -1)


@dataclass(frozen=True)
class Scalars:
    """The recorded graph.

    Attributes:
        labels: of the nodes.
        children: of the nodes; parameters have none.
        parameters: the nodes that may move.
    """

    labels: list[Any]
    children: list[tuple[int, ...]]
    parameters: list[int]


def written_out(function: Callable[..., Array], shapes: Mapping[str, Sequence[int]], x: Array) -> Scalars:
    """The graph of a function of parameters and of one input array, whose entries (integers stay) are told apart."""
    recorder = Recorder()
    params = {name: recorder.array(name, shape, apart=False) for name, shape in shapes.items()}
    given = x if x.dtype.kind == "i" else recorder.array("x", x.shape, apart=True)
    results = [value.number for value in np.asarray(function(params, given)).flatten()]
    outputs = [recorder.node(("output", k), number).number for k, number in enumerate(results)]
    # sums are built up term by term: what nothing reads in the end is left out
    kept = sorted(_reached(recorder, outputs))
    place = {number: k for k, number in enumerate(kept)}
    keys = [recorder.keys[number] for number in kept]
    leaves = [k for k, key in enumerate(keys) if key[0][0] == "parameter"]
    children = [() if key[0][0] == "parameter" else tuple(place[operand] for operand in key[1:]) for key in keys]
    return Scalars([key[0] for key in keys], children, leaves)


def _reached(recorder: Recorder, outputs: list[int]) -> set[int]:
    found: set[int] = set()
    waiting = list(outputs)
    while waiting:
        number = waiting.pop()
        key = recorder.keys[number]
        if number not in found:
            found.add(number)
            waiting += () if key[0][0] == "parameter" else key[1:]
    return found


def automorphisms(graph: Scalars) -> int:
    """How many permutations of the parameters' entries extend to the whole graph: orbit by orbit, exactly."""
    search = _Search(graph)
    colours, count = search.refined(search.start), 1
    while (cell := search.cell(colours)) is not None:
        first = cell[0]
        count *= sum(search.maps(colours, first, other) for other in cell)
        colours = search.refined(search.marked(colours, first))
    return count


class _Search:
    """Refinement of colours, the same names for the same surroundings throughout."""

    def __init__(self, graph: Scalars) -> None:
        self.graph = graph
        self.names: dict[Any, int] = {}
        self.parents: list[list[int]] = [[] for _ in graph.labels]
        for node, operands in enumerate(graph.children):
            for operand in operands:
                self.parents[operand].append(node)
        self.start = [self.name(label) for label in graph.labels]

    def name(self, what: Any) -> int:
        return self.names.setdefault(what, len(self.names))

    def refined(self, colours: list[int]) -> list[int]:
        count = len(set(colours))
        while True:
            colours = [
                self.name(
                    (
                        colour,
                        tuple(sorted([colours[k] for k in self.graph.children[node]])),
                        tuple(sorted([colours[k] for k in self.parents[node]])),
                    )
                )
                for node, colour in enumerate(colours)
            ]
            if len(set(colours)) == count:
                return colours
            count = len(set(colours))

    def marked(self, colours: list[int], node: int) -> list[int]:
        return [self.name(("marked", c)) if k == node else c for k, c in enumerate(colours)]

    def cell(self, colours: list[int]) -> list[int] | None:
        """Parameters of one colour, the smallest such set of more than one."""
        cells: dict[int, list[int]] = {}
        for node in self.graph.parameters:
            cells.setdefault(colours[node], []).append(node)
        several = [cell for cell in cells.values() if len(cell) > 1]
        return min(several, key=len) if several else None

    def maps(self, colours: list[int], first: int, second: int) -> bool:
        """Whether an automorphism that keeps these colours takes one parameter to the other."""
        return first == second or any(self._matches(self.marked(colours, first), self.marked(colours, second)))

    def _matches(self, left: list[int], right: list[int]) -> Iterator[bool]:
        left, right = self.refined(left), self.refined(right)
        if Counter(left) != Counter(right):
            return
        cell = self.cell(left)
        if cell is None:
            yield self._is_automorphism(left, right)
            return
        partners = [node for node in self.graph.parameters if right[node] == left[cell[0]]]
        for partner in partners:
            yield from self._matches(self.marked(left, cell[0]), self.marked(right, partner))

    def _is_automorphism(self, left: list[int], right: list[int]) -> bool:
        target = {colour: node for node, colour in enumerate(right)}
        image = [target[colour] for colour in left]
        return len(set(image)) == len(image) and all(
            sorted(image[k] for k in operands) == sorted(self.graph.children[image[node]])
            for node, operands in enumerate(self.graph.children)
        )
