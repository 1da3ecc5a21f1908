"""What moves parameters besides permutations, as rows of the tree: scales, signs, matrices, rotations, translations."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from orbitope.cli.spots import Spot
from orbitope.group.blocks import outlines
from orbitope.group.continuous import Family, Flips, Matrices, Rotations, Scaling, Translation
from orbitope.group.continuous import Spot as Place
from orbitope.group.naming import shared

if TYPE_CHECKING:
    from orbitope.group import SymmetryGroup

Mark = str
"""What becomes of entries: ``×`` or ``÷`` a number, ``±``, ``+``, ``A`` or ``A⁻ᵀ``, ``↻``."""

PARTS = {Scaling: "scales", Flips: "signs", Matrices: "matrices", Rotations: "rotations", Translation: "translations"}
"""The names of parts by the kind of family."""


@dataclass(frozen=True)
class Moves:
    """A family, or a scale and a sign that act on the same entries: together any number but zero.

    Attributes:
        families: one or two.
        anchor: the innermost units whose positions it has numbers for; empty where there are none.
        lead: which index of the space is counted; the others are what it is over.
        spots: what becomes of which parameter axes; None for the axis where a whole tensor is meant.
    """

    families: tuple[Family, ...]
    anchor: str
    lead: int
    spots: tuple[tuple[Mark, Spot], ...]

    @property
    def family(self) -> Family:
        """The one that says where it acts."""
        return self.families[0]

    @property
    def over(self) -> list[tuple[str, int]]:
        """Names and sizes of what its numbers are over."""
        named = list(zip(self.family.space, self.family.sizes, strict=True))
        return [each for k, each in enumerate(named) if k != self.lead and not (self.mixes and k == 0)]

    @property
    def mixes(self) -> bool:
        """Whether its first index is that of matrices."""
        return isinstance(self.family, Matrices)

    @property
    def home(self) -> str:
        """The innermost module that holds all that it moves."""
        paths = [name.split(".")[:-1] for _, (name, _) in self.spots]
        return ".".join(paths[0][: shared(paths)]) if paths else ""

    @property
    def name(self) -> str:
        """Its name; of two the stem that they share, and both ends."""
        names = [family.name for family in self.families]
        stems = {name.rpartition(".")[0] for name in names}
        if len(names) == 1 or len(stems) > 1:
            return ", ".join(names)
        return f"{stems.pop()}.{{{','.join(name.rpartition('.')[2] for name in names)}}}"

    @property
    def count(self) -> int | None:
        """How many numbers there are in each of what it is over; None of matrices."""
        family = self.family
        if isinstance(family, Matrices):
            return family.sizes[self.lead] if family.kind == "complex" and self.lead else None
        return family.sizes[self.lead] if family.space else 1

    @property
    def noun(self) -> str:
        """What they are, in words."""
        many = "" if self.count == 1 else "s"
        family = self.family
        match family:
            case Scaling():
                return f"scale{many}" + (f" and sign{many}" if len(self.families) > 1 else "")
            case Flips():
                return f"sign{many}"
            case Rotations():
                return f"rotation{many}"
            case Translation():
                return f"shift{many}"
            case Matrices():
                return _matrix(family)


def _matrix(family: Matrices) -> str:
    keeping = " keeping sums" if family.ones else ""
    match family.kind:
        case "general":
            return f"GL({family.sizes[0]}){keeping}"
        case "orthogonal":
            return f"O({family.sizes[0]}){keeping}"
        case "complex":
            return "planes turned and scaled" if len(family.space) > 1 else "a plane turned and scaled"


def moves(group: SymmetryGroup, apart: bool = False) -> list[Moves]:
    """All families of a group; a scale and a sign on the same entries are one unless they are wanted ``apart``."""
    acts = _Acts(group)
    found = list(group.families.values())
    flips = {acts.key(each): each for each in found if isinstance(each, Flips) and not each.carries}
    taken: set[str] = set()
    made: list[Moves] = []
    for family in found:
        both: tuple[Family, ...] = (family,)
        pairs = isinstance(family, Scaling) and not family.approximate and not apart
        sign = flips.get(acts.key(family)) if isinstance(family, Scaling) and pairs else None
        if sign is not None and sign.name not in taken:
            taken.add(sign.name)
            both = (family, sign)
        anchor, lead = acts.anchor(family)
        made.append(Moves(both, anchor, lead, tuple(acts.spots(family, lead))))
    return [each for each in made if each.family.name not in taken]


class _Acts:
    def __init__(self, group: SymmetryGroup) -> None:
        self.group = group
        self.homes = cache(self._homes)

    def _homes(self, name: str) -> list[tuple[int, ...]]:
        """For each block of a parameter's frame, which of its axes each axis of the block is a part of."""
        placement = self.group.placements[name]
        frame = self.group.continuous.frames.get(name, placement.axes)
        return [block.homes for block in outlines(name, placement.shape, frame)]

    def anchor(self, family: Family) -> tuple[str, int]:
        """The innermost units of a space, and which index is counted: a fixed one if there is any, else these units."""
        units = self.group.by_name
        space = family.space
        if isinstance(family, Matrices):
            lead = 1 if family.kind == "complex" and len(space) > 1 else 0
            return next((name for name in space if name in units), ""), lead
        known = [(len(units[name].over), -k) for k, name in enumerate(space) if name in units]
        fixed = [k for k, name in enumerate(space) if name not in units]
        if not known:
            return "", 0
        inner = -max(known)[1]
        return space[inner], fixed[0] if fixed else inner

    def key(self, family: Scaling | Flips) -> object:
        """Equal where a sign and a scale act on the same entries."""
        odd = frozenset((s.parameter, s.block, s.dims) for s in family.spots if s.power % 2)
        return family.space, odd, family.loss

    def spots(self, family: Family, lead: int) -> Iterator[tuple[Mark, Spot]]:
        """What becomes of which parameter axes, without repetition."""
        return iter(dict.fromkeys(self._spots(family, lead)))

    def _spots(self, family: Family, lead: int) -> Iterator[tuple[Mark, Spot]]:
        match family:
            case Scaling():
                yield from ((_power(spot.power), self._at(spot, lead)) for spot in family.spots)
            case Flips():
                yield from (("±", self._at(spot, lead)) for spot in family.spots)
                yield from (("+", (term.parameter, None)) for term in family.carries)
            case Matrices():
                turned = "A" if family.kind == "orthogonal" else "A⁻ᵀ"
                yield from (("A" if s.power > 0 else turned, self._at(s, lead)) for s in family.spots)
            case Rotations():
                yield from (("↻", self._at(spot, lead)) for pair in family.pairs for spot in pair)
            case Translation():
                for term in family.terms:
                    letter = term.vector[lead : lead + 1]
                    at = term.letters.find(letter) if letter else -1
                    axis = self.homes(term.parameter)[term.block][at] if at >= 0 else None
                    yield "+", (term.parameter, axis)

    def _at(self, spot: Place, lead: int) -> Spot:
        if lead >= len(spot.dims):
            return spot.parameter, None
        return spot.parameter, self.homes(spot.parameter)[spot.block][spot.dims[lead]]


def _power(power: int) -> Mark:
    digits = "" if abs(power) == 1 else str(abs(power)).translate(str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return ("×" if power > 0 else "÷") + digits


# numbers ---------------------------------------------------------------------------------------------------------


def dimension(family: Family) -> int:
    """Number of independent directions; none of signs."""
    return 0 if isinstance(family, Flips) else family.dimension


def bits(family: Family) -> int:
    """Number of independent signs."""
    return family.bits if isinstance(family, Flips) else 0


def exact(family: Family) -> bool:
    """Whether it keeps the function, and exactly."""
    return not (getattr(family, "approximate", "") or getattr(family, "loss", False))


def limits_of(family: Family) -> str:
    """What it keeps less than the function, or less than exactly: ``holds at ε = 0 only``; else nothing."""
    words = getattr(family, "approximate", "").removeprefix("it ")
    return ", ".join(filter(None, (words, "loss only" if getattr(family, "loss", False) else "")))


def shares(families: Iterable[Family]) -> Mapping[str, int]:
    """Number of directions by part, of the families that keep the function exactly."""
    found: dict[str, int] = {}
    for family in families:
        if exact(family) and dimension(family):
            found[PARTS[type(family)]] = found.get(PARTS[type(family)], 0) + dimension(family)
    return found


def families_to_json(group: SymmetryGroup) -> list[dict[str, Any]]:
    """For programs: what each family is, what it is over, and the axes that it moves."""
    roles = {name: unit.role for name, unit in group.by_name.items()}
    return [
        {
            "name": each.family.name,
            "part": PARTS[type(each.family)],
            "what": each.noun if each.count is None else f"{each.count} {each.noun}",
            "space": [
                {"name": name, "size": size, "role": roles.get(name)}
                for name, size in zip(each.family.space, each.family.sizes, strict=True)
            ],
            "units": each.anchor or None,
            "module": each.home,
            "dimension": dimension(each.family),
            "sign_bits": bits(each.family),
            "approximate": getattr(each.family, "approximate", ""),
            "loss": getattr(each.family, "loss", False),
            "reason": getattr(each.family, "reason", ""),
            "acts_on": [{"parameter": name, "axis": axis, "by": mark} for mark, (name, axis) in each.spots],
        }
        for each in moves(group, apart=True)
    ]
