"""Convolutions in groups and transposed, norms of images, shuffles, pools, pads, joins and skips."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from tests.zoo.convolutional import conv_bn
from tests.zoo.core import C1, C2, C3, L, add, fac, model, relu, seq
from torch import nn

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
