"""From solved fields to solutions: independent functions along an index, each over as many others as may be."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import islice
from math import prod

from orbitope.infer.gauge.events import Event, Meeting
from orbitope.infer.gauge.fields import Fields
from orbitope.infer.gauge.leaves import LabelSlot, Slot, Slots, Starts
from orbitope.infer.gauge.overlaps import Family, contents
from orbitope.infer.gauge.solver import Form, Number, independent, whole
from orbitope.infer.words import Atom

Key = tuple[str, Starts, Slot | None]
"""A function along a slot of a leaf of a parameter; None for a number for the whole leaf."""
Places = dict[LabelSlot, list[Meeting]]
"""The labels along which a function is at work in an operation, and what has it there."""


@dataclass(frozen=True)
class Solution:
    """One free choice: a function of the space, and the powers with which it multiplies leaves of parameters.

    Attributes:
        atom: the index that it is a function of; None for one number.
        over: indices that it may depend on besides.
        powers: for each leaf of a parameter, and the slot that the atom has there.
        at: for each of these the slots of the space, in its order.
        ones: whether the sum along the index must be kept.
        unknown: of the equations, that is one here.
        contained: the dimension of what solutions before this one contain of it.
    """

    atom: Atom | None
    over: tuple[Atom, ...]
    powers: Mapping[Key, int]
    at: Mapping[Key, tuple[Slot, ...]] = field(default_factory=dict)
    ones: bool = False
    unknown: int = 0
    contained: int = 0

    @property
    def space(self) -> tuple[Atom, ...]:
        """The index and what it is over."""
        return () if self.atom is None else (self.atom, *self.over)

    @cached_property
    def size(self) -> int:
        """How many numbers."""
        return prod(atom.size for atom in self.space)


class Solutions:
    """The solutions of one kind of field."""

    def __init__(self, fields: Fields) -> None:
        """Solve."""
        self.fields = fields
        self.leaves = fields.leaves
        self.slots: dict[tuple[str, Starts], Slots] = {}
        self.forms: dict[Atom | None, dict[Key, Form]] = {}
        for node in fields.graph:
            if node.op == "parameter":
                self._collect(node.name, node.attributes["parameter"])

    def _collect(self, value: str, name: str) -> None:
        if not self.fields.values[value]:
            return
        for starts, leaf in self.leaves.of(self.fields.axes(value)).items():
            each = self.fields.values[value][starts]
            self.slots[name, starts] = leaf.slots
            self.forms.setdefault(None, {})[name, starts, None] = each.uniform
            for slot, atom in leaf.slots.items():
                self.forms.setdefault(atom, {})[name, starts, slot] = each.slots[slot]

    def along(self, atom: Atom | None) -> Iterator[Solution]:
        """Independent solutions that are functions of one index, each over as many others as may be."""
        solver = self.fields.solver
        columns: dict[int, dict[Key, Number]] = {}
        for key, form in self.forms.get(atom, {}).items():
            for unknown, value in form.items():
                columns.setdefault(unknown, {})[key] = value
        found = [(unknown, whole(column)) for unknown, column in sorted(columns.items())]
        for k in independent([vector for _, vector in found], solver.modulus):
            yield self._over(atom, *found[k])

    def _over(self, atom: Atom | None, unknown: int, powers: dict[Key, int]) -> Solution:
        if atom is None:
            return Solution(None, (), powers)
        ones = unknown in self._summed
        candidates: dict[Atom, None] | None = None
        for name, starts, slot in powers:
            others = [a for s, a in self.slots[name, starts].items() if s != slot]
            once = dict.fromkeys(a for a in others if others.count(a) == 1 and a is not atom)
            candidates = once if candidates is None else {a: None for a in candidates if a in once}
        bases = [base for base in candidates or () if self._may_depend(atom, unknown, base)]
        bases.sort(key=lambda a: a.serial)
        at = {}
        for key in powers:
            slots = self.slots[key[0], key[1]]
            others = [next(s for s, a in slots.items() if a is base and s != key[2]) for base in bases]
            at[key] = (key[2], *others)
        return Solution(atom, tuple(bases), powers, at, ones, unknown)

    def _may_depend(self, atom: Atom, unknown: int, base: Atom) -> bool:
        """Whether the function of an index may be another one at each position of a base.

        Wherever the function is at work the base must stand beside it exactly once, under one label of each operation,
        and no operation may mix along the base while the function stays.
        """
        return all(_follows(event, places, base) for event, places in self._work.get((atom, unknown), ()))

    @cached_property
    def _summed(self) -> set[int]:
        """Unknowns of functions whose sum is taken somewhere."""
        return {unknown for form in self.fields.ones for unknown in self.fields.solver.known(form)}

    @cached_property
    def _work(self) -> dict[tuple[Atom, int], list[tuple[Event, Places]]]:
        """For every index and unknown the operations in which it is at work, and where."""
        found: dict[tuple[Atom, int], list[tuple[Event, Places]]] = {}
        for event in self.fields.events:
            here: dict[tuple[Atom, int], Places] = {}
            for met in (*event.operands.values(), event.output):
                for at, slot in met.slots.items():
                    for unknown in met.field.slots[slot]:
                        here.setdefault((met.atoms[at], unknown), {}).setdefault(at, []).append(met)
            for key, places in here.items():
                found.setdefault(key, []).append((event, places))
        return found


def _follows(event: Event, places: Places, base: Atom) -> bool:
    """Whether a base stands beside a function wherever the function is at work in an operation."""
    for at, support in places.items():
        spots = [[b for b, a in met.atoms.items() if a is base and b != at] for met in support]
        if any(len(found) != 1 for found in spots) or len({found[0] for found in spots}) != 1:
            return False
        mixes_base, mixes_atom = spots[0][0][0] in event.mixed, at[0] in event.mixed
        if mixes_base and not event.linear:
            return False
        carried = any(met is event.output for met in support)
        if mixes_base and (carried or not mixes_atom):
            return False
    return True


def new(solutions: Iterable[Solution], known: Iterable[tuple[Solution, str]], modulus: int) -> Iterator[Solution]:
    """Those solutions that are not made of others, nor of the diagonal parts of known ones."""
    before = [each for each, _ in known]
    every = [*before, *solutions]
    found = zip(every, contents([_family(each) for each in every], modulus), strict=True)
    for each, contained in islice(found, len(before), None):
        if contained < each.size:
            yield replace(each, contained=contained)


def _family(each: Solution) -> Family:
    spots = [
        ((name, starts), each.at.get((name, starts, slot), ()), n) for (name, starts, slot), n in each.powers.items()
    ]
    return each.space, spots


__all__ = ["Solution", "Solutions", "new"]
