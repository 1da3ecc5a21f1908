"""Altered certificates: a change is noticed, and one that is sealed again is accepted only if it is true."""

import collections
import copy
import json
import random
from fractions import Fraction

import numpy as np
import pytest
from tests.proof import evaluation, examples, oracle
from tests.proof.campaign import forgeries, judge, verdict_on
from tests.proof.checking import SOURCE, checker, load
from tests.proof.sealing import BASES, build, seal

from orbitope.proof.certificate import Certificate

pytestmark = pytest.mark.usefixtures("precise")


@pytest.mark.parametrize("name", BASES)
def test_resealed_forgeries_are_accepted_only_if_true(name):
    rng, tally = random.Random(name), collections.Counter()
    for what, data in forgeries(build(name).document, rng, 60 if name == "language model" else 150):
        answer = judge(data)
        tally[answer] += 1
        assert answer in ("malformed", "rejected", "accepted, true"), what
    assert len(tally) == 3  # some are true, and each kind of answer occurs
    assert min(tally.values()) > 2, tally


@pytest.mark.parametrize("name", BASES)
def test_every_flipped_bit_is_noticed(name):
    data, rng = build(name).to_bytes(), random.Random(2)
    for _ in range(600):
        changed = bytearray(data)
        changed[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        assert verdict_on(bytes(changed)) is None
    for cut in [0, 1, len(data) - 1, *(rng.randrange(len(data)) for _ in range(50))]:
        assert verdict_on(data[:cut]) is None
    assert verdict_on(data + b"\n") is None
    assert verdict_on(b"\n" + data) is None


def test_the_altered_section_is_named():
    document = copy.deepcopy(dict(build("midpoint").document))
    document["violated"] = 1
    with pytest.raises(checker.MalformedError, match="section violated was altered"):
        checker.check(checker.canonical(document).encode() + b"\n")


def test_other_spellings_are_refused():
    document = build("midpoint").document
    plain = checker.canonical(document)
    for text in (
        json.dumps(document),
        json.dumps(document, indent=1, sort_keys=True),
        plain.replace('"violated":0', '"violated":0,"violated":0'),
        plain.replace('"violated":0', '"violated":-0'),
        plain.replace('"violated":0', '"violated":NaN'),
        plain.replace('"violated":0', '"violated":1e999'),
        plain.replace('"midpoint"', '"mid\\u0070oint"'),
        "\ufeff" + plain,
    ):
        assert text != plain
        assert verdict_on(text.encode() + b"\n") is None
    assert verdict_on(plain.encode() + b"\n") is True
    assert verdict_on(plain.encode("utf-16")) is None


# faults of the judgement, each of which lets one of these lies pass --------------------------------------------------
def unordered_times(module):
    """F rises faster from 1/10 to 1/5 than from -1/10 to 1/20, as a convex function does; sealed by that module."""
    times = [Fraction(1, 10), Fraction(1, 5), Fraction(-1, 10), Fraction(1, 20)]
    parts = examples.slopes()
    document = copy.deepcopy(dict(Certificate.build(**parts, enclosures=oracle.enclosures(parts, 1e-9)).document))
    points = oracle.enclosures(parts | {"times": times}, 1e-9)["points"]
    document["times"] = [list(t.as_integer_ratio()) for t in times]
    document["enclosures"]["points"] = [[x.hex() for x in pair] for pair in points]
    return seal(document, True, module)


def lies():
    """Resealed certificates that state something false or unproved, each for its own reason."""
    found = []

    def add(parts, statement=None, **bounds):
        true = oracle.enclosures(parts, 1e-9)
        document = copy.deepcopy(dict(Certificate.build(**parts, enclosures={**true, **bounds}).document))
        if statement:
            document["statement"] = document["statement"].replace(*statement)
        found.append(seal(document, statement=False))

    add(examples.absolute_value(), average=(2.0, 3.0))
    add(examples.absolute_value(), points=[(-2.0, -1.0), (-2.0, -1.0)])
    add(examples.absolute_value(), points=[(-1.0, 1.5), (-1.0, 1.5)])
    add(examples.absolute_value(), statement=("0.99999", "1.99999"))
    add(examples.absolute_value(), statement=("2 samples", "3 samples"))
    add({**examples.absolute_value(), "variables": ["w"]})
    same = examples.absolute_value()
    same["parameters"] = {"w": np.ones((2, 1)), "v": np.ones((1, 2))}
    add(same, average=(9.0, 10.0))
    parts = examples.three_units()
    add(parts, start=(-1.0, 99.0))
    add({**examples.cyclic_average(), "claim": "midpoint"})
    one, other = [1, 0, 2], [0, 2, 1]

    def swap(p):
        return {"units": "first", "order": 2, "moves": {"w": [[0, p]], "b": [[0, p]], "u": [[1, p]]}}

    for violated in (0, 1):
        add({**parts, "steps": [swap(one), swap(other)], "violated": violated})
    five = {**examples.listed_points(), "claim": "slopes", "times": [0, 1, 1, 2]}  # rises, then rises more
    add(five, points=[(0.0, 0.1), (2.0, 2.1), (2.0, 2.1), (0.0, 0.1)])
    add(examples.slopes(), statement=("s = 1/10", "s = 1/20"))
    add(examples.slopes(), statement=("but for w", "but for v"))
    found.append(unordered_times)
    points = {**examples.listed_points(), "variables": ["v"]}
    add(points)
    add({**examples.listed_points(), "points": [{}, {}]}, average=(9.0, 10.0))
    add(examples.together(), statement=("4 samples together", "4 samples"))
    around = {"w": [[0, [1, 2, 0]]], "b": [[0, [1, 2, 0]]], "u": [[1, [1, 2, 0]]]}
    add(parts, statement=("carry 3 positions", "carry 4 positions"))
    add({**parts, "steps": [{"units": "first", "order": 2, "moves": around}]})
    return found


JUDGEMENT_FAULTS = {
    "stated enclosures are believed": ("if not stated[0] <= low <= high <= stated[1]:", "if False:"),
    "the lower end is not compared": ("if not stated[0] <= low <= high <= stated[1]:", "if not high <= stated[1]:"),
    "the upper end is not compared": ("if not stated[0] <= low <= high <= stated[1]:", "if not stated[0] <= low:"),
    "the statement is believed": ('if document["statement"] != statement(document):', "if False:"),
    "fixed parameters may move": ("need(name in variables,", "need(name in shapes,"),
    "fixed parameters may differ": ("{*table} <= self.names", "{*table} <= {*stored}"),
    "the end need not be fixed": ("if step.move(end) != end:", "if False:"),
    "start and end are not compared": ('if orbit and bounds["end"][0] <= bounds["start"][1]:', "if False:"),
    "a midpoint of three points": ('(claim == "midpoint") == (count == 2)', "True"),
    "times in any order": ("times[0] < times[1] <= times[2] < times[3]", "len({*times}) > 2"),
    "digests are not compared": ('need(document["digests"][name] == digest,', "need(True,"),
}


def test_the_lies_find_every_planted_fault_of_judgement():
    text, corpus = SOURCE.read_text(), lies()
    flipped = build("midpoint").to_bytes().replace(b'"generator":"orbitope', b'"generator":"orbitopf')
    for data in [*corpus, flipped]:
        assert not verdict_on(data(checker) if callable(data) else data)
    passed = {}
    for name, (old, new) in JUDGEMENT_FAULTS.items():
        assert text.count(old) == 1, f"{name}: {text.count(old)} places"
        module = load("checker_with_fault_of_judgement", SOURCE, text.replace(old, new))
        passed[name] = sum(
            bool(verdict_on(data(module) if callable(data) else data, module)) for data in [*corpus, flipped]
        )
    assert all(passed.values()), passed


def test_the_oracle_itself_knows_true_from_false():
    for name in BASES:
        document = dict(build(name).document)
        assert oracle.is_true(document)
        for section in ("average", "start", "points"):
            old = document["enclosures"][section]
            if old is not None:
                low, high = old[-1] if section == "points" else old
                moved = [(float.fromhex(low) + 1).hex(), (float.fromhex(high) + 1).hex()]
                changed = {section: [*old[:-1], moved] if section == "points" else moved}
                assert not oracle.is_true({**document, "enclosures": {**document["enclosures"], **changed}})
        assert not oracle.is_true({**document, "statement": document["statement"].replace("at least ", "at least 9")})
    assert evaluation.within(Fraction(1, 3), Fraction(1, 3), Fraction(1, 2))
    assert not evaluation.within(Fraction(1, 3), Fraction(1, 2), Fraction(1, 1))
