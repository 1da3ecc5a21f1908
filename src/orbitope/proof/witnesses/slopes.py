"""Secants that fall: on a segment, a convex function has no secant that is less steep than an earlier one."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from fractions import Fraction

import torch

from orbitope.proof.moves import Step
from orbitope.proof.witnesses.witness import Point, Value, Witness, moved

INTERVALS = 32
"""Into how many pieces the segment is cut."""


def slopes(point: Point, value: Value, exchange: Step) -> list[Witness]:
    """The steepest rise on the way from A to its image, and the steepest fall behind it."""
    image = moved(exchange, point)
    ends = ({}, {name: image[name] for name in exchange.moves})
    times = [Fraction(k, INTERVALS) for k in range(INTERVALS + 1)]
    values = [value(_between(point, ends[1], float(t))) for t in times]
    rises = [INTERVALS * (b - a) for a, b in itertools.pairwise(values)]
    best, pair = 0.0, None
    first = 0
    for k in range(1, INTERVALS):
        first = max(first, k - 1, key=rises.__getitem__)
        if rises[first] - rises[k] > best:
            best, pair = rises[first] - rises[k], (first, k)
    if pair is None:
        return []
    i, j = pair
    note = ", ".join(f"slope {rises[k]:.4g} between t = {times[k]} and {times[k + 1]}" for k in (i, j))
    chosen = (times[i], times[i + 1], times[j], times[j + 1])
    return [Witness("slopes", "slopes", point, best, points=ends, times=chosen, note=note)]


def _between(point: Point, end: Mapping[str, torch.Tensor], t: float) -> Point:
    return {**point, **{name: (1 - t) * point[name].double() + t * b.double() for name, b in end.items()}}
