"""What a sweep found, in a page of text."""

from __future__ import annotations

import statistics
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

from records import Record, analysed, missed, verdict


def summarise(records: Sequence[Record]) -> str:
    """Totals, unknown operations, failures, unsound results, missed closed forms, timings."""
    good = [r for r in records if analysed(r)]
    parts = [
        _totals(records, good),
        _ranked("unknown operations that freeze parameters: models, occurrences", good, "unknown"),
        _ranked("operations known only along leading axes: models, occurrences", good, "carried"),
        _ranked(
            "unknown operations that no parameter reaches: models, occurrences", good, "unknown without parameters"
        ),
        _failures(records),
        _unsound(good),
        _orders(good),
        _insensitive(good),
        _frozen(good),
        _timings(good),
    ]
    return "\n\n".join(part for part in parts if part)


def _totals(records: Sequence[Record], good: Sequence[Record]) -> str:
    lines = []
    for library in sorted({r["library"] for r in records}):
        mine = [r for r in records if r["library"] == library]
        stages = Counter(r["failure"]["stage"] for r in mine if not analysed(r))
        traced = Counter(r["traced"] for r in mine if "traced" in r)
        clean = sum(analysed(r) and not r["unknown"] for r in mine)
        lines.append(
            f"{library}: {len(mine)} models of {len({r['name'] for r in mine})} types, traced {dict(traced)}, analysed "
            f"{sum(map(analysed, mine))}, without unknown operations {clean}; failed: {dict(stages)}"
        )
    return "TOTALS\n" + "\n".join(lines)


def _ranked(title: str, records: Sequence[Record], key: str) -> str:
    models: Counter[str] = Counter()
    calls: Counter[str] = Counter()
    examples: dict[str, list[str]] = defaultdict(list)
    for record in records:
        for name, count in record.get(key, {}).items():
            models[name] += 1
            calls[name] += count
            examples[name].append(record["key"])
    lines = [f"{n:4d} {calls[name]:5d}  {name}  {', '.join(examples[name][:4])}" for name, n in models.most_common()]
    return "\n".join([title.upper(), *lines]) if lines else ""


def _failures(records: Sequence[Record]) -> str:
    groups: dict[str, list[str]] = defaultdict(list)
    for record in records:
        failure = record.get("failure")
        if failure:
            text = (failure.get("cause") or failure["message"])[:170]
            key = f"{failure['stage']}: {failure['type']} [{failure['ours']}] {text}"
            groups[key].append(record["key"])
    lines = [f"{len(names):4d}  {key}  {', '.join(names[:5])}" for key, names in _largest(groups)]
    return "\n".join(["FAILURES", *lines]) if lines else ""


def _unsound(records: Sequence[Record]) -> str:
    lines = [
        f"{r['key']}: {verdict(r)}: lowered {r['error lowered']:.1e} real {r['error real']:.1e} "
        f"({r['real dtype']}, differs from itself by {r['self error']:.0e})"
        for r in records
        if verdict(r) != "sound"
    ]
    return "\n".join(["UNSOUND OR ROUNDED", *lines]) if lines else "UNSOUND: none"


def _orders(records: Sequence[Record]) -> str:
    known = [r for r in records if missed(r) is not None]
    lines = [
        f"{r['key']}: found 10^{r['log10_order']:.2f}, closed form 10^{r['expected']:.2f}"
        for r in known
        if abs(missed(r) or 0.0) > 1e-6
    ]
    return "\n".join([f"CLOSED FORMS: {len(known) - len(lines)} of {len(known)} hit", *lines])


def _insensitive(records: Sequence[Record]) -> str:
    dull = [r["key"] for r in records if r["log10_order"] > 0 and not r["control"] > 1e-6]
    trivial = [r["key"] for r in records if r["log10_order"] == 0]
    odd = [r["key"] for r in records if not r["finite"] or not r["varies"]]
    text = [
        f"broken elements go unnoticed: {', '.join(dull) or 'none'}",
        f"trivial groups: {', '.join(trivial) or 'none'}",
    ]
    return "\n".join([*text, f"outputs not finite or constant: {', '.join(odd) or 'none'}"])


def _frozen(records: Sequence[Record]) -> str:
    models: Counter[str] = Counter()
    positions: Counter[str] = Counter()
    example: dict[str, str] = {}
    for record in records:
        for reason, entry in record["frozen"].items():
            models[reason] += 1
            positions[reason] += entry["positions"]
            example.setdefault(reason, f"{record['key']}: {entry['examples'][0]}")
    lines = [f"{n:4d} {positions[k]:7d}  {k}  e.g. {example[k][:150]}" for k, n in models.most_common(60)]
    return "\n".join(["FROZEN AXES: models, positions, reason", *lines])


def _timings(records: Sequence[Record]) -> str:
    def ratio(stage: str) -> list[float]:
        return sorted(r["seconds"][stage] / max(r["seconds"]["export"], 1e-9) for r in records)

    lines = []
    for stage in ("lower", "infer"):
        values = ratio(stage)
        if values:
            lines.append(f"{stage} / export: median {statistics.median(values):.2f}, largest {values[-1]:.2f}")
    slow = sorted(records, key=lambda r: -(r["seconds"]["infer"] / max(r["seconds"]["export"], 1e-9)))[:5]
    lines += [f"  {r['key']}: {r['seconds']} {r['nodes']} nodes" for r in slow]
    peak = max((r["peak_mb"] for r in records), default=0)
    base = max((r.get("base_mb", 0) for r in records), default=0)
    return "\n".join(["SECONDS AND MEMORY", *lines, f"largest peak {peak} MB, of which imports {base} MB"])


def _largest(groups: dict[str, list[str]]) -> Iterable[tuple[str, list[str]]]:
    return sorted(groups.items(), key=lambda item: -len(item[1]))
