"""Operations along axes that treat all positions alike: sums, means, maxima, softmax and normalisation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from orbitope.arithmetic.base import Arithmetic
from orbitope.graph import Indexing, Node
from orbitope.primitives.base import Behaviour, Primitive, Shape, fresh, linear, register


def _kept(shape: Shape, axes: Sequence[int]) -> Shape:
    return tuple(1 if k in axes else size for k, size in enumerate(shape))


def _along(shapes: Sequence[Shape], axes: Sequence[int]) -> Indexing:
    """Every axis is carried; those of ``axes`` are mixed, all positions alike."""
    labels = fresh("i", shapes[0])
    return Indexing((labels,), labels, mixed=frozenset(labels[k].name for k in axes))


@register
class Reduce(Primitive):
    """``sum``, ``mean`` or ``amax`` over ``axes``, which disappear."""

    name: ClassVar[str] = "reduce"

    def indexing(self, node: Node, shapes: Sequence[Shape]) -> Indexing:
        """Reduced axes are consumed symmetrically."""
        labels, axes = fresh("i", shapes[0]), node.attributes["axes"]
        output = tuple(label for k, label in enumerate(labels) if k not in axes)
        return Indexing((labels,), output, mixed=frozenset(labels[k].name for k in axes))

    def behaviour(self, node: Node) -> Behaviour:
        """Sums and means are linear, a maximum is convex; all are non-decreasing."""
        if node.attributes["fn"] == "amax":
            return Behaviour("convex", (1,), homogeneous=(1.0,), odd=(False,))
        return linear()

    def evaluate(self, arithmetic: Arithmetic[Any], node: Node, operands: Sequence[Any]) -> Any:
        """The arithmetic's reduction of that name."""
        reduce = {"sum": arithmetic.sum, "mean": arithmetic.mean, "amax": arithmetic.amax}[node.attributes["fn"]]
        return reduce(operands[0], tuple(node.attributes["axes"]))


@register
class Softmax(Primitive):
    """``softmax`` or, with kind ``log``, its logarithm along one axis."""

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
        """By the arithmetic's logarithmic softmax."""
        result = arithmetic.log_softmax(operands[0], node.attributes["axis"])
        return result if node.attributes["kind"] == "log" else arithmetic.function("exp", result)


@register
class Normalise(Primitive):
    """``standard``: subtract the mean, divide by √(variance + ε); ``rms``: divide by √(mean square + ε)."""

    name: ClassVar[str] = "normalise"

    def indexing(self, node: Node, shapes: Sequence[Shape]) -> Indexing:
        """The axes are mixed, all positions alike."""
        return _along(shapes, node.attributes["axes"])

    def behaviour(self, node: Node) -> Behaviour:
        """Neither convex nor monotone; odd. Scale passes only at ε = 0, which is not claimed."""
        return Behaviour("other", (0,), homogeneous=(None,), odd=(True,))

    def evaluate(self, arithmetic: Arithmetic[Any], node: Node, operands: Sequence[Any]) -> Any:
        """Mean, mean square, root, quotient."""
        x, axes = operands[0], tuple(node.attributes["axes"])
        shape = arithmetic.shape(x)

        def spread(value: Any) -> Any:
            return arithmetic.broadcast(arithmetic.reshape(value, _kept(shape, axes)), shape)

        if node.attributes["kind"] == "standard":
            x = arithmetic.sub(x, spread(arithmetic.mean(x, axes)))
        square = arithmetic.mean(arithmetic.mul(x, x), axes)
        shifted = arithmetic.add(square, arithmetic.full(arithmetic.shape(square), node.attributes["eps"], like=square))
        return arithmetic.div(x, spread(arithmetic.function("sqrt", shifted)))
