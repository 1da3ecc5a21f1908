"""Small networks whose scales, signs, shifts, matrices and rotations are known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from tests.zoo.core import Inputs, L, model, randomise, relu
from torch import nn
from torch.nn import functional as F

from orbitope import SymmetryGroup, symmetries

Numbers = tuple[int, int, int, int, int]
"""Dimensions of scales, shifts, matrices and rotations, and bits of signs."""


@dataclass(frozen=True)
class Form:
    """A network whose group is known.

    Attributes:
        build: makes it.
        inputs: makes its inputs.
        parts: what is in the group; what keeps the function exactly only.
        why: the derivation.
        kinds: of its matrices, with ``+1`` where they keep the vector of ones.
        approximate: dimension of what holds at ε = 0 only.
        scope: which parameters may move.
        missing: what of the parts is not found yet.
        awaits: what that takes.
    """

    build: Callable[[], nn.Module]
    inputs: Callable[[], Inputs]
    parts: Numbers
    why: str
    kinds: tuple[str, ...] = ()
    approximate: int = 0
    scope: str | tuple[str, ...] = "*"
    missing: Numbers = (0, 0, 0, 0, 0)
    awaits: str = ""


def parts(group: SymmetryGroup) -> Numbers:
    """The numbers that a form states, counted family by family."""
    found = group.continuous
    return (
        sum(x.dimension for x in found.scalings if not x.approximate and not x.loss),
        sum(x.dimension for x in found.translations if not x.loss),
        sum(x.dimension for x in found.matrices),
        sum(x.dimension for x in found.rotations),
        group.sign_bits,
    )


def inferred(form: Form) -> tuple[nn.Module, Inputs, SymmetryGroup]:
    """The network with random weights in float64, its inputs and its group."""
    net = randomise(form.build()).double().eval()
    inputs = tuple(x.double() if x.is_floating_point() else x for x in form.inputs())
    if form.scope == "*":
        return net, inputs, symmetries(net, inputs)
    return net, inputs, symmetries(net, inputs, scope=list(form.scope))


def ids(count: int, *shape: int) -> Callable[[], Inputs]:
    """Whole numbers below a count, all of which occur."""
    generator = torch.Generator().manual_seed(5)
    size = torch.Size(shape).numel()
    assert size >= count
    numbers = torch.cat([torch.arange(count), torch.randint(count, (size - count,), generator=generator)])
    made = numbers[torch.randperm(size, generator=generator)].reshape(shape)
    return lambda: (made,)


def hidden(
    function: Callable[[torch.Tensor], torch.Tensor], inside: int, width: int, after: int, up: bool = True,
    down: bool = True,
) -> Callable[[], nn.Module]:  # fmt: skip
    """One hidden layer, with biases or without."""
    return lambda: model(
        lambda m, x: m.down(function(m.up(x))), up=L(inside, width, bias=up), down=L(width, after, bias=down)
    )


def gated(function: Callable[[torch.Tensor], torch.Tensor], width: int, up: bool) -> Callable[[], nn.Module]:
    """A gate with bias, and what it multiplies with or without."""
    return lambda: model(
        lambda m, x: m.down(function(m.gate(x)) * m.up(x)), gate=L(4, width), up=L(4, width, bias=up), down=L(width, 2)
    )


class Heads(nn.Module):
    """Attention by ``scaled_dot_product_attention`` with heads of 3 dimensions for queries, of 2 for values."""

    def __init__(self, width: int, heads: int, kv: int, bias: bool, **options: Any) -> None:
        super().__init__()
        self.heads, self.kv, self.options = heads, kv, options
        self.dim = options.pop("dim", 3)
        self.turn = options.pop("turn", 0)
        self.norm = options.pop("norm", False)
        self.mask = options.pop("mask", False)
        self.q, self.k = L(width, heads * self.dim, bias=bias), L(width, kv * self.dim, bias=bias)
        self.v, self.o = L(width, kv * 2, bias=bias), L(heads * 2, 5, bias=bias)

    def turned(self, x: torch.Tensor) -> torch.Tensor:
        """The leading dimensions turned by the position, in planes of two halves; the others stay."""
        if not self.turn:
            return x
        first, rest = x[..., : self.turn], x[..., self.turn :]
        half = self.turn // 2
        angles = torch.arange(x.shape[2], dtype=x.dtype)[:, None] * 0.7 ** torch.arange(half, dtype=x.dtype)
        angles = torch.cat([angles, angles], -1)
        other = torch.cat([-first[..., half:], first[..., :half]], -1)
        first = first * angles.cos() + other * angles.sin()
        return torch.cat([first, rest], -1) if rest.shape[-1] else first

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        q, k, v = (
            each(x).unflatten(-1, (n, -1)).transpose(1, 2)
            for each, n in ((self.q, self.heads), (self.k, self.kv), (self.v, self.kv))
        )
        if self.norm:
            q, k = (F.rms_norm(each, (self.dim,), eps=1e-3) for each in (q, k))
        q, k = self.turned(q), self.turned(k)
        t = x.shape[1]
        mask = torch.ones(t, t, dtype=torch.bool).tril(1) if self.mask else None
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, **self.options)
        return self.o(mixed.transpose(1, 2).flatten(2))


class Classified(nn.Module):
    """A token of its own before the patches; the answer is read there."""

    def __init__(self) -> None:
        super().__init__()
        self.token = nn.Parameter(torch.zeros(1, 1, 5))
        self.embed, self.attention = L(4, 5), Heads(5, 2, 2, bias=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = torch.tanh(torch.cat([self.token.expand(x.shape[0], -1, -1), self.embed(x)], 1))
        return self.attention(h)[:, 0]


class Positions(nn.Module):
    """Tokens and positions before a norm."""

    def __init__(self) -> None:
        super().__init__()
        self.token, self.position = nn.Embedding(9, 5), nn.Embedding(6, 5)
        self.norm, self.out = nn.LayerNorm(5, eps=1e-3), L(5, 3)

    def forward(self, numbers: torch.Tensor) -> torch.Tensor:
        h = self.token(numbers) + self.position(torch.arange(6))
        return self.out(torch.tanh(self.norm(h)))


class Tied(nn.Module):
    """A table that is read at both ends, with a residual stream between or without."""

    def __init__(self, residual: bool) -> None:
        super().__init__()
        self.residual = residual
        self.table, self.up, self.down = nn.Parameter(torch.zeros(8, 5)), L(5, 7), L(7, 5)

    def forward(self, numbers: torch.Tensor) -> torch.Tensor:
        h = F.embedding(numbers, self.table)
        made = self.down(torch.tanh(self.up(h)))
        return (h + made if self.residual else made) @ self.table.T


class Adapted(nn.Module):
    """A linear map with a low-rank pair beside it."""

    def __init__(self) -> None:
        super().__init__()
        self.base, self.out = L(5, 7), L(7, 2)
        self.a, self.b = nn.Parameter(torch.zeros(3, 5)), nn.Parameter(torch.zeros(7, 3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.out(torch.tanh(self.base(x) + x @ self.a.T @ self.b.T))


def recurrent(cell: Callable[..., nn.Module], **options: Any) -> Callable[[], nn.Module]:
    """A recurrent layer of 4 units and a linear map of all its states."""
    return lambda: model(lambda m, x: m.out(m.cell(x)[0]), cell=cell(3, 4, batch_first=True, **options), out=L(4, 2))


def routed(router: Callable[[torch.Tensor], torch.Tensor]) -> Callable[[], nn.Module]:
    """Three experts of 4 units of tanh."""

    def forward(m: Any, x: torch.Tensor) -> torch.Tensor:
        values = torch.stack([expert(x) for expert in m.experts], 1)
        return (router(m.router(x))[..., None] * values).sum(1)

    return lambda: model(
        forward, router=L(5, 3), experts=nn.ModuleList(nn.Sequential(L(5, 4), nn.Tanh(), L(4, 2)) for _ in range(3))
    )


def multihead(bias: bool, two: bool) -> Callable[[], nn.Module]:
    """PyTorch's own attention, of one input or of two through one weight."""
    mha = nn.MultiheadAttention
    return lambda: model(
        (lambda m, x, y: m.a(x, y, y)[0]) if two else (lambda m, x: m.a(x, x, x)[0]),
        a=mha(6, 2, bias=bias, batch_first=True),
    )


def branches() -> nn.Module:
    """Three branches of one shape that are added."""
    made = nn.ModuleList(nn.Sequential(L(3, 4), nn.ReLU(), L(4, 2, bias=False)) for _ in range(3))
    return model(lambda m, x: m.branches[0](x) + m.branches[1](x) + m.branches[2](x), branches=made)


def concatenated() -> nn.Module:
    """Units of two kinds in one tensor."""
    return model(
        lambda m, x: m.out(torch.cat([relu(m.one(x)), torch.tanh(m.two(x))], 1)), one=L(3, 4), two=L(3, 2), out=L(6, 3)
    )
