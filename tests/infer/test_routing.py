"""Mixtures of experts with the best k chosen: experts change places, each with hidden units of its own."""

from math import factorial

import pytest
import torch
from tests.zoo import randomise
from torch import nn
from torch.func import functional_call

import orbitope
from orbitope.arithmetic import TorchArithmetic
from orbitope.frontends import lower, trace
from orbitope.infer.routing import route
from orbitope.infer.signatures import shared
from orbitope.primitives import evaluate

FULL = factorial(5) * factorial(6) ** 5 * factorial(4)
"""5 experts with 6 hidden units each, 4 outputs."""

PINNED = factorial(6) ** 5 * factorial(4)


class Experts(nn.Module):
    """Tables of all experts, looked up by the ranks of a router."""

    def __init__(self) -> None:
        super().__init__()
        self.router = nn.Linear(4, 5)
        self.up, self.down = nn.Parameter(torch.zeros(5, 4, 6)), nn.Parameter(torch.zeros(5, 6, 4))
        self.out = nn.Linear(4, 3)

    def chosen(self, x, weight, places):
        h = torch.einsum("ti,tkih->tkh", x, self.up[places]).relu()
        return self.out((torch.einsum("tkh,tkho->tko", h, self.down[places]) * weight[..., None]).sum(1))

    def dense(self, x, weight):
        h = torch.einsum("ti,eih->teh", x, self.up).relu()
        return self.out(torch.einsum("teh,eho,te->to", h, self.down, weight))

    def forward(self, x):
        return self.chosen(x, *self.router(x).softmax(-1).topk(2))


class Flat(Experts):
    """Tokens and ranks on one axis, as the batched experts of language models have them."""

    def forward(self, x):
        weight, places = self.router(x).softmax(-1).topk(2)
        places = places.reshape(-1)
        h = (x.repeat_interleave(2, 0).unsqueeze(1) @ self.up[places]).relu()
        y = (h @ self.down[places]).squeeze(1) * weight.reshape(-1, 1)
        return self.out(y.view(x.shape[0], 2, -1).sum(1))


class Scattered(Experts):
    def forward(self, x):
        scores = self.router(x)
        weight, places = scores.topk(2)
        return self.dense(x, torch.full_like(scores, float("-inf")).scatter(1, places, weight).sigmoid())


class Picked(Experts):
    """Ranked by one number, weighted by another."""

    def forward(self, x):
        scores = self.router(x).sigmoid()
        places = (scores + 0.1).topk(2)[1]
        h = torch.einsum("ti,tkih->tkh", x, self.up[places]).relu()
        return self.out(torch.einsum("tkh,tkho,tk->to", h, self.down[places], scores.gather(1, places)))


class OneHot(Experts):
    def forward(self, x):
        p = self.router(x).softmax(-1)
        return self.dense(x, nn.functional.one_hot(p.argmax(-1), 5) * p)


class Sorted(Experts):
    def forward(self, x):
        weight, places = self.router(x).sort(-1, descending=True)
        return self.chosen(x, weight[:, :3].softmax(-1), places[:, :3])


class Rectified(Experts):
    """Scores may be equal, namely zero: which expert comes first is then left open."""

    def forward(self, x):
        return self.chosen(x, *self.router(x).relu().topk(2))


class Masked(Experts):
    def forward(self, x):
        scores = self.router(x)
        return self.chosen(x, *torch.where(scores > 0.1, scores, 0.0).topk(2))


class Numbered(Experts):
    """The number of the chosen expert is used as a number."""

    def forward(self, x):
        weight, places = self.router(x).softmax(-1).topk(2)
        return self.chosen(x, weight * (1 + places), places)


class TwoRouters(Experts):
    """Two choices: hidden units of one are not those of the other, and both tell no experts apart."""

    def __init__(self) -> None:
        super().__init__()
        self.second = nn.Linear(4, 5)

    def forward(self, x):
        a, i = self.router(x).softmax(-1).topk(1)
        b, j = self.second(x).softmax(-1).topk(1)
        h = torch.einsum("ti,tkih->tkh", x, self.up[i]).relu() * torch.einsum("ti,tkih->tkh", x, self.up[j]).relu()
        return self.out((torch.einsum("tkh,tkho->tko", h, self.down[i]) * (a + b)[..., None]).sum(1))


CASES = {
    Experts: FULL,
    Flat: FULL,
    Scattered: FULL,
    Picked: FULL,
    OneHot: FULL,
    Sorted: FULL,
    Rectified: PINNED,
    Masked: PINNED,
    Numbered: PINNED,
    # units of different experts meet in a product: they have one order in common
    TwoRouters: factorial(5) * factorial(6) * factorial(4),
}


def _prepared(kind):
    net = randomise(kind().double().eval())
    x = torch.randn(9, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    return net, x


@pytest.mark.parametrize("kind", CASES)
def test_order_is_the_closed_form(kind):
    net, x = _prepared(kind)
    assert orbitope.symmetries(net, (x,)).order == CASES[kind]


@pytest.mark.parametrize("kind", CASES)
def test_elements_keep_the_function(kind):
    net, x = _prepared(kind)
    group, params = orbitope.symmetries(net, (x,)), net.state_dict()
    before = net(x)
    for seed in range(5):
        after = functional_call(net, group.sample(seed).act(params), (x,))
        assert (after - before).abs().max() <= 1e-12 * before.abs().max()


@pytest.mark.parametrize("kind", CASES)
def test_the_rewritten_graph_computes_the_same(kind):
    net, x = _prepared(kind)
    graph = lower(trace(net, (x,)))
    params = {name: net.state_dict()[name] for name in graph.parameters}
    results = [
        evaluate(each, TorchArithmetic(torch.float64), params, {graph.inputs[0]: x})[0]
        for each in (graph, route(shared(graph)))
    ]
    assert torch.allclose(*results, rtol=1e-13, atol=1e-13)


def test_an_exchange_of_all_but_the_router_is_noticed():
    """The oracle can fail: experts moved without their router are another function."""
    net, x = _prepared(Experts)
    params = dict(net.state_dict())
    for name in ("up", "down"):
        params[name] = params[name].roll(1, 0)
    assert (functional_call(net, params, (x,)) - net(x)).abs().max() > 1e-3
