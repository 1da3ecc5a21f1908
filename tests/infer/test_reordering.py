"""Units whose positions a network reorders by a constant: rolled, reversed, shuffled, permuted."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from tests.zoo import randomise
from torch import nn
from torch.nn import functional as F

import orbitope
from orbitope.frontends import graphs
from orbitope.group import Ordered, SymmetryGroup
from orbitope.infer.reorderings import found
from orbitope.infer.straightening import straighten

PLACES = [3, 1, 0, 2, 5, 4, 7, 6, 9, 11, 10, 8]
OTHER = [7, 2, 9, 0, 11, 4, 1, 10, 3, 8, 5, 6]


def f(n: int) -> float:
    """log10 n!"""
    return math.lgamma(n + 1) / math.log(10)


def shuffled(h: torch.Tensor) -> torch.Tensor:
    """Three groups of four channels, then four of three."""
    return h.unflatten(1, (3, 4)).transpose(1, 2).flatten(1, 2)


class Net(nn.Module):
    """Layers, and a function of them and the input."""

    def __init__(self, change: Callable[..., torch.Tensor], **layers: nn.Module) -> None:
        super().__init__()
        for name, layer in layers.items():
            setattr(self, name, layer)
        self.change = change

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.change(self, x)


def dense(change: Callable[[torch.Tensor], torch.Tensor]) -> tuple[nn.Module, torch.Size]:
    """Twelve hidden units, changed in between."""
    net = Net(lambda m, x: m.b(change(torch.relu(m.a(x)))), a=nn.Linear(5, 12), b=nn.Linear(12, 3))
    return net, torch.Size((4, 5))


def image(change: Callable[[torch.Tensor], torch.Tensor], **more: nn.Module) -> tuple[nn.Module, torch.Size]:
    """Twelve channels, normalised and changed in between."""
    net = Net(
        lambda m, x: m.b(change(torch.relu(m.norm(m.a(x))))).mean((2, 3)),
        **{"a": nn.Conv2d(2, 12, 3), "norm": nn.BatchNorm2d(12), "b": nn.Conv2d(12, 5, 2), **more},
    )
    return net, torch.Size((2, 2, 7, 6))


def layered(change: Callable[..., torch.Tensor], **layers: nn.Module) -> tuple[nn.Module, torch.Size]:
    """Any layers for rows of five numbers."""
    return Net(change, **layers), torch.Size((4, 5))


def _two_heads(m: Any, x: torch.Tensor) -> torch.Tensor:
    h = torch.tanh(m.a(x))
    return m.b(h) + m.c(h[:, PLACES])


def _joined(m: Any, x: torch.Tensor) -> torch.Tensor:
    return m.b(torch.cat([torch.relu(m.a(x)).roll(2, 1), torch.sin(m.c(x)).flip(1)], 1))


def _stream(m: Any, x: torch.Tensor) -> torch.Tensor:
    h = m.a(x)
    h = h + m.d(torch.relu(m.c(m.norm(h))))
    h = h[:, OTHER]
    h = h + m.f(torch.relu(m.e(h)))
    return m.b(h)


def _recurrent(m: Any, x: torch.Tensor) -> torch.Tensor:
    h = torch.relu(m.a(x))
    for _ in range(3):
        h = h + torch.tanh(m.w(h)).flip(1)
    return m.b(h)


def _tied(m: Any, x: torch.Tensor) -> torch.Tensor:
    return torch.relu(x @ m.a.weight.T)[:, PLACES] @ m.a.weight


def _table(m: Any, x: torch.Tensor) -> torch.Tensor:
    return m.b(torch.relu(m.a(x)) + m.table.weight[:, PLACES].sum(0))


def _blocks(m: Any, x: torch.Tensor) -> torch.Tensor:
    return torch.stack([branch(x) for branch in m.branches]).sum(0)


def _scaled(sizes: tuple[int, ...]) -> tuple[nn.Module, torch.Size]:
    scale = torch.cat([torch.full((n,), 0.5 + k) for k, n in enumerate(sizes)])
    return dense(lambda h: h[:, PLACES] * scale.to(h))


LIN = nn.Linear
CASES = {
    "a list": (dense(lambda h: h[:, PLACES]), f(12)),
    "a tensor": (dense(lambda h: h[:, torch.tensor(OTHER)]), f(12)),
    "selected": (dense(lambda h: h.index_select(1, torch.tensor(OTHER))), f(12)),
    "rolled": (dense(lambda h: h.roll(5, 1)), f(12)),
    "rolled back": (dense(lambda h: torch.sin(h.roll(-5, 1))), f(12)),
    "reversed": (dense(lambda h: h.flip(1)), f(12)),
    "shuffled": (dense(shuffled), f(12)),
    "runs in reverse": (dense(lambda h: torch.cat(h.chunk(4, 1)[::-1], 1)), f(12)),
    "reversed in a table": (dense(lambda h: h.view(-1, 3, 4).flip(1).flatten(1)), f(12)),
    "rolled in a table": (dense(lambda h: h.view(-1, 3, 4).roll(1, 1).roll(2, 2).flatten(1)), f(12)),
    "twice": (dense(lambda h: torch.exp(h[:, PLACES])[:, OTHER]), f(12)),
    "rolled, shuffled, reversed": (dense(lambda h: shuffled(h.roll(5, 1)).flip(1)), f(12)),
    "there and back": (dense(lambda h: h + h.flip(1).tanh().flip(1)), f(12)),
    "there and back by halves": (dense(lambda h: h + h.roll(7, 1).tanh().roll(5, 1)), f(12)),
    "normalised": (dense(lambda h: F.layer_norm(h[:, PLACES], (12,))), f(12)),
    "runs of constants": (_scaled((5, 7)), f(5) + f(7)),
    "through the identity": (dense(lambda h: h[:, PLACES] @ torch.eye(12).to(h)), f(12)),
    "two heads": (layered(_two_heads, a=LIN(5, 12), b=LIN(12, 3), c=LIN(12, 3)), f(12)),
    "segments": (layered(_joined, a=LIN(5, 6), c=LIN(5, 7), b=LIN(13, 3)), f(6) + f(7)),
    "residual stream": (
        layered(_stream, a=LIN(5, 12), norm=nn.LayerNorm(12), c=LIN(12, 7), d=LIN(7, 12), e=LIN(12, 9), f=LIN(9, 12),
                b=LIN(12, 3)), f(12) + f(7) + f(9)
    ),
    "recurrent": (layered(_recurrent, a=LIN(5, 12), w=LIN(12, 12), b=LIN(12, 3)), f(12)),
    "tied": (layered(_tied, a=LIN(5, 12, bias=False)), 0.0),
    "a table": (layered(_table, a=LIN(5, 12), table=nn.Embedding(4, 12), b=LIN(12, 3)), f(12) + 12 * f(4)),
    "branches": (
        layered(_blocks, branches=nn.ModuleList(
            nn.Sequential(LIN(5, 6), nn.Tanh(), Net(lambda _, h: h.roll(1, 1)), LIN(6, 3)) for _ in range(4))),
        f(4) + 4 * f(6)
    ),
    "channels rolled": (image(lambda h: h.roll(5, 1)), f(12)),
    "channels shuffled": (image(lambda h: F.channel_shuffle(h, 3)), f(12)),
    "channels shuffled by hand": (image(shuffled), f(12)),
    # with groups of channels behind or before, the groups change places, and channels within a group
    "shuffled before groups": (image(shuffled, b=nn.Conv2d(12, 8, 2, groups=4)), 4 * f(3)),
    "shuffled behind groups": (image(shuffled, a=nn.Conv2d(2, 12, 3, groups=2)), 2 * f(6)),
    "normalised in groups": (image(shuffled, norm=nn.GroupNorm(3, 12)), f(3) + 3 * f(4)),
    # a loop leaves only what commutes with it, or less
    "rolled and added": (dense(lambda h: h + h.roll(3, 1)), f(3)),
    "rolled by one and added": (dense(lambda h: h + h.roll(1, 1)), 0.0),
    "reversed and added": (dense(lambda h: h + h.flip(1).tanh()), 0.0),
    "two ways at once": (dense(lambda h: h[:, PLACES].sin() + h[:, OTHER].cos()), 0.0),
}  # fmt: skip


def _prepared(name: str) -> tuple[nn.Module, tuple[torch.Tensor, ...], SymmetryGroup]:
    net, shape = CASES[name][0]
    net = randomise(net).double().eval()
    args = (torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(5)),)
    return net, args, orbitope.symmetries(net, args)


@pytest.mark.parametrize("name", CASES)
def test_the_order_is_the_closed_form_and_elements_keep_the_function(name: str) -> None:
    net, args, group = _prepared(name)
    assert group.log10_order == pytest.approx(CASES[name][1], abs=1e-9)
    before = net(*args)
    params = dict(net.state_dict())
    again = SymmetryGroup.from_json(group.to_json())
    moved = False
    for seed in range(3):
        twin = group.sample(seed).act(params)
        assert (torch.func.functional_call(net, twin, args) - before).abs().max() < 1e-10 * before.abs().max()
        assert all(torch.equal(x, twin[key]) for key, x in again.sample(seed).act(params).items())
        moved = moved or any(not torch.equal(x, params[key]) for key, x in twin.items())
    assert moved == bool(group.units)
    everything = group.sample(1, "all").act(params)
    assert (torch.func.functional_call(net, everything, args) - before).abs().max() < 1e-10 * before.abs().max()


def test_a_swap_is_what_it_must_be() -> None:
    net, _, group = _prepared("a list")
    params = dict(net.state_dict())
    (unit,) = group.units
    twin = group.swap(unit, 2, 9, ()).act(params)
    rows, columns = list(range(12)), list(range(12))
    rows[2], rows[9] = 9, 2
    i, j = PLACES.index(2), PLACES.index(9)
    columns[i], columns[j] = j, i
    assert torch.equal(twin["a.weight"], params["a.weight"][rows])
    assert torch.equal(twin["a.bias"], params["a.bias"][rows])
    assert torch.equal(twin["b.weight"], params["b.weight"][:, columns])
    assert torch.equal(twin["b.bias"], params["b.bias"])


def test_the_first_parameter_is_read_as_it_stands() -> None:
    _, _, group = _prepared("a list")
    marked = {name for name, each in group.placements.items() if any(isinstance(axis, Ordered) for axis in each.axes)}
    assert marked == {"b.weight"}


def test_a_loop_stays_in_the_program() -> None:
    net, args, _ = _prepared("rolled and added")
    (graph,) = graphs(net, args, also=())
    assert list(found(graph))
    assert straighten(graph) is graph


def test_a_program_without_reorderings_is_left_alone() -> None:
    net, shape = dense(torch.sin)
    (graph,) = graphs(net.eval(), (torch.randn(shape),), also=())
    assert straighten(graph) is graph


def test_a_reordering_that_is_undone_is_no_order() -> None:
    _, _, group = _prepared("there and back")
    assert not any(isinstance(axis, Ordered) for each in group.placements.values() for axis in each.axes)
