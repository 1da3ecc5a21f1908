"""Scatter: entries written or added to places given by integer indices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import torch

from orbitope.arithmetic.base import Arithmetic
from orbitope.arithmetic.floats import Operand
from orbitope.graph import Indexing, Label, Node
from orbitope.primitives.base import Behaviour, Primitive, Shape, fresh, register


@register
class Scatter(Primitive):
    """``x`` with ``source[…, j, …]`` put at ``[…, indices[…, j, …], …]`` along ``axis``; other axes are shared.

    Attribute ``mode`` says what becomes of the entry that was there, and of several entries for one place: ``set``,
    ``sum``, ``prod``, ``amax`` or ``amin``.
    """

    name: ClassVar[str] = "scatter"

    def indexing(self, node: Node, shapes: Sequence[Shape]) -> Indexing:
        """Places are told apart; sources are alike where they are combined, and in turn where the last one stays."""
        axis, mode = node.attributes["axis"], node.attributes["mode"]
        x = fresh("x", shapes[0])
        sources = (*x[:axis], Label("j", shapes[1][axis]), *x[axis + 1 :])
        place = x[axis].name
        fixed = {place, "j"} if mode == "set" else {place}
        return Indexing((x, sources, sources), x, mixed=frozenset({place, "j"}), fixed=frozenset(fixed))

    def behaviour(self, node: Node) -> Behaviour:
        """Nothing is claimed but that sums and overwriting are non-decreasing in what is put."""
        monotone = (0, 0, 0) if node.attributes["mode"] == "prod" else (1, 0, 1)
        return Behaviour("other", monotone, homogeneous=(None,) * 3, odd=(False,) * 3)

    def evaluate(self, arithmetic: Arithmetic[Any], node: Node, operands: Sequence[Any]) -> Any:
        """By torch."""
        args = (Operand(0), Operand(1), Operand(2), node.attributes["axis"], node.attributes["mode"])
        return arithmetic.call(self.name, operands, function=_scattered, args=args)


def _scattered(x: torch.Tensor, indices: torch.Tensor, source: torch.Tensor, axis: int, mode: str) -> torch.Tensor:
    dtype = torch.promote_types(x.dtype, source.dtype)
    x, source, indices = x.to(dtype), source.to(dtype), indices.to(torch.int64)
    if mode == "set":
        return torch.scatter(x, axis, indices, source)
    if mode == "sum":
        return torch.scatter_add(x, axis, indices, source)
    return torch.scatter_reduce(x, axis, indices, source, mode, include_self=True)
