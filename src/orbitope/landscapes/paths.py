"""The loss along a segment and on a plane of parameter space, in float64.

Buffers such as running statistics move along with the parameters, by the same affine combination. At the ends they are
the networks' own; in between they are no statistics of any network, which is what averaging two networks as they
are means.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import TYPE_CHECKING, Any

import torch

from orbitope.errors import InputError, ParametersError
from orbitope.guarantee import Guarantee

if TYPE_CHECKING:
    from orbitope.objective import Objective

Parameters = Mapping[str, torch.Tensor]


@dataclass(frozen=True)
class Barrier:
    """The loss on the segment from a to b.

    Attributes:
        t: places in [0, 1]; 0 is a, 1 is b.
        losses: F at these places, in the loss's units (nats for cross-entropy).
        height: the largest of F((1 − t)·a + t·b) − ((1 − t)·F(a) + t·F(b)) over these places, the definition of
            Entezari et al. 2022 and Frankle et al. 2020; 0 at the ends, so never negative; NaN where a loss is.
        peak: the place of the height.
        midpoint: F at t = ½.
        accuracy: fraction of samples whose class is right at the same places; None where there are no classes.
        midpoint_accuracy: at t = ½.
        guarantee: ``numeric``; the true height is the largest over all t, hence at least this.
    """

    t: tuple[float, ...]
    losses: tuple[float, ...]
    height: float
    peak: float
    midpoint: float
    accuracy: tuple[float, ...] | None = None
    midpoint_accuracy: float | None = None
    guarantee: Guarantee = "numeric"

    @property
    def midpoint_height(self) -> float:
        """F at the midpoint above the mean of the ends; negative where the midpoint is better."""
        return self.midpoint - (self.losses[0] + self.losses[-1]) / 2

    def __str__(self) -> str:
        """Two lines."""
        right = self.midpoint_accuracy
        accuracy = (
            ""
            if right is None or self.accuracy is None
            else (f"\naccuracy {self.accuracy[0]:.1%} at a, {right:.1%} at the midpoint, {self.accuracy[-1]:.1%} at b")
        )
        return (
            f"barrier {self.height:.4g} at t = {self.peak:.2f}; loss {self.losses[0]:.4g} at a, "
            f"{self.midpoint:.4g} at the midpoint, {self.losses[-1]:.4g} at b{accuracy}"
        )

    def to_json(self) -> dict[str, Any]:
        """The barrier as JSON; losses that are not finite are null."""
        return {
            "format": "orbitope barrier",
            "version": 1,
            "t": list(self.t),
            "losses": [_finite(loss) for loss in self.losses],
            "height": _finite(self.height),
            "peak": self.peak,
            "midpoint": _finite(self.midpoint),
            "midpoint_height": _finite(self.midpoint_height),
            "accuracy": None if self.accuracy is None else list(self.accuracy),
            "midpoint_accuracy": self.midpoint_accuracy,
            "guarantee": self.guarantee,
        }


@dataclass(frozen=True)
class Plane:
    """The loss on the plane through three points of parameter space.

    Attributes:
        points: coordinates of a, b and c; a is the origin and b lies on the first axis. Distances in the plane are
            Euclidean distances between the variables, in units of the parameters.
        x: coordinates of the columns. y: coordinates of the rows.
        losses: ``losses[row][column]``, F at (x[column], y[row]); NaN where the loss has no value, as where a running
            variance becomes negative.
        corners: F at a, b and c.
        guarantee: ``numeric``.
    """

    points: tuple[tuple[float, float], tuple[float, float], tuple[float, float]]
    x: tuple[float, ...]
    y: tuple[float, ...]
    losses: tuple[tuple[float, ...], ...]
    corners: tuple[float, float, float]
    guarantee: Guarantee = "numeric"

    def __str__(self) -> str:
        """One line."""
        known = [loss for row in self.losses for loss in row if isfinite(loss)]
        span = f"loss from {min(known):.4g} to {max(known):.4g}" if known else "no finite loss"
        return f"plane of {len(self.x)} × {len(self.y)} points, {span}"

    def to_json(self) -> dict[str, Any]:
        """The plane as JSON; losses that are not finite are null."""
        return {
            "format": "orbitope plane",
            "version": 1,
            "points": [list(point) for point in self.points],
            "x": list(self.x),
            "y": list(self.y),
            "losses": [[_finite(loss) for loss in row] for row in self.losses],
            "corners": [_finite(loss) for loss in self.corners],
            "guarantee": self.guarantee,
        }


# the segment ------------------------------------------------------------------------------------------------
def barrier(objective: Objective, a: Parameters, b: Parameters, points: int = 25) -> Barrier:
    """How much worse the loss gets between two networks than between their losses.

    Args:
        objective: the loss F.
        a: parameters by state-dict name.
        b: the same.
        points: places on the segment, the ends included; ½ is evaluated even where it is none of them.

    Raises:
        InputError: fewer than two points.
        ParametersError: the parameters do not fit, all problems at once.

    Guarantee: numeric, in float64; a lower bound of the supremum over the segment.
    Source: Entezari et al. 2022, Definition 1 [entezari2022]; Frankle et al. 2020 [frankle2020].
    """
    if points < 2:
        raise InputError("a barrier needs the two ends at least", got=f"points={points}", fix="pass points=25")
    path = _Path(objective, a, b)
    t = [k / (points - 1) for k in range(points)]
    losses = [path.loss(place) for place in t]
    rise = [loss - _between(losses[0], losses[-1], place) for place, loss in zip(t, losses, strict=True)]
    worst = max(range(points), key=lambda k: rise[k] if rise[k] == rise[k] else float("inf"))
    middle = points // 2 if points % 2 else None
    accuracy = path.accuracy(t)
    return Barrier(
        t=tuple(t),
        losses=tuple(losses),
        height=rise[worst],
        peak=t[worst],
        midpoint=path.loss(0.5) if middle is None else losses[middle],
        accuracy=accuracy,
        midpoint_accuracy=None
        if accuracy is None
        else (objective.accuracy(path.at(0.5)) if middle is None else accuracy[middle]),
    )


def segment(objective: Objective, a: Parameters, b: Parameters, t: float | Sequence[float]) -> torch.Tensor:
    """φ(t) = F((1 − t)·a + t·b), for any real t.

    Args:
        objective: the loss F.
        a: parameters by state-dict name.
        b: the same.
        t: a place or several.

    Returns:
        Float64, in the shape of ``t``.

    Guarantee: numeric, in float64.
    """
    path, places = _Path(objective, a, b), torch.as_tensor(t, dtype=torch.float64)
    values = [path.loss(place) for place in places.flatten().tolist()]
    return torch.tensor(values, dtype=torch.float64).reshape(places.shape)


def directional(objective: Objective, a: Parameters, b: Parameters, t: float | Sequence[float]) -> torch.Tensor:
    """φ′(t), the slope of the loss along the segment; a convex F never has φ′(t₁) > φ′(t₂) for t₁ < t₂.

    At a kink (an input of a ReLU is exactly 0) it is the derivative that automatic differentiation takes there.

    Args:
        objective: the loss F.
        a: parameters by state-dict name.
        b: the same.
        t: a place or several.

    Returns:
        Float64, in the shape of ``t``; loss units per unit of t.

    Guarantee: numeric, in float64.
    """
    path, places = _Path(objective, a, b), torch.as_tensor(t, dtype=torch.float64)
    values = [path.slope(place) for place in places.flatten().tolist()]
    return torch.tensor(values, dtype=torch.float64).reshape(places.shape)


class _Path:
    """The segment between two networks."""

    def __init__(self, objective: Objective, a: Parameters, b: Parameters) -> None:
        self.objective = objective
        self.a, self.b = ends(objective, {"a": a, "b": b})

    def at(self, t: float) -> dict[str, torch.Tensor]:
        """The parameters at t; exactly the ends there, and exactly a everywhere where b is a."""
        return point_between(self.a, self.b, t)

    def loss(self, t: float) -> float:
        return _loss(self.objective, self.at(t))

    def slope(self, t: float) -> float:
        place = torch.tensor(t, dtype=torch.float64, requires_grad=True)
        params = {
            name: x + place.to(x.device) * (self.b[name] - x) if x.is_floating_point() else x
            for name, x in self.a.items()
        }
        value = self.objective.mean(params)
        if not value.requires_grad:
            return 0.0
        return torch.autograd.grad(value, place)[0].item()

    def accuracy(self, t: Sequence[float]) -> tuple[float, ...] | None:
        if not self.objective.classifies:
            return None
        return tuple(self.objective.accuracy(self.at(place)) for place in t)


# the plane --------------------------------------------------------------------------------------------------
def plane(
    objective: Objective,
    a: Parameters,
    b: Parameters,
    c: Parameters,
    resolution: int = 25,
    margin: float = 0.2,
) -> Plane:
    """The loss on a grid of the plane through three networks.

    The axes are orthonormal in the space of the objective's variables: the first points from a to b, the second to
    the side of the first that c is on.

    Args:
        objective: the loss F.
        a: parameters by state-dict name; the origin.
        b: the same.
        c: the same, not on the line through a and b.
        resolution: points along each axis of the grid.
        margin: how far the grid reaches beyond the three points, as a fraction of their extent along each axis.

    Raises:
        InputError: the three points lie on a line, or the grid has fewer than two points along an axis.
        ParametersError: the parameters do not fit, all problems at once.

    Guarantee: numeric, in float64.
    """
    if resolution < 2 or not margin >= 0:
        raise InputError("this is no grid", got=f"resolution={resolution}, margin={margin}")
    start, end, third = ends(objective, {"a": a, "b": b, "c": c})
    along = {name: end[name] - start[name] for name in objective.variables}
    aside = {name: third[name] - start[name] for name in objective.variables}
    length = _dot(along, along) ** 0.5
    x = _dot(along, aside) / length if length else 0.0
    rest = {name: aside[name] - (x / length) * along[name] for name in along} if length else aside
    y = _dot(rest, rest) ** 0.5
    if not length or y <= 1e-9 * max(length, abs(x)):
        raise InputError(
            "the three points lie on a line",
            got=f"|b − a| = {length:.3g}, distance of c from the line {y:.3g}",
            why="they span no plane",
            fix="choose another third point, such as the orbit average",
        )

    def loss(u: float, v: float) -> float:
        """F at the affine combination with these coordinates."""
        toward_c = v / y
        toward_b = (u - toward_c * x) / length
        return _loss(
            objective,
            {
                name: p + toward_b * (end[name] - p) + toward_c * (third[name] - p) if p.is_floating_point() else p
                for name, p in start.items()
            },
        )

    columns = _grid((0.0, length, x), resolution, margin)
    rows = _grid((0.0, y), resolution, margin)
    return Plane(
        points=((0.0, 0.0), (length, 0.0), (x, y)),
        x=columns,
        y=rows,
        losses=tuple(tuple(loss(u, v) for u in columns) for v in rows),
        corners=(_loss(objective, start), _loss(objective, end), _loss(objective, third)),
    )


def _grid(extent: Sequence[float], resolution: int, margin: float) -> tuple[float, ...]:
    low, high = min(extent), max(extent)
    low, high = low - margin * (high - low), high + margin * (high - low)
    return tuple(low + (high - low) * k / (resolution - 1) for k in range(resolution))


# helpers ----------------------------------------------------------------------------------------------------
def ends(objective: Objective, given: Mapping[str, Parameters]) -> list[dict[str, torch.Tensor]]:
    """Every point in float64, with all problems of all of them at once."""
    problems: list[str] = []
    points: list[dict[str, torch.Tensor]] = []
    for label, params in given.items():
        try:
            found = objective.canonical(params)
        except ParametersError as error:
            problems += [f"{label}: {detail}" for detail in error.details]
        else:
            points.append({name: t.detach().double() if t.is_floating_point() else t for name, t in found.items()})
    if not problems:
        for name, tensor in points[0].items():
            if not tensor.is_floating_point() and any(not torch.equal(tensor, point[name]) for point in points[1:]):
                problems.append(f"integers differ: {name} has no values in between")
    if problems:
        raise ParametersError("the points do not fit this objective", details=problems)
    return points


def _loss(objective: Objective, params: Parameters) -> float:
    with torch.no_grad():
        return objective.mean(params).item()


def point_between(a: Parameters, b: Parameters, t: float) -> dict[str, torch.Tensor]:
    """(1 − t)·a + t·b, integers as they are in a."""
    return {name: _lerp(x, b[name], t) for name, x in a.items()}


def _lerp(x: torch.Tensor, y: torch.Tensor, t: float) -> torch.Tensor:
    return torch.lerp(x, y, t) if x.is_floating_point() else x


def _between(first: float, last: float, t: float) -> float:
    """The chord; exact at the ends and where both are equal."""
    return first + t * (last - first) if t < 0.5 else last - (1 - t) * (last - first)


def _dot(x: Parameters, y: Parameters) -> float:
    return sum(float((x[name] * y[name]).sum()) for name in x)


def _finite(value: float) -> float | None:
    return value if isfinite(value) else None
