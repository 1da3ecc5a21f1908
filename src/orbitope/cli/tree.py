"""The units of a group as a tree of modules: each set of units stands under the module that holds all it moves."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from orbitope.cli.spots import Spot, patterns, spelled
from orbitope.group.naming import home, told_from

if TYPE_CHECKING:
    from orbitope.group import SymmetryGroup, Units

SHORT = 48
"""Axes that take no more columns are written out; others are written as patterns."""

LINES = 3
"""So many lines of patterns are shown for one set of units."""

ALIKE = 3
"""From so many on, neighbours of one structure are written once; modules that hold several things from two on."""

NARROW = 24
"""Columns that the axes need at least to stand beside the units; else they stand under them."""


@dataclass
class Branch:
    """A module, or a set of units: units hold what is over them, modules hold units and modules.

    Attributes:
        path: of the module; of units, of the innermost module that holds all they move.
        unit: the units, where it stands for units.
        inner: what it holds, in order.
        count: how many alike it stands for; ``last`` is then the last of them.
    """

    path: str
    unit: Units | None = None
    inner: list[Branch] = field(default_factory=list)
    count: int = 1
    last: Branch | None = None

    def label(self, path: str) -> str:
        """Its name as told from a module; of units that are named after that module, the last part of their name."""
        name = self.path if self.unit is None else self.unit.name
        return told_from(path, name)


@dataclass(frozen=True)
class Row:
    """One row of the tree before it is laid out.

    Attributes:
        lead: the lines that lead to it.
        below: the lines that run on beside what stands under it.
        label: its name.
        what: size, role and what the units are over.
        axes: what they move.
        total: how many axes that are.
    """

    lead: str
    below: str
    label: Text
    what: Text
    axes: tuple[str, ...] = ()
    total: int = 0


class UnitsTree:
    """All units under their modules: size, role, what they are over, which parameter axes they move."""

    def __init__(self, group: SymmetryGroup, everything: bool = False) -> None:
        """Of a group; with ``everything`` each layer and each axis is written out."""
        self.group = group
        self.everything = everything
        self.rows = list(self._rows(arranged(group, everything), "", ""))

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Axes beside the units or under them, whichever takes fewer lines."""
        if not self.rows:
            yield Text("no units", "dim")
            return
        width = max(options.max_width, 40)
        labels = [len(row.lead) + row.label.cell_len for row in self.rows if row.total]
        label = max((n for n in labels if n <= width // 2 - 8), default=0) + 2  # a longer one stands out
        what = max(row.what.cell_len for row in self.rows) + 2
        needed = max((len(part) for row in self.rows for part in row.axes), default=0)
        beside = max(labels) < label and label + what + max(NARROW, 0 if self.everything else needed) <= width
        ways = (self._beside, self._under) if beside else (self._under,)
        drawn = [[line for row in self.rows for line in way(row, label, what, width)] for way in ways]
        yield from min(drawn, key=len)

    def _beside(self, row: Row, label: int, what: int, width: int) -> Iterator[Text]:
        head = Text.assemble((row.lead, "dim"), row.label)
        head.pad_right(label - head.cell_len)
        head.append_text(row.what)
        head.pad_right(label + what - head.cell_len)
        lines = self._lines(row, width - label - what)
        yield _line(Text.assemble(head, lines[0] if lines else ""))
        for line in lines[1:]:
            yield _line(Text.assemble((row.below.ljust(label + what), "dim"), line))

    def _under(self, row: Row, label: int, what: int, width: int) -> Iterator[Text]:
        head = Text.assemble((row.lead, "dim"), row.label)
        room = max(label, head.cell_len + 2) + row.what.cell_len <= width
        step = len(row.below) + 8
        if room and row.what:
            head.pad_right(max(label, head.cell_len + 2) - head.cell_len)
            head.append_text(row.what)
        yield _line(head)
        if not room:
            yield _line(Text.assemble((row.below.ljust(step - 4), "dim"), row.what))
        for line in self._lines(row, width - step):
            yield _line(Text.assemble((row.below.ljust(step), "dim"), (line, "dim")))

    def _lines(self, row: Row, width: int) -> list[str]:
        """The axes broken between patterns; of many lines the first."""
        lines: list[str] = []
        for part in row.axes:
            if lines and len(lines[-1]) + 2 + len(part) <= width:
                lines[-1] += f"  {part}"
            else:
                lines.append(part)
        if self.everything or len(lines) <= LINES:
            return lines
        kept = lines[:LINES]
        rest = f"  … {row.total} axes in all"
        while "  " in kept[-1] and len(kept[-1]) + len(rest) > width:
            kept[-1] = kept[-1].rpartition("  ")[0]
        return [*kept[:-1], kept[-1] + rest] if len(kept[-1]) + len(rest) <= width else [*kept, rest.strip()]

    # rows ----------------------------------------------------------------------------------------------------------
    def _rows(self, branch: Branch, indent: str, path: str) -> Iterator[Row]:
        for k, part in enumerate(branch.inner):
            last = k == len(branch.inner) - 1
            lead = indent + ("└─ " if last else "├─ ")
            below = indent + ("   " if last else "│  ")
            under = below + ("│" if part.inner else "")
            label = Text(part.label(path) + (f" … {part.last.label(path)}" if part.last else ""), "bold")
            if part.count > 1:
                label.append(f" × {part.count}", "magenta")
            if part.unit is None:
                yield Row(lead, under, label, Text())
            else:
                spots = whole(self.group, part.unit)
                axes = self._axes(spots, path)
                what = self._what(part.unit, branch.unit)
                yield Row(lead, under, label, what, tuple(axes), len(spots))
            yield from self._rows(part, below, path if part.unit is not None else part.path)

    def _axes(self, spots: Sequence[Spot], path: str) -> list[str]:
        """Names are told from the module on, as everything else that stands under it."""
        cut = len(path) + 1 if path else 0
        short = [(name[cut:], axis) for name, axis in spots]
        plain = [spelled(*spot) for spot in short]
        if self.everything or len("  ".join(plain)) <= SHORT:
            return plain
        known = [name[cut:] for name in self.group.placements if name.startswith(path)]
        return patterns(short, known)

    def _what(self, unit: Units, outer: Units | None) -> Text:
        text = Text.assemble((f"{unit.size:>5} ", "cyan"), (unit.role, _STYLE.get(unit.role, "")))
        if unit.over:
            text.append(in_each(self.group, unit, outer), "dim")
        return text


_STYLE = {"residual stream": "yellow", "heads": "green", "key/value heads": "green", "experts": "magenta"}


def _line(text: Text) -> Text:
    text.rstrip()
    text.no_wrap, text.overflow = True, "fold"
    return text


def in_each(group: SymmetryGroup, unit: Units, outer: Units | None = None) -> str:
    """`` in each of 4`` for units over others; with the name of those unless they are ``outer``."""
    words = []
    for name, size in zip(unit.over, unit.over_sizes, strict=True):
        base = group.by_name.get(name)
        if base is None:
            words.append(f"{size} fixed positions")
        elif outer is not None and (base is outer or name in outer.over):
            words.append(f"{size}")
        else:
            words.append(f"{size} {base.role}")
    return " in each of " + " × ".join(words)


# arranging -------------------------------------------------------------------------------------------------------


def whole(group: SymmetryGroup, unit: Units) -> list[Spot]:
    """What units move: parameters and axes; None for the axis where whole tensors change places."""
    return [(name, None if axis == 0 and _exchanges(group, name, unit) else axis) for name, axis in unit.acts_on]


def _exchanges(group: SymmetryGroup, name: str, unit: Units) -> bool:
    placement = group.placements.get(name)
    members = getattr(placement, "members", ())
    return placement is not None and len(members) == unit.size and str(placement.axes[0]).startswith(f"{unit.name}:")


def arranged(group: SymmetryGroup, everything: bool = False) -> Branch:
    """The tree: units in modules, units that are over others under these, neighbours that are alike drawn once."""
    modules: dict[str, Branch] = {"": Branch("")}
    leaves: dict[str, Branch] = {}
    for unit in group.units:
        leaves[unit.name] = Branch(home(unit), unit)
    for unit in sorted(group.units, key=lambda u: len(u.over)):
        leaf = leaves[unit.name]
        inner = max((n for n in unit.over if n in leaves), key=lambda n: len(leaves[n].unit.over), default=None)  # type: ignore[union-attr]
        if inner is not None and f"{leaf.path}.".startswith(leaves[inner].path and f"{leaves[inner].path}."):
            leaf.path = leaves[inner].path
            leaves[inner].inner.append(leaf)
        else:
            _module(modules, leaf.path).inner.append(leaf)
    root = _sorted(modules[""], _order(group))
    return _folded(_short(root), "", everything)


def _module(modules: dict[str, Branch], path: str) -> Branch:
    if path not in modules:
        modules[path] = Branch(path)
        _module(modules, path.rpartition(".")[0]).inner.append(modules[path])
    return modules[path]


def _order(group: SymmetryGroup) -> Mapping[str, int]:
    """Where each module comes in the list of parameters."""
    order: dict[str, int] = {}
    for k, name in enumerate(group.placements):
        parts = name.split(".")
        for n in range(len(parts) + 1):
            order.setdefault(".".join(parts[:n]), k)
    return order


def _sorted(branch: Branch, order: Mapping[str, int]) -> Branch:
    """Everything in the order in which its first parameter comes; units before modules that begin at the same place."""

    def key(part: Branch) -> tuple[int, bool]:
        if part.unit is None:
            return order.get(part.path, 0), True
        return min((order.get(name, 0) for name, _ in part.unit.acts_on), default=0), False

    branch.inner = [_sorted(part, order) for part in sorted(branch.inner, key=key)]
    return branch


def _short(branch: Branch) -> Branch:
    """Modules that hold one thing only are drawn together with it: ``blocks.0.fc``."""
    inner = []
    for part in map(_short, branch.inner):
        if part.unit is None and len(part.inner) == 1:
            (part,) = part.inner
        inner.append(part)
    branch.inner = inner
    return branch


def _folded(branch: Branch, path: str = "", everything: bool = False) -> Branch:
    if not everything:
        kept: list[Branch] = []
        k = 0
        while k < len(branch.inner):
            stop = k + 1
            while stop < len(branch.inner) and _alike(branch.inner[k], branch.inner[stop], path):
                stop += 1
            run = branch.inner[k:stop]
            if len(run) >= (2 if len(run[0].inner) > 1 else ALIKE):
                run[0].count, run[0].last = len(run), run[-1]
                run = run[:1]
            kept += run
            k = stop
        branch.inner = kept
    for part in branch.inner:
        _folded(part, path if part.unit is not None else part.path, everything)
    return branch


def _alike(first: Branch, other: Branch, path: str) -> bool:
    """Whether two branches look the same but for the numbers in their names."""
    stems = [re.sub(r"\d+", "#", branch.label(path)) for branch in (first, other)]
    return stems[0] == stems[1] and _shape(first, path, True) == _shape(other, path, True)


def _shape(branch: Branch, path: str, top: bool = False) -> object:
    """Equal for branches that are drawn alike; of the outermost, numbers in names do not count."""
    unit = branch.unit
    own: object = None
    if unit is not None:
        cut = len(path) + 1 if path else 0
        spots = [(re.sub(r"\d+", "#", name[cut:]) if top else name[cut:], axis) for name, axis in unit.acts_on]
        own = (unit.size, unit.role, unit.over_sizes, tuple(spots))
    inside = path if unit is not None else branch.path
    numbers = top and unit is not None
    return own, "" if top else branch.label(path), tuple(_shape(part, inside, numbers) for part in branch.inner)


# numbers ---------------------------------------------------------------------------------------------------------


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
