"""P − rank ∂f/∂θ of a module as PyTorch runs it: nothing of Orbitope is used."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from tests.audit.cases import Case
from torch import nn
from torch.func import functional_call

ROWS = 1.6
"""So many rows for each column."""


@dataclass(frozen=True)
class Measured:
    """The deficiency of one draw of parameters, and the singular values on both sides of the gap."""

    size: int
    deficiency: int
    above: float
    below: float


def generic(model: nn.Module, seed: int) -> dict[str, torch.Tensor]:
    """Random parameters: gains and scales away from 0 and 1, nothing so large that it saturates."""
    generator = torch.Generator().manual_seed(seed)
    found = {}
    for name, parameter in model.named_parameters():
        noise = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
        if parameter.dim() > 1:
            noise = noise * min(0.9, 1.6 / parameter[0].numel() ** 0.5)
        elif "bias" in name:
            noise = 0.4 * noise
        else:
            noise = (0.5 + 0.4 * noise.abs()) * (torch.sign(noise) + (noise == 0))
        found[name] = noise if parameter.requires_grad else parameter.detach().double()
    return found


def buffers(model: nn.Module, seed: int) -> dict[str, torch.Tensor]:
    """Statistics away from their initial values; all other buffers as they are."""
    generator = torch.Generator().manual_seed(100 + seed)
    found = {}
    for name, buffer in model.named_buffers():
        value = buffer.double() if buffer.is_floating_point() else buffer
        if name.endswith("running_mean"):
            value = torch.randn(value.shape, generator=generator, dtype=torch.float64)
        if name.endswith("running_var"):
            value = 0.5 + torch.rand(value.shape, generator=generator, dtype=torch.float64)
        found[name] = value
    return found


def jacobian(case: Case, seed: int) -> torch.Tensor:
    """Rows of ∂f/∂θ at several batches of inputs, tied parameters once."""
    model = case.build().double()
    params = generic(model, seed)
    names = [name for name, parameter in model.named_parameters() if parameter.requires_grad]
    leaves = [params[name].requires_grad_() for name in names]
    size = sum(leaf.numel() for leaf in leaves)
    fixed = {name: x for name, x in (params | buffers(model, seed)).items() if name not in names}
    generator = torch.Generator().manual_seed(7 + seed)
    rows: list[torch.Tensor] = []
    while sum(map(len, rows)) < ROWS * size + 20:
        y = functional_call(model, {**fixed, **dict(zip(names, leaves, strict=True))}, case.draw(generator))
        y = torch.log_softmax(y, -1) if case.loss else y
        directions = torch.eye(y.numel(), dtype=y.dtype).reshape(-1, *y.shape)
        try:
            found = torch.autograd.grad(y, leaves, directions, True, is_grads_batched=True, allow_unused=True)
        except RuntimeError:
            each = [torch.autograd.grad(y, leaves, d, True, allow_unused=True) for d in directions]
            found = [None if p[0] is None else torch.stack(p) for p in zip(*each, strict=True)]
        flat = [
            torch.zeros((y.numel(), leaf.numel()), dtype=y.dtype) if g is None else g.reshape(y.numel(), -1)
            for g, leaf in zip(found, leaves, strict=True)
        ]
        rows.append(torch.cat(flat, 1))
    return torch.cat(rows)


def measure(case: Case, seed: int) -> Measured:
    """The deficiency at one draw, by the widest gap that ends below 1e-11 of the largest singular value."""
    matrix = jacobian(case, seed)
    size = matrix.shape[1]
    values = torch.linalg.svdvals(torch.linalg.qr(matrix, mode="r").R)
    values = torch.cat([values / values[0], torch.zeros(1, dtype=values.dtype)]).clamp(min=1e-17)
    ratios = torch.where(values[1:] < 1e-11, values[:-1] / values[1:], 0.0)
    rank = int(ratios.argmax()) + 1
    return Measured(size, size - rank, float(values[rank - 1]), float(values[rank]))


def deficiency(case: Case, seeds: range = range(3)) -> Measured:
    """The smallest over seeds: special parameters only have more flat directions."""
    return min((measure(case, seed) for seed in seeds), key=lambda each: each.deficiency)
