"""Shifts followed through the program, operation by operation, to where they end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from heapq import heapify, heappop, heappush

from orbitope.graph import Node
from orbitope.infer.gauge.entries import Reader
from orbitope.infer.gauge.events import Event
from orbitope.infer.gauge.leaves import Starts
from orbitope.infer.gauge.products import multiplied
from orbitope.infer.gauge.routes import (
    Gathered,
    Letters,
    Route,
    Seen,
    Shift,
    Shifted,
    State,
    canonical,
    put_out,
    spread_of,
)
from orbitope.infer.gauge.taking import into_cell, moved, take_up

MOVES = frozenset({"reshape", "transpose", "broadcast", "concat", "slice", "reduce"})
SUMS = frozenset({"add", "sub", "neg", "identity", "real"})


def follow(reader: Reader, route: Route, state: State, letters: Letters, loss: bool = False) -> Route | None:
    """Follow shifts to where they end.

    Args:
        reader: of the program.
        route: what is known of the way, to which terms are added.
        state: where the shifts are at the start; what they become on the way is added.
        letters: for the indices of products with parameters.
        loss: whether a loss of a softmax stands behind the output.

    Returns:
        The route; None if the function changes.
    """
    try:
        _Walk(reader, route, state, letters, loss).run()
    except Seen:
        return None
    return _agreed(reader, route)


def _agreed(reader: Reader, route: Route) -> Route | None:
    """One program read at two sizes takes the same shift up in the same way."""
    found: dict[tuple[str, Starts], list[Shift]] = {}
    for name, starts, shift in route.terms:
        found.setdefault((name, starts), []).append(shift)
    kept = []
    for (name, starts), shifts in found.items():
        if (name, starts) == route.source.leaf:
            if len(shifts) > 1:
                return None
            kept.append((name, starts, shifts[0]))
            continue
        forms = [canonical(shift, route.letters) for shift in shifts]
        for form, shift in dict(zip(forms, shifts, strict=True)).items():
            if forms.count(form) % reader.readings:
                return None
            kept.extend([(name, starts, shift)] * (forms.count(form) // reader.readings))
    return replace(route, terms=kept)


class _Walk:
    """One shift on its way."""

    def __init__(self, reader: Reader, route: Route, state: State, letters: Letters, loss: bool) -> None:
        self.reader = reader
        self.graph = reader.graph
        self.route = route
        self.state = state
        self.letters = letters
        self.loss = loss

    def run(self) -> None:
        """Through the program in its order; each node is met once."""
        order, readers = self.reader.order, self.reader.fields.readers
        waiting = [order[node.name] for name in self.state for node in readers.get(name, ())]
        heapify(waiting)
        done: set[int] = set()
        while waiting:
            place = heappop(waiting)
            node = self.graph.nodes[place]
            if place in done or node.name in self.state:
                continue
            done.add(place)
            if node.op == "output":
                self._arrive(node)
                continue
            made = self._through(node)
            if made:
                self.state[node.name] = made
                for each in readers.get(node.name, ()):
                    heappush(waiting, order[each.name])

    def _arrive(self, node: Node) -> None:
        """At an output: a loss of a softmax does not see what is the same along the last axis."""
        self.route.arrived = True
        name = node.inputs[0]
        shape = self.graph.node(name).shape
        last = len(shape) - 1
        alone = len(self.graph.outputs) == self.reader.readings
        if not self.loss or not alone or not shape or shape[last] == 1 or self.reader.is_cut(name, [last]):
            raise Seen
        if any(axis == last for shifts in self.state[name].values() for shift in shifts for axis, _ in shift.along):
            raise Seen
        self.route.loss = True

    def _through(self, node: Node) -> dict[Starts, list[Shift]]:
        """What a node makes of the shifts of its operands."""
        if node.name not in self.reader.events:
            raise Seen
        gathered: Gathered = []
        for event in self.reader.events[node.name]:
            shifted = {
                k: [(met, shift) for shift in self.state[met.value].get(met.starts, ())]
                for k, met in event.operands.items()
                if met.value in self.state
            }
            shifted = {k: found for k, found in shifted.items() if found}
            if shifted:
                gathered.append((event, shifted))
        gathered = self._alike(node, self._averaged(node, gathered))
        taken = take_up(self.reader, node, gathered, self.route)
        made: dict[Starts, list[Shift]] = {}
        for event, shifted in gathered:
            for shift in self._step(event, shifted, taken):
                made.setdefault(event.output.starts, []).append(shift)
        return made

    # leaves that meet in one ---------------------------------------------------------------------------------------
    def _alike(self, node: Node, gathered: Gathered) -> Gathered:
        """Where several leaves of operands lie in one of the value, not summed up: all are shifted alike, or none."""
        if node.op in ("contract", "convolve", "reduce", "scan"):
            return gathered
        return self._one_for_all(node, gathered)

    def _averaged(self, node: Node, gathered: Gathered) -> Gathered:
        """Of a mean with the weights of a softmax one leaf stands for all, if all are shifted alike."""
        if node.op != "contract" or not gathered:
            return gathered
        event, shifted = gathered[0]
        k, found = next(iter(shifted.items()))
        other = event.operands.get(1 - k)
        if len(node.inputs) != 2 or other is None:
            return gathered
        if not self.reader.is_weighting(event, spread_of(*found[0]), other):
            return gathered
        if any(set(shifted) != {k} for _, shifted in gathered):
            raise Seen
        return self._one_for_all(node, gathered)

    def _one_for_all(self, node: Node, gathered: Gathered) -> Gathered:
        """One of the leaves of operands for each leaf of the value."""
        count = Counter(event.output.starts for event in self.reader.events[node.name])
        if len(count) == len(self.reader.events[node.name]):
            return gathered
        parts: dict[Starts, Gathered] = {}
        for event, shifted in gathered:
            parts.setdefault(event.output.starts, []).append((event, shifted))
        for starts, same in parts.items():
            forms = {
                repr([canonical(shift, self.route.letters) for found in shifted.values() for _, shift in found])
                for _, shifted in same
            }
            if len(same) < count[starts] or len(forms) > 1:
                raise Seen
        return [same[0] for same in parts.values()]

    # rules ---------------------------------------------------------------------------------------------------------
    def _step(self, event: Event, shifted: Shifted, taken: bool) -> Iterator[Shift]:
        """What one leaf of an operation makes of the shifts of its operands."""
        node = event.node
        if node.op in ("softmax", "normalise"):
            self._unseen(event, shifted)
        elif node.op == "order":
            yield from self._ordered(event, shifted)
        elif node.op == "scan":
            into_cell(self.reader, event, shifted, self.route)
        elif is_affine(node):
            if event.mixed and node.op != "reduce":
                raise Seen  # positions before and after do not correspond
            for shift, spread in moved(self.reader, event, shifted):
                if not taken:
                    yield put_out(event, spread, shift)
        elif self.reader.hides(node, shifted):
            for found in shifted.values():
                yield from (put_out(event, spread_of(met, shift), shift) for met, shift in found)
        elif node.op in ("contract", "convolve", "gather") or is_product(node, shifted):
            yield from multiplied(self.reader, event, shifted, self.letters)
        else:
            raise Seen

    def _unseen(self, event: Event, shifted: Shifted) -> None:
        """What is the same along the axis is not seen."""
        node, a = event.node, event.node.attributes
        if a["kind"] == "log" if node.op == "softmax" else a["kind"] != "standard":
            raise Seen
        if self.reader.is_cut(node.inputs[0], [a["axis"]] if node.op == "softmax" else a["axes"]):
            raise Seen
        for found in shifted.values():
            for met, shift in found:
                if any(at[0] in event.mixed for at in spread_of(met, shift)):
                    raise Seen

    def _ordered(self, event: Event, shifted: Shifted) -> Iterator[Shift]:
        """What is the same along the axis does not change the order; the ordered values are shifted."""
        a = event.node.attributes
        if self.reader.is_cut(event.node.inputs[0], [a["axis"]]):
            raise Seen
        for met, shift in shifted[0]:
            spread = spread_of(met, shift)
            if any(at[0] in event.mixed for at in spread):
                raise Seen
            if a["what"] == "values":
                yield put_out(event, spread, shift)


def is_affine(node: Node) -> bool:
    """Whether a node only moves and adds entries."""
    return node.attributes["fn"] in SUMS if node.op == "pointwise" else node.op in MOVES


def is_product(node: Node, shifted: Iterable[int]) -> bool:
    """Whether a node multiplies the shifted operands with others, entry by entry."""
    if node.op != "pointwise":
        return False
    return node.attributes["fn"] == "mul" or (node.attributes["fn"] == "div" and list(shifted) == [0])


__all__ = ["follow", "is_affine", "is_product"]
