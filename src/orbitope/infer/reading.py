"""Which positions the function reads: a slice may drop some, and what nothing reads is no symmetry but dead weight."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from orbitope.graph import Graph, labels
from orbitope.infer.unification import Unification, Use
from orbitope.infer.words import Atom, Reason, Word, Words


def fix_unread(graph: Graph, result: Unification) -> None:
    """Fix every atom that no output depends on through any parameter.

    A trace shows one size of its inputs only: rows of a position table behind the last position are read by longer
    inputs. Permuting them is no statement about the function, so they do not count.
    """
    words = result.words
    read: dict[str, set[Atom]] = {node.name: set() for node in graph}
    for node in graph:
        if node.op == "output":
            read[node.inputs[0]].update(_atoms(words, result.values[node.inputs[0]]))
    for use in reversed(result.uses):
        for name, found in zip(use.node.inputs, _operands(words, use, read[use.node.name]), strict=True):
            read[name] |= found
    alive = set().union(*(read[node.name] for node in graph if node.op == "parameter"))
    for axes in result.parameters.values():
        for atom in set(_atoms(words, axes)) - alive:
            words.fix((atom,), Reason("the function does not read these positions"))


def _operands(words: Words, use: Use, below: set[Atom]) -> list[set[Atom]]:
    """The atoms of each operand that matter, given those of the value that do.

    A carried label matters where the value does, a mixed one throughout, and one that is in an operand only without
    being mixed was dropped.
    """
    kept = {label.name for term in use.indexing.output for label in labels(term)}
    found: list[set[Atom]] = []
    for axes in use.indexing.operands:
        matter: set[Atom] = set()
        for label in (label for term in axes for label in labels(term)):
            if label.name in use.mixed:
                matter.update(_atoms(words, [use.labels[label.name]]))
            elif label.name in kept:
                matter.update(below.intersection(_atoms(words, [use.labels[label.name]])))
        found.append(matter)
    return found


def _atoms(words: Words, axes: Sequence[Word]) -> Iterator[Atom]:
    for factor in (factor for word in axes for factor in words.resolve(word)):
        parts = words.parts(factor)
        if isinstance(factor, Atom) and not parts:
            yield factor
        yield from _atoms(words, parts)
