"""Shifts that depend on the data, taken up by a product of the same data with a parameter.

What is added to one factor of a product of parameters changes the value by that, times the other factor, times the
data. Where the same data are multiplied with a further parameter and added, as with a map beside a pair of low rank,
that parameter takes it up.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from orbitope.graph import Node
from orbitope.infer.gauge.entries import Entries, Reader
from orbitope.infer.gauge.events import Event, Meeting
from orbitope.infer.gauge.laws import views
from orbitope.infer.gauge.leaves import LabelSlot, Slot, Starts
from orbitope.infer.gauge.routes import (
    Carrier,
    Gathered,
    Multiplier,
    Route,
    Seen,
    Shift,
    Spread,
    canonical,
    spread_of,
)

PLAIN = frozenset({"add", "sub", "neg", "identity", "real"})
"""Functions that add their operands, or hand on the one that they have."""


@dataclass(frozen=True)
class Product:
    """A product of a value with a parameter, as a term of a sum.

    Attributes:
        event: one leaf of the product.
        value: what meets the parameter.
        entries: the parameter.
        weight: its meeting.
        slots: for each slot of the sum that of the product.
        sign: with which it enters the sum.
    """

    event: Event
    value: Meeting
    entries: Entries
    weight: Meeting
    slots: Mapping[Slot, Slot]
    sign: float


def take_up_products(reader: Reader, node: Node, gathered: Gathered, route: Route) -> bool:
    """Whether parameters that are multiplied with the same data, and added here, take shifts up in all leaves alike.

    What they take up becomes terms of the route.
    """
    found: dict[tuple[str, Starts], dict[int, list[Shift]]] = {}
    met: dict[tuple[str, Starts], str] = {}
    for event, shifted in gathered:
        if len(shifted) != 1 or len(event.operands) != 2:
            return False
        ((k, shifts),) = shifted.items()
        products = list(terms_of(reader, event.operands[1 - k], factor_of(node, 1 - k)))
        for operand, shift in shifts:
            taker = _taker(reader, event, products, operand, shift, factor_of(node, k), route)
            if taker is None:
                return False
            product, taken = taker
            found.setdefault(product.entries.leaf, {}).setdefault(id(product.event), []).append(taken)
            met[product.entries.leaf] = product.event.node.name
    for leaf, parts in found.items():
        forms = {repr(sorted(repr(canonical(x, route.letters)) for x in each)) for each in parts.values()}
        if len(forms) > 1 or len(parts) < _readings(reader, met[leaf], leaf):
            return False  # where else it is read, there is another shift, or none
    route.terms.extend((*leaf, shift) for leaf, parts in found.items() for shift in next(iter(parts.values())))
    return bool(found)


def factor_of(node: Node, k: int) -> float:
    """With which sign an operand enters."""
    return -1.0 if node.attributes.get("fn") == "sub" and k == 1 else 1.0


def _readings(reader: Reader, name: str, leaf: tuple[str, Starts]) -> int:
    """In how many leaves of a product a leaf of a parameter is read."""
    found = ((reader.entries(met) for met in event.operands.values()) for event in reader.events[name])
    return sum(any(entries is not None and entries.leaf == leaf for entries in each) for each in found)


def terms_of(reader: Reader, met: Meeting, sign: float = 1.0) -> Iterator[Product]:
    """The products with parameters that a value is a sum of, as far as nothing else reads them."""
    pending = [(met.value, met.starts, {slot: slot for slot in met.slots.values()}, sign)]
    while pending:
        value, starts, slots, factor = pending.pop()
        node = reader.graph.node(value)
        if len(reader.fields.readers.get(value, ())) > 1:
            continue
        events = [event for event in reader.events.get(value, ()) if event.output.starts == starts]
        if node.op == "contract" and len(node.inputs) == 2:
            for event in events:
                yield from _products(reader, event, slots, factor)
        elif len(events) == 1 and hands_on(node):
            (event,) = events
            labels = {slot: at for at, slot in event.output.slots.items()}
            for k, operand in event.operands.items():
                if any(labels[own] not in operand.slots for own in slots.values()):
                    continue  # along some index it is the same
                inner = {slot: operand.slots[labels[own]] for slot, own in slots.items()}
                own = -factor if node.attributes.get("fn") == "neg" else factor * factor_of(node, k) if k else factor
                pending.append((operand.value, operand.starts, inner, own))


def hands_on(node: Node) -> bool:
    """Whether a node adds its operands, or has the same entries in other places."""
    return node.op in ("reshape", "transpose") or (node.op == "pointwise" and node.attributes["fn"] in PLAIN)


def _products(reader: Reader, event: Event, slots: Mapping[Slot, Slot], sign: float) -> Iterator[Product]:
    for k in (0, 1):
        weight, value = event.operands.get(k), event.operands.get(1 - k)
        if weight is None or value is None:
            continue
        entries = reader.entries(weight, alone=True)
        if entries is not None and entries.plain and not reader.held(entries.parameter):
            yield Product(event, value, entries, weight, slots, sign)


def _taker(
    reader: Reader,
    event: Event,
    products: list[Product],
    operand: Meeting,
    shift: Shift,
    sign: float,
    route: Route,
) -> tuple[Product, Shift] | None:
    """The product that takes a shift up, and what is added to its parameter."""
    spread = spread_of(operand, shift)
    own = {event.output.slots[at]: letter for at, letter in spread.items() if at in event.output.slots}
    if len(own) < len(spread):
        return None
    for form in _forms(reader, replace(shift, coefficient=sign * shift.coefficient)):
        for product in products:
            if product.entries.leaf in route.source.leaves:
                continue
            along = _along(reader, product, form, own)
            if along is not None:
                taken = Shift(along, form.factors, -form.coefficient * product.sign)
                return product, taken
    return None


def _along(reader: Reader, product: Product, shift: Shift, own: Mapping[Slot, str]) -> dict[Slot, str] | None:
    """The letters of a parameter that takes a shift up; None where its product is of another form than the shift.

    Args:
        reader: of the program.
        product: what the parameter is multiplied with, and how.
        shift: of a sum.
        own: the letters along which it varies, by slots of the sum.
    """
    event, value, weight, carrier = product.event, product.value, product.weight, shift.carrier
    if carrier is None or (value.value, value.starts) != (carrier.value, carrier.starts):
        return None
    if any(reader.leaves.blurs(reader.fields.axes(each.value)) for each in (value, weight)):
        return None
    slots = {slot: at for at, slot in event.output.slots.items()}
    out: Spread = {}
    for slot, letter in own.items():
        if slot not in product.slots or product.slots[slot] not in slots:
            return None
        out[slots[product.slots[slot]]] = letter
    data = {at: carrier.letters[slot] for at, slot in value.slots.items()}
    summed = {at: letter for at, letter in data.items() if at[0] in event.mixed}
    if event.mixed != {at[0] for at in summed} or set(summed.values()) & set(out.values()):
        return None
    kept = {at: letter for at, letter in data.items() if at not in summed}
    if any(out.get(at) != letter for at, letter in kept.items()):
        return None  # the data vary where the shift does not
    if any(at not in data and at not in weight.slots for at in out):
        return None
    along: dict[Slot, str] = {}
    for at, slot in weight.slots.items():
        letter = out.get(at) or summed.get(at)
        if letter is not None:
            along[product.entries.slots[slot]] = letter
        elif at[0] in event.mixed:
            return None
    if any(at not in weight.slots for at in summed) or len(set(along.values())) < len(along):
        return None
    return along


def _forms(reader: Reader, shift: Shift) -> Iterator[Shift]:
    """A shift as it is, then with its value written as a product of another value with parameters."""
    letters = _spare(shift)
    for _ in range(8):
        yield shift
        further = written_out(reader, shift, letters)
        if further is None:
            return
        shift = further


def _spare(shift: Shift) -> Iterator[str]:
    """Letters that a shift does not have."""
    used = {*shift.along.values(), *(letter for f in shift.factors for letter in f.letters.values())}
    used |= set(shift.carrier.letters.values()) if shift.carrier is not None else set()
    return (chr(code) for code in (*range(122, 96, -1), *range(90, 64, -1)) if chr(code) not in used)


def written_out(reader: Reader, shift: Shift, letters: Iterator[str]) -> Shift | None:
    """The same with the value of a product replaced by its factors; None where it is no product with a parameter."""
    carrier = shift.carrier
    if carrier is None:
        return None
    node = reader.graph.node(carrier.value)
    events = [event for event in reader.events.get(carrier.value, ()) if event.output.starts == carrier.starts]
    if len(events) != 1:
        return None
    (event,) = events
    labels = {at: carrier.letters[slot] for at, slot in event.output.slots.items()}
    if views(node) and node.op != "broadcast":
        met = event.operands[0]
        if set(met.slots) != set(labels):
            return None
        return replace(shift, carrier=Carrier(met.value, met.starts, _letters(met, labels)))
    scaled = _scaled(reader, event)
    if scaled is not None:
        met, number = scaled
        if set(met.slots) != set(labels):
            return None
        inner = Carrier(met.value, met.starts, _letters(met, labels))
        return replace(shift, coefficient=shift.coefficient * number, carrier=inner)
    if node.op != "contract" or len(node.inputs) != 2 or len(event.operands) != 2:
        return None
    for k in (0, 1):
        entries, value = reader.entries(event.operands[k]), event.operands[1 - k]
        if entries is None or any(reader.leaves.blurs(reader.fields.axes(x.value)) for x in event.operands.values()):
            continue
        at_hand: Spread = dict(labels)
        shared = [at for at in value.slots if at in event.operands[k].slots]
        if {at[0] for at in shared if at[0] in event.mixed} != event.mixed:
            return None
        for at in (*value.slots, *event.operands[k].slots):
            if at not in at_hand:
                letter = next(letters, None)
                if letter is None:
                    raise Seen
                at_hand[at] = letter
        own = {entries.slots[slot]: at_hand[at] for at, slot in event.operands[k].slots.items()}
        factor = Multiplier(entries.parameter, entries.starts, own, entries.power, entries.offset)
        inner = Carrier(value.value, value.starts, _letters(value, at_hand))
        return replace(shift, factors=(*shift.factors, factor), carrier=inner)
    return None


def _scaled(reader: Reader, event: Event) -> tuple[Meeting, float] | None:
    """The operand that is multiplied with a number, and the number."""
    fn = event.node.attributes.get("fn") if event.node.op == "pointwise" else None
    if fn == "neg":
        return event.operands[0], -1.0
    for k in (0, 1) if fn == "mul" and len(event.operands) == 2 else ():
        number = reader.number(event.operands[k])
        if number is not None:
            return event.operands[1 - k], number
    return None


def _letters(met: Meeting, labels: Mapping[LabelSlot, str]) -> dict[Slot, str]:
    return {slot: labels[at] for at, slot in met.slots.items()}


__all__ = ["factor_of", "hands_on", "take_up_products", "written_out"]
