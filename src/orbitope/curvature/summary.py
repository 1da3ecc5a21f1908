"""The answer in words: why a composition of convex functions need not be convex, on this very network."""

from __future__ import annotations

from collections.abc import Sequence

from orbitope.curvature import words
from orbitope.curvature.report import Analysis, Explanation, Finding
from orbitope.curvature.walk import Program
from orbitope.graph import Node
from orbitope.primitives import PRIMITIVES, Behaviour

NON_CONVEX = "PROVED NON-CONVEX"


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
    moved = set(_inputs(program))
    for name, node in program.nodes.items():
        if not moved.isdisjoint(node.inputs):
            moved.add(name)
        one = node.op in ("pointwise", "pool", "softmax", "normalise") and len(node.inputs) == 1
        if name in path and one and name in moved:
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
    named = [(words.layer(a.name), a.loss) for a in blocks]
    proved = [name for name, loss in named if loss.verdict == "PROVED CONVEX"]
    refuted = [name for name, loss in named if loss.verdict == "PROVED NON-CONVEX"]
    others = [f"{name}: {_fact(loss)}" for name, loss in named if loss.verdict not in ("PROVED CONVEX", NON_CONVEX)]
    text = ["Training moves the parameters, not the inputs, and curvature in the parameters is another question."]
    if proved:
        text.append(f"With everything else held, F is proved convex in the parameters of {_short(proved)}.")
    if refuted:
        alone = "In those" if proved else "With everything else held, in those"
        text.append(f"{alone} of {_short(refuted)} it is proved not to be, by certificates.")
    if others:
        more = f"; and {len(others) - 3} further modules" if len(others) > 3 else ""
        start = "It is not proved so in" if proved and not refuted else "Nothing is proved in"
        text.append(f"{start} {'; '.join(others[:3])}{more}.")
    return " ".join(text)


def _short(names: Sequence[str]) -> str:
    """A list of names, of which no more than eight are written out."""
    return _listed(names) if len(names) <= 8 else _listed([*names[:6], f"{len(names) - 6} others"])


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
    analyses = (explanation.joint, *explanation.analyses)
    cited = next((a for a in analyses if a.loss.verdict == NON_CONVEX), None)
    if cited is not None:
        name = "all parameters jointly" if cited.axis == "joint" else cited.name
        return (
            f"The rules alone refute nothing: where they break, F could still be convex. In {name} it is not, and the "
            "proof is the certificate: points of equal weight, and their mean, at which F is higher than on average."
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
