"""What is recorded of one network at one point: gradients, gaps of swaps, the orbit average, curvature."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from orbitope.surveys.networks import Network, collapsed, exchanged, pairs

NOISE = 1e-12
"""A difference below this share of F is not told from rounding."""

ALIKE = 1e-6
"""Two units whose parameters differ by less than this share of the network's largest parameter are alike."""

DENSE = 128
"""Up to so many parameters the whole Hessian is computed."""

ITERATIONS = 80
"""Products of the Hessian with a vector where it is larger."""


def measure(network: Network, point: torch.Tensor, seed: int) -> dict[str, Any]:
    """All numbers of one point A, by name.

    * ``loss``, ``accuracy``, ``gradient_a``: F(A), the share of samples that are right, ‖∇F(A)‖.
    * ``swaps``, ``bumps``: how many exchanges of two hidden units there are, and of how many the midpoint is worse.
    * ``best_gap``, ``random_gap``: F(M) − F(A) for the worst midpoint and for that of an exchange drawn at random.
    * ``best_swap``, ``gradient_b``, ``gradient_m``: layer and units of the former; ‖∇F‖ at its B and its M.
    * ``average_gap``: F at the average over all exchanges of all layers, minus F(A).
    * ``curvature_a``, ``curvature_m``: smallest eigenvalue that was found of the Hessian at A and at M.
    * ``distinct``, ``dead``: how many units of each layer are different from each other; how many give one value for
      all samples, or are not looked at by the next layer.

    Guarantee: numeric, in float64. The curvature of a network of more than 128 parameters is an upper bound of the
        smallest eigenvalue, by Lanczos iteration.
    """
    value, gradient = network.gradient(point)
    found: dict[str, Any] = {
        "loss": value,
        "accuracy": network.accuracy(point),
        "gradient_a": float(gradient.norm()),
        "curvature_a": curvature(network, point),
        "average_gap": network.value(collapsed(network, point)) - value,
        "distinct": distinct(network, point),
        "dead": dead(network, point),
    }
    return found | _swaps(network, point, value, seed)


def _swaps(network: Network, point: torch.Tensor, value: float, seed: int) -> dict[str, Any]:
    every = pairs(network)
    if not every:
        names = ("best_gap", "random_gap", "best_swap", "gradient_b", "gradient_m", "curvature_m")
        return {"swaps": 0, "bumps": 0, **dict.fromkeys(names)}
    middles = torch.stack([(point + exchanged(network, point, *pair)) / 2 for pair in every])
    gaps = network.values(middles) - value
    best = int(gaps.nan_to_num(-torch.inf).argmax())
    drawn = int(torch.randint(len(every), (), generator=torch.Generator().manual_seed(seed)))
    return {
        "swaps": len(every),
        "bumps": int((gaps > floor(value)).sum()),
        "best_gap": float(gaps[best]),
        "random_gap": float(gaps[drawn]),
        "best_swap": list(every[best]),
        "gradient_b": float(network.gradient(exchanged(network, point, *every[best]))[1].norm()),
        "gradient_m": float(network.gradient(middles[best])[1].norm()),
        "curvature_m": curvature(network, middles[best]),
    }


def floor(value: float) -> float:
    """Gaps up to here are rounding."""
    return NOISE * max(1.0, abs(value))


def curvature(network: Network, point: torch.Tensor) -> float | None:
    """The smallest eigenvalue of the Hessian that is found; None where the loss has none."""
    product = network.curve(point)
    if network.size <= DENSE:
        hessian = torch.stack([product(row) for row in torch.eye(network.size, dtype=torch.float64)])
        return float(torch.linalg.eigvalsh((hessian + hessian.T) / 2)[0]) if bool(hessian.isfinite().all()) else None
    return _lanczos(network.size, product)


def _lanczos(size: int, product: Callable[[torch.Tensor], torch.Tensor]) -> float | None:
    """The smallest eigenvalue that so many products show: never below the true one."""
    vector = torch.randn(size, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    basis = (vector / vector.norm())[None]
    diagonal: list[float] = []
    beside: list[float] = []
    for _ in range(min(size, ITERATIONS)):
        image = product(basis[-1])
        if not bool(image.isfinite().all()):
            return None
        diagonal.append(float(image @ basis[-1]))
        for _ in range(2):  # once is not enough to stay orthogonal
            image = image - basis.T @ (basis @ image)
        length = float(image.norm())
        if length <= 1e-12 * max(map(abs, diagonal)):
            break
        beside.append(length)
        basis = torch.cat([basis, (image / length)[None]])
    count = len(diagonal)
    off = torch.tensor(beside[: count - 1], dtype=torch.float64)
    tridiagonal = torch.diag(torch.tensor(diagonal, dtype=torch.float64)) + torch.diag(off, 1) + torch.diag(off, -1)
    return float(torch.linalg.eigvalsh(tridiagonal)[0])


# units that count for nothing -----------------------------------------------------------------------------------
def _around(network: Network, point: torch.Tensor, layer: int) -> torch.Tensor:
    """For every unit of a layer all parameters on its edges."""
    found = network.split(point)
    incoming = torch.cat([found[f"{2 * layer}.weight"], found[f"{2 * layer}.bias"][:, None]], 1)
    return torch.cat([incoming, found[f"{2 * layer + 2}.weight"].T], 1)


def distinct(network: Network, point: torch.Tensor) -> list[int]:
    """How many units of each layer differ from each other in the parameters on their edges."""
    counts = []
    for layer in range(network.depth):
        rows = _around(network, point, layer)
        near = torch.cdist(rows, rows, compute_mode="donot_use_mm_for_euclid_dist") <= ALIKE * point.abs().max()
        counts.append(int((near.to(torch.int8).argmax(1) == torch.arange(network.width)).sum()))
    return counts


def dead(network: Network, point: torch.Tensor) -> list[int]:
    """How many units of each layer have one value for all samples, or edges to the next layer that are all zero."""
    counts = []
    with torch.no_grad():
        values = network.hidden(point)
    for layer in range(network.depth):
        spread = values[layer].amax(0) - values[layer].amin(0)
        outgoing = network.split(point)[f"{2 * layer + 2}.weight"].norm(dim=0)
        counts.append(int(((spread <= ALIKE) | (outgoing <= ALIKE * point.abs().max())).sum()))
    return counts
