"""Tensors cut into blocks whose every axis is indexed by one set of units, or by nothing that moves."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING

import torch

from orbitope.group.action import base_axis
from orbitope.group.layout import Axis, Fixed, Interleaved, Merged, Moving, Ordered, Segments, movings

if TYPE_CHECKING:
    from orbitope.group.symmetry import SymmetryGroup

Names = tuple[str | None, ...]
"""For each axis of a block the units or the fixed base that index it, or None."""


@dataclass(frozen=True, eq=False)
class Block:
    """A part of a parameter with products written out and sums cut.

    Attributes:
        parameter: canonical name.
        tensor: a view where torch allows one, with one axis per factor.
        names: for each axis the units or the fixed base that index it, or None.
        homes: for each axis the axis of the parameter that it is a part of.
    """

    parameter: str
    tensor: torch.Tensor
    names: Names
    homes: tuple[int, ...]

    def places(self, name: str) -> list[int]:
        """The axes that some units index."""
        return [axis for axis, found in enumerate(self.names) if found == name]

    def bases(self, axis: int, over: Sequence[str]) -> list[int]:
        """The axes of what the units of one axis are over: those that belong to it."""
        return [base_axis(base, axis, self.names, self.homes) for base in over]


def blocks(parameter: str, tensor: torch.Tensor, axes: Sequence[Axis]) -> Iterator[Block]:
    """All blocks of one parameter; complex numbers are a last axis of size 2.

    Blocks are numbered in this order: those of the first segment of the first axis that is a sum come first.

    Guarantee: exact; every entry is in exactly one block.
    """
    if tensor.is_complex():
        tensor, axes = torch.view_as_real(tensor.resolve_conj()), (*axes, Fixed(2))
    yield from _blocks(parameter, tensor, list(enumerate(axes)))


def map_blocks(
    tensor: torch.Tensor, axes: Sequence[Axis], function: Callable[[int, torch.Tensor, Names], torch.Tensor]
) -> torch.Tensor:
    """The tensor with every block replaced, put together again; itself where every block stays itself.

    Args:
        tensor: never written to.
        axes: what each axis is made of.
        function: given the number of a block as in :func:`blocks`, its entries and the names of its axes, a tensor of
            the same shape; the one it is given where nothing changes.

    Guarantee: exact; every entry is in exactly one block.
    """
    if not tensor.is_complex():
        return _mapped(tensor, axes, function, count())
    real = torch.view_as_real(tensor.resolve_conj())
    result = _mapped(real, (*axes, Fixed(2)), function, count())
    return tensor if result is real else torch.view_as_complex(result.contiguous())


def outlines(parameter: str, shape: Sequence[int], axes: Sequence[Axis], *, is_complex: bool = False) -> list[Block]:
    """The blocks of a parameter of some shape, without entries."""
    dtype = torch.complex64 if is_complex else torch.float32
    return list(blocks(parameter, torch.empty(tuple(shape), dtype=dtype, device="meta"), axes))


def _blocks(parameter: str, tensor: torch.Tensor, axes: Sequence[tuple[int, Axis]]) -> Iterator[Block]:
    factors = [(home, factor) for home, axis in axes for factor in _factors(axis)]
    tensor = tensor.reshape([factor.size for _, factor in factors])
    for k, (home, factor) in enumerate(factors):
        if isinstance(factor, Segments | Interleaved | Ordered):
            for piece, part in zip(factor.apart(tensor, k), factor.parts, strict=True):
                yield from _blocks(parameter, piece, [*factors[:k], (home, part), *factors[k + 1 :]])
            return
    yield Block(parameter, tensor, _names([factor for _, factor in factors]), tuple(home for home, _ in factors))


def _mapped(
    tensor: torch.Tensor,
    axes: Sequence[Axis],
    function: Callable[[int, torch.Tensor, Names], torch.Tensor],
    numbers: Iterator[int],
) -> torch.Tensor:
    factors = [factor for axis in axes for factor in _factors(axis)]
    table = tensor.reshape([factor.size for factor in factors])
    for k, factor in enumerate(factors):
        if isinstance(factor, Segments | Interleaved | Ordered):
            pieces = factor.apart(table, k)
            inside = [[*factors[:k], part, *factors[k + 1 :]] for part in factor.parts]
            images = [_mapped(x, part, function, numbers) for x, part in zip(pieces, inside, strict=True)]
            if all(image is piece for image, piece in zip(images, pieces, strict=True)):
                return tensor
            return factor.together(images, k).reshape(tensor.shape)
    image = function(next(numbers), table, _names(factors))
    return tensor if image is table else image.reshape(tensor.shape)


def _names(factors: Sequence[Axis]) -> Names:
    return tuple(factor.name if isinstance(factor, Moving) else None for factor in factors)


def _factors(axis: Axis) -> list[Axis]:
    if isinstance(axis, Merged):
        return [inner for factor in axis.factors for inner in _factors(factor)]
    return [axis] if any(movings(axis)) else [Fixed(axis.size)]


def canonical(group: SymmetryGroup, params: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The parameters that the function reads, once each, by canonical name; they have been checked."""
    return {name: placement.gather(params) for name, placement in group.placements.items()}


def alignment_of(places: Sequence[int]) -> tuple[list[int], list[int]]:
    """How a table ``[*over, n]`` lies in a block: the order of its axes, and where in the block they go.

    Args:
        places: the block's axes of what the units are over, and the one that they index.
    """
    order = sorted(range(len(places)), key=places.__getitem__)
    return order, [places[k] for k in order]
