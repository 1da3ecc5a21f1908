"""The units of a group as a tree of modules, with aligned columns."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from orbitope.group import Diagnostic, SymmetryGroup, Units

FEW = 3
"""So many parameter axes are written out; of more, the first and the last, and their number."""

ALIKE = 3
"""From so many on, neighbouring layers of one structure are written once."""


Row = tuple[Text, Text, Text]
"""Label, size and role, what they are over and what they move."""


@dataclass
class Branch:
    """A module, the units that are named after it, and the modules in it.

    Attributes:
        name: last part of its path, or several parts where nothing branches off between them.
        units: with the suffix that tells several units of one module apart.
        inner: by name, in the order of the group.
    """

    name: str
    units: list[tuple[str, Units]] = field(default_factory=list)
    inner: dict[str, Branch] = field(default_factory=dict)

    def shape(self) -> object:
        """Equal for branches that look alike but for their names and numbers."""
        own = tuple((s, u.size, u.role, len(u.over), len(u.acts_on)) for s, u in self.units)
        return own, tuple((b.name, b.shape()) for b in self.inner.values())


def units_tree(group: SymmetryGroup, everything: bool = False) -> RenderableType:
    """All units under their modules: size, role, what they are over, which parameter axes they move."""
    root = Branch("")
    for unit in group.units:
        path, _, number = unit.name.partition("#")
        branch = root
        for part in path.split("."):
            branch = branch.inner.setdefault(part, Branch(part))
        branch.units.append((f"#{number}" if number else "", unit))
    rows: list[Row] = []
    buffers = {name for name, placement in group.placements.items() if not placement.trainable}
    _walk(_joined(root), "", rows, everything, buffers)
    if not rows:
        return Text("no units", "dim")
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for row in rows:
        table.add_row(*row)
    return table


def _joined(branch: Branch) -> Branch:
    """The same with chains of modules that lead to one thing only drawn together: ``blocks.0.fc``."""
    inner: dict[str, Branch] = {}
    for part in map(_joined, branch.inner.values()):
        while not part.units and len(part.inner) == 1:
            (only,) = part.inner.values()
            part = Branch(f"{part.name}.{only.name}", only.units, only.inner)
        inner[part.name] = part
    return Branch(branch.name, branch.units, inner)


def _walk(branch: Branch, indent: str, rows: list[Row], everything: bool, buffers: Collection[str]) -> None:
    groups = _runs(list(branch.inner.values()), everything)
    for k, (label, part, times) in enumerate(groups):
        last = k == len(groups) - 1
        lead = indent + ("└─ " if last else "├─ ")
        below = indent + ("   " if last else "│  ")
        name = Text.assemble((lead, "dim"), (label, "bold"))
        if times > 1:
            name.append(f" × {times}", "magenta")
        units = part.units or [("", None)]
        for j, (suffix, unit) in enumerate(units):
            first = j == 0
            shown = (
                name + Text(suffix, "dim") if first else Text.assemble((below, "dim"), (label, "dim"), (suffix, "dim"))
            )
            rows.append((shown, *_cells(unit, everything, buffers)))
        _walk(part, below, rows, everything, buffers)


def _runs(parts: Sequence[Branch], everything: bool) -> list[tuple[str, Branch, int]]:
    """Neighbours of one structure, drawn once: label, the first of them, how many."""
    result: list[tuple[str, Branch, int]] = []
    k = 0
    while k < len(parts):
        stop = k + 1
        if not everything:
            while stop < len(parts) and _next_alike(parts[k], parts[stop]):
                stop += 1
        if stop - k >= ALIKE:
            result.append((f"{parts[k].name} … {parts[stop - 1].name}", parts[k], stop - k))
            k = stop
        else:
            result.append((parts[k].name, parts[k], 1))
            k += 1
    return result


def _next_alike(first: Branch, other: Branch) -> bool:
    stems = [re.sub(r"\d+", "", branch.name) for branch in (first, other)]
    layers = bool(first.inner) or first.name not in ("", *re.findall(r"\d+", first.name))
    return layers and stems[0] == stems[1] and first.shape() == other.shape()


def _cells(unit: Units | None, everything: bool, buffers: Collection[str]) -> tuple[Text, Text]:
    if unit is None:
        return Text(), Text()
    size = Text.assemble((f"{unit.size:>5} ", "cyan"), unit.role)
    own = unit.name.rpartition(".")[0]
    over = " and ".join(name.removeprefix(f"{own}.") for name in unit.over)
    where = (f"in each {over}:  ", "dim") if over else ""
    return size, Text.assemble(where, _axes(unit.acts_on, everything, buffers))


def _axes(spots: Sequence[tuple[str, int]], everything: bool, buffers: Collection[str] = ()) -> str:
    """``0.weight[0]  0.bias[0]``, or of many the first, the last that is no buffer, and their number."""
    shown = [f"{name}[{axis}]" for name, axis in spots]
    if everything or len(shown) <= FEW:
        return "  ".join(shown)
    last = max((k for k, (name, _) in enumerate(spots) if name not in buffers), default=0) or len(shown) - 1
    return f"{shown[0]} … {shown[last]}  ({len(shown)} axes)"


def factorials(group: SymmetryGroup) -> str:
    """The order of the group as a product of factorials, the largest first: ``32!² · 8!``."""
    powers: Counter[int] = Counter()
    for unit in group.units:
        if unit.size > 1:
            powers[unit.size] += unit.copies
    factors = [f"{n}!" + _superscript(k) for n, k in sorted(powers.items(), reverse=True)]
    return " · ".join(factors) or "1"


def _superscript(power: int) -> str:
    return "" if power == 1 else str(power).translate(str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹"))


def fixed_axes(group: SymmetryGroup, everything: bool = False) -> RenderableType | None:
    """One row for each reason: the axes that it fixes, why and where."""
    reasons: dict[tuple[str, str], list[Diagnostic]] = {}
    for d in group.diagnostics:
        reasons.setdefault((d.reason, d.place if everything else ""), []).append(d)
    rows = []
    for (reason, _), found in reasons.items():
        at = place(found[0].place)
        others = len({d.place for d in found}) - 1
        at += f" and {others} more" if at and others else ""
        rows.append((_axes([(d.parameter, d.axis) for d in found], everything), reason + (f" ({at})" if at else "")))
    return columns(rows, ["", "dim"]) if rows else None


def place(text: str) -> str:
    """Where a node stands, for people: ``node conv2d (net.py:8) in conv1`` is ``conv1, net.py:8``."""
    found = re.fullmatch(r"node (\S+)(?: \(([^)]*)\))?(?: in (.+))?", text)
    return ", ".join(part for part in (found[3], found[2] or found[1]) if part) if found else text


def unused(names: Sequence[str]) -> str:
    """Names, where many end alike their number: ``6 × num_batches_tracked``."""
    ends: dict[str, list[str]] = {}
    for name in names:
        ends.setdefault(name.rpartition(".")[2], []).append(name)
    return ", ".join(f"{len(v)} × {k}" if len(v) > FEW else ", ".join(v) for k, v in ends.items())


def columns(rows: Iterable[Sequence[str]], styles: Sequence[str]) -> Table:
    """Aligned columns of plain strings."""
    table = Table.grid(padding=(0, 2))
    for style in styles:
        table.add_column(overflow="fold", style=style)
    for row in rows:
        table.add_row(*map(Text, row))
    return table
