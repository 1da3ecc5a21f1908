"""A group as a tree of modules: what moves stands under the module that holds all it moves."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from orbitope.cli.branches import Branch, arranged, whole
from orbitope.cli.moves import Moves, limits_of
from orbitope.cli.spots import Spot, patterns, spelled

if TYPE_CHECKING:
    from orbitope.group import SymmetryGroup, Units

SHORT = 48
"""Axes that take no more columns are written out; others are written as patterns."""

LINES = 3
"""So many lines of patterns are shown for one set of units."""

NARROW = 24
"""Columns that the axes need at least to stand beside the units; else they stand under them."""


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
    """All that moves under its module: size, role, what it is over, which parameter axes it moves."""

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
            label = Text(part.label(path) + (f" … {part.last.label(path)}" if part.last else ""))
            label.stylize("bold" if part.moves is None else "")
            if part.count > 1:
                label.append(f" × {part.count}", "magenta")
            yield self._row(part, branch.unit, path, (lead, under, label))
            yield from self._rows(part, below, part.path if part.is_module else path)

    def _row(self, part: Branch, outer: Units | None, path: str, head: tuple[str, str, Text]) -> Row:
        if part.unit is not None:
            spots = whole(self.group, part.unit)
            return Row(*head, self._what(part.unit, outer), tuple(self._axes(spots, path)), len(spots))
        if part.moves is None:
            return Row(*head, Text())
        marked: dict[str, list[Spot]] = {}
        for mark, spot in part.moves.spots:
            marked.setdefault(mark, []).append(spot)
        many = len("  ".join(spelled(*spot) for _, spot in part.moves.spots)) > SHORT
        axes = [f"{mark} {text}" for mark, spots in marked.items() for text in self._axes(spots, path, many)]
        return Row(*head, self._moved(part.moves, outer), tuple(axes), len(part.moves.spots))

    def _axes(self, spots: Sequence[Spot], path: str, many: bool = False) -> list[str]:
        """Names are told from the module on, as everything else that stands under it; ``many`` as patterns."""
        cut = len(path) + 1 if path else 0
        short = [(name[cut:], axis) for name, axis in spots]
        plain = [spelled(*spot) for spot in short]
        if self.everything or not (many or len("  ".join(plain)) > SHORT):
            return plain
        known = [name[cut:] for name in self.group.placements if name.startswith(path)]
        return patterns(short, known)

    def _what(self, unit: Units, outer: Units | None) -> Text:
        text = Text.assemble((f"{unit.size:>5} ", "cyan"), (unit.role, _STYLE.get(unit.role, "")))
        if unit.over:
            over = list(zip(unit.over, unit.over_sizes, strict=True))
            text.append(in_each(self.group, over, outer), "dim")
        return text

    def _moved(self, each: Moves, outer: Units | None) -> Text:
        count = "" if each.count is None else str(each.count)
        text = Text.assemble((f"{count:>5} ", "cyan"), (each.noun, "green"))
        beside = outer is not None and outer.name == each.anchor
        if each.anchor and not beside and each.anchor not in dict(each.over):
            text.append(f" of {self.group.by_name[each.anchor].role}", "dim")
        if each.over:
            text.append(in_each(self.group, each.over, outer), "dim")
        if limits := limits_of(each.family):
            text.append(f", {limits}", "yellow")
        return text


_STYLE = {"residual stream": "yellow", "heads": "green", "key/value heads": "green", "experts": "magenta"}


def _line(text: Text) -> Text:
    text.rstrip()
    text.no_wrap, text.overflow = True, "fold"
    return text


def in_each(group: SymmetryGroup, over: Sequence[tuple[str, int]], outer: Units | None = None) -> str:
    """`` in each of 4`` for what is over units; with the name of those unless they are ``outer``."""
    words = []
    for name, size in over:
        base = group.by_name.get(name)
        if base is None:
            words.append(f"{size} fixed positions")
        elif outer is not None and (base is outer or name in outer.over):
            words.append(f"{size}")
        else:
            words.append(f"{size} {base.role}")
    return " in each of " + " × ".join(words)


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
