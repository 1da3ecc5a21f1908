"""The published table of audits: ``python -m tests.flatness.table docs/audit.md``."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.flatness.core import Network
from tests.flatness.zoo import NETWORKS

import orbitope
from orbitope.flatness import Audit

HEAD = """# Flat directions: explained and measured

Along a flat direction parameters move and the function stays as it is. `orbitope audit` counts them twice: the group,
read off the program, *explains* some; the derivative of the outputs with respect to the parameters *measures* all of
them, as what it takes to zero, at random parameters and many random inputs in float64. Measuring does not know any
rule, so whatever a rule forgets is seen, and so is a rule that claims too much.

```console
$ orbitope audit docs/examples/networks.py:attention
EXPLAINED  234 of 234 flat directions explained, at generic parameters

  with these parameters  234 of 234 flat directions explained            numeric
  parameters             665 entries vary; the outputs have rank 431
  singular values        7e-06 of the largest before the gap, 8e-16
                         behind it
  random parameters      1 looked at
```

Of random parameters the rank of the derivative is the largest that was met, and it is read off the gap of the singular
values: genuine ones were above {above:.0e} of the largest, rounding below {below:.0e}. Trained parameters may have
more flat directions than generic ones, as where a unit of ReLU is dead; these are counted apart.

Below are {count} small networks, at least one for every row of the catalogue of symmetries. Each was worked out by
hand, and tests hold every number. {same} have all their flat directions explained. {reasons} have more than any group
of the known kinds moves, for a mathematical reason that stands there. In {gaps} something is **left out**. In none
does the group claim what is not flat.

Signs are no flat directions, so measuring does not see them. They are checked by force instead: of 22 networks with at
most 16 numbers all changes of signs are tried, of 8 activation functions all ways to turn units over, and those that
keep the function must be the elements of the group (`tests/flatness/test_by_force.py`).

## What is left out

{missing}

Nor is anything looked for that holds for some parameters only, or that needs an operation without a rule.

## The table

Columns *scales* to *signs* are by hand: dimensions, and for signs bits. They may also move buffers and frozen
parameters, which are no flat directions of what is trained. `python -m tests.flatness.table docs/audit.md` writes this
page.

| network | row of the catalogue | entries | scales | shifts | matrices | rotations | signs | explained | measured | |
|---|---|---:|---:|---:|---:|---:|---:|---:|---:|---|
"""


def missing() -> str:
    """What is left out, and in which networks."""
    found: dict[str, list[str]] = {}
    for case in NETWORKS.values():
        if case.awaits:
            found.setdefault(case.awaits, []).append(f"{case.name} ({gone(case)})")
    return "\n".join(f"* {', '.join(names)}, because {awaits};" for awaits, names in found.items())[:-1] + "."


def gone(case: Network) -> str:
    """How much of a network is left out."""
    flat, signs = sum(case.missing[:4]), case.missing[4]
    parts = [f"{flat} flat directions"] if flat else []
    return " and ".join([*parts, f"{signs} sign{'s' * (signs > 1)}"] if signs else parts)


def row(case: Network, found: Audit) -> str:
    """One line of the table."""
    why = [f"{case.why}."]
    if case.reason:
        why.append(f"**More, because** {case.reason}.")
    if case.awaits:
        why.append(f"**Left out**, {gone(case)}, because {case.awaits}.")
    cells = [
        case.name + (" (loss)" if case.loss else ""),
        case.row,
        found.parameters,
        *case.parts,
        found.generic.explained,
        found.generic.measured,
        " ".join(why),
    ]
    return "| " + " | ".join(str(cell).replace("|", "\\|") for cell in cells) + " |"


def page() -> str:
    """The whole page."""
    found = {
        name: orbitope.audit(case.made(), case.inputs(), loss=case.loss, seeds=case.seeds)
        for name, case in NETWORKS.items()
    }
    for name, each in found.items():
        case = NETWORKS[name]
        assert (each.generic.explained, each.generic.measured) == (case.expected, case.flat), (name, str(each))
        assert each.generic.decided and each.verdict != "unsound", (name, str(each))
    head = HEAD.format(
        count=len(found),
        same=sum(map(bool, found.values())),
        reasons=sum(bool(case.reason) for case in NETWORKS.values()),
        gaps=sum(any(case.missing) for case in NETWORKS.values()),
        above=min(each.generic.above for each in found.values()),
        below=max(each.generic.below for each in found.values()),
        missing=missing(),
    )
    return head + "\n".join(row(NETWORKS[name], each) for name, each in found.items()) + "\n"


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(page(), encoding="utf-8")
