"""How many singular values are not zero, judged by their gap, and the directions of those that are."""

from __future__ import annotations

from dataclasses import dataclass

import torch

GENUINE, NOISE = 10**-9.5, 1e-10
"""Relative to the largest: the last value above the gap is larger than the first, the first below it less than the
second."""

FLOOR = 1e-17
"""What smaller values are taken for; it also stands behind the last value."""

CLEAR = 30.0
"""A gap of a smaller factor decides nothing."""


@dataclass(frozen=True)
class Rank:
    """The rank of a matrix of derivatives.

    Attributes:
        rank: number of values above the gap; where none is clear, that of the values above the noise.
        columns: of the matrix.
        above: the smallest value above the gap, relative to the largest; 0 where all are zero.
        below: the largest value below it; 0 where the rank is full.
        decided: whether there is a clear gap.
        null: an orthonormal basis of the directions that the matrix takes to zero, ``[columns − rank, columns]``.
    """

    rank: int
    columns: int
    above: float
    below: float
    decided: bool
    null: torch.Tensor

    @property
    def deficiency(self) -> int:
        """Number of directions that the matrix takes to zero."""
        return self.columns - self.rank

    @property
    def gap(self) -> float:
        """By what factor the values fall at the gap."""
        return self.above / max(self.below, FLOOR)


def rank_of(matrix: torch.Tensor) -> Rank:
    """The rank of a matrix ``[rows, columns]`` in float64.

    Columns are left as they are: one that is zero up to rounding would become noise of length one.

    Guarantee: numeric; genuine values below 10^-9.5 of the largest are taken for noise.
    """
    columns = matrix.shape[1]
    square = torch.linalg.qr(matrix, mode="r").R if matrix.shape[0] > columns else matrix
    _, values, directions = torch.linalg.svd(square, full_matrices=True)
    if not values.numel() or float(values[0]) == 0.0:
        return Rank(0, columns, 0.0, 0.0, True, directions)
    relative = values / values[0]
    clamped = relative.clamp(min=FLOOR)
    behind = torch.cat([clamped[1:], torch.full((1,), FLOOR, dtype=values.dtype)])
    ratios = torch.where((clamped > GENUINE) & (behind < NOISE), clamped / behind, 0.0)
    last = int(ratios.argmax())
    decided = float(ratios[last]) >= CLEAR
    rank = last + 1 if decided else int((relative >= NOISE).sum())
    below = float(relative[rank]) if rank < len(relative) else 0.0
    return Rank(rank, columns, float(relative[rank - 1]), below, decided, directions[rank:])
