"""Translations: what may be added to parameters because something behind them takes it up, or does not see it.

A shift that enters at a parameter is followed through the program, leaf by leaf. Where another parameter is added, it
can take the shift up; softmax and the subtraction of a mean do not see what is the same along their axis; the weights
of a softmax sum to one and let pass what does not depend on their axis. Everywhere else that is not linear, the shift
fails. Nothing here solves equations: what is free is a matter of what absorbs what, in the order of the program.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from string import ascii_letters

from orbitope.graph import Node
from orbitope.group.continuous import Factor, Term, Translation
from orbitope.infer.gauge.entries import Reader
from orbitope.infer.gauge.fields import Fields
from orbitope.infer.gauge.following import follow
from orbitope.infer.gauge.frames import Frames
from orbitope.infer.gauge.leaves import Slot, Starts
from orbitope.infer.gauge.routes import Letters, Route, Shift, Source
from orbitope.infer.gauge.unread import unread


def shifts(reader: Reader) -> list[Route]:
    """All translations, in the order of the program; what is contained in others is for the caller to leave out.

    Those that keep the function come before those that keep the loss only.
    """
    found: dict[tuple[str, Starts], list[tuple[Slot, ...]]] = {}
    routes = [*_entering(reader, found, loss=False)]
    for node in reader.graph:
        if node.op == "contract" and len(node.inputs) == 2:
            routes.extend(unread(reader, node))
    return [*routes, *_entering(reader, found, loss=True)]


def _entering(reader: Reader, found: dict[tuple[str, Starts], list[tuple[Slot, ...]]], loss: bool) -> Iterator[Route]:
    """Those that enter at a parameter, along slots that are not part of what was found before."""
    for node in reader.graph:
        if node.op != "parameter" or reader.held(node.attributes["parameter"]) or not reader.fields.values[node.name]:
            continue
        name = node.attributes["parameter"]
        for starts, leaf in reader.leaves.of(reader.fields.axes(node.name)).items():
            for slots in _subsets(tuple(leaf.slots)):
                if any(set(slots) <= set(known) for known in found.get((name, starts), ())):
                    continue
                source = Source(name, starts, slots)
                route = _follow(reader, source, loss) or _follow(reader, source, loss, inside=True)
                if route is not None:
                    found.setdefault(source.leaf, []).append(slots)
                    yield route


def _follow(reader: Reader, source: Source, loss: bool, inside: bool = False) -> Route | None:
    """The route of a shift from its source."""
    value = reader.values[source.parameter]
    leaf = reader.leaves.of(reader.fields.axes(value))[source.starts]
    free = Letters()
    letters = {slot: free.take() for slot in source.slots}
    route = Route(source, tuple(leaf.slots[s] for s in source.slots), "".join(letters.values()), inside=inside)
    first = Shift(letters)
    route.terms.append((*source.leaf, first))
    return follow(reader, route, {value: {source.starts: [first]}}, free, loss)


def _subsets(slots: tuple[Slot, ...]) -> Iterator[tuple[Slot, ...]]:
    """All slots, then all but one."""
    yield slots
    for k in range(len(slots)):
        yield (*slots[:k], *slots[k + 1 :])


def translation(
    route: Route, frames: Frames, fields: Fields, nodes: Mapping[str, Node], contained: int = 0
) -> Translation:
    """A route in terms of blocks of parameters.

    Args:
        route: of a shift.
        frames: the blocks.
        fields: the walk on which it was found.
        nodes: of the parameters, by their name.
        contained: the dimension of what translations before this one contain of it.
    """

    def block(name: str, starts: Starts, letters: Mapping[Slot, str], spare: Iterator[str]) -> tuple[int, str]:
        node = nodes[name]
        place = frames.place(name, node.shape, fields.axes(node.name), starts)
        found = {place.dims[slot]: letter for slot, letter in letters.items() if slot in place.dims}
        return place.block, "".join(found[k] if k in found else next(spare) for k in range(place.rank))

    terms = []
    for name, starts, shift in route.terms:
        used = {*route.letters, *shift.along.values(), *(x for f in shift.factors for x in f.letters.values())}
        spare = (letter for letter in ascii_letters if letter not in used)
        factors = []
        for each in shift.factors:
            number, letters = block(each.parameter, each.starts, each.letters, spare)
            factors.append(Factor(each.parameter, number, letters, each.power, each.offset))
        number, letters = block(name, starts, shift.along, spare)
        terms.append(Term(name, number, letters, route.letters, tuple(factors), shift.coefficient))
    space = tuple(str(atom.serial) for atom in route.atoms)
    return Translation(
        route.source.parameter, space, tuple(atom.size for atom in route.atoms), tuple(terms), route.loss, contained
    )


__all__ = ["shifts", "translation"]
