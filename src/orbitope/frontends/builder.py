"""Emits primitive nodes and, where real tensors are at hand, computes each of them as it is emitted."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeTensor

from orbitope.arithmetic import TorchArithmetic
from orbitope.graph import Node
from orbitope.primitives import PRIMITIVES, TRAITS


@dataclass(frozen=True)
class Value:
    """A value of the graph under construction."""

    name: str
    shape: tuple[int, ...]
    dtype: torch.dtype

    @property
    def rank(self) -> int:
        """Number of axes."""
        return len(self.shape)

    def axis(self, k: int) -> int:
        """A non-negative axis number."""
        return k + self.rank if k < 0 else k


Operand = Value | int | float | bool


@dataclass
class Place:
    """Where the traced operation stands; stamped on every node that it lowers to.

    ``strides`` are those of its first operand where that lay in memory from the start of its storage.
    """

    name: str = ""
    module: str = ""
    source: str = ""
    target: str = ""
    strides: tuple[int, ...] | None = None


@dataclass
class Builder:
    """Collects nodes in order.

    Attributes:
        constants: tensors by constant name.
        tensors: the real value of each emitted node, where the trace has real tensors.
        execute: whether to compute them, where their operands have entries.
        tolerance: relative disagreement between an operation and its lowering that the lowering answers for: where
            the operation itself is only an approximation of the function that it is named after.
        ties: whether the operation leaves it open in which order equal entries come: of the positions that it returns
            only the entries that stand there are compared.
        places: for lists of positions where a mask holds, the mask, and which of its axes they are positions of.
    """

    execute: bool = True
    nodes: list[Node] = field(default_factory=list)
    constants: dict[str, torch.Tensor] = field(default_factory=dict)
    tensors: dict[str, torch.Tensor] = field(default_factory=dict)
    place: Place = field(default_factory=Place)
    arithmetic: TorchArithmetic = field(default_factory=TorchArithmetic)
    tolerance: float = 0.0
    ties: bool = False
    places: dict[str, tuple[Value, int]] = field(default_factory=dict)
    _names: set[str] = field(default_factory=set)

    def reserve(self, names: Iterable[str]) -> None:
        """Names that no new node may take."""
        self._names.update(names)

    def _unique(self, stem: str) -> str:
        name, k = stem, 1
        while name in self._names:
            name, k = f"{stem}.{k}", k + 1
        self._names.add(name)
        return name

    def emit(
        self,
        op: str,
        inputs: Sequence[Value],
        shape: Sequence[int],
        /,
        dtype: torch.dtype | None = None,
        stem: str | None = None,
        computed: torch.Tensor | None = None,
        **attributes: Any,
    ) -> Value:
        """Append one node; its value is computed at once where possible, unless it is given."""
        kind = dtype or (inputs[0].dtype if inputs else torch.float32)
        value = Value(self._unique(stem or self.place.name or op), tuple(map(int, shape)), kind)
        node = Node(
            value.name,
            op,
            tuple(x.name for x in inputs),
            value.shape,
            str(kind).removeprefix("torch."),
            attributes,
            self.place.module,
            self.place.source,
            self.place.target,
        )
        self.nodes.append(node)
        if computed is not None:
            self.tensors[value.name] = computed
        elif self.execute and op in PRIMITIVES and all(x.name in self.tensors for x in inputs):
            operands = [self.tensors[x.name] for x in inputs]
            self.tensors[value.name] = PRIMITIVES[op].evaluate(self.arithmetic, node, operands)
        return value

    def constant(self, tensor: torch.Tensor, stem: str | None = None, told: bool = False) -> Value:
        """A tensor known at trace time.

        Args:
            tensor: its value.
            stem: of its name.
            told: whether all positions are told apart, also where entries are equal: for tables that are made from the
                sizes of this trace, and would differ at another.
        """
        abstract = tensor.is_meta or isinstance(tensor, FakeTensor)
        detached = torch.empty_like(tensor, device="meta") if abstract else tensor.detach()
        value = self.emit("constant", (), detached.shape, detached.dtype, stem=stem or f"{self.place.name}.const")
        self.nodes[-1] = _with(self.nodes[-1], {"constant": value.name, **({"told": True} if told else {})})
        self.constants[value.name] = detached
        if self.execute and not abstract:
            widened = detached.double() if detached.is_floating_point() else detached
            self.tensors[value.name] = widened
        return value

    def known(self, value: Value) -> torch.Tensor | None:
        """The tensor of a constant, None for anything else."""
        return self.constants.get(value.name)

    @property
    def masks(self) -> set[str]:
        """Masks that lists of positions were made from, and that may be asked for again."""
        return {mask.name for mask, _ in self.places.values()}

    # short forms ---------------------------------------------------------------------------------------------------
    def scalar(self, number: float, like: Value) -> Value:
        """A constant of no axes."""
        dtype = like.dtype if like.dtype.is_floating_point or isinstance(number, int) else torch.float32
        return self.constant(torch.tensor(number, dtype=torch.float64 if dtype.is_floating_point else dtype))

    def pointwise(self, fn: str, *operands: Operand, **settings: Any) -> Value:
        """One function of the trait table on operands broadcast to their common shape."""
        like = next(x for x in operands if isinstance(x, Value))
        values = [x if isinstance(x, Value) else self.scalar(x, like) for x in operands]
        shape = torch.broadcast_shapes(*(x.shape for x in values))
        assert TRAITS[fn].arity == len(values), fn
        spread = [self.broadcast(x, shape) for x in values]
        kinds = [x.dtype for x in operands if isinstance(x, Value)]
        dtype = kinds[0]
        for kind in kinds[1:]:
            dtype = torch.promote_types(dtype, kind)
        return self.emit("pointwise", spread, shape, dtype, fn=fn, **settings)

    def reshape(self, x: Value, shape: Sequence[int]) -> Value:
        """Reshape, unless the shape is already that."""
        if tuple(shape) == x.shape:
            return x
        assert prod(shape) == prod(x.shape), (x.shape, shape)
        return self.emit("reshape", (x,), shape, shape=list(map(int, shape)))

    def transpose(self, x: Value, permutation: Sequence[int]) -> Value:
        """Axes in another order, unless it is the same."""
        if list(permutation) == list(range(x.rank)):
            return x
        return self.emit(
            "transpose", (x,), [x.shape[k] for k in permutation], permutation=[int(k) for k in permutation]
        )

    def broadcast(self, x: Value, shape: Sequence[int]) -> Value:
        """Right-aligned broadcasting, unless the shape is already that."""
        if tuple(shape) == x.shape:
            return x
        return self.emit("broadcast", (x,), shape, shape=list(map(int, shape)))

    def along(self, x: Value, axis: int, rank: int) -> Value:
        """A vector as a tensor of ``rank`` axes whose ``axis`` it runs along."""
        return self.reshape(x, [x.shape[0] if k == axis else 1 for k in range(rank)])

    def contract(self, spec: str, *xs: Value) -> Value:
        """Sum of products."""
        left, right = spec.split("->")
        sizes = {
            c: n for letters, x in zip(left.split(","), xs, strict=True) for c, n in zip(letters, x.shape, strict=True)
        }
        return self.emit("contract", xs, [sizes[c] for c in right], spec=spec)

    def reduce(self, fn: str, x: Value, axes: Sequence[int], keep: bool = False) -> Value:
        """Reduction over axes; with ``keep`` they stay with size one."""
        gone = sorted(x.axis(k) for k in axes)
        shape = [n for k, n in enumerate(x.shape) if k not in gone]
        result = self.emit("reduce", (x,), shape, fn=fn, axes=gone) if gone else x
        return self.reshape(result, [1 if k in gone else n for k, n in enumerate(x.shape)]) if keep else result

    def slice(self, x: Value, axis: int, start: int, stop: int, step: int = 1) -> Value:
        """Part of one axis, unless it is the whole."""
        if (start, stop, step) == (0, x.shape[axis], 1):
            return x
        count = max(0, -(-(stop - start) // step))
        shape = [count if k == axis else n for k, n in enumerate(x.shape)]
        return self.emit("slice", (x,), shape, axis=axis, start=start, stop=stop, step=step)

    def pad(self, x: Value, widths: Sequence[Sequence[int]], value: float = 0.0) -> Value:
        """Constant padding; negative widths crop."""
        for axis, (low, high) in enumerate(widths):
            x = self.slice(x, axis, max(-low, 0), x.shape[axis] - max(-high, 0))
        grown = [[max(low, 0), max(high, 0)] for low, high in widths]
        if not any(map(any, grown)):
            return x
        shape = [n + low + high for n, (low, high) in zip(x.shape, grown, strict=True)]
        return self.emit("pad", (x,), shape, widths=grown, value=float(value))


def _with(node: Node, attributes: dict[str, Any]) -> Node:
    return Node(
        node.name, node.op, node.inputs, node.shape, node.dtype, attributes, node.module, node.source, node.target
    )
