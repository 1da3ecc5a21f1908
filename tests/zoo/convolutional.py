"""Convolutional networks: groups, shuffles, pools, pads, skips."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from tests.zoo.core import C1, C2, C3, L, add, fac, model, relu, seq
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
add(
    "grouped_conv",
    lambda: seq(C2(2, 8, 3), nn.ReLU(), C2(8, 12, 3, groups=4), nn.ReLU(), C2(12, 3, 1), nn.Flatten()),
    [(2, 2, 6, 5)],
    fac(4) * fac(2) ** 4 * fac(3) ** 4,
    "4 groups; in each its own S2 before and S3 behind",
)
add(
    "depthwise_multiplier",
    lambda: seq(C2(2, 4, 3), nn.ReLU(), C2(4, 12, 3, groups=4), nn.ReLU(), C2(12, 5, 1)),
    [(2, 2, 6, 5)],
    fac(4) * fac(3) ** 4,
    "S3 wr S4",
)
add(
    "group_norm",
    lambda: seq(C2(2, 12, 3), nn.GroupNorm(3, 12), nn.ReLU(), C2(12, 4, 1)),
    [(2, 2, 6, 5)],
    fac(3) * fac(4) ** 3,
    "S4 wr S3",
)
add(
    "layer_norm_image",
    lambda: seq(C2(2, 5, 3), nn.LayerNorm([5, 4, 3]), nn.ReLU(), C2(5, 3, 1)),
    [(2, 2, 6, 5)],
    fac(5),
    "5!: places keep their own gains",
)
add(
    "convnext_block",
    lambda: model(
        lambda m, x: m.out(
            (
                (h := m.stem(x))
                + (m.gamma * m.down(F.gelu(m.up(m.norm(m.dw(h).permute(0, 2, 3, 1)))))).permute(0, 3, 1, 2)
            ).mean((2, 3))
        ),
        stem=C2(2, 5, 2, 2),
        dw=C2(5, 5, 3, padding=1, groups=5),
        norm=nn.LayerNorm(5),
        up=L(5, 7),
        down=L(7, 5),
        gamma=nn.Parameter(torch.full((5,), 1e-6)),
        out=L(5, 3),
    ),
    [(2, 2, 8, 6)],
    fac(5, 7),
    "5! of the stream, 7! inside",
)
add(
    "instance_norm",
    lambda: seq(
        C2(2, 5, 3),
        nn.InstanceNorm2d(5, affine=True),
        nn.ReLU(),
        C2(5, 4, 1),
        nn.InstanceNorm2d(4),
        nn.ReLU(),
        C2(4, 3, 1),
    ),
    [(2, 2, 6, 5)],
    fac(5, 4),
    "5!·4!",
    dead=("0.bias", "3.bias"),
)
add(
    "instance_norm_tracked",
    lambda: seq(C2(2, 5, 3), nn.InstanceNorm2d(5, affine=True, track_running_stats=True), nn.ReLU(), C2(5, 3, 1)),
    [(2, 2, 6, 5)],
    fac(5),
    "5!; statistics move along",
)
add(
    "batch_norm_without_statistics",
    lambda: seq(C2(2, 5, 3), nn.BatchNorm2d(5, track_running_stats=False), nn.ReLU(), C2(5, 3, 1)),
    [(3, 2, 6, 5)],
    fac(5),
    "5!; the bias of the convolution is dead",
    dead=("0.bias",),
)
add(
    "conv_transpose",
    lambda: seq(
        C2(2, 5, 3),
        nn.ReLU(),
        nn.ConvTranspose2d(5, 5, 3, stride=2, output_padding=1),
        nn.ReLU(),
        nn.ConvTranspose2d(5, 3, 2, dilation=2),
    ),
    [(2, 2, 6, 5)],
    fac(5) ** 2,
    "5!·5!: axis 0 of the transposed kernel is the input",
)
add(
    "conv_transpose_grouped",
    lambda: seq(C2(2, 6, 3), nn.ReLU(), nn.ConvTranspose2d(6, 9, 3, groups=3), nn.ReLU(), C2(9, 2, 1)),
    [(2, 2, 6, 5)],
    fac(3) * fac(2) ** 3 * fac(3) ** 3,
    "3 groups; in each its own S2 before and S3 behind",
)


def _unet(up: str) -> Callable[[], nn.Module]:
    def build() -> nn.Module:
        def forward(m: nn.Module, x: torch.Tensor) -> torch.Tensor:
            skip = relu(m.enc1(x))
            low = relu(m.enc2(F.max_pool2d(skip, 2)))
            high = m.up(low) if up == "transpose" else relu(m.up(F.interpolate(low, scale_factor=2, mode=up)))
            return m.out(relu(m.dec(torch.cat([high, skip], 1))))

        rise = nn.ConvTranspose2d(7, 4, 2, 2) if up == "transpose" else C2(7, 4, 1)
        return model(
            forward,
            enc1=C2(2, 5, 3, padding=1),
            enc2=C2(5, 7, 3, padding=1),
            up=rise,
            dec=C2(9, 6, 3, padding=1),
            out=C2(6, 3, 1),
        )

    return build


add("unet", _unet("transpose"), [(2, 2, 8, 6)], fac(5, 7, 4, 6), "one set for each layer; the skip is a segment")
add("unet_nearest", _unet("nearest"), [(2, 2, 8, 6)], fac(5, 7, 4, 6), "resampling carries channels")
add("unet_bilinear", _unet("bilinear"), [(2, 2, 8, 6)], fac(5, 7, 4, 6), "resampling carries channels")
add(
    "channel_shuffle",
    lambda: seq(
        C2(2, 18, 3),
        nn.ReLU(),
        C2(18, 18, 1, groups=3),
        nn.ChannelShuffle(3),
        nn.ReLU(),
        C2(18, 12, 1, groups=3),
        C2(12, 2, 1),
    ),
    [(2, 2, 5, 4)],
    fac(3) * fac(6) ** 3 * fac(3) * fac(2) ** 9 * fac(4) ** 3,
    "before: S6 wr S3; between: 3 new groups change places, pairs in each (old, new); behind: S4 in each new group",
)
add(
    "channel_shuffle_coprime",
    lambda: seq(
        C2(2, 6, 1), C2(6, 6, 1, groups=2), nn.ChannelShuffle(2), nn.ReLU(), C2(6, 4, 1, groups=2), C2(4, 3, 1)
    ),
    [(2, 2, 5, 4)],
    None,
    "blocks of the shuffle do not nest with the next groups: fixed there",
)
add(
    "pixel_shuffle",
    lambda: seq(C2(2, 20, 3), nn.PixelShuffle(2), nn.ReLU(), C2(5, 3, 3)),
    [(2, 2, 6, 5)],
    fac(5),
    "5!: the 2 × 2 places become space",
)
add(
    "pixel_unshuffle",
    lambda: seq(C2(2, 5, 3), nn.ReLU(), nn.PixelUnshuffle(2), C2(20, 6, 1), nn.ReLU(), C2(6, 3, 1)),
    [(2, 2, 6, 8)],
    fac(5, 6),
    "5!·6!",
)
add(
    "squeeze_excite",
    lambda: model(
        lambda m, x: m.out((h := relu(m.stem(x))) * torch.sigmoid(m.up(relu(m.down(h.mean((2, 3), keepdim=True)))))),
        stem=C2(2, 7, 3),
        down=C2(7, 3, 1),
        up=C2(3, 7, 1),
        out=C2(7, 2, 1),
    ),
    [(2, 2, 6, 5)],
    fac(7, 3),
    "7!·3!",
)


class PaddedShortcut(nn.Module):
    """Option A of He et al.: stride by slicing, new channels by zero padding on both sides."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = conv_bn(2, 4)
        self.conv1, self.bn1 = C2(4, 9, 3, 2, 1, bias=False), nn.BatchNorm2d(9)
        self.conv2, self.bn2 = C2(9, 9, 3, 1, 1, bias=False), nn.BatchNorm2d(9)
        self.out = L(9, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        inner = self.bn2(self.conv2(relu(self.bn1(self.conv1(x)))))
        x = relu(inner + F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, 2, 3)))
        return self.out(x.mean((2, 3)))


add(
    "padded_shortcut",
    lambda: PaddedShortcut().eval(),
    [(2, 2, 6, 8)],
    fac(4, 9) * fac(2, 3),
    "4! of the stem is the middle of the second stream, 2! and 3! of its padding; 9! inside",
)


class Mixer(nn.Module):
    """One MLP-mixer block: a mix over tokens, then one over channels."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = C2(2, 5, 2, 2)
        self.norm1, self.token1, self.token2 = nn.LayerNorm(5), L(6, 4), L(4, 6)
        self.norm2, self.channel1, self.channel2 = nn.LayerNorm(5), L(5, 7), L(7, 5)
        self.out = L(5, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x).flatten(2).transpose(1, 2)
        x = x + self.token2(F.gelu(self.token1(self.norm1(x).transpose(1, 2)))).transpose(1, 2)
        x = x + self.channel2(F.gelu(self.channel1(self.norm2(x))))
        return self.out(x.mean(1))


add("mixer", lambda: Mixer().eval(), [(2, 2, 4, 6)], fac(5, 4, 7), "5! of the stream, 4! over tokens, 7! over channels")
add(
    "pools",
    lambda: seq(
        C2(2, 5, 3, padding=1),
        nn.AvgPool2d(3, 2, 1, count_include_pad=True),
        C2(5, 4, 1),
        nn.AvgPool2d(3, 2, 1, count_include_pad=False),
        C2(4, 6, 1),
        nn.AdaptiveMaxPool2d((1, 2)),
        nn.Flatten(),
        L(12, 3),
    ),
    [(2, 2, 12, 16)],
    fac(5, 4, 6),
    "5!·4!·6!",
)
add(
    "pools_that_do_not_divide",
    lambda: seq(
        C2(2, 5, 3), nn.AdaptiveAvgPool2d((2, 3)), C2(5, 4, 1), nn.MaxPool2d(2, ceil_mode=True), nn.Flatten(), L(8, 3)
    ),
    [(2, 2, 7, 6)],
    fac(5, 4),
    "5!·4!",
)
add(
    "dilated",
    lambda: seq(
        C2(2, 5, 3, dilation=2), nn.ReLU(), C2(5, 4, (3, 2), padding="same", dilation=(1, 2)), nn.ReLU(), C2(4, 3, 1)
    ),
    [(2, 2, 8, 7)],
    fac(5, 4),
    "5!·4!",
)
add(
    "conv1d",
    lambda: seq(C1(2, 5, 3), nn.ReLU(), C1(5, 4, 2, stride=2), nn.ReLU(), C1(4, 3, 1)),
    [(3, 2, 9)],
    fac(5, 4),
    "5!·4!",
)
add(
    "conv3d",
    lambda: seq(C3(2, 5, 2), nn.BatchNorm3d(5), nn.ReLU(), nn.MaxPool3d(2), C3(5, 4, 1), nn.Flatten(), L(16, 3)),
    [(2, 2, 5, 5, 3)],
    fac(5, 4),
    "5!·4!; one position of the last axis remains after pooling",
)
add(
    "siamese_conv",
    lambda: model(
        lambda m, x, y: m.out((m.enc(x) - m.enc(y)).flatten(1)),
        enc=nn.Sequential(C2(2, 5, 3), nn.ReLU()),
        out=L(5 * 12, 3),
    ),
    [(2, 2, 6, 5), (2, 2, 6, 5)],
    fac(5),
    "5!: a module used twice",
)
add(
    "fpn",
    lambda: model(
        lambda m, x: (
            m.head((h := m.side2(relu(m.c2(a := relu(m.c1(x)))))).mean((2, 3))),
            m.head((m.side1(a) + F.conv_transpose2d(h, m.k, stride=2)).mean((2, 3))),
        ),
        c1=C2(2, 5, 3, padding=1),
        c2=C2(5, 7, 3, 2, 1),
        side1=C2(5, 4, 1),
        side2=C2(7, 4, 1),
        k=nn.Parameter(torch.randn(4, 4, 2, 2)),
        head=L(4, 3),
    ),
    [(2, 2, 6, 8)],
    fac(5, 7, 4),
    "5!·7!, and one 4! for both levels, which share the head",
)
add(
    "concat_of_flattened",
    lambda: model(
        lambda m, x, y: m.out(torch.cat([relu(m.conv(x)).flatten(1), relu(m.lin(y))], 1)),
        conv=C2(2, 5, 3),
        lin=L(3, 7),
        out=L(5 * 12 + 7, 2),
    ),
    [(2, 2, 6, 5), (2, 3)],
    fac(5, 7),
    "5!·7!: (5·12 + 7) on the axis of out",
)
add(
    "stacked_branches",
    lambda: model(
        lambda m, x: m.out(torch.stack([relu(m.a(x)), relu(m.b(x))], 2).amax(2)), a=L(3, 7), b=L(3, 7), out=L(7, 2)
    ),
    [(4, 3)],
    fac(7) * 2**7,
    "7!·2^7: in each unit of the maximum a and b may change places, in every unit for itself",
)
