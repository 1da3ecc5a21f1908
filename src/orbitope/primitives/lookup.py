"""Gather: entries picked by integer indices, as in an embedding."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from orbitope.arithmetic.base import Arithmetic
from orbitope.graph import Indexing, Node
from orbitope.primitives.base import Behaviour, Primitive, Shape, fresh, register


@register
class Gather(Primitive):
    """``take(x, indices)`` along ``axis``: the axes of ``indices`` replace it."""

    name: ClassVar[str] = "gather"

    def indexing(self, node: Node, shapes: Sequence[Shape]) -> Indexing:
        """The indices tell the positions of ``axis`` apart; all other axes of both operands are carried."""
        axis = node.attributes["axis"]
        x, indices = fresh("x", shapes[0]), fresh("j", shapes[1])
        picked = frozenset({x[axis].name})
        return Indexing((x, indices), (*x[:axis], *indices, *x[axis + 1 :]), mixed=picked, fixed=picked)

    def behaviour(self, node: Node) -> Behaviour:
        """Linear in the table; nothing is claimed of the indices."""
        return Behaviour("multilinear", (1, 0), homogeneous=(1.0, None), odd=(True, False))

    def evaluate(self, arithmetic: Arithmetic[Any], node: Node, operands: Sequence[Any]) -> Any:
        """Take."""
        return arithmetic.take(operands[0], arithmetic.integers(operands[1]), node.attributes["axis"])
