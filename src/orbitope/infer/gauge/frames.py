"""Frames: the axes of each parameter with every index named, and which block of them a leaf is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product

import torch

from orbitope.group import Axis, Interleaved, Merged, Moving, Ordered, Segments
from orbitope.group.blocks import blocks
from orbitope.infer.axes import Axes
from orbitope.infer.gauge.leaves import Leaves, Starts
from orbitope.infer.words import Atom, Word


@dataclass(frozen=True)
class Place:
    """A leaf of a parameter as a block of its frame: its number and rank, and the axis of the block for each slot."""

    block: int
    rank: int
    dims: Mapping[tuple[int, int], int]


@dataclass(frozen=True)
class _Piece:
    """One piece of an axis: where it begins, and the step along each of its dimensions; None along one of size 1."""

    start: int
    steps: tuple[int | None, ...]


class Frames:
    """The frames of all parameters; atoms are named by their serial numbers until they are given better names."""

    def __init__(self, leaves: Leaves) -> None:
        """Of one analysis."""
        self.leaves = leaves
        self.axes: dict[str, tuple[Axis, ...]] = {}
        self._pieces: dict[Axis, list[_Piece]] = {}
        self._places: dict[str, dict[Starts, Place]] = {}
        self.atoms: dict[str, Atom] = {}
        self._reader = Axes(leaves.words, self._named, whole=False)

    def place(self, parameter: str, words: Sequence[Word], starts: Starts) -> Place:
        """Where a leaf of a parameter lies in its frame."""
        if parameter not in self._places:
            self.axes[parameter] = tuple(map(self._reader.read, words))
            self._places[parameter] = self._numbered(parameter, words)
        return self._places[parameter][starts]

    def _numbered(self, parameter: str, words: Sequence[Word]) -> dict[Starts, Place]:
        """The leaves of a parameter by their blocks: one for every choice of a piece of each axis, in this order."""
        found = {}
        pieces = [self._pieces_of(axis) for axis in self.axes[parameter]]
        for number, chosen in enumerate(product(*pieces)):
            steps = [(axis, step) for axis, piece in enumerate(chosen) for step in piece.steps]
            dims = {(axis, step): dim for dim, (axis, step) in enumerate(steps) if step is not None}
            leaf = self.leaves.at(words, tuple(piece.start for piece in chosen))
            found[leaf.starts] = Place(number, len(steps), dims)
        return found

    def _pieces_of(self, axis: Axis) -> list[_Piece]:
        if axis not in self._pieces:
            self._pieces[axis] = [_piece(block.tensor) for block in blocks("", torch.arange(axis.size), (axis,))]
        return self._pieces[axis]

    def _named(self, atom: Atom) -> str:
        self.atoms[str(atom.serial)] = atom
        return str(atom.serial)


def renamed(axis: Axis, names: Mapping[str, str]) -> Axis:
    """An axis with other names."""
    match axis:
        case Moving(name=name):
            return replace(axis, name=names.get(name, name))
        case Merged(factors=parts):
            return Merged(tuple(renamed(part, names) for part in parts))
        case Segments(parts=parts) | Interleaved(parts=parts):
            return replace(axis, parts=tuple(renamed(part, names) for part in parts))
        case Ordered(part=part):
            return replace(axis, part=renamed(part, names))
        case _:
            return axis


def _piece(positions: torch.Tensor) -> _Piece:
    """A block of the positions of an axis."""
    start = int(positions[(0,) * positions.dim()])
    steps = [int(positions.select(k, 1).flatten()[0]) - start if n > 1 else None for k, n in enumerate(positions.shape)]
    return _Piece(start, tuple(steps))


__all__ = ["Frames", "Place", "renamed"]
