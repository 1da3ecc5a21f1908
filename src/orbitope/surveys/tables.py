"""The tables of a survey, as Markdown."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from statistics import median
from typing import Any

from orbitope.surveys.reading import (
    SENTENCES,
    STATIONARY,
    average_worse,
    exceptions,
    near_stationary,
    remarks,
    shortest,
    tally,
    worse,
)
from orbitope.surveys.records import Record


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [" | ".join(head), " | ".join("---" for _ in head), *(" | ".join(row) for row in rows)]
    return "\n".join(f"| {line} |" for line in lines)


def groups(records: Sequence[Record], *keys: str) -> dict[tuple[Any, ...], list[Record]]:
    """Records by the values of some settings, in their own order."""
    found: dict[tuple[Any, ...], list[Record]] = {}
    for record in records:
        found.setdefault(tuple(record[key] for key in keys), []).append(record)
    return found


def _count(records: Sequence[Record], holds: Callable[[Record], bool]) -> str:
    return f"{sum(map(holds, records))}/{len(records)}"


def _middle(values: Iterable[float | None]) -> str:
    known = [v for v in values if v is not None and math.isfinite(v)]
    return f"{median(known):.1e}".replace("-", "−") if known else "–"


def _bumps(records: Sequence[Record], phase: str) -> str:
    swaps, bumps = (sum(record[phase][key] for record in records) for key in ("swaps", "bumps"))
    return f"{bumps / swaps:.0%}" if swaps else "–"


def _proved(records: Sequence[Record], phase: str) -> str:
    if not any("proved" in record[phase] for record in records):
        return "–"
    return _count(records, lambda record: record[phase].get("proved") == "swap")


def _otherwise(records: Sequence[Record], phase: str) -> str:
    told: dict[str, int] = {}
    for record in records:
        strategy = record[phase].get("proved")
        if strategy and strategy != "swap":
            told[strategy] = told.get(strategy, 0) + 1
    return ", ".join(f"{count} {name}" for name, count in sorted(told.items(), key=lambda item: -item[1])) or "–"


HEAD = (
    *("‖∇F‖ at A", "at B", "at M", "gap, best swap", "gap, random swap", "gap, average", "swaps with a bump"),
    *("curvature at M", "proved by a swap", "otherwise"),
)


MEDIANS = ("gradient_b", "gradient_m", "best_gap", "random_gap", "average_gap")


def _row(records: Sequence[Record], phase: str) -> list[str]:
    points = [record[phase] for record in records]
    return [
        _middle(shortest(p) for p in points),
        *(
            _middle(p[key] for p in points)
            for key in ("gradient_b", "gradient_m", "best_gap", "random_gap", "average_gap")
        ),
        _bumps(records, phase),
        _middle(p["curvature_m"] for p in points),
        _proved(records, phase),
        _otherwise(records, phase),
    ]


def summary(records: Sequence[Record]) -> str:
    """For each activation and width: medians over depth, loss and seed, at initialisation and after training."""
    rows = []
    for (activation, width), some in groups(records, "activation", "width").items():
        rows += [[activation, str(width), word, *_row(some, phase)] for phase, word in PHASES]
    return _table(("activation", "width", "when", *HEAD), rows)


PHASES = (("initial", "initial"), ("trained", "trained"))


def by_setting(records: Sequence[Record], key: str) -> str:
    """The same medians for each value of one setting."""
    rows = []
    for (value,), some in groups(records, key).items():
        rows += [[str(value), word, *_row(some, phase)] for phase, word in PHASES]
    return _table((key.replace("_", " "), "when", *HEAD), rows)


def proofs(records: Sequence[Record]) -> str:
    """For each activation and width how many trained networks were proved by a swap."""
    widths = sorted({record["width"] for record in records})
    rows = []
    for (activation,), some in groups(records, "activation").items():
        of = [[record for record in some if record["width"] == width] for width in widths]
        rows.append(
            [activation, *(_proved(part, "trained") if part else "–" for part in of), _otherwise(some, "trained")]
        )
    return _table(("activation", *(f"width {width}" for width in widths), "others, by"), rows)


def unproved(records: Sequence[Record]) -> str:
    """Every trained network that no swap proves, with the reason: the honest exceptions, one line for each kind."""
    kinds: dict[tuple[str, ...], list[Record]] = {}
    for record in records:
        point = record["trained"]
        if point.get("proved") == "swap" or "proved" not in point:
            continue
        reason = "; ".join(exceptions(record, "trained")) or point["reason"]
        kinds.setdefault((reason, point["proved"] or "nothing"), []).append(record)
    rows = []
    for (reason, by), some in sorted(kinds.items(), key=lambda item: -len(item[1])):
        names: dict[str, int] = {}
        for record in some:
            names[record["activation"]] = names.get(record["activation"], 0) + 1
        shown = ", ".join(f"{name} {count}" for name, count in names.items())
        rows.append([reason, by, str(len(some)), shown])
    return _table(("exception", "proved by", "networks", "of them"), rows) if rows else "None."


def sentences(records: Sequence[Record]) -> str:
    """For each sentence of the founding answer how many networks support it and how many correct it."""
    counts = tally(records)
    rows = [
        [step, sentence.text, str(counts[step][0]), str(counts[step][1]), sentence.care]
        for step, sentence in SENTENCES.items()
        if any(counts[step])
    ]
    return _table(("", "the sentence", "support it", "correct it", "where it needs care"), rows)


def what_each_says(records: Sequence[Record]) -> str:
    """For each width and phase what the networks say of the sentences, in one line each."""
    rows = []
    for (activation, width), some in groups(records, "activation", "width").items():
        said: dict[str, list[str]] = {"supports": [], "corrects": []}
        for step in SENTENCES:
            for kind, names in said.items():
                count = sum(any(r.step == step and r.kind == kind for r in remarks(record)) for record in some)
                if count:
                    names.append(f"{step} {count}/{len(some)}")
        rows.append([activation, str(width), ", ".join(said["supports"]) or "–", ", ".join(said["corrects"]) or "–"])
    return _table(("activation", "width", "supports", "corrects"), rows)


def totals(records: Sequence[Record]) -> dict[str, Any]:
    """The numbers that a page quotes."""
    wide = [record for record in records if record["width"] > 1]
    live = [record for record in wide if all(count > 1 for count in record["trained"]["distinct"])]
    return {
        "networks": len(records),
        "wide": len(wide),
        "live": len(live),
        "stationary": sum(near_stationary(record["trained"]) for record in records),
        "threshold": STATIONARY,
        "worse": sum(worse(record["trained"]) for record in wide),
        "worse_initially": sum(worse(record["initial"]) for record in wide),
        "average_worse": sum(average_worse(record["trained"]) for record in wide),
        "average_worse_initially": sum(average_worse(record["initial"]) for record in wide),
        "swap": sum(record["trained"].get("proved") == "swap" for record in wide),
        "swap_initially": sum(record["initial"].get("proved") == "swap" for record in wide),
        "proved": sum(bool(record["trained"].get("proved")) for record in records),
        "proved_initially": sum(bool(record["initial"].get("proved")) for record in records),
        "narrow_proved": sum(bool(r["trained"].get("proved")) for r in records if r["width"] == 1),
        "narrow": len(records) - len(wide),
        "seconds": sum(record["seconds"] for record in records),
    }
