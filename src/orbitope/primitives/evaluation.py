"""The value of a whole graph, in any arithmetic."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

from orbitope.arithmetic.base import Arithmetic
from orbitope.graph import Graph
from orbitope.primitives.base import PRIMITIVES

Array = TypeVar("Array")


def evaluate(
    graph: Graph, arithmetic: Arithmetic[Array], parameters: Mapping[str, Array], inputs: Mapping[str, Array]
) -> tuple[Array, ...]:
    """The outputs of a graph.

    Args:
        graph: the program.
        arithmetic: what a number is.
        parameters: arrays of that arithmetic, by canonical parameter name.
        inputs: arrays of that arithmetic, by input name.

    Returns:
        One array for each output. Values are dropped after their last use.

    Guarantee: that of the arithmetic.
    """
    wanted = set(graph.outputs)
    found = {name: value for name, value in walk(graph, arithmetic, parameters, inputs) if name in wanted}
    return tuple(found[name] for name in graph.outputs)


def walk(
    graph: Graph, arithmetic: Arithmetic[Array], parameters: Mapping[str, Array], inputs: Mapping[str, Array]
) -> Iterator[tuple[str, Array]]:
    """Every node's name and value, in order; a value is released after its last use."""
    uses = Counter(name for node in graph for name in node.inputs)
    values: dict[str, Any] = {}
    for node in graph:
        match node.op:
            case "parameter":
                value = parameters[node.attributes["parameter"]]
            case "input":
                value = inputs[node.attributes["input"]]
            case "constant":
                value = arithmetic.lift(graph.constants[node.attributes["constant"]])
            case "output":
                value = values[node.inputs[0]]
            case _:
                value = PRIMITIVES[node.op].evaluate(arithmetic, node, [values[name] for name in node.inputs])
        values[node.name] = value
        yield node.name, value
        for name in node.inputs:
            uses[name] -= 1
            if not uses[name]:
                values.pop(name, None)
