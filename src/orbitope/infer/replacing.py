"""Programs of which some parameters are known numbers: as the gains of norms that have been folded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch

from orbitope.graph import Graph, Node
from orbitope.infer.chains import Program, is_view


def constants(graph: Graph, values: Mapping[str, float]) -> Graph:
    """The program with parameters replaced by constants of one number each; their names count as unused.

    Products with one and sums with zero are left out: what is done with a value after a norm is then seen as if there
    were no gain.

    Args:
        graph: a program.
        values: by canonical name.
    """
    held: dict[str, torch.Tensor] = {}
    numbers: dict[str, float] = {}
    program = Program(graph)
    nodes = []
    for node in graph:
        name = str(node.attributes["parameter"]) if node.op == "parameter" else ""
        if name in values:
            numbers[node.name] = values[name]
            held[node.name] = torch.full(node.shape, values[name], dtype=getattr(torch, node.dtype))
            node = Node(node.name, "constant", (), node.shape, node.dtype, {"constant": node.name})
        elif any(x in numbers for x in node.inputs):
            node = _simplified(program, node, numbers)
        nodes.append(node)
    gone = [alias for name in values if name in graph.parameters for alias in graph.parameters[name].names]
    return graph.with_nodes(
        tuple(nodes),
        parameters={name: each for name, each in graph.parameters.items() if name not in values},
        constants={**graph.constants, **held},
        unused=(*graph.unused, *gone),
    )


def _simplified(program: Program, node: Node, numbers: dict[str, float]) -> Node:
    """A node some of whose operands are one number; the numbers learn of its value."""
    if is_view(node):
        numbers[node.name] = numbers[node.inputs[0]]
        return node
    fn = node.attributes["fn"] if node.op == "pointwise" else ""
    if fn not in ("add", "mul"):
        return node
    known = [numbers[name] if name in numbers else program.number(name) for name in node.inputs]
    first, second = known
    if first is not None and second is not None:
        numbers[node.name] = first + second if fn == "add" else first * second
        return node
    k = 1 if second is None else 0
    if known[1 - k] != (0.0 if fn == "add" else 1.0):
        return node
    return replace(node, inputs=(node.inputs[k],), attributes={"fn": "identity"})


__all__ = ["constants"]
