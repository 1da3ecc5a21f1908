"""Running statistics that exchanged channels do not share are absorbed into gain and shift.

Batch normalisation in evaluation mode is ``(x − μ)/√(σ² + ε)·γ + β``. For given μ and σ² the map
``γ' = γ·√(1 + ε)/√(σ² + ε)``, ``β' = β − γ·μ/√(σ² + ε)`` is linear and invertible in (γ, β) and leads to the same
function with μ = 0 and σ² = 1. A linear change of variables keeps convexity, so what is proved of the changed program
holds of the model with its own statistics too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch

from orbitope.graph import Graph, Node


@dataclass(frozen=True)
class Normalisation:
    """The parameters of one batch normalisation, by canonical name."""

    mean: str
    variance: str
    eps: float
    gain: str
    shift: str

    @property
    def vectors(self) -> tuple[str, ...]:
        """The four parameters that a change of variables changes."""
        return self.mean, self.variance, self.gain, self.shift


def normalisations(graph: Graph) -> list[Normalisation]:
    """Every ``sub μ, div √(σ² + ε), mul γ, add β`` of a graph whose four vectors nothing else reads."""
    found = []
    readers: dict[str, list[Node]] = {}
    for node in graph:
        for name in node.inputs:
            readers.setdefault(name, []).append(node)
    for node in graph:
        if node.op == "pointwise" and node.attributes["fn"] == "sub":
            match = _match(graph, readers, node)
            if match is not None and all(_private(graph, readers, name) for name in match.vectors):
                found.append(match)
    return found


def _match(graph: Graph, readers: Mapping[str, list[Node]], centred: Node) -> Normalisation | None:
    mean = _vector(graph, centred.inputs[1])
    divided = _only(readers, centred, "div")
    if mean is None or divided is None:
        return None
    root = _behind(graph, divided.inputs[1])
    shifted = graph.node(root.inputs[0]) if _is(root, "sqrt") else None
    if shifted is None or not _is(shifted, "add"):
        return None
    variance, eps = _vector(graph, shifted.inputs[0]), _behind(graph, shifted.inputs[1])
    scaled = _only(readers, divided, "mul")
    moved = _only(readers, scaled, "add") if scaled is not None else None
    if variance is None or eps.op != "constant" or scaled is None or moved is None:
        return None
    gain, shift = _vector(graph, scaled.inputs[1]), _vector(graph, moved.inputs[1])
    if gain is None or shift is None:
        return None
    return Normalisation(mean, variance, graph.constants[eps.attributes["constant"]].item(), gain, shift)


def _is(node: Node, fn: str) -> bool:
    return node.op == "pointwise" and node.attributes["fn"] == fn


def _only(readers: Mapping[str, list[Node]], node: Node, fn: str) -> Node | None:
    """The one reader of a node, if it is that function of it."""
    using = readers.get(node.name, [])
    fits = len(using) == 1 and _is(using[0], fn) and using[0].inputs[0] == node.name
    return using[0] if fits else None


def _behind(graph: Graph, name: str) -> Node:
    """The node behind reshapes and broadcasts."""
    node = graph.node(name)
    while node.op in ("reshape", "broadcast"):
        node = graph.node(node.inputs[0])
    return node


def _private(graph: Graph, readers: Mapping[str, list[Node]], parameter: str) -> bool:
    """Whether one node reads the parameter, through reshapes and broadcasts that one node reads each."""
    at = [node for node in graph if node.op == "parameter" and node.attributes["parameter"] == parameter]
    while len(at) == 1:
        using = readers.get(at[0].name, [])
        if len(using) != 1 or using[0].op not in ("reshape", "broadcast"):
            return len(using) == 1
        at = using
    return False


def _vector(graph: Graph, name: str) -> str | None:
    node = _behind(graph, name)
    return node.attributes["parameter"] if node.op == "parameter" else None


def absorb(graph: Graph, parameters: Mapping[str, torch.Tensor]) -> tuple[dict[str, torch.Tensor], tuple[str, ...]]:
    """The same function with all running statistics at 0 and 1.

    Returns:
        Parameters in float64 where changed, and the names of the statistics that were absorbed.

    Guarantee: exact as a change of variables; the new numbers are rounded, which matters to no proof: they are
    a point like any other, and F is evaluated there.
    """
    result, absorbed = dict(parameters), []
    for match in normalisations(graph):
        mean, variance = parameters[match.mean].double(), parameters[match.variance].double()
        gain, shift = parameters[match.gain].double(), parameters[match.shift].double()
        deviation = (variance + match.eps).sqrt()
        result[match.gain] = gain * (1 + match.eps) ** 0.5 / deviation
        result[match.shift] = shift - gain * mean / deviation
        result[match.mean], result[match.variance] = torch.zeros_like(mean), torch.ones_like(variance)
        absorbed += [match.mean, match.variance]
    return result, tuple(absorbed)
