"""What translations have in common: of each, how much the others before it contain.

A function of several indices is a sum of parts, one for each set of indices, whose sums along any of them are zero. All
translations have the same parts, so that linear algebra over few numbers, part by part, says what is independent.
What passes through other parameters on its way into one is told apart by the way that it takes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import combinations
from math import prod

from orbitope.infer.gauge.leaves import Slot, Starts
from orbitope.infer.gauge.routes import Route, like
from orbitope.infer.gauge.solver import Number, independent
from orbitope.infer.words import Atom

Vector = dict[object, Number]
Family = tuple[Sequence[Atom], Sequence[tuple[tuple[str, Starts], tuple[Slot, ...], int]]]
"""The indices of a space, and for each leaf of a parameter the slots of these and the power."""


def overlaps(routes: Sequence[Route]) -> list[int]:
    """For each translation the dimension of what those before it contain of it."""
    kinds: dict[tuple[int, ...], list[tuple[int, int, Vector]]] = {}
    for number, route in enumerate(routes):
        for kind, size, vector in _parts(route):
            kinds.setdefault(kind, []).append((number, size, vector))
    found = [0] * len(routes)
    for parts in kinds.values():
        kept = set(independent([vector for _, _, vector in parts]))
        for k, (number, size, _) in enumerate(parts):
            if k not in kept:
                found[number] += size
    return found


def contents(families: Sequence[Family], modulus: int) -> list[int]:
    """For each scale or sign the dimension of what those before it contain of it.

    Args:
        families: for each the sizes of the indices of its space by their names, and for every leaf that it acts on the
            slots of these indices and the power.
        modulus: 2 for signs.
    """
    kinds: dict[tuple[int, ...], list[tuple[int, int, Vector]]] = {}
    for number, (space, spots) in enumerate(families):
        places = sorted(range(len(space)), key=lambda k, space=space: space[k].serial)
        for count in range(len(space) + 1):
            for chosen in combinations(places, count):
                vector: Vector = {}
                for leaf, slots, power in spots:
                    key = (*leaf, tuple(slots[k] for k in chosen))
                    vector[key] = vector.get(key, 0) + power
                size = prod(space[k].size - 1 for k in chosen)
                kinds.setdefault(tuple(space[k].serial for k in chosen), []).append((number, size, vector))
    found = [0] * len(families)
    for parts in kinds.values():
        kept = set(independent([vector for _, _, vector in parts], modulus))
        for k, (number, size, _) in enumerate(parts):
            if k not in kept:
                found[number] += size
    return found


def _parts(route: Route) -> Iterator[tuple[tuple[int, ...], int, Vector]]:
    """The kind of each part of a translation, its dimension, and where it goes."""
    letters = sorted(zip(route.letters, route.atoms, strict=True), key=lambda pair: pair[1].serial)
    for count in range(len(letters) + 1):
        for chosen in combinations(letters, count):
            vector: Vector = {}
            for name, starts, shift in route.terms:
                own = {letter: slot for slot, letter in shift.along.items()}
                if shift.factors:
                    key: object = (name, starts, like(shift, route.letters)[:2], tuple(x for x, _ in chosen))
                elif all(letter in own for letter, _ in chosen):
                    key = (name, starts, tuple(own[letter] for letter, _ in chosen))
                else:
                    continue  # its sum along an index that the target lacks is zero
                vector[key] = vector.get(key, 0) + Fraction(shift.coefficient)
            kind = tuple(atom.serial for _, atom in chosen)
            yield kind, prod(atom.size - 1 for _, atom in chosen), {k: v for k, v in vector.items() if v}


__all__ = ["Family", "contents", "overlaps"]
