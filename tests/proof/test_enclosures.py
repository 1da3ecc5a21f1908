"""One value of F: the checker's bounds against the exact evaluation, hand-made attacks and planted faults."""

import collections
import random
from fractions import Fraction
from math import isqrt

import flint
import numpy as np
import pytest
import torch
from tests.proof import evaluation
from tests.proof.attacks import attacks
from tests.proof.checking import NARROW, SOURCE, checker, enclose, exact, load
from tests.proof.examples import Sketch
from tests.proof.random_programs import random_program

from orbitope.proof.certificate import encode_array

FIXED = checker.Fixed(128)
pytestmark = pytest.mark.usefixtures("precise")


def encloses(module, case, narrow=None):
    """True or False, or None where the checker refuses the case."""
    try:
        low, high = enclose(module, *case)
    except module.RejectedError:
        return None
    truth = exact(*case)
    inside = evaluation.within(truth, low, high)
    return inside and (narrow is None or high - low <= narrow)


def truth_of(case):
    """The value of F, or None where it has none."""
    try:
        truth = exact(*case)
    except (AssertionError, ZeroDivisionError):
        return None
    return truth if isinstance(truth, Fraction) or truth.is_finite() else None


@pytest.mark.parametrize("smooth", [False, True], ids=["rational", "smooth"])
def test_random_programs_are_enclosed_narrowly(smooth):
    refused = 0
    for seed in range(400 if smooth else 600):
        case = random_program(seed, smooth)
        narrow = NARROW if smooth else NARROW * (1 + abs(exact(*case)))
        result = encloses(checker, case, narrow)
        refused += result is None
        assert result is not False, f"seed {seed}: {case[0]}"
    assert refused < (20 if smooth else 1)


def test_wide_enclosures_stay_enclosures():
    """Errors blown up to order one still lie inside: every rule for radii, not only the last rounding, is used."""
    refused = 0
    for case in attacks():
        truth = truth_of(case)
        if truth is None:
            with pytest.raises(checker.RejectedError):
                enclose(checker, *case)
        else:
            result = encloses(checker, case)
            refused += result is None
            assert result is not False, case[0]
    assert refused < 60  # decisions within the radius


def test_random_decisions_and_zeros_are_enclosed():
    """Comparisons, choices, orders, indices, masks, blocks of two samples, parameters with zeros in places."""
    tally = collections.Counter()
    for seed in range(700):
        case = random_program(seed, seed % 2 > 0, decisions=True)
        try:
            truth = truth_of(case)
            result = encloses(checker, case) if truth is not None else None
        except evaluation.UndecidedError:
            continue
        assert result is not False, f"seed {seed}: {case[0]}"
        tally[result] += 1
        if truth is None:
            with pytest.raises(checker.RejectedError):
                enclose(checker, *case)
    assert tally[True] > 550


@pytest.mark.parametrize("s", [64, 96, 128, 256, 512, 1024, 2048])
@pytest.mark.parametrize("fn", checker.ELEMENTARY)
def test_elementary_functions_err_by_less_than_they_say(fn, s):
    rng, n = random.Random(1), checker.Fixed(s)
    f, one = n.entry(fn), n.one
    number = evaluation.function(fn, {}, evaluation.ball)
    ends = [1, 2, one - 1, one, one + 1, one // 2, 3 * one // 4, 3 * one // 4 - 1, 3 * one // 2, 11 * one]
    turns = [k * n.pi >> checker.GUARD + 2 for k in (1, 2, 3, 4, 5, 6, 7, 8, 1001, 600_000)]
    last = one * isqrt(750_000 * s) // 1000  # where erf is 1 within 2^-s
    values = [*ends, n.ln2 >> checker.GUARD, *turns, *(k + 1 for k in turns), last - 1, last, last + 1, last - one // 9]
    values += [rng.getrandbits(rng.randint(1, s + 5)) + 1 for _ in range(40_000 // s)]
    if fn in ("log", "sqrt", "rsqrt"):
        values += [300 * one, 1 << (s + 255), (1 << (s + 250)) + 12345]
    else:
        values += [-v for v in values] + [0, -(one << 20)]
    values = [v for v in values if abs(v) < (160 if fn == "exp" else 1 << 20) * one or fn not in ("exp", "sin", "cos")]
    worst = 0.0
    with flint.ctx.workprec(2 * s + 1200):
        for v in values:
            y, e = f(v)
            error = abs(number(evaluation.ball(Fraction(v, one))) * one - y)
            assert bool(error <= e), v
            worst = max(worst, float(error) / e)
    assert worst > 0.1  # the bound is not idle


def test_slopes_of_elementary_functions_are_bounds():
    """The derivative anywhere on an interval, by Arb, is at most what the checker takes for it."""
    rng, n = random.Random(4), checker.Fixed(128)
    derivative = {
        "exp": lambda x: x.exp(),
        "log": lambda x: 1 / x,
        "tanh": lambda x: 1 - x.tanh() ** 2,
        "sigmoid": lambda x: (-x).exp() / (1 + (-x).exp()) ** 2,
        "erf": lambda x: 2 / flint.arb.pi().sqrt() * (-x * x).exp(),
        "sin": lambda x: x.cos(),
        "cos": lambda x: x.sin(),
        "sqrt": lambda x: 1 / (2 * x.sqrt()),
        "rsqrt": lambda x: 1 / (2 * x.sqrt() ** 3),
    }
    for fn in checker.ELEMENTARY:
        for _ in range(200):
            low, wide = rng.getrandbits(rng.randint(2, 133)), rng.getrandbits(rng.randint(1, 131))
            low -= 0 if fn in checker.POSITIVE else wide
            bound = n.slope(fn, low + 1, low + 1 + wide)
            for part in (0, 1, 2, 3, 4):
                x = evaluation.ball(Fraction(low + 1 + wide * part // 4, n.one))
                assert bool(abs(derivative[fn](x)) * n.one <= bound), (fn, low, wide)


@pytest.mark.parametrize("v", [(1 << 148) + 1, -(1 << 149)])
def test_turns_beyond_the_stated_size_are_refused(v):
    for fn in ("sin", "cos"):
        with pytest.raises(ValueError):
            FIXED.entry(fn)(v)


def test_exp_of_too_much_is_refused():
    with pytest.raises(ValueError):
        FIXED.exp(600 << FIXED.s)


@pytest.mark.parametrize("value", [10**400, -(10**400), 1 << 1024])
def test_integers_beyond_all_floats_are_malformed(value):
    for node in (("leaky_relu", {}), ("pad", {}), ("normalise", {})):
        s = Sketch()
        x = s.leaf("input", "x", (1, 1))
        if node[0] == "leaky_relu":
            out = s.pointwise("leaky_relu", x, slope=value)
        elif node[0] == "pad":
            out = s.node("pad", [x], (1, 1), widths=[[0, 0], [0, 0]], value=value)
        else:
            out = s.node("normalise", [x], (1, 1), kind="rms", axes=[1], eps=value)
        with pytest.raises(checker.MalformedError, match="not a finite number"):
            enclose(checker, s.program(out, ["x"]), {})


@pytest.mark.parametrize("kind", ["standard", "rms"])
@pytest.mark.parametrize("scale", [10**30, 10**12, 1])
def test_normalisation_of_large_numbers_is_narrow(kind, scale):
    s = Sketch()
    s.leaf("input", "x", (1, 1))
    y = s.node("normalise", [s.leaf("parameter", "v", (3,))], (3,), kind=kind, axes=[0], eps=1e-5)
    out = s.node("slice", [y], (1,), axis=0, start=0, stop=1, step=1)
    case = (s.program(out, ["x"]), {"v": ([3 * scale, -5 * scale, 7 * scale], 1, (3,))})
    low, high = enclose(checker, *case)
    assert high - low < NARROW
    assert evaluation.within(exact(*case), low, high)


FAULTS = {
    "rounding adds no radius": ("+ (down > 1)", ""),
    "radius rounded down": ("-(-radius * up // down)", "radius * up // down"),
    "radius of a sum of one operand": ("self.one, x.radius + y.radius)", "self.one, max(x.radius, y.radius))"),
    "maximum keeps one radius": ("self.one, max(x.radius, y.radius))", "self.one, min(x.radius, y.radius) // 2)"),
    "product without the first radius": ("+ y.bound() * x.radius +", "+"),
    "product without the second radius": ("x.bound() * y.radius + y", "y"),
    "product without the radii's product": ("y.bound() * x.radius + x.radius * y.radius", "y.bound() * x.radius"),
    "bound without negative entries": ("max(max(x.v), -min(x.v))", "max(x.v)"),
    "dense layer without its input's radius": ("of_x + of_y + length", "of_y + length"),
    "dense layer without its weight's radius": ("of_x + of_y + length", "of_x + length"),
    "dense layer without the radii's product": ("of_x + of_y + length * rx * ry", "of_x + of_y"),
    "narrowest row": ("lambda x: max(sum(map(abs, row)) for row", "lambda x: min(sum(map(abs, row)) for row"),
    "row sum of signed entries": ("max(sum(map(abs, row)) for row in x.once", "max(abs(sum(row)) for row in x.once"),
    "summed labels keep the radius": ("x.radius * each_x, y.radius * each_y", "x.radius, y.radius"),
    "sum keeps the radius": ("x.den * count, x.radius * length)", "x.den * count, x.radius)"),
    "mean keeps the sum's radius in a normalisation": ("x.den * length, x.radius * length)", "x.den * length, 0)"),
    "pool mean without rounding": ("return Ball(v, n.one, x.radius + 1)", "return Ball(v, n.one, 0)"),
    "leaky relu with Lipschitz constant 1": ("x.radius * max(d, abs(n))", "x.radius * d"),
    "leaky relu forgets the sign": ("max(d, abs(n))", "max(d, n)"),
    "quotient without the numerator's radius": ("((x.radius << self.s) + worst * y.radius)", "(worst * y.radius)"),
    "quotient without the denominator's radius": ("((x.radius << self.s) + worst * y.radius)", "(x.radius << self.s)"),
    "quotient by the midpoint": ("min(map(abs, y.v)) - y.radius", "min(map(abs, y.v))"),
    "quotient without rounding": ("worst * y.radius) // smallest) + 1", "worst * y.radius) // smallest)"),
    "exp without error": ("+ max(k, 0)) >> GUARD) + 2", "+ max(k, 0)) >> GUARD) + 0"),
    "exp of large numbers as exact as of small": ("(1 << (27 + max(k, 0)) >> GUARD) + 2", "2"),
    "exp with a short series": (
        "while term:\n            term = (term * t >> self.w) // n",
        "while term >> 64:\n            term = (term * t >> self.w) // n",
    ),
    "exp with one squaring less": ("for _ in range(r):", "for _ in range(r - 1):"),
    "log 2 from 20 terms less": (
        "return 2 * self.atanh(self.unit // 3)",
        "return 2 * self.atanh(self.unit // 3) >> 70 << 70",
    ),
    "atanh with a short series": (
        "        while power:\n            total += power // n\n",
        "        while power >> 60:\n            total += power // n\n",
    ),
    "log without error": ("else -part)) >> GUARD, 2", "else -part)) >> GUARD, 0"),
    "tanh without error": (", 2 * e + 1", ", 0"),
    "sigmoid without error": ("(y if v >= 0 else self.one - y), e + 1", "(y if v >= 0 else self.one - y), 0"),
    "square root without error": ("return isqrt(v << self.s), 1", "return isqrt(v << self.s), 0"),
    "elementary functions keep no radius": ("-(-x.radius * steep >> self.s) + worst", "worst"),
    "elementary functions are exact": ("-(-x.radius * steep >> self.s) + worst", "-(-x.radius * steep >> self.s)"),
    "slopes at the lower end only": ("max(x.v) + x.radius) if", "min(x.v)) if"),
    "slopes at the upper end only": ("min(x.v) - x.radius, max", "max(x.v), max"),
    "the slope of exp": ("return sum(self.exp(high))", "return self.one"),
    "the slope of log": ("return -(-(1 << 2 * self.s) // low)", "return self.one"),
    "the slope of the root": ("return (1 << 2 * self.s) // (2 * isqrt(low << self.s)) + 1", "return self.one // 4"),
    "the slope of the reciprocal root": (" + 1) ** 3 >> (2 * self.s + 1)) + 1", " + 1) ** 3 >> (2 * self.s + 9)) + 1"),
    "the slope of the sigmoid": ("return self.one // 4", "return self.one // 5"),
    "the slope of erf is 1": ("self.one * 113 // 100 + 1 if fn", "self.one if fn"),
    "erf from a short series": ("while term or n << self.w < 4 * y:", "while term >> 60:"),
    "erf ends too early": ("if 4 * a * a >= 3 * self.s << 2 * self.s:", "if 4 * a * a >= 2 * self.s << 2 * self.s:"),
    "erf with a wrong constant": (
        "isqrt((4 << 3 * self.w) // self.pi)",
        "isqrt((4 << 3 * self.w) // (self.pi + (1 << 60)))",
    ),
    "erf without error": ("return (result if v >= 0 else -result), 2", "return (result if v >= 0 else -result), 0"),
    "pi from 20 terms less": (
        "return 16 * atan(5) - 4 * atan(239)",
        "return (16 * atan(5) - 4 * atan(239)) >> 70 << 70",
    ),
    "sine from a short series": ("            total += sign * term", "            total += sign * (term >> 60 << 60)"),
    "sine without error": ("if negative else total) >> GUARD, 2", "if negative else total) >> GUARD, 0"),
    "cosine with the sign of its argument": ("^ (k & 1 == 0 and t < 0)", "^ (t < 0)"),
    "floor of the midpoint": ("if x.radius and low != ", "if False and low != "),
    "comparison of midpoints": ("if reach and min(map(abs, gaps)) <= reach:", "if False:"),
    "comparison without the first radius": ("x.radius * p + y.radius * q", "y.radius * q"),
    "comparison without the second radius": ("x.radius * p + y.radius * q", "x.radius * p"),
    "exact numbers need not be exact": (
        "        if self.radius:\n            raise",
        "        if False:\n            raise",
    ),
    "a choice keeps the first radius": (
        "return Ball(v, x.den, max(x.radius, y.radius))",
        "return Ball(v, x.den, x.radius)",
    ),
    "a choice keeps the second radius": (
        "return Ball(v, x.den, max(x.radius, y.radius))",
        "return Ball(v, x.den, y.radius)",
    ),
    "an order keeps no radius": ('Ball(v, x.den, x.radius) if what == "values"', 'Ball(v, x.den) if what == "values"'),
    "an order decided within one radius": ("<= 2 * x.radius for i, j", "<= x.radius for i, j"),
    "log-softmax with Lipschitz constant 0": ('x.radius * (2 if kind == "log" else 1)', "0"),
    "log-softmax without the error of exp": ("max(worst, error + e)", "max(worst, 0)"),
    "softmax without rounding": ("max(worst, 2 * error + 1)", "0"),
    "concatenation keeps the first radius": ("max(n.fixed(x).radius for x in xs)", "n.fixed(xs[0]).radius"),
    "padding keeps the filler's radius": ("max(x.radius, last.radius)", "last.radius"),
    "padding keeps the operand's radius": ("max(x.radius, last.radius)", "x.radius"),
    "normalisation keeps the smallest radius": ("max(y.radius for y in done)", "0"),
    "the mean of an output with one radius": ("radius + y.radius * len(y.v)", "radius + y.radius"),
    "what is not defined is skipped": (
        "total = None if given[guard[0]].depends & POINT else",
        "total = 0 if given[guard[0]].depends & POINT else",
    ),
    "guards are not read": ("self.schedule(None, check, pairs", "self.schedule(None, lambda x: x, pairs"),
    "an undefined operand of something defined is skipped": (
        "        if total is None or any(",
        "        given = [x._replace(total=x.total or 0) for x in given]\n        if total is None or any(",
    ),
    "zero has a zero exponential": ("KEEP_ZERO = (", 'KEEP_ZERO = ("exp", '),
    "zero has a zero cosine": ("KEEP_ZERO = (", 'KEEP_ZERO = ("cos", '),
    "a mean over the places that are not zero": ('a.get("count", length) if', "length if"),
    "a sum where both are not zero": ("box = joined(boxes[-2:])", "box = joined(boxes[-1:])"),
    "a row that is not listed": ("chosen = [at.get(i, -1) for", "chosen = [at.get(i, 0) for"),
    "a broadcast axis that was one place": ("axis if n == m else range(m) for", "axis if n == m else range(1) for"),
    "padding with the last entry": ("[*self.v, 0].__getitem__", "[*self.v].__getitem__"),
}


def test_the_attacks_find_every_planted_fault():
    text, cases = SOURCE.read_text(), attacks()
    truths = [*map(truth_of, cases)]

    def escapes(module):
        for case, truth in zip(cases, truths, strict=True):
            try:
                low, high = enclose(module, *case)
            except module.RejectedError:
                continue
            if truth is None or not evaluation.within(truth, low, high):
                return True
        return False

    assert not escapes(load("checker_unaltered", SOURCE))
    missed = []
    for name, (old, new) in FAULTS.items():
        assert text.count(old) == 1, f"{name}: {text.count(old)} places"
        if not escapes(load("checker_with_fault", SOURCE, text.replace(old, new))):
            missed.append(name)
    assert not missed


def test_conv_programs_agree_with_torch():
    """A floating-point cross-check of the index arithmetic at a size the oracle's loops are too slow for."""
    rng, s = np.random.default_rng(0), Sketch()
    x = s.leaf("input", "x", (1, 4, 9, 8))
    k, w = s.leaf("parameter", "k", (6, 2, 3, 2)), s.leaf("parameter", "w", (5, 54))
    h = s.pointwise("tanh", s.convolve(x, k, stride=2, padding=1, dilation=1, groups=2))
    h = s.pool("mean", h, (2, 2), stride=2, padding=1, include=False)
    out = s.total(s.pointwise("square", s.dense(s.reshape(h, (1, 54)), w)))
    values = {n: rng.standard_normal(v) for n, v in {"x": (2, 4, 9, 8), "k": (6, 2, 3, 2), "w": (5, 54)}.items()}
    table = {n: checker.array(encode_array(v), [1 << 20], n) for n, v in values.items()}
    table = {n: (stored.v, stored.den, stored.shape) for n, stored in table.items()}
    low, high = enclose(checker, s.program(out, ["x"]), {n: table[n] for n in "kw"}, {}, {"x": table["x"]})
    t = {n: torch.from_numpy(v) for n, v in values.items()}
    y = torch.nn.functional.conv2d(t["x"], t["k"], stride=2, padding=1, groups=2).tanh()
    y = torch.nn.functional.avg_pool2d(y, 2, 2, padding=1, count_include_pad=False).flatten(1) @ t["w"].T
    want = y.square().sum(1).mean().item()
    assert abs(float(low) - want) < 1e-9 * abs(want)
    assert 0 < high - low < NARROW
