"""The gains and biases of normalisations, and the weights behind them that can take them up.

A gain is a parameter that multiplies what a normalisation returns. It can be multiplied into the weights that read the
product, if whatever lies between treats its index entry by entry, and if nothing else reads these weights. All of this
is read off the index terms of the operations; what is not understood stays as it is, with the reason.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from orbitope.graph import Graph, Node
from orbitope.infer.chains import Chain, Lost, Program, is_view
from orbitope.infer.gain import Gain, Kept, Spread
from orbitope.infer.takers import Walk

ROOTS = frozenset({"sqrt", "rsqrt", "reciprocal", "power", "maximum", "clamp"})
"""Functions between the mean of squares and the number that a norm divides by."""


def gains(graph: Graph) -> list[Gain]:
    """The gains of all normalisations of a program."""
    program = Program(graph)
    found: dict[str, list[tuple[Node, int, Chain, str]]] = {}
    for node in graph:
        for k, chain, kind in _products(program, node):
            found.setdefault(chain.parameter.attributes["parameter"], []).append((node, k, chain, kind))
    if graph.decisions and graph.unread:
        why = f"{next(iter(graph.unread))}, which these inputs did not reach, may read what it multiplies"
        return [Gain(name, max(uses[0][2].parameter.shape, default=1), kept=why) for name, uses in found.items()]
    return [_judged(program, name, uses) for name, uses in found.items()]


def _products(program: Program, node: Node) -> Iterator[tuple[int, Chain, str]]:
    """Where a node multiplies a normalised value with a parameter: the parameter's operand, its chain, the norm."""
    if node.op != "pointwise" or node.attributes["fn"] != "mul":
        return
    for k in (0, 1):
        kind = norm(program, node.inputs[1 - k])
        chain = program.chain(node.inputs[k], offsets=True) if kind else None
        if kind and chain is not None:
            yield k, chain, kind


def norm(program: Program, name: str) -> str:
    """Whether a value is what a normalisation returns: ``standard``, ``rms``, or empty."""
    node = program.node(name)
    while is_view(node):
        node = program.node(node.inputs[0])
    if node.op == "normalise":
        return str(node.attributes["kind"])
    if node.op != "pointwise" or node.attributes["fn"] not in ("mul", "div"):
        return ""
    x = _viewed(program, node.inputs[0])
    divisor = node.attributes["fn"] == "div"
    pairs = (
        [(x, node.inputs[1])] if divisor else [(x, node.inputs[1]), (_viewed(program, node.inputs[1]), node.inputs[0])]
    )
    return "rms" if any(_is_length(program, other, x) for x, other in pairs) else ""


def _viewed(program: Program, name: str) -> str:
    node = program.node(name)
    while is_view(node):
        node = program.node(node.inputs[0])
    return node.name


def _is_length(program: Program, name: str, x: str) -> bool:
    """Whether a value is a function of the mean square of another."""
    node = program.node(name)
    while node.op != "reduce":
        if is_view(node) or (node.op == "pointwise" and node.attributes["fn"] in ROOTS and len(node.inputs) == 1):
            node = program.node(node.inputs[0])
            continue
        if node.op != "pointwise" or node.attributes["fn"] not in ("add", "mul", "div", "maximum"):
            return False
        rest = [other for other in node.inputs if program.number(other) is None]
        if len(rest) != 1:
            return False
        node = program.node(rest[0])
    square = program.node(_viewed(program, node.inputs[0]))
    if square.op != "pointwise" or node.attributes["fn"] not in ("mean", "sum"):
        return False
    squares = square.attributes["fn"] == "power" and square.attributes["exponent"] == 2
    squares |= square.attributes["fn"] == "mul" and len(set(square.inputs)) == 1
    return squares and _viewed(program, square.inputs[0]) == x


def _judged(program: Program, name: str, uses: Iterable[tuple[Node, int, Chain, str]]) -> Gain:
    uses = list(uses)
    node = uses[0][2].parameter
    gain = Gain(name, max(node.shape, default=1), uses[0][3], uses[0][2].offset)
    walk = Walk(program, gain)
    try:
        walk.start(uses)
        walk.run()
        walk.finish()
    except Kept as reason:
        gain.kept = str(reason)
    except Lost:
        gain.kept = f"the index of {name} is split or cut before the weights that read it"
    if gain.kept:
        gain.takers, gain.sums = {}, {}
    return gain


__all__ = ["Gain", "Spread", "gains", "norm"]
