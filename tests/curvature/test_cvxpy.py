"""Agreement with CVXPY, an independent implementation of disciplined convex programming, on small programs.

Both are sound and neither is complete. What CVXPY finds, the law finds too; the law may know more, since it follows
entries instead of expressions, squares that are written as products, and functions that several steps make together.
"""

from __future__ import annotations

import random
from collections import Counter

import pytest
import torch

from orbitope.curvature.walk import Program
from orbitope.frontends.builder import Builder, Value
from orbitope.graph import Graph, Parameter

cp = pytest.importorskip("cvxpy")

UNARY = ("relu", "abs", "neg", "exp", "log", "sqrt", "softplus")
SETTINGS = {
    "leaky_relu": [{"slope": s} for s in (0.25, 1.0)],
    "power": [{"exponent": 2}, {"exponent": 4}],
    "hardtanh": [{"low": 0.5, "high": None}, {"low": None, "high": 1.0}],
}
BINARY = ("add", "sub", "mul", "div", "maximum", "minimum")


def random_program(seed: int, width: int, size: int = 14) -> tuple[Program, list[str]]:
    """Rows of some width, with two variables among constants of either sign."""
    draw, generator = random.Random(seed), torch.Generator().manual_seed(seed)
    b = Builder(execute=False)
    noise = torch.randn(6, width, generator=generator)
    tensors = {"p": noise[0].abs() + 0.1, "n": -noise[1].abs() - 0.1, "m": noise[2]}
    tensors = {name: t[None] for name, t in tensors.items()} | {n: torch.zeros(1, width) for n in ("x", "y")}
    tensors["w"] = torch.randn(width, width, generator=generator)
    tensors["u"] = tensors["w"].abs()
    leaves = {
        n: b.emit("parameter", (), tuple(t.shape), torch.float32, stem=n, parameter=n) for n, t in tensors.items()
    }
    constants = [leaves[n] for n in "pnm"]
    pool: list[Value] = [leaves["x"], leaves["y"]]
    for _ in range(size):
        u, kind = draw.choice(pool[-6:]), draw.random()
        v = draw.choice(pool) if draw.random() < 0.5 else draw.choice(constants)
        if kind < 0.3:
            made = b.pointwise(draw.choice(UNARY), u)
        elif kind < 0.4:
            fn = draw.choice(sorted(SETTINGS))
            made = b.pointwise(fn, u, **draw.choice(SETTINGS[fn]))
        elif kind < 0.8:
            fn = draw.choice(BINARY)
            v = draw.choice(constants) if fn == "div" else v
            made = b.pointwise(fn, u, v)
        elif kind < 0.9:
            made = b.contract("ai,oi->ao", u, leaves[draw.choice("wu")])
        else:
            total = b.reduce(draw.choice(("sum", "mean", "amax")), u, [1], keep=True)
            made = b.broadcast(total, (1, width))
        pool.append(made)
    last = b.emit("concat", pool, (1, width * len(pool)), axis=1)
    out = b.emit("output", (last,), last.shape, stem="output:0")
    parameters = {n: Parameter((n,), tuple(t.shape), "float32") for n, t in tensors.items()}
    graph = Graph(tuple(b.nodes), parameters, (), (out.name,), ("0",), b.constants)
    return Program(graph, tensors, {}), [value.name for value in pool]


def translated(program: Program, variables: tuple[str, ...]):
    """The values of a program as expressions of CVXPY."""
    found = {}
    for name, node in program.nodes.items():
        xs = [found[x] for x in node.inputs]
        if node.op == "parameter":
            own = node.attributes["parameter"]
            found[name] = cp.Variable(node.shape) if own in variables else cp.Constant(program.parameters[own].numpy())
        elif node.op == "contract":
            found[name] = xs[0] @ xs[1].T
        elif node.op == "reduce":
            reduce = {"sum": cp.sum, "mean": lambda x: cp.sum(x) / x.size, "amax": cp.max}[node.attributes["fn"]]
            found[name] = reduce(xs[0])
        elif node.op == "reshape":
            found[name] = cp.reshape(xs[0], node.shape, order="C")
        elif node.op == "broadcast":
            found[name] = cp.Constant(torch.ones(node.shape).numpy()) * cp.sum(xs[0])
        elif node.op == "pointwise":
            found[name] = entrywise(node.attributes, xs)
        else:
            break
    return found


def entrywise(a, xs):
    x, y = xs[0], xs[-1]
    match a["fn"]:
        case "leaky_relu":
            return cp.maximum(x, a["slope"] * x)
        case "power":
            return cp.power(x, a["exponent"])
        case "hardtanh":
            return cp.maximum(x, a["low"]) if a["low"] is not None else cp.minimum(x, a["high"])
        case "div":
            return cp.multiply(x, 1 / y.value)
        case fn:
            return {
                "relu": cp.pos,
                "abs": cp.abs,
                "neg": lambda x: -x,
                "exp": cp.exp,
                "log": cp.log,
                "sqrt": cp.sqrt,
                "softplus": cp.logistic,
                "add": lambda x, y: x + y,
                "sub": lambda x, y: x - y,
                "mul": cp.multiply,
                "maximum": cp.maximum,
                "minimum": cp.minimum,
            }[fn](*xs)


def compared(seed: int, width: int) -> tuple[Counter, list[str]]:
    """How often both, one or none of the two know a claim; what only CVXPY knows."""
    program, names = random_program(seed, width)
    count: Counter = Counter()
    lacking = []
    for variables in (("x",), ("x", "y")):
        theirs = translated(program, variables)
        walk = program.walk(program.leaves(variables), program.same[program.graph.nodes[-1].inputs[0]], whole=True)
        for name in dict.fromkeys(program.same[n] for n in names):
            state, expression = walk.state(name), theirs[name]
            for claim, ours, cvxpy in (
                ("convex", state.convex, expression.is_convex()),
                ("concave", state.concave, expression.is_concave()),
                ("affine", state.affine, expression.is_affine()),
                ("constant", ~state.varies, expression.is_constant()),
                ("nonnegative", state.nonnegative, expression.is_nonneg()),
                ("nonpositive", state.nonpositive, expression.is_nonpos()),
            ):
                own = bool(ours.all())
                both = {(True, True): "both", (True, False): "ours", (False, True): "theirs"}.get(
                    (own, cvxpy), "neither"
                )
                count[claim, both] += 1
                if both == "theirs":
                    lacking.append(f"{claim}: {name} = {program.nodes[name]}")
    return count, lacking


@pytest.mark.parametrize("width", [1, 3])
@pytest.mark.parametrize("seed", range(40))
def test_what_cvxpy_knows_is_known(seed, width):
    assert not compared(seed, width)[1]


def test_they_agree_on_most_and_the_law_knows_more():
    total: Counter = Counter()
    for seed in range(40):
        total += compared(seed, 3)[0]
    for claim in ("convex", "concave"):
        assert total[claim, "both"] > 300 and total[claim, "theirs"] == 0
        assert 0 < total[claim, "ours"] < total[claim, "both"]


def test_networks_in_their_inputs():
    """A dense network with weights of one sign after the first layer, as CVXPY and as the law see it."""
    from tests.curvature.test_law import end, program_of, real_inputs
    from tests.zoo import randomise
    from torch import nn

    for sign, kind in ((1, "convex"), (-1, "concave")):
        model = randomise(nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 3)))
        model[2].weight.data = sign * model[2].weight.data.abs()
        w, b = (model[0].weight.detach().numpy(), model[0].bias.detach().numpy())
        x = cp.Variable(4)
        theirs = model[2].weight.detach().numpy() @ cp.pos(w @ x + b) + model[2].bias.detach().numpy()
        program = program_of(model, (torch.rand(2, 4),))
        assert program.walk(real_inputs(program), end(program)).result.census.kind == kind
        assert {"convex": theirs.is_convex(), "concave": theirs.is_concave()}[kind]
