"""Attention and positions."""

from __future__ import annotations

import torch
from tests.flatness.core import RMS, Network
from tests.zoo.core import L, example
from torch import nn


class Attention(nn.Module):
    """Attention with all that varies between its kinds.

    Args:
        width, out: of what comes in and goes out.
        heads, kv: heads of queries, heads of keys and values.
        dim, value: dimensions of a head for queries and keys, for values.
        bias: of all four maps.
        rotary: so many leading dimensions of a head are turned by the position.
        whole: whether planes are turned as ``x·cos + (−x₂, x₁)·sin`` and not half by half.
        norm: whether queries and keys go through a norm with gain.
        table: length of a table of biases by head and positions.
        distances: number of positions of a table of biases by head and distance.
        slopes: whether distances are taken off by a number for each head that is not trained.
    """

    def __init__(
        self, width: int, out: int, heads: int, dim: int, value: int, *, kv: int = 0, bias: bool = False,
        rotary: int = 0, whole: bool = False, norm: bool = False, table: int = 0,
        distances: int = 0, slopes: bool = False,
    ) -> None:  # fmt: skip
        super().__init__()
        kv = kv or heads
        self.heads, self.kv, self.dim, self.value, self.rotary, self.whole = heads, kv, dim, value, rotary, whole
        self.q, self.k = L(width, heads * dim, bias=bias), L(width, kv * dim, bias=bias)
        self.v, self.o = L(width, kv * value, bias=bias), L(heads * value, out, bias=bias)
        self.norms = nn.ModuleList([RMS(dim, gain=True), RMS(dim, gain=True)] if norm else [])
        self.table = nn.Parameter(torch.zeros(heads, table, table)) if table else None
        self.distances = nn.Parameter(torch.zeros(heads, 2 * distances - 1)) if distances else None
        self.slopes = slopes

    def turned(self, x: torch.Tensor) -> torch.Tensor:
        """The leading dimensions turned, in planes of the first and the second half."""
        if not self.rotary:
            return x
        half = self.rotary // 2
        angles = torch.arange(x.shape[2], dtype=x.dtype)[:, None] * 0.7 ** torch.arange(half, dtype=x.dtype)
        first, second, rest = x.split([half, half, self.dim - self.rotary], -1)
        c, s = angles.cos(), angles.sin()
        if self.whole:
            return x * torch.cat([c, c], -1) + torch.cat([-second, first], -1) * torch.cat([s, s], -1)
        return torch.cat([first * c - second * s, first * s + second * c, rest], -1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        q = self.q(x).unflatten(-1, (self.heads, self.dim)).transpose(1, 2)
        k = self.k(x).unflatten(-1, (self.kv, self.dim)).transpose(1, 2)
        v = self.v(x).unflatten(-1, (self.kv, self.value)).transpose(1, 2)
        if len(self.norms):
            q, k = self.norms[0](q), self.norms[1](k)
        q, k = self.turned(q), self.turned(k)
        k, v = (each.repeat_interleave(self.heads // self.kv, 1) for each in (k, v))
        scores = q @ k.transpose(-2, -1) / self.dim**0.5
        if self.table is not None:
            scores = scores + self.table
        apart = torch.arange(x.shape[1])[None] - torch.arange(x.shape[1])[:, None]
        if self.distances is not None:
            scores = scores + self.distances[:, apart + x.shape[1] - 1]
        if self.slopes:
            slopes = 0.5 ** torch.arange(1, 1 + self.heads, dtype=x.dtype)
            scores = scores - slopes[:, None, None] * apart.abs().to(x.dtype)
        return self.o((scores.softmax(-1) @ v).transpose(1, 2).flatten(2))


NETWORKS = (
    Network(
        "attention with biases", "multi-head attention", lambda: Attention(5, 7, 3, 4, 4, bias=True),
        example((3, 4, 5)), (0, 24, 96, 0, 0),
        "for each of 3 heads GL(4) on q·k, GL(4) on v·o: 96; softmax forgets b_k: 12; b_v goes into b_o: 12",
    ),
    Network(
        "attention", "multi-head attention", lambda: Attention(6, 4, 2, 3, 2), example((3, 4, 6)),
        (0, 0, 26, 0, 0), "for each of 2 heads GL(3) on q·k, GL(2) on v·o",
    ),
    Network(
        "attention, more values than outputs", "multi-head attention", lambda: Attention(5, 2, 2, 2, 3),
        example((3, 4, 5)), (0, 0, 26, 0, 0), "for each of 2 heads GL(2) on q·k, GL(3) on v·o", measured=30,
        reason="the 2 outputs forget one of a head's 3 directions, and along it the 5 inputs may write anything: 5, of "
        "which GL(3) moves 3",
    ),
    Network(
        "grouped queries", "GQA, MQA", lambda: Attention(4, 5, 4, 3, 3, kv=2, bias=True), example((3, 4, 4)),
        (0, 12, 36, 0, 0), "for each of 2 key and value heads GL(3) twice: 36; b_k: 6; b_v: 6",
    ),
    Network(
        "one key and value", "GQA, MQA", lambda: Attention(4, 6, 3, 2, 3, kv=1), example((3, 4, 4)),
        (0, 0, 13, 0, 0), "GL(2) and GL(3), shared by 3 heads of queries",
    ),
    Network(
        "rotary positions", "RoPE", lambda: Attention(6, 5, 2, 4, 3, rotary=4, whole=True), example((3, 5, 6)),
        (4, 0, 18, 4, 4), "for each of 2 heads a scale and an angle of 2 planes: 8; GL(3) on v·o: 18",
    ),
    Network(
        "rotary positions with biases", "RoPE",
        lambda: Attention(6, 5, 2, 4, 2, rotary=4, whole=True, bias=True), example((3, 5, 6)), (4, 4, 8, 4, 4),
        "as without; b_k is not free, as it is turned too; b_v goes into b_o: 4",
    ),
    Network(
        "rotary positions, grouped queries", "RoPE", lambda: Attention(5, 3, 4, 4, 2, kv=2, rotary=4, whole=True),
        example((3, 5, 5)), (4, 0, 8, 4, 4),
        "for each of 2 heads of keys a scale and an angle of 2 planes: 8; GL(2) on v·o: 8",
    ),
    Network(
        "rotary positions, half by half", "RoPE", lambda: Attention(7, 4, 2, 4, 2, rotary=4), example((3, 5, 7)),
        (4, 0, 8, 4, 4), "for each of 2 heads a scale and an angle of 2 planes: 8; GL(2) on v·o: 8",
    ),
    Network(
        "partly rotary", "RoPE", lambda: Attention(6, 5, 2, 6, 2, rotary=4), example((3, 5, 6)),
        (4, 0, 16, 4, 4), "for each of 2 heads 2 planes: 8; GL(2) on the rest of q·k: 8; GL(2) on v·o: 8",
    ),
    Network(
        "rotary in one plane", "RoPE", lambda: Attention(6, 5, 2, 4, 2, rotary=2), example((3, 5, 6)),
        (2, 0, 16, 2, 2), "for each of 2 heads one plane: 4; GL(2) on the rest of q·k: 8; GL(2) on v·o: 8",
    ),
    Network(
        "norms of queries and keys", "QK-norm with gain", lambda: Attention(5, 4, 2, 3, 2, norm=True),
        example((3, 4, 5)), (3, 0, 8, 0, 12),
        "the two gains, which heads share, against each other: 3; GL(2) on v·o: 8; signs of 12 rows and 6 gains, "
        "less 6 products that must stay",
    ),
    Network(
        "table of relative positions", "relative-position tables, ALiBi",
        lambda: Attention(5, 3, 2, 2, 3, table=4), example((3, 4, 5)), (0, 8, 26, 0, 0),
        "softmax forgets a number added to a row of the table, 2 heads and 4 rows: 8; GL(2) and GL(3): 26",
    ),
    Network(
        "table of distances", "relative-position tables, ALiBi", lambda: Attention(5, 3, 2, 2, 3, distances=4),
        example((3, 4, 5)), (0, 2, 26, 0, 0),
        "softmax forgets a number added to all of a head's distances: 2; GL(2) and GL(3): 26",
    ),
    Network(
        "slopes of distances", "relative-position tables, ALiBi", lambda: Attention(5, 3, 2, 2, 3, slopes=True),
        example((3, 4, 5)), (0, 0, 26, 0, 0), "slopes tell the heads apart, but not what is within them",
    ),
)  # fmt: skip
