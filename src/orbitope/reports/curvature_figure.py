"""The picture of curvature: the program of a loss, every operation coloured by what is proved of its value.

Operations stand below those that they are computed from, in columns where paths run side by side; blue is affine, green
convex, amber concave, red unknown, grey does not vary. What is an operation to a reader, such as a dense layer, is one
box, however many steps it was lowered to. The node where the rule breaks has a rim and the reason beside it. The
picture is one SVG with selectable text; its colours follow the light or dark setting of whoever looks at it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import ceil
from textwrap import wrap
from xml.etree import ElementTree as Tree

from orbitope.curvature import Analysis, words
from orbitope.curvature.state import Census, Kind
from orbitope.curvature.study import Study
from orbitope.curvature.walk import Walk, ancestors
from orbitope.reports import style

KINDS: dict[str, tuple[str, str, str, str]] = {
    "constant": ("does not vary", "·", style.GREY, "#7d8895"),
    "affine": ("affine", "╱", style.BLUE, "#6cb6f5"),
    "convex": ("convex", "∪", style.GREEN, "#4cc79f"),
    "concave": ("concave", "∩", "#a8620a", "#e5a54b"),
    "mixed": ("some convex, some concave", "∿", "#7a4fb5", "#b899ea"),
    "unknown": ("unknown", "?", style.RED, "#f2876c"),
}
"""By kind: a name for the legend, a sign that says the same without colour, the colour on light paper and on dark."""

CHARACTER, BOLD = 6.6, 7.1
"""Width of a character of the body text in pixels, plain and bold, a little more than the truth."""

HEIGHT, GAP, APART, MARGIN, SIDE = 34.0, 20.0, 22.0, 24.0, 300.0
"""Of a box, between rows, between columns, around everything, and of the text beside the break."""

MOST = 120
"""So many boxes are drawn; of a longer program those before and behind the break."""


@dataclass
class _Box:
    """One operation.

    Attributes:
        name: of its last node. label, place: what is said of it. census: of its value.
        inputs: names of the boxes that it reads. leaf: whether it is a variable.
    """

    name: str
    label: str
    place: str
    census: Census
    inputs: tuple[str, ...]
    leaf: bool
    broken: bool
    row: int = 0
    column: int = 0
    x: float = 0.0
    y: float = 0.0
    notes: list[str] = field(default_factory=list)

    @property
    def width(self) -> float:
        """In pixels."""
        return max(BOLD * (len(self.label) + 3), CHARACTER * max(len(self.place), len(str(self.census)))) + 22

    @property
    def kind(self) -> Kind:
        """Of its value."""
        return self.census.kind


def curvature_svg(study: Study, title: str) -> bytes:
    """Draw the program as an analysis followed it.

    Args:
        study: as :func:`orbitope.curvature.walked` makes it.
        title: what the network is called.

    Returns:
        A well-formed SVG document in UTF-8; the same study gives the same bytes.
    """
    assert study.analysis is not None
    return _Drawing(_boxes(study, study.analysis), study.analysis, title).document()


# boxes ----------------------------------------------------------------------------------------------------------------
def _boxes(study: Study, analysis: Analysis) -> list[_Box]:
    """One for each traced operation that depends on the variables, in order."""
    walk = study.followed()
    reached = ancestors(walk.program.nodes, walk.target, walk.states)
    names = [name for name in walk.states if name in reached]
    calls: dict[str, list[str]] = {}
    of: dict[str, str] = {}
    for name in names:
        node = walk.program.nodes[name]
        call = name.partition(".")[0] if node.target and name not in walk.variables else name
        of[name] = call
        calls.setdefault(call, []).append(name)
    last = {call: parts[-1] for call, parts in calls.items()}
    broken = analysis.loss.broken.node if analysis.loss.broken else None
    found: list[_Box] = []
    for call, parts in calls.items():
        reads = dict.fromkeys(of[x] for p in parts for x in walk.program.nodes[p].inputs if x in of and of[x] != call)
        found.append(_box(walk, parts, tuple(last[c] for c in reads), broken in parts))
    return _short(_without_moves(found))


def _box(walk: Walk, parts: list[str], inputs: tuple[str, ...], broken: bool) -> _Box:
    node = walk.program.nodes[parts[-1]]
    acting = [p for p in parts if walk.program.nodes[p].op not in words.MOVES] or parts[-1:]
    leaf = parts[-1] in walk.variables
    label = words.call(node.target) or words.operation(node)
    if len(acting) == 1 and words.operation(walk.program.nodes[acting[0]]) not in words.SUMS:
        label = words.operation(walk.program.nodes[acting[0]])
    if leaf:
        label = str(node.attributes.get("parameter") or node.attributes.get("input"))
    place = "" if leaf else f"{words.layer(node.module)} · {node.source}" if node.source else words.layer(node.module)
    return _Box(parts[-1], label, place, walk.states[parts[-1]].census, inputs, leaf, broken)


def _without_moves(boxes: list[_Box]) -> list[_Box]:
    """Without what only moves entries of one operand."""
    through: dict[str, tuple[str, ...]] = {}
    kept: list[_Box] = []
    for box in boxes:
        box.inputs = tuple(dict.fromkeys(y for x in box.inputs for y in through.get(x, (x,))))
        if box.label in words.MOVES and len(box.inputs) == 1 and not box.broken and box is not boxes[-1]:
            through[box.name] = box.inputs
        else:
            kept.append(box)
    return kept


def _short(boxes: list[_Box]) -> list[_Box]:
    """Few enough: around the break, or from the end."""
    if len(boxes) <= MOST:
        return boxes
    at = next((k for k, box in enumerate(boxes) if box.broken), len(boxes) - 1)
    first = min(max(0, at - 2 * MOST // 3), len(boxes) - MOST)
    kept = boxes[first : first + MOST]
    names = {box.name for box in kept}
    for box in kept:
        box.inputs = tuple(x for x in box.inputs if x in names)
    kept[-1].notes.append(f"{len(boxes) - MOST} further operations are not drawn")
    return kept


# the drawing ----------------------------------------------------------------------------------------------------------
class _Drawing:
    def __init__(self, boxes: list[_Box], analysis: Analysis, title: str) -> None:
        self.boxes = boxes
        self.analysis = analysis
        self.title = title
        self.by_name = {box.name: box for box in boxes}
        self.root = Tree.Element("svg", {"xmlns": "http://www.w3.org/2000/svg", "role": "img"})

    def document(self) -> bytes:
        """The whole picture."""
        what = self.analysis.loss
        _child(self.root, "title").text = f"Curvature of {self.title}"
        _child(self.root, "desc").text = f"{what.axis}: {what.verdict}. {what.reason}"
        _child(self.root, "style").text = _css()
        _child(self.root, "rect", {"class": "paper", "x": "0", "y": "0", "width": "100%", "height": "100%"})
        top = self._heading()
        right, bottom = self._placed(top)
        for box in self.boxes:
            for x in box.inputs:
                self._edge(self.by_name[x], box)
        for box in self.boxes:
            self._box(box)
        right, bottom = self._reasons(right, bottom)
        head = MARGIN * 2 + CHARACTER * max(len(what.axis) + len(what.verdict) + 4, len(self.title) * 1.5)
        width, height = ceil(max(right + MARGIN, head, 680.0)), ceil(bottom + MARGIN)
        self.root.set("viewBox", f"0 0 {width} {height}")
        self.root.set("width", str(width))
        self.root.set("height", str(height))
        for element in self.root:
            element.tail = "\n"
        return Tree.tostring(self.root, encoding="utf-8", xml_declaration=True) + b"\n"

    def _heading(self) -> float:
        self._text(MARGIN, 36, self.title, "title")
        self._text(MARGIN, 56, f"{self.analysis.loss.axis}: {self.analysis.loss.verdict}", "small")
        x, y = MARGIN, 80.0
        for key, (name, sign, _, _) in KINDS.items():
            if not any(box.kind == key for box in self.boxes):
                continue
            _child(
                self.root, "rect", {"class": f"key {key}", "x": _n(x), "y": _n(y - 10), "width": "16", "height": "12"}
            )
            self._text(x + 22, y, f"{name} {sign}", "small")
            x += 44 + CHARACTER * (len(name) + 2)
        return y + 22

    def _placed(self, top: float) -> tuple[float, float]:
        """Rows by the longest way from the variables; the right and the lower end."""
        rows: dict[int, list[_Box]] = {}
        for box in self.boxes:
            box.row = 1 + max((self.by_name[x].row for x in box.inputs), default=-1)
        for box in reversed(self.boxes):  # variables stand just above what reads them first
            readers = [other.row for other in self.boxes if box.name in other.inputs] if not box.inputs else []
            box.row = min(readers) - 1 if readers else box.row
        least = min((box.row for box in self.boxes), default=0)
        for box in self.boxes:
            rows.setdefault(box.row - least, []).append(box)
        right = MARGIN
        for row in range(max(rows, default=0) + 1):
            line = rows.get(row, [])
            line.sort(key=lambda b: (b.leaf, min((self.by_name[x].x for x in b.inputs), default=0.0)))
            x = MARGIN
            for box in line:
                above = [self.by_name[y].x for y in box.inputs if not self.by_name[y].leaf]
                box.x = max(x, min(above, default=x))
                box.y = top + row * (HEIGHT + GAP)
                x = box.x + box.width + APART
            right = max(right, x - APART)
        return right, top + (max(rows, default=0) + 1) * (HEIGHT + GAP)

    def _edge(self, start: _Box, end: _Box) -> None:
        """From the lower rim of one box to the upper rim of another."""
        x1, y1 = start.x + min(start.width, 120) / 2, start.y + HEIGHT
        x2, y2 = end.x + min(end.width, 120) / 2, end.y
        half = (y1 + y2) / 2
        drawn = f"M{_n(x1)} {_n(y1)}C{_n(x1)} {_n(half)} {_n(x2)} {_n(half)} {_n(x2)} {_n(y2)}"
        _child(self.root, "path", {"class": f"edge {start.kind}", "d": drawn})

    def _box(self, box: _Box) -> None:
        rim = " broken" if box.broken else " leaf" if box.leaf else ""
        place = {"x": _n(box.x), "y": _n(box.y), "width": _n(box.width), "height": _n(HEIGHT), "rx": "5"}
        outline = _child(self.root, "rect", {"class": f"box {box.kind}{rim}"} | place)
        _child(outline, "title").text = f"{box.name}: {box.census}"
        self._text(box.x + 10, box.y + 14, f"{box.label} {KINDS[box.kind][1]}", "name")
        self._text(box.x + 10, box.y + 28, box.place or str(box.census), "small")
        if box.place and len(str(box.census)) + len(box.place) < box.width / CHARACTER - 4:
            self._text(box.x + box.width - 8, box.y + 28, str(box.census), "small", anchor="end")

    def _reasons(self, right: float, bottom: float) -> tuple[float, float]:
        """The reason beside the break, notes below."""
        for box in self.boxes:
            if box.broken:
                lines = wrap(
                    f"breaks here: {self.analysis.loss.broken.reason}" if self.analysis.loss.broken else "", 46
                )
                low = box.y + 14 * len(lines)
                x = max(b.x + b.width for b in self.boxes if box.y <= b.y <= low) + 16
                for k, line in enumerate(lines):
                    self._text(x, box.y + 12 + 14 * k, line, "reason")
                right = max(right, x + CHARACTER * 46)
                bottom = max(bottom, box.y + 20 + 14 * len(lines))
            for note in box.notes:
                bottom += 16
                self._text(MARGIN, bottom, note, "small")
        return right, bottom

    def _text(self, x: float, y: float, text: str, kind: str, anchor: str = "start") -> None:
        place = {"class": kind, "x": _n(x), "y": _n(y)} | ({} if anchor == "start" else {"text-anchor": anchor})
        _child(self.root, "text", place).text = text


def _child(parent: Tree.Element, tag: str, attributes: Mapping[str, str] | None = None) -> Tree.Element:
    return Tree.SubElement(parent, tag, dict(attributes or {}))


def _n(value: float) -> str:
    """A coordinate with one digit at most."""
    return f"{value:.1f}".removesuffix(".0")


def _css() -> str:
    def colours(which: int) -> str:
        return " ".join(f".{key}{{--c:{kind[which]}}}" for key, kind in KINDS.items())

    light = f"svg{{--paper:{style.PAPER};--ink:{style.INK};--muted:{style.MUTED}}}"
    dark = "svg{--paper:#14181d;--ink:#e8ecf0;--muted:#a9b3be}"
    return f"""
{light} {colours(2)}
@media (prefers-color-scheme: dark) {{ {dark} {colours(3)} }}
text{{font:11px system-ui,"DejaVu Sans",sans-serif;fill:var(--ink)}}
.paper{{fill:var(--paper)}} .title{{font-size:17px;font-weight:600}} .small{{fill:var(--muted);font-size:10px}}
.name{{font-weight:600}} .reason{{fill:var(--ink)}} .key{{fill:var(--c);fill-opacity:.35;stroke:var(--c)}}
.box{{fill:var(--c);fill-opacity:.18;stroke:var(--c)}} .leaf{{stroke-dasharray:4 3}} .broken{{stroke-width:3.5}}
.edge{{fill:none;stroke:var(--c);stroke-width:1.5}}
"""
