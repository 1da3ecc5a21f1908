"""Operations along axes that treat all positions alike: sums, means, maxima, softmax and normalisation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from orbitope.arithmetic.base import Arithmetic
from orbitope.graph import Indexing, Node
from orbitope.primitives.base import Behaviour, Primitive, Shape, fresh, linear, register


def _along(shapes: Sequence[Shape], axes: Sequence[int]) -> Indexing:
    """Every axis is carried; those of ``axes`` are mixed, all positions alike."""
    labels = fresh("i", shapes[0])
    return Indexing((labels,), labels, mixed=frozenset(labels[k].name for k in axes))


@register
class Reduce(Primitive):
    """``sum``, ``mean``, ``amax`` or ``prod`` over ``axes``, which disappear."""

    name: ClassVar[str] = "reduce"

    def indexing(self, node: Node, shapes: Sequence[Shape]) -> Indexing:
        """Reduced axes are consumed symmetrically."""
        labels, axes = fresh("i", shapes[0]), node.attributes["axes"]
        output = tuple(label for k, label in enumerate(labels) if k not in axes)
        return Indexing((labels,), output, mixed=frozenset(labels[k].name for k in axes))

    def behaviour(self, node: Node) -> Behaviour:
        """Sums and means are linear, a maximum is convex; all are non-decreasing. A product is neither."""
        if node.attributes["fn"] == "prod":
            return Behaviour("other", (0,), homogeneous=(None,), odd=(False,))
        if node.attributes["fn"] == "amax":
            return Behaviour("convex", (1,), homogeneous=(1.0,), odd=(False,))
        return linear()

    def evaluate(self, arithmetic: Arithmetic[Any], node: Node, operands: Sequence[Any]) -> Any:
        """The arithmetic's reduction of that name."""
        fn, axes = node.attributes["fn"], tuple(node.attributes["axes"])
        if fn == "prod":
            return _product(arithmetic, operands[0], axes)
        return {"sum": arithmetic.sum, "mean": arithmetic.mean, "amax": arithmetic.amax}[fn](operands[0], axes)


def _product(arithmetic: Arithmetic[Any], x: Any, axes: tuple[int, ...]) -> Any:
    """Factor by factor."""
    for axis in sorted(axes, reverse=True):
        shape = arithmetic.shape(x)
        parts = [arithmetic.slice(x, axis, k, k + 1, 1) for k in range(shape[axis])]
        total = parts[0]
        for part in parts[1:]:
            total = arithmetic.mul(total, part)
        x = arithmetic.reshape(total, (*shape[:axis], *shape[axis + 1 :]))
    return x


@register
class Softmax(Primitive):
    """``softmax`` or, with kind ``log``, its logarithm along one axis.

    Of entries that are all −∞, as those of a row that a mask hides altogether, kind ``safe`` makes zeros.
    """

    name: ClassVar[str] = "softmax"

    def indexing(self, node: Node, shapes: Sequence[Shape]) -> Indexing:
        """The axis is mixed, all positions alike."""
        return _along(shapes, (node.attributes["axis"],))

    def behaviour(self, node: Node) -> Behaviour:
        """The logarithm is concave (log-sum-exp is convex); the softmax itself is neither."""
        if node.attributes["kind"] == "log":
            return Behaviour("concave", (0,), "nonpositive", (None,), (False,))
        return Behaviour("other", (0,), "nonnegative", (None,), (False,))

    def evaluate(self, arithmetic: Arithmetic[Any], node: Node, operands: Sequence[Any]) -> Any:
        """The arithmetic's softmax."""
        kind, axis = node.attributes["kind"], node.attributes["axis"]
        if kind == "log":
            return arithmetic.log_softmax(operands[0], axis)
        return arithmetic.softmax(operands[0], axis, safe=kind == "safe")


@register
class Normalise(Primitive):
    """``standard``: subtract the mean, divide by √(variance + ε); ``rms``: divide by √(mean square + ε)."""

    name: ClassVar[str] = "normalise"

    def indexing(self, node: Node, shapes: Sequence[Shape]) -> Indexing:
        """The axes are mixed, all positions alike."""
        return _along(shapes, node.attributes["axes"])

    def behaviour(self, node: Node) -> Behaviour:
        """Neither convex nor monotone; odd. What is scaled comes out as it was at ε = 0 only."""
        return Behaviour("other", (0,), homogeneous=(None if node.attributes["eps"] else 0.0,), odd=(True,))

    def evaluate(self, arithmetic: Arithmetic[Any], node: Node, operands: Sequence[Any]) -> Any:
        """The arithmetic's normalisation."""
        a = node.attributes
        return arithmetic.normalise(operands[0], tuple(a["axes"]), a["eps"], a["kind"])
