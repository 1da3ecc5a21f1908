"""Recurrent layers and cells: every layer and direction is one scan."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from orbitope.frontends.builder import Builder, Value
from orbitope.frontends.lowerings.contraction import linear
from orbitope.frontends.lowerings.registry import Refused, lowers
from orbitope.primitives.scanning import GATES

_LAYERS = {
    "aten.rnn_tanh.input": "tanh",
    "aten.rnn_relu.input": "relu",
    "aten.gru.input": "gru",
    "aten.lstm.input": "lstm",
}
_CELLS = {
    "aten.rnn_tanh_cell.default": "tanh",
    "aten.rnn_relu_cell.default": "relu",
    "aten.gru_cell.default": "gru",
    "aten.lstm_cell.default": "lstm",
}


@dataclass(frozen=True)
class _Weights:
    """The parameters of one layer and direction, whose shapes agree with each other."""

    cell: str
    enter: Value
    again: Value
    enter_bias: Value | None = None
    again_bias: Value | None = None
    projection: Value | None = None

    @property
    def hidden(self) -> int:
        """Number of hidden units."""
        return self.again.shape[0] // GATES[self.cell]

    @property
    def width(self) -> int:
        """Number of outputs of a step."""
        return self.again.shape[1]

    def check(self, inputs: int) -> None:
        """Raises: Refused: a shape is not what the others ask for."""
        rows = self.hidden * GATES[self.cell]
        expected = [(self.enter, (rows, inputs)), (self.again, (rows, self.width))]
        expected += [(bias, (rows,)) for bias in (self.enter_bias, self.again_bias) if bias is not None]
        if self.projection is not None:
            expected.append((self.projection, (self.width, self.hidden)))
        paired = (self.enter_bias is None) == (self.again_bias is None)
        square = self.projection is not None or self.width == self.hidden
        if not paired or not square or any(x.shape != shape for x, shape in expected):
            raise Refused


@dataclass(frozen=True)
class _States:
    """The state before the first step: outputs, and cells of an LSTM."""

    output: Value
    cell: Value | None = None


def _layers(cell: str, params: Sequence[Value], biases: bool, count: int) -> list[_Weights]:
    """The parameters of each layer and direction.

    Raises:
        Refused: there are more or fewer of them than the layer says.
    """
    plain = 4 if biases else 2
    each, left = divmod(len(params), count)
    projected = each == plain + 1 and cell == "lstm"
    if left or each != plain + projected:
        raise Refused
    found: list[_Weights] = []
    for k in range(count):
        enter, again, *rest = params[k * each : (k + 1) * each]
        first, second = (rest[0], rest[1]) if biases else (None, None)
        found.append(_Weights(cell, enter, again, first, second, rest[-1] if projected else None))
    return found


@dataclass(frozen=True)
class _Layer:
    """A stack of layers, each in one or two directions."""

    weights: Sequence[_Weights]
    directions: int

    def run(self, b: Builder, x: Value, states: Sequence[Value]) -> tuple[Value, ...]:
        """All outputs of the last layer and the last states of all, from inputs ``[T, N, I]``."""
        ends: list[list[Value]] = [[] for _ in states]
        for k in range(0, len(self.weights), self.directions):
            outputs: list[Value] = []
            for at in range(k, k + self.directions):
                found = _scan(b, x, self.weights[at], _States(*(_part(b, s, at) for s in states)), reverse=at > k)
                outputs.append(found[0])
                for end, value in zip(ends, found, strict=True):
                    end.append(_step(b, value, 0 if at > k else x.shape[0] - 1))
            x = _side_by_side(b, outputs)
        return (x, *(_stacked(b, end) for end in ends))


def _scan(b: Builder, x: Value, weights: _Weights, states: _States, reverse: bool = False) -> tuple[Value, ...]:
    """The output, and of an LSTM the cell, at every step.

    Raises:
        Refused: some shape does not fit.
    """
    weights.check(x.shape[2])
    steps, samples = x.shape[:2]
    lstm = weights.cell == "lstm"
    cell_fits = states.cell is not None and states.cell.shape == (samples, weights.hidden)
    if not steps or states.output.shape != (samples, weights.width) or (lstm and not cell_fits):
        raise Refused
    entered = linear(b, x, weights.enter, weights.enter_bias)
    operands = [entered, weights.again, weights.again_bias, weights.projection, states.output]
    operands += [states.cell] if lstm else []
    given = [operand for operand in operands if operand is not None]

    width, whole = weights.width, weights.width + weights.hidden * lstm
    found = b.emit(
        "scan",
        given,
        (steps, samples, whole),
        x.dtype,
        cell=weights.cell,
        bias=weights.again_bias is not None,
        projected=weights.projection is not None,
        reverse=reverse,
    )
    return (b.slice(found, 2, 0, width), b.slice(found, 2, width, whole)) if lstm else (found,)


def _plain(b: Builder, state: Value) -> Value:
    """A state; zeros are written as one zero, which has no axes that could be told apart."""
    known = b.known(state)
    zeros = known is not None and not known.is_meta and not bool(torch.any(known))
    return b.broadcast(b.scalar(0.0, state), state.shape) if zeros else state


def _part(b: Builder, states: Value, k: int) -> Value:
    """The initial state of one layer and direction."""
    plain = _plain(b, states)
    return b.reshape(b.slice(plain, 0, k, k + 1), states.shape[1:])


def _step(b: Builder, x: Value, t: int) -> Value:
    return b.reshape(b.slice(x, 0, t, t + 1), x.shape[1:])


def _side_by_side(b: Builder, xs: Sequence[Value]) -> Value:
    """Along the last axis."""
    first, axis = xs[0], xs[0].rank - 1
    shape = (*first.shape[:-1], sum(x.shape[-1] for x in xs))
    return first if len(xs) == 1 else b.emit("concat", xs, shape, first.dtype, axis=axis)


def _stacked(b: Builder, xs: Sequence[Value]) -> Value:
    """Along a new first axis, of units that need not be the same: these stand side by side before they are split."""
    samples, width = xs[0].shape
    return b.transpose(b.reshape(_side_by_side(b, xs), (samples, len(xs), width)), (1, 0, 2))


def _given(cell: str, states: Value | Sequence[Value]) -> list[Value]:
    """The states before the first step.

    Raises:
        Refused: there are not two of an LSTM and one of any other.
    """
    found = [states] if isinstance(states, Value) else list(states)
    if len(found) != (2 if cell == "lstm" else 1):
        raise Refused
    return found


@lowers(*_LAYERS)
def recurrent(
    b: Builder,
    x: Value,
    states: Value | Sequence[Value],
    params: Sequence[Value],
    biases: bool,
    layers: int,
    dropout: float,
    train: bool,
    bidirectional: bool,
    batch_first: bool,
) -> tuple[Value, ...]:
    """Elman layers, GRUs and LSTMs on padded sequences; these with or without a projection of their outputs.

    Raises:
        Refused: something is dropped at random, or some shape or count is not what the call says.
    """
    cell, directions = _LAYERS[b.place.target], 2 if bidirectional else 1
    given = _given(cell, states)
    if (train and dropout) or x.rank != 3 or not layers:
        raise Refused
    if any(state.rank != 3 or state.shape[0] != layers * directions for state in given):
        raise Refused
    weights = _layers(cell, params, biases, layers * directions)
    turned = b.transpose(x, (1, 0, 2)) if batch_first else x
    outputs, *ends = _Layer(weights, directions).run(b, turned, given)
    return (b.transpose(outputs, (1, 0, 2)) if batch_first else outputs, *ends)


@lowers(*_CELLS)
def cell(
    b: Builder,
    x: Value,
    states: Value | Sequence[Value],
    enter: Value,
    again: Value,
    enter_bias: Value | None = None,
    again_bias: Value | None = None,
) -> Value | tuple[Value, ...]:
    """One step of an Elman layer, a GRU or an LSTM, as a sequence of one.

    Raises:
        Refused: some shape or count is not what the call says.
    """
    kind = _CELLS[b.place.target]
    given = _given(kind, states)
    if x.rank != 2 or any(state.rank != 2 for state in given):
        raise Refused
    weights = _Weights(kind, enter, again, enter_bias, again_bias)
    before = _States(*(_plain(b, state) for state in given))
    found = [_step(b, value, 0) for value in _scan(b, b.reshape(x, (1, *x.shape)), weights, before)]
    return tuple(found) if kind == "lstm" else found[0]
