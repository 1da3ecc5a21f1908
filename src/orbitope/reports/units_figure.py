"""The picture of units: which parameter axes each set of units ties together.

Every module is a row with its parameters, every axis a cell with its size. Every set of units is a line that runs down
beside the rows and has a dot under each axis that it moves; behind its label stands what else moves its positions, such
as scales and signs. The picture is one SVG with selectable text; its colours follow the light or dark setting of
whoever looks at it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from xml.etree import ElementTree as Tree

from orbitope.group import SymmetryGroup
from orbitope.reports import style
from orbitope.reports.units_layout import Box, Cell, Plan, Row, badges, plan, spans, unit_label

FAMILIES: dict[str, tuple[str, str, str]] = {
    "stream": ("residual stream", style.BLUE, "#6cb6f5"),
    "hidden": ("hidden units", "#a8620a", "#e5a54b"),
    "channels": ("channels", style.RED, "#f2876c"),
    "heads": ("heads", style.GREEN, "#4cc79f"),
    "query": ("head dimension (query·key)", "#6a8f00", "#b5d34a"),
    "value": ("head dimension (value)", "#0a8494", "#4fc7d6"),
    "groups": ("groups", "#7a4fb5", "#b899ea"),
    "experts": ("experts", "#b5338a", "#ee85c8"),
    "state": ("states", "#5a6b00", "#cfc76a"),
    "other": ("other units", style.MUTED, "#a9b3be"),
}
"""Colours by family of roles: a name for the legend, the colour on light paper, the colour on dark paper."""

_FAMILY = {
    "residual stream": "stream",
    "hidden units": "hidden",
    "channels": "channels",
    "heads": "heads",
    "key/value heads": "heads",
    "query heads of a group": "heads",
    "head dimension": "query",
    "head dimension (query·key)": "query",
    "head dimension (value)": "value",
    "groups": "groups",
    "branches": "experts",
    "experts": "experts",
    "recurrent state": "state",
    "state dimension": "state",
}

CHARACTER, BOLD = 6.6, 7.1
"""Width of a character of the body text in pixels, plain and bold, a little more than the truth."""

LINE, TRACK, GAP, LANE, HEAD = 20.0, 12.0, 7.0, 13.0, 22.0
"""Heights of the line of cells and of one track, the gap between rows, the distance of lanes, the head of a frame."""

MARGIN = 24.0


@dataclass(frozen=True)
class _Columns:
    """Where the columns begin."""

    lanes: float
    modules: float
    boxes: float
    width: float

    def lane(self, k: int) -> float:
        """The place of lane k; lane 0 stands next to the modules."""
        return self.modules - 18 - LANE * k


def units_svg(group: SymmetryGroup, title: str, subtitle: str = "", order: Sequence[str] = ()) -> bytes:
    """Draw the units of a group and the parameters that they tie together.

    Args:
        group: the symmetries.
        title: what the network is called.
        subtitle: one sentence under it.
        order: parameter names in the order in which the network uses them.

    Returns:
        A well-formed SVG document in UTF-8; the same group gives the same bytes.
    """
    return _Drawing(group, plan(group, order), title, subtitle).document()


class _Drawing:
    def __init__(self, group: SymmetryGroup, made: Plan, title: str, subtitle: str) -> None:
        self.group = group
        self.plan = made
        self.title = title
        self.subtitle = subtitle
        self.badges = badges(group)
        self.columns = self._columns()
        self.tops: list[float] = []
        self.root = Tree.Element("svg", {"xmlns": "http://www.w3.org/2000/svg", "role": "img"})

    def _columns(self) -> _Columns:
        rows, units = self.plan.rows, self.group.by_name
        labels = [unit_label(units[name]) + self._badge(name) for row in rows for name in row.starts]
        lanes = MARGIN + CHARACTER * max(map(len, labels), default=0) + 14
        modules = lanes + LANE * max(self.plan.lanes.values(), default=0) + 36
        boxes = modules + BOLD * max((len(row.label) for row in rows), default=0) + 18
        width = boxes + max((sum(map(_width, row.boxes)) for row in rows), default=0) + MARGIN
        head = MARGIN * 2 + CHARACTER * max(len(self.subtitle), len(self.title) * 1.5)
        return _Columns(lanes, modules, boxes, max(width, head, 640.0))

    def document(self) -> bytes:
        """The whole picture."""
        _child(self.root, "title").text = f"Units of {self.title}"
        _child(self.root, "desc").text = (
            "Rows are modules with their parameters; cells are axes. A line is a set of interchangeable units; "
            "its dots mark the axes that the units move together."
        )
        _child(self.root, "style").text = _CSS
        paper = _child(self.root, "rect", {"class": "paper", "x": "0", "y": "0", "width": "100%", "height": "100%"})
        y = self._heading()
        for k, row in enumerate(self.plan.rows):
            y += HEAD * sum(frame.first == k for frame in self.plan.frames)
            self.tops.append(y)
            y += LINE + TRACK * len(row.tracks) + GAP
            y += 6 * sum(frame.last == k for frame in self.plan.frames)
        self.tops.append(y)
        self._frames()
        self._lanes()
        for k, row in enumerate(self.plan.rows):
            self._row(row, self.tops[k])
        if self.plan.left_out:
            y += 14
            self._text(self.columns.modules, y, f"… and {self.plan.left_out} more modules", "small")
        height, width = ceil(y + MARGIN), ceil(self.columns.width)
        self.root.set("viewBox", f"0 0 {_n(width)} {_n(height)}")
        self.root.set("width", _n(width))
        self.root.set("height", _n(height))
        paper.tail = "\n"
        for element in self.root:
            element.tail = "\n"
        return Tree.tostring(self.root, encoding="utf-8", xml_declaration=True) + b"\n"

    # parts ---------------------------------------------------------------------------------------------------------
    def _heading(self) -> float:
        self._text(MARGIN, 36, self.title, "title")
        y = 36.0
        if self.subtitle:
            y += 20
            self._text(MARGIN, y, self.subtitle, "small")
        y += 24
        shown = {_family(self.group.by_name[name].role) for name in self.plan.lanes}
        x = MARGIN
        for key, (name, _, _) in FAMILIES.items():
            if key not in shown:
                continue
            step = 34 + CHARACTER * len(name)
            if x + step > self.columns.width - MARGIN:
                x, y = MARGIN, y + 18
            _child(self.root, "circle", {"class": f"dot {key}", "cx": _n(x + 5), "cy": _n(y - 4), "r": "4.5"})
            self._text(x + 16, y, name, "small")
            x += step
        fixed = "grey cells are fixed"
        if x + 40 + CHARACTER * len(fixed) > self.columns.width - MARGIN:
            x, y = MARGIN, y + 18
        _child(self.root, "rect", {"class": "cell", "x": _n(x), "y": _n(y - 11), "width": "12", "height": "13"})
        self._text(x + 18, y, fixed, "small")
        return y + 26

    def _frames(self) -> None:
        """A shade behind rows that stand for several modules, with their number and names at its head."""
        for frame in self.plan.frames:
            around = [f for f in self.plan.frames if f != frame and f.first <= frame.first and frame.last <= f.last]
            within = [f for f in self.plan.frames if f != frame and f.first == frame.first and f.last <= frame.last]
            beside = [f for f in self.plan.frames if f != frame and f.last == frame.last and f.first >= frame.first]
            inset = 5.0 * len(around)
            x = self.columns.modules - 10 + inset
            top = self.tops[frame.first] - HEAD * (1 + len(within)) - 1
            last = self.plan.rows[frame.last]
            bottom = self.tops[frame.last] + LINE + TRACK * len(last.tracks) + 5 + 5 * len(beside)
            size = {"width": _n(self.columns.width - x - 8 - inset), "height": _n(bottom - top), "rx": "6"}
            _child(self.root, "rect", {"class": "frame", "x": _n(x), "y": _n(top)} | size)
            self._text(x + 10, top + 16, f"{frame.count} × alike: {frame.label}", "times")

    def _lanes(self) -> None:
        for name, (first, last) in spans(self.plan).items():
            x = _n(self.columns.lane(self.plan.lanes[name]))
            ends = {"y1": _n(self._track(first, name)), "y2": _n(self._track(last, name))}
            _child(self.root, "line", {"class": f"lane {self._class(name)}", "x1": x, "x2": x} | ends)

    def _track(self, k: int, name: str) -> float:
        return self.tops[k] + LINE + TRACK * (self.plan.rows[k].tracks.index(name) + 0.45)

    def _row(self, row: Row, top: float) -> None:
        self._text(self.columns.modules, top + 14, row.label, "module")
        cells: list[tuple[float, float, tuple[str, ...]]] = []
        x = self.columns.boxes
        for box in row.boxes:
            name = f"{box.times} × {box.name}" if box.times > 1 else box.name
            self._text(x, top + 14, name, "name")
            at = x + CHARACTER * len(name) + 5
            for cell in box.cells:
                wide = _cell_width(cell)
                self._cell(at, top + 2, wide - 2, cell.units)
                self._text(at + wide / 2 - 1, top + 14, str(cell.size), "size", anchor="middle")
                cells.append((at + wide / 2 - 1, wide, cell.units))
                at += wide
            x += _width(box)
        for name in row.tracks:
            self._ribbon(row, name, top, cells)

    def _cell(self, x: float, y: float, width: float, units: Sequence[str]) -> None:
        """One axis: grey where nothing moves it, parted where several units do."""
        part = width / max(len(units), 1)
        for k, name in enumerate(units):
            place = {"x": _n(x + part * k), "y": _n(y), "width": _n(part), "height": "16"}
            _child(self.root, "rect", {"class": f"tint {self._class(name)}"} | place)
        outline = {"x": _n(x), "y": _n(y), "width": _n(width), "height": "16", "rx": "2"}
        _child(self.root, "rect", {"class": f"moved {self._class(units[0])}" if units else "cell"} | outline)

    def _ribbon(self, row: Row, name: str, top: float, cells: Sequence[tuple[float, float, tuple[str, ...]]]) -> None:
        """From the lane of the units to a dot under each cell that they move."""
        y = top + LINE + TRACK * (row.tracks.index(name) + 0.45)
        lane = self.columns.lane(self.plan.lanes[name])
        kind = self._class(name)
        places = [self._pin(at, wide, units, name) for at, wide, units in cells if name in units]
        start = self.columns.lanes - 8 if name in row.starts else lane
        drawn = "".join(f"M{_n(x)} {_n(y)}V{_n(top + 18)}" for x in places)
        drawn = f"M{_n(start)} {_n(y)}H{_n(max(places))}{drawn}"
        line = _child(self.root, "path", {"class": f"track {kind}", "d": drawn})
        unit = self.group.by_name[name]
        _child(line, "title").text = f"{name}: {unit_label(unit)}"
        for x in (lane, *places):
            _child(self.root, "circle", {"class": f"dot {kind}", "cx": _n(x), "cy": _n(y), "r": "3"})
        if name in row.starts:
            label = self._text(self.columns.lanes - 12, y + 4, unit_label(unit), f"label {kind}", anchor="end")
            if name in self.badges:
                _child(label, "tspan", {"class": "badge"}).text = self._badge(name)

    def _pin(self, at: float, wide: float, units: Sequence[str], name: str) -> float:
        """Several units under one cell stand side by side."""
        return at + (units.index(name) - (len(units) - 1) / 2) * (wide - 2) / len(units)

    def _class(self, name: str) -> str:
        return _family(self.group.by_name[name].role)

    def _badge(self, name: str) -> str:
        """What else moves the positions of units, as it stands behind their label."""
        return f" · {self.badges[name]}" if name in self.badges else ""

    def _text(self, x: float, y: float, text: str, kind: str, anchor: str = "start") -> Tree.Element:
        place = {"class": kind, "x": _n(x), "y": _n(y)} | ({} if anchor == "start" else {"text-anchor": anchor})
        element = _child(self.root, "text", place)
        element.text = text
        return element


def _family(role: str) -> str:
    return _FAMILY.get(role, "other")


def _width(box: Box) -> float:
    name = f"{box.times} × {box.name}" if box.times > 1 else box.name
    return CHARACTER * len(name) + 5 + sum(map(_cell_width, box.cells)) + 16


def _cell_width(cell: Cell) -> float:
    return max(CHARACTER * len(str(cell.size)) + 9, 8.0 * len(cell.units) + 2)


def _child(parent: Tree.Element, tag: str, attributes: dict[str, str] | None = None) -> Tree.Element:
    return Tree.SubElement(parent, tag, attributes or {})


def _n(value: float) -> str:
    """A coordinate with one digit at most."""
    return f"{value:.1f}".removesuffix(".0")


def _css() -> str:
    def colours(which: int) -> str:
        return " ".join(f".{key}{{--c:{family[which]}}}" for key, family in FAMILIES.items())

    light = f"svg{{--paper:{style.PAPER};--ink:{style.INK};--muted:{style.MUTED};--faint:{style.FAINT}"
    light += ";--shade:#f4f6f8}"
    dark = "svg{--paper:#14181d;--ink:#e8ecf0;--muted:#a9b3be;--faint:#333c46;--shade:#1c2229}"
    return f"""
{light} {colours(1)}
@media (prefers-color-scheme: dark) {{ {dark} {colours(2)} }}
text{{font:11px system-ui,"DejaVu Sans",sans-serif;fill:var(--ink)}}
.paper{{fill:var(--paper)}} .frame{{fill:var(--shade);stroke:var(--faint)}}
.title{{font-size:17px;font-weight:600}} .small,.name,.times{{fill:var(--muted)}} .module{{font-weight:600}}
.times{{font-weight:600}} .size{{font-size:10px}} .label{{fill:var(--c)}} .badge{{fill:var(--muted)}}
.cell{{fill:var(--faint)}} .tint{{fill:var(--c);fill-opacity:.22}} .moved{{fill:none;stroke:var(--c);stroke-opacity:.8}}
.lane,.track{{stroke:var(--c);stroke-width:1.6;fill:none}} .dot{{fill:var(--c)}}
"""


_CSS = _css()
