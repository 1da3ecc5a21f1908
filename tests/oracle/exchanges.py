"""Exchanges of two positions in the operands of an operation: what the audit tries, one after the other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, islice, product
from math import prod

import torch

Shapes = Sequence[Sequence[int]]


@dataclass(frozen=True)
class Slot:
    """A factor of an axis of an operand: ``size`` positions, each a block of ``inner``, repeated ``outer`` times."""

    operand: int
    axis: int
    outer: int
    size: int
    inner: int

    @property
    def whole(self) -> bool:
        """Whether it is the axis itself."""
        return self.outer * self.inner == 1

    def __str__(self) -> str:
        """Operand and axis, with the split where there is one."""
        split = "" if self.whole else f"({self.outer}·[{self.size}]·{self.inner})"
        return f"x{self.operand}.{self.axis}{split}"

    def position(self, shape: Sequence[int]) -> torch.Tensor:
        """For every entry of the operand its position in this factor."""
        n = shape[self.axis]
        along = (torch.arange(n) // self.inner) % self.size
        return along.reshape([n if k == self.axis else 1 for k in range(len(shape))]).expand(list(shape))


@dataclass(frozen=True)
class Exchange:
    """Positions ``first`` and ``second`` of some slots change places, perhaps only at position 0 of others.

    Attributes:
        slots: where; the same two positions in all of them at once.
        first: a position.
        second: another.
        beside: for each slot another axis of the same operand; empty if entries move wherever they stand along those.
    """

    slots: tuple[Slot, ...]
    first: int
    second: int
    beside: tuple[Slot, ...] = ()

    @property
    def name(self) -> str:
        """Slots, and what they are beside; the positions do not matter."""
        base = f" beside {', '.join(map(str, self.beside))}" if self.beside else ""
        return " + ".join(map(str, self.slots)) + base

    def sources(self, shapes: Shapes) -> list[torch.Tensor]:
        """For each operand, flattened, where each entry comes from. The exchange is its own inverse."""
        found = [torch.arange(prod(shape)).reshape(list(shape)) for shape in shapes]
        for k, slot in enumerate(self.slots):
            index, shape = found[slot.operand], shapes[slot.operand]
            table = torch.arange(shape[slot.axis])
            at = (table // slot.inner) % slot.size
            step = (self.second - self.first) * slot.inner
            table = table + step * (at == self.first).long() - step * (at == self.second).long()
            moved = index.index_select(slot.axis, table)
            if self.beside:
                moved = torch.where(self.beside[k].position(shape) == 0, moved, index)
            found[slot.operand] = moved
        return [index.flatten() for index in found]


def exchanges(shapes: Shapes, movable: Sequence[bool], limit: int) -> list[Exchange]:
    """In every slot, and in slots of one size together; whole axes first, then those beside another axis."""
    slots = [slot for k, shape in enumerate(shapes) if movable[k] for slot in _slots(k, shape)]
    whole = list(islice(_together([slot for slot in slots if slot.whole], len(shapes)), limit))
    split = [g for g in islice(_together(slots, len(shapes)), limit) if not all(slot.whole for slot in g)]
    first = [Exchange(group, p, q) for group in whole for p, q in _pairs(group[0].size)]
    second = [e for group in whole for e in _beside(group, [s for s in slots if s.whole])]
    third = [Exchange(group, p, q) for group in split for p, q in _pairs(group[0].size)]
    # one exchange of each place before a second one of any
    first.sort(key=lambda e: e.first + e.second > 1)
    return [*first[: limit // 2], *second[: limit // 4], *third[: limit // 4]]


def _slots(operand: int, shape: Sequence[int]) -> Iterator[Slot]:
    for axis, n in enumerate(shape):
        for outer in (d for d in range(1, n + 1) if n % d == 0):
            rest = n // outer
            for size in (d for d in range(2, rest + 1) if rest % d == 0):
                yield Slot(operand, axis, outer, size, rest // size)


def _together(slots: list[Slot], operands: int) -> Iterator[tuple[Slot, ...]]:
    """Single slots, pairs of axes of one operand, and at most one slot from each of several operands."""
    yield from ((slot,) for slot in slots)
    for a, b in combinations(slots, 2):
        if a.size == b.size and (a.operand != b.operand or a.axis != b.axis):
            yield (a, b)
    for size in sorted({slot.size for slot in slots}):
        same = [slot for slot in slots if slot.size == size]
        for count in range(3, min(operands, 6) + 1):
            for group in combinations(same, count):
                if len({slot.operand for slot in group}) == count:
                    yield group


def _beside(group: tuple[Slot, ...], slots: list[Slot]) -> Iterator[Exchange]:
    owners = [slot.operand for slot in group]
    if len(set(owners)) < len(owners):
        return
    others = [[s for s in slots if s.operand == a.operand and s.axis != a.axis] for a in group]
    for beside in product(*others):
        if len({slot.size for slot in beside}) == 1:
            yield Exchange(group, 0, group[0].size - 1, tuple(beside))


def _pairs(size: int) -> list[tuple[int, int]]:
    if size <= 4:
        return list(combinations(range(size), 2))
    return [*((k, k + 1) for k in range(size - 1)), (0, size - 1)]
