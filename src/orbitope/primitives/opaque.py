"""Operations without answers: evaluated by the tracer's own arithmetic, and fixed in everything they touch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from orbitope.arithmetic.base import Arithmetic
from orbitope.graph import Indexing, Node
from orbitope.primitives.base import Behaviour, Primitive, Shape, frozen, register


@register
class Opaque(Primitive):
    """Nothing is known: every axis of operands and output is fixed, and the node is reported by name."""

    name: ClassVar[str] = "opaque"

    def indexing(self, node: Node, shapes: Sequence[Shape]) -> Indexing:
        """Nothing is claimed."""
        return frozen(node, shapes)

    def behaviour(self, node: Node) -> Behaviour:
        """Nothing is claimed."""
        none = len(node.inputs)
        return Behaviour("other", (0,) * none, homogeneous=(None,) * none, odd=(False,) * none)

    def evaluate(self, arithmetic: Arithmetic[Any], node: Node, operands: Sequence[Any]) -> Any:
        """The traced operation itself, where the arithmetic can run it."""
        return arithmetic.call(node.target, operands, **node.attributes["call"])
