"""Units mirrored with a constant left over, as in σ(−z) = 1 − σ(z) and sin(π − z) = sin z.

Where the sign of a unit flips before such a function, what is left over before it goes into the bias that is added
there, and what is left over behind it is followed like any other translation, until a bias takes it up.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from orbitope.infer.gauge.entries import Entries, Reader
from orbitope.infer.gauge.events import Event, Meeting
from orbitope.infer.gauge.fields import Fields
from orbitope.infer.gauge.following import follow
from orbitope.infer.gauge.laws import mirror_of, tilt_of
from orbitope.infer.gauge.leaves import LabelSlot, Slot, Starts
from orbitope.infer.gauge.routes import Letters, Route, Shift, Source, State
from orbitope.infer.gauge.solver import Number
from orbitope.infer.gauge.tilting import summands
from orbitope.infer.words import Atom

Choice = Mapping[int, Number]
"""The unknowns of the equations that are not zero, and what they are."""


@dataclass(frozen=True)
class Mirroring:
    """Which signs flip, and what is added besides.

    Attributes:
        atom: the units.
        over: what they are over.
        powers: the leaves of parameters whose sign flips, with the slot of the units.
    """

    atom: Atom
    over: tuple[Atom, ...]
    powers: dict[tuple[str, Starts, Slot | None], int]


def carried(reader: Reader, fields: Fields, each: Mirroring, choice: Choice) -> Route | None:
    """What is added, as a route whose vector is one at the mirrored units; None where nothing takes it up."""
    letters = "abcdefgh"[: 1 + len(each.over)]
    space = (each.atom, *each.over)
    route, free = Route(Source("", (), ()), space, letters), Letters(len(letters))
    state: State = {}
    before: dict[tuple[str, Starts], list[Shift]] = {}
    for event, met, at in _mirrored(fields, each, choice):
        along = _along(met, at, space, letters)
        if along is None:
            return None
        mirror = mirror_of(event.node)
        if mirror is None:
            left = _left_over(reader, fields, event, choice, along, free)
            if left is None:
                return None
            state.setdefault(event.node.name, {}).setdefault(event.output.starts, left)
            continue
        if mirror.before:
            bias = _bias(reader, met, set(along))
            if bias is None:
                return None
            # it is added before the sign of the bias flips
            shift = Shift({bias.slots[slot]: letter for slot, letter in along.items()}, coefficient=-mirror.before)
            before.setdefault(bias.leaf, []).append(shift)
        if mirror.after:
            found = state.setdefault(event.node.name, {}).setdefault(event.output.starts, [])
            if not found:
                found.append(Shift(along, coefficient=mirror.after))
    if any(len(found) != reader.readings for found in before.values()):
        return None
    done = follow(reader, route, state, free) if state else route
    if done is None or any(_crosses(shift, each, letters[0]) for _, _, shift in done.terms):
        return None
    terms = [(name, starts, _flipped(shift, each, letters[0])) for name, starts, shift in done.terms]
    terms += [(name, starts, found[0]) for (name, starts), found in before.items()]
    return replace(done, terms=terms)


def _mirrored(fields: Fields, each: Mirroring, choice: Choice) -> Iterator[tuple[Event, Meeting, LabelSlot]]:
    """The functions before which the sign of the units flips."""
    for event in fields.events:
        if mirror_of(event.node) is None and event.node.name not in fields.tilted:
            continue
        met = event.operands[0]
        for at, atom in met.atoms.items():
            if atom is each.atom and fields.solver.value(fields.solver.known(met.form(at)), choice):
                yield event, met, at


def _left_over(
    reader: Reader, fields: Fields, event: Event, choice: Choice, along: Mapping[Slot, str], free: Letters
) -> list[Shift] | None:
    """What a function that is even but for a linear part adds: this part of what goes in, as it is after the flip."""
    met, tilt = event.operands[0], tilt_of(event.node)
    letters = {slot: along[slot] if slot in along else free.take() for slot in met.slots.values()}
    parts = summands(reader, met, letters, free)
    if tilt is None or parts is None:
        return None
    for part in parts:
        carrier = part.carrier
        field = None if carrier is None else fields.values[carrier.value][carrier.starts]
        if field is not None and any(fields.solver.value(form, choice) for form in field.slots.values()):
            return None  # the flip reaches the data too
    back = {slot: at for at, slot in met.slots.items()}
    return [
        replace(
            part,
            along={event.output.slots[back[slot]]: letter for slot, letter in part.along.items()},
            coefficient=tilt * part.coefficient,
        )
        for part in parts
    ]


def _crosses(shift: Shift, each: Mirroring, letter: str) -> bool:
    """Whether a factor changes sign along another index than that of the vector, or twice."""
    return any(
        each.powers.get((factor.parameter, factor.starts, slot), 0) % 2 and own != letter
        for factor in shift.factors
        for slot, own in factor.letters.items()
    )


def _along(met: Meeting, at: LabelSlot, space: tuple[Atom, ...], letters: str) -> dict[Slot, str] | None:
    """The letters of the slots of a leaf that the space has."""
    found = {met.slots[at]: letters[0]}
    for base, letter in zip(space[1:], letters[1:], strict=True):
        spots = [label for label, atom in met.atoms.items() if atom is base and label != at]
        if len(spots) != 1:
            return None
        found[met.slots[spots[0]]] = letter
    return found


def _bias(reader: Reader, met: Meeting, needed: set[Slot]) -> Entries | None:
    """The parameter that is added to a value last, and nowhere else."""
    for event in reader.events.get(met.value, ()):
        node = event.node
        if event.output.starts != met.starts or node.op != "pointwise" or node.attributes["fn"] != "add":
            continue
        for operand in event.operands.values():
            entries = reader.entries(operand, alone=True)
            if entries is None or not entries.plain or not needed <= entries.slots.keys():
                continue
            if not reader.held(entries.parameter):
                return entries
    return None


def _flipped(shift: Shift, each: Mirroring, letter: str) -> Shift:
    """A shift behind factors whose sign flips at the mirrored units."""
    sign = 1
    for factor in shift.factors:
        for slot, own in factor.letters.items():
            if own == letter and each.powers.get((factor.parameter, factor.starts, slot), 0) % 2:
                sign = -sign
    return replace(shift, coefficient=sign * shift.coefficient)


__all__ = ["Mirroring", "carried"]
