"""Translations: what may be added to parameters because something behind them takes it up, or does not see it.

A shift that enters at a parameter is followed through the program, leaf by leaf. Where another parameter is added, it
can take the shift up; softmax and the subtraction of a mean do not see what is the same along their axis; the weights
of a softmax sum to one and let pass what does not depend on their axis. Everywhere else that is not linear, the shift
fails. Nothing here solves equations: what is free is a matter of what absorbs what, in the order of the program.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import combinations
from string import ascii_letters

from orbitope.graph import Node
from orbitope.group.continuous import Factor, Term, Translation
from orbitope.infer.gauge.entries import Reader
from orbitope.infer.gauge.fates import Fates
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
    search = _Search(reader)
    routes = [*search.keeping_function()]
    for node in reader.graph:
        if node.op == "contract" and len(node.inputs) == 2:
            routes.extend(unread(reader, node))
    return [*routes, *search.keeping_loss()]


class _Search:
    """The translations that enter at a parameter.

    Attributes:
        fates: what is known of shifts before they are followed.
        found: of each leaf of a parameter the slots along which something may be added.
        arrived: the sources from which a shift came as far as an output, which a loss may not see.
    """

    def __init__(self, reader: Reader) -> None:
        """Nothing is found yet."""
        self.reader = reader
        self.fates = Fates(reader)
        self.found: dict[tuple[str, Starts], list[tuple[Slot, ...]]] = {}
        self.arrived: list[Source] = []

    def keeping_function(self) -> Iterator[Route]:
        """Those that keep the function."""
        reader = self.reader
        for node in reader.graph:
            if node.op != "parameter" or reader.held(node.attributes["parameter"]):
                continue
            if not reader.fields.values[node.name]:
                continue
            for starts, shared in self._places(node):
                for slots in _subsets(shared):
                    if not any(self.fates.fails(node.name, each, slots) for each in starts):
                        yield from self._follow(Source(node.attributes["parameter"], starts, slots), loss=False)

    def _places(self, node: Node) -> Iterator[tuple[tuple[Starts, ...], tuple[Slot, ...]]]:
        """Leaves of a parameter that may be shifted together, with the slots that they have in common.

        First each by itself; then, as a shift of one may be seen beside the others, all those along axes that are cut.
        """
        words = self.reader.fields.axes(node.name)
        leaves = self.reader.leaves.of(words)
        for starts, leaf in leaves.items():
            yield (starts,), tuple(leaf.slots)
        if len(leaves) == 1 or self.reader.leaves.runs(words):
            return
        cut = [axis for axis in range(len(words)) if len({starts[axis] for starts in leaves}) > 1]
        for count in range(1, len(cut) + 1):
            for axes in combinations(cut, count):
                lines: dict[Starts, list[Starts]] = {}
                for starts in leaves:
                    lines.setdefault(tuple(s for k, s in enumerate(starts) if k not in axes), []).append(starts)
                for line in lines.values():
                    first = leaves[line[0]].slots
                    common = [s for s in first if all(leaves[each].slots.get(s) is first[s] for each in line)]
                    yield tuple(line), tuple(s for s in common if s[0] not in axes)

    def keeping_loss(self) -> Iterator[Route]:
        """Those of the rest that a loss of a softmax does not see: only what comes to an output may be among them."""
        for source in self.arrived:
            yield from self._follow(source, loss=True)

    def _follow(self, source: Source, loss: bool) -> Iterator[Route]:
        """The route from a source, unless its slots are part of what was found before."""
        if all(any(set(source.slots) <= set(known) for known in self.found.get(leaf, ())) for leaf in source.leaves):
            return
        route, done = self._tried(source, loss)
        arrived = route.arrived
        if done is None and route.enclosed:
            route, done = self._tried(source, loss, inside=True)
            arrived |= route.arrived
        if done is not None:
            if len(source.starts) == 1:
                self.found.setdefault(source.leaves[0], []).append(source.slots)
            yield done
        elif arrived and not loss:
            self.arrived.append(source)

    def _tried(self, source: Source, loss: bool, inside: bool = False) -> tuple[Route, Route | None]:
        """The way that a shift takes, and its route if it does not change what is kept."""
        reader = self.reader
        value = reader.values[source.parameter]
        leaf = reader.leaves.of(reader.fields.axes(value))[source.starts[0]]
        free = Letters()
        letters = {slot: free.take() for slot in source.slots}
        route = Route(source, tuple(leaf.slots[s] for s in source.slots), "".join(letters.values()), inside=inside)
        first = Shift(letters)
        route.terms.extend((*each, first) for each in source.leaves)
        return route, follow(reader, route, {value: {starts: [first] for starts in source.starts}}, free, loss)


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
        place = frames.place(name, fields.axes(node.name), starts)
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
