"""How steps are put one after another: neighbours of one family become one, permutations come first where they can.

``p ∘ d = (p d p⁻¹) ∘ p``: a permutation passes what a family does when the family's numbers are indexed by the units as
the parameters are.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import torch

from orbitope.errors import ElementError
from orbitope.group.blocks import Block, outlines
from orbitope.group.continuous import Family, Matrices, Translation
from orbitope.group.effects import changed, read_by, spots_of, terms_of
from orbitope.group.layout import Axis, Fixed, Interleaved, Merged, Moving, Ordered, Segments
from orbitope.group.passing import passed
from orbitope.group.steps import NEGLIGIBLE, Shuffle, Step

if TYPE_CHECKING:
    from orbitope.group.symmetry import SymmetryGroup


def appended(steps: Sequence[Step | Shuffle], step: Step) -> tuple[Step | Shuffle, ...]:
    """Steps, then one more; it joins an earlier one of its family that it can be brought next to.

    What multiplies is brought before translations where it can be, so that these meet each other at the end.
    """
    if step.trivial:
        return tuple(steps)
    after: list[Step | Shuffle] = []
    placed = (*steps, step)
    for k in reversed(range(len(steps))):
        other = steps[k]
        if isinstance(other, Step) and other.family.name == step.family.name:
            joined = other.then(step)
            kept = () if joined.distance <= NEGLIGIBLE else (joined,)
            return (*steps[:k], *kept, *after)
        image = passed(step, other) if isinstance(other, Step) else None
        if image is None:
            break
        after.insert(0, image)
        if isinstance(image.family, Translation) and not isinstance(step.family, Translation):
            placed = (*steps[:k], step, *after)
    return placed


# permutations past families -----------------------------------------------------------------------------------------
def steady(group: SymmetryGroup, family: Family) -> bool:
    """Whether permutations of units take the family to itself, moving its numbers as its space says."""
    names = {*group.by_name, *group.bases}
    if len(set(family.space)) < len(family.space):
        return False
    for name in family.space:
        unit = group.by_name.get(name)
        if unit is not None and not set(unit.over) <= set(family.space):
            return False
    touched = changed(family) | read_by(family)
    frames = group.continuous.frames
    for name in touched:
        if _skeletons(frames[name], names) != _skeletons(group.placements[name].axes, names):
            return False
    found = {name: outlines(name, group.placements[name].shape, frames[name]) for name in touched}
    try:
        return _spots_follow(group, family, found, names) and _terms_follow(group, family, found, names)
    except ElementError:
        return False


def _spots_follow(group: SymmetryGroup, family: Family, found: Mapping[str, list[Block]], names: set[str]) -> bool:
    """Whether every index of the family stands where the units of its name do."""
    for spot in spots_of(family):
        block = found[spot.parameter][spot.block]
        for name, place in zip(family.space, spot.dims, strict=True):
            if {name, block.names[place]} & names and block.names[place] != name:
                return False
            unit = group.by_name.get(name)
            if unit is not None:
                bases = [spot.dims[family.space.index(base)] for base in unit.over]
                if block.bases(place, unit.over) != bases:
                    return False
        if isinstance(family, Matrices) and _mixed_base(group, block, spot.dims):
            return False
    return True


def _mixed_base(group: SymmetryGroup, block: Block, dims: tuple[int, ...]) -> bool:
    """Whether something in the block is over the index that is mixed."""
    name = block.names[dims[0]]
    over = (group.by_name[x].over for x in block.names if x in group.by_name)
    return any(name in bases for bases in over)


def _terms_follow(group: SymmetryGroup, family: Family, found: Mapping[str, list[Block]], names: set[str]) -> bool:
    """Whether one letter always stands for one set of units, over the same letters."""
    for term in terms_of(family):
        meaning = dict(zip(term.vector, family.space, strict=True))
        uses = [(term.parameter, term.block, term.letters)]
        uses += [(factor.parameter, factor.block, factor.letters) for factor in term.factors]
        bases: dict[str, tuple[str, ...]] = {}
        for letter, name in meaning.items():
            if name in group.by_name:
                bases[letter] = tuple(term.vector[family.space.index(base)] for base in group.by_name[name].over)
        for parameter, number, letters in uses:
            block = found[parameter][number]
            for place, letter in enumerate(letters):
                name = block.names[place] or ""
                known = meaning.setdefault(letter, name)
                if known != name and {known, name} & names:
                    return False
                if name in group.by_name:
                    over = tuple(letters[base] for base in block.bases(place, group.by_name[name].over))
                    if bases.setdefault(letter, over) != over:
                        return False
    return True


def _skeletons(axes: Iterable[Axis], names: set[str]) -> list[tuple[Axis, ...]]:
    return [_flat([axis], names) for axis in axes]


def _flat(axes: Iterable[Axis], names: set[str]) -> tuple[Axis, ...]:
    """Factors of an axis with everything that no units index as one fixed run."""
    result: list[Axis] = []
    for axis in axes:
        for part in _bare(axis, names):
            if isinstance(part, Fixed) and result and isinstance(result[-1], Fixed):
                result[-1] = Fixed(result[-1].size * part.size)
            elif part != Fixed(1):
                result.append(part)
    return tuple(result)


def _bare(axis: Axis, names: set[str]) -> tuple[Axis, ...]:
    match axis:
        case Moving(name=name, size=size):
            return (axis,) if name in names else (Fixed(size),)
        case Fixed():
            return (axis,)
        case Merged(factors=factors):
            return _flat(factors, names)
        case Segments(parts=parts):
            runs: list[Axis] = []
            for part in parts:
                bare = Merged(_flat([part], names))
                still = all(isinstance(factor, Fixed) for factor in bare.factors)
                if still and runs and isinstance(runs[-1], Fixed):
                    runs[-1] = Fixed(runs[-1].size + part.size)
                else:
                    runs.append(Fixed(part.size) if still else bare)
            return (runs[0],) if len(runs) == 1 and isinstance(runs[0], Fixed) else (Segments(tuple(runs)),)
        case Interleaved(rows=rows, parts=parts):
            columns: list[Axis] = [Merged(_flat([part], names)) for part in parts]
            still = all(isinstance(f, Fixed) for part in columns if isinstance(part, Merged) for f in part.factors)
            return (Fixed(axis.size),) if still else (Interleaved(rows, tuple(columns)),)
        case Ordered(part=part, order=order):
            bare = Merged(_flat([part], names))
            still = all(isinstance(factor, Fixed) for factor in bare.factors)
            return (Fixed(axis.size),) if still else (Ordered(bare, order),)


def identity_table(table: torch.Tensor) -> bool:
    """Whether a permutation moves nothing."""
    return not bool((table != torch.arange(table.shape[-1])).any())
