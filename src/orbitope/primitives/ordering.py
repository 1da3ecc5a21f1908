"""Order along an axis: the largest or smallest entries, or their positions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from orbitope.arithmetic.base import Arithmetic
from orbitope.graph import Indexing, Label, Node
from orbitope.primitives.base import Behaviour, Primitive, Shape, fresh, register


@register
class Order(Primitive):
    """The ``count`` largest (or smallest) entries along ``axis`` in order, ``what``: ``values`` or ``indices``.

    A third ``what`` is ``choice``: 1 where an entry has a rank, else 0, with the entries along a new leading axis. It
    says the same as ``indices`` without numbering the entries, and so moves along when they do, as long as no two of
    those that matter are equal: which of equal entries comes first is left open by torch. Where that may happen,
    attribute ``pinned`` says that entries are told apart.

    Attribute ``rule`` names the torch function whose choice among equal entries is meant: ``sort``, ``topk`` or ``arg``
    (``argmax`` and ``argmin``, for one entry). It makes no difference to values.
    """

    name: ClassVar[str] = "order"

    def indexing(self, node: Node, shapes: Sequence[Shape]) -> Indexing:
        """Values do not depend on where the entries stood; their positions do. Ranks are told apart."""
        axis = node.attributes["axis"]
        x = fresh("i", shapes[0])
        entries = x[axis].name
        if node.attributes["what"] == "choice":
            rank = Label("rank", node.shape[axis + 1])
            output = (x[axis], *x[:axis], rank, *x[axis + 1 :])
            told = {rank.name, entries} if node.attributes.get("pinned") else {rank.name}
            return Indexing((x,), output, mixed=frozenset({entries}), fixed=frozenset(told))
        rank = Label("rank", node.shape[axis])
        fixed = {rank.name} if node.attributes["what"] == "values" else {rank.name, entries}
        output = (*x[:axis], rank, *x[axis + 1 :])
        return Indexing((x,), output, mixed=frozenset({entries}), fixed=frozenset(fixed))

    def behaviour(self, node: Node) -> Behaviour:
        """Values are non-decreasing in every entry and scale with them."""
        if node.attributes["what"] == "values":
            return Behaviour("other", (1,), homogeneous=(1.0,), odd=(False,))
        return Behaviour("other", (0,), "nonnegative", (0.0,), (False,))

    def evaluate(self, arithmetic: Arithmetic[Any], node: Node, operands: Sequence[Any]) -> Any:
        """The arithmetic's order."""
        a = node.attributes
        return arithmetic.order(operands[0], a["axis"], a["count"], a["largest"], a["what"], a["rule"])
