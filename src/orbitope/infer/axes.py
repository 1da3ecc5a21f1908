"""Axis words as axes of a group: atoms under their names."""

from __future__ import annotations

from collections.abc import Callable

from orbitope.group import Axis, Fixed, Interleaved, Merged, Moving, Segments
from orbitope.infer.factors import Atom, Factor, Family, Word, common_runs, size_of, starts_of
from orbitope.infer.words import Words


class Axes:
    """Reads words as axes.

    Attributes:
        words: all atoms.
        named: the name of an atom; None where it does not move.
        whole: whether what does not move is put together, however it is cut. Otherwise every cut is kept, and a segment
            without an index is named after its length, since an axis without names is not cut.
    """

    def __init__(self, words: Words, named: Callable[[Atom], str | None], whole: bool = True) -> None:
        """Of one analysis."""
        self.words = words
        self.named = named
        self.whole = whole

    def read(self, word: Word) -> Axis:
        """What an axis of this word is made of."""
        factors: list[Axis] = []
        rest = self.words.resolve(word)
        while rest:
            count = self.words.interleaved(rest)
            taken = 1 if count is None else count + 1
            factors.append(self._one(rest[0]) if count is None else self._columns(rest[:taken]))
            rest = rest[taken:]
        if len(factors) == 1:
            return factors[0]
        return Merged(tuple(factors)) if any(map(_moves, factors)) else Fixed(size_of(word))

    def _one(self, factor: Factor) -> Axis:
        if not isinstance(factor, Atom):
            return Fixed(factor.size)
        if factor.segments is not None:
            parts = [self.read(part) for part in self.words.segments(factor)]
            return _joined(parts) if self.whole else Segments(tuple(map(cut, parts)))
        name = self.named(factor)
        return Fixed(factor.size) if name is None else Moving(name, factor.size)

    def _columns(self, word: Word) -> Axis:
        """Families with their index behind them: a part for each run of the index."""
        families, index = [factor for factor in word if isinstance(factor, Family)], word[-1]
        assert isinstance(index, Atom)
        runs = common_runs([[size_of(s) for s in self.words.segments(index)], *(f.sizes for f in families)])
        parts = []
        for start, column in zip(starts_of(runs), self.words.cut((index,), runs), strict=True):
            members = [x for family in families for x in self.words.member(family, start)]
            parts.append(self.read((*members, *column)))
        rows = size_of(tuple(families))
        return Interleaved(rows, tuple(parts)) if any(map(_moves, parts)) else Fixed(rows * index.size)


def _moves(axis: Axis) -> bool:
    return isinstance(axis, Moving | Segments | Interleaved | Merged)


def cut(axis: Axis) -> Axis:
    """A segment; one without an index gets a name, since an axis without any is not cut."""
    return Moving(f"run of {axis.size}", axis.size) if isinstance(axis, Fixed) else axis


def _joined(parts: list[Axis]) -> Axis:
    """A sum without moving parts is fixed; neighbouring fixed parts are one."""
    merged: list[Axis] = []
    for part in parts:
        if isinstance(part, Fixed) and merged and isinstance(merged[-1], Fixed):
            merged[-1] = Fixed(merged[-1].size + part.size)
        else:
            merged.append(part)
    return merged[0] if len(merged) == 1 else Segments(tuple(merged))


__all__ = ["Axes", "cut"]
