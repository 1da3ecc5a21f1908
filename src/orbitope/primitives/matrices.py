"""Functions of matrices that know rows and columns only by what stands in them: solutions, powers, determinants."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import torch

from orbitope.arithmetic.base import Arithmetic
from orbitope.arithmetic.floats import Operand
from orbitope.graph import Indexing, Label, Node
from orbitope.primitives.base import Behaviour, Primitive, Shape, fresh, register

SPECS: dict[str, tuple[str, str]] = {
    "matrix_exp": ("ii->ii", ""),
    "matrix_power": ("ii->ii", ""),
    "det": ("rr->", ""),
    "solve": ("rc,rk->ck", ""),
    "solve_triangular": ("rc,rk->ck", "rc"),
}
"""Of each function the indices of the matrices and of the result, and which of them it tells apart.

What has one index for rows and columns, as a power has, takes the same exchange of both. Equations may be written down
in any order, and so may unknowns; each right-hand side is solved for by itself. A function of a matrix alone whose rows
and columns go separate ways, as singular values are, is none of these: indices that are mixed must not always stand
beside each other, see ``Indexing``.
"""


@register
class Matrices(Primitive):
    """The function of ``torch.linalg`` that attribute ``fn`` names, on the last axes behind ``lead`` shared ones.

    Attributes ``settings`` and ``named`` hold what the function takes besides, by place and by name.
    """

    name: ClassVar[str] = "matrices"

    def indexing(self, node: Node, shapes: Sequence[Shape]) -> Indexing:
        """Leading axes are carried, the others are as in ``SPECS``; all but right-hand sides are mixed."""
        spec, apart = SPECS[node.attributes["fn"]]
        given, result = spec.split("->")
        count = node.attributes["lead"]
        lead = fresh("n", node.shape[:count])
        sizes: dict[str, int] = {}
        for letters, shape in zip(given.split(","), shapes, strict=True):
            sizes.update(zip(letters, shape[count:], strict=True))
        sizes.update(zip(result, node.shape[count:], strict=True))
        named = {letter: Label(letter, size) for letter, size in sizes.items()}
        operands = tuple((*lead, *(named[c] for c in letters)) for letters in given.split(","))
        mixed = frozenset(sizes) & frozenset("rci")
        return Indexing(operands, (*lead, *(named[c] for c in result)), mixed=mixed, fixed=frozenset(apart))

    def behaviour(self, node: Node) -> Behaviour:
        """Nothing is claimed."""
        none = len(node.inputs)
        return Behaviour("other", (0,) * none, homogeneous=(None,) * none, odd=(False,) * none)

    def evaluate(self, arithmetic: Arithmetic[Any], node: Node, operands: Sequence[Any]) -> Any:
        """By torch."""
        function = getattr(torch.linalg, node.attributes["fn"])
        args = (*map(Operand, range(len(operands))), *node.attributes["settings"])
        return arithmetic.call(self.name, operands, function=function, args=args, kwargs=node.attributes["named"])
