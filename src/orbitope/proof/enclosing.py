"""Bounds of F at the points of a witness, in float64 first and with growing precision where that is too coarse."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from orbitope.arithmetic import ArbArithmetic, NormArithmetic
from orbitope.errors import EnclosureError
from orbitope.primitives import evaluate
from orbitope.proof.pruning import zeros
from orbitope.proof.setting import Setting, entries
from orbitope.proof.witnesses import Witness, places

Bounds = tuple[float, float]
Progress = Callable[[str, int, int], None]

LADDER = (53, 128, 256, 512, 1024)
"""Precisions in bits; the first is float64 with radii of entries and of samples, the others are Arb's."""

ENOUGH = 0.25
"""An enclosure that is narrower than this share of the gap will do."""

PILOT = 4
"""Samples on which a precision is tried before all of them are evaluated."""


@dataclass(frozen=True)
class Enclosures:
    """Bounds of F at every point that a claim names, as a certificate has them.

    Attributes:
        points: at the points of the inequality.
        average: at their average; None where there is none.
        start: at A, where a chain of averages begins; None where there is no chain.
        end: at the end of the chain.
        precision: of the arithmetic, in bits.
    """

    points: tuple[Bounds, ...]
    average: Bounds | None
    start: Bounds | None
    end: Bounds | None
    precision: int

    @property
    def known(self) -> list[Bounds]:
        """All of them."""
        return [*self.points, *(b for b in (self.average, self.start, self.end) if b is not None)]

    @property
    def width(self) -> float:
        """Of the widest."""
        return max(high - low for low, high in self.known)

    def to_json(self) -> dict[str, Any]:
        """As a certificate states them."""
        return {"points": list(self.points), "average": self.average, "start": self.start, "end": self.end}


def arithmetic_of(precision: int) -> Any:
    """The arithmetic of a step of the ladder."""
    return NormArithmetic() if precision <= 53 else ArbArithmetic(precision)


def ladder(
    setting: Setting, witness: Witness, progress: Progress, tried: list[str], budget: int
) -> Iterator[Enclosures]:
    """Enclosures in growing precision: the caller stops when they are narrow enough.

    Args:
        setting: model, loss and data.
        witness: the points.
        progress: is told how far it is.
        tried: gets a line for each precision that failed.
        budget: entries of values that Arb may compute in all; a precision that needs more is not begun.
    """
    objective = setting.objective
    cost = entries(setting.pieces.program(objective.samples if objective.whole else 1, _off(witness))[0])
    cost *= (1 if objective.whole else objective.samples) * (len(witness.times) or len(witness.points) + 1 or 3)
    for precision in LADDER:
        if precision > 53 and cost > budget:
            tried.append(f"{precision} bits: {cost:,} entries to compute in Arb, more than {budget:,}")
            return
        try:
            if not objective.whole and objective.samples > 4 * PILOT:
                pilot = enclose(setting, witness, precision, lambda *_: None, PILOT)
                if pilot.width > max(witness.gap, 0.0) * ENOUGH:
                    tried.append(f"{precision} bits: an enclosure over {PILOT} samples is {pilot.width:.3g} wide")
                    continue
            yield enclose(setting, witness, precision, progress)
        except EnclosureError as error:
            tried.append(f"{precision} bits: {error.what}")


def enclose(
    setting: Setting, witness: Witness, precision: int, progress: Progress, samples: int | None = None
) -> Enclosures:
    """Bounds of F at every point that a witness needs.

    Args:
        setting: model, loss and data.
        witness: the points.
        precision: in bits.
        progress: is told how many points are done.
        samples: only so many of the first ones; the bounds are then of another function, for a first impression.

    Raises:
        EnclosureError: an enclosure overflows, or a function leaves its domain.

    Guarantee: exact, for all samples.
    """
    arithmetic = arithmetic_of(precision)
    found: dict[str, list[Bounds]] = {"points": [], "average": [], "start": [], "end": []}
    off = _off(witness)
    wanted = places(arithmetic, witness, _read(setting, samples, off))
    for done, (where, point) in enumerate(wanted):
        progress(f"enclosing the loss, {precision} bits", done, len(wanted))
        found[where].append(_bounds(arithmetic, setting, point(), samples, off))
    progress(f"enclosing the loss, {precision} bits", len(wanted), len(wanted))
    chain = witness.claim == "orbit-average"
    average = found["average"][0] if found["average"] else None
    start = found["start"][0] if found["start"] else found["points"][0] if chain else None
    end = found["end"][0] if found["end"] else average if chain else None
    return Enclosures(tuple(found["points"]), average, start, end, precision)


def _off(witness: Witness) -> frozenset[str]:
    """Parameters that are zero at every point."""
    return zeros(witness.start) - set(witness.moved) - {name for step in witness.steps for name in step.moves}


def _read(setting: Setting, samples: int | None, off: frozenset[str]) -> frozenset[str]:
    """Parameters that the programs read."""
    graphs = (graph for graph, _ in setting.pieces.blocks(samples, off))
    return frozenset(n.attributes["parameter"] for graph in graphs for n in graph if n.op == "parameter")


def _bounds(
    arithmetic: Any,
    setting: Setting,
    point: Mapping[str, Any],
    samples: int | None,
    off: frozenset[str],
) -> Bounds:
    """Of F at a point, block by block."""
    parts: list[Any] = []
    for graph, data in setting.pieces.blocks(samples, off):
        inputs = {name: arithmetic.samples(tensor) for name, tensor in data.items()}
        parts.append(evaluate(graph, arithmetic, point, inputs)[0])
    return arithmetic.enclosing_mean(parts)
