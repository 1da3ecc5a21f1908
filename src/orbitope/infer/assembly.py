"""From unified words to a SymmetryGroup: which atoms are units, what they are over, where they act."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import replace
from math import lgamma

from orbitope.graph import Graph, Node
from orbitope.group import (
    Diagnostic,
    Placement,
    SymmetryGroup,
    Units,
    movings,
    places,
    read_in_order,
)
from orbitope.group.continuous import Continuous
from orbitope.infer.axes import Axes
from orbitope.infer.fibres import bases, leaves
from orbitope.infer.fusion import fuse
from orbitope.infer.joint import unmarked
from orbitope.infer.parts import whole
from orbitope.infer.roles import UNITS, roles
from orbitope.infer.unification import Unification
from orbitope.infer.words import Atom


def assemble(
    graph: Graph,
    result: Unification,
    named: Callable[[Mapping[Atom, str], Mapping[str, Placement]], Continuous] | None = None,
) -> SymmetryGroup:
    """The group that a unification stands for.

    Args:
        graph: the program.
        result: its words; they are changed.
        named: the continuous part, as soon as atoms have names.
    """
    assembly = _Assembly(graph, result)
    group = assembly.group()
    return group if named is None else replace(group, continuous=named(assembly.names, group.placements))


class _Assembly:
    def __init__(self, graph: Graph, result: Unification) -> None:
        self.graph = graph
        self.result = result
        self.words = result.words
        self.over = _without_circles(fuse(result, bases(result)))
        self.roles = roles(graph, result, self.over)
        self.home = self._homes()
        self.names: dict[Atom, str] = {}
        self._name_atoms()

    # names ---------------------------------------------------------------------------------------------------------
    def _homes(self) -> dict[Atom, tuple[str, int]]:
        """For each atom the parameter axis that it is called after: the first that it leads, axis 0 preferred."""
        found: dict[Atom, tuple[str, int]] = {}
        for axis in (0, 1, 2, 3, 4, 5):
            for name, axes in self.result.parameters.items():
                if axis < len(axes):
                    for (leaf,) in leaves(self.words, [axes[axis]]):
                        for atom in leaf:
                            found.setdefault(atom, (name, axis))
        return found

    def _name_atoms(self) -> None:
        moving = [atom for atom in self.home if atom.fixed is None]
        needed = {base for atom in moving for base in self.over.get(atom, ())}
        taken: dict[str, int] = defaultdict(int)
        for atom in sorted({*moving, *needed}, key=lambda a: a.serial):
            if atom not in self.home:
                continue
            stem = self.home[atom][0].rpartition(".")[0] or self.home[atom][0]
            taken[stem] += 1
            self.names[atom] = stem if taken[stem] == 1 else f"{stem}#{taken[stem]}"

    def group(self) -> SymmetryGroup:
        """Placements, units, bases, diagnostics."""
        placements = {}
        reader = Axes(self.words, self.names.get)
        for name, parameter in self.graph.parameters.items():
            words = self.result.parameters[name]
            axes = read_in_order([reader.read(word) for word in words], parameter.orders)
            placements[name] = Placement(
                parameter.names, parameter.shape, axes, parameter.trainable, parameter.members, parameter.part
            )
        placements = whole(placements)
        acts = places(placements)
        units = tuple(self._units(atom, acts) for atom in self.names if atom.fixed is None)
        fixed_bases = {self.names[atom]: atom.size for atom in self.names if atom.fixed is not None}
        return SymmetryGroup(
            units, placements, fixed_bases, tuple(self._diagnostics(placements)), self.graph.unused, self.graph.notes
        )

    def _units(self, atom: Atom, acts: dict[str, tuple[tuple[str, int], ...]]) -> Units:
        over = sorted((b for b in self.over.get(atom, ()) if b in self.names), key=lambda b: b.serial)
        name = self.names[atom]
        return Units(
            name,
            atom.size,
            tuple(self.names[b] for b in over),
            tuple(b.size for b in over),
            self.roles.get(atom, UNITS).name,
            acts[name],
        )

    # diagnostics ---------------------------------------------------------------------------------------------------
    def _diagnostics(self, placements: Mapping[str, Placement]) -> list[Diagnostic]:
        found: dict[tuple[str, int, str], Diagnostic] = {}
        unknown = {node.name: node for node in self.result.unknown}
        for read, axes in self.result.parameters.items():
            # parts that agree are whole again, under the name of the tensor
            name = read if read in placements else self.graph.parameters[read].members[0][0]
            for k, word in enumerate(axes):
                for (leaf,) in leaves(self.words, [word]):
                    for atom in leaf:
                        if atom.fixed is None or atom.size == 1:
                            continue
                        reason = atom.fixed
                        text, place = unmarked(reason.text), unmarked(reason.place)
                        key = (name, k, text)
                        size = atom.size + (found[key].size if key in found else 0)
                        found[key] = Diagnostic(name, k, size, text, place, _is_unknown(reason.place, unknown))
        return list(found.values())


def _is_unknown(place: str, unknown: dict[str, Node]) -> bool:
    return any(node.place == place for node in unknown.values())


def _without_circles(over: dict[Atom, set[Atom]]) -> dict[Atom, set[Atom]]:
    """Of two units that may each be over the other, only the larger gain is kept.

    ``a`` over ``b`` gives |b|·log|a|! + log|b|!. Both at once would let positions of the product change places freely,
    which is one larger set of units where the two always stand side by side; keeping one of the two is a subgroup.
    """
    kept = {atom: set(found) for atom, found in over.items()}
    for a, found in over.items():
        for b in found:
            if b.fixed is None and a in over.get(b, ()) and a.serial < b.serial:
                a_over_b = b.size * lgamma(a.size + 1) + lgamma(b.size + 1)
                b_over_a = a.size * lgamma(b.size + 1) + lgamma(a.size + 1)
                kept[a if a_over_b < b_over_a else b].discard(b if a_over_b < b_over_a else a)
    return kept


__all__ = ["assemble", "movings"]
