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
    document = json.loads(found["wide numbers averaged"])
    found["wide numbers averaged and stated"] = seal(document, statement=True)
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
    add("wide enclosure text", enclosures={**base["enclosures"], "average": ["0x1p" + "9" * 10_000, "0x1p+0"]})
    add("huge enclosure", enclosures={**base["enclosures"], "average": ["0x1p+999999999", "0x1p+999999999"]})
    add("enclosure upside down", enclosures={**base["enclosures"], "average": [(1.0).hex(), (0.0).hex()]})
    add("statement of lines", statement="a\nb".replace("\n", "\u2028"))
    # what version 2 brought: arrays that are larger than the file, points, times, precision, lookups, orders
    two = {
        "w": array([2, 1], base64.b64encode(bytes(16)).decode()),
        "v": array([1, 2], base64.b64encode(bytes(16)).decode()),
    }

    def fill(shape, value=1, dtype="float64"):
        return {"dtype": dtype, "shape": shape, "fill": value}

    def rows(shape, which, dtype="float64"):
        return {"dtype": dtype, "shape": shape, "rows": which, "data": base64.b64encode(bytes(8 * len(which))).decode()}

    add("huge fill", parameters={**two, "a": fill([1 << 20, 1 << 20])})
    add("huge fills", parameters={**two, **{f"a{k}": fill([1 << 22]) for k in range(100)}})
    add("fill of no dtype", parameters={**two, "a": fill([2], 300, "int8")})
    add("fill of half", parameters={**two, "a": fill([2], 0.5, "int8")})
    add("fill of a third digit", parameters={**two, "a": fill([2], 1.001, "bfloat16")})
    add("fill of text", parameters={**two, "a": fill([2], "1")})
    add("fill of truth", parameters={**two, "a": fill([2], True, "bool")})
    add("fill beyond floats", parameters={**two, "a": fill([2], 10**300)})
    add("fill and data", parameters={**two, "a": {**fill([1]), "data": zero}})
    add("fill and rows", parameters={**two, "a": {**fill([1]), "rows": [0]}})
    add("rows without an order", parameters={**two, "a": rows([4], [1, 0])})
    add("repeated rows", parameters={**two, "a": rows([4], [1, 1])})
    add("rows beyond", parameters={**two, "a": rows([4], [4])})
    add("negative rows", parameters={**two, "a": rows([4], [-1])})
    add("rows of a number", parameters={**two, "a": rows([], [])})
    add("rows with too few data", parameters={**two, "a": {**rows([4], [1]), "rows": [1, 2]}})
    huge = {
        name: {**part, "shape": [1 << 23, *part["shape"][1:]], "rows": [5]}
        for name, part in {"a": rows([1], [0])}.items()
    }
    leaf = {"name": "p", "op": "parameter", "inputs": [], "shape": [1 << 23], "attributes": {"parameter": "a"}}
    read = [("reduce", ["p"], [], {"fn": "sum", "axes": [0]})]

    def over(*nodes, **sections):
        made = program(*nodes)
        made["nodes"].insert(0, leaf)
        made["output"] = f"a{len(nodes) - 1}"
        return {"program": made, "parameters": {**two, **huge}, **sections}

    add("a sum of many zeros", **over(*read))
    add(
        "an exponential of many zeros",
        **over(("pointwise", ["p"], [1 << 23], {"fn": "exp"}), ("reduce", ["a0"], [], {"fn": "sum", "axes": [0]})),
    )
    square = [1 << 23, 1 << 15]
    add(
        "many zeros squared",
        **over(
            ("contract", ["p", "p"], [1 << 23] * 2, {"spec": "i,j->ij"}),
            ("pointwise", ["a0"], [1 << 23] * 2, {"fn": "exp"}),
        ),
    )
    add(
        "zeros broadcast",
        **over(
            ("broadcast", ["p"], [1 << 10, 1 << 23], {"shape": [1 << 10, 1 << 23]}),
            ("pointwise", ["a0"], [1 << 10, 1 << 23], {"fn": "cos"}),
        ),
    )
    cut = {"axis": 0, "start": 1, "stop": 1 << 23, "step": 1}
    add("zeros cut", **over(("slice", ["p"], [(1 << 23) - 1], cut)))
    lines = ("reshape", ["p"], [1, 1 << 23], {"shape": [1, 1 << 23]})
    halves = {**pool, "kernel": [2], "stride": [2], "padding": [0]}
    add("zeros in windows", **over(lines, ("pool", ["a0"], [1, 1 << 22], halves)))
    many = [("pointwise", ["p" if k == 0 else f"a{k - 1}"], [1 << 23], {"fn": "neg"}) for k in range(15_000)]
    add("zeros through many nodes", **over(*many))
    dense = {"a": {"dtype": "int8", "shape": [4] * 11, "data": base64.b64encode(bytes((4**11) - 1) + b"\1").decode()}}
    add("one entry of many axes", parameters={**two, **dense})
    add("full", program=program(("full", [], [1 << 22, 1 << 16], {"shape": [1 << 22, 1 << 16], "value": [1, 1]})))
    add("many full ones", program=program(*[("full", [], [1 << 23], {"shape": [1 << 23], "value": [1, 3]})] * 50))
    add("full of no fraction", program=program(("full", [], [1], {"shape": [1], "value": [2, 4]})))
    add("full of infinity", program=program(("full", [], [1], {"shape": [1], "value": [1, 0]})))
    add("full of a long fraction", program=program(("full", [], [1], {"shape": [1], "value": [1 << 64, 1]})))
    ones = ("full", [], [1 << 22], {"shape": [1 << 22], "value": [1, 1]})
    settings = {"axis": 0, "count": 1 << 22, "largest": True, "what": "values"}
    add("a long order", program=program(ones, ("order", ["a0"], [1 << 22], settings)))
    add("a wide choice", program=program(ones, ("order", ["a0"], [1 << 22] * 2, {**settings, "what": "choice"})))
    add("an order of nothing", program=program(("order", ["x"], [1, 1], {**settings, "count": 0})))
    add("an order by a rule", program=program(("order", ["x"], [1, 1], {**settings, "count": 1, "rule": "topk"})))
    add(
        "a lookup of everything",
        program=program(
            ones, ("take", ["a0", "a0"], [1 << 22], {"axis": 0}), ("reduce", ["a1"], [], {"fn": "sum", "axes": [0]})
        ),
    )
    add(
        "a wide lookup",
        program=program(
            ones,
            ("reshape", ["a0"], [1 << 11, 1 << 11], {"shape": [1 << 11] * 2}),
            ("take", ["a1", "a0"], [1 << 22, 1 << 11], {"axis": 0}),
        ),
    )
    add(
        "an index of a lookup",
        program=program(("take", ["x", "x"], [1, 1, 1], {"axis": 1}), ("pointwise", ["a0"], [1, 1, 1], {"fn": "neg"})),
    )
    add(
        "nothing shown",
        program=program(
            ("pointwise", ["x", "x"], [1, 1], {"fn": "ne"}),
            ("softmax", ["x", "a0"], [1, 1], {"kind": "log", "axis": 1}),
        ),
    )
    add(
        "a mask of another shape",
        program=program(
            ("reshape", ["x"], [1], {"shape": [1]}), ("softmax", ["x", "a0"], [1, 1], {"kind": "log", "axis": 1})
        ),
    )
    add(
        "a sine of much",
        program=program(
            *_chain(6, lambda a: ("pointwise", [a], [1, 1], {"fn": "exp"})),
            ("pointwise", ["a5"], [1, 1], {"fn": "sin"}),
        ),
    )
    for precision in (0, 63, 96.0, "128", True, 1 << 20, None):
        add(f"precision {precision}", precision=precision)
    wide_x = [("broadcast", ["x"], [1, 1 << 13], {"shape": [1, 1 << 13]})]
    wide_x += [("pointwise", [f"a{k}"], [1, 1 << 13], {"fn": "erf"}) for k in range(300)]
    add(
        "precise error functions",
        precision=2048,
        program=program(*wide_x, ("reduce", ["a300"], [], {"fn": "sum", "axes": [0, 1]})),
    )
    add("no points", claim="midpoint", steps=[], points=[])
    add("points and steps", points=[{}, {}])
    add("points of others", claim="midpoint", steps=[], points=[{}, {"z": array([1], zero)}])
    add("points of another shape", claim="midpoint", steps=[], points=[{}, {"w": array([1], zero)}])
    add("points as text", claim="midpoint", steps=[], points="ab")
    add(
        "many points",
        claim="average",
        steps=[],
        points=[{}] * 1001,
        enclosures={**base["enclosures"], "points": [["0x0.0p+0", "0x0.0p+0"]] * 1001},
    )
    add("times without slopes", times=[[0, 1], [1, 2], [1, 2], [1, 1]])
    slopes = {
        "claim": "slopes",
        "steps": [],
        "points": [{}, {}],
        "enclosures": {"points": [["0x0.0p+0", "0x0.0p+0"]] * 4, "average": None, "start": None, "end": None},
    }
    for k, times in enumerate(
        (
            [],
            [[0, 1]] * 4,
            [[0, 1], [1, 0], [1, 1], [2, 1]],
            [[0, 1], [2, 4], [1, 1], [2, 1]],
            [[0, 1], [1, 1], [2, 1], [1 << 64, 1]],
            [0, 1, 2, 3],
            [[0, 1], [1, 1], [1, 2], [3, 1]],
        )
    ):
        add(f"times {k}", **slopes, times=times)
    add(
        "slopes with an average",
        **{**slopes, "enclosures": {**slopes["enclosures"], "average": ["0x0.0p+0", "0x0.0p+0"]}},
        times=[[0, 1], [1, 1], [1, 1], [2, 1]],
    )
    add("a claim as a list", claim=["midpoint"])
    add("another version", version=3)
    inputs = {
        "nodes": [{**node, "shape": [2, 1]} for node in base["program"]["nodes"][:2]] + base["program"]["nodes"][2:]
    }
    add("blocks of two in a program for one", program={**base["program"], **inputs})
    three = {
        "nodes": [{**node, "shape": [3, 1]} for node in base["program"]["nodes"][:2]] + base["program"]["nodes"][2:]
    }
    add("blocks of three of two samples", program={**base["program"], **three})
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
