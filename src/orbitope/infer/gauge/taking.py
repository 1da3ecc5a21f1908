"""Sums that shifts come to, and the parameters that are added there and take them up."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from math import prod

from orbitope.graph import Node
from orbitope.infer.gauge.carrying import take_up_products
from orbitope.infer.gauge.entries import Entries, Reader
from orbitope.infer.gauge.events import Event, Meeting
from orbitope.infer.gauge.leaves import Starts
from orbitope.infer.gauge.routes import Gathered, Multiplier, Route, Seen, Shift, Shifted, Spread, canonical, spread_of
from orbitope.primitives.scanning import GATES


def moved(reader: Reader, event: Event, shifted: Shifted) -> Iterator[tuple[Shift, Spread]]:
    """What comes out of a sum, and the labels along which it varies.

    Raises:
        Seen: the function changes, or it is not known how.
    """
    for k, found in shifted.items():
        for met, shift in found:
            spread = spread_of(met, shift)
            factor = (-1.0 if _subtracts(event.node, k) else 1.0) * _summed(reader, event, met, spread)
            yield replace(shift, coefficient=shift.coefficient * factor), spread


def taken_up(reader: Reader, node: Node, gathered: Gathered, route: Route) -> Gathered:
    """What is left of shifts when parameters that are added here have taken up what they can."""
    if node.op != "pointwise" or node.attributes["fn"] not in ("add", "sub"):
        return gathered
    plain, data = _parted(gathered, False), _parted(gathered, True)
    if plain and take_up(reader, node, plain, route):
        plain = []
    if data and take_up_products(reader, node, data, route):
        data = []
    return [*plain, *data]


def _parted(gathered: Gathered, data: bool) -> Gathered:
    """Those shifts that depend on the data, or those that do not."""
    found: Gathered = []
    for event, shifted in gathered:
        own = {k: [each for each in part if each[1].data == data] for k, part in shifted.items()}
        own = {k: part for k, part in own.items() if part}
        if own:
            found.append((event, own))
    return found


def take_up(reader: Reader, node: Node, gathered: Gathered, route: Route) -> bool:
    """Whether parameters that are added here, and nowhere else, take the shift up in all leaves alike.

    What they take up becomes terms of the route.
    """
    terms: dict[tuple[str, Starts], list[Shift]] = {}
    for event, shifted in gathered:
        taker = _taker(reader, event, shifted, route) if len(shifted) == 1 else None
        if taker is None:
            return _take_up_inside(reader, event, shifted, route)
        j, entries = taker
        other, found = event.operands[j], []
        for each, spread in moved(reader, event, shifted):
            if each.data or not set(spread) <= set(other.slots):
                return False
            along = {entries.slots[other.slots[at]]: letter for at, letter in spread.items()}
            sign = 1.0 if _subtracts(node, j) else -1.0
            found.append(replace(each, along=along, coefficient=sign * each.coefficient))
        before = terms.setdefault(entries.leaf, found)
        forms = [[canonical(x, route.letters) for x in each] for each in (before, found)]
        if forms[0] != forms[1]:
            return False
    if len(gathered) < sum(1 for event in reader.events[node.name] if _reads(reader, event, set(terms))):
        return False  # what takes it up here is added elsewhere too, where there is no shift
    route.terms.extend((name, starts, shift) for (name, starts), found in terms.items() for shift in found)
    return True


def may_take_up(reader: Reader, node: Node) -> bool:
    """Whether a sum has a parameter, also within an operand, that might take up some shift."""
    if node.op != "pointwise" or node.attributes["fn"] not in ("add", "sub"):
        return False
    met = [each for event in reader.events[node.name] for each in event.operands.values()]
    return any(reader.entries(each, alone=True) or _within(reader, each) for each in met)


def into_cell(reader: Reader, event: Event, shifted: Shifted, route: Route) -> None:
    """What is added to a gate at every step, the bias of the gate takes up; but not the one that a gate scales.

    Raises:
        Seen: the cell has no such bias.
    """
    node, a = event.node, event.node.attributes
    if event.output.starts[2]:
        return  # the gate was met with the first part of the value
    if list(shifted) != [0] or not a["bias"]:
        raise Seen
    bias = event.operands[2]
    entries = reader.entries(bias, alone=True)
    gate = event.operands[0].starts[2] // (reader.graph.node(node.inputs[0]).shape[2] // GATES[a["cell"]])
    if entries is None or not entries.plain or (a["cell"] == "gru" and gate == 2):
        raise Seen
    if not _may_change(reader, entries, route):
        raise Seen
    for met, shift in shifted[0]:
        spread = spread_of(met, shift)
        if shift.data or not set(spread) <= set(bias.slots):
            raise Seen
        along = {entries.slots[bias.slots[at]]: letter for at, letter in spread.items()}
        route.terms.append((*entries.leaf, replace(shift, along=along, coefficient=-shift.coefficient)))


def _may_change(reader: Reader, entries: Entries, route: Route) -> bool:
    """Whether a parameter is free, and not the one from which the shift came."""
    return not reader.held(entries.parameter) and entries.leaf not in route.source.leaves


def _taker(reader: Reader, event: Event, shifted: Shifted, route: Route) -> tuple[int, Entries] | None:
    """The operand that is a parameter which is added here, and nowhere else, and which may take the shift up."""
    for k, met in event.operands.items():
        entries = None if k in shifted else reader.entries(met, alone=True)
        if entries is not None and entries.plain and _may_change(reader, entries, route):
            return k, entries
    return None


def _take_up_inside(reader: Reader, event: Event, shifted: Shifted, route: Route) -> bool:
    """Whether a parameter that is added within the other operand takes the shift up, perhaps behind a gain."""
    node = event.node
    if len(reader.events[node.name]) > 1 or len(shifted) != 1 or len(event.operands) != 2:
        return False
    (k,) = shifted
    within = _within(reader, event.operands[1 - k])
    if within is None or not _may_change(reader, within[0], route):
        return False
    route.enclosed = True
    if not route.inside:
        return False
    bias, gains = within
    sign, found = 1.0 if _subtracts(node, 1 - k) else -1.0, []
    for each, spread in moved(reader, event, shifted):
        own = {slot: letter for at, letter in spread.items() if (slot := event.output.slots.get(at))}
        inside = all(slot in bias.slots for slot in own) and all(set(gain.slots) <= set(own) for gain in gains)
        if each.data or len(own) < len(spread) or not inside:
            return False
        factors = tuple(
            Multiplier(gain.parameter, gain.starts, {there: own[s] for s, there in gain.slots.items()}, -1.0)
            for gain in gains
        )
        along = {bias.slots[slot]: letter for slot, letter in own.items()}
        factors = (*each.factors, *factors)
        found.append(replace(each, along=along, factors=factors, coefficient=sign * each.coefficient))
    route.terms.extend((*bias.leaf, shift) for shift in found)
    return True


def _within(reader: Reader, met: Meeting) -> tuple[Entries, list[Entries]] | None:
    """The parameter that is added last within a value, and the gains behind it, if nothing else reads any of it."""
    gains: list[Entries] = []
    while True:
        inner = reader.graph.node(met.value)
        events = reader.events.get(inner.name, ())
        fn = inner.attributes.get("fn") if inner.op == "pointwise" else None
        if len(events) != 1 or len(reader.fields.readers[inner.name]) > 1 or fn not in ("add", "mul"):
            return None
        operands = events[0].operands
        parts = {j: reader.entries(each, alone=fn == "add") for j, each in operands.items()}
        known = [(j, part) for j, part in parts.items() if part is not None and part.plain]
        if len(known) != 1 or len(parts) != 2:
            return None
        ((j, part),) = known
        if fn == "add":
            return part, gains
        gains.append(part)
        met = operands[1 - j]


def _reads(reader: Reader, event: Event, leaves: set[tuple[str, Starts]]) -> bool:
    """Whether an operand of a leaf of an operation is one of some leaves of parameters."""
    found = (reader.entries(met) for met in event.operands.values())
    return any(entries is not None and entries.leaf in leaves for entries in found)


def _subtracts(node: Node, k: int) -> bool:
    """Whether an operand enters with a minus sign."""
    return node.op == "pointwise" and (node.attributes["fn"] == "neg" or (node.attributes["fn"] == "sub" and k == 1))


def _summed(reader: Reader, event: Event, met: Meeting, spread: Spread) -> float:
    """By how much a sum along axes multiplies what is the same along them."""
    node = event.node
    if node.op != "reduce":
        return 1.0
    axes, shape = node.attributes["axes"], reader.graph.node(node.inputs[0]).shape
    if node.attributes["fn"] not in ("sum", "mean", "amax") or reader.is_cut(node.inputs[0], axes):
        raise Seen
    varied = {met.slots[at] for at in spread}
    if node.attributes["fn"] == "amax":
        if any(slot[0] in axes for slot in varied):
            raise Seen
        return 1.0
    total = prod(shape[axis] for axis in axes)
    free = total / prod(reader.size(met, slot) for slot in varied if slot[0] in axes)
    return free if node.attributes["fn"] == "sum" else free / total


__all__ = ["into_cell", "may_take_up", "moved", "taken_up"]
