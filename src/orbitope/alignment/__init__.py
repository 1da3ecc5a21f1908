"""Alignment: the element that brings one network close to another. One method per file, registered in ALIGNMENTS."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from orbitope.alignment.problem import Problem
from orbitope.alignment.weights import match_weights
from orbitope.errors import InputError
from orbitope.group import Element, SymmetryGroup
from orbitope.guarantee import Guarantee

__all__ = ["ALIGNMENTS", "Alignment", "Problem", "align"]

ALIGNMENTS: dict[str, Callable[..., tuple[Element, int]]] = {
    "weights": match_weights,
}
"""A method takes a Problem, a keyword ``seed`` and options of its own, and returns an element and its sweeps."""


@dataclass(frozen=True)
class Alignment:
    """An element g that brings g·b close to a.

    Attributes:
        element: g; it acts on ``b``.
        distance_before: |a − b| over the trainable parameters, in their units.
        distance_after: |a − g·b|; never larger.
        sweeps: how often the method went over all units.
        method: its name in ``ALIGNMENTS``.
        seed: that it was given.
        guarantee: ``heuristic``; a better element may exist.
    """

    element: Element
    distance_before: float
    distance_after: float
    sweeps: int
    method: str
    seed: int
    guarantee: Guarantee = "heuristic"

    def __str__(self) -> str:
        """One line."""
        return (
            f"distance {self.distance_before:.6g} before, {self.distance_after:.6g} after "
            f"({self.method}, {self.sweeps} sweeps, {self.guarantee})"
        )

    def to_json(self) -> dict[str, Any]:
        """The alignment as JSON, its element included."""
        return {
            "format": "orbitope alignment",
            "version": 1,
            "element": self.element.to_json(),
            "distance_before": self.distance_before,
            "distance_after": self.distance_after,
            "sweeps": self.sweeps,
            "method": self.method,
            "seed": self.seed,
            "guarantee": self.guarantee,
        }


def align(
    a: Mapping[str, torch.Tensor],
    b: Mapping[str, torch.Tensor],
    group: SymmetryGroup,
    method: str = "weights",
    seed: int = 0,
    **options: Any,
) -> Alignment:
    """The element g such that g·b is close to a: ``b`` is the network that moves.

    Distances are Euclidean, over the trainable parameters. Running statistics have no part in them, but move along.

    Args:
        a: the parameters that stay, by state-dict name.
        b: the parameters to move.
        group: the symmetry group of both.
        method: a name in ``ALIGNMENTS``.
        seed: of whatever the method does at random; the same seed gives the same element.
        options: of the method.

    Raises:
        InputError: there is no such method, or it has no such option.
        ParametersError: the parameters of either do not fit the group or are not finite, all problems at once.

    Guarantee: heuristic; ``distance_after`` is never larger than ``distance_before``.
    """
    chosen = ALIGNMENTS.get(method)
    if chosen is None:
        raise InputError(f"there is no alignment method {method!r}", fix=f"choose among {', '.join(ALIGNMENTS)}")
    known = [name for name in inspect.signature(chosen).parameters if name not in ("problem", "seed")]
    if unknown := [name for name in options if name not in known]:
        raise InputError(
            f"the alignment method {method!r} has no option {', '.join(unknown)}",
            fix=f"its options are {', '.join(known)}",
        )
    problem = Problem.of(a, b, group)
    element, sweeps = chosen(problem, seed=seed, **options)
    before = problem.distance(problem.b)
    after = problem.distance(element.act(problem.b, partial=True))
    if after > before:
        element, after = group.identity(), before
    return Alignment(element, before, after, sweeps, method, seed)
