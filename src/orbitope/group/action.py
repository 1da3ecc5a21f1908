"""How maps of activations act on one tensor whose axes are made of units.

There is one law: an axis made of units moves by their map. Units over others move first, for each position of what
they are over; then the base moves. ``(g·x)[σ(b), τ_b(a)] = x[b, a]``. Where a tensor has the base more than once, as
a dense layer ``[b·a, b·a]``, units follow the one that belongs to them: the only one in their own axis.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set

import torch

from orbitope.errors import ElementError
from orbitope.group.layout import Axis, Fixed, Interleaved, Merged, Moving, Ordered, Segments, movings
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
    return _act(tensor, list(enumerate(axes)), units, inverses, order, needed)


def base_axis(base: str, axis: int, names: Sequence[str | None], homes: Sequence[int]) -> int:
    """Which factor of a tensor is the base that belongs to another factor.

    Args:
        base: name of what the units of that factor are over.
        axis: the factor.
        names: of all factors.
        homes: for each factor the axis of the tensor that it is a part of.

    Raises:
        ElementError: none does, or it cannot be told which; inference makes no such groups.

    Guarantee: exact; the only one in the same axis, or else the only one in the tensor.
    """
    found = [k for k, name in enumerate(names) if name == base]
    own = [k for k in found if homes[k] == homes[axis]]
    if len(own) != 1 and len(found) != 1:
        raise ElementError(
            "it is not known which positions these units are over",
            at=str(names[axis]),
            got=f"{len(found)} axes of {base} in one parameter",
            fix="write the symmetry file again with orbitope inspect MODEL -o symmetry.json",
        )
    return own[0] if len(own) == 1 else found[0]


def _act(
    tensor: torch.Tensor,
    axes: Sequence[tuple[int, Axis]],
    units: Mapping[str, Units],
    inverses: Mapping[str, torch.Tensor],
    order: Sequence[str],
    needed: Set[str],
) -> torch.Tensor:
    """The action on a tensor or a part of it; each axis comes with the number of the axis that it is a part of."""
    factors = [(home, factor) for home, axis in axes for factor in _factors(axis)]
    result = tensor.reshape([factor.size for _, factor in factors])
    sums = {k: factor for k, (_, factor) in enumerate(factors) if isinstance(factor, Segments | Interleaved | Ordered)}
    cut = next((k for k, factor in sums.items() if _holds(factor, needed)), None)
    if cut is None:
        names = [factor.name if isinstance(factor, Moving) else None for _, factor in factors]
        homes = [home for home, _ in factors]
        for name in order:
            if name in names:
                result = _move(result, names, homes, units[name], inverses[name])
        return result.reshape(tensor.shape)
    moved = [
        _act(piece, [*factors[:cut], (factors[cut][0], part), *factors[cut + 1 :]], units, inverses, order, needed)
        for piece, part in zip(sums[cut].apart(result, cut), sums[cut].parts, strict=True)
    ]
    return sums[cut].together(moved, cut).reshape(tensor.shape)


def _factors(axis: Axis) -> list[Moving | Fixed | Segments | Interleaved | Ordered]:
    """An axis with its products written out."""
    if isinstance(axis, Merged):
        return [inner for factor in axis.factors for inner in _factors(factor)]
    return [axis]


def _holds(axis: Axis, names: Set[str]) -> bool:
    return any(moving.name in names for moving in movings(axis))


def _move(
    x: torch.Tensor, names: Sequence[str | None], homes: Sequence[int], unit: Units, inverse: torch.Tensor
) -> torch.Tensor:
    """Move one kind of units along every axis that they index."""
    index = inverse.to(x.device)
    for axis in [k for k, name in enumerate(names) if name == unit.name]:
        if not unit.over:
            x = x.index_select(axis, index)
            continue
        places = [base_axis(base, axis, names, homes) for base in unit.over]
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
