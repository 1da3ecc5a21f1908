"""Shifts that meet again, maps beside each other, tables, factors, single planes: what they have, and traps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from tests.flatness.core import RMS
from tests.flatness.sequences import best, experts
from tests.infer.gauge_networks import parts
from tests.zoo.core import Inputs, L, difference, example, model, outputs, randomise, relu
from torch import nn
from torch.nn import functional as F

from orbitope import symmetries

Function = Callable[[torch.Tensor], torch.Tensor]
Part = Callable[[Any, torch.Tensor], torch.Tensor]
P = nn.Parameter


@dataclass(frozen=True)
class Beside:
    """A network, with its scales, shifts, matrices, rotations and signs by hand."""

    build: Callable[[], nn.Module]
    inputs: Callable[[], Inputs]
    parts: tuple[int, int, int, int, int]
    why: str


def pair(
    base: Callable[[Any, torch.Tensor], torch.Tensor], low: Callable[[Any, torch.Tensor], torch.Tensor], **more: Any
):
    """A map and a pair of low rank that are added, then tanh: 5 → 7, and 5 → 2 → 7."""
    own = {"base": L(5, 7), "a": P(torch.zeros(2, 5)), "b": P(torch.zeros(7, 2)), "out": L(7, 3), **more}
    return lambda: model(lambda m, x: m.out(torch.tanh(base(m, x) + low(m, x))), **own)


def bent(function: Function, **more: Any) -> Callable[[], nn.Module]:
    """A function beside a linear map of what goes in."""
    own = {"up": L(3, 5), "down": L(5, 2), "past": L(3, 2, bias=False), **more}
    return lambda: model(lambda m, x: m.down(function(m.up(x))) + m.past(x), **own)


class Looked(nn.Module):
    """Scores of 2 heads with biases from a table of 7 distances, which ``read`` makes of it and of the distances."""

    def __init__(self, read: Callable[..., torch.Tensor], table: nn.Module | None = None) -> None:
        super().__init__()
        self.q, self.k, self.v, self.o = L(5, 4, bias=False), L(5, 4, bias=False), L(5, 6, bias=False), L(6, 3)
        self.table = table or nn.Parameter(torch.zeros(2, 7))
        self.read = read

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        q, k, v = (part(x).unflatten(-1, (2, -1)).transpose(1, 2) for part in (self.q, self.k, self.v))
        apart = torch.arange(4)[None] - torch.arange(4)[:, None] + 3
        weights = self.read(q @ k.transpose(-2, -1), self.table, apart)
        return self.o((weights @ v).transpose(1, 2).flatten(2))


class Turned(nn.Module):
    """Scores of queries and keys of which planes are turned; ``read`` makes them of the two."""

    def __init__(
        self, read: Callable[[torch.Tensor, torch.Tensor], torch.Tensor], heads: int = 2, kv: int = 2, dim: int = 2
    ) -> None:
        super().__init__()
        self.heads, self.kv, self.dim, self.read = heads, kv, dim, read
        self.q, self.k = L(6, heads * dim, bias=False), L(6, kv * dim, bias=False)
        self.v, self.o = L(6, heads * 3, bias=False), L(heads * 3, 5)

    def turned(self, x: torch.Tensor) -> torch.Tensor:
        half = self.dim // 2
        angles = torch.arange(x.shape[2], dtype=x.dtype)[:, None] * 0.7 ** torch.arange(half, dtype=x.dtype)
        first, second, c, s = x[..., :half], x[..., half:], angles.cos(), angles.sin()
        return torch.cat([first * c - second * s, first * s + second * c], -1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        q, k = self.q(x).unflatten(-1, (self.heads, -1)).transpose(1, 2), self.k(x).unflatten(-1, (self.kv, -1))
        k = k.transpose(1, 2).repeat_interleave(self.heads // self.kv, 1)
        v = self.v(x).unflatten(-1, (self.heads, -1)).transpose(1, 2)
        weights = self.read(self.turned(q), self.turned(k)).softmax(-1)
        return self.o((weights @ v).transpose(1, 2).flatten(2))


def scored(q: torch.Tensor, k: torch.Tensor) -> torch.Tensor:
    """The products of queries and keys."""
    return q @ k.transpose(-2, -1)


def rows(table: torch.Tensor, apart: torch.Tensor) -> torch.Tensor:
    """A row of a table for each distance."""
    return table[:, apart]


def centred(mean: Callable[[torch.Tensor], torch.Tensor]) -> Callable[[], nn.Module]:
    """A mean that is written out and taken off, then tanh."""
    return lambda: model(lambda m, x: m.out(torch.tanh((h := m.up(x)) - mean(h))), up=L(3, 5), out=L(5, 2))


class QK(nn.Module):
    """Queries and keys that go through norms, of two heads of three dimensions."""

    def __init__(self, heads: int = 2, kv: int = 2, shared: bool = False) -> None:
        super().__init__()
        self.heads, self.kv = heads, kv
        self.q, self.k, self.v, self.o = (
            L(5, heads * 3, bias=False), L(5, kv * 3, bias=False), L(5, heads, bias=False), L(heads, 3),
        )  # fmt: skip
        self.first = RMS(3, gain=True)
        self.second = self.first if shared else RMS(3, gain=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        q, k = self.q(x).unflatten(-1, (self.heads, 3)), self.k(x).unflatten(-1, (self.kv, 3))
        q, k = self.first(q).transpose(1, 2), self.second(k).transpose(1, 2).repeat_interleave(self.heads // self.kv, 1)
        v = self.v(x).unflatten(-1, (self.heads, 1)).transpose(1, 2)
        return self.o(((q @ k.transpose(-2, -1)).softmax(-1) @ v).transpose(1, 2).flatten(2))


WIDE, LONG, FLAT, FLAT3 = example((3, 4, 5)), example((3, 5, 6)), example((7, 5)), example((7, 3))

NETWORKS = {
    # signs of one head -----------------------------------------------------------------------------------------------
    "norms, grouped queries": Beside(
        lambda: QK(4, 2), WIDE, (7, 0, 0, 0, 16),
        "gains: 3 scales; v·o: 4 scales and signs; a dimension of a group of heads: 6 signs; of all q or k and a gain: "
        "6 signs",
    ),
    # tables ----------------------------------------------------------------------------------------------------------
    "two lookups of one table": Beside(
        lambda: Looked(lambda s, t, at: (s + rows(t, at) + 0.5 * rows(t, 6 - at)).softmax(-1)), WIDE,
        (0, 2, 26, 0, 0), "a number for each head, twice",
    ),
    "lookups that cancel": Beside(
        lambda: Looked(lambda s, t, at: torch.tanh(s + rows(t, at) - rows(t, 6 - at))), WIDE,
        (0, 2, 26, 0, 2), "what is added to a row of the table is taken off again; tanh has a sign for each head",
    ),
    "lookups that almost cancel": Beside(
        lambda: Looked(lambda s, t, at: torch.tanh(s + rows(t, at) - 0.5 * rows(t, 6 - at))), WIDE, (0, 0, 26, 0, 2),
        "half of it stays; tanh has a sign for each head",
    ),
    "a table of tokens": Beside(
        lambda: Looked(lambda s, t, at: (s + t(at).permute(2, 0, 1)).softmax(-1), nn.Embedding(7, 2, padding_idx=0)),
        WIDE, (0, 2, 26, 0, 0), "the row of padding is read as any other",
    ),
    "one key without a bias": Beside(
        lambda: Looked(lambda s, t, at: (s + F.pad(rows(t, at)[..., 1:], (1, 0))).softmax(-1)), WIDE, (0, 0, 26, 0, 0),
        "the first key is not shifted",
    ),
    "one row of the table twice": Beside(
        lambda: Looked(lambda s, t, at: (s + rows(t, at) + rows(t, at.diagonal().expand(4, 4))).softmax(-1)), WIDE,
        (0, 2, 26, 0, 0), "the row of distance 0 is added to all scores besides",
    ),
    "table and sigmoid": Beside(
        lambda: Looked(lambda s, t, at: (s + rows(t, at)).sigmoid()), WIDE, (0, 0, 26, 0, 0), "a sigmoid sees it",
    ),
    # means -----------------------------------------------------------------------------------------------------------
    "mean of features": Beside(
        centred(lambda h: h.mean(1, keepdim=True)), FLAT3, (0, 4, 0, 0, 1),
        "c·1 in the bias and in 3 columns; −1, since tanh is odd but mixes with no single unit",
    ),
    "mean of samples": Beside(
        centred(lambda h: h.mean(0)), FLAT3, (0, 5, 0, 0, 5), "5 dead biases; signs of 5 tanh",
    ),
    "most of the mean": Beside(centred(lambda h: 0.9 * h.mean(0)), FLAT3, (0, 0, 0, 0, 5), "a tenth of it stays"),
    "largest of features": Beside(
        centred(lambda h: h.amax(1, keepdim=True)), FLAT3, (0, 4, 0, 0, 0), "a maximum moves along with c·1",
    ),
    # the best of scores ----------------------------------------------------------------------------------------------
    "the best two": Beside(lambda: experts(best), example((12, 4)), (9, 5, 0, 0, 0), "as without a threshold"),
    "the best two, the others at −10⁹": Beside(
        lambda: experts(lambda s: best(s, -1e9)), example((12, 4)), (9, 0, 0, 0, 0), "−10⁹ does not move along",
    ),
    "those above a number": Beside(
        lambda: experts(lambda s: s.masked_fill(s < -9.0, -torch.inf).softmax(-1)), example((12, 4)), (9, 0, 0, 0, 0),
        "the threshold does not move along",
    ),
    "those above a part of the best": Beside(
        lambda: experts(lambda s: s.masked_fill(s < s.amax(-1, keepdim=True) * 0.5 - 9, -torch.inf).softmax(-1)),
        example((12, 4)), (9, 0, 0, 0, 0), "half of it stays",
    ),
    # factors ---------------------------------------------------------------------------------------------------------
    "two factors, a bias behind": Beside(
        lambda: model(
            lambda m, x: m.out(m.a(x) * m.b(x) + m.c), a=L(5, 3), b=L(5, 3), c=P(torch.zeros(3)), out=L(3, 4)
        ),
        FLAT, (6, 3, 0, 0, 6), "two scales and signs for each unit, which take the bias along; it goes into the next",
    ),
    "three factors": Beside(
        lambda: model(lambda m, x: m.out(m.a(x) * m.b(x) * m.c(x)), a=L(5, 3), b=L(5, 3), c=L(5, 3), out=L(3, 4)),
        FLAT, (9, 0, 0, 0, 9), "three scales and signs for each of 3 units",
    ),
    "factors, then tanh": Beside(
        lambda: model(lambda m, x: m.out(torch.tanh(m.a(x) * m.b(x))), a=L(5, 3), b=L(5, 3), out=L(3, 4)),
        FLAT, (3, 0, 0, 0, 6), "one factor against the other; a sign of the product too",
    ),
    "product of an axis": Beside(
        lambda: model(lambda m, x: m.out(m.a(x).unflatten(1, (4, 3)).prod(1)), a=L(5, 12), out=L(3, 2)),
        FLAT, (12, 0, 0, 0, 12), "of each of 12 factors a scale and a sign, against the map behind",
    ),
    "product of an axis, also read": Beside(
        lambda: model(
            lambda m, x: m.out((h := m.a(x).unflatten(1, (2, 3))).prod(1)) + m.out(h.exp().sum(1)),
            a=L(5, 6), out=L(3, 2),
        ),
        FLAT, (0, 0, 0, 0, 0), "exp sees every factor",
    ),
    # maps beside pairs of low rank -----------------------------------------------------------------------------------
    "a pair": Beside(
        pair(lambda m, x: m.base(x), lambda m, x: x @ m.a.T @ m.b.T), FLAT, (0, 24, 4, 0, 7), "10 + 14; GL(2); tanh",
    ),
    "a pair, taken off, of sequences": Beside(
        pair(lambda m, x: m.base(x), lambda m, x: -(0.3 * (x @ m.a.T)) @ m.b.T), WIDE, (0, 24, 4, 0, 7), "the same",
    ),
    "a pair of other data": Beside(
        pair(lambda m, x: m.base(x.square()), lambda m, x: x @ m.a.T @ m.b.T), FLAT, (0, 0, 4, 0, 7), "no map of these",
    ),
    "a pair with a function between": Beside(
        pair(lambda m, x: m.base(x), lambda m, x: relu(x @ m.a.T) @ m.b.T), FLAT, (2, 0, 0, 0, 9),
        "ReLU: 2, and 2 units that are turned over; 7 tanh",
    ),
    "one matrix as a pair": Beside(
        pair(lambda m, x: m.base(x), lambda m, x: x @ m.a.T @ m.a @ m.c.T, c=P(torch.zeros(7, 5)), b=P(torch.zeros(1))),
        FLAT, (1, 35, 1, 0, 7), "a by s, c by s⁻²; c moves against the map: 35; a itself does not; O(2)",
    ),
    "a pair, its middle read elsewhere": Beside(
        pair(lambda m, x: m.base(x), lambda m, x: (h := x @ m.a.T) @ m.b.T + m.c(torch.tanh(h)), c=L(2, 7, bias=False)),
        FLAT, (0, 14, 0, 0, 9), "b moves against the map, a does not; signs of 7 + 2 tanh",
    ),
    "a map that is read twice": Beside(
        pair(lambda m, x: m.base(x) * m.base(x).sum(), lambda m, x: x @ m.a.T @ m.b.T), FLAT, (0, 0, 4, 0, 1),
        "what the map takes up would be seen in its sum; the sign of the whole map is not",
    ),
    "two maps beside each other": Beside(
        pair(lambda m, x: m.base(x), lambda m, x: x @ m.a, a=P(torch.zeros(5, 7)), b=P(torch.zeros(1))), FLAT,
        (0, 35, 0, 0, 7), "one moves against the other",
    ),
    # functions that are even but for a linear part -------------------------------------------------------------------
    **{
        f"{name} beside a map": Beside(bent(function), FLAT3, (scales, 0, 0, 0, 5), "5 units are turned over")
        for name, function, scales in (
            ("ReLU", relu, 5),
            ("LeakyReLU", lambda z: F.leaky_relu(z, 0.3), 5),
            ("SiLU", F.silu, 0),
            ("softplus", F.softplus, 0),
            ("hardswish", F.hardswish, 0),
            ("GELU by tanh", lambda z: F.gelu(z, approximate="tanh"), 0),
        )
    },
    **{
        f"{name} beside a map": Beside(bent(function), FLAT3, (0, 0, 0, 0, 0), "nothing linear is left over")
        for name, function in (("ELU", F.elu), ("Mish", F.mish), ("exp", torch.exp))
    },
    "GELU beside the data": Beside(
        lambda: model(lambda m, x: m.out(m.down(F.gelu(m.up(x))) + x), up=L(3, 5), down=L(5, 3), out=L(3, 2)),
        FLAT3, (0, 3, 0, 0, 0), "nothing there that could take it up; the bias goes into the next",
    ),
    "GELU, the map read twice": Beside(
        lambda: model(
            lambda m, x: m.down(F.gelu(m.up(x))) + (p := m.past(x)) + p.tanh(), up=L(3, 5), down=L(5, 2), past=L(3, 2)
        ),
        FLAT3, (0, 0, 0, 0, 0), "tanh sees what the map takes up",
    ),
    # planes ----------------------------------------------------------------------------------------------------------
    "one plane, grouped queries": Beside(
        lambda: Turned(scored, 4, 2), LONG, (2, 0, 36, 2, 2), "a scale and an angle for each of 2 heads of keys",
    ),
    "one plane of one head": Beside(lambda: Turned(scored, 1, 1), LONG, (1, 0, 9, 1, 1), "a scale and an angle"),
    "one plane behind units": Beside(
        lambda: nn.Sequential(L(4, 6), nn.ReLU(), Turned(scored)), example((3, 5, 4)), (8, 0, 18, 2, 2),
        "6 ReLU scales of what the planes read, which are no scales of the planes; a scale and an angle for each head",
    ),
    "one plane, half of it read": Beside(
        lambda: Turned(lambda q, k: scored(q[..., :1], k[..., :1])), LONG, (2, 0, 18, 0, 2), "no turn keeps one half",
    ),
    "two planes, half of them read": Beside(
        lambda: Turned(lambda q, k: scored(q[..., :2], k[..., :2]), dim=4), LONG, (4, 0, 18, 0, 4), "the same",
    ),
    "one plane, shifted": Beside(
        lambda: Turned(lambda q, k: scored(q, k + 0.7)), LONG, (0, 0, 18, 0, 0), "what is added does not turn",
    ),
    "two planes, shifted": Beside(
        lambda: Turned(lambda q, k: scored(q, k + 0.7), dim=4), LONG, (0, 0, 18, 0, 0), "what is added does not turn",
    ),
    "one plane, weighed": Beside(
        lambda: Turned(lambda q, k: scored(q * torch.tensor([1.0, 2.0], dtype=q.dtype), k)), LONG, (2, 0, 18, 0, 2),
        "a circle becomes an ellipse",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", NETWORKS)
def test_parts_by_hand(name: str) -> None:
    """Every number by hand; each part and all together keep the function in float64."""
    case = NETWORKS[name]
    net = randomise(case.build().eval(), 3).double()
    inputs = tuple(x.double() for x in case.inputs())
    group = symmetries(net, inputs)
    params = {key: tensor.clone() for key, tensor in net.state_dict().items()}
    before = outputs(net, params, inputs)
    for seed, part in enumerate(("scales", "translations", "matrices", "signs", "all")):
        element = group.sample(seed, parts="all" if part == "all" else (part,), strength=0.6, params=params)
        moved = element.act(params)
        assert difference(before, outputs(net, moved, inputs)) < 1e-9, part
        back = (~element).act(moved)
        assert max(float((back[key] - params[key]).abs().max()) for key in params) < 1e-9, part
    assert parts(group) == case.parts, case.why


def test_tied_maps_of_mirrored_units_have_no_signs() -> None:
    """What one sigmoid leaves over comes to the next, of the same units, where nothing takes it up."""
    net = model(
        lambda m, x: m.out(torch.sigmoid(m.mid(torch.sigmoid(m.mid(torch.sigmoid(m.up(x))))))),
        up=L(3, 4), mid=L(4, 4), out=L(4, 2),
    )  # fmt: skip
    assert symmetries(net, example((5, 3))()).sign_bits == 0
