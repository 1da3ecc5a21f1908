"""Recurrent networks and state-space models; loops over time are written out.

H: hidden units, D: residual stream, I: inner width, N: states of each channel.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from tests.zoo.blocks import MLP, LanguageModel, RMSNorm, attend, cut, joined, tokens
from tests.zoo.core import L, architecture, example, fac
from torch import nn


# ----------------------------------------------------------------------------------------------------- recurrent layers
class LSTMLanguageModel(nn.Module):
    """Two layers; the head is the embedding, so the second layer is as wide as it."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.first, self.second = nn.Embedding(11, 5), nn.LSTM(5, 7), nn.LSTM(7, 5)
        self.bias = nn.Parameter(torch.zeros(11))

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        x, _ = self.first(self.embed(ids))
        x, _ = self.second(x)
        return F.linear(x, self.embed.weight, self.bias)


architecture(
    "lstm_language_model",
    LSTMLanguageModel,
    tokens(),
    fac(7, 5),
    "H!·E!: the four gates of a layer share one set of units; the tied head makes those of the last layer the "
    "embedding's",
)
architecture(
    "gru_two_directions",
    lambda: _Last(nn.GRU(3, 5, num_layers=2, bidirectional=True, batch_first=True), 10),
    example((2, 6, 3)),
    fac(5) ** 4,
    "(H!)⁴: each layer and direction has units of its own, side by side in what reads them",
    dead=("layer.weight_hh_l1_reverse",),  # backwards, the last step is the first
)
architecture(
    "elman",
    lambda: _Last(nn.RNN(3, 5, num_layers=3, batch_first=True), 5),
    example((2, 6, 3)),
    fac(5) ** 3,
    "(H!)³: one set of units for each layer, on both axes of its recurrent matrix",
)


class _Last(nn.Module):
    """A recurrent layer and a classifier of its last output."""

    def __init__(self, layer: nn.Module, width: int) -> None:
        super().__init__()
        self.layer, self.out = layer, L(width, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.out(self.layer(x)[0][:, -1])


class PeepholeLSTM(nn.Module):
    """Written out, with peepholes: gates also see the cell, each its own entry."""

    def __init__(self) -> None:
        super().__init__()
        self.i, self.h = L(3, 4 * 6), L(6, 4 * 6, bias=False)
        self.peep = nn.Parameter(torch.zeros(3, 6))
        self.out = L(6, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = c = torch.zeros(x.shape[0], 6, dtype=x.dtype)
        for t in range(x.shape[1]):
            i, f, g, o = (self.i(x[:, t]) + self.h(h)).chunk(4, 1)
            c = torch.sigmoid(f + self.peep[0] * c) * c + torch.sigmoid(i + self.peep[1] * c) * torch.tanh(g)
            h = torch.sigmoid(o + self.peep[2] * c) * torch.tanh(c)
        return self.out(h)


architecture(
    "lstm_with_peepholes",
    PeepholeLSTM,
    example((2, 4, 3)),
    fac(6),
    "H!: gates and peepholes of a unit go with it",
)


class Bahdanau(nn.Module):
    """A recurrent encoder and a decoder that attends to it by Σ v·tanh(Ws + Uh)."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.decoder = nn.GRUCell(3, 5), nn.GRUCell(5, 6)
        self.w, self.u, self.v = L(6, 4), L(5, 4, bias=False), L(4, 1, bias=False)
        self.out = L(6 + 5, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h, states = torch.zeros(x.shape[0], 5, dtype=x.dtype), []
        for t in range(x.shape[1]):
            h = self.encoder(x[:, t], h)
            states.append(h)
        memory = torch.stack(states, 1)
        s, said = torch.zeros(x.shape[0], 6, dtype=x.dtype), []
        for _ in range(2):
            scores = self.v(torch.tanh(self.w(s)[:, None] + self.u(memory))).squeeze(-1)
            context = torch.einsum("bt,bth->bh", torch.softmax(scores, 1), memory)
            s = self.decoder(context, s)
            said.append(self.out(torch.cat([s, context], 1)))
        return torch.stack(said, 1)


architecture(
    "bahdanau",
    Bahdanau,
    example((2, 4, 3)),
    fac(5, 6, 4),
    "H!·S!·A!: encoder units, decoder units, units of the score",
)


# --------------------------------------------------------------------------------------------------------- state spaces
class S4D(nn.Module):
    """A convolution with the kernel Σₙ C·B·exp(t·A) of each channel."""

    def __init__(self) -> None:
        super().__init__()
        self.enter, self.leave = L(3, 5), L(5, 2)
        self.log_a, self.b, self.c = (nn.Parameter(torch.zeros(5, 4)) for _ in range(3))
        self.d = nn.Parameter(torch.zeros(5))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        u = self.enter(x).transpose(1, 2)
        t = u.shape[-1]
        times = torch.arange(t - 1, -1, -1).to(u.dtype)
        kernel = torch.einsum("hn,hnt->ht", self.b * self.c, torch.exp(-self.log_a.exp()[..., None] * times))
        y = F.conv1d(F.pad(u, (t - 1, 0)), kernel[:, None], groups=5) + self.d[:, None] * u
        return self.leave(F.gelu(y).transpose(1, 2))


architecture(
    "s4d",
    S4D,
    example((2, 6, 3)),
    fac(5) * fac(4) ** 5,
    "H!·N!ᴴ: the states of each channel are summed up, so they are fibres over channels",
)


class Mamba(nn.Module):
    """Selective state space: in, short convolution, Δ, B and C from the data, scan, gate, out."""

    def __init__(self, width: int = 7, inner: int = 6, states: int = 4, rank: int = 3) -> None:
        super().__init__()
        self.sizes = inner, states, rank
        self.in_proj = L(width, 2 * inner, bias=False)
        self.conv = nn.Conv1d(inner, inner, 3, groups=inner, padding=2)
        self.x_proj, self.dt_proj = L(inner, rank + 2 * states, bias=False), L(rank, inner)
        self.a_log, self.d = nn.Parameter(torch.zeros(inner, states)), nn.Parameter(torch.zeros(inner))
        self.out_proj = L(inner, width, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        inner, states, rank = self.sizes
        x, z = self.in_proj(x).chunk(2, -1)
        x = F.silu(self.conv(x.transpose(1, 2))[..., : x.shape[1]]).transpose(1, 2)
        dt, b, c = self.x_proj(x).split([rank, states, states], -1)
        dt, a = F.softplus(self.dt_proj(dt)), -torch.exp(self.a_log)
        state, outs = torch.zeros(x.shape[0], inner, states, dtype=x.dtype), []
        for t in range(x.shape[1]):
            decay = torch.exp(dt[:, t, :, None] * a)
            state = decay * state + dt[:, t, :, None] * b[:, t, None, :] * x[:, t, :, None]
            outs.append((state * c[:, t, None, :]).sum(-1))
        return self.out_proj((torch.stack(outs, 1) + self.d * x) * F.silu(z))


class Residual(nn.Module):
    """Norm and mixer on a stream."""

    def __init__(self, mixer: nn.Module, norm: type[nn.Module] = RMSNorm) -> None:
        super().__init__()
        self.norm, self.mixer = norm(7), mixer

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.mixer(self.norm(x))


architecture(
    "mamba",
    lambda: LanguageModel(7, [Residual(Mamba()) for _ in range(2)], RMSNorm, tied=True),
    tokens(length=5),
    fac(7) * (fac(6) * fac(4) * fac(3)) ** 2,
    "D!·(I!·N!·R!)²: inner channels, states (B and C come from x_proj for all channels, so states are not over them), "
    "and the rank of Δ",
)


class Mamba2(nn.Module):
    """Heads with one decay each, B and C for all heads, a gated norm before the projection."""

    def __init__(self, width: int = 7, heads: int = 3, dim: int = 4, states: int = 5) -> None:
        super().__init__()
        self.heads, self.dim, self.states, inner = heads, dim, states, heads * dim
        self.in_proj = L(width, 2 * inner + 2 * states + heads, bias=False)
        self.conv = nn.Conv1d(inner + 2 * states, inner + 2 * states, 3, groups=inner + 2 * states, padding=2)
        self.a_log, self.d, self.dt_bias = (nn.Parameter(torch.zeros(heads)) for _ in range(3))
        self.norm, self.out_proj = RMSNorm(inner), L(inner, width, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        (b, t), n, inner = x.shape[:2], self.states, self.heads * self.dim
        z, xbc, dt = self.in_proj(x).split([inner, inner + 2 * n, self.heads], -1)
        xbc = F.silu(self.conv(xbc.transpose(1, 2))[..., :t]).transpose(1, 2)
        x, write, read = xbc.split([inner, n, n], -1)
        x, dt = x.view(b, t, self.heads, self.dim), F.softplus(dt + self.dt_bias)
        state, outs = torch.zeros(b, self.heads, self.dim, n, dtype=x.dtype), []
        for s in range(t):
            decay = torch.exp(-dt[:, s] * self.a_log.exp())
            new = torch.einsum("bh,bhp,bn->bhpn", dt[:, s], x[:, s], write[:, s])
            state = decay[:, :, None, None] * state + new
            outs.append(torch.einsum("bhpn,bn->bhp", state, read[:, s]))
        y = torch.stack(outs, 1) + self.d[:, None] * x
        return self.out_proj(self.norm(y.reshape(b, t, inner) * F.silu(z)))


architecture(
    "mamba2",
    lambda: LanguageModel(7, [Residual(Mamba2()) for _ in range(2)], RMSNorm, tied=True),
    tokens(length=5),
    fac(7) * (fac(3) * fac(4) ** 3 * fac(5)) ** 2,
    "D!·(H!·P!ᴴ·N!)²: heads change places, each with dimensions of its own; all heads share the states",
)


class RWKV(nn.Module):
    """Time mixing and channel mixing; decay and bonus for each attention channel."""

    def __init__(self) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(7), nn.LayerNorm(7)
        self.mix = nn.Parameter(torch.zeros(5, 7))
        self.decay, self.first = nn.Parameter(torch.zeros(6)), nn.Parameter(torch.zeros(6))
        self.k, self.v, self.r = (L(7, 6, bias=False) for _ in range(3))
        self.o = L(6, 7, bias=False)
        self.ck, self.cv, self.cr = L(7, 8, bias=False), L(8, 7, bias=False), L(7, 7, bias=False)

    def _shifted(self, x: torch.Tensor, k: int) -> torch.Tensor:
        return x * self.mix[k] + F.pad(x, (0, 0, 1, -1)) * (1 - self.mix[k])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.norm1(x)
        k, v = self.k(self._shifted(y, 0)), self.v(self._shifted(y, 1))
        num = den = torch.zeros(x.shape[0], 6, dtype=x.dtype)
        outs = []
        for t in range(x.shape[1]):
            now, here = torch.exp(self.first + k[:, t]), torch.exp(k[:, t])
            outs.append((num + now * v[:, t]) / (den + now))
            fade = torch.exp(-torch.exp(self.decay))
            num, den = fade * num + here * v[:, t], fade * den + here
        x = x + self.o(torch.sigmoid(self.r(self._shifted(y, 2))) * torch.stack(outs, 1))
        y = self.norm2(x)
        key = torch.relu(self.ck(self._shifted(y, 3))).square()
        return x + torch.sigmoid(self.cr(self._shifted(y, 4))) * self.cv(key)


architecture(
    "rwkv",
    lambda: LanguageModel(7, [RWKV() for _ in range(2)], nn.LayerNorm),
    tokens(length=5),
    fac(7) * (fac(6) * fac(8)) ** 2,
    "D!·(A!·I!)²: mixing weights lie along the stream, decay and bonus along the attention channels; the receptance of "
    "the channel mix scales the stream and so belongs to it",
)


class Retention(nn.Module):
    """RetNet's: scores fade at a constant rate for each head; a norm without gains in each head; a gate."""

    def __init__(self) -> None:
        super().__init__()
        self.q, self.k, self.v = L(7, 12, bias=False), L(7, 12, bias=False), L(7, 15, bias=False)
        self.gate, self.o = L(7, 15, bias=False), L(15, 7, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        t = x.shape[1]
        age = (torch.arange(t)[:, None] - torch.arange(t)[None, :]).to(x.dtype)
        fade = torch.tensor([0.9, 0.8, 0.6], dtype=x.dtype)[:, None, None] ** age * (age >= 0)
        y = (cut(self.q(x), 3) @ cut(self.k(x), 3).transpose(-1, -2) * fade) @ cut(self.v(x), 3)
        return self.o(F.silu(self.gate(x)) * joined(F.layer_norm(y, (5,))))


architecture(
    "retnet",
    lambda: LanguageModel(7, [nn.Sequential(Residual(Retention()), Residual(MLP(7, 8))) for _ in range(2)], RMSNorm),
    tokens(),
    fac(7) * (fac(4) ** 3 * fac(5) ** 3 * fac(8)) ** 2,
    "D!·(d_k!ʰ·d_v!ʰ·I!)²: constant rates pin the heads, and each keeps its own dimensions over a fixed base",
)


class TimeSeries(nn.Module):
    """Keys and values of a memory of past windows that is stored as parameters; attention to it."""

    def __init__(self) -> None:
        super().__init__()
        self.q, self.out = L(3, 4), L(6, 2)
        self.keys, self.values = nn.Parameter(torch.zeros(5, 4)), nn.Parameter(torch.zeros(5, 6))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.out(attend(self.q(x), self.keys, self.values))


architecture(
    "memory_network",
    TimeSeries,
    example((2, 4, 3)),
    fac(5, 4, 6),
    "M!·d_k!·d_v!: slots of the memory are summed over, so they are hidden units like any other",
)


class EulerODE(nn.Module):
    """One field integrated by four steps of Euler."""

    def __init__(self) -> None:
        super().__init__()
        self.enter, self.field, self.leave = L(3, 5), MLP(6, 7, 5, torch.tanh), L(5, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.enter(x)
        for step in range(4):
            time = torch.full((*h.shape[:-1], 1), step / 4, dtype=h.dtype)
            h = h + 0.25 * self.field(torch.cat([h, time], -1))
        return self.leave(h)


architecture(
    "neural_ode",
    EulerODE,
    example((2, 6, 3)),
    fac(5, 7),
    "H!·I!: one field for all steps; the time stands behind the state on its first layer and is fixed",
)
