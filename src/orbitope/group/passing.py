"""How a step passes another of a different family: ``s ∘ t = t' ∘ s``.

Two families that multiply exchange places where they act on different axes, or entry by entry. What a term adds follows
a family that multiplies when both sides of it are multiplied alike; a translation's own vector may make up for a
difference, and is multiplied itself then.
"""

from __future__ import annotations

from dataclasses import replace

import torch

from orbitope.group.continuous import Family, Flips, Matrices, Rotations, Scaling, Spot, Term, Translation
from orbitope.group.effects import along, moved, spots_of, terms_of
from orbitope.group.steps import Step

Weights = dict[tuple[str, ...], float]
"""Exponents of a family's numbers, by the letters of its space."""


def passed(step: Step, before: Step) -> Step | None:
    """The step t' such that ``step`` after ``before`` is t' after ``step``; None where that is not known.

    Guarantee: exact; derived from where both act, whatever the parameters.
    """
    one, other = step.family, before.family
    if not (_side_by_side(one, other) and _undisturbed(one, other) and _undisturbed(other, one)):
        return None
    if any(_weights(other, term) != {} for term in terms_of(one)):
        return None
    if any(_mixing(other, term) != {} for term in terms_of(one)):
        return None
    if isinstance(other, Translation):
        return _carried(step, before)
    trivial = all(_weights(one, term) == {} and _mixing(one, term) == {} for term in terms_of(other))
    return before if trivial else None


def _side_by_side(one: Family, other: Family) -> bool:
    """Whether what both multiply comes out the same in either order."""
    if isinstance(one, Rotations) or isinstance(other, Rotations):
        return _beside_rotations(one, other)
    for a in spots_of(one):
        for b in spots_of(other):
            if (a.parameter, a.block) != (b.parameter, b.block):
                continue
            if a.offset != b.offset:
                return False
            if isinstance(one, Matrices) and a.dims[0] in b.dims:
                return False
            if isinstance(other, Matrices) and b.dims[0] in a.dims:
                return False
    return True


def _beside_rotations(one: Family, other: Family) -> bool:
    """Whether rotations come out the same before and after another family: it acts alike on both of each pair."""
    if not isinstance(one, Rotations):
        one, other = other, one
    if not isinstance(one, Rotations):
        return False
    turned = {(spot.parameter, spot.block) for spot in spots_of(one)}
    for term in terms_of(other):
        if {(term.parameter, term.block), *((f.parameter, f.block) for f in term.factors)} & turned:
            return False
    if isinstance(other, Rotations):
        planes = {frozenset((s.parameter, s.block) for s in pair) for pair in other.pairs}
        met = [frozenset((s.parameter, s.block) for s in pair) for pair in one.pairs]
        return all(plane in planes or not any(plane & each for each in planes) for plane in met)
    for pair in one.pairs:
        acts = [_acts(other, spot) for spot in pair]
        if acts[0] != acts[1] or any(offset for _, _, offset in acts[0]):
            return False
        if isinstance(other, Matrices) and any(dims[0] in pair[0].dims for dims, _, _ in acts[0]):
            return False
    return True


def _acts(family: Family, at: Spot) -> list[tuple[tuple[int, ...], int, float]]:
    """How a family multiplies one block."""
    met = (spot for spot in spots_of(family) if (spot.parameter, spot.block) == (at.parameter, at.block))
    return sorted((spot.dims, spot.power, spot.offset) for spot in met)


def _undisturbed(one: Family, other: Family) -> bool:
    """Whether nothing that the terms of one look at is added to by the other, nor what they add to shifted by it."""
    looked_at = {(factor.parameter, factor.block) for term in terms_of(one) for factor in term.factors}
    added_to = {(term.parameter, term.block) for term in terms_of(other)}
    return not looked_at & added_to


def _weights(family: Family, term: Term) -> Weights | None:
    """What a family of single numbers multiplies the target of a term with, over what it does its factors with."""
    if not isinstance(family, Scaling | Flips):
        return {}
    total: Weights = {}
    uses = [(term.parameter, term.block, term.letters, 1.0, 0.0)]
    uses += [(f.parameter, f.block, f.letters, -f.power, f.offset) for f in term.factors]
    for parameter, block, letters, power, offset in uses:
        for spot in family.spots:
            if (spot.parameter, spot.block) == (parameter, block):
                if spot.offset != offset:
                    return None
                at = tuple(letters[place] for place in spot.dims)
                total[at] = total.get(at, 0.0) + power * spot.power
    if isinstance(family, Flips):
        if any(value % 1 for value in total.values()):
            return None
        total = {at: value % 2 for at, value in total.items()}
    return {at: value for at, value in total.items() if value}


def _mixing(family: Family, term: Term) -> dict[tuple[str, ...], int] | None:
    """By which powers of its matrices the vector of a term has to be mixed; None where that is not enough."""
    if not isinstance(family, Matrices):
        return {}
    met: dict[tuple[str, ...], list[tuple[bool, int]]] = {}
    uses = [(term.parameter, term.block, term.letters, 1.0, 0.0, True)]
    uses += [(f.parameter, f.block, f.letters, f.power, f.offset, False) for f in term.factors]
    for parameter, block, letters, power, offset, target in uses:
        for spot in family.spots:
            if (spot.parameter, spot.block) == (parameter, block):
                if power != 1.0 or offset:
                    return None
                met.setdefault(tuple(letters[place] for place in spot.dims), []).append((target, spot.power))
    found: dict[tuple[str, ...], int] = {}
    for at, places in met.items():
        every = [*term.letters, *term.vector, *(letter for f in term.factors for letter in f.letters)]
        if every.count(at[0]) != 2 or sum(other[0] == at[0] for other in met) != 1:
            return None
        powers = [power if target else -power for target, power in places]
        if len(places) == 2 and sum(powers) == 0:
            continue
        if len(places) != 1 or at[0] not in term.vector or not set(at) <= set(term.vector):
            return None
        found[at] = powers[0]
    return found


def _carried(step: Step, before: Step) -> Step | None:
    """A translation after a step that multiplies has passed it: its vector is multiplied as its targets are."""
    family, value = before.family, before.value
    terms = terms_of(family)
    weights = [_placed(_weights(step.family, term), term) for term in terms]
    mixing = [_placed(_mixing(step.family, term), term) for term in terms]
    if any(found is None or found != group[0] for group in (weights, mixing) for found in group):
        return None
    for places, power in (weights[0] or {}).items() if terms else ():
        numbers = torch.where(step.value, -1.0, 1.0).double() if isinstance(step.family, Flips) else step.value
        value = value * along(numbers.pow(power), Spot("", 0, places, 1), value)
    for places, power in (mixing[0] or {}).items() if terms else ():
        value = moved(step.family, step.value, Spot("", 0, places, int(power)), value)
    return replace(before, value=value)


def _placed(
    found: dict[tuple[str, ...], float] | dict[tuple[str, ...], int] | None, term: Term
) -> dict[tuple[int, ...], float] | None:
    """The same by axes of the vector; None where a letter is not one of the vector's."""
    if found is None or any(letter not in term.vector for at in found for letter in at):
        return None
    return {tuple(term.vector.index(letter) for letter in at): power for at, power in found.items()}
