"""Records of single models: reading them back, and what they say about soundness."""

from __future__ import annotations

import json
from collections.abc import Iterable
from math import inf
from pathlib import Path
from typing import Any

Record = dict[str, Any]

TOLERANCE = 1e-9  # relative, in float64
ROUNDING = 1e-4  # of models that round to float32 inside themselves, or run in it only
CONDITIONED = 1e-7


def load(paths: Iterable[Path], skipped: bool = False) -> list[Record]:
    """The latest record of each model.

    Args:
        paths: files of JSON lines; later ones count more.
        skipped: also names under which there is nothing to measure.
    """
    found: dict[str, Record] = {}
    for path in paths:
        for line in path.read_text().splitlines():
            record = json.loads(line)
            found[record["key"]] = record
    return [r for r in found.values() if skipped or verdict(r) != "skipped"]


def analysed(record: Record) -> bool:
    """Whether everything was done, the tries of random elements too."""
    return "failure" not in record


def verdict(record: Record) -> str:
    """What the tries of random elements say.

    Returns:
        ``sound``: errors in float64 are those of rounding, on the lowered program and on the model itself.
        ``sound, rounds``: on the lowered program they are; the model itself rounds to float32 inside, and its error is
        of that size.
        ``unsound``: an element changes the function.
        ``random``: the model does not even agree with itself, run twice.
        ``chaotic``: one rounding of the parameters changes the outputs in their leading digits; nothing can be tried.
        ``failed``: something before that did not work.
        ``skipped``: there is nothing to measure under this name.
    """
    if not analysed(record):
        return "skipped" if record["failure"]["type"] == "Skipped" else "failed"
    lowered, real, itself = (
        inf if record[k] is None else record[k] for k in ("error lowered", "error real", "self error")
    )
    if itself > ROUNDING:
        return "random"
    if record.get("sensitivity", 0.0) > ROUNDING:
        return "chaotic"
    every = record.get("error every part", 0.0)  # matrices and scales may be badly conditioned, within bounds
    if every is None or not every <= max(CONDITIONED, 100 * record.get("self error lowered", 0.0)):
        return "unsound"
    if not lowered <= max(TOLERANCE, 100 * record.get("self error lowered", 0.0)):
        return "unsound"
    if real <= max(TOLERANCE, 100 * itself):
        return "sound"
    return "sound, rounds" if real <= ROUNDING else "unsound"


def missed(record: Record) -> float | None:
    """How much of the closed form was not found, in powers of ten; None where there is no closed form."""
    return record["expected"] - record["log10_order"] if "expected" in record and "log10_order" in record else None
