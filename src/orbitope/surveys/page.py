"""The page of a survey: a table, a figure, and what each row says of the founding answer."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from orbitope.files import atomic_write
from orbitope.surveys import tables
from orbitope.surveys.records import Record
from orbitope.surveys.running import RECORDS, Survey

PAGE, FIGURE = "survey.md", "survey"
"""Names of the files of a survey, beside its records."""


def write(found: Survey, folder: Path) -> tuple[Path, ...]:
    """Write the page and the figure.

    Returns:
        Paths of the page, the PNG and the SVG.

    Raises:
        FileError: a file cannot be written.
    """
    from orbitope.reports.style import save_figure
    from orbitope.surveys.figure import figure

    pictures = save_figure(figure(found.records), folder / FIGURE)
    return atomic_write(folder / PAGE, page(found.records).encode()), *pictures


def _settings(records: Sequence[Record]) -> str:
    """What was combined; of the seeds, for how many activations each."""

    def told(key: str) -> str:
        return ", ".join(str(value) for value in sorted({record[key] for record in records}))

    every = len({record["activation"] for record in records})
    seeds = []
    for seed in sorted({record["seed"] for record in records}):
        count = len({record["activation"] for record in records if record["seed"] == seed})
        seeds.append(f"{seed}" if count == every else f"{seed} (for {count} of the activations)")
    return (
        f"{every} activations × widths {told('width')} × depths {told('depth')} × losses {told('loss')} × "
        f"seeds {', '.join(seeds)}"
    )


def page(records: Sequence[Record], source: str = RECORDS) -> str:
    """The page as Markdown; every number in it is of these records, whose file is ``source``."""
    t = tables.totals(records)
    names = sorted({record["data"] for record in records})
    return f"""# Survey: does the argument hold for my activation?

<!-- Written by `orbitope survey`; every number is of {source} beside it. -->

{t["networks"]} fully connected networks in float64: {_settings(records)}. Data: {", ".join(names)}.
Every loss has weight decay λ/2‖θ‖² with λ = {records[0]["weight_decay"]:g}, so that it has a minimum.
Each was trained by L-BFGS and Newton steps; {t["stationary"]} of {t["networks"]} ended where a gradient, or a
generalised gradient at kinks, is shorter than {t["threshold"]:g}.

* A is the network, B the same with two hidden units of a layer exchanged, M the midpoint of A and B. A *gap* is
  F(M) − F(A), or F(average over all exchanges of all layers) − F(A). Above zero it refutes convexity.
* Of {t["wide"]} trained networks with two units or more in a layer, {t["worse"]} have a swap with a worse midpoint, and
  {t["swap"]} of these were proved: the certificate was accepted by the independent checker. At initialisation
  {t["worse_initially"]} have one.
* The average over all exchanges is worse than A in {t["average_worse"]} of {t["wide"]} trained networks, and in
  {t["average_worse_initially"]} of {t["wide"]} at initialisation.
* Of the {t["narrow"]} networks of width 1, where no swap exists, {t["narrow_proved"]} were proved not convex by
  something else.

![Share of swaps with a bump, by activation and width, at initialisation and after training](survey.svg)

## What it says of the founding answer

A network counts for a sentence once, and may both support it (trained) and correct it (at initialisation).

{tables.sentences(records)}

## Proved, after training

How many networks of each activation and width were proved by their best swap; in the last column what proved the
others.

{tables.proofs(records)}

## The exceptions

Trained networks that no swap proves, and why.

{tables.unproved(records)}

## Numbers by width

Medians over all networks of a row. The gradient at A is the shortest generalised gradient that was found where entries
are within 10⁻⁵ of a kink; at B and M it is what automatic differentiation returns. Curvature at M is the smallest
eigenvalue of the Hessian that was found: where it is negative, M is no minimum.

{tables.by_setting(records, "width")}

## Numbers by depth and by loss

{tables.by_setting(records, "depth")}

{tables.by_setting(records, "loss")}

## Numbers by activation and width

{tables.summary(records)}

## What each row says

{tables.what_each_says(records)}
"""
