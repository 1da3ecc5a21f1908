"""How units are used: facts about each atom, read off the operations that carry, sum or normalise over it.

A product of an activation with weights *reads* the positions that it sums over and *writes* those that come from the
weights. A product of two activations has other places for an index: summed over (*inner*), carried by both (*batch*),
by one only (*free*). These places are what sets the indices of an attention apart, whatever its parameters are called.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import pairwise

from orbitope.graph import Graph, Node
from orbitope.graph import labels as labels_of
from orbitope.infer.unification import Unification, Use
from orbitope.infer.words import Atom, Word, Words
from orbitope.primitives.mapping import ALONG, template

NEAR = 48
"""So many nodes are looked at to find the softmax before or after a product."""

FAR = 4000
"""So many nodes are looked at to find whether one value is computed from another."""

STEPS = 4
"""So many neighbouring steps are compared to find what is carried from one to the next."""

BREAKS = frozenset(
    {"contract", "convolve", "reduce", "normalise", "softmax", "pool", "gather", "parameter", "input", "constant"}
)
"""Operations behind which a value is another quantity; all others pass scores on as scores."""


class Fact(Enum):
    """What is known of an index, in words that follow "because the positions"."""

    READ = "are summed over with weights"
    WRITTEN = "come from an axis of weights"
    ROUTED = "are scored, one score for each"
    STACKED = "each have weights of their own"
    APPLIED = "are passed through the same weights one by one"
    INNER = "are summed over in a product of two activations"
    BATCH = "are carried by both factors of a product of activations"
    FREE = "are carried by one factor of a product of activations"
    SCORES = "are summed over to make the scores of a softmax"
    ATTENDED = "are averaged with the weights of a softmax"
    KEYS = "are what a softmax averages over"
    LOW_RANK = "are summed over in a product of two weights"
    SKIP = "are carried past layers and added to what these compute"
    RECURRENT = "are written and read by one weight, again and again"
    STATE = "are carried from step to step, entry by entry, and summed over to be read"
    CONVOLVED = "are channels of a convolution"
    GROUPS = "are groups of a convolution or of a normalisation"
    MAPPED = "number modules of one shape"
    LOOKED_UP = "are columns of a table that is looked up"


@dataclass(frozen=True)
class Product:
    """One sum of products, with the operands told apart into activations and weights.

    Attributes:
        use: what the unification noted of it.
        places: for each label the operands that have it, and whether the output has it.
        varies: for each operand whether it depends on the inputs.
    """

    use: Use
    places: Mapping[str, tuple[frozenset[int], bool]]
    varies: tuple[bool, ...]

    def facts(self, name: str) -> Iterator[Fact]:
        """What the place of a label says about it."""
        operands, kept = self.places[name]
        acts = sum(self.varies[k] for k in operands)
        weights = len(operands) - acts
        others = any(v for k, v in enumerate(self.varies) if k not in operands)
        if not kept:
            if acts > 1:
                yield Fact.INNER
            elif acts and weights:
                yield Fact.READ
            elif weights > 1:
                yield Fact.LOW_RANK
        elif acts > 1:
            yield Fact.BATCH
        elif acts and weights:
            yield Fact.STACKED
        elif acts:
            yield Fact.FREE if others else Fact.APPLIED
        elif others:
            yield Fact.WRITTEN

    def written(self) -> list[str]:
        """Labels that come from an axis of weights."""
        return [name for name in self.places if Fact.WRITTEN in self.facts(name)]


def usage(graph: Graph, result: Unification, over: Mapping[Atom, set[Atom]]) -> dict[Atom, dict[Fact, Node]]:
    """For every atom the facts that hold of it, each with the first node that shows it.

    Args:
        graph: the program.
        result: its unified words.
        over: for every movable atom the atoms that it is over.
    """
    return _Walk(graph, result, over).run()


class _Walk:
    def __init__(self, graph: Graph, result: Unification, over: Mapping[Atom, set[Atom]]) -> None:
        self.result = result
        self.words = result.words
        self.over = over
        self.by_name = graph.by_name
        self.at = {node.name: k for k, node in enumerate(graph)}
        self.readers: dict[str, list[str]] = {}
        self.varies: dict[str, bool] = {}
        for node in graph:
            self.varies[node.name] = node.op == "input" or any(self.varies[name] for name in node.inputs)
            for name in node.inputs:
                self.readers.setdefault(name, []).append(node.name)
        self.found: dict[Atom, dict[Fact, Node]] = {}
        self.products: list[Product] = []

    def run(self) -> dict[Atom, dict[Fact, Node]]:
        """All facts."""
        for use in self.result.uses:
            rule = {
                "contract": self._contract,
                "convolve": self._convolve,
                "normalise": self._normalise,
                "reduce": self._reduce,
                "gather": self._gather,
                "pointwise": self._skip,
                "scan": self._scan,
            }.get(template(use.node).op)
            if rule is not None:
                rule(use)
            for name in use.labels:
                if name.startswith(ALONG):
                    self._note(use, name, Fact.MAPPED)
        self._recurrences()
        self._states()
        return self.found

    def _note(self, use: Use, label: str, fact: Fact) -> None:
        for atom in atoms(self.words, use.labels.get(label, ())):
            self.found.setdefault(atom, {}).setdefault(fact, use.node)

    # products ------------------------------------------------------------------------------------------------------
    def _contract(self, use: Use) -> None:
        product = self._product(use)
        if all(kept for _, kept in product.places.values()):
            return  # a scaling sums over nothing
        self.products.append(product)
        near_softmax = [self._softmaxed(name) for name in use.node.inputs]
        scores = self._leads_to_softmax(use.node.name)
        written = product.written()
        if len(written) == 1 and len(self.words.resolve(use.labels[written[0]])) == 1:
            self._note(use, written[0], Fact.ROUTED)
        for name, (operands, kept) in product.places.items():
            for fact in product.facts(name):
                self._note(use, name, fact)
                if fact in (Fact.INNER, Fact.READ) and scores:
                    self._note(use, name, Fact.SCORES)
                if fact is Fact.INNER and any(near_softmax[k] for k in operands):
                    self._note(use, name, Fact.KEYS)
                if fact is Fact.FREE and kept and any(s for k, s in enumerate(near_softmax) if k not in operands):
                    self._note(use, name, Fact.ATTENDED)

    def _product(self, use: Use) -> Product:
        terms = [{label.name for term in axes for label in labels_of(term)} for axes in use.indexing.operands]
        output = {label.name for term in use.indexing.output for label in labels_of(term)}
        names = sorted(set().union(*terms))
        places = {
            name: (frozenset(k for k, term in enumerate(terms) if name in term), name in output) for name in names
        }
        return Product(use, places, tuple(self.varies[name] for name in use.node.inputs))

    def _convolve(self, use: Use) -> None:
        sizes = {name: _size(use, name) for name in ("g", "i", "o")}
        self._note(use, "g", Fact.CONVOLVED if sizes["i"] == sizes["o"] == 1 else Fact.GROUPS)
        for name in ("i", "o"):
            self._note(use, name, Fact.CONVOLVED)
        self.products.append(self._product(use))

    def _scan(self, use: Use) -> None:
        for name in ("h", "p"):
            self._note(use, name, Fact.RECURRENT)

    def _normalise(self, use: Use) -> None:
        mixed = {atom for name in use.mixed for atom in atoms(self.words, use.labels.get(name, ()))}
        outer = set().union(*(self.over.get(atom, set()) for atom in mixed))
        for name in use.labels.keys() - use.mixed:
            if outer.intersection(atoms(self.words, use.labels[name])):
                self._note(use, name, Fact.GROUPS)

    def _reduce(self, use: Use) -> None:
        """A product entry by entry, then a sum: the same as a contraction."""
        if len(use.node.inputs) != 1:
            return
        source = self.by_name[use.node.inputs[0]]
        if template(source).attributes.get("fn") != "mul" or len(set(source.inputs)) != 2:
            return
        if not all(self.varies[name] for name in source.inputs):
            return
        sides = [{*self._atoms(name)} for name in source.inputs]
        scores = self._leads_to_softmax(use.node.name)
        for name in use.mixed:
            for atom in sides[0].intersection(sides[1], atoms(self.words, use.labels.get(name, ()))):
                known = self.found.setdefault(atom, {})
                known.setdefault(Fact.INNER, use.node)
                if scores:
                    known.setdefault(Fact.SCORES, use.node)

    def _gather(self, use: Use) -> None:
        if not self.varies[use.node.inputs[0]]:
            for name in use.labels.keys() - use.mixed:
                if any(name == label.name for term in use.indexing.operands[0] for label in labels_of(term)):
                    self._note(use, name, Fact.LOOKED_UP)

    def _atoms(self, value: str) -> Iterator[Atom]:
        for word in self.result.values.get(value, ()):
            yield from atoms(self.words, word)

    # around a softmax ----------------------------------------------------------------------------------------------
    def _leads_to_softmax(self, value: str) -> bool:
        return self._reaches(value, lambda name: self.readers.get(name, ()))

    def _softmaxed(self, value: str) -> bool:
        if self.by_name[value].op == "softmax":
            return True
        breaks = template(self.by_name[value]).op in BREAKS
        return not breaks and self._reaches(value, lambda name: self.by_name[name].inputs)

    def _reaches(self, value: str, neighbours: Callable[[str], Sequence[str]]) -> bool:
        """Whether a softmax stands near, with nothing between that makes another quantity of the value."""
        pending, seen = [value], {value}
        while pending and len(seen) < NEAR:
            for name in neighbours(pending.pop()):
                op = template(self.by_name[name]).op
                if op == "softmax":
                    return True
                if name not in seen and op not in BREAKS:
                    seen.add(name)
                    pending.append(name)
        return False

    # what is carried on --------------------------------------------------------------------------------------------
    def _skip(self, use: Use) -> None:
        """A sum of a value and of what layers made of that value."""
        if template(use.node).attributes.get("fn") not in ("add", "sub") or len(use.node.inputs) != 2:
            return
        first, second = sorted(use.node.inputs, key=self.at.__getitem__)
        shared = {*self._atoms(first)} & {*self._atoms(second)}
        new = [atom for atom in shared if Fact.SKIP not in self.found.get(atom, {})]
        if new and self.varies[first] and self._through_layers(second, first):
            for atom in new:
                self.found.setdefault(atom, {})[Fact.SKIP] = use.node

    def _through_layers(self, value: str, source: str) -> bool:
        """Whether a value is computed from another by way of a contraction or convolution."""
        start = self.at[source]
        pending, seen = [(value, False)], {(value, False)}
        while pending and len(seen) < FAR:
            name, layers = pending.pop()
            if name == source:
                if layers:
                    return True
                continue
            node = self.by_name[name]
            after = (layers or template(node).op in ("contract", "convolve"),)
            for child in node.inputs:
                step = (child, *after)
                if self.at[child] >= start and self.varies[child] and step not in seen:
                    seen.add(step)
                    pending.append(step)
        return False

    def _recurrences(self) -> None:
        """Weights that act again on what they gave, with one atom before and behind them."""
        by_weight: dict[tuple[str, ...], list[Product]] = {}
        for product in self.products:
            weights = [name for k, name in enumerate(product.use.node.inputs) if not product.varies[k]]
            if len(weights) == 1 and len(product.varies) == 2:
                by_weight.setdefault((self._origin(weights[0]),), []).append(product)
        for uses in by_weight.values():
            for first, again in list(pairwise(uses))[:STEPS]:
                both = self._labelled(first, first.written()) & self._labelled(again, again.use.mixed)
                if both and self._through_layers(again.use.node.name, first.use.node.name):
                    for atom in both:
                        self.found.setdefault(atom, {}).setdefault(Fact.RECURRENT, again.use.node)

    def _labelled(self, product: Product, names: Iterable[str]) -> set[Atom]:
        words = product.use.labels
        return {atom for name in names if name in words for atom in atoms(self.words, words[name])}

    def _origin(self, weight: str) -> str:
        """The parameter that a weight is cut or turned from, where it comes from one alone."""
        node = self.by_name[weight]
        while len(node.inputs) == 1:
            node = self.by_name[node.inputs[0]]
        return node.name

    def _states(self) -> None:
        """Positions summed over at several steps, of values each of which comes from the one before entry by entry."""
        steps: dict[Atom, list[Node]] = {}
        for use in self.result.uses:
            if template(use.node).op in ("contract", "reduce"):
                for atom in {a for name in use.mixed for a in atoms(self.words, use.labels.get(name, ()))}:
                    facts = self.found.get(atom, {})
                    if Fact.INNER in facts and Fact.SCORES not in facts:
                        steps.setdefault(atom, []).append(use.node)
        for atom, nodes in steps.items():
            for before, after in list(pairwise(nodes))[:STEPS]:
                if self._entry_by_entry(after, self._factors(before, atom)):
                    self.found[atom].setdefault(Fact.STATE, after)

    def _factors(self, node: Node, atom: Atom) -> set[str]:
        """The activations that meet in a product, before reshapes, as far as they carry an atom."""
        names = self.by_name[node.inputs[0]].inputs if template(node).op == "reduce" else node.inputs
        return {self._plain(name) for name in names if atom in self._atoms(name) and self.varies[name]}

    def _plain(self, value: str) -> str:
        while template(self.by_name[value]).op in ("reshape", "transpose", "broadcast"):
            value = self.by_name[value].inputs[0]
        return value

    def _entry_by_entry(self, node: Node, sources: set[str]) -> bool:
        pending, seen = list(node.inputs), set(node.inputs)
        passed = {"pointwise", "reshape", "transpose", "broadcast"}
        while pending and len(seen) < NEAR:
            name = pending.pop()
            if name in sources and self.by_name[name].op == "pointwise":
                return True
            if template(self.by_name[name]).op in passed:
                fresh = [child for child in self.by_name[name].inputs if child not in seen]
                seen.update(fresh)
                pending.extend(fresh)
        return False


def atoms(words: Words, word: Word) -> Iterator[Atom]:
    """Every atom without structure that a word is made of."""
    for factor in words.resolve(word):
        parts = words.parts(factor)
        if isinstance(factor, Atom) and not parts:
            yield factor
        for part in parts:
            yield from atoms(words, part)


def _size(use: Use, name: str) -> int:
    axes = (*use.indexing.operands, use.indexing.output)
    return next((x.size for part in axes for term in part for x in labels_of(term) if x.name == name), 1)
