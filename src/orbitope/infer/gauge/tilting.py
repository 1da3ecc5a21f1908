"""Functions that are even but for a linear part, φ(−z) = φ(z) − z, where a map beside them may take this part up."""

from __future__ import annotations

from collections.abc import Mapping

from orbitope.infer.gauge.carrying import factor_of, hands_on, written_out
from orbitope.infer.gauge.entries import Reader
from orbitope.infer.gauge.events import Meeting
from orbitope.infer.gauge.laws import adds, tilt_of
from orbitope.infer.gauge.leaves import Slot
from orbitope.infer.gauge.routes import Carrier, Letters, Multiplier, Shift


def summands(reader: Reader, met: Meeting, letters: Mapping[Slot, str], free: Letters) -> list[Shift] | None:
    """A leaf of a value as a sum of entries of parameters, and of products of other values with them.

    Args:
        reader: of the program.
        met: the leaf.
        letters: of its slots.
        free: letters for what is summed over.

    Returns:
        None where it is anything else.
    """
    found: list[Shift] = []
    own = {letter: slot for slot, letter in letters.items()}
    pending = [(met, {slot: letters[slot] for slot in met.slots.values()}, 1.0)]
    while pending:
        here, named, sign = pending.pop()
        if reader.leaves.blurs(reader.fields.axes(here.value)):
            return None
        entries = reader.entries(here)
        if entries is not None:
            factor = Multiplier(
                entries.parameter,
                entries.starts,
                {entries.slots[slot]: letter for slot, letter in named.items()},
                entries.power,
                entries.offset,
            )
            found.append(Shift({own[x]: x for x in named.values()}, (factor,), sign))
            continue
        node = reader.graph.node(here.value)
        events = [event for event in reader.events.get(here.value, ()) if event.output.starts == here.starts]
        if len(events) == 1 and (hands_on(node) or node.op == "broadcast"):
            (event,) = events
            labels = {at: named[slot] for at, slot in event.output.slots.items()}
            for k, operand in event.operands.items():
                if not set(operand.slots) <= set(labels):
                    return None
                inner = {slot: labels[at] for at, slot in operand.slots.items()}
                factor = -sign if node.attributes.get("fn") == "neg" else sign * factor_of(node, k) if k else sign
                pending.append((operand, inner, factor))
            continue
        along = {own[x]: x for x in named.values()}
        first = Shift(along, (), sign, data=True, carrier=Carrier(here.value, here.starts, named))
        product = written_out(reader, first, iter(free.take, None))
        if product is None or product.carrier is None:
            return None
        found.append(product)
    return found


def tilted_nodes(reader: Reader) -> frozenset[str]:
    """Functions that are even but for a linear part, where a parameter beside them may take this part up."""
    graph = reader.graph
    takers = {
        inner
        for node in graph
        if adds(node) and all(reader.fields.origin(name).op != "parameter" for name in node.inputs)
        for name in node.inputs
        for inner in _data_of(reader, name, alone=True)
    }
    nodes = [node for node in graph if tilt_of(node) and takers] if takers else []
    return frozenset(node.name for node in nodes if not takers.isdisjoint(_data_of(reader, node.inputs[0])))


def _data_of(reader: Reader, name: str, alone: bool = False) -> set[str]:
    """The values that are multiplied with parameters in a sum of such products."""
    found: set[str] = set()
    pending, seen = [name], {name}
    while pending:
        node = reader.graph.node(pending.pop())
        if alone and len(reader.fields.readers.get(node.name, ())) > 1:
            continue
        if node.op == "contract" and len(node.inputs) == 2:
            parameters = [reader.fields.origin(each).op == "parameter" for each in node.inputs]
            data = [each for each, is_one in zip(node.inputs, parameters, strict=True) if not is_one]
            further = [] if alone or not any(parameters) else [x for x in data if reader.graph.node(x).op == "contract"]
            found.update(data)
        else:
            further = node.inputs if hands_on(node) else ()
        pending.extend(each for each in further if each not in seen)
        seen.update(further)
    return found


__all__ = ["summands", "tilted_nodes"]
