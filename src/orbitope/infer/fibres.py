"""Which units may move differently for each position of others (fibres over a base).

Units ``a`` may be over ``b`` where every tensor and every operation that has ``a`` has ``b`` exactly once beside it,
and no operation mixes along ``b`` while ``a`` stays put. The first condition alone is not enough: in ``h + cumsum(h)``
the consumed axis comes back through the sum.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import product

from orbitope.infer.unification import Unification
from orbitope.infer.words import Atom, Family, Wild, Word, Words, common_runs, size_of, starts_of


def leaves(words: Words, axes: Sequence[Word], alike: bool = True) -> Iterator[list[tuple[Atom, ...]]]:
    """The plain atoms of each axis of a tensor, once for each choice of segments of its sums.

    An index of families is chosen once for the whole tensor, so that each family yields the member that belongs.
    Without ``alike`` segments of an axis that consist of the same atoms, as single positions do, are chosen once.
    """
    plain = [words.resolve(word) for word in axes]
    runs: dict[Atom, list[int]] = {}
    for family in (family for word in plain for family in words.families(word)):
        index = words.find(family.index)
        own = [size_of(segment) for segment in words.segments(index)] or [index.size]
        runs[index] = common_runs([family.sizes, runs.get(index, own)])
    for starts in product(*(starts_of(sizes) for sizes in runs.values())):
        at = dict(zip(runs, starts, strict=True))
        found = (_choices(words, word, at) for word in plain)
        yield from map(list, product(*(choices if alike else dict.fromkeys(choices) for choices in found)))


def _choices(words: Words, word: Word, at: Mapping[Atom, int]) -> list[tuple[Atom, ...]]:
    """The atoms of one resolved word, for each choice of its segments."""
    choices: list[list[tuple[Atom, ...]]] = []
    for factor in words.resolve(word):
        if isinstance(factor, Wild):
            continue
        if isinstance(factor, Family):
            choices.append(_choices(words, words.member(factor, at[words.find(factor.index)]), at))
        elif factor in at:
            choices.append(_choices(words, _segment(words, factor, at[factor]), at))
        elif factor.segments is None:
            choices.append([(factor,)])
        else:
            choices.append([x for segment in words.segments(factor) for x in _choices(words, segment, at)])
    return [sum(choice, ()) for choice in product(*choices)]


def _segment(words: Words, index: Atom, position: int) -> Word:
    """The segment of an index that holds a position; the position itself where it has no segments."""
    segments = words.segments(index)
    for start, segment in zip(starts_of([size_of(s) for s in segments]), segments, strict=True):
        if start <= position < start + size_of(segment):
            return segment
    return ()


Leaf = tuple[Counter[Atom], frozenset[Atom]]
"""How often each atom occurs, and which atoms are mixed."""


def bases(result: Unification) -> dict[Atom, set[Atom]]:
    """For every movable atom the atoms that it may be over (movable or fixed)."""
    over: dict[Atom, set[Atom]] = {}
    seen: set[tuple[object, ...]] = set()
    for counts, mixed in _all_leaves(result):
        key = (frozenset(counts.items()), mixed)
        if key in seen:
            continue
        seen.add(key)
        once = {atom for atom, count in counts.items() if count == 1}
        for atom in counts:
            if atom.fixed is not None:
                continue
            allowed = once - {atom}
            if atom not in mixed:
                allowed -= mixed
            if atom in over:
                over[atom] &= allowed
            else:
                over[atom] = set(allowed)
    return over


def _all_leaves(result: Unification) -> Iterator[Leaf]:
    words = result.words
    for axes in result.parameters.values():
        yield from _tensor(words, axes)
    for use in result.uses:
        yield from _tensor(words, result.values[use.node.name])
        if use.mixed:
            yield from _joint(words, use.labels, use.mixed)


def _tensor(words: Words, axes: Iterable[Word]) -> Iterator[Leaf]:
    for choice in leaves(words, list(axes), alike=False):
        yield Counter(atom for part in choice for atom in part), frozenset()


def _joint(words: Words, labels: dict[str, Word], mixed: frozenset[str]) -> Iterator[Leaf]:
    """The virtual tensor over all indices of an operation; it catches Gram matrices, where an atom meets itself."""
    names = sorted(labels)
    for choice in leaves(words, [labels[name] for name in names], alike=False):
        counts = Counter(atom for part in choice for atom in part)
        moved = {atom for name, part in zip(names, choice, strict=True) if name in mixed for atom in part}
        yield counts, frozenset(moved)
