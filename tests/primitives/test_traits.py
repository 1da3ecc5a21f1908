"""Every entry of the trait table, tested numerically over its domain and against PyTorch's own function."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from orbitope.arithmetic import TorchArithmetic
from orbitope.graph import Node
from orbitope.primitives import PRIMITIVES, TRAITS, Behaviour

ARITHMETIC = TorchArithmetic(torch.float64)
Domain = tuple[float, float]
REAL, POSITIVE = (-8.0, 8.0), (1e-3, 8.0)

# name, settings, PyTorch's own function, the domain on which traits are claimed
Entry = tuple[str, dict[str, Any], Callable[..., torch.Tensor], Domain]
ENTRIES: list[Entry] = [
    ("add", {}, torch.add, REAL),
    ("sub", {}, torch.sub, REAL),
    ("mul", {}, torch.mul, REAL),
    ("div", {}, torch.div, REAL),
    ("maximum", {}, torch.maximum, REAL),
    ("minimum", {}, torch.minimum, REAL),
    ("identity", {}, torch.clone, REAL),
    ("neg", {}, torch.neg, REAL),
    ("relu", {}, F.relu, REAL),
    ("abs", {}, torch.abs, REAL),
    ("relu6", {}, F.relu6, REAL),
    *(
        ("leaky_relu", {"slope": s}, lambda x, s=s: F.leaky_relu(x, s), REAL)
        for s in (0.01, 0.3, 1.0, 1.7, 0.0, -0.4, -1.5)
    ),
    *(
        ("hardtanh", {"low": low, "high": high}, lambda x, low=low, high=high: x.clamp(low, high), REAL)
        for low, high in [
            (-1.0, 1.0),
            (-2.0, 0.5),
            (0.0, 3.0),
            (0.5, None),
            (-1.0, None),
            (None, -0.5),
            (None, 2.0),
            (-3.0, -1.0),
        ]
    ),
    ("hardsigmoid", {}, F.hardsigmoid, REAL),
    ("hardswish", {}, F.hardswish, REAL),
    ("tanh", {}, torch.tanh, REAL),
    ("sigmoid", {}, torch.sigmoid, REAL),
    ("erf", {}, torch.erf, REAL),
    ("sin", {}, torch.sin, REAL),
    ("cos", {}, torch.cos, REAL),
    ("exp", {}, torch.exp, REAL),
    ("log", {}, torch.log, POSITIVE),
    ("sqrt", {}, torch.sqrt, POSITIVE),
    ("rsqrt", {}, torch.rsqrt, POSITIVE),
    ("gelu", {"approximate": "none"}, F.gelu, REAL),
    ("gelu", {"approximate": "tanh"}, lambda x: F.gelu(x, approximate="tanh"), REAL),
    ("silu", {}, F.silu, REAL),
    ("softplus", {}, F.softplus, REAL),
    ("mish", {}, F.mish, REAL),
    *(("elu", {"alpha": a}, lambda x, a=a: F.elu(x, a), REAL) for a in (1.0, 0.5, 2.0, 0.0)),
    ("elu", {"alpha": 1.6732632423543772, "scale": 1.0507009873554805}, F.selu, REAL),
    ("softsign", {}, F.softsign, REAL),
    *(("power", {"exponent": k}, lambda x, k=k: x**k, REAL) for k in (1, 2, 3, 4, 5, -1, -2, -3)),
    *(("power", {"exponent": k}, lambda x, k=k: x**k, POSITIVE) for k in (0.5, -0.5)),
    *((name, {}, getattr(torch, name), REAL) for name in ("lt", "le", "gt", "ge", "eq", "ne")),
    *((f"logical_{name}", {}, getattr(torch, f"logical_{name}"), REAL) for name in ("and", "or", "xor", "not")),
    *((name, {}, getattr(torch, name), REAL) for name in ("isnan", "isinf", "isfinite", "floor", "ceil", "trunc")),
    *((name, {}, getattr(torch, name), REAL) for name in ("round", "sign", "remainder", "fmod", "floor_divide")),
    *((name, {}, getattr(torch, name), REAL) for name in ("expm1", "exp2", "erfc", "atan", "atan2")),
    *((name, {}, getattr(torch, name), POSITIVE) for name in ("log1p", "log2", "log10", "pow")),
    ("nonzero", {}, lambda x: x != 0, REAL),
    ("where", {}, lambda c, x, y: torch.where(c != 0, x, y), REAL),
    ("nan_to_num", {"nan": 0.5}, lambda x: x, REAL),
    ("integer", {}, lambda x: x.trunc().long(), REAL),
    ("real", {}, lambda x: x, REAL),
    ("number", {}, lambda x: x, REAL),
    ("div_trunc", {}, lambda x, y: torch.div(x, y, rounding_mode="trunc"), REAL),
]
IDS = [f"{name}{''.join(f'-{value}' for value in settings.values())}" for name, settings, _, _ in ENTRIES]
each = pytest.mark.parametrize(("name", "settings", "function", "domain"), ENTRIES, ids=IDS)


def points(domain: Domain, count: int, seed: int = 0) -> torch.Tensor:
    """Random points, many of them near the corners of piecewise functions, where convexity fails first."""
    generator = torch.Generator().manual_seed(seed)
    low, high = domain
    spread = low + (high - low) * torch.rand(count, generator=generator, dtype=torch.float64)
    near = torch.randint(-6, 7, (count,), generator=generator) + 0.3 * torch.randn(count, generator=generator).double()
    return torch.where(torch.rand(count, generator=generator) < 0.5, spread, near.clamp(low, high))


def value(name: str, settings: dict[str, Any], *xs: torch.Tensor) -> torch.Tensor:
    return TRAITS[name].value(ARITHMETIC, list(xs), settings)


def operands(name: str, domain: Domain, seed: int) -> list[torch.Tensor]:
    return [points(domain, 4000, seed + k) for k in range(TRAITS[name].arity)]


def broken(name: str, settings: dict[str, Any], domain: Domain, claims: Behaviour) -> set[str]:
    """Names of the claimed traits that some point contradicts."""

    def f(*xs: torch.Tensor) -> torch.Tensor:
        return value(name, settings, *xs).double()

    xs, ys = operands(name, domain, 1), operands(name, domain, 11)
    fx, fy = f(*xs), f(*ys)
    slack = 1e-9 * (1 + fx.abs() + fy.abs())
    t = torch.rand(4000, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    mixed = f(*(t * x + (1 - t) * y for x, y in zip(xs, ys, strict=True)))
    chord = t * fx + (1 - t) * fy
    found = set()
    if claims.form in ("convex", "affine") and not (mixed <= chord + slack).all():
        found.add("convex")
    if claims.form in ("concave", "affine") and not (mixed >= chord - slack).all():
        found.add("concave")
    if claims.form == "multilinear":
        for k in range(len(xs)):
            moved = [t * x + (1 - t) * y if j == k else x for j, (x, y) in enumerate(zip(xs, ys, strict=True))]
            end = f(*(y if j == k else x for j, (x, y) in enumerate(zip(xs, ys, strict=True))))
            if not torch.allclose(f(*moved), t * fx + (1 - t) * end, rtol=1e-9, atol=1e-9):
                found.add("multilinear")
    for k, direction in enumerate(claims.monotone):
        upper = [torch.maximum(x, y) if j == k else x for j, (x, y) in enumerate(zip(xs, ys, strict=True))]
        lower = [torch.minimum(x, y) if j == k else x for j, (x, y) in enumerate(zip(xs, ys, strict=True))]
        if direction and not (direction * (f(*upper) - f(*lower)) >= -slack - 1e-9 * f(*upper).abs()).all():
            found.add("monotone")
    if claims.sign == "nonnegative" and not (fx >= 0).all():
        found.add("sign")
    if claims.sign == "nonpositive" and not (fx <= 0).all():
        found.add("sign")
    # several operands of an affine form are scaled together
    joint = range(len(xs)) if claims.form == "affine" else claims.together

    def alike(j: int, k: int) -> bool:
        return j == k or (j in joint and k in joint)

    for k, degree in enumerate(claims.homogeneous):
        if degree is not None:
            scaled = f(*(0.37 * x if alike(j, k) else x for j, x in enumerate(xs)))
            if not torch.allclose(scaled, 0.37**degree * fx, rtol=1e-9, atol=1e-12):
                found.add("homogeneous")
    if domain == REAL:
        for k, odd in enumerate(claims.odd):
            turned = f(*(-x if alike(j, k) else x for j, x in enumerate(xs)))
            if odd and not torch.allclose(turned, -fx, rtol=1e-9, atol=1e-12):
                found.add("odd")
        for k, even in enumerate(claims.even):
            turned = f(*(-x if alike(j, k) else x for j, x in enumerate(xs)))
            if even and not torch.allclose(turned, fx, rtol=1e-9, atol=1e-12):
                found.add("even")
    return found


@each
def test_the_value_is_pytorchs(name: str, settings: dict[str, Any], function: Any, domain: Domain) -> None:
    xs = operands(name, domain, 3)
    assert torch.allclose(value(name, settings, *xs).double(), function(*xs).double(), rtol=1e-11, atol=1e-13)


@each
def test_the_traits_hold(name: str, settings: dict[str, Any], function: Any, domain: Domain) -> None:
    claims = TRAITS[name].behaviour(settings)
    assert len(claims.monotone) == TRAITS[name].arity
    assert len(claims.homogeneous) in (0, TRAITS[name].arity) and len(claims.odd) in (0, TRAITS[name].arity)
    assert broken(name, settings, domain, claims) == set()


def test_every_function_of_the_table_is_here() -> None:
    assert {name for name, *_ in ENTRIES} == TRAITS.keys()


@pytest.mark.parametrize(
    ("name", "form", "monotone", "odd"),
    [
        ("relu", "convex", 1, False),
        ("softplus", "convex", 1, False),
        ("exp", "convex", 1, False),
        ("abs", "convex", 0, False),
        ("log", "concave", 1, False),
        ("sqrt", "concave", 1, False),
        ("tanh", "other", 1, True),
        ("erf", "other", 1, True),
        ("sin", "other", 0, True),
        ("neg", "affine", -1, True),
    ],
)
def test_what_is_true_is_also_claimed(name: str, form: str, monotone: int, odd: bool) -> None:
    claims = TRAITS[name].behaviour({})
    assert (claims.form, claims.monotone, claims.odd) == (form, (monotone,), (odd,))


@pytest.mark.parametrize(
    ("name", "settings", "wrong", "trait"),
    [
        ("gelu", {}, Behaviour("convex", (0,)), "convex"),
        ("gelu", {}, Behaviour("other", (1,)), "monotone"),
        ("elu", {"alpha": 2.0}, Behaviour("convex", (1,)), "convex"),
        ("leaky_relu", {"slope": 1.7}, Behaviour("convex", (1,)), "convex"),
        ("hardtanh", {"low": -1.0, "high": 1.0}, Behaviour("concave", (1,)), "concave"),
        ("cos", {}, Behaviour("other", (0,), odd=(True,)), "odd"),
        ("softplus", {}, Behaviour("convex", (1,), homogeneous=(1.0,)), "homogeneous"),
        ("silu", {}, Behaviour("other", (0,), "nonnegative"), "sign"),
        ("mul", {}, Behaviour("convex", (0, 0)), "convex"),
        ("maximum", {}, Behaviour("multilinear", (1, 1)), "multilinear"),
        ("power", {"exponent": -2}, Behaviour("other", (0,), odd=(True,)), "odd"),
    ],
)
def test_planted_wrong_traits_are_caught(name: str, settings: dict[str, Any], wrong: Behaviour, trait: str) -> None:
    assert trait in broken(name, settings, REAL, wrong)


# other primitives: form and monotonicity as functions of their operands
NODES = [
    ("reduce", {"fn": "sum", "axes": [1]}, (3,)),
    ("reduce", {"fn": "mean", "axes": [1]}, (3,)),
    ("reduce", {"fn": "amax", "axes": [1]}, (3,)),
    ("softmax", {"kind": "softmax", "axis": 1}, (3, 4)),
    ("softmax", {"kind": "log", "axis": 1}, (3, 4)),
    ("normalise", {"kind": "standard", "axes": [1], "eps": 0.1}, (3, 4)),
    (
        "pool",
        {"fn": "max", "kernel": [2], "stride": [1], "padding": [1], "dilation": [1], "count_include_pad": True},
        (3, 5),
    ),
    (
        "pool",
        {"fn": "mean", "kernel": [2], "stride": [1], "padding": [1], "dilation": [1], "count_include_pad": True},
        (3, 5),
    ),
    ("pad", {"widths": [[0, 0], [1, 2]], "value": 0.0}, (3, 7)),
    ("pad", {"widths": [[0, 0], [1, 2]], "value": 0.5}, (3, 7)),
    ("reshape", {"shape": [4, 3]}, (4, 3)),
]


@pytest.mark.parametrize(("op", "attributes", "shape"), NODES, ids=lambda x: str(x)[:40])
def test_other_primitives_behave_as_they_say(op: str, attributes: dict[str, Any], shape: tuple[int, ...]) -> None:
    node = Node("n", op, ("x",), shape, "float64", attributes)
    claims = PRIMITIVES[op].behaviour(node)
    generator = torch.Generator().manual_seed(1)

    def f(x: torch.Tensor) -> torch.Tensor:
        return PRIMITIVES[op].evaluate(ARITHMETIC, node, [x])

    for _ in range(50):
        x, y = torch.randn(2, 3, 4, generator=generator, dtype=torch.float64)
        middle, chord = f((x + y) / 2), (f(x) + f(y)) / 2
        if claims.form in ("convex", "affine"):
            assert (middle <= chord + 1e-12).all()
        if claims.form in ("concave", "affine"):
            assert (middle >= chord - 1e-12).all()
        if claims.monotone[0]:
            assert (claims.monotone[0] * (f(torch.maximum(x, y)) - f(x)) >= -1e-12).all()
        if claims.homogeneous and claims.homogeneous[0] is not None:
            assert torch.allclose(f(0.37 * x), 0.37 ** claims.homogeneous[0] * f(x))
        if claims.odd and claims.odd[0]:
            assert torch.allclose(f(-x), -f(x))
        assert claims.sign != "nonnegative" or (f(x) >= 0).all()
        assert claims.sign != "nonpositive" or (f(x) <= 0).all()
