"""What is fixed and why: one line for each reason, however many layers it holds for."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from orbitope.cli.output import plural
from orbitope.cli.spots import patterns, spelled

if TYPE_CHECKING:
    from orbitope.group import Diagnostic, SymmetryGroup

FEW = 3
"""Of so many names alike each is written; of more, their number."""

ROOM = 24
"""Columns that the names of the axes need to stand on the line of their reason."""


@dataclass(frozen=True)
class Cause:
    """One reason, and all that it fixes.

    Attributes:
        reason: the first reason in words.
        others: how many more reasons differ from it in numbers only, as the constants of other layers.
        found: what they fix.
        places: where, without repetition.
    """

    reason: str
    others: int
    found: tuple[Diagnostic, ...]
    places: tuple[str, ...]

    @property
    def axes(self) -> list[tuple[str, int]]:
        """Parameter axes, without repetition."""
        return list(dict.fromkeys((d.parameter, d.axis) for d in self.found))

    def __str__(self) -> str:
        """The reason, and that there are more like it."""
        return self.reason + (f", and {self.others} more alike" if self.others else "")

    def to_json(self) -> dict[str, Any]:
        """For programs: the reason, how many axes and positions, and where."""
        return {
            "reason": self.reason,
            "alike": self.others,
            "axes": len(self.axes),
            "positions": sum(d.size for d in self.found),
            "places": list(self.places),
            "unknown": any(d.unknown for d in self.found),
        }


def causes(group: SymmetryGroup) -> list[Cause]:
    """The diagnostics of a group by reason, where numbers in names do not count."""
    found: dict[str, list[Diagnostic]] = {}
    for d in group.diagnostics:
        found.setdefault(re.sub(r"[._]?\d+", "", d.reason), []).append(d)
    return [
        Cause(
            same[0].reason,
            len({d.reason for d in same}) - 1,
            tuple(same),
            tuple(dict.fromkeys(d.place for d in same if d.place)),
        )
        for same in found.values()
    ]


def reductions(group: SymmetryGroup, everything: bool = True) -> list[str]:
    """Why matrices and the rest are no more than they are; unless ``everything``, alike reasons once."""
    found = [f"{name}: {reason}" for name, reason in _smaller(group)] + list(group.continuous.reasons)
    if everything:
        return list(dict.fromkeys(found))
    alike: dict[str, list[str]] = {}
    for reason in dict.fromkeys(found):
        alike.setdefault(re.sub(r"[._]?\d+", "", reason), []).append(reason)
    return [same[0] + (f", and {len(same) - 1} more alike" if len(same) > 1 else "") for same in alike.values()]


def _smaller(group: SymmetryGroup) -> Iterator[tuple[str, str]]:
    for family in group.continuous.matrices:
        if family.reason:
            yield family.name, family.reason


class FixedAxes:
    """One line for each reason: how many axes, why, and which as far as there is room."""

    def __init__(self, group: SymmetryGroup, everything: bool = False) -> None:
        """Of a group; with ``everything`` each axis and each place is written out."""
        self.causes = causes(group)
        self.everything = everything
        self.known = list(group.placements)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Lines as wide as the console, more only where a reason itself is longer."""
        counts = [plural(len(cause.axes), "axis").replace("axiss", "axes") for cause in self.causes]
        first = max(map(len, counts))
        room = options.max_width - first - 4 - ROOM
        second = max((len(str(cause)) for cause in self.causes if len(str(cause)) <= room), default=0)
        for cause, count in zip(self.causes, counts, strict=True):
            head = Text.assemble((f"{count:>{first}}  ", "cyan"))
            if self.everything:
                yield from self._all(cause, head, options)
                continue
            words = str(cause)
            line = Text.assemble(head, words)
            at = first + 2 + max(second, len(words)) + 2
            names = self._names(cause, options.max_width - at)
            if names:
                line.pad_right(at - line.cell_len)
                line.append(names, "dim")
            yield from _hanging(line, first + 2, options.max_width)
            if not names:
                below = self._names(cause, options.max_width - first - 2) or f"{spelled(*cause.axes[0])}  …"
                yield from _hanging(Text.assemble(" " * (first + 2), (below, "dim")), first + 2, options.max_width)

    def _names(self, cause: Cause, width: int) -> str:
        """As many patterns as fit."""
        parts = patterns(cause.axes, self.known)
        for count in range(len(parts), 0, -1):
            text = "  ".join(parts[:count]) + ("  …" if count < len(parts) else "")
            if len(text) <= width:
                return text
        return ""

    def _all(self, cause: Cause, head: Text, options: ConsoleOptions) -> Iterator[Text]:
        indent = head.cell_len
        yield from _hanging(Text.assemble(head, str(cause)), indent, options.max_width)
        names = Text("  ".join(spelled(*spot) for spot in cause.axes))
        yield from _hanging(Text.assemble(" " * indent, names), indent, options.max_width)
        if cause.places:
            where = "; ".join(map(place, cause.places))
            yield from _hanging(Text.assemble(" " * indent, (f"at {where}", "dim")), indent, options.max_width)


def _hanging(text: Text, indent: int, width: int) -> Iterator[Text]:
    """A text broken at blanks, all lines but the first indented."""
    head, body = text[:indent], text[indent:]
    lines = body.split("\n")
    for line in lines:
        rest = line
        while rest.cell_len:
            cut = _cut(rest.plain, max(width - indent, 20))
            yield Text.assemble(head, rest[:cut])
            rest = rest[cut:]
            while rest.plain.startswith(" "):
                rest = rest[1:]
            head = Text(" " * indent)


def _cut(text: str, width: int) -> int:
    if len(text) <= width:
        return len(text)
    blank = text.rfind(" ", 0, width + 1)
    return blank if blank > 0 else width


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
