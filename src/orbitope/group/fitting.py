"""Whether parameters fit the network that a group is of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch

from orbitope.errors import ParametersError

if TYPE_CHECKING:
    from orbitope.group.symmetry import SymmetryGroup


def check(group: SymmetryGroup, params: Mapping[str, torch.Tensor], partial: bool, finite: bool) -> None:
    """See :meth:`orbitope.group.symmetry.SymmetryGroup.check`."""
    problems: list[str] = []
    for placement in group.placements.values():
        for names in placement.tensors:
            if not partial and not any(name in params for name in names):
                problems.append(f"missing: {names[0]} {list(placement.piece)}")
    for name, tensor in params.items():
        placement = group.placement(name)
        if placement is None:
            if name not in group.unused:
                problems.append(f"unexpected: {name} {list(tensor.shape)}")
        elif not placement.fits(name, tensor.shape):
            expected = placement.shape if name in placement.names else placement.piece
            problems.append(f"shape: {name} is {list(tensor.shape)}, expected {list(expected)}")
        elif finite and tensor.is_floating_point() and not bool(tensor.isfinite().all()):
            count = int((~tensor.isfinite()).sum())
            problems.append(f"not finite: {name} has {count} NaN or infinite entries")
    if problems:
        raise ParametersError(
            "the parameters do not fit this network",
            why="a symmetry acts on every parameter that the function reads",
            fix="pass the state dict of the same architecture, trained to finite values",
            details=problems,
        )


__all__ = ["check"]
