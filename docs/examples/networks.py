"""Small networks whose printed symmetries docs/inspect.md explains.

Each factory returns a module in evaluation mode and example inputs, as every command of Orbitope takes them:
``orbitope inspect docs/examples/networks.py:transformer``.
"""

from __future__ import annotations

import torch
from torch import nn


class Attention(nn.Module):
    """Grouped-query attention: 2 key/value heads, each shared by 3 query heads; heads of 8 positions.

    With ``slopes`` every query head has a constant of its own, by which it prefers tokens that are near (as in ALiBi).
    """

    slopes: torch.Tensor | None

    def __init__(self, width: int, kv_heads: int = 2, group: int = 3, size: int = 8, slopes: bool = False) -> None:
        """Make the four projections."""
        super().__init__()
        self.kv_heads, self.group, self.size = kv_heads, group, size
        self.q = nn.Linear(width, kv_heads * group * size, bias=False)
        self.k = nn.Linear(width, kv_heads * size, bias=False)
        self.v = nn.Linear(width, kv_heads * size, bias=False)
        self.o = nn.Linear(kv_heads * group * size, width, bias=False)
        heads = torch.arange(kv_heads * group) + 1.0
        self.register_buffer("slopes", 2.0**-heads if slopes else None, persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``[batch, tokens, width]`` to the same."""
        q = self.q(x).unflatten(-1, (self.kv_heads * self.group, self.size)).transpose(1, 2)
        k, v = (part(x).unflatten(-1, (self.kv_heads, self.size)).transpose(1, 2) for part in (self.k, self.v))
        k, v = k.repeat_interleave(self.group, 1), v.repeat_interleave(self.group, 1)
        scores = (q @ k.transpose(-2, -1)) / self.size**0.5
        if self.slopes is not None:
            at = torch.arange(x.shape[1])
            scores = scores - self.slopes[:, None, None] * (at[:, None] - at[None, :]).abs()
        return self.o((scores.softmax(-1) @ v).transpose(1, 2).flatten(2))


class Block(nn.Module):
    """Attention and a gated feed-forward layer, each added to the residual stream."""

    def __init__(self, width: int, inner: int, slopes: bool) -> None:
        """Make the layers."""
        super().__init__()
        self.norm1, self.norm2 = nn.RMSNorm(width), nn.RMSNorm(width)
        self.attn = Attention(width, slopes=slopes)
        self.gate, self.up = nn.Linear(width, inner, bias=False), nn.Linear(width, inner, bias=False)
        self.down = nn.Linear(inner, width, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``[batch, tokens, width]`` to the same."""
        x = x + self.attn(self.norm1(x))
        y = self.norm2(x)
        return x + self.down(nn.functional.silu(self.gate(y)) * self.up(y))


class Transformer(nn.Module):
    """A language model of such blocks."""

    def __init__(self, words: int = 50, width: int = 20, inner: int = 56, depth: int = 3, slopes: bool = False) -> None:
        """Make the layers."""
        super().__init__()
        self.embed = nn.Embedding(words, width)
        self.blocks = nn.ModuleList([Block(width, inner, slopes) for _ in range(depth)])
        self.norm = nn.RMSNorm(width)
        self.head = nn.Linear(width, words, bias=False)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """``[batch, tokens]`` to scores of the next word."""
        x = self.embed(ids)
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x))


class ConvNet(nn.Module):
    """A stem, a residual block with a grouped convolution in it, and a classifier."""

    def __init__(self) -> None:
        """Make the layers."""
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 3, padding=1)
        self.norm = nn.BatchNorm2d(16)
        self.reduce = nn.Conv2d(16, 12, 1)
        self.grouped = nn.Conv2d(12, 20, 3, padding=1, groups=4)
        self.expand = nn.Conv2d(20, 16, 1)
        self.head = nn.Linear(16, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``[batch, 3, height, width]`` to scores of 10 classes."""
        x = torch.relu(self.norm(self.stem(x)))
        x = x + self.expand(torch.relu(self.grouped(torch.relu(self.reduce(x)))))
        return self.head(x.mean((2, 3)))


class Small(nn.Module):
    """Attention with 3 heads and biases, a gated layer, and a classifier."""

    def __init__(self) -> None:
        """Make the layers."""
        super().__init__()
        self.q, self.k, self.v = nn.Linear(7, 12), nn.Linear(7, 12), nn.Linear(7, 15)
        self.o = nn.Linear(15, 8)
        self.gate, self.up, self.down = nn.Linear(8, 10), nn.Linear(8, 10, bias=False), nn.Linear(10, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``[batch, tokens, 7]`` to scores of 5 classes for each token."""
        q, k, v = (part(x).unflatten(-1, (3, -1)).transpose(1, 2) for part in (self.q, self.k, self.v))
        x = self.o(((q @ k.transpose(-2, -1)).softmax(-1) @ v).transpose(1, 2).flatten(2))
        return self.down(torch.relu(self.gate(x)) * self.up(x))


def transformer() -> tuple[nn.Module, tuple[torch.Tensor, ...]]:
    """The language model, with two sentences of seven words."""
    return Transformer().eval(), (torch.arange(14).reshape(2, 7),)


def pinned() -> tuple[nn.Module, tuple[torch.Tensor, ...]]:
    """The language model with slopes, which tell its heads apart."""
    return Transformer(slopes=True).eval(), (torch.arange(14).reshape(2, 7),)


def convnet() -> tuple[nn.Module, tuple[torch.Tensor, ...]]:
    """The classifier, with two images."""
    return ConvNet().eval(), (torch.zeros(2, 3, 9, 8),)


def attention() -> tuple[nn.Module, tuple[torch.Tensor, ...]]:
    """One layer of attention with biases, then a gated layer."""
    return Small().eval(), (torch.zeros(2, 4, 7),)
