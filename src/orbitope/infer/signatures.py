"""What each value of a graph is computed from, as numbers: equal for values of one structure.

Parameters count by shape and dtype only, slices by their length only; inputs count by identity, constants by value.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch

from orbitope.graph import Graph, Node


@dataclass(frozen=True)
class Signature:
    """The structure of one value.

    Attributes:
        number: equal for values of one structure.
        varies: whether the value depends on any input.
        learned: whether it depends on any parameter.
    """

    number: int
    varies: bool
    learned: bool


def signatures(graph: Graph, held: Callable[[str], bool], exact: bool = False) -> dict[str, Signature]:
    """The signature of every value; a parameter that must not move stands for itself.

    Args:
        graph: the program.
        held: whether a parameter (by canonical name) must not move.
        exact: tell apart where slices begin: with all parameters held, values of one signature are then equal.
    """
    numbers: dict[Any, int] = {}
    found: dict[str, Signature] = {}
    for node in graph:
        key = _key(graph, node, found, held)
        key = (key, _begins(node)) if exact else key
        varies = node.op == "input" or any(found[name].varies for name in node.inputs)
        learned = node.op == "parameter" or any(found[name].learned for name in node.inputs)
        found[node.name] = Signature(numbers.setdefault(key, len(numbers)), varies, learned)
    return found


def _key(graph: Graph, node: Node, found: dict[str, Signature], held: Callable[[str], bool]) -> Any:
    if node.op == "parameter":
        parameter = graph.parameters[node.attributes["parameter"]]
        if held(parameter.name) or node.attributes.get("frozen"):
            return node.name
        return "parameter", node.shape, node.dtype, parameter.trainable, len(parameter.members)
    if node.op == "constant":
        told = node.attributes.get("told", False)
        return (
            "constant",
            told,
            node.dtype,
            node.shape,
            _digest(graph.constants[node.attributes["constant"]], node.name),
        )
    if node.op in ("input", "output"):
        return node.name
    return node.op, node.dtype, node.shape, _settings(node), tuple(found[name].number for name in node.inputs)


def _settings(node: Node) -> Any:
    """All settings but where a slice begins."""
    if node.op == "opaque":
        return node.name  # a call that is not understood is equal to itself only
    settings = dict(node.attributes)
    if node.op == "slice":
        settings["start"] = settings["stop"] = None
    if node.op == "map":
        inner = settings.pop("inner")
        return inner.op, _settings(inner), repr(settings)
    return repr(sorted(settings.items()))


def _begins(node: Node) -> Any:
    return _begins(node.attributes["inner"]) if node.op == "map" else node.attributes.get("start")


def shared(graph: Graph) -> Graph:
    """The graph with every value computed once: a router that each expert's loop computes anew is one router."""
    mark = signatures(graph, lambda _: True, exact=True)
    first: dict[int, str] = {}
    nodes = []
    for node in graph:
        inputs = tuple(first[mark[name].number] for name in node.inputs)
        if first.setdefault(mark[node.name].number, node.name) == node.name or node.op == "output":
            nodes.append(node if inputs == node.inputs else replace(node, inputs=inputs))
    outputs = tuple(first[mark[name].number] for name in graph.outputs)
    return graph.with_nodes(tuple(nodes), outputs=outputs)


def _digest(tensor: torch.Tensor, name: str) -> Any:
    """Of the entries, bit by bit; repeated entries once."""
    if tensor.is_meta:
        return name
    for axis, stride in enumerate(tensor.stride()):
        if stride == 0 and tensor.shape[axis]:
            tensor = tensor.narrow(axis, 0, 1)
    # a copy: a single repeated entry counts as contiguous, and still has stride 0
    data = torch.empty(tensor.shape, dtype=tensor.dtype).copy_(tensor.detach().resolve_conj().resolve_neg())
    return hashlib.blake2b(data.reshape(-1).view(torch.uint8).numpy().tobytes() if data.numel() else b"").digest()
