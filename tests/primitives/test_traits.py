"""Every trait of the table is a statement about a real function, and is put to the test over its domain."""

import pytest
import torch

from orbitope.arithmetic import TorchArithmetic
from orbitope.primitives import TRAITS, Behaviour

ARITHMETIC = TorchArithmetic(torch.float64)
SETTINGS = {
    "leaky_relu": [{"slope": s} for s in (0.2, 1.7, -0.5, 0.0)],
    "elu": [{}, {"alpha": 0.6}, {"alpha": 1.8}, {"alpha": 1.67, "scale": 1.05}],
    "power": [{"exponent": e} for e in (1, 2, 3, 4, -1, -2, 0.5, -0.5)],
    "hardtanh": [{"low": -0.7, "high": 1.2}, {"low": 0.3, "high": None}, {"low": None, "high": -0.2}],
    "gelu": [{}, {"approximate": "tanh"}],
}
POSITIVE = {"log", "sqrt", "rsqrt", ("power", 0.5), ("power", -0.5), ("power", -1), ("power", -2)}
CASES = [(name, settings) for name in TRAITS for settings in SETTINGS.get(name, [{}])]
TINY = 1e-9


def _points(name, settings, count, seed):
    x = 3 * torch.randn(TRAITS[name].arity, count, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    positive = name in POSITIVE or (name, settings.get("exponent")) in POSITIVE
    x = x.abs() + 0.05 if positive else x
    if name == "div":
        x[1] = x[1].sign() * (x[1].abs() + 0.1)
    return x


def _value(name, settings, x):
    return TRAITS[name].value(ARITHMETIC, list(x), settings)


def wrong_traits(name, settings, claimed):
    """The claims that fail on some points."""
    x, y = _points(name, settings, 4000, 1), _points(name, settings, 4000, 2)
    f, g = _value(name, settings, x), _value(name, settings, y)
    room = TINY * (1 + f.abs() + g.abs())
    wrong = []
    middle = _value(name, settings, (x + y) / 2)
    if claimed.form in ("convex", "affine") and bool((middle > (f + g) / 2 + room).any()):
        wrong.append("convex")
    if claimed.form in ("concave", "affine") and bool((middle < (f + g) / 2 - room).any()):
        wrong.append("concave")
    if claimed.sign == "nonnegative" and bool((f < -TINY).any()):
        wrong.append("nonnegative")
    if claimed.sign == "nonpositive" and bool((f > TINY).any()):
        wrong.append("nonpositive")
    for k in range(len(x)):
        moved = x.clone()
        moved[k] = torch.maximum(x[k], y[k])
        change = _value(name, settings, moved) - f
        if claimed.monotone[k] and bool((claimed.monotone[k] * change < -room).any()):
            wrong.append(f"monotone in {k}")
        if claimed.form == "multilinear":
            other, middle = x.clone(), x.clone()
            other[k], middle[k] = y[k], (x[k] + y[k]) / 2
            mean = (f + _value(name, settings, other)) / 2
            if not torch.allclose(_value(name, settings, middle), mean, atol=1e-9):
                wrong.append(f"linear in {k}")
        degree = claimed.homogeneous[k] if claimed.homogeneous else None
        if degree is not None:
            scaled = x.clone()
            scaled[k] *= 1.7
            alone = len(x) == 1 or claimed.form in ("multilinear", "other")
            both = scaled if alone else 1.7 * x
            if not torch.allclose(_value(name, settings, both), 1.7**degree * f, rtol=1e-9):
                wrong.append(f"homogeneous in {k}")
    if len(x) == 1 and claimed.odd and claimed.odd[0] and not torch.allclose(_value(name, settings, -x), -f, rtol=1e-9):
        wrong.append("odd")
    return wrong


@pytest.mark.parametrize(("name", "settings"), CASES)
def test_what_is_claimed_holds(name, settings):
    claimed = TRAITS[name].behaviour(settings)
    assert len(claimed.monotone) == TRAITS[name].arity
    assert wrong_traits(name, settings, claimed) == []


PLANTED = [
    ("tanh", Behaviour("convex", (1,)), "convex"),
    ("sigmoid", Behaviour("other", (1,), odd=(True,), homogeneous=(None,)), "odd"),
    ("gelu", Behaviour("other", (1,)), "monotone in 0"),
    ("silu", Behaviour("convex", (0,)), "convex"),
    ("relu", Behaviour("concave", (1,)), "concave"),
    ("sin", Behaviour("other", (0,), "nonnegative"), "nonnegative"),
    ("softplus", Behaviour("convex", (1,), homogeneous=(1.0,), odd=(False,)), "homogeneous in 0"),
    ("div", Behaviour("multilinear", (0, 0)), "linear in 1"),
]


@pytest.mark.parametrize(("name", "claimed", "caught"), PLANTED)
def test_planted_wrong_traits_are_caught(name, claimed, caught):
    assert caught in wrong_traits(name, {}, claimed)
