"""Whether the entries of a ranking differ from each other, but for rare parameters and inputs."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import torch

from orbitope.graph import Graph, Label, Node, labels
from orbitope.primitives import PRIMITIVES

STRICT = frozenset({"sigmoid", "tanh", "exp", "log", "neg", "softplus", "erf", "sqrt"})
"""Functions that keep different numbers different."""


@dataclass(frozen=True)
class Degree:
    """A value as a polynomial in the entries of one parameter, each position of an axis in entries of its own.

    Attributes:
        number: no term has more factors of the parameter.
        full: whether the terms with so many factors never cancel.
    """

    number: int
    full: bool


class Ties:
    """Looks back from a ranking to the parameters that its entries are computed from."""

    def __init__(self, graph: Graph) -> None:
        """Nothing is looked at yet."""
        self.graph = graph
        self.by_name = graph.by_name
        self.shapes = {node.name: node.shape for node in graph}
        self._reads: dict[tuple[str, str], bool] = {}

    def rare(self, ranking: Node) -> bool:
        """Whether two entries that matter to a ranking are equal for rare parameters and inputs only."""
        a = ranking.attributes
        name, axis = ranking.inputs[0], a["axis"]
        return self._told(name, axis) or self._told_where_it_matters(name, axis, a["count"], a["largest"])

    def _told(self, name: str, axis: int) -> bool:
        return self._distinct(name) or self._apart(name, axis) or self._spread(name, frozenset({axis}))

    def constant(self, name: str) -> float | None:
        """The one number that a constant consists of."""
        tensor = self.tensor(name)
        if tensor is None or not tensor.numel() or bool((tensor != tensor.flatten()[0]).any()):
            return None
        return float(tensor.flatten()[0])

    def tensor(self, name: str) -> torch.Tensor | None:
        """The value of a constant behind views."""
        node = self.by_name.get(name)
        if node is None:
            return None
        if node.op == "constant":
            found = self.graph.constants[node.attributes["constant"]]
            return None if found.is_meta else found
        if node.op not in ("reshape", "broadcast"):
            return None
        inner = self.tensor(node.inputs[0])
        if inner is None:
            return None
        return inner.reshape(node.shape) if node.op == "reshape" else inner.broadcast_to(node.shape)

    def _distinct(self, name: str) -> bool:
        """Whether entries differ from each other but for rare parameters and inputs."""
        node = self.by_name.get(name)
        if node is None:
            return False
        operands = node.inputs
        match node.op:
            case "parameter":
                return True
            case "contract" | "convolve":
                return any(self.by_name[x].op == "parameter" for x in operands if x in self.by_name)
            case "softmax" if node.shape[node.attributes["axis"]] == 1:
                return False
            case "softmax" | "reshape" | "transpose" | "slice":
                return self._distinct(operands[0])
            case "pointwise" if node.attributes["fn"] in STRICT:
                return self._distinct(operands[0])
            case "pointwise" if node.attributes["fn"] in ("add", "sub", "mul", "div"):
                return any(
                    self._distinct(x) and self._plain(y) for x, y in zip(operands, reversed(operands), strict=True)
                )
            case _:
                return False

    def _plain(self, name: str) -> bool:
        """A parameter or a single finite number other than zero, in another shape perhaps."""
        node = self.by_name.get(name)
        while node is not None and node.op in ("reshape", "broadcast"):
            node = self.by_name.get(node.inputs[0])
        if node is None or node.op != "constant":
            return node is not None and node.op == "parameter"
        number = self.constant(node.name)
        return number is not None and number != 0 and abs(number) < float("inf")

    # masks ---------------------------------------------------------------------------------------------------------
    def _told_where_it_matters(self, name: str, axis: int, count: int, largest: bool) -> bool:
        """Whether all that is chosen lies where a mask leaves the entries as they were."""
        node = self.by_name[name]
        while node.op == "pointwise" and node.attributes["fn"] == "identity":
            node = self.by_name[node.inputs[0]]
        if node.op != "pointwise" or node.attributes["fn"] != "where" or not largest:
            return False
        mask, *sides = node.inputs
        for value, fill, holds in ((sides[0], sides[1], True), (sides[1], sides[0], False)):
            low = self.constant(fill)
            below = low == -float("inf") or (low == 0 and self._positive(value))
            kept = self._held(mask, (axis,), holds) if below else None
            if kept is not None and kept >= count:
                return self._told(value, axis)
        return False

    def _positive(self, name: str) -> bool:
        node = self.by_name[name]
        while node.op in ("reshape", "transpose", "broadcast", "slice"):
            node = self.by_name[node.inputs[0]]
        return node.op == "softmax" or (
            node.op == "pointwise" and node.attributes["fn"] in ("sigmoid", "exp", "softplus")
        )

    def _held(self, name: str, axes: tuple[int, ...], truth: bool) -> int | None:
        """In how many positions of some axes a mask holds, or does not; None where that is not known."""
        node = self.by_name[name]
        fn = node.attributes.get("fn")
        if node.op == "pointwise" and fn in ("logical_not", "nonzero", "identity", "number", "real"):
            return self._held(node.inputs[0], axes, truth != (fn == "logical_not"))
        if node.op in ("reshape", "transpose", "broadcast"):
            indexing = PRIMITIVES[node.op].indexing(node, [self.shapes[node.inputs[0]]])
            wanted = {label for axis in axes for label in labels(indexing.output[axis])}
            within = [wanted.intersection(labels(term)) for term in indexing.operands[0]]
            before = tuple(at for at, found in enumerate(within) if found)
            if indexing.fixed or any(set(labels(indexing.operands[0][at])) - wanted for at in before):
                return None
            inner = self._held(node.inputs[0], before, truth)
            return None if inner is None else inner * prod(label.size for label in wanted.difference(*within))
        if node.op != "scatter" or axes != (node.attributes["axis"],) or node.attributes["mode"] != "set":
            return None
        places = self.by_name[node.inputs[1]]
        ranks = places.op == "order" and places.attributes["what"] == "indices" and places.attributes["axis"] == axes[0]
        if not ranks or self.constant(node.inputs[0]) != 0 or self.constant(node.inputs[2]) in (None, 0):
            return None
        return places.shape[axes[0]] if truth else node.shape[axes[0]] - places.shape[axes[0]]

    # values of a density ---------------------------------------------------------------------------------------------
    def _spread(self, name: str, axes: frozenset[int]) -> bool:
        """Whether the entries along some axes have a density together, as rows of a matrix times a vector have.

        Then their largest have one, and so have sums of several of them.
        """
        node = self.by_name[name]
        fn = node.attributes.get("fn")
        match node.op:
            case "parameter":
                return True
            case "contract":
                return any(self._read_along(node, k, axes) for k in range(len(node.inputs)))
            case "pointwise" if fn in STRICT:
                return self._spread(node.inputs[0], axes)
            case "pointwise" if fn in ("add", "sub", "mul", "div"):
                sides = zip(node.inputs, reversed(node.inputs), strict=True)
                return any(self._spread(x, axes) and self._plain(y) for x, y in sides)
            case "order" if node.attributes["what"] == "values":
                return self._spread(node.inputs[0], axes | {node.attributes["axis"]})
            case "reduce" if fn in ("sum", "mean", "amax"):
                gone = set(node.attributes["axes"])
                left = [k for k in range(len(self.shapes[node.inputs[0]])) if k not in gone]
                return self._spread(node.inputs[0], frozenset({left[k] for k in axes} | gone))
            case "reshape" | "transpose" | "broadcast" | "slice":
                before = self._behind(node, 0, axes)
                return before is not None and self._spread(node.inputs[0], before)
            case _:
                return False

    def _read_along(self, node: Node, k: int, axes: frozenset[int]) -> bool:
        """Whether an operand of a product is a matrix of parameters that has all these axes, and is not in another."""
        source = self.by_name[node.inputs[k]]
        while source.op in ("reshape", "transpose", "slice"):
            source = self.by_name[source.inputs[0]]
        others = [x for j, x in enumerate(node.inputs) if j != k]
        if source.op != "parameter" or any(self._depends(x, source.name) for x in others):
            return False
        return self._behind(node, k, axes) is not None

    def _behind(self, node: Node, k: int, axes: frozenset[int]) -> frozenset[int] | None:
        """The axes of an operand that some axes of the value are made of; None where one is of something else."""
        indexing = PRIMITIVES[node.op].indexing(node, [self.shapes[name] for name in node.inputs])
        wanted = {label for axis in axes for label in labels(indexing.output[axis])}
        found = [at for at, term in enumerate(indexing.operands[k]) if wanted.intersection(labels(term))]
        seen = {label for at in found for label in labels(indexing.operands[k][at])}
        return frozenset(found) if wanted <= seen and not indexing.fixed & {label.name for label in wanted} else None

    # polynomials ---------------------------------------------------------------------------------------------------
    def _apart(self, name: str, axis: int) -> bool:
        """Whether each position of an axis is a polynomial in entries of its own of some parameter, never constant.

        Two such polynomials, alike but for the entries, are equal on a set without volume only: distances to the rows
        of a table.
        """
        node = self.by_name.get(name)
        while node is not None and self._keeps_order(node, axis):
            node = self.by_name.get(node.inputs[0])
        if node is None:
            return False
        for parameter in self._tables(node.name, axis):
            found = self._degree(node.name, axis, parameter)
            if found is not None and found.full and found.number:
                return True
        return False

    def _keeps_order(self, node: Node, axis: int) -> bool:
        if node.op == "softmax":
            return node.attributes["axis"] == axis
        return node.op == "pointwise" and node.attributes["fn"] in STRICT

    def _tables(self, name: str, axis: int) -> list[str]:
        """Parameters of which an axis runs along that axis of a value."""
        node = self.by_name[name]
        if node.op == "parameter":
            return [name]
        found: list[str] = []
        if node.op in ("pointwise", "contract", "reduce", "reshape", "transpose", "broadcast"):
            for k, operand in enumerate(node.inputs):
                at = self._before(node, axis, k)
                if at is not None:
                    found += self._tables(operand, at)
        return list(dict.fromkeys(found))

    def _before(self, node: Node, axis: int, k: int) -> int | None:
        """Which axis of an operand an axis of the value is; None where the operand has none or only part of it."""
        indexing = PRIMITIVES[node.op].indexing(node, [self.shapes[name] for name in node.inputs])
        term = indexing.output[axis]
        if not isinstance(term, Label) or term.name in indexing.mixed or term.name in indexing.fixed:
            return None
        places = [at for at, other in enumerate(indexing.operands[k]) if other == term]
        return places[0] if len(places) == 1 else None

    def _depends(self, name: str, parameter: str) -> bool:
        """Whether a value is computed from a parameter."""
        pending, seen = [name], set[str]()
        while pending:
            each = pending.pop()
            if each == parameter or self._reads.get((each, parameter)):
                self._reads[name, parameter] = True
                return True
            if each not in seen and (each, parameter) not in self._reads:
                seen.add(each)
                pending += self.by_name[each].inputs
        self._reads.update(((each, parameter), False) for each in seen)
        return False

    def _degree(self, name: str, axis: int | None, parameter: str) -> Degree | None:
        """The value in terms of a parameter; None where it is no polynomial or reads entries of other positions."""
        if name == parameter:
            return None if axis is None else Degree(1, True)
        if not self._depends(name, parameter):
            return Degree(0, False)
        if axis is None:
            return None
        node = self.by_name[name]
        operands = [self._degree(x, self._before(node, axis, k), parameter) for k, x in enumerate(node.inputs)]
        degrees = [found for found in operands if found is not None]
        if len(degrees) < len(operands):
            return None
        match node.op, node.attributes.get("fn"):
            case ("reshape" | "transpose" | "broadcast", _) | ("pointwise", "neg"):
                return degrees[0]
            case "reduce", "sum" | "mean":
                # squares do not cancel each other; of other powers nothing is said
                return degrees[0] if degrees[0].number % 2 == 0 else Degree(degrees[0].number, False)
            case "pointwise", "power" if isinstance(e := node.attributes["exponent"], int) and e > 0:
                return Degree(degrees[0].number * e, degrees[0].full)
            case "pointwise", "add" | "sub":
                first, second = sorted(degrees, key=lambda found: found.number)
                return Degree(second.number, second.full and first.number < second.number)
            case "pointwise", "mul" | "div":
                return self._scaled(node, degrees)
            case "contract", _ if sum(found.number for found in degrees) <= 1:
                return Degree(1, False)
            case _:
                return None

    def _scaled(self, node: Node, degrees: list[Degree]) -> Degree | None:
        """A product with a number other than zero, or of a value with itself."""
        if len(set(node.inputs)) == 1 and node.attributes["fn"] == "mul":
            return Degree(2 * degrees[0].number, degrees[0].full)
        for k in (0, 1) if node.attributes["fn"] == "mul" else (1,):
            number = self._number(node.inputs[k])
            if number is not None and number != 0 and abs(number) < float("inf"):
                return degrees[1 - k]
        return None

    def _number(self, name: str) -> float | None:
        node = self.by_name[name]
        while node.op in ("reshape", "broadcast"):
            node = self.by_name[node.inputs[0]]
        return self.constant(node.name) if node.op == "constant" else None


__all__ = ["Ties"]
