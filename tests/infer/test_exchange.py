"""Exchangeable modules: parallel branches of one shape, and what of them is left out."""

from itertools import permutations, product
from math import factorial

import pytest
import torch
from tests.zoo import model, randomise
from torch import nn
from torch.func import functional_call

import orbitope
from orbitope.arithmetic import TorchArithmetic
from orbitope.frontends import lower, trace
from orbitope.infer.folding import common_name, fold
from orbitope.primitives import evaluate

L = nn.Linear


def _tower() -> nn.Module:
    return nn.Sequential(L(3, 5), nn.Tanh(), L(5, 4))


class _Head(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.q, self.k, self.v = L(6, 4), L(6, 4), L(6, 5)

    def forward(self, x):
        return (self.q(x) @ self.k(x).transpose(-1, -2)).softmax(-1) @ self.v(x)


class _Conv(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.c, self.n, self.d = nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.Conv2d(4, 5, 1)

    def forward(self, x):
        return self.d(self.n(self.c(x)).relu())


class _Pair(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = L(3, 4), L(3, 4), L(4, 5)

    def forward(self, x):
        return self.c(self.a(x).tanh() + self.b(x).tanh())


def _routed(m, x):
    return m.out(sum(m.router(x).softmax(-1)[:, k : k + 1] * m.e[k](x) for k in range(3)))


def _weighted(m, x):
    return m.out(sum(a * t(x).tanh() for a, t in zip(m.a, m.t, strict=True)))


def _several(n, make):
    return nn.ModuleList([make() for _ in range(n)])


# name -> (model, shape of the input, order, why)
CASES = {
    "sum": (
        lambda: model(lambda m, x: m.out(sum(t(x) for t in m.t)), t=_several(3, _tower), out=L(4, 2)),
        (7, 3),
        factorial(3) * factorial(5) ** 3 * factorial(4),
        "3 towers of 5 hidden units; their outputs are added, so 4 output units are common",
    ),
    "concatenation": (
        lambda: model(lambda m, x: m.out(torch.cat([t(x) for t in m.t], 1)), t=_several(3, _tower), out=L(12, 2)),
        (7, 3),
        factorial(3) * (factorial(5) * factorial(4)) ** 3,
        "each tower has outputs of its own",
    ),
    "mean of a stack": (
        lambda: model(lambda m, x: m.out(torch.stack([t(x) for t in m.t]).mean(0)), t=_several(3, _tower), out=L(4, 2)),
        (7, 3),
        factorial(3) * factorial(5) ** 3 * factorial(4),
        "a mean is a sum",
    ),
    "experts under a dense router": (
        lambda: model(_routed, router=L(3, 3), e=_several(3, _tower), out=L(4, 2)),
        (7, 3),
        factorial(3) * factorial(5) ** 3 * factorial(4),
        "the router's rows move with the experts",
    ),
    "heads": (
        lambda: model(lambda m, x: m.out(torch.cat([h(x) for h in m.h], -1)), h=_several(3, _Head), out=L(15, 2)),
        (2, 7, 6),
        factorial(3) * (factorial(4) * factorial(5)) ** 3,
        "q·k and v dimensions in each head",
    ),
    "convolutions with BatchNorm": (
        lambda: model(lambda m, x: m.out(sum(t(x) for t in m.t).mean((2, 3))), t=_several(3, _Conv), out=L(5, 2)),
        (2, 3, 6, 5),
        factorial(3) * factorial(4) ** 3 * factorial(5),
        "the running statistics move with their module",
    ),
    "modules in modules": (
        lambda: model(lambda m, x: m.out(torch.stack([t(x) for t in m.t]).amax(0)), t=_several(3, _Pair), out=L(5, 2)),
        (7, 3),
        factorial(3) * factorial(5) * (factorial(4) * 2**4) ** 3,
        "in each module two layers are added: their rows may be exchanged unit by unit",
    ),
    "scalars": (
        lambda: model(
            _weighted,
            a=nn.ParameterList([nn.Parameter(torch.zeros(())) for _ in range(3)]),
            t=_several(3, lambda: L(3, 4)),
            out=L(4, 2),
        ),
        (7, 3),
        factorial(3) * factorial(4),
        "each layer has its scalar; the signs are no permutations",
    ),
    "one wide layer in two halves": (
        lambda: model(
            lambda m, x: m.out(torch.cat([m.a(x).relu(), m.b(x).relu()], 1)), a=L(3, 4), b=L(3, 4), out=L(8, 2)
        ),
        (7, 3),
        factorial(8),
        "the halves are one layer of 8 hidden units",
    ),
    "gated without activation": (
        lambda: model(lambda m, x: m.out(m.a(x) * m.b(x)), a=L(3, 4), b=L(3, 4), out=L(4, 2)),
        (7, 3),
        factorial(4) * 2**4,
        "the two factors of every hidden unit may be exchanged",
    ),
    "slices of one layer": (
        lambda: model(
            lambda m, x: m.out(sum(w(p.tanh()) for w, p in zip(m.w, m.a(x).chunk(3, 1), strict=True))),
            a=L(3, 12),
            w=_several(3, lambda: L(4, 5)),
            out=L(5, 2),
        ),
        (7, 3),
        factorial(3) * factorial(4) ** 3 * factorial(5),
        "each module reads its own third",
    ),
    # what must not be exchanged
    "told apart by the output": (
        lambda: model(lambda m, x: torch.cat([t(x) for t in m.t], 1), t=_several(3, _tower)),
        (7, 3),
        factorial(5) ** 3,
        "outputs are fixed",
    ),
    "told apart by a constant": (
        lambda: model(
            lambda m, x: m.out(sum((k + 1) * t(x) for k, t in enumerate(m.t))), t=_several(3, _tower), out=L(4, 2)
        ),
        (7, 3),
        factorial(5) ** 3 * factorial(4),
        "the factors 1, 2, 3 differ",
    ),
    "read elsewhere": (
        lambda: model(lambda m, x: (m.out(sum(t(x) for t in m.t)), m.t[0](x)), t=_several(2, _tower), out=L(4, 2)),
        (7, 3),
        factorial(5) ** 2,
        "the first tower is an output by itself",
    ),
    "a subtraction": (
        lambda: model(lambda m, x: m.out(m.a(x).tanh() - m.b(x).tanh()), a=L(3, 4), b=L(3, 4), out=L(4, 2)),
        (7, 3),
        factorial(4),
        "no exchange without signs",
    ),
}  # fmt: skip


def _prepared(name):
    build, shape, *_ = CASES[name]
    net = randomise(build().double())
    x = torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    return net, x, orbitope.symmetries(net, (x,))


def _outputs(net, params, x):
    found = functional_call(net, dict(params), (x,))
    return torch.cat([y.flatten() for y in (found if isinstance(found, tuple) else (found,))])


@pytest.mark.parametrize("name", CASES)
def test_order_is_the_closed_form(name):
    _, _, group = _prepared(name)
    assert group.order == CASES[name][2], CASES[name][3]


@pytest.mark.parametrize("name", CASES)
def test_elements_keep_the_function_and_the_laws(name):
    net, x, group = _prepared(name)
    params = net.state_dict()
    before = _outputs(net, params, x)
    for seed in range(3):
        g, h = group.sample(seed), group.sample(seed + 9)
        twin = g.act(params)
        assert (_outputs(net, twin, x) - before).abs().max() <= 1e-12 * before.abs().max()
        both, back = (g @ h).act(params), (~g).act(twin)
        one_by_one = g.act(h.act(params))
        assert all(torch.equal(both[k], one_by_one[k]) and torch.equal(back[k], params[k]) for k in params)


@pytest.mark.parametrize("name", CASES)
def test_the_folded_graph_computes_the_same(name):
    net, x, _ = _prepared(name)
    graph = lower(trace(net, (x,)))
    folded, _ = fold(graph, lambda _: False)
    state = net.state_dict()
    values = []
    for each in (graph, folded):
        tensors = {
            key: torch.cat([state[names[0]].reshape(-1, *p.shape[1:]) for names in p.members])
            if p.members
            else state[p.names[0]]
            for key, p in each.parameters.items()
        }
        found = evaluate(each, TorchArithmetic(torch.float64), tensors, {each.inputs[0]: x})
        values.append(torch.cat([y.flatten() for y in found]))
    assert torch.allclose(*values, rtol=1e-13, atol=1e-13)


def test_nothing_is_missed_among_all_exchanges():
    """All permutations of three scalar modules' parameters, taken one by one: just the whole modules may move."""
    net = randomise(
        model(lambda m, x: m.out(sum(t(x).tanh() for t in m.t)), t=_several(3, lambda: L(2, 1)), out=L(1, 1)).double()
    )
    x = torch.randn(5, 2, dtype=torch.float64)
    group = orbitope.symmetries(net, (x,))
    params = net.state_dict()
    before = _outputs(net, params, x)
    kept = 0
    for p, q in product(permutations(range(3)), repeat=2):
        moved = dict(params)
        for k in range(3):
            moved[f"t.{k}.weight"], moved[f"t.{k}.bias"] = params[f"t.{p[k]}.weight"], params[f"t.{q[k]}.bias"]
        kept += bool((_outputs(net, moved, x) - before).abs().max() < 1e-12)
    assert kept == factorial(3) == group.order


def test_a_group_with_modules_goes_through_json_and_counts():
    net, x, group = _prepared("scalars")
    again = orbitope.SymmetryGroup.from_json(group.to_json())
    assert again.digest == group.digest
    params = net.state_dict()
    twin = again.sample(2).act(params)
    assert (_outputs(net, twin, x) - _outputs(net, params, x)).abs().max() < 1e-12
    assert group.count(params).copies == factorial(3) * factorial(4) * 2**group.sign_bits
    for k in range(3):  # equal modules are no copies
        params[f"t.{k}.weight"], params[f"t.{k}.bias"], params[f"a.{k}"] = (
            params["t.0.weight"].clone(), params["t.0.bias"].clone(), params["a.0"].clone()
        )  # fmt: skip
    assert group.count(params).copies == factorial(4) * 2**group.sign_bits


def test_the_optimiser_moves_with_the_modules():
    net, x, group = _prepared("experts under a dense router")
    optimizer = torch.optim.Adam(net.parameters())
    _outputs(net, dict(net.named_parameters()), x).square().sum().backward()
    optimizer.step()
    state = dict(net.named_parameters())
    before = {name: optimizer.state[p]["exp_avg"].clone() for name, p in state.items()}
    g = group.sample(4)
    g.act_(net, optimizer)
    expected = g.act(before)
    assert all(torch.equal(optimizer.state[p]["exp_avg"], expected[name]) for name, p in state.items())


def test_one_module_alone_is_refused():
    net, _, group = _prepared("sum")
    with pytest.raises(orbitope.errors.ParametersError, match="together"):
        group.sample(1).act({"t.0.0.weight": net.state_dict()["t.0.0.weight"]}, partial=True)


def test_modules_can_be_aligned():
    net, _, group = _prepared("experts under a dense router")
    params = net.state_dict()
    twin = group.sample(7).act(params)
    found = orbitope.align(params, twin, group)
    assert found.distance_after < 1e-9 < found.distance_before


def test_a_scope_holds_modules_in_place():
    net, x, _ = _prepared("sum")
    group = orbitope.symmetries(net, (x,), scope=["t.0.*", "t.1.*", "out.*"])
    assert group.order == factorial(2) * factorial(5) ** 2  # what the third adds to is held too


def test_common_name():
    assert common_name(["a.0.w", "a.1.w"]) == "a.*.w"
    assert common_name(["a.b.w", "a.w"]) == "a.b.w … a.w"
