"""Tiny networks written out scalar by scalar: the group has exactly as many elements as the graph automorphisms.

Each network is stated twice, as a PyTorch module and as a function over numpy arrays; both compute the same numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from tests.oracle.scalars import Array, apply, automorphisms, softmax, total, written_out
from tests.zoo import C1, L, model, randomise, relu, seq
from torch import nn

from orbitope import symmetries

Params = dict[str, Array]
Written = Callable[[Params, Array], Array]


@dataclass(frozen=True)
class Network:
    """Attributes:
    build: makes the module.
    written: the same as a function of its parameters.
    x: example input.
    """

    build: Callable[[], nn.Module]
    written: Written
    x: Array


def _x(*shape: int) -> Array:
    return np.random.default_rng(4).standard_normal(shape)


def _linear(p: Params, name: str, x: Array) -> Array:
    y = x @ p[f"{name}.weight"].T
    return y + p[f"{name}.bias"] if f"{name}.bias" in p else y


def _mlp(p: Params, x: Array) -> Array:
    return _linear(p, "2", apply("relu", _linear(p, "0", x)))


def _residual(p: Params, x: Array) -> Array:
    h = _linear(p, "a", x)
    return _linear(p, "out", h + _linear(p, "c", apply("relu", _linear(p, "b", h))))


def _convolved(p: Params, name: str, x: Array, groups: int = 1) -> Array:
    w = p[f"{name}.weight"]
    width, inner, taps = w.shape[0] // groups, w.shape[1], w.shape[2]
    rows = []
    for o in range(w.shape[0]):
        piece = x[:, (o // width) * inner : (o // width + 1) * inner]
        terms = [piece[:, i, k : piece.shape[2] - taps + 1 + k] * w[o, i, k] for i in range(inner) for k in range(taps)]
        rows.append(sum(terms[1:], terms[0]))
    return np.stack(rows, 1)


def _normalised(h: Array) -> Array:
    n = h.shape[-1]
    centred = h - total(h, -1) * (1 / n)
    variance = total(centred * centred, -1) * (1 / n)
    return centred / apply("sqrt", variance + 0.1)


def _attended(p: Params, x: Array, heads: int, groups: int) -> Array:
    """Queries in ``heads``, keys and values in ``groups`` of them; no residual stream."""
    q, k, v = (_linear(p, name, x) for name in "qkv")
    d, e = q.shape[-1] // heads, v.shape[-1] // groups
    found = []
    for h in range(heads):
        g = h // (heads // groups)
        scores = q[:, h * d : (h + 1) * d] @ k[:, g * d : (g + 1) * d].T
        found.append(softmax(scores * (1 / d**0.5)) @ v[:, g * e : (g + 1) * e])
    return _linear(p, "o", np.concatenate(found, 1))


def _attending(heads: int, groups: int) -> Callable[[Any, torch.Tensor], torch.Tensor]:
    def forward(m: Any, x: torch.Tensor) -> torch.Tensor:
        q, k, v = (
            part(x).unflatten(1, (n, -1)).transpose(0, 1)
            for part, n in zip((m.q, m.k, m.v), (heads, groups, groups), strict=True)
        )
        y = F.scaled_dot_product_attention(q[None], k[None], v[None], enable_gqa=heads != groups)[0]
        return m.o(y.transpose(0, 1).flatten(1))

    return forward


def _steps(p: Params, x: Array) -> Array:
    """Two steps of a recurrent cell with four gates."""
    n = p["hh.weight"].shape[1]
    h: Any = None
    c: Any = None
    for step in range(x.shape[0]):
        gates = _linear(p, "ih", x[step])
        gates = gates if h is None else gates + _linear(p, "hh", h)
        i, f, g, o = (gates[k * n : (k + 1) * n] for k in range(4))
        new = apply("sigmoid", i) * apply("tanh", g)
        c = new if c is None else new + apply("sigmoid", f) * c
        h = apply("sigmoid", o) * apply("tanh", c)
    return _linear(p, "out", h)


def _stepping(m: Any, x: torch.Tensor) -> torch.Tensor:
    h = c = None
    for step in range(x.shape[0]):
        gates = m.ih(x[step])
        gates = gates if h is None else gates + m.hh(h)
        i, f, g, o = gates.chunk(4)
        new = torch.sigmoid(i) * torch.tanh(g)
        c = new if c is None else new + torch.sigmoid(f) * c
        h = torch.sigmoid(o) * torch.tanh(c)
    return m.out(h)


def _mixture(p: Params, x: Array) -> Array:
    gates = softmax(x @ p["gate"].T)
    experts = [gates[:, [e]] * (apply("relu", x @ p["up"][e].T) @ p["down"][e].T) for e in range(p["gate"].shape[0])]
    return np.sum(experts, axis=0)


def _mixing(m: Any, x: torch.Tensor) -> torch.Tensor:
    hidden = torch.relu(torch.einsum("bi,ehi->beh", x, m.up))
    return torch.einsum("be,beh,eoh->bo", torch.softmax(x @ m.gate.T, 1), hidden, m.down)


def _tied() -> nn.Module:
    return model(
        lambda m, x: relu(x @ m.w.t() + m.b) @ m.w, w=nn.Parameter(torch.ones(4, 2)), b=nn.Parameter(torch.ones(4))
    )


def _same() -> nn.Module:
    net = L(3, 3, bias=False)
    return model(
        lambda m, x: m.out(torch.tanh(m.w(torch.tanh(m.w(m.a(x)))))),
        a=L(2, 3, bias=False),
        w=net,
        out=L(3, 1, bias=False),
    )


def _p(*shape: int) -> nn.Parameter:
    return nn.Parameter(torch.ones(shape))


NETWORKS: dict[str, Network] = {
    "MLP": Network(lambda: seq(L(2, 4), nn.ReLU(), L(4, 2)), _mlp, _x(2, 2)),
    "one weight twice": Network(_tied, lambda p, x: apply("relu", x @ p["w"].T + p["b"]) @ p["w"], _x(2, 2)),
    "one layer applied twice": Network(
        _same,
        lambda p, x: _linear(
            p, "out", apply("tanh", _linear(p, "w", apply("tanh", _linear(p, "w", _linear(p, "a", x)))))
        ),
        _x(1, 2),
    ),
    "residual": Network(
        lambda: model(
            lambda m, x: m.out((h := m.a(x)) + m.c(relu(m.b(h)))),
            a=L(2, 3, bias=False),
            b=L(3, 2, bias=False),
            c=L(2, 3, bias=False),
            out=L(3, 1, bias=False),
        ),
        _residual,
        _x(1, 2),
    ),
    "convolution": Network(
        lambda: seq(C1(1, 4, 2, bias=False), nn.ReLU(), C1(4, 2, 2, bias=False)),
        lambda p, x: _convolved(p, "2", apply("relu", _convolved(p, "0", x))),
        _x(1, 1, 4),
    ),
    "grouped convolution": Network(
        lambda: seq(
            C1(1, 4, 1, bias=False), nn.ReLU(), C1(4, 4, 2, groups=2, bias=False), nn.Tanh(), C1(4, 1, 1, bias=False)
        ),
        lambda p, x: _convolved(p, "4", apply("tanh", _convolved(p, "2", apply("relu", _convolved(p, "0", x)), 2))),
        _x(1, 1, 3),
    ),
    "flatten after convolution": Network(
        lambda: seq(C1(1, 3, 2, bias=False), nn.ReLU(), nn.Flatten(), L(6, 1, bias=False)),
        lambda p, x: _linear(p, "3", apply("relu", _convolved(p, "0", x)).reshape(x.shape[0], -1)),
        _x(1, 1, 3),
    ),
    "attention with 2 heads": Network(
        lambda: model(
            _attending(2, 2), q=L(2, 4, bias=False), k=L(2, 4, bias=False), v=L(2, 6, bias=False), o=L(6, 1, bias=False)
        ),
        lambda p, x: _attended(p, x, 2, 2),
        _x(2, 2),
    ),
    "grouped queries": Network(
        lambda: model(
            _attending(4, 2), q=L(2, 8, bias=False), k=L(2, 4, bias=False), v=L(2, 4, bias=False), o=L(8, 1, bias=False)
        ),
        lambda p, x: _attended(p, x, 4, 2),
        _x(2, 2),
    ),
    "LSTM cell": Network(lambda: model(_stepping, ih=L(2, 12), hh=L(3, 12, bias=False), out=L(3, 1)), _steps, _x(2, 2)),
    "layer norm": Network(
        lambda: seq(L(2, 4), nn.LayerNorm(4, eps=0.1), L(4, 1, bias=False)),
        lambda p, x: _linear(p, "2", _normalised(_linear(p, "0", x)) * p["1.weight"] + p["1.bias"]),
        _x(1, 2),
    ),
    "concatenation": Network(
        lambda: model(
            lambda m, x: m.out(torch.cat([relu(m.a(x)), torch.tanh(m.b(x))], 1)), a=L(2, 2), b=L(2, 3), out=L(5, 2)
        ),
        lambda p, x: _linear(
            p, "out", np.concatenate([apply("relu", _linear(p, "a", x)), apply("tanh", _linear(p, "b", x))], 1)
        ),
        _x(1, 2),
    ),
    "bilinear": Network(
        lambda: model(
            lambda m, x: m.out(torch.einsum("bi,oij,bj->bo", m.a(x), m.w, m.b(x))),
            a=L(2, 3, bias=False),
            b=L(2, 2, bias=False),
            w=_p(2, 3, 2),
            out=L(2, 1, bias=False),
        ),
        lambda p, x: _linear(
            p,
            "out",
            np.stack([total((_linear(p, "a", x) @ w) * _linear(p, "b", x), 1)[:, 0] for w in p["w"]], 1),
        ),
        _x(1, 2),
    ),
    "embedding": Network(
        lambda: seq(nn.Embedding(3, 4), nn.Tanh(), L(4, 2)),
        lambda p, x: _linear(p, "2", apply("tanh", p["0.weight"][x])),
        np.array([[0, 2, 1], [1, 1, 2]]),
    ),
    "gated": Network(
        lambda: model(lambda m, x: m.out((p := m.up(x).chunk(2, 1))[0] * torch.sigmoid(p[1])), up=L(2, 6), out=L(3, 2)),
        lambda p, x: _linear(p, "out", (u := _linear(p, "up", x))[:, :3] * apply("sigmoid", u[:, 3:])),
        _x(1, 2),
    ),
    "tied embedding": Network(
        lambda: model(lambda m, x: torch.tanh(F.embedding(x, m.e) @ m.w.T) @ m.e.T, e=_p(4, 3), w=_p(3, 3)),
        lambda p, x: apply("tanh", p["e"][x] @ p["w"].T) @ p["e"].T,
        np.array([0, 2, 1, 3]),
    ),
    "mixture of experts": Network(
        lambda: model(_mixing, gate=_p(3, 2), up=_p(3, 2, 2), down=_p(3, 1, 2)), _mixture, _x(1, 2)
    ),
    "outer product of activations": Network(
        lambda: model(
            lambda m, x: torch.tanh(m.a(x)[:, :, None] * m.b(x)[:, None, :]).flatten(1) @ m.w,
            a=L(2, 3, bias=False),
            b=L(2, 2, bias=False),
            w=_p(6, 1),
        ),
        lambda p, x: (
            apply("tanh", _linear(p, "a", x)[:, :, None] * _linear(p, "b", x)[:, None, :]).reshape(len(x), -1) @ p["w"]
        ),
        _x(1, 2),
    ),
    "two branches": Network(
        lambda: model(
            lambda m, x: m.c(relu(m.a(x))) + m.d(relu(m.b(x))),
            a=L(2, 2, bias=False),
            b=L(2, 3, bias=False),
            c=L(2, 1, bias=False),
            d=L(3, 1, bias=False),
        ),
        lambda p, x: (
            _linear(p, "c", apply("relu", _linear(p, "a", x))) + _linear(p, "d", apply("relu", _linear(p, "b", x)))
        ),
        _x(1, 2),
    ),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_the_group_has_as_many_elements_as_the_graph_has_automorphisms(name: str) -> None:
    network = NETWORKS[name]
    net = randomise(network.build(), 3).double()
    params = {key: tensor.detach().numpy() for key, tensor in net.named_parameters()}
    x = torch.from_numpy(network.x)
    truth = net(x).detach().numpy()
    np.testing.assert_allclose(network.written(params, network.x), truth, rtol=1e-9, atol=1e-12)
    graph = written_out(network.written, {key: value.shape for key, value in params.items()}, network.x)
    assert symmetries(net, (x,), also=()).order == automorphisms(graph)


def test_a_group_that_is_too_small_is_noticed() -> None:
    """With one layer out of scope the hidden units do not move, and the automorphisms say what is lost."""
    network = NETWORKS["MLP"]
    net = randomise(network.build(), 3).double()
    shapes = {key: tensor.shape for key, tensor in net.named_parameters()}
    lost = symmetries(net, (torch.from_numpy(network.x),), scope=["0.*"], also=()).order
    assert lost < automorphisms(written_out(network.written, shapes, network.x)) == 24
