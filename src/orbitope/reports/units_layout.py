"""The plan of the picture of units: modules as rows in forward order, alike ones folded, units as lanes beside them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from orbitope.group import Moving, Placement, SymmetryGroup, Units, movings
from orbitope.group.continuous import Family, Flips, Matrices, Scaling, Translation
from orbitope.group.naming import home, told_from

MOST = 160
"""So many rows are drawn; of more, the number of the rest is told."""


@dataclass(frozen=True)
class Cell:
    """One axis of a parameter.

    Attributes:
        size: number of positions.
        units: names of the units that move it, in order; none where it is fixed.
    """

    size: int
    units: tuple[str, ...]


@dataclass(frozen=True)
class Box:
    """One parameter: its last name and its axes."""

    name: str
    cells: tuple[Cell, ...]
    times: int = 1


@dataclass
class Row:
    """One module with its own parameters.

    Attributes:
        path: of the module.
        label: as told from the folded module around it.
        boxes: its parameters.
        tracks: names of the units that act here, the one in the nearest lane last.
        starts: those of them that act here first.
    """

    path: str
    label: str
    boxes: tuple[Box, ...]
    tracks: tuple[str, ...] = ()
    starts: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Frame:
    """Rows ``first`` to ``last`` stand for ``count`` modules that are alike."""

    first: int
    last: int
    count: int
    label: str


@dataclass
class Plan:
    """What is drawn where.

    Attributes:
        rows: in order.
        frames: around folded modules, outer ones first.
        lanes: for each units' name its lane; 0 is nearest to the parameters.
        left_out: how many modules were too many.
    """

    rows: list[Row]
    frames: list[Frame] = field(default_factory=list)
    lanes: dict[str, int] = field(default_factory=dict)
    left_out: int = 0


def plan(group: SymmetryGroup, order: Sequence[str] = ()) -> Plan:
    """Rows, frames and lanes of a group.

    Args:
        group: the symmetries.
        order: parameter names in the order in which the network uses them; otherwise as the group lists them.
    """
    made = Plan([])
    _rows(_modules(group, order), group, "", made)
    made.left_out = max(len(made.rows) - MOST, 0)
    made.rows = made.rows[:MOST]
    made.frames = [frame for frame in made.frames if frame.last < len(made.rows)]
    _lanes(made, group)
    return made


# modules ---------------------------------------------------------------------------------------------------------


@dataclass
class _Module:
    path: str
    own: list[tuple[str, Placement]] = field(default_factory=list)
    inner: dict[str, _Module] = field(default_factory=dict)

    def walk(self) -> Iterator[_Module]:
        """Itself and all inside it."""
        yield self
        for part in self.inner.values():
            yield from part.walk()


def _modules(group: SymmetryGroup, order: Sequence[str]) -> _Module:
    rank = {name: k for k, name in enumerate(order)}

    first: dict[str, int] = {}
    for name, placement in group.placements.items():
        names = [n for names in (placement.names, *getattr(placement, "members", ())) for n in names]
        module = name.rpartition(".")[0]
        first[module] = min(first.get(module, len(rank)), *(rank.get(n, len(rank)) for n in names))

    root = _Module("")
    for name in sorted(group.placements, key=lambda name: first[name.rpartition(".")[0]]):
        module = root
        for part in name.split(".")[:-1]:
            path = f"{module.path}.{part}" if module.path else part
            module = module.inner.setdefault(part, _Module(path))
        module.own.append((name, group.placements[name]))
    return root


def _rows(module: _Module, group: SymmetryGroup, outer: str, made: Plan) -> None:
    """Append the rows of a module, with its inner modules folded where they are alike."""
    if module.own:
        label = told_from(outer, module.path) or "(itself)"
        boxes = tuple(_box(name, placement, group) for name, placement in module.own)
        made.rows.append(Row(module.path, label, boxes))
    parts = list(module.inner.values())
    k = 0
    while k < len(parts):
        stop = k + 1
        while stop < len(parts) and _alike(parts[k], parts[stop], group):
            stop += 1
        first = len(made.rows)
        if stop - k > 1:
            frame = len(made.frames)
            made.frames.append(Frame(0, 0, 0, ""))
            _rows(parts[k], group, parts[k].path, made)
            names = f"{parts[k].path} … {parts[stop - 1].path.rpartition('.')[2]}"
            made.frames[frame] = Frame(first, len(made.rows) - 1, stop - k, names)
        else:
            _rows(parts[k], group, outer, made)
        k = stop


def _box(name: str, placement: Placement, group: SymmetryGroup) -> Box:
    cells = []
    count = len(getattr(placement, "members", ())) or 1
    for size, axis in zip(placement.shape, placement.axes, strict=True):
        found = dict.fromkeys(moving.name for moving in movings(axis) if moving.name in group.by_name)
        cells.append(Cell(size, tuple(found)))
    short = name.rpartition(".")[2]
    return Box(" = ".join([short, *placement.names[1:]]), tuple(cells), count)


def _alike(first: _Module, other: _Module, group: SymmetryGroup) -> bool:
    """Whether two neighbours have the same parameters moved in the same way by units of their own and shared ones."""
    stems = [re.sub(r"\d+", "#", module.path.rpartition(".")[2]) for module in (first, other)]
    if stems[0] != stems[1] or not re.search(r"\d", first.path.rpartition(".")[2]):
        return False
    return _shape(first, group) == _shape(other, group)


def _shape(module: _Module, group: SymmetryGroup) -> object:
    cut = len(module.path)

    def spelled(moving: Moving) -> str:
        unit = group.by_name.get(moving.name)
        inside = unit is None or f"{home(unit)}.".startswith(f"{module.path}.")
        return f"~{moving.name[cut:]}" if inside and moving.name.startswith(module.path) else moving.name

    return [
        (part.path[cut:], name[cut:], placement.shape, [[spelled(m) for m in movings(a)] for a in placement.axes])
        for part in module.walk()
        for name, placement in part.own
    ]


# lanes -----------------------------------------------------------------------------------------------------------


def _lanes(made: Plan, group: SymmetryGroup) -> None:
    """Units that act on many rows stand nearest to the parameters; a lane that has ended is used again."""
    spans: dict[str, list[int]] = {}
    for k, row in enumerate(made.rows):
        for box in row.boxes:
            for name in (name for cell in box.cells for name in cell.units):
                if not spans.get(name) or spans[name][-1] != k:
                    spans.setdefault(name, []).append(k)
    taken: list[list[tuple[int, int]]] = []
    for name in sorted(spans, key=lambda n: (-len(spans[n]), spans[n][0])):
        first, last = spans[name][0], spans[name][-1]
        free = (k for k, used in enumerate(taken) if all(last < a or b < first for a, b in used))
        lane = next(free, len(taken))
        if lane == len(taken):
            taken.append([])
        taken[lane].append((first, last))
        made.lanes[name] = lane
    for k, row in enumerate(made.rows):
        here = [name for name in spans if k in (spans[name][0], spans[name][-1]) or k in spans[name]]
        row.tracks = tuple(sorted(here, key=lambda n: (-made.lanes[n], n)))
        row.starts = frozenset(name for name in here if spans[name][0] == k)


def spans(made: Plan) -> Mapping[str, tuple[int, int]]:
    """The first and the last row of each units' lane."""
    found: dict[str, tuple[int, int]] = {}
    for k, row in enumerate(made.rows):
        for name in row.tracks:
            found[name] = (found.get(name, (k, k))[0], k)
    return found


def unit_label(unit: Units) -> str:
    """``64 channels``, or for units over others ``5 × 12 head dimension``."""
    sizes = [*unit.over_sizes, unit.size]
    return f"{' × '.join(map(str, sizes))} {unit.role}"


def badges(group: SymmetryGroup) -> Mapping[str, str]:
    """What else moves the positions of units, in few words by their name: ``scale, sign`` or ``GL(8)``.

    A family counts for the innermost units that its numbers run over; matrices for those that they mix. What keeps the
    loss only, or holds approximately, has no badge.
    """
    found: dict[str, dict[str, None]] = {}
    for family in group.families.values():
        if getattr(family, "loss", False) or getattr(family, "approximate", ""):
            continue
        space = family.space[:1] if _mixes(family) else family.space
        known = [name for name in space if name in group.by_name]
        if known:
            inner = max(known, key=lambda name: len(group.by_name[name].over))
            found.setdefault(inner, {})[_word(family)] = None
    return {name: ", ".join(words) for name, words in found.items()}


def _mixes(family: Family) -> bool:
    return isinstance(family, Matrices) and family.kind != "complex"


def _word(family: Family) -> str:
    match family:
        case Scaling():
            return "scale"
        case Flips():
            return "sign"
        case Translation():
            return "shift"
        case Matrices(kind="general"):
            return f"GL({family.sizes[0]})"
        case Matrices(kind="orthogonal"):
            return f"O({family.sizes[0]})"
        case _:
            return "rotation"
