"""The whole audit, written as a table: ``python -m tests.oracle.sweep [docs/oracle.md]``."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.oracle.calls import Sample, samples
from tests.oracle.exceptions import EXEMPT, justification
from tests.oracle.subjects import Finding, examine

from orbitope.errors import OrbitopeError
from orbitope.frontends.lowerings import LOWERINGS

LIMIT = 160


@dataclass
class Row:
    """What was found of one target.

    Attributes:
        target: its name.
        findings: for every call and result.
        errors: calls that could not be audited, and why.
    """

    target: str
    findings: list[Finding] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def names(self, kind: str) -> list[str]:
        """What is unsound, missing or loose in any of its calls."""
        return [f"{x} in {f.sample.text}" for f in self.findings for x in getattr(f.verdict, kind)]

    @property
    def verdict(self) -> str:
        """One word."""
        if self.names("unsound"):
            return "unsound"
        if self.errors:
            return "failed"
        return "missing" if self.reasons else "correct"

    @property
    def reasons(self) -> list[str]:
        """Why exchanges that pass are not held."""
        lacking = [f for f in self.findings if f.verdict.missing]
        return sorted({justification(self.target, f.opaque) or "no reason is known" for f in lacking})


def audited(calls: dict[str, list[Sample]], limit: int) -> Iterator[Row]:
    """One row for each target."""
    for target, found in sorted(calls.items()):
        row = Row(target)
        for sample in found:
            try:
                row.findings += examine(sample, limit)
            except OrbitopeError as error:
                row.errors.append(f"{sample.text}: {error}")
        yield row


def main() -> None:
    """Audit everything and write the table."""
    rows = list(audited(samples(), LIMIT))
    text = "\n".join(_table(rows))
    if len(sys.argv) > 1:
        Path(sys.argv[1]).write_text(text + "\n")
    else:
        print(text)


def _table(rows: list[Row]) -> Iterator[str]:
    counts: dict[str, int] = {}
    for row in rows:
        counts[row.verdict] = counts.get(row.verdict, 0) + 1
    without = sorted(LOWERINGS.keys() - samples().keys())
    yield "# What the oracle says of every rule"
    yield ""
    yield "Written by `make oracle`; `tests/oracle/` explains how each verdict is reached."
    yield ""
    yield ", ".join(f"{count} {word}" for word, count in sorted(counts.items())) + "."
    reasons = [f"`{name}` ({EXEMPT.get(name, 'no call is written down')})" for name in without]
    yield f"Not audited: {', '.join(reasons) or 'nothing'}."
    yield ""
    yield "| operation | verdict | calls | units | exchanges that pass | that do not | not held, and why |"
    yield "|---|---|--:|--:|--:|--:|---|"
    for row in rows:
        found = [f.verdict for f in row.findings]
        sums = [sum(getattr(v, key) for v in found) for key in ("units", "moving", "held")]
        yield (
            f"| `{row.target}` | {row.verdict} | {len({f.sample.text for f in row.findings})} | {sums[0]} | {sums[1]} "
            f"| {sums[2]} | {'; '.join(row.reasons)} |"
        )


if __name__ == "__main__":
    main()
