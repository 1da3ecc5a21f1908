"""What a search for a witness returns: where to evaluate F so that a convex function is refuted.

Nothing here is trusted by a proof.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal

import torch

from orbitope.arithmetic.base import Arithmetic
from orbitope.proof.moves import Step

Point = dict[str, torch.Tensor]
Value = Callable[[Mapping[str, torch.Tensor]], float]
Claim = Literal["midpoint", "average", "orbit-average", "slopes"]
Lifted = Mapping[str, Any]


@dataclass(frozen=True)
class Witness:
    """Points, and how the loss at them seems to contradict convexity.

    Attributes:
        claim: the inequality that is violated.
        strategy: how the witness was found.
        start: the point A; every other point differs from it in variables only.
        gap: by how much the inequality is violated, in float64.
        steps: averages over moves, from A to the end; empty where the points are listed.
        violated: index of the step that violates Jensen's inequality.
        points: variables that take the place of those of A, for each point; of ``slopes`` the two ends P and Q.
        times: of ``slopes``: t₁ < t₂ ≤ t₃ < t₄, for points P + t·(Q − P).
        note: what was tried, in words.
    """

    claim: Claim
    strategy: str
    start: Point
    gap: float
    steps: tuple[Step, ...] = ()
    violated: int = 0
    points: tuple[Point, ...] = ()
    times: tuple[Fraction, ...] = ()
    note: str = ""

    @property
    def moved(self) -> tuple[str, ...]:
        """Names of the variables in which the points of the inequality differ."""
        if self.steps:
            return tuple(self.steps[self.violated].moves)
        return tuple(dict.fromkeys(name for point in self.points for name in point))


def moved(step: Step, point: Mapping[str, torch.Tensor]) -> Point:
    """The point after one move."""
    result = dict(point)
    for name, axes in step.sources().items():
        for axis, source in axes:
            result[name] = result[name].index_select(axis, source.to(result[name].device))
    return result


def averaged(step: Step, point: Mapping[str, torch.Tensor]) -> Point:
    """The mean of the point and its images under one step, in float64."""
    total = {name: point[name].double().clone() for name in step.moves}
    image: Mapping[str, torch.Tensor] = point
    for _ in range(step.order - 1):
        image = moved(step, image)
        for name in step.moves:
            total[name] += image[name]
    return {**point, **{name: total[name] / step.order for name in step.moves}}


def mean(start: Mapping[str, torch.Tensor], points: Sequence[Mapping[str, torch.Tensor]]) -> Point:
    """The mean of listed points in float64."""
    names = dict.fromkeys(name for point in points for name in point)
    total = {name: sum((p.get(name, start[name]).double() for p in points), torch.zeros(())) for name in names}
    return {**start, **{name: value / len(points) for name, value in total.items()}}


def measured(witness: Witness, value: Value) -> float:
    """By how much F violates the inequality of a witness, in float64."""
    start = witness.start
    if witness.claim == "slopes":
        t, f = witness.times, [value(between(witness, float(time))) for time in witness.times]
        return (f[1] - f[0]) / float(t[1] - t[0]) - (f[3] - f[2]) / float(t[3] - t[2])
    if witness.steps:
        here: Mapping[str, torch.Tensor] = start
        for step in witness.steps[: witness.violated]:
            here = averaged(step, here)
        return value(averaged(witness.steps[witness.violated], here)) - value(here)
    points = [{**start, **point} for point in witness.points]
    return value(mean(start, witness.points)) - sum(map(value, points)) / len(points)


def between(witness: Witness, t: float) -> Point:
    """The point P + t·(Q − P) of a witness of slopes, in float64."""
    p, q = ({**witness.start, **point} for point in witness.points)
    return {**p, **{name: (1 - t) * p[name].double() + t * q[name].double() for name in witness.moved}}


# points in any arithmetic -------------------------------------------------------------------------------------------
Where = Literal["points", "average", "start", "end"]


def places(
    arithmetic: Arithmetic[Any], witness: Witness, names: Collection[str] | None = None
) -> list[tuple[Where, Callable[[], Lifted]]]:
    """The points at which F must be known, in the order of a certificate; each is made when it is asked for.

    Args:
        arithmetic: what a number is.
        witness: claim and points.
        names: the parameters that are wanted; all by default.

    Returns:
        What the point is, and a function that makes its parameters. ``start`` and ``end`` appear only where they are
        not points of the violated step themselves.
    """
    wanted = {
        *(witness.start if names is None else names),
        *witness.moved,
        *(n for s in witness.steps for n in s.moves),
    }
    here = {name: arithmetic.lift(tensor) for name, tensor in witness.start.items() if name in wanted}
    if witness.claim == "slopes":
        return [_place("points", _at(arithmetic, witness, here, t)) for t in witness.times]
    if not witness.steps:
        return _listed(arithmetic, witness, here)
    found: list[tuple[Where, Callable[[], Lifted]]] = []
    last = len(witness.steps) - 1
    if witness.violated > 0:
        found.append(("start", _as_is(here)))
    for k, step in enumerate(witness.steps):
        images = _images(arithmetic, step, here)
        average = _mean(arithmetic, step.moves, here, images)
        if k == witness.violated:
            found += [_place("points", _as_is(image)) for image in images]
            found.append(("average", _as_is(average)))
        here = average
    if witness.violated < last:
        found.append(("end", _as_is(here)))
    return found


def _place(where: Where, make: Callable[[], Lifted]) -> tuple[Where, Callable[[], Lifted]]:
    return where, make


def _as_is(point: Lifted) -> Callable[[], Lifted]:
    return lambda: point


def _listed(arithmetic: Arithmetic[Any], witness: Witness, here: Lifted) -> list[tuple[Where, Callable[[], Lifted]]]:
    lifted = [{name: arithmetic.lift(t) for name, t in point.items()} for point in witness.points]
    points = [{**here, **point} for point in lifted]
    average = _mean(arithmetic, witness.moved, here, points)
    return [*(_place("points", _as_is(point)) for point in points), _place("average", _as_is(average))]


def _at(arithmetic: Arithmetic[Any], witness: Witness, here: Lifted, t: Fraction) -> Callable[[], Lifted]:
    def make() -> Lifted:
        p, q = ({**here, **{n: arithmetic.lift(v) for n, v in point.items()}} for point in witness.points)
        between = dict(p)
        for name in witness.moved:
            along = arithmetic.sub(q[name], p[name])
            share = arithmetic.mul(along, arithmetic.full(arithmetic.shape(along), t, like=along))
            between[name] = arithmetic.add(p[name], share)
        return between

    return make


def _images(arithmetic: Arithmetic[Any], step: Step, point: Lifted) -> list[dict[str, Any]]:
    images = [dict(point)]
    sources = step.sources()
    for _ in range(step.order - 1):
        image = dict(images[-1])
        for name, axes in sources.items():
            for axis, source in axes:
                image[name] = arithmetic.take(image[name], source, axis)
        images.append(image)
    return images


def _mean(arithmetic: Arithmetic[Any], names: Any, point: Lifted, images: Sequence[Lifted]) -> dict[str, Any]:
    result = dict(point)
    for name in names:
        total = images[0][name]
        for image in images[1:]:
            total = arithmetic.add(total, image[name])
        count = arithmetic.full(arithmetic.shape(total), len(images), like=total)
        result[name] = arithmetic.div(total, count)
    return result
