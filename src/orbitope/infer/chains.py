"""How an index travels through a program one operation at a time, and how parameters reach the operations they serve.

A *slot* is an axis of a value and a stride along it: an index of ``n`` positions stands there if position ``i`` of the
axis belongs to position ``i // stride % n`` of the index.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch

from orbitope.graph import Axes, Graph, Indexing, Label, Node, Product, Sum, Term
from orbitope.primitives import PRIMITIVES

Slot = tuple[int, int]
"""An axis, and a stride along it."""
Edge = tuple[str, int]
"""A node, and the position of one of its operands: one reading of a value."""

VIEWS = frozenset({"reshape", "transpose", "broadcast"})


class Lost(Exception):
    """An index that cannot be followed through an operation."""


@dataclass(frozen=True)
class Place:
    """Where an index stands in the terms of one operation: a label, and a stride within it."""

    label: str
    stride: int


@dataclass(frozen=True)
class Chain:
    """A parameter and what becomes of it before it is used.

    Attributes:
        parameter: its node.
        values: the names of all values from the parameter to the one that is used.
        edges: for each of these but the last, the edge to the next.
        offset: a number that is added to every entry on the way.
    """

    parameter: Node
    values: tuple[str, ...]
    edges: tuple[Edge, ...]
    offset: float = 0.0


class Program:
    """A graph with its readers, and the laws by which indices travel through it."""

    def __init__(self, graph: Graph) -> None:
        """Of a lowered program."""
        self.graph = graph
        self._indexings: dict[str, Indexing] = {}

    @cached_property
    def readers(self) -> dict[str, list[Edge]]:
        """For each value every reading of it."""
        found: dict[str, list[Edge]] = {node.name: [] for node in self.graph}
        for node in self.graph:
            for k, name in enumerate(node.inputs):
                found[name].append((node.name, k))
        return found

    @cached_property
    def varying(self) -> frozenset[str]:
        """Values that depend on the inputs."""
        found: set[str] = set()
        for node in self.graph:
            if node.op == "input" or any(name in found for name in node.inputs):
                found.add(node.name)
        return frozenset(found)

    @cached_property
    def order(self) -> dict[str, int]:
        """Positions of the nodes."""
        return {node.name: k for k, node in enumerate(self.graph)}

    def node(self, name: str) -> Node:
        """The node of that name."""
        return self.graph.node(name)

    def indexing(self, node: Node) -> Indexing:
        """The answer of its primitive."""
        if node.name not in self._indexings:
            shapes = [self.node(name).shape for name in node.inputs]
            self._indexings[node.name] = PRIMITIVES[node.op].indexing(node, shapes)
        return self._indexings[node.name]

    # indices -------------------------------------------------------------------------------------------------------
    def place(self, axes: Axes, slot: Slot, size: int) -> Place:
        """Where an index stands among terms.

        Raises:
            Lost: it is cut, or split over several labels.
        """
        label, stride = _label(axes[slot[0]], slot[1])
        if label.size % (stride * size):
            raise Lost
        return Place(label.name, stride)

    def slot(self, axes: Axes, place: Place) -> Slot | None:
        """The slot that a place has among terms; None where its label is not there.

        Raises:
            Lost: it is there twice, or cut.
        """
        found = [(k, stride) for k, term in enumerate(axes) for stride in _strides(term, place.label)]
        if len(found) > 1:
            raise Lost
        return (found[0][0], found[0][1] * place.stride) if found else None

    # parameters ----------------------------------------------------------------------------------------------------
    def is_floating(self, name: str) -> bool:
        """Whether a parameter is one tensor of floating-point numbers, by its canonical name."""
        parameter = self.graph.parameters[name]
        return getattr(torch, parameter.dtype).is_floating_point and not parameter.members and not parameter.orders

    def chain(self, name: str, offsets: bool = False) -> Chain | None:
        """The parameter that a value is a view of; with ``offsets`` also of a parameter plus a number."""
        values, edges, offset = [name], [], 0.0
        node = self.node(name)
        while node.op != "parameter":
            k = 0
            if not is_view(node):
                found = self._plus_number(node) if offsets else None
                if found is None:
                    return None
                k, number = found
                offset += number
            edges.insert(0, (node.name, k))
            node = self.node(node.inputs[k])
            values.insert(0, node.name)
        return Chain(node, tuple(values), tuple(edges), offset)

    def _plus_number(self, node: Node) -> tuple[int, float] | None:
        """Of a sum with a number: the other operand, and the number."""
        if node.op != "pointwise" or node.attributes["fn"] != "add":
            return None
        for k in (0, 1):
            number = self.number(node.inputs[1 - k])
            if number is not None:
                return k, number
        return None

    def number(self, name: str) -> float | None:
        """The number that all entries of a constant are; None for any other value."""
        node = self.node(name)
        while is_view(node):
            node = self.node(node.inputs[0])
        if node.op != "constant":
            return None
        tensor = self.graph.constants[node.attributes["constant"]]
        if tensor.is_meta or not tensor.numel() or tensor.dtype in (torch.bool, torch.complex64, torch.complex128):
            return None
        first = tensor.flatten()[0]
        return float(first) if bool((tensor == first).all()) else None

    def along(self, chain: Chain, slot: Slot, size: int) -> Slot | None:
        """The slot that an index of a parameter has at the end of its chain.

        Raises:
            Lost: it cannot be followed.
        """
        for name, k in chain.edges:
            indexing = self.indexing(self.node(name))
            found = self.slot(indexing.output, self.place(indexing.operands[k], slot, size))
            if found is None:
                return None
            slot = found
        return slot


def is_view(node: Node) -> bool:
    """Whether a node changes no number."""
    return node.op in VIEWS or (node.op == "pointwise" and node.attributes["fn"] in ("identity", "real"))


def long_axes(shape: Sequence[int]) -> list[int]:
    """The axes with more than one position."""
    return [axis for axis, size in enumerate(shape) if size > 1]


def _label(term: Term, stride: int) -> tuple[Label, int]:
    match term:
        case Label():
            return term, stride
        case Sum():
            raise Lost
        case Product(factors=factors):
            below = 1
            for factor in reversed(factors):
                if stride < below * factor.size:
                    if stride % below:
                        raise Lost
                    return _label(factor, stride // below)
                below *= factor.size
            raise Lost


def _strides(term: Term, label: str) -> list[int]:
    """With which strides a label stands in a term."""
    match term:
        case Label(name=name):
            return [1] if name == label else []
        case Sum(segments=segments):
            if any(_strides(segment, label) for segment in segments):
                raise Lost
            return []
        case Product(factors=factors):
            found, below = [], 1
            for factor in reversed(factors):
                found += [stride * below for stride in _strides(factor, label)]
                below *= factor.size
            return found


__all__ = ["VIEWS", "Chain", "Edge", "Lost", "Place", "Program", "Slot", "is_view", "long_axes"]
