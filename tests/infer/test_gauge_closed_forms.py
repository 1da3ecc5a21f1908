"""The continuous part and the signs of small networks: dimensions derived by hand, kinds, and each part acting."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from tests.infer.gauge_networks import (
    Adapted,
    Classified,
    Form,
    Heads,
    Positions,
    Tied,
    branches,
    concatenated,
    gated,
    hidden,
    ids,
    inferred,
    multihead,
    parts,
    recurrent,
    routed,
)
from tests.zoo.core import C2, L, difference, example, outputs, relu, seq
from torch import nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import weight_norm

from orbitope import symmetries

ATTENDED = example((3, 4, 5))

FORMS = {
    # activations --------------------------------------------------------------------------------------------------
    "relu": Form(hidden(relu, 3, 5, 2), example((6, 3)), (5, 0, 0, 0, 0), "a positive scale for each unit"),
    "deep": Form(
        lambda: seq(L(3, 5), nn.ReLU(), L(5, 4), nn.Tanh(), L(4, 2)), example((6, 3)), (5, 0, 0, 0, 4),
        "scales of 5 ReLU units, signs of 4 tanh units",
    ),
    "leaky": Form(hidden(F.leaky_relu, 3, 4, 2), example((6, 3)), (4, 0, 0, 0, 0), "a positive scale for each unit"),
    "prelu": Form(
        lambda: seq(L(3, 4), nn.PReLU(), L(4, 2)), example((6, 3)), (4, 0, 0, 0, 0),
        "scales; one slope for all cannot be inverted for one unit",
    ),
    "tanh": Form(hidden(torch.tanh, 3, 4, 2), example((6, 3)), (0, 0, 0, 0, 4), "odd"),
    "hardtanh": Form(hidden(F.hardtanh, 3, 5, 2), example((6, 3)), (0, 0, 0, 0, 5), "odd"),
    "sigmoid": Form(hidden(torch.sigmoid, 3, 6, 2), example((6, 3)), (0, 0, 0, 0, 6), "σ(−z) = 1 − σ(z)"),
    "sigmoid, no bias behind": Form(
        hidden(torch.sigmoid, 3, 6, 2, down=False), example((6, 3)), (0, 0, 0, 0, 0), "nothing takes up the one",
    ),
    "hardsigmoid": Form(hidden(F.hardsigmoid, 3, 4, 2), example((6, 3)), (0, 0, 0, 0, 4), "as sigmoid"),
    "relu6": Form(hidden(F.relu6, 3, 4, 2), example((6, 3)), (0, 0, 0, 0, 4), "φ(6 − z) = 6 − φ(z)"),
    "relu6, no bias before": Form(
        hidden(F.relu6, 3, 4, 2, up=False), example((6, 3)), (0, 0, 0, 0, 0), "nothing can add the six",
    ),
    "sine": Form(hidden(torch.sin, 3, 4, 2), example((6, 3)), (0, 0, 0, 0, 8), "odd, and sin(π − z) = sin z"),
    "sine, no bias": Form(hidden(torch.sin, 3, 4, 2, up=False), example((6, 3)), (0, 0, 0, 0, 4), "odd"),
    "square": Form(
        hidden(lambda z: z**2, 3, 5, 4), example((6, 3)), (5, 0, 0, 0, 5), "(s·z)² = s²·z², and even",
    ),
    "cube": Form(hidden(lambda z: z**3, 3, 5, 2), example((6, 3)), (5, 0, 0, 0, 5), "(s·z)³ = s³·z³"),
    "absolute": Form(hidden(torch.abs, 3, 5, 2), example((6, 3)), (5, 0, 0, 0, 5), "|s·z| = |s|·|z|, and even"),
    "softplus": Form(hidden(F.softplus, 3, 5, 2), example((6, 3)), (0, 0, 0, 0, 0), "permutations only"),
    "elu": Form(hidden(F.elu, 3, 5, 2), example((6, 3)), (0, 0, 0, 0, 0), "permutations only"),
    # linear ---------------------------------------------------------------------------------------------------------
    "linear": Form(
        lambda: seq(L(4, 3), L(3, 5)), example((6, 4)), (0, 3, 9, 0, 0), "GL(3), and T³ from bias to bias",
        kinds=("general",),
    ),
    "linear, no bias": Form(
        lambda: seq(L(4, 3, bias=False), L(3, 5)), example((6, 4)), (0, 0, 9, 0, 0), "GL(3)", kinds=("general",),
    ),
    "linear, three": Form(
        lambda: seq(L(5, 4), L(4, 3), L(3, 6)), example((7, 5)), (0, 7, 25, 0, 0), "GL(4) × GL(3), T⁴⁺³",
        kinds=("general", "general"),
    ),
    # gates ----------------------------------------------------------------------------------------------------------
    "swiglu": Form(gated(F.silu, 5, up=True), example((6, 4)), (5, 0, 0, 0, 5), "up by D, down by D⁻¹"),
    "reglu": Form(gated(relu, 3, up=True), example((6, 4)), (6, 0, 0, 0, 3), "and the gate by positive D"),
    "bilinear": Form(
        gated(lambda z: z, 3, up=False), example((6, 4)), (6, 0, 0, 0, 6), "two scales and two signs for each unit",
    ),
    # norms ----------------------------------------------------------------------------------------------------------
    "batch norm": Form(
        lambda: seq(C2(2, 4, 2), nn.BatchNorm2d(4), C2(4, 3, 1)), example((3, 2, 5, 4)), (12, 12, 0, 0, 8),
        "a channel's W with b and mean, its variance, β with the next map: γ makes up for all; signs but of the "
        "variance; b, mean, β and the next bias, of which three are free",
    ),
    "batch norm, relu": Form(
        lambda: seq(C2(2, 4, 2), nn.BatchNorm2d(4), nn.ReLU(), C2(4, 3, 2)), example((3, 2, 5, 4)),
        (12, 8, 0, 0, 4), "the same, but β has no sign, and nothing passes the ReLU",
    ),
    "group norm": Form(
        lambda: seq(C2(2, 6, 2), nn.GroupNorm(2, 6, eps=1e-3), nn.Tanh(), C2(6, 3, 2)), example((3, 2, 5, 4)),
        (0, 2, 0, 0, 8), "a group's sign with its gains: 2; tanh with gain and bias: 6; a shift of a group's bias",
        approximate=2,
    ),
    "layer norm, gain": Form(
        lambda: seq(L(3, 5), nn.LayerNorm(5, eps=1e-3), L(5, 2)), example((6, 3)), (5, 11, 0, 0, 6),
        "γ and β by D; signs of those, and of all with γ; c·1 of 3 columns and b: 4; β into the bias: 5; rows of "
        "out along 1/γ: 2",
        approximate=1,
    ),
    "layer norm": Form(
        lambda: seq(L(3, 5), nn.LayerNorm(5, eps=1e-3, elementwise_affine=False), L(5, 2)), example((6, 3)),
        (0, 6, 6, 0, 1), "O(5) that keeps the ones, and −1; c·1 of 4 writers and 2 readers",
        kinds=("orthogonal+1",), approximate=1,
    ),
    "rms norm": Form(
        lambda: seq(L(6, 5), nn.RMSNorm(5, eps=1e-3, elementwise_affine=False), L(5, 2)), example((6, 6)),
        (0, 0, 10, 0, 0), "O(5)", kinds=("orthogonal",), approximate=1,
    ),
    "rms norm, gain": Form(
        lambda: seq(L(6, 5), nn.RMSNorm(5, eps=1e-3), L(5, 2)), example((6, 6)), (5, 0, 0, 0, 10),
        "γ by D; signs before γ and behind it", approximate=1,
    ),
    "positions": Form(
        Positions, ids(9, 4, 6), (0, 19, 0, 0, 6),
        "c·1 of 9 tokens and of 6 positions; from tokens to positions 5, of which one is contained; tanh: 5, all: 1",
        approximate=1, missing=(0, 4, 0, 0, 0), awaits="what tokens give to positions before a norm",
    ),
    # attention ------------------------------------------------------------------------------------------------------
    "attention": Form(
        lambda: Heads(5, 3, 3, bias=False), ATTENDED, (0, 0, 39, 0, 0), "GL(3) × GL(2) for each of 3 heads",
        kinds=("general", "general"),
    ),
    "attention, biases": Form(
        lambda: Heads(5, 3, 3, bias=True), ATTENDED, (0, 15, 39, 0, 0), "softmax forgets b_k: 9; b_v into b_o: 6",
        kinds=("general", "general"),
    ),
    "attention, causal": Form(
        lambda: Heads(5, 3, 3, bias=True, is_causal=True), ATTENDED, (0, 15, 39, 0, 0), "a mask changes nothing",
        kinds=("general", "general"),
    ),
    "attention, mask": Form(
        lambda: Heads(5, 3, 3, bias=True, mask=True), ATTENDED, (0, 15, 39, 0, 0), "a mask changes nothing",
        kinds=("general", "general"), missing=(0, 9, 0, 0, 0), awaits="scores that a constant mask hides in part",
    ),
    "grouped queries": Form(
        lambda: Heads(5, 4, 2, bias=True, enable_gqa=True), ATTENDED, (0, 10, 26, 0, 0),
        "GL(3) × GL(2) for each of 2 keys; b_k: 6; b_v: 4", kinds=("general", "general"),
    ),
    "rotary": Form(
        lambda: Heads(5, 2, 2, bias=False, dim=4, turn=4), ATTENDED, (4, 0, 8, 4, 4),
        "scale, angle and sign of 2 planes for each of 2 heads, of which half a turn is a sign; GL(2) on v·o",
        kinds=("general",),
    ),
    "partly rotary": Form(
        lambda: Heads(5, 2, 2, bias=False, dim=5, turn=2), ATTENDED, (2, 0, 26, 2, 2),
        "one plane for each of 2 heads, GL(3) on the rest, GL(2) on v·o", kinds=("general", "general"),
    ),
    "norms of queries and keys": Form(
        lambda: Heads(5, 2, 2, bias=True, norm=True), ATTENDED, (0, 4, 14, 0, 0),
        "O(3) and GL(2) for each of 2 heads; b_v into b_o; b_k is before a norm", kinds=("general", "orthogonal"),
        approximate=4,
    ),
    "class token": Form(
        Classified, example((3, 4, 4)), (0, 10, 26, 0, 5), "keys in two runs: as attention; signs of 5 tanh",
        kinds=("general", "general"),
    ),
    "multihead": Form(
        multihead(True, two=False), example((3, 4, 6)), (0, 12, 36, 0, 0), "one weight for q, k and v",
        kinds=("general", "general"),
    ),
    "multihead, no bias": Form(
        multihead(False, two=False), example((3, 4, 6)), (0, 0, 36, 0, 0), "the same", kinds=("general", "general"),
    ),
    "multihead of two": Form(
        multihead(True, two=True), example((3, 4, 6), (3, 5, 6)), (0, 12, 36, 0, 0), "parts of one weight",
        kinds=("general", "general"),
    ),
    # recurrent ------------------------------------------------------------------------------------------------------
    "lstm": Form(recurrent(nn.LSTM), example((3, 5, 3)), (0, 16, 0, 0, 4), "two biases in 4 gates; h, c and g"),
    "lstm, no bias": Form(recurrent(nn.LSTM, bias=False), example((3, 5, 3)), (0, 0, 0, 0, 4), "h, c and g"),
    "lstm, two layers": Form(recurrent(nn.LSTM, num_layers=2), example((3, 5, 3)), (0, 32, 0, 0, 8), "twice"),
    "gru": Form(recurrent(nn.GRU), example((3, 5, 3)), (0, 8, 0, 0, 4), "two biases in r and z; h and n"),
    "rnn, tanh": Form(recurrent(nn.RNN), example((3, 5, 3)), (0, 4, 0, 0, 4), "two biases; h"),
    "rnn, relu": Form(
        recurrent(nn.RNN, nonlinearity="relu"), example((3, 5, 3)), (4, 4, 0, 0, 0), "two biases; W_hh by D·W·D⁻¹",
    ),
    # others ---------------------------------------------------------------------------------------------------------
    "experts, softmax": Form(
        routed(lambda z: z.softmax(-1)), example((6, 5)), (0, 6, 0, 0, 12), "softmax forgets 5 columns and the bias",
    ),
    "experts, sigmoid": Form(routed(torch.sigmoid), example((6, 5)), (0, 0, 0, 0, 12), "sigmoid forgets nothing"),
    "weight norm": Form(
        lambda: seq(weight_norm(L(3, 5)), nn.Tanh(), L(5, 3)), example((6, 3)), (5, 0, 0, 0, 10),
        "lengths of rows; signs of v with g, and of g with the bias and the next map",
    ),
    "low rank, frozen": Form(
        Adapted, example((6, 5)), (0, 0, 9, 0, 0), "GL(3); signs would move the frozen map", kinds=("general",),
        scope=("a", "b", "out.*"),
    ),
    "low rank": Form(
        Adapted, example((6, 5)), (0, 36, 9, 0, 7), "GL(3); the map takes up 15 + 21 of the pair; signs of 7 tanh",
        kinds=("general",),
    ),
    "tied": Form(
        lambda: Tied(False), ids(8, 4, 3), (0, 0, 25, 0, 7), "the table and down contragrediently, up against it",
        kinds=("general",),
    ),
    "tied stream": Form(
        lambda: Tied(True), ids(8, 4, 3), (0, 0, 10, 0, 7), "what is written is read by the same table: O(5)",
        kinds=("orthogonal",),
    ),
    "concatenation": Form(concatenated, example((6, 3)), (4, 0, 0, 0, 2), "scales of one branch, signs of the other"),
    "branches": Form(branches, example((6, 3)), (12, 0, 0, 0, 0), "scales of 3 branches of 4 units"),
}  # fmt: skip


@pytest.mark.parametrize("name", FORMS)
def test_closed_form(name: str) -> None:
    """Every number by hand; every part by itself keeps the function, and moves parameters."""
    form = FORMS[name]
    net, inputs, group = inferred(form)
    found = parts(group)
    assert [a + b for a, b in zip(found, form.missing, strict=True)] == list(form.parts), form.why
    assert group.dimension == sum(found[:4])
    assert group.dimension_of(approximate=True) == group.dimension + form.approximate
    assert tuple(sorted(x.kind + "+1" * x.ones for x in group.continuous.matrices)) == form.kinds
    params = {key: tensor.clone() for key, tensor in net.state_dict().items()}
    before = outputs(net, params, inputs)
    for part, count in (
        ("scales", found[0]),
        ("translations", found[1]),
        ("matrices", found[2] + found[3]),
        ("signs", found[4]),
    ):
        moved = group.sample(1, parts=(part,)).act(params)
        assert difference(before, outputs(net, moved, inputs)) < 1e-9, part
        assert any(not torch.equal(moved[key], params[key]) for key in params) == (count > 0), part


@pytest.mark.parametrize("widths", [(2,), (5, 3), (4, 1, 6)])
def test_perceptrons_of_any_depth(widths: tuple[int, ...]) -> None:
    """Scales of ReLU, or signs of tanh, of every hidden unit."""
    sizes = (3, *widths, 2)
    for activation, expected in ((nn.ReLU, (sum(widths), 0)), (nn.Tanh, (0, sum(widths)))):
        layers = [L(a, b) for a, b in pairwise(sizes)]
        net = seq(*(part for layer in layers[:-1] for part in (layer, activation())), layers[-1])
        group = symmetries(net, (torch.randn(4, 3),))
        assert (group.dimension, group.sign_bits) == expected
