"""What looks like a scale, a sign, a matrix or a shift and is none, next to what is one; faults that are planted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from typing import Any

import pytest
import torch
from tests.infer.gauge_networks import parts
from tests.zoo.core import C2, Inputs, L, difference, example, model, outputs, randomise, relu, seq
from torch import nn
from torch.nn import functional as F

from orbitope import SymmetryGroup, symmetries

Numbers = tuple[int, int, int, int]
"""Dimensions of scales, shifts and matrices, and bits of signs."""


@dataclass(frozen=True)
class Trap:
    """A network that invites a wrong answer.

    Attributes:
        build: makes it.
        inputs: makes its inputs.
        parts: what there is, of what keeps the function exactly.
        why: what is in the way.
        approximate: dimension of what holds at ε = 0 only.
        other: inputs of another size, at which the same must hold.
    """

    build: Callable[[], nn.Module]
    inputs: Callable[[], Inputs]
    parts: Numbers
    why: str
    approximate: int = 0
    other: Callable[[], Inputs] | None = None


def found_in(group: SymmetryGroup) -> Numbers:
    """Scales, shifts and matrices that keep the function exactly, and signs; there are no rotations here."""
    scales, shifts, matrices, rotations, signs = parts(group)
    assert not rotations
    return scales, shifts, matrices, signs


def between(function: Callable[[torch.Tensor], torch.Tensor], width: int = 5) -> Callable[[], nn.Module]:
    """Two linear maps and a function."""
    return lambda: model(lambda m, x: m.down(function(m.up(x))), up=L(3, width), down=L(width, 2))


def joined(groups: int) -> Callable[[], nn.Module]:
    """Four channels that are computed and two of the input in one norm."""
    return lambda: model(
        lambda m, x: m.out(m.norm(torch.cat([m.first(x), x], 1))),
        first=C2(2, 4, 1), norm=nn.GroupNorm(groups, 6, eps=1e-3, affine=False), out=C2(6, 3, 1),
    )  # fmt: skip


def pooled(function: Callable[[Any, torch.Tensor], torch.Tensor]) -> Callable[[], nn.Module]:
    """Positions that are pooled, with a token of its own among them or not."""
    return lambda: model(function, up=L(4, 3), out=L(3, 2), token=nn.Parameter(torch.zeros(1, 1, 3)))


def attending(weights: Callable[[torch.Tensor], torch.Tensor], given: bool = False) -> Callable[[], nn.Module]:
    """One head; some of its keys and values may be given from outside."""

    def forward(m: Any, x: torch.Tensor, *more: torch.Tensor) -> torch.Tensor:
        q, k, v = m.q(x), m.k(x), m.v(x)
        if more:
            k, v = torch.cat([k, more[0]], 1), torch.cat([v, more[1]], 1)
        return m.o(weights(q @ k.transpose(1, 2)) @ v)

    return lambda: model(forward, q=L(5, 4), k=L(5, 4), v=L(5, 3), o=L(3, 2))


def both(m: Any, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Units that are read twice, by maps of different biases."""
    h = torch.sigmoid(m.up(x))
    return m.one(h), m.two(h)


def shown(m: Any, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Units that are an output too."""
    h = relu(m.up(x))
    return m.down(h), h


def repeated(m: Any, x: torch.Tensor) -> torch.Tensor:
    """One weight that reads the input, and what it has written."""
    return m.out(relu(m.same(relu(m.same(x)))))


FLAT, IMAGE = example((6, 3)), example((3, 2, 6, 5))
STEPS, MORE = example((3, 5, 4)), example((3, 9, 4))

TRAPS = {
    # padding ---------------------------------------------------------------------------------------------------------
    "bias, no padding": Trap(
        lambda: seq(C2(2, 3, 1), C2(3, 4, 3)), IMAGE, (0, 3, 9, 0), "nothing: the second bias takes the first up",
    ),
    "bias, padding": Trap(
        lambda: seq(C2(2, 3, 1), C2(3, 4, 3, padding=1)), IMAGE, (0, 0, 9, 0), "zeros at the border are not shifted",
    ),
    "bias, padding and stride": Trap(
        lambda: seq(C2(2, 3, 1), C2(3, 4, 3, padding=1, stride=2)), IMAGE, (0, 0, 9, 0), "the same, on a coarser grid",
    ),
    "bias, padded before": Trap(
        lambda: model(lambda m, x: m.b(F.pad(m.a(x), (1, 0, 0, 1))), a=C2(2, 3, 1), b=C2(3, 4, 2)), IMAGE,
        (0, 0, 9, 0), "the same, by another operation",
    ),
    "scales, padded with zeros": Trap(
        lambda: model(lambda m, x: m.b(F.pad(relu(m.a(x)), (1, 1))), a=C2(2, 3, 1), b=C2(3, 4, 2)), IMAGE,
        (3, 0, 0, 0), "nothing: zeros stay",
    ),
    "scales, padded with ones": Trap(
        lambda: model(lambda m, x: m.b(F.pad(relu(m.a(x)), (1, 1), value=1.0)), a=C2(2, 3, 1), b=C2(3, 4, 2)),
        IMAGE, (0, 0, 0, 0), "ones do not scale",
    ),
    # positions -------------------------------------------------------------------------------------------------------
    "mean": Trap(
        pooled(lambda m, x: m.out(m.up(x).mean(1))), STEPS, (0, 3, 9, 0), "nothing: a mean of the same is the same",
        other=MORE,
    ),
    "sum": Trap(
        pooled(lambda m, x: m.out(m.up(x).sum(1))), STEPS, (0, 0, 9, 0), "a sum depends on the number of positions",
        other=MORE,
    ),
    "mean with a token": Trap(
        pooled(lambda m, x: m.out(torch.tanh(torch.cat([m.token.expand(len(x), -1, -1), m.up(x)], 1)).mean(1))),
        STEPS, (0, 0, 0, 3), "tanh lets no shift pass, but signs", other=MORE,
    ),
    "cumulated positions": Trap(
        between(lambda z: torch.cumsum(relu(z), 1)), example((4, 5, 3)), (5, 0, 0, 0),
        "nothing: every unit by itself", other=example((4, 8, 3)),
    ),
    "cumulated units": Trap(
        between(lambda z: torch.cumsum(relu(z), -1)), FLAT, (1, 0, 0, 0), "units are added: one scale for all",
    ),
    "cumulated signs": Trap(
        between(lambda z: torch.cumsum(torch.tanh(z), -1)), FLAT, (0, 0, 0, 1), "units are added: one sign for all",
    ),
    "rolled units": Trap(
        between(lambda z: relu(z) + relu(z).roll(1, -1)), FLAT, (1, 0, 0, 0), "neighbours are added",
    ),
    "rolled signs": Trap(
        between(lambda z: torch.tanh(z) + torch.tanh(z).roll(2, -1)), FLAT, (0, 0, 0, 1), "neighbours are added",
    ),
    "sorted units": Trap(
        between(lambda z: relu(z).sort(-1).values), FLAT, (1, 0, 0, 0), "sizes are compared",
    ),
    # norms -----------------------------------------------------------------------------------------------------------
    "given channels, norm of all": Trap(
        joined(1), IMAGE, (0, 0, 3, 0),
        "the norm sees channels of the input too: no scale, sign or shift of the rest, but O(4) that keeps the ones",
    ),
    "given channels, norm by groups": Trap(
        joined(3), IMAGE, (0, 2, 0, 2), "two groups are computed, the third is given", approximate=2,
    ),
    "given entries, layer norm": Trap(
        lambda: model(
            lambda m, x: m.out(torch.tanh(m.norm(torch.cat([m.up(x), x], -1)))),
            up=L(3, 4), norm=nn.LayerNorm(7, eps=1e-3, elementwise_affine=False), out=L(7, 2),
        ),
        FLAT, (0, 0, 0, 0), "the mean and the size are of all entries",
    ),
    "norms of groups": Trap(
        lambda: model(
            lambda m, x: m.out(F.rms_norm(m.up(x).unflatten(-1, (2, 3)), (3,), eps=1e-3).flatten(1)),
            up=L(5, 6), out=L(6, 2),
        ),
        example((6, 5)), (0, 0, 6, 0), "O(3) within each of 2 groups; none between groups, as each has its own length",
        approximate=2,
    ),
    "rms norm, tanh": Trap(
        lambda: seq(L(6, 5), nn.RMSNorm(5, eps=1e-3, elementwise_affine=False), nn.Tanh(), L(5, 2)), example((6, 6)),
        (0, 0, 0, 5), "tanh does not commute with rotations", approximate=1,
    ),
    # attention -------------------------------------------------------------------------------------------------------
    "attention": Trap(
        attending(lambda s: s.softmax(-1)), example((3, 4, 5)), (0, 7, 25, 0), "nothing: b_k: 4, b_v: 3",
        other=example((3, 7, 5)),
    ),
    "attention, some keys given": Trap(
        attending(lambda s: s.softmax(-1)), example((3, 4, 5), (3, 2, 4), (3, 2, 3)), (0, 0, 0, 0),
        "only some of the keys and values would move",
    ),
    "attention by sigmoid": Trap(
        attending(torch.sigmoid), example((3, 4, 5)), (0, 0, 25, 0), "weights have no fixed sum",
        other=example((3, 7, 5)),
    ),
    "attention among queries": Trap(
        attending(lambda s: s.softmax(1)), example((3, 4, 5)), (0, 4, 25, 0), "b_q is forgotten, b_k and b_v are not",
        other=example((3, 7, 5)),
    ),
    # readers ---------------------------------------------------------------------------------------------------------
    "mirrored, read with bias": Trap(
        lambda: model(both, up=L(3, 4), one=L(4, 2), two=L(4, 3)), FLAT, (0, 0, 0, 4), "nothing: both take it up",
    ),
    "mirrored, read without bias": Trap(
        lambda: model(both, up=L(3, 4), one=L(4, 2), two=L(4, 3, bias=False)), FLAT, (0, 0, 0, 0),
        "one of the readers cannot take the one up",
    ),
    "returned": Trap(lambda: model(shown, up=L(3, 4), down=L(4, 2)), FLAT, (0, 0, 0, 0), "the units are seen"),
    "repeated": Trap(
        lambda: model(repeated, same=L(4, 4), out=L(4, 2)), example((6, 4)), (0, 0, 0, 0), "one weight reads the input",
    ),
}  # fmt: skip


def made(trap: Trap) -> tuple[nn.Module, Inputs]:
    """The network with random weights, and its inputs, in float64."""
    return randomise(trap.build()).double().eval(), tuple(x.double() for x in trap.inputs())


def wrong(net: nn.Module, group: SymmetryGroup, every: list[Inputs]) -> dict[str, float]:
    """By part, how much random elements of it alone change the function; only those that do."""
    params = {key: tensor.clone() for key, tensor in net.state_dict().items()}
    found = {}
    for part, seed in product(("signs", "scales", "matrices", "translations"), range(3)):
        moved = group.sample(seed, parts=(part,)).act(params)
        for inputs in every:
            error = difference(outputs(net, params, inputs), outputs(net, moved, inputs))
            if not error < 1e-9:
                found[part] = error
    return found


@pytest.mark.parametrize("name", TRAPS)
def test_nothing_else_is_found(name: str) -> None:
    """Dimensions by hand, and what is there holds at every size."""
    trap = TRAPS[name]
    net, inputs = made(trap)
    group = symmetries(net, inputs)
    assert found_in(group) == trap.parts, trap.why
    assert group.dimension_of(approximate=True) - group.dimension == trap.approximate, trap.why
    every = [inputs] if trap.other is None else [inputs, tuple(x.double() for x in trap.other())]
    assert not wrong(net, group, every)


def test_at_one_size_only_a_sum_is_a_multiple_of_a_mean() -> None:
    """What the second size refuses: with 5 positions the next bias could take up five times the shift."""
    net, inputs = made(TRAPS["sum"])
    group = symmetries(net, inputs, also=())
    assert found_in(group) == (0, 3, 9, 0)
    assert not wrong(net, group, [inputs])
    assert "translations" in wrong(net, group, [tuple(x.double() for x in MORE())])


@pytest.mark.parametrize("norm", [nn.RMSNorm, nn.LayerNorm])
def test_the_reason_is_the_gain(norm: type[nn.Module]) -> None:
    """The gain is named, with what can be done about it; without it nothing is in the way."""
    x = torch.randn(6, 6)
    (reason,) = symmetries(seq(L(6, 5), norm(5), L(5, 2)), (x,)).continuous.reasons
    assert "O(5)" in reason and "the gain 1.weight" in reason and "fold it" in reason
    assert not symmetries(seq(L(6, 5), norm(5, elementwise_affine=False), L(5, 2)), (x,)).continuous.reasons


def test_the_reason_is_the_function_behind_the_gain() -> None:
    net = seq(L(6, 5), nn.RMSNorm(5), nn.Tanh(), L(5, 2))
    (reason,) = symmetries(net, (torch.randn(6, 6),)).continuous.reasons
    assert "1.weight" in reason and "tanh" in reason and "cannot be folded" in reason


class _CutImage(nn.Module):
    """Rows of an image that come about apart, met by one convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm, self.second, self.last = (
            nn.Conv2d(2, 4, 1),
            nn.LayerNorm(4),
            nn.Conv2d(4, 6, 2, 2),
            L(6, 3),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.first(x)
        h = torch.cat([h[:, :, :1], torch.tanh(h[:, :, 1:])], 2)
        h = self.norm(h.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        h = torch.cat([h[:, :, :1], h[:, :, 1:]], 2)
        return self.last(torch.relu(self.second(h)).mean((2, 3)))


def test_parts_of_an_image_are_not_added_up() -> None:
    """What is added everywhere before a convolution comes out of it once, however many parts the image has."""
    net = randomise(_CutImage().double().eval())
    x = torch.randn(3, 2, 4, 6, dtype=torch.float64)
    group = symmetries(net, (x,))
    assert not wrong(net, group, [(x,)])


# faults --------------------------------------------------------------------------------------------------------------
GAUGE = "orbitope.infer.gauge"

FAULTS: dict[str, tuple[str, Callable[..., Any], str]] = {
    "leaves of a norm do not feel each other": (
        f"{GAUGE}.fields.Fields._spread", lambda *_: None, "given channels, norm of all",
    ),
    "a norm has one length for all groups": (
        f"{GAUGE}.fields.Fields._is_matrix", lambda *_: True, "norms of groups",
    ),
    "readings at two sizes need not agree": (f"{GAUGE}.following._agreed", lambda _, route: route, "sum"),
    "runs of an axis may be shifted apart": (
        f"{GAUGE}.following._Walk._one_for_all", lambda _, __, gathered: gathered, "attention, some keys given",
    ),
    "zeros at a border are shifted too": (f"{GAUGE}.products._even", lambda *_: None, "bias, padding"),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_planted_faults_are_noticed(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without one of its checks the inference is wrong about one of the traps, by dimension and by function."""
    target, broken, name = FAULTS[fault]
    monkeypatch.setattr(target, broken)
    trap = TRAPS[name]
    net, inputs = made(trap)
    group = symmetries(net, inputs)
    every = [inputs] if trap.other is None else [inputs, tuple(x.double() for x in trap.other())]
    assert found_in(group) != trap.parts
    assert wrong(net, group, every)
