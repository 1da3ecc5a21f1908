"""Latent arrays, queries, slots, prompts: positions that are parameters, and whether they may change places.

D: stream, h: heads, d: dimension of a head, I: hidden units.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from tests.zoo.blocks import MLP, Attention, PreNorm, RMSNorm, Tower, attend, causal, cut, joined, tokens
from tests.zoo.core import C2, Inputs, L, architecture, example, fac
from torch import nn

_HEADS = fac(3) * fac(4) ** 6
"""h!·d!²ʰ for three heads of four dimensions."""


def _cross(width: int, other: int) -> Attention:
    return Attention(width, 3, 4, other=other, bias=False)


class Perceiver(nn.Module):
    """A latent array reads the input, talks to itself and is read by an output query for each place."""

    def __init__(self, decoder: bool) -> None:
        super().__init__()
        self.embed, self.latents = L(3, 6), nn.Parameter(torch.zeros(1, 5, 7))
        self.read, self.norm = _cross(7, 6), nn.LayerNorm(7)
        self.process = PreNorm(7, Attention(7, 3, 4, bias=False), MLP(7, 8), nn.LayerNorm)
        self.queries, self.write = nn.Parameter(torch.zeros(1, 2, 9)), _cross(9, 7)
        self.out, self.decoder = L(9 if decoder else 7, 2), decoder

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        memory, latents = self.embed(x), self.latents.expand(x.shape[0], -1, -1)
        latents = self.process(latents + self.read(self.norm(latents), memory))
        if not self.decoder:
            return self.out(latents.mean(1))
        return self.out(self.write(self.queries.expand(x.shape[0], -1, -1), latents))


architecture(
    "perceiver",
    lambda: Perceiver(False),
    example((2, 4, 3)),
    fac(6, 7) * _HEADS**2 * fac(8) * fac(5),
    "E!·D!·(h!·d!²ʰ)²·I!·M!: attention and the mean do not know the order of latents, so rows of the latent array move",
)
architecture(
    "perceiver_io",
    lambda: Perceiver(True),
    example((2, 4, 3)),
    fac(6, 7) * fac(9) ** 2 * _HEADS**3 * fac(8) * fac(5),
    "E!·D!·Q!·Q!·(h!·d!²ʰ)³·I!·M!: latents move; output queries do not, as each answers for a place of the output; "
    "what is written is not added to the queries, so both sides of that attention have Q units of their own",
)


class SlotAttention(nn.Module):
    """Slots compete for inputs by a softmax over slots and are updated by a shared recurrent cell, three times."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.slots = L(3, 6), nn.Parameter(torch.zeros(1, 5, 7))
        self.q, self.k, self.v = L(7, 4, bias=False), L(6, 4, bias=False), L(6, 8, bias=False)
        self.norm1, self.norm2, self.mlp = nn.LayerNorm(6), nn.LayerNorm(7), MLP(7, 9)
        self.input, self.state = L(8, 3 * 7), L(7, 3 * 7)
        self.paint = MLP(7, 10, 3)

    def _step(self, u: torch.Tensor, h: torch.Tensor) -> torch.Tensor:
        (r1, z1, n1), (r2, z2, n2) = self.input(u).chunk(3, -1), self.state(h).chunk(3, -1)
        z = torch.sigmoid(z1 + z2)
        return (1 - z) * torch.tanh(n1 + torch.sigmoid(r1 + r2) * n2) + z * h

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.norm1(self.embed(x))
        slots = self.slots.expand(x.shape[0], -1, -1)
        for _ in range(3):
            weights = torch.softmax(self.k(x) @ self.q(self.norm2(slots)).transpose(1, 2), -1)
            weights = weights / weights.sum(1, keepdim=True)
            slots = self._step(weights.transpose(1, 2) @ self.v(x), slots)
            slots = slots + self.mlp(slots)
        value, mask = self.paint(slots).split([2, 1], -1)
        return (torch.softmax(mask, 1) * value).sum(1)


architecture(
    "slot_attention",
    SlotAttention,
    example((2, 4, 3)),
    fac(6, 7, 4, 8, 9, 10) * fac(5),
    "E!·D!·d_k!·d_v!·a!·b!·S!: slots enter only through softmaxes and sums over slots",
    dead=("norm2.bias",),
)


class DETR(nn.Module):
    """Convolution, encoder, decoder with object queries; a class and a box for each query."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.project = C2(2, 5, 3, 2, 1), C2(5, 7, 1)
        self.rows, self.columns = nn.Parameter(torch.zeros(2, 7)), nn.Parameter(torch.zeros(3, 7))
        self.encoder, self.queries = PreNorm(7, Attention(7, 3, 4), MLP(7, 8), nn.LayerNorm), nn.Embedding(6, 9)
        self.own, self.norm1 = Attention(9, 3, 4, bias=False), nn.LayerNorm(9)
        self.q, self.k, self.v, self.o = L(9, 10), L(7, 10, bias=False), L(7, 10), L(10, 9)
        self.norm2, self.mlp = nn.LayerNorm(9), MLP(9, 11)
        self.kind, self.box = L(9, 4), nn.Sequential(L(9, 5), nn.ReLU(), L(5, 6), nn.ReLU(), L(6, 4))

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        x = self.project(torch.relu(self.stem(x))).flatten(2).transpose(1, 2)
        places = (self.rows[:, None] + self.columns[None]).flatten(0, 1)
        memory = self.encoder(x + places)
        query = self.queries.weight[None].expand(x.shape[0], -1, -1)
        y = torch.zeros_like(query)
        y = self.norm1(y + self.own(y + query))
        q, k, v = cut(self.q(y + query), 2), cut(self.k(memory + places), 2), cut(self.v(memory), 2)
        y = self.norm2(y + self.o(joined(attend(q, k, v))))
        y = y + self.mlp(y)
        return self.kind(y), torch.sigmoid(self.box(y))


architecture(
    "detr",
    DETR,
    example((2, 2, 4, 6)),
    fac(5, 7, 9) * _HEADS * fac(8) * _HEADS * (fac(2) * fac(5) ** 4) * fac(11) * fac(5, 6),
    "C!·D!·D'!·(h!·d!²ʰ)·I!·(h!·d!²ʰ)·(h''!·d''!²ʰ'')·I'!·a!·b!: queries index the outputs, so they are fixed (a loss "
    "that matches sets would free them); D' is the queries' too, as they are added to the decoder's stream",
    dead=("encoder.attention.k.bias",),
)


class CLIP(nn.Module):
    """An image tower and a text tower that meet in one dimension; cosine similarities times a temperature."""

    def __init__(self) -> None:
        super().__init__()
        self.patch, self.places = C2(2, 7, 2, 2), nn.Parameter(torch.zeros(6, 7))
        self.image = Tower([PreNorm(7, Attention(7, 3, 4, bias=False), MLP(7, 8), nn.LayerNorm)])
        self.words, self.order = nn.Embedding(11, 6), nn.Parameter(torch.zeros(6, 6))
        self.text = Tower([PreNorm(6, Attention(6, 2, 5, bias=False), MLP(6, 9), nn.LayerNorm)])
        self.image_out, self.text_out = nn.Parameter(torch.zeros(7, 5)), nn.Parameter(torch.zeros(6, 5))
        self.temperature = nn.Parameter(torch.zeros([]))

    def forward(self, x: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
        x = self.image(self.patch(x).flatten(2).transpose(1, 2) + self.places).mean(1) @ self.image_out
        y = self.text(self.words(ids) + self.order)[:, -1] @ self.text_out
        x, y = x / x.norm(dim=-1, keepdim=True), y / y.norm(dim=-1, keepdim=True)
        return self.temperature.exp() * x @ y.t()


def _captioned() -> Inputs:
    return (*example((2, 2, 4, 6))(), *tokens()())


architecture(
    "clip",
    CLIP,
    _captioned,
    fac(7) * _HEADS * fac(8) * fac(6) * (fac(2) * fac(5) ** 4) * fac(9) * fac(5),
    "D!·(h!·d!²ʰ)·I!·D'!·(h'!·d'!²ʰ')·I'!·J!: the joint dimension J is summed over in a product of both towers, so it "
    "permutes in both at once",
)


class Prompted(nn.Module):
    """Learned vectors before the tokens; ``ordered`` adds positions to them."""

    def __init__(self, ordered: bool) -> None:
        super().__init__()
        self.embed, self.prompt = nn.Embedding(11, 7), nn.Parameter(torch.zeros(1, 5, 7))
        self.order = nn.Parameter(torch.zeros(11, 7)) if ordered else None
        self.block, self.head = PreNorm(7, Attention(7, 3, 4, bias=False), MLP(7, 8), RMSNorm), L(7, 3)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        x = torch.cat([self.prompt.expand(ids.shape[0], -1, -1), self.embed(ids)], 1)
        if self.order is not None:
            x = x + self.order
        return self.head(self.block(x)[:, 5:])


architecture(
    "soft_prompt",
    lambda: Prompted(False),
    tokens(),
    fac(7) * _HEADS * fac(8) * fac(5),
    "D!·h!·d!²ʰ·I!·P!: without positions the vectors of the prompt may change places",
)
architecture(
    "soft_prompt_with_positions",
    lambda: Prompted(True),
    tokens(),
    fac(7) * _HEADS * fac(8) * fac(5),
    "D!·h!·d!²ʰ·I!·P!: positions are parameters too, so those of the prompt change places with its vectors",
)


class PrefixTuned(nn.Module):
    """Learned keys and values before those of the tokens, under a causal mask that lets all of them be seen."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.attention, self.head = nn.Embedding(11, 7), Attention(7, 3, 4, bias=False), L(7, 3)
        self.keys, self.values = (nn.Parameter(torch.zeros(5, 3, 4)) for _ in range(2))

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        x, a = self.embed(ids), self.attention
        q, k, v = cut(a.q(x), 3), cut(a.k(x), 3), cut(a.v(x), 3)
        k, v = (
            torch.cat([prefix.transpose(0, 1)[None].expand(k.shape[0], -1, -1, -1), y], 2)
            for prefix, y in ((self.keys, k), (self.values, v))
        )
        mask = torch.cat([torch.zeros(6, 5), causal(6)], 1).to(x.dtype)
        return self.head(x + a.o(joined(attend(q, k, v, mask))))


architecture(
    "prefix_tuning",
    PrefixTuned,
    tokens(),
    fac(7) * _HEADS * fac(5) ** 3,
    "D!·h!·d!²ʰ·P!ʰ: every head has a prefix of its own, and each attends to a set of pairs of key and value",
)


class Inducing(nn.Module):
    """Set transformer: induced points read the set, the set reads them, a seed pools."""

    def __init__(self) -> None:
        super().__init__()
        self.enter, self.points = L(3, 7), nn.Parameter(torch.zeros(1, 5, 6))
        self.first, self.second = _cross(6, 7), _cross(7, 6)
        self.seed, self.pool, self.out = nn.Parameter(torch.zeros(1, 1, 8)), _cross(8, 7), L(8, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.enter(x)
        points = self.points.expand(x.shape[0], -1, -1)
        x = x + self.second(x, points + self.first(points, x))
        seed = self.seed.expand(x.shape[0], -1, -1)
        return self.out(seed + self.pool(seed, x)).squeeze(1)


architecture(
    "set_transformer",
    Inducing,
    example((2, 4, 3)),
    fac(7, 6, 8) * _HEADS**3 * fac(5),
    "D!·P!·S!·(h!·d!²ʰ)³·M!: inducing points are a set",
)


class NetVLAD(nn.Module):
    """Residuals to cluster centres, weighted by a softmax over clusters, flattened."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.assign = C2(2, 4, 2), C2(4, 5, 1)
        self.centres, self.out = nn.Parameter(torch.zeros(5, 4)), L(20, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.normalize(self.conv(x), dim=1)
        weights = torch.softmax(self.assign(x), 1).flatten(2)
        x = x.flatten(2)
        parts = torch.einsum("bkn,bcn->bkc", weights, x) - weights.sum(-1)[..., None] * self.centres
        return self.out(F.normalize(F.normalize(parts, dim=2).flatten(1), dim=1))


architecture(
    "netvlad",
    NetVLAD,
    example((2, 2, 4, 5)),
    fac(4, 5),
    "C!·K!: clusters and channels are the two factors of what is read out",
)
