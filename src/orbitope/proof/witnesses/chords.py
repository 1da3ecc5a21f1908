"""Chords of the loss with a point between their ends that lies above: for any set of variables, also a single tensor.

Piecewise linear networks have no negative curvature where they are smooth: what bends down are their kinks, over a
distance. Parameters and their negatives are tried first, row by row, since halfway between them a unit is off; then the
gap is made larger by gradient ascent in both the middle and the direction.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch

from orbitope.proof.witnesses.witness import Point, Value, Witness

Loss = Callable[[Mapping[str, torch.Tensor]], torch.Tensor]
"""F, differentiable in the parameters."""

ROWS = 8
"""So many rows of each tensor are turned around alone."""

SPREADS = (1.0, 0.25, 4.0)
"""How long random chords are, as a share of the parameters that vary."""

STEPS, RATE = 40, 0.1
"""Of the ascent, and how far each goes as a share of the parameters."""

GRID = 2.0**-40
"""Entries of the middle and of the direction are multiples of this share of the largest, so that ends are exact."""


def chords(start: Point, value: Value, loss: Loss, variables: Sequence[str]) -> list[Witness]:
    """Midpoints above the mean of the ends of their chord, by falling gap.

    Args:
        start: the point A.
        value: F.
        loss: the same, differentiable.
        variables: what may move.
    """
    names = tuple(name for name in variables if start[name].is_floating_point() and start[name].numel())
    if not names:
        return []
    wide: Point = {name: t.double() if name in names else t for name, t in start.items()}
    at = {name: wide[name] for name in names}
    scale = _scale(at)
    candidates = sorted(_turned(at), key=lambda pair: -_gap(value, wide, *pair, scale))[:2]
    candidates += [_random(at, spread, seed, scale) for seed, spread in enumerate(SPREADS)]
    found: list[Witness] = []
    for pair in candidates:
        for middle, direction in (pair, _ascended(loss, wide, *pair, scale)):
            found.append(_witness(start, value, wide, middle, direction, scale))
        if found[-1].gap > 1e-3 * abs(value(wide)):
            break
    return sorted(found, key=lambda witness: -witness.gap)


def _scale(at: Point) -> dict[str, float]:
    """The size of the entries of each tensor; of one that is zero, that of all."""
    whole = max(float(max(t.abs().max() for t in at.values())), 1e-3)
    sizes = {name: float(t.square().mean().sqrt()) for name, t in at.items()}
    return {name: size or whole for name, size in sizes.items()}


def _turned(at: Point) -> list[tuple[Point, Point]]:
    """Middles and directions: everything turned around, one tensor, one row of it."""
    zero = {name: torch.zeros_like(t) for name, t in at.items()}
    found = [(zero, dict(at))] if len(at) > 1 else []
    for name, t in at.items():
        found.append(({**at, name: zero[name]}, {**zero, name: t}))
        if t.dim() < 2:
            continue
        for row in range(0, len(t), max(1, len(t) // ROWS)):
            part = torch.zeros_like(t)
            part[row] = t[row]
            found.append(({**at, name: t - part}, {**zero, name: part}))
    return found


def _random(at: Point, spread: float, seed: int, scale: Mapping[str, float]) -> tuple[Point, Point]:
    generator = torch.Generator().manual_seed(seed)
    noise = {name: torch.randn(t.shape, generator=generator, dtype=torch.float64) for name, t in at.items()}
    return dict(at), {name: spread * scale[name] * t for name, t in noise.items()}


def _ascended(
    loss: Loss, wide: Point, middle: Point, direction: Point, scale: Mapping[str, float]
) -> tuple[Point, Point]:
    """The pair after steps of gradient ascent of the gap, the best of those that were met."""
    leaves = {(k, name): t.clone().requires_grad_() for k, p in enumerate((middle, direction)) for name, t in p.items()}
    groups = [{"params": [leaf], "lr": RATE * scale[name]} for (_, name), leaf in leaves.items()]
    optimizer = torch.optim.Adam(groups, maximize=True)
    best, kept = -torch.inf, (middle, direction)
    for _ in range(STEPS):
        m, d = ({name: leaves[k, name] for name in middle} for k in (0, 1))
        with torch.enable_grad():
            ends = [loss({**wide, **{name: m[name] + sign * d[name] for name in m}}) for sign in (1, -1)]
            gap = loss({**wide, **m}) - (ends[0] + ends[1]) / 2
        if not bool(gap.isfinite()) or not gap.requires_grad:
            break
        if gap.item() > best:
            best = gap.item()
            kept = ({n: t.detach().clone() for n, t in m.items()}, {n: t.detach().clone() for n, t in d.items()})
        optimizer.zero_grad()
        gap.backward()
        optimizer.step()
    return kept


def _exact(point: Point, scale: Mapping[str, float]) -> Point:
    """Entries on a grid, so that the ends of a chord are floats and their mean is its middle."""
    grid = {name: 2.0 ** round(torch.tensor(scale[name]).log2().item()) * GRID for name in point}
    return {name: torch.round(t / grid[name]) * grid[name] for name, t in point.items()}


def _gap(value: Value, wide: Point, middle: Point, direction: Point, scale: Mapping[str, float]) -> float:
    middle, direction = _exact(middle, scale), _exact(direction, scale)
    ends = [value({**wide, **{n: middle[n] + sign * direction[n] for n in middle}}) for sign in (1, -1)]
    return value({**wide, **middle}) - sum(ends) / 2


def _witness(
    start: Point, value: Value, wide: Point, middle: Point, direction: Point, scale: Mapping[str, float]
) -> Witness:
    middle, direction = _exact(middle, scale), _exact(direction, scale)
    ends = tuple({n: middle[n] + sign * direction[n] for n in middle} for sign in (1, -1))
    gap = value({**wide, **middle}) - sum(value({**wide, **end}) for end in ends) / 2
    reach = sum(float(t.square().sum()) for t in direction.values()) ** 0.5
    note = f"chord of length {2 * reach:.3g}: F at its middle above the mean of F at its ends"
    return Witness("midpoint", "chord", start, gap, points=ends, note=note)
