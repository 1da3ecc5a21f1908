"""Residual streams, and small language models of them."""

from __future__ import annotations

import torch
from tests.flatness.core import RMS, Network, tokens
from tests.zoo.core import L, example, model, relu
from torch import nn


class Stream(nn.Module):
    """A residual stream: embedding, one block behind a norm, a last norm, a head."""

    def __init__(self, norm: type[nn.Module] | None, width: int, inner: int, *, gain: bool, tied: bool) -> None:
        super().__init__()
        self.embed, self.head = nn.Embedding(7, width), L(width, 7, bias=False)
        self.norm, self.last = (
            [RMS(width, gain), RMS(width, gain)]
            if norm is None
            else [norm(width, eps=1e-3, elementwise_affine=gain) for _ in range(2)]
        )
        self.up, self.down = L(width, inner), L(inner, width)
        if tied:
            self.head.weight = self.embed.weight

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        h = self.embed(ids)
        h = h + h.mean(1, keepdim=True)  # what a token is depends on the others: there are more of them than 7
        h = h + self.down(torch.tanh(self.up(self.norm(h))))
        return self.head(self.last(h))


def positioned() -> nn.Module:
    """Tokens and positions added, then a linear map."""
    return model(
        lambda m, ids: m.out(torch.tanh(m.mid(m.token(ids) + m.position.weight))),
        token=nn.Embedding(9, 5), position=nn.Embedding(6, 5), mid=L(5, 7), out=L(7, 3),
    )  # fmt: skip


class Block(nn.Module):
    """One head of attention and three units of ReLU, each behind a norm."""

    def __init__(self, width: int, gain: bool) -> None:
        super().__init__()
        self.first, self.second = RMS(width, gain), RMS(width, gain)
        self.q, self.k, self.v = (L(width, 2, bias=False) for _ in range(3))
        self.o, self.up, self.down = L(2, width, bias=False), L(width, 3, bias=False), L(3, width, bias=False)

    def forward(self, h: torch.Tensor) -> torch.Tensor:
        x = self.first(h)
        hidden = torch.full((h.shape[1], h.shape[1]), -1e4, dtype=h.dtype).triu(1)
        h = h + self.o((self.q(x) @ self.k(x).mT + hidden).softmax(-1) @ self.v(x))
        return h + self.down(relu(self.up(self.second(h))))


class Language(nn.Module):
    """Tokens, two blocks, a norm with gain or without, a head that is the table of tokens or not."""

    def __init__(self, *, gain: bool, last: bool, tied: bool) -> None:
        super().__init__()
        self.embed, self.blocks = nn.Embedding(7, 4), nn.ModuleList(Block(4, gain) for _ in range(2))
        self.norm, self.head = RMS(4, last), L(4, 7, bias=False)
        if tied:
            self.head.weight = self.embed.weight

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        h = self.embed(ids)
        for block in self.blocks:
            h = block(h)
        return self.head(self.norm(h))


def plain(after: int) -> nn.Module:
    """A stream without any norm."""
    return model(
        lambda m, x: m.out((h := m.into(x)) + m.down(relu(m.up(h)))),
        into=L(4, 3), up=L(3, 4), down=L(4, 3), out=L(3, after),
    )  # fmt: skip


STREAM = "residual stream (LM)"

NETWORKS = (
    Network(
        "stream without norms", STREAM, lambda: plain(5), example((8, 4)), (4, 6, 9, 0, 0),
        "GL(3) of the stream; ReLU: 4; what the biases of the stream write, the maps that read it take up: 6",
    ),
    Network(
        "stream without norms, narrow head", STREAM, lambda: plain(2), example((8, 4)), (4, 6, 9, 0, 0),
        "the same", measured=23, reason="what the block writes only the head reads, 2 of 3 directions: 4 columns of "
        "the block may write anything along the third",
    ),
    Network(
        "tokens and positions", "residual stream (LM)", positioned, tokens(9, 4, 6), (0, 10, 25, 0, 7),
        "GL(5) between the tables and the linear map; c added to tokens and taken off positions: 5; into the bias: 5",
    ),
    Network(
        "stream of RMSNorm", "residual stream (LM)", lambda: Stream(None, 5, 4, gain=False, tied=False),
        tokens(7, 3, 4), (0, 0, 10, 0, 4), "O(5) of the stream",
    ),
    Network(
        "stream of RMSNorm, tied", "residual stream (LM)", lambda: Stream(None, 4, 3, gain=False, tied=True),
        tokens(7, 3, 4), (0, 0, 6, 0, 3), "O(4) of the stream, which the tied table passes: it reads what it writes",
    ),
    Network(
        "stream with gains", "RMSNorm", lambda: Stream(None, 4, 5, gain=True, tied=False),
        tokens(7, 3, 4), (8, 0, 0, 0, 17), "each of the two gains by D, the map behind it by D⁻¹: 8", measured=14,
        reason="gains fold into the maps behind them, and then O(4) turns the stream: 6 more, of a gain by no matrix",
    ),
    Network(
        "stream with gains, tied", "residual stream (LM)", lambda: Stream(None, 4, 3, gain=True, tied=True),
        tokens(7, 3, 4), (4, 0, 0, 0, 11),
        "the first gain by D, up by D⁻¹: 4; the last gain stands before the tied table and allows signs only",
    ),
    Network(
        "stream of LayerNorm", "LayerNorm", lambda: Stream(nn.LayerNorm, 5, 4, gain=False, tied=False),
        tokens(7, 3, 4), (0, 23, 6, 0, 5),
        "O(5) that keeps the ones: 6; c·1 of writers, 7 tokens, 4 columns of down, its bias: 12; and of readers, the "
        "rows of up and of the head: 4 + 7; signs of 4 units of tanh and of the whole stream",
    ),
    Network(
        "language model", STREAM, lambda: Language(gain=True, last=True, tied=False), tokens(7, 6, 5),
        (26, 0, 16, 0, 24), "5 gains of 4 numbers against what reads them: 20; ReLU: 6; GL(2) on q·k and v·o of 2 "
        "blocks: 16; signs of gains and of the stream", measured=48,
        reason="all gains fold, and then O(4) turns the stream: 6 more, after `orbitope fold`",
    ),
    Network(
        "language model, tied", STREAM, lambda: Language(gain=True, last=True, tied=True), tokens(7, 6, 5),
        (22, 0, 16, 0, 20), "the last gain stands before the tied table: its 4 scales and signs are lost, and O(4) too",
    ),
    Network(
        "language model, tied, no last gain", STREAM, lambda: Language(gain=True, last=False, tied=True),
        tokens(7, 6, 5), (22, 0, 16, 0, 20), "the same", measured=44,
        reason="all gains fold, and O(4) passes the tied table: 6 more, after `orbitope fold`",
    ),
    Network(
        "language model, no gains, tied", STREAM, lambda: Language(gain=False, last=False, tied=True),
        tokens(7, 6, 5), (6, 0, 22, 0, 0), "O(4) of the stream, GL(2) four times, ReLU: 6",
    ),
)  # fmt: skip
