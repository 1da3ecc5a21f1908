"""Constant reorderings of units: rolled, reversed, shuffled or permuted axes, taken out of the program.

In ``V · relu(W x)[order]`` every hidden unit may change places with every other: where row ``order[i]`` of ``W`` goes,
column i of ``V`` goes. So the positions of values are written in other orders, value by value, until no reordering is
left to do: here ``W`` is as it was, and the columns of ``V`` are read as they belong to its rows. That is a program of
the same function with parameters, and constants, that are read in an order; its symmetries are found as ever.

Positions may be written in another order wherever no operation tells them apart: that is what an operation promises of
its labels (`graph/index.py`). Each axis of a value has an order, the stored position of each position that is written;
labels tie axes of one order together, and a reordering ties the order of its operand to that of its value. Inputs,
outputs and labels that an operation tells apart keep the order that they have, and so does an axis that is split,
merged or cut. A reordering that cannot be had in this way, as in ``h + roll(h)``, stays where it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch

from orbitope.graph import Graph, Label, Node, Term, labels
from orbitope.infer.reorderings import Order, Reordering, compose, found, inverse
from orbitope.primitives import PRIMITIVES

Place = tuple[str, int]
"""A value and one of its axes."""


def straighten(graph: Graph) -> Graph:
    """The graph without those reorderings that parameters and constants can be read in.

    Guarantee: exact; every entry is read once, by the same operations.
    """
    kept = {each.value: each for each in found(graph)}
    ties = _Ties(graph)
    while kept:
        live = _live(graph, kept)
        orders = ties.solve(live, kept)
        if not isinstance(orders, set):
            return _written(graph, live, kept, orders)
        kept = {name: each for name, each in kept.items() if name not in orders}
    return graph


def _live(graph: Graph, kept: Mapping[str, Reordering]) -> set[str]:
    """The values that are needed once the reorderings are gone, theirs included; what nothing read before stays."""
    read = {name for node in graph for name in node.inputs}
    live = {node.name for node in graph if node.name not in read or node.op in ("parameter", "input")}
    for node in reversed(graph.nodes):
        if node.name in live:
            live.update([kept[node.name].source] if node.name in kept else node.inputs)
    return live


class _Ties:
    """Which axes have one order, and which have one that follows from another's."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.shapes = {node.name: node.shape for node in graph}
        self._bound: dict[str, tuple[list[list[Place]], list[Place]]] = {}

    def solve(self, live: set[str], kept: Mapping[str, Reordering]) -> dict[Place, Order] | set[str]:
        """The order of every axis that has another than its own; or the reorderings that have to stay."""
        same = _Classes()
        pinned: list[Place] = []
        for node in self.graph:
            if node.name in live and node.name not in kept:
                groups, told = self._of(node)
                pinned += told
                for group in groups:
                    same.join(group)
        needed = [each for each in kept.values() if each.value in live]
        for each in needed:
            for axis in range(len(self.shapes[each.value])):
                if axis not in each.orders:
                    same.join([(each.source, axis), (each.value, axis)])
        relations = _Relations({same.find(place) for place in pinned})
        bad: set[str] = set()
        for each in needed:
            for axis, order in each.orders.items():
                if not relations.tie(same.find((each.source, axis)), same.find((each.value, axis)), order):
                    bad.add(each.value)
        if bad:
            return bad
        # equal neighbours in a constant are found as they stand: constants keep their order if they can
        ends = [node for op in ("constant", "parameter") for node in self.graph if node.op == op and node.name in live]
        places = [(node.name, axis) for node in ends for axis in range(len(node.shape))]
        solved = relations.solved([same.find(place) for place in places])
        return {place: solved[same.find(place)] for place in places if same.find(place) in solved}

    def _of(self, node: Node) -> tuple[list[list[Place]], list[Place]]:
        """The axes that one operation gives one order, and those whose positions it tells apart."""
        if node.name not in self._bound:
            self._bound[node.name] = self._bind(node)
        return self._bound[node.name]

    def _bind(self, node: Node) -> tuple[list[list[Place]], list[Place]]:
        own = [(node.name, axis) for axis in range(len(node.shape))]
        if node.op == "parameter":
            return [], []
        if node.op == "constant":
            tensor = self.graph.constants[node.attributes["constant"]]
            return [], own if node.attributes.get("told") or tensor.is_meta else []
        operands = [(name, axis) for name in node.inputs for axis in range(len(self.shapes[name]))]
        shapes = [self.shapes[name] for name in node.inputs]
        if node.op in ("input", "output") or 0 in node.shape or any(0 in shape for shape in shapes):
            return [], own + operands
        indexing = PRIMITIVES[node.op].indexing(node, shapes)
        groups: dict[str, list[Place]] = {}
        told: list[Place] = []
        fixed = set(indexing.fixed)
        terms = [term for axes in (*indexing.operands, indexing.output) for term in axes]
        for place, term in zip(operands + own, terms, strict=True):
            plain = _plain(term)
            if plain is None:
                told.append(place)
                fixed.update(label.name for label in labels(term) if label.size > 1)
            else:
                groups.setdefault(plain.name, []).append(place)
        told += [place for name, group in groups.items() if name in fixed for place in group]
        return list(groups.values()), told


def _plain(term: Term) -> Label | None:
    """The one label that an axis is indexed by."""
    more = [label for label in labels(term) if label.size > 1]
    if isinstance(term, Label):
        return term
    return more[0] if len(more) == 1 and more[0].size == term.size else None


class _Classes:
    """Axes of one order."""

    def __init__(self) -> None:
        self.parent: dict[Place, Place] = {}

    def find(self, place: Place) -> Place:
        """The one that speaks for them all."""
        root = place
        while (above := self.parent.get(root, root)) != root:
            root = above
        while (above := self.parent.get(place, place)) != root and above != place:
            self.parent[place], place = root, above
        return root

    def join(self, places: Sequence[Place]) -> None:
        """Make one class of several."""
        root = self.find(places[0])
        for place in places[1:]:
            self.parent[self.find(place)] = root


class _Relations:
    """Orders of classes, each known in terms of another's: ``order of class = step ∘ order of root``."""

    def __init__(self, pinned: set[Place]) -> None:
        self.pinned = pinned
        self.above: dict[Place, tuple[Place, Order]] = {}
        self.known: dict[Place, Order] = {}
        """Orders of roots that are tied to what keeps its own."""
        self.seen: dict[Place, None] = {}

    def _find(self, place: Place, size: int) -> tuple[Place, Order]:
        step: Order = tuple(range(size))
        while place in self.above:
            place, more = self.above[place]
            step = compose(step, more)
        return place, step

    def tie(self, operand: Place, value: Place, order: Order) -> bool:
        """Let the operand's order be ``order ∘`` the value's; False where it cannot be."""
        for place in (operand, value):
            if place not in self.seen and place in self.pinned:
                self.known[place] = tuple(range(len(order)))
            self.seen[place] = None
        (top, first), (root, second) = self._find(operand, len(order)), self._find(value, len(order))
        second = compose(order, second)
        if top == root:
            return first == second
        step = compose(inverse(first), second)
        if top in self.known and root in self.known:
            if self.known[top] != compose(step, self.known[root]):
                return False
        elif top in self.known:
            self.known[root] = compose(inverse(step), self.known[top])
        self.above[top] = root, step
        return True

    def solved(self, firsts: Sequence[Place]) -> dict[Place, Order]:
        """The orders of all classes; where nothing keeps its own, the first of these does."""
        size = {place: len(step) for place, (_, step) in self.above.items()}
        size |= {root: len(step) for root, step in self.above.values()}
        for place in (each for each in firsts if each in self.seen and each in size):
            root, step = self._find(place, size[place])
            self.known.setdefault(root, inverse(step))
        found: dict[Place, Order] = {}
        for place in (each for each in self.seen if each in size):
            root, step = self._find(place, size[place])
            found[place] = compose(step, self.known[root]) if root in self.known else step
        return found


def _written(graph: Graph, live: set[str], kept: Mapping[str, Reordering], orders: Mapping[Place, Order]) -> Graph:
    """The graph with parameters and constants read in these orders."""
    parameters, constants = dict(graph.parameters), dict(graph.constants)
    nodes: list[Node] = []
    for node in graph:
        if node.name not in live or node.name in kept:
            continue
        turned = {axis: orders[node.name, axis] for axis in range(len(node.shape)) if (node.name, axis) in orders}
        turned = {axis: order for axis, order in turned.items() if order != tuple(range(len(order)))}
        if turned and node.op == "parameter":
            name = node.attributes["parameter"]
            parameters[name] = replace(parameters[name], orders=turned)
        elif turned and node.op == "constant":
            tensor = constants[node.attributes["constant"]]
            for axis, order in turned.items():
                tensor = tensor.index_select(axis, torch.tensor(order, device=tensor.device))
            constants[f"{node.name} in order"] = tensor
            node = replace(node, attributes={**node.attributes, "constant": f"{node.name} in order"})
        inputs = tuple(_source(name, kept) for name in node.inputs)
        nodes.append(node if inputs == node.inputs else replace(node, inputs=inputs))
    return graph.with_nodes(tuple(nodes), parameters=parameters, constants=constants)


def _source(name: str, kept: Mapping[str, Reordering]) -> str:
    while name in kept:
        name = kept[name].source
    return name


__all__ = ["straighten"]
