"""Shifts that are multiplied: by a number, by entries of a parameter, by the weights of a mean, by anything else."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from orbitope.graph import labels
from orbitope.infer.gauge.entries import Reader
from orbitope.infer.gauge.events import Event, Meeting
from orbitope.infer.gauge.routes import Carrier, Letters, Multiplier, Seen, Shift, Shifted, Spread, put_out, spread_of
from orbitope.primitives import PRIMITIVES


def multiplied(reader: Reader, event: Event, shifted: Shifted, letters: Letters) -> Iterator[Shift]:
    """What a product makes of the shifts of one of its operands.

    Raises:
        Seen: the function changes, or it is not known how.
    """
    if len(shifted) > 1:
        raise Seen
    ((k, found),) = shifted.items()
    others = [(j, met) for j, met in event.operands.items() if j != k]
    for met, shift in found:
        spread = spread_of(met, shift)
        if event.node.op == "convolve":
            _even(reader, event, met, spread)
        for j, other in others:
            shift, spread = _times(reader, event, shift, spread, met, j, other, letters)
        yield put_out(event, spread, shift)


def _even(reader: Reader, event: Event, met: Meeting, spread: Spread) -> None:
    """A convolution without padding makes the same everywhere of what is the same everywhere.

    Where space is cut into several leaves, each of them is met on its own, and what they add up to is not known.
    """
    a = event.node.attributes
    if a.get("transposed") or any(a["padding"]) or any(at[0][0] in "st" for at in spread):
        raise Seen
    if reader.is_cut(met.value, range(2, len(reader.graph.node(met.value).shape))):
        raise Seen


def _times(
    reader: Reader,
    event: Event,
    shift: Shift,
    spread: Spread,
    met: Meeting,
    j: int,
    other: Meeting,
    letters: Letters,
) -> tuple[Shift, Spread]:
    """A shift times one other operand."""
    node = event.node
    if node.op == "gather" and j == 1 and not any(at[0] in event.mixed for at in spread):
        return shift, spread
    if node.op == "gather":
        return _by_data(reader, event, shift, spread, met, other, letters)
    divides = node.op == "pointwise" and node.attributes["fn"] == "div"
    number = reader.number(other)
    alone = _sums_alone(reader, event, spread, other)
    if number is not None and not alone:
        scaled = shift.coefficient / number if divides else shift.coefficient * number
        return replace(shift, coefficient=scaled), spread
    entries = reader.entries(other) if shift.known else None
    if entries is not None and not alone:
        spread, own = dict(spread), {}
        for at, slot in other.slots.items():
            if at not in spread:
                spread[at] = letters.take()
            own[entries.slots[slot]] = spread[at]
        power = -entries.power if divides else entries.power
        factor = Multiplier(entries.parameter, entries.starts, own, power, entries.offset)
        return replace(shift, factors=(*shift.factors, factor)), spread
    if reader.is_weighting(event, spread, other):
        return shift, dict(spread)
    return _by_data(reader, event, shift, spread, met, other, letters)


def _by_data(
    reader: Reader,
    event: Event,
    shift: Shift,
    spread: Spread,
    met: Meeting,
    other: Meeting,
    letters: Letters,
) -> tuple[Shift, Spread]:
    """A shift that depends on the data from here on: along all indices of the other operand, too.

    All is known of it as long as it is linear in one value.
    """
    if reader.leaves.blurs(reader.fields.axes(other.value)):
        raise Seen  # it varies along what is in no slot
    if not shift.data and _is_linear_in(reader, event, spread, other):
        spread = {**spread, **{at: letters.take() for at in other.slots if at not in spread}}
        inner = {slot: spread[at] for at, slot in other.slots.items()}
        return replace(shift, data=True, carrier=Carrier(other.value, other.starts, inner)), spread
    kept = {at: letter for at, letter in spread.items() if at in event.output.slots}
    for at in event.output.slots:
        if at not in kept and (at in other.slots or at not in met.slots):
            kept[at] = "?"
    return replace(shift, data=True, factors=(), carrier=None), kept


def _is_linear_in(reader: Reader, event: Event, spread: Spread, other: Meeting) -> bool:
    """Whether a product of entries with another value is all that happens here."""
    fn = event.node.attributes.get("fn")
    return (event.node.op == "contract" or fn == "mul") and not _sums_alone(reader, event, spread, other)


def _sums_alone(reader: Reader, event: Event, spread: Spread, other: Meeting) -> bool:
    """Whether an index is summed over along which neither varies: that would need its size."""
    node = event.node
    indexing = PRIMITIVES[node.op].indexing(node, [reader.graph.node(name).shape for name in node.inputs])
    sizes = {label.name: label.size for axes in indexing.operands for term in axes for label in labels(term)}
    space = node.op == "convolve"  # along space a kernel takes positions, it does not sum over them
    return any(
        sizes.get(name, 2) > 1 and not (space and name[0] == "s")
        for name in event.mixed
        if not any(at[0] == name for at in (*spread, *other.slots))
    )


__all__ = ["multiplied"]
