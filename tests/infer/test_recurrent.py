"""Recurrent layers: closed forms of every combination, soundness of random elements, and what must be refused.

H: hidden units, P: outputs of a projection. Every layer and direction has H units of its own, and P where its outputs
are projected; the gates share them, and so do both sides of the recurrent weight.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from tests.zoo import difference, outputs, randomise
from tests.zoo.core import fac
from torch import nn

from orbitope import Objective, explain, prove, symmetries
from orbitope.frontends import graphs
from orbitope.frontends.builder import Builder
from orbitope.frontends.lowerings import LOWERINGS, Refused
from orbitope.primitives import rebatch

H, P, I, T, N = 5, 4, 3, 6, 2
LIMIT = 1e-12


class Read(nn.Module):
    """A recurrent layer and a dense layer that reads part of what it returns."""

    def __init__(self, layer: nn.Module, width: int, read: Callable[[Any], torch.Tensor]) -> None:
        super().__init__()
        self.layer, self.out, self.read = layer, nn.Linear(width, 2), read

    def forward(self, *xs: Any) -> torch.Tensor:
        return self.out(self.read(self.layer(*xs)))


def ends(result: Any, k: int = 0) -> torch.Tensor:
    """The last states of all layers and directions, side by side."""
    states = result[1][k] if isinstance(result[1], tuple) else result[1]
    return states.transpose(0, 1).flatten(1)


def last(result: Any) -> torch.Tensor:
    """The last state of the last direction."""
    return (result[1][0] if isinstance(result[1], tuple) else result[1])[-1]


def last_two(result: Any) -> torch.Tensor:
    """The last states of both directions of the last layer, as classifiers read them."""
    states = result[1][0] if isinstance(result[1], tuple) else result[1]
    return torch.cat([states[-2], states[-1]], -1)


def check(net: nn.Module, inputs: tuple[Any, ...], order: int, **settings: Any) -> None:
    """The order is the closed form's and random elements keep the function."""
    randomise(net.eval()).double()
    group = symmetries(net, inputs, **settings)
    assert not [d for d in group.diagnostics if d.unknown]
    assert group.log10_order == pytest.approx(math.log10(order), abs=1e-9)
    params = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    before = outputs(net, params, inputs)
    for seed in range(3):
        moved = group.sample(seed).act(params)
        assert any(not torch.equal(moved[name], params[name]) for name in params)
        assert difference(before, outputs(net, moved, inputs)) <= LIMIT


def sequence(*, batch_first: bool = False, length: int = T) -> torch.Tensor:
    shape = (N, length, I) if batch_first else (length, N, I)
    return torch.randn(shape, generator=torch.Generator().manual_seed(7)).double()


LAYERS = {
    "tanh": partial(nn.RNN, nonlinearity="tanh"),
    "relu": partial(nn.RNN, nonlinearity="relu"),
    "gru": nn.GRU,
    "lstm": nn.LSTM,
    "projected": partial(nn.LSTM, proj_size=P),
}


@pytest.mark.parametrize("given", [False, True], ids=["zero", "given"])
@pytest.mark.parametrize("bias", [True, False], ids=["bias", "bare"])
@pytest.mark.parametrize("directions", [1, 2])
@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize("kind", LAYERS)
def test_every_combination(kind: str, layers: int, directions: int, bias: bool, given: bool) -> None:
    """(H!)^(layers·directions), with a projection (H!·P!)^…; states that are inputs pin what they index."""
    first = directions == 2
    layer = LAYERS[kind](
        I, H, num_layers=layers, bidirectional=directions == 2, bias=bias, batch_first=first, dropout=0.3 * (layers > 1)
    )
    width = P if kind == "projected" else H
    inputs: tuple[Any, ...] = (sequence(batch_first=first),)
    count = layers * directions
    free = fac(H, P) if kind == "projected" else fac(H)
    if given:
        states = [torch.randn(count, N, size).double() for size in (width, H)]
        inputs = (*inputs, tuple(states) if "l" in kind[:1] or kind == "projected" else states[0])
        free = 1
    net = Read(layer, width * directions, lambda result: result[0])
    if given:
        net = Read(Preceded(layer), width * directions, lambda result: result[0])
        check(net, inputs, fac(7, I), also=())
    else:
        check(net, inputs, free**count, also=())


class Preceded(nn.Module):
    """A layer whose initial states are inputs, behind dense layers whose hidden units and outputs are free."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.first, self.second, self.layer = nn.Linear(I, 7), nn.Linear(7, I), layer

    def forward(self, x: torch.Tensor, states: Any) -> Any:
        return self.layer(self.second(torch.relu(self.first(x))), states)


@pytest.mark.parametrize(
    ("layer", "width", "read", "order"),
    [
        pytest.param(nn.LSTM(I, H), H, lambda r: r[1][1][0], fac(H), id="the cell only"),
        pytest.param(nn.LSTM(I, H, proj_size=P), H, lambda r: r[1][1][0], fac(H, P), id="the cell of a projected"),
        pytest.param(nn.LSTM(I, H, proj_size=P), P, last, fac(H, P), id="the end of a projected"),
        pytest.param(nn.GRU(I, H, 3), 3 * H, ends, fac(H) ** 3, id="all ends"),
        pytest.param(nn.GRU(I, H, 3), H, last, fac(H) ** 3, id="the last end"),
        pytest.param(nn.GRU(I, H, 2, bidirectional=True), 2 * H, last_two, fac(H) ** 4, id="two last ends"),
        pytest.param(nn.LSTM(I, H, 2, bidirectional=True), 2 * H, last_two, fac(H) ** 4, id="two last ends of lstm"),
        pytest.param(
            nn.LSTM(I, H, 2, bidirectional=True, proj_size=P), 4 * H, partial(ends, k=1), fac(H, P) ** 4, id="all cells"
        ),
        pytest.param(
            nn.LSTM(I, H), 2 * H, lambda r: torch.cat([r[1][0][0], r[1][1][0]], -1), fac(H), id="output and cell"
        ),
        pytest.param(
            nn.RNN(I, H, 2), H, lambda r: r[0][-1] + r[1].sum(0), fac(H), id="a sum over layers ties their units"
        ),
    ],
)  # fmt: skip
def test_what_is_read(layer: nn.Module, width: int, read: Callable[[Any], torch.Tensor], order: int) -> None:
    check(Read(layer, width, read), (sequence(),), order)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("kind", [nn.RNNCell, partial(nn.RNNCell, nonlinearity="relu"), nn.GRUCell, nn.LSTMCell])
def test_cells(kind: Callable[..., nn.Module], bias: bool) -> None:
    """H!, over two steps from the zero state."""

    class Steps(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer, self.out = kind(I, H, bias=bias), nn.Linear(H, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            state = self.layer(x[1], self.layer(x[0]))
            return self.out(state[0] * state[1] if isinstance(state, tuple) else state)

    check(Steps(), (sequence(),), fac(H))


def test_stacks_share_their_units() -> None:
    """Sequential LSTM layers and a residual around one: H!·S! with S the stream."""

    class Stack(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second, self.out = nn.LSTM(I, H), nn.LSTM(H, H, proj_size=P), nn.Linear(P, 2)
            self.third = nn.GRU(P, P)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = self.second(self.first(x)[0])[0]
            return self.out(y + self.third(y)[0])

    check(Stack(), (sequence(),), fac(H, H, P))


def test_a_learned_state_of_one_layer_moves_with_its_units() -> None:
    class Learned(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer, self.out = nn.GRU(I, H), nn.Linear(H, 2)
            self.start = nn.Parameter(torch.zeros(1, 1, H))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.out(self.layer(x, self.start.expand(-1, x.shape[1], -1).contiguous())[0])

    check(Learned(), (sequence(),), fac(H))


def test_the_graph_does_not_grow_with_the_sequence() -> None:
    net = Read(nn.LSTM(I, H, 2), H, lambda r: r[0]).eval()
    short, long = (graphs(net, (sequence(length=n).float(),), also=())[0] for n in (4, 50))
    assert len(short.nodes) == len(long.nodes)


def test_nothing_is_materialised_on_the_meta_device() -> None:
    net = Read(nn.LSTM(I, H, 2, bidirectional=True), 2 * H, lambda r: r[0]).eval().to("meta")
    group = symmetries(net, (sequence().to("meta", torch.float32),))
    assert group.log10_order == pytest.approx(math.log10(fac(H) ** 4), abs=1e-9)


def _builder(target: str, shapes: dict[str, tuple[int, ...]]) -> tuple[Builder, dict[str, Any]]:
    b = Builder(execute=False)
    b.place.target = target
    return b, {name: b.emit("parameter", (), shape, stem=name) for name, shape in shapes.items()}


GOOD = {"x": (T, N, I), "h": (1, N, P), "c": (1, N, H), "enter": (4 * H, I), "again": (4 * H, P), "proj": (P, H)}
BIASED = {"first": (4 * H,), "second": (4 * H,)}


@pytest.mark.parametrize(
    ("changes", "biases", "order"),
    [
        pytest.param({}, False, ("enter", "again"), id="projection left out"),
        pytest.param({}, True, ("enter", "again", "first", "second", "proj", "proj"), id="one too many"),
        pytest.param({}, True, ("enter", "again", "proj"), id="biases left out"),
        pytest.param({"proj": (H, P)}, False, ("enter", "again", "proj"), id="projection turned"),
        pytest.param({"again": (4 * H, H)}, False, ("enter", "again", "proj"), id="recurrent weight of no projection"),
        pytest.param({"c": (1, N, P)}, False, ("enter", "again", "proj"), id="cell as wide as the output"),
        pytest.param({"h": (1, N, H)}, False, ("enter", "again", "proj"), id="output as wide as the cell"),
        pytest.param({"h": (2, N, P)}, False, ("enter", "again", "proj"), id="states of two layers"),
        pytest.param({"first": (3 * H,)}, True, ("enter", "again", "first", "second", "proj"), id="bias of a gru"),
        pytest.param({"enter": (4 * H, P)}, False, ("enter", "again", "proj"), id="inputs of another width"),
    ],
)
def test_operands_that_do_not_fit_are_refused(
    changes: dict[str, tuple[int, ...]], biases: bool, order: tuple[str, ...]
) -> None:
    b, v = _builder("aten.lstm.input", {**GOOD, **BIASED, **changes})
    rest = (biases, 1, 0.0, False, False, False)
    with pytest.raises(Refused):
        LOWERINGS["aten.lstm.input"](b, v["x"], [v["h"], v["c"]], [v[name] for name in order], *rest)


def test_the_unchanged_call_is_not_refused() -> None:
    """Otherwise the refusals above prove nothing."""
    b, v = _builder("aten.lstm.input", {**GOOD, **BIASED})
    for biases, order in ((False, ("enter", "again", "proj")), (True, ("enter", "again", "first", "second", "proj"))):
        params = [v[name] for name in order]
        result = LOWERINGS["aten.lstm.input"](b, v["x"], [v["h"], v["c"]], params, biases, 1, 0.0, False, False, False)
        assert [x.shape for x in result] == [(T, N, P), (1, N, P), (1, N, H)]


def test_random_dropping_is_refused() -> None:
    b, v = _builder("aten.lstm.input", GOOD)
    params = [v["enter"], v["again"], v["proj"]]
    with pytest.raises(Refused):
        LOWERINGS["aten.lstm.input"](b, v["x"], [v["h"], v["c"]], params, False, 1, 0.5, True, False, False)


class Classifier(nn.Module):
    """Of sequences, by the last output; samples come first."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer, self.out = layer, nn.Linear(H, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.out(self.layer(x)[0][:, -1])


@pytest.mark.parametrize("layer", [nn.RNN, partial(nn.RNN, nonlinearity="relu"), nn.GRU, nn.LSTM])
def test_other_numbers_of_samples(layer: Callable[..., nn.Module]) -> None:
    """A program of two samples becomes one of five, and what follows from it does not fail."""
    net = randomise(Classifier(layer(I, H, batch_first=True)).eval())
    graph = graphs(net, (sequence(batch_first=True).float(),), also=())[0]
    wider = rebatch(graph, {"x": 0}, 5)
    assert {node.shape[1] for node in wider if node.op == "scan"} == {5}
    data = torch.randn(5, T, I, generator=torch.Generator().manual_seed(1)), torch.tensor([0, 1, 1, 0, 1])
    objective = Objective(net, "cross_entropy", data)
    assert prove(objective)
    assert "cell of every step" in " ".join(str(explain(objective)).split())
