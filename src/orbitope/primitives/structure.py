"""Operations that move entries and compute nothing: reshape, transpose, broadcast, concat, slice, pad."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import prod
from typing import Any, ClassVar

from orbitope.arithmetic.base import Arithmetic
from orbitope.graph import Indexing, Label, Node, Product, Sum, Term, labels
from orbitope.primitives.base import Behaviour, Primitive, Shape, fresh, frozen, linear, register

UNIT = Product(())
"""The term of an axis with one position."""


class _Structural(Primitive):
    """Linear and non-decreasing in every operand."""

    def behaviour(self, node: Node) -> Behaviour:
        """Entries are moved, never changed."""
        return linear(len(node.inputs))


def refine(before: Shape, after: Shape) -> tuple[list[list[int]], list[list[int]]] | None:
    """Factor the axes of two shapes of one size row-major into one common list of factors.

    Returns for each axis the positions of its factors' sizes (as lists of sizes), or None where the cuts do not nest,
    as between ``(4, 6)`` and ``(6, 4)``.

    >>> refine((2, 12), (2, 3, 4))
    ([[2], [3, 4]], [[2], [3], [4]])
    """
    groups: tuple[list[list[int]], list[list[int]]] = ([[] for _ in before], [[] for _ in after])
    rest: list[list[int]] = [list(before), list(after)]
    at = [0, 0]
    while True:
        for side in (0, 1):
            while at[side] < len(rest[side]) and rest[side][at[side]] == 1:
                at[side] += 1
        if at[0] == len(before) or at[1] == len(after):
            return groups if at[0] == len(before) and at[1] == len(after) else None
        left, right = rest[0][at[0]], rest[1][at[1]]
        factor = min(left, right)
        if left % factor or right % factor:
            return None
        for side in (0, 1):
            groups[side][at[side]].append(factor)
            rest[side][at[side]] //= factor


def blocks(before: Shape, after: Shape) -> Iterator[tuple[Shape, Shape]]:
    """The shortest runs of axes of both shapes that hold the same entries: a reshape acts on each run by itself.

    >>> list(blocks((2, 3, 4, 6), (2, 3, 6, 4)))
    [((2,), (2,)), ((3,), (3,)), ((4, 6), (6, 4))]
    """
    at = [0, 0]
    while at[0] < len(before) or at[1] < len(after):
        start, size = list(at), [1, 1]
        for side, shape in enumerate((before, after)):
            if at[side] < len(shape):
                size[side] = shape[at[side]]
                at[side] += 1
        while size[0] != size[1]:
            side = 0 if size[0] < size[1] else 1
            size[side] *= (before, after)[side][at[side]]
            at[side] += 1
        yield before[start[0] : at[0]], after[start[1] : at[1]]


@register
class Reshape(_Structural):
    """Row-major reshape to ``shape``: products of labels are split and merged."""

    name: ClassVar[str] = "reshape"

    def indexing(self, node: Node, shapes: Sequence[Shape]) -> Indexing:
        """Common row-major refinement of both shapes; where a block of axes has none, nothing is claimed of it."""
        if not prod(node.shape):
            return frozen(node, shapes)
        sides: tuple[list[Term], list[Term]] = ([], [])
        lost: set[str] = set()
        for number, block in enumerate(blocks(shapes[0], node.shape)):
            parts = refine(*block)
            for side, name in enumerate("ff" if parts else "xy"):
                count = 0
                for group in parts[side] if parts else [[size] for size in block[side]]:
                    factors = tuple(Label(f"{name}{number}_{count + k}", size) for k, size in enumerate(group))
                    count += len(group)
                    sides[side].append(factors[0] if len(factors) == 1 else Product(factors))
                    lost.update(factor.name for factor in factors if parts is None)
        mixed = {label.name for term in sides[0] for label in labels(term)} & lost
        return Indexing((tuple(sides[0]),), tuple(sides[1]), mixed=frozenset(mixed), fixed=frozenset(lost))

    def evaluate(self, arithmetic: Arithmetic[Any], node: Node, operands: Sequence[Any]) -> Any:
        """Reshape."""
        return arithmetic.reshape(operands[0], tuple(node.attributes["shape"]))


@register
class Transpose(_Structural):
    """Axes in the order ``permutation`` (old position of each new axis)."""

    name: ClassVar[str] = "transpose"

    def indexing(self, node: Node, shapes: Sequence[Shape]) -> Indexing:
        """The labels in another order."""
        axes = fresh("i", shapes[0])
        return Indexing((axes,), tuple(axes[k] for k in node.attributes["permutation"]))

    def evaluate(self, arithmetic: Arithmetic[Any], node: Node, operands: Sequence[Any]) -> Any:
        """Transpose."""
        return arithmetic.transpose(operands[0], tuple(node.attributes["permutation"]))


@register
class Broadcast(_Structural):
    """Right-aligned broadcasting to ``shape``: created axes carry a value that is constant along them."""

    name: ClassVar[str] = "broadcast"

    def indexing(self, node: Node, shapes: Sequence[Shape]) -> Indexing:
        """New and stretched axes get labels of their own; the others are carried."""
        output: list[Term] = []
        operand: list[Term] = []
        offset = len(node.shape) - len(shapes[0])
        for k, size in enumerate(node.shape):
            label = Label(f"i{k}", size)
            output.append(label)
            if k >= offset:
                operand.append(label if shapes[0][k - offset] == size else UNIT)
        return Indexing((tuple(operand),), tuple(output))

    def evaluate(self, arithmetic: Arithmetic[Any], node: Node, operands: Sequence[Any]) -> Any:
        """Broadcast."""
        return arithmetic.broadcast(operands[0], tuple(node.attributes["shape"]))


@register
class Concat(_Structural):
    """Concatenation along ``axis``: its term is the sum of the operands' terms."""

    name: ClassVar[str] = "concat"

    def indexing(self, node: Node, shapes: Sequence[Shape]) -> Indexing:
        """Segments one after the other; all other axes are shared."""
        axis = node.attributes["axis"]
        common = fresh("i", node.shape)
        segments = tuple(Label(f"s{k}", shape[axis]) for k, shape in enumerate(shapes))
        operands = tuple((*common[:axis], segment, *common[axis + 1 :]) for segment in segments)
        return Indexing(operands, (*common[:axis], Sum(segments), *common[axis + 1 :]))

    def evaluate(self, arithmetic: Arithmetic[Any], node: Node, operands: Sequence[Any]) -> Any:
        """Concatenate."""
        return arithmetic.concat(list(operands), node.attributes["axis"])


@register
class Slice(_Structural):
    """Entries ``start, start + step, …`` below ``stop`` of one axis: a segment of a sum."""

    name: ClassVar[str] = "slice"

    def indexing(self, node: Node, shapes: Sequence[Shape]) -> Indexing:
        """Cut the axis before and after; a step above one tells positions apart."""
        a, shape = node.attributes, shapes[0]
        axis, size = a["axis"], shape[a["axis"]]
        common = fresh("i", shape)
        if a["step"] != 1:
            before, after = Label("s", size), Label("t", node.shape[axis])
            return Indexing(
                ((*common[:axis], before, *common[axis + 1 :]),),
                (*common[:axis], after, *common[axis + 1 :]),
                mixed=frozenset({"s"}),
                fixed=frozenset({"s", "t"}),
            )
        middle = Label("s", a["stop"] - a["start"])
        ends = (Label("before", a["start"]), middle, Label("after", size - a["stop"]))
        cut = tuple(part for part in ends if part.size)
        operand: Term = middle if len(cut) == 1 else Sum(cut)
        return Indexing(
            ((*common[:axis], operand, *common[axis + 1 :]),), (*common[:axis], middle, *common[axis + 1 :])
        )

    def evaluate(self, arithmetic: Arithmetic[Any], node: Node, operands: Sequence[Any]) -> Any:
        """Slice."""
        a = node.attributes
        return arithmetic.slice(operands[0], a["axis"], a["start"], a["stop"], a["step"])


@register
class Pad(Primitive):
    """Constant padding ``widths`` before and after each axis: added segments hold one ``value`` throughout."""

    name: ClassVar[str] = "pad"

    def indexing(self, node: Node, shapes: Sequence[Shape]) -> Indexing:
        """Each padded axis is the sum of a created segment, the operand's axis and another created segment."""
        operand = fresh("i", shapes[0])
        output: list[Term] = []
        for k, (label, (low, high)) in enumerate(zip(operand, node.attributes["widths"], strict=True)):
            parts = (Label(f"low{k}", low), label, Label(f"high{k}", high))
            kept = tuple(part for part in parts if part.size)
            output.append(label if len(kept) == 1 else Sum(kept))
        return Indexing((operand,), tuple(output))

    def behaviour(self, node: Node) -> Behaviour:
        """Affine; linear where the padding is zero."""
        if node.attributes["value"] == 0:
            return linear()
        return Behaviour("affine", (1,), homogeneous=(None,), odd=(False,))

    def evaluate(self, arithmetic: Arithmetic[Any], node: Node, operands: Sequence[Any]) -> Any:
        """Pad."""
        widths = [(low, high) for low, high in node.attributes["widths"]]
        return arithmetic.pad(operands[0], widths, node.attributes["value"])
