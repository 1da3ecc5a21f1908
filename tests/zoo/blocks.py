"""Parts that the miniatures of transformers are made of."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from tests.zoo.core import Inputs, L
from torch import nn

Heads = tuple[torch.Tensor, torch.Tensor, torch.Tensor]


def tokens(vocabulary: int = 11, batch: int = 2, length: int = 6, seed: int = 3) -> Callable[[], Inputs]:
    """Makes a batch of random token numbers, none of which is zero."""

    def inputs() -> Inputs:
        generator = torch.Generator().manual_seed(seed)
        return (torch.randint(1, vocabulary, (batch, length), generator=generator),)

    return inputs


class RMSNorm(nn.Module):
    """Written out, as published models have it; ``offset`` is added to the gain."""

    def __init__(self, size: int, offset: float = 0.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))
        self.offset = offset

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6) * (self.weight + self.offset)


class Conv1D(nn.Module):
    """GPT-2's linear layer: the weight is stored as inputs × outputs."""

    def __init__(self, i: int, o: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(i, o))
        self.bias = nn.Parameter(torch.zeros(o))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.addmm(self.bias, x.view(-1, x.size(-1)), self.weight).view(*x.shape[:-1], -1)


class MLP(nn.Module):
    """Two layers and a function between them."""

    def __init__(
        self,
        width: int,
        hidden: int,
        out: int | None = None,
        act: Callable[[torch.Tensor], torch.Tensor] = F.gelu,
        bias: bool = True,
    ) -> None:
        super().__init__()
        self.up, self.down = L(width, hidden), L(hidden, out or width, bias=bias)
        self.act = act

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.down(self.act(self.up(x)))


class GatedMLP(nn.Module):
    """SwiGLU and its kin, without biases."""

    def __init__(self, width: int, hidden: int, act: Callable[[torch.Tensor], torch.Tensor] = F.silu) -> None:
        super().__init__()
        self.gate, self.up = L(width, hidden, bias=False), L(width, hidden, bias=False)
        self.down = L(hidden, width, bias=False)
        self.act = act

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.down(self.act(self.gate(x)) * self.up(x))


def cut(x: torch.Tensor, heads: int) -> torch.Tensor:
    """``[batch, length, heads·dim]`` as ``[batch, heads, length, dim]``."""
    return x.view(*x.shape[:2], heads, -1).transpose(1, 2)


def joined(x: torch.Tensor) -> torch.Tensor:
    """The inverse of :func:`cut`."""
    return x.transpose(1, 2).contiguous().view(x.shape[0], x.shape[2], -1)


def attend(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, bias: torch.Tensor | None = None, scale: float | None = None
) -> torch.Tensor:
    """Softmax attention written out; ``bias`` is added to the scores."""
    scores = q @ k.transpose(-1, -2) * (q.shape[-1] ** -0.5 if scale is None else scale)
    return torch.softmax(scores if bias is None else scores + bias, -1) @ v


def causal(length: int) -> torch.Tensor:
    """A mask to be added to scores."""
    return torch.full((length, length), -1e9).triu(1)


class Attention(nn.Module):
    """Multi-head attention with a projection each for q, k and v; ``other`` is attended to where it is given."""

    def __init__(
        self, width: int, heads: int, dim: int, value: int | None = None, other: int | None = None, bias: bool = True
    ) -> None:
        super().__init__()
        value = value or dim
        self.q, self.k = L(width, heads * dim, bias=bias), L(other or width, heads * dim, bias=bias)
        self.v, self.o = L(other or width, heads * value, bias=bias), L(heads * value, width, bias=bias)
        self.heads = heads

    def forward(
        self, x: torch.Tensor, other: torch.Tensor | None = None, bias: torch.Tensor | None = None
    ) -> torch.Tensor:
        y = x if other is None else other
        q, k, v = cut(self.q(x), self.heads), cut(self.k(y), self.heads), cut(self.v(y), self.heads)
        return self.o(joined(attend(q, k, v, bias)))


def rotation(length: int, dim: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Cosines and sines ``[length, dim / 2]`` of rotary position embedding."""
    speed = 100.0 ** (-torch.arange(0, dim, 2) / dim)
    angles = torch.outer(torch.arange(length).float(), speed)
    return angles.cos(), angles.sin()


def rotate_half(x: torch.Tensor) -> torch.Tensor:
    """Llama's: the second half of the dimensions, negated, before the first."""
    first, second = x[..., : x.shape[-1] // 2], x[..., x.shape[-1] // 2 :]
    return torch.cat([-second, first], -1)


def rotate(x: torch.Tensor) -> torch.Tensor:
    """Rotary position embedding by halves."""
    cos, sin = rotation(x.shape[-2], x.shape[-1])
    return x * torch.cat([cos, cos], -1) + rotate_half(x) * torch.cat([sin, sin], -1)


def rotate_pairs(x: torch.Tensor) -> torch.Tensor:
    """Rotary position embedding of neighbouring pairs (GPT-J's)."""
    cos, sin = rotation(x.shape[-2], x.shape[-1])
    even, odd = x.unflatten(-1, (-1, 2)).unbind(-1)
    return torch.stack([even * cos - odd * sin, even * sin + odd * cos], -1).flatten(-2)


def repeat_heads(x: torch.Tensor, times: int) -> torch.Tensor:
    """Each key and value head ``times`` times, one beside the other."""
    b, h, t, d = x.shape
    return x[:, :, None].expand(b, h, times, t, d).reshape(b, h * times, t, d)


class Tower(nn.Module):
    """Blocks one after the other."""

    def __init__(self, blocks: Sequence[nn.Module]) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(blocks)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for block in self.blocks:
            x = block(x)
        return x


class PreNorm(nn.Module):
    """A transformer block: norm, attention, norm, MLP, each around a residual stream."""

    def __init__(self, width: int, attention: nn.Module, mlp: nn.Module, norm: Callable[[int], nn.Module]) -> None:
        super().__init__()
        self.norm1, self.attention, self.norm2, self.mlp = norm(width), attention, norm(width), mlp

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self.attention(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class LanguageModel(nn.Module):
    """Token embedding, blocks, final norm, head; the head is the embedding where ``tied``."""

    def __init__(
        self, width: int, blocks: Sequence[nn.Module], norm: Callable[[int], nn.Module], tied: bool = False
    ) -> None:
        super().__init__()
        self.embed, self.tower, self.norm = nn.Embedding(11, width), Tower(blocks), norm(width)
        self.head = L(width, 11, bias=False)
        if tied:
            self.head.weight = self.embed.weight

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        return self.head(self.norm(self.tower(self.embed(ids))))
