"""Claims of certificates: the true ones are accepted, others are not, whatever they state."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.proof import examples, oracle
from tests.proof.checking import NARROW, certificate, checker
from tests.proof.examples import Sketch

pytestmark = pytest.mark.usefixtures("precise")
CLAIMS = {
    "absolute value": examples.absolute_value,
    "three units": examples.three_units,
    "three units, tanh": lambda: examples.three_units("tanh"),
    "three units, cross-entropy": lambda: examples.three_units("relu", "cross_entropy"),
    "convolutional": examples.convolutional,
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
        assert pair[1] - pair[0] < 1e-14


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


def test_moves_that_move_nothing_prove_nothing():
    parts = examples.absolute_value()
    parts["parameters"] = {"w": np.ones((2, 1)), "v": np.ones((1, 2))}
    true = oracle.enclosures(parts)
    for bounds in (true, {**true, "average": (100.0, 101.0), "end": (100.0, 101.0)}):
        assert not checker.check(certificate(parts, enclosures=bounds).to_bytes())


def test_an_enclosure_must_contain_the_computed_one():
    parts = examples.absolute_value()
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
    parts = examples.absolute_value()
    plain = checker.check(certificate(parts).to_bytes())
    parts["parameters"]["w"] = np.array([[1.0], [-1.0 - 2.0**-52]])
    parts["data"]["x"] = np.array([[1.0], [-1.0], [2.0**-400]])
    parts["data"]["target"] = np.array([[1.0], [1.0], [2.0**-400]])
    verdict = checker.check(certificate(parts).to_bytes(), limit=3 * plain.multiply_adds)
    assert not verdict
    assert "each counted" in verdict.reason


def test_the_end_of_an_orbit_average_must_lie_above_the_start():
    parts = examples.absolute_value()
    parts["claim"] = "orbit-average"
    parts["parameters"]["w"] = np.array([[1.0], [-1.0]])
    assert checker.check(certificate(parts).to_bytes())
    bounds = oracle.enclosures(parts)
    assert not checker.check(certificate(parts, enclosures={**bounds, "start": (-1.0, 2.0)}).to_bytes())


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
