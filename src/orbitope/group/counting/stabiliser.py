"""The symmetries that leave given parameters as they are: how many there are, and which positions they exchange.

Three steps. Colour refinement tells most positions apart. Positions of the same colour whose exchange alone changes
nothing (*twins*) contribute a full symmetric group; they are found by comparing their slices. What is left is searched:
a position is told apart from the rest of its cell, the colours are refined, and so on until nothing is left to
tell; then, from the last position told apart to the first, each other position of its cell is tried as its image. Every
symmetry that counts has been applied to the parameters and compared entry by entry.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from math import factorial, prod
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from orbitope.group import SymmetryGroup, Units
from orbitope.group.blocks import Block, blocks, canonical
from orbitope.group.counting.colours import Colours, Structure, cells, individualised, keys, ranked

Position = tuple[str, int]
"""Name of units, and a position in them, row-major in ``[*over, n]``."""


@dataclass(frozen=True)
class Stabiliser:
    """Bounds of the number of symmetries that leave the parameters as they are; equal when the search is complete.

    Attributes:
        at_least: found.
        at_most: not excluded.
        twins: for some units the positions of one fibre that may be permuted freely.
        orbits: positions of one fibre that are exchanged only together with others.
    """

    at_least: int
    at_most: int
    twins: tuple[tuple[Position, ...], ...] = ()
    orbits: tuple[tuple[Position, ...], ...] = ()


def stabiliser(group: SymmetryGroup, params: Mapping[str, torch.Tensor], budget: int | None = None) -> Stabiliser:
    """The symmetries of a group that leave the parameters as they are.

    Args:
        group: the group.
        params: checked against the group, without NaN.
        budget: how many passes over the parameters the search may take; by default as many as visit 10⁹ entries,
            100 at least and 10 000 at most.

    Guarantee: exact; two bounds where the budget does not suffice.
    """
    tensors = {
        name: tensor
        for name, tensor in canonical(group, params).items()
        if group.placements[name].moved_by() & group.by_name.keys()
    }
    parts = [
        block
        for name, tensor in tensors.items()
        for block in blocks(name, tensor, group.placements[name].axes)
        if any(name in group.by_name for name in block.names)
    ]
    structure = Structure(group, parts)
    colours = structure.refined(structure.uniform())
    found: list[tuple[Position, ...]] = []
    if cells(colours) < structure.positions:
        found, colours = _twins(structure, colours, parts)
    if cells(colours) < structure.positions:
        colours = structure.refined(colours)
    if budget is None:
        entries = sum(part.tensor.numel() for part in parts)
        budget = min(10_000, max(100, 10**9 // max(entries, 1)))
    search = _Search(structure, tensors, structure.passes + budget)
    at_least, at_most = search.run(colours)
    free = prod(factorial(len(positions)) for positions in found)
    return Stabiliser(free * at_least, free * at_most, tuple(found), tuple(search.orbits()))


# twins ------------------------------------------------------------------------------------------------------
def _twins(
    structure: Structure, colours: Colours, parts: list[Block]
) -> tuple[list[tuple[Position, ...]], dict[str, NDArray[np.uint64]]]:
    """Positions that may be permuted freely, and colours that number them.

    Only of units that nothing is fibred over: their exchanges form a normal subgroup of the stabiliser, and the
    symmetries that keep the numbers are a complement of it.
    """
    group = structure.group
    bases = {base for unit in group.units for base in unit.over}
    classes: list[tuple[Position, ...]] = []
    numbered = dict(colours)
    for unit in group.units:
        table = keys(colours[unit.name])
        if unit.name in bases or len(np.unique(table)) == len(table):
            continue
        touched = [block for block in parts if unit.name in block.names]
        exact = structure.step({**structure.distinct(), unit.name: structure.uniform()[unit.name]}, unit.name)
        both = np.stack([table, keys(exact[unit.name])], axis=1).reshape(unit.copies, unit.size, 2)
        ranks = np.zeros((unit.copies, unit.size), np.int64)
        for row in range(unit.copies):
            at = tuple(map(int, np.unravel_index(row, unit.over_sizes))) if unit.over else ()
            slices = [piece for block in touched for piece in _fibre(block, unit, at)]
            for members in _twin_classes(both[row], slices):
                ranks[row, members] = np.arange(len(members))
                classes.append(tuple((unit.name, row * unit.size + i) for i in members))
        numbered = ranked(numbered, unit.name, ranks.reshape(*unit.over_sizes, unit.size))
    return classes, numbered


@dataclass(frozen=True, eq=False)
class _Fibre:
    """The entries of a block that stand in one fibre of some units along one of its axes.

    Attributes:
        tensor: these entries.
        axis: its axis for the units.
        others: further axes for the same units, counted without the first, each with the positions (axis and number)
            of the bases that it belongs to: only there is it the same fibre.
    """

    tensor: torch.Tensor
    axis: int
    others: tuple[tuple[int, tuple[tuple[int, int], ...]], ...]


def _fibre(block: Block, unit: Units, at: tuple[int, ...]) -> Iterator[_Fibre]:
    """The parts of a block at one position of what some units are over, one for each axis that they index."""
    for axis in block.places(unit.name):
        chosen = dict(zip(block.bases(axis, unit.over), at, strict=True))
        left = [k for k in range(block.tensor.dim()) if k not in chosen and k != axis]
        others = []
        for other in block.places(unit.name):
            if other != axis:
                bases = zip(block.bases(other, unit.over), at, strict=True)
                where = tuple((left.index(base), position) for base, position in bases if base not in chosen)
                others.append((left.index(other), where))
        tensor = block.tensor
        for base in sorted(chosen, reverse=True):
            tensor = tensor.select(base, chosen[base])
        yield _Fibre(tensor, axis - sum(base < axis for base in chosen), tuple(others))


def _twin_classes(table: NDArray[np.void], slices: list[_Fibre]) -> Iterator[list[int]]:
    """Positions whose exchange changes nothing, where there are two or more; ``table`` tells most others apart."""
    words = np.ascontiguousarray(table).view("V32").reshape(-1)
    _, numbers = np.unique(words, return_inverse=True)
    order = np.argsort(numbers, kind="stable")
    for cell in np.split(order, np.flatnonzero(np.diff(numbers[order])) + 1):
        classes: list[list[int]] = []
        for position in map(int, cell) if len(cell) > 1 else ():
            # being twins is transitive: (i j)(j k)(i j) = (i k)
            home = next((c for c in classes if all(_exchange(s, c[0], position) for s in slices)), None)
            if home is None:
                classes.append([position])
            else:
                home.append(position)
        yield from (members for members in classes if len(members) > 1)


def _exchange(fibre: _Fibre, i: int, j: int) -> bool:
    """Whether exchanging two positions of some units leaves a part of a block as it is."""
    here, there = fibre.tensor.select(fibre.axis, i), fibre.tensor.select(fibre.axis, j)
    for axis, where in fibre.others:
        swap = torch.arange(there.shape[axis], device=there.device)
        swap[i], swap[j] = j, i
        if not where:
            there = there.index_select(axis, swap)
            continue
        there = there.clone()
        inside = there
        for base, position in where:
            inside = inside.narrow(base, position, 1)
        inside.copy_(inside.index_select(axis, swap))
    return torch.equal(here, there)


# search -----------------------------------------------------------------------------------------------------
class _BudgetSpent(Exception):
    """The search has taken as many passes as it may."""


@dataclass
class _Orbits:
    """Positions that known symmetries exchange."""

    parent: dict[Position, Position] = field(default_factory=dict)

    def of(self, position: Position) -> Position:
        while (above := self.parent.get(position, position)) != position:
            self.parent[position] = self.parent.get(above, above)
            position = above
        return position

    def join(self, p: Position, q: Position) -> None:
        self.parent[self.of(p)] = self.of(q)
        self.parent.setdefault(self.of(q), self.of(q))


@dataclass(frozen=True)
class _Level:
    """One position told apart: the colours before and after, and the others of its cell."""

    name: str
    position: int
    before: Colours
    after: Colours
    cell: tuple[int, ...]


class _Search:
    def __init__(self, structure: Structure, tensors: Mapping[str, torch.Tensor], limit: int) -> None:
        self.structure = structure
        self.group = structure.group
        self.tensors = tensors
        self.limit = limit
        self.half = (structure.passes + limit) // 2
        self.known = _Orbits()
        # what others are over first: telling a head apart tells its fibre apart
        names = [unit.name for unit in self.group.units]
        self.order = self.group.innermost_first(names)[::-1]

    def run(self, colours: Colours) -> tuple[int, int]:
        """Bounds of the number of symmetries that keep the colours."""
        levels: list[_Level] = []
        spent = None
        while cells(colours) < self.structure.positions:
            name, cell = self._cell(colours)
            try:
                after = self._refined(individualised(colours, name, cell[0], len(levels)), self.half)
            except _BudgetSpent:
                spent = colours
                break
            levels.append(_Level(name, cell[0], colours, after, cell))
            colours = after
        at_least, at_most = 1, 1 if spent is None else self._all(spent)
        for depth in reversed(range(len(levels))):
            low, high = self._orbit(levels, depth)
            at_least, at_most = at_least * low, at_most * high
        return at_least, at_most

    def orbits(self) -> Iterator[tuple[Position, ...]]:
        """Positions of one fibre that the symmetries found exchange."""
        found: dict[tuple[Position, int], list[Position]] = {}
        for position in sorted(self.known.parent):
            name, number = position
            found.setdefault((self.known.of(position), number // self.group.by_name[name].size), []).append(position)
        yield from (tuple(positions) for positions in found.values() if len(positions) > 1)

    def _refined(self, colours: Colours, limit: int | None = None) -> Colours:
        if self.structure.passes >= (limit or self.limit):
            raise _BudgetSpent
        return self.structure.refined(colours)

    def _cell(self, colours: Colours) -> tuple[str, tuple[int, ...]]:
        """The smallest cell of more than one position, of the outermost units that have one."""
        for name in self.order:
            _, numbers, counts = np.unique(keys(colours[name]), return_inverse=True, return_counts=True)
            if (counts > 1).any():
                smallest = np.argmin(np.where(counts > 1, counts, len(numbers) + 1))
                return name, tuple(map(int, np.flatnonzero(numbers == smallest)))
        raise AssertionError("every position has a colour of its own")

    def _all(self, colours: Colours) -> int:
        """How many permutations keep the colours of every position, at most."""
        total = 1
        for table in colours.values():
            _, counts = np.unique(keys(table), return_counts=True)
            total *= prod(factorial(int(count)) for count in counts if count > 1)
        return total

    def _orbit(self, levels: list[_Level], depth: int) -> tuple[int, int]:
        """Bounds of the number of images of one position under the symmetries that keep all earlier ones."""
        level, known = levels[depth], self.known
        cell = [(level.name, number) for number in level.cell]
        home = (level.name, level.position)
        excluded: list[Position] = []
        undecided: list[Position] = []
        for position in cell:
            if known.of(position) in {known.of(p) for p in (home, *excluded, *undecided)}:
                continue
            try:
                image = self._image(levels, depth, level.before, position[1])
            except _BudgetSpent:
                undecided.append(position)
                continue
            if image is None:
                excluded.append(position)
            else:
                self._note(image)
        out = {known.of(position) for position in excluded}
        low = sum(known.of(position) == known.of(home) for position in cell)
        return low, sum(known.of(position) not in out for position in cell)

    def _image(self, levels: list[_Level], depth: int, before: Colours, number: int) -> dict[str, NDArray[Any]] | None:
        """A symmetry that keeps ``before`` and takes the position told apart at this depth to another one."""
        level = levels[depth]
        after = self._refined(individualised(before, level.name, number, depth))
        if any(
            not np.array_equal(np.sort(keys(level.after[name])), np.sort(keys(table))) for name, table in after.items()
        ):
            return None
        image = {name: _matched(keys(level.after[name]), keys(table)) for name, table in after.items()}
        if self._holds(image):
            return image
        if depth + 1 == len(levels):
            if cells(after) < self.structure.positions:
                raise _BudgetSpent
            return None
        deeper = levels[depth + 1]
        colour = keys(deeper.before[deeper.name])[deeper.position]
        for candidate in np.flatnonzero(keys(after[deeper.name]) == colour):
            found = self._image(levels, depth + 1, after, int(candidate))
            if found is not None:
                return found
        return None

    def _holds(self, image: Mapping[str, NDArray[Any]]) -> bool:
        """Whether a map of positions is an element and leaves every parameter as it is."""
        permutations = {}
        for unit in self.group.units:
            went = image[unit.name].reshape(*unit.over_sizes, unit.size)
            row, place = np.divmod(went, unit.size)
            expected = np.zeros(went.shape, np.int64)
            for axis, (base, size) in enumerate(zip(unit.over, unit.over_sizes, strict=True)):
                at = self._image_of_base(base, image, unit.over, axis, size)
                expected = expected * size + at.reshape(*at.shape, 1)
            if not np.array_equal(row, expected):
                return False
            permutations[unit.name] = torch.from_numpy(np.ascontiguousarray(place))
        moved = self.group.element(permutations).act(self.tensors, partial=True)
        return all(torch.equal(moved[name], tensor) for name, tensor in self.tensors.items())

    def _image_of_base(
        self, base: str, image: Mapping[str, NDArray[Any]], over: tuple[str, ...], axis: int, size: int
    ) -> NDArray[np.int64]:
        """Where each position of a base goes, in a shape that broadcasts against ``[*over]``."""
        shape = [1] * len(over)
        shape[axis] = size
        if base not in image:
            return np.arange(size).reshape(shape)
        unit = self.group.by_name[base]
        went = image[base].reshape(*unit.over_sizes, size) % size
        places = [over.index(name) for name in unit.over] + [axis]
        order = sorted(range(len(places)), key=places.__getitem__)
        for place, found in zip(places, (*unit.over_sizes, size), strict=True):
            shape[place] = found
        return went.transpose(order).reshape(shape)

    def _note(self, image: Mapping[str, NDArray[Any]]) -> None:
        for name, went in image.items():
            for position in map(int, np.flatnonzero(went != np.arange(len(went)))):
                self.known.join((name, position), (name, int(went[position])))


def _matched(source: NDArray[np.void], target: NDArray[np.void]) -> NDArray[np.int64]:
    """A map of positions to positions of the same colour; a position that keeps its colour stays."""
    went = np.arange(len(source))
    moving = np.flatnonzero(source != target)
    went[moving[np.argsort(source[moving], kind="stable")]] = moving[np.argsort(target[moving], kind="stable")]
    return went
