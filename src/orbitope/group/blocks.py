"""Tensors cut into blocks whose every axis is indexed by one set of units, or by nothing that moves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch

from orbitope.group import Axis, Fixed, Interleaved, Merged, Moving, Segments, SymmetryGroup, movings


@dataclass(frozen=True, eq=False)
class Block:
    """A part of a parameter with products written out and sums cut.

    Attributes:
        parameter: canonical name.
        tensor: a view where torch allows one, with one axis per factor.
        names: for each axis the units or the fixed base that index it, or None.
    """

    parameter: str
    tensor: torch.Tensor
    names: tuple[str | None, ...]

    def places(self, name: str) -> list[int]:
        """The axes that some units index."""
        return [axis for axis, found in enumerate(self.names) if found == name]


def blocks(parameter: str, tensor: torch.Tensor, axes: Sequence[Axis]) -> Iterator[Block]:
    """All blocks of one parameter; complex numbers are a last axis of size 2.

    Guarantee: exact; every entry is in exactly one block.
    """
    if tensor.is_complex():
        tensor, axes = torch.view_as_real(tensor.resolve_conj()), (*axes, Fixed(2))
    factors = [factor for axis in axes for factor in _factors(axis)]
    tensor = tensor.reshape([factor.size for factor in factors])
    for k, factor in enumerate(factors):
        if isinstance(factor, Segments | Interleaved):
            for piece, part in zip(factor.apart(tensor, k), factor.parts, strict=True):
                yield from blocks(parameter, piece, [*factors[:k], part, *factors[k + 1 :]])
            return
    names = tuple(factor.name if isinstance(factor, Moving) else None for factor in factors)
    yield Block(parameter, tensor, names)


def _factors(axis: Axis) -> list[Axis]:
    if isinstance(axis, Merged):
        return [inner for factor in axis.factors for inner in _factors(factor)]
    return [axis] if any(movings(axis)) else [Fixed(axis.size)]


def canonical(group: SymmetryGroup, params: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The parameters that the function reads, once each, by canonical name; they have been checked."""
    return {name: placement.gather(params) for name, placement in group.placements.items()}


def alignment_of(axis: int, over: Sequence[str], names: Sequence[str | None]) -> tuple[list[int], list[int]]:
    """How a table ``[*over, n]`` lies in a block: the order of its axes, and where in the block they go.

    Args:
        axis: the block's axis that the units index.
        over: what the units are over; each occurs in the block once.
        names: of the block's axes.
    """
    places = [names.index(base) for base in over] + [axis]
    order = sorted(range(len(places)), key=places.__getitem__)
    return order, [places[k] for k in order]
