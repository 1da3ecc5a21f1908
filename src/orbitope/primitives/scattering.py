"""Scatter: entries written or added to places given by integer indices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from orbitope.arithmetic.base import Arithmetic
from orbitope.graph import Indexing, Label, Node
from orbitope.primitives.base import Behaviour, Primitive, Shape, fresh, register


@register
class Scatter(Primitive):
    """``x`` with ``source[…, j, …]`` put at ``[…, indices[…, j, …], …]`` along ``axis``; other axes are shared.

    Attribute ``mode`` says what becomes of the entry that was there, and of several entries for one place: ``set``,
    ``sum``, ``prod``, ``amax`` or ``amin``.
    """

    name: ClassVar[str] = "scatter"

    def indexing(self, node: Node, shapes: Sequence[Shape]) -> Indexing:
        """Places are told apart; sources are alike where they are combined, and in turn where the last one stays."""
        axis, mode = node.attributes["axis"], node.attributes["mode"]
        x = fresh("x", shapes[0])
        sources = (*x[:axis], Label("j", shapes[1][axis]), *x[axis + 1 :])
        place = x[axis].name
        fixed = {place, "j"} if mode == "set" else {place}
        return Indexing((x, sources, sources), x, mixed=frozenset({place, "j"}), fixed=frozenset(fixed))

    def behaviour(self, node: Node) -> Behaviour:
        """Nothing is claimed but that sums and overwriting are non-decreasing in what is put."""
        monotone = (0, 0, 0) if node.attributes["mode"] == "prod" else (1, 0, 1)
        return Behaviour("other", monotone, homogeneous=(None,) * 3, odd=(False,) * 3)

    def evaluate(self, arithmetic: Arithmetic[Any], node: Node, operands: Sequence[Any]) -> Any:
        """The arithmetic's scatter."""
        a = node.attributes
        return arithmetic.scatter(operands[0], a["axis"], operands[1], operands[2], a["mode"])
