"""Files that try to be slow, large or odd: refused quickly, in little memory."""

import base64
import copy
import json
import subprocess
import sys

import numpy as np
import pytest
from tests.proof.checking import SOURCE, checker
from tests.proof.sealing import build, seal

from orbitope.proof.certificate import encode_array


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
