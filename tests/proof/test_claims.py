"""Claims of certificates: the true ones are accepted, others are not, whatever they state."""

import json
import random
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.proof import examples, oracle
from tests.proof.checking import NARROW, SOURCE, certificate, checker, enclose, load
from tests.proof.examples import Sketch

from orbitope.proof.certificate import encode_array

pytestmark = pytest.mark.usefixtures("precise")
CLAIMS = {
    "absolute value": examples.absolute_value,
    "three units": examples.three_units,
    "three units, tanh": lambda: examples.three_units("tanh"),
    "three units, cross-entropy": lambda: examples.three_units("relu", "cross_entropy"),
    "convolutional": examples.convolutional,
    "two listed points": examples.listed_points,
    "three listed points": lambda: examples.listed_points(3),
    "an average of three images": examples.cyclic_average,
    "slopes": examples.slopes,
    "all samples together": examples.together,
    "a language model, two sequences at a time": examples.language_model,
}


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
        assert pair is None or pair[1] - pair[0] < 1e-14
    assert (verdict.curvature is not None) == (len(verdict.enclosures["points"]) == 2 or proof.claim == "slopes")
    assert verdict.curvature in (None, -verdict.weight_decay)


def test_the_absolute_value_by_hand():
    verdict = checker.check(certificate(examples.absolute_value(), width=2e-16).to_bytes())
    assert verdict.quasiconvex_refuted
    assert 0 <= 1 - verdict.gap < NARROW
    assert 1 - 1e-15 < verdict.weight_decay < 1  # F + (mu/2)|theta|^2 at mu = 1 is no longer refuted by this gap
    assert verdict.enclosures["average"] == [1 - 2**-53, 1 + 2**-52]
    assert "exceeds (F(A) + F(B))/2 by at least 0.99999" in verdict.statement


def test_a_later_step_may_be_the_violated_one():
    parts = examples.three_units()
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
    del parts["steps"]
    other = np.array([w[1] + 3, 2 * w[0] - 5]) / 8
    slopes = {"claim": "slopes", "points": [{}, {"w": other}], "times": [-1, Fraction(1, 3), Fraction(1, 3), 2]}
    true = oracle.enclosures(parts | slopes)["points"]
    up = [(low + 1 + lie, high + 1 + lie) for low, high in true[1:3]]
    for bounds in (true, [true[0], *up, true[3]], [(-9 - lie, -8), *true[1:]]):
        assert not checker.check(certificate(parts | slopes, enclosures={"points": bounds}).to_bytes())
    three = {"claim": "average", "points": [{}, {"w": other}, {"w": other[::-1] * 2}]}
    true = oracle.enclosures(parts | three)
    for bounds in (
        true,
        {**true, "average": (true["average"][1] + lie, 9e9)},
        {**true, "points": [(-9 - lie, -8)] * 3},
    ):
        assert not checker.check(certificate(parts | three, enclosures=bounds).to_bytes())


def test_moves_that_move_nothing_prove_nothing():
    parts = examples.absolute_value()
    parts["parameters"] = {"w": np.ones((2, 1)), "v": np.ones((1, 2))}
    true = oracle.enclosures(parts)
    for bounds in (true, {**true, "average": (100.0, 101.0)}):
        assert not checker.check(certificate(parts, enclosures=bounds).to_bytes())


def test_an_enclosure_must_contain_the_computed_one():
    parts = {**examples.absolute_value(), "claim": "orbit-average"}
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
    parts = examples.three_units()
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
    parts = examples.absolute_value()
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
    proof = certificate(examples.absolute_value())
    assert "with the entries of v, w permuted as listed in the certificate" in proof.statement


@pytest.mark.parametrize("name", ["a,b", "\u2800", "x\u3164so", "", "a b", "u" * 201, "`", "(", "'"])
def test_names_cannot_disguise_a_sentence(name):
    parts = examples.absolute_value()
    parts["steps"][0]["units"] = name
    with pytest.raises(checker.MalformedError, match="a name is not"):
        checker.check(certificate(parts).to_bytes())


@pytest.mark.parametrize("name", ["0", "layer1.0.conv1", "q#2", "output:loss", "_norm.const", "a[0]/b-c"])
def test_the_names_of_the_library_are_names(name):
    parts = examples.absolute_value()
    parts["steps"][0]["units"] = name
    assert checker.check(certificate(parts).to_bytes())


def test_too_little_memory_is_no_certificate(monkeypatch):
    def fail(*_):
        raise MemoryError

    data = certificate(examples.absolute_value()).to_bytes()
    monkeypatch.setattr(checker, "establish", fail)
    with pytest.raises(checker.MalformedError, match="not enough memory"):
        checker.check(data)


def test_wide_numbers_cost_more():
    def work(tiny, precision=128, listed=()):
        s = Sketch()
        x, target = s.leaf("input", "x", (1, 64)), s.leaf("input", "target", (1, 64))
        w, v = s.leaf("parameter", "w", (64, 64)), s.leaf("parameter", "v", (64, 64))
        out = s.squared_error(s.dense(s.pointwise("tanh", s.dense(x, w)), v), target)
        swap = [1, 0, *range(2, 64)]
        parts = examples.absolute_value() | {"program": s.program(out), "precision": precision}
        parts["steps"] = [{"units": "0", "order": 2, "moves": {"w": [[0, swap]], "v": [[1, swap]]}}]
        parts["parameters"] = {name: np.eye(64) + tiny for name in ("w", "v")}
        parts["data"] = {name: np.eye(1, 64) + tiny for name in ("x", "target")}
        bounds = {"points": [(0, 0), (0, 0)], "average": (1, 2)}
        if listed:
            del parts["steps"]
            parts["points"] = [{"w": scale * np.eye(64)} for scale in listed]
        return checker.check(certificate(parts, enclosures=bounds).to_bytes(), limit=0, plain=True).multiply_adds

    plain = work(2.0**-10)
    assert work(2.0**-1000) > 5 * plain
    assert work(2.0**-10, listed=(1.0, 2.0)) < 2 * plain
    assert work(2.0**-300, listed=(1.0, 2.0**-1000)) > 1.5 * work(2.0**-300, listed=(1.0, 2.0))
    assert work(2.0**-10, 2048) > 5 * plain


def test_the_end_of_an_orbit_average_must_lie_above_the_start():
    parts = examples.absolute_value()
    parts["claim"] = "orbit-average"
    parts["parameters"]["w"] = np.array([[1.0], [-1.0]])
    assert checker.check(certificate(parts).to_bytes())
    bounds = oracle.enclosures(parts)
    assert not checker.check(certificate(parts, enclosures={**bounds, "start": (-1.0, 2.0)}).to_bytes())


def test_points_may_differ_where_the_first_is_zero():
    """What is zero in A alone is not taken for zero; nor what is zero until it is moved."""
    parts = examples.listed_points()
    parts["parameters"] = {"w": np.zeros((2, 1)), "v": np.zeros((1, 2))}
    parts["points"] = [
        {"w": np.array([[1.0], [-1.0]]), "v": np.ones((1, 2))},
        {"w": np.array([[-1.0], [1.0]]), "v": np.ones((1, 2))},
    ]
    verdict = checker.check(certificate(parts).to_bytes())
    assert verdict, verdict.reason
    assert 1 - 1e-15 < verdict.gap <= 1
    wide = four_units([[1, 0, 3, 2]]).document
    for w in (np.array([[2.0], [0], [0], [0]]), np.array([[0], [0], [0], [-2.0]])):
        parts = {name: wide[name] for name in ("variables", "program", "constants", "steps", "violated")}
        parts |= {"claim": "midpoint", "parameters": {"w": w, "v": np.array([[1.0, 0, 0, -1.0]])}}
        parts["data"] = {"x": np.array([[1.0], [-1.0], [2.0]]), "target": np.array([[5.0], [0.0], [8.0]])}
        bounds = oracle.enclosures(parts, 1e-12)
        verdict = checker.check(certificate(parts, enclosures=bounds | {"points": [(-1, 0)] * 2}).to_bytes())
        for own, true in zip(verdict.enclosures["points"], bounds["points"], strict=True):
            assert true[0] <= own[0] <= own[1] <= true[1]
        assert bounds["average"][0] <= verdict.enclosures["average"][0] <= bounds["average"][1]


FAULTS_OF_BOXES = {
    "the box of the first point": ("box = joined(map(nonzero, every))", "box = nonzero(every[0])"),
    "a box that moves leave": ("box = tuple(map(closed, box, tensor.shape, moves))", "pass"),
    "an axis that is nearly empty": (
        "if 0 < len(found) < size:",
        "found = found[:1]\n            if 0 < len(found) < size:",
    ),
    "the entries beside the box": ("places(have, box)", "places(have, tuple(map(range, extents(box))))"),
    "moves of places as if all were listed": (
        "[at[p[place]] for place in box[axis]]",
        "sorted(range(len(at)), key=lambda k: p[k])",
    ),
    "rows in the order of the file": (
        "zeros = [0] * width",
        "zeros = [0] * width\n        found = dict(enumerate(found.values()))",
    ),
}


def test_faults_of_boxes_change_a_value():
    """Points that are zero where others are not: whoever takes the wrong places for zeros gets other values."""
    sixteen = four_units([[1, 0, 3, 2]]).document
    program = json.loads(json.dumps(sixteen["program"]).replace("[4, 1]", "[16, 1]").replace("[1, 4]", "[1, 16]"))
    w, v = np.zeros((16, 1)), np.zeros((1, 16))
    w[[5, 9], 0], v[0, [5, 9]] = [3.0, 2.0], [1.0, 1.0]
    turn = [*range(1, 16), 0]
    parts = {"claim": "average", "variables": ["w", "v"], "program": program, "constants": {}}
    parts["parameters"] = {"w": w, "v": v}
    parts["data"] = {"x": np.array([[1.0], [-1.0], [2.0]]), "target": np.array([[5.0], [0.0], [10.0]])}
    far = {"w": np.roll(w, -7, 0) * 2 - np.roll(w, 3, 0), "v": np.roll(v, 2, 1) + np.roll(v, -7, 1)}
    halves = [*range(8, 16), *range(8)]
    steps = {
        "steps": [{"units": "0", "order": 2, "moves": {"w": [[0, halves]], "v": [[1, halves]]}}],
        "claim": "midpoint",
    }
    around = {"steps": [{"units": "0", "order": 16, "moves": {"w": [[0, turn]], "v": [[1, turn]]}}]}
    listed = {"points": [{}, far, {"v": far["v"]}]}
    cases = []
    for part in (steps, around, listed):
        bounds = oracle.enclosures(parts | part, 1e-12)
        wide = {"points": [(-1e9, -1)] * len(bounds["points"]), "average": (1e9, 2e9)}
        cases.append((certificate(parts | part, enclosures=wide).to_bytes(), bounds))

    def right(module):
        for data, bounds in cases:
            try:
                found = module.check(data).enclosures
                pairs = [*zip(found["points"], bounds["points"], strict=True), (found["average"], bounds["average"])]
            except Exception:
                return False
            if not all(true[0] <= low <= high <= true[1] for (low, high), true in pairs):
                return False
        return True

    text = SOURCE.read_text()
    assert right(checker)
    for name, (old, new) in FAULTS_OF_BOXES.items():
        assert text.count(old) == 1, name
        assert not right(load("checker_with_fault_of_boxes", SOURCE, text.replace(old, new))), name


@pytest.mark.parametrize("precision", [64, 96, 128, 320, 1024, 2048])
def test_the_precision_is_the_certificates_choice(precision):
    parts = examples.three_units("tanh") | {"precision": precision}
    verdict = checker.check(certificate(parts).to_bytes())
    assert verdict
    assert f"2^-{precision}" in verdict.arithmetic
    for wrong in (0, 32, 63, 65, 100, 4096, True, 128.0):
        document = dict(certificate(parts).document) | {"precision": wrong}
        document["digests"] = checker.digests(document)
        with pytest.raises(checker.MalformedError, match="precision"):
            checker.check(checker.canonical(document).encode() + b"\n")


def test_both_arithmetics_agree():
    """Products of matrices by python-flint are the same integers."""
    rng, s = np.random.default_rng(2), Sketch()
    x, target = s.leaf("input", "x", (16, 16)), s.leaf("input", "target", (16, 12))
    w, v = s.leaf("parameter", "w", (24, 16)), s.leaf("parameter", "v", (12, 24))
    h = s.pointwise("tanh", s.dense(x, w))
    halves = s.reshape(h, (2, 8, 24))
    many = s.node("contract", [halves, halves], (2, 8, 8), spec="abi,aci->abc")
    wide = s.node("contract", [h, h], (24, 24), spec="bi,bj->ij")
    parts = [s.squared_error(s.dense(h, v), target), s.total(many), s.total(s.pointwise("square", wide))]
    out = s.pointwise("add", parts[0], s.pointwise("add", parts[1], parts[2]))
    values = {"w": rng.standard_normal((24, 16)), "v": rng.standard_normal((12, 24))}
    table = {n: (checker.array(encode_array(a), [1 << 30], n), a.shape) for n, a in values.items()}
    point = {n: (t.v, t.den, shape) for n, (t, shape) in table.items()}
    data = {"x": (rng.integers(-9, 9, 512).tolist(), 8, (32, 16)), "target": ([1] * 384, 1, (32, 12))}
    pair = [enclose(checker, s.program(out), point, {}, data, matrix=m) for m in (None, checker.matrices())]
    assert checker.matrices() is not None
    assert pair[0] == pair[1]
    plain = SOURCE.read_text().replace("NARROW = 1 << 72", "NARROW = 0")
    assert enclose(load("checker_without_packing", SOURCE, plain), s.program(out), point, {}, data) == pair[0]


def test_packed_products_are_the_products():
    rng = random.Random(3)
    for trial in range(300):
        length, few, many = (rng.randint(1, 9) for _ in range(3))
        top, wide = 1 << rng.choice([0, 1, 7, 8, 9, 40]), 1 << rng.choice([0, 7, 8, 9, 130, 257])
        extreme = trial % 2

        def entry(size, extreme=extreme):
            return rng.choice([-size, size, -size + 1, size - 1, 0]) if extreme else rng.randint(-size, size)

        p = [[entry(top) for _ in range(length)] for _ in range(few)]
        q = [[entry(wide) for _ in range(length)] for _ in range(many)]
        assert checker.packed(p, q) == [[sum(a * b for a, b in zip(x, y, strict=True)) for y in q] for x in p]
    for sign in (1, -1):
        assert checker.packed([[255, 1]], [[sign, sign], [-sign, -sign]]) == [[256 * sign, -256 * sign]]
        assert checker.packed([[0, 0]], [[sign << 64, 0]]) == [[0]]


def test_a_certificate_of_version_1_is_named():
    document = dict(certificate(examples.absolute_value()).document) | {"version": 1}
    del document["points"], document["times"], document["precision"]
    with pytest.raises(checker.MalformedError, match="format version 1; this checker reads version 2: prove again"):
        checker.check(checker.canonical(document).encode() + b"\n")


def test_only_variables_move():
    parts = {**examples.absolute_value(), "variables": ["w"]}
    with pytest.raises(checker.MalformedError, match="v, which is not a variable"):
        checker.check(certificate(parts).to_bytes())


def test_moves_must_lead_back():
    parts = examples.three_units()
    parts["steps"][0]["order"] = 2
    with pytest.raises(checker.MalformedError, match="do not lead back"):
        checker.check(certificate(parts).to_bytes())


def test_the_work_is_counted_before_it_is_done():
    data = certificate(examples.three_units("tanh")).to_bytes()
    needed = checker.check(data).multiply_adds
    assert checker.check(data, limit=needed)
    verdict = checker.check(data, limit=needed - 1)
    assert not verdict
    assert "more than the limit" in verdict.reason
    done = []
    checker.check(data, progress=lambda *now: done.append(now))
    assert done == [(16, 20), (20, 20)]
