"""Convolutions, norms over channels, and layouts."""

from __future__ import annotations

import torch
from tests.audit.cases import Case, Expected, chain, network, normal
from torch import nn

L, C, T = nn.Linear, nn.Conv1d, nn.ConvTranspose1d
RELU = nn.ReLU()


def shuffled(x: torch.Tensor, groups: int) -> torch.Tensor:
    """Channels in groups, transposed."""
    n, c, length = x.shape
    return x.reshape(n, groups, c // groups, length).transpose(1, 2).reshape(n, c, length)


def excited(m: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """Channels weighted by what their means say."""
    y = torch.relu(m.first(x))
    gate = torch.sigmoid(m.up(torch.relu(m.down(y.mean(-1)))))
    return m.out(y * gate[..., None])


def norm_cases() -> list[Case]:
    """Norms over channels, with ε = 0 and with ε > 0."""
    found = []
    for eps, label in ((0.0, "ε = 0"), (1e-3, "ε > 0")):
        free = eps == 0.0
        found += [
            Case(
                f"batch norm on batch statistics, {label}",
                "BatchNorm (train), InstanceNorm",
                chain(L(3, 4), nn.BatchNorm1d(4, eps=eps, track_running_stats=False), RELU, L(4, 2)),
                normal(9, 3),
                Expected(scales=4 + 4 * free, translations=4),
                "4 of ReLU on γ, β; the bias before the norm is dead: 4; rows of W scale at ε = 0: 4",
            ),
            Case(
                f"instance norm, {label}",
                "BatchNorm (train), InstanceNorm",
                chain(C(2, 3, 2), nn.InstanceNorm1d(3, eps=eps, affine=True), RELU, C(3, 2, 1)),
                normal(5, 2, 6),
                Expected(scales=3 + 3 * free, translations=3),
                "3 of ReLU on γ, β; 3 dead biases; 3 scales at ε = 0",
            ),
            Case(
                f"group norm, {label}",
                "GroupNorm",
                chain(C(2, 6, 2), nn.GroupNorm(2, 6, eps=eps), RELU, C(6, 2, 1)),
                normal(5, 2, 5),
                Expected(scales=6 + 2 * free, translations=2),
                "6 of ReLU on γ, β; for each of 2 groups a shift of its biases, and a scale at ε = 0",
            ),
        ]
    return found


CASES = [
    Case(
        "conv", "conv", chain(C(2, 3, 3), RELU, C(3, 2, 2)), normal(8, 2, 7), Expected(scales=3), "one a channel of ReLU"
    ),
    Case(
        "conv 2d, pooled",
        "conv",
        chain(nn.Conv2d(1, 2, 2), RELU, nn.Conv2d(2, 3, 2), RELU, nn.AdaptiveAvgPool2d(1), nn.Flatten(), L(3, 2)),
        normal(30, 1, 4, 5),
        Expected(scales=5),
        "one a channel: 2 + 3",
    ),
    Case(
        "conv, then pointwise, linear",
        "conv",
        chain(C(2, 3, 2), C(3, 4, 1)),
        normal(8, 2, 5),
        Expected(matrices=9, translations=3),
        "as linear → linear with 2·2 inputs: GL(3), T³",
    ),
    Case(
        "grouped conv",
        "conv",
        chain(C(2, 4, 2), RELU, C(4, 6, 2, groups=2), RELU, C(6, 2, 1)),
        normal(10, 2, 7),
        Expected(scales=10),
        "one a channel: 4 + 6",
    ),
    Case(
        "depthwise conv, multiplier 2",
        "conv",
        chain(C(2, 3, 2), RELU, C(3, 6, 2, groups=3), RELU, C(6, 2, 1)),
        normal(10, 2, 7),
        Expected(scales=9),
        "one a channel: 3 + 6",
    ),
    Case(
        "pointwise, then depthwise without padding",
        "conv",
        chain(C(2, 3, 1), C(3, 3, 3, groups=3), RELU, C(3, 2, 1)),
        normal(10, 2, 7),
        Expected(scales=6, translations=3),
        "between the two 3 scales, and 3 biases go into the next; 3 of ReLU",
    ),
    Case(
        "pointwise, then depthwise with padding",
        "conv",
        chain(C(2, 3, 1), C(3, 3, 3, groups=3, padding=1), RELU, C(3, 2, 1)),
        normal(10, 2, 7),
        Expected(scales=6),
        "the border sees less of a shift: no bias takes it up",
    ),
    Case(
        "transposed conv",
        "conv",
        chain(T(2, 3, 2), RELU, T(3, 4, 2)),
        normal(8, 2, 5),
        Expected(scales=3),
        "one a channel",
    ),
    Case(
        "conv, flattened",
        "flatten after conv",
        chain(C(2, 3, 2), RELU, nn.Flatten(), L(12, 2)),
        normal(20, 2, 5),
        Expected(scales=3),
        "one a channel, the same at its 4 places",
    ),
    Case(
        "pixel-shuffle",
        "pixel-shuffle",
        chain(nn.Conv2d(2, 8, 1), RELU, nn.PixelShuffle(2), nn.Conv2d(2, 3, 1)),
        normal(6, 2, 2, 3),
        Expected(scales=2),
        "only what the four places of a channel share: one a channel behind the shuffle",
    ),
    Case(
        "channel-shuffle",
        "channel-shuffle",
        network(
            lambda m, x: m.out(torch.relu(m.mid(shuffled(torch.relu(m.first(x)), 2)))),
            first=C(2, 6, 1),
            mid=C(6, 4, 2, groups=2),
            out=C(4, 2, 1),
        ),
        normal(10, 2, 6),
        Expected(scales=10),
        "one a channel: 6 + 4",
    ),
    Case(
        "squeeze-excite",
        "squeeze-excite",
        network(excited, first=C(2, 3, 1), down=L(3, 2), up=L(2, 3), out=C(3, 2, 1)),
        normal(12, 2, 5),
        Expected(scales=5),
        "one a channel, taken back by `down` and `out`: 3; one a unit of the gate: 2",
    ),
    Case(
        "batch norm (eval), bias before it",
        "BatchNorm (eval)",
        chain(L(3, 4), nn.BatchNorm1d(4), RELU, L(4, 2)),
        normal(30, 3),
        Expected(scales=8, translations=4),
        "a unit has 3+1+1+1 numbers for 3+1 of its affine map: a scale (about μ) and a shift; and one of ReLU",
    ),
    Case(
        "batch norm (eval), no bias before it",
        "BatchNorm (eval)",
        chain(L(3, 4, bias=False), nn.BatchNorm1d(4), RELU, L(4, 2)),
        normal(30, 3),
        Expected(scales=8),
        "a unit has 3+1+1 numbers for 3+1: a scale of W against γ, where β takes up γμ/σ; and one of ReLU",
    ),
    Case(
        "batch norm (eval) without γ and β",
        "BatchNorm (eval)",
        chain(L(3, 4), nn.BatchNorm1d(4, affine=False), RELU, L(4, 2)),
        normal(30, 3),
        Expected(scales=4),
        "one of ReLU: W → sW, b − μ → s(b − μ)",
    ),
    Case(
        "batch norm (eval) after conv",
        "BatchNorm (eval)",
        chain(C(2, 3, 2, bias=False), nn.BatchNorm1d(3), nn.SiLU(), C(3, 2, 1)),
        normal(10, 2, 5),
        Expected(scales=3),
        "W against γ with β: 3; none of SiLU",
    ),
    *norm_cases(),
]
