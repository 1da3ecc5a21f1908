"""Axis words and their unification: one word for axes whose positions correspond."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from orbitope.infer.factors import (
    Atom,
    Factor,
    Family,
    Origin,
    Reason,
    Wild,
    Word,
    common_runs,
    ends_of,
    size_of,
    starts_of,
)
from orbitope.infer.refinement import Refinement


class Words(Refinement):
    """All atoms of one analysis: what axes are made of, and which positions correspond."""

    # unifying --------------------------------------------------------------------------------------------------------
    def unify(self, left: Word, right: Word, place: str = "") -> Word:
        """One word for two axes whose positions correspond: their common refinement; where none exists, both fixed."""
        assert size_of(left) == size_of(right), (left, right)
        a, b = list(self.resolve(left)), list(self.resolve(right))
        merged: list[Factor] = []
        while a and b:
            # an index with families behind it is taken as the sum that it is only where its other side is longer:
            # each round then ends with heads of equal size, and a factor less on either side
            if a[0].size < b[0].size:
                a = list(self.gathered(tuple(a)))
            elif b[0].size < a[0].size:
                b = list(self.gathered(tuple(b)))
            self._join_indices(a, b)
            if (bound := self._interleave(a, b) or self._interleave(b, a)) is not None:
                merged.extend(bound)
                continue
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

    def _join_indices(self, a: Sequence[Factor], b: Sequence[Factor]) -> None:
        """Where families lead on both sides, the indices behind them are one before the families meet."""
        first, second = self.interleaved(a), self.interleaved(b)
        if first is None or second is None or size_of(tuple(a[:first])) != size_of(tuple(b[:second])):
            return
        if a[first].size == b[second].size and a[first] is not b[second]:
            self._join(a[first], b[second])

    def _interleave(self, word: list[Factor], other: list[Factor]) -> Word | None:
        """Families and the index behind them where a plain atom stands on the other side: the atom becomes those."""
        atom, count = other[0], self.interleaved(word)
        if count is None or not isinstance(atom, Atom) or atom.segments is not None:
            return None
        run = tuple(word[: count + 1])
        if atom.size % size_of(run) or atom in self.inside(run):
            return None
        if atom.size > size_of(run):
            first, second = self._split_factor(atom, size_of(run))
            other[:1] = [*first, *second]
            (atom,) = first
            assert isinstance(atom, Atom)
        if atom.fixed is not None:
            self.fix(run, atom.fixed)
        atom.product = run
        del word[: count + 1], other[0]
        return run

    def _join(self, x: Factor, y: Factor) -> Word:
        """Two factors of equal size as one."""
        if isinstance(x, Wild):
            return (y,)
        if isinstance(y, Wild):
            return (x,)
        if isinstance(x, Family) and isinstance(y, Family):
            return self._join_families(x, y)
        if isinstance(x, Family) or isinstance(y, Family):
            left, right = (self.collapse(f) if isinstance(f, Family) else (f,) for f in (x, y))
            return self.unify(left, right)
        x, y = self.find(x), self.find(y)
        if x is y:
            return (x,)
        if x.segments is not None or y.segments is not None:
            return self._join_sums(x, y)
        x.parent = y
        y.fixed = y.fixed or x.fixed
        return (y,)

    def _join_families(self, x: Family, y: Family) -> Word:
        """Member by member where they share their index; else all members are one."""
        if self.find(x.index) is not self.find(y.index):
            common: Word = (y,)
            for member in x.members:  # one after the other: what is over the index of y in them stays so
                common = self.unify(member, common)
            return common
        runs = common_runs([x.sizes, y.sizes])
        members = [self.unify(self.member(x, at), self.member(y, at)) for at in starts_of(runs)]
        return self.family(self.find(x.index), runs, members)

    def _join_sums(self, x: Atom, y: Atom) -> Word:
        """Two sums segment by segment; a plain atom is cut first.

        Where a segment of one is constant (padding, a mask), it has no identity that it could give away: it takes on
        that of the other in the result only, and may meet another partner elsewhere. Nor does one that holds a family,
        whose meaning depends on the tensor around it.
        """
        points = sorted({*ends_of(self._run_sizes(x)), *ends_of(self._run_sizes(y))})
        sizes = [b - a for a, b in zip([0, *points], points, strict=False)]
        # the two may share atoms: refining one can refine the other beyond these sizes, so runs are put together again
        firsts, seconds = self._cut_factor(x, sizes), self._cut_factor(y, sizes)
        merged = [self.unify(first, second) for first, second in zip(firsts, seconds, strict=True)]
        plain = [whole for whole in (x, y) if not self.has_wild((whole,)) and not self.families((whole,))]
        if len(plain) == 2:
            x.parent = y
            y.origin = y.origin or x.origin
        return (plain[-1],) if plain else self.sum(merged)

    def _run_sizes(self, atom: Atom) -> list[int]:
        return [size_of(segment) for segment in self.segments(atom)] or [atom.size]

    # losing an index -------------------------------------------------------------------------------------------------
    def collapse(self, family: Family) -> Word:
        """One word for all members: what is left where the index is lost."""
        common = family.members[0]
        for member in family.members[1:]:
            common = self.unify(common, member)
        return common

    def restrict(self, word: Word, index: Atom, start: int, stop: int, kept: Word) -> Word:
        """A word after positions start … stop of an index were selected; ``kept`` is what is left of the index."""
        factors: list[Factor] = []
        for factor in self.resolve(word):
            if not isinstance(factor, Family):
                factors.append(factor)
                continue
            if self.find(factor.index) is not index:
                inner = [self.restrict(member, index, start, stop, kept) for member in factor.members]
                factors.extend(self.family(factor.index, factor.sizes, inner))
                continue
            starts = starts_of(factor.sizes)
            found = [
                (min(stop, a + n) - max(start, a), member)
                for a, n, member in zip(starts, factor.sizes, factor.members, strict=True)
                if a < stop and start < a + n
            ]
            if len(found) == 1:
                factors.extend(self.resolve(found[0][1]))
            elif len(kept) == 1 and isinstance(kept[0], Atom):
                factors.extend(self.family(kept[0], [n for n, _ in found], [member for _, member in found]))
            else:
                factors.extend(self.collapse(factor))
        return tuple(factors)

    def without(self, word: Word, lost: Callable[[Atom], bool], once: Callable[[Atom], bool] = lambda _: False) -> Word:
        """A word in which families over a lost index became one word.

        Args:
            word: the word of one axis.
            lost: whether an index is not there for the families of this axis.
            once: whether an index is there once in all axes, however deep: within a segment or member that holds it,
                families over it keep their meaning.
        """
        if not any(lost(self.find(family.index)) for family in self.families(word)):
            return self.resolve(word)

        def within(part: Word) -> Word:
            own = {factor for factor in self.resolve(part) if isinstance(factor, Atom)}
            return self.without(part, lambda index: lost(index) and not (index in own and once(index)), once)

        factors: list[Factor] = []
        for factor in self.resolve(word):
            if isinstance(factor, Wild):
                factors.append(factor)
            elif isinstance(factor, Family):
                inner = [within(member) for member in factor.members]
                gone = lost(self.find(factor.index))
                rest = Family(factor.index, factor.sizes, tuple(inner))
                factors.extend(self.collapse(rest) if gone else self.family(rest.index, rest.sizes, inner))
            else:
                torn = any(lost(self.find(family.index)) for family in self.families((factor,)))
                factors.extend(self.sum([within(part) for part in self.segments(factor)]) if torn else (factor,))
        return tuple(factors)


__all__ = [
    "Atom",
    "Factor",
    "Family",
    "Origin",
    "Reason",
    "Wild",
    "Word",
    "Words",
    "common_runs",
    "size_of",
    "starts_of",
]
