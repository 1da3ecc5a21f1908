"""Models that generate: diffusion, flows, autoencoders, style networks."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from tests.zoo.blocks import MLP, Attention, attend, cut, joined
from tests.zoo.core import C2, Inputs, L, architecture, example, fac, relu
from torch import nn


# ----------------------------------------------------------------------------------------------------------- diffusion
class ResBlock(nn.Module):
    """Norm, convolution, plus the time; norm, convolution; a 1×1 on the shortcut where the width changes."""

    def __init__(self, i: int, o: int, groups_in: int, groups_out: int) -> None:
        super().__init__()
        self.norm1, self.conv1 = nn.GroupNorm(groups_in, i), C2(i, o, 3, padding=1, bias=False)
        self.time, self.norm2 = L(6, o), nn.GroupNorm(groups_out, o)
        self.conv2 = C2(o, o, 3, padding=1)
        self.shortcut = nn.Identity() if i == o else C2(i, o, 1, bias=False)

    def forward(self, x: torch.Tensor, time: torch.Tensor) -> torch.Tensor:
        y = self.conv1(F.silu(self.norm1(x))) + self.time(F.silu(time))[:, :, None, None]
        return self.shortcut(x) + self.conv2(F.silu(self.norm2(y)))


class SpatialAttention(nn.Module):
    """Group norm, then attention among places, with a context of text."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.enter = nn.GroupNorm(3, 12), C2(12, 9, 1)
        self.norm1, self.own = nn.LayerNorm(9), Attention(9, 2, 4, bias=False)
        self.norm2, self.cross = nn.LayerNorm(9), Attention(9, 2, 5, other=7, bias=False)
        self.norm3, self.mlp, self.leave = nn.LayerNorm(9), MLP(9, 8), C2(9, 12, 1)

    def forward(self, x: torch.Tensor, text: torch.Tensor) -> torch.Tensor:
        b, _, h, w = x.shape
        y = self.enter(self.norm(x)).flatten(2).transpose(1, 2)
        y = y + self.own(self.norm1(y))
        y = y + self.cross(self.norm2(y), text)
        y = y + self.mlp(self.norm3(y))
        return x + self.leave(y.transpose(1, 2).reshape(b, 9, h, w))


class DiffusionUNet(nn.Module):
    """Widths 8 and 12; the groups of the last norm straddle the seam of the concatenation."""

    def __init__(self) -> None:
        super().__init__()
        self.time1, self.time2 = L(4, 5), L(5, 6)
        self.words = nn.Embedding(9, 7)
        self.enter, self.block1 = C2(2, 8, 3, padding=1), ResBlock(8, 8, 2, 2)
        self.down, self.block2 = C2(8, 12, 3, 2, 1), ResBlock(12, 12, 3, 4)
        self.attention, self.up = SpatialAttention(), C2(12, 12, 3, padding=1)
        self.block3, self.norm, self.out = ResBlock(20, 14, 2, 7), nn.GroupNorm(2, 14), C2(14, 2, 3, padding=1)

    def forward(self, x: torch.Tensor, t: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
        speeds = torch.tensor([1.0, 0.1], dtype=x.dtype)
        angles = t[:, None].to(x.dtype) * speeds
        time = self.time2(F.silu(self.time1(torch.cat([angles.cos(), angles.sin()], -1))))
        skip = self.block1(self.enter(x), time)
        low = self.attention(self.block2(self.down(skip), time), self.words(ids))
        high = self.up(F.interpolate(low, scale_factor=2.0, mode="nearest"))
        y = self.block3(torch.cat([high, skip], 1), time)
        return self.out(F.silu(self.norm(y)))


def _noise() -> Inputs:
    return (*example((2, 2, 8, 6))(), torch.tensor([3, 8]), torch.tensor([[1, 4, 2], [5, 3, 8]]))


architecture(
    "diffusion_unet",
    DiffusionUNet,
    _noise,
    # time, text, level 0, level 1, attention, up and level 0 again
    fac(5, 6)
    * fac(7)
    * (fac(2) * fac(4) ** 2 * fac(2) * fac(4) ** 2)
    * (fac(3) * fac(4) ** 3 * fac(4) * fac(3) ** 4)
    * (fac(9) * fac(2) * fac(4) ** 4 * fac(2) * fac(5) ** 4 * fac(8))
    * (fac(10) * fac(2) * fac(7) * fac(2) ** 7 * fac(2) * fac(7) ** 2),
    "a!·T!·W! of time and text; a group norm makes S_{C/g} wr S_g of its stream; the last one has 20 = 2 × 10 channels "
    "of which 12 come from above, so 10 and 2 of those are free, and all 8 of the skip keep what its first norm left: "
    "S₄ wr S₂",
)


class DiTBlock(nn.Module):
    """Shift, scale and gate of both halves come from the condition; norms have no gains."""

    def __init__(self) -> None:
        super().__init__()
        self.ada = L(5, 6 * 7)
        self.qkv, self.o, self.mlp = L(7, 3 * 3 * 4), L(12, 7), MLP(7, 8)

    def forward(self, x: torch.Tensor, c: torch.Tensor) -> torch.Tensor:
        shift1, scale1, gate1, shift2, scale2, gate2 = self.ada(F.silu(c))[:, None].chunk(6, -1)
        q, k, v = (cut(y, 3) for y in self.qkv(F.layer_norm(x, (7,)) * (1 + scale1) + shift1).chunk(3, -1))
        x = x + gate1 * self.o(joined(attend(q, k, v)))
        return x + gate2 * self.mlp(F.layer_norm(x, (7,)) * (1 + scale2) + shift2)


class DiT(nn.Module):
    """Patches in, patches out, a class label as condition."""

    def __init__(self) -> None:
        super().__init__()
        self.patch, self.labels, self.positions = C2(2, 7, 2, 2), nn.Embedding(4, 5), nn.Parameter(torch.zeros(1, 6, 7))
        self.blocks = nn.ModuleList(DiTBlock() for _ in range(2))
        self.ada, self.out = L(5, 2 * 7), L(7, 2 * 2 * 2)

    def forward(self, x: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        b, _, h, w = x.shape
        c = self.labels(label)
        y = self.patch(x).flatten(2).transpose(1, 2) + self.positions
        for block in self.blocks:
            y = block(y, c)
        shift, scale = self.ada(F.silu(c))[:, None].chunk(2, -1)
        y = self.out(F.layer_norm(y, (7,)) * (1 + scale) + shift).view(b, h // 2, w // 2, 2, 2, 2)
        return torch.einsum("nhwpqc->nchpwq", y).reshape(b, 2, h, w)


def _labelled() -> Inputs:
    return (*example((2, 2, 4, 6))(), torch.tensor([1, 3]))


architecture(
    "dit",
    DiT,
    _labelled,
    fac(7, 5) * (fac(3) * fac(4) ** 6 * fac(8)) ** 2,
    "D!·T!·(h!·d!²ʰ·I!)²: the rows of each modulation are six times the stream",
)

# --------------------------------------------------------------------------------------------------------------- flows


class Coupling(nn.Module):
    """Half of the inputs scales and shifts the other half."""

    def __init__(self, swap: bool) -> None:
        super().__init__()
        self.net, self.swap = nn.Sequential(L(3, 7), nn.ReLU(), L(7, 5), nn.ReLU(), L(5, 6)), swap

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        a, b = x.chunk(2, 1)
        if self.swap:
            a, b = b, a
        scale, shift = self.net(a).chunk(2, 1)
        scale = torch.tanh(scale)
        return torch.cat([a, b * torch.exp(scale) + shift], 1), scale.sum(1)


class RealNVP(nn.Module):
    """Three couplings; the value is the log density of a point."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(Coupling(k % 2 == 1) for k in range(3))

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        total = torch.zeros(1, dtype=x.dtype)
        for layer in self.layers:
            x, log = layer(x)
            total = total + log
        return x, total


architecture(
    "real_nvp",
    RealNVP,
    example((4, 6)),
    fac(7, 5) ** 3,
    "(a!·b!)³: scales and shifts act on inputs, which are fixed; the layers inside each coupling are free",
)


class MADE(nn.Module):
    """Masks make entry k depend on earlier entries only; hidden units of one degree are alike."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = L(4, 7), L(7, 4)
        degree = torch.tensor([1, 1, 1, 2, 2, 3, 3])
        self.register_buffer("first", (degree[:, None] >= torch.arange(1, 5)).float(), persistent=False)
        self.register_buffer("second", (torch.arange(1, 5)[:, None] > degree).float(), persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = relu(F.linear(x, self.a.weight * self.first.to(x.dtype), self.a.bias))
        return F.linear(h, self.b.weight * self.second.to(x.dtype), self.b.bias)


architecture(
    "made",
    MADE,
    example((5, 4)),
    fac(3, 2, 2),
    "3!·2!·2!: a mask tells units of different degree apart",
)

# -------------------------------------------------------------------------------------------------------- autoencoders


class VAE(nn.Module):
    """In evaluation mode the code is its mean; log-variances are returned too."""

    def __init__(self, variances: bool) -> None:
        super().__init__()
        self.encoder, self.decoder = nn.Sequential(L(4, 7), nn.ReLU(), L(7, 2 * 5)), nn.Sequential(L(5, 6), nn.ReLU())
        self.out, self.variances = L(6, 4), variances

    def forward(self, x: torch.Tensor) -> object:
        mean, log = self.encoder(x).chunk(2, 1)
        y = self.out(self.decoder(mean))
        divergence = 0.5 * (mean.square() + log.exp() - 1 - log).sum(1)
        return (y, divergence) if self.variances else y


architecture(
    "vae",
    lambda: VAE(True),
    example((3, 4)),
    fac(7, 5, 6),
    "a!·Z!·b!: the divergence pairs mean and log-variance of each latent unit and sums over them",
)
architecture(
    "vae_reconstruction",
    lambda: VAE(False),
    example((3, 4)),
    fac(7, 5, 6),
    "a!·Z!·b!: the rows of the log-variance are not read and do not count",
)


class VQVAE(nn.Module):
    """The nearest entry of a codebook."""

    def __init__(self, soft: bool) -> None:
        super().__init__()
        self.encoder, self.book = nn.Sequential(L(4, 7), nn.ReLU(), L(7, 3)), nn.Parameter(torch.zeros(5, 3))
        self.decoder, self.soft = nn.Sequential(L(3, 6), nn.ReLU(), L(6, 4)), soft

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        z = self.encoder(x)
        far = (z[:, None] - self.book).square().sum(-1)
        return self.decoder(torch.softmax(-far, -1) @ self.book if self.soft else F.embedding(far.argmin(1), self.book))


architecture(
    "vq_vae",
    lambda: VQVAE(False),
    example((9, 4)),
    fac(7, 3, 5, 6),
    "a!·Z!·K!·b!: the nearest code is the same code wherever it stands in the book",
)
architecture(
    "vq_vae_soft",
    lambda: VQVAE(True),
    example((9, 4)),
    fac(7, 3, 5, 6),
    "a!·Z!·K!·b!: the average over codes",
)


class TiedConvolutions(nn.Module):
    """The decoder is the transposed encoder."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Parameter(torch.zeros(5, 2, 3, 3)), nn.Parameter(torch.zeros(7, 5, 2, 2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = torch.tanh(F.conv2d(torch.tanh(F.conv2d(x, self.a)), self.b))
        return F.conv_transpose2d(torch.tanh(F.conv_transpose2d(h, self.b)), self.a)


architecture(
    "tied_convolutions",
    TiedConvolutions,
    example((2, 2, 6, 5)),
    fac(5, 7),
    "a!·b!: a kernel used forwards and backwards ties the channels of both directions",
)

# ---------------------------------------------------------------------------------------------------------------- style


class Modulated(nn.Module):
    """StyleGAN2: the style scales the kernel's inputs, its outputs are normalised; samples become groups."""

    def __init__(self, i: int, o: int) -> None:
        super().__init__()
        self.weight, self.style, self.bias = (
            nn.Parameter(torch.zeros(1, o, i, 3, 3)),
            L(6, i),
            nn.Parameter(torch.zeros(o)),
        )

    def forward(self, x: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
        b, i, height, width = x.shape
        kernel = self.weight * self.style(w).view(b, 1, i, 1, 1)
        kernel = kernel * torch.rsqrt(kernel.square().sum((2, 3, 4)) + 1e-8).view(b, -1, 1, 1, 1)
        o = kernel.shape[1]
        y = F.conv2d(x.reshape(1, b * i, height, width), kernel.view(b * o, i, 3, 3), padding=1, groups=b)
        return F.leaky_relu(y.view(b, o, height, width) + self.bias[:, None, None], 0.2)


class StyleGAN(nn.Module):
    """A mapping network, a learned constant, two modulated convolutions."""

    def __init__(self) -> None:
        super().__init__()
        self.map1, self.map2, self.start = L(3, 4), L(4, 6), nn.Parameter(torch.zeros(1, 5, 3, 4))
        self.conv1, self.conv2, self.out = Modulated(5, 7), Modulated(7, 8), C2(8, 2, 1)

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        w = self.map2(F.leaky_relu(self.map1(z), 0.2))
        x = self.start.repeat(z.shape[0], 1, 1, 1)
        return self.out(self.conv2(self.conv1(x, w), w))


architecture(
    "stylegan2",
    StyleGAN,
    example((2, 3)),
    fac(4, 6) * fac(5, 7, 8),
    "a!·W!·∏C!: a style's rows go with the inputs of its kernel; that samples are groups changes nothing",
)


class FiLM(nn.Module):
    """A condition scales and shifts channels."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.norm, self.conv2 = C2(2, 5, 3), nn.BatchNorm2d(5, affine=False), C2(5, 2, 1)
        self.ask, self.film = L(3, 4), L(4, 2 * 5)

    def forward(self, x: torch.Tensor, c: torch.Tensor) -> torch.Tensor:
        gain, shift = self.film(relu(self.ask(c)))[:, :, None, None].chunk(2, 1)
        return self.conv2(relu(self.norm(self.conv1(x)) * (1 + gain) + shift))


architecture(
    "film",
    FiLM,
    example((2, 2, 6, 5), (2, 3)),
    fac(5, 4),
    "C!·a!: gains and shifts of a channel are rows k and k + C of one layer",
)


class Hyper(nn.Module):
    """One network writes the weights of another."""

    def __init__(self) -> None:
        super().__init__()
        self.ask, self.write1, self.write2 = L(3, 5), L(5, 4 * 6), L(5, 6 * 2)

    def forward(self, x: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
        h = relu(self.ask(z))
        first, second = self.write1(h).view(-1, 6, 4), self.write2(h).view(-1, 2, 6)
        return torch.einsum("boh,bh->bo", second, torch.tanh(torch.einsum("bhi,bi->bh", first, x)))


architecture(
    "hypernetwork",
    Hyper,
    example((4, 4), (4, 3)),
    fac(5, 6),
    "a!·H!: hidden units of the written network are factors of the rows of its writer",
)
