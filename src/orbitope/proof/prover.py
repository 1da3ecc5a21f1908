"""prove: from an objective to a certificate that its loss is not convex in the parameters."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal, get_args

import torch

from orbitope.errors import InputError
from orbitope.group import SymmetryGroup
from orbitope.objective import Objective
from orbitope.proof.certificate import Certificate
from orbitope.proof.enclosing import ENOUGH, Progress, ladder
from orbitope.proof.issuing import Issuer, NotIssued, usual_limit, violation
from orbitope.proof.setting import Setting
from orbitope.proof.witnesses import (
    Pair,
    Witness,
    curvature,
    exchanges,
    flips,
    measured,
    orbit_average,
    pairs,
    rescalings,
    rows_read,
    slices,
    slopes,
    swaps,
    twins,
)

Strategy = Literal[
    "swap", "exchange", "orbit-average", "sign-flip", "rescaling", "twin", "curvature", "slice", "slopes"
]
Claim = Literal["best", "midpoint"] | Strategy

STRATEGIES: dict[str, tuple[Strategy, ...]] = {
    "best": ("swap", "exchange", "orbit-average", "sign-flip", "rescaling", "twin", "curvature", "slice"),
    "midpoint": ("swap", "exchange", "sign-flip", "rescaling", "twin"),
    **{strategy: (strategy,) for strategy in get_args(Strategy)},
}
"""What is tried for each claim, in this order."""

ALONE = {"sign-flip", "rescaling", "curvature"}
"""Strategies that need no two units."""

NOISE = 1e-12
"""A gap below this share of F is not told from rounding in the search."""

CERTIFIED = 3
"""So many witnesses of one strategy are enclosed, the best ones."""

BUDGET = 2 * 10**7
"""So many numbers may be computed one by one in Arb for one witness: a minute or two."""


@dataclass(frozen=True)
class NotProven:
    """No certificate, and why. False where a Certificate is true.

    Attributes:
        reason: one sentence.
        tried: what was tried, in order, with its numbers.
        best_gap: the largest float64 gap that was met, None where there was nothing to try.
    """

    reason: str
    tried: tuple[str, ...] = ()
    best_gap: float | None = None

    def __bool__(self) -> bool:
        """False."""
        return False

    def __str__(self) -> str:
        """The reason, then what was tried."""
        return "\n".join([f"not proven: {self.reason}", *(f"  tried {text}" for text in self.tried)])

    def to_json(self) -> dict[str, Any]:
        """As JSON."""
        return {"proven": False, "reason": self.reason, "tried": list(self.tried), "best_gap": self.best_gap}


def prove(
    objective: Objective,
    group: SymmetryGroup | None = None,
    *,
    params: Mapping[str, torch.Tensor] | None = None,
    claim: Claim = "best",
    limit: int | None = None,
    progress: Progress | None = None,
) -> Certificate | NotProven:
    """A certificate that F is not convex in the variables, or the reason why there is none.

    What is tried, by the names of ``claim``:

    * ``swap``: the midpoint of A and A with two units exchanged; ``exchange``: with several pairs exchanged.
    * ``orbit-average``: the average over all permutations, by a chain of averages one of which violates Jensen's
      inequality.
    * ``sign-flip``: the midpoint of A and A with the signs of units changed; ``rescaling``: of A with units made s and
      1/s times as large.
    * ``twin``: a swap of constructed parameters, near the midpoint of a swap of A: works at initialisation too.
    * ``curvature``: A between A + d and A − d, where the loss bends down.
    * ``slice``: a swap in A with all but a few units of one layer switched off, for networks of any size.
    * ``slopes``: on the segment of a swap, a secant that is less steep than one before it.
    * ``midpoint``: the first of those that average two equivalent networks; ``best``: the first of all but ``slopes``.

    Args:
        objective: model, loss and data.
        group: its symmetries; inferred if not given. They suggest witnesses; no proof depends on them.
        params: the point A; the model's own parameters by default.
        claim: what to try.
        limit: units of work that a check may cost, multiply-adds for the most part. By default what ``check`` does
            without being told more: 10⁹, with python-flint 6·10⁹.
        progress: called now and then with what is done, how much of it and out of how much.

    Guarantee: exact. F is enclosed at every point in rigorous arithmetic; the certificate states real numbers and
        carries what an independent checker needs. NotProven is not a proof of convexity.
    Source: the argument in docs/proof.md; Jensen's inequality.
    """
    if claim not in STRATEGIES:
        raise InputError(f"unknown claim {claim!r}", fix=f"choose {', '.join(STRATEGIES)}")
    setting = Setting.of(objective, group, params)
    return _Attempt(setting, limit or usual_limit(), progress or (lambda *_: None)).run(STRATEGIES[claim])


def certify(
    objective: Objective,
    group: SymmetryGroup | None,
    witness: Callable[[Setting], Witness],
    *,
    params: Mapping[str, torch.Tensor] | None = None,
    progress: Progress | None = None,
) -> Certificate | NotProven:
    """A certificate of one witness that is known already, or the reason why there is none.

    Args:
        objective: model, loss and data.
        group: its symmetries; inferred if not given.
        witness: makes it, of the setting: the point A as a proof has it, and the symmetries that move variables only.
        params: the point A; the model's own parameters by default.
        progress: see :func:`prove`.

    Guarantee: exact, as of :func:`prove`.
    """
    setting = Setting.of(objective, group, params)
    return _Attempt(setting, usual_limit(), progress or (lambda *_: None)).one(witness(setting))


class _Attempt:
    """One search for a proof, and the record of what was tried."""

    def __init__(self, setting: Setting, limit: int, progress: Progress) -> None:
        self.setting = setting
        self.progress = progress
        self.issuer = Issuer(setting, progress, limit)
        self.tried: list[str] = []
        self.best_gap: float | None = None
        self.reason = "nothing was tried"
        self._pairs: list[Pair] | None = None

    def run(self, strategies: tuple[Strategy, ...]) -> Certificate | NotProven:
        """The first certificate, or why there is none."""
        alone = not ALONE & set(strategies)
        problem = (self._without_units() if alone else "") or self.issuer.problem()
        if problem:
            return NotProven(problem)
        try:
            too_large = self.issuer.too_large()
        except NotIssued as error:
            return NotProven(str(error))
        if too_large:
            self.tried.append(f"the whole network: {too_large}")
            self.reason = f"{too_large}; use fewer samples, a higher --limit, or --claim slice"
            strategies = tuple(strategy for strategy in strategies if strategy == "slice")
        for strategy in strategies:
            self.progress(f"searching: {strategy}", 0, 1)
            found = self.search(strategy)
            self.progress(f"searching: {strategy}", 1, 1)
            certificate = self._first(strategy, found)
            if certificate is not None:
                return certificate
        missing = self._without_units()
        reason = f"{missing}; {self.reason}" if missing else self.reason
        return NotProven(reason, tuple(self.tried), self.best_gap)

    def one(self, witness: Witness) -> Certificate | NotProven:
        """The certificate of this witness, or why there is none."""
        try:
            problem = self.issuer.problem() or self.issuer.too_large()
        except NotIssued as error:
            problem = str(error)
        if problem:
            return NotProven(problem)
        return self._first(witness.strategy, [witness]) or NotProven(self.reason, tuple(self.tried), self.best_gap)

    def _without_units(self) -> str:
        """Why no two units can be exchanged; empty where some can."""
        setting = self.setting
        if setting.units:
            return ""
        if setting.held:
            return f"every exchange moves parameters that are not trained: {', '.join(setting.held)}"
        return "no two units can be exchanged (every layer has width 1, or symmetry is broken)"

    @property
    def pairs(self) -> list[Pair]:
        """Promising exchanges of two units."""
        if self._pairs is None:
            self._pairs = pairs(self.setting.group, self.setting.start)
        return self._pairs

    def search(self, strategy: Strategy) -> list[Witness]:
        """Witnesses of one strategy by falling gap, over a part of the data where there are many."""
        s = self.setting
        value, loss = partial(s.value, samples=s.few), partial(s.loss, samples=s.few)
        match strategy:
            case "swap":
                return swaps(s.group, s.start, value, self.pairs)
            case "exchange":
                return exchanges(s.group, s.start, value, self.pairs)
            case "orbit-average":
                return orbit_average(s.group, s.start, value)
            case "sign-flip":
                return flips(s.group, s.start, value, s.variables)
            case "rescaling":
                return rescalings(s.group, s.start, value, s.variables)
            case "twin":
                return twins(s.group, s.start, value, loss, self.pairs)
            case "curvature":
                return curvature(s.start, value, loss, s.variables)
            case "slice":
                return slices(
                    s.group,
                    s.start,
                    value,
                    rows_read(*s.pieces.program(s.objective.samples if s.objective.whole else 1)),
                )
            case "slopes":
                best = swaps(s.group, s.start, value, self.pairs)[:1]
                return [found for witness in best for found in slopes(s.start, value, witness.steps[0])]

    def _first(self, strategy: str, found: list[Witness]) -> Certificate | None:
        """The first of some witnesses that can be certified."""
        if not found:
            self._fails(strategy, "there is nothing to try: all that can be exchanged is identical, or nothing can be")
            return None
        best = [replace(witness, gap=measured(witness, self.setting.value)) for witness in found[:CERTIFIED]]
        best.sort(key=lambda witness: -witness.gap)
        gap = best[0].gap
        self.best_gap = gap if self.best_gap is None else max(self.best_gap, gap)
        self.tried.append(f"{strategy}: {len(found)} tried, the best ({best[0].note}) exceeds by {gap:.6g}")
        floor = NOISE * max(1.0, abs(self.setting.value(self.setting.start)))
        if not gap > floor:
            self.reason = f"{strategy}: nothing that was tried makes the loss higher"
        for witness in best:
            certificate = self._certified(self.setting.only_variables(witness)) if witness.gap > floor else None
            if certificate is not None:
                return certificate
        return None

    def _certified(self, witness: Witness) -> Certificate | None:
        """Enclose F more and more precisely until the certificate can be issued."""
        widths = []
        for enclosures in ladder(self.setting, witness, self.progress, self.tried, BUDGET):
            gap = violation(witness, enclosures)
            widths.append(enclosures.width)
            if gap <= 0 or enclosures.width > ENOUGH * gap:
                width = f"enclosures {enclosures.width:.3g} wide"
                self.tried.append(f"{witness.note}: {enclosures.precision} bits, gap {gap:.3g}, {width}")
                if gap <= 0:
                    continue
            try:
                return self.issuer.issue(witness, enclosures)
            except NotIssued as error:
                self._fails(witness.strategy, str(error))
                return None
        self._fails(witness.strategy, f"the gap {witness.gap:.3g} is below the width of the enclosure")
        return None

    def _fails(self, strategy: str, why: str) -> None:
        self.reason = f"{strategy}: {why}"
        self.tried.append(self.reason)
