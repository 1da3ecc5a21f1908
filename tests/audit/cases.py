"""What a network of the audit's zoo is: how it is made, fed, and how many flat directions theory gives it, by parts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

Inputs = tuple[torch.Tensor, ...]


@dataclass(frozen=True)
class Expected:
    """Flat directions of generic parameters, derived by hand.

    Attributes:
        scales: diagonal actions, on trained parameters; where a buffer stands in the way with the next bias's help.
        translations: shifts that a bias takes up, or that a softmax, a norm or a doubled bias kills.
        matrices: orbits of GL(n), GL(1, ℂ).
        rotations: orbits of O(n) that act on the parameters as they are.
        conjugated: rotations of the network with its norm gains folded into their readers. They act on the network
            as it is too, with W → W·Γ·Rᵀ·Γ⁻¹ on the readers of a gain Γ, so that they are flat directions either way.
        beyond: flat directions of every generic θ that no action of these kinds gives; the case says why.
    """

    scales: int = 0
    translations: int = 0
    matrices: int = 0
    rotations: int = 0
    conjugated: int = 0
    beyond: int = 0

    @property
    def theory(self) -> int:
        """What groups explain."""
        return self.scales + self.translations + self.matrices + self.rotations + self.conjugated

    @property
    def measured(self) -> int:
        """P − rank of the derivative at generic parameters."""
        return self.theory + self.beyond

    def __str__(self) -> str:
        """The parts that are not zero."""
        parts = {name: value for name, value in vars(self).items() if value}
        return ", ".join(f"{value} {name}" for name, value in parts.items()) or "none"


@dataclass(frozen=True)
class Case:
    """One network.

    Attributes:
        name: unique.
        row: of the catalogue.
        make: builds it; what is not to vary has ``requires_grad`` off.
        draw: a batch of inputs from a generator.
        expected: flat directions by parts.
        reason: the derivation, in one line; and why some are beyond groups.
        loss: whether it is about the log-softmax of the outputs.
    """

    name: str
    row: str
    make: Callable[[], nn.Module]
    draw: Callable[[torch.Generator], Inputs]
    expected: Expected
    reason: str
    loss: bool = False

    def build(self) -> nn.Module:
        """In evaluation mode, the same each time."""
        torch.manual_seed(5)
        return self.make().eval()


class Network(nn.Module):
    """``forward(self, *inputs)`` of some parts."""

    def __init__(self, function: Callable[..., torch.Tensor], **parts: nn.Module | nn.Parameter) -> None:
        super().__init__()
        self.function = function
        for name, part in parts.items():
            setattr(self, name, part)

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        """Whatever the function says."""
        return self.function(self, *inputs)


def network(function: Callable[..., torch.Tensor], **parts: nn.Module | nn.Parameter) -> Callable[[], nn.Module]:
    """A maker that copies the parts, so that every network has its own."""
    from copy import deepcopy

    return lambda: Network(function, **{name: deepcopy(part) for name, part in parts.items()})


def chain(*parts: nn.Module) -> Callable[[], nn.Module]:
    """A maker of a chain."""
    from copy import deepcopy

    return lambda: nn.Sequential(*map(deepcopy, parts))


def normal(*shape: int, spread: float = 1.5) -> Callable[[torch.Generator], Inputs]:
    """Normal inputs; wide enough to reach beyond where activations bend."""
    return lambda generator: (spread * torch.randn(shape, generator=generator, dtype=torch.float64),)


def tokens(vocabulary: int, *shape: int) -> Callable[[torch.Generator], Inputs]:
    """Token ids."""
    return lambda generator: (torch.randint(0, vocabulary, shape, generator=generator),)


def weights(*shape: int) -> nn.Parameter:
    """A parameter of its own."""
    return nn.Parameter(torch.randn(shape))
