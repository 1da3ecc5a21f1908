"""Plain sentences for what the law found: why nothing follows at a node where the rule breaks, with numbers."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from orbitope.curvature import words
from orbitope.curvature.law import products_of_variables
from orbitope.curvature.state import State
from orbitope.curvature.walk import Program, Walk
from orbitope.graph import Node
from orbitope.primitives import PRIMITIVES

Reason = tuple[str, str]
"""What stands there, and why nothing follows from it (may be empty)."""

MIXTURE = "convex plus concave has no curvature by the rules"
"""Why sums break."""


def reason(walk: Walk, name: str, subject: str) -> Reason:
    """Why nothing follows for some entries of this node, with numbers.

    Args:
        walk: the walk that broke.
        name: the node.
        subject: what varies, as in ``the inputs``.
    """
    node, operands = walk.program.nodes[name], walk.operands(name)
    place = words.layer(node.module)
    if node.op not in PRIMITIVES or node.op == "opaque":
        return f"{place} applies {words.operation(node)}, of which nothing is known, to what depends on {subject}", ""
    behaviour = PRIMITIVES[node.op].behaviour(node)
    varying = [k for k, x in enumerate(operands) if bool(x.varies.any())]
    match behaviour.form:
        case "multilinear":
            return _product_breaks(walk, node, operands, varying, subject)
        case "affine":
            kinds = "; ".join(f"{words.describe(walk.program, node.inputs[k])}: {operands[k].census}" for k in varying)
            what = f"takes the {words.operation(node)} of convex and concave functions of {subject} ({kinds})"
            return f"{place} {what}", MIXTURE
        case "other" if len(varying) > 1:
            parts = " and ".join(words.describe(walk.program, node.inputs[k]) for k in varying)
            return (
                f"{place} takes the {words.operation(node)} of two varying expressions: {parts} depend on {subject}",
                "",
            )
        case "other":
            return (
                f"{place} applies {words.operation(node)}, {words.manner(behaviour)}, to what depends on {subject}",
                "",
            )
        case form:
            k = next((k for k in varying if not bool(operands[k].affine.all())), varying[0])
            needed = {1: form, 0: "affine", -1: "concave" if form == "convex" else "convex"}[behaviour.monotone[k]]
            lacking = _lacking(operands[k], needed)
            return (
                f"{place} applies {words.operation(node)} to an operand of which {lacking} in {subject}",
                f"{words.operation(node)} is {words.manner(behaviour, k)}, which needs {_one(needed)} operand",
            )


def _one(kind: str) -> str:
    return f"an {kind}" if kind == "affine" else f"a {kind}"


def _lacking(x: State, needed: str) -> str:
    """How many entries are not of the curvature needed, and what they are."""
    census = x.census
    unfit = [kind for kind in ("convex", "concave", "unknown") if kind != needed and getattr(census, kind)]
    counts = [f"{getattr(census, kind)} of {census.total} entries are {kind}" for kind in unfit]
    return " and ".join(counts)


def _product_breaks(walk: Walk, node: Node, operands: Sequence[State], varying: Sequence[int], subject: str) -> Reason:
    program, place = walk.program, words.layer(node.module)
    pairs = products_of_variables(node, operands)
    if pairs:
        j, k = sorted(pairs[0], key=lambda i: program.nodes[node.inputs[i]].op != "parameter")
        a, b = (words.describe(program, node.inputs[i]) for i in (j, k))
        what = f"is a product of two varying expressions: both factors depend on {subject} ({a} × {b})"
        return f"{place} {what}", ""
    bent = [k for k in varying if not bool(operands[k].affine.all())]
    if not bent:  # as the indices of a lookup
        parts = " and ".join(words.describe(program, node.inputs[k]) for k in varying)
        return f"{place} takes the {words.operation(node)} at places that depend on {subject} ({parts})", ""
    if len({node.inputs[k] for k in bent}) < len(bent):
        what = f"squares a function of {subject} that is not affine ({operands[bent[0]].census})"
        return f"{place} {what}", "the square of a convex function is convex only where that is nonnegative"
    k = bent[0]
    fixed = [j for j in range(len(operands)) if j not in varying]
    factor = _factor(program, node, fixed[0]) if fixed else "constants of both signs"
    census = operands[k].census
    if census.kind in ("mixed", "unknown"):
        return f"{place} adds multiples, by {factor}, of functions of {subject} that are {census}", MIXTURE
    bending = "convex" if census.convex else "concave"
    other = "concave" if census.convex else "convex"
    return (
        f"{place} multiplies {bending} functions of {subject} by {factor}",
        f"a {bending} function times a negative number is {other}, and {MIXTURE}",
    )


def _factor(program: Program, node: Node, k: int) -> str:
    """The constants that a node multiplies by, and how many of them are negative."""
    source = words.origin(program, node.inputs[k])
    own = source.op == "parameter" and source.attributes["parameter"].rpartition(".")[0] == node.module
    noun = (
        "its weights"
        if own and source.attributes["parameter"].endswith("weight")
        else words.describe(program, source.name)
    )
    value = program.values.get(source.name)
    if value is None:
        state = program.held[source.name]
        unsure = int((~state.nonnegative).sum()) * (1 if state.extent is None else state.size)
        return f"{noun}, of which {unsure} of {state.size} entries are not known to be nonnegative"
    negative = int((value < 0).sum())
    least = float(value.to(torch.float64).min()) if value.numel() else 0.0
    return f"{noun}, of which {negative} of {value.numel()} are negative (smallest {words.number(least)})"
