"""Operations without answers: evaluated by the tracer's own arithmetic, and fixed in everything they touch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from orbitope.arithmetic.base import Arithmetic
from orbitope.graph import Indexing, Node
from orbitope.primitives.base import Behaviour, Primitive, Shape, fresh, frozen, register


@register
class Opaque(Primitive):
    """The traced operation itself, about which little is known.

    Attribute ``carried`` counts leading axes, shared by all operands and the output, whose positions are treated alike
    and apart from each other: all axes of an entry-wise operation, batch and channels of a resampling. All other axes
    are told apart. Where nothing is carried, every axis is fixed and the node is reported by name.
    """

    name: ClassVar[str] = "opaque"

    def indexing(self, node: Node, shapes: Sequence[Shape]) -> Indexing:
        """The carried axes are shared, nothing is claimed of the others."""
        carried = node.attributes.get("carried", 0)
        rest = frozen(_tail(node, carried), [shape[carried:] for shape in shapes])
        lead = fresh("c", node.shape[:carried])
        operands = tuple((*lead, *axes) for axes in rest.operands)
        return Indexing(operands, (*lead, *rest.output), mixed=rest.mixed, fixed=rest.fixed)

    def behaviour(self, node: Node) -> Behaviour:
        """Nothing is claimed."""
        none = len(node.inputs)
        return Behaviour("other", (0,) * none, homogeneous=(None,) * none, odd=(False,) * none)

    def evaluate(self, arithmetic: Arithmetic[Any], node: Node, operands: Sequence[Any]) -> Any:
        """The traced operation itself, where the arithmetic can run it; of several results this node's."""
        call = dict(node.attributes["call"])
        select = call.pop("select", None)
        result = arithmetic.call(node.target, operands, **call)
        return result if select is None else result[select]


def _tail(node: Node, carried: int) -> Node:
    return Node(node.name, node.op, node.inputs, node.shape[carried:])
