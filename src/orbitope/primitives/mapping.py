"""One operation applied to each of several slices: what parallel branches of one shape are folded into."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from orbitope.arithmetic.base import Arithmetic
from orbitope.graph import Indexing, Label, Node
from orbitope.primitives.base import PRIMITIVES, Behaviour, Primitive, Shape, register

ALONG = "map"
"""Name of the label that runs over the slices; a nested map puts its own before it."""


@register
class Map(Primitive):
    """The node ``inner`` at every position of a new leading axis.

    Attribute ``stacked`` says for each operand whether it has that axis; the others are shared by all positions.
    """

    name: ClassVar[str] = "map"

    def indexing(self, node: Node, shapes: Sequence[Shape]) -> Indexing:
        """The answer of the inner node, with the leading axis carried: no position of it is told apart."""
        inner, stacked = node.attributes["inner"], node.attributes["stacked"]
        parts = [shape[1:] if has else shape for shape, has in zip(shapes, stacked, strict=True)]
        answer = PRIMITIVES[inner.op].indexing(inner, parts)
        along = Label(f"{ALONG}:{node.name}", node.shape[0])
        operands = tuple((along, *axes) if has else axes for axes, has in zip(answer.operands, stacked, strict=True))
        return Indexing(operands, (along, *answer.output), answer.mixed, answer.fixed)

    def behaviour(self, node: Node) -> Behaviour:
        """That of the inner node."""
        inner = node.attributes["inner"]
        return PRIMITIVES[inner.op].behaviour(inner)

    def evaluate(self, arithmetic: Arithmetic[Any], node: Node, operands: Sequence[Any]) -> Any:
        """Slice by slice, laid one after the other."""
        inner, stacked = node.attributes["inner"], node.attributes["stacked"]
        slices = []
        for k in range(node.shape[0]):
            parts = [_at(arithmetic, x, k) if has else x for x, has in zip(operands, stacked, strict=True)]
            value = PRIMITIVES[inner.op].evaluate(arithmetic, inner, parts)
            slices.append(arithmetic.reshape(value, (1, *inner.shape)))
        return arithmetic.concat(slices, 0)


def _at(arithmetic: Arithmetic[Any], x: Any, k: int) -> Any:
    part = arithmetic.slice(x, 0, k, k + 1, 1)
    return arithmetic.reshape(part, tuple(arithmetic.shape(part))[1:])


def template(node: Node) -> Node:
    """The innermost operation that a node maps; the node itself where it maps none."""
    while node.op == "map":
        node = node.attributes["inner"]
    return node
