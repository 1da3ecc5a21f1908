"""The units of a group, and all else that moves parameters, arranged under the modules that hold what they move."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from orbitope.cli.moves import Moves, limits_of, moves
from orbitope.cli.spots import Spot
from orbitope.group.naming import home, told_from

if TYPE_CHECKING:
    from orbitope.group import SymmetryGroup, Units

ALIKE = 3
"""From so many on, neighbours of one structure are written once; modules that hold several things from two on."""


@dataclass
class Branch:
    """A module, a set of units, or another way to move: units hold what is over them, modules hold everything.

    Attributes:
        path: of the module; of units, of the innermost module that holds all they move.
        unit: the units, where it stands for units.
        inner: what it holds, in order.
        count: how many alike it stands for; ``last`` is then the last of them.
        moves: the scales, signs, matrices or translations, where it stands for these.
    """

    path: str
    unit: Units | None = None
    inner: list[Branch] = field(default_factory=list)
    count: int = 1
    last: Branch | None = None
    moves: Moves | None = None

    @property
    def is_module(self) -> bool:
        """Whether it stands for a module."""
        return self.unit is None and self.moves is None

    def label(self, path: str) -> str:
        """Its name as told from a module; of what is named after that module, the last part of its name."""
        name = self.unit.name if self.unit else self.moves.name if self.moves else self.path
        return told_from(path, name)


def whole(group: SymmetryGroup, unit: Units) -> list[Spot]:
    """What units move: parameters and axes; None for the axis where whole tensors change places."""
    return [(name, None if axis == 0 and _exchanges(group, name, unit) else axis) for name, axis in unit.acts_on]


def _exchanges(group: SymmetryGroup, name: str, unit: Units) -> bool:
    placement = group.placements.get(name)
    members = getattr(placement, "members", ())
    return placement is not None and len(members) == unit.size and str(placement.axes[0]).startswith(f"{unit.name}:")


def arranged(group: SymmetryGroup, everything: bool = False) -> Branch:
    """The tree: units in modules, what is over them or numbered by them under these, alike neighbours drawn once."""
    modules: dict[str, Branch] = {"": Branch("")}
    leaves: dict[str, Branch] = {}
    for unit in group.units:
        leaves[unit.name] = Branch(home(unit), unit)
    for unit in sorted(group.units, key=lambda u: len(u.over)):
        leaf = leaves[unit.name]
        inner = max((n for n in unit.over if n in leaves), key=lambda n: len(group.by_name[n].over), default=None)
        if inner is not None and f"{leaf.path}.".startswith(leaves[inner].path and f"{leaves[inner].path}."):
            leaf.path = leaves[inner].path
            leaves[inner].inner.append(leaf)
        else:
            _module(modules, leaf.path).inner.append(leaf)
    for each in moves(group):
        anchor = leaves.get(each.anchor)
        beside = anchor is not None and anchor.unit is not None and each.home in (home(anchor.unit), anchor.path)
        branch = Branch(each.home, moves=each)
        (anchor if anchor is not None and beside else _module(modules, each.home)).inner.append(branch)
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
    """In the order in which the first parameter comes; at the same place units first, modules last.

    What moves the positions of units without exchanging them comes first under these.
    """

    def key(part: Branch) -> tuple[bool, int, int]:
        if part.moves is not None:
            first = min((order.get(name, 0) for _, (name, _) in part.moves.spots), default=0)
            return branch.unit is None, first, 1
        if part.unit is None:
            return True, order.get(part.path, 0), 2
        return True, min((order.get(name, 0) for name, _ in part.unit.acts_on), default=0), 0

    branch.inner = [_sorted(part, order) for part in sorted(branch.inner, key=key)]
    return branch


def _short(branch: Branch) -> Branch:
    """Modules that hold one thing only are drawn together with it: ``blocks.0.fc``."""
    inner = []
    for part in map(_short, branch.inner):
        if part.is_module and len(part.inner) == 1:
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
        _folded(part, part.path if part.is_module else path, everything)
    return branch


def _alike(first: Branch, other: Branch, path: str) -> bool:
    """Whether two branches look the same but for the numbers in their names."""
    stems = [re.sub(r"\d+", "#", branch.label(path)) for branch in (first, other)]
    return stems[0] == stems[1] and _shape(first, path, True) == _shape(other, path, True)


def _shape(branch: Branch, path: str, top: bool = False) -> object:
    """Equal for branches that are drawn alike; of the outermost, numbers in names do not count."""
    cut = len(path) + 1 if path else 0

    def told(name: str) -> str:
        return re.sub(r"\d+", "#", name[cut:]) if top else name[cut:]

    own: object = None
    if branch.unit is not None:
        unit = branch.unit
        own = (unit.size, unit.role, unit.over_sizes, tuple((told(name), axis) for name, axis in unit.acts_on))
    elif branch.moves is not None:
        each = branch.moves
        spots = [(mark, told(name), axis) for mark, (name, axis) in each.spots]
        # a shift reaches all later layers: how many these are is no difference
        own = (each.noun, limits_of(each.family), each.family.sizes, frozenset(spots) if top else tuple(spots))
    inside = branch.path if branch.is_module else path
    numbers = top and not branch.is_module
    return own, "" if top else branch.label(path), tuple(_shape(part, inside, numbers) for part in branch.inner)
