"""What every alignment method gets: two parameter dictionaries, checked, and the distance between them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from math import sqrt

import torch

from orbitope.errors import ParametersError
from orbitope.group import Element, SymmetryGroup
from orbitope.group.blocks import Block, blocks, canonical


@dataclass(frozen=True, eq=False)
class Pair:
    """Part of a parameter in both networks.

    Attributes:
        block: of the network that stays.
        other: the same part of the one that moves.
    """

    block: Block
    other: torch.Tensor

    @property
    def names(self) -> tuple[str | None, ...]:
        """For each axis the units or the fixed base that index it, or None."""
        return self.block.names

    def wide(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Both tensors in float32, or float64 where one of them is."""
        x, y = self.block.tensor, self.other
        dtype = torch.promote_types(torch.promote_types(x.dtype, y.dtype), torch.float32)
        return x.to(dtype), y.to(dtype)


@dataclass(frozen=True, eq=False)
class Problem:
    """Find g such that g·b is close to a.

    Attributes:
        group: the symmetry group of both networks.
        a: the parameters that stay, by canonical name: the trainable floating ones.
        b: the parameters that move, the same ones, on the devices of ``a``.

    Running statistics and other buffers are left out: they are in units of their own (a variance may outweigh all
    weights) and follow from the weights and the data. An element moves them along all the same.
    """

    group: SymmetryGroup
    a: Mapping[str, torch.Tensor]
    b: Mapping[str, torch.Tensor]

    @staticmethod
    def of(a: Mapping[str, torch.Tensor], b: Mapping[str, torch.Tensor], group: SymmetryGroup) -> Problem:
        """The problem for two parameter dictionaries.

        Raises:
            ParametersError: one of them does not fit the group, or is not finite where it counts; everything at once.
        """
        problems = []
        for label, params in (("a", a), ("b", b)):
            try:
                group.check(params, finite=False)
            except ParametersError as error:
                problems += [f"{label}: {detail}" for detail in error.details]
        chosen = [] if problems else [name for name in group.placements if _counts(group, name, a)]
        x, y = ({} if problems else {n: canonical(group, p)[n] for n in chosen} for p in (a, b))
        for label, params in (("a", x), ("b", y)):
            for name, tensor in params.items():
                if bad := int((~tensor.isfinite()).sum()):
                    problems.append(f"{label}: not finite: {name} has {bad} NaN or infinite entries")
        if problems:
            raise ParametersError(
                "the two networks cannot be aligned",
                why="both must have the parameters of the network that the group was found for",
                fix="pass two state dicts of the same architecture, trained to finite values",
                details=problems,
            )
        return Problem(group, x, {name: tensor.to(x[name].device) for name, tensor in y.items()})

    def pairs(self, units: str, b: Mapping[str, torch.Tensor]) -> Iterator[Pair]:
        """All blocks of ``a`` that some units index, with the same part of ``b``."""
        for name in self.touched[units]:
            axes = self.group.placements[name].axes
            for mine, other in zip(blocks(name, self.a[name], axes), blocks(name, b[name], axes), strict=True):
                if units in mine.names:
                    yield Pair(mine, other.tensor)

    @cached_property
    def touched(self) -> dict[str, tuple[str, ...]]:
        """For each units' name the parameters that they index."""
        return {
            unit.name: tuple(n for n in self.a if unit.name in self.group.placements[n].moved_by())
            for unit in self.group.units
        }

    def moved(self, step: Element, b: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """The image of those parameters of ``b`` that a step moves."""
        names = {n for unit in step.permutations for n in self.touched[unit]}
        return step.act({n: b[n] for n in b if n in names}, partial=True)

    def similarity(self, b: Mapping[str, torch.Tensor]) -> float:
        """⟨a, b⟩ over the parameters in ``b``, summed in float64: what an element changes of the distance."""
        return sum(_dot(self.a[name], tensor) for name, tensor in b.items())

    def distance(self, b: Mapping[str, torch.Tensor]) -> float:
        """|a − b|, summed in float64."""
        return sqrt(sum(_squared(self.a[name], tensor) for name, tensor in b.items()))


def _counts(group: SymmetryGroup, name: str, params: Mapping[str, torch.Tensor]) -> bool:
    placement = group.placements[name]
    tensor = next(params[alias] for alias in (*placement.names, *placement.tensors[0]) if alias in params)
    floating = tensor.is_floating_point() or tensor.is_complex()
    return floating and placement.trainable


def _exact(tensor: torch.Tensor) -> torch.Tensor:
    """As real numbers in the widest dtype that the device has."""
    tensor = torch.view_as_real(tensor.resolve_conj()) if tensor.is_complex() else tensor
    return tensor.to(torch.float32 if tensor.device.type == "mps" else torch.float64).flatten()


def _dot(x: torch.Tensor, y: torch.Tensor) -> float:
    return float(torch.dot(_exact(x), _exact(y)))


def _squared(x: torch.Tensor, y: torch.Tensor) -> float:
    difference = _exact(x) - _exact(y)
    return float(torch.dot(difference, difference))
