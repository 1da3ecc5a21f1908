"""Frames: the axes of each parameter with every index named, and which block of them a leaf is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

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


class Frames:
    """The frames of all parameters; atoms are named by their serial numbers until they are given better names."""

    def __init__(self, leaves: Leaves) -> None:
        """Of one analysis."""
        self.leaves = leaves
        self.axes: dict[str, tuple[Axis, ...]] = {}
        self._places: dict[str, dict[Starts, Place]] = {}
        self.atoms: dict[str, Atom] = {}
        self._reader = Axes(leaves.words, self._named, whole=False)

    def place(self, parameter: str, shape: Sequence[int], words: Sequence[Word], starts: Starts) -> Place:
        """Where a leaf of a parameter lies in its frame."""
        if parameter not in self._places:
            self.axes[parameter] = tuple(map(self._reader.read, words))
            self._places[parameter] = self._numbered(parameter, tuple(shape), words)
        return self._places[parameter][starts]

    def _numbered(self, parameter: str, shape: tuple[int, ...], words: Sequence[Word]) -> dict[Starts, Place]:
        axes = self.axes[parameter]
        whole = torch.empty(shape, device="meta")
        if any(_copies(axis) for axis in axes):  # no strides tell where such pieces lie
            whole = torch.arange(whole.numel()).reshape(shape)
        strides = whole.stride()
        found = {}
        for number, block in enumerate(blocks(parameter, whole, axes)):
            start, steps = _origin(block.tensor)
            begin = _unravelled(start, strides)
            dims = {}
            for dim, step in enumerate(steps):
                if block.tensor.shape[dim] > 1:
                    axis = next(k for k, stride in enumerate(strides) if shape[k] > 1 and step >= stride)
                    dims[axis, step // strides[axis]] = dim
            found[self.leaves.at(words, begin).starts] = Place(number, block.tensor.dim(), dims)
        return found

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


def _copies(axis: Axis) -> bool:
    match axis:
        case Interleaved():
            return True
        case Merged(factors=parts) | Segments(parts=parts):
            return any(map(_copies, parts))
        case _:
            return False


def _origin(tensor: torch.Tensor) -> tuple[int, list[int]]:
    """Number of the first entry, and the steps along each axis."""
    if tensor.is_meta:
        return int(tensor.storage_offset()), list(tensor.stride())
    start = int(tensor.flatten()[0])
    return start, [int(tensor.select(k, 1).flatten()[0]) - start if n > 1 else 0 for k, n in enumerate(tensor.shape)]


def _unravelled(number: int, strides: Sequence[int]) -> tuple[int, ...]:
    digits = []
    for stride in strides:
        digits.append(number // stride)
        number %= stride
    return tuple(digits)


__all__ = ["Frames", "Place", "renamed"]
