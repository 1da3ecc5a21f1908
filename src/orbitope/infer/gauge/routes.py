"""What is added to the leaves of values, and the way that it takes through a program."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from string import ascii_letters

from orbitope.infer.gauge.events import Event, Meeting
from orbitope.infer.gauge.leaves import LabelSlot, Slot, Starts
from orbitope.infer.words import Atom

ROUNDING = 1e-12
"""What coefficients of this size leave of each other when they cancel is rounding."""

Spread = dict[LabelSlot, str]
"""Along which indices a shift varies: the letter of each."""


class Seen(Exception):
    """The shift changes the function."""


@dataclass(frozen=True)
class Multiplier:
    """Entries of a parameter in a product: of a leaf, with a letter for each of its slots.

    Attributes:
        parameter: its name.
        starts: of the leaf.
        letters: of the slots of the leaf.
        power: to which the entries are raised.
        offset: what is added to them before.
    """

    parameter: str
    starts: Starts
    letters: Mapping[Slot, str]
    power: float = 1.0
    offset: float = 0.0


@dataclass(frozen=True)
class Carrier:
    """A leaf of a value that a shift is multiplied with: its name, its start, and a letter for each of its slots."""

    value: str
    starts: Starts
    letters: Mapping[Slot, str]


@dataclass(frozen=True)
class Shift:
    """What is added to a leaf of a value: ``coefficient · einsum(vector, factors…, carrier)``.

    Attributes:
        along: the slots along which it varies, each with its letter.
        factors: what the vector is multiplied with.
        coefficient: a number in front.
        data: whether it depends on the data. Without a carrier only ``along`` is known of it then.
        carrier: the one value that it is linear in.
    """

    along: Mapping[Slot, str]
    factors: tuple[Multiplier, ...] = ()
    coefficient: float = 1.0
    data: bool = False
    carrier: Carrier | None = None

    @property
    def known(self) -> bool:
        """Whether all is known that it is made of."""
        return not self.data or self.carrier is not None


Shifted = Mapping[int, list[tuple[Meeting, Shift]]]
"""The shifts of the operands of one leaf of an operation, by the position of the operand."""

Gathered = list[tuple[Event, Shifted]]
"""The leaves of an operation that shifts come to."""

State = dict[str, dict[Starts, list[Shift]]]
"""The shifts of values, by their name and the start of the leaf."""


@dataclass(frozen=True)
class Source:
    """Where a shift enters: leaves of a parameter, all alike, and the slots along which it may vary freely."""

    parameter: str
    starts: tuple[Starts, ...]
    slots: tuple[Slot, ...]

    @property
    def leaves(self) -> list[tuple[str, Starts]]:
        """The leaves of the parameter."""
        return [(self.parameter, starts) for starts in self.starts]


@dataclass
class Route:
    """How one shift went.

    Attributes:
        source: where it entered.
        atoms: the indices of its vector.
        letters: of these, in the same order.
        terms: what is added to which leaf of which parameter.
        loss: whether it keeps the loss only.
        inside: whether parameters may take it up that are added within the other operand of a sum.
        enclosed: whether it came to a sum where that would matter.
        arrived: whether it came to an output.
    """

    source: Source
    atoms: tuple[Atom, ...]
    letters: str
    terms: list[tuple[str, Starts, Shift]] = field(default_factory=list)
    loss: bool = False
    inside: bool = False
    enclosed: bool = False
    arrived: bool = False


class Letters:
    """Letters for the indices of one route, each given out once."""

    def __init__(self, taken: int = 0) -> None:
        """All letters but the first ones, which are taken."""
        self._left = iter(ascii_letters[taken:])

    def take(self) -> str:
        """The next one.

        Raises:
            Seen: there are no more; a product of so many parameters is not followed.
        """
        letter = next(self._left, None)
        if letter is None:
            raise Seen
        return letter


def spread_of(met: Meeting, shift: Shift) -> Spread:
    """Along which labels of an operation the shift of an operand varies.

    Raises:
        Seen: it varies along an index that the operation does not have: what meets there is not known.
    """
    back = {slot: at for at, slot in met.slots.items()}
    if not shift.along.keys() <= back.keys():
        raise Seen
    return {back[slot]: letter for slot, letter in shift.along.items()}


def put_out(event: Event, spread: Spread, shift: Shift) -> Shift:
    """The shift of the value; letters along indices that are gone are summed over."""
    along = {event.output.slots[at]: letter for at, letter in spread.items() if at in event.output.slots}
    return replace(shift, along=along)


def like(shift: Shift, kept: str) -> tuple[object, ...]:
    """All of a shift but its coefficient, with its summed letters numbered, for comparison."""
    names: dict[str, str] = {letter: letter for letter in kept}

    def named(letter: str) -> str:
        return names.setdefault(letter, f"#{len(names)}")

    factors = []
    for each in shift.factors:
        letters = tuple((slot, named(letter)) for slot, letter in sorted(each.letters.items()))
        factors.append((each.parameter, each.starts, letters, each.power, each.offset))
    along = tuple((slot, named(letter)) for slot, letter in sorted(shift.along.items()))
    if shift.carrier is None:
        return along, tuple(factors), None
    inner = tuple((slot, named(letter)) for slot, letter in sorted(shift.carrier.letters.items()))
    return along, tuple(factors), (shift.carrier.value, shift.carrier.starts, inner)


def canonical(shift: Shift, kept: str) -> tuple[object, ...]:
    """A shift with its summed letters numbered, for comparison."""
    return *like(shift, kept), round(shift.coefficient, 12)


def collected(shifts: Iterable[Shift], kept: str) -> list[Shift]:
    """Equal shifts put together; those that cancel each other are gone."""
    found: dict[tuple[object, ...], Shift] = {}
    rest: list[Shift] = []
    for shift in shifts:
        if not shift.known:
            rest.append(shift)
            continue
        key = like(shift, kept)
        before = found.get(key)
        found[key] = shift if before is None else replace(shift, coefficient=before.coefficient + shift.coefficient)
    return [*(shift for shift in found.values() if abs(shift.coefficient) > ROUNDING), *rest]


__all__ = [
    "Carrier",
    "Gathered",
    "Letters",
    "Multiplier",
    "Route",
    "Seen",
    "Shift",
    "Shifted",
    "Source",
    "Spread",
    "State",
    "canonical",
    "collected",
    "like",
    "put_out",
    "spread_of",
]
