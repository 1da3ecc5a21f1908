"""The composition law: every claim about every value, on the zoo, on random programs and under planted faults."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import replace

import pytest
import torch
from tests.curvature.oracle import ARITHMETIC, violations
from tests.zoo import ZOO, randomise
from torch import nn

from orbitope.curvature import law
from orbitope.curvature.law import derive
from orbitope.curvature.state import Census, State
from orbitope.curvature.walk import Program
from orbitope.frontends import lower, trace
from orbitope.frontends.builder import Builder, Value
from orbitope.graph import Graph, Node, Parameter
from orbitope.primitives import PRIMITIVES, TRAITS, Behaviour


def program_of(model: nn.Module, inputs: tuple[torch.Tensor, ...]) -> Program:
    graph = lower(trace(model.eval(), inputs))
    state = model.state_dict()
    return Program(graph, {n: state[n] for n in graph.parameters}, dict(zip(graph.inputs, inputs, strict=True)))


def end(program: Program) -> str:
    return program.same[program.graph.node(program.graph.outputs[0]).inputs[0]]


def real_inputs(program: Program) -> frozenset[str]:
    return frozenset(n for n, node in program.nodes.items() if node.op == "input" and "float" in node.dtype)


def choices(program: Program) -> list[frozenset[str]]:
    """Inputs, all parameters, and each of a few parameters alone."""
    trainable = [n for n, p in program.graph.parameters.items() if p.trainable]
    chosen = [real_inputs(program), program.leaves(trainable), *(program.leaves([n]) for n in trainable[:3])]
    return [choice for choice in chosen if choice]


# soundness ------------------------------------------------------------------------------------------------------------
TELLING = (
    *("mlp_relu", "mlp_linear", "mlp_width_1", "mlp_layer_norm", "mlp_batch_norm", "mlp_prelu", "mlp_residual"),
    *("shared_layer_twice", "embedding_mean_pool", "glu", "bilinear", "gram", "softmax_over_hidden"),
    *("max_over_hidden", "attention", "depthwise_separable", "conv_transpose", "pools_that_do_not_divide"),
    *("sort_hidden",),
)
"""One of each kind of operation: the whole zoo takes minutes to trace."""


@pytest.mark.parametrize("name", TELLING)
def test_every_claim_holds_on_the_zoo(name):
    case = ZOO[name]
    program = program_of(randomise(case.build()), case.inputs())
    for variables in choices(program):
        walk = program.walk(variables, end(program), whole=True)
        assert not list(violations(walk)), (name, sorted(variables))
        early = program.walk(variables, end(program))
        kind = early.result.census.kind
        assert kind == "unknown" or kind == walk.result.census.kind
        assert (early.broken is None) == (kind != "unknown")


UNARY = ("relu", "abs", "neg", "tanh", "sigmoid", "exp", "softplus", "sqrt", "log", "rsqrt", "softsign", "cos")
SETTINGS: Mapping[str, list[dict[str, object]]] = {
    "leaky_relu": [{"slope": s} for s in (-1.5, 0.0, 0.25, 1.0, 3.0)],
    "power": [{"exponent": e} for e in (2, 3, 4, -1, -2, 0.5, -0.5)],
    "hardtanh": [{"low": a, "high": b} for a, b in ((0.0, None), (None, 1.0), (-1.0, 1.0), (0.0, 6.0), (None, -1.0))],
    "elu": [{"alpha": 1.0, "scale": 1.0}, {"alpha": 1.67, "scale": 1.05}],
}
BINARY = ("add", "sub", "mul", "div", "maximum", "minimum")


def random_program(seed: int, size: int = 24) -> tuple[Program, str]:
    """A random program over vectors of three entries, with constants of all signs, zeros among them."""
    draw, generator = random.Random(seed), torch.Generator().manual_seed(seed)
    b = Builder(execute=False)
    noise = torch.randn(4, 3, generator=generator)
    tensors = {"p": noise[0], "q": noise[1].abs(), "r": -noise[2].abs(), "s": noise[3].sign() * (noise[3] > -0.5)}
    pool: list[Value] = []
    for name, tensor in tensors.items():
        pool.append(b.emit("parameter", (), (1, 3), torch.float32, stem=name, parameter=name))
        tensors[name] = tensor[None]
    for name in ("x", "y"):
        pool.append(b.emit("parameter", (), (1, 3), torch.float32, stem=name, parameter=name))
        tensors[name] = torch.zeros(1, 3)
    for _ in range(size):
        kind = draw.random()
        u, v = (draw.choice(pool[-8:] if draw.random() < 0.7 else pool) for _ in range(2))
        if kind < 0.3:
            pool.append(b.pointwise(draw.choice(UNARY), u))
        elif kind < 0.4:
            fn = draw.choice(sorted(SETTINGS))
            pool.append(b.pointwise(fn, u, **draw.choice(SETTINGS[fn])))
        elif kind < 0.78:
            pool.append(b.pointwise(draw.choice(BINARY), u, u if draw.random() < 0.15 else v))
        elif kind < 0.86:
            weights = draw.choice(pool[:4])
            spec = draw.choice(("ab,ab->a", "ab,cb->ac", "ab,ab->ab"))
            result = b.contract(spec, u, u if draw.random() < 0.3 else weights)
            pool.append(
                b.broadcast(
                    b.reshape(result, (1, result.shape[-1])) if spec != "ab,ab->a" else b.reshape(result, (1, 1)),
                    (1, 3),
                )
            )
        elif kind < 0.94:
            result = b.reduce(draw.choice(("sum", "mean", "amax")), u, [1], keep=True)
            pool.append(b.broadcast(result, (1, 3)))
        else:
            pool.append(b.emit("softmax", (u,), (1, 3), axis=1, kind=draw.choice(("log", "softmax"))))
    last = b.emit("concat", pool, (1, 3 * len(pool)), axis=1)
    out = b.emit("output", (last,), last.shape, stem="output:0")
    parameters = {n: Parameter((n,), (1, 3), "float32") for n in tensors}
    graph = Graph(tuple(b.nodes), parameters, (), (out.name,), ("0",), b.constants)
    return Program(graph, tensors, {}), last.name


@pytest.mark.parametrize("seed", range(30))
def test_every_claim_holds_on_random_programs(seed):
    program, last = random_program(seed)
    for names in (["x"], ["x", "y", "q"]):
        walk = program.walk(program.leaves(names), program.same[last], whole=True)
        assert not list(violations(walk, seed=seed)), names


def test_random_programs_make_claims_of_every_kind():
    total = Census()
    for seed in range(15):
        program, last = random_program(seed)
        walk = program.walk(program.leaves(["x"]), program.same[last], whole=True)
        for state in walk.states.values():
            c = state.census
            total = Census(*(getattr(total, f) + getattr(c, f) for f in Census.__dataclass_fields__))
    assert min(total.constant, total.affine, total.convex, total.concave, total.unknown) > 40


# planted faults -------------------------------------------------------------------------------------------------------
def _chain(*parts: nn.Module) -> Program:
    return program_of(randomise(nn.Sequential(*parts)), (torch.rand(3, 4),))


def _declare(monkeypatch, fn: str, behaviour: Behaviour) -> None:
    monkeypatch.setitem(TRAITS, fn, replace(TRAITS[fn], behaviour=lambda _: behaviour))


@pytest.mark.parametrize(
    ("fn", "part", "wrong"),
    [
        ("tanh", nn.Tanh(), Behaviour("convex", (1,))),
        ("tanh", nn.Tanh(), Behaviour("other", (1,), "nonnegative")),
        ("sigmoid", nn.Sigmoid(), Behaviour("concave", (1,), "nonnegative")),
        ("relu", nn.ReLU(), Behaviour("affine", (1,))),
        ("relu", nn.ReLU(), Behaviour("concave", (1,), "nonnegative")),
        ("gelu", nn.GELU(), Behaviour("convex", (0,))),
        ("leaky_relu", nn.LeakyReLU(3.0), Behaviour("convex", (1,))),
    ],
)
def test_a_wrong_trait_is_caught(monkeypatch, fn, part, wrong):
    program = _chain(nn.Linear(4, 5), part)
    assert not list(violations(program.walk(real_inputs(program), end(program), whole=True)))
    _declare(monkeypatch, fn, wrong)
    program = replace(program)  # what was proved under the right answer is forgotten
    assert list(violations(program.walk(real_inputs(program), end(program), whole=True)))


def test_a_wrong_direction_is_caught(monkeypatch):
    program = _chain(nn.Linear(4, 5), nn.ReLU(), nn.Softplus())
    _declare(monkeypatch, "softplus", Behaviour("concave", (1,), "nonnegative"))
    assert not list(violations(program.walk(real_inputs(program), end(program), whole=True)))  # of a convex operand
    _declare(monkeypatch, "softplus", Behaviour("concave", (-1,), "nonnegative"))
    assert list(violations(program.walk(real_inputs(program), end(program), whole=True)))


def test_a_wrong_direction_of_a_difference_is_caught(monkeypatch):
    class Difference(nn.Module):
        def forward(self, x):
            return torch.relu(x) - torch.relu(x + 1)

    program = program_of(Difference(), (torch.rand(3, 4),))
    _declare(monkeypatch, "sub", Behaviour("affine", (1, 1), homogeneous=(1.0, 1.0), odd=(True, True)))
    assert list(violations(program.walk(real_inputs(program), end(program), whole=True)))


def test_a_law_without_signs_is_caught(monkeypatch):
    program = _chain(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 2))
    monkeypatch.setattr(State, "may_be", lambda self, sign: torch.full_like(self.varies, sign > 0))
    assert list(violations(program.walk(real_inputs(program), end(program), whole=True)))


def test_a_law_that_forgets_products_is_caught(monkeypatch):
    program = _chain(nn.Linear(4, 5), nn.Linear(5, 2))
    variables = program.leaves(program.graph.parameters)
    assert not list(violations(program.walk(variables, end(program), whole=True)))
    monkeypatch.setattr(law, "combinations", lambda *_: iter(()))
    assert list(violations(program.walk(variables, end(program), whole=True)))


# the questionnaire ----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("fn", sorted(TRAITS))
def test_degrees_and_parities_hold_in_each_operand_alone(fn):
    trait = TRAITS[fn]
    generator = torch.Generator().manual_seed(1)
    xs = [torch.randn(200, generator=generator, dtype=torch.float64) for _ in range(trait.arity)]
    for settings in SETTINGS.get(fn, [{}]):
        node = Node("y", "pointwise", ("x",) * trait.arity, (200,), attributes={"fn": fn, **settings})
        behaviour = PRIMITIVES["pointwise"].behaviour(node)

        def value(points, node=node):
            return PRIMITIVES["pointwise"].evaluate(ARITHMETIC, node, points)

        def alike(j, behaviour=behaviour):
            return behaviour.form == "affine" or j in behaviour.together

        for k in range(trait.arity):
            rest_held = behaviour.form != "affine" and k not in behaviour.together
            for scale in (0.5, 2.0, 3.0):
                degree = behaviour.homogeneous[k] if behaviour.homogeneous else None
                if degree is not None:
                    moved = [x * scale if j == k or (not rest_held and alike(j)) else x for j, x in enumerate(xs)]
                    torch.testing.assert_close(value(moved), scale**degree * value(xs), equal_nan=True)
            if behaviour.odd and behaviour.odd[k]:
                moved = [-x if j == k or (not rest_held and alike(j)) else x for j, x in enumerate(xs)]
                torch.testing.assert_close(value(moved), -value(xs), equal_nan=True)


# single rules ---------------------------------------------------------------------------------------------------------
def _state(kind: str, sign: str = "", shape: tuple[int, ...] = (1,)) -> State:
    yes = torch.ones(shape, dtype=torch.bool)
    return State(
        yes if kind != "constant" else ~yes,
        yes if kind in ("constant", "affine", "convex") else ~yes,
        yes if kind in ("constant", "affine", "concave") else ~yes,
        yes if sign == "+" else ~yes,
        yes if sign == "-" else ~yes,
    )


def _of(fn: str, *operands: State, **settings: object) -> State:
    names = tuple(f"x{k}" for k in range(len(operands)))
    return derive(Node("y", "pointwise", names, (1,), attributes={"fn": fn, **settings}), operands)


@pytest.mark.parametrize(
    ("fn", "settings", "operands", "kind"),
    [
        ("relu", {}, [("convex", "")], "convex"),
        ("relu", {}, [("concave", "")], "unknown"),
        ("relu", {}, [("concave", "+")], "concave"),  # the identity there
        ("relu", {}, [("concave", "-")], "constant"),  # zero there
        ("leaky_relu", {"slope": 0.1}, [("convex", "")], "convex"),
        ("leaky_relu", {"slope": 3.0}, [("convex", "")], "unknown"),
        ("leaky_relu", {"slope": 3.0}, [("concave", "")], "concave"),
        ("leaky_relu", {"slope": 3.0}, [("affine", "")], "concave"),
        ("leaky_relu", {"slope": -0.5}, [("affine", "")], "convex"),
        ("leaky_relu", {"slope": -0.5}, [("convex", "")], "unknown"),
        ("leaky_relu", {"slope": -0.5}, [("convex", "+")], "convex"),
        ("leaky_relu", {"slope": -0.5}, [("convex", "-")], "concave"),
        ("abs", {}, [("affine", "")], "convex"),
        ("abs", {}, [("convex", "")], "unknown"),
        ("abs", {}, [("convex", "+")], "convex"),
        ("abs", {}, [("concave", "-")], "convex"),
        ("power", {"exponent": 2}, [("convex", "+")], "convex"),
        ("power", {"exponent": 3}, [("affine", "")], "unknown"),
        ("power", {"exponent": 3}, [("convex", "+")], "convex"),
        ("power", {"exponent": 3}, [("concave", "-")], "concave"),
        ("power", {"exponent": 0.5}, [("concave", "")], "concave"),
        ("power", {"exponent": -1}, [("concave", "+")], "convex"),
        ("exp", {}, [("convex", "")], "convex"),
        ("log", {}, [("concave", "")], "concave"),
        ("log", {}, [("convex", "")], "unknown"),
        ("neg", {}, [("convex", "")], "concave"),
        ("tanh", {}, [("affine", "")], "unknown"),
        ("tanh", {}, [("constant", "")], "constant"),
        ("add", {}, [("convex", ""), ("affine", "")], "convex"),
        ("add", {}, [("convex", ""), ("concave", "")], "unknown"),
        ("sub", {}, [("convex", ""), ("concave", "")], "convex"),
        ("maximum", {}, [("convex", ""), ("convex", "")], "convex"),
        ("minimum", {}, [("convex", ""), ("affine", "")], "unknown"),
        ("mul", {}, [("convex", ""), ("constant", "+")], "convex"),
        ("mul", {}, [("constant", "-"), ("convex", "")], "concave"),
        ("mul", {}, [("constant", ""), ("affine", "")], "affine"),
        ("mul", {}, [("constant", ""), ("convex", "")], "unknown"),
        ("mul", {}, [("affine", "+"), ("affine", "+")], "unknown"),
        ("div", {}, [("convex", ""), ("constant", "+")], "convex"),
        ("div", {}, [("convex", ""), ("constant", "-")], "concave"),
        ("div", {}, [("affine", ""), ("constant", "")], "affine"),
        ("div", {}, [("constant", "+"), ("concave", "+")], "convex"),
        ("div", {}, [("constant", "-"), ("concave", "+")], "concave"),
        ("div", {}, [("constant", "+"), ("convex", "+")], "unknown"),
        ("hardtanh", {"low": 0.0, "high": None}, [("convex", "")], "convex"),
        ("hardtanh", {"low": None, "high": 1.0}, [("concave", "")], "concave"),
        ("hardtanh", {"low": -1.0, "high": 1.0}, [("affine", "")], "unknown"),
    ],
)
def test_rules(fn, settings, operands, kind):
    assert _of(fn, *(_state(*x) for x in operands), **settings).census.kind == kind


def test_zero_weights_do_not_count():
    weight = torch.tensor([[1.0, -1.0], [2.0, 0.0], [0.0, 0.0], [-3.0, 0.0]])
    node = Node("y", "contract", ("x", "w"), (1, 4), attributes={"spec": "ai,oi->ao"})
    state = derive(node, [_state("convex", shape=(1, 2)), State.values(weight)])
    assert state.census == Census(constant=1, convex=1, concave=1, unknown=1)


def test_a_square_is_recognised_however_it_is_written():
    node = Node("y", "contract", ("x", "x"), (1,), attributes={"spec": "ab,ab->a"})
    affine = _state("affine", shape=(1, 3))
    assert derive(node, [affine, affine]).census.kind == "convex"
    assert bool(derive(node, [affine, affine]).nonnegative.all())
    gram = replace(node, shape=(1, 1), attributes={"spec": "ab,cb->ac"})
    assert derive(gram, [affine, affine]).census.kind == "unknown"  # entries of different rows meet

    class Squares(nn.Module):
        def forward(self, x):
            return (x - 1) * (x - 1)

    program = program_of(Squares(), (torch.rand(3, 4),))
    assert program.walk(real_inputs(program), end(program)).result.census.kind == "convex"


def test_signs_follow_by_rule_only():
    class Gated(nn.Module):
        def __init__(self, gate):
            super().__init__()
            self.gate = gate
            self.inner = nn.Linear(4, 4)

        def forward(self, x, y):
            return self.gate(self.inner(y)) * torch.relu(x)

    for gate, kind in (
        (torch.relu, "convex"),
        (torch.sigmoid, "convex"),
        (torch.exp, "convex"),
        (torch.tanh, "unknown"),
    ):
        model = Gated(gate)
        model.inner.bias.data.fill_(9.0)  # tanh is positive on these data, which no rule says
        program = program_of(model, (torch.rand(3, 4), torch.rand(3, 4)))
        first = frozenset(
            n for n in real_inputs(program) if program.nodes[n].attributes["input"] == program.graph.inputs[0]
        )
        assert program.walk(first, end(program)).result.census.kind == kind, gate


def test_nothing_is_claimed_of_complex_numbers_that_vary():
    """The real part of z² is x² − y²."""
    affine = _state("affine")
    square = Node("y", "pointwise", ("x", "x"), (1,), "complex64", {"fn": "mul"})
    assert derive(square, [affine, affine]).census.kind == "unknown"
    assert derive(replace(square, dtype="float32"), [affine, affine]).census.kind == "convex"
    constant = _state("constant", "+")
    assert derive(square, [constant, constant]).census.kind == "constant"
    assert not bool(derive(square, [constant, constant]).nonnegative.any())
