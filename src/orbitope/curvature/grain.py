"""Which entries of a node's value depend on which entries of its operands: entry by entry, or all at once.

Entry by entry the node is evaluated on masks of zeros and ones, or its index terms are read. All at once, every entry
may depend on every entry of every operand: less is proved, at a cost that does not grow with the value.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch

from orbitope.arithmetic import TorchArithmetic
from orbitope.curvature.state import Mask, State
from orbitope.graph import Indexing, Label, Node
from orbitope.primitives import PRIMITIVES

_MASKS = TorchArithmetic(torch.float64)


def run(node: Node, arrays: Sequence[torch.Tensor]) -> torch.Tensor:
    """The node's value in float64."""
    return PRIMITIVES[node.op].evaluate(_MASKS, node, arrays)


@dataclass(frozen=True)
class Grain(ABC):
    """How masks of operands are carried to masks of the value.

    Attributes:
        node: what is computed. indexing: its index terms. operands: what is known of the operands.
    """

    node: Node
    indexing: Indexing
    operands: Sequence[State]

    @staticmethod
    def of(node: Node, indexing: Indexing, operands: Sequence[State]) -> Grain:
        """Entry by entry, unless the operands are known as wholes."""
        return (Wholes if any(x.extent is not None for x in operands) else Entries)(node, indexing, operands)

    @property
    @abstractmethod
    def none(self) -> Mask:
        """A mask of the value that marks nothing."""

    @property
    @abstractmethod
    def extent(self) -> tuple[int, ...] | None:
        """Of the value's state."""

    @property
    @abstractmethod
    def offset(self) -> tuple[Mask, Mask]:
        """Of an affine node, where its value may be below and above zero when all operands are zero."""

    @abstractmethod
    def reached(self, masks: Sequence[Mask]) -> Mask:
        """Of an affine node, where the value depends on a marked entry; one mask for each operand."""

    @abstractmethod
    def meets(self, factors: Sequence[tuple[int, ...]], masks: Sequence[Mask]) -> Mask:
        """Of a sum of products, where one of them has marked entries only.

        Args:
            factors: the positions of the operands that form each factor; it is marked at the first of them.
            masks: one for each factor.
        """

    @abstractmethod
    def spread(self, k: int, mask: Mask) -> Mask:
        """Where the value depends on a marked entry of operand k, by the index terms."""


class Entries(Grain):
    """Entry by entry."""

    @property
    def none(self) -> Mask:
        """Of the value's shape."""
        return torch.zeros(self.node.shape, dtype=torch.bool)

    @property
    def extent(self) -> None:
        """Masks have the value's shape."""

    @cached_property
    def _zeros(self) -> list[torch.Tensor]:
        return [torch.zeros(x.shape, dtype=torch.float64) for x in self.operands]

    @cached_property
    def _offset(self) -> torch.Tensor:
        return run(self.node, self._zeros)

    @property
    def offset(self) -> tuple[Mask, Mask]:
        """By evaluating the node on zeros."""
        return self._offset < 0, self._offset > 0

    def reached(self, masks: Sequence[Mask]) -> Mask:
        """By evaluating the node on masks, operand by operand: within one all coefficients have the same sign."""
        zeros, offset, total = self._zeros, self._offset, self.none
        scale = 1 + offset[offset.isfinite()].abs().sum()  # no term is lost beside the offset
        for k, mask in enumerate(masks):
            if mask.any():
                total |= run(self.node, [*zeros[:k], mask * scale, *zeros[k + 1 :]]) != offset
        return total

    def meets(self, factors: Sequence[tuple[int, ...]], masks: Sequence[Mask]) -> Mask:
        """By evaluating the node on masks."""
        if not all(bool(mask.any()) for mask in masks):
            return self.none
        given = {positions[0]: mask.double() for positions, mask in zip(factors, masks, strict=True)}
        ones = {k: torch.ones(x.shape, dtype=torch.float64) for k, x in enumerate(self.operands) if k not in given}
        return run(self.node, [given[k] if k in given else ones[k] for k in range(len(self.operands))]) > 0

    @cached_property
    def _place(self) -> dict[str, int]:
        return {
            term.name: k
            for k, term in enumerate(self.indexing.output)
            if isinstance(term, Label) and term.name not in self.indexing.mixed
        }

    def spread(self, k: int, mask: Mask) -> Mask:
        """Labels that are carried and not mixed tell output entries apart, all others do not."""
        place, shape = self._place, self.node.shape
        terms = self.indexing.operands[k]
        kept = {place[t.name]: i for i, t in enumerate(terms) if isinstance(t, Label) and t.name in place}
        gone = [i for i in range(mask.dim()) if i not in kept.values()]
        found = mask.amax(dim=gone) if gone else mask
        order = sorted(kept.values())
        found = found.permute([order.index(kept[axis]) for axis in sorted(kept)])
        return found.reshape([n if axis in kept else 1 for axis, n in enumerate(shape)]).expand(shape)


class Wholes(Grain):
    """All at once: masks are single flags, and whatever is marked reaches every entry."""

    @property
    def none(self) -> Mask:
        """No."""
        return torch.tensor(False)

    @property
    def extent(self) -> tuple[int, ...]:
        """The value's shape."""
        return self.node.shape

    @property
    def offset(self) -> tuple[Mask, Mask]:
        """Unknown, unless the node is linear."""
        behaviour = PRIMITIVES[self.node.op].behaviour(self.node)
        linear = bool(behaviour.homogeneous) and all(degree == 1 for degree in behaviour.homogeneous)
        return torch.tensor(not linear), torch.tensor(not linear)

    def reached(self, masks: Sequence[Mask]) -> Mask:
        """Wherever anything is marked."""
        return torch.stack([mask.any() for mask in masks]).any()

    def meets(self, factors: Sequence[tuple[int, ...]], masks: Sequence[Mask]) -> Mask:
        """Wherever something is marked in every factor."""
        return torch.stack([mask.any() for mask in masks]).all() if masks else self.none

    def spread(self, k: int, mask: Mask) -> Mask:
        """Everywhere."""
        return mask.any()
