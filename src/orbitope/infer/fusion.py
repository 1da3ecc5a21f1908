"""Two sets of units that may each be over the other are one: their positions stand side by side everywhere.

A view that is undone, as in ``h.view(b, 4, 3).relu().flatten(1)``, splits twelve units into 4 × 3 and tells nothing
apart. If 3 may move differently for each of the 4 and 4 differently for each of the 3, all twelve may change places:
permutations of rows and of columns, each chosen freely, generate all permutations of a rectangle.
"""

from __future__ import annotations

from collections.abc import Iterator

from orbitope.infer.unification import Unification
from orbitope.infer.words import Atom, Factor, Word, Words

Over = dict[Atom, set[Atom]]


def fuse(result: Unification, over: Over) -> Over:
    """Write mutual units as one wherever every parameter has them side by side in one order.

    Args:
        result: the words; those of parameters are changed, the others lose their meaning.
        over: for every movable atom the atoms that it may be over.

    Returns:
        ``over`` for the atoms that are left.
    """
    while (pair := _next(result, over)) is not None:
        fused = result.words.fuse(*pair)
        both = set(pair)
        left = {atom: found - both | ({fused} if both <= found else set()) for atom, found in over.items()}
        over = {atom: found for atom, found in left.items() if atom not in both}
        over[fused] = (left[pair[0]] & left[pair[1]]) - {fused}
    return over


def _next(result: Unification, over: Over) -> tuple[Atom, Atom] | None:
    words = result.words
    lists = [word for axes in result.parameters.values() for axis in axes for word in _lists(words, axis)]
    for a, found in sorted(over.items(), key=lambda item: item[0].serial):
        for b in sorted(found, key=lambda atom: atom.serial):
            if b.fixed is None and a in over.get(b, ()) and all(_side_by_side(word, a, b) for word in lists):
                return a, b
    return None


def _lists(words: Words, word: Word) -> Iterator[Word]:
    """The factors of a word, and those of its segments."""
    resolved = words.resolve(word)
    yield resolved
    for factor in resolved:
        for part in words.parts(factor):
            yield from _lists(words, part)


def _side_by_side(word: Word, a: Factor, b: Factor) -> bool:
    firsts = [k + 1 for k, factor in enumerate(word) if factor is a]
    seconds = [k for k, factor in enumerate(word) if factor is b]
    return firsts == seconds
