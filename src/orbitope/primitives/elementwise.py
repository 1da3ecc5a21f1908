"""The pointwise primitive: one function of the trait table, applied entry by entry to operands of equal shape."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from orbitope.arithmetic.base import Arithmetic
from orbitope.graph import Indexing, Node
from orbitope.primitives.activations import TRAITS
from orbitope.primitives.base import Behaviour, Primitive, Shape, fresh, register


@register
class Pointwise(Primitive):
    """``y[i] = f(x[i], …)``: every axis is carried through."""

    name: ClassVar[str] = "pointwise"

    def indexing(self, node: Node, shapes: Sequence[Shape]) -> Indexing:
        """All operands and the output share every label."""
        axes = fresh("i", node.shape)
        return Indexing(tuple(axes for _ in shapes), axes)

    def behaviour(self, node: Node) -> Behaviour:
        """As the trait table says."""
        return TRAITS[node.attributes["fn"]].behaviour(node.attributes)

    def evaluate(self, arithmetic: Arithmetic[Any], node: Node, operands: Sequence[Any]) -> Any:
        """As the trait table says."""
        return TRAITS[node.attributes["fn"]].value(arithmetic, operands, node.attributes)
