"""One walk over the graph that unifies axis words by each primitive's index terms."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from orbitope.errors import LoweringError
from orbitope.graph import Graph, Indexing, Label, Node, Product, Sum, Term, labels
from orbitope.infer.constants import constant_words
from orbitope.infer.words import Atom, Origin, Reason, Wild, Word, Words, size_of
from orbitope.primitives import PRIMITIVES
from orbitope.primitives.base import frozen as frozen_indexing


@dataclass(frozen=True)
class Use:
    """What one operation did: how it indexes, and the word of each of its labels."""

    node: Node
    indexing: Indexing
    labels: dict[str, Word]

    @property
    def mixed(self) -> frozenset[str]:
        """Names of the labels that it mixed."""
        return self.indexing.mixed


@dataclass
class Unification:
    """The result of the walk.

    Attributes:
        words: all atoms.
        values: for each node the words of its axes.
        parameters: for each parameter the words of its axes.
        uses: what each operation did, for the analysis of fibres.
        unknown: nodes without answers.
        constants: values that are made of constants alone.
    """

    words: Words
    values: dict[str, tuple[Word, ...]] = field(default_factory=dict)
    parameters: dict[str, tuple[Word, ...]] = field(default_factory=dict)
    uses: list[Use] = field(default_factory=list)
    unknown: list[Node] = field(default_factory=list)
    constants: set[str] = field(default_factory=set)


def unify(graph: Graph, frozen: Callable[[str], bool]) -> Unification:
    """Axis words for every value of a graph.

    A slice far down the graph may show that one factor of a reshape is an index of runs, as the 3 of
    ``[3, heads, dim]``: the walk is then taken again with that knowledge, until nothing new is learned.

    Args:
        graph: the program.
        frozen: whether a parameter (by canonical name) must not move.
    """
    cuts: dict[Origin, set[int]] = {}
    while True:
        walk = _Walk(graph, frozen, cuts)
        for node in graph:
            walk.visit(node)
        learned = {origin: cuts.get(origin, set()) | points for origin, points in walk.words.cuts.items()}
        if all(points == cuts.get(origin) for origin, points in learned.items()):
            return walk.result
        cuts = {**cuts, **learned}


class _Walk:
    def __init__(self, graph: Graph, frozen: Callable[[str], bool], cuts: Mapping[Origin, set[int]]) -> None:
        self.graph = graph
        self.frozen = frozen
        self.cuts = cuts
        self.words = Words()
        self.result = Unification(self.words)
        self.shapes = {node.name: node.shape for node in graph}

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
        why = f"{name} is frozen by the scope" if self.frozen(name) else node.attributes.get("frozen")
        reason = None if why is None else Reason(why)
        words = self._fresh(node.shape, reason)
        self.result.parameters[name] = words
        return words

    def _input(self, node: Node) -> tuple[Word, ...]:
        return self._fresh(node.shape, Reason(f"it indexes the input {node.name}"))

    def _constant(self, node: Node) -> tuple[Word, ...]:
        self.result.constants.add(node.name)
        tensor = self.graph.constants[node.attributes["constant"]]
        reason = Reason(f"it indexes the constant {node.name}", node.place)
        if node.attributes.get("told"):
            return self._fresh(tensor.shape, reason)
        return constant_words(self.words, tensor, reason)

    def _output(self, node: Node) -> None:
        words = self.result.values[node.inputs[0]]
        name = node.name.removeprefix("output:").partition("@")[0]
        why = node.attributes.get("why") or "it indexes the output" + (f" {name}" if name != "output" else "")
        for word in words:
            self.words.fix(word, Reason(why))
        self.result.values[node.name] = words

    # operations ----------------------------------------------------------------------------------------------------
    def _operation(self, node: Node) -> None:
        """Bind each label to the word of the axes it stands for, then read the output's words off."""
        shapes = [self.shapes[name] for name in node.inputs]
        indexing = PRIMITIVES[node.op].indexing(node, shapes)
        if 0 in node.shape or any(0 in shape for shape in shapes):
            indexing = frozen_indexing(node, shapes)  # no positions, no claims
        _check(node, indexing, shapes)
        bound: dict[str, Word] = {}
        for name, axes in zip(node.inputs, indexing.operands, strict=True):
            for axis, (term, word) in enumerate(zip(axes, self.result.values[name], strict=True)):
                self._match(term, word, bound, node, axis)
        if node.op == "opaque" and node.inputs and not node.attributes.get("carried"):
            self.result.unknown.append(node)
        if node.op == "slice" and "s" in bound:
            self._select(node, bound)
        self._part(bound, indexing)
        reason = Reason(_why_fixed(node), node.place)
        returned = {label.name for term in indexing.output for label in labels(term)}
        for name in sorted(indexing.fixed & bound.keys()):
            self.words.fix(bound[name], reason)
            if name in returned and self._is_constant_somewhere(bound[name]):
                # a value that is constant along an axis need not be so behind what tells positions apart: cumsum
                bound[name] = self.words.atom(size_of(bound[name]), reason)
        output = tuple(self._build(term, bound, indexing.fixed, reason) for term in indexing.output)
        self.result.values[node.name] = self._settled(output)
        self.result.uses.append(Use(node, indexing, bound))
        if node.inputs and node.op != "opaque" and self.result.constants.issuperset(node.inputs):
            self.result.constants.add(node.name)

    def _is_constant_somewhere(self, word: Word) -> bool:
        """Whether a word holds a part along which the value is constant."""
        return any(
            isinstance(factor, Wild) or any(map(self._is_constant_somewhere, self.words.parts(factor)))
            for factor in self.words.resolve(word)
        )

    def _match(self, term: Term, word: Word, bound: dict[str, Word], node: Node, axis: int = 0) -> None:
        match term:
            case Label(name=name):
                bound[name] = self.words.unify(bound[name], word, node.place) if name in bound else word
            case Product(factors=factors):
                sizes = [factor.size for factor in factors]
                parts = self.words.split(word, sizes, node.place, self._known_cuts(node, axis, sizes))
                for k, (factor, part) in enumerate(zip(factors, parts, strict=True)):
                    if len(part) == 1 and isinstance(part[0], Atom) and part[0].origin is None:
                        part[0].origin = (node.name, axis, k)
                    self._match(factor, part, bound, node)
            case Sum(segments=segments):
                parts = self.words.cut(word, [segment.size for segment in segments], node.place)
                for segment, part in zip(segments, parts, strict=True):
                    self._match(segment, part, bound, node)

    def _known_cuts(self, node: Node, axis: int, sizes: Sequence[int]) -> dict[int, list[int]]:
        """What an earlier walk learned about the factors of this axis: the runs that each is cut into."""
        known = {}
        for k, size in enumerate(sizes):
            points = sorted({0, size, *self.cuts.get((node.name, axis, k), ())})
            known[k] = [b - a for a, b in pairwise(points)]
        return {k: runs for k, runs in known.items() if len(runs) > 1}

    # families ------------------------------------------------------------------------------------------------------
    def _select(self, node: Node, bound: dict[str, Word]) -> None:
        """A slice of an index selects members of the families over it."""
        a = node.attributes
        word = self.words.resolve(self.result.values[node.inputs[0]][a["axis"]])
        if a["step"] != 1 or "s" not in bound or not word or not isinstance(word[0], Atom):
            return
        unit = size_of(word[1:])
        if a["start"] % unit or a["stop"] % unit:
            return
        kept = bound["s"] if unit == 1 else ()
        for name in bound.keys() - {"s"}:
            bound[name] = self.words.restrict(bound[name], word[0], a["start"] // unit, a["stop"] // unit, kept)

    def _part(self, bound: dict[str, Word], indexing: Indexing) -> None:
        """Families that an operation forces to move alike.

        An operation that mixes along an index while a family over it stays; and one in which the index stands under
        two labels, as in ``q qᵀ``, where a position of the family meets members of both.
        """
        atoms = {name: {x for x in self.words.resolve(word) if isinstance(x, Atom)} for name, word in bound.items()}
        counts = Counter(x for word in bound.values() for x in self.words.resolve(word) if isinstance(x, Atom))
        consumed = {x for name in indexing.mixed & bound.keys() for x in atoms[name]}
        deep = {name: Counter(self.words.inside(word)) for name, word in bound.items()}
        together = _together(indexing, deep)

        def lost(index: Atom, name: str) -> bool:
            there = counts[index] == 1 or (index in atoms[name] and together[index] == 1)
            return not there or (name not in indexing.mixed and index in consumed)

        for name, word in bound.items():
            bound[name] = self.words.without(word, lambda x, at=name: lost(x, at), lambda x: together[x] == 1)

    def _settled(self, axes: tuple[Word, ...]) -> tuple[Word, ...]:
        """Families whose index has left the tensor, or stands in it twice, become one word."""
        present = [x for word in axes for x in self.words.resolve(word) if isinstance(x, Atom)]
        deep = Counter(x for word in axes for x in self.words.inside(word))
        return tuple(
            self.words.without(word, lambda index: present.count(index) != 1, lambda index: deep[index] == 1)
            for word in axes
        )

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


def _together(indexing: Indexing, counts: Mapping[str, Counter[Atom]]) -> Counter[Atom]:
    """How often each atom stands in one entry: of the segments of an axis an entry is in one only."""
    total: Counter[Atom] = Counter()
    seen: set[str] = set()
    for term in (term for axes in (*indexing.operands, indexing.output) for term in axes if isinstance(term, Sum)):
        names = [{label.name for label in labels(part)} & counts.keys() - seen for part in term.segments]
        seen.update(*names)
        most: Counter[Atom] = Counter()
        for inner in names:
            most |= sum((counts[name] for name in inner), Counter())
        total += most
    return total + sum((counts[name] for name in counts.keys() - seen), Counter())


_WHY = {
    "convolve": "a convolution tells its spatial positions apart",
    "pool": "pooling windows tell positions apart",
    "gather": "positions are looked up by index",
    "slice": "a slice with a step tells positions apart",
    "reshape": "the axes before and after a reshape have no common factors",
}


def _check(node: Node, indexing: Indexing, shapes: Sequence[tuple[int, ...]]) -> None:
    """An answer that does not fit the tensors would be believed all the same: refuse it.

    Raises:
        LoweringError: a term has another size than the axis it stands for, or one label has two sizes.
    """
    sides = zip((*indexing.operands, indexing.output), (*shapes, node.shape), strict=True)
    fits = all(tuple(term.size for term in axes) == tuple(shape) for axes, shape in sides)
    sizes: dict[str, int] = {}
    for axes in (*indexing.operands, indexing.output):
        for label in (label for term in axes for label in labels(term)):
            fits = fits and sizes.setdefault(label.name, label.size) == label.size
    if not fits:
        raise LoweringError(
            f"the primitive {node.op} does not describe its operands",
            at=node.place,
            got=f"{indexing} for operands {[list(shape) for shape in shapes]} and value {list(node.shape)}",
            why="indices that do not correspond would be taken for corresponding ones",
            fix="mend the lowering that made this node",
        )


def _why_fixed(node: Node) -> str:
    if node.op == "opaque" and not node.inputs:
        return "each of its entries is a random number of its own"
    if node.op == "opaque":
        carried = node.attributes.get("carried")
        return f"{node.target} tells positions apart" if carried else f"no symmetry rule for {node.target}"
    return _WHY.get(node.op, f"{node.op} tells positions apart")


__all__ = ["Unification", "Use", "unify"]
