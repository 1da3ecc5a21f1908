"""From unified words to a SymmetryGroup: which atoms are units, what they are over, where they act."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from math import lgamma

from orbitope.graph import Graph, Node
from orbitope.group import (
    Axis,
    Diagnostic,
    Fixed,
    Interleaved,
    Merged,
    Moving,
    Placement,
    Segments,
    SymmetryGroup,
    Units,
    movings,
    places,
)
from orbitope.infer.fibres import bases, leaves
from orbitope.infer.fusion import fuse
from orbitope.infer.joint import unmarked
from orbitope.infer.parts import whole
from orbitope.infer.roles import UNITS, roles
from orbitope.infer.unification import Unification
from orbitope.infer.words import Atom, Factor, Word, common_runs, size_of, starts_of


def assemble(graph: Graph, result: Unification) -> SymmetryGroup:
    """The group that a unification stands for."""
    return _Assembly(graph, result).group()


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

    # axes ----------------------------------------------------------------------------------------------------------
    def _axis(self, word: Word, size: int) -> Axis:
        factors: list[Axis] = []
        rest = list(self.words.resolve(word))
        while rest:
            if (count := self.words.interleaved(rest)) is not None:
                factors.append(self._columns(rest[: count + 1]))
                rest = rest[count + 1 :]
                continue
            factor = rest.pop(0)
            if not isinstance(factor, Atom):
                factors.append(Fixed(factor.size))
            elif factor.segments is not None:
                parts = tuple(self._axis(part, _size(part)) for part in self.words.segments(factor))
                factors.append(_merge_fixed(parts))
            elif factor in self.names:
                factors.append(Moving(self.names[factor], factor.size))
            else:
                factors.append(Fixed(factor.size))
        if len(factors) == 1:
            return factors[0]
        return Merged(tuple(factors)) if any(map(_moves, factors)) else Fixed(size)

    def _columns(self, word: Sequence[Factor]) -> Axis:
        """Families with their index behind them: a part for each run of the index."""
        *families, index = word
        assert isinstance(index, Atom)
        runs = common_runs([[size_of(s) for s in self.words.segments(index)], *(f.sizes for f in families)])  # type: ignore[union-attr]
        columns = self.words.cut((index,), runs)
        parts = []
        for start, column in zip(starts_of(runs), columns, strict=True):
            members = [x for family in families for x in self.words.member(family, start)]  # type: ignore[arg-type]
            part = (*members, *column)
            parts.append(self._axis(part, _size(part)))
        rows = _size(tuple(families))
        return Interleaved(rows, tuple(parts)) if any(map(_moves, parts)) else Fixed(rows * index.size)

    def group(self) -> SymmetryGroup:
        """Placements, units, bases, diagnostics."""
        placements = {}
        for name, parameter in self.graph.parameters.items():
            words = self.result.parameters[name]
            axes = tuple(self._axis(word, size) for word, size in zip(words, parameter.shape, strict=True))
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


def _size(word: Word) -> int:
    size = 1
    for factor in word:
        size *= factor.size
    return size


def _moves(axis: Axis) -> bool:
    return isinstance(axis, Moving | Segments | Interleaved | Merged)


def _merge_fixed(parts: tuple[Axis, ...]) -> Axis:
    """A sum without moving parts is fixed; neighbouring fixed parts are one."""
    merged: list[Axis] = []
    for part in parts:
        if isinstance(part, Fixed) and merged and isinstance(merged[-1], Fixed):
            merged[-1] = Fixed(merged[-1].size + part.size)
        else:
            merged.append(part)
    return merged[0] if len(merged) == 1 else Segments(tuple(merged))


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
