"""Operations without a primitive that tell a few axes apart and carry all others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from orbitope.arithmetic.floats import Operand
from orbitope.frontends.builder import Builder, Value


def along(
    b: Builder, function: Callable[..., torch.Tensor], x: Value, axes: Sequence[int], *args: Any, **kwargs: Any
) -> Value:
    """An operation on trailing axes, applied to ``axes`` of a value instead.

    Args:
        b: the builder.
        function: takes the value with those axes moved to the end, in their order, then the arguments; it treats all
            positions of all other axes alike, and apart from each other.
        x: the value.
        axes: the axes that the operation tells apart.
        args: what the function takes besides.
        kwargs: likewise, by name.

    Returns:
        The value with the axes where they were, or at the end where the function changes their number.
    """
    apart = [x.axis(k) for k in axes]
    rest = [k for k in range(x.rank) if k not in apart]
    result = carrying(b, len(rest), function, [b.transpose(x, [*rest, *apart])], *args, **kwargs)
    if result.rank != x.rank:
        return result
    order = [*rest, *apart]
    return b.transpose(result, [order.index(k) for k in range(x.rank)])


def carrying(
    b: Builder, lead: int, function: Callable[..., torch.Tensor], operands: Sequence[Value], *args: Any, **kwargs: Any
) -> Value:
    """An operation that carries the ``lead`` leading axes, which all its operands share, and tells all others apart."""
    metas = [torch.empty(x.shape, dtype=x.dtype, device="meta") for x in operands]
    meta = function(*metas, *args, **kwargs)
    assert tuple(meta.shape[:lead]) == operands[0].shape[:lead]
    places = tuple(map(Operand, range(len(operands))))
    recorded = {"function": function, "args": (*places, *args), "kwargs": kwargs, "select": None}
    return b.emit("opaque", operands, meta.shape, meta.dtype, call=recorded, carried=lead)
