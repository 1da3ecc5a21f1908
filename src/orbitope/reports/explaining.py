"""explain with certificates: the rules of composition, and where they prove nothing, the search for a proof."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property, partial
from typing import Any

import torch

from orbitope.curvature import Explanation
from orbitope.curvature import explain as by_rules
from orbitope.curvature.explanation import Blocks
from orbitope.curvature.outline import Outline
from orbitope.curvature.study import Progress
from orbitope.curvature.witness import Evidence
from orbitope.errors import InputError, OrbitopeError
from orbitope.group import SymmetryGroup
from orbitope.infer import infer
from orbitope.objective import Objective
from orbitope.proof import Certificate, NotProven, certify, check_certificate
from orbitope.proof import prove as prove_jointly
from orbitope.proof.setting import Setting
from orbitope.proof.witnesses import Witness
from orbitope.proof.witnesses.chords import chords


def explain(
    objective: Objective | Outline,
    certificate: Evidence | None = None,
    *,
    prove: bool = False,
    params: Mapping[str, torch.Tensor] | None = None,
    blocks: Blocks | None = None,
    tensors: bool = False,
    progress: Progress | None = None,
) -> Explanation:
    """Where the loss is convex by the rules of composition, where it is proved not to be, and where the rules break.

    Args:
        objective: model, loss and data; or the outline of one, which needs no data and perhaps no weights.
        certificate: of non-convexity; cited on every axis that its points lie in.
        prove: wherever the rules prove nothing of the loss in a set of parameters, look for a certificate whose points
            differ in these only, and have it checked.
        params: parameters by name; the model's own by default.
        blocks: further sets of parameters to vary together: patterns (``layers.0.*``), lists of patterns, or a mapping
            from labels to these.
        tensors: also vary every trainable tensor alone.
        progress: called with what is done, how much of it and out of how much.

    Raises:
        ParametersError: the parameters do not fit.
        InputError: a pattern matches no trainable parameter, or an outline is to be proved.
        CertificateError: the certificate contradicts what the rules prove.

    Guarantee: exact for PROVED verdicts, see :func:`orbitope.curvature.explain`.
    """
    if prove and not isinstance(objective, Objective):
        raise InputError("nothing can be proved without data", fix="name data, or leave --prove out")
    prover = _Prover(objective) if prove and isinstance(objective, Objective) else None
    return by_rules(
        objective,
        certificate,
        params=params,
        blocks=blocks,
        tensors=tensors,
        prover=prover,
        progress=progress,
    )


class _Prover:
    """Certificates with some variables only, each checked."""

    def __init__(self, objective: Objective) -> None:
        self.objective = objective

    @cached_property
    def group(self) -> SymmetryGroup:
        """The symmetries, which suggest witnesses."""
        return infer(self.objective.network, modules=False)

    def __call__(self, part: Objective, params: Mapping[str, torch.Tensor]) -> Certificate | NotProven:
        """What prove finds; else a chord."""
        try:
            found = prove_jointly(part, self.group, params=params)
            if isinstance(found, NotProven):
                chord = certify(part, self.group, _chord, params=params)
                found = _joined(found, chord) if isinstance(chord, NotProven) else chord
            if isinstance(found, NotProven):
                return found
            verdict = check_certificate(found.to_bytes())
            return found if verdict.accepted else NotProven(f"the checker says: {verdict.reason}")
        except (OrbitopeError, _Nothing) as error:
            return NotProven(error.what if isinstance(error, OrbitopeError) else str(error))


class _Nothing(Exception):
    """There is no chord."""


def _chord(setting: Setting) -> Witness:
    few: dict[str, Any] = {"samples": setting.few}
    found = chords(setting.start, partial(setting.value, **few), partial(setting.loss, **few), setting.variables)
    if not found:
        raise _Nothing("nothing real varies")
    return found[0]


def _joined(first: NotProven, second: NotProven) -> NotProven:
    gaps = [gap for gap in (first.best_gap, second.best_gap) if gap is not None]
    return NotProven(second.reason, (*first.tried, *second.tried), max(gaps) if gaps else None)
