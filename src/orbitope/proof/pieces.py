"""The programs that a proof evaluates: an objective's own with weight decay, and without what is multiplied by zero."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from string import ascii_lowercase

import torch

from orbitope.frontends.builder import Builder, Value
from orbitope.graph import Graph
from orbitope.objective import Objective
from orbitope.proof.pruning import prune


@dataclass(frozen=True)
class Pieces:
    """F, block by block."""

    objective: Objective
    _made: dict[tuple[int, frozenset[str]], Graph] = field(default_factory=dict)

    def program(self, samples: int, off: frozenset[str] = frozenset()) -> tuple[Graph, dict[str, torch.Tensor]]:
        """The program of the losses of so many samples, weight decay added to each, and its data for all samples.

        Args:
            samples: in a block.
            off: names of parameters that are zero at every point of interest.
        """
        objective = self.objective
        graph, data = objective.program(samples)
        key = (samples, off)
        if key not in self._made:
            if objective.weight_decay:
                graph = _decayed(graph, objective.weight_decay, objective.variables)
            self._made[key] = prune(graph, off)
        return self._made[key], data

    def blocks(
        self, samples: int | None = None, off: frozenset[str] = frozenset()
    ) -> Iterator[tuple[Graph, dict[str, torch.Tensor]]]:
        """Programs and data of all blocks, of all samples or of the first ones."""
        for block in self.objective.blocks(samples):
            graph, data = self.program(block.stop - block.start, off)
            yield graph, {name: data[name][block] for name in graph.inputs}


def _decayed(graph: Graph, rate: float, names: tuple[str, ...]) -> Graph:
    """The program with rate/2 times the sum of the squares of some parameters added to every loss."""
    end = graph.node(graph.outputs[0])
    b = Builder(execute=False)
    b.nodes = [node for node in graph if node.op != "output"]
    b.constants = dict(graph.constants)
    b.reserve(node.name for node in graph)
    b.place = replace(b.place, name="decay", module="weight decay")
    losses = Value(end.inputs[0], end.shape, getattr(torch, end.dtype))
    squares = list(_squares(b, graph, names))
    total = squares[0]
    for square in squares[1:]:
        total = b.pointwise("add", total, square)
    half = b.constant(torch.tensor(rate / 2, dtype=torch.float64))
    summed = b.pointwise("add", losses, b.broadcast(b.pointwise("mul", total, half), losses.shape))
    out = b.emit("output", (summed,), summed.shape, stem="output:decayed")
    return replace(graph, nodes=tuple(b.nodes), outputs=(out.name,), constants=b.constants)


def _squares(b: Builder, graph: Graph, names: tuple[str, ...]) -> Iterator[Value]:
    for node in graph:
        if node.op == "parameter" and node.attributes["parameter"] in names:
            value = Value(node.name, node.shape, getattr(torch, node.dtype))
            letters = ascii_lowercase[: len(node.shape)]
            yield b.emit("contract", (value, value), (), spec=f"{letters},{letters}->")


def decay(objective: Objective, point: Mapping[str, torch.Tensor]) -> float:
    """What weight decay adds at a point, in float64."""
    if not objective.weight_decay:
        return 0.0
    return objective.weight_decay / 2 * sum(float(point[n].double().square().sum()) for n in objective.variables)
