"""Parameters that are read in parts: rows of one matrix that read different streams."""

from math import factorial as f

import pytest
import torch
from tests.zoo import randomise
from torch import nn
from torch.func import functional_call

import orbitope


class Cross(nn.Module):
    """Queries from one stream, keys and values from another; one matrix projects them all."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.out = nn.Linear(3, 8), nn.Linear(5, 8), nn.Linear(8, 3)
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)

    def forward(self, x, y):
        memory = self.b(y)
        return self.out(self.attention(self.a(x), memory, memory, need_weights=False)[0])


class Own(Cross):
    """All from one stream: the parts agree, and the parameter is whole again."""

    def forward(self, x, y):
        x = self.a(x) + self.b(y[:, : x.shape[1]])
        return self.out(self.attention(x, x, x, need_weights=False)[0])


class Decoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.out = nn.Linear(3, 8), nn.Linear(5, 8), nn.Linear(8, 3)
        self.layer = nn.TransformerDecoderLayer(8, 2, 10, batch_first=True)

    def forward(self, x, y):
        return self.out(self.layer(self.a(x), self.b(y)))


class Rows(nn.Module):
    """Some rows are read twice, some never."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(3, 6), nn.Linear(3, 6)
        self.table = nn.Parameter(torch.zeros(9, 6))
        self.out = nn.Linear(4, 2)

    def forward(self, x, y):
        p = (self.a(x) @ self.table[:4].T).relu()
        return self.out(p) + self.out((self.b(y[..., :3]) @ self.table[4:8].T).relu())


ATTENTION = f(2) * f(4) ** 4
"""2 heads; in each 4 dimensions of q·k and 4 of v."""

CASES = {
    Cross: f(8) * f(8) * ATTENTION * f(8),
    Own: f(8) * ATTENTION * f(8),
    Decoder: f(8) * f(8) * ATTENTION**2 * f(10),
    Rows: f(6) ** 2 * f(4),
}


def _prepared(kind):
    net = randomise(kind().double().eval())
    generator = torch.Generator().manual_seed(1)
    x, y = (torch.randn(2, n, d, dtype=torch.float64, generator=generator) for n, d in ((4, 3), (6, 5)))
    return net, ((x, y) if kind is not Rows else (x, y[:, :4]))


@pytest.mark.parametrize("kind", CASES)
def test_order_is_the_closed_form_and_elements_keep_the_function(kind):
    net, inputs = _prepared(kind)
    group = orbitope.symmetries(net, inputs)
    assert group.order == CASES[kind]
    params, before = net.state_dict(), net(*inputs)
    for seed in range(3):
        g, h = group.sample(seed), group.sample(seed + 7)
        twin = g.act(params)
        assert (functional_call(net, twin, inputs) - before).abs().max() <= 1e-12 * before.abs().max()
        both, back = (g @ h).act(params), (~g).act(twin)
        one_by_one = g.act(h.act(params))
        assert all(torch.equal(both[k], one_by_one[k]) and torch.equal(back[k], params[k]) for k in params)


def test_parts_that_agree_are_one_parameter():
    net, inputs = _prepared(Own)
    assert all(p.part is None for p in orbitope.symmetries(net, inputs).placements.values())


def test_parts_go_through_json_count_alignment_and_modules():
    net, inputs = _prepared(Cross)
    group = orbitope.symmetries(net, inputs)
    assert "attention.in_proj_weight[0:8]" in group.placements
    again = orbitope.SymmetryGroup.from_json(group.to_json())
    params = net.state_dict()
    twin = again.sample(2).act(params)
    assert all(torch.equal(twin[k], group.sample(2).act(params)[k]) for k in params)
    assert group.count(params).copies == CASES[Cross]
    found = orbitope.align(params, twin, group)
    assert found.distance_after < 1e-9 < found.distance_before
    before = net(*inputs)
    group.sample(3).act_(net)
    assert (net(*inputs) - before).abs().max() <= 1e-12 * before.abs().max()


def test_a_wrong_shape_is_refused_by_its_own_name():
    net, inputs = _prepared(Cross)
    group = orbitope.symmetries(net, inputs)
    params = {**net.state_dict(), "attention.in_proj_weight": torch.zeros(8, 8)}
    with pytest.raises(orbitope.errors.ParametersError, match=r"in_proj_weight is \[8, 8\], expected \[24, 8\]"):
        group.sample(1).act(params)
