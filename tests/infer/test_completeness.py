"""Brute force: among all permutations of every parameter axis, exactly the group's keep the function.

Elements with another permutation of one axis for each position of another, as inside the groups of a convolution, are
no permutations of axes; they are left to the tests of soundness.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import permutations, product

import pytest
import torch
from tests.zoo import C1, L, model, randomise, seq
from torch import nn

from orbitope import symmetries
from orbitope.group import SymmetryGroup

Moves = tuple[tuple[int, ...], ...]
"""For each parameter where each of its entries comes from."""

relu = torch.relu


def _variants(shape: torch.Size) -> list[tuple[int, ...]]:
    """The index tensors of all permutations of all axes of one parameter, flattened."""
    index = torch.arange(shape.numel()).reshape(shape)
    found = []
    for choice in product(*(permutations(range(n)) for n in shape)):
        moved = index
        for axis, order in enumerate(choice):
            moved = moved.index_select(axis, torch.tensor(order))
        found.append(tuple(moved.flatten().tolist()))
    return list(dict.fromkeys(found))


def keep_the_function(net: nn.Module, x: torch.Tensor) -> set[Moves]:
    """By evaluating the PyTorch module at every combination of permuted parameters."""
    params = {name: tensor for name, tensor in net.state_dict().items() if tensor.is_floating_point()}
    names = list(params)
    variants = [_variants(params[name].shape) for name in names]
    truth = net(x).detach()

    def outputs(*values: torch.Tensor) -> torch.Tensor:
        return torch.func.functional_call(net, dict(zip(names, values, strict=True)), (x,))

    kept = {()}
    tables = [torch.tensor(found) for found in variants]
    combinations = torch.cartesian_prod(*(torch.arange(len(found)) for found in variants)).reshape(-1, len(names))
    for chunk in combinations.split(20_000):
        values = [
            params[name].flatten()[table[chunk[:, k]]].reshape(-1, *params[name].shape)
            for k, (name, table) in enumerate(zip(names, tables, strict=True))
        ]
        with torch.no_grad():
            error = (torch.func.vmap(outputs)(*values) - truth).abs().flatten(1).amax(1)
        for row in chunk[error < 1e-9 * truth.abs().max()].tolist():
            kept.add(tuple(variants[k][pick] for k, pick in enumerate(row)))
    return kept - {()}


def all_elements(group: SymmetryGroup) -> Iterator[dict[str, list[object]]]:
    """Permutations of every units at every position of what they are over."""

    def of(unit_sizes: tuple[int, ...], n: int) -> list[object]:
        if not unit_sizes:
            return [list(p) for p in permutations(range(n))]
        inner = of(unit_sizes[1:], n)
        return [list(rows) for rows in product(inner, repeat=unit_sizes[0])]

    for choice in product(*(of(unit.over_sizes, unit.size) for unit in group.units)):
        yield {unit.name: table for unit, table in zip(group.units, choice, strict=True)}


def found_by_the_group(group: SymmetryGroup, net: nn.Module) -> set[Moves]:
    index = {
        name: torch.arange(tensor.numel()).reshape(tensor.shape)
        for name, tensor in net.state_dict().items()
        if tensor.is_floating_point()
    }
    found = set()
    for table in all_elements(group):
        moved = group.element(table).act(index, partial=True)
        found.add(tuple(tuple(moved[name].flatten().tolist()) for name in index))
    return found


def _bn() -> nn.Module:
    return seq(L(2, 3, bias=False), nn.BatchNorm1d(3, affine=False), nn.ReLU(), L(3, 1, bias=False))


def _tied() -> nn.Module:
    weight, bias = nn.Parameter(torch.ones(4, 2)), nn.Parameter(torch.ones(4))
    return model(lambda m, x: relu(x @ m.w.t() + m.b) @ m.w, w=weight, b=bias)


TINY: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "five units": (lambda: seq(L(1, 5, bias=False), nn.Tanh(), L(5, 1, bias=False)), (3, 1)),
    "biases": (lambda: seq(L(2, 3), nn.ReLU(), L(3, 2)), (4, 2)),
    "four units": (lambda: seq(L(2, 4), nn.ReLU(), L(4, 1)), (5, 2)),
    "two layers": (
        lambda: seq(L(1, 3, bias=False), nn.ReLU(), L(3, 3, bias=False), nn.Tanh(), L(3, 1, bias=False)),
        (4, 1),
    ),
    "batch norm": (_bn, (5, 2)),
    "layer norm": (lambda: seq(L(2, 4, bias=False), nn.LayerNorm(4, bias=False), L(4, 1, bias=False)), (5, 2)),
    "width one": (lambda: seq(L(2, 1), nn.ReLU(), L(1, 3)), (5, 2)),
    "residual": (
        lambda: model(
            lambda m, x: m.out((h := m.a(x)) + m.c(relu(m.b(h)))),
            a=L(2, 3, bias=False),
            b=L(3, 2, bias=False),
            c=L(2, 3, bias=False),
            out=L(3, 1, bias=False),
        ),
        (4, 2),
    ),
    "h + W h": (
        lambda: model(
            lambda m, x: m.out((h := torch.tanh(m.a(x))) + m.w(h)),
            a=L(2, 4, bias=False),
            w=L(4, 4, bias=False),
            out=L(4, 1, bias=False),
        ),
        (4, 2),
    ),
    "tied": (_tied, (4, 2)),
    "gated": (
        lambda: model(
            lambda m, x: m.out((p := m.up(x).chunk(2, 1))[0] * torch.sigmoid(p[1])),
            up=L(2, 6, bias=False),
            out=L(3, 2, bias=False),
        ),
        (4, 2),
    ),
    "concat": (
        lambda: model(
            lambda m, x: m.out(torch.cat([relu(m.a(x)), torch.tanh(m.b(x))], 1)),
            a=L(2, 2, bias=False),
            b=L(2, 3, bias=False),
            out=L(5, 1, bias=False),
        ),
        (4, 2),
    ),
    "constant": (
        lambda: model(
            lambda m, x: m.out(relu(m.a(x)) * torch.tensor([1.5, 1.5, 1.5, 0.5, 0.5]).double()),
            a=L(1, 5),
            out=L(5, 1, bias=False),
        ),
        (4, 1),
    ),
    "fixed": (lambda: model(lambda m, x: m.out(torch.cumsum(m.a(x), 1)), a=L(2, 4, bias=False), out=L(4, 2)), (4, 2)),
    "maxout": (
        lambda: model(lambda m, x: m.out(m.up(x).unflatten(1, (2, 2)).amax(2)), up=L(2, 4), out=L(2, 1, bias=False)),
        (5, 2),
    ),
    "view undone": (
        lambda: model(lambda m, x: m.out(torch.tanh(m.a(x).view(-1, 2, 2)).flatten(1)), a=L(2, 4), out=L(4, 1)),
        (5, 2),
    ),
    "group norm": (
        lambda: seq(C1(2, 4, 1, bias=False), nn.GroupNorm(2, 4), nn.ReLU(), C1(4, 1, 1, bias=False)),
        (2, 2, 3),
    ),
    "shuffled": (
        lambda: model(
            lambda m, x: m.out(torch.cat([relu(m.a(x)), torch.tanh(m.b(x))], 1).view(-1, 2, 2).mT.flatten(1)),
            a=L(1, 2),
            b=L(1, 2, bias=False),
            out=L(4, 1, bias=False),
        ),
        (4, 1),
    ),
    "every other": (
        lambda: model(
            lambda m, x: m.p((h := torch.tanh(m.a(x)))[:, ::2]) + m.q(h[:, 1::2].square()),
            a=L(1, 4),
            p=L(2, 1, bias=False),
            q=L(2, 1, bias=False),
        ),
        (4, 1),
    ),
    "identity": (
        lambda: model(
            lambda m, x: m.out(torch.tanh(torch.tanh(m.a(x)) @ (m.w + torch.eye(3).double()))),
            a=L(2, 3),
            w=nn.Parameter(torch.zeros(3, 3)),
            out=L(3, 1, bias=False),
        ),
        (4, 2),
    ),
    "listed": (
        lambda: model(
            lambda m, x: m.p((h := relu(m.a(x)))[:, [-2, -1]]) + m.q(h[:, [0, 1]].square()),
            a=L(1, 5, bias=False),
            p=L(2, 1, bias=False),
            q=L(2, 1, bias=False),
        ),
        (4, 1),
    ),
    "convolution": (lambda: seq(C1(1, 4, 2), nn.ReLU(), C1(4, 2, 2, bias=False)), (2, 1, 5)),
    "flatten after convolution": (
        lambda: seq(C1(1, 3, 2), nn.ReLU(), nn.Flatten(), L(6, 1, bias=False)),
        (3, 1, 3),
    ),
    "grouped convolution": (
        lambda: seq(
            C1(1, 4, 1, bias=False), nn.ReLU(), C1(4, 4, 1, groups=2, bias=False), nn.Tanh(), C1(4, 1, 2, bias=False)
        ),
        (3, 1, 4),
    ),
    "depthwise": (
        lambda: seq(C1(1, 3, 1), nn.ReLU(), C1(3, 3, 2, groups=3, bias=False), nn.Tanh(), C1(3, 1, 1, bias=False)),
        (3, 1, 4),
    ),
    "multiplier": (
        lambda: seq(C1(1, 2, 1), nn.ReLU(), C1(2, 4, 2, groups=2, bias=False), nn.Tanh(), C1(4, 1, 1, bias=False)),
        (3, 1, 4),
    ),
    "transposed": (
        lambda: seq(
            C1(1, 3, 1), nn.ReLU(), nn.ConvTranspose1d(3, 3, 2, bias=False), nn.Tanh(), C1(3, 1, 1, bias=False)
        ),
        (3, 1, 3),
    ),
    "padded shortcut": (
        lambda: model(
            lambda m, x: m.out(torch.tanh(m.b(h := relu(m.a(x))) + nn.functional.pad(h, (0, 2)))),
            a=L(2, 2, bias=False),
            b=L(2, 4, bias=False),
            out=L(4, 1, bias=False),
        ),
        (4, 2),
    ),
}


@pytest.mark.parametrize("name", TINY)
def test_the_group_is_all_there_is(name: str) -> None:
    build, shape = TINY[name]
    x = torch.randn(shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    net = randomise(build(), 3).double()
    group = symmetries(net, (x,))
    found = found_by_the_group(group, net)
    assert len(found) == group.order, "different elements act differently"
    variants = [set(_variants(x.shape)) for x in net.state_dict().values() if x.is_floating_point()]
    of_axes = {moves for moves in found if all(move in known for move, known in zip(moves, variants, strict=True))}
    assert of_axes == keep_the_function(net, x)


def test_brute_force_sees_what_is_missing() -> None:
    """The oracle itself: with half of the group frozen away it finds more than the group."""
    net = randomise(seq(L(2, 3), nn.ReLU(), L(3, 2)), 3).double()
    x = torch.randn(4, 2, dtype=torch.float64)
    frozen = symmetries(net, (x,), scope=["0.*"])
    assert found_by_the_group(frozen, net) < keep_the_function(net, x)
