"""Families of parameters that were read in parts and are whole again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from orbitope.graph import Parameter
from orbitope.group import Axis, Fixed, Interleaved, Merged, Moving, Ordered, Placement, Segments
from orbitope.group.blocks import outlines
from orbitope.group.continuous import (
    Continuous,
    Factor,
    Family,
    Flips,
    Matrices,
    Rotations,
    Scaling,
    Spot,
    Term,
    Translation,
)
from orbitope.group.effects import spots_of, terms_of
from orbitope.infer.axes import cut

F = TypeVar("F", bound=Family)
P = TypeVar("P", Spot, Term, Factor)


def joined(found: Continuous, parameters: Mapping[str, Parameter], placements: Mapping[str, Placement]) -> Continuous:
    """The same families in terms of the parameters that the placements speak of.

    Where the parts of a parameter are cut in different ways, it has no frame, and what acts on it is left out.
    """
    wholes: dict[str, list[Parameter]] = {}
    for parameter in parameters.values():
        if parameter.part is not None and parameter.name not in placements:
            wholes.setdefault(parameter.members[0][0], []).append(parameter)
    frames = dict(found.frames)
    moved: dict[str, tuple[str, int]] = {}
    lost: set[str] = set()
    for name, parts in wholes.items():
        parts.sort(key=lambda part: part.part or (0, 0))
        given = [frames.pop(part.name, None) for part in parts]
        present = [axes for axes in given if axes is not None]
        if not present:
            continue
        if len({tuple(map(_outline, axes[1:])) for axes in present}) > 1:
            lost.update(part.name for part in parts)
            continue
        rest = present[0][1:]
        own = [(Fixed(part.shape[0]), *rest) if axes is None else axes for part, axes in zip(parts, given, strict=True)]
        frames[name] = (Segments(tuple(cut(axes[0]) for axes in own)), *rest)
        start = 0
        for part, axes in zip(parts, own, strict=True):
            moved[part.name] = (name, start)
            start += len(outlines(name, part.shape, (cut(axes[0]), *rest)))
    if not wholes:
        return found

    def kept(families: Sequence[F]) -> tuple[F, ...]:
        return tuple(_moved(each, moved) for each in families if not _names(each) & lost)

    return replace(
        found,
        frames=frames,
        scalings=kept(found.scalings),
        flips=kept(found.flips),
        matrices=kept(found.matrices),
        translations=kept(found.translations),
        rotations=kept(found.rotations),
    )


def _outline(axis: Axis) -> object:
    """How an axis is cut, whatever its indices are called."""
    match axis:
        case Moving(size=size) | Fixed(size=size):
            return size
        case Merged(factors=parts):
            return ("product", *map(_outline, parts))
        case Segments(parts=parts):
            return ("sum", *map(_outline, parts))
        case Interleaved(rows=rows, parts=parts):
            return ("interleaved", rows, *map(_outline, parts))
        case Ordered(part=part, order=order):
            return ("ordered", order, _outline(part))


def _names(family: Family) -> set[str]:
    """The parameters that a family speaks of."""
    terms = terms_of(family)
    return {each.parameter for each in (*spots_of(family), *terms, *(f for term in terms for f in term.factors))}


def _moved(family: F, moved: Mapping[str, tuple[str, int]]) -> F:
    """A family in terms of whole parameters."""

    def at(each: P) -> P:
        name, start = moved.get(each.parameter, (each.parameter, 0))
        return replace(each, parameter=name, block=each.block + start)

    def term(each: Term) -> Term:
        return replace(at(each), factors=tuple(map(at, each.factors)))

    match family:
        case Scaling() | Matrices():
            return replace(family, spots=tuple(map(at, family.spots)))
        case Flips():
            return replace(family, spots=tuple(map(at, family.spots)), carries=tuple(map(term, family.carries)))
        case Rotations():
            return replace(family, pairs=tuple((at(first), at(second)) for first, second in family.pairs))
        case Translation():
            return replace(family, terms=tuple(map(term, family.terms)))


__all__ = ["joined"]
