"""Sums of products: dense layers, batched matrix products and convolutions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from orbitope.arithmetic.base import Arithmetic
from orbitope.graph import Attributes, Axes, Indexing, Label, Node, Product
from orbitope.primitives.base import Behaviour, Primitive, Shape, fresh, register


def _products(operands: int) -> Behaviour:
    return Behaviour("multilinear", (0,) * operands, homogeneous=(1.0,) * operands, odd=(True,) * operands)


@register
class Contract(Primitive):
    """An einsum with an explicit output, ``spec`` such as ``bi,oi->bo``."""

    name: ClassVar[str] = "contract"

    def indexing(self, node: Node, shapes: Sequence[Shape]) -> Indexing:
        """A label for each letter; letters missing from the output are summed over."""
        left, right = node.attributes["spec"].split("->")
        sizes: dict[str, int] = {}
        for letters, shape in zip(left.split(","), shapes, strict=True):
            sizes.update(zip(letters, shape, strict=True))
        axes = tuple(tuple(Label(c, sizes[c]) for c in letters) for letters in left.split(","))
        return Indexing(axes, tuple(Label(c, sizes[c]) for c in right), mixed=frozenset(sizes) - frozenset(right))

    def behaviour(self, node: Node) -> Behaviour:
        """Linear in each operand."""
        return _products(len(node.inputs))

    def evaluate(self, arithmetic: Arithmetic[Any], node: Node, operands: Sequence[Any]) -> Any:
        """The arithmetic's contraction."""
        return arithmetic.contract(node.attributes["spec"], list(operands))


@register
class Convolve(Primitive):
    """Cross-correlation of ``[N, (g i), *space]`` with ``[(g o), i, *kernel]`` (transposed: ``[(g i), o, *kernel]``).

    Channels split into groups; within a group inputs are summed over; space and kernel positions are told apart,
    except along axes where the kernel has one position and moves by one, which leaves them alone.
    """

    name: ClassVar[str] = "convolve"

    def indexing(self, node: Node, shapes: Sequence[Shape]) -> Indexing:
        """Groups and batch are carried, inputs of a group are consumed, space is told apart."""
        a, (x, w) = node.attributes, shapes
        groups = a["groups"]
        g, i = Label("g", groups), Label("i", x[1] // groups)
        o = Label("o", node.shape[1] // groups)
        kernel = fresh("k", w[2:])
        n = Label("n", x[0])
        before = fresh("s", x[2:])
        alone = [_leaves_alone(a, k, size) and x[2 + k] == node.shape[2 + k] for k, size in enumerate(w[2:])]
        moved = fresh("t", node.shape[2:])
        after = tuple(s if left else t for s, t, left in zip(before, moved, alone, strict=True))
        weight: Axes = (Product((g, i)), o, *kernel) if a.get("transposed") else (Product((g, o)), i, *kernel)
        consumed = {"i", *(label.name for label in kernel)}
        told_apart = {label.name for label in kernel}
        spread = [k for k, left in enumerate(alone) if not left]
        consumed |= {before[k].name for k in spread}
        told_apart |= {label.name for k in spread for label in (before[k], after[k])}
        return Indexing(
            ((n, Product((g, i)), *before), weight),
            (n, Product((g, o)), *after),
            mixed=frozenset(consumed),
            fixed=frozenset(told_apart),
        )

    def behaviour(self, node: Node) -> Behaviour:
        """Linear in the input and in the kernel."""
        return _products(2)

    def evaluate(self, arithmetic: Arithmetic[Any], node: Node, operands: Sequence[Any]) -> Any:
        """The arithmetic's convolution; a transposed one is a convolution of the stretched input."""
        x, weight = operands
        a = node.attributes
        if not a.get("transposed"):
            return arithmetic.convolve(
                x, weight, stride=a["stride"], padding=a["padding"], dilation=a["dilation"], groups=a["groups"]
            )
        return _transposed(arithmetic, x, weight, node)


def _leaves_alone(attributes: Attributes, axis: int, kernel: int) -> bool:
    """Whether a kernel does nothing along an axis of space but take each position for itself."""
    output = attributes.get("output_padding", [0] * (axis + 1))
    return kernel == 1 and attributes["stride"][axis] == 1 and not attributes["padding"][axis] and not output[axis]


def _transposed(arithmetic: Arithmetic[Any], x: Any, weight: Any, node: Node) -> Any:
    """Transposed convolution: zeros between the entries, flipped kernel, input and output channels exchanged."""
    a = node.attributes
    space, groups = len(a["stride"]), a["groups"]
    widths = [(0, 0), (0, 0)]
    kernel = arithmetic.shape(weight)[2:]
    for k in range(space):
        x = _stretch(arithmetic, x, 2 + k, a["stride"][k])
        reach = a["dilation"][k] * (kernel[k] - 1)
        weight = _flip(arithmetic, weight, 2 + k)
        low = reach - a["padding"][k]
        widths.append((low, low + a["output_padding"][k]))
    x = _pad_or_crop(arithmetic, x, widths)
    ins, per_group, *_ = arithmetic.shape(weight)
    weight = arithmetic.reshape(weight, (groups, ins // groups, per_group, *kernel))
    weight = arithmetic.transpose(weight, (0, 2, 1, *range(3, 3 + space)))
    weight = arithmetic.reshape(weight, (groups * per_group, ins // groups, *kernel))
    zero, one = [0] * space, [1] * space
    return arithmetic.convolve(x, weight, stride=one, padding=zero, dilation=a["dilation"], groups=groups)


def _stretch(arithmetic: Arithmetic[Any], x: Any, axis: int, step: int) -> Any:
    if step == 1:
        return x
    shape = arithmetic.shape(x)
    apart = arithmetic.reshape(x, (*shape[: axis + 1], 1, *shape[axis + 1 :]))
    widths = [(0, 0)] * (len(shape) + 1)
    widths[axis + 1] = (0, step - 1)
    merged = arithmetic.reshape(arithmetic.pad(apart, widths), (*shape[:axis], shape[axis] * step, *shape[axis + 1 :]))
    return arithmetic.slice(merged, axis, 0, (shape[axis] - 1) * step + 1)


def _flip(arithmetic: Arithmetic[Any], x: Any, axis: int) -> Any:
    size = arithmetic.shape(x)[axis]
    return arithmetic.concat([arithmetic.slice(x, axis, k, k + 1) for k in reversed(range(size))], axis)


def _pad_or_crop(arithmetic: Arithmetic[Any], x: Any, widths: Sequence[tuple[int, int]]) -> Any:
    x = arithmetic.pad(x, [(max(low, 0), max(high, 0)) for low, high in widths])
    for axis, (low, high) in enumerate(widths):
        if low < 0 or high < 0:
            size = arithmetic.shape(x)[axis]
            x = arithmetic.slice(x, axis, max(-low, 0), size - max(-high, 0))
    return x
