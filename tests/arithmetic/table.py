"""The whole campaign, and its table in docs/enclosures.md: ``python -m tests.arithmetic.campaign``."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

from tests.arithmetic.rules import Rules
from tests.arithmetic.widths import WIDTHS, widest

from orbitope.arithmetic import ArbArithmetic, BallArithmetic, NormArithmetic

PAGE = Path(__file__).parents[2] / "docs" / "enclosures.md"
MARK = "<!-- what follows is written by python -m tests.arithmetic.campaign -->"
LEAST = 1_000
"""Entries checked for each rule and arithmetic."""

LEAST_IN_ALL = 1_000_000
"""Entries checked for each arithmetic."""


def campaign(arithmetic: Any) -> Rules:
    """Rounds with new operands until both minima are met."""
    total = Rules(arithmetic, seed=0)
    seed = 0
    while not seed or total.checks < LEAST_IN_ALL or min(total.counts.values()) < LEAST:
        seed += 1
        part = Rules(arithmetic, seed=1000 + seed)
        part.everything()
        part.networks(30)
        total.counts += part.counts
        total.norms += part.norms
        total.refusals += part.refusals
        total.escapes += part.escapes
        print(f"{arithmetic.name}: round {seed}, {total.checks:,} entries, {len(total.escapes)} escapes", flush=True)
    return total


def main() -> int:
    """Run, write the table, and fail if anything escaped or is too wide."""
    start = time.perf_counter()
    arithmetics = {"ball": BallArithmetic(), "norm": NormArithmetic(), "Arb, 53 bits": ArbArithmetic(53)}
    found = {name: campaign(arithmetic) for name, arithmetic in arithmetics.items()}
    widths = {width.name: (widest(arithmetics["ball"], width, rounds=20)[0], width.factor) for width in WIDTHS}
    lines = [
        MARK,
        "",
        "| arithmetic | entries compared | samples' norms compared | operations refused | outside |",
        "|---|---|---|---|---|",
    ]
    for name, total in found.items():
        numbers = (total.checks, sum(total.norms.values()), total.refused, len(total.escapes))
        lines.append(f"| {name} | " + " | ".join(_number(n) for n in numbers) + " |")
    lines += ["", f"At least {_number(LEAST)} entries for every rule and arithmetic. By rule:", ""]
    lines += ["| rule | ball | norm | norms | Arb, 53 bits | refused (ball) |", "|---|---|---|---|---|---|"]
    ball, norm, arb = found.values()
    for rule in sorted(ball.counts):
        numbers = (ball.counts[rule], norm.counts[rule], norm.norms[rule], arb.counts[rule], ball.refusals[rule])
        lines.append(f"| `{rule}` | " + " | ".join(_number(n) for n in numbers) + " |")
    lines += [
        "",
        "Widths of balls in units of the reference, the largest of each rule's, and the factor that the tests accept:",
        "",
        "| rule | largest | accepted |",
        "|---|---|---|",
        *(f"| `{name}` | {most:.2f} | {factor:g} |" for name, (most, factor) in widths.items()),
        "",
    ]
    text = PAGE.read_text(encoding="utf-8").split(MARK)[0] if PAGE.exists() else "# Enclosures\n\n"
    PAGE.write_text(text + "\n".join(lines), encoding="utf-8")
    print(f"{time.perf_counter() - start:.0f} s; {PAGE.name} written")
    escapes = sum(len(total.escapes) for total in found.values())
    too_wide = [name for name, (most, factor) in widths.items() if most > factor]
    print(f"{escapes} escapes; too wide: {', '.join(too_wide) or 'none'}")
    return 1 if escapes or too_wide else 0


def _number(n: int) -> str:
    return f"{n:,}".replace(",", " ")


if __name__ == "__main__":
    sys.exit(main())
