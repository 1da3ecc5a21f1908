"""How many distinct copies given parameters have: the orbit, which is the group over the stabiliser."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import log10
from typing import Any

import numpy as np
import torch

from orbitope.errors import InputError, ParametersError
from orbitope.group import SymmetryGroup
from orbitope.group.counting.signs import signed_stabiliser
from orbitope.group.counting.stabiliser import Position
from orbitope.guarantee import Guarantee

_MEASURED = 1000
"""Up to this dimension the orbit's is measured."""


@dataclass(frozen=True)
class Duplicates:
    """Positions of some units that the parameters do not tell apart.

    Attributes:
        units: name of the units.
        at: for units over others, the position of each of those.
        positions: which.
        free: True where they are identical, so that any permutation of them alone changes nothing; False where they can
            only change places in step with other units.
    """

    units: str
    at: tuple[int, ...]
    positions: tuple[int, ...]
    free: bool

    def __str__(self) -> str:
        """One line."""
        where = f" at {', '.join(map(str, self.at))}" if self.at else ""
        shown = ", ".join(map(str, self.positions[:12])) + (" …" if len(self.positions) > 12 else "")
        how = "coincide" if self.free else "change places together with others"
        return f"{self.units}{where}: positions {shown} {how}"


@dataclass(frozen=True)
class Count:
    """The number of distinct parameters that the group makes of the given ones.

    Attributes:
        copies: the number, the given parameters included; a lower bound where ``guarantee`` is ``bounds``.
        at_most: an upper bound; equal to ``copies`` where the guarantee is ``exact``.
        log10: of ``copies``.
        stabiliser: number of elements that leave the parameters as they are; where the guarantee is ``bounds`` an
            upper bound, the one that ``copies`` comes from.
        continuous: dimension of the continuous part of the orbit, without what holds approximately or keeps the loss
            only.
        continuous_guarantee: ``exact`` for 0; ``numeric`` where it was measured at these parameters; ``bounds`` where
            it is an upper bound, the dimension of the group.
        duplicates: positions that the parameters do not tell apart.
        guarantee: ``exact``, or ``bounds`` (both proved) where the search for symmetries of the parameters was cut off.
    """

    copies: int
    at_most: int
    log10: float
    stabiliser: int
    continuous: int = 0
    continuous_guarantee: Guarantee = "exact"
    duplicates: tuple[Duplicates, ...] = ()
    guarantee: Guarantee = "exact"

    def __str__(self) -> str:
        """One sentence."""
        if self.guarantee == "exact":
            return f"{_number(self.copies)} distinct copies (stabiliser of order {_number(self.stabiliser)})"
        return f"between {_number(self.copies)} and {_number(self.at_most)} distinct copies"

    def to_json(self) -> dict[str, Any]:
        """The count as JSON; integers are strings, decimal, or hexadecimal beyond 4000 digits."""
        return {
            "format": "orbitope count",
            "version": 1,
            "copies": _text(self.copies),
            "at_most": _text(self.at_most),
            "log10": self.log10,
            "stabiliser": _text(self.stabiliser),
            "continuous": self.continuous,
            "continuous_guarantee": self.continuous_guarantee,
            "duplicates": [
                {"units": d.units, "at": list(d.at), "positions": list(d.positions), "free": d.free}
                for d in self.duplicates
            ],
            "guarantee": self.guarantee,
        }


def count(group: SymmetryGroup, params: Mapping[str, torch.Tensor], budget: int | None = None) -> Count:
    """The number of distinct copies of these parameters: the order of the group over that of the stabiliser.

    Permutations and signs are counted: those signs that keep the function, and that permutations take to signs of the
    same kind. Two parameter dictionaries are the same copy when all entries are equal, buffers included; −0 equals 0.

    Args:
        group: the symmetry group of the network.
        params: tensors by state-dict name.
        budget: how many passes over the parameters the search for their own symmetries may take. Parameters whose
            positions all differ, or differ up to identical ones, need none of it.

    Raises:
        ParametersError: names or shapes do not fit, or an entry is NaN; all problems at once.

    Guarantee: exact; two proved bounds (``guarantee == "bounds"``) where the budget does not suffice, or where
        positions are equal up to signs in ways that were not confirmed.
    """
    group.check(params, finite=False)
    _refuse_nan(group, params)
    found = signed_stabiliser(group, params, budget)
    order = group.order * 2**found.bits
    copies, at_most = -(-order // found.at_most), order // found.at_least
    alike = found.permutations
    named = [*((p, True) for p in alike.twins), *((p, False) for p in alike.orbits)]
    continuous, measured = _continuous(group, params)
    return Count(
        copies=copies,
        at_most=at_most,
        log10=log10(copies),
        stabiliser=found.at_most,
        continuous=continuous,
        continuous_guarantee=measured,
        duplicates=tuple(_duplicates(group, positions, free) for positions, free in named),
        guarantee="exact" if copies == at_most else "bounds",
    )


def _continuous(group: SymmetryGroup, params: Mapping[str, torch.Tensor]) -> tuple[int, Guarantee]:
    """Dimension of the continuous part of the orbit, measured where that is little work."""
    if not group.dimension:
        return 0, "exact"
    finite = all(bool(tensor.isfinite().all()) for tensor in params.values() if tensor.is_floating_point())
    if group.dimension <= _MEASURED and finite:
        try:
            return group.orbit_dimension(params), "numeric"
        except InputError:  # too large, or whole numbers among what moves
            pass
    return group.dimension, "bounds"


def _refuse_nan(group: SymmetryGroup, params: Mapping[str, torch.Tensor]) -> None:
    problems = []
    for name, tensor in params.items():
        if group.placement(name) is not None and (found := int(torch.isnan(tensor).sum())):
            problems.append(f"not a number: {name} has {found} NaN entries")
    if problems:
        raise ParametersError(
            "parameters that are not numbers cannot be counted",
            why="NaN is not equal to itself, so no two copies would be the same",
            fix="pass trained, finite parameters",
            details=problems,
        )


def _duplicates(group: SymmetryGroup, positions: tuple[Position, ...], free: bool) -> Duplicates:
    unit = group.by_name[positions[0][0]]
    row = positions[0][1] // unit.size
    at = tuple(map(int, np.unravel_index(row, unit.over_sizes))) if unit.over else ()
    return Duplicates(unit.name, at, tuple(number % unit.size for _, number in positions), free)


def _number(value: int) -> str:
    """Exactly up to 15 digits, as a power of ten beyond."""
    if value < 10**15:
        return f"{value:,}"
    exponent = int(log10(value))
    return f"{10 ** (log10(value) - exponent):.4f}·10^{exponent}"


def _text(value: int) -> str:
    return str(value) if value.bit_length() < 13_000 else hex(value)
