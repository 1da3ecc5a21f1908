"""Altered certificates: a change is noticed, and one that is sealed again is accepted only if it is true."""

import base64
import contextlib
import copy
import importlib
import json
import random
import subprocess
import sys
import time
import types
from fractions import Fraction
from pathlib import Path

import flint
import numpy as np
import pytest

from orbitope.proof.certificate import Certificate, encode_array

HERE = Path(__file__).parent
SOURCE = HERE.parents[1] / "src" / "orbitope" / "proof" / "check.py"


def load(name, path, text=None):
    """A module from a file, or from altered text of it."""
    module = types.ModuleType(name)
    module.__file__ = str(path)
    sys.modules[name] = module
    exec(compile(text if text is not None else path.read_text(), str(path), "exec"), module.__dict__)
    return module


oracle = load("orbitope_test_oracle_of_forgeries", HERE / "oracle.py")
checker = importlib.import_module("orbitope.proof.check")
BASES = {
    "midpoint": oracle.absolute_value,
    "orbit average": oracle.three_units,
    "cross-entropy": lambda: oracle.three_units("tanh", "cross_entropy"),
    "convolutional": oracle.convolutional,
}
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


@pytest.fixture(scope="module", autouse=True)
def precise():
    """Arb at the oracle's precision, for these tests only."""
    with flint.ctx.workprec(oracle.PRECISION):
        yield


def build(name, width=1e-9):
    parts = BASES[name]()
    return Certificate.build(**parts, enclosures=oracle.enclosures(parts, width))


def seal(document, statement):
    """The bytes of a document whose digests, and perhaps statement, are made to fit."""
    if statement:
        with contextlib.suppress(Exception):
            document["statement"] = checker.statement(document)
    document["digests"] = {
        name: digest
        for name, digest in checker.digests({n: document.get(n) for n in checker.SECTIONS}).items()
        if name in document
    }
    return checker.canonical(document).encode() + b"\n"


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
    numbers = np.frombuffer(bytes(raw), oracle.LOW[value["dtype"]]).reshape(value["shape"])
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

    add(oracle.absolute_value(), average=(2.0, 3.0), end=(2.0, 3.0))
    add(oracle.absolute_value(), points=[(-2.0, -1.0), (-2.0, -1.0)], start=(-2.0, -1.0))
    add(oracle.absolute_value(), points=[(-1.0, 1.5), (-1.0, 1.5)], start=(-1.0, 1.5))
    add(oracle.absolute_value(), statement=("0.99999", "1.99999"))
    add(oracle.absolute_value(), statement=("2 samples", "3 samples"))
    add({**oracle.absolute_value(), "variables": ["w"]})
    same = oracle.absolute_value()
    same["parameters"] = {"w": np.ones((2, 1)), "v": np.ones((1, 2))}
    add(same, average=(9.0, 10.0), end=(9.0, 10.0))
    parts = oracle.three_units()
    add(parts, start=(-1.0, 99.0))
    add({**parts, "claim": "midpoint"})
    one, other = [1, 0, 2], [0, 2, 1]
    swap = lambda p: {"units": "first", "order": 2, "moves": {"w": [[0, p]], "b": [[0, p]], "u": [[1, p]]}}  # noqa: E731
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


# hostile files -----------------------------------------------------------------------------------------------------
def hostile():
    """name -> bytes of files that try to be slow, large or odd."""
    base = {name: part for name, part in build("midpoint").document.items() if name != "digests"}
    found = {
        "empty": b"",
        "not JSON": b"\x80\x04pickle",
        "a number": b"1\n",
        "a list": b"[]\n",
        "null": b"null\n",
        "nested": b"[" * 1_000_000,
        "nested and closed": b"[" * 100_000 + b"]" * 100_000,
        "nested tables": b'{"a":' * 200_000,
        "long number": b'{"a":' + b"9" * 1_000_000 + b"}",
        "huge exponent": b'{"a":1e999999999}\n',
        "many lists": b"[" + b"[]," * 5_000_000 + b"[]]\n",
        "too large": b" " * ((1 << 27) + 1),
        "quotes": b'ab"' * ((1 << 27) // 3),
        "pairs of brackets": b"[]" * (1 << 26),
        "closing brackets": b"]" * (1 << 27),
        "colons": b"{" * 10 + b'"":' * ((1 << 25) - 9),
        "lists in lists": b"[" + b",".join([b"[" * 10 + b"]" * 10] * (1 << 22)) + b"]\n",
        "tables in tables": b"[" + b",".join([b'{"":' * 9 + b"1" + b"}" * 9] * (1 << 21)) + b"]\n",
    }

    def add(name, **sections):
        found[name] = seal(copy.deepcopy({**base, **sections}), statement=False)

    def program(*nodes, output=None, extra=()):
        """Nodes (op, operands, shape, attributes) after an input x of shape [1, 1]."""
        listed = [{"name": "x", "op": "input", "inputs": [], "shape": [1, 1], "attributes": {"input": "x"}}]
        listed.append({"name": "t", "op": "input", "inputs": [], "shape": [1, 1], "attributes": {"input": "target"}})
        for k, (op, inputs, shape, attributes) in enumerate(nodes):
            listed.append({"name": f"a{k}", "op": op, "inputs": inputs, "shape": shape, "attributes": attributes})
        return {"nodes": [*listed, *extra], "inputs": ["x", "target"], "output": output or listed[-1]["name"]}

    def array(shape, data="", dtype="float64"):
        return {"dtype": dtype, "shape": shape, "data": data}

    zero = base64.b64encode(bytes(8)).decode()
    tiny_and_huge = np.full(1 << 16, 1e308)
    tiny_and_huge[0] = 5e-324
    add("no samples", data={"x": array([0, 1]), "target": array([0, 1])})
    add("no data", data={})
    add("huge shape", parameters={"w": array([1 << 40]), "v": array([1])})
    add("huge product", parameters={"w": array([1 << 20] * 8), "v": array([1])})
    add("many axes", parameters={"w": array([1] * 1000, zero), "v": array([1], zero)})
    add("negative shape", parameters={"w": array([-1], zero), "v": array([1], zero)})
    add("bool shape", parameters={"w": array([True], zero), "v": array([1], zero)})
    add("short data", parameters={"w": array([2], zero), "v": array([1], zero)})
    add("no base64", parameters={"w": array([1], "!" * 12), "v": array([1], zero)})
    add("padding inside", parameters={"w": array([1], "AA==AAAAAAA="), "v": array([1], zero)})
    add(
        "infinite",
        parameters={"w": array([1], base64.b64encode(np.array([np.inf]).tobytes()).decode()), "v": array([1], zero)},
    )
    add("wide numbers", parameters={"w": encode_array(tiny_and_huge), "v": array([1], zero)})
    spread = np.full(300_000, 1.7e308)
    spread[0] = 5e-324
    add("wide numbers in five arrays", parameters={name: encode_array(spread) for name in "abcvw"})
    wide = np.full(100_000, 1.7e308)
    wide[0] = 5e-324
    add(
        "wide numbers averaged",
        parameters={name: encode_array(wide) for name in "abcdefgvw"},
        variables=[*"abcdefgvw"],
        steps=[{**base["steps"][0], "moves": {name: [[0, [1, 0, *range(2, 100_000)]]] for name in "abcdefg"}}],
    )
    add("unknown dtype", parameters={"w": array([1], zero, "object"), "v": array([1], zero)})
    add("list as dtype", parameters={"w": array([1], zero, ["float64"]), "v": array([1], zero)})
    add("bool as integer", violated=False)
    add("version as bool", version=True)
    add("version as float", version=1.0)
    add("repeated variables", variables=["w", "w"])
    add("list as variable", variables=[["w"]])
    add("no variables", variables=[])
    add("cycle", program=program(("pointwise", ["a0"], [1, 1], {"fn": "neg"})))
    add(
        "later node",
        program=program(("pointwise", ["a1"], [1, 1], {"fn": "neg"}), ("pointwise", ["x"], [1, 1], {"fn": "neg"})),
    )
    add(
        "same name",
        program=program(
            extra=[{"name": "x", "op": "input", "inputs": [], "shape": [1, 1], "attributes": {"input": "x"}}]
        ),
    )
    add("unknown operation", program=program(("eval", ["x"], [1, 1], {"code": "1"})))
    add("operation as list", program=program((["pointwise"], ["x"], [1, 1], {"fn": "neg"})))
    add("unknown function", program=program(("pointwise", ["x"], [1, 1], {"fn": "gelu"})))
    add("function as list", program=program(("pointwise", ["x"], [1, 1], {"fn": ["neg"]})))
    add("unknown attribute", program=program(("pointwise", ["x"], [1, 1], {"fn": "neg", "out": 1})))
    add("axis out of range", program=program(("reduce", ["x"], [1], {"fn": "sum", "axes": [7]})))
    add("negative axis", program=program(("reduce", ["x"], [1], {"fn": "sum", "axes": [-1]})))
    add("repeated axis", program=program(("reduce", ["x"], [], {"fn": "sum", "axes": [0, 0]})))
    add("no permutation", program=program(("transpose", ["x"], [1, 1], {"permutation": [0, 0]})))
    add("output of two", program=program(("broadcast", ["x"], [1, 2], {"shape": [1, 2]})))
    add("wide broadcast", program=program(("broadcast", ["x"], [1 << 12, 1 << 12], {"shape": [1 << 12, 1 << 12]})))
    nodes = [("broadcast", ["x"], [1 << 20], {"shape": [1 << 20]})] * 100
    add("many wide broadcasts", program=program(*nodes))
    add(
        "outer product",
        program=program(
            ("broadcast", ["x"], [1 << 13], {"shape": [1 << 13]}),
            ("contract", ["a0", "a0"], [1 << 13, 1 << 13], {"spec": "a,b->ab"}),
        ),
    )
    add("long spec", program=program(("contract", ["x", "x"], [1], {"spec": "ab,ab->" + "a" * 1_000_000})))
    add("spec without output", program=program(("contract", ["x", "x"], [1], {"spec": "ab,bc"})))
    add("three operands", program=program(("contract", ["x", "x", "x"], [1], {"spec": "ab,ab,ab->a"})))
    convolution = {"stride": [1], "padding": [1 << 24], "dilation": [1], "groups": 1}
    cube = [("reshape", ["x"], [1, 1, 1], {"shape": [1, 1, 1]}), ("convolve", ["a0", "a0"], [1, 1, 1], convolution)]
    add("wide padding", program=program(*cube))
    cube[1] = ("convolve", ["a0", "a0"], [1, 1, 1], {**convolution, "padding": [0], "groups": 0})
    add("no groups", program=program(*cube))
    cube[1] = ("convolve", ["a0", "a0"], [1, 1, 1], {**convolution, "padding": [0], "stride": [0]})
    add("no stride", program=program(*cube))
    pool = {
        "fn": "max",
        "kernel": [1 << 20],
        "stride": [1],
        "padding": [1 << 20],
        "dilation": [1],
        "count_include_pad": True,
    }
    add("wide pool", program=program(("pool", ["x"], [1, (1 << 20) + 2], pool)))
    pool = {**pool, "kernel": [1], "padding": [1], "stride": [3]}
    add("pool of padding", program=program(("pool", ["x"], [1, 1], pool)))
    add("wide pad", program=program(("pad", ["x"], [1, (1 << 23) + 1], {"widths": [[0, 0], [0, 1 << 23]], "value": 0})))
    add("repeated squares", program=program(*_chain(60, lambda a: ("pointwise", [a], [1, 1], {"fn": "square"}))))
    add("doubling", program=program(*_chain(6000, lambda a: ("pointwise", [a, a], [1, 1], {"fn": "add"}))))
    add("growing powers", program=program(*_chain(9, lambda a: ("pointwise", [a], [1, 1], {"fn": "exp"}))))
    add("logarithm of zero", program=program(*_chain(3, lambda a: ("pointwise", [a], [1, 1], {"fn": "log"}))))
    add("many nodes", program=program(*_chain(20_001, lambda a: ("pointwise", [a], [1, 1], {"fn": "neg"}))))
    square = [900, 900]
    product = ("contract", ["a0", "a0"], square, {"spec": "ab,bc->ac"})
    total = ("reduce", ["a1"], [], {"fn": "sum", "axes": [0, 1]})
    add("much work", program=program(("broadcast", ["x"], square, {"shape": square}), product, total))
    step = base["steps"][0]
    add("order without end", steps=[{**step, "order": 1 << 60}])
    add("order 1", steps=[{**step, "order": 1}])
    add("large order", claim="orbit-average", steps=[{**step, "order": 1 << 16}])
    add("many steps", claim="orbit-average", steps=[step] * 4097)
    add("no steps", claim="orbit-average", steps=[])
    add("no permutation of units", steps=[{**step, "moves": {"w": [[0, [0, 0]]]}}])
    add("bool permutation", steps=[{**step, "moves": {"w": [[0, [True, False]]]}}])
    add("repeated axis of a move", steps=[{**step, "moves": {"w": [[0, [1, 0]], [0, [1, 0]]]}}])
    add("axis of a move", steps=[{**step, "moves": {"w": [[2, [1, 0]]]}}])
    add("name in disguise", steps=[{**step, "units": "x; so F is convex."}])
    add("escape in a name", steps=[{**step, "units": "\x9b31m"}])
    add("long name", steps=[{**step, "units": "u" * 100_000}])
    add("wide enclosure text", enclosures={**base["enclosures"], "start": ["0x1p" + "9" * 10_000, "0x1p+0"]})
    add("huge enclosure", enclosures={**base["enclosures"], "start": ["0x1p+999999999", "0x1p+999999999"]})
    add("enclosure upside down", enclosures={**base["enclosures"], "start": [(1.0).hex(), (0.0).hex()]})
    add("statement of lines", statement="a\nb".replace("\n", "\u2028"))
    add("nested agreement", agreement={"a": {"b": 1}})
    return found


def _chain(count, make):
    names = ["x", *(f"a{k}" for k in range(count))]
    return [make(name) for name in names[:-1]]


RUNNER = """
import json, resource, sys, time
sys.dont_write_bytecode = True
sys.path.insert(0, sys.argv[1])
import check
resource.setrlimit(resource.RLIMIT_AS, (3 << 29, 3 << 29))
for path in sys.argv[2:]:
    began = time.process_time()
    try:
        verdict = check.check(path)
        answer = "accepted" if verdict else "rejected"
        reason = verdict.reason
    except check.MalformedError as error:
        answer, reason = "malformed", str(error)
    print(json.dumps([path, answer, reason, time.process_time() - began]))
"""


def test_hostile_files_are_refused_quickly_in_little_memory(tmp_path):
    files = {}
    for k, (name, data) in enumerate(hostile().items()):
        path = tmp_path / f"{k}.orbitope"
        path.write_bytes(data)
        files[str(path)] = name
    command = [sys.executable, "-I", "-c", RUNNER, str(SOURCE.parent), *files]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(answers) == len(files)
    for path, answer, reason, seconds in answers:
        assert answer in ("malformed", "rejected"), files[path]
        assert reason and len(reason) <= 300 and reason.isprintable(), files[path]
        assert seconds < 5, (files[path], seconds)
    rejected = {files[path] for path, answer, *_ in answers if answer == "rejected"}
    assert {"much work", "repeated squares"} <= rejected


def test_a_device_is_not_read_without_end():
    with pytest.raises(checker.MalformedError, match="too large"):
        checker.check("/dev/zero")


def test_the_oracle_itself_knows_true_from_false():
    for name in BASES:
        document = dict(build(name).document)
        assert oracle.is_true(document)
        for section in ("average", "start"):
            low, high = document["enclosures"][section]
            moved = [(float.fromhex(low) + 1).hex(), (float.fromhex(high) + 1).hex()]
            assert not oracle.is_true({**document, "enclosures": {**document["enclosures"], section: moved}})
        assert not oracle.is_true({**document, "statement": document["statement"].replace("at least ", "at least 9")})
    assert oracle.within(Fraction(1, 3), Fraction(1, 3), Fraction(1, 2))
    assert not oracle.within(Fraction(1, 3), Fraction(1, 2), Fraction(1, 1))
