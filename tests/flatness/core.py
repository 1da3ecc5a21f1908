"""What every audited network is made with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from tests.zoo.core import Inputs
from torch import nn


@dataclass(frozen=True)
class Network:
    """A small network and its flat directions by hand.

    Attributes:
        name: of the row.
        row: of the catalogue of symmetries.
        build: makes it in evaluation mode.
        inputs: makes example inputs.
        parts: scales, shifts, matrices, rotations and sign bits by hand; they may also move buffers.
        why: the derivation, in one line.
        explained: dimension of the orbit among trainable entries; by default the sum of the parts without the signs.
        measured: flat directions, where there are more than the group explains.
        reason: the mathematics of that difference.
        missing: of the parts, what inference leaves out.
        awaits: why.
        loss: whether it is about the log-softmax of the outputs.
        seeds: at most so many random parameters are looked at.
    """

    name: str
    row: str
    build: Callable[[], nn.Module]
    inputs: Callable[[], Inputs]
    parts: tuple[int, int, int, int, int]
    why: str
    explained: int | None = None
    measured: int | None = None
    reason: str = ""
    missing: tuple[int, int, int, int, int] = (0, 0, 0, 0, 0)
    awaits: str = ""
    loss: bool = False
    seeds: int = 12

    @property
    def theory(self) -> int:
        """What the group should explain, by hand."""
        return sum(self.parts[:4]) if self.explained is None else self.explained

    @property
    def flat(self) -> int:
        """What is flat, by hand."""
        return self.theory if self.measured is None else self.measured

    @property
    def expected(self) -> int:
        """What the group that is found explains."""
        return self.theory - sum(self.missing[:4])

    @property
    def found(self) -> tuple[int, ...]:
        """The parts of the group that is found."""
        return tuple(part - gone for part, gone in zip(self.parts, self.missing, strict=True))

    def made(self) -> nn.Module:
        """The network, of the same weights each time."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(5)
            return self.build().eval()


def tokens(vocabulary: int, batch: int, length: int) -> Callable[[], Inputs]:
    """Makes token numbers that use the whole vocabulary."""

    def inputs() -> Inputs:
        count = batch * length
        assert count >= vocabulary
        return ((torch.arange(count) % vocabulary).reshape(batch, length),)

    return inputs


class RMS(nn.Module):
    """A root mean square norm, with or without a gain."""

    def __init__(self, size: int, gain: bool = False, eps: float = 1e-3) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(size)) if gain else None
        self.eps = eps

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = x * torch.rsqrt(x.square().mean(-1, keepdim=True) + self.eps)
        return y if self.gain is None else y * self.gain
