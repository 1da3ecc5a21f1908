"""Exchangeable modules: parallel branches of one shape, folded into one branch along a new axis.

No axis of any tensor shows that three expert modules, summed, may change places. So the graph is rewritten: the
parameters of the branches are laid one after the other, each operation is applied once along a new leading axis, and
the sum (or concatenation) of the branches becomes a sum over that axis (or a merge of it). What was an exchange of
modules is then a permutation of one axis like any other, and inference needs no further law: units inside a branch
come out *over* the branches, and where something tells the branches apart their axis comes out fixed.

Branches are the terms of a sum, product, maximum or minimum, or neighbouring operands of a concatenation, with one
structure, whose inner values nothing else reads. They may share inputs, and may take neighbouring slices of one tensor.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

from orbitope.graph import Graph, Node, Parameter
from orbitope.infer.signatures import shared, signatures

COMBINED = {"add": "sum", "mul": "prod", "maximum": "amax", "minimum": "amin"}
"""Operations that take their operands in any order, and the reduction that does the same along an axis."""

Columns = tuple[str, ...]
"""One value of each branch: the same place in all of them."""


@dataclass(frozen=True)
class Fold:
    """Branches that became one.

    Attributes:
        site: name of the node where they are combined; it keeps its name.
        value: name of the node that holds what the branches give.
        axis: its axis that runs over the branches; those of outer branches stand before it.
    """

    site: str
    value: str
    axis: int = 0


def fold(graph: Graph, held: Callable[[str], bool], without: Collection[str] = ()) -> tuple[Graph, tuple[Fold, ...]]:
    """The graph with its parallel branches folded, innermost first, until nothing folds any more.

    Args:
        graph: the program.
        held: whether a parameter (by canonical name) must not move; it is no part of any branch.
        without: sites to leave as they are.

    Guarantee: exact; the folded graph computes the same function of the same entries.
    """
    folds: list[Fold] = []
    graph = shared(graph)
    while True:
        step = _Pass(graph, held, without)
        found = step.run()
        if not found:
            return graph, tuple(folds)
        folds = [*map(step.renamed, folds), *found]
        graph = step.folded()


class _Refused(Exception):
    """These values are no branches of one structure."""


class _Pass:
    """All folds that do not touch each other."""

    def __init__(self, graph: Graph, held: Callable[[str], bool], without: Collection[str]) -> None:
        self.graph = graph
        self.without = without
        self.by_name = dict(graph.by_name)
        self.at = {node.name: k for k, node in enumerate(graph)}
        self.signature = signatures(graph, held)
        self.users: dict[str, list[str]] = {}
        for node in graph:
            for name in node.inputs:
                self.users.setdefault(name, []).append(node.name)
        self.names = set(self.by_name)
        self.taken: set[str] = set()
        self.parameters = dict(graph.parameters)
        self.replaced: dict[str, list[Node]] = {}
        self.into: dict[str, str] = {}

    def run(self) -> list[Fold]:
        """What was folded."""
        found = []
        for node in self.graph:
            if node.name in self.without or node.name in self.taken:
                continue
            operands, inside = self._operands(node)
            for run in self._runs(node, operands):
                try:
                    branches = _Branches(self, run, node, inside)
                except _Refused:
                    continue
                found.append(branches.emit(node, operands, inside))
                break
        return found

    def _operands(self, node: Node) -> tuple[list[str], set[str]]:
        """What a node combines, and the nodes inside it that are part of the combination."""
        if node.op == "concat":
            return list(node.inputs), set()
        fn = _commutative(node)
        users = self.users.get(node.name, [])
        if fn is None or (len(users) == 1 and self._joins(users[0], fn) and self._joins(node.name, fn)):
            return [], set()
        leaves: list[str] = []
        inside: set[str] = set()
        pending = list(reversed(node.inputs))
        while pending:
            name = pending.pop()
            if self._joins(name, fn) and len(self.users[name]) == 1:
                inside.add(name)
                pending.extend(reversed(self.by_name[name].inputs))
            else:
                leaves.append(name)
        return leaves, inside

    def _joins(self, name: str, fn: str) -> bool:
        """Whether a node is part of a larger sum (or product …). A bias is not: it belongs to its module."""
        node = self.by_name[name]
        marks = [self.signature[operand] for operand in node.inputs]
        return _commutative(node) == fn and not any(mark.learned and not mark.varies for mark in marks)

    def _runs(self, node: Node, operands: Sequence[str]) -> Iterator[Columns]:
        """Operands of one structure: any of a sum, neighbours of a concatenation."""
        sign = self.signature
        ordered = operands if node.op == "concat" else sorted(operands, key=lambda name: sign[name].number)
        for _, group in groupby(ordered, key=lambda name: sign[name].number):
            run = tuple(group)
            if len(run) > 1 and len(set(run)) == len(run) and sign[run[0]].varies and not self.taken & set(run):
                yield run

    def renamed(self, earlier: Fold) -> Fold:
        """A fold of an earlier pass, which may now be inside a larger one."""
        new = self.into.get(earlier.value)
        return earlier if new is None else Fold(earlier.site, new, earlier.axis + 1)

    def unique(self, stem: str) -> str:
        """A name that no node has."""
        name, k = stem, 1
        while name in self.names:
            name, k = f"{stem}.{k}", k + 1
        self.names.add(name)
        return name

    def folded(self) -> Graph:
        """The graph after all folds, without what nothing reads any more."""
        nodes = [new for node in self.graph for new in self.replaced.get(node.name, [node])]
        read = {*self.graph.outputs}
        kept: list[Node] = []
        for node in reversed(nodes):
            if node.name in read or node.op in ("output", "input"):
                read.update(node.inputs)
                kept.append(node)
        kept.reverse()
        alive = {node.attributes["parameter"] for node in kept if node.op == "parameter"}
        parameters = {name: p for name, p in self.parameters.items() if name in alive}
        return self.graph.with_nodes(tuple(kept), parameters=parameters)


def _commutative(node: Node) -> str | None:
    fn = node.attributes.get("fn") if node.op == "pointwise" else None
    return fn if fn in COMBINED else None


class _Branches:
    """Columns of values that are folded at one site."""

    def __init__(self, step: _Pass, run: Columns, site: Node, around: Collection[str]) -> None:
        self.step = step
        self.run = run
        self.order: list[int] | None = None
        self.inner: dict[Columns, tuple[Columns, ...]] = {}
        self.leaves: dict[Columns, Node | None] = {}
        self._collect()
        self._check_users({site.name, *around})
        self.columns_order = self.order or list(range(len(run)))
        if site.op == "concat" and self.columns_order != sorted(self.columns_order):
            raise _Refused
        self.nodes: list[Node] = []
        self.made: dict[Columns, str] = {}

    # finding -------------------------------------------------------------------------------------------------------
    def _collect(self) -> None:
        owner: dict[str, Columns] = {}
        pending = [self.run]
        while pending:
            columns = pending.pop()
            if columns in self.inner or columns in self.leaves:
                continue
            if len(set(columns)) == 1:
                self.leaves[columns] = None
                continue
            if len({self.step.signature[name].number for name in columns}) > 1 or len(set(columns)) < len(columns):
                raise _Refused
            for name in columns:
                if owner.setdefault(name, columns) != columns or name in self.step.taken:
                    raise _Refused
            children = self._children(columns)
            if children is None:
                self.leaves[columns] = self.step.by_name[columns[0]]
            else:
                self.inner[columns] = children
                pending.extend(children)

    def _children(self, columns: Columns) -> tuple[Columns, ...] | None:
        """The operands of a column; None where it is a leaf."""
        nodes = [self.step.by_name[name] for name in columns]
        first = nodes[0]
        if first.op in ("parameter", "constant"):
            return None
        if first.op == "slice" and len({node.inputs for node in nodes}) == 1:
            self._neighbours(nodes)
            return None
        if first.op in ("input", "output") or (first.op == "slice" and len({_start(node) for node in nodes}) > 1):
            raise _Refused
        return tuple(zip(*(node.inputs for node in nodes), strict=True))

    def _neighbours(self, nodes: Sequence[Node]) -> None:
        """Slices must lie one after the other, in the one order that all of them give the branches."""
        size = nodes[0].attributes["stop"] - nodes[0].attributes["start"]
        order = sorted(range(len(nodes)), key=lambda k: _start(nodes[k]))
        starts = [_start(nodes[k]) for k in order]
        regular = starts == [starts[0] + k * size for k in range(len(nodes))]
        if nodes[0].attributes["step"] != 1 or not regular or (self.order or order) != order:
            raise _Refused
        self.order = order

    def _check_users(self, site: set[str]) -> None:
        """Nothing outside the branches may read a value inside them."""
        inside = {name for columns in self.inner for name in columns}
        for columns, leaf in self.leaves.items():
            if leaf is not None and leaf.op != "constant":
                inside.update(columns)
        outputs = set(self.step.graph.outputs)
        if inside & outputs or any(user not in inside | site for name in inside for user in self.step.users[name]):
            raise _Refused
        if not any(leaf is not None and leaf.op != "constant" for leaf in self.leaves.values()):
            raise _Refused

    # emitting ------------------------------------------------------------------------------------------------------
    def emit(self, node: Node, operands: Sequence[str], inside: Collection[str]) -> Fold:
        """Put the folded branch and what combines it in the place of a node."""
        for columns in sorted([*self.inner, *self.leaves], key=lambda c: self.step.at[c[0]]):
            self.made[columns] = self._made(columns)
            if columns in self.inner:
                self.step.into.update(dict.fromkeys(columns, self.made[columns]))
        value = self.made[self.run]
        if node.op == "concat":
            self._concatenated(node, value)
        else:
            self._combined(node, [name for name in operands if name not in self.run], value)
        self.step.replaced[node.name] = self.nodes
        self.step.taken.update(name for columns in self.made for name in columns if self._inside(columns))
        self.step.taken.update({node.name, *inside})
        return Fold(node.name, value)

    def _inside(self, columns: Columns) -> bool:
        return columns in self.inner or self.leaves[columns] is not None

    def _add(
        self, like: Node, op: str, inputs: Sequence[str], size: Sequence[int], /, name: str = "", **settings: Any
    ) -> str:
        made = replace(
            like,
            name=name or self.step.unique(f"{like.name}:folded"),
            op=op,
            inputs=tuple(inputs),
            shape=tuple(size),
            attributes=settings,
        )
        self.nodes.append(made)
        return made.name

    def _made(self, columns: Columns) -> str:
        """The folded value of a column; of a leaf that all branches share, the value itself."""
        if columns in self.leaves:
            leaf = self.leaves[columns]
            if leaf is None or leaf.op == "constant":
                return columns[0]
            return self._stacked(columns) if leaf.op == "parameter" else self._unstacked(columns, leaf)
        first = self.step.by_name[columns[0]]
        children = self.inner[columns]
        stacked = [self._has_axis(child) for child in children]
        inputs = [self.made[child] for child in children]
        return self._add(first, "map", inputs, (len(columns), *first.shape), inner=first, stacked=stacked)

    def _has_axis(self, columns: Columns) -> bool:
        if columns in self.inner:
            return True
        leaf = self.leaves[columns]
        return leaf is not None and leaf.op != "constant"

    def _stacked(self, columns: Columns) -> str:
        """The parameters of the branches laid one after the other, then cut into a leading axis."""
        nodes = [self.step.by_name[columns[k]] for k in self.columns_order]
        owners = [self.step.parameters.pop(node.attributes["parameter"]) for node in nodes]
        members = tuple(each for owner in owners for each in owner.members or (owner.names,))
        first = nodes[0]
        lead, *rest = first.shape or (1,)
        shape = (len(nodes) * lead, *rest)
        name = self.step.unique(common_name([each[0] for each in members]))
        self.step.parameters[name] = Parameter((name,), shape, owners[0].dtype, owners[0].trainable, members)
        whole = self._add(first, "parameter", (), shape, name=name, parameter=name)
        apart = (len(nodes), *first.shape)
        return self._add(first, "reshape", (whole,), apart, shape=list(apart))

    def _unstacked(self, columns: Columns, leaf: Node) -> str:
        """The tensor whose slices the branches take, with the slices along a leading axis."""
        n, axis, source = len(columns), leaf.attributes["axis"], leaf.inputs[0]
        nodes = [self.step.by_name[name] for name in columns]
        size, first = leaf.shape[axis], min(map(_start, nodes))
        whole = self.step.by_name[source].shape if source in self.step.by_name else leaf.shape
        if first or n * size != whole[axis]:
            part = (*leaf.shape[:axis], n * size, *leaf.shape[axis + 1 :])
            source = self._add(leaf, "slice", (source,), part, axis=axis, start=first, stop=first + n * size, step=1)
        apart = (*leaf.shape[:axis], n, size, *leaf.shape[axis + 1 :])
        cut = self._add(leaf, "reshape", (source,), apart, shape=list(apart))
        order = [axis, *(k for k in range(len(apart)) if k != axis)]
        return self._add(leaf, "transpose", (cut,), (n, *leaf.shape), permutation=order)

    def _concatenated(self, node: Node, value: str) -> None:
        """The new axis stands before the one that was concatenated, and is merged with it."""
        axis, n = node.attributes["axis"], len(self.run)
        shape = self.step.by_name[self.run[0]].shape
        order = [*range(1, axis + 1), 0, *range(axis + 1, len(shape) + 1)]
        turned = self._add(node, "transpose", (value,), [(n, *shape)[k] for k in order], permutation=order)
        merged = (*shape[:axis], n * shape[axis], *shape[axis + 1 :])
        at = node.inputs.index(self.run[0])
        rest = [*node.inputs[:at], "", *node.inputs[at + n :]]
        alone = len(rest) == 1
        joined = self._add(node, "reshape", (turned,), merged, name=node.name if alone else "", shape=list(merged))
        if not alone:
            rest[at] = joined
            self._add(node, "concat", rest, node.shape, name=node.name, axis=axis)

    def _combined(self, node: Node, rest: Sequence[str], value: str) -> None:
        """The reduction over the new axis, then the other operands."""
        fn = node.attributes["fn"]
        name = "" if rest else node.name
        total = self._add(node, "reduce", (value,), node.shape, name=name, fn=COMBINED[fn], axes=[0])
        for k, other in enumerate(rest):
            last = node.name if k == len(rest) - 1 else ""
            total = self._add(node, "pointwise", (total, other), node.shape, name=last, fn=fn)


def _start(node: Node) -> int:
    return int(node.attributes["start"])


def common_name(names: Sequence[str]) -> str:
    """What several names have in common, with a star where they differ.

    >>> common_name(["experts.0.up.weight", "experts.1.up.weight"])
    'experts.*.up.weight'
    """
    parts = [re.split(r"(?<=\.)|(?=\.)", name) for name in names]
    if len({len(part) for part in parts}) > 1:
        return f"{names[0]} … {names[-1]}"
    return "".join(found[0] if len(set(found)) == 1 else "*" for found in zip(*parts, strict=True))


__all__ = ["Fold", "common_name", "fold"]
