"""Maximum and mean over sliding windows of the trailing spatial axes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from orbitope.arithmetic.base import Arithmetic
from orbitope.graph import Indexing, Node
from orbitope.primitives.base import Behaviour, Primitive, Shape, fresh, linear, register


@register
class Pool(Primitive):
    """``max`` (padded with −∞) or ``mean`` (padded with zeros) over windows; leading axes are carried."""

    name: ClassVar[str] = "pool"

    def indexing(self, node: Node, shapes: Sequence[Shape]) -> Indexing:
        """Leading axes are carried, spatial positions are told apart."""
        space = len(node.attributes["kernel"])
        axes = fresh("i", shapes[0])
        lead, before = axes[: len(axes) - space], axes[len(axes) - space :]
        after = fresh("t", node.shape[len(lead) :])
        consumed = frozenset(label.name for label in before)
        return Indexing((axes,), (*lead, *after), mixed=consumed, fixed=consumed | {label.name for label in after})

    def behaviour(self, node: Node) -> Behaviour:
        """A mean is linear, a maximum convex; both are non-decreasing."""
        if node.attributes["fn"] == "max":
            return Behaviour("convex", (1,), homogeneous=(1.0,), odd=(False,))
        return linear()

    def evaluate(self, arithmetic: Arithmetic[Any], node: Node, operands: Sequence[Any]) -> Any:
        """The arithmetic's pool."""
        a = node.attributes
        window = (a["kernel"], a["stride"], a["padding"], a["dilation"])
        return arithmetic.pool(operands[0], a["fn"], *window, a["count_include_pad"])
