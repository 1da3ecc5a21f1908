"""Sign flips that leave parameters as they are, and permutations that do so up to signs.

A flip negates entries, so it keeps them only where they are zero: which flips do is a linear system over GF(2), with an
equation for every entry that is not zero. Most equations have one or two unknowns and are solved as connected
components. Every solution that counts has been applied to the parameters and compared entry by entry.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, combinations
from math import factorial, prod

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from orbitope.errors import ParametersError
from orbitope.group.blocks import blocks, canonical, map_blocks
from orbitope.group.continuous import Flips, Spot
from orbitope.group.counting.stabiliser import Position, Stabiliser, stabiliser
from orbitope.group.effects import changed, read_by
from orbitope.group.element import Element
from orbitope.group.steps import Step
from orbitope.group.symmetry import SymmetryGroup

_TESTED = 64
"""At most so many solutions, and exchanges, are applied to the parameters."""


@dataclass(frozen=True)
class Signed:
    """Bounds of the number of permutations with signs that leave the parameters as they are.

    Attributes:
        at_least: found.
        at_most: not excluded.
        bits: of independent flips that were taken into account.
        permutations: those that leave the parameters as they are without any flip.
    """

    at_least: int
    at_most: int
    bits: int
    permutations: Stabiliser


def counted(group: SymmetryGroup) -> list[Flips]:
    """Families of flips that count: those that keep the function and that permutations take to themselves."""
    return [f for f in group.continuous.flips if not f.loss and group.steady(f.name)]


def signed_stabiliser(group: SymmetryGroup, params: Mapping[str, torch.Tensor], budget: int | None = None) -> Signed:
    """Permutations with signs that leave parameters as they are.

    Args:
        group: the group.
        params: checked against the group, without NaN.
        budget: of each of the searches, see :func:`stabiliser`.

    Guarantee: exact; two bounds where the budget does not suffice, or where some solution was not confirmed.
    """
    families = counted(group)
    bits = sum(prod(f.sizes) for f in families)
    if not bits:
        found = stabiliser(group, params, budget)
        return Signed(found.at_least, found.at_most, 0, found)
    low, high = _kernel(group, families, params)
    outer = stabiliser(group, _magnitudes(group, families, params), budget)
    if outer.at_most == 1:
        return Signed(low, high, bits, outer)
    inner = stabiliser(group, params, budget)
    lifted = prod(_lifted(group, families, params, positions) for positions in outer.twins)
    return Signed(low * max(inner.at_least, lifted), high * outer.at_most, bits, inner)


# flips alone --------------------------------------------------------------------------------------------------------
def _kernel(group: SymmetryGroup, families: Sequence[Flips], params: Mapping[str, torch.Tensor]) -> tuple[int, int]:
    """Bounds of the number of flips that keep the parameters."""
    tensors = canonical(group, params)
    targets = {(term.parameter, term.block) for f in families for term in f.carries}
    # what is added to may come out as it was although its sign changes: there the equations are too strict
    high = len(_solutions(group, families, tensors, targets)[0])
    solutions, complete = _solutions(group, families, tensors, set())
    if not targets and complete:
        return 2 ** len(solutions), 2**high
    names = {name for f in families for name in (*changed(f), *read_by(f))}
    elements = (Element(group, {}, _steps(families, bits)) for bits in solutions[:_TESTED])
    return 2 ** sum(_keeps(g, params, names) for g in elements), 2**high


def _solutions(
    group: SymmetryGroup,
    families: Sequence[Flips],
    tensors: Mapping[str, torch.Tensor],
    without: set[tuple[str, int]],
) -> tuple[list[NDArray[np.bool_]], bool]:
    """A basis of the flips that negate nothing but zeros, over all bits of all families.

    Args:
        group: their group.
        families: of flips.
        tensors: by canonical name.
        without: blocks that are not looked at.

    Returns:
        The basis, and whether every entry was looked at, so that every solution keeps the parameters.
    """
    starts = np.cumsum([1, *(prod(f.sizes) for f in families)])  # 0 stands for what does not flip
    edges: list[NDArray[np.int64]] = []
    longer: list[NDArray[np.int64]] = []
    complete = True
    for name in sorted({spot.parameter for f in families for spot in f.spots}):
        for number, block in enumerate(blocks(name, tensors[name], group.continuous.frames[name])):
            met = [
                (int(start), f, spot)
                for start, f in zip(starts, families, strict=False)
                for spot in f.spots
                if (spot.parameter, spot.block) == (name, number) and spot.power % 2
            ]
            if (name, number) in without or len({spot.offset for _, _, spot in met}) > 1:
                complete = False
            elif met:
                rows = _equations(block.tensor, met)
                (edges if rows.shape[1] <= 2 else longer).append(rows)
    pairs = np.concatenate([_paired(rows) for rows in edges]) if edges else np.zeros((0, 2), np.int64)
    total = int(starts[-1])
    graph = coo_matrix((np.ones(len(pairs), np.int8), (pairs[:, 0], pairs[:, 1])), (total, total))
    count, labels = connected_components(graph, directed=False)
    free = [number for number in range(count) if number != labels[0]]
    rows = {row for found in longer for row in map(tuple, np.unique(labels[found], axis=0).tolist())}
    basis = _null_space(rows, free, int(labels[0]))
    return [np.isin(labels, list(chosen))[1:] for chosen in basis], complete


def _equations(block: torch.Tensor, met: Sequence[tuple[int, Flips, Spot]]) -> NDArray[np.int64]:
    """For every entry that is not zero the numbers of the bits that flip it."""
    places = sorted({place for _, _, spot in met for place in spot.dims})
    others = [k for k in range(block.dim()) if k not in places]
    nonzero = (block + met[0][2].offset) != 0
    mask = nonzero.amax(others) if others else nonzero
    crossed = sorted(spot.dims for _, _, spot in met) == [(place,) for place in places]
    if mask.dim() == 2 and crossed and bool(mask.all()):
        mask = torch.zeros_like(mask)  # one row and one column connect as much as all entries do
        mask[:1], mask[:, :1] = True, True
    at = np.stack([index.numpy() for index in torch.nonzero(mask.cpu(), as_tuple=True)]) if places else None
    columns = []
    for start, family, spot in met:
        if at is None:
            columns.append(np.full(int(mask.any()), start, np.int64))
        else:
            index = [at[places.index(place)] for place in spot.dims]
            flat = np.ravel_multi_index(index, family.sizes) if index else np.zeros(at.shape[1], np.int64)
            columns.append(flat + start)
    rows = np.stack(columns, axis=1).astype(np.int64)
    return rows if len(columns) < 3 else np.unique(rows, axis=0)


def _paired(rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Equations of one unknown with 0 as the other."""
    return rows if rows.shape[1] == 2 else np.stack([rows[:, 0], np.zeros(len(rows), np.int64)], axis=1)


def _null_space(rows: set[tuple[int, ...]], free: Sequence[int], zero: int) -> list[tuple[int, ...]]:
    """Sets of components that meet every equation an even number of times: a basis of them."""
    place = {number: k for k, number in enumerate(free)}
    pivots: dict[int, int] = {}
    for row in rows:
        word = 0
        for number in row:
            word ^= 0 if number == zero else 1 << place[number]
        for pivot, known in pivots.items():
            word ^= known if word >> pivot & 1 else 0
        if word:
            pivot = word.bit_length() - 1
            pivots = {p: known ^ word if known >> pivot & 1 else known for p, known in pivots.items()}
            pivots[pivot] = word
    found = []
    for k, number in enumerate(free):
        if k not in pivots:
            found.append((number, *(free[p] for p, known in pivots.items() if known >> k & 1)))
    return found


# permutations up to signs -------------------------------------------------------------------------------------------
def _magnitudes(
    group: SymmetryGroup, families: Sequence[Flips], params: Mapping[str, torch.Tensor]
) -> dict[str, torch.Tensor]:
    """What no flip changes: magnitudes of what flips, and nothing of what is added to."""
    tensors = canonical(group, params)
    for name in {name for f in families for name in changed(f)}:
        spots = [spot for f in families for spot in f.spots if spot.parameter == name and spot.power % 2]
        targets = {term.block for f in families for term in f.carries if term.parameter == name}

        def change(
            number: int,
            block: torch.Tensor,
            _names: object,
            spots: Sequence[Spot] = spots,
            targets: set[int] = targets,
        ) -> torch.Tensor:
            offsets = {spot.offset for spot in spots if spot.block == number}
            if number in targets or len(offsets) > 1:
                return torch.zeros_like(block)
            return (block.double() + offsets.pop()).abs() if offsets else block.double()

        tensors[name] = map_blocks(tensors[name], group.continuous.frames[name], change)
    return tensors


def _lifted(
    group: SymmetryGroup,
    families: Sequence[Flips],
    params: Mapping[str, torch.Tensor],
    positions: tuple[Position, ...],
) -> int:
    """How many permutations of positions equal up to signs were found to keep the parameters together with signs."""
    classes: list[list[Position]] = []
    tests = 0
    for position in positions:
        for members in classes:
            tests += 1
            if tests <= _TESTED and _exchanges(group, families, params, members[0], position):
                members.append(position)
                break
        else:
            classes.append([position])
    return prod(factorial(len(members)) for members in classes)


def _exchanges(
    group: SymmetryGroup,
    families: Sequence[Flips],
    params: Mapping[str, torch.Tensor],
    one: Position,
    other: Position,
) -> bool:
    """Whether two positions can change places, with signs of these two alone, without any change."""
    unit = group.by_name[one[0]]
    row, i = divmod(one[1], unit.size)
    at = tuple(map(int, np.unravel_index(row, unit.over_sizes))) if unit.over else ()
    swap = group.swap(unit, i, other[1] % unit.size, at)
    near = [f for f in families if unit.name in f.space]
    names = {name for f in near for name in (*changed(f), *read_by(f))} | {name for name, _ in unit.acts_on}
    for chosen in chain.from_iterable(combinations(near, k) for k in range(min(len(near), 3) + 1)):
        steps = []
        for f in chosen:
            value = torch.zeros(f.sizes, dtype=torch.bool)
            part = value
            for base, place in sorted(zip(unit.over, at, strict=True), key=lambda x: -f.space.index(x[0])):
                part = part.select(f.space.index(base), place)
            kept = [name for name in f.space if name not in unit.over]
            part.index_fill_(kept.index(unit.name), torch.tensor([i, other[1] % unit.size]), True)
            steps.append(Step(f, value))
        if _keeps(Element(group, swap.permutations, tuple(steps)), params, names):
            return True
    return False


def _keeps(g: Element, params: Mapping[str, torch.Tensor], names: set[str]) -> bool:
    """Whether an element leaves every parameter as it is, of those that it may change."""
    aliases = {alias for name in names for tensor in g.group.placements[name].tensors for alias in tensor} | names
    given = {name: tensor for name, tensor in params.items() if name in aliases}
    try:
        image = g.act(given, partial=True)
    except ParametersError:  # whole numbers, or entries that are not finite
        return False
    return all(bool((image[name] == tensor).all()) for name, tensor in given.items())


def _steps(families: Sequence[Flips], bits: NDArray[np.bool_]) -> tuple[Step, ...]:
    steps, start = [], 0
    for f in families:
        size = prod(f.sizes)
        steps.append(Step(f, torch.from_numpy(bits[start : start + size].copy()).reshape(f.sizes)))
        start += size
    return tuple(step for step in steps if not step.trivial)
