"""The page of activations: the conditions, and which activation has which trait."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from orbitope.activations.conditions import TRAITS
from orbitope.activations.declared import declared
from orbitope.activations.known import ACTIVATIONS


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [" | ".join(head), " | ".join("---" for _ in head), *(" | ".join(row) for row in rows)]
    return "\n".join(f"| {line} |" for line in lines)


def _shape() -> str:
    rows = []
    for name, activation in ACTIVATIONS.items():
        claims, facts = declared(activation), activation.facts
        curve = {(True, True): "affine", (True, False): "convex", (False, True): "concave", (False, False): "–"}
        order = {-1: "jumps", 0: "kinks", 1: "one derivative"}.get(int(facts.order) if facts.order < 9 else 9, "smooth")
        rows.append(
            [
                f"`{name}`",
                activation.formula.replace("|", "\\|"),
                curve["convex" in claims, "concave" in claims],
                "increasing" if "non-decreasing" in claims else "decreasing" if "non-increasing" in claims else "–",
                claims.get("Lipschitz", "–").removeprefix("L = "),
                claims.get("bounded", "–"),
                order,
                claims.get("piecewise linear", "–"),
            ]
        )
    head = ("", "f(x)", "curvature", "monotone", "Lipschitz L", "bounded", "smooth", "piecewise linear")
    return _table(head, rows)


def _symmetry() -> str:
    rows = []
    for name, activation in ACTIVATIONS.items():
        claims = declared(activation)
        parity = "odd" if "odd" in claims else "even" if "even" in claims else "–"
        told = (claims.get(trait, "–") for trait in ("homogeneous", "mirrored", "tilted", "shifted"))
        rows.append([f"`{name}`", parity, *told])
    return _table(("", "parity", "homogeneous", "mirrored", "tilted", "shifted"), rows)


def page() -> str:
    """The page as Markdown; every entry is what the library declares, and tests hold each against the function."""
    conditions = _table(
        ("trait", "holds exactly when", "what it means for a network"),
        ([f"**{t.name}**", t.condition.replace("|", "\\|"), t.means] for t in TRAITS.values()),
    )
    return f"""# Activations and their traits

<!-- Written by `python -m orbitope.activations`; a test compares it with what the library declares. -->

The exchange of two hidden units works for every activation that is applied entry by entry. What else can be moved, and
where a loss is convex in the inputs, depends on the traits of the activation f. All activations here are functions of
all real numbers.

## What each trait says

{conditions}

Form, monotonicity, degree, parity and reflections come from the one questionnaire from which the symmetry and curvature
laws are derived too. Each entry below is tried by a test at numbers from 10⁻⁹ to 10⁶ in size, at kinks and beside them;
each missing entry has a counter-example, which the command prints:

```sh
orbitope activation silu --traits-only
```

## Shape and size

{_shape()}

## Symmetry

{_symmetry()}

The constants of these formulas are taken up by biases: of the unit itself where they are added to x, of the next layer
where they are added to f(x).

## Your own

Name a function of one tensor, `file.py:function` or `package.module:function`; a module, or its class, will do, and its
parameters are held fixed. Its traits are looked for: those that fail come with numbers at which they do (guarantee
*numeric*), the others are proposed (*heuristic*: nothing contradicted them). Then a small network with it is trained,
two units are exchanged, and the midpoint and the average are compared and, where the function can be enclosed, proved:

```sh
orbitope activation mine.py:wiggle
```

In Python:

```python
import torch

import orbitope


def wiggle(x):
    return x + torch.sin(x) ** 2


found = orbitope.traits(wiggle)
assert found["shifted"].detail == "f(x + π) = f(x) + π"
assert not found["convex"].holds
print(found["convex"].counterexample)
```

A function that returns another shape, integers, NaN or infinities, that is random, changes its input, or treats an
entry differently because of the others is refused, with what it did (error E106).
"""
