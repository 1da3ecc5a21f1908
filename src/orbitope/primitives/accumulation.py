"""Running sums, products, maxima and minima along an axis."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from orbitope.arithmetic.base import Arithmetic
from orbitope.graph import Indexing, Node
from orbitope.primitives.base import Behaviour, Primitive, Shape, fresh, linear, register

Combine = Callable[[Any, Any], Any]


@register
class Accumulate(Primitive):
    """``y[k] = x[0] ∘ … ∘ x[k]`` along ``axis``, where ``fn`` is ``sum``, ``prod``, ``max`` or ``min``."""

    name: ClassVar[str] = "accumulate"

    def indexing(self, node: Node, shapes: Sequence[Shape]) -> Indexing:
        """Positions of the axis are told apart by what stands before them; all others are carried."""
        labels = fresh("i", shapes[0])
        along = frozenset({labels[node.attributes["axis"]].name})
        return Indexing((labels,), labels, mixed=along, fixed=along)

    def behaviour(self, node: Node) -> Behaviour:
        """Sums are linear, maxima convex, minima concave; nothing is claimed of products."""
        match node.attributes["fn"]:
            case "sum":
                return linear()
            case "max":
                return Behaviour("convex", (1,), homogeneous=(1.0,), odd=(False,))
            case "min":
                return Behaviour("concave", (1,), homogeneous=(1.0,), odd=(False,))
            case _:
                return Behaviour("other", (0,), homogeneous=(None,), odd=(False,))

    def evaluate(self, arithmetic: Arithmetic[Any], node: Node, operands: Sequence[Any]) -> Any:
        """One position after the other: 2ᵏ positions at a time."""
        x, axis = operands[0], node.attributes["axis"]
        combine = _combination(arithmetic, node.attributes["fn"])
        size, reach = node.shape[axis], 1
        while reach < size:
            head = arithmetic.slice(x, axis, 0, reach)
            earlier, later = arithmetic.slice(x, axis, 0, size - reach), arithmetic.slice(x, axis, reach, size)
            x = arithmetic.concat([head, combine(earlier, later)], axis)
            reach *= 2
        return x


def _combination(a: Arithmetic[Any], fn: str) -> Combine:
    def smaller(x: Any, y: Any) -> Any:
        return a.neg(a.maximum(a.neg(x), a.neg(y)))

    return {"sum": a.add, "prod": a.mul, "max": a.maximum, "min": smaller}[fn]
