"""Plain sentences for what the law found: why a step holds, and why it breaks."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from orbitope.curvature.law import products_of_variables
from orbitope.curvature.state import State
from orbitope.curvature.walk import Program, Walk
from orbitope.graph import Node
from orbitope.primitives import PRIMITIVES, Behaviour

MOVED, AFFINE = "entries moved", "affine"
"""The rule of what only moves entries; how the rules of what only moves, adds or subtracts them end."""

LOSS = "loss"
"""The module path of the nodes that the objective appends."""

_NAMES = {
    "relu": "ReLU",
    "relu6": "ReLU6",
    "gelu": "GELU",
    "silu": "SiLU",
    "elu": "ELU",
    "leaky_relu": "leaky ReLU",
    "mul": "product",
    "div": "quotient",
    "add": "sum",
    "sub": "difference",
    "neg": "change of sign",
    "amax": "maximum",
    "contract": "matrix product",
    "convolve": "convolution",
    "normalise": "normalisation",
}
SUMS = ("matrix product", "convolution")
"""Known to readers by the name of the layer."""

_DIRECTIONS = {1: "non-decreasing", -1: "non-increasing", 0: "not monotone"}
_MOVES = ("reshape", "transpose", "broadcast", "slice")


def operation(node: Node) -> str:
    """What a node computes, in one or two words.

    >>> print(operation(Node("y", "pointwise", ("x",), (3,), attributes={"fn": "leaky_relu", "slope": 2.0})))
    leaky ReLU (slope 2)
    """
    match node.op:
        case "pointwise" | "reduce":
            fn = str(node.attributes["fn"])
            settings = [f"{k} {v:g}" for k, v in node.attributes.items() if k != "fn" and isinstance(v, int | float)]
            return _NAMES.get(fn, fn) + (f" ({', '.join(settings)})" if settings else "")
        case "softmax":
            return "log-softmax" if node.attributes["kind"] == "log" else "softmax"
        case "pool":
            return f"{node.attributes['fn']} pooling"
        case "opaque":
            return node.target or node.op
        case op:
            return _NAMES.get(op, op)


def call(target: str) -> str:
    """A traced operation by a short name; empty where there was none.

    >>> call("aten.linear.default"), call("aten._native_batch_norm_legit_no_training.default")
    ('linear', 'batch norm')
    """
    name = target.removeprefix("aten.").partition(".")[0].strip("_").replace("_", " ")
    return "batch norm" if "batch norm" in name else name


def layer(module: str) -> str:
    """A module by its path: ``layer 2``; the root is ``the model``."""
    return {"": "the model", LOSS: "the loss"}.get(module, f"layer {module}")


def number(value: float) -> str:
    """Three digits, with a proper minus sign.

    >>> print(number(-1.4512))
    −1.45
    """
    return f"{value:.3g}".replace("-", "−")


def origin(program: Program, name: str) -> Node:
    """The node whose entries a value consists of, only moved."""
    node = program.nodes[name]
    while node.op in _MOVES:
        node = program.nodes[node.inputs[0]]
    return node


def describe(program: Program, name: str) -> str:
    """What a value is: ``weight of layer 2``, ``output of layer 1``."""
    node = origin(program, name)
    match node.op:
        case "parameter":
            module, _, own = node.attributes["parameter"].rpartition(".")
            return f"{own} of {layer(module)}" if module else f"parameter {own}"
        case "input":
            return "the targets" if node.module == LOSS else "the inputs"
        case "constant":
            return "a constant"
        case _:
            return f"{operation(node)} of the loss" if node.module == LOSS else f"output of {layer(node.module)}"


def manner(behaviour: Behaviour, k: int = 0) -> str:
    """``convex and non-decreasing``."""
    if behaviour.form == "other":
        return "neither convex nor concave by the trait table"
    joint = "and" if behaviour.monotone[k] else "but"
    return f"{behaviour.form} {joint} {_DIRECTIONS[behaviour.monotone[k]]}"


# why a step holds -----------------------------------------------------------------------------------------------------
def rule(walk: Walk, name: str) -> str:
    """Why a value has the curvature that it was proved to have, in one sentence; empty for the variables."""
    program, node, operands = walk.program, walk.program.nodes[name], walk.operands(name)
    if name in walk.variables:
        return ""
    behaviour = PRIMITIVES[node.op].behaviour(node)
    varying = [k for k, x in enumerate(operands) if bool(x.varies.any())]
    if behaviour.form == "affine":
        if node.op in _MOVES:
            return MOVED
        turned = all(behaviour.monotone[k] < 0 for k in varying)
        return f"{operation(node)}, {'non-increasing and ' if turned else ''}{AFFINE}"
    if behaviour.form == "multilinear":
        if len({node.inputs[k] for k in varying}) < len(varying):
            return f"an expression times itself: {_squared(operands[varying[0]])}"
        fixed = [describe(program, node.inputs[k]) for k in range(len(operands)) if k not in varying]
        bent = any(not bool(operands[k].affine.all()) for k in varying)
        held = [operands[k] for k in range(len(operands)) if k not in varying]
        return f"{operation(node)} with {' and '.join(fixed)} held" + (f", {_sided(held)}" if bent else "")
    k = varying[0]
    signed = _side(operands[k])
    return f"{operation(node)}, {manner(behaviour, k)}, of {_kind(operands[k])}{signed}"


def _squared(x: State) -> str:
    if bool(x.affine.all()):
        return "the square of an affine function is convex"
    return "the square of a convex nonnegative or concave nonpositive function is convex"


def _side(x: State) -> str:
    if bool(x.nonnegative.all()):
        return ", nowhere negative"
    return ", nowhere positive" if bool(x.nonpositive.all()) else ""


def _sided(held: Sequence[State]) -> str:
    if all(bool(x.nonnegative.all()) for x in held):
        return "nowhere negative"
    if len(held) == 1 and bool(held[0].nonpositive.all()):
        return "nowhere positive"
    return "of a sign that suits every entry"


def _kind(x: State) -> str:
    census = x.census
    return {"affine": "an affine operand", "convex": "a convex operand", "concave": "a concave operand"}.get(
        census.kind, f"operands that are {census}"
    )


# why a step breaks ----------------------------------------------------------------------------------------------------
Reason = tuple[str, str]
"""What stands there, and why nothing follows from it (may be empty)."""

_MIXTURE = "convex plus concave has no curvature by the rules"


def reason(walk: Walk, name: str, subject: str) -> Reason:
    """Why nothing follows for some entries of this node, with numbers.

    Args:
        walk: the walk that broke.
        name: the node.
        subject: what varies, as in ``the inputs``.
    """
    node, operands = walk.program.nodes[name], walk.operands(name)
    place = layer(node.module)
    if node.op not in PRIMITIVES or node.op == "opaque":
        return f"{place} applies {operation(node)}, of which nothing is known, to what depends on {subject}", ""
    behaviour = PRIMITIVES[node.op].behaviour(node)
    varying = [k for k, x in enumerate(operands) if bool(x.varies.any())]
    match behaviour.form:
        case "multilinear":
            return _product_breaks(walk, node, operands, varying, subject)
        case "affine":
            kinds = "; ".join(f"{describe(walk.program, node.inputs[k])}: {operands[k].census}" for k in varying)
            what = f"takes the {operation(node)} of convex and concave functions of {subject} ({kinds})"
            return f"{place} {what}", _MIXTURE
        case "other" if len(varying) > 1:
            parts = " and ".join(describe(walk.program, node.inputs[k]) for k in varying)
            return f"{place} takes the {operation(node)} of two varying expressions: {parts} depend on {subject}", ""
        case "other":
            return f"{place} applies {operation(node)}, {manner(behaviour)}, to what depends on {subject}", ""
        case form:
            k = next((k for k in varying if not bool(operands[k].affine.all())), varying[0])
            needed = {1: form, 0: "affine", -1: "concave" if form == "convex" else "convex"}[behaviour.monotone[k]]
            lacking = _lacking(operands[k], needed)
            return (
                f"{place} applies {operation(node)} to an operand of which {lacking} in {subject}",
                f"{operation(node)} is {manner(behaviour, k)}, which needs {_article(needed)} {needed} operand",
            )


def _article(word: str) -> str:
    return "an" if word == "affine" else "a"


def _lacking(x: State, needed: str) -> str:
    """How many entries are not of the curvature needed, and what they are."""
    census = x.census
    unfit = [kind for kind in ("convex", "concave", "unknown") if kind != needed and getattr(census, kind)]
    counts = [f"{getattr(census, kind)} of {census.total} entries are {kind}" for kind in unfit]
    return " and ".join(counts)


def _product_breaks(walk: Walk, node: Node, operands: Sequence[State], varying: Sequence[int], subject: str) -> Reason:
    program, place = walk.program, layer(node.module)
    pairs = products_of_variables(node, operands)
    if pairs:
        j, k = sorted(pairs[0], key=lambda i: program.nodes[node.inputs[i]].op != "parameter")
        a, b = (describe(program, node.inputs[i]) for i in (j, k))
        what = f"is a product of two varying expressions: both factors depend on {subject} ({a} × {b})"
        return f"{place} {what}", ""
    bent = [k for k in varying if not bool(operands[k].affine.all())]
    if len({node.inputs[k] for k in bent}) < len(bent):
        what = f"squares a function of {subject} that is not affine ({operands[bent[0]].census})"
        return f"{place} {what}", "the square of a convex function is convex only where that is nonnegative"
    k = bent[0]
    fixed = [j for j in range(len(operands)) if j not in varying]
    factor = _factor(program, node, fixed[0]) if fixed else "constants of both signs"
    census = operands[k].census
    if census.kind in ("mixed", "unknown"):
        return f"{place} adds multiples, by {factor}, of functions of {subject} that are {census}", _MIXTURE
    bending = "convex" if census.convex else "concave"
    other = "concave" if census.convex else "convex"
    return (
        f"{place} multiplies {bending} functions of {subject} by {factor}",
        f"a {bending} function times a negative number is {other}, and {_MIXTURE}",
    )


def _factor(program: Program, node: Node, k: int) -> str:
    """The constants that a node multiplies by, and how many of them are negative."""
    source = origin(program, node.inputs[k])
    own = source.op == "parameter" and source.attributes["parameter"].rpartition(".")[0] == node.module
    noun = (
        "its weights" if own and source.attributes["parameter"].endswith("weight") else describe(program, source.name)
    )
    value = program.values.get(source.name)
    if value is None:
        state = program.held[source.name]
        unsure = int((~state.nonnegative).sum())
        return f"{noun}, of which {unsure} of {state.varies.numel()} entries are not known to be nonnegative"
    negative = int((value < 0).sum())
    least = float(value.to(torch.float64).min()) if value.numel() else 0.0
    return f"{noun}, of which {negative} of {value.numel()} are negative (smallest {number(least)})"
