"""What a family does to blocks of parameters: where it multiplies, what it adds, and with which numbers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import torch

from orbitope.errors import ParametersError
from orbitope.group.blocks import blocks
from orbitope.group.continuous import Family, Flips, Matrices, Rotations, Scaling, Spot, Term, Translation
from orbitope.group.layout import Axis
from orbitope.group.steps import contragredient

_WIDE = {torch.complex64: torch.complex128, torch.complex32: torch.complex128}


def spots_of(family: Family) -> tuple[Spot, ...]:
    """Where a family multiplies."""
    match family:
        case Translation():
            return ()
        case Rotations(pairs=pairs):
            return tuple(spot for pair in pairs for spot in pair)
        case _:
            return family.spots


def terms_of(family: Family) -> tuple[Term, ...]:
    """What a family adds."""
    match family:
        case Translation(terms=terms) | Flips(carries=terms):
            return terms
        case _:
            return ()


def changed(family: Family) -> set[str]:
    """Canonical names of the parameters that a family changes."""
    return {x.parameter for x in (*spots_of(family), *terms_of(family))}


def read_by(family: Family) -> set[str]:
    """Canonical names of the parameters that a family's terms look at."""
    return {factor.parameter for term in terms_of(family) for factor in term.factors}


def linked_by(family: Family) -> list[set[str]]:
    """Sets of parameters of which one is computed from the others."""
    terms = [{term.parameter, *(factor.parameter for factor in term.factors)} for term in terms_of(family)]
    pairs = family.pairs if isinstance(family, Rotations) else ()
    return [*terms, *({one.parameter, other.parameter} for one, other in pairs)]


def by_parameter(spots: Iterable[Spot], names: Iterable[str]) -> dict[str, list[Spot]]:
    """Spots by parameter, of those that are among some names."""
    known = set(names)
    found: dict[str, list[Spot]] = {}
    for spot in spots:
        if spot.parameter in known:
            found.setdefault(spot.parameter, []).append(spot)
    return found


def moved(family: Family, value: torch.Tensor, spot: Spot, block: torch.Tensor) -> torch.Tensor:
    """One block changed at one spot."""
    match family:
        case Flips():
            if not spot.power % 2 or not bool(value.any()):
                return block
            negative = -block if not spot.offset else -block - 2 * spot.offset
            return torch.where(along(value, spot, block), negative, block)
        case Scaling():
            scale = along(value.pow(spot.power), spot, block)
            return block * scale if not spot.offset else (block + spot.offset) * scale - spot.offset
        case Matrices():
            matrices = (value if spot.power == 1 else contragredient(family, value)).to(block.device)
            front = block.movedim(spot.dims, tuple(range(len(spot.dims))))
            count = len(spot.dims)
            table = front.movedim(0, count - 1)  # [*over, n, *rest]
            image = matrices @ table.reshape(*table.shape[:count], -1)
            return image.reshape(table.shape).movedim(count - 1, 0).movedim(tuple(range(count)), spot.dims)
        case Translation() | Rotations():
            return block


def along(value: torch.Tensor, spot: Spot, block: torch.Tensor) -> torch.Tensor:
    """A family's numbers in a shape that broadcasts over a block."""
    order = sorted(range(len(spot.dims)), key=spot.dims.__getitem__)
    shape = [1] * block.dim()
    for place in spot.dims:
        shape[place] = block.shape[place]
    return value.permute(order).reshape(shape).to(block.device)


def evaluate(
    terms: Sequence[Term],
    vector: torch.Tensor,
    current: Mapping[str, torch.Tensor],
    frames: Mapping[str, tuple[Axis, ...]],
    batched: bool = False,
) -> list[torch.Tensor]:
    """What terms add to their blocks, in shapes that broadcast over them, in float64.

    Args:
        terms: of one family.
        vector: its numbers, ``[*sizes]``.
        current: the parameters, by canonical name.
        frames: their axes.
        batched: whether the vector, and so every result, has one more axis in front.

    Raises:
        KeyError: a parameter that a term looks at is not given.
    """
    needed = {(factor.parameter, factor.block) for term in terms for factor in term.factors}
    entries: dict[tuple[str, int], torch.Tensor] = {}
    for name in {name for name, _ in needed}:
        for number, block in enumerate(blocks(name, widened(name, current[name]), frames[name])):
            if (name, number) in needed:
                entries[name, number] = block.tensor
    found = []
    extra = [51] if batched else []  # a letter of its own, Z
    for term in terms:
        operands: list[object] = [vector, [*extra, *map(_number, term.vector)]]
        known = set(term.vector)
        for factor in term.factors:
            tensor = entries[factor.parameter, factor.block]
            base = tensor + factor.offset if factor.offset else tensor
            operands += [base if factor.power == 1 else base.pow(factor.power), [*map(_number, factor.letters)]]
            known |= set(factor.letters)
        kept = [letter for letter in term.letters if letter in known]
        device = next((x.device for x in operands[2::2] if isinstance(x, torch.Tensor)), vector.device)
        operands = [x.to(device) if isinstance(x, torch.Tensor) else x for x in operands]
        value = torch.einsum(*operands, [*extra, *map(_number, kept)]) * term.coefficient
        places = [k for k, letter in enumerate(term.letters) if letter in known]
        shape = [1] * len(term.letters)
        for place, size in zip(places, value.shape[len(extra) :], strict=True):
            shape[place] = size
        found.append(value.reshape([*value.shape[: len(extra)], *shape]))
    return found


def _number(letter: str) -> int:
    return ord(letter) - ord("a") if letter.islower() else 26 + ord(letter) - ord("A")


# dtypes -------------------------------------------------------------------------------------------------------------
def widened(name: str, tensor: torch.Tensor) -> torch.Tensor:
    """In float64, or complex128.

    Raises:
        ParametersError: the tensor holds whole numbers, or is quantised.
    """
    if tensor.is_complex():
        return tensor.to(_WIDE.get(tensor.dtype, tensor.dtype))
    if tensor.is_quantized or not tensor.is_floating_point():
        raise _whole(name, tensor)
    return tensor.double()


def signed(name: str, tensor: torch.Tensor) -> torch.Tensor:
    """As it is, where signs can be changed."""
    if tensor.is_quantized or not (tensor.is_floating_point() or tensor.is_complex()):
        raise _whole(name, tensor)
    return tensor


def _whole(name: str, tensor: torch.Tensor) -> ParametersError:
    return ParametersError(
        "a tensor of whole numbers or a quantised one can only be permuted",
        at=name,
        got=str(tensor.dtype),
        why="its scaled or mixed entries would be rounded, which changes the function",
        fix="act on floating-point parameters, and quantise the image",
    )


__all__ = [
    "along",
    "by_parameter",
    "changed",
    "evaluate",
    "linked_by",
    "moved",
    "read_by",
    "signed",
    "spots_of",
    "terms_of",
    "widened",
]
