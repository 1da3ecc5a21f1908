"""Directions of weights that are not read, because what they multiply sums to zero, or to what a bias adds.

A normalisation that subtracts the mean returns entries whose sum is zero: one may add the same to all weights that they
are multiplied with. Behind a gain γ the same is added to w·γ, and a bias β behind the gain makes the sum Σ β/γ.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod

from orbitope.graph import Node
from orbitope.infer.gauge.entries import Entries, Reader
from orbitope.infer.gauge.events import Event, Meeting
from orbitope.infer.gauge.following import follow
from orbitope.infer.gauge.leaves import Slot, Starts
from orbitope.infer.gauge.routes import Letters, Multiplier, Route, Shift, Source, State


@dataclass(frozen=True)
class _Norm:
    """The parameters behind a normalisation, with slots of the value that reads it."""

    gain: Entries | None
    bias: Entries | None


@dataclass(frozen=True)
class _Part:
    """One leaf of a product in which a leaf of a weight meets a centred value."""

    event: Event
    weight: Meeting
    x: Meeting
    entries: Entries
    norm: _Norm


def unread(reader: Reader, node: Node) -> Iterator[Route]:
    """What may be added to the weights of a product because the other operand is centred."""
    if reader.reading(node):
        return  # the other readings are followed from the parameter
    met: dict[tuple[str, Starts], list[_Part | None]] = {}
    for event in reader.events.get(node.name, ()):
        for k in (0, 1):
            weight, x = event.operands.get(k), event.operands.get(1 - k)
            entries = None if weight is None or x is None else reader.entries(weight, alone=True)
            if entries is None or weight is None or x is None:
                continue
            norm = _centred(reader, x, event) if entries.plain and not reader.held(entries.parameter) else None
            part = None if norm is None else _Part(event, weight, x, entries, norm)
            met.setdefault(entries.leaf, []).append(part)
    for parts in met.values():
        known = [part for part in parts if part is not None]
        route = _spared(reader, known) if len(known) == len(parts) else None
        if route is not None:
            yield route


def _spared(reader: Reader, parts: Sequence[_Part]) -> Route | None:
    """The route of what is added to a weight, and on to what takes up the part of the bias.

    Args:
        reader: of the program.
        parts: all places where the leaf of the weight is read; what is added to it must not be seen in any.
    """
    free, entries = Letters(), parts[0].entries
    leaf = reader.leaves.of(reader.fields.axes(entries.node.name))[entries.starts]
    letters = {slot: free.take() for slot in leaf.slots}
    read = [_reading(part, letters) for part in parts]
    first = read[0]
    if first is None or any(each is None or each[:3] != first[:3] for each in read):
        return None
    summed, factors, state_factors, _ = first
    if not set(letters) <= {entries.slots[slot] for slot in parts[0].weight.slots.values()}:
        return None
    slots = tuple(slot for slot in letters if slot not in summed)
    source = Source(entries.parameter, (entries.starts,), slots)
    route = Route(source, tuple(leaf.slots[s] for s in slots), "".join(letters[slot] for slot in slots))
    own = {slot: letter for slot, letter in letters.items() if factors or slot not in summed}
    route.terms.append((*entries.leaf, Shift(own, factors)))
    state: State = {}
    for part, (*_, out) in zip(parts, filter(None, read), strict=True):
        if state_factors is None:
            continue
        for name in reader.in_every_reading(part.event):
            state.setdefault(name, {}).setdefault(part.event.output.starts, []).append(Shift(out, state_factors))
    return follow(reader, route, state, free)


_Reading = tuple[frozenset[Slot], tuple[Multiplier, ...], tuple[Multiplier, ...] | None, dict[Slot, str]]
"""The slots of a weight that are summed over, its factors, those of the value's shift, and along what that varies."""


def _reading(part: _Part, letters: Mapping[Slot, str]) -> _Reading | None:
    """How one leaf of a product reads what is added to a weight."""
    event, x, norm = part.event, part.x, part.norm
    own = {at: letters[part.entries.slots[slot]] for at, slot in part.weight.slots.items()}
    summed = {at: letter for at, letter in own.items() if at[0] in event.mixed}
    if set(summed) != {at for at in x.slots if at[0] in event.mixed}:
        return None

    def along(each: Entries, power: float) -> Multiplier:
        """A parameter of the norm, with the letters of the indices that are summed over."""
        found = {each.slots[x.slots[at]]: letter for at, letter in summed.items()}
        return Multiplier(each.parameter, each.starts, found, power)

    factors = () if norm.gain is None else (along(norm.gain, -1.0),)
    shifted = None if norm.bias is None else (along(norm.bias, 1.0), *factors)
    out = {event.output.slots[at]: own[at] for at in own if at not in summed and at in event.output.slots}
    slots = frozenset(part.entries.slots[part.weight.slots[at]] for at in summed)
    return slots, factors, shifted, out


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
