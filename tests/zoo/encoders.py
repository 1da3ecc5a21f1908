"""Encoders, and encoders with decoders.

D: residual stream, h: heads, d: dimension of a head, I: inner width of the MLP. Two layers unless said otherwise.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from tests.zoo.blocks import MLP, Attention, GatedMLP, RMSNorm, Tower, cut, joined, tokens
from tests.zoo.core import C1, Inputs, L, architecture, example, fac
from torch import nn


def _dead(*paths: str) -> tuple[str, ...]:
    """Biases of keys: a softmax does not see them."""
    return tuple(f"{path}.k.bias" for path in paths)


class PostNorm(nn.Module):
    """A transformer block of 2017: the norms stand on the stream."""

    def __init__(self, width: int, attention: nn.Module, mlp: nn.Module) -> None:
        super().__init__()
        self.attention, self.norm1 = attention, nn.LayerNorm(width)
        self.mlp, self.norm2 = mlp, nn.LayerNorm(width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.norm1(x + self.attention(x))
        return self.norm2(x + self.mlp(x))


# ---------------------------------------------------------------------------------------------------------------- BERT
class BERT(nn.Module):
    """Words, positions and token types; a tied head for masked words, and a pooler for pairs of sentences."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.positions, self.types = nn.Embedding(11, 7), nn.Embedding(9, 7), nn.Embedding(2, 7)
        self.norm = nn.LayerNorm(7)
        self.tower = Tower([PostNorm(7, Attention(7, 3, 4), MLP(7, 8)) for _ in range(2)])
        self.transform, self.transform_norm = L(7, 7), nn.LayerNorm(7)
        self.decoder = L(7, 11)
        self.decoder.weight = self.words.weight
        self.pooler, self.pair = L(7, 7), L(7, 2)

    def forward(self, ids: torch.Tensor, types: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        x = self.words(ids) + self.positions(torch.arange(ids.shape[1])) + self.types(types)
        x = self.tower(self.norm(x))
        words = self.decoder(self.transform_norm(F.gelu(self.transform(x))))
        return words, self.pair(torch.tanh(self.pooler(x[:, 0])))


def _with_types() -> Inputs:
    return (*tokens()(), torch.tensor([[0, 0, 1, 1, 1, 1], [0, 1, 1, 1, 0, 0]]))


architecture(
    "bert",
    BERT,
    _with_types,
    fac(7) ** 2 * (fac(3) * fac(4) ** 6 * fac(8)) ** 2,
    "D!·D!·(h!·d!²ʰ·I!)²: the transform of the head ends in the embedding's dimension, as the decoder is tied to "
    "it; the pooler has D units of its own",
    dead=_dead("tower.blocks.0.attention", "tower.blocks.1.attention"),
)


class RoBERTa(nn.Module):
    """Positions are counted from the tokens that are no padding; the head is not tied."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.positions, self.norm = nn.Embedding(11, 7), nn.Embedding(9, 7), nn.LayerNorm(7)
        self.tower = Tower([PostNorm(7, Attention(7, 3, 4), MLP(7, 8)) for _ in range(2)])
        self.dense, self.dense_norm, self.decoder = L(7, 7), nn.LayerNorm(7), L(7, 11)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        real = ids.ne(0).int()
        x = self.words(ids) + self.positions((torch.cumsum(real, 1).type_as(real) * real).long())
        return self.decoder(self.dense_norm(F.gelu(self.dense(self.tower(self.norm(x))))))


architecture(
    "roberta",
    RoBERTa,
    tokens(),
    fac(7) ** 2 * (fac(3) * fac(4) ** 6 * fac(8)) ** 2,
    "D!·D!·(h!·d!²ʰ·I!)²: without the tie the dense layer of the head has D units of its own",
    dead=_dead("tower.blocks.0.attention", "tower.blocks.1.attention"),
)


class ALBERT(nn.Module):
    """A narrow embedding, widened once, and one block used three times."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.widen = nn.Embedding(11, 5), L(5, 7)
        self.block = PostNorm(7, Attention(7, 3, 4), MLP(7, 8))
        self.out = L(7, 2)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        x = self.widen(self.words(ids))
        for _ in range(3):
            x = self.block(x)
        return self.out(x[:, 0])


architecture(
    "albert",
    ALBERT,
    tokens(),
    fac(5, 7) * fac(3) * fac(4) ** 6 * fac(8),
    "E!·D!·h!·d!²ʰ·I!: layers that share their parameters share their units",
    dead=_dead("block.attention"),
)


# ------------------------------------------------------------------------------------------------------------- DeBERTa
class Disentangled(nn.Module):
    """Scores of content with content, content with position, position with content."""

    def __init__(self) -> None:
        super().__init__()
        self.q, self.k, self.v, self.o = L(7, 12), L(7, 12), L(7, 12), L(12, 7)
        self.pos_k, self.pos_q = L(5, 12, bias=False), L(5, 12)

    def forward(self, x: torch.Tensor, table: torch.Tensor) -> torch.Tensor:
        b, t, _ = x.shape
        q, k, v = cut(self.q(x), 3), cut(self.k(x), 3), cut(self.v(x), 3)
        pos_k, pos_q = cut(self.pos_k(table)[None], 3), cut(self.pos_q(table)[None], 3)
        steps = torch.arange(t)
        near = (steps[:, None] - steps[None, :]).clamp(-3, 3) + 3
        toward = torch.gather(q @ pos_k.transpose(-1, -2), -1, near.expand(b, 3, t, t))
        back = torch.gather(k @ pos_q.transpose(-1, -2), -1, (6 - near).expand(b, 3, t, t)).transpose(-1, -2)
        scores = (q @ k.transpose(-1, -2) + toward + back) / (3 * 4) ** 0.5
        return self.o(joined(torch.softmax(scores, -1) @ v))


class DeBERTa(nn.Module):
    """One table of relative positions for all layers."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.table, self.table_norm = nn.Embedding(11, 7), nn.Embedding(7, 5), nn.LayerNorm(5)
        self.attentions = nn.ModuleList(Disentangled() for _ in range(2))
        self.norms = nn.ModuleList(nn.LayerNorm(7) for _ in range(4))
        self.mlps = nn.ModuleList(MLP(7, 8) for _ in range(2))
        self.out = L(7, 2)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        x, table = self.words(ids), self.table_norm(self.table.weight)
        for k, (attention, mlp) in enumerate(zip(self.attentions, self.mlps, strict=True)):
            x = self.norms[2 * k](x + attention(x, table))
            x = self.norms[2 * k + 1](x + mlp(x))
        return self.out(x)


architecture(
    "deberta",
    DeBERTa,
    tokens(),
    fac(7, 5) * (fac(3) * fac(4) ** 6 * fac(8)) ** 2,
    "D!·E!·(h!·d!²ʰ·I!)²: the table's width E is one set for all layers; its projections share the q·k dimension; rows "
    "of the table are distances, which are fixed",
)


# ------------------------------------------------------------------------------------------------ encoders and decoders
class T5Attention(nn.Module):
    """No biases, no scale; the bias of relative positions comes from outside."""

    def __init__(self, heads: int) -> None:
        super().__init__()
        self.inner = Attention(7, heads, 4, bias=False)
        self.heads = heads

    def forward(self, x: torch.Tensor, other: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
        a = self.inner
        q, k, v = cut(a.q(x), self.heads), cut(a.k(other), self.heads), cut(a.v(other), self.heads)
        return a.o(joined(torch.softmax(q @ k.transpose(-1, -2) + bias, -1) @ v))


class T5Stack(nn.Module):
    """One table of biases, buckets × heads, serves the self-attention of all layers."""

    def __init__(self, heads: int, cross: int = 0) -> None:
        super().__init__()
        self.table = nn.Embedding(6, heads)
        self.selves = nn.ModuleList(T5Attention(heads) for _ in range(2))
        self.crosses = nn.ModuleList(T5Attention(cross) for _ in range(2 if cross else 0))
        self.mlps = nn.ModuleList(GatedMLP(7, 8, F.gelu) for _ in range(2))
        self.norms = nn.ModuleList(RMSNorm(7) for _ in range(7))

    def forward(self, x: torch.Tensor, memory: torch.Tensor | None = None) -> torch.Tensor:
        t = x.shape[1]
        distance = torch.arange(t)[None, :] - torch.arange(t)[:, None]
        bias = self.table((distance.abs() + 1).log2().long() + 3 * (distance > 0)).permute(2, 0, 1)[None]
        if memory is not None:
            bias = bias + torch.full((t, t), -1e9).triu(1).to(x.dtype)
        for k in range(2):
            y = self.norms[3 * k](x)
            x = x + self.selves[k](y, y, bias)
            if memory is not None:
                x = x + self.crosses[k](self.norms[3 * k + 1](x), memory, torch.zeros(1, dtype=x.dtype))
            x = x + self.mlps[k](self.norms[3 * k + 2](x))
        return self.norms[6](x)


class T5(nn.Module):
    """Encoder, decoder and head share one embedding."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.encoder, self.decoder = nn.Embedding(11, 7), T5Stack(3), T5Stack(2, 5)

    def forward(self, ids: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        y = self.decoder(self.embed(targets), self.encoder(self.embed(ids)))
        return F.linear(y * 7**-0.5, self.embed.weight)


def _pairs() -> Inputs:
    return (*tokens()(), *tokens(length=4, seed=5)())


architecture(
    "t5",
    T5,
    _pairs,
    fac(7) * (fac(3) * fac(4) ** 12 * fac(8) ** 2) * (fac(2) * fac(4) ** 8 * fac(5) ** 2 * fac(4) ** 20 * fac(8) ** 2),
    "D!·[h!·(d!²ʰ·I!)²]·[h'!·(d!²ʰ'·h''!·d!²ʰ''·I!)²]: one table ties the heads of all layers of a stack to one order, "
    "while each layer keeps dimensions of its own over them; heads of cross-attention are free in each layer",
)


class BARTDecoderBlock(nn.Module):
    """Masked self-attention, cross-attention to a memory of another width, MLP."""

    def __init__(self) -> None:
        super().__init__()
        self.attention, self.cross, self.mlp = Attention(7, 2, 4), Attention(7, 5, 3, other=6), MLP(7, 9)
        self.norms = nn.ModuleList(nn.LayerNorm(7) for _ in range(3))

    def forward(self, x: torch.Tensor, memory: torch.Tensor) -> torch.Tensor:
        mask = torch.full((x.shape[1], x.shape[1]), -1e9).triu(1).to(x.dtype)
        x = self.norms[0](x + self.attention(x, bias=mask))
        x = self.norms[1](x + self.cross(x, memory))
        return self.norms[2](x + self.mlp(x))


class BART(nn.Module):
    """An encoder of width 6 and a decoder of width 7."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.positions = nn.Embedding(11, 6), nn.Embedding(8, 6)
        self.encoder = Tower([PostNorm(6, Attention(6, 3, 4), MLP(6, 8)) for _ in range(2)])
        self.embed2, self.positions2 = nn.Embedding(11, 7), nn.Embedding(8, 7)
        self.decoder = nn.ModuleList(BARTDecoderBlock() for _ in range(2))

    def forward(self, ids: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        memory = self.encoder(self.embed(ids) + self.positions(torch.arange(ids.shape[1])))
        x = self.embed2(targets) + self.positions2(torch.arange(targets.shape[1]))
        for block in self.decoder:
            x = block(x, memory)
        return F.linear(x, self.embed2.weight)


architecture(
    "bart",
    BART,
    _pairs,
    fac(6)
    * (fac(3) * fac(4) ** 6 * fac(8)) ** 2
    * fac(7)
    * (fac(2) * fac(4) ** 4 * fac(5) * fac(3) ** 10 * fac(9)) ** 2,
    "D!·(h!·d!²ʰ·I!)² of the encoder and D'!·(h'!·d!²ʰ'·h''!·d''!²ʰ''·I'!)² of the decoder: cross-attention reads both",
    dead=_dead(
        *(f"encoder.blocks.{k}.attention" for k in (0, 1)),
        *(f"decoder.{k}.{name}" for k in (0, 1) for name in ("attention", "cross")),
    ),
)


# ---------------------------------------------------------------------------------------------------------------- sound
class Wav2Vec(nn.Module):
    """Convolutions over a wave, a positional convolution in 3 groups on the stream, a transformer."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.norm1, self.conv2 = C1(1, 4, 3, 2), nn.GroupNorm(4, 4), C1(4, 5, 3, 2, bias=False)
        self.norm2, self.project = nn.LayerNorm(5), L(5, 12)
        self.positions, self.norm = C1(12, 12, 3, padding=1, groups=3), nn.LayerNorm(12)
        self.tower = Tower([PostNorm(12, Attention(12, 2, 5), MLP(12, 7)) for _ in range(2)])
        self.out = L(12, 3)

    def forward(self, wave: torch.Tensor) -> torch.Tensor:
        x = F.gelu(self.conv2(F.gelu(self.norm1(self.conv1(wave))))).transpose(1, 2)
        x = self.project(self.norm2(x))
        x = x + F.gelu(self.positions(x.transpose(1, 2))).transpose(1, 2)
        return self.out(self.tower(self.norm(x)))


architecture(
    "wav2vec",
    Wav2Vec,
    example((2, 1, 27)),
    fac(4, 5) * fac(3) * fac(4) ** 3 * (fac(2) * fac(5) ** 4 * fac(7)) ** 2,
    "C₁!·C₂!·g!·(D/g)!ᵍ·(h!·d!²ʰ·I!)²: the grouped convolution makes the whole stream g groups that change places, "
    "with D/g dimensions in each",
    dead=("conv1.bias", *_dead("tower.blocks.0.attention", "tower.blocks.1.attention")),
)


class Conformer(nn.Module):
    """Half an MLP, attention, a gated depthwise convolution with batch norm, half an MLP."""

    def __init__(self) -> None:
        super().__init__()
        self.norms = nn.ModuleList(nn.LayerNorm(7) for _ in range(5))
        self.first, self.second = MLP(7, 8, act=F.silu), MLP(7, 9, act=F.silu)
        self.attention = Attention(7, 3, 4)
        self.wide, self.depth = C1(7, 2 * 6, 1), C1(6, 6, 3, padding=1, groups=6)
        self.batch, self.narrow = nn.BatchNorm1d(6), C1(6, 7, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + 0.5 * self.first(self.norms[0](x))
        x = x + self.attention(self.norms[1](x))
        y = F.glu(self.wide(self.norms[2](x).transpose(1, 2)), 1)
        x = x + self.narrow(F.silu(self.batch(self.depth(y)))).transpose(1, 2)
        return self.norms[4](x + 0.5 * self.second(self.norms[3](x)))


class ConformerNet(nn.Module):
    """One block between two layers."""

    def __init__(self) -> None:
        super().__init__()
        self.enter, self.block, self.leave = L(4, 7), Conformer(), L(7, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.leave(self.block(self.enter(x)))


architecture(
    "conformer",
    ConformerNet,
    example((2, 6, 4)),
    fac(7) * fac(8, 9) * fac(3) * fac(4) ** 6 * fac(6),
    "D!·I!·I'!·h!·d!²ʰ·C!: the gate's halves, the depthwise filters and the batch norm share the C channels",
    dead=_dead("block.attention"),
)
