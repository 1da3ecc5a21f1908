"""The symmetry group of a network: its units and how they index the parameters."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from math import factorial
from typing import TYPE_CHECKING, Any

import torch

from orbitope.group import documents, making
from orbitope.group.composition import steady
from orbitope.group.continuous import Continuous, Family, Flips, Matrices, Rotations, Scaling, Translation
from orbitope.group.diagnostics import Diagnostic
from orbitope.group.element import Element
from orbitope.group.fitting import check
from orbitope.group.layout import Placement
from orbitope.group.sampling import sample
from orbitope.group.units import Units

if TYPE_CHECKING:
    from orbitope.group.counting import Count


@dataclass(frozen=True, eq=False)
class SymmetryGroup:
    """The permutations of units, and the signs, scales, matrices and translations, that keep the function of a network.

    Attributes:
        units: sets of interchangeable positions.
        placements: for each parameter, by canonical name, how units index it.
        bases: sizes of fixed axes that some units are over, by name.
        diagnostics: fixed axes and why.
        unused: state-dict names that the function does not read; they never move.
        notes: what the result assumes: the sizes of inputs that were looked at, the path that was taken.
        continuous: signs, scales, matrices, rotations and translations. Each family says whether it keeps the function
            exactly, approximately, or the loss only.

    Guarantee: exact, given that the lowered program is the model (which is tested numerically on the example inputs).
    """

    units: tuple[Units, ...]
    placements: Mapping[str, Placement]
    bases: Mapping[str, int] = field(default_factory=dict)
    diagnostics: tuple[Diagnostic, ...] = ()
    unused: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    continuous: Continuous = field(default_factory=Continuous)

    def __repr__(self) -> str:
        """Number of units and order."""
        return f"SymmetryGroup({len(self.units)} sets of units, order 10^{self.log10_order:.2f})"

    # facts ---------------------------------------------------------------------------------------------------------
    @cached_property
    def by_name(self) -> dict[str, Units]:
        """Units by name."""
        return {unit.name: unit for unit in self.units}

    @cached_property
    def families(self) -> dict[str, Family]:
        """Signs, scales, matrices and translations by name."""
        found = self.continuous
        every = (*found.scalings, *found.flips, *found.matrices, *found.rotations, *found.translations)
        return {each.name: each for each in every}

    @cached_property
    def _steady(self) -> dict[str, bool]:
        return {}

    def steady(self, name: str) -> bool:
        """Whether permutations of units take a family to itself, moving its numbers as its space says."""
        if name not in self._steady:
            self._steady[name] = steady(self, self.families[name])
        return self._steady[name]

    @cached_property
    def _owner(self) -> dict[str, Placement]:
        return {
            name: placement
            for placement in self.placements.values()
            for names in (placement.names, *placement.members)
            for name in names
        }

    def parts(self, name: str) -> tuple[Placement, ...]:
        """How a tensor moves, by any of its names: one placement, or one for each run of its rows."""
        found = self.placement(name)
        if found is None or found.part is None or name in found.names:
            return () if found is None else (found,)
        runs = [p for p in self.placements.values() if p.part is not None and p.members == found.members]
        return tuple(sorted(runs, key=lambda p: p.part or (0, 0)))

    def placement(self, name: str) -> Placement | None:
        """How a parameter moves, by any of its names; None where the function does not read it."""
        return self._owner.get(name)

    @property
    def order(self) -> int:
        """Number of elements, exactly."""
        total = 1
        for unit in self.units:
            total *= factorial(unit.size) ** unit.copies
        return total

    @property
    def log10_order(self) -> float:
        """log10 of the number of permutations."""
        return sum(unit.log10_order for unit in self.units)

    @property
    def sign_bits(self) -> int:
        """Number of independent sign flips that keep the function, not counting those that matrices contain."""
        return sum(family.bits for family in self.continuous.flips if not family.loss)

    @property
    def dimension(self) -> int:
        """Dimension of the continuous part: of what keeps the function, exactly."""
        return self.dimension_of()

    def dimension_of(self, *, approximate: bool = False, loss: bool = False) -> int:
        """Dimension of the continuous part.

        Args:
            approximate: count what holds approximately too, as at ε = 0 only.
            loss: count what keeps the loss but not the function too.
        """
        return sum(family.dimension for family in self._counted(approximate, loss))

    def _counted(self, approximate: bool, loss: bool) -> list[Scaling | Matrices | Rotations | Translation]:
        """Families of which infinitesimal elements are asked for."""
        part = self.continuous
        scalings = [x for x in part.scalings if (approximate or not x.approximate) and (loss or not x.loss)]
        return [*scalings, *part.matrices, *part.rotations, *(x for x in part.translations if loss or not x.loss)]

    @cached_property
    def digest(self) -> str:
        """Names the structure; equal for groups with the same units in the same places."""
        return documents.digest(self)

    def innermost_first(self, names: Iterable[str]) -> list[str]:
        """Units in an order in which fibres come before what they are over."""
        wanted, order = set(names), []
        outward = {unit.name: unit.over for unit in self.units}
        while wanted:
            ready = sorted(x for x in wanted if not any(x in outward.get(y, ()) for y in wanted))
            if not ready:
                raise AssertionError("units are over each other in a circle")
            order.extend(ready)
            wanted -= set(ready)
        return order

    # elements ------------------------------------------------------------------------------------------------------
    def identity(self) -> Element:
        """The element that moves nothing."""
        return Element(self, {})

    def swap(self, units: Units | str, i: int, j: int, at: Sequence[int] = ()) -> Element:
        """Exchange positions i and j.

        Args:
            units: which, or their name.
            i: a position.
            j: another.
            at: for units over others, the position of each of those; all zeros by default.
        """
        return making.swap(self, units, i, j, at)

    def element(
        self, permutations: Mapping[str, Any] | None = None, values: Mapping[str, Any] | None = None
    ) -> Element:
        """An element from permutations and from values of families.

        Args:
            permutations: by units' name: ``p[i]`` is where position i goes. They act first.
            values: by family's name, in the order in which they act: booleans or ±1 for flips (true and −1 flip),
                positive numbers for scalings, matrices ``[*over, n, n]``, angles for rotations, vectors for
                translations; one number or matrix holds at all positions.

        Raises:
            ElementError: there are no such units or families, or these are none of their values.
        """
        return making.element(self, permutations or {}, values or {})

    def flip(self, family: Flips | str, *positions: int | tuple[int, ...]) -> Element:
        """Change the sign of some positions of a family.

        Args:
            family: which, or its name.
            positions: each a number, or a tuple with one for each index of the family's space; all of them by default.
        """
        return making.flip(self, family, positions)

    def scale(self, family: Scaling | str, values: Any) -> Element:
        """Multiply by positive numbers ``[*sizes]``; a single one holds at all positions."""
        return self.element(values={making.family_of(self, family, Scaling).name: values})

    def transform(self, family: Matrices | str, matrix: Any) -> Element:
        """Mix by matrices ``[*over, n, n]``; a single one holds at all positions of what they are over."""
        return self.element(values={making.family_of(self, family, Matrices).name: matrix})

    def rotate(self, family: Rotations | str, angles: Any) -> Element:
        """Turn by angles ``[*sizes]`` in radians; a single one holds at all positions."""
        return self.element(values={making.family_of(self, family, Rotations).name: angles})

    def translate(self, family: Translation | str, vector: Any) -> Element:
        """Translate by a vector ``[*sizes]``; a single number holds at all positions."""
        return self.element(values={making.family_of(self, family, Translation).name: vector})

    def sample(
        self,
        seed: int = 0,
        parts: str | Sequence[str] = ("permutations",),
        *,
        strength: float = 1.0,
        powers_of_two: bool = False,
        condition: float = 10.0,
        loss: bool = False,
        approximate: bool = False,
        params: Mapping[str, torch.Tensor] | None = None,
    ) -> Element:
        """A random element; the same for the same seed, and each part the same whatever else is asked for.

        Args:
            seed: any whole number.
            parts: of ``permutations``, ``signs``, ``scales``, ``matrices`` (and rotations), ``translations``, or
                ``"all"``. By default permutations only: these act exactly, on any dtype, and on an optimiser's state.
            strength: of scales and translations: scales lie between exp(−strength) and exp(strength), translations
                have this standard deviation.
            powers_of_two: whether to round scales to powers of two, so that they act exactly.
            condition: bound of the condition number of matrices, and of the square of their norms.
            loss: whether to take what keeps the loss only.
            approximate: whether to take scales that hold approximately only.
            params: with them translations are measured in standard deviations of what they move, at most ``strength``.

        Guarantee: permutations, signs and orthogonal matrices are uniform; exponents of scales are uniform.
        """
        return sample(self, seed, parts, strength, powers_of_two, condition, loss, approximate, params)

    # parameters ----------------------------------------------------------------------------------------------------
    def check(self, params: Mapping[str, torch.Tensor], *, partial: bool = False, finite: bool = True) -> None:
        """Refuse parameters that do not fit, naming every problem at once.

        Args:
            params: tensors by state-dict name.
            partial: allow some to be missing.
            finite: also refuse NaN and infinite entries.

        Raises:
            ParametersError: listing what is missing, unexpected, of another shape or not finite.
        """
        check(self, params, partial, finite)

    def tangents(
        self,
        params: Mapping[str, torch.Tensor],
        names: Iterable[str] | None = None,
        *,
        approximate: bool = False,
        loss: bool = False,
    ) -> dict[str, torch.Tensor]:
        """Directions in which the continuous part moves these parameters; they span all of them.

        Args:
            params: tensors by state-dict name.
            names: of the tensors to look at; by default all that are moved, each under one of its names.
            approximate: take what holds approximately too.
            loss: take what keeps the loss only too.

        Returns:
            For each tensor float64 (or complex128) ``[k, *shape]``: row i of all of them together is one direction, the
            derivative of the action at the identity. There are ``dimension_of(…)`` rows, family by family; they may
            depend on each other at these parameters.

        Raises:
            InputError: they would be too many numbers.
            ParametersError: the parameters do not fit, or a parameter that is moved holds whole numbers.
        """
        from orbitope.group.tangents import tangents

        self.check(params, partial=True)
        return tangents(self, self._counted(approximate, loss), params, names)

    def orbit_dimension(
        self,
        params: Mapping[str, torch.Tensor],
        names: Iterable[str] | None = None,
        *,
        approximate: bool = False,
        loss: bool = False,
    ) -> int:
        """Dimension of the orbit of these parameters under the continuous part: the rank of the infinitesimal action.

        It is less than ``dimension`` where parameters are special, as a hidden unit without any weights.

        Args:
            params: tensors by state-dict name.
            names: if given, only directions count that leave all other tensors as they are, as buffers.
            approximate: take what holds approximately too.
            loss: take what keeps the loss only too.

        Raises:
            InputError: families that hang together have too many directions.
            ParametersError: the parameters do not fit, or a parameter that is moved holds whole numbers.

        Guarantee: numeric; by the gap in the singular values, in float64.
        """
        from orbitope.group.tangents import orbit_dimension

        self.check(params)
        return orbit_dimension(self, self._counted(approximate, loss), params, names)

    def count(self, params: Mapping[str, torch.Tensor]) -> Count:
        """How many distinct copies these very parameters have: |orbit| = |group| / |stabiliser|.

        Raises:
            ParametersError: they do not fit, or hold NaN.

        Guarantee: exact, or both bounds where the search for the stabiliser was cut short; the result says which.
        """
        from orbitope.group.counting import count  # the count needs the whole group, and this class is part of it

        return count(self, params)

    # JSON ----------------------------------------------------------------------------------------------------------
    def to_json(self) -> dict[str, Any]:
        """The group as JSON, versioned; enough to act on checkpoints without any model code."""
        return documents.to_json(self)

    @staticmethod
    def from_json(document: Mapping[str, Any]) -> SymmetryGroup:
        """The reverse of :meth:`to_json`.

        Raises:
            SymmetryFileError: another format or version, or sizes that contradict each other.
        """
        return SymmetryGroup(*documents.from_json(document))
