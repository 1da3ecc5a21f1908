"""Elements of a symmetry group: permutations of units, then what its families of signs, scales and so on do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from orbitope.errors import ElementError
from orbitope.group.acting import act, act_in_place
from orbitope.group.action import act_on_tensor
from orbitope.group.composition import appended, identity_table
from orbitope.group.layout import Axis
from orbitope.group.steps import TOLERANCE, Shuffle, Step, as_value, problem

if TYPE_CHECKING:
    from orbitope.group.symmetry import SymmetryGroup


@dataclass(frozen=True, eq=False)
class Element:
    """One symmetry. ``g @ h`` is first h, then g; ``~g`` the inverse; ``(g·x)[g(i)] = x[i]``.

    An element is a permutation, then steps: signs, scales, matrices and translations, each of one family, and rarely
    another permutation that cannot be brought to the front. Neighbours of one family are one step.

    Attributes:
        group: the group it belongs to.
        permutations: for each moved units the permutation, int64 ``[*over, n]``: entry i is where position i goes.
            Units that are not named stay where they are. They act first.
        steps: what follows, in this order.

    Guarantee: exact for permutations and signs: acting moves and negates entries and changes no other bit of them.
        Numeric for everything else, see :meth:`act`.
    """

    group: SymmetryGroup
    permutations: Mapping[str, torch.Tensor]
    steps: tuple[Step | Shuffle, ...] = ()

    def __post_init__(self) -> None:
        """Refuse anything that is not a permutation of known units, or a value of a known family."""
        problems = self._misfits(self.permutations)
        for step in self.steps:
            if isinstance(step, Shuffle):
                problems += self._misfits(step.permutations)
            elif self.group.families.get(step.family.name) != step.family:
                problems.append(f"{step.family.name}: the group has no such family")
            elif why := problem(step.family, step.value):
                problems.append(f"{step.family.name}: {why}")
        if problems:
            raise ElementError(
                "this is not an element of the group",
                details=problems,
                fix="use the units listed in group.units, and the families in group.continuous",
            )

    @staticmethod
    def _known(
        group: SymmetryGroup, permutations: Mapping[str, torch.Tensor], steps: tuple[Step | Shuffle, ...] = ()
    ) -> Element:
        """An element made of parts that have been looked at."""
        result = object.__new__(Element)
        for name, value in (("group", group), ("permutations", permutations), ("steps", steps)):
            object.__setattr__(result, name, value)
        return result

    def _misfits(self, permutations: Mapping[str, torch.Tensor]) -> list[str]:
        problems = []
        for name, permutation in permutations.items():
            unit = self.group.by_name.get(name)
            if unit is None:
                problems.append(f"{name}: the group has no such units")
            elif tuple(permutation.shape) != (*unit.over_sizes, unit.size):
                problems.append(f"{name}: shape {tuple(permutation.shape)}, expected {(*unit.over_sizes, unit.size)}")
            elif not _is_permutation(permutation):
                problems.append(f"{name}: not a permutation of 0 … {unit.size - 1}")
        return problems

    def __repr__(self) -> str:
        """The units that it moves, and the families that act."""
        moved = [f"{name} ({_moved(p)} of {p.shape[-1]})" for name, p in self.permutations.items() if _moved(p)]
        parts = [f"moves {', '.join(moved)}"] if moved else []
        parts += [step.family.name if isinstance(step, Step) else "moves again" for step in self.steps]
        return f"Element({'; '.join(parts) or 'identity'})"

    @property
    def is_permutation(self) -> bool:
        """Whether it is a permutation and nothing else."""
        return not self.steps

    # group laws ----------------------------------------------------------------------------------------------------
    def permutation(self, name: str) -> torch.Tensor:
        """The permutation of some units that acts first, the identity where they stay."""
        unit = self.group.by_name[name]
        identity = torch.arange(unit.size).expand(*unit.over_sizes, unit.size)
        return self.permutations.get(name, identity)

    def __matmul__(self, other: Element) -> Element:
        """First ``other``, then this one."""
        if other.group is not self.group and other.group.digest != self.group.digest:
            raise ElementError("the elements belong to different groups", fix="use elements of one group")
        result = other._permuted(self)
        for step in self.steps:
            if isinstance(step, Shuffle):
                result = result._permuted(Element._known(self.group, step.permutations))
            else:
                result = Element._known(self.group, result.permutations, appended(result.steps, step))
        return result

    def _permuted(self, after: Element) -> Element:
        """This one, then the permutation of another, brought as far to the front as it goes."""
        if not self.steps:
            return after._after(self)
        if all(map(identity_table, after.permutations.values())):
            return self
        inverses, order = after.rows
        units, steps = self.group.by_name, list(self.steps)
        k = len(steps)
        while k:
            step = steps[k - 1]
            if isinstance(step, Shuffle):
                joined = after._after(Element._known(self.group, step.permutations)).permutations
                steps[k - 1 : k] = [] if all(map(identity_table, joined.values())) else [Shuffle(joined)]
                return Element._known(self.group, self.permutations, tuple(steps))
            if not self.group.steady(step.family.name):
                steps.insert(k, Shuffle(after.permutations))
                return Element._known(self.group, self.permutations, tuple(steps))
            steps[k - 1] = step.permuted(units, inverses, order)
            k -= 1
        first = after._after(Element._known(self.group, self.permutations))
        return Element._known(self.group, first.permutations, tuple(steps))

    def _after(self, other: Element) -> Element:
        """The permutation of ``other``, then that of this one."""
        names = {*self.permutations, *other.permutations, *self._dependents({**other.permutations})}
        composed = {}
        for name in names:
            first, second = other.permutation(name), self.permutation(name)
            moved = other._moved_bases(name)
            flat = second.reshape(-1, second.shape[-1])[moved.reshape(-1)]
            composed[name] = flat.gather(1, first.reshape(-1, first.shape[-1])).reshape(first.shape)
        return Element(self.group, composed)

    def __invert__(self) -> Element:
        """The inverse."""
        result = Element._known(self.group, {})
        for step in reversed(self.steps):
            if isinstance(step, Shuffle):
                result = Element._known(self.group, step.permutations)._undone() @ result
            else:
                result = Element._known(self.group, {}, (step.inverse(),)) @ result
        return self._undone() @ result

    def _undone(self) -> Element:
        """The inverse of the permutation."""
        inverted = {}
        for name in {*self.permutations, *self._dependents(self.permutations)}:
            forward = self.permutation(name)
            rows = torch.argsort(forward.reshape(-1, forward.shape[-1]), dim=1)
            placed = torch.empty_like(rows)
            placed[self._moved_bases(name).reshape(-1)] = rows
            inverted[name] = placed.reshape(forward.shape)
        return Element(self.group, inverted)

    def __eq__(self, other: object) -> bool:
        """Equal maps of the same group.

        Guarantee: exact for permutations and signs. Scales and matrices are compared within 1e-9 (relative), vectors
            of translations within 1e-9 (absolute). Maps that different steps make are taken for different: equal
            elements are equal maps, the reverse holds where no family's matrices are permutations of units.
        """
        if not isinstance(other, Element) or other.group.digest != self.group.digest:
            return NotImplemented
        names = {*self.permutations, *other.permutations}
        if not all(torch.equal(self.permutation(name), other.permutation(name)) for name in names):
            return False
        return not (self.steps or other.steps) or (self @ ~other).is_identity

    def __hash__(self) -> int:
        """By the positions that move."""
        moved = {name: p for name, p in self.permutations.items() if _moved(p)}
        return hash(tuple((name, tuple(moved[name].flatten().tolist())) for name in sorted(moved)))

    @property
    def is_identity(self) -> bool:
        """Whether nothing moves; scales, matrices and translations by less than 1e-9 count as nothing."""
        tables = [self.permutations, *(step.permutations for step in self.steps if isinstance(step, Shuffle))]
        if any(_moved(p) for permutations in tables for p in permutations.values()):
            return False
        return all(step.distance <= TOLERANCE for step in self.steps if isinstance(step, Step))

    def _dependents(self, moved: Mapping[str, torch.Tensor]) -> set[str]:
        """Units over something that moves: their rows change places with it."""
        return {unit.name for unit in self.group.units if set(unit.over) & set(moved)}

    def _moved_bases(self, name: str) -> torch.Tensor:
        """For each position of what the units are over, where it goes, as one flat number; shape ``[*over]``."""
        unit = self.group.by_name[name]
        grid = torch.meshgrid(*map(torch.arange, unit.over_sizes), indexing="ij") if unit.over else ()
        at = dict(zip(unit.over, grid, strict=True))
        flat = torch.zeros(unit.over_sizes, dtype=torch.int64)
        for base, size in zip(unit.over, unit.over_sizes, strict=True):
            flat = flat * size + self._image(base, at)
        return flat

    def _image(self, base: str, at: Mapping[str, torch.Tensor]) -> torch.Tensor:
        if base not in self.permutations:
            return at[base]
        inner = self.group.by_name[base].over
        return self.permutations[base][(*(at[name] for name in inner), at[base])]

    # action --------------------------------------------------------------------------------------------------------
    @cached_property
    def rows(self) -> tuple[dict[str, torch.Tensor], list[str]]:
        """Inverse permutations, each row in its place, and an order in which fibres come before their bases."""
        inverses = {name: p.argsort(dim=-1) for name, p in self.permutations.items() if _moved(p)}
        return inverses, self.group.innermost_first(inverses)

    def act(self, params: Mapping[str, torch.Tensor], *, partial: bool = False) -> dict[str, torch.Tensor]:
        """The same function with other parameters.

        Args:
            params: tensors by state-dict name. Permutations also move anything else of the same shapes, as an
                optimiser's state, with ``partial=True``; for signs use :meth:`act_`, which knows what squares are.
            partial: allow some parameters to be missing.

        Returns:
            New tensors under the same names, in the same order and dtypes; tied tensors stay tied. Tensors that nothing
            acts on are passed through, whole numbers and quantised ones too.

        Raises:
            ParametersError: names or shapes do not fit, all problems at once. With more than permutations also: entries
                that are not finite, a parameter that is needed to compute another is missing, whole numbers would have
                to be scaled, or an image is too large for its dtype.

        Guarantee: exact for permutations, for signs that add nothing, and for scales that are powers of two, as long as
            no entry falls below the smallest normal number of its dtype: entries are moved, negated and shifted in
            their exponent. Numeric for the rest: entries are computed in float64, within a few 1e-16 per step of the
            largest number that enters them (times the condition number of matrices that are inverted), and rounded
            once to their dtype.
        """
        return act(self, params, partial)

    def act_on(self, tensor: torch.Tensor, axes: Sequence[Axis]) -> torch.Tensor:
        """The action on a tensor whose axes are made of this group's units; shares memory where nothing moves.

        Guarantee: exact.
        """
        if self.steps:
            raise ElementError(
                "only a permutation acts on a tensor that is no parameter",
                got=f"an element with {len(self.steps)} further steps",
                fix="act on the parameters, or sample permutations only",
            )
        inverses, order = self.rows
        return act_on_tensor(tensor, axes, self.group.by_name, inverses, order)

    def act_(self, model: nn.Module, optimizer: torch.optim.Optimizer | None = None) -> None:
        """Act on a live model in place, and on the optimiser's state of the same shapes.

        Args:
            model: its parameters and buffers are overwritten; nothing changes if they do not fit.
            optimizer: momenta and second moments move along with their parameters: gradients change sign with them,
                their squares do not.

        Raises:
            ParametersError: names or shapes do not fit, see :meth:`act`.
            ElementError: there is an optimiser, and the element is not made of permutations and plain signs only.
        """
        act_in_place(self, model, optimizer)

    # JSON ----------------------------------------------------------------------------------------------------------
    def to_json(self) -> dict[str, Any]:
        """The element as JSON; the digest names its group. Version 2 where there is more than a permutation."""
        document = {
            "format": "orbitope element",
            "version": 2 if self.steps else 1,
            "group": self.group.digest,
            "permutations": _tables(self.permutations),
        }
        if not self.steps:
            return document
        steps = [
            {"permutations": _tables(step.permutations)}
            if isinstance(step, Shuffle)
            else {"family": step.family.name, "values": step.value.tolist()}
            for step in self.steps
        ]
        return {**document, "steps": steps}

    @staticmethod
    def from_json(group: SymmetryGroup, document: Mapping[str, Any]) -> Element:
        """The reverse of :meth:`to_json`.

        Raises:
            ElementError: another format, another group, or neither permutations nor values of its families.
        """
        version = document.get("version")
        if document.get("format") != "orbitope element" or version not in (1, 2):
            raise ElementError("this is not an element file of version 1 or 2", got=str(document.get("format"))[:80])
        if document.get("group") != group.digest:
            raise ElementError("the element belongs to another group", fix="use the group that it was made with")
        try:
            steps = [_step(group, item) for item in (document["steps"] if version == 2 else ())]
            tables = _read_tables(document["permutations"])
        except (TypeError, ValueError, AttributeError, KeyError, RuntimeError, OverflowError) as error:
            raise ElementError("the permutations of the element are malformed", got=str(error)[:200]) from error
        return Element(group, tables, tuple(steps))


def _tables(permutations: Mapping[str, torch.Tensor]) -> dict[str, Any]:
    return {name: p.tolist() for name, p in sorted(permutations.items()) if _moved(p)}


def _read_tables(document: Mapping[str, Any]) -> dict[str, torch.Tensor]:
    return {str(name): torch.tensor(rows, dtype=torch.int64) for name, rows in document.items()}


def _step(group: SymmetryGroup, item: Mapping[str, Any]) -> Step | Shuffle:
    if "permutations" in item:
        return Shuffle(_read_tables(item["permutations"]))
    family = group.families.get(item["family"])
    if family is None:
        raise ElementError("the group has no such family", got=str(item["family"])[:80])
    return Step(family, as_value(family, item["values"]))


def _is_permutation(permutation: torch.Tensor) -> bool:
    if permutation.dtype != torch.int64:
        return False
    positions = torch.arange(permutation.shape[-1]).expand(permutation.shape)
    return torch.equal(permutation.sort(dim=-1).values, positions)


def _moved(permutation: torch.Tensor) -> int:
    """How many positions move."""
    return int((permutation != torch.arange(permutation.shape[-1])).sum())
