"""How steps of an element change the entries of parameters.

Numbers that are not merely moved or negated are computed in float64, whatever the dtype of the parameter, and rounded
once at the end. Parameters that no term links to each other are worked on one after the other, so that only few are
held in float64 at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import torch

from orbitope.errors import ParametersError
from orbitope.group.action import act_on_tensor
from orbitope.group.blocks import blocks, map_blocks
from orbitope.group.continuous import Flips, Rotations, Spot, Term
from orbitope.group.effects import (
    along,
    by_parameter,
    changed,
    evaluate,
    linked_by,
    moved,
    signed,
    spots_of,
    terms_of,
    widened,
)
from orbitope.group.layout import Axis, Placement
from orbitope.group.steps import Shuffle, Step
from orbitope.group.units import Units


class Transformation:
    """A permutation, then steps, as a map of parameters put together under their canonical names.

    Args:
        units: by name.
        placements: of all parameters.
        frames: of those that steps act on.
        permutations: what moves first.
        steps: what follows, in this order.
        order: of names of units, fibres before what they are over; for any of them.
    """

    def __init__(
        self,
        units: Mapping[str, Units],
        placements: Mapping[str, Placement],
        frames: Mapping[str, tuple[Axis, ...]],
        permutations: Mapping[str, torch.Tensor],
        steps: Sequence[Step | Shuffle],
        order: Callable[[Iterable[str]], list[str]],
    ) -> None:
        """Find out which parameters have to be looked at together."""
        self.units, self.placements, self.frames = units, placements, frames
        self.shuffles = [Shuffle(permutations)]
        self.steps: list[Step | Shuffle] = [self.shuffles[0], *steps]
        self._inverses: dict[int, tuple[dict[str, torch.Tensor], list[str]]] = {}
        for step in self.steps:
            if isinstance(step, Shuffle):
                # each row is inverted in its place: fibres move before the base that would move their rows
                inverses = {name: p.argsort(dim=-1) for name, p in step.permutations.items() if _moves(p)}
                self._inverses[id(step)] = inverses, order(inverses)
        self._touched = [self._touching(step) for step in self.steps]
        self._home = _components(self.steps)

    def _touching(self, step: Step | Shuffle) -> frozenset[str]:
        if isinstance(step, Shuffle):
            moved = self._inverses[id(step)][0].keys()
            return frozenset(name for name, placement in self.placements.items() if placement.moved_by() & moved)
        return frozenset(changed(step.family))

    def changes(self, name: str) -> bool:
        """Whether a parameter is changed by any step."""
        return any(name in touched for touched in self._touched)

    def images(self, name: str, read: Callable[[str], torch.Tensor]) -> dict[str, torch.Tensor]:
        """The images of a parameter and of all that have to be computed with it.

        Args:
            name: canonical.
            read: gives a parameter by its canonical name, or raises :class:`KeyError` where it is not given.

        Raises:
            ParametersError: a parameter is of whole numbers, or its image is too large for its dtype.
            KeyError: a parameter that is needed is not given.
        """
        linked = self._home.get(name, frozenset((name,)))
        before: dict[str, torch.Tensor] = {}
        for each in sorted(linked):
            try:
                before[each] = read(each)
            except KeyError:
                if each == name:
                    raise
        current = dict(before)
        for step, touched in zip(self.steps, self._touched, strict=True):
            for each in sorted(touched & current.keys()) if not isinstance(step, Step) else ():
                inverses, order = self._inverses[id(step)]
                axes = self.placements[each].axes
                current[each] = act_on_tensor(current[each], axes, self.units, inverses, order)
            if isinstance(step, Step) and touched & current.keys():
                self._take(step, current)
        return {each: self._rounded(each, before[each], current[each]) for each in current}

    def _take(self, step: Step, current: dict[str, torch.Tensor]) -> None:
        family = step.family
        if isinstance(family, Rotations):
            self._turn(family, step.value, current)
            return
        added = terms_of(family)
        if added:
            self._add(added, step.value.double(), current)
        for name, spots in by_parameter(spots_of(family), current).items():
            axes = self.frames[name]
            inexact = not isinstance(family, Flips) or any(spot.offset for spot in spots)
            tensor = widened(name, current[name]) if inexact else signed(name, current[name])

            def change(number: int, block: torch.Tensor, _names: object, spots: Sequence[Spot] = spots) -> torch.Tensor:
                for spot in spots:
                    block = moved(family, step.value, spot, block) if spot.block == number else block
                return block

            current[name] = map_blocks(tensor, axes, change)

    def _turn(self, family: Rotations, angles: torch.Tensor, current: dict[str, torch.Tensor]) -> None:
        """Turn every pair of blocks."""
        for one, other in family.pairs:
            if one.parameter not in current and other.parameter not in current:
                continue
            x, y = (self._block(spot, current) for spot in (one, other))
            cosine, sine = along(angles.cos(), one, x), along(angles.sin(), one, x)
            for spot, image in ((one, x * cosine - y * sine), (other, x * sine + y * cosine)):

                def change(
                    number: int, block: torch.Tensor, _names: object, spot: Spot = spot, image: torch.Tensor = image
                ) -> torch.Tensor:
                    return image if number == spot.block else block

                wide = widened(spot.parameter, current[spot.parameter])
                current[spot.parameter] = map_blocks(wide, self.frames[spot.parameter], change)

    def _block(self, spot: Spot, current: Mapping[str, torch.Tensor]) -> torch.Tensor:
        found = blocks(spot.parameter, widened(spot.parameter, current[spot.parameter]), self.frames[spot.parameter])
        return next(block.tensor for number, block in enumerate(found) if number == spot.block)

    def _add(self, terms: Sequence[Term], vector: torch.Tensor, current: dict[str, torch.Tensor]) -> None:
        """Evaluate all terms, then add them."""
        wanted = [term for term in terms if term.parameter in current]
        if not bool(vector.any()):
            return
        found = evaluate(wanted, vector, current, self.frames)
        for name in dict.fromkeys(term.parameter for term in wanted):
            sums = [(term.block, value) for term, value in zip(wanted, found, strict=True) if term.parameter == name]

            def change(
                number: int,
                block: torch.Tensor,
                _names: object,
                sums: Sequence[tuple[int, torch.Tensor]] = sums,
            ) -> torch.Tensor:
                for place, value in sums:
                    block = block + value.to(block.device) if place == number else block
                return block

            current[name] = map_blocks(widened(name, current[name]), self.frames[name], change)

    def _rounded(self, name: str, before: torch.Tensor, after: torch.Tensor) -> torch.Tensor:
        """In the dtype of the parameter."""
        result = after.to(before.dtype)
        if result is not before and (result.is_floating_point() or result.is_complex()):
            lost = int((~result.isfinite()).sum()) - int((~before.isfinite()).sum())
            if lost > 0:
                raise ParametersError(
                    "the image of a parameter is too large for its dtype",
                    at=name,
                    got=f"{lost} entries beyond what {before.dtype} holds",
                    fix="use a smaller strength, or parameters of a wider dtype",
                )
        return result


def _moves(permutation: torch.Tensor) -> bool:
    return bool((permutation != torch.arange(permutation.shape[-1])).any())


def _components(steps: Sequence[Step | Shuffle]) -> dict[str, frozenset[str]]:
    """For each parameter that a term links to others all that are linked."""
    home: dict[str, set[str]] = {}
    for step in steps:
        for names in linked_by(step.family) if isinstance(step, Step) else ():
            joint = names.union(*(home[name] for name in names if name in home))
            for name in joint:
                home[name] = joint
    return {name: frozenset(names) for name, names in home.items()}


__all__ = ["Transformation"]
