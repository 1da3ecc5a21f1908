"""Recurrent networks, state spaces, experts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from tests.flatness.core import Network
from tests.zoo.core import L, example, model, relu
from tests.zoo.recurrent import Mamba
from torch import nn


def recurrent(cell: nn.Module, hidden: int, after: int) -> nn.Module:
    """A recurrent layer and a linear map of all its states."""
    return model(lambda m, x: m.out(m.cell(x)[0]), cell=cell, out=L(hidden, after))


def experts(router: Callable[[torch.Tensor], torch.Tensor]) -> nn.Module:
    """Three experts, all of them weighted by a router."""

    def forward(m: Any, x: torch.Tensor) -> torch.Tensor:
        values = torch.stack([expert(x) for expert in m.experts], 1)
        return (router(m.router(x))[..., None] * values).sum(1)

    parts = [nn.Sequential(L(4, 3), nn.ReLU(), L(3, 2)) for _ in range(3)]
    return model(forward, router=L(4, 3), experts=nn.ModuleList(parts))


def best(scores: torch.Tensor, other: float = -torch.inf) -> torch.Tensor:
    """Softmax of the two largest; what takes the place of the others goes through it, too."""
    return scores.masked_fill(scores < scores.topk(2, -1).values[:, 1:], other).softmax(-1)


def stacked() -> nn.Module:
    """Two experts as one tensor, with a softmax router."""

    def forward(m: Any, x: torch.Tensor) -> torch.Tensor:
        inner = relu(torch.einsum("ehd,nd->neh", m.up, x))
        return torch.einsum("ne,eoh,neh->no", m.router(x).softmax(-1), m.down, inner)

    up, down = nn.Parameter(torch.zeros(2, 5, 3)), nn.Parameter(torch.zeros(2, 4, 5))
    return model(forward, router=L(3, 2), up=up, down=down)


NETWORKS = (
    Network(
        "LSTM", "LSTM, GRU, tanh-RNN", lambda: recurrent(nn.LSTM(3, 4, batch_first=True), 4, 2), example((3, 5, 3)),
        (0, 16, 0, 0, 4), "two biases are added in each of 4 gates of 4 units; signs of h, c and the g rows",
    ),
    Network(
        "GRU", "LSTM, GRU, tanh-RNN", lambda: recurrent(nn.GRU(3, 4, batch_first=True), 4, 3), example((3, 5, 3)),
        (0, 8, 0, 0, 4), "two biases are added in the gates r and z of 4 units, not in n, where r stands between",
    ),
    Network(
        "RNN, tanh", "LSTM, GRU, tanh-RNN", lambda: recurrent(nn.RNN(3, 4, batch_first=True), 4, 2),
        example((3, 5, 3)), (0, 4, 0, 0, 4), "two biases are added; signs",
    ),
    Network(
        "RNN, ReLU", "LSTM, GRU, tanh-RNN",
        lambda: recurrent(nn.RNN(3, 5, nonlinearity="relu", batch_first=True), 5, 2), example((3, 4, 3)),
        (5, 5, 0, 0, 0), "ReLU scales of 5 states, W_hh by D·W·D⁻¹; two biases are added",
    ),
    Network(
        "experts, softmax", "mixture of experts", lambda: experts(lambda z: z.softmax(-1)), example((6, 4)),
        (9, 5, 0, 0, 0), "ReLU scales of 3 experts of 3 units; softmax forgets c·1 in the router's bias and 4 columns",
    ),
    Network(
        "experts, sigmoid", "mixture of experts", lambda: experts(torch.sigmoid), example((6, 4)),
        (9, 0, 0, 0, 0), "ReLU scales of 3 experts of 3 units; a sigmoid router forgets nothing",
    ),
    Network(
        "experts, softmax of the best two", "mixture of experts", lambda: experts(best), example((12, 4)),
        (9, 5, 0, 0, 0), "the same as for all: which two are best does not depend on what is added to all",
    ),
    Network(
        "experts, the others at −10⁹", "mixture of experts", lambda: experts(lambda z: best(z, -1e9)),
        example((12, 4)), (9, 0, 0, 0, 0), "ReLU scales of 3 experts of 3 units", measured=14,
        reason="e to the power of −10⁹ is zero to every computer, so that the 5 shifts of the softmax of the best two "
        "are measured; but it is no zero, and no shift of the scores leaves it alone",
    ),
    Network(
        "experts in one tensor", "mixture of experts", stacked, example((6, 3)),
        (10, 4, 0, 0, 0), "ReLU scales of 2 experts of 5 units; softmax forgets c·1 in the router's bias and 3 columns",
    ),
    Network(
        "selective state space", "Mamba-1", lambda: Mamba(3, 4, 3, 2), example((3, 5, 3)),
        (8, 0, 4, 0, 8),
        "GL(2) between x_proj and dt_proj: 4; the map in against the convolution in 4 channels: 4; B against C in 3 "
        "states: 3; C and D against the map out: 1",
    ),
)  # fmt: skip
