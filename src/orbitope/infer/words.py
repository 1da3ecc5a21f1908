"""Axis words: what an axis is made of, and their unification.

A word is a row-major product of factors. A factor is an :class:`Atom` (a set of positions that may move together, found
through union–find), a :class:`Wild` run (the value is constant along it, so that it has no identity of its own) or a
:class:`Family` (another word for each segment of an axis beside it). An atom whose structure became known stands for a
product of factors or for a sum of segments, each a word again. Refining an atom refines it wherever it occurs: that is
how one reshape deep in a network is felt by every parameter.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
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
    """A union–find node. Its root has at most one of ``product`` and ``segments``.

    ``origin`` names the reshape that split it off a larger axis: ``(node, axis, position among the factors)``.
    """

    __slots__ = ("fixed", "origin", "parent", "product", "segments", "serial", "size")

    def __init__(self, size: int, serial: int, fixed: Reason | None = None) -> None:
        """A class of ``size`` positions on its own."""
        self.size = size
        self.serial = serial
        self.fixed = fixed
        self.parent: Atom | None = None
        self.product: Word | None = None
        self.segments: tuple[Word, ...] | None = None
        self.origin: Origin | None = None


@dataclass(frozen=True, eq=False)
class Family:
    """A word for each run of positions of an index that stands beside it in the same tensor.

    In a tensor ``[3, heads, dim]`` cut from a fused projection, the heads and dims of q, k and v are different units:
    the first axis is the index, the other two are families over it.

    Attributes:
        index: the atom whose positions choose the member.
        sizes: lengths of the runs of index positions.
        members: the word for each run; all of one size.
    """

    index: Atom
    sizes: tuple[int, ...]
    members: tuple[Word, ...]

    @property
    def size(self) -> int:
        """Number of positions of any member."""
        return size_of(self.members[0])


Origin = tuple[str, int, int]
Factor = Atom | Wild | Family
Word = tuple[Factor, ...]


def size_of(word: Word) -> int:
    """Number of positions of a word; the empty word has one."""
    return prod(factor.size for factor in word)


class Words:
    """All atoms of one analysis."""

    def __init__(self) -> None:
        """No atoms yet."""
        self._count = 0
        self._fused: dict[tuple[Factor, Factor], Atom] = {}
        self.cuts: dict[Origin, set[int]] = {}
        """Where atoms that a reshape split off were cut later: what the reshape should have known."""

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
            if isinstance(factor, Atom):
                root = self.find(factor)
                factors.extend(self.resolve(root.product) if root.product is not None else (root,))
            else:
                factors.append(factor)
        return self._with_fused(factors) if self._fused else tuple(factors)

    def fuse(self, first: Atom, second: Atom) -> Atom:
        """One atom for two that stand side by side in this order."""
        (fused,) = self.atom(first.size * second.size)
        assert isinstance(fused, Atom)
        fused.serial = min(first.serial, second.serial)
        self._fused[first, second] = fused
        return fused

    def _with_fused(self, factors: Sequence[Factor]) -> Word:
        done: list[Factor] = []
        for factor in factors:
            done.append(factor)
            while len(done) > 1 and (done[-2], done[-1]) in self._fused:
                done[-2:] = [self._fused[done[-2], done[-1]]]
        return tuple(done)

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

    def parts(self, factor: Factor) -> tuple[Word, ...]:
        """The segments of a sum, the members of a family; nothing for a factor without structure."""
        if isinstance(factor, Family):
            return factor.members
        return self.segments(factor) if isinstance(factor, Atom) else ()

    # fixing --------------------------------------------------------------------------------------------------------
    def fix(self, word: Word, reason: Reason) -> None:
        """Tell all positions of a word apart; the first reason is kept."""
        for factor in self.resolve(word):
            if isinstance(factor, Wild):
                continue
            if isinstance(factor, Atom) and factor.segments is None:
                factor.fixed = factor.fixed or reason
            for part in self.parts(factor):
                self.fix(part, reason)

    def _give_up(self, words: Sequence[Word], sizes: Sequence[int], reason: Reason) -> list[Word]:
        """Fix words that do not fit; fresh fixed words of the sizes that were asked for."""
        for word in words:
            self.fix(word, reason)
        return [self.atom(size, reason) for size in sizes]

    # refining ------------------------------------------------------------------------------------------------------
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

    def family(self, index: Atom, sizes: Sequence[int], members: Sequence[Word]) -> Word:
        """A word for each run of the index; one word where they are all the same."""
        if size_of(members[0]) == 1:
            return ()
        plain = [self.resolve(member) for member in members]
        if all(_same(plain[0], member) for member in plain[1:]):
            return plain[0]
        return (Family(index, tuple(sizes), tuple(members)),)

    def _misfit(self, word: Word, sizes: Sequence[int], place: str) -> list[Word]:
        factors = " × ".join(str(factor.size) for factor in self.resolve(word))
        wanted = " × ".join(map(str, sizes))
        return self._give_up([word], sizes, Reason(f"an axis made of {factors} is reshaped to {wanted}", place))

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
        ends = _ends([size_of(segment) for segment in self.segments(factor)])
        points = sorted({0, count, *(end // unit for end in ends), *(-(-end // unit) for end in ends)})
        return [b - a for a, b in pairwise(points)]

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

    def member(self, family: Family, at: int) -> Word:
        """The word of a family at one position of its index."""
        return next(word for end, word in zip(_ends(family.sizes), family.members, strict=True) if at < end)

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

    def _cut_factor(self, factor: Factor, sizes: Sequence[int]) -> list[Word]:
        if isinstance(factor, Wild):
            return [self.wild(size) for size in sizes]
        if isinstance(factor, Family):
            cuts = [self.cut(member, sizes) for member in factor.members]
            return [self.family(factor.index, factor.sizes, parts) for parts in zip(*cuts, strict=True)]
        if factor.origin is not None:
            self.cuts.setdefault(factor.origin, set()).update(_ends(sizes)[:-1])
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

    # unifying ------------------------------------------------------------------------------------------------------
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

    def interleaved(self, factors: Sequence[Factor]) -> int | None:
        """How many families lead a word before their common index, as after a channel shuffle; None where none do."""
        count = next((k for k, factor in enumerate(factors) if not isinstance(factor, Family)), 0)
        if count == 0 or not isinstance(index := factors[count], Atom) or index.segments is None:
            return None
        families = [factor for factor in factors[:count] if isinstance(factor, Family)]
        return count if all(self.find(family.index) is index for family in families) else None

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

    def inside(self, word: Word) -> Iterator[Atom]:
        """Every atom of a word, also within its sums and families, with repetitions."""
        for factor in self.resolve(word):
            if isinstance(factor, Atom):
                yield factor
            for part in self.parts(factor):
                yield from self.inside(part)

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

    def _join_sums(self, x: Atom, y: Atom) -> Word:
        """Two sums segment by segment; a plain atom is cut first.

        Where a segment of one is constant (padding, a mask), it has no identity that it could give away: it takes on
        that of the other in the result only, and may meet another partner elsewhere. Nor does one that holds a family,
        whose meaning depends on the tensor around it.
        """
        points = sorted({*_ends(self._run_sizes(x)), *_ends(self._run_sizes(y))})
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

    def families(self, word: Word) -> list[Family]:
        """All families of a word, also those inside its segments and inside each other."""
        found: list[Family] = []
        for factor in self.resolve(word):
            if isinstance(factor, Family):
                found.append(factor)
            for part in self.parts(factor):
                found.extend(self.families(part))
        return found

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

    def has_wild(self, word: Word) -> bool:
        """Whether the value is constant along some run of the word."""
        return any(
            isinstance(factor, Wild) or any(map(self.has_wild, self.parts(factor))) for factor in self.resolve(word)
        )


def _ends(sizes: Sequence[int]) -> list[int]:
    return list(accumulate(sizes))


def starts_of(sizes: Sequence[int]) -> list[int]:
    """Where each of several runs begins."""
    return [0, *_ends(sizes)[:-1]]


def common_runs(partitions: Sequence[Sequence[int]]) -> list[int]:
    """The coarsest runs that refine several partitions of one length."""
    points = sorted({end for sizes in partitions for end in _ends(sizes)})
    return [b - a for a, b in zip([0, *points], points, strict=False)]


def _same(left: Word, right: Word) -> bool:
    """Whether two resolved words are the same atoms."""
    return len(left) == len(right) and all(
        a is b or (isinstance(a, Wild) and a == b) for a, b in zip(left, right, strict=True)
    )


def _offsets(sizes: Sequence[int]) -> str:
    return ", ".join(map(str, _ends(sizes)[:-1]))
