"""Leaves of a tensor: the boxes into which the sums and families of its axis words cut it.

Inside a leaf every axis is a product of plain atoms, the *slots*. A leaf is named by where it begins along each axis; a
slot by its axis and its stride there. Positions, not words, tell how leaves of operands, labels and outputs correspond.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

from orbitope.graph import Label, Product, Sum, Term
from orbitope.infer.words import Atom, Family, Wild, Word, Words, common_runs, size_of, starts_of

Starts = tuple[int, ...]
Slot = tuple[int, int]
"""An axis, and a stride along it."""
LabelSlot = tuple[str, int]
"""A label, and a stride along it."""
Slots = dict[Slot, Atom]
"""The plain atoms of a leaf."""

MOST = 2000
"""Leaves of one tensor that are worth telling apart."""
FEW = 8
"""Segments of an index of no parameter that are worth telling apart."""


class Unaligned(Exception):
    """Indices that do not correspond, or too many leaves: nothing may be concluded from an operation."""


@dataclass(frozen=True)
class Leaf:
    """One box: where it begins and its slots."""

    starts: Starts
    slots: Slots


class Leaves:
    """The leaves of tensors, looked up once."""

    def __init__(self, words: Words, parameters: Iterable[Sequence[Word]] = ()) -> None:
        """Of one analysis; parameters are what the leaves are for."""
        self.words = words
        self._relevant = {atom for axes in parameters for word in axes for atom in words.inside(word)}
        self._blurred: dict[Atom, bool] = {}
        self._found: dict[tuple[Word, ...], dict[Starts, Leaf]] = {}

    def of(self, axes: Sequence[Word]) -> dict[Starts, Leaf]:
        """All leaves of a tensor.

        Raises:
            Unaligned: there are too many.
        """
        key = tuple(axes)
        if key not in self._found:
            self._found[key] = {leaf.starts: leaf for leaf in self._all(key)}
        return self._found[key]

    def at(self, axes: Sequence[Word], positions: Starts) -> Leaf:
        """The leaf that holds an entry."""
        found = self.of(axes)
        leaf = found.get(positions) or found.get(self._begin(axes, positions))
        if leaf is None:
            raise Unaligned
        return leaf

    def _is_blurred(self, atom: Atom) -> bool:
        """Whether a sum is one run in which nothing is told apart: it has many segments, and no parameter has any.

        A field has one number for the whole run then, which is a stronger demand than one for each segment.
        """
        if atom not in self._blurred:
            many = atom.segments is not None and len(self.words.segments(atom)) > FEW
            self._blurred[atom] = many and self._relevant.isdisjoint(self.words.inside((atom,)))
        return self._blurred[atom]

    def blurs(self, axes: Sequence[Word]) -> bool:
        """Whether a tensor may vary along an index that is in none of the slots of its leaves."""
        return any(
            isinstance(factor, Atom) and (self._is_blurred(factor) or self.blurs(self.words.parts(factor)))
            for word in axes
            for factor in self.words.resolve(word)
        )

    # enumeration ---------------------------------------------------------------------------------------------------
    def runs(self, axes: Sequence[Word]) -> dict[Atom, list[int]]:
        """The indices of families of a tensor, with the runs into which they are cut."""
        runs: dict[Atom, list[int]] = {}
        for family in (family for word in axes for family in self.words.families(word)):
            index = self.words.find(family.index)
            own = [size_of(segment) for segment in self.words.segments(index)] or [index.size]
            runs[index] = common_runs([family.sizes, runs.get(index, own)])
        return runs

    def _all(self, axes: tuple[Word, ...]) -> Iterator[Leaf]:
        runs = self.runs(axes)
        count = 0
        for chosen in product(*(starts_of(sizes) for sizes in runs.values())):
            at = dict(zip(runs, chosen, strict=True))
            parts = [list(self._word(word, at, axis, 1)) for axis, word in enumerate(axes)]
            for choice in product(*parts):
                count += 1
                if count > MOST:
                    raise Unaligned
                slots = {key: atom for _, inner in choice for key, atom in inner.items()}
                yield Leaf(tuple(start for start, _ in choice), slots)

    def _word(self, word: Word, at: Mapping[Atom, int], axis: int, stride: int) -> Iterator[tuple[int, Slots]]:
        """Choices of one word, whose last position has a stride: where each begins on the axis, and its slots."""
        factors = self.words.resolve(word)
        strides = [stride * size_of(factors[k + 1 :]) for k in range(len(factors))]
        parts = [list(self._factor(f, at, axis, s)) for f, s in zip(factors, strides, strict=True)]
        for choice in product(*parts):
            slots: Slots = {}
            for _, inner in choice:
                slots.update(inner)
            yield sum(start for start, _ in choice), slots

    def _factor(
        self, factor: Atom | Wild | Family, at: Mapping[Atom, int], axis: int, stride: int
    ) -> Iterator[tuple[int, Slots]]:
        if isinstance(factor, Wild) or (isinstance(factor, Atom) and factor not in at and self._is_blurred(factor)):
            yield 0, {}
        elif isinstance(factor, Family):
            member = self.words.member(factor, at[self.words.find(factor.index)])
            yield from self._word(member, at, axis, stride)
        elif factor.segments is not None:
            segments = self.words.segments(factor)
            for start, segment in zip(starts_of([size_of(s) for s in segments]), segments, strict=True):
                if factor in at and not start <= at[factor] < start + size_of(segment):
                    continue
                # a run of an index that begins inside of a segment
                inner = at[factor] - start if factor in at else 0
                for offset, slots in self._word(segment, at, axis, stride):
                    yield max(offset, inner * stride) + start * stride, slots
        elif factor in at:
            yield at[factor] * stride, {}
        else:
            yield 0, {(axis, stride): factor}

    # lookup --------------------------------------------------------------------------------------------------------
    def _begin(self, axes: Sequence[Word], positions: Starts) -> Starts:
        """Where the leaf begins that holds an entry."""
        runs = self.runs(axes)
        digits: dict[Atom, int] = {}
        for word, position in zip(axes, positions, strict=True):
            self._digits(word, position, runs, digits)
        if runs.keys() - digits.keys():
            raise Unaligned
        at = {index: max(s for s in starts_of(runs[index]) if s <= digit) for index, digit in digits.items()}
        return tuple(self._start(word, position, at) for word, position in zip(axes, positions, strict=True))

    def _digits(self, word: Word, position: int, runs: Mapping[Atom, object], digits: dict[Atom, int]) -> None:
        factors = self.words.resolve(word)
        for k, factor in enumerate(factors):
            digit = position // size_of(factors[k + 1 :]) % factor.size
            if not isinstance(factor, Atom):
                continue
            if factor in runs:
                digits[factor] = digit
            elif self._is_blurred(factor):
                continue
            segments = self.words.segments(factor)
            for start, segment in zip(starts_of([size_of(s) for s in segments]), segments, strict=True):
                if start <= digit < start + size_of(segment):
                    self._digits(segment, digit - start, runs, digits)

    def _start(self, word: Word, position: int, at: Mapping[Atom, int]) -> int:
        factors = self.words.resolve(word)
        total = 0
        for k, factor in enumerate(factors):
            stride = size_of(factors[k + 1 :])
            digit = position // stride % factor.size
            if isinstance(factor, Family):
                total += stride * self._start(self.words.member(factor, at[self.words.find(factor.index)]), digit, at)
            elif isinstance(factor, Atom) and factor not in at and self._is_blurred(factor):
                continue
            elif isinstance(factor, Atom) and factor.segments is not None:
                segments = self.words.segments(factor)
                for start, segment in zip(starts_of([size_of(s) for s in segments]), segments, strict=True):
                    if start <= digit < start + size_of(segment):
                        inner = self._start(segment, digit - start, at)
                        least = at[factor] - start if factor in at else 0
                        total += stride * (start + max(inner, least))
            elif isinstance(factor, Atom) and factor in at:
                total += stride * at[factor]
        return total


def position(term: Term, at: Mapping[str, int], chosen: Mapping[Sum, int]) -> int:
    """The position on an axis that positions of labels make."""
    match term:
        case Label(name=name):
            return at[name]
        case Product(factors=factors):
            total = 0
            for factor in factors:
                total = total * factor.size + position(factor, at, chosen)
            return total
        case Sum(segments=segments):
            k = chosen[term]
            return sum(segment.size for segment in segments[:k]) + position(segments[k], at, chosen)


def label_slot(term: Term, stride: int, chosen: Mapping[Sum, int]) -> tuple[str, int]:
    """The label, and the stride within it, that a slot of an axis belongs to."""
    match term:
        case Label(name=name):
            return name, stride
        case Sum(segments=segments):
            return label_slot(segments[chosen[term]], stride, chosen)
        case Product(factors=factors):
            below = 1
            for factor in reversed(factors):
                if stride < below * factor.size:
                    return label_slot(factor, stride // below, chosen)
                below *= factor.size
            raise Unaligned


def choices(terms: Sequence[Term]) -> Iterator[dict[Sum, int]]:
    """Every choice of one segment of each sum."""
    sums = list(dict.fromkeys(_sums(terms)))
    for chosen in product(*(range(len(each.segments)) for each in sums)):
        yield dict(zip(sums, chosen, strict=True))


def _sums(terms: Sequence[Term]) -> Iterator[Sum]:
    for term in terms:
        match term:
            case Sum(segments=segments):
                yield term
                yield from _sums(segments)
            case Product(factors=factors):
                yield from _sums(factors)
            case Label():
                pass


def chosen_labels(term: Term, chosen: Mapping[Sum, int]) -> Iterator[str]:
    """The labels of a term that are left when a segment of each sum is chosen."""
    match term:
        case Label(name=name):
            yield name
        case Product(factors=factors):
            for factor in factors:
                yield from chosen_labels(factor, chosen)
        case Sum(segments=segments):
            yield from chosen_labels(segments[chosen[term]], chosen)
