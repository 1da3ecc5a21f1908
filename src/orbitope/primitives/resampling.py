"""Values between positions, at places computed at run time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch.nn import functional

from orbitope.arithmetic.base import Arithmetic
from orbitope.arithmetic.floats import Operand
from orbitope.graph import Indexing, Label, Node
from orbitope.primitives.base import Behaviour, Primitive, Shape, fresh, register


@register
class Resample(Primitive):
    """``[N, C, *space]`` sampled at ``[N, *out, coordinates]``, which lie in [−1, 1]: ``[N, C, *out]``.

    Attributes ``mode``, ``padding`` and ``align_corners`` mean what they mean in ``torch.nn.functional.grid_sample``.
    """

    name: ClassVar[str] = "resample"

    def indexing(self, node: Node, shapes: Sequence[Shape]) -> Indexing:
        """Batch and channels are carried, and so are the places; positions and coordinates are told apart."""
        x, grid = shapes
        n, c = Label("n", x[0]), Label("c", x[1])
        space, out = fresh("s", x[2:]), fresh("t", grid[1:-1])
        coordinates = Label("u", grid[-1])
        apart = frozenset({*(label.name for label in space), "u"})
        return Indexing(((n, c, *space), (n, *out, coordinates)), (n, c, *out), mixed=apart, fixed=apart)

    def behaviour(self, node: Node) -> Behaviour:
        """Linear in the image, of which the law of forms takes no notice while nothing is claimed of the places."""
        return Behaviour("other", (0, 0), homogeneous=(1.0, None), odd=(True, False))

    def evaluate(self, arithmetic: Arithmetic[Any], node: Node, operands: Sequence[Any]) -> Any:
        """By torch."""
        a = node.attributes
        args = (Operand(0), Operand(1), a["mode"], a["padding"], a["align_corners"])
        return arithmetic.call(self.name, operands, function=_sampled, args=args)


def _sampled(x: torch.Tensor, grid: torch.Tensor, mode: str, padding: str, align_corners: bool) -> torch.Tensor:
    dtype = torch.promote_types(x.dtype, grid.dtype)
    return functional.grid_sample(x.to(dtype), grid.to(dtype), mode, padding, align_corners)
