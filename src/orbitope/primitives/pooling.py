"""Maximum and mean over sliding windows of the trailing spatial axes."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf
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
        """Windows, then a maximum or a mean over them."""
        a, x = node.attributes, operands[0]
        lead = len(arithmetic.shape(x)) - len(a["kernel"])
        no_pad = [(0, 0)] * lead
        widths = [*no_pad, *((p, p) for p in a["padding"])]
        largest = a["fn"] == "max"

        def windows(value: Any, fill: float) -> tuple[Any, tuple[int, ...]]:
            padded = arithmetic.pad(value, widths, fill) if any(a["padding"]) else value
            result = arithmetic.windows(padded, a["kernel"], stride=a["stride"], dilation=a["dilation"])
            rank = len(arithmetic.shape(result))
            return result, tuple(range(rank - len(a["kernel"]), rank))

        view, axes = windows(x, -inf if largest else 0.0)
        if largest:
            return arithmetic.amax(view, axes)
        if a["count_include_pad"] or not any(a["padding"]):
            return arithmetic.mean(view, axes)
        inside, _ = windows(arithmetic.full(arithmetic.shape(x), 1, like=x), 0.0)
        return arithmetic.div(arithmetic.sum(view, axes), arithmetic.sum(inside, axes))
