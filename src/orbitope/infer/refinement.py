"""How atoms are refined: a reshape splits an axis into factors, a slice cuts it into segments.

An atom whose structure became known stands for a product of factors or for a sum of segments, each a word again.
Refining an atom refines it wherever it occurs: that is how one reshape deep in a network is felt by every parameter.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from math import prod

from orbitope.infer.atoms import Atoms
from orbitope.infer.factors import Atom, Factor, Family, Reason, Wild, Word, common_runs, ends_of, size_of, starts_of


class Refinement(Atoms):
    """All atoms of one analysis, and how they are split and cut."""

    # splitting -------------------------------------------------------------------------------------------------------
    def split(
        self, word: Word, sizes: Sequence[int], place: str = "", cuts: Mapping[int, Sequence[int]] | None = None
    ) -> list[Word]:
        """A word as a product of words of the given sizes.

        Args:
            word: the axis to split.
            sizes: of the factors.
            place: for messages.
            cuts: by position of a factor, the runs that it will be cut into; what follows it is then a family.
        """
        for j, runs in sorted((cuts or {}).items()):
            if len(runs) > 1 and prod(sizes[j + 1 :]) > 1:
                return self._split_runs(word, sizes, j, runs, place, cuts or {})
            if (
                len(runs) > 1 == max(runs)
                and prod(sizes[:j]) > 1
                and (columns := self._split_columns(word, sizes, j, runs))
            ):
                return columns
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

    def _split_runs(
        self,
        word: Word,
        sizes: Sequence[int],
        j: int,
        runs: Sequence[int],
        place: str,
        cuts: Mapping[int, Sequence[int]],
    ) -> list[Word]:
        """Factor j is an index of several runs: the factors after it have a word for each run."""
        known = self._count
        *before, block = self.split(word, [*sizes[:j], prod(sizes[j:])], place)
        after = list(sizes[j + 1 :])
        if len(block) == 1 and isinstance(block[0], Atom) and block[0].segments is not None:
            runs = common_runs([runs, self._runs(block[0], sizes[j], prod(after))])  # one index, not one in another
        later = {k - j: v for k, v in cuts.items() if k > j}
        pieces = self.cut(block, [run * prod(after) for run in runs], place)
        parts = [self.split(piece, [run, *after], place, later) for piece, run in zip(pieces, runs, strict=True)]
        (index,) = self.sum([part[0] for part in parts])
        assert isinstance(index, Atom)
        columns = [[part[k + 1] for part in parts] for k in range(len(after))]
        return [*before, (index,), *(self._common_index(index, runs, column, known) for column in columns)]

    def _split_columns(self, word: Word, sizes: Sequence[int], j: int, runs: Sequence[int]) -> list[Word] | None:
        """The last factor is an index, as in ``x[::2]``: what is before it has a word for each of its positions.

        Not where it is cut into longer runs, as the two halves of a head's dimensions: its own units come first.
        """
        plain = self.resolve(word)
        if len(plain) != 1 or not isinstance(atom := plain[0], Atom) or atom.segments is not None:
            return None
        members = [self.atom(prod(sizes[:j]), atom.fixed) for _ in runs]
        index = self.sum([self.atom(run, atom.fixed) for run in runs])
        assert isinstance(index[0], Atom)
        families = self.family(index[0], runs, members)
        atom.product = (*families, *index)
        return [*self.split(families, sizes[:j]), index, *(() for _ in sizes[j + 1 :])]

    def _common_index(self, outer: Atom, runs: Sequence[int], column: Sequence[Word], known: int) -> Word:
        """A family over ``outer``; where its members are indices themselves, made just now, they become one atom.

        The segments of that atom are families over the outer index, and what is over the inner one stays so.
        """
        heads = [x for (x,) in filter(lambda word: len(word) == 1, map(self.resolve, column)) if isinstance(x, Atom)]
        cuts = {tuple(map(size_of, self.segments(head))) for head in heads}
        fresh = len(heads) == len(column) and all(head.serial > known for head in heads)
        if not fresh or len(cuts) != 1 or cuts == {()} or len(set(heads)) == 1:
            return self.family(outer, runs, column)
        inner = zip(*map(self.segments, heads), strict=True)
        (common,) = self.sum([self.family(outer, runs, members) for members in inner])
        for head in heads:
            assert isinstance(common, Atom)
            head.parent = common
        return (common,)

    def _split_factor(self, factor: Factor, first: int) -> tuple[Word, Word]:
        """One factor as ``first × rest``."""
        rest = factor.size // first
        if isinstance(factor, Wild):
            return self.wild(first), self.wild(rest)
        if isinstance(factor, Family):
            halves = [self.split(member, [first, rest]) for member in factor.members]
            left, right = ([half[k] for half in halves] for k in (0, 1))
            return self.family(factor.index, factor.sizes, left), self.family(factor.index, factor.sizes, right)
        if factor.segments is not None:
            index, members = self._split_runs((factor,), [first, rest], 0, self._runs(factor, first, rest), "", {})
            return index, members
        pair = (self.atom(first, factor.fixed), self.atom(rest, factor.fixed))
        factor.product = (*pair[0], *pair[1])
        return pair

    def _runs(self, factor: Atom, count: int, unit: int) -> list[int]:
        """The segments of a sum counted in ``unit`` positions; a unit across a boundary stands by itself."""
        ends = ends_of([size_of(segment) for segment in self.segments(factor)])
        points = sorted({0, count, *(end // unit for end in ends), *(-(-end // unit) for end in ends)})
        return [b - a for a, b in pairwise(points)]

    # cutting ---------------------------------------------------------------------------------------------------------
    def cut(self, word: Word, sizes: Sequence[int], place: str = "") -> list[Word]:
        """A word as a sum of words of the given sizes."""
        word = self.gathered(word)
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

    def gathered(self, word: Word) -> Word:
        """A word whose leading index and the families right behind it are written as the sum that they are."""
        word = self.resolve(word)
        if len(word) < 2 or not isinstance(word[0], Atom):
            return word
        index, count = word[0], 1
        while count < len(word):
            factor = word[count]
            if not (isinstance(factor, Family) and self.find(factor.index) is index):
                break
            count += 1
        if count == 1:
            return word
        families = [factor for factor in word[1:count] if isinstance(factor, Family)]
        runs = common_runs([family.sizes for family in families])
        heads = self.cut((index,), runs)
        members = [[self.member(family, at) for family in families] for at in starts_of(runs)]
        segments = [(*head, *(x for part in parts for x in part)) for head, parts in zip(heads, members, strict=True)]
        return (*self.sum(segments), *word[count:])

    def _cut_factor(self, factor: Factor, sizes: Sequence[int]) -> list[Word]:
        if isinstance(factor, Wild):
            return [self.wild(size) for size in sizes]
        if isinstance(factor, Family):
            cuts = [self.cut(member, sizes) for member in factor.members]
            return [self.family(factor.index, factor.sizes, parts) for parts in zip(*cuts, strict=True)]
        if factor.origin is not None:
            self.cuts.setdefault(factor.origin, set()).update(ends_of(sizes)[:-1])
        if factor.segments is None:
            pieces = [self.atom(size, factor.fixed) for size in sizes]
            factor.segments = tuple(pieces)
            return pieces
        return self._regroup(self._refined(factor, sizes), sizes)

    def _refined(self, factor: Atom, sizes: Sequence[int]) -> list[Word]:
        """The segments of a sum, cut so that every run of ``sizes`` begins at the start of a segment."""
        if factor.segments is None:
            return self._cut_factor(factor, sizes)
        wanted = set(ends_of(sizes))
        refined: list[Word] = []
        at = 0
        for segment in self.segments(factor):
            end = at + size_of(segment)
            inner = [point for point in sorted(wanted) if at < point < end]
            points = [at, *inner, end]
            refined.extend(self.cut(segment, [b - a for a, b in pairwise(points)]))
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

    # giving up -------------------------------------------------------------------------------------------------------
    def _misfit(self, word: Word, sizes: Sequence[int], place: str) -> list[Word]:
        factors = " × ".join(str(factor.size) for factor in self.resolve(word))
        wanted = " × ".join(map(str, sizes))
        return self._give_up([word], sizes, Reason(f"an axis made of {factors} is reshaped to {wanted}", place))

    def _give_up(self, words: Sequence[Word], sizes: Sequence[int], reason: Reason) -> list[Word]:
        """Fix words that do not fit; fresh fixed words of the sizes that were asked for."""
        for word in words:
            self.fix(word, reason)
        return [self.atom(size, reason) for size in sizes]


def _offsets(sizes: Sequence[int]) -> str:
    return ", ".join(map(str, ends_of(sizes)[:-1]))


__all__ = ["Refinement"]
