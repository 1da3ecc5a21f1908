"""Write docs/coverage.md and docs/coverage.json from the records of sweeps.

python benchmarks/zoo/coverage.py zoo.jsonl --into docs
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from explanations import REASONS, is_gap, kind
from forms import expected
from records import Record, analysed, load, missed, verdict

LIBRARIES = ("nn", "transformers", "torchvision", "timm")
_VERSIONS = {
    "nn": "plain torch.nn",
    "transformers": "transformers 5.23, torch 2.13",
    "torchvision": "torchvision 0.29.1, torch 2.14.1",
    "timm": "timm 1.0.31, torch 2.14.1",
}
_INTRODUCTION = """# Coverage

What the analysis finds on public architectures. `make zoo` builds a small instance of each model (a few layers,
sizes that differ from each other, random weights, gains and statistics), traces it, infers its group, and tries two
random elements: on the lowered program in float64, and on the model itself. An element that changes an output would
be *unsound*. The table is also in `coverage.json`, with every frozen axis and every operation.

*Order* is log10 of the number of permutations that keep the function. A *closed form* is that number as mathematics
gives it, written by hand as a formula of the configuration (`benchmarks/zoo/forms`); a tick says that the order
found is equal. *Errors* are relative, of the worse of the two elements. *Frozen* counts parameter axes of which
some positions are fixed for reasons that lie in the analysis, not in the network. *Seconds* are those of export,
lowering and inference, each on its own, on one core that other processes used too; *MB* is the largest resident
size of the process, imports included.
"""


def main() -> None:
    """Write both files."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("records", type=Path, nargs="+")
    parser.add_argument("--into", type=Path, default=Path("docs"))
    options = parser.parse_args()
    records = sorted(
        map(_compared, load(options.records)), key=lambda r: (LIBRARIES.index(r["library"]), r["name"], r["attention"])
    )
    _write(options.into / "coverage.json", json.dumps(document(records), indent=1) + "\n")
    _write(options.into / "coverage.md", page(records))


def _compared(record: Record) -> Record:
    """A record with the closed form as it is written today, which may be later than the record."""
    try:
        form = expected(record["library"], record["name"])
    except ImportError:  # configurations of transformers are at hand only where it is installed
        return record
    return record if form is None else {**record, "expected": form}


def document(records: Sequence[Record]) -> Record:
    """The records and their totals, versioned."""
    return {
        "format": "orbitope coverage",
        "version": 1,
        "totals": totals(records),
        "models": [_model(r) for r in records],
    }


def totals(records: Sequence[Record]) -> dict[str, Record]:
    """Counts for each library, and for all."""
    groups = {name: [r for r in records if r["library"] == name] for name in LIBRARIES}
    return {name: _counts(rs) for name, rs in {**groups, "all": list(records)}.items() if rs}


def _counts(records: Sequence[Record]) -> Record:
    known = [missed(r) for r in records if "expected" in r]
    verdicts = Counter(map(verdict, records))
    return {
        "models": len(records),
        "types": len({(r["library"], r["name"]) for r in records}),
        "traced": sum("traced" in r for r in records),
        "traced by": dict(Counter(r["traced"] for r in records if "traced" in r)),
        "analysed": sum(map(analysed, records)),
        "unsound": verdicts["unsound"],
        "sound, the model rounds": verdicts["sound, rounds"],
        "with unknown operations": sum(bool(r.get("unknown")) for r in records),
        "closed forms": len(known),
        "closed forms hit": sum(gap is not None and abs(gap) < 1e-6 for gap in known),
    }


def _model(record: Record) -> Record:
    keys = (
        *(
            "library",
            "name",
            "attention",
            "class",
            "parameters",
            "traced",
            "sizes",
            "operations",
            "log10_order",
            "expected",
        ),
        *("sign bits", "dimension", "approximate", "error every part"),
        *("units", "unit_count", "error lowered", "error real", "real dtype", "self error", "control", "frozen"),
        *("unknown", "carried", "unknown without parameters", "seconds", "peak_mb", "base_mb"),
    )
    failure = record.get("failure")
    told = {} if failure is None else {"failure": {key: failure[key] for key in ("stage", "type", "message", "cause")}}
    return {"verdict": verdict(record), **{key.replace(" ", "_"): record[key] for key in keys if key in record}, **told}


def page(records: Sequence[Record]) -> str:
    """The page."""
    parts = [_INTRODUCTION, _totals(records)]
    for library in LIBRARIES:
        mine = [r for r in records if r["library"] == library and "log10_order" in r]
        if mine:
            parts.append(f"## {_VERSIONS[library][0].upper()}{_VERSIONS[library][1:]}\n\n{_table(mine)}")
    parts += [_failures(records), _closed_forms(records), _unknown(records), _frozen(records)]
    return "\n\n".join(part.strip() for part in parts if part) + "\n"


def _totals(records: Sequence[Record]) -> str:
    rows = []
    for name, t in totals(records).items():
        ways = ", ".join(f"{n} {way}" for way, n in t["traced by"].items() if way != "export")
        rows.append(
            (
                *(name, t["types"], t["models"], f"{t['traced']}" + (f" ({ways})" if ways else ""), t["analysed"]),
                *(t["unsound"], t["with unknown operations"], f"{t['closed forms hit']} / {t['closed forms']}"),
            )
        )
    head = ("library", "types", "models", "traced", "analysed", "unsound", "with unknown ops", "closed forms hit")
    text = "## Totals\n\n" + _rows(head, rows)
    two = sum(r.get("sizes") == 2 for r in records)
    eager = sum(r["attention"] == "eager" for r in records)
    rounds = sum(verdict(r) == "sound, rounds" for r in records)
    told = (
        f"{two} models were seen at two sizes of their inputs, and what is true of one of them only is not counted; "
        f"the others at one size. {eager} models of transformers were also measured with eager attention. {rounds} "
        "models round to float32 inside themselves; their own error is of that size, and that of the lowered program "
        "is not. Of each model the newest record counts; what has no row has not been measured."
    )
    return f"{text}\n\n{told}"


def _table(records: Sequence[Record]) -> str:
    head = (
        *("model", "order", "form", "units", "signs", "dimension"),
        *("error, lowered", "error, model", "error, every part", "frozen", "unknown", "seconds", "MB"),
    )
    return _rows(head, [_row(r) for r in records])


def _row(record: Record) -> tuple[str, ...]:
    gap = missed(record)
    form = "" if gap is None else "✓" if abs(gap) < 1e-6 else f"{record['expected']:.1f}"
    way = "" if record["traced"] == "export" else f" ({record['traced']})"
    unknown = ", ".join(f"{_short(name)} {n}" for name, n in record["unknown"].items())
    gaps = sum(e["axes"] for reason, e in record["frozen"].items() if _gap(reason, e))
    seconds = " ".join(
        f"{record['seconds'].get(stage, 0):.1f}" for stage in ("export", "lower", "second size", "infer")
    )
    name = record["name"] + (f" {record['attention']}" if record["attention"] else "") + way
    if verdict(record) == "unsound":
        name += " **unsound**"
    errors = (_number(record.get(key)) for key in ("error lowered", "error real", "error every part"))
    order = f"{record['log10_order']:.1f}"
    more = (str(record.get(key, "")) for key in ("sign bits", "dimension"))
    return (
        name,
        order,
        form,
        _units(record),
        *more,
        *errors,
        str(gaps or ""),
        unknown,
        seconds,
        str(record["peak_mb"]),
    )


def _gap(reason: str, entry: Record) -> bool:
    return entry["unknown"] or is_gap(reason)


def _units(record: Record) -> str:
    """How many sets of units have each role."""
    return ", ".join(f"{len(units)} {role or 'units'}" for role, units in record["units"].items())


def _short(target: str) -> str:
    return target.removeprefix("aten.").removesuffix(".default")


def _number(value: float | None) -> str:
    return "" if value is None else "0" if value == 0 else f"{value:.0e}"


def _failures(records: Sequence[Record]) -> str:
    groups: dict[tuple[str, str], list[str]] = defaultdict(list)
    for record in records:
        failure = record.get("failure")
        if failure:
            text = (failure["cause"] or f"{failure['type']}: {failure['message']}")[:220]
            groups[failure["stage"], text].append(record["key"])
    rows = [(stage, f"`{text}`", ", ".join(keys)) for (stage, text), keys in _largest(groups)]
    if not rows:
        return "## Not analysed\n\nNothing."
    return "## Not analysed\n\n" + _rows(("stage", "reason", "models"), rows)


def _closed_forms(records: Sequence[Record]) -> str:
    rows = [
        (r["key"], f"{r['log10_order']:.2f}", f"{r['expected']:.2f}", f"{gap:.2f}")
        for r in records
        if (gap := missed(r)) is not None and abs(gap) >= 1e-6
    ]
    text = (
        "Where the order found is not the closed form. What is below zero was found beyond it, and is true of the "
        "sizes of the inputs that were seen: padding of windows, pooling of few places to many.\n\n"
    )
    text += _rows(("model", "found", "closed form", "missed"), rows)
    return "## Closed forms missed\n\n" + (text if rows else "None.")


def _unknown(records: Sequence[Record]) -> str:
    models: dict[str, set[str]] = defaultdict(set)
    calls: Counter[str] = Counter()
    for record in records:
        for name, n in record.get("unknown", {}).items():
            models[name].add(record["key"])
            calls[name] += n
    rows = [
        (f"`{name}`", len(keys), calls[name], ", ".join(sorted(keys)[:6]))
        for name, keys in sorted(models.items(), key=lambda item: -len(item[1]))
    ]
    head = ("operation", "models", "calls", "for example")
    return "## Operations without a rule\n\n" + (_rows(head, rows) if rows else "None.")


def _frozen(records: Sequence[Record]) -> str:
    axes: Counter[str] = Counter()
    models: dict[str, set[str]] = defaultdict(set)
    examples: dict[str, str] = {}
    for record in records:
        for reason, entry in record.get("frozen", {}).items():
            name = kind(reason)
            axes[name] += entry["axes"]
            models[name].add(record["key"])
            examples.setdefault(name, f"{record['key']}: `{entry['examples'][0]}`, {reason}")
    parts = ["## Why axes are fixed"]
    for _, name, meaning in REASONS:
        if axes[name]:
            count = f"{axes[name]} axes in {len(models[name])} models"
            parts.append(f"**{name[0].upper()}{name[1:]}** ({count}). {meaning} For example {examples[name]}.")
    return "\n\n".join(parts)


def _rows(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    lines += ["| " + " | ".join(str(cell).replace("|", "\\|") for cell in row) + " |" for row in rows]
    return "\n".join(lines)


def _largest(groups: dict[tuple[str, str], list[str]]) -> list[tuple[tuple[str, str], list[str]]]:
    return sorted(groups.items(), key=lambda item: -len(item[1]))


def _write(path: Path, text: str) -> None:
    """To a temporary name first, so that an interrupted run leaves the old file."""
    draft = path.with_suffix(path.suffix + ".new")
    draft.write_text(text)
    os.replace(draft, path)


if __name__ == "__main__":
    main()
