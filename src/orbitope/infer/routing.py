"""Routing: choosing experts by rank, rewritten so that what is chosen from may change places.

``topk`` returns numbers of positions, and a number says nothing about an exchange of positions. So a choice is written
as what it is, a tensor of zeros and ones with the experts as an axis; looking something up by it is a sum over that
axis. The sum is put off as long as the operations in between treat the looked-up rows one by one: they are then applied
for every expert, and the experts stand beside their own hidden units in every tensor, so that these come out *over*
the experts by the same law as everywhere else. Nobody would compute it like this; the function is the same.

Numbers of positions are followed from a ranking through views and copies. Where a ranking may meet equal entries
(behind a mask, a ReLU) the positions stay fixed, since it is left open which comes first; what is inside the experts
is still found.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from string import ascii_letters
from typing import Any

import torch

from orbitope.graph import Graph, Label, Node, Sum, Term, labels
from orbitope.infer.ties import Ties
from orbitope.primitives import PRIMITIVES

VIEWS = frozenset({"reshape", "transpose", "broadcast", "slice"})


@dataclass(frozen=True)
class Pending:
    """A value that was looked up, before the sum over what it was looked up from.

    Attributes:
        stacked: name of the value for every expert: a leading axis, then the axes of the value.
        choice: name of the choice: the experts as leading axis, then the axes that chose.
        axes: which axes of the value are the axes that chose, in the order of ``choice``.
    """

    stacked: str
    choice: str
    axes: tuple[int, ...]


def route(graph: Graph) -> Graph:
    """The graph with its choices by rank written as sums; the same graph where there are none.

    Guarantee: exact wherever no two entries of a ranking that matter are equal.
    """
    if not any(_ranks(node) for node in graph):
        return graph
    return _Routing(graph).run()


def _ranks(node: Node) -> bool:
    return node.op == "order" and node.attributes["what"] == "indices"


class _Routing:
    """One walk over the graph."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.by_name = dict(graph.by_name)
        self.ties = Ties(graph)
        self.shapes = {node.name: node.shape for node in graph}
        self.names = set(self.shapes)
        self.nodes: list[Node] = []
        self.choices: dict[str, str] = {}
        self.pending: dict[str, Pending] = {}
        self.settled: set[str] = set()

    def run(self) -> Graph:
        """The rewritten graph, without what nothing reads any more."""
        for node in self.graph:
            if not (self._choice(node) or self._lookup(node) or self._put_off(node)):
                for name in node.inputs:
                    self._settle(name)
                self.nodes.append(node)
        for name in self.graph.outputs:
            self._settle(name)
        read = set(self.graph.outputs)
        kept: list[Node] = []
        for node in reversed(self.nodes):
            if node.name in read or node.op in ("output", "input"):
                read.update(node.inputs)
                kept.append(node)
        alive = {node.attributes["parameter"] for node in kept if node.op == "parameter"}
        parameters = {name: p for name, p in self.graph.parameters.items() if name in alive}
        return self.graph.with_nodes(tuple(reversed(kept)), parameters=parameters)

    # emitting ------------------------------------------------------------------------------------------------------
    def _emit(
        self, like: Node, op: str, inputs: Sequence[str], size: Sequence[int], /, name: str = "", **settings: Any
    ) -> str:
        name = name or self._fresh(like)
        self.nodes.append(replace(like, name=name, op=op, inputs=tuple(inputs), shape=tuple(size), attributes=settings))
        self.shapes[name] = tuple(size)
        return name

    def _fresh(self, like: Node) -> str:
        k = 1
        while (name := f"{like.name}:routed{k}") in self.names:
            k += 1
        self.names.add(name)
        return name

    def _map(self, node: Node, inputs: Sequence[str], stacked: Sequence[bool], count: int) -> str:
        return self._emit(node, "map", inputs, (count, *node.shape), inner=node, stacked=list(stacked))

    def _turned(self, node: Node, name: str, order: Sequence[int]) -> str:
        if list(order) == list(range(len(order))):
            return name
        shape = self.shapes[name]
        return self._emit(node, "transpose", (name,), [shape[k] for k in order], permutation=list(order))

    def _reshaped(self, node: Node, name: str, size: Sequence[int]) -> str:
        if tuple(size) == self.shapes[name]:
            return name
        return self._emit(node, "reshape", (name,), size, shape=list(size))

    def _spread(self, node: Node, name: str, size: Sequence[int]) -> str:
        if tuple(size) == self.shapes[name]:
            return name
        return self._emit(node, "broadcast", (name,), size, shape=list(size))

    # choices -------------------------------------------------------------------------------------------------------
    def _choice(self, node: Node) -> bool:
        """Follow numbers of positions: from a ranking, and through what only moves or copies them.

        The node itself is kept beside the choice; it goes if nothing reads it in the end.
        """
        if _ranks(node):
            self._settle(node.inputs[0])
            count = self.by_name[node.inputs[0]].shape[node.attributes["axis"]]
            settings = {**node.attributes, "what": "choice", "pinned": not self.ties.rare(node)}
            scores = self.by_name[node.inputs[0]]
            like = replace(node, dtype=scores.dtype)
            self.choices[node.name] = self._emit(like, "order", node.inputs, (count, *node.shape), **settings)
            self.nodes.append(node)
            return True
        source = self._source(node)
        if source is None:
            return False
        choice = self.choices[source]
        inner = replace(node, op="reshape", attributes={"shape": list(node.shape)}) if node.op not in VIEWS else node
        same = inner.op == "reshape" and node.shape == self.shapes[source]
        count = self.shapes[choice][0]
        self.choices[node.name] = choice if same else self._map(inner, (choice,), (True,), count)
        self.nodes.append(node)
        return True

    def _source(self, node: Node) -> str | None:
        """The numbers of positions that a node repeats, perhaps in other places."""
        if not node.inputs or node.inputs[0] not in self.choices:
            return None
        fn = node.attributes.get("fn") if node.op == "pointwise" else None
        count = self.shapes[self.choices[node.inputs[0]]][0]
        whole = fn == "remainder" and self.ties.constant(node.inputs[1]) == count
        return node.inputs[0] if node.op in VIEWS or whole or fn == "integer" else None

    # lookups -------------------------------------------------------------------------------------------------------
    def _lookup(self, node: Node) -> bool:
        """Entries of a table, entries of a row, a row written, a row of zeros and one."""
        if node.op in ("gather", "pick", "scatter") and node.inputs[1] in self.choices:
            for name in (node.inputs[0], *node.inputs[2:]):
                self._settle(name)
            self._check_count(node)
            return {"gather": self._gather, "pick": self._pick, "scatter": self._scatter}[node.op](node)
        return node.op == "pointwise" and node.attributes["fn"] == "eq" and self._one_hot(node)

    def _check_count(self, node: Node) -> None:
        count = self.shapes[self.choices[node.inputs[1]]][0]
        assert self.shapes[node.inputs[0]][node.attributes["axis"]] == count, node

    def _gather(self, node: Node) -> bool:
        """``y[…, j, …] = x[…, indices[j], …]``: for every expert its row, alike for all j."""
        axis, choice = node.attributes["axis"], self.choices[node.inputs[1]]
        shape, places = self.shapes[node.inputs[0]], self.by_name[node.inputs[1]].shape
        first = self._turned(node, node.inputs[0], [axis, *(k for k in range(len(shape)) if k != axis)])
        apart = (shape[axis], *shape[:axis], *(1 for _ in places), *shape[axis + 1 :])
        stacked = self._spread(node, self._reshaped(node, first, apart), (shape[axis], *node.shape))
        self.pending[node.name] = Pending(stacked, choice, tuple(range(axis, axis + len(places))))
        return True

    def _pick(self, node: Node) -> bool:
        """``y[…, j, …] = Σₑ choice[e, …, j, …]·x[…, e, …]``."""
        axis, rank = node.attributes["axis"], len(node.shape)
        letters = ascii_letters[:rank]
        row = f"{letters[:axis]}E{letters[axis + 1 :]}".replace("E", ascii_letters[rank])
        spec = f"{ascii_letters[rank]}{letters},{row}->{letters}"
        self._emit(node, "contract", (self.choices[node.inputs[1]], node.inputs[0]), node.shape, node.name, spec=spec)
        return True

    def _scatter(self, node: Node) -> bool:
        """What was written where something was written; of a ranking no place comes twice."""
        axis, rank = node.attributes["axis"], len(node.shape)
        mode, choice = node.attributes["mode"], self.choices[node.inputs[1]]
        if mode not in ("set", "sum") or self.shapes[node.inputs[2]] != self.shapes[choice][1:]:
            return False
        if not self._ranked_along(node.inputs[1], axis):
            return False
        letters, e = ascii_letters[:rank], ascii_letters[rank]
        row = letters[:axis] + e + letters[axis + 1 :]
        put = self._emit(node, "contract", (choice, node.inputs[2]), node.shape, spec=f"{e}{letters},{letters}->{row}")
        if mode == "sum":
            self._emit(node, "pointwise", (node.inputs[0], put), node.shape, node.name, fn="add")
            return True
        hit = self._emit(node, "contract", (choice,), node.shape, spec=f"{e}{letters}->{row}")
        some = self._emit(replace(node, dtype="bool"), "pointwise", (hit,), node.shape, fn="nonzero")
        self._emit(node, "pointwise", (some, put, node.inputs[0]), node.shape, node.name, fn="where")
        return True

    def _ranked_along(self, name: str, axis: int) -> bool:
        """Whether the places along an axis are the ranks of one ranking, hence different."""
        node = self.by_name[name]
        while node.op == "pointwise":
            node = self.by_name[node.inputs[0]]
        return _ranks(node) and node.attributes["axis"] == axis

    def _one_hot(self, node: Node) -> bool:
        """``indices[…, None] == arange(n)`` is the choice itself, with the experts last."""
        for places, numbers in (node.inputs, node.inputs[::-1]):
            wide, table = self.by_name.get(places), self.ties.tensor(numbers)
            if wide is None or table is None or wide.op != "broadcast" or wide.inputs[0] not in self.choices:
                continue
            narrow, choice = self.shapes[wide.inputs[0]], self.choices[wide.inputs[0]]
            axes = [k for k, (a, b) in enumerate(zip(narrow, node.shape, strict=False)) if a != b]
            if len(narrow) != len(node.shape) or len(axes) != 1 or node.shape[axes[0]] != self.shapes[choice][0]:
                continue
            axis, count = axes[0], node.shape[axes[0]]
            line = torch.arange(count).reshape([count if k == axis else 1 for k in range(len(node.shape))])
            if not bool((table == line).all()):
                continue
            flat = self._reshaped(node, choice, (count, *narrow[:axis], *narrow[axis + 1 :]))
            order = [*range(1, axis + 1), 0, *range(axis + 1, len(node.shape))]
            turned = self._turned(node, flat, order)
            self._emit(node, "pointwise", (turned,), node.shape, node.name, fn="nonzero")
            return True
        return False

    # putting off ---------------------------------------------------------------------------------------------------
    def _put_off(self, node: Node) -> bool:
        """Apply an operation for every expert, if it treats what was chosen one by one."""
        waiting = [k for k, name in enumerate(node.inputs) if name in self.pending and name not in self.settled]
        if not waiting or node.op == "output":
            return False
        first = self.pending[node.inputs[waiting[0]]]
        if any(self.pending[node.inputs[k]].choice != first.choice for k in waiting):
            return False
        shapes = [self.shapes[name] if k not in waiting else self._shape(name) for k, name in enumerate(node.inputs)]
        indexing = PRIMITIVES[node.op].indexing(node, shapes)
        chosen: list[Label] | None = None
        for k in waiting:
            axes = self.pending[node.inputs[k]].axes
            here = _plain_labels([indexing.operands[k][axis] for axis in axes])
            if here is None or (chosen or here) != here:
                return False
            chosen = here
        if any(label.name in indexing.mixed for label in chosen or ()):
            return node.op == "contract" and self._in_two_steps(node, waiting[0])
        placed = _placed(indexing.output, chosen or [])
        if placed is None:
            return False
        count = self.shapes[first.choice][0]
        stacked = [k in waiting for k in range(len(node.inputs))]
        inputs = [self.pending[x].stacked if k in waiting else x for k, x in enumerate(node.inputs)]
        for k, name in enumerate(node.inputs):
            if k not in waiting:
                self._settle(name)
        made = self._map(node, inputs, stacked, count)
        choice = self._choice_for(node, first.choice, chosen or [], placed, indexing.output)
        self.pending[node.name] = Pending(made, choice, placed)
        return True

    def _in_two_steps(self, node: Node, operand: int) -> bool:
        """A sum over what was chosen and over more besides: first the rest, for every expert, then over the choice."""
        left, right = node.attributes["spec"].split("->")
        letters = left.split(",")[operand]
        axes = self.pending[node.inputs[operand]].axes
        kept = "".join(c for c in (letters[axis] for axis in axes) if c not in right)
        sizes = dict(zip(letters, self._shape(node.inputs[operand]), strict=True))
        if len(kept) == len([c for c in letters if c not in right]):
            return False
        inner = replace(
            node,
            name=self._fresh(node),
            shape=(*(sizes[c] for c in kept), *node.shape),
            attributes={"spec": f"{left}->{kept}{right}"},
        )
        self.by_name[inner.name] = inner
        if not self._put_off(inner):
            return False
        self._settle(inner.name)
        self._emit(node, "reduce", (inner.name,), node.shape, node.name, fn="sum", axes=list(range(len(kept))))
        return True

    def _shape(self, name: str) -> tuple[int, ...]:
        return self.shapes[self.pending[name].stacked][1:]

    def _choice_for(
        self, node: Node, choice: str, chosen: Sequence[Label], placed: Sequence[int], output: Sequence[Term]
    ) -> str:
        """The choice with its axes cut, turned and merged as those of the value were."""
        count = self.shapes[choice][0]
        apart = self._reshaped(node, choice, (count, *(label.size for label in chosen)))
        wanted = [label.name for axis in placed for label in labels(output[axis])]
        at = {label.name: k + 1 for k, label in enumerate(chosen)}
        turned = self._turned(node, apart, [0, *(at[name] for name in wanted)])
        return self._reshaped(node, turned, (count, *(output[axis].size for axis in placed)))

    def _settle(self, name: str) -> None:
        """Take the sum over the experts, under the name of the value."""
        if name not in self.pending or name in self.settled:
            return
        self.settled.add(name)
        value, node = self.pending[name], self.by_name[name]
        letters, e = ascii_letters[: len(node.shape)], ascii_letters[len(node.shape)]
        places = "".join(letters[axis] for axis in value.axes)
        spec = f"{e}{places},{e}{letters}->{letters}"
        self._emit(node, "contract", (value.choice, value.stacked), node.shape, name, spec=spec)


def _plain_labels(terms: Sequence[Term]) -> list[Label] | None:
    """The labels of axes that are labels or products; None where one is a sum."""
    found: list[Label] = []
    for term in terms:
        if isinstance(term, Sum):
            return None
        inner = list(labels(term))
        if not isinstance(term, Label) and any(isinstance(part, Sum) for part in term.factors):
            return None
        found += inner
    return found


def _placed(output: Sequence[Term], chosen: Sequence[Label]) -> tuple[int, ...] | None:
    """The axes of a result that are made of the chosen labels; None where one is lost or merged with others."""
    names = [label.name for label in chosen]
    placed: list[int] = []
    seen: list[str] = []
    for axis, term in enumerate(output):
        own = [label.name for label in labels(term)]
        inside = [name for name in own if name in names]
        if not inside:
            continue
        if inside != own or _plain_labels([term]) is None:
            return None
        placed.append(axis)
        seen += own
    return tuple(placed) if sorted(seen) == sorted(names) else None


__all__ = ["route"]
