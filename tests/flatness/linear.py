"""Linear maps with nothing between them."""

from __future__ import annotations

import torch
from tests.flatness.core import Network
from tests.zoo.core import L, example, model, seq
from torch import nn

LINEAR = "linear → linear"


def autoencoder() -> nn.Module:
    """One matrix read in both directions."""
    return model(
        lambda m, x: (x @ m.w.T + m.a) @ m.w + m.b,
        w=nn.Parameter(torch.zeros(3, 4)), a=nn.Parameter(torch.zeros(3)), b=nn.Parameter(torch.zeros(4)),
    )  # fmt: skip


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
        "two linear maps, ever narrower", LINEAR, lambda: seq(L(5, 3), L(3, 2)), example((8, 5)),
        (0, 3, 9, 0, 0), "GL(3) and T³", measured=14,
        reason="the 2 outputs forget one of 3 directions, and along it the 5 inputs may write anything: 5, of which "
        "GL(3) moves 3",
    ),
    Network(
        "three linear maps", LINEAR, lambda: seq(L(4, 2), L(2, 5), L(5, 3)), example((8, 4)),
        (0, 7, 29, 0, 0), "GL(2), GL(5), T²⁺⁵, less 6 matrices that move nothing, as the maps beside the 5 have rank 2",
        explained=30,
    ),
    Network(
        "tied autoencoder", LINEAR, autoencoder, example((8, 4)),
        (0, 3, 3, 0, 0), "WᵀW is kept by O(3): 3; the inner bias goes into the outer: 3",
    ),
)  # fmt: skip
