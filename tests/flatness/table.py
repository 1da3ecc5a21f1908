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

Below are {count} small networks, at least one for every row of the catalogue of symmetries. Each was worked out by hand
before it was measured, and tests hold every number. *Parts* are by hand: scales, shifts, matrices, rotations and bits
of signs. They may also move buffers and frozen parameters, which are no flat directions of what is trained; nor are
signs. {same} networks have all their flat directions explained. {reasons} have more for a mathematical reason, and in
{gaps} some are **not found yet**. In none does the group claim what is not flat.

The table is written by `python -m tests.flatness.table docs/audit.md`.

| network | row of the catalogue | entries | scales | shifts | matrices | rotations | signs | explained | measured | |
|---|---|---:|---:|---:|---:|---:|---:|---:|---:|---|
"""


def row(case: Network, found: Audit) -> str:
    """One line of the table."""
    why = [f"{case.why}."]
    if case.reason:
        why.append(f"**More, because** {case.reason}.")
    if case.awaits:
        gone = sum(case.missing[:4])
        what = f"{gone} flat directions" if gone else "1 sign" if case.missing[4] == 1 else f"{case.missing[4]} signs"
        why.append(f"**Not found yet**, {what}: {case.awaits}.")
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
        gaps=sum(any(case.missing[:4]) for case in NETWORKS.values()),
        above=min(each.generic.above for each in found.values()),
        below=max(each.generic.below for each in found.values()),
    )
    return head + "\n".join(row(NETWORKS[name], each) for name, each in found.items()) + "\n"


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(page(), encoding="utf-8")
