"""From leaves to outputs: the law applied along a graph for one choice of variables, and where it breaks."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from heapq import heappop, heappush
from math import prod

import torch

from orbitope.curvature.curves import Curve, bridged, curves
from orbitope.curvature.law import FINE, depends, derive
from orbitope.curvature.state import State
from orbitope.graph import Graph, Node

ENTRIES, FEW = 1 << 24, 1 << 12
"""A program whose values have more entries in all is followed value by value, but for values of few entries."""


def _data(value: torch.Tensor, shape: tuple[int, ...]) -> State:
    """The signs that an input's entries have in every sample."""
    if tuple(value.shape) == shape:
        return State.values(value)
    return State.fixed((value >= 0).all(0, keepdim=True), (value <= 0).all(0, keepdim=True))


@dataclass(frozen=True)
class Program:
    """The program of the losses, and what its leaves hold.

    Attributes:
        graph: for one sample, or for all where they mix.
        parameters: values by canonical name; of those on the meta device only shapes are known.
        data: for each input all samples ``[N, …]``; of those that are missing nothing is known.
        nonnegative: names of missing inputs of which it is known that no entry is negative.
    """

    graph: Graph
    parameters: Mapping[str, torch.Tensor]
    data: Mapping[str, torch.Tensor]
    nonnegative: frozenset[str] = field(default_factory=frozenset)

    @cached_property
    def fine(self) -> int:
        """Values of more entries are followed as wholes: one flag for all of their entries."""
        total = sum(prod(node.shape) for node in self.graph)
        return FINE if total <= ENTRIES else FEW

    @cached_property
    def same(self) -> Mapping[str, str]:
        """For every node the first that is the same expression: ``(x − t)·(x − t)`` is a square, however written."""
        first: dict[object, str] = {}
        same: dict[str, str] = {}
        for node in self.graph:
            inputs = tuple(same[name] for name in node.inputs)
            key = (node.op, inputs, node.shape, node.dtype, self._attributes(node))
            same[node.name] = node.name if node.op == "opaque" else first.setdefault(key, node.name)
        return same

    def _attributes(self, node: Node) -> str:
        """What else tells nodes apart; a constant is its value, not its name."""
        value = self.graph.constants[node.attributes["constant"]] if node.op == "constant" else None
        if value is not None and value.numel() == 1 and not value.is_meta:
            return repr(value.item())
        return repr(sorted(node.attributes.items()))

    @cached_property
    def nodes(self) -> Mapping[str, Node]:
        """By name and in order, one of each expression."""
        same = self.same
        return {
            node.name: replace(node, inputs=tuple(same[name] for name in node.inputs))
            for node in self.graph
            if same[node.name] == node.name
        }

    @cached_property
    def place(self) -> Mapping[str, int]:
        """The number of each node in the order of the program."""
        return {name: k for k, name in enumerate(self.nodes)}

    @cached_property
    def readers(self) -> Mapping[str, tuple[str, ...]]:
        """The nodes that read each value."""
        found: dict[str, dict[str, None]] = {name: {} for name in self.nodes}
        for name, node in self.nodes.items():
            for x in node.inputs:
                found[x][name] = None
        return {name: tuple(users) for name, users in found.items()}

    @cached_property
    def values(self) -> Mapping[str, torch.Tensor]:
        """What is known exactly and is real: parameters, constants and, sample by sample, the data."""
        return {name: value for name, node in self.nodes.items() if (value := self._value(node)) is not None}

    def _value(self, node: Node) -> torch.Tensor | None:
        match node.op:
            case "parameter":
                value = self.parameters.get(node.attributes["parameter"])
            case "constant":
                value = self.graph.constants[node.attributes["constant"]]
            case "input":
                value = self.data.get(node.attributes["input"])
            case _:
                return None
        return None if value is None or value.is_meta or value.is_complex() else value.detach().cpu()

    @cached_property
    def held(self) -> dict[str, State]:
        """Every value when nothing varies: its sign, for every sample."""
        states: dict[str, State] = {}
        for name, node in self.nodes.items():
            states[name] = self._derived(name, states) if node.inputs else self._leaf(name, node)
        return states

    def _leaf(self, name: str, node: Node) -> State:
        value = self.values.get(name)
        if value is None:
            known = node.op == "input" and node.attributes["input"] in self.nonnegative
            return State.unsigned(node.shape, nonnegative=known, whole=prod(node.shape) > self.fine)
        state = _data(value, node.shape) if node.op == "input" else State.values(value)
        return state.gathered() if state.size > self.fine else state

    def _derived(self, name: str, states: Mapping[str, State]) -> State:
        node = self.nodes[name]
        return self._joined(name, derive(node, [states[x] for x in node.inputs], self.fine), states)

    def _joined(self, name: str, state: State, states: Mapping[str, State]) -> State:
        """With what is known of the function of one number that entry-wise operations make together."""
        curve = self.curves.get(name)
        if curve is None or curve.root not in states:
            return state
        return curve.joined(state, states[curve.root])

    @cached_property
    def curves(self) -> Mapping[str, Curve]:
        """The values that are functions of single numbers, by several operations."""
        return curves(self.nodes, self.values)

    @cached_property
    def _bridged(self) -> frozenset[str]:
        """Values on the way of such a function."""
        return bridged(self.nodes, self.curves)

    def leaves(self, parameters: Iterable[str]) -> frozenset[str]:
        """The nodes that stand for these parameters."""
        return frozenset(name for parameter in parameters for name in self._parameters.get(parameter, ()))

    @cached_property
    def _parameters(self) -> Mapping[str, list[str]]:
        found: dict[str, list[str]] = {}
        for name, node in self.nodes.items():
            if node.op == "parameter":
                found.setdefault(node.attributes["parameter"], []).append(name)
        return found

    def before(self, target: str) -> frozenset[str]:
        """A node and everything that it is computed from."""
        if target not in self._before:
            self._before[target] = frozenset(ancestors(self.nodes, target))
        return self._before[target]

    @cached_property
    def _before(self) -> dict[str, frozenset[str]]:
        return {}

    def walk(self, variables: frozenset[str], target: str, *, whole: bool = False) -> Walk:
        """Everything that depends on the variables, on the way to the target.

        Args:
            variables: names of leaf nodes.
            target: the node whose curvature is asked.
            whole: go on after a value of which no entry has a curvature. Otherwise the walk stops there: what
                follows could restore it only by multiplying it by exact zeros, and that is not looked for.
        """
        path = self.before(target)
        states: dict[str, State] = {}
        known = ChainMap(states, self.held)
        stopped = None
        for name in self._dependents(variables & path, path):
            node = self.nodes[name]
            if name in variables:
                states[name] = State.variable(node.shape, whole=prod(node.shape) > self.fine)
                continue
            states[name] = self._derived(name, known)
            if states[name].blind and not whole and name not in self._bridged:
                stopped = name
                break
        return Walk(self, variables, target, states, stopped)

    def _dependents(self, start: Iterable[str], path: frozenset[str]) -> Iterator[str]:
        """Nodes that depend on some, these included, in the order of the program."""
        names = list(self.nodes)
        heap = sorted(self.place[name] for name in start)
        seen = set(heap)
        while heap:
            name = names[heappop(heap)]
            yield name
            for reader in self.readers[name]:
                k = self.place[reader]
                if k not in seen and reader in path:
                    seen.add(k)
                    heappush(heap, k)


def ancestors(nodes: Mapping[str, Node], target: str, within: Mapping[str, object] | None = None) -> set[str]:
    """A node and everything that it is computed from, as far as that is ``within``."""
    found: set[str] = set()
    stack = [target]
    while stack:
        name = stack.pop()
        if name not in found and (within is None or name in within):
            found.add(name)
            stack.extend(nodes[name].inputs)
    return found


@dataclass(frozen=True)
class Walk:
    """What is proved of every value that depends on the variables.

    Attributes:
        program: the program.
        variables: leaf nodes that vary.
        target: the node whose curvature was asked.
        states: by name, in order; constants are not among them.
        stopped: the node at which nothing was left to follow, or None.
    """

    program: Program
    variables: frozenset[str]
    target: str
    states: Mapping[str, State]
    stopped: str | None

    def state(self, name: str) -> State:
        """What is proved of a value, constant or not."""
        return self.states.get(name) or self.program.held[name]

    def operands(self, name: str) -> list[State]:
        """The states of a node's operands."""
        return [self.state(x) for x in self.program.nodes[name].inputs]

    @property
    def result(self) -> State:
        """What is proved of the target."""
        if self.stopped is not None and self.target not in self.states:
            return State.nothing(self.program.nodes[self.target].shape, whole=True)
        return self.state(self.target)

    @cached_property
    def broken(self) -> str | None:
        """The innermost node at which curvature is lost that the target needs, None where it is not lost.

        Of several the first in the order of the program.
        """
        last = self.target if self.target in self.states else self.stopped or self.target
        if not bool(self.state(last).unknown.any()):
            return None
        found: set[str] = set()
        seen: set[str] = set()
        stack = [last]
        while stack:
            name = stack.pop()
            if name in seen:
                continue
            seen.add(name)
            lost = self._lost_before(name)
            stack.extend(lost)
            if not lost:
                found.add(name)
        return min(found, key=lambda name: self.program.place[name])

    def _lost_before(self, name: str) -> list[str]:
        """Operands with entries of no curvature on which some entry of this node depends."""
        node, operands = self.program.nodes[name], self.operands(name)
        return [
            x
            for k, x in enumerate(node.inputs)
            if bool(operands[k].unknown.any()) and bool(self._depends(node, operands, k))
        ]

    def _depends(self, node: Node, operands: list[State], k: int) -> bool:
        if any(x.extent is not None for x in operands):
            return True
        return bool(depends(node, operands, k, operands[k].unknown).any())
