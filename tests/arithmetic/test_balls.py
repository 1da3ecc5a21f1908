"""Balls enclose exact values, are not vacuous, refuse what they cannot enclose, and move entries as torch does."""

from __future__ import annotations

import ctypes
import ctypes.util
import itertools
import math
import platform
from collections.abc import Callable
from fractions import Fraction
from functools import partial
from typing import Any

import flint
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.arithmetic.campaign import EXACT, KINDS, RADII, Campaign, U, ball, exact_value, rational

from orbitope.arithmetic import ELEMENTARY, Ball, BallArithmetic, TorchArithmetic
from orbitope.arithmetic import _elementary as elementary
from orbitope.arithmetic import _erf as erf
from orbitope.arithmetic import _rounding as rounding
from orbitope.errors import DataError, EnclosureError

BALLS = BallArithmetic()


# enclosure --------------------------------------------------------------------------------------------------


def test_every_operation_encloses_the_exact_value() -> None:
    """At least 2·10⁵ entries of adversarial operands, none outside its ball."""
    campaign = Campaign(BALLS, seed=1)
    campaign.elementwise(rounds=10)
    campaign.subnormal_radii(rounds=8)
    campaign.unary(rounds=3)
    campaign.sums_of_products(rounds=8)
    campaign.functions(rounds=2)
    campaign.log_softmaxes(rounds=4)
    campaign.compositions(rounds=150)
    assert not campaign.escapes, campaign.escapes[:10]
    assert campaign.checks >= 200_000, (campaign.checks, campaign.refused)


def test_functions_from_arb_enclose() -> None:
    """The sine and the cosine, and the error function beside them."""
    campaign = Campaign(BALLS, seed=2)
    campaign.functions(("erf", "sin", "cos"), size=16)
    assert not campaign.escapes, campaign.escapes[:10]
    assert campaign.checks > 1000


FLOATS = st.floats(allow_nan=False, allow_infinity=False)
REACHES = st.floats(min_value=0, allow_nan=False, allow_infinity=False)


@settings(max_examples=300, deadline=None)
@given(x=FLOATS, y=FLOATS, r=REACHES, s=REACHES, i=st.sampled_from([-1, 0, 1]), j=st.sampled_from([-1, 0, 1]))
def test_field_operations_enclose(x: float, y: float, r: float, s: float, i: int, j: int) -> None:
    """Hypothesis chooses the ball and the point."""
    a, b = Ball(np.array([x]), np.array([r])), Ball(np.array([y]), np.array([s]))
    p = np.array([rational(x) + i * rational(r)], dtype=object)
    q = np.array([rational(y) + j * rational(s)], dtype=object)
    campaign = Campaign(BALLS, 0)
    for name in ("add", "sub", "mul", "div", "maximum"):
        try:
            result = getattr(BALLS, name)(a, b)
        except EnclosureError:
            continue
        campaign.compare(name, result, getattr(EXACT, name)(p, q))
    assert not campaign.escapes


@settings(max_examples=300, deadline=None)
@given(x=st.floats(-745, 709), r=st.floats(0, 3), name=st.sampled_from(["exp", "tanh", "sigmoid", "log", "sqrt"]))
def test_functions_enclose(x: float, r: float, name: str) -> None:
    """Hypothesis chooses the argument; both ends and the midpoint lie inside."""
    campaign = Campaign(BALLS, 0)
    x = abs(x) + r + 1e-300 if name in ("log", "sqrt") else x
    try:
        result = BALLS.function(name, Ball(np.array([x]), np.array([r])))
    except EnclosureError:
        return
    for end in (-1, 0, 1):
        campaign.compare(name, result, [partial(exact_value, name, rational(x) + end * rational(r))])
    assert not campaign.escapes


def test_large_products_enclose() -> None:
    """Long sums, through the BLAS kernels that small matrices do not reach."""
    rng = np.random.default_rng(3)
    for terms in (127, 512, 2049):
        x, w = ball(rng, (9, terms), "normal", "exact"), ball(rng, (17, terms), "f32", "last_place")
        campaign = Campaign(BALLS, 4)
        campaign.run("large", lambda a, v: a.contract("bi,oi->bo", v), x, w)
        campaign.run("large sum", lambda a, v: a.sum(v[0], (1,)), x)
        assert not campaign.escapes


def test_mean_of_many_balls_is_tight() -> None:
    """The enclosure of a mean is a few units in the last place wider than the balls themselves."""
    rng = np.random.default_rng(5)
    parts = [Ball(rng.standard_normal(n), r) for n, r in ((1000, None), (777, np.full(777, 1e-13)))]
    low, high = BALLS.enclosing_mean(parts)
    exact = sum(Fraction(c) for part in parts for c in part.center.tolist()) / 1777
    reach = 777 * Fraction(1e-13) / 1777
    assert Fraction(low) <= exact - reach and exact + reach <= Fraction(high)
    assert Fraction(high) - Fraction(low) <= 2 * reach + 8 * Fraction(math.ulp(high))
    with pytest.raises(EnclosureError, match="no values"):
        BALLS.enclosing_mean([])
    with pytest.raises(EnclosureError, match="overflow"):
        BALLS.enclosing_mean([Ball(np.full(4, 1.7e308))])


# tightness: a vacuous bound fails ---------------------------------------------------------------------------


def test_radii_are_within_a_factor_of_the_bound() -> None:
    """Field operations: at most 1.1 times the first-order bound, worked out independently here."""
    rng = np.random.default_rng(6)
    x, y = ball(rng, (200,), "normal", "small"), ball(rng, (200,), "normal", "small")
    cx, cy, rx, ry = np.abs(x.center), np.abs(y.center), np.asarray(x.radius), np.asarray(y.radius)

    def within(result: Ball, expected: Any) -> bool:
        return bool(np.all(np.asarray(result.radius) <= 1.1 * expected))

    assert within(BALLS.add(x, y), rx + ry + U * np.abs(x.center + y.center))
    assert within(BALLS.mul(x, y), cx * ry + rx * cy + U * cx * cy)
    assert within(BALLS.div(x, y), rx / cy + cx / cy**2 * ry + U * cx / cy)
    assert within(BALLS.sum(x, (0,)), rx.sum() + 200 * U * cx.sum())
    w = ball(rng, (30, 200), "normal", "small")
    reach = np.abs(w.center) @ rx + np.asarray(w.radius) @ (cx + rx) + 200 * U * (np.abs(w.center) @ cx)
    assert within(BALLS.contract("oi,i->o", [w, x]), reach)
    exact = Ball(w.center)
    assert within(BALLS.contract("oi,i->o", [exact, Ball(x.center)]), 200 * U * (np.abs(w.center) @ cx))
    assert within(BALLS.contract("oi,i->o", [exact, x]), np.abs(w.center) @ (rx + 200 * U * cx))


@pytest.mark.parametrize(("name", "slack"), [("exp", 9), ("log", 20), ("tanh", 21), ("sigmoid", 13), ("sqrt", 2)])
def test_functions_are_tight(name: str, slack: float) -> None:
    """Radii are at most 1.5 times the true spread over the ball plus the function's own error."""
    rng = np.random.default_rng(7)
    for relative in (0.0, 1e-15, 1e-9, 1e-3):
        center = rng.uniform(0.01, 8.0, 300) * (1 if name in ("log", "sqrt") else rng.choice([-1, 1], 300))
        x = Ball(center, np.abs(center) * relative)
        result = BALLS.function(name, x)
        for c, r, value, radius in zip(
            center.tolist(),
            np.asarray(x.radius).tolist(),
            result.center.tolist(),
            np.asarray(result.radius).tolist(),
            strict=True,
        ):
            with flint.ctx.workprec(256):
                at = [exact_value(name, rational(c) + k * rational(r)) for k in (-1, 0, 1)]
                spread = float(abs(at[2] - at[1]).max(abs(at[1] - at[0])))
            own = slack * U * (abs(value) if name in ("exp", "sigmoid", "sqrt") else 1.0 + abs(value))
            assert radius <= 1.5 * spread + own * 1.01, (name, c, r, radius, spread)


def test_exp_constants_are_proved() -> None:
    """The recursion of the docstring of ``exp_point``, in rationals, stays below the claimed error."""
    with flint.ctx.workprec(256):
        high, low = flint.arb(elementary.LN2_HIGH), flint.arb(elementary.LN2_LOW)
        assert abs(high + low - flint.arb.const_log2()) <= flint.arb(2) ** -86
    assert (Fraction(elementary.LN2_HIGH) * 2**32).denominator == 1
    reach, u = Fraction(35, 100), Fraction(1, 2**53)
    size = [sum(reach**i / math.factorial(i + j) for i in range(30)) for j in range(16)]
    error = u / math.factorial(13)
    for j in reversed(range(13)):
        coefficient = u / math.factorial(j) if j > 2 else 0
        # product, then sum: each rounds once, on values that are already perturbed by `error`
        product = reach * (size[j + 1] + error) * (1 + u)
        error = (
            reach * error
            + u * reach * (size[j + 1] + error)
            + u * (product + Fraction(1, math.factorial(j)))
            + coefficient
        )
        assert Fraction(elementary._TAYLOR[j]) - Fraction(1, math.factorial(j)) <= u / math.factorial(j)
    least = Fraction(704, 1000)  # below e^−0.35
    truncation = reach**14 / math.factorial(14) / (1 - reach / 15)
    total = (error + truncation) / least + Fraction(37, 100) * u
    assert total <= Fraction(39, 10) * u
    assert total * (1 + 10 * u) < Fraction(elementary.EXP_ERROR)


def test_erf_constants_are_proved(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every coefficient is the nearest float or next to it; what the polynomials leave out is below its bound."""
    table = erf.coefficients()
    monkeypatch.setattr(flint.ctx, "cap", 60)
    with flint.ctx.workprec(400):
        for k in range(erf.LAST + 1):
            series = flint.arb_series([flint.arb(flint.fmpq(k, 8)), 1], 60).erf()
            for j in range(erf.DEGREE + 1):
                assert abs(flint.arb(float(table[j][k])) - series[j]) <= abs(series[j]) * U + flint.arb(2) ** -180
            rest = [abs(series[j]) * flint.arb(2) ** (-4 * j) for j in range(erf.DEGREE + 1, 60)]
            assert sum(rest, flint.arb(0)) < flint.arb(3e-18)
        assert flint.arb(erf.SLOPE) > 2 / flint.arb.pi().sqrt()
        assert 1 - flint.arb(6).erf() < flint.arb(2.2e-17)
        assert 4 / flint.arb.pi().sqrt() * (-flint.arb(0.5)).exp() / flint.arb(2).sqrt() < flint.arb(0.97)
        rng = np.random.default_rng(8)
        points = np.concatenate(
            [rng.uniform(-6.2, 6.2, 4000), (np.arange(0, 98) / 16.0), rng.standard_normal(500) * 1e-3]
        )
        values, errors = erf.erf_point(points)
        for c, value, error in zip(points.tolist(), values.tolist(), errors.tolist(), strict=True):
            assert abs(flint.arb(value) - flint.arb(c).erf()) <= flint.arb(error) * 0.75


def test_growth_and_inflation_are_upper_bounds() -> None:
    """Against exact fractions."""
    for n in (0, 1, 2, 3, 100, 784, 12345, 2**20, 2**26 + 1, 2**40):
        assert Fraction(rounding.growth(n)) >= Fraction(n, 2**53 - n)
        assert rounding.growth(n) <= (n + 1) * U * (1 + 2 * n * U)
        factor = Fraction(rounding.inflation(n))
        assert (1 - Fraction(n + 7, 2**53)) * factor >= 1 and factor == 1 + Fraction(2 * n + 16, 2**53)
    with pytest.raises(EnclosureError):
        rounding.growth(2**41)
    with pytest.raises(EnclosureError):
        rounding.inflation(2**41)


# refusals ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [math.inf, math.nan])
def test_lift_refuses_what_is_not_finite(value: float) -> None:
    """+∞ and NaN; −∞ may hide an entry."""
    with pytest.raises(EnclosureError, match="overflow"):
        BALLS.lift(torch.tensor([1.0, value]))
    with pytest.raises(EnclosureError):
        BALLS.full((2,), value)


def test_overflow_is_refused_everywhere() -> None:
    """No infinite radius or midpoint ever leaves an operation."""
    top = Ball(np.full((2, 2), 1.7e308))
    half = Ball(np.full((2, 2), 1e308), np.full((2, 2), 1.7e308))
    refusals: list[Callable[[], object]] = [
        lambda: BALLS.add(top, top),
        lambda: BALLS.sub(half, half),
        lambda: BALLS.mul(top, top),
        lambda: BALLS.contract("ai,bi->ab", [top, top]),
        lambda: BALLS.sum(top, (0,)),
        lambda: BALLS.function("exp", top),
        lambda: BALLS.function("exp", Ball(np.array([700.0]), np.array([20.0]))),
        lambda: BALLS.bounds(half),
        lambda: BALLS.div(top, Ball(np.full((2, 2), 1e-300))),
        lambda: BALLS.div(top, Ball(np.full((2, 2), 1.0), np.full((2, 2), 1.0))),
        lambda: BALLS.function("log", Ball(np.array([1.0]), np.array([1.0]))),
        lambda: BALLS.function("log", Ball(np.array([0.0]))),
        lambda: BALLS.function("sqrt", Ball(np.array([1.0]), np.array([1.5]))),
        lambda: BALLS.function("gamma", top),
        lambda: BALLS.call("aten.roll.default", [top]),
        lambda: BALLS.lift(torch.tensor([1j])),
        lambda: BALLS.ball(np.ones(2), -np.ones(2)),
        lambda: BALLS.pad(top, [(0, 1), (0, 0)], math.inf),
    ]
    for refusal in refusals:
        with pytest.raises(EnclosureError):
            refusal()


def test_minus_infinity_is_refused_where_it_is_no_limit() -> None:
    """Max-pooling pads with −∞ and masks hide with it; everything that would compute with it refuses."""
    x = BALLS.pad(Ball(np.array([[1.0, -2.0]]), np.array([[0.1, 0.2]])), [(0, 0), (1, 0)], -math.inf)
    assert BALLS.amax(x, (1,)).center.tolist() == [1.0]
    one = BALLS.full((1, 3), 1)
    assert BALLS.maximum(x, one).center.tolist() == [[1.0, 1.0, 1.0]]
    padding = BALLS.slice(x, 1, 0, 1)
    two = Ball(np.array([[2.0, 3.0, 4.0]]))
    refusals: list[Callable[[], object]] = [
        *(lambda name=name: getattr(BALLS, name)(x, two) for name in ("mul", "div")),
        *(lambda name=name: getattr(BALLS, name)(one, x) for name in ("sub", "div")),
        lambda: BALLS.mul(x, BALLS.neg(one)),
        lambda: BALLS.add(x, BALLS.neg(x)),
        lambda: BALLS.sub(x, x),
        lambda: BALLS.contract("bi,oi->bo", [x, two]),
        lambda: BALLS.normalise(x, (1,), 1e-5, "standard"),
        *(lambda name=name: BALLS.function(name, x) for name in ELEMENTARY if name != "exp"),
        lambda: BALLS.amax(padding, (0, 1)),
        lambda: BALLS.log_softmax(padding, 1),
        lambda: BALLS.softmax(padding, 1),
        lambda: BALLS.sum(x, (1,)),
        lambda: BALLS.bounds(x),
        lambda: BALLS.enclosing_mean(x),
    ]
    for refusal in refusals:
        with pytest.raises(EnclosureError):
            refusal()


def test_flushed_subnormals_are_refused() -> None:
    """``torch.set_flush_denormal`` sets the process's flags."""
    if not torch.set_flush_denormal(True):
        pytest.skip("this processor cannot flush subnormals")
    try:
        with pytest.raises(EnclosureError, match="subnormal"):
            BallArithmetic()
    finally:
        torch.set_flush_denormal(False)
    BallArithmetic()


@pytest.mark.skipif(platform.machine() != "x86_64" or platform.system() != "Linux", reason="fesetround constants")
@pytest.mark.parametrize("mode", [0x400, 0x800, 0xC00])
def test_directed_rounding_is_refused(mode: int) -> None:
    """Downward, upward and toward zero."""
    library = ctypes.CDLL(ctypes.util.find_library("m"))
    assert library.fesetround(mode) == 0
    try:
        with pytest.raises(EnclosureError, match="nearest"):
            BallArithmetic()
    finally:
        library.fesetround(0)


def _tf32(x: Any, y: Any) -> Any:
    """Products of factors rounded to eleven bits."""

    def short(a: Any) -> Any:
        mantissa, exponent = np.frexp(a)
        return np.ldexp(np.rint(mantissa * 2.0**11) / 2.0**11, exponent)

    return short(x) @ short(y)


def _single(x: Any, y: Any) -> Any:
    with np.errstate(all="ignore"):
        return (x.astype(np.float32) @ y.astype(np.float32)).astype(np.float64)


def _fixed_point(x: Any, y: Any) -> Any:
    """Emulation by integers: 60 bits of every row and column, counted from its largest entry."""

    def cut(a: Any, axis: int) -> Any:
        unit = 2.0 ** (np.ceil(np.log2(np.max(np.abs(a), axis=axis, keepdims=True) + 1e-300)) - 60)
        return np.rint(a / unit) * unit

    return cut(x, 1) @ cut(y, 0)


def _strassen(x: Any, y: Any) -> Any:
    """One step of Strassen's algorithm where the sizes are even."""
    if x.shape[0] % 2 or x.shape[1] % 2 or y.shape[1] % 2:
        return x @ y
    h, i, j = x.shape[0] // 2, x.shape[1] // 2, y.shape[1] // 2
    a, b, c, d = x[:h, :i], x[:h, i:], x[h:, :i], x[h:, i:]
    e, f, g, k = y[:i, :j], y[:i, j:], y[i:, :j], y[i:, j:]
    p, q, r, s = a @ (f - k), (a + b) @ k, (c + d) @ e, d @ (g - e)
    t, u, v = (a + d) @ (e + k), (b - d) @ (g + k), (a - c) @ (e + f)
    return np.block([[t + s - q + u, p + q], [r + s, p + t - r - v]])


def _flushing(x: Any, y: Any) -> Any:
    result = x @ y
    return np.where(np.abs(result) < 2.0**-1022, 0.0, result)


def _upward(x: Any, y: Any) -> Any:
    return np.nextafter(x @ y, np.inf)


@pytest.mark.parametrize("matmul", [_tf32, _single, _fixed_point, _strassen, _flushing, _upward])
def test_products_that_lose_bits_are_refused(matmul: Callable[[Any, Any], Any]) -> None:
    """Reduced precision, emulation, fewer products, subnormals flushed, rounding upward."""
    rounding.require_ieee()
    with pytest.raises(EnclosureError, match=r"lose bits|subnormal|nearest"):
        rounding.require_ieee(matmul)


def test_modes_of_float32_do_not_matter() -> None:
    """Torch's settings of matrix products concern float32, and the balls are NumPy's float64."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    try:
        campaign = Campaign(BallArithmetic(), seed=6)
        campaign.sums_of_products()
        assert not campaign.escapes
    finally:
        torch.set_float32_matmul_precision(before)


def test_flags_that_change_on_the_way_are_noticed() -> None:
    """At the latest when the bounds are read off."""
    x = BALLS.lift(torch.ones(3))
    if not torch.set_flush_denormal(True):
        pytest.skip("this processor cannot flush subnormals")
    try:
        with pytest.raises(EnclosureError, match="subnormal"):
            BALLS.enclosing_mean(x)
    finally:
        torch.set_flush_denormal(False)


# numbers and structure --------------------------------------------------------------------------------------


def test_lift_is_exact_for_every_dtype() -> None:
    """Floats of up to 64 bits and small integers; large integers become balls that contain them."""
    for dtype in (torch.float16, torch.bfloat16, torch.float32, torch.float64):
        x = torch.tensor([1.1, -3e-5, 6e-8, 0.0], dtype=dtype)
        lifted = BALLS.lift(x)
        assert lifted.radius is None
        assert [Fraction(v) for v in lifted.center.tolist()] == [Fraction(v) for v in x.tolist()]
    for dtype in (torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64):
        assert BALLS.lift(torch.tensor([0, 1], dtype=dtype)).center.tolist() == [0.0, 1.0]
    values = [2**53 + 1, -(2**53) - 1, 2**63 - 1, -(2**63), 7]
    lifted = BALLS.lift(torch.tensor(values))
    assert lifted.radius is not None
    for c, r, value in zip(lifted.center.tolist(), lifted.radius.tolist(), values, strict=True):
        assert abs(Fraction(c) - value) <= Fraction(r)
    with pytest.raises(DataError):
        BALLS.integers(lifted)
    assert BALLS.integers(BALLS.lift(torch.tensor([3, -4]))).tolist() == [3, -4]
    with pytest.raises(DataError):
        BALLS.integers(Ball(np.array([0.5])))


def test_lift_does_not_share_memory() -> None:
    """Changing the model afterwards does not change the balls."""
    x = torch.ones(3, dtype=torch.float64)
    lifted = BALLS.lift(x)
    x.zero_()
    assert lifted.center.tolist() == [1.0, 1.0, 1.0]


@pytest.mark.parametrize("value", [0, 1, -0.5, Fraction(1, 3), Fraction(-7, 10**40), 2**60 + 1, Fraction(1, 2**1080)])
def test_full_encloses_itsexact_value(value: Fraction | float | int) -> None:
    """Exact where a float can hold it."""
    x = BALLS.full((2, 2), value)
    radius = Fraction(0) if x.radius is None else Fraction(float(x.radius[0, 0]))
    assert abs(Fraction(float(x.center[0, 0])) - Fraction(value)) <= radius
    assert (x.radius is None) == (Fraction(float(value)) == Fraction(value))


def test_bounds_are_outward() -> None:
    """Ends contain the exact ends."""
    rng = np.random.default_rng(11)
    for kind, radius in itertools.product(KINDS, RADII):
        x = ball(rng, (50,), kind, radius)
        lower, upper = BALLS.bounds(x)
        reach = np.zeros(50) if x.radius is None else x.radius
        for low, high, c, r in zip(lower.tolist(), upper.tolist(), x.center.tolist(), reach.tolist(), strict=True):
            assert Fraction(low) <= Fraction(c) - Fraction(r) and Fraction(c) + Fraction(r) <= Fraction(high)


def test_exact_operands_stay_exact_where_nothing_rounds() -> None:
    """Structure, order and signs keep the flag."""
    x = BALLS.lift(torch.randn(3, 4))
    kept = [
        BALLS.reshape(x, (4, 3)),
        BALLS.neg(x),
        BALLS.relu(x),
        BALLS.amax(x, (0,)),
        BALLS.maximum(x, BALLS.neg(x)),
        BALLS.function("abs", x),
        BALLS.function("floor", x),
        BALLS.concat([x, x], 1),
        BALLS.pad(x, [(1, 1), (0, 0)]),
        BALLS.sum(BALLS.reshape(x, (3, 1, 4)), (1,)),
        BALLS.take(x, torch.tensor([[0, 2]]), 0),
    ]
    assert all(y.radius is None for y in kept)
    mixed = BALLS.concat([x, BALLS.add(x, BALLS.full(x.shape, 0.1))], 0)
    assert mixed.radius is not None and mixed.radius[:3].tolist() == np.zeros((3, 4)).tolist()


def test_single_numbers_are_arrays() -> None:
    """Shape () goes through every operation and stays an array."""
    for radius in (None, np.array(1e-9)):
        x, y = Ball(np.array(0.75), radius), Ball(np.array(-0.5))
        results = [
            *(getattr(BALLS, name)(x, y) for name in ("add", "sub", "mul", "div", "maximum")),
            *(BALLS.function(name, x) for name in ELEMENTARY),
            BALLS.relu(x),
            BALLS.neg(x),
            BALLS.sum(x, ()),
            BALLS.amax(x, ()),
            BALLS.contract(",->", [x, y]),
            BALLS.mean(BALLS.reshape(x, (1,)), (0,)),
            BALLS.sum(BALLS.broadcast(x, (3,)), (0,)),
        ]
        for result in results:
            assert isinstance(result.center, np.ndarray)
            assert result.radius is None or isinstance(result.radius, np.ndarray)
            assert result.shape == ()


def test_repr_is_short() -> None:
    """Shape and largest radius."""
    assert repr(Ball(np.zeros((2, 3)), np.full((2, 3), 1e-3))) == "Ball(shape=(2, 3), largest radius 1.0e-03)"


SHAPES = st.lists(st.integers(1, 4), min_size=1, max_size=4).map(tuple)


@settings(max_examples=80, deadline=None)
@given(shape=SHAPES, data=st.data())
def test_structure_agrees_with_torch(shape: tuple[int, ...], data: st.DataObject) -> None:
    """Structural operations of all three arithmetics move the same entries to the same places."""
    rank = len(shape)
    tensor = torch.arange(1, math.prod(shape) + 1, dtype=torch.float64).reshape(shape)
    axis = data.draw(st.integers(0, rank - 1))
    size = shape[axis]
    permutation = data.draw(st.permutations(range(rank)))
    start = data.draw(st.integers(0, size - 1))
    stop, step = data.draw(st.integers(start + 1, size)), data.draw(st.integers(1, 3))
    widths = data.draw(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=rank, max_size=rank))
    indices = torch.tensor(
        data.draw(st.lists(st.lists(st.integers(0, size - 1), min_size=2, max_size=2), min_size=1, max_size=3))
    )
    kernel = [data.draw(st.integers(1, n)) for n in shape[-min(rank, 2) :]]
    gaps = [
        data.draw(st.integers(1, max(1, (n - 1) // max(1, k - 1))))
        for n, k in zip(shape[-len(kernel) :], kernel, strict=True)
    ]
    steps = [data.draw(st.integers(1, 3)) for _ in kernel]
    programs: list[Callable[[Any, Any], Any]] = [
        lambda a, x: a.reshape(x, (math.prod(shape), 1)),
        lambda a, x: a.transpose(x, permutation),
        lambda a, x: a.broadcast(x, (3, *shape)),
        lambda a, x: a.concat([x, a.neg(x)], axis),
        lambda a, x: a.slice(x, axis, start, stop, step),
        lambda a, x: a.pad(x, widths, -2.5),
        lambda a, x: a.amax(a.pad(x, widths, -math.inf), tuple(range(rank))),
        lambda a, x: a.take(x, indices, axis),
        lambda a, x: a.windows(x, kernel, stride=steps, dilation=gaps),
        lambda a, x: a.amax(x, (axis,)),
        lambda a, x: a.sum(x, tuple(range(rank))),
        lambda a, x: a.sum(x, ()),
        lambda a, x: a.amax(x, ()),
        lambda a, x: a.relu(x),
    ]
    plain = TorchArithmetic()
    for program in programs:
        expected = program(plain, tensor)
        for found in (program(BALLS, BALLS.lift(tensor)).center, program(EXACT, EXACT.lift(tensor))):
            assert tuple(found.shape) == tuple(expected.shape)
            assert np.array_equal(np.asarray(found).astype(float), expected.numpy())
    assert torch.equal(plain.integers(tensor), BALLS.integers(BALLS.lift(tensor)))
    assert torch.equal(plain.integers(tensor), EXACT.integers(EXACT.lift(tensor)))


@pytest.mark.parametrize("space", [1, 2, 3])
@pytest.mark.parametrize(
    ("groups", "stride", "padding", "dilation"), [(1, 1, 0, 1), (2, 2, 1, 1), (4, 1, 2, 2), (2, 3, 2, 1)]
)
def test_convolutions_agree_with_torch(space: int, groups: int, stride: int, padding: int, dilation: int) -> None:
    """Strides, padding, dilation, groups and depthwise kernels in one to three dimensions."""
    generator = torch.Generator().manual_seed(12)
    x = torch.randn(3, 4, *((7, 6, 5)[:space]), generator=generator, dtype=torch.float64)
    w = torch.randn(8, 4 // groups, *((3, 2, 2)[:space]), generator=generator, dtype=torch.float64)
    chosen: dict[str, Any] = {
        "stride": (stride,) * space,
        "padding": (padding,) * space,
        "dilation": (dilation,) * space,
        "groups": groups,
    }
    expected = TorchArithmetic().convolve(x, w, **chosen)
    found = BALLS.convolve(BALLS.lift(x), BALLS.lift(w), **chosen)
    assert found.shape == tuple(expected.shape)
    assert np.allclose(found.center, expected.numpy(), rtol=0, atol=1e-13)
    campaign = Campaign(BALLS, 0)
    campaign.compare("convolve", found, EXACT.convolve(EXACT.lift(x), EXACT.lift(w), **chosen))
    assert not campaign.escapes


@pytest.mark.parametrize("spec", ["ab,cb->ac", "ab,cd", "a.b->ab", "ab->aa", "ab->c", "ab,a->1"])
def test_unreadable_specifications_are_refused(spec: str) -> None:
    """No explicit output, ellipses, labels from nowhere, sizes that differ."""
    x, y = BALLS.full((2, 3), 1), BALLS.full((4, 5), 1)
    with pytest.raises(ValueError, match=r"specification|label"):
        BALLS.contract(spec, [x, y][: spec.split("->")[0].count(",") + 1])
