"""The answer in words: why a composition of convex functions need not be convex, on this very network."""

from __future__ import annotations

from collections.abc import Sequence

from orbitope.curvature import words
from orbitope.curvature.report import Analysis, Explanation, Finding
from orbitope.curvature.walk import Program
from orbitope.graph import Node
from orbitope.primitives import PRIMITIVES, Behaviour


def summarise(explanation: Explanation, program: Program, outputs: str) -> tuple[str, ...]:
    """Paragraphs: the objection and the inputs, each layer alone, all parameters jointly, what is not said.

    Args:
        explanation: the verdicts.
        program: the program of one sample.
        outputs: the node of the network's outputs.
    """
    bends = _activations(program, outputs)
    return tuple(
        text
        for text in (
            _objection(explanation, bends),
            _alone(explanation.blocks),
            _jointly(explanation.joint),
            _unsaid(explanation),
        )
        if text
    )


def _activations(program: Program, outputs: str) -> dict[str, tuple[Node, Behaviour]]:
    """The functions of the network that bend, by name."""
    path = program.before(outputs)
    found: dict[str, tuple[Node, Behaviour]] = {}
    for name, node in program.nodes.items():
        one = node.op in ("pointwise", "pool", "softmax", "normalise") and len(node.inputs) == 1
        if name in path and one and bool(program.before(name) & _inputs(program)):
            behaviour = PRIMITIVES[node.op].behaviour(node)
            if behaviour.form != "affine":
                found.setdefault(words.operation(node), (node, behaviour))
    return found


def _inputs(program: Program) -> frozenset[str]:
    return frozenset(n for n, node in program.nodes.items() if node.op == "input" and node.module != words.LOSS)


def _objection(explanation: Explanation, bends: dict[str, tuple[Node, Behaviour]]) -> str:
    outputs, loss = explanation.inputs.outputs, explanation.inputs.loss
    good = [name for name, (_, b) in bends.items() if b.form == "convex" and b.monotone == (1,)]
    bad = [name for name in bends if name not in good]
    text = ""
    if good:
        name = _listed(good)
        text = (
            f"{name} {_is(good)} convex and non-decreasing, so {name} of a convex function is convex. But between two "
            "such steps stands a layer that multiplies by weights, and a convex function times a negative number is "
            "concave: the rule needs every later weight to be nonnegative. "
        )
    if bad:
        text += f"{_listed(bad)} {_is(bad)} not both convex and non-decreasing, so there the rule does not apply. "
    if not bends:
        text += "The network applies nothing that bends: at fixed parameters its outputs are affine in the inputs. "
    if outputs.verdict == "PROVED CONVEX" and bends:
        return text + (
            "On this network that holds: every output is convex in the inputs. "
            + ("So is F." if loss.verdict == "PROVED CONVEX" else f"F itself is not proved so, since {_fact(loss)}.")
        )
    if outputs.verdict == "PROVED CONVEX":
        return text + f"F in the inputs: {loss.verdict} ({_fact(loss)})."
    return text + f"On this network, as a function of the inputs: {_fact(outputs)}."


def _alone(blocks: Sequence[Analysis]) -> str:
    if not blocks:
        return ""
    names = {a.name: words.layer(a.name) for a in blocks}
    proved = [names[a.name] for a in blocks if a.loss.verdict == "PROVED CONVEX"]
    others = [a for a in blocks if a.loss.verdict != "PROVED CONVEX"]
    text = "Training moves the parameters, not the inputs, and curvature in the parameters is another question. "
    if proved:
        text += f"With everything else held, F is proved convex in the parameters of {_listed(proved)}. "
    if len(proved) == len(blocks):
        return text.strip()
    parts = [f"{names[a.name]}: {_fact(a.loss)}" for a in others]
    more = f"; and {len(parts) - 3} further modules" if len(parts) > 3 else ""
    return f"{text}{'It is not' if proved else 'F is not'} proved so in {'; '.join(parts[:3])}{more}."


def _jointly(joint: Analysis) -> str:
    loss = joint.loss
    if loss.verdict == "PROVED CONVEX":
        return f"In all parameters jointly the rules prove F convex: {loss.reason}."
    broken = loss.broken
    text = f"In all parameters jointly: {_fact(loss)}."
    if broken is not None and "product of two varying" in broken.fact:
        text += (
            " That is so with any activation, even with none: the product v·w of two variables is −1 at (1, −1) and at "
            "(−1, 1), and 0 halfway between them, which no convex function allows."
        )
    return text


def _unsaid(explanation: Explanation) -> str:
    cited = next((a for a in explanation.analyses if a.loss.verdict == "PROVED NON-CONVEX"), None)
    if cited is not None:
        name = "all parameters jointly" if cited.axis == "joint" else cited.name
        return (
            f"The rules alone refute nothing: where they break, F could still be convex. In {name} it is not, "
            "and the proof is the certificate: a point between permuted copies of parameters at which F is higher."
        )
    if explanation.joint.loss.verdict == "UNKNOWN":
        return (
            "The rules alone refute nothing: where they break, F could still be convex. That it is not takes a "
            "certificate, which `prove` looks for."
        )
    return ""


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _is(names: Sequence[str]) -> str:
    return "is" if len(names) == 1 else "are"


def _fact(finding: Finding) -> str:
    """What stands at the node where the rule breaks, without the rule."""
    return finding.broken.fact if finding.broken is not None else finding.reason
