"""Dense networks: activations, gates, low rank, ties and losses."""

from __future__ import annotations

from collections.abc import Callable

import torch
from tests.audit.cases import Case, Expected, Network, chain, network, normal, weights
from torch import nn
from torch.nn.functional import gelu, silu

L = nn.Linear


class Pointwise(nn.Module):
    """A function as a module."""

    def __init__(self, function: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Entry by entry."""
        return self.function(x)


def mlp(activation: nn.Module, into: int = 3, hidden: int = 5, out: int = 2) -> Callable[[], nn.Module]:
    """One hidden layer."""
    return chain(L(into, hidden), activation, L(hidden, out))


def gated(gate: Callable[[torch.Tensor], torch.Tensor], into: int, hidden: int, out: int) -> Callable[[], nn.Module]:
    """``down(act(gate(x)) * up(x))``, all with biases."""
    return network(
        lambda m, x: m.down(gate(m.gate(x)) * m.up(x)), gate=L(into, hidden), up=L(into, hidden), down=L(hidden, out)
    )


def low_rank(trained: bool) -> Callable[[], nn.Module]:
    """W + B·A of rank 2 before ReLU; W and its bias are trained or not."""

    def build() -> nn.Module:
        made = Network(
            lambda m, x: m.out(torch.relu(m.base(x) + x @ m.a.mT @ m.b.mT)),
            base=L(4, 5),
            a=weights(2, 4),
            b=weights(5, 2),
            out=L(5, 3),
        )
        made.base.requires_grad_(trained)
        return made

    return build


def residual(out: int) -> Callable[[], nn.Module]:
    """A stream of 3 without norms: x ↦ out(h + down(relu(up(h)))), h = into(x)."""
    return network(
        lambda m, x: m.out((h := m.into(x)) + m.down(torch.relu(m.up(h)))),
        into=L(4, 3),
        up=L(3, 4),
        down=L(4, 3),
        out=L(3, out),
    )


NONE = "no continuous symmetry: signs or permutations only"
SMOOTH: dict[str, tuple[str, nn.Module, float]] = {
    "tanh": ("odd φ", nn.Tanh(), 1.5),
    "erf": ("odd φ", Pointwise(torch.erf), 1.5),
    "softsign": ("odd φ", nn.Softsign(), 1.5),
    "sigmoid": ("sigmoid, hardsigmoid", nn.Sigmoid(), 1.5),
    "hardsigmoid": ("sigmoid, hardsigmoid", nn.Hardsigmoid(), 4.0),
    "relu6": ("ReLU6", nn.ReLU6(), 8.0),
    "sin": ("sin", Pointwise(torch.sin), 1.5),
    "gelu": ("GELU, SiLU, softplus, hardswish", nn.GELU(), 1.5),
    "silu": ("GELU, SiLU, softplus, hardswish", nn.SiLU(), 1.5),
    "softplus": ("GELU, SiLU, softplus, hardswish", nn.Softplus(), 1.5),
    "hardswish": ("GELU, SiLU, softplus, hardswish", nn.Hardswish(), 4.0),
    "elu": ("GELU, SiLU, softplus, hardswish", nn.ELU(), 1.5),
}

CASES = [
    Case(
        "linear, n ≤ both sides",
        "linear → linear",
        chain(L(5, 3), L(3, 4)),
        normal(8, 5),
        Expected(matrices=9, translations=3),
        "n² + n for n = 3 ≤ 4, 5: GL(3) acts freely, the hidden bias goes into the next",
    ),
    Case(
        "linear, n ≥ both sides",
        "linear → linear",
        chain(L(3, 6), L(6, 2)),
        normal(8, 3),
        Expected(matrices=24, translations=6),
        "GL(6) has 36, of which (6−3)(6−2) = 12 fix θ: n² − (n−i)(n−o) + n; all of the fibre",
    ),
    Case(
        "linear, out < n < in",
        "linear → linear",
        chain(L(5, 3), L(3, 2)),
        normal(8, 5),
        Expected(matrices=9, translations=3, beyond=2),
        "the product is any 2×5, so weights have 3(5+2) − 10 = 11; GL(3) acts freely with 9: (i−n)(n−o) = 2 are beyond, "
        "W₁ + k·mᵀ with W₂k = 0",
    ),
    Case(
        "linear, deep with a bottleneck",
        "linear → linear",
        chain(L(4, 2), L(2, 5), L(5, 3)),
        normal(8, 4),
        Expected(matrices=23, translations=7),
        "P = 43, image 2(4+3−2) + 3 = 13; GL(2)×GL(5) has 29, of which (5−2)(5−3) = 6 fix θ; 2 + 5 shifts",
    ),
    Case(
        "linear, tied autoencoder",
        "linear → linear",
        network(lambda m, x: (x @ m.w.mT + m.a) @ m.w + m.b, w=weights(3, 4), a=weights(3), b=weights(4)),
        normal(8, 4),
        Expected(rotations=3, translations=3),
        "WᵀW is kept by O(3): n(n−1)/2; the inner bias goes into the outer",
    ),
    Case(
        "residual stream without norms",
        "residual stream (LM)",
        residual(5),
        normal(8, 4),
        Expected(matrices=9, scales=4, translations=6),
        "GL(3) on the stream; ReLU scales 4; biases of `into` and of `down` both go into what reads the stream",
    ),
    Case(
        "residual stream, head narrower than it",
        "residual stream (LM)",
        residual(2),
        normal(8, 4),
        Expected(matrices=9, scales=4, translations=6, beyond=4),
        "what `down` writes is read by the head only, whose kernel has 3−2 dimensions: 1×4 entries of `down` are unseen",
    ),
    Case(
        "relu 3-4-5-2",
        "ReLU, LeakyReLU, PReLU",
        chain(L(3, 4), nn.ReLU(), L(4, 5), nn.ReLU(), L(5, 2)),
        normal(40, 3),
        Expected(scales=9),
        "one for each hidden unit, 4 + 5",
    ),
    Case(
        "relu without biases",
        "ReLU, LeakyReLU, PReLU",
        chain(L(3, 5, bias=False), nn.ReLU(), L(5, 2, bias=False)),
        normal(20, 3),
        Expected(scales=5),
        "one for each hidden unit",
    ),
    Case(
        "leaky relu", "ReLU, LeakyReLU, PReLU", mlp(nn.LeakyReLU(0.2)), normal(20, 3), Expected(scales=5), "one a unit"
    ),
    Case(
        "prelu, a slope for each unit",
        "ReLU, LeakyReLU, PReLU",
        mlp(nn.PReLU(5)),
        normal(20, 3),
        Expected(scales=5),
        "one a unit; slopes have degree zero",
    ),
    Case(
        "prelu, one slope",
        "ReLU, LeakyReLU, PReLU",
        mlp(nn.PReLU()),
        normal(20, 3),
        Expected(scales=5),
        "one a unit",
    ),
    *(
        Case(name, row, mlp(activation, 3, 4, 2), normal(30, 3, spread=spread), Expected(), NONE)
        for name, (row, activation, spread) in SMOOTH.items()
    ),
    Case(
        "x², one output",
        "x^d",
        mlp(Pointwise(torch.square), 3, 3, 1),
        normal(30, 3),
        Expected(scales=3, beyond=3),
        "Σ vᵢyᵢ² is a quadratic form of 3 letters: so(p, q) has n(n−1)/2 = 3 that are not diagonal, and rotates W₁ only "
        "together with θ-dependent v",
    ),
    Case(
        "x², two outputs",
        "x^d",
        mlp(Pointwise(torch.square), 3, 3, 2),
        normal(30, 3),
        Expected(scales=3),
        "two forms are diagonal together in one basis only: one scale a unit",
    ),
    Case(
        "x³",
        "x^d",
        mlp(Pointwise(lambda x: x**3), 3, 4, 2),
        normal(30, 3),
        Expected(scales=4),
        "one scale a unit: w → sw, v → s⁻³v",
    ),
    Case("swiglu", "SwiGLU, GeGLU, GLU", gated(silu, 3, 4, 2), normal(30, 3), Expected(scales=4), "up·s, down/s"),
    Case("geglu", "SwiGLU, GeGLU, GLU", gated(gelu, 3, 4, 2), normal(30, 3), Expected(scales=4), "up·s, down/s"),
    Case("glu", "SwiGLU, GeGLU, GLU", gated(torch.sigmoid, 3, 4, 2), normal(30, 3), Expected(scales=4), "up·s, down/s"),
    Case(
        "reglu",
        "SwiGLU, GeGLU, GLU",
        gated(torch.relu, 3, 4, 2),
        normal(40, 3),
        Expected(scales=8),
        "up·s, gate·t, down/(st): two a unit",
    ),
    Case(
        "bilinear",
        "SwiGLU, GeGLU, GLU",
        gated(lambda x: x, 4, 2, 3),
        normal(30, 4),
        Expected(scales=4),
        "two a unit; two products of linear forms and three outputs are too few for relations among them",
    ),
    Case(
        "concat",
        "concat",
        network(
            lambda m, x: m.out(torch.cat([torch.relu(m.a(x)), torch.tanh(m.b(x))], -1)), a=L(3, 4), b=L(3, 3), out=L(7, 2)
        ),
        normal(30, 3),
        Expected(scales=4),
        "each segment as its own activation says: 4 of ReLU, none of tanh",
    ),
    Case(
        "layer-scale",
        "layer-scale",
        network(lambda m, x: x + m.gamma * m.down(torch.relu(m.up(x))), up=L(3, 4), down=L(4, 3), gamma=weights(3)),
        normal(20, 3),
        Expected(scales=7),
        "3 between γ and the rows (and bias) of `down`, 4 of ReLU",
    ),
    Case(
        "weight-norm",
        "weight-norm",
        lambda: nn.Sequential(nn.utils.parametrizations.weight_norm(L(3, 4)), nn.ReLU(), L(4, 2)),
        normal(20, 3),
        Expected(scales=8),
        "rows of v are normalised: 4; g and b scale with ReLU: 4",
    ),
    Case(
        "lora, base frozen",
        "LoRA",
        low_rank(False),
        normal(20, 4),
        Expected(matrices=4),
        "GL(2); a frozen base leaves ReLU no scale",
    ),
    Case(
        "lora, base trained",
        "LoRA",
        low_rank(True),
        normal(20, 4),
        Expected(matrices=4, scales=5, translations=14),
        "W takes up whatever A and B do: all 2(4+5) of their entries, of which GL(2) is 4; 5 of ReLU",
    ),
    Case(
        "cross-entropy, tanh",
        "cross-entropy loss",
        chain(L(3, 4), nn.Tanh(), L(4, 3)),
        normal(20, 3),
        Expected(translations=5),
        "W + 1cᵀ and b + c·1: 4 + 1, of the loss only",
        loss=True,
    ),
    Case(
        "cross-entropy, relu",
        "cross-entropy loss",
        chain(L(3, 4), nn.ReLU(), L(4, 3)),
        normal(20, 3),
        Expected(scales=4, translations=5),
        "the same beside 4 of ReLU",
        loss=True,
    ),
]
