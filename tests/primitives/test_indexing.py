"""Every primitive keeps the promise of its index terms: permute a label everywhere, and nothing changes.

Labels that are not fixed are permuted one by one; where a second label is not mixed, the permutation of the first also
differs from position to position of the second. Wrong answers, planted, must be caught.
"""

from dataclasses import replace
from itertools import product

import pytest
import torch

from orbitope.arithmetic import TorchArithmetic
from orbitope.graph import Indexing, Label, Node, Product, Sum, labels
from orbitope.primitives import PRIMITIVES

ARITHMETIC = TorchArithmetic(torch.float64)
CONV = {"stride": [1, 2], "padding": [1, 0], "dilation": [1, 1]}

# op, attributes, shapes of the operands, shape of the output
SAMPLES = [
    ("pointwise", {"fn": "tanh"}, [(2, 3, 4)], (2, 3, 4)),
    ("pointwise", {"fn": "mul"}, [(3, 5), (3, 5)], (3, 5)),
    ("contract", {"spec": "bi,oi->bo"}, [(2, 3), (4, 3)], (2, 4)),
    ("contract", {"spec": "bhmi,bhin->bhmn"}, [(2, 3, 4, 5), (2, 3, 5, 2)], (2, 3, 4, 2)),
    ("contract", {"spec": "bi,oij,bj->bo"}, [(2, 3), (4, 3, 5), (2, 5)], (2, 4)),
    ("convolve", {**CONV, "groups": 1}, [(2, 3, 4, 5), (6, 3, 3, 2)], (2, 6, 4, 2)),
    ("convolve", {**CONV, "groups": 3}, [(2, 6, 4, 5), (12, 2, 3, 2)], (2, 12, 4, 2)),
    ("convolve", {"stride": [1], "padding": [0], "dilation": [1], "groups": 2}, [(2, 4, 5), (6, 2, 1)], (2, 6, 5)),
    (
        "convolve",
        {"stride": [2], "padding": [1], "dilation": [2], "groups": 2, "transposed": True, "output_padding": [1]},
        [(2, 6, 4), (6, 2, 3)],
        (2, 4, 10),
    ),
    ("convolve", {"stride": [1, 1], "padding": [1, 0], "dilation": [1, 1], "groups": 1}, [(2, 3, 4, 5), (6, 3, 3, 1)],
     (2, 6, 4, 5)),
    ("reduce", {"fn": "sum", "axes": [1]}, [(2, 3, 4)], (2, 4)),
    ("reduce", {"fn": "amax", "axes": [0, 2]}, [(2, 3, 4)], (3,)),
    ("reduce", {"fn": "mean", "axes": [2]}, [(2, 3, 4)], (2, 3)),
    ("softmax", {"kind": "softmax", "axis": 1}, [(2, 4, 3)], (2, 4, 3)),
    ("softmax", {"kind": "log", "axis": 2}, [(2, 4, 3)], (2, 4, 3)),
    ("softmax", {"kind": "safe", "axis": 1}, [(2, 4, 3)], (2, 4, 3)),
    ("normalise", {"kind": "standard", "axes": [1, 2], "eps": 0.1}, [(2, 3, 4)], (2, 3, 4)),
    ("normalise", {"kind": "rms", "axes": [2], "eps": 0.1}, [(2, 3, 4)], (2, 3, 4)),
    ("reshape", {"shape": [2, 3, 4]}, [(6, 4)], (2, 3, 4)),
    ("reshape", {"shape": [4, 6]}, [(2, 12)], (4, 6)),
    ("reshape", {"shape": [6, 4]}, [(4, 6)], (6, 4)),
    ("transpose", {"permutation": [2, 0, 1]}, [(2, 3, 4)], (4, 2, 3)),
    ("broadcast", {"shape": [2, 3, 4]}, [(3, 1)], (2, 3, 4)),
    ("concat", {"axis": 1}, [(2, 3), (2, 4), (2, 1)], (2, 8)),
    ("slice", {"axis": 1, "start": 2, "stop": 5, "step": 1}, [(2, 7)], (2, 3)),
    ("slice", {"axis": 1, "start": 1, "stop": 6, "step": 2}, [(2, 7)], (2, 3)),
    ("pad", {"widths": [[0, 0], [1, 2]], "value": 0.5}, [(2, 4)], (2, 7)),
    ("pool", {"fn": "max", "kernel": [2], "stride": [1], "padding": [1], "dilation": [1], "count_include_pad": True},
     [(2, 3, 4)], (2, 3, 5)),
    ("pool", {"fn": "mean", "kernel": [3], "stride": [2], "padding": [1], "dilation": [1], "count_include_pad": False},
     [(2, 3, 5)], (2, 3, 3)),
    ("gather", {"axis": 0}, [(5, 3), (2, 4)], (2, 4, 3)),
    ("resample", {"mode": "bilinear", "padding": "border", "align_corners": False}, [(2, 3, 4, 5), (2, 3, 2, 2)],
     (2, 3, 3, 2)),
    ("resample", {"mode": "nearest", "padding": "zeros", "align_corners": True}, [(2, 3, 4, 3, 2), (2, 2, 3, 2, 3)],
     (2, 3, 2, 3, 2)),
    ("pick", {"axis": 1}, [(3, 5, 2), (3, 4, 2)], (3, 4, 2)),
    ("order", {"axis": 1, "count": 3, "largest": True, "what": "values", "rule": "topk"}, [(3, 5, 2)], (3, 3, 2)),
    ("order", {"axis": 0, "count": 3, "largest": False, "what": "indices", "rule": "topk"}, [(5, 4)], (3, 4)),
    ("order", {"axis": 1, "count": 5, "largest": False, "what": "values", "rule": "sort"}, [(3, 5)], (3, 5)),
    ("order", {"axis": 1, "count": 5, "largest": True, "what": "indices", "rule": "sort"}, [(3, 5)], (3, 5)),
    ("order", {"axis": 1, "count": 1, "largest": False, "what": "values", "rule": "arg"}, [(3, 5)], (3, 1)),
    ("order", {"axis": 1, "count": 1, "largest": True, "what": "indices", "rule": "arg"}, [(3, 5)], (3, 1)),
    *(
        ("scatter", {"axis": 1, "mode": mode}, [(3, 5, 2), (3, 4, 2), (3, 4, 2)], (3, 5, 2))
        for mode in ("set", "sum", "prod", "amax", "amin")
    ),
    *(("accumulate", {"axis": 1, "fn": fn}, [(3, 5, 2)], (3, 5, 2)) for fn in ("sum", "prod", "max", "min")),
    *(("scan", {"cell": cell, "bias": bias, "projected": False, "reverse": bias},
       [(3, 2, g * 4), (g * 4, 4), *[(g * 4,)] * bias, (2, 4)], (3, 2, 4))
      for cell, g, bias in (("tanh", 1, True), ("relu", 1, False), ("gru", 3, True), ("gru", 3, False))),
    ("scan", {"cell": "lstm", "bias": True, "projected": False, "reverse": True},
     [(3, 2, 16), (16, 4), (16,), (2, 4), (2, 4)], (3, 2, 8)),
    ("scan", {"cell": "lstm", "bias": False, "projected": True, "reverse": False},
     [(3, 2, 16), (16, 5), (5, 4), (2, 5), (2, 4)], (3, 2, 9)),
    *(("matrices", {"fn": fn, "lead": 1, "settings": rest, "named": {}}, [(2, 4, 4)], (2, *shape))
      for fn, rest, shape in (("matrix_exp", [], (4, 4)), ("matrix_power", [3], (4, 4)), ("det", [], ()))),
    ("matrices", {"fn": "solve", "lead": 1, "settings": [], "named": {}}, [(2, 4, 4), (2, 4, 3)], (2, 4, 3)),
    ("matrices", {"fn": "solve_triangular", "lead": 0, "settings": [], "named": {"upper": True}},
     [(4, 4), (4, 3)], (4, 3)),
    ("map", {"inner": Node("m", "contract", ("x", "y"), (3, 4), "float64", {"spec": "bi,oi->bo"}),
             "stacked": [False, True]},
     [(3, 2), (5, 4, 2)], (5, 3, 4)),
]  # fmt: skip


def _node(op, attributes, shapes, shape):
    return Node("n", op, tuple(f"x{k}" for k in range(len(shapes))), shape, "float64", attributes)


def _operands(op, shapes):
    generator = torch.Generator().manual_seed(3)
    made = [torch.randn(shape, generator=generator, dtype=torch.float64) for shape in shapes]
    if op == "gather":
        made[1] = torch.randint(0, shapes[0][0], shapes[1], generator=generator)
    if op in ("pick", "scatter"):
        made[1] = torch.randint(0, shapes[0][1], shapes[1], generator=generator)
    return made


def _assignments(term):
    """For each position of an axis the coordinates of the labels that make it up, with the segments taken."""
    match term:
        case Label():
            return [((term.name, k),) for k in range(term.size)]
        case Product(factors=factors):
            return [tuple(x for part in parts for x in part) for parts in product(*map(_assignments, factors))]
        case Sum(segments=segments):
            return [((f"segment{s}", 0), *a) for s, segment in enumerate(segments) for a in _assignments(segment)]


def _moved(tensor, axes, move):
    """The tensor whose entry at the image of a position is the entry at that position."""
    tables = [_assignments(term) for term in axes]
    index = [{assignment: k for k, assignment in enumerate(table)} for table in tables]
    result = torch.empty_like(tensor)
    for position in product(*(range(len(table)) for table in tables)):
        chosen = [table[k] for table, k in zip(tables, position, strict=True)]
        here = {name: k for assignment in chosen for name, k in assignment}
        target = tuple(
            index[axis][tuple((name, move(name, k, here)) for name, k in assignment)]
            for axis, assignment in enumerate(chosen)
        )
        result[target] = tensor[position]
    return result


def _beside(a, b, axes):
    """Whether every entry of a tensor that has a coordinate a has a coordinate b."""
    for chosen in product(*map(_assignments, axes)):
        here = {name for assignment in chosen for name, _ in assignment}
        if a in here and b not in here:
            return False
    return True


def _broken(node, indexing, operands, sizes):
    """The labels, or pairs of labels, for which the promise is broken."""
    primitive = PRIMITIVES[node.op]
    value = primitive.evaluate(ARITHMETIC, node, operands)
    generator = torch.Generator().manual_seed(5)
    failures = []

    def holds(move):
        moved = [_moved(x, axes, move) for x, axes in zip(operands, indexing.operands, strict=True)]
        expected = _moved(value, indexing.output, move)
        return torch.allclose(primitive.evaluate(ARITHMETIC, node, moved), expected, rtol=1e-10, atol=1e-12)

    for a in sizes.keys() - indexing.fixed:
        p = torch.randperm(sizes[a], generator=generator).roll(1).tolist()
        if not holds(lambda name, k, _here, a=a, p=p: p[k] if name == a else k):
            failures.append((a,))
        held = set() if a in indexing.mixed else indexing.mixed  # what is mixed together may move together
        for b in sizes.keys() - held - {a}:
            if not all(_beside(a, b, axes) for axes in (*indexing.operands, indexing.output)):
                continue
            table = [torch.randperm(sizes[a], generator=generator).tolist() for _ in range(sizes[b])]
            if not holds(lambda name, k, here, a=a, b=b, table=table: table[here[b]][k] if name == a else k):
                failures.append((a, b))
    return failures


def _sizes(indexing):
    every = (*indexing.operands, indexing.output)
    return {x.name: x.size for axes in every for term in axes for x in labels(term) if x.size > 1}


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda s: f"{s[0]}-{'-'.join(map(str, s[1].values()))}")
def test_the_promise_is_kept(sample):
    op, _, shapes, shape = sample
    node = _node(*sample)
    indexing = PRIMITIVES[op].indexing(node, shapes)
    for axes, expected in zip((*indexing.operands, indexing.output), (*shapes, shape), strict=True):
        assert tuple(term.size for term in axes) == tuple(expected)
    operands = _operands(op, shapes)
    assert PRIMITIVES[op].evaluate(ARITHMETIC, node, operands).shape == torch.Size(shape)
    assert _broken(node, indexing, operands, _sizes(indexing)) == []


def test_every_primitive_has_a_sample():
    assert {sample[0] for sample in SAMPLES} | {"opaque"} >= PRIMITIVES.keys()


def _claims(indexing, mixed):
    """Whether something is always beside a mixed label, so that to deny the mixing says more."""
    sizes, every = _sizes(indexing), (*indexing.operands, indexing.output)
    return any(all(_beside(a, b, axes) for axes in every) for b in mixed for a in sizes.keys() - {b})


def _planted():
    """Wrong answers: positions claimed to be alike that are told apart, and mixing that is not admitted."""
    for op, attributes, shapes, shape in SAMPLES:
        node = _node(op, attributes, shapes, shape)
        right = PRIMITIVES[op].indexing(node, shapes)
        carried = {x.name for term in right.output for x in labels(term)} & {
            x.name for axes in right.operands for term in axes for x in labels(term)
        }
        fixed = right.fixed & carried
        if fixed:
            yield pytest.param(op, node, shapes, replace(right, fixed=right.fixed - fixed), id=f"{op}: fixed denied")
        mixed = (right.mixed & carried) - right.fixed
        if mixed and len(shape) > 1 and _claims(right, mixed):
            yield pytest.param(op, node, shapes, replace(right, mixed=right.mixed - mixed), id=f"{op}: mixing denied")
    node = _node("transpose", {"permutation": [1, 0]}, [(3, 3)], (3, 3))
    a, b = Label("a", 3), Label("b", 3)
    yield pytest.param("transpose", node, [(3, 3)], Indexing(((a, b),), (a, b)), id="transpose: axes confused")
    node = _node("slice", {"axis": 0, "start": 1, "stop": 5, "step": 2}, [(5,)], (2,))
    kept, rest = Label("kept", 2), Label("rest", 3)
    yield pytest.param("slice", node, [(5,)], Indexing(((Sum((rest, kept)),),), (kept,)), id="slice: wrong segment")


@pytest.mark.parametrize(("op", "node", "shapes", "wrong"), list(_planted()))
def test_planted_wrong_answers_are_caught(op, node, shapes, wrong):
    operands = _operands(op, shapes)
    assert _broken(node, wrong, operands, _sizes(wrong))
