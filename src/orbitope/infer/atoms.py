"""Atoms: making them, reading what they are made of, fixing their positions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from orbitope.infer.factors import Atom, Factor, Family, Origin, Reason, Wild, Word, ends_of, same_factors, size_of


class Atoms:
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

    def family(self, index: Atom, sizes: Sequence[int], members: Sequence[Word]) -> Word:
        """A word for each run of the index; one word where they are all the same."""
        if size_of(members[0]) == 1:
            return ()
        plain = [self.resolve(member) for member in members]
        if all(same_factors(plain[0], member) for member in plain[1:]):
            return plain[0]
        return (Family(index, tuple(sizes), tuple(members)),)

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

    def member(self, family: Family, at: int) -> Word:
        """The word of a family at one position of its index."""
        return next(word for end, word in zip(ends_of(family.sizes), family.members, strict=True) if at < end)

    def interleaved(self, factors: Sequence[Factor]) -> int | None:
        """How many families lead a word before their common index, as after a channel shuffle; None where none do."""
        count = next((k for k, factor in enumerate(factors) if not isinstance(factor, Family)), 0)
        if count == 0 or not isinstance(index := factors[count], Atom) or index.segments is None:
            return None
        families = [factor for factor in factors[:count] if isinstance(factor, Family)]
        return count if all(self.find(family.index) is index for family in families) else None

    def inside(self, word: Word) -> Iterator[Atom]:
        """Every atom of a word, also within its sums and families, with repetitions."""
        for factor in self.resolve(word):
            if isinstance(factor, Atom):
                yield factor
            for part in self.parts(factor):
                yield from self.inside(part)

    def families(self, word: Word) -> list[Family]:
        """All families of a word, also those inside its segments and inside each other."""
        found: list[Family] = []
        for factor in self.resolve(word):
            if isinstance(factor, Family):
                found.append(factor)
            for part in self.parts(factor):
                found.extend(self.families(part))
        return found

    def has_wild(self, word: Word) -> bool:
        """Whether the value is constant along some run of the word."""
        return any(
            isinstance(factor, Wild) or any(map(self.has_wild, self.parts(factor))) for factor in self.resolve(word)
        )

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


__all__ = ["Atoms"]
