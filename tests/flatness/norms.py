"""Norms of one vector, or of one feature over a batch, between linear maps."""

from __future__ import annotations

import torch
from tests.flatness.core import RMS, Network
from tests.zoo.core import L, example, seq
from torch import nn


class Batch(nn.Module):
    """A norm over the batch, written out."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.gain, self.bias = nn.Parameter(torch.ones(size)), nn.Parameter(torch.zeros(size))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = x - x.mean(0)
        return y * (y.square().mean(0) + 1e-3) ** -0.5 * self.gain + self.bias


ROOM = (
    "so few inputs leave room for ε: with x̃ = (x, 1) the norm sees |W̃x̃|² + dε, and W̃ᵀW̃ → c²W̃ᵀW̃ + dε(c² − 1)·e₁e₁ᵀ "
    "scales it, if the next map follows: 1 more, by no matrix"
)

NETWORKS = (
    Network(
        "BatchNorm", "BatchNorm (eval)", lambda: seq(L(3, 5), nn.BatchNorm1d(5), nn.ReLU(), L(5, 2)), example((6, 3)),
        (15, 10, 0, 0, 5),
        "for each of 5 channels: W against γ (and a sign), b against β, ReLU; the statistics make two more",
        explained=15,
    ),
    Network(
        "LayerNorm, ReLU", "LayerNorm", lambda: seq(L(3, 5), nn.LayerNorm(5), nn.ReLU(), L(5, 2)), example((6, 3)),
        (5, 4, 0, 0, 1), "ReLU scales take γ and β along: 5; the norm forgets c·1 that W's 3 columns or b write: 4",
    ),
    Network(
        "RMSNorm with gain", "RMSNorm", lambda: seq(L(6, 5), RMS(5, gain=True), L(5, 2)), example((6, 6)),
        (5, 0, 0, 0, 10), "γ by D, the next map by D⁻¹", measured=15,
        reason="γ folds into the next map, and then O(5) turns what the norm reads: 10 more, after `orbitope fold`",
    ),
    Network(
        "RMSNorm without gain", "RMSNorm", lambda: seq(L(6, 5), RMS(5), L(5, 2)), example((6, 6)),
        (0, 0, 10, 0, 0), "O(5) between the two maps",
    ),
    Network(
        "BatchNorm without gain", "BatchNorm (eval)",
        lambda: seq(L(3, 4), nn.BatchNorm1d(4, affine=False), nn.ReLU(), L(4, 2)), example((6, 3)),
        (8, 4, 0, 0, 0), "ReLU scales of 4 units, and W and b against the statistics: 8; b against the mean: 4; "
        "4 of these 12 leave the statistics as they are", explained=4,
    ),
    Network(
        "norm over the batch, written out", "BatchNorm (train), InstanceNorm",
        lambda: seq(L(3, 4), Batch(4), nn.ReLU(), L(4, 2)), example((9, 3)),
        (4, 4, 0, 0, 4), "ReLU scales of 4 units with γ and β; 4 dead biases; signs of W with γ",
    ),
    Network(
        "RMSNorm with gain, ReLU", "RMSNorm", lambda: seq(L(5, 4), RMS(4, gain=True), nn.ReLU(), L(4, 2)),
        example((6, 5)), (4, 0, 0, 0, 4), "γ takes 4 ReLU scales; signs of W with γ; ReLU lets no rotation pass",
    ),
    Network(
        "RMSNorm, ε = 0", "RMSNorm", lambda: seq(L(5, 4), RMS(4, eps=0.0), L(4, 2)), example((6, 5)),
        (1, 0, 6, 0, 0), "O(4), and one scale of the first map",
    ),
    Network(
        "RMSNorm of few inputs", "RMSNorm", lambda: seq(L(3, 4), RMS(4, eps=1e-2), L(4, 2)), example((6, 3)),
        (0, 0, 6, 0, 0), "O(4)", measured=7, reason=ROOM,
    ),
    Network(
        "RMSNorm of few inputs, no bias", "RMSNorm", lambda: seq(L(3, 4, bias=False), RMS(4, eps=1e-2), L(4, 2)),
        example((6, 3)), (0, 0, 6, 0, 0), "O(4)", measured=8,
        reason="3 inputs fill 3 of 4 directions: along the fourth 2 entries of the next map are not read",
    ),
    Network(
        "LayerNorm", "LayerNorm", lambda: seq(L(6, 5), nn.LayerNorm(5, eps=1e-3, elementwise_affine=False), L(5, 2)),
        example((8, 6)), (0, 9, 6, 0, 1), "O(5) that keeps the ones: 6, and −1; c·1 of 6 columns and a bias that "
        "write, and of 2 rows that read: 9",
    ),
    Network(
        "LayerNorm of few inputs", "LayerNorm",
        lambda: seq(L(3, 5), nn.LayerNorm(5, eps=1e-3, elementwise_affine=False), L(5, 2)), example((8, 3)),
        (0, 6, 6, 0, 1), "the same with 3 columns", measured=13, reason=ROOM,
    ),
)  # fmt: skip
