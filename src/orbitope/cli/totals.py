"""How much moves: copies by exchanges, signs, and directions in which parameters move without any effect."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.text import Text

from orbitope.cli.groups import guarantee
from orbitope.cli.moves import bits, dimension, limits_of, shares
from orbitope.cli.output import number, plural
from orbitope.cli.tree import factorials

if TYPE_CHECKING:
    from collections.abc import Iterable

    from orbitope.group import SymmetryGroup
    from orbitope.group.continuous import Family


BLANK = "\u00a0"
"""Between groups of three digits: no line is broken here."""


def totals(group: SymmetryGroup) -> Text | None:
    """``10^48 copies, 2^36 signs, 1 179 648 flat directions``; nothing where there are permutations only."""
    families = list(group.families.values())
    if not families:
        return None
    parts = [magnitude(group).replace(",", BLANK) + (" copy" if group.log10_order == 0 else " copies")]
    parts += [_signs(group.sign_bits)] if group.sign_bits else []
    parts += [_directions(group.dimension)] if group.dimension else []
    text = Text(", ".join(parts), "bold green")
    apart: dict[str, list[Family]] = {}
    for family in families:
        if limits := limits_of(family):
            apart.setdefault(limits, []).append(family)
    for words, found in apart.items():
        text.append(f"\n{words}: {_more(found)}", "yellow")
    return text


def sentences(group: SymmetryGroup) -> Text:
    """The same in words, with what each kind contributes."""
    moved = [unit for unit in group.units if unit.size > 1]
    parts = shares(group.families.values())
    if not moved:
        trivial = "." if parts or group.sign_bits else ": the group is trivial."
        text = Text(f"No permutation of units keeps the function{trivial}")
    else:
        text = Text.assemble(
            "This network has ",
            (magnitude(group), "bold green"),
            " equivalent copies: settings of its parameters, reached by exchanging units, that all compute the same "
            f"function, whatever the weights are. {plural(len(moved), 'set')} of units "
            f"{'gives' if len(moved) == 1 else 'give'} ",
            (factorials(group), "bold"),
            " of them ",
            (f"({certainty(group)}).", "dim"),
        )
    more = []
    if group.sign_bits:
        one = "one sign" if group.sign_bits == 1 else f"{number(group.sign_bits)} signs, each by itself"
        more.append(f"change {one}")
    if parts:
        listed = ", ".join(f"{number(count)} {_OF[part]}" for part, count in parts.items())
        more.append(f"move the parameters along {plural(group.dimension, 'flat direction')}: {listed}")
    if more:
        text.append(f" {'Besides, one may' if moved else 'One may'} {'; and '.join(more)}. ")
        text.append("None of this changes the function.")
    return text


_OF = {
    "scales": "of scales",
    "matrices": "of matrices",
    "rotations": "of rotations",
    "translations": "of shifts",
}


def certainty(group: SymmetryGroup) -> str:
    """How sure it is, in words."""
    if guarantee(group) == "exact":
        return "exact for the traced program"
    return "exact for the traced program, which was not compared with the model"


def summary(group: SymmetryGroup) -> str:
    """One line for the picture."""
    sets = plural(sum(unit.size > 1 for unit in group.units), "set")
    text = f"{sets} of interchangeable units, {magnitude(group)} equivalent copies"
    text += f", {_signs(group.sign_bits)}" if group.sign_bits else ""
    return text + (f", {_directions(group.dimension)}" if group.dimension else "")


def magnitude(group: SymmetryGroup) -> str:
    """``86,400``, ``2.6·10^35``, ``10^4,340``: exact while it is short."""
    if group.log10_order < 15:
        return number(group.order)
    if group.log10_order < 1000:
        exponent = int(group.log10_order)
        return f"≈ {10 ** (group.log10_order - exponent):.1f}·10^{exponent}"
    return f"≈ 10^{number(round(group.log10_order))}"


def to_json(group: SymmetryGroup) -> dict[str, Any]:
    """Directions and signs, apart by what they keep."""
    families = list(group.families.values())
    nearly = [family for family in families if getattr(family, "approximate", "")]
    losing = [family for family in families if getattr(family, "loss", False) and family not in nearly]
    return {
        "dimension_by_part": dict(shares(families)),
        "approximate": {"dimension": sum(map(dimension, nearly)), "sign_bits": sum(map(bits, nearly))},
        "loss": {"dimension": sum(map(dimension, losing)), "sign_bits": sum(map(bits, losing))},
    }


def _signs(count: int) -> str:
    return "2 signs" if count == 1 else f"2^{spaced(count)} signs"


def _directions(count: int) -> str:
    return f"{spaced(count)} flat direction{'s' * (count != 1)}"


def _more(families: Iterable[Family]) -> str:
    directions, signs = sum(map(dimension, families)), sum(map(bits, families))
    parts = [f"{spaced(directions)} more"] if directions else []
    return ", ".join([*parts, *([f"{_signs(signs)} more"] if signs else [])])


def spaced(count: int) -> str:
    """A count with its digits in groups of three, a blank that does not break between them."""
    return number(count).replace(",", BLANK)
