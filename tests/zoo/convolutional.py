"""Convolutional networks: blocks of the best-known image classifiers."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from tests.zoo.core import C2, L, add, fac, relu, seq
from torch import nn


def conv_bn(i: int, o: int, k: int = 3, **options: int) -> nn.Sequential:
    """Convolution, batch norm, ReLU; same size at stride 1."""
    return nn.Sequential(C2(i, o, k, padding=k // 2, bias=False, **options), nn.BatchNorm2d(o), nn.ReLU())


add(
    "cnn",
    lambda: seq(
        C2(2, 5, 3, padding=1),
        nn.BatchNorm2d(5),
        nn.ReLU(),
        nn.MaxPool2d(2),
        C2(5, 7, 3, padding=1),
        nn.BatchNorm2d(7),
        nn.ReLU(),
        nn.Flatten(),
        L(7 * 3 * 2, 6),
        nn.ReLU(),
        L(6, 3),
    ),
    [(2, 2, 6, 4)],
    fac(5, 7, 6),
    "5!·7!·6!: flatten keeps 7 channels × 6 places",
)
add(
    "cnn_unbatched",
    lambda: seq(C2(2, 5, 3), nn.ReLU(), nn.Flatten(0), L(5 * 4 * 3, 3)),
    [(2, 6, 5)],
    fac(5),
    "5!",
)
add(
    "vgg",
    lambda: seq(
        C2(3, 4, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2, 2),
        C2(4, 6, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2, 2),
        nn.AdaptiveAvgPool2d((2, 3)),
        nn.Flatten(),
        L(36, 7),
        nn.ReLU(),
        nn.Dropout(),
        L(7, 5),
    ),
    [(2, 3, 8, 12)],
    fac(4, 6, 7),
    "4!·6!·7!",
)


class BasicBlock(nn.Module):
    """torchvision's: two 3×3 convolutions, and a 1×1 on the shortcut where the shape changes."""

    def __init__(self, i: int, o: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = C2(i, o, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(o)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = C2(o, o, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(o)
        self.downsample = None
        if stride != 1 or i != o:
            self.downsample = nn.Sequential(C2(i, o, 1, stride, bias=False), nn.BatchNorm2d(o))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        out += x if self.downsample is None else self.downsample(x)
        return self.relu(out)


class ResNet18(nn.Module):
    """torchvision's ResNet-18 with free widths."""

    def __init__(self, widths: Sequence[int] = (64, 128, 256, 512), classes: int = 1000) -> None:
        super().__init__()
        self.conv1 = C2(3, widths[0], 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(widths[0])
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        before = widths[0]
        for k, width in enumerate(widths):
            blocks = nn.Sequential(BasicBlock(before, width, 1 if k == 0 else 2), BasicBlock(width, width))
            setattr(self, f"layer{k + 1}", blocks)
            before = width
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.fc = L(widths[-1], classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(torch.flatten(self.avgpool(x), 1))


add(
    "resnet18",
    lambda: ResNet18((4, 5, 6, 7), 3).eval(),
    [(2, 3, 18, 16)],
    fac(4, 5, 6, 7) ** 3,
    "in each stage one stream and two blocks: (4!·5!·6!·7!)³",
)
add(
    "resnet_downsample",
    lambda: seq(conv_bn(2, 5), BasicBlock(5, 5), BasicBlock(5, 7, 2), nn.AdaptiveAvgPool2d(1), nn.Flatten(), L(7, 3)),
    [(2, 2, 8, 6)],
    fac(5) ** 2 * fac(7) ** 2,
    "stem and first block share 5!; 5! inside; the second block 7! inside and 7! behind",
)


class Bottleneck(nn.Module):
    """1×1, grouped 3×3, 1×1, and the shortcut."""

    def __init__(self, c: int, inner: int, outer: int, groups: int = 1) -> None:
        super().__init__()
        self.a, self.b = conv_bn(c, inner, 1), conv_bn(inner, outer, 3, groups=groups)
        self.c = nn.Sequential(C2(outer, c, 1, bias=False), nn.BatchNorm2d(c))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return relu(x + self.c(self.b(self.a(x))))


add(
    "resnet_bottleneck",
    lambda: seq(conv_bn(2, 7), Bottleneck(7, 4, 5), nn.AdaptiveAvgPool2d(1), nn.Flatten(), L(7, 3)),
    [(2, 2, 5, 6)],
    fac(7, 4, 5),
    "7!·4!·5!",
)
add(
    "resnext",
    lambda: seq(conv_bn(2, 7), Bottleneck(7, 12, 15, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), L(7, 2)),
    [(2, 2, 5, 6)],
    fac(7) * fac(3) * fac(4) ** 3 * fac(5) ** 3,
    "7!, and 3 groups with their own S4 before and S5 behind",
)


class DenseNet(nn.Module):
    """Batch norm after every concatenation, a transition, and a classifier on the last concatenation."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = C2(2, 5, 3, padding=1, bias=False)
        self.norm1, self.conv1 = nn.BatchNorm2d(5), C2(5, 3, 3, padding=1)
        self.norm2, self.conv2 = nn.BatchNorm2d(8), C2(8, 4, 3, padding=1)
        self.norm3, self.shrink = nn.BatchNorm2d(12), C2(12, 6, 1)
        self.norm4, self.conv4 = nn.BatchNorm2d(6), C2(6, 7, 3, padding=1)
        self.norm5, self.out = nn.BatchNorm2d(13), L(13, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        x = torch.cat([x, self.conv1(relu(self.norm1(x)))], 1)
        x = torch.cat([x, self.conv2(relu(self.norm2(x)))], 1)
        x = F.avg_pool2d(self.shrink(relu(self.norm3(x))), 2)
        x = torch.cat([x, self.conv4(relu(self.norm4(x)))], 1)
        return self.out(relu(self.norm5(x)).mean((2, 3)))


add("densenet", lambda: DenseNet().eval(), [(2, 2, 6, 4)], fac(5, 3, 4, 6, 7), "one set for each convolution")
add(
    "depthwise_separable",
    lambda: seq(conv_bn(2, 5), conv_bn(5, 5, groups=5), conv_bn(5, 7, 1), nn.Flatten(), L(7 * 20, 3)),
    [(2, 2, 5, 4)],
    fac(5, 7),
    "5!·7!: depthwise filters move with their channel",
)


class InvertedResidual(nn.Module):
    """MobileNet's: expand, depthwise, project, shortcut."""

    def __init__(self, c: int, wide: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            C2(c, wide, 1, bias=False),
            nn.BatchNorm2d(wide),
            nn.ReLU6(),
            C2(wide, wide, 3, padding=1, groups=wide, bias=False),
            nn.BatchNorm2d(wide),
            nn.ReLU6(),
            C2(wide, c, 1, bias=False),
            nn.BatchNorm2d(c),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.body(x)


add(
    "mobilenet",
    lambda: seq(
        conv_bn(2, 5), InvertedResidual(5, 8), InvertedResidual(5, 6), nn.AdaptiveAvgPool2d(1), nn.Flatten(), L(5, 3)
    ),
    [(2, 2, 5, 4)],
    fac(5, 8, 6),
    "5! of the stream, 8! and 6! inside",
)
