"""The infinitesimal action: in which directions the continuous part moves given parameters, and how many there are.

Families that change no parameter in common are independent, so the rank is a sum over the connected components of
families. Each component is one dense matrix in float64, a row for each direction.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from math import prod
from typing import TYPE_CHECKING

import torch

from orbitope.errors import InputError
from orbitope.group.blocks import blocks, map_blocks
from orbitope.group.continuous import Matrices, Rotations, Scaling, Spot, Translation
from orbitope.group.effects import along, by_parameter, changed, evaluate, read_by, spots_of, terms_of, widened
from orbitope.group.layout import Axis, Fixed
from orbitope.group.sampling import ones_first

if TYPE_CHECKING:
    from orbitope.group.symmetry import SymmetryGroup

Moved = Scaling | Matrices | Rotations | Translation

LARGEST_COUNT, LARGEST_ENTRIES = 3000, 200_000_000
"""What one component may have: directions, and entries of them."""

_FLOOR, _GENUINE = 1e-14, 1e-10


def tangents(
    group: SymmetryGroup,
    families: Sequence[Moved],
    params: Mapping[str, torch.Tensor],
    names: Iterable[str] | None = None,
) -> dict[str, torch.Tensor]:
    """See :meth:`orbitope.group.symmetry.SymmetryGroup.tangents`."""
    wanted = _wanted(group, families, params, names)
    count = sum(family.dimension for family in families)
    _refuse_large(count, sum(params[name].numel() for name in wanted))
    read = _Reader(group, params)
    pieces: dict[str, torch.Tensor] = {
        name: torch.zeros((count, *params[name].shape), dtype=_wide(params[name])) for name in wanted
    }
    start = 0
    for family in families:
        rows = slice(start, start + family.dimension)
        start += family.dimension
        for key, directions in _directions(group, family, read).items():
            for run, share in _apart(group, key, directions, pieces):
                run[rows] = share.reshape(run[rows].shape)
    return pieces


def orbit_dimension(
    group: SymmetryGroup,
    families: Sequence[Moved],
    params: Mapping[str, torch.Tensor],
    names: Iterable[str] | None = None,
) -> int:
    """See :meth:`orbitope.group.symmetry.SymmetryGroup.orbit_dimension`."""
    read = _Reader(group, params)
    wanted = None if names is None else set(_wanted(group, families, params, names))
    return sum(_rank(group, component, read, wanted) for component in _components(families))


def rank_by_gap(values: torch.Tensor) -> int:
    """How many singular values are not zero, by the widest gap.

    Args:
        values: in any order, of a matrix whose rows have length one or less.

    Returns:
        The number of values above the widest gap among those that end below 1e-10 of the largest; values below 1e-14
        of the largest are noise.

    Guarantee: numeric; a genuine value below 1e-10 of the largest is taken for noise where the gap above it is wider.
    """
    ordered = values.double().sort(descending=True).values
    if not ordered.numel() or float(ordered[0]) == 0.0:
        return 0
    relative = (ordered / ordered[0]).clamp(min=_FLOOR)
    below = torch.cat([relative[1:], torch.tensor([_FLOOR], dtype=torch.float64)])
    gaps = torch.where(below <= _GENUINE, relative / below, 0.0)
    return int(gaps.argmax()) + 1


# one component ------------------------------------------------------------------------------------------------------
def _rank(group: SymmetryGroup, component: Sequence[Moved], read: _Reader, wanted: set[str] | None) -> int:
    keys = sorted({name for family in component for name in changed(family)})
    count = sum(family.dimension for family in component)
    _refuse_large(count, sum(prod(group.placements[key].shape) for key in keys))
    if not count:
        return 0
    columns: dict[str, list[torch.Tensor]] = {key: [] for key in keys}
    for family in component:
        found = _directions(group, family, read)
        for key in keys:
            empty = torch.zeros((family.dimension, read(key).numel() * (1 + read(key).is_complex())))
            directions = found.get(key)
            flat = empty.double() if directions is None else _real(directions).reshape(family.dimension, -1)
            columns[key].append(flat)
    whole = {key: torch.cat(parts) for key, parts in columns.items()}
    if wanted is None:
        return _matrix_rank(torch.cat(list(whole.values()), dim=1))
    mine = [_selected(group, key, rows, read, wanted) for key, rows in whole.items()]
    kept = torch.cat([rows[:, mask] for rows, mask in zip(whole.values(), mine, strict=True)], dim=1)
    rest = torch.cat([rows[:, ~mask] for rows, mask in zip(whole.values(), mine, strict=True)], dim=1)
    if not rest.shape[1]:
        return _matrix_rank(kept)
    return _matrix_rank(torch.cat([kept, rest], dim=1)) - _matrix_rank(rest)


def _selected(group: SymmetryGroup, key: str, rows: torch.Tensor, read: _Reader, wanted: set[str]) -> torch.Tensor:
    """Which columns of a parameter belong to tensors that are asked for."""
    placement = group.placements[key]
    flags = [any(name in wanted for name in names) for names in placement.tensors]
    return torch.tensor(flags).repeat_interleave(rows.shape[1] // len(flags))


def _matrix_rank(rows: torch.Tensor) -> int:
    """Numerical rank; every row is brought to length one first, which changes no rank."""
    rows = rows[:, rows.abs().amax(0) > 0] if rows.shape[0] and rows.shape[1] else rows
    if not rows.numel():
        return 0
    rows = rows / rows.abs().amax(1, keepdim=True).clamp(min=1e-300)
    rows = rows / rows.norm(dim=1, keepdim=True).clamp(min=1e-300)
    if rows.shape[1] > rows.shape[0]:
        rows = torch.linalg.qr(rows.mT, mode="r").R
    return rank_by_gap(torch.linalg.svdvals(rows))


def _components(families: Sequence[Moved]) -> list[list[Moved]]:
    """Families that change parameters in common, directly or through others."""
    home: dict[str, int] = {}
    found: dict[int, list[Moved]] = {}
    for k, family in enumerate(families):
        names = changed(family)
        met = {home[name] for name in names if name in home}
        joined = [each for number in sorted(met) for each in found.pop(number)]
        found[k] = [*joined, family]
        for each in found[k]:
            for name in changed(each):
                home[name] = k
    return list(found.values())


def _refuse_large(count: int, entries: int) -> None:
    if count <= LARGEST_COUNT and count * entries <= LARGEST_ENTRIES:
        return
    raise InputError(
        "the continuous part is too large for its rank to be measured",
        got=f"{count:,} directions of {entries:,} entries that hang together",
        why=f"more than {LARGEST_COUNT:,} directions, or {LARGEST_ENTRIES:,} numbers, in one matrix",
        fix="use group.dimension, which counts directions of generic parameters without looking at them",
    )


# one family ---------------------------------------------------------------------------------------------------------
class _Reader:
    """Parameters in float64 by their canonical names."""

    def __init__(self, group: SymmetryGroup, params: Mapping[str, torch.Tensor]) -> None:
        self.group, self.params = group, params
        self._kept: dict[str, torch.Tensor] = {}

    def __call__(self, key: str) -> torch.Tensor:
        if key not in self._kept:
            try:
                self._kept[key] = widened(key, self.group.placements[key].gather(self.params)).cpu()
            except KeyError as error:
                raise InputError("a parameter is missing", got=str(error.args[0]), fix="pass all of them") from error
        return self._kept[key]


def _directions(group: SymmetryGroup, family: Moved, read: _Reader) -> dict[str, torch.Tensor]:
    """For each parameter that a family moves its derivative, ``[dimension, *shape]``."""
    result: dict[str, torch.Tensor] = {}
    frames = group.continuous.frames
    if isinstance(family, Rotations):
        return _turned(family, frames, read)
    for key, spots in by_parameter(spots_of(family), changed(family)).items():
        tensor = read(key)

        def change(
            number: int, block: torch.Tensor, entries: torch.Tensor, spots: Sequence[Spot] = spots
        ) -> torch.Tensor:
            for spot in spots:
                block = block + _derivative(family, spot, entries) if spot.block == number else block
            return block

        result[key] = _batched(key, tensor, frames[key], family.dimension, change)
    if terms := terms_of(family):
        identity = torch.eye(family.dimension, dtype=torch.float64).reshape(-1, *family.sizes)
        current = {name: read(name) for name in changed(family) | read_by(family)}
        added = evaluate(terms, identity, current, frames, batched=True)
        for key in dict.fromkeys(term.parameter for term in terms):
            mine = [(term.block, value) for term, value in zip(terms, added, strict=True) if term.parameter == key]

            def add(
                number: int,
                block: torch.Tensor,
                _entries: torch.Tensor,
                mine: Sequence[tuple[int, torch.Tensor]] = mine,
            ) -> torch.Tensor:
                for place, value in mine:
                    block = block + value if place == number else block
                return block

            result[key] = _batched(key, current[key], frames[key], family.dimension, add)
    return result


def _turned(family: Rotations, frames: Mapping[str, tuple[Axis, ...]], read: _Reader) -> dict[str, torch.Tensor]:
    """The derivative of rotations: (x, y) → (−y, x)."""
    sources: dict[str, list[tuple[Spot, Spot, float]]] = {}
    for one, other in family.pairs:
        sources.setdefault(one.parameter, []).append((one, other, -1.0))
        sources.setdefault(other.parameter, []).append((other, one, 1.0))
    keys = {spot.parameter for spot in spots_of(family)}
    entries = {
        (key, number): block.tensor for key in keys for number, block in enumerate(blocks(key, read(key), frames[key]))
    }
    identity = torch.eye(family.dimension, dtype=torch.float64).reshape(-1, *family.sizes)
    result = {}
    for key, met in sources.items():

        def change(
            number: int,
            block: torch.Tensor,
            _entries: torch.Tensor,
            met: Sequence[tuple[Spot, Spot, float]] = met,
        ) -> torch.Tensor:
            for target, source, sign in met:
                if target.block == number and family.dimension:
                    found = entries[source.parameter, source.block]
                    block = block + sign * torch.stack([along(each, target, found) for each in identity]) * found
            return block

        result[key] = _batched(key, read(key), frames[key], family.dimension, change)
    return result


def _batched(
    key: str,
    tensor: torch.Tensor,
    axes: Sequence[Axis],
    count: int,
    function: Callable[[int, torch.Tensor, torch.Tensor], torch.Tensor],
) -> torch.Tensor:
    """Zeros ``[count, *shape]`` with every block changed; the function is given its number, itself and the entries."""
    entries = [block.tensor for block in blocks(key, tensor, axes)]
    zeros = torch.zeros((count, *tensor.shape), dtype=tensor.dtype)
    return map_blocks(zeros, (Fixed(count), *axes), lambda number, block, _: function(number, block, entries[number]))


def _derivative(family: Moved, spot: Spot, block: torch.Tensor) -> torch.Tensor:
    """How one block changes at one spot, ``[dimension, *block]``."""
    if isinstance(family, Scaling):
        identity = torch.eye(family.dimension, dtype=torch.float64).reshape(-1, *family.sizes)
        masks = torch.stack([along(each, spot, block) for each in identity]) if family.dimension else identity
        return masks * ((block + spot.offset) * spot.power)
    if not isinstance(family, Matrices):
        raise TypeError("translations have no spots")
    count = len(spot.dims)
    table = block.movedim(spot.dims, tuple(range(count))).movedim(0, count - 1)  # [*over, n, *rest]
    flat = table.reshape(prod(family.sizes[1:]), family.sizes[0], -1)
    basis = generators(family)
    basis = basis if spot.power == 1 else -basis.mT
    images = torch.einsum("gij,ojr->goir", basis, flat)
    spread = torch.zeros((len(basis), len(flat), *flat.shape), dtype=torch.float64)
    positions = torch.arange(len(flat))
    spread[:, positions, positions] = images
    whole = spread.reshape(-1, *table.shape).movedim(count, 1)
    return whole.movedim(tuple(range(1, count + 1)), tuple(1 + place for place in spot.dims))


def generators(family: Matrices) -> torch.Tensor:
    """A basis of the infinitesimal matrices of a family, ``[k, n, n]``."""
    n = family.sizes[0]
    if family.kind == "complex":
        return torch.tensor([[[1.0, 0.0], [0.0, 1.0]], [[0.0, -1.0], [1.0, 0.0]]], dtype=torch.float64)
    units = torch.eye(n * n, dtype=torch.float64).reshape(n, n, n, n)
    basis = ones_first(n) if family.ones else torch.eye(n, dtype=torch.float64)
    first = 1 if family.ones else 0
    if family.kind == "general":
        found = [units[i, j] for i in range(n) for j in range(first, n)]
    else:
        found = [units[i, j] - units[j, i] for i in range(first, n) for j in range(i + 1, n)]
    return basis @ torch.stack(found) @ basis.mT if found else torch.zeros((0, n, n), dtype=torch.float64)


# names --------------------------------------------------------------------------------------------------------------
def _wanted(
    group: SymmetryGroup, families: Sequence[Moved], params: Mapping[str, torch.Tensor], names: Iterable[str] | None
) -> list[str]:
    """State-dict names of the tensors to look at, each tensor under one of its names."""
    keys = {key for family in families for key in changed(family)}
    moving = [x for key in group.placements if key in keys for x in group.placements[key].tensors]
    if names is None:
        return list(dict.fromkeys(next(name for name in aliases if name in params) for aliases in moving))
    known = {name: aliases for aliases in moving for name in aliases}
    seen: set[tuple[str, ...]] = set()
    found = []
    for name in names:
        if group.placement(name) is None and name not in group.unused:
            raise InputError("there is no such parameter", got=name)
        if name in known and known[name] not in seen:
            seen.add(known[name])
            found.append(name)
    return found


def _apart(
    group: SymmetryGroup, key: str, directions: torch.Tensor, pieces: Mapping[str, torch.Tensor]
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Where the directions of one parameter go in those of the tensors that it is made of."""
    placement = group.placements[key]
    shares = directions.chunk(len(placement.tensors), 1) if len(placement.tensors) > 1 else (directions,)
    for aliases, share in zip(placement.tensors, shares, strict=True):
        for name in aliases:
            if name in pieces:
                whole = pieces[name]
                run = whole if placement.part is None else whole.narrow(1, placement.part[0], placement.shape[0])
                yield run, share


def _real(tensor: torch.Tensor) -> torch.Tensor:
    return torch.view_as_real(tensor) if tensor.is_complex() else tensor


def _wide(tensor: torch.Tensor) -> torch.dtype:
    return torch.complex128 if tensor.is_complex() else torch.float64
