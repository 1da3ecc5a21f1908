"""Units mirrored with a constant left over, as in σ(−z) = 1 − σ(z) and sin(π − z) = sin z.

Where the sign of a unit flips before such a function, what is left over before it goes into the bias that is added
there, and what is left over behind it is followed like any other translation, until a bias takes it up.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from orbitope.infer.gauge.entries import Entries, Reader
from orbitope.infer.gauge.events import Event, Meeting
from orbitope.infer.gauge.fields import Fields
from orbitope.infer.gauge.following import follow
from orbitope.infer.gauge.laws import mirror_of
from orbitope.infer.gauge.leaves import LabelSlot, Slot, Starts
from orbitope.infer.gauge.routes import Letters, Route, Shift, Source, State
from orbitope.infer.words import Atom


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


def carried(reader: Reader, fields: Fields, each: Mirroring, unknown: int) -> Route | None:
    """What is added, as a route whose vector is one at the mirrored units; None where nothing takes it up."""
    letters = "abcdefgh"[: 1 + len(each.over)]
    space = (each.atom, *each.over)
    route = Route(Source("", (), ()), space, letters)
    state: State = {}
    before: dict[tuple[str, Starts], list[Shift]] = {}
    for event, met, at in _mirrored(fields, each, unknown):
        mirror = mirror_of(event.node)
        assert mirror is not None
        along = _along(met, at, space, letters)
        if along is None:
            return None
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
    done = follow(reader, route, state, Letters(len(letters))) if state else route
    if done is None:
        return None
    terms = [(name, starts, _flipped(shift, each, letters[0])) for name, starts, shift in done.terms]
    terms += [(name, starts, found[0]) for (name, starts), found in before.items()]
    return replace(done, terms=terms)


def _mirrored(fields: Fields, each: Mirroring, unknown: int) -> Iterator[tuple[Event, Meeting, LabelSlot]]:
    """The functions before which the sign of the units flips."""
    for event in fields.events:
        if mirror_of(event.node) is None:
            continue
        met = event.operands[0]
        for at, atom in met.atoms.items():
            if atom is each.atom and fields.solver.known(met.form(at)).get(unknown):
                yield event, met, at


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
