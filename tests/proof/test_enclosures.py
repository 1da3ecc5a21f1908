"""One value of F: the checker's bounds against the exact evaluation, hand-made attacks and planted faults."""

import random
from fractions import Fraction

import numpy as np
import pytest
import torch
from tests.proof import evaluation
from tests.proof.attacks import attacks
from tests.proof.checking import NARROW, SOURCE, checker, enclose, exact, load
from tests.proof.examples import Sketch
from tests.proof.random_programs import random_program

from orbitope.proof.certificate import encode_array

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
    for case in attacks():
        assert encloses(checker, case), case[0]


@pytest.mark.parametrize("fn", ["exp", "log", "tanh", "sigmoid", "sqrt", "rsqrt"])
def test_elementary_functions_err_by_less_than_they_say(fn):
    rng, f, one = random.Random(1), checker.ELEMENTARY[fn][0], checker.ONE
    number = evaluation.function(fn, {}, evaluation.ball)
    ends = [
        1,
        2,
        one - 1,
        one,
        one + 1,
        one // 2,
        3 * one // 4,
        3 * one // 4 - 1,
        3 * one // 2,
        300 * one,
        checker.LN2 >> 32,
    ]
    values = ends + [rng.getrandbits(rng.randint(1, 137)) + 1 for _ in range(1500)]
    if fn in ("exp", "tanh", "sigmoid"):
        values += [-v for v in values] + [0, -(one << 20), -(one << 800)]
    if fn not in ("exp", "tanh", "sigmoid"):
        values += [1 << 1023, (1 << 1024) + 12345]
    worst = 0.0
    for v in values:
        if fn == "exp" and v > 350 * one:
            continue
        y, e = f(v)
        error = abs(number(evaluation.ball(Fraction(v, one))) * one - y)
        assert bool(error <= e), v
        worst = max(worst, float(error) / e)
    assert worst > 0.1  # the bound is not idle


def test_exp_of_too_much_is_refused():
    with pytest.raises(ValueError):
        checker.exp(400 << checker.S)


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
    "radius of a sum of one operand": ("ONE, x.radius + y.radius)", "ONE, max(x.radius, y.radius))"),
    "maximum keeps one radius": ("ONE, max(x.radius, y.radius))", "ONE, min(x.radius, y.radius) // 2)"),
    "product without the first radius": ("+ y.bound() * x.radius +", "+"),
    "product without the second radius": ("x.bound() * y.radius + y", "y"),
    "product without the radii's product": ("y.bound() * x.radius + x.radius * y.radius", "y.bound() * x.radius"),
    "bound without negative entries": ("max(max(x.v), -min(x.v))", "max(x.v)"),
    "dense layer without its input's radius": ("of_x + of_y + length", "of_y + length"),
    "dense layer without its weight's radius": ("of_x + of_y + length", "of_x + length"),
    "dense layer without the radii's product": ("of_x + of_y + length * rx * ry", "of_x + of_y"),
    "narrowest row": ("lambda x: max(sum(map(abs, row)) for row", "lambda x: min(sum(map(abs, row)) for row"),
    "row sum of signed entries": ("max(sum(map(abs, row)) for row", "max(abs(sum(row)) for row"),
    "summed labels keep the radius": ("x.radius * many_x, y.radius * many_y", "x.radius, y.radius"),
    "sum keeps the radius": ("1), x.radius * length)", "1), x.radius)"),
    "pool mean without rounding": ("return Ball(v, ONE, x.radius + 1)", "return Ball(v, ONE, 0)"),
    "leaky relu with Lipschitz constant 1": ("x.radius * max(d, abs(n))", "x.radius * d"),
    "leaky relu forgets the sign": ("max(d, abs(n))", "max(d, n)"),
    "quotient without the numerator's radius": ("((x.radius << S) + worst * y.radius)", "(worst * y.radius)"),
    "quotient without the denominator's radius": ("((x.radius << S) + worst * y.radius)", "(x.radius << S)"),
    "quotient by the midpoint": ("min(map(abs, y.v)) - y.radius", "min(map(abs, y.v))"),
    "quotient without rounding": ("worst * y.radius) // smallest) + 1", "worst * y.radius) // smallest)"),
    "exp without error": ("(W - S)) + 2", "(W - S)) + 0"),
    "exp with a short series": ("while term:", "while term >> 64:"),
    "exp with one squaring less": ("for _ in range(8):", "for _ in range(7):"),
    "log 2 from 20 terms less": ("LN2 = 2 * atanh((1 << W) // 3)", "LN2 = 2 * atanh((1 << W) // 3) >> 70 << 70"),
    "atanh with a short series": ("    while power:", "    while power >> 60:"),
    "log without error": (
        "part if m >= unit else -part)) >> (W - S), 2",
        "part if m >= unit else -part)) >> (W - S), 0",
    ),
    "tanh without error": (", 2 * e + 1", ", 0"),
    "sigmoid without error": ("(y if v >= 0 else ONE - y), e + 1", "(y if v >= 0 else ONE - y), 0"),
    "square root without error": ("(isqrt(v << S), 1), 1)", "(isqrt(v << S), 0), 1)"),
    "monotone functions at the midpoint only": ("if direction == 0 or x.radius == 0:", "if True:"),
    "reciprocal root taken for increasing": ("(1 << 3 * S) // v), 1), -1)", "(1 << 3 * S) // v), 1), 1)"),
    "log-softmax with Lipschitz constant 0": ('x.radius * (2 if a["kind"] == "log" else 1)', "0"),
    "log-softmax without the error of exp": ("max(worst, error + e)", "max(worst, 0)"),
    "softmax without rounding": ("max(worst, 2 * error + 1)", "0"),
    "concatenation keeps the first radius": ("max(x.fixed().radius for x in xs)", "xs[0].fixed().radius"),
    "padding keeps the filler's radius": ("max(x.radius, last.radius)", "last.radius"),
    "padding keeps the operand's radius": ("max(x.radius, last.radius)", "x.radius"),
    "normalisation keeps the smallest radius": ("max(y.radius for y in done)", "0"),
}


def test_the_attacks_find_every_planted_fault():
    text, cases = SOURCE.read_text(), attacks()
    truths = [exact(*case) for case in cases]

    def escapes(module):
        for case, truth in zip(cases, truths, strict=True):
            try:
                low, high = enclose(module, *case)
            except module.RejectedError:
                continue
            if not evaluation.within(truth, low, high):
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
    table = {n: (v, den, shape) for n, (shape, v, den) in table.items()}
    low, high = enclose(checker, s.program(out, ["x"]), {n: table[n] for n in "kw"}, {}, {"x": table["x"]})
    t = {n: torch.from_numpy(v) for n, v in values.items()}
    y = torch.nn.functional.conv2d(t["x"], t["k"], stride=2, padding=1, groups=2).tanh()
    y = torch.nn.functional.avg_pool2d(y, 2, 2, padding=1, count_include_pad=False).flatten(1) @ t["w"].T
    want = y.square().sum(1).mean().item()
    assert abs(float(low) - want) < 1e-9 * abs(want)
    assert 0 < high - low < NARROW
