"""From solved fields to solutions: independent functions along an index, each over as many others as may be."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import combinations, islice
from math import prod

from orbitope.infer.gauge.events import Event, Meeting
from orbitope.infer.gauge.fields import Fields
from orbitope.infer.gauge.leaves import LabelSlot, Slot, Slots, Starts
from orbitope.infer.gauge.overlaps import Family, contents
from orbitope.infer.gauge.solver import Form, Number, independent, vanishing, whole
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
        choice: the unknowns of the equations that are not zero, and what they are.
        contained: the dimension of what solutions before this one contain of it.
    """

    atom: Atom | None
    over: tuple[Atom, ...]
    powers: Mapping[Key, int]
    at: Mapping[Key, tuple[Slot, ...]] = field(default_factory=dict)
    ones: bool = False
    choice: Mapping[int, Number] = field(default_factory=dict)
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
        """Independent solutions that are functions of one index, each over as many others as may be.

        Those of scales and signs are followed by combinations of them that may be over more indices.
        """
        solver = self.fields.solver
        columns: dict[int, dict[Key, Number]] = {}
        for key, form in self.forms.get(atom, {}).items():
            for unknown, value in form.items():
                columns.setdefault(unknown, {})[key] = value
        found = sorted(columns.items())
        for k in independent([vector for _, vector in found], solver.modulus):
            yield self._over(atom, {found[k][0]: 1}, whole(found[k][1]))
        if atom is not None and self.fields.kind in ("scale", "sign"):
            for choice, powers in self._combined(atom, columns):
                yield self._over(atom, choice, powers)

    def _combined(
        self, atom: Atom, columns: Mapping[int, Mapping[Key, Number]]
    ) -> Iterator[tuple[dict[int, Number], dict[Key, int]]]:
        """Solutions that are zero where some other indices do not stand beside the index, though their parts are not.

        Two signs of a head's dimension that each need the sign of a gain that all heads share make one that does not,
        and this one may differ from head to head. A free unknown stands alone in the form of its own parameter, so
        that only those count whose own parameter has the other indices.
        """
        own = {next(iter(form)): key for key, form in self.forms[atom].items() if len(form) == 1}
        beside = {unknown: self._beside(atom, own[unknown]) for unknown in sorted(columns) if unknown in own}
        having: dict[Atom, list[int]] = {}
        for unknown, bases in beside.items():
            for base in bases:
                having.setdefault(base, []).append(unknown)
        shared = [base for base, unknowns in having.items() if len(unknowns) > 1]
        modulus, seen = self.fields.solver.modulus, []
        for count in (1, 2, 3):
            for bases in combinations(shared, count):
                chosen = [unknown for unknown in having[bases[0]] if beside[unknown].keys() >= set(bases)]
                outside = {u: self._outside(atom, columns[u], set(bases)) for u in chosen}
                outside = {u: column for u, column in outside.items() if column}
                if len(outside) < 2:
                    continue
                for choice in vanishing(outside, modulus):
                    if choice in seen:
                        continue
                    seen.append(choice)
                    yield choice, whole(_sum(columns, choice, modulus))

    def _outside(self, atom: Atom, column: Mapping[Key, Number], bases: set[Atom]) -> dict[Key, Number]:
        """The part of a column where some indices do not all stand beside the index."""
        return {key: value for key, value in column.items() if not self._beside(atom, key).keys() >= bases}

    def _beside(self, atom: Atom, key: Key) -> dict[Atom, None]:
        """The indices that stand beside another one in a leaf of a parameter, once."""
        name, starts, slot = key
        others = [a for s, a in self.slots[name, starts].items() if s != slot]
        return dict.fromkeys(a for a in others if others.count(a) == 1 and a is not atom)

    def _over(self, atom: Atom | None, choice: Mapping[int, Number], powers: dict[Key, int]) -> Solution:
        if atom is None:
            return Solution(None, (), powers)
        ones = any(unknown in self._summed for unknown in choice)
        candidates: dict[Atom, None] | None = None
        for key in powers:
            once = self._beside(atom, key)
            candidates = once if candidates is None else {a: None for a in candidates if a in once}
        bases = [base for base in candidates or () if self._may_depend(atom, choice, base)]
        bases.sort(key=lambda a: a.serial)
        at = {}
        for key in powers:
            slots = self.slots[key[0], key[1]]
            others = [next(s for s, a in slots.items() if a is base and s != key[2]) for base in bases]
            at[key] = (key[2], *others)
        return Solution(atom, tuple(bases), powers, at, ones, choice)

    def _may_depend(self, atom: Atom, choice: Mapping[int, Number], base: Atom) -> bool:
        """Whether the function of an index may be another one at each position of a base.

        Wherever the function is at work the base must stand beside it exactly once, under one label of each operation,
        and no operation may mix along the base while the function stays.
        """
        return all(_follows(event, places, base) for event, places in self._at_work(atom, choice))

    def _at_work(self, atom: Atom, choice: Mapping[int, Number]) -> list[tuple[Event, Places]]:
        """The operations in which a solution is at work along an index, and where."""
        if len(choice) == 1:
            return self._work.get((atom, next(iter(choice))), [])
        value, met = self.fields.solver.value, {}
        for unknown in choice:
            for event, places in self._work.get((atom, unknown), ()):
                together = met.setdefault(id(event), (event, {}))[1]
                for at, support in places.items():
                    together.setdefault(at, {}).update((id(each), each) for each in support)
        found = []
        for event, together in met.values():
            places = {
                at: kept
                for at, support in together.items()
                if (kept := [each for each in support.values() if value(each.form(at), choice)])
            }
            found.append((event, places))
        return found

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


def _sum(columns: Mapping[int, Mapping[Key, Number]], choice: Mapping[int, Number], modulus: int) -> dict[Key, Number]:
    """A combination of columns."""
    total: dict[Key, Number] = {}
    for unknown, factor in choice.items():
        for key, value in columns[unknown].items():
            total[key] = total.get(key, 0) + factor * value
    total = {key: value % modulus if modulus else value for key, value in total.items()}
    return {key: value for key, value in total.items() if value}


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
