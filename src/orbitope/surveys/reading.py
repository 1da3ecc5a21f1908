"""What a record says: its exceptions, and which sentence of the founding answer it supports or corrects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from orbitope.surveys.measuring import floor
from orbitope.surveys.records import Record

Phase = Literal["initial", "trained"]
Kind = Literal["supports", "corrects"]

STATIONARY = 1e-4
"""A generalised gradient of at most this length is called nearly stationary in tables."""


@dataclass(frozen=True)
class Sentence:
    """One sentence of the founding answer.

    Attributes:
        step: Q1 to Q7.
        text: what it says.
        care: where it needs care.
    """

    step: str
    text: str
    care: str


SENTENCES: dict[str, Sentence] = {
    s.step: s
    for s in (
        Sentence(
            "Q1",
            "Two hidden nodes of a layer can be exchanged with all their edges, and the function stays the same.",
            "A layer of width 1 has no two nodes. Other symmetries may be there: signs, scales.",
        ),
        Sentence(
            "Q2",
            "If F were convex, the midpoint of A and B could not be worse than A. It is worse.",
            "Not for every pair, not for equal nodes, and often not at initialisation: one worse midpoint is needed.",
        ),
        Sentence(
            "Q3",
            "If F were convex, averaging over all exchanges could not be worse either.",
            "At initialisation the average is often better than A: it is nearly zero, and so is a good first guess.",
        ),
        Sentence(
            "Q4",
            "A and B are stationary, and a point between them is not.",
            "One point between is enough. At kinks the gradient of a minimum need not be zero; a generalised one is.",
        ),
        Sentence(
            "Q5",
            "There is no unique optimum once a layer has two different nodes.",
            "Dead or equal nodes give fewer copies than n!, and a layer of equal nodes gives one.",
        ),
        Sentence(
            "Q6",
            "A convex and non-decreasing activation does not make F convex in the parameters.",
            "The activation's traits decide convexity in the inputs, not in the parameters.",
        ),
        Sentence(
            "Q7",
            "The average of two permutations of an optimum need not be optimal, whatever the activation.",
            "An optimum at which all nodes of a layer are equal is its own permutation.",
        ),
    )
}
"""By step."""


@dataclass(frozen=True)
class Remark:
    """One record, one sentence: supported or corrected, and by what numbers."""

    step: str
    kind: Kind
    why: str


def worse(point: Mapping[str, Any]) -> bool:
    """Whether the midpoint of the best swap is worse than A."""
    return point["best_gap"] is not None and point["best_gap"] > floor(point["loss"])


def average_worse(point: Mapping[str, Any]) -> bool:
    """Whether the average over all exchanges is worse than A."""
    return point["average_gap"] is not None and point["average_gap"] > floor(point["loss"])


def near_stationary(point: Mapping[str, Any]) -> bool:
    """Whether the gradient, or a generalised gradient, is nearly zero."""
    return shortest(point) <= STATIONARY


def shortest(point: Mapping[str, Any]) -> float:
    """Length of the gradient, or of a shorter generalised gradient that was found."""
    generalised = point.get("generalised_a")
    return min(point["gradient_a"], generalised) if generalised is not None else point["gradient_a"]


def exceptions(record: Record, phase: Phase) -> list[str]:
    """Why the argument of the swap says nothing here, where it says nothing."""
    point, found = record[phase], []
    if record["width"] == 1:
        found.append("width 1")
    if any(point["dead"]):
        found.append("dead units")
    if record["width"] > 1 and any(count < record["width"] for count in point["distinct"]):
        found.append("identical units")
    if phase == "initial":
        found.append("initialisation")
    return found


def remarks(record: Record) -> list[Remark]:
    """What one record says of the founding answer."""
    first, last = record["initial"], record["trained"]
    found: list[Remark] = []
    if record["width"] == 1:
        found.append(Remark("Q1", "corrects", "one unit in each layer: nothing to exchange"))
        other = last.get("proved")
        if other:
            found.append(Remark("Q6", "supports", f"not convex all the same, by {other}"))
        return found
    kept = abs(last["gradient_b"] - last["gradient_a"]) <= 1e-6 * (1 + last["gradient_a"])
    found.append(_of("Q1", kept, f"‖∇F‖ = {last['gradient_a']:.3g} at A and {last['gradient_b']:.3g} at B"))
    found.append(_of("Q2", worse(last), f"trained: {_gap(last['best_gap'])}"))
    found.append(_of("Q3", average_worse(last), f"trained: {_gap(last['average_gap'])}"))
    if not worse(first):
        found.append(Remark("Q2", "corrects", f"initial: {_gap(first['best_gap'])}"))
    if not average_worse(first):
        found.append(Remark("Q3", "corrects", f"initial: {_gap(first['average_gap'])}"))
    if near_stationary(last):
        moving = last["gradient_m"] > 100 * max(shortest(last), 1e-9)
        found.append(_of("Q4", moving, f"‖∇F‖ = {shortest(last):.1e} at A, {last['gradient_m']:.1e} at M"))
    equal = all(count == 1 for count in last["distinct"])
    found.append(_of("Q5", not equal, f"different units: {', '.join(map(str, last['distinct']))}"))
    if last.get("proved"):
        found.append(Remark("Q6", "supports", f"proved not convex by {last['proved']}"))
    found.append(_of("Q7", worse(last), f"trained: {_gap(last['best_gap'])}"))
    return found


def _of(step: str, holds: bool, why: str) -> Remark:
    return Remark(step, "supports" if holds else "corrects", why)


def _gap(value: float | None) -> str:
    return "not finite" if value is None else f"gap {value:.3g}"


def tally(records: Sequence[Record]) -> dict[str, tuple[int, int]]:
    """For each sentence how many records support it, and how many correct it."""
    counts = {step: [0, 0] for step in SENTENCES}
    for record in records:
        kinds: dict[str, set[str]] = {}
        for remark in remarks(record):
            kinds.setdefault(remark.step, set()).add(remark.kind)
        for step, said in kinds.items():
            counts[step][0] += "supports" in said
            counts[step][1] += "corrects" in said
    return {step: (a, b) for step, (a, b) in counts.items()}
