"""Directions in which the loss bends down: at the midpoint of a swap, or at given parameters.

Both are found by Lanczos iteration with products of the Hessian and a vector. At the midpoint of a swap only directions
that the swap turns around are tried: M + d and M − d are then a network and its twin, so that a plain swap of another
network is proved, where no swap of the given one will do.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from scipy.sparse.linalg import ArpackError, ArpackNoConvergence, aslinearoperator, eigsh

from orbitope.group import SymmetryGroup
from orbitope.proof.moves import Step, swap
from orbitope.proof.witnesses.swaps import Pair
from orbitope.proof.witnesses.witness import Point, Value, Witness, averaged, moved

Loss = Callable[[Mapping[str, torch.Tensor]], torch.Tensor]
"""F, differentiable in the parameters."""

ITERATIONS = 24
"""Products of the Hessian with a vector in one search."""

LENGTHS = tuple(2.0**-k for k in range(-2, 16))
"""Lengths of the direction that are tried, in units of the root mean square of the parameters that it changes."""

PAIRS = 4
"""How many swaps are tried."""


def twins(group: SymmetryGroup, point: Point, value: Value, loss: Loss, promising: Sequence[Pair]) -> list[Witness]:
    """Swaps of constructed networks M + d by falling gap, where M is a midpoint and the swap turns d around."""
    found = []
    for pair in promising[:PAIRS]:
        exchange = swap(group, pair.unit, pair.i, pair.j)
        middle = {name: t.double() if name in exchange.moves else t for name, t in averaged(exchange, point).items()}
        names = tuple(exchange.moves)

        def odd(vector: Point, exchange: Step = exchange) -> Point:
            image = moved(exchange, vector)
            return {name: (vector[name] - image[name]) / 2 for name in vector}

        direction = _downward(loss, middle, names, odd)
        if direction is None:
            continue
        here = value(middle)
        best = max(
            (_grid({name: middle[name] + s * direction[name] for name in names}, middle) for s in LENGTHS),
            key=lambda candidate: here - value({**middle, **candidate}),
        )
        start = {**point, **best}
        gap = value(averaged(exchange, start)) - value(start)
        note = f"twin of {pair.unit.name}[{pair.i}] and [{pair.j}], built at their midpoint"
        found.append(Witness("midpoint", "twin", start, gap, (exchange,), note=note))
    return sorted(found, key=lambda witness: -witness.gap)


def curvature(point: Point, value: Value, loss: Loss, variables: Sequence[str]) -> list[Witness]:
    """The given parameters as the midpoint of θ + d and θ − d, d along the most negative curvature that was found."""
    names = tuple(name for name in variables if point[name].is_floating_point())
    wide = {name: t.double() if name in names else t for name, t in point.items()}
    direction = _downward(loss, wide, names, lambda vector: vector)
    if direction is None:
        return []
    here, found = value(wide), []
    for length in LENGTHS:
        offset = {name: _rounded(length * direction[name], wide[name]) for name in names}
        ends = tuple({name: wide[name] + sign * offset[name] for name in names} for sign in (1, -1))
        gap = here - sum(value({**wide, **end}) for end in ends) / 2
        reach = sum(float(t.square().sum()) for t in offset.values()) ** 0.5
        note = f"curvature at the given parameters: F(θ) above the mean of F(θ ± d), |d| = {reach:.3g}"
        found.append(Witness("midpoint", "curvature", point, gap, points=ends, note=note))
    return sorted(found, key=lambda witness: -witness.gap)


class _Product:
    """A symmetric matrix that is known by its products."""

    def __init__(self, size: int, product: Callable[[np.ndarray], np.ndarray]) -> None:
        self.shape, self.dtype, self.matvec = (size, size), np.dtype(np.float64), product


def _downward(loss: Loss, at: Point, names: Sequence[str], project: Callable[[Point], Point]) -> Point | None:
    """A direction of negative curvature within a subspace, as long as the parameters; None if none is found."""
    shapes = [at[name].shape for name in names]
    sizes = [shape.numel() for shape in shapes]
    total = sum(sizes)
    if total < 2:
        return None

    def split(vector: np.ndarray) -> Point:
        parts = torch.from_numpy(np.ascontiguousarray(vector, dtype=np.float64)).split(sizes)
        return {name: part.reshape(shape) for name, part, shape in zip(names, parts, shapes, strict=True)}

    def joined(vector: Point) -> np.ndarray:
        return torch.cat([vector[name].reshape(-1) for name in names]).numpy()

    leaves = {name: at[name].detach().clone().requires_grad_() for name in names}
    with torch.enable_grad():
        value = loss({**at, **leaves})
        gradients = _gradients(value, leaves, again=True)
    reached = [(g, name) for g, name in zip(gradients, names, strict=True) if g is not None and g.requires_grad]
    if not reached:
        return None

    def product(vector: np.ndarray) -> np.ndarray:
        along = project(split(vector.reshape(-1)))
        with torch.enable_grad():
            slope = torch.stack([(g * along[name]).sum() for g, name in reached]).sum()
            second = _gradients(slope, leaves)
        pairs = zip(names, second, strict=True)
        return joined(project({n: torch.zeros_like(leaves[n]) if s is None else s for n, s in pairs}))

    start = joined(project(split(np.random.default_rng(0).standard_normal(total))))
    if not np.any(start):
        return None
    try:
        operator = aslinearoperator(_Product(total, product))
        settings: dict[str, Any] = {"maxiter": 4, "ncv": min(total, ITERATIONS), "tol": 1e-2}
        values, vectors = eigsh(operator, k=1, which="SA", v0=start, **settings)
    except ArpackNoConvergence as error:
        values, vectors = error.eigenvalues, error.eigenvectors
    except ArpackError:
        return None
    if not len(values) or not values[0] < 0:
        return None
    vector = project(split(vectors[:, 0]))
    length = sum(float(v.square().sum()) for v in vector.values()) ** 0.5
    typical = (sum(float(at[name].double().square().sum()) for name in names) or 1.0) ** 0.5
    return {name: v * (typical / length) for name, v in vector.items()}


def _gradients(value: torch.Tensor, leaves: Point, again: bool = False) -> list[torch.Tensor | None]:
    """Of a value with respect to parameters; None for those that it does not depend on.

    Args:
        value: one number.
        leaves: the parameters.
        again: whether the gradients are to be differentiated.
    """
    found = torch.autograd.grad(value, list(leaves.values()), retain_graph=True, create_graph=again, allow_unused=True)
    return [*found]


def _rounded(offset: torch.Tensor, around: torch.Tensor) -> torch.Tensor:
    """An offset on a grid so coarse that adding it to single-precision parameters, or subtracting it, is exact."""
    top = max(float(around.abs().max()), float(offset.abs().max()), 1e-300)
    grid = 2.0 ** (np.ceil(np.log2(top)) - 50)
    return torch.round(offset / grid) * grid


def _grid(candidate: Point, around: Point) -> Point:
    """Entries on a grid that keeps sums of two of them exact."""
    return {name: _rounded(value, around[name]) for name, value in candidate.items()}
