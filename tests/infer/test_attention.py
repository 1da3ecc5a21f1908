"""Fused projections in all their layouts: q~k and v have their own units, heads permute, dimensions are over heads."""

from math import factorial

import pytest
import torch
from torch import nn

import orbitope


class _Attention(nn.Module):
    """Multi-head self-attention whose projection holds q, k and v in one of four layouts."""

    def __init__(self, width, heads, dim, layout):
        super().__init__()
        self.fused = nn.Linear(width, 3 * heads * dim)
        self.out = nn.Linear(heads * dim, width)
        self.heads, self.dim, self.layout = heads, dim, layout

    def parts(self, x):
        batch, length, _ = x.shape
        h, d, y = self.heads, self.dim, self.fused(x)
        if self.layout == "3 h d":
            return y.reshape(batch, length, 3, h, d).permute(2, 0, 3, 1, 4).unbind(0)
        if self.layout == "h 3 d":
            y = y.reshape(batch, length, h, 3, d).transpose(1, 2)
            return y[..., 0, :], y[..., 1, :], y[..., 2, :]
        if self.layout == "h (3 d)":
            return y.reshape(batch, length, h, 3 * d).transpose(1, 2).chunk(3, -1)
        return [part.reshape(batch, length, h, d).transpose(1, 2) for part in y.split(h * d, -1)]

    def forward(self, x):
        q, k, v = self.parts(x)
        weights = torch.softmax(q @ k.transpose(-1, -2) / self.dim**0.5, -1)
        return self.out((weights @ v).transpose(1, 2).reshape(*x.shape[:2], -1))


class _Block(nn.Module):
    def __init__(self, attention):
        super().__init__()
        self.enter = nn.Linear(5, 12)
        self.attention = attention
        self.norm = nn.LayerNorm(12)
        self.up, self.down = nn.Linear(12, 10), nn.Linear(10, 12)
        self.leave = nn.Linear(12, 2)

    def forward(self, x):
        x = self.enter(x)
        x = x + self.attention(self.norm(x))
        return self.leave(x + self.down(torch.relu(self.up(x))))


def _keeps(model, group, x, seeds=4):
    params = {name: tensor.detach() for name, tensor in model.state_dict().items()}
    truth = model(x)
    for seed in range(seeds):
        twin = group.sample(seed).act(params)
        error = (torch.func.functional_call(model, twin, (x,)) - truth).abs().max() / truth.abs().max()
        assert error < 1e-12


@pytest.mark.parametrize("layout", ["split", "3 h d", "h 3 d", "h (3 d)"])
def test_every_layout_of_a_fused_projection_gives_the_whole_group(layout):
    torch.manual_seed(0)
    model = _Block(_Attention(12, 3, 7, layout)).double().eval()
    x = torch.randn(2, 4, 5, dtype=torch.float64)
    group = orbitope.symmetries(model, (x,))
    # residual stream, heads, in each head the q·k and the v·o dimension, hidden units
    assert group.order == factorial(12) * factorial(3) * factorial(7) ** (2 * 3) * factorial(10)
    _keeps(model, group, x)


class _GroupedKeys(nn.Module):
    """One projection ``groups × (queries + key + value) × dim``; each key and value serves the queries of its group."""

    def __init__(self, width, groups, queries, dim):
        super().__init__()
        self.fused = nn.Linear(width, groups * (queries + 2) * dim)
        self.out = nn.Linear(groups * queries * dim, width)
        self.shape = groups, queries, dim

    def forward(self, x):
        batch, length, _ = x.shape
        groups, queries, dim = self.shape
        y = self.fused(x).reshape(batch, length, groups, queries + 2, dim)
        q, k, v = y[..., :queries, :], y[..., queries : queries + 1, :], y[..., queries + 1 :, :]

        def heads(part):
            return part.expand_as(q).reshape(batch, length, groups * queries, dim).transpose(1, 2)

        weights = torch.softmax(heads(q) @ heads(k).transpose(-1, -2), -1)
        return self.out((weights @ heads(v)).transpose(1, 2).reshape(batch, length, -1))


def test_grouped_keys_give_a_wreath_product():
    torch.manual_seed(0)
    model = _Block(_GroupedKeys(12, 2, 3, 7)).double().eval()
    x = torch.randn(2, 4, 5, dtype=torch.float64)
    group = orbitope.symmetries(model, (x,))
    # groups permute; in each group its queries, its q·k and its v·o dimension
    inner = factorial(3) * factorial(7) ** 2
    assert group.order == factorial(12) * factorial(2) * inner**2 * factorial(10)
    _keeps(model, group, x)


class _MixesTheParts(nn.Module):
    """A softmax across q, k and v: the three may no longer move apart."""

    def __init__(self):
        super().__init__()
        self.fused = nn.Linear(5, 3 * 4)
        self.out = nn.Linear(4, 2)

    def forward(self, x):
        y = torch.softmax(self.fused(x).reshape(-1, 3, 4), dim=1)
        return self.out(y[:, 0] + y[:, 1] * y[:, 2])


def test_mixing_along_the_index_ties_the_members():
    torch.manual_seed(0)
    model = _MixesTheParts().double().eval()
    x = torch.randn(6, 5, dtype=torch.float64)
    group = orbitope.symmetries(model, (x,))
    # y[:, 1] and y[:, 2] are the factors of a product: in each hidden unit the two may change places
    assert group.order == factorial(4) * 2**4
    _keeps(model, group, x)


class _Independent(nn.Module):
    """Without the softmax and the product, each third has hidden units of its own."""

    def __init__(self):
        super().__init__()
        self.fused = nn.Linear(5, 3 * 4)
        self.outs = nn.ModuleList(nn.Linear(4, 2) for _ in range(3))

    def forward(self, x):
        y = torch.relu(self.fused(x).reshape(-1, 3, 4))
        return sum(out(y[:, k]) for k, out in enumerate(self.outs))


def test_parts_that_never_meet_have_units_of_their_own():
    torch.manual_seed(0)
    model = _Independent().double().eval()
    x = torch.randn(6, 5, dtype=torch.float64)
    group = orbitope.symmetries(model, (x,))
    assert group.order == factorial(4) ** 3 * factorial(3)  # each third with its output layer is a module of a sum
    _keeps(model, group, x)
