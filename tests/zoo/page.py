"""The page of closed forms in the documentation: ``python -m tests.zoo.page`` writes it."""

from __future__ import annotations

import sys
from itertools import groupby
from math import log
from pathlib import Path

from tests.zoo import ARCHITECTURES, ZOO, Case

PAGE = Path(__file__).parents[2] / "docs" / "architectures.md"
HEAD = """# Closed forms

For each architecture below the group of exchanges was worked out by hand first, from the equations of the network;
then the order that Orbitope finds in a miniature of it was compared with the formula, as exact integers. Each of them
is written out in `tests/zoo`, with sizes that differ wherever the architecture lets them differ and with random gains,
biases and statistics. Sampled elements, and the exchange of every two neighbouring units, keep the function to 1e-10 in
float64; every parameter that moves changes the function when it is moved alone.

## How to read a formula

A factor `n!` is a set of n units that may change places in any order, together with everything that is written to them
and read from them. `n!ᵏ` is a set of n units *over* k positions of something else: for each of the k its own order. If
the k change places too, `k!·n!ᵏ` is the wreath product of the two. Letters are named at the head of each section.

Three facts explain most of the table.

* **A residual stream is one set of units.** What is added entry by entry shares its positions, so all layers that write
  to a stream or read from it move together: one D! for the whole depth.
* **A sum does not know the order of its terms.** Hidden units, heads, experts, states, slots, latents and branches are
  summed over somewhere; that sum is where the exchange is forgotten. Scores are a sum over the q·k dimension, values
  are carried to a sum over the v·o dimension, so each head has two sets of its own.
* **A constant that differs from position to position fixes them.** Inputs, outputs, rotary angles, slopes, grids and
  masks do; a constant that is the same for several positions leaves those free, and two uses of one constant are two
  constants.

Not counted here: signs and scales, matrix groups, permutations that move several units only at once although no two
of them may be exchanged (frequencies k and −k of a Fourier transform), and two vectors that are merely added, as the
biases of two parallel layers, whose entries could be swapped one by one without meaning anything. The models below
have one bias in such places.
"""


def title(home: str) -> tuple[str, str]:
    """First line of a module's docstring without its full stop, and the rest of it."""
    first, _, rest = (sys.modules[home].__doc__ or home).strip().partition("\n")
    return first.rstrip("."), rest.strip()


def row(name: str, case: Case) -> str:
    """One line of the table."""
    formula, _, meaning = case.notes.partition(": ")
    assert case.order is not None
    number = f"{case.order:,}".replace(",", " ") if case.order < 10**9 else f"10^{_log10(case.order):.2f}"
    wanting = f" **Not found whole yet: {case.awaits}.**" if case.awaits else ""
    return f"| `{name}` | {formula} | {number} | {meaning}{wanting} |"


def _log10(number: int) -> float:
    digits = str(number)
    return len(digits) - 1 + log(float(f"{digits[0]}.{digits[1:16]}")) / log(10)


def render() -> str:
    """The whole page."""
    lines = [HEAD]
    for home, group in groupby(ARCHITECTURES.items(), key=lambda item: item[1].home):
        heading, rest = title(home)
        lines += [f"## {heading}", "", *([rest.replace("\n", " "), ""] if rest else [])]
        lines += ["| miniature | group | order | why |", "|---|---|---|---|"]
        lines += [row(name, case) for name, case in group]
        lines += [""]
    exact = sum(case.order is not None for case in ZOO.values())
    lines += [
        "## Single features",
        "",
        f"{exact} smaller networks with one feature each (views, ties, groups, pools, pads, constants, ties between",
        "layers) have closed forms beside them in `tests/zoo/dense.py`, `convolutional.py` and `sequences.py`.",
        "",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    PAGE.write_text(render())
