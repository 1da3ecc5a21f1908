"""To a point whose gradient is nearly zero: L-BFGS, then Newton steps where the loss is smooth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy.optimize import minimize

from orbitope.surveys.networks import Network

STEPS = 1500
"""Iterations of L-BFGS."""

SMALL = 1e-9
"""A gradient shorter than this is not made shorter."""

POLISHED = 500
"""Up to so many parameters, Newton steps with the whole Hessian follow."""


@dataclass(frozen=True)
class Training:
    """Where it ended.

    Attributes:
        point: flat parameters.
        evaluations: of F and its gradient.
        gradient: length of the gradient there.
    """

    point: torch.Tensor
    evaluations: int
    gradient: float


def train(network: Network, start: torch.Tensor, steps: int = STEPS) -> Training:
    """Minimise F from some parameters.

    Guarantee: numeric; the length of the gradient says how near to stationary the end is. At a kink it need not be
        small although the point is a minimum.
    """
    count = 0

    def both(flat: np.ndarray) -> tuple[float, np.ndarray]:
        nonlocal count
        count += 1
        value, gradient = network.gradient(torch.from_numpy(flat))
        if not np.isfinite(value):
            return 1e100, np.zeros_like(flat)
        return value, gradient.numpy()

    options = {"maxiter": steps, "maxfun": 2 * steps, "ftol": 0.0, "gtol": SMALL / 10, "maxcor": 40}
    found = minimize(both, start.numpy().copy(), jac=True, method="L-BFGS-B", options=options)
    point = torch.from_numpy(found.x)
    if network.size <= POLISHED:
        point = _newton(network, point)
    return Training(point, count, _length(network, point))


def _length(network: Network, point: torch.Tensor) -> float:
    return float(network.gradient(point)[1].norm())


def _newton(network: Network, point: torch.Tensor, rounds: int = 12) -> torch.Tensor:
    """Damped Newton steps, only those that shorten the gradient and do not raise the loss."""
    value, gradient = network.gradient(point)
    for _ in range(rounds):
        if float(gradient.norm()) < SMALL:
            break
        product = network.curve(point)
        hessian = torch.stack([product(row) for row in torch.eye(network.size, dtype=torch.float64)])
        values, vectors = torch.linalg.eigh((hessian + hessian.T) / 2)
        step = vectors @ ((vectors.T @ gradient) / values.abs().clamp_min(1e-8))
        for scale in (1.0, 0.5, 0.25, 0.1, 0.02):
            trial = point - scale * step
            new_value, new_gradient = network.gradient(trial)
            if new_gradient.norm() < gradient.norm() and new_value <= value + 1e-12:
                point, value, gradient = trial, new_value, new_gradient
                break
        else:
            break
    return point
