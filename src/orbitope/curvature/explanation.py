"""explain: curvature by composition, on three separate axes, and why the ReLU objection fails on this network."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

import torch

from orbitope.curvature import words
from orbitope.curvature.report import Analysis, Axis, Break, Explanation, Finding, Step
from orbitope.curvature.state import Census
from orbitope.curvature.summary import summarise
from orbitope.curvature.walk import Program, Walk
from orbitope.curvature.witness import Evidence, Witness, read
from orbitope.errors import CertificateError, InputError
from orbitope.graph import Node
from orbitope.objective import Objective

Blocks = Mapping[str, str | Iterable[str]] | Iterable[str | Iterable[str]]

GUARANTEE = (
    "exact. What is PROVED holds in real arithmetic, for the program that was lowered from the model, on this data, "
    "wherever that program is defined; that the program is the model is numeric (it was executed and compared). "
    "UNKNOWN claims nothing: the rules are sufficient, not necessary."
)


def explain(
    objective: Objective,
    certificate: Evidence | None = None,
    *,
    params: Mapping[str, torch.Tensor] | None = None,
    blocks: Blocks | None = None,
    tensors: bool = False,
) -> Explanation:
    """Where the loss is convex by the rules of composition, and the node where they break elsewhere.

    Three separate axes: the outputs and F as functions of the inputs, at these parameters; F as a function of the
    parameters of each module alone, all else held at its value; F as a function of all trainable parameters jointly.

    Signs decide whether a constant factor keeps curvature. They are exact for parameters, constants, inputs and targets
    (read entry by entry; data must have the sign in every sample) and follow by rule for what is computed from them
    (ReLU, softmax, exp, squares and the like are nonnegative; sums and products of signed things are signed); a value
    that was only observed to have a sign counts as unsigned. An activation that happens to be inactive on the data is
    not used.

    Args:
        objective: model, loss and data.
        certificate: of non-convexity; cited on every axis that its points lie in, after it was compared with this
            objective. Falsy ones are ignored. Whether it is valid is for ``check`` to say.
        params: parameters by name; the model's own by default.
        blocks: further sets of parameters to vary together: patterns (``layers.0.*``), lists of patterns, or a mapping
            from labels to these.
        tensors: also vary every trainable tensor alone.

    Raises:
        ParametersError: the parameters do not fit.
        InputError: a pattern matches no trainable parameter.
        CertificateError: the certificate contradicts what the rules prove.

    Guarantee: exact for PROVED verdicts, in real arithmetic.
    Source: disciplined convex programming, Grant, Boyd and Ye 2006 [grant2006].
    """
    given = objective.canonical(params)
    program, target, outputs = _program(objective, given)
    witness = read(certificate, objective, given) if certificate else None
    study = _Study(objective, program, target, outputs, witness)
    variables = _computed(objective, program)
    subsets = tuple(study.parameters("subset", label, names) for label, names in _named(objective, blocks))
    modules: dict[str, list[str]] = {}
    for name in variables:
        modules.setdefault(name.rpartition(".")[0], []).append(name)
    parts = tuple(study.parameters("block", module, names) for module, names in modules.items())
    alone = tuple(study.parameters("tensor", name, [name]) for name in variables) if tensors else ()
    joint = study.parameters("joint", "", variables)
    explanation = Explanation(
        function=_function(objective),
        inputs=study.inputs(),
        blocks=parts,
        joint=joint,
        tensors=alone,
        subsets=subsets,
        summary=(),
        notes=_notes(witness),
        guarantee=GUARANTEE,
    )
    return replace(explanation, summary=summarise(explanation, program, outputs))


def _program(objective: Objective, params: Mapping[str, torch.Tensor]) -> tuple[Program, str, str]:
    """The program of one sample, the node of its loss and the node of the network's outputs."""
    graph = objective.graph_for(1)
    program = Program(graph, params, objective.data)
    last = objective.network.node(objective.network.outputs[0]).inputs[0]
    return program, program.same[graph.node(graph.outputs[0]).inputs[0]], program.same[last]


def _computed(objective: Objective, program: Program) -> list[str]:
    """The trainable parameters in the order in which the program uses them."""
    trainable = set(objective.variables)
    order: dict[str, None] = {}
    for node in program.nodes.values():
        for name in node.inputs:
            parameter = program.nodes[name].attributes.get("parameter")
            if parameter in trainable:
                order.setdefault(parameter)
    return [*order, *(name for name in objective.variables if name not in order)]


def _function(objective: Objective) -> str:
    names = {"cross_entropy": "cross-entropy", "mse": "mean squared error"}
    loss, model = names.get(objective.loss, objective.loss), type(objective.model).__name__
    return f"the mean over {objective.samples} samples of the {loss} of {model}"


def _notes(witness: Witness | None) -> tuple[str, ...]:
    if witness is None or not witness.objection:
        return ()
    return (f"The certificate that was given is not used: {witness.objection}.",)


def _named(objective: Objective, blocks: Blocks | None) -> list[tuple[str, list[str]]]:
    """The user's own sets of parameters."""
    if blocks is None:
        return []
    given = blocks.items() if isinstance(blocks, Mapping) else [(None, patterns) for patterns in blocks]
    named, idle = [], []
    table = {name: objective.network.parameters[name].names for name in objective.variables}
    for label, patterns in given:
        listed = [patterns] if isinstance(patterns, str) else list(patterns)
        idle += [p for p in listed if not any(fnmatchcase(a, p) for names in table.values() for a in names)]
        found = [n for n, names in table.items() if any(fnmatchcase(a, p) for p in listed for a in names)]
        named.append((label or ", ".join(listed), found))
    if idle or not all(found for _, found in named):
        raise InputError(
            "a block names no trainable parameter",
            got=", ".join(idle) or "an empty list of patterns",
            fix=f"trainable parameters are {', '.join(objective.variables[:8])}"
            + (" …" if len(objective.variables) > 8 else ""),
        )
    return named


@dataclass(frozen=True)
class _Study:
    """Everything that one walk after another needs."""

    objective: Objective
    program: Program
    target: str
    outputs: str
    witness: Witness | None

    def inputs(self) -> Analysis:
        """The axis of the inputs."""
        names = tuple(self.objective.network.inputs)
        leaves = frozenset(
            n for n, node in self.program.nodes.items() if node.op == "input" and node.attributes["input"] in names
        )
        if not self.objective.x.is_floating_point():
            kind = str(self.objective.x.dtype).removeprefix("torch.")
            reason = f"the inputs are integers ({kind}); curvature is a property of functions of real numbers"
            unknown = [
                Finding(f"{what}, in the inputs", "UNKNOWN", reason, self._nothing(node))
                for what, node in (("outputs", self.outputs), ("loss F", self.target))
            ]
            return Analysis("inputs", "inputs", names, unknown[0], unknown[1])
        return self._analysis("inputs", "inputs", names, leaves, "the inputs", "in the inputs")

    def _nothing(self, name: str) -> Census:
        return Census(unknown=self.program.held[name].varies.numel())

    def parameters(self, axis: Axis, name: str, variables: Sequence[str]) -> Analysis:
        """An axis of parameters."""
        leaves = self.program.leaves(variables)
        module = words.layer(name)
        subject, where = {
            "block": (f"the parameters of {module}", f"in {module} alone"),
            "tensor": (f"`{name}`", f"in {name} alone"),
            "subset": (f"the parameters {name}", f"in {name}"),
            "joint": ("the parameters", "in all parameters jointly"),
        }[axis]
        return self._analysis(axis, name, tuple(variables), leaves, subject, where)

    def _analysis(
        self, axis: Axis, name: str, variables: tuple[str, ...], leaves: frozenset[str], subject: str, where: str
    ) -> Analysis:
        walk = self.program.walk(leaves, self.target)
        inner = replace(walk, target=self.outputs)
        outputs = self._finding(inner, f"outputs, {where}", subject)
        loss = self._finding(walk, f"loss F, {where}", subject)
        if axis != "inputs" and self.witness is not None and self.witness.settles(frozenset(variables)):
            loss = self._cited(loss, self.witness)
        return Analysis(axis, name, variables, outputs, loss)

    def _cited(self, loss: Finding, witness: Witness) -> Finding:
        if loss.verdict == "PROVED CONVEX":
            raise CertificateError(
                "the certificate contradicts the rules of composition",
                at=loss.axis,
                got=witness.statement,
                why="the rules prove that F is convex there; the certificate cannot be valid",
                fix="run orbitope check on it",
            )
        return replace(
            loss, verdict="PROVED NON-CONVEX", reason=f"by the certificate, which `check` verifies: {witness.statement}"
        )

    def _finding(self, walk: Walk, axis: str, subject: str) -> Finding:
        census = walk.result.census
        broken = self._break(walk, subject)
        steps = self._steps(walk, broken.node if broken else walk.target)
        function = "F" if walk.target == self.target else "every output"
        match census.kind:
            case "unknown":
                assert broken is not None
                return Finding(axis, "UNKNOWN", broken.reason, census, broken, steps)
            case "mixed":
                counts = f"{census.convex} are convex and {census.concave} concave"
                text = f"of the {census.total} outputs {counts} in {subject}"
                return Finding(axis, "UNKNOWN", text, census, None, steps)
            case "concave":
                return Finding(axis, "PROVED CONCAVE", f"{function} is concave in {subject}", census, None, steps)
            case kind:
                text = f"{function} is {kind} in {subject}"
                if kind == "constant":
                    text = f"{function} does not depend on {subject}"
                elif function == "F":
                    text += " for each sample, and so is the mean"
                return Finding(axis, "PROVED CONVEX", text, census, None, steps)

    def _break(self, walk: Walk, subject: str) -> Break | None:
        name = walk.broken
        if name is None:
            return None
        node = self.program.nodes[name]
        return Break(
            name,
            words.operation(node),
            node.module,
            node.source,
            *words.reason(walk, name, subject),
            walk.state(name).census,
        )

    def _steps(self, walk: Walk, last: str) -> tuple[Step, ...]:
        """The derivation of a value: everything between the variables and it."""
        path = self.program.before(last)
        varying = [name for name, state in walk.states.items() if name in path and bool(state.varies.any())]
        kept = set(varying)
        return tuple(
            Step(
                name,
                self._call(node),
                words.call(node.target),
                node.module,
                node.source,
                node.attributes.get("parameter", "the inputs") if name in walk.variables else words.operation(node),
                walk.states[name].census,
                words.rule(walk, name),
                tuple(dict.fromkeys(x for x in node.inputs if x in kept)),
            )
            for name in varying
            for node in (self.program.nodes[name],)
        )

    @staticmethod
    def _call(node: Node) -> str:
        """All nodes that one traced operation was lowered to share the stem of their names."""
        return node.name.partition(".")[0] if node.target else node.name
