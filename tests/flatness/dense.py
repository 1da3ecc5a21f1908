"""Dense networks: activations, products, low rank."""

from __future__ import annotations

from collections.abc import Callable

import torch
from tests.flatness.core import Network
from tests.zoo.core import L, example, model, relu, seq
from torch import nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import weight_norm


def hidden(function: Callable[[torch.Tensor], torch.Tensor], inside: int, width: int, after: int) -> nn.Module:
    """One hidden layer."""
    return model(lambda m, x: m.down(function(m.up(x))), up=L(inside, width), down=L(width, after))


def gated(
    function: Callable[[torch.Tensor], torch.Tensor], inside: int, width: int, after: int, bias: bool = True
) -> nn.Module:
    """One hidden layer with a gate."""
    return model(
        lambda m, x: m.down(function(m.gate(x)) * m.up(x)),
        gate=L(inside, width, bias=bias),
        up=L(inside, width, bias=bias),
        down=L(width, after),
    )


class Adapted(nn.Module):
    """A linear map with a low-rank pair beside it."""

    def __init__(self, trained: bool) -> None:
        super().__init__()
        self.base = L(5, 7)
        self.base.requires_grad_(trained)
        self.a, self.b = nn.Parameter(torch.zeros(3, 5)), nn.Parameter(torch.zeros(7, 3))
        self.out = L(7, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.out(relu(self.base(x) + x @ self.a.T @ self.b.T))


BENT, ODD = "ReLU, LeakyReLU, PReLU", "tanh, erf, softsign, any odd φ"
GATED, SMOOTH = "SwiGLU, GeGLU, GLU", "GELU, SiLU, softplus, hardswish"
RECIPROCAL = (
    "the slope goes over into its reciprocal, and a slope of 0, as that of ReLU, has none: no group of these acts on "
    "all parameters"
)
SMALL = "layer-scale, squeeze-excite, weight-norm, LoRA"

NETWORKS = (
    Network(
        "ReLU, three layers", BENT, lambda: seq(L(3, 5), nn.ReLU(), L(5, 4), nn.ReLU(), L(4, 2)), example((6, 3)),
        (9, 0, 0, 0, 0), "one positive scale for each of 5 + 4 hidden units",
    ),
    Network(
        "LeakyReLU", BENT, lambda: hidden(F.leaky_relu, 4, 6, 3), example((6, 4)),
        (6, 0, 0, 0, 0), "one positive scale for each of 6 hidden units",
    ),
    Network(
        "PReLU by channel", BENT, lambda: seq(L(3, 5), nn.PReLU(5), L(5, 2)), example((6, 3)),
        (5, 0, 0, 0, 5), "a positive scale for each of 5 hidden units, and (w, b, a, v) → (−w, −b, 1/a, −a·v)",
        missing=(0, 0, 0, 0, 5), awaits=RECIPROCAL,
    ),
    Network(
        "PReLU of one slope", BENT, lambda: seq(L(3, 4), nn.PReLU(), L(4, 2)), example((6, 3)),
        (4, 0, 0, 0, 1), "a positive scale for each of 4 hidden units; all of them are turned over together",
        missing=(0, 0, 0, 0, 1), awaits=RECIPROCAL,
    ),
    Network(
        "tanh", ODD, lambda: hidden(torch.tanh, 3, 4, 2), example((6, 3)),
        (0, 0, 0, 0, 4), "signs only (Sussmann 1992)",
    ),
    Network(
        "erf", ODD, lambda: hidden(torch.erf, 3, 5, 4), example((6, 3)),
        (0, 0, 0, 0, 5), "signs only: erf is odd",
    ),
    Network(
        "softsign", ODD, lambda: hidden(F.softsign, 4, 3, 2), example((6, 4)),
        (0, 0, 0, 0, 3), "signs only: softsign is odd",
    ),
    Network(
        "sigmoid", "sigmoid, hardsigmoid", lambda: hidden(torch.sigmoid, 3, 6, 2), example((6, 3)),
        (0, 0, 0, 0, 6), "σ(−z) = 1 − σ(z): flips that the next bias takes up",
    ),
    Network(
        "hardsigmoid", "sigmoid, hardsigmoid", lambda: hidden(F.hardsigmoid, 3, 4, 5), example((6, 3)),
        (0, 0, 0, 0, 4), "the same flips as sigmoid",
    ),
    Network(
        "ReLU6", "ReLU6", lambda: hidden(F.relu6, 5, 4, 3), example((6, 5)),
        (0, 0, 0, 0, 4), "φ(6 − z) = 6 − φ(z): flips",
    ),
    Network(
        "sine", "sin", lambda: hidden(torch.sin, 2, 4, 3), example((6, 2)),
        (0, 0, 0, 0, 8), "discrete: each unit turns its phase over at 0, with a sign, and at π/2, without",
    ),
    Network(
        "GELU", SMOOTH, lambda: hidden(F.gelu, 3, 5, 3), example((6, 3)), (0, 0, 0, 0, 0), "permutations only",
    ),
    Network(
        "SiLU", SMOOTH, lambda: hidden(F.silu, 2, 5, 3), example((6, 2)), (0, 0, 0, 0, 0), "permutations only",
    ),
    Network(
        "softplus", SMOOTH, lambda: hidden(F.softplus, 4, 3, 2), example((6, 4)), (0, 0, 0, 0, 0), "permutations only",
    ),
    Network(
        "hardswish", SMOOTH, lambda: hidden(F.hardswish, 3, 4, 2), example((6, 3)), (0, 0, 0, 0, 0),
        "permutations only",
    ),
    Network(
        "ELU", SMOOTH, lambda: hidden(F.elu, 2, 4, 3), example((6, 2)), (0, 0, 0, 0, 0), "permutations only",
    ),
    Network(
        "GELU beside a linear map", SMOOTH,
        lambda: model(
            lambda m, x: m.down(F.gelu(m.up(x))) + m.past(x), up=L(3, 5), down=L(5, 2), past=L(3, 2, bias=False)
        ),
        example((6, 3)), (0, 0, 0, 0, 5), "φ(z) = φ(−z) + z: a unit is turned over, and the map beside it takes up z",
    ),
    Network(
        "cube", "x^d", lambda: hidden(lambda z: z**3, 3, 5, 2), example((6, 3)),
        (5, 0, 0, 0, 5), "(s·z)³ = s³·z³: a scale and a sign for each of 5 units",
    ),
    Network(
        "square, one output", "x^d",
        lambda: model(lambda m, x: m.down(m.up(x) ** 2), up=L(3, 3, bias=False), down=L(3, 1, bias=False)),
        example((6, 3)), (3, 0, 0, 0, 3), "(s·z)² = s²·z²: a scale and a sign for each of 3 units", measured=6,
        reason="the output is a quadratic form of 3 inputs, 6 numbers out of 12: so(p, q) of its signature mixes units",
    ),
    Network(
        "square, two outputs", "x^d", lambda: hidden(torch.square, 3, 3, 2), example((6, 3)),
        (3, 0, 0, 0, 3), "(s·z)² = s²·z²; two quadratic forms are diagonal together in one basis only",
    ),
    Network(
        "SwiGLU", GATED, lambda: gated(F.silu, 3, 5, 2), example((6, 3)), (5, 0, 0, 0, 5), "up by D, down by D⁻¹",
    ),
    Network(
        "GEGLU", GATED, lambda: gated(F.gelu, 4, 3, 2, bias=False), example((6, 4)),
        (3, 0, 0, 0, 3), "up by D, down by D⁻¹",
    ),
    Network(
        "GLU", GATED, lambda: gated(torch.sigmoid, 3, 6, 4), example((6, 3)), (6, 0, 0, 0, 6), "up by D, down by D⁻¹",
    ),
    Network(
        "ReGLU", GATED, lambda: gated(relu, 4, 5, 3), example((6, 4)),
        (10, 0, 0, 0, 5), "up by D, down by D⁻¹, and the gate by a positive D with down by D⁻¹",
    ),
    Network(
        "bilinear", GATED, lambda: gated(lambda z: z, 5, 3, 4), example((6, 5)),
        (6, 0, 0, 0, 6), "two scales and two signs for each of 3 units",
    ),
    Network(
        "weight norm", SMALL, lambda: seq(weight_norm(L(3, 5)), nn.ReLU(), L(5, 3)), example((6, 3)),
        (10, 0, 0, 0, 5), "each of 5 rows of v has a free length, and a sign with g; and each unit a ReLU scale with g",
    ),
    Network(
        "LoRA", SMALL, lambda: Adapted(False), example((6, 5)),
        (7, 36, 9, 0, 0), "GL(3) between the pair; ReLU's 7 scales would move the frozen map, and so would 36 shifts",
        explained=9,
    ),
    Network(
        "LoRA, all trained", SMALL, lambda: Adapted(True), example((6, 5)), (7, 36, 9, 0, 0),
        "the map takes up whatever is added to the pair: 15 + 21, in which the 9 directions of GL(3) are; ReLU: 7",
        explained=43,
    ),
    Network(
        "layer scale", SMALL,
        lambda: model(
            lambda m, x: m.out(relu((h := m.stem(x)) + m.gain * m.down(torch.tanh(m.up(h))))),
            stem=L(6, 4), up=L(4, 5), down=L(5, 4), gain=nn.Parameter(torch.ones(4)), out=L(4, 2),
        ),
        example((6, 6)), (8, 4, 0, 0, 9),
        "the gain against the rows of down: 4; ReLU's scales of the stream: 4; a shift of the stem's bias, which up's "
        "and down's take up: 4",
    ),
    Network(
        "cross-entropy", "cross-entropy loss", lambda: hidden(relu, 4, 5, 3), example((6, 4)),
        (5, 6, 0, 0, 0), "5 ReLU scales, and softmax forgets c·1 in the last bias and in each of 5 columns: T⁵⁺¹",
        loss=True,
    ),
    Network(
        "concatenation", "concat / flatten after conv / pixel-shuffle / channel-shuffle",
        lambda: model(
            lambda m, x: m.out(torch.cat([relu(m.one(x)), relu(m.two(x))], 1)), one=L(3, 4), two=L(3, 2), out=L(6, 3)
        ),
        example((6, 3)), (6, 0, 0, 0, 0), "ReLU scales of 4 and 2 units",
    ),
)  # fmt: skip
