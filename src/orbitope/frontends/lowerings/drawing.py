"""Random numbers that depend on nothing but the shape of a tensor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from orbitope.frontends.builder import Builder, Value
from orbitope.frontends.lowerings.pointwise import entrywise
from orbitope.frontends.lowerings.registry import Refused, lowers


@dataclass(frozen=True)
class Draw:
    """An operation that draws, without the tensor that it takes the shape of.

    Attributes:
        operation: draws a tensor like its first operand.
        shape: of that operand.
        dtype: of that operand.
    """

    operation: torch._ops.OpOverload
    shape: tuple[int, ...]
    dtype: torch.dtype

    @property
    def tags(self) -> list[torch.Tag]:
        """Those of the operation, which say that it draws."""
        return self.operation.tags

    def __call__(self, *settings: Any, **named: Any) -> torch.Tensor:
        """One draw."""
        return self.operation(torch.zeros(self.shape, dtype=self.dtype), *settings, **named)


@lowers(
    *("aten.rand_like.default", "aten.randn_like.default", "aten.randint_like.default", "aten.randint_like.low_dtype"),
    *("aten.normal_functional.default", "aten.uniform.default", "aten.exponential.default", "aten.log_normal.default"),
    *("aten.bernoulli.p", "aten.cauchy.default", "aten.geometric.default"),
)
def draw(b: Builder, x: Value, *settings: Any, dtype: torch.dtype | None = None, **_layout: Any) -> Value:
    """Each entry of the result is a number of its own; nothing is read of the operand but its shape."""
    namespace, name, overload = b.place.target.split(".")
    operation = getattr(getattr(getattr(torch.ops, namespace), name), overload)
    b.tolerance = torch.inf  # two draws differ
    named = {} if dtype is None else {"dtype": dtype}
    recorded = {"function": Draw(operation, x.shape, x.dtype), "args": settings, "kwargs": named, "select": None}
    return b.emit("opaque", (), x.shape, dtype or x.dtype, call=recorded, carried=0)


@lowers("aten.normal.Tensor_Tensor", "aten.normal.Tensor_float", "aten.normal.float_Tensor")
def normal(b: Builder, mean: Value | float, deviation: Value | float = 1.0, **_generator: Any) -> Value:
    """A mean, and a deviation times what is drawn."""
    tensors = [x for x in (mean, deviation) if isinstance(x, Value)]
    if any(not x.dtype.is_floating_point for x in tensors):
        raise Refused
    shape = tuple(torch.broadcast_shapes(*(x.shape for x in tensors)))
    b.tolerance = torch.inf  # two draws differ
    operation = torch.ops.aten.randn_like.default
    recorded = {"function": Draw(operation, shape, tensors[0].dtype), "args": (), "kwargs": {}, "select": None}
    drawn = b.emit("opaque", (), shape, tensors[0].dtype, call=recorded, carried=0)
    return entrywise(b, "add", mean, entrywise(b, "mul", deviation, drawn))
