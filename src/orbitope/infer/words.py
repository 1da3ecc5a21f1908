"""Axis words: what an axis is made of, and their unification.

A word is a row-major product of factors. A factor is an :class:`Atom` (a set of positions that may move together, found
through union–find) or a :class:`Wild` run (the value is constant along it, so that it has no identity of its own). An
atom whose structure became known stands for a product of factors or for a sum of segments, each a word again. Refining
an atom refines it wherever it occurs: that is how one reshape deep in a network is felt by every parameter.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod


@dataclass(frozen=True)
class Wild:
    """``size`` positions along which the value is constant."""

    size: int


@dataclass(frozen=True)
class Reason:
    """Why positions are fixed: one sentence, and the node that fixed them."""

    text: str
    place: str = ""


class Atom:
    """A union–find node. Its root has at most one of ``product`` and ``segments``."""

    __slots__ = ("fixed", "parent", "product", "segments", "serial", "size")

    def __init__(self, size: int, serial: int, fixed: Reason | None = None) -> None:
        """A class of ``size`` positions on its own."""
        self.size = size
        self.serial = serial
        self.fixed = fixed
        self.parent: Atom | None = None
        self.product: Word | None = None
        self.segments: tuple[Word, ...] | None = None


Factor = Atom | Wild
Word = tuple[Factor, ...]


def size_of(word: Word) -> int:
    """Number of positions of a word; the empty word has one."""
    return prod(factor.size for factor in word)


class Words:
    """All atoms of one analysis."""

    def __init__(self) -> None:
        """No atoms yet."""
        self._count = 0

    # making --------------------------------------------------------------------------------------------------------
    def atom(self, size: int, fixed: Reason | None = None) -> Word:
        """A fresh word of one atom; empty where there is one position only."""
        if size == 1:
            return ()
        self._count += 1
        return (Atom(size, self._count, fixed),)

    def wild(self, size: int) -> Word:
        """A run along which the value is constant."""
        return () if size == 1 else (Wild(size),)

    def sum(self, segments: Sequence[Word]) -> Word:
        """Segments one after the other."""
        if len(segments) == 1:
            return segments[0]
        (container,) = self.atom(sum(map(size_of, segments)))
        assert isinstance(container, Atom)
        container.segments = tuple(segments)
        return (container,)

    # reading -------------------------------------------------------------------------------------------------------
    def find(self, atom: Atom) -> Atom:
        """The root, with the path to it shortened."""
        root = atom
        while root.parent is not None:
            root = root.parent
        while atom.parent is not None:
            atom.parent, atom = root, atom.parent
        return root

    def resolve(self, word: Word) -> Word:
        """Roots in place of atoms, products written out."""
        factors: list[Factor] = []
        for factor in word:
            if isinstance(factor, Wild):
                factors.append(factor)
                continue
            root = self.find(factor)
            factors.extend(self.resolve(root.product) if root.product is not None else (root,))
        return tuple(factors)

    def segments(self, atom: Atom) -> tuple[Word, ...]:
        """The segments of a root that is a sum, nested sums written out."""
        flat: list[Word] = []
        for segment in atom.segments or ():
            inner = self.resolve(segment)
            if len(inner) == 1 and isinstance(inner[0], Atom) and inner[0].segments is not None:
                flat.extend(self.segments(inner[0]))
            else:
                flat.append(inner)
        return tuple(flat)

    # fixing --------------------------------------------------------------------------------------------------------
    def fix(self, word: Word, reason: Reason) -> None:
        """Tell all positions of a word apart; the first reason is kept."""
        for factor in self.resolve(word):
            if isinstance(factor, Wild):
                continue
            if factor.segments is None:
                factor.fixed = factor.fixed or reason
            for segment in self.segments(factor):
                self.fix(segment, reason)

    def _give_up(self, words: Sequence[Word], sizes: Sequence[int], reason: Reason) -> list[Word]:
        """Fix words that do not fit; fresh fixed words of the sizes that were asked for."""
        for word in words:
            self.fix(word, reason)
        return [self.atom(size, reason) for size in sizes]

    # refining ------------------------------------------------------------------------------------------------------
    def split(self, word: Word, sizes: Sequence[int], place: str = "") -> list[Word]:
        """A word as a product of words of the given sizes."""
        rest = list(self.resolve(word))
        parts: list[Word] = []
        for size in sizes:
            part: list[Factor] = []
            need = size
            while need > 1:
                if not rest:
                    return self._misfit(word, sizes, place)
                head = rest.pop(0)
                if need % head.size == 0:
                    part.append(head)
                    need //= head.size
                elif head.size % need == 0:
                    first, second = self._split_factor(head, need)
                    part.extend(first)
                    rest = [*second, *rest]
                    need = 1
                else:
                    return self._misfit(word, sizes, place)
            parts.append(tuple(part))
        return parts

    def _misfit(self, word: Word, sizes: Sequence[int], place: str) -> list[Word]:
        factors = " × ".join(str(factor.size) for factor in self.resolve(word))
        wanted = " × ".join(map(str, sizes))
        return self._give_up([word], sizes, Reason(f"an axis made of {factors} is reshaped to {wanted}", place))

    def _split_factor(self, factor: Factor, first: int) -> tuple[Word, Word]:
        """One factor as ``first × rest``."""
        rest = factor.size // first
        if isinstance(factor, Wild):
            return self.wild(first), self.wild(rest)
        if factor.segments is not None:
            return self._fold(factor, first, rest)
        pair = (self.atom(first, factor.fixed), self.atom(rest, factor.fixed))
        factor.product = (*pair[0], *pair[1])
        return pair

    def _fold(self, factor: Atom, count: int, size: int) -> tuple[Word, Word]:
        """A sum as ``count × size``: which segment is fixed, and all segments share one word."""
        pieces = self.cut((factor,), [size] * count)
        common = pieces[0]
        for piece in pieces[1:]:
            common = self.unify(common, piece)
        return self.atom(count, Reason("it numbers segments that are told apart")), common

    def cut(self, word: Word, sizes: Sequence[int], place: str = "") -> list[Word]:
        """A word as a sum of words of the given sizes."""
        word = self.resolve(word)
        if len(sizes) == 1:
            return [word]
        if len(word) == 0:
            raise AssertionError("one position cannot be cut")
        head, tail = word[0], word[1:]
        unit = size_of(tail)
        if any(size % unit for size in sizes):
            factors = " × ".join(str(factor.size) for factor in word)
            reason = Reason(f"an axis made of {factors} is cut at positions {_offsets(sizes)}", place)
            return self._give_up([word], sizes, reason)
        return [(*piece, *tail) for piece in self._cut_factor(head, [size // unit for size in sizes])]

    def _cut_factor(self, factor: Factor, sizes: Sequence[int]) -> list[Word]:
        if isinstance(factor, Wild):
            return [self.wild(size) for size in sizes]
        if factor.segments is None:
            pieces = [self.atom(size, factor.fixed) for size in sizes]
            factor.segments = tuple(pieces)
            return pieces
        return self._regroup(self._refined(factor, sizes), sizes)

    def _refined(self, factor: Atom, sizes: Sequence[int]) -> list[Word]:
        """The segments of a sum, cut so that every run of ``sizes`` begins at the start of a segment."""
        if factor.segments is None:
            return self._cut_factor(factor, sizes)
        wanted = set(_ends(sizes))
        refined: list[Word] = []
        at = 0
        for segment in self.segments(factor):
            end = at + size_of(segment)
            inner = [point for point in sorted(wanted) if at < point < end]
            points = [at, *inner, end]
            refined.extend(self.cut(segment, [b - a for a, b in zip(points, points[1:], strict=False)]))
            at = end
        factor.segments = tuple(refined)
        return refined

    def _regroup(self, pieces: Sequence[Word], sizes: Sequence[int]) -> list[Word]:
        """Neighbouring pieces joined to runs of the given sizes."""
        runs: list[Word] = []
        queue = list(pieces)
        for size in sizes:
            run: list[Word] = []
            while sum(map(size_of, run)) < size:
                run.append(queue.pop(0))
            runs.append(self.sum(run))
        return runs

    # unifying ------------------------------------------------------------------------------------------------------
    def unify(self, left: Word, right: Word, place: str = "") -> Word:
        """One word for two axes whose positions correspond: their common refinement; where none exists, both fixed."""
        a, b = list(self.resolve(left)), list(self.resolve(right))
        merged: list[Factor] = []
        while a and b:
            x, y = a.pop(0), b.pop(0)
            if x.size == y.size:
                merged.extend(self._join(x, y))
            elif x.size % y.size == 0:
                first, second = self._split_factor(x, y.size)
                a, b = [*first, *second, *a], [y, *b]
            elif y.size % x.size == 0:
                first, second = self._split_factor(y, x.size)
                a, b = [x, *a], [*first, *second, *b]
            else:
                reason = Reason(f"an axis of {x.size} × … positions meets one of {y.size} × …", place)
                total = x.size * size_of(tuple(a))
                fixed = self._give_up([(x, *a), (y, *b)], [total], reason)
                return (*merged, *fixed[0])
            a, b = list(self.resolve(tuple(a))), list(self.resolve(tuple(b)))
        return self.resolve(tuple(merged))

    def _join(self, x: Factor, y: Factor) -> Word:
        """Two factors of equal size as one."""
        if isinstance(x, Wild):
            return (y,)
        if isinstance(y, Wild):
            return (x,)
        x, y = self.find(x), self.find(y)
        if x is y:
            return (x,)
        if x.segments is not None or y.segments is not None:
            return self._join_sums(x, y)
        x.parent = y
        y.fixed = y.fixed or x.fixed
        return (y,)

    def _join_sums(self, x: Atom, y: Atom) -> Word:
        """Two sums segment by segment; a plain atom is cut first.

        A sum is nothing but its segments, so the two stay apart: where one of them is constant (padding, a mask), it
        takes on the identity of the other in the result only, and may meet another partner elsewhere.
        """
        points = sorted({*_ends(self._run_sizes(x)), *_ends(self._run_sizes(y))})
        sizes = [b - a for a, b in zip([0, *points], points, strict=False)]
        firsts, seconds = self._refined(x, sizes), self._refined(y, sizes)
        merged = [self.unify(first, second) for first, second in zip(firsts, seconds, strict=True)]
        for whole in (x, y):
            if not self.has_wild((whole,)):
                return (whole,)
        return self.sum(merged)

    def _run_sizes(self, atom: Atom) -> list[int]:
        return [size_of(segment) for segment in self.segments(atom)] or [atom.size]

    def has_wild(self, word: Word) -> bool:
        """Whether the value is constant along some run of the word."""
        return any(
            isinstance(factor, Wild) or any(map(self.has_wild, self.segments(factor))) for factor in self.resolve(word)
        )


def _ends(sizes: Sequence[int]) -> list[int]:
    total, ends = 0, []
    for size in sizes:
        total += size
        ends.append(total)
    return ends


def _offsets(sizes: Sequence[int]) -> str:
    return ", ".join(map(str, _ends(sizes)[:-1]))
