"""Colour refinement: positions of units get the same colour unless the parameters around them tell them apart.

A position's new colour is its old one with the multiset of the entries at it, each with the colours of the entry's
other axes. Colours are 128-bit hashes that depend on nothing but this, so a symmetry of the parameters never maps a
position to one of another colour. Two unequal multisets could share a hash; then a cell is too large, never too small,
and whoever claims a symmetry from equal colours has to test it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from orbitope.group import SymmetryGroup
from orbitope.group.blocks import Block, alignment_of

Hashes = NDArray[np.uint64]
Colours = Mapping[str, Hashes]
"""For each units' name uint64 ``[2, *over, n]``."""

_CHUNK = 1 << 18
_LANES = (0x9E3779B97F4A7C15, 0xD1B54A32D192ED03)
_EQUAL = 0x2545F4914F6CDD1D
_SALT = 0x8CB92BA72F3D8DD7


def mixed(x: Hashes) -> Hashes:
    """A bijection of 64-bit words that scatters them; works in place."""
    x ^= x >> np.uint64(30)
    x *= np.uint64(0xBF58476D1CE4E5B9)
    x ^= x >> np.uint64(27)
    x *= np.uint64(0x94D049BB133111EB)
    x ^= x >> np.uint64(31)
    return x


def _salt(*numbers: int) -> np.uint64:
    word = np.zeros(1, np.uint64)
    for number in numbers:
        word += np.uint64((number * _SALT + 1) % (1 << 64))
        mixed(word)
    return word[0]


def bits(tensor: torch.Tensor) -> Hashes:
    """The entries as 64-bit words: equal words for equal entries only, with −0 equal to 0."""
    x = tensor.detach().cpu()
    if x.is_floating_point():
        x = x.double() + 0.0
        return x.contiguous().numpy().view(np.uint64)
    return x.to(torch.int64).contiguous().numpy().view(np.uint64)


@dataclass(frozen=True, eq=False)
class _Piece:
    """A block, hashed entry by entry."""

    number: int
    words: Hashes
    names: tuple[str | None, ...]
    places: tuple[tuple[int, ...], ...]
    """For each axis those of what its units are over, and itself."""


class Structure:
    """The parameters as a coloured structure over the positions of all units.

    Args:
        group: tells which positions there are.
        blocks: those parts of the parameters that some units index.
    """

    def __init__(self, group: SymmetryGroup, blocks: Iterable[Block]) -> None:
        """Hash every entry once."""
        self.group = group
        self.units = group.by_name
        self._pieces = [
            _Piece(number, mixed(bits(block.tensor).copy()), block.names, self._places(block))
            for number, block in enumerate(blocks)
        ]
        self.positions = sum(unit.copies * unit.size for unit in group.units)
        self.passes = 0

    def _places(self, block: Block) -> tuple[tuple[int, ...], ...]:
        over = [self.units[name].over if name in self.units else () for name in block.names]
        return tuple((*block.bases(axis, bases), axis) for axis, bases in enumerate(over))

    def uniform(self) -> dict[str, Hashes]:
        """One colour for each set of units."""
        return {
            unit.name: np.full((2, *unit.over_sizes, unit.size), _salt(k), np.uint64)
            for k, unit in enumerate(self.group.units)
        }

    def distinct(self) -> dict[str, Hashes]:
        """A colour for each position."""
        return {name: _numbered(table) for name, table in self.uniform().items()}

    def refined(self, colours: Colours) -> dict[str, Hashes]:
        """The colours, refined until they are stable; the number of rounds depends on the structure alone."""
        current, known = dict(colours), cells(colours)
        while known < self.positions:
            current = self.step(current)
            found = cells(current)
            if found == known:
                break
            known = found
        return current

    def step(self, colours: Colours, only: str | None = None) -> dict[str, Hashes]:
        """One round; ``only`` leaves out the parameters that some units do not index, and recolours just these."""
        self.passes += 1
        sums = {name: np.zeros_like(table) for name, table in colours.items() if only in (None, name)}
        for piece in self._pieces:
            if only is None or only in piece.names:
                for lane, factor in enumerate(_LANES):
                    self._collect(piece, lane, np.uint64(factor), colours, sums)
        for name, total in sums.items():
            total += colours[name] * np.uint64(_LANES[1])
            mixed(total)
        return sums

    def _collect(
        self, piece: _Piece, lane: int, factor: np.uint64, colours: Colours, sums: Mapping[str, Hashes]
    ) -> None:
        """Add what one block says about each of its positions."""
        rank = piece.words.ndim
        tables = [self._table(piece, axis, lane, colours) for axis in range(rank)]
        tables += self._equalities(piece)
        kept: list[tuple[str, list[int], list[int], Hashes, int]] = []
        for axis, name in enumerate(piece.names):
            if name is not None and name in sums:
                order, places = alignment_of(piece.places[axis])
                shape = [piece.words.shape[place] for place in places]
                kept.append((name, order, places, np.zeros(shape, np.uint64), axis))
        rows = piece.words.shape[0]
        step = max(1, _CHUNK * rows // max(piece.words.size, 1))
        for start in range(0, rows, step):
            part = slice(start, start + step)
            entries = piece.words[part] * factor
            for table in tables:
                entries += table[part] if table.shape[0] > 1 else table
            mixed(entries)
            for _, _, places, total, _ in kept:
                others = tuple(k for k in range(rank) if k not in places)
                found = entries.sum(axis=others, dtype=np.uint64) if others else entries
                if places[0] == 0:
                    total[part] += found
                else:
                    total += found
        for name, order, _, total, axis in kept:
            total += _salt(piece.number, axis, lane)
            sums[name][lane] += mixed(total).transpose(np.argsort(order))

    def _table(self, piece: _Piece, axis: int, lane: int, colours: Colours) -> Hashes:
        """What the colour along one axis adds to each entry, in a shape that broadcasts."""
        name, shape = piece.names[axis], [1] * piece.words.ndim
        if name is not None and name in colours:
            order, places = alignment_of(piece.places[axis])
            table = colours[name][lane].transpose(order) + _salt(piece.number, axis)
            for place in places:
                shape[place] = piece.words.shape[place]
        else:
            shape[axis] = piece.words.shape[axis]
            table = np.arange(shape[axis], dtype=np.uint64) + _salt(piece.number, axis, 1)
        return mixed(np.ascontiguousarray(table)).reshape(shape)

    def _equalities(self, piece: _Piece) -> list[Hashes]:
        """Where two axes of the same units meet in the same position of the same fibre."""
        found = []
        for j, name in enumerate(piece.names):
            for k in range(j):
                if name in self.units and piece.names[k] == name:
                    equal = np.full([1] * piece.words.ndim, (_EQUAL * (1 + j + 64 * k)) % (1 << 64), np.uint64)
                    for one, other in zip(piece.places[j], piece.places[k], strict=True):
                        if one != other:  # one base for both is no condition
                            shape = [1] * piece.words.ndim
                            shape[one] = shape[other] = piece.words.shape[one]
                            equal = equal * np.eye(shape[one], dtype=np.uint64).reshape(shape)
                    found.append(equal)
        return found


def _numbered(table: Hashes) -> Hashes:
    numbers = np.arange(table[0].size, dtype=np.uint64).reshape(table.shape[1:])
    return mixed(mixed(table + numbers) + np.uint64(1))


def keys(table: Hashes) -> NDArray[np.void]:
    """Colours ``[2, …]`` as one sortable word for each position, in row-major order."""
    return np.ascontiguousarray(table.reshape(2, -1).T).view("V16").reshape(-1)


def cells(colours: Colours) -> int:
    """The number of distinct colours, counted in each set of units."""
    return sum(len(np.unique(keys(table))) for table in colours.values())


def individualised(colours: Colours, name: str, position: int, depth: int) -> dict[str, Hashes]:
    """The colours with one position (row-major) of some units told apart, as the ``depth``-th that is."""
    table = colours[name].copy()
    flat = table.reshape(2, -1)
    flat[:, position] = mixed(flat[:, position] + np.uint64(_EQUAL + depth))
    return {**colours, name: table}


def ranked(colours: Colours, name: str, ranks: NDArray[np.int64]) -> dict[str, Hashes]:
    """The colours of some units refined by a number for each position, ``[*over, n]``."""
    return {**colours, name: mixed(colours[name] + mixed(ranks.astype(np.uint64) + np.uint64(_EQUAL)))}
