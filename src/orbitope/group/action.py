"""How maps of activations act on one tensor whose axes are made of units.

There is one law: an axis made of units moves by their map. Units over others move first, for each position of what
they are over; then the base moves. ``(g·x)[σ(b), τ_b(a)] = x[b, a]``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set

import torch

from orbitope.group.layout import Axis, Fixed, Interleaved, Merged, Moving, Segments, movings
from orbitope.group.units import Units


def act_on_tensor(
    tensor: torch.Tensor,
    axes: Sequence[Axis],
    units: Mapping[str, Units],
    inverses: Mapping[str, torch.Tensor],
    order: Sequence[str],
) -> torch.Tensor:
    """The action of one element on a tensor.

    Args:
        tensor: any dtype and device.
        axes: what each axis is made of.
        units: by name.
        inverses: for each moved units the inverse permutations, int64 ``[*over, n]``.
        order: names of the moved units, fibres before what they are over.

    Returns:
        A tensor of the same shape; the given one, perhaps, where nothing moves it.

    Guarantee: exact; entries are moved, never changed.
    """
    # fibres look up where their base is, so a sum that holds a base is taken apart even if the base stays
    needed = {name for moved in order for name in (moved, *units[moved].over)}
    return _act(tensor, axes, units, inverses, order, needed)


def _act(
    tensor: torch.Tensor,
    axes: Sequence[Axis],
    units: Mapping[str, Units],
    inverses: Mapping[str, torch.Tensor],
    order: Sequence[str],
    needed: Set[str],
) -> torch.Tensor:
    factors = [factor for axis in axes for factor in _factors(axis)]
    result = tensor.reshape([factor.size for factor in factors])
    sums = {k: factor for k, factor in enumerate(factors) if isinstance(factor, Segments | Interleaved)}
    cut = next((k for k, factor in sums.items() if _holds(factor, needed)), None)
    if cut is None:
        names = [factor.name if isinstance(factor, Moving) else None for factor in factors]
        for name in order:
            if name in names:
                result = _move(result, names, units[name], inverses[name])
        return result.reshape(tensor.shape)
    moved = [
        _act(piece, [*factors[:cut], part, *factors[cut + 1 :]], units, inverses, order, needed)
        for piece, part in zip(sums[cut].apart(result, cut), sums[cut].parts, strict=True)
    ]
    return sums[cut].together(moved, cut).reshape(tensor.shape)


def _factors(axis: Axis) -> list[Moving | Fixed | Segments | Interleaved]:
    """An axis with its products written out."""
    if isinstance(axis, Merged):
        return [inner for factor in axis.factors for inner in _factors(factor)]
    return [axis]


def _holds(axis: Axis, names: Set[str]) -> bool:
    return any(moving.name in names for moving in movings(axis))


def _move(x: torch.Tensor, names: Sequence[str | None], unit: Units, inverse: torch.Tensor) -> torch.Tensor:
    """Move one kind of units along every axis that they index."""
    index = inverse.to(x.device)
    for axis in [k for k, name in enumerate(names) if name == unit.name]:
        if not unit.over:
            x = x.index_select(axis, index)
            continue
        places = [names.index(base) for base in unit.over]
        aligned = index.permute([*_ranks(places), len(places)])
        shape = [1] * x.dim()
        for place in places:
            shape[place] = x.shape[place]
        # the fibre's own axis may lie between its bases: put it last, then move it to its place
        spread = aligned.reshape([n for k, n in enumerate(shape) if k != axis] + [x.shape[axis]])
        x = x.gather(axis, spread.movedim(-1, axis).expand(x.shape))
    return x


def _ranks(places: Sequence[int]) -> list[int]:
    """Order of the bases by their place in the tensor."""
    return sorted(range(len(places)), key=lambda k: places[k])
