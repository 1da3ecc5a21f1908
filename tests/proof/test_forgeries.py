"""Altered certificates: a change is noticed, and one that is sealed again is accepted only if it is true."""

import base64
import copy
import json
import random
import time
from fractions import Fraction

import numpy as np
import pytest
from tests.proof import evaluation, examples, oracle
from tests.proof.checking import SOURCE, checker, load
from tests.proof.sealing import BASES, build, seal

from orbitope.proof.certificate import Certificate, encode_array

pytestmark = pytest.mark.usefixtures("precise")
WORDS = [
    "relu",
    "tanh",
    "identity",
    "exp",
    "sub",
    "add",
    "mul",
    "midpoint",
    "orbit-average",
    "x",
    "target",
    "n3",
    "w",
    "v",
]


WORDS += [
    "parameter",
    "constant",
    "contract",
    "reduce",
    "sum",
    "mean",
    "float16",
    "int64",
    "bfloat16",
    "bi,oi->ob",
    "",
    "0x1p-3",
]


def leaves(value, path=()):
    """Every place of a document, inner ones too."""
    yield path, value
    if isinstance(value, dict):
        for key in sorted(value):
            yield from leaves(value[key], (*path, key))
    elif isinstance(value, list):
        for k, part in enumerate(value):
            yield from leaves(part, (*path, k))


def replaced(document, path, new):
    document = copy.deepcopy(document)
    if not path:
        return new
    place = document
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = new
    return document


def variants(value, rng):
    """Other values for one place."""
    other = rng.choice([None, True, -1, 0, 1.5, "x", [], {}])
    if isinstance(value, bool):
        return [not value, int(value), other]
    if isinstance(value, int):
        return [value + 1, value - 1, -value, value == 1, float(value), 2**70, other]
    if isinstance(value, float):
        return [float(np.nextafter(value, 9)), -value, value * 2, 0, str(value), other]
    if isinstance(value, str):
        result = [value + "0", value[:-1], value.swapcase(), rng.choice(WORDS), rng.choice(WORDS), other]
        if value.lstrip("-").startswith("0x"):
            x = float.fromhex(value)
            moved = [x + 1, x - 1, x + 1e-6, x - 1e-6, -x, float(np.nextafter(x, 9)), x / 2, 0.0]
            result += [m.hex() for m in moved] + ["0x1p+4000", "nan", "inf"]
        return result
    if isinstance(value, list):
        result = [[*value, *value[-1:]], value[:-1], value[::-1], [], other]
        if len(value) > 1:
            i, j = rng.sample(range(len(value)), 2)
            swapped = list(value)
            swapped[i], swapped[j] = swapped[j], swapped[i]
            result.append(swapped)
        return result
    if isinstance(value, dict):
        keys = sorted(value)
        result = [{**value, "extra": 1}, {}, other]
        if keys:
            gone = rng.choice(keys)
            result.append({k: v for k, v in value.items() if k != gone})
            result.append({(k + "_" if k == gone else k): v for k, v in value.items()})
        if len(keys) > 1:
            i, j = rng.sample(keys, 2)
            result.append({**value, i: value[j], j: value[i]})
        if set(value) == {"dtype", "shape", "data"}:
            result += arrays(value, rng)
        return result
    return [other]


def arrays(value, rng):
    """Other numbers in a stored array."""
    raw = bytearray(base64.b64decode(value["data"]))
    found = []
    for _ in range(4):
        changed = bytearray(raw)
        changed[rng.randrange(len(raw))] ^= 1 << rng.randrange(8)
        found.append({**value, "data": base64.b64encode(changed).decode()})
    numbers = np.frombuffer(bytes(raw), evaluation.LOW[value["dtype"]]).reshape(value["shape"])
    for factor in (0, 2, -1)[: 2 if numbers.dtype.kind == "u" else 3]:
        found.append(encode_array((numbers * factor).astype(numbers.dtype)))
    found.append(encode_array(numbers.astype(np.float64)))
    found.append(encode_array(numbers[::-1].copy() if numbers.ndim else numbers))
    return found


def forgeries(document, rng, count):
    """(what was changed, bytes) of resealed mutations, every section among them."""
    sealed = {name: part for name, part in document.items() if name != "digests"}
    places = list(leaves(sealed))
    every = [(path, new) for path, value in places for new in variants(value, rng) if path]
    rng.shuffle(every)
    first, seen = [], set()
    for path, new in every:
        kind = tuple(key for key in path if isinstance(key, str))[:3]
        (first.append((path, new)), seen.add(kind)) if kind not in seen else None
    chosen = first + every[: max(0, count - len(first))]
    for path, new in chosen:
        for statement in (True, False):
            altered = replaced(sealed, path, new)
            if altered != sealed or json.dumps(altered) != json.dumps(sealed):
                yield (path, new, statement), seal(altered, statement)


def verdict_on(data, module=checker):
    """True, False, or None where it is no certificate. Nothing else may happen, and nothing slowly."""
    began = time.process_time()
    try:
        result = bool(module.check(data))
    except module.MalformedError as error:
        assert 0 < len(str(error)) <= 300 and str(error).isprintable()
        result = None
    assert time.process_time() - began < 5
    return result


def is_true(data):
    return oracle.is_true(json.loads(data))


@pytest.mark.parametrize("name", BASES)
def test_resealed_forgeries_are_accepted_only_if_true(name):
    rng, tally = random.Random(name), {True: 0, False: 0, None: 0}
    for what, data in forgeries(build(name).document, rng, 300):
        result = verdict_on(data)
        tally[result] += 1
        if result:
            assert is_true(data), what
    assert all(count > 10 for count in tally.values()), tally  # some are true, and each kind of answer occurs


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
def lies():
    """Resealed certificates that state something false or unproved, each for its own reason."""
    found = []

    def add(parts, statement=None, **bounds):
        true = oracle.enclosures(parts, 1e-9)
        document = copy.deepcopy(dict(Certificate.build(**parts, enclosures={**true, **bounds}).document))
        if statement:
            document["statement"] = document["statement"].replace(*statement)
        found.append(seal(document, statement=False))

    add(examples.absolute_value(), average=(2.0, 3.0), end=(2.0, 3.0))
    add(examples.absolute_value(), points=[(-2.0, -1.0), (-2.0, -1.0)], start=(-2.0, -1.0))
    add(examples.absolute_value(), points=[(-1.0, 1.5), (-1.0, 1.5)], start=(-1.0, 1.5))
    add(examples.absolute_value(), statement=("0.99999", "1.99999"))
    add(examples.absolute_value(), statement=("2 samples", "3 samples"))
    add({**examples.absolute_value(), "variables": ["w"]})
    same = examples.absolute_value()
    same["parameters"] = {"w": np.ones((2, 1)), "v": np.ones((1, 2))}
    add(same, average=(9.0, 10.0), end=(9.0, 10.0))
    parts = examples.three_units()
    add(parts, start=(-1.0, 99.0))
    add({**parts, "claim": "midpoint"})
    one, other = [1, 0, 2], [0, 2, 1]

    def swap(p):
        return {"units": "first", "order": 2, "moves": {"w": [[0, p]], "b": [[0, p]], "u": [[1, p]]}}

    for violated in (0, 1):
        add({**parts, "steps": [swap(one), swap(other)], "violated": violated})
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
    "the end need not be fixed": ("if s.move(end) != end:", "if False:"),
    "start and end are not compared": ('if not midpoint and bounds["end"][0] <= bounds["start"][1]:', "if False:"),
    "any chain is a midpoint": ("need(not midpoint or (len(steps) == 1 and step.order == 2)", "need(True"),
    "digests are not compared": ('need(document["digests"][name] == digest,', "need(True,"),
}


def test_the_lies_find_every_planted_fault_of_judgement():
    text, corpus = SOURCE.read_text(), lies()
    flipped = build("midpoint").to_bytes().replace(b'"generator":"orbitope', b'"generator":"orbitopf')
    for data in [*corpus, flipped]:
        assert not verdict_on(data)
    passed = {}
    for name, (old, new) in JUDGEMENT_FAULTS.items():
        assert text.count(old) == 1, f"{name}: {text.count(old)} places"
        module = load("checker_with_fault_of_judgement", SOURCE, text.replace(old, new))
        passed[name] = sum(bool(verdict_on(data, module)) for data in [*corpus, flipped])
    assert all(passed.values()), passed


def test_the_oracle_itself_knows_true_from_false():
    for name in BASES:
        document = dict(build(name).document)
        assert oracle.is_true(document)
        for section in ("average", "start"):
            low, high = document["enclosures"][section]
            moved = [(float.fromhex(low) + 1).hex(), (float.fromhex(high) + 1).hex()]
            assert not oracle.is_true({**document, "enclosures": {**document["enclosures"], section: moved}})
        assert not oracle.is_true({**document, "statement": document["statement"].replace("at least ", "at least 9")})
    assert evaluation.within(Fraction(1, 3), Fraction(1, 3), Fraction(1, 2))
    assert not evaluation.within(Fraction(1, 3), Fraction(1, 2), Fraction(1, 1))
