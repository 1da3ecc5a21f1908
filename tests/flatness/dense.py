"""Dense networks: activations, products, norms, low rank."""

from __future__ import annotations

from collections.abc import Callable

import torch
from tests.flatness.core import RMS, Network
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
    """A frozen linear map with a low-rank pair beside it."""

    def __init__(self) -> None:
        super().__init__()
        self.base = L(5, 7)
        self.base.requires_grad_(False)
        self.a, self.b = nn.Parameter(torch.zeros(3, 5)), nn.Parameter(torch.zeros(7, 3))
        self.out = L(7, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.out(relu(self.base(x) + x @ self.a.T @ self.b.T))


LINEAR, BENT, ODD = "linear → linear", "ReLU, LeakyReLU, PReLU", "tanh, erf, softsign, any odd φ"
GATED, SMOOTH = "SwiGLU, GeGLU, GLU", "GELU, SiLU, softplus, hardswish"
SMALL = "layer-scale, squeeze-excite, weight-norm, LoRA"

NETWORKS = (
    Network(
        "two linear maps", LINEAR, lambda: seq(L(4, 3), L(3, 5)), example((6, 4)),
        (0, 3, 9, 0, 0), "GL(3) between the two maps, and T³: the first bias goes into the second",
    ),
    Network(
        "wide bottleneck", LINEAR, lambda: seq(L(3, 5), L(5, 2)), example((6, 3)),
        (0, 5, 25, 0, 0), "GL(5) and T⁵, less the 6 matrices 1 + X with X·W₁ = 0 = W₂·X, which move nothing",
        explained=24,
    ),
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
        (5, 0, 0, 0, 0), "one positive scale for each of 5 hidden units; slopes stay",
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
        (6, 0, 0, 0, 6), "two scales and two signs for each of 3 units", missing=(6, 0, 0, 0, 6),
        awaits="two branches of one shape are read as one tensor, and what moves them apart is lost",
    ),
    Network(
        "BatchNorm", "BatchNorm (eval)", lambda: seq(L(3, 5), nn.BatchNorm1d(5), nn.ReLU(), L(5, 2)), example((6, 3)),
        (15, 10, 0, 0, 5),
        "for each of 5 channels: W against γ (and a sign), b against β, ReLU; the statistics make two more",
        explained=15,
    ),
    Network(
        "LayerNorm, ReLU", "LayerNorm", lambda: seq(L(3, 5), nn.LayerNorm(5), nn.ReLU(), L(5, 2)), example((6, 3)),
        (5, 4, 0, 0, 1), "ReLU scales take γ and β along: 5; the norm forgets c·1 that W's 3 columns or b write: 4",
    ),
    Network(
        "RMSNorm with gain", "RMSNorm", lambda: seq(L(6, 5), RMS(5, gain=True), L(5, 2)), example((6, 6)),
        (5, 0, 0, 0, 10), "γ by D, the next map by D⁻¹", measured=15,
        reason="γ folds into the next map, and then O(5) turns what the norm reads: 10 more, after `orbitope fold`",
    ),
    Network(
        "RMSNorm without gain", "RMSNorm", lambda: seq(L(6, 5), RMS(5), L(5, 2)), example((6, 6)),
        (0, 0, 10, 0, 0), "O(5) between the two maps",
    ),
    Network(
        "weight norm", SMALL, lambda: seq(weight_norm(L(3, 5)), nn.ReLU(), L(5, 3)), example((6, 3)),
        (10, 0, 0, 0, 5), "each of 5 rows of v has a free length, and a sign with g; and each unit a ReLU scale with g",
    ),
    Network(
        "LoRA", SMALL, Adapted, example((6, 5)),
        (7, 0, 9, 0, 0), "GL(3) between the pair; ReLU's 7 scales would move the frozen map", explained=9,
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
