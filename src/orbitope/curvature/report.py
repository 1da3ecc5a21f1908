"""What ``explain`` returns: verdicts with their derivations, as data, as JSON and as text."""

from __future__ import annotations

from dataclasses import dataclass
from textwrap import fill
from typing import Any, Literal

from orbitope.curvature.derivation import WIDTH, Step, chain, tree
from orbitope.curvature.state import Census
from orbitope.curvature.witness import Evidence
from orbitope.guarantee import Guarantee

Verdict = Literal["PROVED CONVEX", "PROVED CONCAVE", "PROVED NON-CONVEX", "UNKNOWN"]
Axis = Literal["inputs", "block", "tensor", "subset", "joint"]


@dataclass(frozen=True)
class Break:
    """The innermost node where the composition rule breaks.

    Attributes:
        node: its name. operation: what it computes. module, source: where it stands in the model.
        fact: what stands there, with numbers. rule: why nothing follows from that; may be empty.
        entries: how many of its entries are proved to be what.
    """

    node: str
    operation: str
    module: str
    source: str
    fact: str
    rule: str
    entries: Census

    @property
    def reason(self) -> str:
        """Both, in one sentence."""
        return f"{self.fact}; {self.rule}" if self.rule else self.fact

    @property
    def place(self) -> str:
        """Module and source line."""
        where = self.module or "the model"
        return f"{where} ({self.source})" if self.source else where

    def to_json(self) -> dict[str, Any]:
        """As JSON."""
        plain = {name: getattr(self, name) for name in ("node", "operation", "module", "source", "reason")}
        return {**plain, "curvature": self.entries.to_json()}


@dataclass(frozen=True)
class Finding:
    """The verdict on one function of one set of variables.

    Attributes:
        axis: what of, and in what, as in ``the loss F, in the parameters of layer 4``.
        verdict: PROVED CONVEX or PROVED CONCAVE by the rules; PROVED NON-CONVEX by the certificate; else UNKNOWN.
        reason: why, in one sentence.
        census: how many entries of the value are proved to be what (F has one).
        broken: where the rule breaks, None where it does not.
        steps: the derivation, operands first; of an UNKNOWN one, up to the node where it breaks.
        searched: why no certificate was found, where one was looked for.
    """

    axis: str
    verdict: Verdict
    reason: str
    census: Census
    broken: Break | None = None
    steps: tuple[Step, ...] = ()
    searched: str = ""

    @property
    def proved(self) -> bool:
        """Whether the verdict is a theorem."""
        return self.verdict != "UNKNOWN"

    @property
    def guarantee(self) -> Guarantee:
        """Exact for what is proved; an unknown claims nothing."""
        return "exact" if self.proved else "heuristic"

    def to_json(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "axis": self.axis,
            "verdict": self.verdict,
            "guarantee": self.guarantee,
            "reason": self.reason,
            "curvature": self.census.to_json(),
            "broken": None if self.broken is None else self.broken.to_json(),
            "searched": self.searched,
            "steps": [step.to_json() for step in self.steps],
        }

    def tree(self) -> str:
        """The derivation as an indented tree: a value, and below it what it is computed from."""
        return "\n".join(tree(self.steps))

    def chain(self) -> str:
        """The derivation in one line, from the variables on."""
        return chain(self.steps, breaks=self.broken is not None)


@dataclass(frozen=True)
class Analysis:
    """One choice of variables, everything else held at its value.

    Attributes:
        axis: which kind of choice. name: which one: a module's path, a tensor, the user's own label.
        variables: canonical names of the parameters, or of the inputs.
        outputs: of the network's outputs. loss: of F.
        certificate: that refutes convexity, where one is known.
    """

    axis: Axis
    name: str
    variables: tuple[str, ...]
    outputs: Finding
    loss: Finding
    certificate: Evidence | None = None

    @property
    def label(self) -> str:
        """A few words for a table."""
        match self.axis:
            case "block":
                return f"layer {self.name}" if self.name else "the model"
            case "joint":
                return "loss F"
            case _:
                return self.name

    def to_json(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "axis": self.axis,
            "name": self.name,
            "variables": list(self.variables),
            "outputs": self.outputs.to_json(),
            "loss": self.loss.to_json(),
        }


@dataclass(frozen=True)
class Explanation:
    """Where, and why not, the loss of a network is convex by the rules of disciplined convex programming.

    Attributes:
        function: what F is, in words.
        inputs: in the inputs, at these parameters. apart: in each of several inputs alone.
        blocks: in the parameters of each module alone, in the order of the program.
        tensors: in each tensor alone, where asked for. subsets: in each set that the user named.
        joint: in all trainable parameters at once.
        summary: paragraphs that answer "ReLU is convex, why is the problem not?" on this network.
        notes: what else a reader must know, such as a certificate that does not apply.
        guarantee: what a verdict means.
    """

    function: str
    inputs: Analysis
    blocks: tuple[Analysis, ...]
    joint: Analysis
    tensors: tuple[Analysis, ...]
    subsets: tuple[Analysis, ...]
    summary: tuple[str, ...]
    notes: tuple[str, ...]
    guarantee: str
    apart: tuple[Analysis, ...] = ()

    @property
    def analyses(self) -> tuple[Analysis, ...]:
        """All of them: inputs, blocks, tensors, subsets, joint."""
        return (self.inputs, *self.apart, *self.blocks, *self.tensors, *self.subsets, self.joint)

    @property
    def verdicts(self) -> tuple[Finding, ...]:
        """The findings in reading order: the outputs in the inputs, then F on every axis."""
        return (self.inputs.outputs, *(analysis.loss for analysis in self.analyses))

    def block(self, name: str) -> Analysis:
        """The analysis of that module, tensor or subset.

        Raises:
            KeyError: there is none of that name.
        """
        for analysis in (*self.blocks, *self.tensors, *self.subsets):
            if analysis.name == name:
                return analysis
        raise KeyError(name)

    def to_json(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "format": "orbitope explanation",
            "version": 1,
            "function": self.function,
            "inputs": self.inputs.to_json(),
            "apart": [a.to_json() for a in self.apart],
            "blocks": [a.to_json() for a in self.blocks],
            "tensors": [a.to_json() for a in self.tensors],
            "subsets": [a.to_json() for a in self.subsets],
            "joint": self.joint.to_json(),
            "summary": list(self.summary),
            "notes": list(self.notes),
            "guarantee": self.guarantee,
        }

    def __str__(self) -> str:
        """Verdicts with their derivations, then the summary, in lines of at most 100 columns."""
        lines = [_wrapped(f"F = {self.function}", 0), ""]
        said: set[str] = set()
        lines += ["In the inputs, at these parameters", *_shown(self.inputs.outputs, "outputs", said)]
        lines += _shown(self.inputs.loss, "loss F", said, self.inputs.outputs)
        for a in self.apart:
            lines += _shown(a.outputs, f"outputs, in {a.name} alone", said)
        for title, analyses in (
            ("In the parameters of one module alone, all others held", self.blocks),
            ("In one tensor alone, all others held", self.tensors),
            ("In the parameters that you named, all others held", self.subsets),
            ("In all parameters jointly", (self.joint,)),
        ):
            lines += ["", title] if analyses else []
            for a in analyses:
                lines += _shown(a.loss, a.label, said)
        for paragraph in (*self.summary, *self.notes, f"Guarantee: {self.guarantee}"):
            lines += ["", _wrapped(paragraph, 0)]
        return "\n".join(lines)


# text -----------------------------------------------------------------------------------------------------------------
def _wrapped(text: str, indent: int) -> str:
    pad = " " * indent
    return fill(text, WIDTH, initial_indent=pad, subsequent_indent=pad, break_on_hyphens=False)


def _shown(finding: Finding, label: str, said: set[str], before: Finding | None = None) -> list[str]:
    """A verdict and what it rests on; no rule is stated twice."""
    lines = [f"  {label:<12} {finding.verdict}"]
    if before is not None and before.broken is not None and finding.broken == before.broken:
        lines.append(_wrapped("as the outputs: the rule breaks at the same node", 6))
        return lines
    again = finding.broken is not None and finding.verdict == "UNKNOWN" and finding.broken.rule in said
    lines.append(_wrapped(finding.broken.fact if again and finding.broken else finding.reason, 6))
    said.update([finding.broken.rule] if finding.broken is not None else [])
    if finding.verdict in ("PROVED CONVEX", "PROVED CONCAVE"):
        lines += [f"      {line}" for line in tree(finding.steps)]
    elif finding.broken is not None:
        lines.append(_wrapped(f"at {finding.broken.place}; {finding.chain()}", 6))
    return lines
