"""Directions of weights that are not read, because what they multiply sums to zero, or to what a bias adds.

A normalisation that subtracts the mean returns entries whose sum is zero: one may add the same to all weights that they
are multiplied with. Behind a gain γ the same is added to w·γ, and a bias β behind the gain makes the sum Σ β/γ.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import prod

from orbitope.graph import Node
from orbitope.infer.gauge.entries import Entries, Reader
from orbitope.infer.gauge.events import Event, Meeting
from orbitope.infer.gauge.following import follow
from orbitope.infer.gauge.leaves import Slot
from orbitope.infer.gauge.routes import Letters, Multiplier, Route, Shift, Source, State


@dataclass(frozen=True)
class _Norm:
    """The parameters behind a normalisation, with slots of the value that reads it."""

    gain: Entries | None
    bias: Entries | None


def unread(reader: Reader, node: Node) -> Iterator[Route]:
    """What may be added to the weights of a product because the other operand is centred."""
    if reader.reading(node):
        return  # the other readings are followed from the parameter
    for event in reader.events.get(node.name, ()):
        for k in (0, 1):
            weight, x = event.operands.get(k), event.operands.get(1 - k)
            if weight is None or x is None:
                continue
            entries = reader.entries(weight, alone=True)
            if entries is None or not entries.plain or reader.held(entries.parameter):
                continue
            norm = _centred(reader, x, event)
            route = None if norm is None else _spared(reader, entries, weight, x, event, norm)
            if route is not None:
                yield route


def _spared(reader: Reader, entries: Entries, weight: Meeting, x: Meeting, event: Event, norm: _Norm) -> Route | None:
    """The route of what is added to a weight, and on to what takes up the part of the bias."""
    gain, bias = norm.gain, norm.bias
    free = Letters()
    letters = {at: free.take() for at in weight.slots if at[0] not in event.mixed}
    summed = {at: free.take() for at in weight.slots if at[0] in event.mixed}
    if set(summed) != {at for at in x.slots if at[0] in event.mixed}:
        return None

    def along(each: Entries, power: float) -> Multiplier:
        """A parameter of the norm, with the letters of the indices that are summed over."""
        own = {each.slots[x.slots[at]]: letter for at, letter in summed.items()}
        return Multiplier(each.parameter, each.starts, own, power)

    factors = () if gain is None else (along(gain, -1.0),)
    varied = letters if gain is None else {**letters, **summed}
    own = {entries.slots[weight.slots[at]]: letter for at, letter in varied.items()}
    slots = tuple(entries.slots[weight.slots[at]] for at in letters)
    leaf = reader.leaves.of(reader.fields.axes(entries.node.name))[entries.starts]
    source = Source(entries.parameter, entries.starts, slots)
    route = Route(source, tuple(leaf.slots[s] for s in slots), "".join(letters.values()))
    route.terms.append((*entries.leaf, Shift(own, factors)))
    state: State = {}
    if bias is not None:
        out = {event.output.slots[at]: letter for at, letter in letters.items() if at in event.output.slots}
        for name in reader.in_every_reading(event):
            state[name] = {event.output.starts: [Shift(out, (along(bias, 1.0), *factors))]}
    return follow(reader, route, state, free)


def _centred(reader: Reader, x: Meeting, event: Event) -> _Norm | None:
    """Gain and bias of the norm that a value comes from, if its entries sum to zero but for these."""
    mixed = [at for at in x.slots if at[0] in event.mixed]
    axes = {x.slots[at][0] for at in mixed}
    if len(axes) != 1 or event.mixed != {at[0] for at in mixed}:
        return None
    (axis,) = axes
    if reader.is_cut(x.value, [axis]):
        return None
    found: dict[str, Entries | None] = {"add": None, "mul": None}
    value, starts = x.value, x.starts
    slots = {x.slots[at]: x.slots[at] for at in mixed}  # of the axis: those of x, and what they are here
    while True:
        node = reader.graph.node(value)
        here = next((e for e in reader.events.get(value, ()) if e.output.starts == starts), None)
        if here is None:
            return None
        if node.op == "normalise":
            whole = list(node.attributes["axes"]) == [axis] and node.attributes["kind"] == "standard"
            return _Norm(found["mul"], found["add"]) if whole else None
        fn = node.attributes.get("fn") if node.op == "pointwise" else None
        if fn in ("identity", "real") or node.op in ("reshape", "transpose"):
            met = here.operands[0]
            seen = _seen_through(reader, here, x, slots)
            if seen is None:
                return None
            axis, slots = seen
        else:
            if fn not in found or found[fn] is not None or (fn == "add" and found["mul"] is not None):
                return None
            parts = _part_of_norm(reader, here, slots)
            if parts is None:
                return None
            found[fn], met = parts
        value, starts = met.value, met.starts


def _seen_through(
    reader: Reader, here: Event, x: Meeting, slots: dict[Slot, Slot]
) -> tuple[int, dict[Slot, Slot]] | None:
    """The axis, and its slots, before a value is moved, if they make up a whole axis there too."""
    met = here.operands[0]
    back = {here.output.slots[at]: slot for at, slot in met.slots.items() if at in here.output.slots}
    if any(slot not in back for slot in slots.values()):
        return None
    found = {own: back[slot] for own, slot in slots.items()}
    axes = {slot[0] for slot in found.values()}
    if len(axes) != 1:
        return None
    (axis,) = axes
    whole = reader.graph.node(met.value).shape[axis] == prod(reader.size(x, own) for own in found)
    return (axis, found) if whole else None


def _part_of_norm(reader: Reader, here: Event, slots: dict[Slot, Slot]) -> tuple[Entries, Meeting] | None:
    """The parameter that a node adds or multiplies with, in slots of the reader, and the other operand."""
    parts = {k: reader.entries(met) for k, met in here.operands.items()}
    known = [(k, part) for k, part in parts.items() if part is not None]
    if len(known) != 1 or len(parts) != 2:
        return None
    ((k, part),) = known
    met = here.operands[1 - k]
    if not part.plain or here.node.shape != reader.graph.node(met.value).shape:
        return None
    if any(slot not in part.slots for slot in slots.values()):
        return None
    return replace(part, slots={there: part.slots[slot] for there, slot in slots.items()}), met


__all__ = ["unread"]
