"""What is proved of the entries of one value, as functions of the chosen variables: one mask for each property.

Values that are too large for masks, or whose entries nobody knows, have one flag for all their entries instead.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod
from typing import Literal

import torch

Mask = torch.Tensor
"""A boolean tensor of the value's shape; of no axes where one flag stands for all entries."""

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
        extent: None where masks have the value's shape. Else that shape, and each mask is one flag: of ``varies``
            whether any entry may vary, of the others whether all entries have the property.
    """

    varies: Mask
    convex: Mask
    concave: Mask
    nonnegative: Mask
    nonpositive: Mask
    extent: tuple[int, ...] | None = None

    @staticmethod
    def fixed(nonnegative: Mask, nonpositive: Mask, extent: tuple[int, ...] | None = None) -> State:
        """Constants of the given signs."""
        yes = torch.ones_like(nonnegative)
        return State(~yes, yes, yes, nonnegative, nonpositive, extent)

    @staticmethod
    def values(tensor: torch.Tensor) -> State:
        """Constants whose values are known: their signs are exact."""
        return State.fixed(tensor >= 0, tensor <= 0)

    @staticmethod
    def unsigned(shape: tuple[int, ...], *, nonnegative: bool = False, whole: bool = False) -> State:
        """Constants of which nothing is known, or only that none is negative; ``whole``: one flag for all."""
        none = torch.zeros(() if whole else shape, dtype=torch.bool)
        return State.fixed(none | nonnegative, none, shape if whole else None)

    @staticmethod
    def variable(shape: tuple[int, ...], *, whole: bool = False) -> State:
        """The variables themselves: affine, of any sign; ``whole``: one flag for all."""
        yes = torch.ones(() if whole else shape, dtype=torch.bool)
        return State(yes, yes, yes, ~yes, ~yes, shape if whole else None)

    @staticmethod
    def nothing(shape: tuple[int, ...], *, whole: bool = False) -> State:
        """Nothing is claimed."""
        yes = torch.ones(() if whole else shape, dtype=torch.bool)
        return State(yes, ~yes, ~yes, ~yes, ~yes, shape if whole else None)

    @property
    def shape(self) -> tuple[int, ...]:
        """The value's shape."""
        return tuple(self.varies.shape) if self.extent is None else self.extent

    @property
    def size(self) -> int:
        """The number of entries."""
        return prod(self.shape)

    def gathered(self) -> State:
        """The same with one flag for all entries: less is claimed, never more."""
        if self.extent is not None:
            return self
        claims = (self.convex, self.concave, self.nonnegative, self.nonpositive)
        return State(self.varies.any(), *(mask.all() for mask in claims), extent=self.shape)

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
        each = 1 if self.extent is None else self.size
        return Census(*(each * int(mask.sum()) for mask in masks))

    def settled(self) -> State:
        """The same with all that constancy and sign imply: what does not vary is affine, what is zero is constant."""
        zero = self.nonnegative & self.nonpositive
        varies = self.varies & ~zero
        return replace(self, varies=varies, convex=self.convex | ~varies, concave=self.concave | ~varies)
