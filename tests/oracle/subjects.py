"""From a written call to its verdict."""

from __future__ import annotations

from dataclasses import dataclass

from tests.oracle.audit import Subject, Verdict, audit, changes
from tests.oracle.calls import Sample
from tests.oracle.programs import names, network

from orbitope.infer import infer


@dataclass(frozen=True)
class Finding:
    """The verdict on one result of one call.

    Attributes:
        sample: the call.
        select: which result.
        opaque: whether the lowering refused, so that the operation runs as it is.
        verdict: what was found.
    """

    sample: Sample
    select: int
    opaque: bool
    verdict: Verdict


def subject(sample: Sample, select: int) -> Subject:
    """The operation itself, as the audit sees it."""

    return Subject(
        lambda operands: sample.results(operands)[select],
        sample.draw,
        names(sample),
        [x.moves for x in sample.operands],
    )


def examine(sample: Sample, limit: int, modules: bool = True) -> list[Finding]:
    """Every result of a call.

    Args:
        sample: the call.
        limit: how many exchanges are tried at most.
        modules: whether operands of one shape are also taken for exchangeable modules, and that is audited too.

    Raises:
        LoweringError: the lowering and the operation disagree.
    """
    found = []
    for select, result in enumerate(sample.results(sample.draw(0))):
        if not result.numel():
            continue
        graph = network(sample, select)
        opaque = any(node.op == "opaque" and node.target == sample.target for node in graph)
        verdict = audit(subject(sample, select), infer(graph, modules=False), limit)
        if modules:
            verdict.unsound += changes(subject(sample, select), infer(graph))
        found.append(Finding(sample, select, opaque, verdict))
    return found
