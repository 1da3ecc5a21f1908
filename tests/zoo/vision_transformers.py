"""Transformers for images, and what else mixes tokens there.

D: residual stream, h: heads, d: dimension of a head, I: inner width of the MLP. Two layers unless said otherwise.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from tests.zoo.blocks import MLP, Attention, PreNorm, RMSNorm, Tower, attend, cut, joined
from tests.zoo.core import C2, L, architecture, example, fac
from torch import nn

_BLOCK = fac(3) * fac(4) ** 6 * fac(8)
"""h!·d!²ʰ·I! for three heads of four dimensions and eight hidden units."""


def _keys(*paths: str) -> tuple[str, ...]:
    return tuple(f"{path}.k.bias" for path in paths)


class ViT(nn.Module):
    """Patches, a class token, learned positions; register tokens are appended without positions."""

    def __init__(self, block: Callable[[], nn.Module], registers: int = 0, pooled: bool = False) -> None:
        super().__init__()
        self.patch, self.cls = C2(2, 7, 2, 2), nn.Parameter(torch.zeros(1, 1, 7))
        self.positions = nn.Parameter(torch.zeros(1, 1 + 6, 7))
        self.registers = nn.Parameter(torch.zeros(1, registers, 7)) if registers else None
        self.tower, self.norm, self.head = Tower([block() for _ in range(2)]), nn.LayerNorm(7), L(7, 3)
        self.pooled = pooled

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.patch(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.cls.expand(x.shape[0], -1, -1), x], 1) + self.positions
        if self.registers is not None:
            x = torch.cat([x, self.registers.expand(x.shape[0], -1, -1)], 1)
        x = self.norm(self.tower(x))
        return self.head(x.mean(1) if self.pooled else x[:, 0])


IMAGE = example((2, 2, 4, 6))


def _plain() -> nn.Module:
    return PreNorm(7, Attention(7, 3, 4), MLP(7, 8), nn.LayerNorm)


architecture(
    "vit",
    lambda: ViT(_plain),
    IMAGE,
    fac(7) * _BLOCK**2,
    "D!·(h!·d!²ʰ·I!)²: patches come in a fixed order, so token positions are fixed",
    dead=_keys("tower.blocks.0.attention", "tower.blocks.1.attention"),
)
architecture(
    "vit_with_registers",
    lambda: ViT(_plain, registers=5),
    IMAGE,
    fac(7) * _BLOCK**2 * fac(5),
    "D!·(h!·d!²ʰ·I!)²·R!: attention does not know the order of tokens, registers carry no position and are not read "
    "out, so the R rows of the register table may change places",
    dead=_keys("tower.blocks.0.attention", "tower.blocks.1.attention"),
)


class LayerScale(nn.Module):
    """q, k, v fused and q, k normalised, as ViT-22B; the branch is scaled by a gain for each dimension."""

    def __init__(self) -> None:
        super().__init__()
        self.qkv, self.o = L(7, 3 * 3 * 4), L(3 * 4, 7)
        self.q_norm, self.k_norm = nn.LayerNorm(4), nn.LayerNorm(4)
        self.gamma = nn.Parameter(torch.full((7,), 1e-5))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        q, k, v = self.qkv(x).reshape(*x.shape[:2], 3, 3, 4).permute(2, 0, 3, 1, 4).unbind(0)
        y = F.scaled_dot_product_attention(self.q_norm(q), self.k_norm(k), v)
        return self.gamma * self.o(y.transpose(1, 2).reshape(*x.shape[:2], 12))


architecture(
    "vit_qk_norm",
    lambda: ViT(lambda: PreNorm(7, LayerScale(), MLP(7, 8), nn.LayerNorm), pooled=True),
    IMAGE,
    fac(7) * (fac(3) * fac(4) * fac(4) ** 3 * fac(8)) ** 2,
    "D!·(h!·d!·d!ʰ·I!)²: all heads share the gains of the norms, hence one order of the q·k dimension; v·o is over "
    "heads",
    dead=("tower.blocks.0.attention.k_norm.bias", "tower.blocks.1.attention.k_norm.bias"),
)


# ------------------------------------------------------------------------------------------------------------- windows
class WindowAttention(nn.Module):
    """Attention inside windows of 2 × 2, shifted by rolling; biases from a table of relative places × heads."""

    def __init__(self, width: int, heads: int, dim: int, shift: int) -> None:
        super().__init__()
        self.qkv, self.o = L(width, 3 * heads * dim), L(heads * dim, width)
        self.table = nn.Parameter(torch.zeros(9, heads))
        self.heads, self.dim, self.shift = heads, dim, shift
        places = torch.stack(torch.meshgrid(torch.arange(2), torch.arange(2), indexing="ij")).flatten(1)
        relative = places[:, :, None] - places[:, None, :] + 1
        self.register_buffer("index", (relative[0] * 3 + relative[1]).flatten(), persistent=False)

    def _mask(self, height: int, width: int) -> torch.Tensor:
        region = torch.zeros(height, width)
        region[-1:] += 2
        region[:, -1:] += 1
        own = region.view(height // 2, 2, width // 2, 2).permute(0, 2, 1, 3).reshape(-1, 4)
        return (own[:, None] != own[:, :, None]).float() * -100.0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        b, height, width, c = x.shape
        if self.shift:
            x = torch.roll(x, (-self.shift, -self.shift), (1, 2))
        x = x.view(b, height // 2, 2, width // 2, 2, c).permute(0, 1, 3, 2, 4, 5).reshape(-1, 4, c)
        q, k, v = self.qkv(x).reshape(-1, 4, 3, self.heads, self.dim).permute(2, 0, 3, 1, 4)
        bias = self.table[self.index].view(4, 4, -1).permute(2, 0, 1)[None]
        if self.shift:
            mask = self._mask(height, width).to(x.dtype)
            bias = (bias + mask[:, None]).repeat(b, 1, 1, 1)
        y = self.o(joined(attend(q, k, v, bias)))
        y = y.view(b, height // 2, width // 2, 2, 2, c).permute(0, 1, 3, 2, 4, 5).reshape(b, height, width, c)
        return torch.roll(y, (self.shift, self.shift), (1, 2)) if self.shift else y


class PatchMerging(nn.Module):
    """Four neighbours side by side, normalised and projected."""

    def __init__(self, width: int, out: int) -> None:
        super().__init__()
        self.norm, self.reduction = nn.LayerNorm(4 * width), L(4 * width, out, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.cat([x[:, 0::2, 0::2], x[:, 1::2, 0::2], x[:, 0::2, 1::2], x[:, 1::2, 1::2]], -1)
        return self.reduction(self.norm(x))


class Swin(nn.Module):
    """A plain and a shifted block, patch merging, another block."""

    def __init__(self) -> None:
        super().__init__()
        self.patch = C2(2, 5, 2, 2)
        self.block1 = PreNorm(5, WindowAttention(5, 3, 4, 0), MLP(5, 8), nn.LayerNorm)
        self.block2 = PreNorm(5, WindowAttention(5, 3, 4, 1), MLP(5, 8), nn.LayerNorm)
        self.merge = PatchMerging(5, 7)
        self.block3 = PreNorm(7, WindowAttention(7, 2, 3, 0), MLP(7, 9), nn.LayerNorm)
        self.norm, self.head = nn.LayerNorm(7), L(7, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.block2(self.block1(self.patch(x).permute(0, 2, 3, 1)))
        return self.head(self.norm(self.block3(self.merge(x))).mean((1, 2)))


architecture(
    "swin",
    Swin,
    example((2, 2, 8, 16)),
    fac(5) * _BLOCK**2 * fac(7) * fac(2) * fac(3) ** 4 * fac(9),
    "D!·(h!·d!²ʰ·I!)²·D'!·h'!·d'!²ʰ'·I'!: windows and rolls move places only; the table's columns are heads; "
    "merging has the D units four times on one axis",
)


# -------------------------------------------------------------------------------------------- other ways to mix tokens
class XCA(nn.Module):
    """Attention among the dimensions of a head instead of among tokens."""

    def __init__(self) -> None:
        super().__init__()
        self.qkv, self.o = L(7, 3 * 3 * 4), L(3 * 4, 7)
        self.temperature = nn.Parameter(torch.ones(3, 1, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        q, k, v = self.qkv(x).reshape(*x.shape[:2], 3, 3, 4).permute(2, 0, 3, 4, 1).unbind(0)
        q, k = F.normalize(q, dim=-1), F.normalize(k, dim=-1)
        weights = torch.softmax(q @ k.transpose(-1, -2) * self.temperature, -1)
        return self.o((weights @ v).permute(0, 3, 1, 2).reshape(*x.shape[:2], 12))


architecture(
    "xcit",
    lambda: ViT(lambda: PreNorm(7, XCA(), MLP(7, 8), nn.LayerNorm), pooled=True),
    IMAGE,
    fac(7) * _BLOCK**2,
    "D!·(h!·d!²ʰ·I!)²: the weights are [d of q, d of k], so q goes with the projection and k with v",
)


class LinearAttention(nn.Module):
    """φ(q)·(φ(k)ᵀv) with φ = elu + 1, normalised."""

    def __init__(self) -> None:
        super().__init__()
        self.q, self.k, self.v, self.o = L(7, 12), L(7, 12), L(7, 15), L(15, 7)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        q, k, v = F.elu(cut(self.q(x), 3)) + 1, F.elu(cut(self.k(x), 3)) + 1, cut(self.v(x), 3)
        state = torch.einsum("bhtd,bhte->bhde", k, v)
        total = torch.einsum("bhtd,bhd->bht", q, k.sum(2))
        return self.o(joined(torch.einsum("bhtd,bhde->bhte", q, state) / total[..., None]))


architecture(
    "linear_attention",
    lambda: ViT(lambda: PreNorm(7, LinearAttention(), MLP(7, 8), nn.LayerNorm)),
    IMAGE,
    fac(7) * (fac(3) * fac(4) ** 3 * fac(5) ** 3 * fac(8)) ** 2,
    "D!·(h!·d_k!ʰ·d_v!ʰ·I!)²: φ acts on each entry, the state is Σ over d_k",
)


class Performer(nn.Module):
    """Random features exp(wᵀx − |x|²/2); w is drawn once."""

    def __init__(self, kept: bool) -> None:
        super().__init__()
        self.q, self.k, self.v, self.o = L(7, 12), L(7, 12), L(7, 15), L(15, 7)
        features = torch.randn(6, 4, generator=torch.Generator().manual_seed(1))
        self.register_buffer("features", features, persistent=kept)

    def _phi(self, x: torch.Tensor) -> torch.Tensor:
        return torch.exp(x @ self.features.to(x.dtype).t() - x.pow(2).sum(-1, keepdim=True) / 2.0)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        q, k, v = self._phi(cut(self.q(x), 3)), self._phi(cut(self.k(x), 3)), cut(self.v(x), 3)
        y = q @ (k.transpose(-1, -2) @ v) / (q @ k.sum(2)[..., None])
        return self.o(joined(y))


architecture(
    "performer",
    lambda: ViT(lambda: PreNorm(7, Performer(False), MLP(7, 8), nn.LayerNorm)),
    IMAGE,
    fac(7) * (fac(3) * fac(5) ** 3 * fac(8)) ** 2,
    "D!·(h!·d_v!ʰ·I!)²: constant features tell the q·k dimension apart",
)
architecture(
    "performer_with_stored_features",
    lambda: ViT(lambda: PreNorm(7, Performer(True), MLP(7, 8), nn.LayerNorm)),
    IMAGE,
    fac(7) * (fac(3) * fac(4) * fac(6) * fac(5) ** 3 * fac(8)) ** 2,
    "D!·(h!·d_k!·m!·d_v!ʰ·I!)²: as an entry of the state the features move along; all heads share them, so neither d_k "
    "nor the m features are over heads",
)


class FNet(nn.Module):
    """The real part of the Fourier transform over tokens and dimensions."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.fft.fft(torch.fft.fft(x, dim=-1), dim=-2).real


architecture(
    "fnet",
    lambda: ViT(lambda: PreNorm(7, FNet(), MLP(7, 8), nn.LayerNorm)),
    IMAGE,
    fac(8) ** 2,
    "(I!)²: the transform tells dimensions apart (what remains there, k to −k, is no exchange of two units)",
)


class GatedMLP(nn.Module):
    """gMLP: half of the channels gate the other half after a mix over tokens."""

    def __init__(self) -> None:
        super().__init__()
        self.up, self.norm, self.mix, self.down = L(7, 2 * 5), nn.LayerNorm(5), L(7, 7), L(5, 7)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        u, v = F.gelu(self.up(x)).chunk(2, -1)
        return self.down(u * (self.mix(self.norm(v).transpose(1, 2)).transpose(1, 2) + 1.0))


class GMLP(ViT):
    """Blocks without attention."""

    def __init__(self) -> None:
        super().__init__(lambda: _Residual(7, GatedMLP()))


class _Residual(nn.Module):
    def __init__(self, width: int, inner: nn.Module) -> None:
        super().__init__()
        self.norm, self.inner = RMSNorm(width), inner

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.inner(self.norm(x))


architecture(
    "gmlp",
    GMLP,
    IMAGE,
    fac(7) * fac(5) ** 2,
    "D!·(e!)²: halves k and k + e of the inner channels go together; tokens are fixed",
)
