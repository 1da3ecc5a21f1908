"""One walk over the graph that unifies axis words by each primitive's index terms."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch

from orbitope.graph import Axes, Graph, Label, Node, Product, Sum, Term
from orbitope.infer.words import Reason, Word, Words
from orbitope.primitives import PRIMITIVES


@dataclass(frozen=True)
class Use:
    """What one operation did: the word of each of its labels, and which labels it mixed."""

    node: Node
    labels: dict[str, Word]
    mixed: frozenset[str]


@dataclass
class Unification:
    """The result of the walk.

    Attributes:
        words: all atoms.
        values: for each node the words of its axes.
        parameters: for each parameter the words of its axes.
        uses: what each operation did, for the analysis of fibres.
        unknown: nodes without answers.
    """

    words: Words
    values: dict[str, tuple[Word, ...]] = field(default_factory=dict)
    parameters: dict[str, tuple[Word, ...]] = field(default_factory=dict)
    uses: list[Use] = field(default_factory=list)
    unknown: list[Node] = field(default_factory=list)


def unify(graph: Graph, frozen: Callable[[str], bool]) -> Unification:
    """Axis words for every value of a graph.

    Args:
        graph: the program.
        frozen: whether a parameter (by canonical name) must not move.
    """
    walk = _Walk(graph, frozen)
    for node in graph:
        walk.visit(node)
    return walk.result


class _Walk:
    def __init__(self, graph: Graph, frozen: Callable[[str], bool]) -> None:
        self.graph = graph
        self.frozen = frozen
        self.words = Words()
        self.result = Unification(self.words)

    def visit(self, node: Node) -> None:
        """Words of one node's axes, and the constraints it adds."""
        leaf = {"parameter": self._parameter, "input": self._input, "constant": self._constant}.get(node.op)
        if leaf is not None:
            self.result.values[node.name] = leaf(node)
        elif node.op == "output":
            self._output(node)
        else:
            self._operation(node)

    # leaves --------------------------------------------------------------------------------------------------------
    def _fresh(self, shape: Sequence[int], reason: Reason | None = None) -> tuple[Word, ...]:
        return tuple(self.words.atom(size, reason) for size in shape)

    def _parameter(self, node: Node) -> tuple[Word, ...]:
        name = node.attributes["parameter"]
        reason = Reason(f"{name} is frozen by the scope") if self.frozen(name) else None
        words = self._fresh(node.shape, reason)
        self.result.parameters[name] = words
        return words

    def _input(self, node: Node) -> tuple[Word, ...]:
        return self._fresh(node.shape, Reason(f"it indexes the input {node.name}"))

    def _constant(self, node: Node) -> tuple[Word, ...]:
        """Wild along axes on which the tensor is constant; runs of equal slices are wild segments; else fixed."""
        tensor = self.graph.constants[node.attributes["constant"]]
        reason = Reason(f"it indexes the constant {node.name}", node.place)
        if tensor.is_meta:
            return self._fresh(node.shape, reason)
        return tuple(self._constant_axis(tensor, axis, reason) for axis in range(tensor.dim()))

    def _constant_axis(self, tensor: torch.Tensor, axis: int, reason: Reason) -> Word:
        size = tensor.shape[axis]
        if size == 1 or tensor.numel() == 0:
            return self.words.atom(size, reason)
        before, after = tensor.narrow(axis, 0, size - 1), tensor.narrow(axis, 1, size - 1)
        changed = (before != after).movedim(axis, 0).reshape(size - 1, -1).any(dim=1)
        cuts = [0, *(changed.nonzero().flatten() + 1).tolist(), size]
        runs = [b - a for a, b in zip(cuts, cuts[1:], strict=False)]
        if len(runs) == 1:
            return self.words.wild(size)
        if max(runs) == 1:
            return self.words.atom(size, reason)
        return self.words.sum([self.words.wild(run) for run in runs])

    def _output(self, node: Node) -> None:
        words = self.result.values[node.inputs[0]]
        name = node.name.removeprefix("output:")
        for word in words:
            self.words.fix(word, Reason(f"it indexes the output {name}"))
        self.result.values[node.name] = words

    # operations ----------------------------------------------------------------------------------------------------
    def _operation(self, node: Node) -> None:
        """Bind each label to the word of the axes it stands for, then read the output's words off."""
        operands = [self.graph_shape(name) for name in node.inputs]
        indexing = PRIMITIVES[node.op].indexing(node, operands)
        bound: dict[str, Word] = {}
        for name, axes in zip(node.inputs, indexing.operands, strict=True):
            for term, word in zip(axes, self.result.values[name], strict=True):
                self._match(term, word, bound, node)
        if node.op == "opaque":
            self.result.unknown.append(node)
        reason = Reason(_why_fixed(node), node.place)
        for name in sorted(indexing.fixed & bound.keys()):
            self.words.fix(bound[name], reason)
        output = tuple(self._build(term, bound, indexing.fixed, reason) for term in indexing.output)
        self.result.values[node.name] = output
        self.result.uses.append(Use(node, bound, indexing.mixed))

    def graph_shape(self, name: str) -> tuple[int, ...]:
        """Shape of a value."""
        return self._shapes[name]

    @property
    def _shapes(self) -> dict[str, tuple[int, ...]]:
        cached = self.__dict__.get("_shape_table")
        if cached is None:
            cached = self.__dict__["_shape_table"] = {node.name: node.shape for node in self.graph}
        return cached

    def _match(self, term: Term, word: Word, bound: dict[str, Word], node: Node) -> None:
        match term:
            case Label(name=name):
                bound[name] = self.words.unify(bound[name], word, node.place) if name in bound else word
            case Product(factors=factors):
                parts = self.words.split(word, [factor.size for factor in factors], node.place)
                for factor, part in zip(factors, parts, strict=True):
                    self._match(factor, part, bound, node)
            case Sum(segments=segments):
                parts = self.words.cut(word, [segment.size for segment in segments], node.place)
                for segment, part in zip(segments, parts, strict=True):
                    self._match(segment, part, bound, node)

    def _build(self, term: Term, bound: dict[str, Word], fixed: frozenset[str], reason: Reason) -> Word:
        match term:
            case Label(name=name, size=size):
                if name not in bound:
                    bound[name] = self.words.atom(size, reason) if name in fixed else self.words.wild(size)
                return self.words.resolve(bound[name])
            case Product(factors=factors):
                return tuple(x for factor in factors for x in self._build(factor, bound, fixed, reason))
            case Sum(segments=segments):
                return self.words.sum([self._build(segment, bound, fixed, reason) for segment in segments])


_WHY = {
    "convolve": "a convolution tells its spatial positions apart",
    "pool": "pooling windows tell positions apart",
    "gather": "positions are looked up by index",
    "slice": "a slice with a step tells positions apart",
    "reshape": "the axes before and after a reshape have no common factors",
}


def _why_fixed(node: Node) -> str:
    if node.op == "opaque":
        return f"no symmetry rule for {node.target}"
    return _WHY.get(node.op, f"{node.op} tells positions apart")


__all__ = ["Axes", "Unification", "Use", "unify"]
