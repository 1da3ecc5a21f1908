"""Attention in its plainest form, and sets."""

from __future__ import annotations

import torch
from tests.zoo.core import L, add, fac, model, relu
from torch import nn


class Attention(nn.Module):
    """Multi-head attention written out; three heads of 4 and 5 dimensions on a stream of 7."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = L(3, 7)
        self.q, self.k, self.v, self.o = L(7, 12), L(7, 12), L(7, 15), L(15, 7)
        self.out = L(7, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.embed(x)
        b, t, _ = h.shape
        q, k = (p(h).view(b, t, 3, 4).transpose(1, 2) for p in (self.q, self.k))
        v = self.v(h).view(b, t, 3, 5).transpose(1, 2)
        weights = torch.softmax(q @ k.transpose(-2, -1) / 2.0, dim=-1)
        return self.out(h + self.o((weights @ v).transpose(1, 2).reshape(b, t, 15)))


add(
    "attention",
    lambda: Attention().eval(),
    [(2, 5, 3)],
    fac(7) * fac(3) * fac(4) ** 3 * fac(5) ** 3,
    "7! of the stream; 3 heads, in each its own S4 of q·k and S5 of v·o; the softmax cancels the bias of k",
    dead=("k.bias",),
)
add(
    "multihead_attention",
    lambda: model(
        lambda m, x: m.out(m.a(h := m.first(x), h, h)[0]),
        first=L(3, 8),
        a=nn.MultiheadAttention(8, 2, batch_first=True),
        out=L(8, 2),
    ),
    [(2, 5, 3)],
    None,
    "soundness only",
)
add(
    "transformer_layer",
    lambda: model(
        lambda m, x: m.out(m.layer(m.first(x))),
        first=L(3, 8),
        layer=nn.TransformerEncoderLayer(8, 2, 6, batch_first=True),
        out=L(8, 2),
    ),
    [(2, 5, 3)],
    None,
    "soundness only",
)
add(
    "set_network",
    lambda: model(lambda m, x: m.out(relu(m.phi(x)).sum(1) + m.psi(x).amax(1)), phi=L(3, 7), psi=L(3, 7), out=L(7, 2)),
    [(4, 5, 3)],
    fac(7),
    "7!",
)
