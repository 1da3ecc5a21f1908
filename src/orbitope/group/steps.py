"""Steps of an element: what one family does, or a permutation of units, and how two steps make one.

A step of a family holds one value: booleans for flips, positive numbers for a scaling, matrices ``[*over, n, n]``,
vectors for a translation. Two steps of one family that act one after the other make one of that family.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import pi
from typing import Any

import torch

from orbitope.group.action import act_on_tensor
from orbitope.group.continuous import Family, Flips, Matrices, Rotations, Scaling, Translation
from orbitope.group.layout import Moving
from orbitope.group.units import Units

NEGLIGIBLE = 1e-12
"""What two steps leave of one family when they undo each other is rounding of this size, and is dropped."""

TOLERANCE = 1e-9
"""Scales, matrices and translations are equal within this: relative for the first two, absolute for translations."""


@dataclass(frozen=True, eq=False)
class Shuffle:
    """A permutation of units in the middle of an element, where it cannot be moved past what comes before it.

    Attributes:
        permutations: for each moved units the permutation, int64 ``[*over, n]``.
    """

    permutations: Mapping[str, torch.Tensor]


@dataclass(frozen=True, eq=False)
class Step:
    """One family's part in an element.

    Attributes:
        family: which.
        value: bool ``[*sizes]`` for flips, float64 ``[*sizes]`` for scalings, translations and (in radians) rotations,
            float64 ``[*over, n, n]`` for matrices.
    """

    family: Family
    value: torch.Tensor

    @property
    def trivial(self) -> bool:
        """Whether it changes nothing at all."""
        return self.distance == 0.0

    @property
    def distance(self) -> float:
        """How far its numbers are from those of the identity."""
        match self.family:
            case Flips():
                return float(self.value.any())
            case Scaling():
                return _largest(self.value - 1)
            case Matrices(sizes=sizes):
                return _largest(self.value - torch.eye(sizes[0], dtype=torch.float64))
            case Rotations():
                return _largest(torch.remainder(self.value + pi, 2 * pi) - pi)
            case Translation():
                return _largest(self.value)

    def inverse(self) -> Step:
        """What undoes it."""
        match self.family:
            case Flips():
                return self
            case Scaling():
                return Step(self.family, self.value.reciprocal())
            case Matrices():
                return Step(self.family, contragredient(self.family, self.value).mT)
            case Translation() | Rotations():
                return Step(self.family, -self.value)

    def then(self, after: Step) -> Step:
        """This one, then another of the same family."""
        match self.family:
            case Flips():
                return Step(self.family, self.value ^ after.value)
            case Scaling():
                return Step(self.family, self.value * after.value)
            case Matrices():
                return Step(self.family, after.value @ self.value)
            case Translation() | Rotations():
                return Step(self.family, self.value + after.value)

    def permuted(self, units: Mapping[str, Units], inverses: Mapping[str, torch.Tensor], order: Sequence[str]) -> Step:
        """What it is after a permutation that went before it: p ∘ this ∘ p⁻¹.

        Args:
            units: by name.
            inverses: the inverse permutations.
            order: names of the moved units, fibres before what they are over.
        """
        names = list(zip(self.family.space, self.family.sizes, strict=True))
        axes = [Moving(name, size) for name, size in names]
        if isinstance(self.family, Matrices):
            axes = [*axes[1:], axes[0], axes[0]]
        here = {axis.name for axis in axes}
        moved = [name for name in order if name in here]
        return Step(self.family, act_on_tensor(self.value, axes, units, inverses, moved)) if moved else self


def contragredient(family: Matrices, value: torch.Tensor) -> torch.Tensor:
    """The transposed inverses of matrices of a family; of orthogonal ones and of rotations without solving."""
    if family.kind == "orthogonal":
        return value
    if family.kind == "complex":
        return value / value[..., :, :1].square().sum(-2, keepdim=True)
    return torch.linalg.inv(value).mT


def shape_of(family: Family) -> tuple[int, ...]:
    """The shape of a family's value."""
    if isinstance(family, Matrices):
        return (*family.sizes[1:], family.sizes[0], family.sizes[0])
    return tuple(family.sizes)


def problem(family: Family, value: torch.Tensor) -> str:
    """Why a value is none of the family's; empty where it is one."""
    shape = shape_of(family)
    if tuple(value.shape) != shape:
        return f"shape {tuple(value.shape)}, expected {shape}"
    if isinstance(family, Flips):
        return "" if value.dtype == torch.bool else f"flips are booleans, got {value.dtype}"
    if value.dtype != torch.float64 or not bool(value.isfinite().all()):
        return f"finite float64 numbers expected, got {value.dtype}"
    if isinstance(family, Scaling) and not bool((value > 0).all()):
        return "scales are positive"
    return _matrix_problem(family, value) if isinstance(family, Matrices) and value.numel() else ""


def _matrix_problem(family: Matrices, value: torch.Tensor) -> str:
    size = value.abs().amax()
    identity = torch.eye(family.sizes[0], dtype=torch.float64)
    if family.ones and _largest(value.sum(-1) - 1) > TOLERANCE * max(1.0, float(size)):
        return "the matrices do not keep the vector of ones"
    if family.kind == "orthogonal" and _largest(value @ value.mT - identity) > TOLERANCE:
        return "the matrices are not orthogonal"
    if family.kind == "complex":
        first, second = value[..., 0, 0] - value[..., 1, 1], value[..., 0, 1] + value[..., 1, 0]
        if max(_largest(first), _largest(second)) > TOLERANCE * float(size):
            return "the matrices are no multiples of rotations"
    if family.kind != "orthogonal" and not bool((torch.linalg.cond(value) < 1e12).all()):
        return "the matrices are not safely invertible: their condition number is above 1e12"
    return ""


def as_value(family: Family, value: Any) -> torch.Tensor:
    """A value from nested lists, numbers or tensors; a single number or matrix holds at all positions.

    Flips are booleans, or signs: −1 where a position flips and 1 where it does not.

    Raises:
        ValueError: signs other than 1 and −1.
    """
    flips = isinstance(family, Flips)
    tensor = torch.as_tensor(value, dtype=None if flips else torch.float64).detach().cpu().clone()
    if flips and tensor.dtype != torch.bool:
        if not bool((tensor.abs() == 1).all()):
            raise ValueError("signs are 1 or −1, or booleans that say what flips")
        tensor = tensor < 0
    shape = shape_of(family)
    kept = 2 if isinstance(family, Matrices) else 0
    single = tensor.dim() == kept and shape[len(shape) - kept :] == tuple(tensor.shape)
    return tensor.expand(shape).clone() if single else tensor


def _largest(tensor: torch.Tensor) -> float:
    return float(tensor.abs().max()) if tensor.numel() else 0.0
