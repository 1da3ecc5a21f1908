"""Shifts followed through the program, operation by operation, to where they end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
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
    collected,
    put_out,
    spread_of,
)
from orbitope.infer.gauge.taking import into_cell, moved, taken_up

MOVES = frozenset({"reshape", "transpose", "broadcast", "concat", "slice", "reduce"})
COMPARISONS = frozenset({"lt", "le", "gt", "ge", "eq", "ne"})
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
    """One program read at two sizes takes the same shift up in the same way, and leaves alone what it is made with."""
    changed = {(name, starts) for name, starts, _ in route.terms}
    if any((f.parameter, f.starts) in changed for _, _, shift in route.terms for f in shift.factors):
        return None
    found: dict[tuple[str, Starts], list[Shift]] = {}
    for name, starts, shift in route.terms:
        found.setdefault((name, starts), []).append(shift)
    kept = []
    for (name, starts), shifts in found.items():
        if (name, starts) in route.source.leaves:
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
            if place in done:
                continue
            if node.name in self.state:
                raise Seen  # where a shift begins, another one comes in
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
        if node.op in ("softmax", "normalise"):
            self._unseen(node, gathered)
            return {}
        if is_comparison(node):
            self._compared(gathered)
            return {}
        gathered = taken_up(self.reader, node, gathered, self.route)
        made: dict[Starts, list[Shift]] = {}
        for event, shifted in gathered:
            made.setdefault(event.output.starts, []).extend(self._step(event, shifted))
        made = {starts: collected(shifts, self.route.letters) for starts, shifts in made.items()}
        return {starts: shifts for starts, shifts in made.items() if shifts}

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
            if len(same) < count[starts] or len(forms) > 1 or (len(same) > 1 and not _all_known(same)):
                raise Seen
        return [same[0] for same in parts.values()]

    # rules ---------------------------------------------------------------------------------------------------------
    def _step(self, event: Event, shifted: Shifted) -> Iterator[Shift]:
        """What one leaf of an operation makes of the shifts of its operands."""
        node = event.node
        if node.op == "order":
            yield from self._ordered(event, shifted)
        elif node.op == "scan":
            into_cell(self.reader, event, shifted, self.route)
        elif is_affine(node):
            if event.mixed and node.op != "reduce":
                raise Seen  # positions before and after do not correspond
            for shift, spread in moved(self.reader, event, shifted):
                yield put_out(event, spread, shift)
        elif self.reader.hides(node, shifted):
            for found in shifted.values():
                yield from (put_out(event, spread_of(met, shift), shift) for met, shift in found)
        elif node.op in ("contract", "convolve", "gather") or is_product(node, shifted):
            yield from multiplied(self.reader, event, shifted, self.letters)
        else:
            raise Seen

    def _unseen(self, node: Node, gathered: Gathered) -> None:
        """What is the same along the axis is not seen."""
        a = node.attributes
        if a["kind"] == "log" if node.op == "softmax" else a["kind"] != "standard":
            raise Seen
        for event, shifted in gathered:
            for found in shifted.values():
                if any(at[0] in event.mixed for met, shift in found for at in spread_of(met, shift)):
                    raise Seen
        axes = [a["axis"]] if node.op == "softmax" else a["axes"]
        if gathered and self.reader.is_cut(node.inputs[0], axes):
            self._level(node, gathered, axes)

    def _level(self, node: Node, gathered: Gathered, axes: Sequence[int]) -> None:
        """Where axes are cut into leaves, all of those that lie along them are shifted alike, or none."""
        words = self.reader.fields.axes(node.inputs[0])
        leaves = self.reader.leaves
        together = bool(leaves.runs(words))  # where leaves lie depends on each other: all of them must be alike

        def line(starts: Starts) -> Starts:
            return () if together else tuple(start for k, start in enumerate(starts) if k not in axes)

        lines = Counter(map(line, leaves.of(words)))
        forms: dict[Starts, dict[Starts, str]] = {}
        for event, shifted in gathered:
            ((met, _), *_rest) = found = shifted[0]
            if not _all_known([(event, shifted)]) or met.starts in forms.setdefault(line(met.starts), {}):
                raise Seen
            form = sorted(repr(canonical(shift, self.route.letters)) for _, shift in found)
            forms[line(met.starts)][met.starts] = repr(form)
        for place, found in forms.items():
            if len(found) < lines[place] or len(set(found.values())) > 1:
                raise Seen

    def _compared(self, gathered: Gathered) -> None:
        """Both sides of a comparison are shifted by the same."""
        for event, shifted in gathered:
            if not _all_known([(event, shifted)]):
                raise Seen
            sides = [
                sorted(
                    repr(canonical(put_out(event, spread_of(met, shift), shift), self.route.letters))
                    for met, shift in shifted.get(k, ())
                )
                for k in (0, 1)
            ]
            if sides[0] != sides[1]:
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


def _all_known(gathered: Gathered) -> bool:
    """Whether all is known of shifts."""
    return all(shift.known for _, shifted in gathered for found in shifted.values() for _, shift in found)


def is_comparison(node: Node) -> bool:
    """Whether a node says which of two operands is larger, or whether they are equal."""
    return node.op == "pointwise" and node.attributes["fn"] in COMPARISONS


def is_affine(node: Node) -> bool:
    """Whether a node only moves and adds entries."""
    return node.attributes["fn"] in SUMS if node.op == "pointwise" else node.op in MOVES


def is_product(node: Node, shifted: Iterable[int]) -> bool:
    """Whether a node multiplies the shifted operands with others, entry by entry."""
    if node.op != "pointwise":
        return False
    return node.attributes["fn"] == "mul" or (node.attributes["fn"] == "div" and list(shifted) == [0])


__all__ = ["follow", "is_affine", "is_comparison", "is_product"]
