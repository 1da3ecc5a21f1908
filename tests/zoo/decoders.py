"""Language models that read from left to right.

D: residual stream, h: heads, d: dimension of a head, I: inner width of the MLP. Two layers unless said otherwise.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from tests.zoo.blocks import (
    MLP,
    Attention,
    Conv1D,
    GatedMLP,
    LanguageModel,
    PreNorm,
    RMSNorm,
    attend,
    causal,
    cut,
    joined,
    repeat_heads,
    rotate,
    rotate_pairs,
    tokens,
)
from tests.zoo.core import L, architecture, fac
from torch import nn


# ----------------------------------------------------------------------------------------------------------------- GPT
class GPT2Attention(nn.Module):
    """One matrix for q, k and v, cut into thirds; the causal mask is a buffer of ones and zeros."""

    def __init__(self, width: int, heads: int, dim: int) -> None:
        super().__init__()
        self.c_attn, self.c_proj = Conv1D(width, 3 * heads * dim), Conv1D(heads * dim, width)
        self.heads, self.inner = heads, heads * dim
        self.register_buffer("mask", torch.ones(8, 8).tril().bool()[None, None], persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        q, k, v = (cut(part, self.heads) for part in self.c_attn(x).split(self.inner, 2))
        scores = q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5
        seen = self.mask[:, :, : x.shape[1], : x.shape[1]]
        scores = torch.where(seen, scores, torch.full([], -1e9, dtype=scores.dtype))
        return self.c_proj(joined(torch.softmax(scores, -1) @ v))


class GPT2(nn.Module):
    """Learned positions, the head tied to the embedding."""

    def __init__(self) -> None:
        super().__init__()
        self.wte, self.wpe = nn.Embedding(11, 10), nn.Embedding(8, 10)
        self.blocks = nn.ModuleList(PreNorm(10, GPT2Attention(10, 3, 4), _Conv1DMLP(), nn.LayerNorm) for _ in range(2))
        self.ln_f, self.head = nn.LayerNorm(10), L(10, 11, bias=False)
        self.head.weight = self.wte.weight

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        x = self.wte(ids) + self.wpe(torch.arange(ids.shape[1]))
        for block in self.blocks:
            x = block(x)
        return self.head(self.ln_f(x))


class _Conv1DMLP(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.c_fc, self.c_proj = Conv1D(10, 7), Conv1D(7, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.c_proj(F.gelu(self.c_fc(x), approximate="tanh"))


architecture(
    "gpt2",
    GPT2,
    tokens(),
    fac(10) * (fac(3) * fac(4) ** 6 * fac(7)) ** 2,
    "D!·(h!·d!²ʰ·I!)²: the scores are Σ_d q·k and the values go straight to the projection, so in each head q~k and "
    "v~o have a dimension each; the head is the embedding and adds nothing",
)


# --------------------------------------------------------------------------------------------------------------- Llama
class LlamaAttention(nn.Module):
    """Grouped queries with rotary embedding; ``norm`` acts on each head of q and k."""

    def __init__(
        self,
        width: int,
        groups: int,
        queries: int,
        dim: int,
        rotary: Callable[[torch.Tensor], torch.Tensor] = rotate,
        norm: Callable[[int], nn.Module] = lambda size: nn.Identity(),
    ) -> None:
        super().__init__()
        self.q = L(width, groups * queries * dim, bias=False)
        self.k, self.v = L(width, groups * dim, bias=False), L(width, groups * dim, bias=False)
        self.o = L(groups * queries * dim, width, bias=False)
        self.q_norm, self.k_norm = norm(dim), norm(dim)
        self.groups, self.queries, self.rotary = groups, queries, rotary

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        q = self.rotary(self.q_norm(cut(self.q(x), self.groups * self.queries)))
        k = self.rotary(self.k_norm(cut(self.k(x), self.groups)))
        k, v = repeat_heads(k, self.queries), repeat_heads(cut(self.v(x), self.groups), self.queries)
        return self.o(joined(attend(q, k, v, causal(x.shape[1]).to(x.dtype))))


def _llama(**options: Callable[..., object]) -> Callable[[], nn.Module]:
    return lambda: LanguageModel(
        7,
        [PreNorm(7, LlamaAttention(7, 2, 3, 4, **options), GatedMLP(7, 9), RMSNorm) for _ in range(2)],
        RMSNorm,
    )


_GQA = fac(7) * (fac(2) * fac(3) ** 2 * fac(4) ** 2 * fac(9)) ** 2
architecture(
    "llama",
    _llama(),
    tokens(),
    _GQA,
    "D!·(k!·g!ᵏ·d!ᵏ·I!)²: k key heads change places, in each its g queries, and its value dimension, which all g "
    "share; rotary embedding turns each pair of the q·k dimension at a speed of its own, so that one is fixed",
)
architecture(
    "llama_interleaved",
    _llama(rotary=rotate_pairs),
    tokens(),
    _GQA,
    "as llama: pairs are neighbours instead of halves, their speeds differ all the same",
)
architecture(
    "grouped_queries_without_positions",
    _llama(rotary=lambda x: x),
    tokens(),
    fac(7) * (fac(2) * fac(3) ** 2 * fac(4) ** 4 * fac(9)) ** 2,
    "D!·(k!·g!ᵏ·d!²ᵏ·I!)²: the q·k dimension is free too, one for each key head, common to its queries",
)
architecture(
    "qwen3",
    _llama(norm=RMSNorm),
    tokens(),
    _GQA,
    "as llama: the gains of the norms of q and k lie along the dimension that rotation fixes anyway",
)
architecture(
    "qk_norm_without_positions",
    _llama(rotary=lambda x: x, norm=RMSNorm),
    tokens(),
    fac(7) * (fac(2) * fac(3) ** 2 * fac(4) * fac(4) ** 2 * fac(9)) ** 2,
    "D!·(k!·g!ᵏ·d!·d!ᵏ·I!)²: all heads share the gains of the norms, hence one order of the q·k dimension",
)


class Gemma2(nn.Module):
    """Norms before and after, gains 1 + w, capped scores and logits, an embedding scaled by √D and tied."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(11, 7)
        self.attentions = nn.ModuleList(_Capped() for _ in range(2))
        self.mlps = nn.ModuleList(GatedMLP(7, 9, lambda x: F.gelu(x, approximate="tanh")) for _ in range(2))
        self.norms = nn.ModuleList(RMSNorm(7, 1.0) for _ in range(9))

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        x = self.embed(ids) * 7**0.5
        for k, (attention, mlp) in enumerate(zip(self.attentions, self.mlps, strict=True)):
            norms = self.norms[4 * k : 4 * k + 4]
            x = x + norms[1](attention(norms[0](x)))
            x = x + norms[3](mlp(norms[2](x)))
        return 5.0 * torch.tanh(F.linear(self.norms[8](x), self.embed.weight) / 5.0)


class _Capped(LlamaAttention):
    def __init__(self) -> None:
        super().__init__(7, 2, 3, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        q, k = rotate(cut(self.q(x), 6)), repeat_heads(rotate(cut(self.k(x), 2)), 3)
        scores = 3.0 * torch.tanh(q @ k.transpose(-1, -2) / 3.0) + causal(x.shape[1]).to(x.dtype)
        return self.o(joined(torch.softmax(scores, -1) @ repeat_heads(cut(self.v(x), 2), 3)))


architecture(
    "gemma2",
    Gemma2,
    tokens(),
    _GQA,
    "as llama: caps and norms act on each entry alike, the embedding is tied",
)


# ------------------------------------------------------------------------------------------- other fused projections
class NeoXAttention(nn.Module):
    """``heads × 3 × dim`` in one matrix, of which the first ``rotary`` dimensions of q and k turn."""

    def __init__(self, width: int, heads: int, dim: int, rotary: int) -> None:
        super().__init__()
        self.fused, self.dense = L(width, heads * 3 * dim), L(heads * dim, width, bias=False)
        self.heads, self.rotary = heads, rotary

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        q, k, v = self.fused(x).view(*x.shape[:2], self.heads, -1).transpose(1, 2).chunk(3, -1)
        q, k = (torch.cat([rotate(y[..., : self.rotary]), y[..., self.rotary :]], -1) for y in (q, k))
        return self.dense(joined(attend(q, k, v, causal(x.shape[1]).to(x.dtype))))


class NeoXBlock(nn.Module):
    """Attention and MLP side by side; one of them without bias, as two biases that are added could change places."""

    def __init__(self) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(7), nn.LayerNorm(7)
        self.attention, self.mlp = NeoXAttention(7, 3, 9, 4), MLP(7, 8)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.attention(self.norm1(x)) + self.mlp(self.norm2(x))


architecture(
    "gpt_neox",
    lambda: LanguageModel(7, [NeoXBlock() for _ in range(2)], nn.LayerNorm),
    tokens(),
    fac(7) * (fac(3) * (fac(5) * fac(9)) ** 3 * fac(8)) ** 2,
    "D!·(h!·((d − r)!·d!)ʰ·I!)²: only the first r dimensions of q and k turn; the other d − r of each head are free",
)


class MultiQuery(nn.Module):
    """One key and one value for all heads."""

    def __init__(self, width: int, heads: int, dim: int) -> None:
        super().__init__()
        self.fused, self.dense = L(width, (heads + 2) * dim, bias=False), L(heads * dim, width)
        self.heads, self.dim = heads, dim

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        q, k, v = self.fused(x).split([self.heads * self.dim, self.dim, self.dim], -1)
        return self.dense(joined(attend(cut(q, self.heads), k[:, None], v[:, None], causal(x.shape[1]).to(x.dtype))))


architecture(
    "multi_query",
    lambda: LanguageModel(
        7, [PreNorm(7, MultiQuery(7, 3, 4), MLP(7, 8), nn.LayerNorm) for _ in range(2)], nn.LayerNorm
    ),
    tokens(),
    fac(7) * (fac(3) * fac(4) ** 2 * fac(8)) ** 2,
    "D!·(h!·d!·d!·I!)²: all heads meet one key and one value, so neither dimension is over heads",
)


class FalconAttention(nn.Module):
    """``groups × (queries + key + value) × dim`` in one matrix."""

    def __init__(self, width: int, groups: int, queries: int, dim: int) -> None:
        super().__init__()
        self.fused = L(width, groups * (queries + 2) * dim, bias=False)
        self.dense = L(groups * queries * dim, width, bias=False)
        self.shape = groups, queries, dim

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        (b, t), (groups, queries, dim) = x.shape[:2], self.shape
        y = self.fused(x).view(b, t, groups, queries + 2, dim)
        q, k, v = y[..., :-2, :], y[..., [-2], :], y[..., [-1], :]
        q, k, v = (z.expand(b, t, groups, queries, dim).flatten(2, 3).transpose(1, 2) for z in (q, k, v))
        return self.dense(joined(attend(rotate(q), rotate(k), v, causal(t).to(x.dtype))))


architecture(
    "falcon",
    lambda: LanguageModel(
        7, [PreNorm(7, FalconAttention(7, 2, 3, 4), MLP(7, 8), nn.LayerNorm) for _ in range(2)], nn.LayerNorm
    ),
    tokens(),
    fac(7) * (fac(2) * fac(3) ** 2 * fac(4) ** 2 * fac(8)) ** 2,
    "D!·(k!·g!ᵏ·d!ᵏ·I!)²: llama's group in another layout",
)


# --------------------------------------------------------------------------------------------------------------- ALiBi
def _slopes(values: list[float], length: int, like: torch.Tensor) -> torch.Tensor:
    """A bias for each head that falls with the distance."""
    distance = torch.arange(length)[None, :] - torch.arange(length)[:, None]
    return torch.tensor(values)[:, None, None].to(like.dtype) * distance.to(like.dtype) + causal(length).to(like.dtype)


class BloomAttention(nn.Module):
    """``heads × 3 × dim`` in one matrix; every head has its constant slope."""

    def __init__(self, slopes: list[float], dim: int = 4) -> None:
        super().__init__()
        self.slopes = slopes
        self.fused, self.dense = L(7, len(slopes) * 3 * dim), L(len(slopes) * dim, 7)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.fused(x).view(*x.shape[:2], len(self.slopes), 3, -1)
        q, k, v = (y[..., j, :].transpose(1, 2) for j in range(3))
        return self.dense(joined(attend(q, k, v, _slopes(self.slopes, x.shape[1], x))))


class MPTAttention(nn.Module):
    """``3 × heads × dim``; slopes as in BLOOM, no biases."""

    def __init__(self) -> None:
        super().__init__()
        self.fused, self.dense = L(7, 3 * 3 * 4, bias=False), L(3 * 4, 7, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        q, k, v = (cut(part, 3) for part in self.fused(x).chunk(3, -1))
        return self.dense(joined(attend(q, k, v, _slopes([0.5, 0.25, 0.125], x.shape[1], x))))


def _alibi(make: Callable[[], nn.Module]) -> Callable[[], nn.Module]:
    return lambda: LanguageModel(7, [PreNorm(7, make(), MLP(7, 8), nn.LayerNorm) for _ in range(2)], nn.LayerNorm)


architecture(
    "bloom",
    _alibi(lambda: BloomAttention([0.5, 0.25, 0.125])),
    tokens(),
    fac(7) * (fac(4) ** 6 * fac(8)) ** 2,
    "D!·(d!²ʰ·I!)²: slopes pin the heads, and each keeps its own two dimensions, over a fixed base",
)
architecture(
    "mpt",
    _alibi(MPTAttention),
    tokens(),
    fac(7) * (fac(4) ** 6 * fac(8)) ** 2,
    "D!·(d!²ʰ·I!)²: as bloom",
)
architecture(
    "alibi_with_equal_slopes",
    _alibi(lambda: BloomAttention([0.5, 0.5, 0.125])),
    tokens(),
    fac(7) * (fac(2) * fac(4) ** 6 * fac(8)) ** 2,
    "D!·(2!·d!²ʰ·I!)²: two heads of equal slope change places, the third stays, all keep their dimensions",
)


# --------------------------------------------------------------------------------------------------- relative positions
class TransformerXL(nn.Module):
    """Scores Σ (q + u)·k + shift(Σ (q + v)·r): per-head parameters u and v, distances from a constant table."""

    def __init__(self) -> None:
        super().__init__()
        self.qkv, self.r, self.o = L(7, 3 * 3 * 4, bias=False), L(6, 3 * 4, bias=False), L(3 * 4, 7, bias=False)
        self.u, self.v = nn.Parameter(torch.zeros(3, 4)), nn.Parameter(torch.zeros(3, 4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        b, t, _ = x.shape
        q, k, v = (part.view(b, t, 3, 4) for part in self.qkv(x).chunk(3, -1))
        angles = torch.outer(torch.arange(t - 1, -1, -1.0), torch.tensor([1.0, 0.3, 0.1])).to(x.dtype)
        r = self.r(torch.cat([angles.sin(), angles.cos()], -1)).view(t, 3, 4)
        content = torch.einsum("bihd,bjhd->bhij", q + self.u, k)
        distance = torch.einsum("bihd,jhd->bhij", q + self.v, r)
        shifted = torch.cat([torch.zeros(b, 3, t, 1, dtype=x.dtype), distance], -1).view(b, 3, t + 1, t)[:, :, 1:]
        scores = content + shifted.reshape(b, 3, t, t) + causal(t).to(x.dtype)
        return self.o(torch.einsum("bhij,bjhd->bihd", torch.softmax(scores / 2.0, -1), v).reshape(b, t, 12))


architecture(
    "transformer_xl",
    lambda: LanguageModel(7, [PreNorm(7, TransformerXL(), MLP(7, 8), nn.LayerNorm) for _ in range(2)], nn.LayerNorm),
    tokens(),
    fac(7) * (fac(3) * fac(4) ** 6 * fac(8)) ** 2,
    "D!·(h!·d!²ʰ·I!)²: u, v and r go along with the q·k dimension; the sinusoids fix only the input of r",
)


class LoRA(nn.Module):
    """A frozen layer with a trained product of two thin ones beside it."""

    def __init__(self, i: int, o: int, rank: int) -> None:
        super().__init__()
        self.base, self.a, self.b = L(i, o), L(i, rank, bias=False), L(rank, o, bias=False)
        self.base.requires_grad_(False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.base(x) + 2.0 * self.b(self.a(x))


class _Adapted(Attention):
    def __init__(self) -> None:
        super().__init__(7, 3, 4)
        self.q, self.v = LoRA(7, 12, 2), LoRA(7, 12, 5)


architecture(
    "lora",
    lambda: LanguageModel(7, [PreNorm(7, _Adapted(), MLP(7, 8), nn.LayerNorm) for _ in range(2)], nn.LayerNorm),
    tokens(),
    fac(7) * (fac(3) * fac(4) ** 6 * fac(8) * fac(2) * fac(5)) ** 2,
    "D!·(h!·d!²ʰ·I!·r_q!·r_v!)²: the rank of each adapter is a set of hidden units",
    dead=("tower.blocks.0.attention.k.bias", "tower.blocks.1.attention.k.bias"),
)
