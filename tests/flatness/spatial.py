"""Convolutions and what stands between them."""

from __future__ import annotations

import torch
from tests.flatness.core import Network
from tests.zoo.core import C2, L, example, model, relu, seq
from torch import nn

NETWORKS = (
    Network(
        "convolution", "conv", lambda: seq(C2(2, 4, 2), nn.ReLU(), C2(4, 3, 2)), example((3, 2, 5, 4)),
        (4, 0, 0, 0, 0), "one ReLU scale for each of 4 channels",
    ),
    Network(
        "grouped convolution", "conv", lambda: seq(C2(2, 6, 2), nn.ReLU(), C2(6, 4, 2, groups=2)),
        example((3, 2, 5, 4)), (6, 0, 0, 0, 0), "one ReLU scale for each of 6 channels, whatever their group",
    ),
    Network(
        "depthwise convolution", "conv",
        lambda: seq(C2(2, 3, 2), nn.ReLU(), C2(3, 6, 2, groups=3), nn.ReLU(), C2(6, 2, 1)), example((3, 2, 5, 4)),
        (9, 0, 0, 0, 0), "ReLU scales of 3 channels and of the 6 that they multiply to",
    ),
    Network(
        "depthwise, nothing between", "conv", lambda: seq(C2(2, 3, 2), C2(3, 3, 2, groups=3), nn.ReLU(), C2(3, 4, 1)),
        example((3, 2, 5, 4)), (6, 3, 0, 0, 3),
        "the two kernels of a channel exchange a scale: 3; ReLU: 3; the first bias goes into the second: 3",
    ),
    Network(
        "depthwise, padding", "conv",
        lambda: seq(C2(2, 3, 1), C2(3, 3, 3, groups=3, padding=1), nn.ReLU(), C2(3, 4, 1)),
        example((3, 2, 5, 4)), (6, 0, 0, 0, 3), "the same, but at the border less is seen of a shift: none is taken up",
    ),
    Network(
        "convolution, nothing between", "conv", lambda: seq(C2(2, 3, 2), C2(3, 5, 1), nn.ReLU(), C2(5, 2, 1)),
        example((3, 2, 5, 4)), (5, 3, 9, 0, 0),
        "GL(3) between the two kernels; ReLU: 5; the first bias goes into the second: 3",
    ),
    Network(
        "transposed convolution", "conv", lambda: seq(nn.ConvTranspose2d(2, 5, 2), nn.ReLU(), C2(5, 3, 1)),
        example((3, 2, 4, 3)), (5, 0, 0, 0, 0), "one ReLU scale for each of 5 channels",
    ),
    Network(
        "convolution, BatchNorm", "BatchNorm (eval)",
        lambda: seq(C2(2, 4, 2, bias=False), nn.BatchNorm2d(4), nn.ReLU(), C2(4, 2, 1)), example((3, 2, 4, 3)),
        (12, 4, 0, 0, 4), "for each of 4 channels: W against γ (and a sign), ReLU; the statistics make two more",
        explained=8,
    ),
    Network(
        "InstanceNorm", "BatchNorm (train), InstanceNorm",
        lambda: seq(C2(2, 3, 2), nn.InstanceNorm2d(3, eps=1e-3, affine=True), nn.ReLU(), C2(3, 2, 1)),
        example((3, 2, 5, 4)), (3, 3, 0, 0, 3), "3 dead biases, 3 ReLU scales that take γ and β along",
    ),
    Network(
        "GroupNorm", "GroupNorm",
        lambda: seq(C2(2, 6, 2), nn.GroupNorm(3, 6, eps=1e-3), nn.ReLU(), C2(6, 4, 1)), example((3, 2, 5, 4)),
        (6, 3, 0, 0, 3), "6 ReLU scales that take γ and β along; the norm forgets a shift of the bias in 3 groups",
    ),
    Network(
        "GroupNorm, ε = 0", "GroupNorm",
        lambda: seq(C2(2, 6, 2), nn.GroupNorm(2, 6, eps=0.0), nn.ReLU(), C2(6, 4, 1)), example((3, 2, 5, 4)),
        (8, 2, 0, 0, 2), "6 ReLU scales; a scale, a sign and a shift of each of 2 groups",
    ),
    Network(
        "flatten", "concat / flatten after conv / pixel-shuffle / channel-shuffle",
        lambda: seq(C2(2, 3, 2), nn.ReLU(), nn.Flatten(), L(12, 2)), example((6, 2, 3, 3)),
        (3, 0, 0, 0, 0), "one ReLU scale for each of 3 channels, on 4 positions each",
    ),
    Network(
        "pixel shuffle", "concat / flatten after conv / pixel-shuffle / channel-shuffle",
        lambda: seq(C2(2, 12, 1), nn.ReLU(), nn.PixelShuffle(2), C2(3, 2, 2)), example((3, 2, 3, 4)),
        (3, 0, 0, 0, 0), "the 4 channels that make one share one kernel: one scale for each of 3",
    ),
    Network(
        "channel shuffle", "concat / flatten after conv / pixel-shuffle / channel-shuffle",
        lambda: seq(C2(2, 6, 1), nn.ReLU(), nn.ChannelShuffle(2), C2(6, 4, 2, groups=2)), example((3, 2, 3, 4)),
        (6, 0, 0, 0, 0), "one ReLU scale for each of 6 channels, at another place behind",
    ),
    Network(
        "squeeze and excite", "layer-scale, squeeze-excite, weight-norm, LoRA",
        lambda: model(
            lambda m, x: m.out(
                (y := relu(m.first(x))) * torch.sigmoid(m.up(relu(m.down(y.mean((2, 3))))))[:, :, None, None]
            ),
            first=C2(2, 4, 2), down=L(4, 3), up=L(3, 4), out=C2(4, 2, 1),
        ),
        example((3, 2, 4, 5)), (7, 0, 0, 0, 0), "ReLU scales of 4 channels, which the gate passes, and of 3 units",
    ),
)  # fmt: skip
