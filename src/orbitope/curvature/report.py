"""What ``explain`` returns: verdicts with their derivations, as data, as JSON and as text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from textwrap import fill
from typing import Any, Literal

from orbitope.curvature import words
from orbitope.curvature.state import Census
from orbitope.guarantee import Guarantee

Verdict = Literal["PROVED CONVEX", "PROVED CONCAVE", "PROVED NON-CONVEX", "UNKNOWN"]
Axis = Literal["inputs", "block", "tensor", "subset", "joint"]

_WIDTH = 100
_TREE = 18
"""Lines of a derivation that are printed; the JSON form has all."""


@dataclass(frozen=True)
class Step:
    """One value of a derivation.

    Attributes:
        node: its name in the graph. call: the traced call that it belongs to. traced: the operation called there.
        module, source: where that stands in the model.
        operation: what is computed.
        census: how many of its entries are proved to be what.
        rule: why, in one sentence; empty for the variables.
        operands: the steps of the operands that vary.
    """

    node: str
    call: str
    traced: str
    module: str
    source: str
    operation: str
    census: Census
    rule: str
    operands: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """As JSON."""
        plain = {name: getattr(self, name) for name in ("node", "traced", "module", "source", "operation", "rule")}
        return {**plain, "operands": list(self.operands), "curvature": self.census.to_json()}


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
    """

    axis: str
    verdict: Verdict
    reason: str
    census: Census
    broken: Break | None = None
    steps: tuple[Step, ...] = ()

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
            "steps": [step.to_json() for step in self.steps],
        }

    def tree(self) -> str:
        """The derivation as an indented tree: a value, and below it what it is computed from."""
        return "\n".join(_tree(self.steps))

    def chain(self) -> str:
        """The derivation in one line, from the variables on."""
        groups = [group for group in _groups(self.steps) if group.rules]
        shown = [f"{group.module} {group.operation}".strip() + f": {group.census}" for group in groups]
        if self.broken is not None and shown:
            shown[-1] += " (breaks here)"
        if len(shown) > 7:
            shown = [*shown[:3], f"… {len(shown) - 6} further …", *shown[-3:]]
        return " → ".join(shown)


@dataclass(frozen=True)
class Analysis:
    """One choice of variables, everything else held at its value.

    Attributes:
        axis: which kind of choice. name: which one: a module's path, a tensor, the user's own label.
        variables: canonical names of the parameters, or of the inputs.
        outputs: of the network's outputs. loss: of F.
    """

    axis: Axis
    name: str
    variables: tuple[str, ...]
    outputs: Finding
    loss: Finding

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
        inputs: in the inputs, at these parameters.
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

    @property
    def analyses(self) -> tuple[Analysis, ...]:
        """All of them: inputs, blocks, tensors, subsets, joint."""
        return (self.inputs, *self.blocks, *self.tensors, *self.subsets, self.joint)

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
    return fill(text, _WIDTH, initial_indent=pad, subsequent_indent=pad, break_on_hyphens=False)


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
        lines += [f"      {line}" for line in _tree(finding.steps)]
    elif finding.broken is not None:
        lines.append(_wrapped(f"at {finding.broken.place}; {finding.chain()}", 6))
    return lines


@dataclass(frozen=True)
class _Group:
    """The steps of one traced operation: a dense layer is one line, not a product, a broadcast and a sum."""

    call: str
    module: str
    source: str
    operation: str
    census: Census
    rules: tuple[str, ...]
    leaves: tuple[str, ...]
    operands: tuple[str, ...]


def _groups(steps: Sequence[Step]) -> list[_Group]:
    by_call: dict[str, list[Step]] = {}
    call_of = {step.node: step.call for step in steps}
    leaves = {step.node: step.operation for step in steps if not step.rule}
    for step in steps:
        by_call.setdefault(step.call, []).append(step)
    return [_group(call, parts, call_of, leaves) for call, parts in by_call.items()]


def _group(call: str, parts: Sequence[Step], call_of: Mapping[str, str], leaves: Mapping[str, str]) -> _Group:
    last = parts[-1]
    outside = dict.fromkeys(x for part in parts for x in part.operands if call_of[x] != call)
    rules = [p.rule for p in parts if p.rule]
    bending = [r for r in rules if not r.startswith(words.MOVED) and not r.endswith(words.AFFINE)]
    telling = bending or [r for r in rules if not r.startswith(words.MOVED)] or rules
    module = f"layer {last.module}" if last.module not in ("", "loss") else last.module
    acting = list(dict.fromkeys(p.operation for p in parts if p.rule != words.MOVED)) or [last.operation]
    main = acting[0] if len(acting) == 1 and acting[0] not in words.SUMS else last.traced or acting[0]
    return _Group(
        call,
        module,
        last.source,
        main,
        last.census,
        tuple(dict.fromkeys(telling)),
        tuple(dict.fromkeys(leaves[x] for x in outside if x in leaves)),
        tuple(dict.fromkeys(call_of[x] for x in outside if x not in leaves)),
    )


def _tree(steps: Sequence[Step]) -> list[str]:
    groups = {group.call: group for group in _groups(steps)}
    if not groups:
        return []
    lines = list(_branches(groups, steps[-1].call, 0, set()))
    if len(lines) > _TREE:
        cut = len(lines) - _TREE + 1
        lines = [*lines[: _TREE - 4], f"… {cut} further lines (in the JSON form) …", *lines[-3:]]
    return lines


def _branches(groups: Mapping[str, _Group], call: str, depth: int, seen: set[str]) -> Iterator[str]:
    group, pad = groups[call], "  " * depth
    place = f"{group.module} ({group.source})" if group.source else group.module
    if call in seen:
        yield f"{pad}{group.census} — {place} {group.operation}, as above"
        return
    seen.add(call)
    text = f"{pad}{group.census} — {place}".rstrip(" —")
    text += f": {'; '.join(group.rules)}" if group.rules else ""
    text += f"; in {', '.join(group.leaves)}" if group.leaves else ""
    yield from fill(text, _WIDTH - 6, subsequent_indent=pad + "    ", break_on_hyphens=False).splitlines()
    for operand in group.operands:
        yield from _branches(groups, operand, depth + 1, seen)
