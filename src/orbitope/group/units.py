"""Units: sets of interchangeable positions, perhaps fibred over others."""

from __future__ import annotations

from dataclasses import dataclass
from math import lgamma, log, prod


@dataclass(frozen=True)
class Units:
    """``size`` interchangeable positions: hidden nodes, channels, heads, states.

    Attributes:
        name: unique within the group.
        size: number of positions.
        over: names of units or fixed bases that these are fibred over: for each of their positions, a permutation of
            its own.
        over_sizes: sizes of those.
        role: what the positions are, in words.
        acts_on: ``(parameter, axis)`` for every parameter axis that they index.
    """

    name: str
    size: int
    over: tuple[str, ...] = ()
    over_sizes: tuple[int, ...] = ()
    role: str = "units"
    acts_on: tuple[tuple[str, int], ...] = ()

    @property
    def copies(self) -> int:
        """How many permutations they carry: one for each position of what they are over."""
        return prod(self.over_sizes)

    @property
    def log10_order(self) -> float:
        """log10 of the number of ways to move them."""
        return self.copies * lgamma(self.size + 1) / log(10)

    def __str__(self) -> str:
        """``S_n`` with what it is over."""
        fibre = f" over {', '.join(self.over)}" if self.over else ""
        return f"{self.name}: {self.size} {self.role}{fibre}"
