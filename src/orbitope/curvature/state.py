"""What is proved of the entries of one value, as functions of the chosen variables: one mask for each property."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import torch

Mask = torch.Tensor
"""A boolean tensor of the value's shape."""

Kind = Literal["constant", "affine", "convex", "concave", "mixed", "unknown"]


@dataclass(frozen=True)
class Census:
    """How many entries of a value are proved to be what.

    Each entry is counted once, under the strongest property: constant, else affine, else convex or concave.
    """

    constant: int = 0
    affine: int = 0
    convex: int = 0
    concave: int = 0
    unknown: int = 0

    @property
    def total(self) -> int:
        """Number of entries."""
        return self.constant + self.affine + self.convex + self.concave + self.unknown

    @property
    def kind(self) -> Kind:
        """The strongest property that all entries share; ``mixed``: some only convex, some only concave."""
        if self.unknown:
            return "unknown"
        if self.convex and self.concave:
            return "mixed"
        if self.convex or self.concave:
            return "convex" if self.convex else "concave"
        return "affine" if self.affine else "constant"

    def __str__(self) -> str:
        """The kind, with numbers where entries differ.

        >>> print(Census(convex=32), "|", Census(convex=3, concave=7), "|", Census(affine=1, unknown=9))
        convex | 3 convex, 7 concave | 1 affine, 9 unknown
        """
        counts = [(name, getattr(self, name)) for name in self.__dataclass_fields__]
        known = [f"{count} {name}" for name, count in counts if count]
        return ", ".join(known) if len(known) > 1 else self.kind

    def to_json(self) -> dict[str, int | str]:
        """Kind and counts."""
        return {"kind": self.kind, **{name: getattr(self, name) for name in self.__dataclass_fields__}}


@dataclass(frozen=True)
class State:
    """Masks over the entries of one value. A mask that is true is proved; one that is false claims nothing.

    Attributes:
        varies: the entry may depend on the variables (false: it is constant, for every sample).
        convex: convex in the variables. concave: likewise. An entry that does not vary is both.
        nonnegative: never below zero, wherever the variables are and for every sample. nonpositive: likewise.
    """

    varies: Mask
    convex: Mask
    concave: Mask
    nonnegative: Mask
    nonpositive: Mask

    @staticmethod
    def fixed(nonnegative: Mask, nonpositive: Mask) -> State:
        """Constants of the given signs."""
        yes = torch.ones_like(nonnegative)
        return State(~yes, yes, yes, nonnegative, nonpositive)

    @staticmethod
    def values(tensor: torch.Tensor) -> State:
        """Constants whose values are known: their signs are exact."""
        return State.fixed(tensor >= 0, tensor <= 0)

    @staticmethod
    def variable(shape: tuple[int, ...]) -> State:
        """The variables themselves: affine, of any sign."""
        yes = torch.ones(shape, dtype=torch.bool)
        return State(yes, yes, yes, ~yes, ~yes)

    @staticmethod
    def nothing(shape: tuple[int, ...]) -> State:
        """Nothing is claimed."""
        yes = torch.ones(shape, dtype=torch.bool)
        return State(yes, ~yes, ~yes, ~yes, ~yes)

    @property
    def affine(self) -> Mask:
        """Both convex and concave."""
        return self.convex & self.concave

    @property
    def unknown(self) -> Mask:
        """Neither is proved."""
        return ~(self.convex | self.concave)

    def fits(self, direction: int) -> Mask:
        """Where an outer convex function keeps convexity.

        Args:
            direction: of the outer function in this operand: 1 non-decreasing (the operand must be convex), −1
                non-increasing (concave), 0 neither (affine).
        """
        return {1: self.convex, -1: self.concave, 0: self.affine}[direction]

    def may_be(self, sign: int) -> Mask:
        """Where values of that sign (1 or −1) are not excluded."""
        return ~(self.nonpositive if sign > 0 else self.nonnegative)

    @property
    def may_differ_from_zero(self) -> Mask:
        """Where the value is not proved to be zero."""
        return ~(self.nonnegative & self.nonpositive)

    @property
    def blind(self) -> bool:
        """Whether nothing is known of the curvature of any entry."""
        return self.unknown.numel() > 0 and bool(self.unknown.all())

    @property
    def census(self) -> Census:
        """The counts."""
        masks = (
            ~self.varies,
            self.varies & self.affine,
            self.varies & self.convex & ~self.concave,
            self.varies & self.concave & ~self.convex,
            self.unknown,
        )
        return Census(*(int(mask.sum()) for mask in masks))

    def settled(self) -> State:
        """The same with all that constancy and sign imply: what does not vary is affine, what is zero is constant."""
        zero = self.nonnegative & self.nonpositive
        varies = self.varies & ~zero
        return replace(self, varies=varies, convex=self.convex | ~varies, concave=self.concave | ~varies)
