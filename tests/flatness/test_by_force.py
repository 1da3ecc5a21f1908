"""The discrete part by brute force: all changes of signs of tiny networks are tried, all ways to turn units over."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product
from math import pi
from typing import Any

import pytest
import torch
from tests.flatness.core import RMS
from tests.zoo.core import C1, Inputs, L, example, model, randomise, relu, seq
from torch import nn
from torch.func import functional_call, vmap
from torch.nn import functional as F
from torch.nn.utils.parametrizations import weight_norm

from orbitope import SymmetryGroup, symmetries

Params = dict[str, torch.Tensor]


@dataclass(frozen=True)
class Tiny:
    """A network of at most 16 numbers.

    Attributes:
        build: makes it.
        inputs: makes its inputs.
        bits: of the signs that keep the function, by hand.
        batched: whether many parameters can be tried at once.
    """

    build: Callable[[], nn.Module]
    inputs: Callable[[], Inputs]
    bits: int
    batched: bool = True


def gated(function: Callable[[torch.Tensor], torch.Tensor], bias: bool = True) -> Callable[[], nn.Module]:
    """Two units with a gate."""
    return lambda: model(
        lambda m, x: m.down(function(m.gate(x)) * m.up(x)),
        gate=L(1, 2, bias=bias), up=L(1, 2, bias=bias), down=L(2, 1, bias=bias),
    )  # fmt: skip


def recurrent(cell: nn.Module, width: int) -> nn.Module:
    """All states, read by a linear map."""
    return model(lambda m, x: m.out(m.cell(x)[0]), cell=cell, out=L(width, 1))


def compared() -> nn.Module:
    """Two heads of one dimension: queries and keys are normalised over both heads, with a gain, before they meet."""

    def forward(m: Any, x: torch.Tensor) -> torch.Tensor:
        q, k = m.first(m.q(x)), m.second(m.k(x))
        scores = q[:, :, None] * k[:, None]
        return m.out((scores.softmax(2) * m.v(x)[:, None]).sum(2))

    each = {name: L(1, 2, bias=False) for name in ("q", "k", "v")}
    return model(forward, **each, first=RMS(2, gain=True), second=RMS(2, gain=True), out=L(2, 1))


def stream() -> nn.Module:
    """A residual stream of two numbers and two units."""
    return model(
        lambda m, x: m.out((h := relu(m.into(x))) + m.down(torch.tanh(m.up(h)))),
        into=L(1, 2), up=L(2, 2, bias=False), down=L(2, 2, bias=False), out=L(2, 1),
    )  # fmt: skip


def experts() -> nn.Module:
    """Two experts of one unit of tanh."""

    def forward(m: Any, x: torch.Tensor) -> torch.Tensor:
        weights = m.router(x).softmax(-1)
        return weights[:, :1] * m.one(x) + weights[:, 1:] * m.two(x)

    made = {name: nn.Sequential(L(2, 1), nn.Tanh(), L(1, 1, bias=False)) for name in ("one", "two")}
    return model(forward, router=L(2, 2), **made)


FLAT, STEPS = example((7, 2)), example((3, 4, 1))
LINE = example((9, 1))

SIGNED = {
    "tanh": Tiny(lambda: seq(L(2, 3), nn.Tanh(), L(3, 1)), FLAT, 3),
    "two layers": Tiny(lambda: seq(L(1, 2), nn.Tanh(), L(2, 2), nn.Softsign(), L(2, 1)), LINE, 4),
    "relu": Tiny(lambda: seq(L(2, 3), nn.ReLU(), L(3, 1)), FLAT, 0),
    "gelu": Tiny(lambda: seq(L(2, 3), nn.GELU(), L(3, 1)), FLAT, 0),
    "square": Tiny(lambda: model(lambda m, x: m.b(m.a(x) ** 2), a=L(2, 3), b=L(3, 1)), FLAT, 3),
    "cube": Tiny(lambda: model(lambda m, x: m.b(m.a(x) ** 3), a=L(2, 3), b=L(3, 1)), FLAT, 3),
    "swiglu": Tiny(gated(F.silu), LINE, 2),
    "gate of tanh": Tiny(gated(torch.tanh), LINE, 4),
    "product": Tiny(gated(lambda z: z, bias=False), LINE, 4),
    "rms norm": Tiny(lambda: seq(L(2, 2), RMS(2, gain=True), L(2, 1)), FLAT, 4),
    "layer norm": Tiny(lambda: seq(L(1, 3, bias=False), nn.LayerNorm(3), L(3, 1)), LINE, 4),
    "batch norm": Tiny(lambda: seq(L(1, 2), nn.BatchNorm1d(2), L(2, 1)), LINE, 4),
    "batch norm, relu": Tiny(lambda: seq(L(1, 2), nn.BatchNorm1d(2), nn.ReLU(), L(2, 1)), LINE, 2),
    "group norm": Tiny(lambda: seq(C1(1, 2, 2), nn.GroupNorm(1, 2), nn.ReLU(), C1(2, 1, 1)), example((3, 1, 5)), 1),
    "weight norm": Tiny(lambda: seq(weight_norm(L(1, 2)), nn.Tanh(), L(2, 1)), LINE, 4, batched=False),
    "convolution": Tiny(lambda: seq(C1(1, 2, 2), nn.Tanh(), C1(2, 2, 2)), example((3, 1, 5)), 2),
    "depthwise": Tiny(lambda: seq(C1(2, 2, 1), C1(2, 2, 2, groups=2), nn.Tanh(), C1(2, 1, 1)), example((3, 2, 5)), 4),
    "residual": Tiny(stream, LINE, 2),
    "compared": Tiny(compared, STEPS, 8),
    "rnn": Tiny(lambda: recurrent(nn.RNN(1, 2, batch_first=True), 2), STEPS, 2, batched=False),
    "gru": Tiny(lambda: recurrent(nn.GRU(1, 1, batch_first=True), 1), STEPS, 1, batched=False),
    "experts": Tiny(experts, FLAT, 2),
}


def made(build: Callable[[], nn.Module], inputs: Callable[[], Inputs]) -> tuple[nn.Module, Inputs, SymmetryGroup]:
    """The network with random weights in float64, its inputs and its group."""
    net = randomise(build()).double().eval()
    given = tuple(x.double() for x in inputs())
    return net, given, symmetries(net, given)


def entries(net: nn.Module) -> Params:
    """All numbers of a network."""
    return {name: x.detach().clone() for name, x in net.state_dict().items() if x.is_floating_point()}


def outputs(net: nn.Module, tried: Params, inputs: Inputs, batched: bool = True) -> torch.Tensor:
    """What the network returns for each of many parameters, ``[tried, all outputs]``."""
    rest = {name: x for name, x in net.state_dict().items() if name not in tried}

    def one(params: Params) -> torch.Tensor:
        return functional_call(net, {**params, **rest}, inputs).flatten()

    if batched:
        return vmap(one, chunk_size=4096)(tried)
    count = len(next(iter(tried.values())))
    return torch.stack([one({name: x[k] for name, x in tried.items()}) for k in range(count)])


def elements(group: SymmetryGroup) -> Iterator[dict[str, torch.Tensor]]:
    """Every choice of the flips."""
    families = group.continuous.flips
    for chosen in product(*(product((False, True), repeat=torch.Size(each.sizes).numel()) for each in families)):
        yield {each.name: torch.tensor(bits).reshape(each.sizes) for each, bits in zip(families, chosen, strict=True)}


@pytest.mark.parametrize("name", SIGNED)
def test_signs_are_all_that_keep_the_function(name: str) -> None:
    """Of all patterns of signs those that keep the function are the elements of the group."""
    case = SIGNED[name]
    net, inputs, group = made(case.build, case.inputs)
    params = entries(net)
    total = sum(x.numel() for x in params.values())
    assert total <= 16
    signs = 1.0 - 2.0 * ((torch.arange(2**total)[:, None] >> torch.arange(total)) & 1).double()
    pieces = signs.split([x.numel() for x in params.values()], 1)
    tried = {key: piece.reshape(-1, *x.shape) * x for (key, x), piece in zip(params.items(), pieces, strict=True)}
    before = outputs(net, {key: x[None] for key, x in params.items()}, inputs, case.batched)
    kept = (outputs(net, tried, inputs, case.batched) - before).abs().amax(1) < 1e-12
    assert int(kept.sum()) == 2**case.bits
    right = {tuple(row.tolist()) for row in signs[kept]}
    found = set()
    for values in elements(group):
        image = group.element(values=values).act(dict(net.state_dict()))
        found.add(tuple(torch.cat([(image[key] / x).flatten() for key, x in params.items()]).round().tolist()))
    assert found <= right and len(found) == 2**group.sign_bits == 2**case.bits


# units that are turned over ------------------------------------------------------------------------------------------
TURNED: dict[str, tuple[Callable[[torch.Tensor], torch.Tensor], float, int]] = {
    "sigmoid": (torch.sigmoid, 1.0, 1),
    "hardsigmoid": (F.hardsigmoid, 1.0, 1),
    "relu6": (F.relu6, 6.0, 1),
    "sine": (torch.sin, pi, 2),
    "cosine": (torch.cos, pi, 2),
    "tanh": (torch.tanh, 1.0, 1),
    "hardtanh": (F.hardtanh, 1.0, 1),
    "softplus": (F.softplus, 1.0, 0),
}
"""A function, a number that may be added to its biases, and the bits of a unit."""


@pytest.mark.parametrize("name", TURNED)
def test_units_are_turned_over_in_all_ways_there_are(name: str) -> None:
    """Of all signs and shifts of two units those that leave a constant over are the elements of the group."""
    function, shift, bits = TURNED[name]
    net, inputs, group = made(
        lambda: model(lambda m, x: m.down(function(m.up(x))), up=L(2, 2), down=L(2, 1)),
        lambda: (4 * example((60, 2))()[0],),
    )
    params = entries(net)
    # of a unit: the signs of its weights and its bias, what is added to the bias, the sign of what reads it
    unit = [(a, b, c, d, e) for a, b, c, e in product((1.0, -1.0), repeat=4) for d in (0.0, shift)]
    choices = torch.tensor(list(product(unit, repeat=2)), dtype=torch.float64)
    tried = {
        "up.weight": choices[..., :2] * params["up.weight"],
        "up.bias": choices[..., 2] * params["up.bias"] + choices[..., 3],
        "down.weight": (choices[..., 4] * params["down.weight"][0])[:, None],
        "down.bias": params["down.bias"].expand(len(choices), 1),
    }
    before = outputs(net, {key: x[None] for key, x in params.items()}, inputs)
    left = outputs(net, tried, inputs) - before
    kept = (left - left[:, :1]).abs().amax(1) < 1e-12
    right = {told({key: x[k] for key, x in tried.items()}, shift) for k in kept.nonzero()[:, 0]}
    found = set()
    for values in elements(group):
        image = group.element(values=values).act(params)
        assert torch.allclose(outputs(net, {key: x[None] for key, x in image.items()}, inputs), before, atol=1e-12)
        found.add(told(image, shift))
    assert found == right and len(found) == 2 ** (2 * bits) == 2**group.sign_bits


def told(params: Params, shift: float) -> tuple[float, ...]:
    """What two units are, in numbers that can be compared; whole turns of periodic functions are nothing."""
    bias = params["up.bias"] % (2 * pi) if shift == pi else params["up.bias"]
    every = torch.cat([params["up.weight"].flatten(), bias, params["down.weight"].flatten()])
    return tuple(round(x, 9) + 0.0 for x in every.tolist())


# what is left out, and what is left over -----------------------------------------------------------------------------
def test_slopes_go_over_into_their_reciprocals() -> None:
    """(w, b, a, v) → (−w, −b, 1/a, −a·v) keeps a unit of PReLU, and the group does not contain it."""
    net, inputs, group = made(lambda: seq(L(2, 3), nn.PReLU(3), L(3, 1)), FLAT)
    params = entries(net)
    image = {key: x.clone() for key, x in params.items()}
    for key in ("0.weight", "0.bias"):
        image[key][1] *= -1
    image["1.weight"][1] = 1 / params["1.weight"][1]
    image["2.weight"][:, 1] *= -params["1.weight"][1]
    before, after = (functional_call(net, each, inputs) for each in (params, image))
    assert torch.allclose(before, after, atol=1e-12) and group.sign_bits == 0


def test_a_map_beside_gelu_takes_up_what_is_left_over() -> None:
    """φ(z) = φ(−z) + z: (w, b) → −, and v·w goes to the map beside it: one sign of the group for each unit."""
    net, inputs, group = made(
        lambda: model(
            lambda m, x: m.down(F.gelu(m.up(x))) + m.past(x), up=L(2, 3), down=L(3, 1), past=L(2, 1, bias=False)
        ),
        FLAT,
    )
    params = entries(net)
    image = {key: x.clone() for key, x in params.items()}
    for key in ("up.weight", "up.bias"):
        image[key][1] *= -1
    image["past.weight"] += params["down.weight"][:, 1:2] * params["up.weight"][1:2]
    image["down.bias"] += params["down.weight"][:, 1] * params["up.bias"][1]
    before, after = (functional_call(net, each, inputs) for each in (params, image))
    assert torch.allclose(before, after, atol=1e-12) and group.sign_bits == 3
    (family,) = group.continuous.flips
    moved = group.element(values={family.name: torch.tensor([False, True, False])}).act(params)
    assert all(torch.allclose(moved[key], image[key], atol=1e-12) for key in image)
