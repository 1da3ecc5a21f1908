"""Traits of activations: each declared one over the real line, each missing one with a counter-example."""

from __future__ import annotations

from functools import lru_cache
from math import inf, isfinite, pi
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import orbitope
from orbitope.activations import ACTIVATIONS, TRAITS, Activation
from orbitope.activations.declared import declared
from orbitope.activations.facts import FACTS, Facts, Kink
from orbitope.activations.probing import Finding, Probe, probe
from orbitope.arithmetic import TorchArithmetic
from orbitope.primitives import TRAITS as TABLE

NAMES = list(ACTIVATIONS)
SMALL, LARGE = np.logspace(-9, -1, 40), np.logspace(1, 4, 40)
MIDDLE = np.linspace(-9.05, 9.05, 906)
GRID = np.unique(np.concatenate([-LARGE, -SMALL, [0.0], SMALL, LARGE, MIDDLE]))


def value(activation: Activation, x: np.ndarray) -> np.ndarray:
    return activation.function(torch.from_numpy(np.asarray(x, dtype=np.float64))).numpy()


def points(activation: Activation) -> np.ndarray:
    """The whole line, as far as the function is finite, with the kinks and what is beside them."""
    near = [b + d for b in activation.facts.breaks for d in (-1e-2, -1e-5, 0.0, 1e-5, 1e-2)]
    x = np.unique(np.concatenate([GRID, near]))
    return x[np.isfinite(value(activation, x)) & (np.abs(value(activation, x)) < 1e60)]


def holds(activation: Activation, trait: str) -> bool:
    """A trait by its definition, written down once more."""
    x = points(activation)
    f = value(activation, x)
    facts = activation.facts
    eps = 1e-10 * (np.abs(f) + np.minimum(1.0, np.abs(x))) + 1e-13 * np.abs(x)
    # divided differences between neighbours, rounding included
    rise, run = np.diff(f), np.diff(x)
    room = 4 * (eps[1:] + eps[:-1])
    mirrored = x[np.isin(-x, x)]
    g, h = value(activation, mirrored), value(activation, -mirrored)
    match trait:
        case "convex" | "concave":
            sign = 1 if trait == "convex" else -1
            slopes, slack = sign * rise / run, room / run
            return bool((slopes[1:] >= slopes[:-1] - slack[1:] - slack[:-1]).all())
        case "non-decreasing":
            return bool((rise >= -room).all())
        case "non-increasing":
            return bool((rise <= room).all())
        case "odd":
            return bool(np.allclose(h, -g, rtol=1e-9, atol=1e-13))
        case "even":
            return bool(np.allclose(h, g, rtol=1e-9, atol=1e-13))
        case "homogeneous":
            degree = activation.behaviour.homogeneous[0] or 0.0
            return all(np.allclose(value(activation, s * x), s**degree * f, rtol=1e-9) for s in (0.3, 2.0, 7.0))
        case "bounded":
            wide = np.concatenate([x, np.linspace(-1e6, 1e6, 1001)])
            y = value(activation, wide)
            inside = bool((y >= facts.low - 1e-12).all() and (y <= facts.high + 1e-12).all())
            return inside and y.min() < facts.low + 1e-5 and y.max() > facts.high - 1e-5
        case "Lipschitz":
            return bool((np.abs(rise) <= facts.lipschitz * run + room).all()) and reached(activation)
    raise AssertionError(trait)


def reached(activation: Activation) -> bool:
    """The Lipschitz constant is a slope somewhere, or nearly: by autograd, at points of all sizes."""
    x = torch.linspace(-60, 60, 240_001, dtype=torch.float64, requires_grad=True)
    slope = torch.autograd.grad(activation.function(x).sum(), x)[0].abs().max().item()
    kinks = [abs(s) for kink in activation.facts.kinks for s in (kink.left, kink.right)]
    return max([slope, *kinks]) == pytest.approx(activation.facts.lipschitz, abs=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_declared_traits_hold_by_their_definition(name: str) -> None:
    activation, identities = ACTIVATIONS[name], {"mirrored", "shifted", "tilted", "smooth", "piecewise linear"}
    claims = declared(activation)
    assert claims.keys() <= TRAITS.keys()
    assert [trait for trait in claims if trait not in identities and not holds(activation, trait)] == []


@lru_cache
def looked_at(name: str) -> tuple[Probe, dict[str, Finding]]:
    return Probe(ACTIVATIONS[name].function), probe(ACTIVATIONS[name].function)


@pytest.mark.parametrize("name", NAMES)
def test_a_trait_is_declared_or_has_a_counterexample(name: str) -> None:
    (_, found), claims = looked_at(name), declared(ACTIVATIONS[name])
    assert {trait for trait, finding in found.items() if finding.holds} == claims.keys()
    assert all(finding.counterexample for finding in found.values() if not finding.holds)


@pytest.mark.parametrize("name", NAMES)
def test_numbers_are_found_again(name: str) -> None:
    activation, (p, found) = ACTIVATIONS[name], looked_at(name)
    facts = activation.facts
    if isfinite(facts.lipschitz):
        assert found["Lipschitz"].values == pytest.approx((facts.lipschitz,), rel=2e-5)
    if isfinite(facts.low) and isfinite(facts.high):
        assert found["bounded"].values == pytest.approx((facts.low, facts.high), abs=2e-5)
    order = next((k - 1 for k in range(3) if p.irregular(k)), inf)
    assert order == facts.order
    if isfinite(facts.order):
        assert p.irregular(int(facts.order) + 1) == pytest.approx(facts.breaks, abs=1e-6)


@pytest.mark.parametrize("name", [name for name in NAMES if ACTIVATIONS[name].facts.kinks])
def test_slopes_beside_kinks(name: str) -> None:
    for kink in ACTIVATIONS[name].facts.kinks:
        h = 1e-7
        below, at, above = value(ACTIVATIONS[name], np.array([kink.at - h, kink.at, kink.at + h]))
        assert ((at - below) / h, (above - at) / h) == pytest.approx((kink.left, kink.right), abs=1e-5)


@pytest.mark.parametrize("name", [name for name in NAMES if ACTIVATIONS[name].fn])
def test_the_function_is_that_of_the_trait_table(name: str) -> None:
    a, x = ACTIVATIONS[name], torch.linspace(-9, 9, 181, dtype=torch.float64)
    table = TABLE[a.fn].value(TorchArithmetic(torch.float64), [x], a.settings)
    assert torch.allclose(table, a.function(x), rtol=1e-11, atol=1e-8)  # torch's softplus is x above 20


def test_every_continuous_activation_of_the_table_has_facts() -> None:
    # a function that the table calls piecewise linear or convex on all numbers, and that has one operand
    assert {a.fn for a in ACTIVATIONS.values() if a.fn} <= FACTS.keys()


@pytest.mark.parametrize(
    ("name", "trait", "detail"),
    [
        ("sigmoid", "mirrored", "f(−x) = 1 − f(x)"),
        ("hardsigmoid", "mirrored", "f(−x) = 1 − f(x)"),
        ("relu6", "mirrored", "f(6 − x) = 6 − f(x)"),
        ("sin", "shifted", "f(x + π) = −f(x)"),
        ("sin", "mirrored", "f(π − x) = f(x)"),
        ("cos", "shifted", "f(x + π) = −f(x)"),
        ("gelu", "tilted", "k = 1"),
        ("leaky_relu", "tilted", "k = 1.01"),
        ("square", "homogeneous", "d = 2"),
        ("cube", "homogeneous", "d = 3"),
        ("softshrink", "piecewise linear", "cut at −0.5, 0.5"),
    ],
)
def test_formulas(name: str, trait: str, detail: str) -> None:
    assert declared(ACTIVATIONS[name])[trait] == detail
    assert looked_at(name)[1][trait].detail == detail


WRONG: list[tuple[str, str, Any]] = [
    ("tanh", "bounded", Facts(1.0, -1.0, 1.1)),
    ("tanh", "bounded", Facts(1.0, -0.99, 1.0)),
    ("sigmoid", "Lipschitz", Facts(0.24, 0.0, 1.0)),
    ("sigmoid", "Lipschitz", Facts(0.26, 0.0, 1.0)),
    ("gelu", "Lipschitz", Facts(1.0)),
]


@pytest.mark.parametrize(("name", "trait", "facts"), WRONG)
def test_planted_wrong_numbers_are_caught(name: str, trait: str, facts: Facts, monkeypatch: Any) -> None:
    assert holds(ACTIVATIONS[name], trait)
    monkeypatch.setitem(FACTS, ACTIVATIONS[name].fn, lambda _: facts)
    assert not holds(ACTIVATIONS[name], trait)


@pytest.mark.parametrize(
    ("name", "trait"),
    [("gelu", "convex"), ("silu", "non-decreasing"), ("tanh", "concave"), ("elu", "odd"), ("mish", "convex")],
)
def test_planted_wrong_traits_are_caught(name: str, trait: str) -> None:
    assert not holds(ACTIVATIONS[name], trait)


# functions of one's own -------------------------------------------------------------------------------------------
def wiggle(x: torch.Tensor) -> torch.Tensor:
    return x + torch.sin(x) ** 2


def test_a_function_of_ones_own() -> None:
    found = orbitope.traits(wiggle)
    # x + sin² x = x + (1 − cos 2x)/2: increasing, slope at most 2; sin² has period π and sin²(π/2 − x) = 1 − sin² x
    assert set(found.holding) == {"non-decreasing", "mirrored", "tilted", "shifted", "Lipschitz", "smooth"}
    assert found["shifted"].detail == "f(x + π) = f(x) + π"
    assert found["mirrored"].detail == "f(π/2 − x) = 2.5708 − f(x)" and pi / 2 + 1 == pytest.approx(2.5708, abs=1e-4)
    assert found["Lipschitz"].detail == "L = 2"
    assert {found[trait].guarantee for trait in found.holding} == {"heuristic"}
    assert found["convex"].guarantee == "numeric" and "f(" in found["convex"].counterexample


def test_counterexamples_are_counterexamples() -> None:
    # the numbers that are printed, computed again: f(m) > t·f(x) + (1 − t)·f(y)
    found = orbitope.traits("silu")
    assert (found["Lipschitz"].guarantee, found["convex"].guarantee) == ("exact", "numeric")
    text = found["convex"].counterexample
    assert text == "f(−2.75) = −0.165238 > −0.172792 = 0.5·f(−4) + 0.5·f(−1.5)"
    f = lambda x: x / (1 + np.exp(-x))  # noqa: E731
    assert f(-2.75) == pytest.approx(-0.165238, abs=1e-6)
    assert (f(-4) + f(-1.5)) / 2 == pytest.approx(-0.172792, abs=1e-6)


@pytest.mark.parametrize(
    ("function", "trait", "detail"),
    [
        (lambda x: x.abs() + 0.5 * (x - 1).relu(), "piecewise linear", "cut at 0, 1"),
        (lambda x: torch.where(x > 0.3, 1.0, 0.0) + 0 * x, "bounded", "0 to 1"),
        (lambda x: x.clamp(-3, 3).exp(), "bounded", "0.0497871 to 20.086"),
        (lambda x: (x - 1).square(), "mirrored", "f(2 − x) = f(x)"),
        (lambda x: 2 * x.relu() - 0.25 * (-x).relu(), "homogeneous", "d = 1"),
    ],
)
def test_more_functions(function: Any, trait: str, detail: str) -> None:
    finding = probe(function)[trait]
    assert finding.holds
    assert [float(s) for s in numbers(finding.detail)] == pytest.approx([float(s) for s in numbers(detail)], rel=1e-4)


def numbers(text: str) -> list[str]:
    kept = "".join(c if c.isdigit() or c in ".−" else " " for c in text).replace("−", "-").split()
    return [part for part in kept if any(c.isdigit() for c in part)]


@pytest.mark.parametrize(
    ("function", "trait", "told"),
    [
        (lambda x: torch.where(x > 0.3, 1.0, 0.0) + 0 * x, "Lipschitz", "jumps from 0 to 1 at 0.3"),
        (lambda x: x.abs().sqrt(), "Lipschitz", "slopes grow without end"),
        (lambda x: (1 + x.abs()).log(), "bounded", "f(100000)"),
        (lambda x: x.abs() ** 1.5, "smooth", "kink at 0"),
        (lambda x: (x - 0.7).relu() ** 2, "smooth", "the derivative of f has a kink at 0.7"),
        (torch.floor, "smooth", "jumps at"),
    ],
)
def test_failures_say_where(function: Any, trait: str, told: str) -> None:
    finding = probe(function)[trait]
    assert not finding.holds and told in finding.counterexample


class Learned(nn.Module):
    """A slope that is learned is held where it is."""

    def __init__(self) -> None:
        super().__init__()
        self.slope = nn.Parameter(torch.tensor(0.2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.where(x > 0, x, self.slope * x)


def test_a_module_and_its_class() -> None:
    for given in (Learned, Learned()):
        found = orbitope.traits(given, "learned")
        assert found["homogeneous"].detail == "d = 1" and found["piecewise linear"].detail == "cut at 0"
    assert Kink(0.0, 0.2, 1.0).left == 0.2
    assert found.to_json()["name"] == "learned" and len(found.to_json()["traits"]) == len(TRAITS)
