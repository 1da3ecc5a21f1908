"""A program without what is multiplied by zero: where whole parameters are zero, most of it may be left out."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

import torch

from orbitope.graph import Graph, Node

MOVES = frozenset({"reshape", "transpose", "broadcast", "slice", "gather", "reduce"})
KEEP_ZERO = frozenset({"identity", "neg", "relu", "abs", "leaky_relu", "tanh", "gelu", "silu", "erf", "sin", "elu"})
"""Functions that are zero at zero."""


def zeros(point: Mapping[str, torch.Tensor]) -> frozenset[str]:
    """Names of the parameters all of whose entries are zero."""
    return frozenset(name for name, tensor in point.items() if not bool(tensor.any()))


def prune(graph: Graph, names: Collection[str]) -> Graph:
    """The same function of the other parameters, where some are zero.

    Args:
        graph: a program.
        names: of the parameters that are zero.

    Guarantee: exact in real numbers, if every operation that is left out is defined wherever the others are.
    """
    if not names:
        return graph
    zero: set[str] = set()
    constants = dict(graph.constants)
    nodes: list[Node] = []
    for node in graph:
        if _is_zero(node, zero, names):
            zero.add(node.name)
            constants[f"{node.name}:zero"] = torch.zeros((), dtype=torch.float64).expand(node.shape)
            nodes.append(replace(node, op="constant", inputs=(), attributes={"constant": f"{node.name}:zero"}))
        else:
            nodes.append(_without(node, zero, graph))
    needed, kept = set(graph.outputs), []
    for node in reversed(nodes):
        if node.name in needed:
            needed.update(node.inputs)
            kept.append(node)
    read = {node.attributes["constant"] for node in kept if node.op == "constant"}
    return replace(
        graph, nodes=tuple(reversed(kept)), constants={name: t for name, t in constants.items() if name in read}
    )


def _is_zero(node: Node, zero: Collection[str], names: Collection[str]) -> bool:
    """Whether a value is zero everywhere."""
    if node.op == "parameter":
        return node.attributes["parameter"] in names
    if not node.inputs or node.op == "output":
        return False
    some = [name in zero for name in node.inputs]
    if node.op in ("contract", "convolve"):
        return any(some)
    if node.op in MOVES:
        return some[0] and node.attributes.get("fn") in (None, "sum", "mean")
    if node.op != "pointwise":
        return False
    fn = node.attributes["fn"]
    if fn == "mul":
        return any(some)
    return all(some) and (fn in KEEP_ZERO or fn in ("add", "sub"))


def _without(node: Node, zero: Collection[str], graph: Graph) -> Node:
    """A sum without a part that is zero."""
    if node.op != "pointwise" or node.attributes["fn"] not in ("add", "sub"):
        return node
    x, y = node.inputs
    left = x if y in zero else y if x in zero and node.attributes["fn"] == "add" else None
    if left is None or graph.node(left).shape != node.shape:
        return node
    return replace(node, inputs=(left,), attributes={"fn": "identity"})
