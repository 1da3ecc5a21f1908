"""From leaves to outputs: the law applied along a graph for one choice of variables, and where it breaks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import torch

from orbitope.curvature.law import depends, derive
from orbitope.curvature.state import State
from orbitope.graph import Graph, Node


def _data(value: torch.Tensor, shape: tuple[int, ...]) -> State:
    """The signs that an input's entries have in every sample."""
    if tuple(value.shape) == shape:
        return State.values(value)
    return State.fixed((value >= 0).all(0, keepdim=True), (value <= 0).all(0, keepdim=True))


@dataclass(frozen=True)
class Program:
    """The program of one sample's loss, and what its leaves hold.

    Attributes:
        graph: for one sample.
        parameters: values by canonical name.
        data: for each input all samples ``[N, …]``.
    """

    graph: Graph
    parameters: Mapping[str, torch.Tensor]
    data: Mapping[str, torch.Tensor]

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
        if value is not None and value.numel() == 1:
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
    def values(self) -> Mapping[str, torch.Tensor]:
        """What is known exactly: parameters, constants and, sample by sample, the data."""
        return {name: value for name, node in self.nodes.items() if (value := self._value(node)) is not None}

    def _value(self, node: Node) -> torch.Tensor | None:
        match node.op:
            case "parameter":
                return self.parameters[node.attributes["parameter"]].detach().cpu()
            case "constant":
                return self.graph.constants[node.attributes["constant"]].detach().cpu()
            case "input":
                return self.data[node.attributes["input"]].detach().cpu()
            case _:
                return None

    @cached_property
    def held(self) -> Mapping[str, State]:
        """Every value when nothing varies: its sign, for every sample."""
        states: dict[str, State] = {}
        for name, node in self.nodes.items():
            if node.op == "input":
                states[name] = _data(self.values[name], node.shape)
            elif name in self.values:
                states[name] = State.values(self.values[name])
            else:
                states[name] = derive(node, [states[x] for x in node.inputs])
        return states

    def leaves(self, parameters: Iterable[str]) -> frozenset[str]:
        """The nodes that stand for these parameters."""
        wanted = set(parameters)
        return frozenset(n for n, node in self.nodes.items() if node.attributes.get("parameter") in wanted)

    def before(self, target: str) -> frozenset[str]:
        """A node and everything that it is computed from."""
        found: set[str] = set()
        stack = [target]
        while stack:
            name = stack.pop()
            if name not in found:
                found.add(name)
                stack.extend(self.nodes[name].inputs)
        return frozenset(found)

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
        stopped = None
        for name, node in self.nodes.items():
            if name in variables:
                states[name] = State.variable(node.shape)
            elif name in path and any(x in states for x in node.inputs):
                states[name] = derive(node, [states.get(x) or self.held[x] for x in node.inputs])
                if states[name].blind and not whole:
                    stopped = name
                    break
        return Walk(self, variables, target, states, stopped)


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
            return State.nothing(self.program.nodes[self.target].shape)
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
        return next(name for name in self.states if name in found)

    def _lost_before(self, name: str) -> list[str]:
        """Operands with entries of no curvature on which some entry of this node depends."""
        node, operands = self.program.nodes[name], self.operands(name)
        return [
            x
            for k, x in enumerate(node.inputs)
            if bool(operands[k].unknown.any()) and bool(depends(node, operands, k, operands[k].unknown).any())
        ]
