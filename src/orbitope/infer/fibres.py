"""Which units may move differently for each position of others (fibres over a base).

Units ``a`` may be over ``b`` where every tensor and every operation that has ``a`` has ``b`` exactly once beside it,
and no operation mixes along ``b`` while ``a`` stays put. The first condition alone is not enough: in ``h + cumsum(h)``
the consumed axis comes back through the sum.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import product

from orbitope.infer.unification import Unification
from orbitope.infer.words import Atom, Wild, Word, Words


def leaves(words: Words, word: Word) -> list[tuple[Atom, ...]]:
    """The plain atoms of a word, one tuple for each choice of segments of its sums."""
    choices: list[list[tuple[Atom, ...]]] = []
    for factor in words.resolve(word):
        if isinstance(factor, Wild):
            continue
        if factor.segments is None:
            choices.append([(factor,)])
        else:
            choices.append([leaf for segment in words.segments(factor) for leaf in leaves(words, segment)])
    return [sum(choice, ()) for choice in product(*choices)]


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
    for choice in product(*(leaves(words, word) for word in axes)):
        yield Counter(atom for part in choice for atom in part), frozenset()


def _joint(words: Words, labels: dict[str, Word], mixed: frozenset[str]) -> Iterator[Leaf]:
    """The virtual tensor over all indices of an operation; it catches Gram matrices, where an atom meets itself."""
    names = sorted(labels)
    for choice in product(*(leaves(words, labels[name]) for name in names)):
        counts = Counter(atom for part in choice for atom in part)
        moved = {atom for name, part in zip(names, choice, strict=True) if name in mixed for atom in part}
        yield counts, frozenset(moved)
