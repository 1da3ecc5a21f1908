"""Fully connected networks as functions of one flat vector of parameters, many vectors at a time, in float64."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import nn
from torch.nn import functional as F

from orbitope.surveys.problems import Problem

Function = Callable[[torch.Tensor], torch.Tensor]

STEP = 1e-6
"""Of a difference that stands for a second derivative, as a share of the length of the parameters."""


class Entrywise(nn.Module):
    """A function applied to every entry."""

    def __init__(self, function: Function) -> None:
        """Keep the function."""
        super().__init__()
        self.function = function

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Its values."""
        return self.function(x)


@dataclass(frozen=True)
class Network:
    """Inputs → hidden layers of one width → outputs, and its loss with weight decay.

    Attributes:
        problem: data and loss.
        function: the activation.
        width: of every hidden layer. depth: how many there are.
    """

    problem: Problem
    function: Function
    width: int
    depth: int

    @property
    def sizes(self) -> list[int]:
        """Units of every layer, from inputs to outputs."""
        return [self.problem.inputs, *[self.width] * self.depth, self.problem.outputs]

    @cached_property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Parameters by state-dict name, in the order of the flat vector."""
        found: dict[str, tuple[int, ...]] = {}
        for k, (fan_in, fan_out) in enumerate(zip(self.sizes, self.sizes[1:], strict=False)):
            found[f"{2 * k}.weight"] = (fan_out, fan_in)
            found[f"{2 * k}.bias"] = (fan_out,)
        return found

    @cached_property
    def size(self) -> int:
        """Number of parameters."""
        return sum(torch.Size(shape).numel() for shape in self.shapes.values())

    def module(self) -> nn.Module:
        """The same as a PyTorch module in float64, in evaluation mode."""
        layers: list[nn.Module] = []
        for fan_in, fan_out in zip(self.sizes[:-2], self.sizes[1:], strict=False):
            layers += [nn.Linear(fan_in, fan_out), Entrywise(self.function)]
        return nn.Sequential(*layers, nn.Linear(self.sizes[-2], self.sizes[-1])).double().eval()

    def initial(self, seed: int) -> torch.Tensor:
        """PyTorch's own initial parameters, as a flat vector."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            state = self.module().state_dict()
        return torch.cat([state[name].flatten() for name in self.shapes])

    def split(self, flat: torch.Tensor) -> dict[str, torch.Tensor]:
        """Parameters by name; axes before the last of ``flat`` stay in front."""
        parts = flat.split([torch.Size(shape).numel() for shape in self.shapes.values()], dim=-1)
        pairs = zip(self.shapes.items(), parts, strict=True)
        return {name: part.reshape(*flat.shape[:-1], *shape) for (name, shape), part in pairs}

    def joined(self, parameters: dict[str, torch.Tensor]) -> torch.Tensor:
        """The flat vector."""
        return torch.cat([parameters[name].flatten() for name in self.shapes])

    def hidden(self, flat: torch.Tensor) -> list[torch.Tensor]:
        """The values of every hidden layer, and the outputs: ``[…, samples, units]``."""
        parameters = self.split(flat)
        values, found = self.problem.x, []
        for k in range(self.depth + 1):
            weight, bias = parameters[f"{2 * k}.weight"], parameters[f"{2 * k}.bias"]
            values = values @ weight.transpose(-1, -2) + bias.unsqueeze(-2)
            if k < self.depth:
                values = self.function(values)
            found.append(values)
        return found

    def loss(self, flat: torch.Tensor) -> torch.Tensor:
        """F at one vector, or at each row: mean loss and λ/2 times the squared length."""
        outputs, y = self.hidden(flat)[-1], self.problem.y
        if self.problem.loss == "mse":
            data = (outputs - y).square().mean((-1, -2))
        else:
            picked = F.log_softmax(outputs, -1).gather(-1, y.expand(*outputs.shape[:-1]).unsqueeze(-1))
            data = -picked.squeeze(-1).mean(-1)
        return data + self.problem.weight_decay / 2 * flat.square().sum(-1)

    def value(self, flat: torch.Tensor) -> float:
        """F at one vector."""
        with torch.no_grad():
            return self.loss(flat).item()

    def values(self, flats: torch.Tensor, at_once: int = 64) -> torch.Tensor:
        """F at every row."""
        with torch.no_grad():
            return torch.cat([self.loss(rows) for rows in flats.split(at_once)]) if len(flats) else flats.new_zeros(0)

    def gradient(self, flat: torch.Tensor) -> tuple[float, torch.Tensor]:
        """F and its gradient at one vector; at a kink the one that automatic differentiation takes."""
        leaf = flat.detach().clone().requires_grad_()
        value = self.loss(leaf)
        return value.item(), torch.autograd.grad(value, leaf)[0]

    def curve(self, flat: torch.Tensor) -> Callable[[torch.Tensor], torch.Tensor]:
        """Products of the Hessian at one vector with vectors.

        Where torch has no second derivative of the activation they are differences of gradients.
        """
        leaf = flat.detach().clone().requires_grad_()
        slope = torch.autograd.grad(self.loss(leaf), leaf, create_graph=True)[0]

        def product(vector: torch.Tensor) -> torch.Tensor:
            return torch.autograd.grad(slope, leaf, vector, retain_graph=True)[0]

        def difference(vector: torch.Tensor) -> torch.Tensor:
            step = STEP * (1 + flat.norm()) / vector.norm().clamp_min(1e-300)
            ahead, behind = (self.gradient(flat + sign * step * vector)[1] for sign in (1, -1))
            return (ahead - behind) / (2 * step)

        try:
            product(torch.ones_like(flat))
        except RuntimeError:  # "derivative for aten::hardsigmoid_backward is not implemented"
            return difference
        return product

    def accuracy(self, flat: torch.Tensor) -> float | None:
        """Share of samples whose class is the largest output; None where there are no classes."""
        if self.problem.labels is None:
            return None
        with torch.no_grad():
            return float((self.hidden(flat)[-1].argmax(-1) == self.problem.labels).double().mean())


# exchanges of hidden units --------------------------------------------------------------------------------------
def pairs(network: Network) -> list[tuple[int, int, int]]:
    """All exchanges: layer, and two of its units."""
    return [
        (layer, i, j)
        for layer in range(network.depth)
        for i in range(network.width)
        for j in range(i + 1, network.width)
    ]


def exchanged(network: Network, flat: torch.Tensor, layer: int, i: int, j: int) -> torch.Tensor:
    """B: two units of a layer have changed places, with all their edges."""
    order = torch.arange(network.width)
    order[i], order[j] = j, i
    found = dict(network.split(flat))
    for name, axis in ((f"{2 * layer}.weight", 0), (f"{2 * layer}.bias", 0), (f"{2 * layer + 2}.weight", 1)):
        found[name] = found[name].index_select(axis, order)
    return network.joined(found)


def collapsed(network: Network, flat: torch.Tensor) -> torch.Tensor:
    """The average over all exchanges of all layers: all units of a layer are alike."""
    found = dict(network.split(flat))
    for layer in range(network.depth):
        for name, axis in ((f"{2 * layer}.weight", 0), (f"{2 * layer}.bias", 0), (f"{2 * layer + 2}.weight", 1)):
            found[name] = found[name].mean(axis, keepdim=True).expand_as(found[name])
    return network.joined(found)
