"""Published convolutional networks; C: channels of a stream, one letter for every other set of channels."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from tests.zoo.blocks import MLP
from tests.zoo.convolutional import conv_bn
from tests.zoo.core import C2, L, architecture, example, fac, relu
from torch import nn

SMALL = example((2, 2, 8, 6))


def conv_norm(i: int, o: int, k: int = 1, stride: int = 1, groups: int = 1) -> nn.Sequential:
    """Convolution and batch norm."""
    return nn.Sequential(C2(i, o, k, stride, k // 2, groups=groups, bias=False), nn.BatchNorm2d(o))


def pooled(*parts: nn.Module, width: int) -> nn.Module:
    """A body, global pooling and a classifier."""
    return nn.Sequential(*parts, nn.AdaptiveAvgPool2d(1), nn.Flatten(), L(width, 3))


class Residual(nn.Module):
    """A body around which the stream, or its projection, is carried; then ``act``."""

    def __init__(
        self,
        *body: nn.Module,
        shortcut: nn.Module | None = None,
        act: Callable[[torch.Tensor], torch.Tensor] = lambda x: x,
    ) -> None:
        super().__init__()
        self.body, self.shortcut = nn.Sequential(*body), shortcut or nn.Identity()
        self.act = act

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.act(self.shortcut(x) + self.body(x))


class SqueezeExcite(nn.Module):
    """Each channel is scaled by what two layers say about the means of all."""

    def __init__(self, width: int, squeezed: int) -> None:
        super().__init__()
        self.down, self.up = C2(width, squeezed, 1), C2(squeezed, width, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * torch.sigmoid(self.up(F.silu(self.down(x.mean((2, 3), keepdim=True)))))


# -------------------------------------------------------------------------------------------------------------- ResNets
def _bottleneck(i: int, inner: int, outer: int, o: int, stride: int) -> nn.Module:
    shortcut = conv_norm(i, o, 1, stride) if i != o or stride > 1 else None
    body = (conv_norm(i, inner), nn.ReLU(), conv_norm(inner, outer, 3, stride), nn.ReLU(), conv_norm(outer, o))
    return Residual(*body, shortcut=shortcut, act=relu)


architecture(
    "resnet50",
    lambda: pooled(
        conv_bn(2, 4),
        _bottleneck(4, 3, 5, 7, 1),
        _bottleneck(7, 3, 5, 7, 1),
        _bottleneck(7, 6, 8, 9, 2),
        _bottleneck(9, 6, 8, 9, 1),
        width=9,
    ),
    SMALL,
    fac(4) * fac(7) * fac(3, 5) ** 2 * fac(9) * fac(6, 8) ** 2,
    "stem!·∏ over stages of C!·(a!·b!)^blocks: a projection begins a new stream for its whole stage",
)


def _preact(i: int, inner: int) -> nn.Module:
    return Residual(
        nn.BatchNorm2d(i),
        nn.ReLU(),
        C2(i, inner, 3, padding=1, bias=False),
        nn.BatchNorm2d(inner),
        nn.ReLU(),
        C2(inner, i, 3, padding=1, bias=False),
    )


architecture(
    "resnet_preact",
    lambda: pooled(C2(2, 5, 3), _preact(5, 4), _preact(5, 7), nn.BatchNorm2d(5), nn.ReLU(), width=5),
    SMALL,
    fac(5, 4, 7),
    "C!·a!·b!: norms before the convolutions belong to the stream",
)
architecture(
    "regnet_y",
    lambda: pooled(
        conv_bn(2, 7),
        Residual(
            conv_norm(7, 12),
            nn.ReLU(),
            conv_norm(12, 15, 3, groups=3),
            nn.ReLU(),
            SqueezeExcite(15, 4),
            conv_norm(15, 7),
            act=relu,
        ),
        width=7,
    ),
    SMALL,
    fac(7) * fac(3) * fac(4) ** 3 * fac(5) ** 3 * fac(4),
    "C!·g!·(a/g)!ᵍ·(b/g)!ᵍ·s!: squeeze and excite read and scale the grouped channels where they stand",
)


class Inception(nn.Module):
    """Four branches side by side; the last one begins with pooling."""

    def __init__(self, i: int, sizes: Sequence[int]) -> None:
        super().__init__()
        a, b1, b2, c1, c2, d = sizes
        self.a, self.d = conv_bn(i, a, 1), conv_bn(i, d, 1)
        self.b, self.c = nn.Sequential(conv_bn(i, b1, 1), conv_bn(b1, b2, 3)), None
        self.c = nn.Sequential(conv_bn(i, c1, 1), conv_bn(c1, c2, 5))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        pool = F.max_pool2d(x, 3, 1, 1)
        return torch.cat([self.a(x), self.b(x), self.c(x), self.d(pool)], 1)


class Reduction(nn.Module):
    """Inception's step down: a convolution and the pooled input itself side by side."""

    def __init__(self, i: int, o: int) -> None:
        super().__init__()
        self.conv = conv_bn(i, o, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat([F.max_pool2d(self.conv(x), 2), F.max_pool2d(x, 2)], 1)


architecture(
    "inception",
    lambda: pooled(
        conv_bn(2, 5), Inception(5, (3, 4, 6, 2, 5, 7)), Reduction(21, 8), Inception(29, (2, 3, 4, 5, 6, 3)), width=15
    ),
    SMALL,
    fac(5) * fac(3, 4, 6, 2, 5, 7) * fac(8) * fac(2, 3, 4, 5, 6, 3),
    "one factorial for each convolution: a concatenation lays segments, the pooled input keeps its four",
)

# --------------------------------------------------------------------------------------------------------------- mobile
architecture(
    "mbconv",
    lambda: pooled(
        conv_bn(2, 5),
        Residual(
            conv_norm(5, 8), nn.SiLU(), conv_norm(8, 8, 3, groups=8), nn.SiLU(), SqueezeExcite(8, 3), conv_norm(8, 5)
        ),
        nn.Sequential(conv_norm(5, 9), nn.Hardswish(), conv_norm(9, 9, 5, 2, groups=9), conv_norm(9, 6)),
        width=6,
    ),
    SMALL,
    fac(5, 8, 3, 9, 6),
    "C!·a!·s!·b!·C'!: the depthwise filters move with the expanded channels (EfficientNet, MobileNet-v3)",
)


def _branch(width: int) -> nn.Sequential:
    return nn.Sequential(
        conv_norm(width, width), nn.ReLU(), conv_norm(width, width, 3, groups=width), conv_norm(width, width), nn.ReLU()
    )


class ShuffleUnit(nn.Module):
    """Half of the channels passes, the other half is computed; then both are shuffled."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.branch = _branch(width // 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        first, second = x.chunk(2, 1)
        x = torch.cat([first, self.branch(second)], 1)
        b, c, h, w = x.shape
        return x.view(b, 2, c // 2, h, w).transpose(1, 2).reshape(b, c, h, w)


architecture(
    "shufflenet_v2",
    lambda: pooled(conv_bn(2, 8), ShuffleUnit(8), ShuffleUnit(8), conv_bn(8, 5, 1), width=5),
    SMALL,
    fac(2, 2, 4) * fac(4) * fac(2, 2) * fac(4) * fac(4) * fac(5),
    "(2!·2!·4!)·4!·(2!·2!)·4!·4!·a!: of the stem two channels pass twice, two pass and then are computed with, four "
    "are computed with; the first unit has 4! inside and 2!·2! behind, where again two pass; the second 4! inside and "
    "4! behind; the head a!",
)


class ConvNeXtBlock(nn.Module):
    """Depthwise convolution, norm, MLP, layer scale."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.depth, self.norm = C2(width, width, 3, padding=1, groups=width), nn.LayerNorm(width)
        self.mlp, self.gamma = MLP(width, hidden), nn.Parameter(torch.full((width,), 1e-6))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.mlp(self.norm(self.depth(x).permute(0, 2, 3, 1)))
        return x + (self.gamma * y).permute(0, 3, 1, 2)


class ChannelNorm(nn.Module):
    """Layer norm over channels, written out as ConvNeXt does."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.ones(width)), nn.Parameter(torch.zeros(width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        centred = x - x.mean(1, keepdim=True)
        x = centred / torch.sqrt(centred.pow(2).mean(1, keepdim=True) + 1e-6)
        return self.weight[:, None, None] * x + self.bias[:, None, None]


architecture(
    "convnext",
    lambda: pooled(
        C2(2, 5, 2, 2),
        ChannelNorm(5),
        ConvNeXtBlock(5, 8),
        ConvNeXtBlock(5, 9),
        ChannelNorm(5),
        C2(5, 7, 2, 2),
        ConvNeXtBlock(7, 6),
        width=7,
    ),
    example((2, 2, 12, 8)),
    fac(5, 8, 9, 7, 6),
    "C!·a!·b!·C'!·c!: depthwise filters, norms and layer scales lie along the stream",
)


def _mixer(width: int) -> nn.Sequential:
    depth = Residual(C2(width, width, 3, groups=width, padding=1), nn.GELU(), nn.BatchNorm2d(width))
    return nn.Sequential(depth, C2(width, width, 1), nn.GELU(), nn.BatchNorm2d(width))


architecture(
    "convmixer",
    lambda: pooled(C2(2, 5, 2, 2), nn.GELU(), nn.BatchNorm2d(5), _mixer(5), _mixer(5), width=5),
    SMALL,
    fac(5) ** 3,
    "(C!)³: the shortcut spans the depthwise part only, so every pointwise convolution begins new channels",
)

# -------------------------------------------------------------------------------------------------------- dense outputs
architecture(
    "edsr",
    lambda: nn.Sequential(
        C2(2, 5, 3, padding=1),
        Residual(
            Residual(C2(5, 7, 3, padding=1), nn.ReLU(), C2(7, 5, 3, padding=1)),
            Residual(C2(5, 4, 3, padding=1), nn.ReLU(), C2(4, 5, 3, padding=1)),
            C2(5, 5, 3, padding=1, bias=False),
        ),
        C2(5, 6 * 4, 3, padding=1),
        nn.PixelShuffle(2),
        C2(6, 2, 3, padding=1),
    ),
    example((1, 2, 5, 4)),
    fac(5, 7, 4, 6),
    "C!·a!·b!·C'!: of the 4·C' channels before the shuffle, 4 become places and C' move",
)


class WaveNet(nn.Module):
    """Dilated gated convolutions, a residual stream and a sum of skips."""

    def __init__(self) -> None:
        super().__init__()
        self.enter = nn.Conv1d(2, 5, 1)
        self.filters = nn.ModuleList(nn.Conv1d(5, 4 + k, 2, dilation=2**k) for k in range(3))
        self.gates = nn.ModuleList(nn.Conv1d(5, 4 + k, 2, dilation=2**k) for k in range(3))
        self.residuals = nn.ModuleList(nn.Conv1d(4 + k, 5, 1) for k in range(3))
        self.skips = nn.ModuleList(nn.Conv1d(4 + k, 8, 1, bias=k == 0) for k in range(3))
        self.out1, self.out2 = nn.Conv1d(8, 7, 1), nn.Conv1d(7, 3, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x, total = self.enter(x), torch.zeros(1, dtype=x.dtype)
        for k, (wave, gate) in enumerate(zip(self.filters, self.gates, strict=True)):
            y = F.pad(x, (2**k, 0))
            y = torch.tanh(wave(y)) * torch.sigmoid(gate(y))
            x, total = x + self.residuals[k](y), total + self.skips[k](y)
        return self.out2(relu(self.out1(relu(total))))


architecture(
    "wavenet",
    WaveNet,
    example((2, 2, 12)),
    fac(5) * fac(4, 5, 6) * fac(8, 7),
    "R!·∏gₖ!·S!·a!: filter and gate of a layer share their channels; all skips end in one set",
)
