"""From solved fields to families: what is scaled, signed or mixed, over which indices, and nothing twice."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from math import prod

from orbitope.graph import Graph
from orbitope.group import Placement, read_in_order
from orbitope.group.continuous import Continuous, Flips, Matrices, Rotations, Scaling, Spot
from orbitope.infer.gauge.entries import Reader
from orbitope.infer.gauge.events import Event, Kind, Meeting
from orbitope.infer.gauge.fields import Fields
from orbitope.infer.gauge.frames import Frames, renamed
from orbitope.infer.gauge.joining import joined
from orbitope.infer.gauge.laws import mirror_of
from orbitope.infer.gauge.leaves import LabelSlot, Leaves, Slot, Slots, Starts
from orbitope.infer.gauge.mirrors import Mirroring, carried
from orbitope.infer.gauge.overlaps import Family, contents, overlaps
from orbitope.infer.gauge.reasons import reasons
from orbitope.infer.gauge.rotations import Rotations as Planes
from orbitope.infer.gauge.routes import Route
from orbitope.infer.gauge.seating import Seating
from orbitope.infer.gauge.shifts import shifts, translation
from orbitope.infer.gauge.solver import Form, Number, independent, whole
from orbitope.infer.unification import Unification
from orbitope.infer.words import Atom

Key = tuple[str, Starts, Slot | None]
"""A function along a slot of a leaf of a parameter; None for a number for the whole leaf."""


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
        self._working: dict[Atom, dict[int, list[Event]]] = {}

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
            for unknown, value in solver.known(form).items():
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
        return all(self._follows(event, atom, unknown, base) for event in self._events(atom).get(unknown, ()))

    @cached_property
    def _summed(self) -> set[int]:
        """Unknowns of functions whose sum is taken somewhere."""
        return {unknown for form in self.fields.ones for unknown in self.fields.solver.known(form)}

    @cached_property
    def _touching(self) -> dict[Atom, list[Event]]:
        found: dict[Atom, list[Event]] = {}
        for event in self.fields.events:
            atoms = {a for met in (*event.operands.values(), event.output) for a in met.atoms.values()}
            for each in atoms:
                found.setdefault(each, []).append(event)
        return found

    def _events(self, atom: Atom) -> dict[int, list[Event]]:
        """What operations do along an index, by the unknowns that are at work in them."""
        if atom not in self._working:
            found: dict[int, list[Event]] = {}
            for event in self._touching.get(atom, ()):
                forms = [
                    self.fields.solver.known(met.form(at))
                    for met in (*event.operands.values(), event.output)
                    for at, a in met.atoms.items()
                    if a is atom
                ]
                for unknown in {unknown for form in forms for unknown in form}:
                    found.setdefault(unknown, []).append(event)
            self._working[atom] = found
        return self._working[atom]

    def _value(self, met: Meeting, at: LabelSlot, unknown: int) -> int:
        return int(bool(self.fields.solver.known(met.form(at)).get(unknown)))

    def _follows(self, event: Event, atom: Atom, unknown: int, base: Atom) -> bool:
        labels = {
            at
            for met in (*event.operands.values(), event.output)
            for at, a in met.atoms.items()
            if a is atom and self._value(met, at, unknown)
        }
        for at in labels:
            support = [met for met in (*event.operands.values(), event.output) if self._value(met, at, unknown)]
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


def continuous(
    graph: Graph, result: Unification, held: Callable[[str], bool]
) -> Callable[[Mapping[Atom, str], Mapping[str, Placement]], Continuous]:
    """The scales, signs, matrices and translations of a program; they want to know how atoms are called.

    Args:
        graph: the program.
        result: the words of its values, as long as units are not fused.
        held: whether a parameter must not change.
    """
    return _Maker(graph, Seating(result, Leaves(result.words, result.parameters.values())), held).named


class _Maker:
    def __init__(self, graph: Graph, seating: Seating, held: Callable[[str], bool]) -> None:
        self.graph = graph
        self.seating = seating
        self.held = held
        self.frames = Frames(seating.leaves)
        self.nodes = {node.attributes["parameter"]: node for node in graph if node.op == "parameter"}
        self.fields = {kind: self._solved(kind) for kind in ("scale", "sign", "general", "orthogonal")}
        matrices = self._matrices()
        scales = list(_new(self._every("scale"), [m for m in matrices if m[1] == "general"], 0))
        tiny = Solutions(Fields(graph, seating, "scale", held, True))
        known = [*((s, "general") for s in scales), *(m for m in matrices if m[1] == "general")]
        nearly = list(_new(self._all(tiny), known, 0))
        turning = [(each, kind) for each, kind in matrices if not each.ones]  # −1 does not keep the ones
        signs = list(_new(self._every("sign"), turning, 2))
        walked = self.fields["scale"].fields
        reader = Reader(walked, held)
        routes = shifts(reader)
        moved = list(zip(routes, overlaps(routes), strict=True))
        moved = [(route, inside) for route, inside in moved if inside < prod(atom.size for atom in route.atoms)]
        mirrors = list(self._mirrors(reader, [*((s, "sign") for s in signs), *turning]))
        self.made = Continuous(
            {},
            tuple(self._scaling(s) for s in scales) + tuple(self._scaling(s, "it holds at ε = 0 only") for s in nearly),
            tuple(self._flips(s) for s in signs) + tuple(self._mirror(s, route) for s, route in mirrors),
            tuple(self._matrix(s, kind) for s, kind in matrices),
            tuple(translation(route, self.frames, walked, self.nodes, inside) for route, inside in moved),
            tuple(self._rotations(scales)),
            reasons(graph, self.fields["orthogonal"].fields, {each.atom for each, _ in matrices}),
        )

    def _solved(self, kind: Kind) -> Solutions:
        return Solutions(Fields(self.graph, self.seating, kind, self.held))

    def _every(self, kind: Kind) -> list[Solution]:
        return self._all(self.fields[kind])

    def _all(self, solutions: Solutions) -> list[Solution]:
        """Of all indices, those of large spaces first."""
        atoms = [atom for atom in solutions.forms if atom is not None]
        found = [each for atom in atoms for each in solutions.along(atom)]
        found.sort(key=lambda each: -len(each.over))
        return [*found, *solutions.along(None)]

    def _matrices(self) -> list[tuple[Solution, str]]:
        general = [
            each
            for each in self._every("general")
            if each.atom is not None and all(power in (1, -1) for power in each.powers.values())
        ]
        spots = {frozenset(each.powers) for each in general}
        turning = [
            each for each in self._every("orthogonal") if each.atom is not None and frozenset(each.powers) not in spots
        ]
        return [*((each, "general") for each in general), *((each, "orthogonal") for each in turning)]

    def _mirrors(self, reader: Reader, known: Sequence[tuple[Solution, str]]) -> Iterator[tuple[Solution, Route]]:
        """Flips of units that leave a constant over, where something takes it up."""
        if not any(mirror_of(node) for node in self.graph):
            return
        solutions = Solutions(Fields(self.graph, self.seating, "sign", self.held, mirrored=True))
        for each in _new(self._all(solutions), known, 2):
            if each.atom is None:
                continue
            route = carried(reader, solutions.fields, Mirroring(each.atom, each.over, dict(each.powers)), each.unknown)
            if route is not None:
                yield each, route

    def _mirror(self, each: Solution, route: Route) -> Flips:
        walked = self.fields["scale"].fields
        return replace(self._flips(each), carries=translation(route, self.frames, walked, self.nodes).terms)

    def _rotations(self, scales: Sequence[Solution]) -> Iterator[Rotations]:
        """Pairs of leaves turn where they are scaled alike: the scale says over what."""
        for pairs in Planes(self.fields["scale"].fields).find():
            keys = {entry for pair in pairs for entry in pair}
            each = next((s for s in scales if keys <= s.powers.keys()), None)
            if each is None or each.atom is None:
                continue
            spots = dict(zip(each.powers, self._spots(each), strict=True))
            name, space, sizes, _ = self._described(each)
            yield Rotations(name, space, sizes, tuple((spots[a], spots[b]) for a, b in sorted(pairs)))

    # naming --------------------------------------------------------------------------------------------------------
    def _spots(self, each: Solution) -> tuple[Spot, ...]:
        spots = []
        for key, power in each.powers.items():
            name, starts, _ = key
            node = self.nodes[name]
            words = self.fields["scale"].fields.axes(node.name)
            place = self.frames.place(name, node.shape, words, starts)
            dims = tuple(place.dims[slot] for slot in each.at[key]) if each.atom is not None else ()
            offset = self.fields["scale"].fields.offsets.get(name, 0.0)
            spots.append(Spot(name, place.block, dims, power, offset))
        return tuple(spots)

    def _described(self, each: Solution) -> tuple[str, tuple[str, ...], tuple[int, ...], tuple[Spot, ...]]:
        spots = self._spots(each)
        space = tuple(str(atom.serial) for atom in each.space)
        name = spots[0].parameter
        return name, space, tuple(atom.size for atom in each.space), spots

    def _scaling(self, each: Solution, approximate: str = "") -> Scaling:
        return Scaling(*self._described(each), approximate=approximate, contained=each.contained)

    def _flips(self, each: Solution) -> Flips:
        name, space, sizes, spots = self._described(each)
        spots = tuple(replace(spot, power=1, offset=0.0) for spot in spots)
        return Flips(name, space, sizes, spots, contained=each.contained)

    def _matrix(self, each: Solution, kind: str) -> Matrices:
        name, space, sizes, spots = self._described(each)
        spots = tuple(replace(spot, offset=0.0) for spot in spots)
        return Matrices(name, space, sizes, spots, "general" if kind == "general" else "orthogonal", each.ones)

    def named(self, names: Mapping[Atom, str], placements: Mapping[str, Placement]) -> Continuous:
        """With the names of units in place of numbers, and a name of its own for each family."""
        table: dict[str, str] = {}
        for serial, atom in self.frames.atoms.items():
            table[serial] = names.get(atom) or f"index {serial}"
        taken: dict[str, int] = {}

        def called(each, suffix: str):
            stem = each.name.rpartition(".")[0] or each.name  # the module of a parameter that it moves
            label = f"{stem}.{suffix}"
            taken[label] = taken.get(label, 0) + 1
            label = label if taken[label] == 1 else f"{label}#{taken[label]}"
            return replace(each, name=label, space=tuple(table[serial] for serial in each.space))

        frames = {
            name: read_in_order([renamed(axis, table) for axis in axes], self.graph.parameters[name].orders)
            for name, axes in self.frames.axes.items()
        }
        made = self.made
        found = Continuous(
            frames,
            tuple(called(each, "scale") for each in made.scalings),
            tuple(called(each, "sign") for each in made.flips),
            tuple(called(each, "matrix") for each in made.matrices),
            tuple(called(each, "shift") for each in made.translations),
            tuple(called(each, "angle") for each in made.rotations),
            made.reasons,
        )
        return joined(found, self.graph.parameters, placements)


def _new(solutions: Iterable[Solution], known: Iterable[tuple[Solution, str]], modulus: int) -> Iterator[Solution]:
    """Those solutions that are not made of others, nor of the diagonal parts of known ones."""
    before = [each for each, _ in known]
    every = [*before, *solutions]
    for each, contained in zip(every, contents([_family(each) for each in every], modulus), strict=True):
        if each not in before and contained < each.size:
            yield replace(each, contained=contained)


def _family(each: Solution) -> Family:
    spots = [
        ((name, starts), each.at.get((name, starts, slot), ()), n) for (name, starts, slot), n in each.powers.items()
    ]
    return each.space, spots


__all__ = ["Solution", "Solutions", "continuous"]
