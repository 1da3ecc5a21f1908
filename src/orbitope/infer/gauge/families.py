"""From solved fields to families: what is scaled, signed or mixed, over which indices, and nothing twice."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from math import prod

from orbitope.graph import Graph
from orbitope.group import Placement, read_in_order
from orbitope.group.continuous import Continuous, Flips, Matrices, Rotations, Scaling, Spot
from orbitope.infer.gauge.entries import Reader
from orbitope.infer.gauge.events import Kind
from orbitope.infer.gauge.fields import Fields
from orbitope.infer.gauge.frames import Frames, renamed
from orbitope.infer.gauge.joining import joined
from orbitope.infer.gauge.laws import is_product, mirror_of
from orbitope.infer.gauge.leaves import FEW, Leaves
from orbitope.infer.gauge.mirrors import Mirroring, carried
from orbitope.infer.gauge.overlaps import overlaps
from orbitope.infer.gauge.reasons import reasons
from orbitope.infer.gauge.rotations import Entry
from orbitope.infer.gauge.rotations import Rotations as Planes
from orbitope.infer.gauge.routes import Route
from orbitope.infer.gauge.seating import Seating
from orbitope.infer.gauge.shifts import shifts, translation
from orbitope.infer.gauge.solutions import Solution, Solutions, new
from orbitope.infer.gauge.tilting import tilted_nodes
from orbitope.infer.unification import Unification
from orbitope.infer.words import Atom


def continuous(
    graph: Graph, result: Unification, held: Callable[[str], bool]
) -> Callable[[Mapping[Atom, str], Mapping[str, Placement]], Continuous]:
    """The scales, signs, matrices and translations of a program; they want to know how atoms are called.

    Args:
        graph: the program.
        result: the words of its values, as long as units are not fused.
        held: whether a parameter must not change.
    """
    with _factors_apart(graph, result):
        return _Maker(graph, Seating(result, Leaves(result.words, result.parameters.values())), held).named


@contextmanager
def _factors_apart(graph: Graph, result: Unification) -> Iterator[None]:
    """Indices whose product is taken are cut into positions meanwhile: what multiplies one factor divides another."""
    cut: list[Atom] = []
    for node in graph:
        if not is_product(node):
            continue
        words = result.values[node.inputs[0]]
        for word in (result.words.resolve(words[axis]) for axis in node.attributes["axes"]):
            if len(word) == 1 and isinstance(atom := word[0], Atom) and atom.segments is None and atom.size <= FEW:
                atom.segments = ((),) * atom.size
                cut.append(atom)
    try:
        yield
    finally:
        for atom in cut:
            atom.segments = None


class _Maker:
    def __init__(self, graph: Graph, seating: Seating, held: Callable[[str], bool]) -> None:
        self.graph = graph
        self.seating = seating
        self.held = held
        self.frames = Frames(seating.leaves)
        self.nodes = {node.attributes["parameter"]: node for node in graph if node.op == "parameter"}
        self.fields = {kind: self._solved(kind) for kind in ("scale", "sign", "general", "orthogonal")}
        matrices = self._matrices()
        scales = list(new(self._every("scale"), [m for m in matrices if m[1] == "general"], 0))
        tiny = Solutions(Fields(graph, seating, "scale", held, True))
        known = [*((s, "general") for s in scales), *(m for m in matrices if m[1] == "general")]
        nearly = list(new(self._all(tiny), known, 0))
        turning = [(each, kind) for each, kind in matrices if not each.ones]  # −1 does not keep the ones
        signs = list(new(self._every("sign"), turning, 2))
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
        tilted = tilted_nodes(reader)
        if not tilted and not self._has_mirrors():
            return
        solutions = Solutions(Fields(self.graph, self.seating, "sign", self.held, mirrored=True, tilted=tilted))
        for each in new(self._all(solutions), known, 2):
            if each.atom is None:
                continue
            route = carried(reader, solutions.fields, Mirroring(each.atom, each.over, dict(each.powers)), each.choice)
            if route is not None:
                yield each, route

    def _has_mirrors(self) -> bool:
        """Whether functions that may be mirrored act on anything that parameters which may change have a part in."""
        moving: set[str] = set()
        for node in self.graph:
            if node.op == "parameter":
                free = not self.held(node.attributes["parameter"])
            else:
                free = node.op == "scan" or not moving.isdisjoint(node.inputs)
            if free and mirror_of(node) is not None:
                return True
            if free:
                moving.add(node.name)
        return False

    def _mirror(self, each: Solution, route: Route) -> Flips:
        walked = self.fields["scale"].fields
        return replace(self._flips(each), carries=translation(route, self.frames, walked, self.nodes).terms)

    def _rotations(self, scales: Sequence[Solution]) -> Iterator[Rotations]:
        """Pairs of leaves turn where they are scaled alike: the scale says over what."""
        for pairs in Planes(self.fields["scale"].fields).find():
            keys = {entry for pair in pairs for entry in pair}
            alone = any(slot is None for *_, slot in keys)  # a single plane: whatever the leaves are scaled along
            for each in scales:
                own: list[Entry] = [
                    (name, starts, None) if alone else (name, starts, s) for name, starts, s in each.powers
                ]
                if (keys != set(own) if alone else not keys <= set(own)) or len(set(own)) != len(own):
                    continue  # without a slot of the planes, a scale along any index of these leaves would seem to fit
                if alone and sum(each.powers.values()):
                    continue  # queries against keys
                spots = dict(zip(own, self._spots(each), strict=True))
                name, space, sizes, _ = self._described(each)
                ordered = sorted(pairs, key=repr)
                yield Rotations(name, space, sizes, tuple((spots[a], spots[b]) for a, b in ordered))
                break

    # naming --------------------------------------------------------------------------------------------------------
    def _spots(self, each: Solution) -> tuple[Spot, ...]:
        spots = []
        for key, power in each.powers.items():
            name, starts, _ = key
            node = self.nodes[name]
            words = self.fields["scale"].fields.axes(node.name)
            place = self.frames.place(name, words, starts)
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


__all__ = ["continuous"]
