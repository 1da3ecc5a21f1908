"""The independent checker against an exact oracle, hand-computed cases, planted faults and its own promises."""

import ast
import importlib
import itertools
import json
import random
import subprocess
import sys
import types
from fractions import Fraction
from math import prod
from pathlib import Path
from typing import ClassVar

import flint
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orbitope.errors import CertificateError, FileError
from orbitope.proof.certificate import Certificate, decode_array, encode_array

HERE = Path(__file__).parent
SOURCE = HERE.parents[1] / "src" / "orbitope" / "proof" / "check.py"


def load(name, path, text=None):
    """A module from a file, or from altered text of it."""
    module = types.ModuleType(name)
    module.__file__ = str(path)
    sys.modules[name] = module
    exec(compile(text if text is not None else path.read_text(), str(path), "exec"), module.__dict__)
    return module


oracle = load("orbitope_test_oracle", HERE / "oracle.py")
checker = importlib.import_module("orbitope.proof.check")
Sketch = oracle.Sketch
NARROW = Fraction(1, 1 << 90)
CLAIMS = {
    "absolute value": oracle.absolute_value,
    "three units": oracle.three_units,
    "three units, tanh": lambda: oracle.three_units("tanh"),
    "three units, cross-entropy": lambda: oracle.three_units("relu", "cross_entropy"),
    "convolutional": oracle.convolutional,
}


@pytest.fixture(scope="module", autouse=True)
def precise():
    """Arb at the oracle's precision, for these tests only."""
    with flint.ctx.workprec(oracle.PRECISION):
        yield


def certificate(parts, width=1e-9, **changes):
    parts = {**parts, **changes}
    bounds = parts.pop("enclosures", None) or oracle.enclosures(parts, width)
    return Certificate.build(**parts, enclosures=bounds)


# one value of F --------------------------------------------------------------------------------------------------
def enclose(module, program, point, constants=None, data=None):
    """The checker's bounds of F at a point; tables are name -> (integers, denominator, shape)."""
    constants, data = constants or {}, data or {"x": ([0], 1, (1, 1))}
    shapes = {
        "parameter": {name: shape for name, (_, _, shape) in point.items()},
        "constant": {name: shape for name, (_, _, shape) in constants.items()},
        "input": {name: (1, *shape[1:]) for name, (_, _, shape) in data.items()},
    }
    strip = lambda table: {name: (v, den) for name, (v, den, _) in table.items()}  # noqa: E731
    compiled = module.Program(json.loads(json.dumps(program)), shapes)
    return compiled.value(strip(point), strip(constants), strip(data), next(iter(data.values()))[2][0], lambda: None)


def exact(program, point, constants=None, data=None):
    tables = [point, constants or {}, data or {"x": ([0], 1, (1, 1))}]
    return oracle.mean_loss(program, *map(oracle.point_of, tables))


class Maker:
    """Random small programs with random rational parameters; smooth ones only where the oracle may use Arb."""

    def __init__(self, seed, smooth):
        self.rng, self.smooth, self.sketch = random.Random(seed), smooth, Sketch()
        self.point, self.constants, self.data = {}, {}, {}
        self.samples = self.rng.choice([1, 2])

    def numbers(self, shape, scale=1):
        bits = self.rng.choice([0, 3, 24, 40, 150])
        den = self.rng.choice([1, 3, 7, 9]) << bits
        return [self.rng.randint(-2 * den * scale, 2 * den * scale) for _ in range(prod(shape))], den, shape

    def parameter(self, shape):
        table, kind = self.rng.choice(
            [(self.point, "parameter"), (self.point, "parameter"), (self.constants, "constant")]
        )
        name = f"{kind}{len(table)}"
        table[name] = self.numbers(shape)
        return self.sketch.leaf(kind, name, shape)

    def input(self, shape):
        name = f"x{len(self.data)}"
        self.data[name] = self.numbers((self.samples, *shape[1:]))
        return self.sketch.leaf("input", name, shape)

    def same(self, shape):
        return self.rng.choice([self.parameter, self.input if shape and shape[0] == 1 else self.parameter])(shape)

    def step(self, x):
        s, rng, shape = self.sketch, self.rng, self.sketch.shapes[x]
        rank, size = len(shape), prod(shape)
        options = ["unary", "unary", "binary", "binary", "reshape"]
        if rank:
            options += ["transpose", "concat", "slice", "pad", "contract", "contract", "broadcast"]
            options += ["reduce"] if rank > 1 else []
            options += (
                ["convolve", "convolve", "pool", "pool"] if rank in (3, 4) and shape[0] == 1 and size < 40 else []
            )
            options += ["softmax", "normalise"] if self.smooth else []
        match rng.choice(options):
            case "unary":
                names = ["neg", "relu", "abs", "square", "identity", "leaky_relu"]
                names += ["tanh", "sigmoid", "exp", "log", "sqrt", "rsqrt"] * self.smooth
                fn = rng.choice(names)
                if fn == "leaky_relu":
                    return s.pointwise(fn, x, slope=rng.choice([0.01, 0.5, -0.25, 3.0, 0.0, 1]))
                if fn == "exp":
                    x = s.pointwise("neg", s.pointwise("abs", x)) if rng.random() < 0.8 else x
                if fn in ("log", "sqrt", "rsqrt"):
                    x = self.positive(x)
                return s.pointwise(fn, x)
            case "binary":
                fn = rng.choice(["add", "sub", "mul", "div", "maximum", "minimum"])
                y = rng.choice([x, self.same(shape)])
                return s.pointwise(fn, x, self.positive(y) if fn == "div" else y)
            case "reshape":
                return s.reshape(x, rng.choice([(1, size), (size,), (1, 1, size), shape[::-1], (1, 1, size, 1)]))
            case "broadcast":
                at = rng.randrange(rank)
                wide = tuple(n if n > 1 or k != at else 2 for k, n in enumerate(shape)) if size < 20 else shape
                return s.broadcast(x, rng.choice([wide, (1, *shape), (2, *wide) if size < 10 else shape]))
            case "transpose":
                order = rng.sample(range(rank), rank)
                return s.node("transpose", [x], [shape[k] for k in order], permutation=order)
            case "concat":
                axis = rng.randrange(rank)
                parts = [x, self.same(shape), x][: rng.choice([1, 2, 3])]
                out = [n * (len(parts) if k == axis else 1) for k, n in enumerate(shape)]
                return s.node("concat", parts, out, axis=axis) if size < 20 else x
            case "slice":
                axis = rng.randrange(rank)
                start, step = rng.randrange(shape[axis]), rng.choice([1, 2])
                stop = rng.randint(start + 1, shape[axis])
                out = [len(range(start, stop, step)) if k == axis else n for k, n in enumerate(shape)]
                return s.node("slice", [x], out, axis=axis, start=start, stop=stop, step=step)
            case "pad":
                widths = [[rng.choice([0, 0, 1]), rng.choice([0, 0, 2])] if size < 12 else [0, 0] for _ in shape]
                out = [n + sum(w) for n, w in zip(shape, widths, strict=True)]
                return s.node("pad", [x], out, widths=widths, value=rng.choice([0, 0.5, -1.25, 0.1]))
            case "contract":
                letters, two = "abcdef"[:rank], self.rng.random() < 0.8
                if not two:
                    kept = "".join(rng.sample(letters, rng.randint(0, rank)))
                    out = [shape[letters.index(c)] for c in kept]
                    return s.node("contract", [x], out, spec=f"{letters}->{kept}")
                other = "".join(rng.sample(letters, rng.randint(0, min(2, rank)))) + rng.choice(["", "z"])
                at = {**dict(zip(letters, shape, strict=True)), "z": rng.choice([1, 2, 3])}
                y = self.same(tuple(at[c] for c in other))
                union = [*dict.fromkeys(letters + other)]
                kept = rng.sample(union, rng.randint(0, min(3, len(union))))
                left, right, first, second = letters, other, x, y
                if rng.random() < 0.5:
                    left, right, first, second = right, left, second, first
                out = [at[c] for c in kept]
                return s.node("contract", [first, second], out, spec=f"{left},{right}->{''.join(kept)}")
            case "reduce":
                axes = rng.sample(range(rank), rng.randint(1, rank))
                return s.reduce(rng.choice(["sum", "mean", "amax"]), x, axes)
            case "convolve":
                groups = rng.choice([g for g in (1, 2, 3) if shape[1] % g == 0])
                kernel = [rng.choice([1, 2, 3]) for _ in shape[2:]]
                w = self.parameter((groups * rng.choice([1, 2]), shape[1] // groups, *kernel))
                stride, padding, dilation = rng.choice([1, 2]), rng.choice([0, 1, 2]), rng.choice([1, 2])
                reach = [dilation * (k - 1) + 1 for k in kernel]
                if any(n + 2 * padding < r for n, r in zip(shape[2:], reach, strict=True)):
                    return x
                return s.convolve(x, w, stride, padding, dilation, groups)
            case "pool":
                kernel = [rng.choice([2, 3]) for _ in shape[2:]]
                if any(n + 2 < k for n, k in zip(shape[2:], kernel, strict=True)):
                    return x
                fn, stride = rng.choice(["max", "mean"]), rng.choice([1, 2])
                return s.pool(fn, x, kernel, stride, padding=1, include=rng.random() < 0.5)
            case "softmax":
                axis = rng.randrange(rank)
                return s.node("softmax", [x], shape, kind=rng.choice(["log", "softmax"]), axis=axis)
            case "normalise":
                axes = rng.sample(range(rank), rng.randint(1, rank))
                return s.node("normalise", [x], shape, kind=rng.choice(["standard", "rms"]), axes=axes, eps=1e-3)

    def positive(self, x):
        """|x| + a positive constant."""
        s, shape = self.sketch, self.sketch.shapes[x]
        name = f"constant{len(self.constants)}"
        self.constants[name] = ([self.rng.choice([1, 2, 5])] * prod(shape), self.rng.choice([2, 3]), shape)
        return s.pointwise("add", s.pointwise("abs", x), s.leaf("constant", name, shape))

    def make(self):
        x = self.input(self.rng.choice([(1, 3), (1, 2, 3), (1, 2, 3, 3), (1, 1, 4), (1, 4, 2)]))
        for _ in range(self.rng.randint(1, 6)):
            if prod(self.sketch.shapes[x]) > 60:
                x = self.sketch.reduce("mean", x, [len(self.sketch.shapes[x]) - 1])
            x = self.step(x)
        s = self.sketch
        if self.smooth:
            x = s.pointwise("tanh", x)  # keeps the value, and with it the width that is asked for, of size one
        out = s.total(x) if s.shapes[x] else x
        return s.program(out, list(self.data)), self.point, self.constants, self.data


def random_program(seed, smooth):
    return Maker(seed, smooth).make()


def encloses(module, case, narrow=None):
    """True or False, or None where the checker refuses the case."""
    try:
        low, high = enclose(module, *case)
    except module.RejectedError:
        return None
    truth = exact(*case)
    inside = oracle.within(truth, low, high)
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
    number = oracle.function(fn, {}, oracle.ball)
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
        error = abs(number(oracle.ball(Fraction(v, one))) * one - y)
        assert bool(error <= e), v
        worst = max(worst, float(error) / e)
    assert worst > 0.1  # the bound is not idle


def test_exp_of_too_much_is_refused():
    with pytest.raises(ValueError):
        checker.exp(400 << checker.S)


# the claims --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", CLAIMS)
def test_true_claims_are_accepted(name):
    proof = certificate(CLAIMS[name]())
    verdict = checker.check(proof.to_bytes())
    assert verdict, verdict.reason
    assert verdict.convex_refuted
    assert verdict.statement == proof.statement
    assert oracle.is_true(proof.document)
    assert proof.gap <= verdict.gap_float <= verdict.gap
    for pair in [verdict.enclosures["average"], *verdict.enclosures["points"]]:
        assert pair[1] - pair[0] < 1e-14


def test_the_absolute_value_by_hand():
    verdict = checker.check(certificate(oracle.absolute_value(), width=2e-16).to_bytes())
    assert verdict.quasiconvex_refuted
    assert 0 <= 1 - verdict.gap < NARROW
    assert 1 - 1e-15 < verdict.weight_decay < 1  # F + (mu/2)|theta|^2 at mu = 1 is no longer refuted by this gap
    assert verdict.enclosures["average"] == [1 - 2**-53, 1 + 2**-52]
    assert "exceeds (F(A) + F(B))/2 by at least 0.99999" in verdict.statement


def test_a_later_step_may_be_the_violated_one():
    parts = oracle.three_units()
    second, first = parts["steps"]
    first = {**first, "order": 2}
    parts["steps"] = [first, second]
    for violated in (0, 1):
        parts["violated"] = violated
        bounds = oracle.enclosures(parts, 1e-9)
        breaks = bounds["average"][0] > sum(high for _, high in bounds["points"]) / len(bounds["points"])
        if breaks:
            assert checker.check(certificate(parts).to_bytes())
    parts["parameters"]["u"] = np.array([[1.5, -1.0, 0.75], [1.5, -1.0, 0.75]], dtype=np.float32)
    parts["parameters"]["v"] = np.array([[0.5, 0.5], [-0.25, -0.25]], dtype=np.float32)
    hidden = np.maximum(parts["data"]["x"] @ parts["parameters"]["w"].T + parts["parameters"]["b"], 0)
    parts["data"]["target"] = np.maximum(hidden @ parts["parameters"]["u"].T, 0) @ parts["parameters"]["v"].T
    parts["violated"] = 1  # the first step moves units that are alike, the second is the one that matters
    verdict = checker.check(certificate(parts).to_bytes())
    assert verdict, verdict.reason
    assert "In step 2 of the 2 averages" in verdict.statement


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True)
@given(
    st.lists(st.integers(-64, 64), min_size=2, max_size=2),
    st.lists(st.tuples(st.integers(-9, 9), st.integers(-9, 9)), min_size=1, max_size=4),
    st.floats(0, 10),
)
def test_a_convex_model_is_never_accepted(w, rows, lie):
    """f(x) = (w1 + w2) x with the squared error: symmetric and convex, whatever the certificate says."""
    s = Sketch()
    x, target = s.leaf("input", "x", (1, 1)), s.leaf("input", "target", (1, 1))
    terms = [s.leaf("constant", "one", (1, 2)), s.leaf("parameter", "w", (2,))]
    total = s.reshape(s.node("contract", terms, (1,), spec="ai,i->a"), (1, 1))
    out = s.squared_error(s.pointwise("mul", total, x), target)
    parts = {
        "claim": "midpoint",
        "variables": ["w"],
        "program": s.program(out),
        "constants": {"one": np.ones((1, 2))},
        "parameters": {"w": np.array(w) / 8},
        "steps": [{"units": "terms", "order": 2, "moves": {"w": [[0, [1, 0]]]}}],
        "violated": 0,
        "data": {"x": np.array([[a] for a, _ in rows]) / 4, "target": np.array([[b] for _, b in rows]) / 4},
    }
    true = oracle.enclosures(parts)
    lies = [
        true,
        {**true, "average": (true["average"][1] + lie, true["average"][1] + lie + 1)},
        {**true, "points": [(low - 2 - lie, low - 1 - lie) for low, _ in true["points"]]},
    ]
    for bounds in lies:
        verdict = checker.check(certificate(parts, enclosures=bounds).to_bytes())
        assert not verdict
        assert verdict.reason


def test_moves_that_move_nothing_prove_nothing():
    parts = oracle.absolute_value()
    parts["parameters"] = {"w": np.ones((2, 1)), "v": np.ones((1, 2))}
    true = oracle.enclosures(parts)
    for bounds in (true, {**true, "average": (100.0, 101.0), "end": (100.0, 101.0)}):
        assert not checker.check(certificate(parts, enclosures=bounds).to_bytes())


def test_an_enclosure_must_contain_the_computed_one():
    parts = oracle.absolute_value()
    true = oracle.enclosures(parts)
    for name in ("start", "average", "end"):
        low, high = true[name]
        for wrong in ((high + 1e-30, high + 1), (low - 1, low - 1e-20)):
            assert not checker.check(certificate(parts, enclosures={**true, name: wrong}).to_bytes())
    for j in range(2):
        points = list(true["points"])
        points[j] = (0.125, 0.25)
        assert not checker.check(certificate(parts, enclosures={**true, "points": points}).to_bytes())


def test_an_orbit_average_must_be_one():
    parts = oracle.three_units()
    bounds = oracle.enclosures(parts, 1e-9)
    assert checker.check(certificate(parts, enclosures=bounds).to_bytes())
    no_cycle = [1, 0, 2]
    moves = {"w": [[0, no_cycle]], "b": [[0, no_cycle]], "u": [[1, no_cycle]]}
    other = {"w": [[0, [0, 2, 1]]], "b": [[0, [0, 2, 1]]], "u": [[1, [0, 2, 1]]]}
    swap = {"units": "first", "order": 2, "moves": moves}
    # two transpositions move all three units, but averaging over one and then the other leaves them unlike
    parts["steps"] = [swap, {"units": "first", "order": 2, "moves": other}]
    verdict = checker.check(certificate(parts).to_bytes())
    assert not verdict
    assert "not fixed" in verdict.reason


def four_units(steps):
    """An orbit average over four hidden units of which two compute x and two -x."""
    s = Sketch()
    x, target = s.leaf("input", "x", (1, 1)), s.leaf("input", "target", (1, 1))
    w, v = s.leaf("parameter", "w", (4, 1)), s.leaf("parameter", "v", (1, 4))
    out = s.squared_error(s.dense(s.pointwise("relu", s.dense(x, w)), v), target)
    parts = oracle.absolute_value()
    parts |= {"claim": "orbit-average", "program": s.program(out)}
    parts["parameters"] = {"w": np.array([[1.0], [-1.0], [2.0], [-2.0]]), "v": np.array([[0.5, 0.5, 0.25, 0.25]])}
    parts["steps"] = [{"units": "0", "order": 2, "moves": {"w": [[0, p]], "v": [[1, p]]}} for p in steps]
    return certificate(parts)


def test_the_sentence_says_no_more_of_the_moves_than_is_true():
    for steps, said in (([[1, 0, 3, 2]], 0), ([[1, 0, 2, 3]], 2), ([[1, 0, 3, 2], [2, 3, 0, 1]], 4)):
        proof = four_units(steps)
        assert checker.check(proof.to_bytes())
        assert oracle.is_true(proof.document)
        assert "alike" not in proof.statement
        assert ("into one another" in proof.statement) == (said > 0)
        assert (f"carry {said} positions of axis 1 of v into one another" in proof.statement) == (said > 0)
    proof = certificate(oracle.absolute_value())
    assert "with the entries of v, w permuted as listed in the certificate" in proof.statement


@pytest.mark.parametrize("name", ["a,b", "\u2800", "x\u3164so", "", "a b", "u" * 201, "`", "(", "'"])
def test_names_cannot_disguise_a_sentence(name):
    parts = oracle.absolute_value()
    parts["steps"][0]["units"] = name
    with pytest.raises(checker.MalformedError, match="a name is not"):
        checker.check(certificate(parts).to_bytes())


@pytest.mark.parametrize("name", ["0", "layer1.0.conv1", "q#2", "output:loss", "_norm.const", "a[0]/b-c"])
def test_the_names_of_the_library_are_names(name):
    parts = oracle.absolute_value()
    parts["steps"][0]["units"] = name
    assert checker.check(certificate(parts).to_bytes())


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
    assert oracle.within(exact(*case), low, high)


def test_too_little_memory_is_no_certificate(monkeypatch):
    def fail(*_):
        raise MemoryError

    data = certificate(oracle.absolute_value()).to_bytes()
    monkeypatch.setattr(checker, "establish", fail)
    with pytest.raises(checker.MalformedError, match="not enough memory"):
        checker.check(data)


def test_wide_numbers_cost_more():
    parts = oracle.absolute_value()
    plain = checker.check(certificate(parts).to_bytes())
    parts["parameters"]["w"] = np.array([[1.0], [-1.0 - 2.0**-52]])
    parts["data"]["x"] = np.array([[1.0], [-1.0], [2.0**-400]])
    parts["data"]["target"] = np.array([[1.0], [1.0], [2.0**-400]])
    verdict = checker.check(certificate(parts).to_bytes(), limit=3 * plain.multiply_adds)
    assert not verdict
    assert "each counted" in verdict.reason


def test_the_end_of_an_orbit_average_must_lie_above_the_start():
    parts = oracle.absolute_value()
    parts["claim"] = "orbit-average"
    parts["parameters"]["w"] = np.array([[1.0], [-1.0]])
    assert checker.check(certificate(parts).to_bytes())
    bounds = oracle.enclosures(parts)
    assert not checker.check(certificate(parts, enclosures={**bounds, "start": (-1.0, 2.0)}).to_bytes())


def test_only_variables_move():
    parts = {**oracle.absolute_value(), "variables": ["w"]}
    with pytest.raises(checker.MalformedError, match="v, which is not a variable"):
        checker.check(certificate(parts).to_bytes())


def test_moves_must_lead_back():
    parts = oracle.three_units()
    parts["steps"][0]["order"] = 2
    with pytest.raises(checker.MalformedError, match="do not lead back"):
        checker.check(certificate(parts).to_bytes())


def test_the_work_is_counted_before_it_is_done():
    data = certificate(oracle.three_units("tanh")).to_bytes()
    needed = checker.check(data).multiply_adds
    assert checker.check(data, limit=needed)
    verdict = checker.check(data, limit=needed - 1)
    assert not verdict
    assert "more than the limit" in verdict.reason
    done = []
    checker.check(data, progress=lambda *now: done.append(now))
    assert done == [(16, 20), (20, 20)]


# planted faults ----------------------------------------------------------------------------------------------------
class Attack:
    """A small program of one number, most of whose values carry an error of nearly their whole radius.

    ``a`` is just below one unit of the fixed point and is rounded to none; ``big`` blows that error up to 2^-28.
    """

    TABLE: ClassVar = {
        "a": ([(1 << 20) - 1] * 2, 1 << 148, (2,)),
        "big": ([1 << 100] * 2, 1, (2,)),
        "uneven": ([(1 << 20) - 1, 0], 1 << 148, (2,)),
        "second": ([(2 << 20) - 1] * 2, 1 << 148, (2,)),
        "part": ([29, 29], 32, (2,)),
        "third": ([1, 2], 3, (2,)),
        "thirds": ([1, 2, -5], 3, (3,)),
        "one": ([1, 1], 1, (2,)),
        "counts": ([1, 3], 1, (2,)),
        "near": ([1, 1], 1 << 26, (2,)),
        "scalar": ([3], 1, ()),
        "rows": ([1, 1, -5, 7], 1, (2, 2)),
        "negative": ([-5, -7, 1, 1], 1, (2, 2)),
        "ninths": ([2, -9, 4, 4], 9, (2, 2)),
        "kernel": ([5, -7], 1, (1, 1, 2)),
    }

    def __init__(self):
        self.s, self.used = Sketch(), {}

    def get(self, name, numbers=None):
        """The named tensor, exactly."""
        self.used[name] = numbers or self.TABLE[name]
        return self.s.leaf("parameter", name, self.used[name][2])

    def rounded(self, x):
        """The same after one rounding."""
        shape = self.s.shapes[x]
        return self.s.node("pad", [x], shape, widths=[[0, 0] for _ in shape], value=0)

    def blown(self, sign=1, big=None, name="a"):
        """Computed as 0, in truth 2^-28 (or another scale) less a little."""
        x = self.s.pointwise("mul", self.rounded(self.get(name)), self.get("big", big))
        return x if sign > 0 else self.s.pointwise("neg", x)

    def at(self, k, x):
        """One entry of a vector."""
        return self.s.node("slice", [x], [1], axis=0, start=k, stop=k + 1, step=1)

    def case(self, out):
        self.s.leaf("input", "x", (1, 1))
        return self.s.program(out, ["x"]), self.used, {}, {"x": ([0], 1, (1, 1))}


def attacks():
    """Programs that, together, need every term of every radius."""
    found, rng = [], random.Random(7)

    def attack(build):
        t = Attack()
        found.append(t.case(build(t, t.s)))

    for k in (0, 1):
        attack(lambda t, s, k=k: t.at(k, t.get("third")))
        attack(lambda t, s, k=k: t.at(k, t.rounded(t.get("third"))))
    attack(lambda t, s: t.at(0, s.pointwise("mul", t.rounded(t.get("second")), t.get("part"))))
    for fn in ("square", "neg", "abs", "relu", "tanh", "sigmoid", "exp"):
        attack(lambda t, s, fn=fn: t.at(0, s.pointwise(fn, t.blown())))
    for fn, sign in itertools.product(("add", "sub", "mul", "maximum", "minimum"), (1, -1)):
        attack(lambda t, s, fn=fn, sign=sign: t.at(0, s.pointwise(fn, t.blown(), t.blown(sign))))
    for fn, name in itertools.product(("maximum", "minimum"), ("counts", "near")):
        attack(lambda t, s, fn=fn, name=name: t.at(0, s.pointwise(fn, t.blown(-1), t.get(name))))
        attack(lambda t, s, fn=fn, name=name: t.at(0, s.pointwise(fn, t.get(name), t.blown())))
    for name, sign in itertools.product(("one", "counts", "near"), (1, -1)):
        attack(lambda t, s, n=name, g=sign: t.at(1, s.pointwise("mul", t.blown(g), t.get(n))))
        attack(lambda t, s, n=name, g=sign: t.at(1, s.pointwise("mul", t.get(n), s.pointwise("neg", t.blown(g)))))
        attack(lambda t, s, n=name, g=sign: t.at(0, s.pointwise("mul", s.pointwise("neg", t.get(n)), t.blown(g))))
    for slope, sign in ((4.0, 1), (4.0, -1), (-4.0, -1)):
        attack(lambda t, s, slope=slope, sign=sign: s.total(s.pointwise("leaky_relu", t.blown(sign), slope=slope)))
    for fn in ("sum", "mean", "amax"):
        attack(lambda t, s, fn=fn: s.reduce(fn, t.blown(), [0]))
    # contractions: labels of one operand, shared labels, both operands inexact
    attack(lambda t, s: s.node("contract", [t.blown()], (), spec="i->"))
    for spec, name in (("i,i->", None), ("i,j->", None), ("i,j->", "one"), ("i,->", "scalar")):
        attack(lambda t, s, c=spec, n=name: s.node("contract", [t.blown(), t.get(n) if n else t.blown()], (), spec=c))
    # rows that differ: the widest one, signed entries, on either side, exact weights and inexact ones
    choices = itertools.product(("rows", "negative", "ninths"), (0, 1), (True, False), ("a", "uneven"))
    for name, k, left, errors in choices:

        def dense(t, s, name=name, k=k, left=left, errors=errors):
            pair = [t.blown(name=errors), t.get(name)] if left else [t.get(name), t.blown(name=errors)]
            return t.at(k, s.node("contract", pair, (2,), spec="i,oi->o" if left else "oi,i->o"))

        attack(dense)
    for first in (True, False):

        def convolution(t, s, first=first):
            x, w = s.reshape(t.blown(), (1, 1, 2)), t.get("kernel")
            return s.reshape(s.convolve(x, w) if first else s.convolve(w, x), (1,))

        attack(convolution)
    for fn, include in itertools.product(("max", "mean"), (True, False)):

        def pooled(t, s, fn=fn, include=include):
            return s.total(s.pool(fn, s.reshape(t.get("third"), (1, 2)), (2,), padding=1, include=include))

        attack(pooled)
    # quotients: inexact numerators, denominators, both, and denominators that the radius nearly reaches
    attack(lambda t, s: t.at(0, s.pointwise("div", t.blown(), t.get("near"))))
    for sign in (1, -1):

        def quotient(t, s, sign=sign, both=False):
            below = s.pointwise("add", t.get("near"), t.blown(sign))
            above = s.pointwise("sub", t.get("counts"), t.blown(sign)) if both else t.get("counts")
            return t.at(1, s.pointwise("div", above, below))

        attack(quotient)
        attack(lambda t, s, sign=sign: quotient(t, s, sign, both=True))
    for a, b in ((1, 3), (-1, 3), (2, 7), (-5, 11), ((1 << 40) - 1, 1 << 170)):
        attack(lambda t, s, a=a, b=b: s.pointwise("div", t.get("p", ([a], 1, (1,))), t.get("q", ([b], 1, (1,)))))
    # monotone functions where they are steep
    for fn, sign in itertools.product(("log", "sqrt", "rsqrt"), (1, -1)):
        attack(lambda t, s, fn=fn, g=sign: t.at(0, s.pointwise(fn, s.pointwise("add", t.get("near"), t.blown(g)))))
    # softmax of entries with opposite errors, and at exact arguments
    for kind, k in itertools.product(("log", "softmax"), (0, 1, 2)):

        def opposite(t, s, kind=kind, k=k):
            wide = ([1 << 126] * 2, 1, (2,))
            both = s.node("concat", [t.blown(1, wide), t.blown(-1, wide)], (4,), axis=0)
            return t.at(k, s.node("softmax", [both], (4,), kind=kind, axis=0))

        attack(opposite)
        for _ in range(3):
            values = [rng.randint(-(1 << 50), 1 << 50) for _ in range(4)]
            numbers = (values, 1 << 48, (4,))
            attack(
                lambda t, s, kind=kind, k=k, numbers=numbers: t.at(
                    k, s.node("softmax", [t.get("v", numbers)], (4,), kind=kind, axis=0)
                )
            )
    for kind, k in itertools.product(("standard", "rms"), (0, 1, 2)):

        def normal(t, s, kind=kind, k=k):
            return t.at(k, s.node("normalise", [t.get("thirds")], (3,), kind=kind, axes=[0], eps=1e-3))

        attack(normal)
    # concatenation and padding beside a number with another radius
    attack(lambda t, s: t.at(2, s.node("concat", [t.get("big"), t.blown()], (4,), axis=0)))
    attack(lambda t, s: t.at(0, s.node("concat", [t.blown(), t.get("one")], (4,), axis=0)))
    attack(lambda t, s: t.at(1, s.node("pad", [t.blown()], (4,), widths=[[1, 1]], value=0.1)))
    attack(lambda t, s: t.at(0, s.node("pad", [t.get("one")], (4,), widths=[[1, 1]], value=2.0**-130)))
    # elementary functions at exact arguments
    for fn, scale in itertools.product(checker.ELEMENTARY, (5, 1, 1 / 64)):
        for sign in (1, -1)[: 2 if fn in ("exp", "tanh", "sigmoid") else 1]:
            numbers = ([sign * rng.randint(1, int(scale * (1 << 60)))], 1 << 60, (1,))
            attack(lambda t, s, fn=fn, numbers=numbers: s.pointwise(fn, t.get("v", numbers)))
    attack(lambda t, s: s.pointwise("exp", t.get("v", ([150], 1, (1,)))))
    attack(lambda t, s: s.pointwise("log", t.get("v", ([3], 1 << 90, (1,)))))
    return found


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
            if not oracle.within(truth, low, high):
                return True
        return False

    assert not escapes(load("checker_unaltered", SOURCE))
    missed = []
    for name, (old, new) in FAULTS.items():
        assert text.count(old) == 1, f"{name}: {text.count(old)} places"
        if not escapes(load("checker_with_fault", SOURCE, text.replace(old, new))):
            missed.append(name)
    assert not missed


# what the checker promises about itself -------------------------------------------------------------------------------
def test_the_checker_needs_nothing_but_the_standard_library():
    tree = ast.parse(SOURCE.read_text())
    for node in ast.walk(tree):
        names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
        names += [node.module] if isinstance(node, ast.ImportFrom) else []
        assert all(name.split(".")[0] in sys.stdlib_module_names for name in names), names
        assert not isinstance(node, ast.Assert)  # -O must change nothing
        if isinstance(node, ast.Constant) and isinstance(node.value, float):
            assert node.value == 0  # no tolerance


@pytest.mark.parametrize("flags", [["-I"], ["-I", "-OO"]])
def test_the_bare_file_is_a_command(tmp_path, flags):
    good, bad, broken = (tmp_path / f"{name}.orbitope" for name in ("good", "bad", "broken"))
    parts = oracle.absolute_value()
    certificate(parts).save(good)
    certificate(parts, enclosures={**oracle.enclosures(parts), "start": (5.0, 6.0)}).save(bad)
    broken.write_bytes(good.read_bytes()[:-9])

    def run(*arguments):
        command = [sys.executable, *flags, str(SOURCE), *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=60)
        assert not done.stderr
        return done.returncode, done.stdout

    code, text = run(good)
    assert code == 0
    assert text.startswith("ACCEPTED") and "exact integers" in text
    code, text = run(good, "--format", "json")
    assert code == 0
    assert json.loads(text)["accepted"] is True
    code, text = run(bad)
    assert code == 1
    assert text.startswith("REJECTED") and text.count("\n") == 1
    assert run(good, "--limit", 3)[0] == 1
    for path in (broken, tmp_path / "missing", tmp_path):
        code, text = run(path)
        assert code == 2
        assert text.startswith("UNREADABLE") and text.count("\n") == 1


# the container ---------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "dtype", ["float64", "float32", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8", "bool"]
)
def test_arrays_are_stored_exactly(dtype):
    values = torch.tensor([[0, 1, 3], [2, 5, 1]]).to(getattr(torch, dtype))
    if values.is_floating_point():
        values = values / 7 * torch.tensor(1e-3, dtype=values.dtype)
    for tensor in (values, values.T, values[:, ::2], values[0, 1]):
        stored = encode_array(tensor)
        assert stored["dtype"] == dtype
        back = decode_array(stored)
        assert back.dtype == tensor.dtype
        assert torch.equal(back, tensor)
        shape, numbers, den = checker.array(stored, [1 << 20], "test")
        assert shape == tuple(tensor.shape)
        want = [Fraction(x) for x in tensor.double().flatten().tolist()]
        assert [Fraction(n, den) for n in numbers] == want
    if dtype != "bfloat16":
        array = values.numpy()
        assert encode_array(array) == encode_array(array.astype(array.dtype.newbyteorder(">"))) == encode_array(values)


def test_extreme_floats_are_exact():
    for dtype in (np.float64, np.float32, np.float16):
        info = np.finfo(dtype)
        array = np.array([info.max, -info.max, info.smallest_subnormal, 0, info.tiny], dtype=dtype)
        _, numbers, den = checker.array(encode_array(array), [1 << 20], "test")
        assert [Fraction(n, den) for n in numbers] == [Fraction(float(x)) for x in array]


@pytest.mark.parametrize(
    "value",
    [
        np.array([np.nan]),
        np.array([np.inf], dtype=np.float32),
        torch.tensor([float("nan")]),
        np.array([1j]),
        np.array(["a"]),
    ],
)
def test_what_is_no_real_number_is_not_stored(value):
    with pytest.raises(CertificateError):
        encode_array(value)


def test_a_certificate_is_stored_whole_or_not_at_all(tmp_path, monkeypatch):
    proof, path = certificate(oracle.absolute_value()), tmp_path / "proof.orbitope"
    proof.save(path)
    again = Certificate.load(path)
    assert again == proof
    assert again
    assert again.to_bytes() == path.read_bytes() == proof.to_bytes()
    assert again.claim == "midpoint"
    assert again.variables == ("w", "v")
    assert torch.equal(again.parameters["v"], torch.ones(1, 2, dtype=torch.float64))
    assert again.enclosures["average"][0] <= 1 <= again.enclosures["average"][1]
    assert 0.99 < again.gap < 1
    other = certificate({**oracle.absolute_value(), "agreement": {"note": "another"}})

    def fail(*_):
        raise OSError("no space left")

    with monkeypatch.context() as patch:
        patch.setattr("os.replace", fail)
        with pytest.raises(FileError):
            other.save(path)
    assert Certificate.load(path) == proof
    assert list(tmp_path.iterdir()) == [path]
    with pytest.raises(FileError):
        proof.save(tmp_path / "missing" / "proof.orbitope")
    with pytest.raises(FileError):
        Certificate.load(tmp_path / "missing")
    path.write_bytes(path.read_bytes()[:-50])
    with pytest.raises(CertificateError):
        Certificate.load(path)


def test_parts_that_make_no_certificate_are_refused():
    parts = oracle.absolute_value()
    bounds = oracle.enclosures(parts)
    for wrong in (
        {"enclosures": {**bounds, "points": []}},
        {"enclosures": {name: bounds[name] for name in ("start", "points", "average")}},
        {"enclosures": {**bounds, "start": (float("nan"), 1.0)}},
        {"violated": 3, "claim": "orbit-average"},
        {"agreement": {"a": [1]}},
        {"data": {}},
    ):
        with pytest.raises(CertificateError):
            certificate({**parts, "enclosures": bounds, **wrong})


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
