"""One choice of variables after another: the walk, its verdict, and certificates where the rules prove nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from orbitope.curvature import reasons, words
from orbitope.curvature.outline import Outline
from orbitope.curvature.report import Analysis, Axis, Break, Finding, Step
from orbitope.curvature.state import Census
from orbitope.curvature.walk import Program, Walk, ancestors
from orbitope.curvature.witness import Evidence, Witness, read, restricted
from orbitope.errors import CertificateError
from orbitope.graph import Node
from orbitope.objective import Objective

Subject = Objective | Outline
"""What is explained."""

Prover = Callable[[Objective, Mapping[str, torch.Tensor]], Any]
"""``prover(objective, params)``: a certificate that ``check`` accepts, or something falsy that says why not."""

Progress = Callable[[str, int, int], None]

LONG = 900
"""Of a statement with more characters, which names many parameters, the end is quoted."""


@dataclass
class Study:
    """Everything that one walk after another needs.

    Attributes:
        objective: what is explained. params: the point. program: what is followed.
        target: the node of the losses. outputs: the node of the network's outputs.
        witnesses: certificates that were given or found. prover: finds more.
        progress: told what is done. total: how much there is.
    """

    objective: Subject
    params: Mapping[str, torch.Tensor]
    program: Program
    target: str
    outputs: str
    witnesses: list[Witness] = field(default_factory=list)
    prover: Prover | None = None
    progress: Progress = lambda *_: None
    total: int = 1
    done: int = 0
    analysis: Analysis | None = None

    # inputs -----------------------------------------------------------------------------------------------------------
    def inputs(self) -> tuple[Analysis, tuple[Analysis, ...]]:
        """All real inputs at once, and each of several alone."""
        graph, names = self.objective.network, self.objective.network.inputs
        real = tuple(n for n in names if getattr(torch, graph.node(n).dtype).is_floating_point)
        if not real:
            kinds = " and ".join(sorted({graph.node(n).dtype for n in names})) or "none"
            why = f"the inputs are integers ({kinds})" if names else "the inputs are the same for all samples"
            reason = f"{why}; curvature is a property of functions of real numbers"
            unknown = [
                Finding(f"{what}, in the inputs", "UNKNOWN", reason, self._nothing(node))
                for what, node in (("outputs", self.outputs), ("loss F", self.target))
            ]
            return Analysis("inputs", "inputs", names, unknown[0], unknown[1]), ()
        every = self._inputs("inputs", real)
        return every, tuple(self._inputs(name, (name,)) for name in real) if len(names) > 1 and len(real) > 1 else ()

    def _inputs(self, name: str, names: tuple[str, ...]) -> Analysis:
        subject = "the inputs" if name == "inputs" else f"the input {name}"
        return self._analysis("inputs", name, names, self._leaves("input", names), subject, f"in {subject}")

    def _leaves(self, kind: str, names: Sequence[str]) -> frozenset[str]:
        nodes = self.program.nodes.items()
        return frozenset(n for n, node in nodes if node.op == kind and node.attributes[kind] in names)

    def notes(self) -> list[str]:
        """What is held besides."""
        graph = self.objective.network
        whole = [n for n in graph.inputs if not getattr(torch, graph.node(n).dtype).is_floating_point]
        found = []
        if whole and len(whole) < len(graph.inputs):
            found.append(f"Held, since integers have no convexity: {', '.join(whole)}.")
        if self.objective.whole:
            found.append("Samples meet each other in this network, so that inputs are those of all samples at once.")
        if any(state.extent is not None for state in self.program.held.values()):
            found.append(
                "Large values, and those that are computed from them, were followed as wholes: one sign and one "
                "curvature for all entries of a tensor."
            )
        return found

    def _nothing(self, name: str) -> Census:
        return Census(unknown=self.program.held[name].size)

    # parameters -------------------------------------------------------------------------------------------------------
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
        label = {"joint": "all parameters", "block": module}.get(axis, name)
        self.progress(f"explaining {label}", self.done, self.total)
        self.done += 1
        return self._proved(self._analysis(axis, name, tuple(variables), leaves, subject, where))

    def _analysis(
        self, axis: Axis, name: str, variables: tuple[str, ...], leaves: frozenset[str], subject: str, where: str
    ) -> Analysis:
        walk = self.program.walk(leaves, self.target)
        inner = replace(walk, target=self.outputs)
        outputs = self._finding(inner, f"outputs, {where}", subject)
        loss = self._finding(walk, f"loss F, {where}", subject)
        if axis != "inputs":
            loss = self._decayed(loss, subject)
        return Analysis(axis, name, variables, outputs, loss)

    def _decayed(self, loss: Finding, subject: str) -> Finding:
        """With weight decay, a convex function of the variables."""
        rate = self.objective.weight_decay
        if not rate:
            return loss
        if loss.verdict == "PROVED CONCAVE":
            reason = f"{loss.reason}, but weight decay is convex, and {reasons.MIXTURE}"
            return replace(loss, verdict="UNKNOWN", reason=reason)
        if loss.verdict == "PROVED CONVEX":
            return replace(loss, reason=f"{loss.reason}; weight decay (λ = {rate:g}) adds a convex function")
        return loss

    # certificates -----------------------------------------------------------------------------------------------------
    def _proved(self, analysis: Analysis) -> Analysis:
        """With a certificate, of those that are known or found, where the rules prove nothing."""
        analysis = self.again(analysis)
        loss, objective = analysis.loss, self.objective
        if loss.verdict != "UNKNOWN" or self.prover is None or not isinstance(objective, Objective):
            return analysis
        part = restricted(objective, analysis.variables)
        found = self.prover(part, self.params)
        if not found:
            return replace(analysis, loss=replace(loss, searched=str(getattr(found, "reason", "nothing was found"))))
        witness = read(found, part, self.params)
        self.witnesses.append(witness)
        if not witness.settles(frozenset(analysis.variables)):
            why = witness.objection or "the certificate that was found is about other parameters that are held"
            return replace(analysis, loss=replace(loss, searched=why))
        return self.again(analysis)

    def again(self, analysis: Analysis) -> Analysis:
        """With the first certificate whose points differ in its variables only."""
        if analysis.axis == "inputs" or analysis.loss.verdict == "PROVED NON-CONVEX":
            return analysis
        for witness in self.witnesses:
            if witness.settles(frozenset(analysis.variables)):
                return replace(analysis, loss=_cited(analysis.loss, witness), certificate=witness.certificate)
        return analysis

    # findings ---------------------------------------------------------------------------------------------------------
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
                what = "outputs" if function != "F" else "losses"
                text = f"of the {census.total} {what} {counts} in {subject}"
                return Finding(axis, "UNKNOWN", text, census, None, steps)
            case "concave":
                return Finding(axis, "PROVED CONCAVE", f"{function} is concave in {subject}", census, None, steps)
            case kind:
                text = f"{function} is {kind} in {subject}"
                if kind == "constant":
                    text = f"{function} does not depend on {subject}"
                elif function == "F" and not self.objective.whole:
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
            *reasons.reason(walk, name, subject),
            walk.state(name).census,
        )

    def _steps(self, walk: Walk, last: str) -> tuple[Step, ...]:
        """The derivation of a value: everything between the variables and it."""
        path = ancestors(self.program.nodes, last, walk.states)
        varying = [name for name, state in walk.states.items() if name in path and bool(state.varies.any())]
        kept = set(varying)
        return tuple(
            Step(
                name,
                self._call(node),
                words.call(node.target),
                node.module,
                node.source,
                self._named(node, name in walk.variables),
                walk.states[name].census,
                words.rule(walk, name),
                tuple(dict.fromkeys(x for x in node.inputs if x in kept)),
            )
            for name in varying
            for node in (self.program.nodes[name],)
        )

    def _named(self, node: Node, leaf: bool) -> str:
        if not leaf:
            return words.operation(node)
        several = len(self.objective.network.inputs) > 1
        return node.attributes.get("parameter") or (f"the input {node.name}" if several else "the inputs")

    @staticmethod
    def _call(node: Node) -> str:
        """All nodes that one traced operation was lowered to share the stem of their names."""
        return node.name.partition(".")[0] if node.target else node.name

    # pictures ---------------------------------------------------------------------------------------------------------
    def at(self, analysis: Analysis) -> Study:
        """The same, about one analysis."""
        return replace(self, analysis=analysis)

    def followed(self) -> Walk:
        """The walk of the analysis to its end, beyond where it breaks."""
        assert self.analysis is not None
        names = self.analysis.variables
        leaves = self._leaves("input", names) if self.analysis.axis == "inputs" else self.program.leaves(names)
        return self.program.walk(leaves, self.target, whole=True)


def _cited(loss: Finding, witness: Witness) -> Finding:
    if loss.verdict == "PROVED CONVEX":
        raise CertificateError(
            "the certificate contradicts the rules of composition",
            at=loss.axis,
            got=witness.statement,
            why="the rules prove that F is convex there; the certificate cannot be valid",
            fix="run orbitope check on it",
        )
    statement = witness.statement
    if len(statement) > LONG:
        statement = f"… {statement[statement.rfind('Then ') :]}"
    reason = f"by the certificate, which `check` verifies: {statement}"
    return replace(loss, verdict="PROVED NON-CONVEX", reason=reason, searched="")


__all__ = ["Evidence", "Progress", "Prover", "Study", "Subject"]
