"""The traits: what each says in mathematics, and what it means for a network."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Trait:
    """One property that an activation f can have.

    Attributes:
        name: its name.
        condition: exactly when it holds; x, y, z and s are real numbers.
        means: what follows for the units that it is applied to.
    """

    name: str
    condition: str
    means: str


_LIST = (
    Trait(
        "convex",
        "f(t·x + (1 − t)·y) ≤ t·f(x) + (1 − t)·f(y) for all x, y and all 0 ≤ t ≤ 1",
        "a layer keeps convexity in its inputs where the weights behind it are not negative",
    ),
    Trait(
        "concave",
        "f(t·x + (1 − t)·y) ≥ t·f(x) + (1 − t)·f(y) for all x, y and all 0 ≤ t ≤ 1",
        "a layer turns convexity in its inputs into concavity where the weights behind it are not positive",
    ),
    Trait("non-decreasing", "f(x) ≤ f(y) for all x ≤ y", "curvature of what comes before can pass"),
    Trait("non-increasing", "f(x) ≥ f(y) for all x ≤ y", "curvature of what comes before can pass, turned over"),
    Trait("odd", "f(−x) = −f(x) for all x", "the signs of all edges of a unit can be changed: 2ⁿ·n! copies, not n!"),
    Trait("even", "f(−x) = f(x) for all x", "the signs of all incoming edges of a unit can be changed"),
    Trait(
        "homogeneous",
        "f(s·x) = s^d·f(x) for all x and all s > 0, with one degree d",
        "incoming edges of a unit times s and outgoing edges times s^−d: a continuum of copies",
    ),
    Trait(
        "mirrored",
        "f(b − x) = ±f(x) + c for all x, with numbers b and c that are not both 0, f not affine",
        "signs of a unit's edges can be changed if biases take up b and c",
    ),
    Trait(
        "tilted",
        "f(−x) = f(x) − k·x for all x, with one number k other than 0, f not affine",
        "signs of a unit's edges can be changed where a linear path runs beside it and takes up k·x",
    ),
    Trait(
        "shifted",
        "f(x + p) = ±f(x) + c for all x, with one number p > 0, f not affine",
        "a bias can move by p if the next one takes up c: infinitely many copies, one by one",
    ),
    Trait(
        "Lipschitz",
        "|f(x) − f(y)| ≤ L·|x − y| for all x and y; L is the smallest such number",
        "the network's slope is at most the product of the L and of the norms of its weights",
    ),
    Trait(
        "bounded",
        "there are numbers low ≤ f(x) ≤ high for all x; they are the infimum and the supremum",
        "without weight decay a loss may have no minimum: weights grow for ever",
    ),
    Trait(
        "smooth",
        "f has derivatives of every order at every x; else the first order whose derivative breaks, and where",
        "gradient and Hessian exist; at a kink only generalised gradients do",
    ),
    Trait(
        "piecewise linear",
        "the real line is cut at finitely many places, and between them f is affine",
        "the network is affine on polyhedra; its loss can have kinks where it is smallest",
    ),
)

TRAITS: dict[str, Trait] = {trait.name: trait for trait in _LIST}
"""All of them by name."""
