"""Entries picked by integer indices: whole slices, as in an embedding, or one entry for each index."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from orbitope.arithmetic.base import Arithmetic
from orbitope.graph import Indexing, Label, Node
from orbitope.primitives.base import Behaviour, Primitive, Shape, fresh, register


class _Lookup(Primitive):
    """Linear in the table; nothing is claimed of the indices."""

    def behaviour(self, node: Node) -> Behaviour:
        """Entries are moved, never changed."""
        return Behaviour("multilinear", (1, 0), homogeneous=(1.0, None), odd=(True, False))


@register
class Gather(_Lookup):
    """``take(x, indices)`` along ``axis``: the axes of ``indices`` replace it."""

    name: ClassVar[str] = "gather"

    def indexing(self, node: Node, shapes: Sequence[Shape]) -> Indexing:
        """The indices tell the positions of ``axis`` apart; all other axes of both operands are carried."""
        axis = node.attributes["axis"]
        x, indices = fresh("x", shapes[0]), fresh("j", shapes[1])
        picked = frozenset({x[axis].name})
        return Indexing((x, indices), (*x[:axis], *indices, *x[axis + 1 :]), mixed=picked, fixed=picked)

    def evaluate(self, arithmetic: Arithmetic[Any], node: Node, operands: Sequence[Any]) -> Any:
        """Take."""
        return arithmetic.take(operands[0], arithmetic.integers(operands[1]), node.attributes["axis"])


@register
class Pick(_Lookup):
    """``y[…, j, …] = x[…, indices[…, j, …], …]`` along ``axis``: both operands share all other axes."""

    name: ClassVar[str] = "pick"

    def indexing(self, node: Node, shapes: Sequence[Shape]) -> Indexing:
        """The indices tell the positions of ``axis`` apart; all other axes are carried side by side."""
        axis = node.attributes["axis"]
        x = fresh("x", shapes[0])
        indices = (*x[:axis], Label("j", shapes[1][axis]), *x[axis + 1 :])
        picked = frozenset({x[axis].name})
        return Indexing((x, indices), indices, mixed=picked, fixed=picked)

    def evaluate(self, arithmetic: Arithmetic[Any], node: Node, operands: Sequence[Any]) -> Any:
        """The arithmetic's pick."""
        return arithmetic.pick(operands[0], node.attributes["axis"], arithmetic.integers(operands[1]))
