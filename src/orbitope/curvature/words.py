"""Plain words for nodes and values, and why a step of a derivation holds."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from orbitope.curvature.law import derive
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
    "order": "sorting",
    "accumulate": "running total",
    "gather": "lookup",
    "pick": "lookup",
    "resample": "resampling",
    "matrices": "matrix function",
    "hardswish": "hard swish",
    "hardsigmoid": "hard sigmoid",
    "lt": "comparison",
    "le": "comparison",
    "gt": "comparison",
    "ge": "comparison",
    "eq": "comparison",
    "ne": "comparison",
    "where": "choice",
}
_LOSSES = {
    "cross_entropy": "cross-entropy",
    "nll": "negative log-likelihood",
    "mse": "mean squared error",
    "l1": "absolute error",
    "smooth_l1": "smooth absolute error",
    "huber": "Huber loss",
    "hinge": "hinge loss",
    "multi_margin": "multi-class margin loss",
    "bce_with_logits": "binary cross-entropy",
}
_CELLS = {"tanh": "tanh cell", "relu": "ReLU cell", "gru": "GRU cell", "lstm": "LSTM cell"}
SUMS = ("matrix product", "convolution")
"""Known to readers by the name of the layer."""

_DIRECTIONS = {1: "non-decreasing", -1: "non-increasing", 0: "not monotone"}
MOVES = ("reshape", "transpose", "broadcast", "slice")
"""Operations that only move entries."""


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
        case "scan":
            return f"{_CELLS[node.attributes['cell']]} of every step"
        case "map":
            return operation(node.attributes["inner"])
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


def loss(name: str) -> str:
    """A loss by its usual name.

    >>> loss("mse"), loss("my_loss")
    ('mean squared error', 'my loss')
    """
    return _LOSSES.get(name, name.replace("_", " "))


def number(value: float) -> str:
    """Three digits, with a proper minus sign.

    >>> print(number(-1.4512))
    −1.45
    """
    return f"{value:.3g}".replace("-", "−")


def origin(program: Program, name: str) -> Node:
    """The node whose entries a value consists of, only moved."""
    node = program.nodes[name]
    while node.op in MOVES:
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
    if bool(walk.states[name].unknown.any()):
        return "the rule breaks here" if name == walk.broken else f"{operation(node)}, of operands that are unknown"
    if together := _together(walk, name, operands):
        return together
    if behaviour.form == "affine":
        if node.op in MOVES:
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


def _together(walk: Walk, name: str, operands: Sequence[State]) -> str:
    """Of a value that several steps make a function of one number, where that says more than the last step."""
    program = walk.program
    curve = program.curves.get(name)
    if curve is None or curve.root not in walk.states:
        return ""
    if derive(program.nodes[name], operands).census == walk.states[name].census:
        return ""
    traits = curve.everywhere
    bend = "convex" if traits.convex else "concave" if traits.concave else ""
    if bend and traits.convex and traits.concave:
        bend = "affine"
    kind = f"{bend}, {_DIRECTIONS[traits.direction]} " if bend else ""
    breaks = f", with breaks at {_numbers(curve.function.breaks)}" if curve.function.breaks else ""
    where = describe(program, curve.root)
    return f"with the steps before it a {kind}function of each entry of the {where}{breaks}".replace("the the ", "the ")


def _numbers(breaks: Sequence[Fraction]) -> str:
    shown = [number(float(b)) for b in breaks]
    return ", ".join([*shown[:4], "…"] if len(shown) > 5 else shown)


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
