"""What a program computes from constants and data alone, computed beforehand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch

from orbitope.arithmetic import TorchArithmetic
from orbitope.errors import DataError
from orbitope.frontends.programs import is_random, reachable
from orbitope.graph import Graph, Node
from orbitope.primitives import evaluate, rebatch, sample_axes
from orbitope.primitives.batching import Spot

Tensors = Mapping[str, torch.Tensor]


def split_data(
    graph: Graph, inputs: Tensors, *, whole: bool = False, blocks: Sequence[slice] = (), held: Tensors | None = None
) -> tuple[Graph, dict[str, torch.Tensor]]:
    """The program without the part of it that depends on no parameter.

    Broadcasts at the end of that part stay in the program: they would only make constants and data larger.

    Args:
        graph: a program for two or more samples; for all of them if ``whole``.
        inputs: for each of its inputs all samples, samples first.
        whole: whether samples mix, so that the program is one for all samples only.
        blocks: how the samples are cut up where the data part is evaluated; all at once by default.
        held: parameters that count as constants.

    Returns:
        The program, for as many samples, of nodes that depend on parameters, inputs, constants and broadcasts of these
        two; and for each of its inputs all samples ``[N, …]``.

    Raises:
        DataError: a value that the data decide has no axis of samples.

    Guarantee: numeric: the part is evaluated by torch, in float64 where it is floating. What follows is about the
        program that is returned.
    """
    return _Split(graph, inputs, whole, tuple(blocks), held or {}).run()


@dataclass
class _Split:
    graph: Graph
    inputs: Tensors
    whole: bool
    blocks: tuple[slice, ...]
    held: Tensors
    nodes: dict[str, list[Node]] = field(default_factory=dict)
    constants: dict[str, torch.Tensor] = field(default_factory=dict)
    data: dict[str, torch.Tensor] = field(default_factory=dict)
    spots: Mapping[str, Spot] = field(default_factory=dict)

    def run(self) -> tuple[Graph, dict[str, torch.Tensor]]:
        known, varies = self._known()
        kept = [node for node in self.graph if node.name not in known]
        wanted = dict.fromkeys(x for node in kept for x in node.inputs if x in known)
        spread: list[str] = []
        for name in wanted:
            while self.graph.node(name).op == "broadcast":
                spread.append(name)
                name = self.graph.node(name).inputs[0]
            self.nodes.setdefault(name, [])
        self.spots = {} if self.whole else sample_axes(self.graph, dict.fromkeys(self.graph.inputs, 0))
        self._constants([name for name in self.nodes if name not in varies])
        self._data([name for name in self.nodes if name in varies])
        stay = {*spread, *(node.name for node in kept)}
        nodes: list[Node] = []
        for node in self.graph:
            nodes += self.nodes.get(node.name, [node] if node.name in stay else [])
        nodes = reachable(nodes, self.graph.outputs, ())
        inputs = tuple(node.name for node in nodes if node.op == "input")
        graph = self.graph.with_nodes(
            tuple(nodes),
            inputs=inputs,
            constants={node.name: self.constants[node.name] for node in nodes if node.op == "constant"},
            parameters={
                name: p
                for name, p in self.graph.parameters.items()
                if any(node.attributes.get("parameter") == name for node in nodes if node.op == "parameter")
            },
        )
        return graph, {name: self.data[name] for name in inputs}

    def _known(self) -> tuple[set[str], set[str]]:
        """The nodes that no parameter decides, and those among them that data do."""
        known: set[str] = set()
        varies: set[str] = set()
        for node in self.graph:
            if node.op == "output" or _drawn(node):
                continue
            held = node.op == "parameter" and node.attributes["parameter"] in self.held
            if held or (node.op != "parameter" and all(name in known for name in node.inputs)):
                known.add(node.name)
                if node.op == "input" or not varies.isdisjoint(node.inputs):
                    varies.add(node.name)
        return known, varies

    def _values(self, graph: Graph, names: Sequence[str], inputs: Tensors) -> tuple[torch.Tensor, ...]:
        arithmetic = TorchArithmetic(torch.float64)
        part = tuple(reachable(list(graph.nodes), names, ()))
        lifted = {name: arithmetic.lift(tensor) for name, tensor in inputs.items()}
        held = {name: arithmetic.lift(tensor) for name, tensor in self.held.items()}
        with torch.no_grad():
            return evaluate(graph.with_nodes(part, outputs=tuple(names)), arithmetic, held, lifted)

    def _constants(self, names: Sequence[str]) -> None:
        for name, value in zip(names, self._values(self.graph, names, {}), strict=True):
            self._constant(self.graph.node(name), value)

    def _constant(self, node: Node, value: torch.Tensor) -> None:
        """A constant; what is the same for all samples is one sample's, broadcast."""
        own = self.graph.constants[node.attributes["constant"]] if node.op == "constant" else value.detach().clone()
        held = replace(node, op="constant", inputs=(), attributes={"constant": node.name})
        axis, inner = self.spots.get(node.name, (0, 0))
        if inner != 1:
            self.constants[node.name], self.nodes[node.name] = own, [held]
            return
        name = self._fresh(f"{node.name}.one")
        self.constants[name] = own.narrow(axis, 0, 1)
        shape = {"shape": list(node.shape)}
        self.nodes[node.name] = [
            replace(held, name=name, shape=tuple(self.constants[name].shape), attributes={"constant": name}),
            replace(node, op="broadcast", inputs=(name,), attributes=shape),
        ]

    def _fresh(self, name: str) -> str:
        while name in self.graph.by_name:
            name += "'"
        return name

    def _data(self, names: Sequence[str]) -> None:
        if self.whole:
            for name, value in zip(names, self._values(self.graph, names, self.inputs), strict=True):
                node = self.graph.node(name)
                if value.dim() and value.shape[0] == self._count:
                    self._input(node, value, 0, 1)
                else:
                    self._constant(node, value)
            return
        spots = self.spots
        if lost := [name for name in names if name not in spots]:
            raise DataError(
                "a value that the data decide has no axis of samples",
                at=self.graph.node(lost[0]).place,
                why="it cannot be computed beforehand for all samples",
            )
        parts: list[tuple[torch.Tensor, ...]] = []
        for block in self.blocks or (slice(0, self._count),):
            size = block.stop - block.start
            graph = rebatch(self.graph, dict.fromkeys(self.graph.inputs, 0), size)
            given = {name: tensor[block] for name, tensor in self.inputs.items()}
            values = self._values(graph, names, given)
            parts.append(tuple(_first(v, *spots[name]) for name, v in zip(names, values, strict=True)))
        for name, found in zip(names, zip(*parts, strict=True), strict=True):
            node = self.graph.node(name)
            whole = self.inputs[name] if node.op == "input" else torch.cat(found)
            self._input(node, whole, *spots[name])

    @property
    def _count(self) -> int:
        return len(next(iter(self.inputs.values())))

    def _input(self, node: Node, value: torch.Tensor, axis: int, inner: int) -> None:
        """An input of the program, samples first, and the nodes that put its axes where they were."""
        if not axis and inner == 1:
            self.data[node.name] = value
            self.nodes[node.name] = [replace(node, op="input", inputs=(), attributes={"input": node.name})]
            return
        name = self._fresh(f"{node.name}.data")
        self.data[name] = value
        samples = node.shape[axis] // inner
        shape = (samples, *value.shape[1:])
        found = [replace(node, name=name, op="input", inputs=(), shape=shape, attributes={"input": name})]
        back = (*range(1, axis + 1), 0, *range(axis + 1, len(shape)))
        if axis:
            moved = tuple(shape[k] for k in back)
            last = node.name if inner == 1 else f"{name}.moved"
            attributes = {"permutation": list(back)}
            found.append(replace(node, name=last, op="transpose", inputs=(name,), shape=moved, attributes=attributes))
        if inner > 1:
            attributes = {"shape": list(node.shape)}
            found.append(replace(node, op="reshape", inputs=(found[-1].name,), attributes=attributes))
        self.nodes[node.name] = found


def _first(value: torch.Tensor, axis: int, inner: int) -> torch.Tensor:
    """The value with its samples first, each with what belongs to it."""
    split = value.unflatten(axis, (value.shape[axis] // inner, inner)) if inner > 1 else value
    return split.movedim(axis, 0)


def _drawn(node: Node) -> bool:
    return node.op == "opaque" and is_random(node.attributes["call"]["function"])
