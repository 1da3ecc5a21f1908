"""A model, a loss and data as one function F of the parameters."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader

from orbitope.arithmetic import TorchArithmetic
from orbitope.errors import DataError, ExportError, InputError, ParametersError
from orbitope.frontends import lower, trace
from orbitope.frontends.builder import Builder, Value
from orbitope.graph import Graph
from orbitope.primitives import evaluate, rebatch

Parameters = Mapping[str, torch.Tensor]

_TRACED_SAMPLES = 3
_BLOCK_ENTRIES = 1 << 24
"""Samples are evaluated in blocks whose largest value has about this many entries."""


class Objective:
    """F(θ) = the mean over samples of the loss of the model's output.

    Args:
        model: a module in evaluation mode with one input and one output.
        loss: ``cross_entropy`` (output: logits ``[N, C]``, target: class numbers ``[N]``) or ``mse`` (target like the
            output; the mean also runs over its entries).
        data: ``(x, y)`` tensors or arrays, or a DataLoader that yields such pairs.

    Attributes:
        graph: the model's program followed by the loss, for ``samples`` samples; output ``[N]``, in nats or squared
            units of the output.
        parameters: the model's own parameters and buffers, by canonical name.
        variables: names of those that are trained (``requires_grad``; all parameters where none is): F is a function
            of these.
        x: inputs. y: targets as given. target: targets as the program takes them (one-hot for classes).

    Raises:
        DataError: data of other shapes, labels out of range, not finite, no samples.
        ParametersError: parameters that are not finite.
    """

    def __init__(self, model: nn.Module, loss: str = "cross_entropy", data: Any = None) -> None:
        """Trace the model on the first samples and append the loss."""
        if loss not in LOSSES:
            raise InputError(f"unknown loss {loss!r}", fix=f"choose among {', '.join(LOSSES)}")
        self.model = model
        self.loss = loss
        self.x, self.y = _arrays(data)
        self.samples = len(self.x)
        self.network = self._network(model)
        self.parameters = _own_parameters(model, self.network)
        _refuse_not_finite(self.parameters)
        output = self.network.node(self.network.outputs[0])
        self.outputs = tuple(output.shape[1:])
        self.target = LOSSES[loss].target(self.y, self.outputs, self.samples)
        self._traced = LOSSES[loss].append(self.network, self.target)
        self._rebatched: dict[int, Graph] = {}
        self.graph_for(self.samples)  # refuses a model that does not treat samples one by one

    def _network(self, model: nn.Module) -> Graph:
        few = self.x[: min(_TRACED_SAMPLES, self.samples)]
        few = few.expand(_TRACED_SAMPLES, *few.shape[1:]) if self.samples == 1 else few
        try:
            graph = lower(trace(model, (few,)))
        except ExportError as error:
            raise DataError(
                "the data do not fit the model", at=error.at, got=error.got, why=error.why, fix=error.fix
            ) from error
        if len(graph.outputs) != 1 or len(graph.inputs) != 1:
            raise DataError(
                "an objective needs a model with one input and one output",
                got=f"{len(graph.inputs)} inputs, {len(graph.outputs)} outputs",
                fix="wrap the model in a module that takes x and returns the tensor that the loss reads",
            )
        return graph

    @property
    def graph(self) -> Graph:
        """The program of all losses, for all samples at once."""
        return self.graph_for(self.samples)

    def graph_for(self, samples: int) -> Graph:
        """The program of the losses of that many samples."""
        if samples not in self._rebatched:
            inputs = dict.fromkeys(self._traced.inputs, 0)
            self._rebatched[samples] = rebatch(self._traced, inputs, samples)
        return self._rebatched[samples]

    @cached_property
    def variables(self) -> tuple[str, ...]:
        """Names of the trained parameters, by canonical name."""
        known = [p for p in self.network.parameters.values() if p.trainable]
        wanted = {name for name, p in self.model.named_parameters(remove_duplicate=False) if p.requires_grad}
        return tuple(p.name for p in known if not wanted or wanted & set(p.names))

    def canonical(self, params: Parameters | None) -> dict[str, torch.Tensor]:
        """Parameters by canonical name; the model's own for None.

        Raises:
            ParametersError: some are missing, unexpected, of another shape or not finite.
        """
        if params is None:
            return self.parameters
        found, problems = {}, []
        for name, parameter in self.network.parameters.items():
            given = next((params[alias] for alias in parameter.names if alias in params), None)
            if given is not None and not (isinstance(given, torch.Tensor) and not given.is_complex()):
                problems.append(f"not a real tensor: {name} is {getattr(given, 'dtype', type(given).__name__)}")
            elif given is None:
                problems.append(f"missing: {name} {list(parameter.shape)}")
            elif tuple(given.shape) != parameter.shape:
                problems.append(f"shape: {name} is {list(given.shape)}, expected {list(parameter.shape)}")
            else:
                found[name] = given.detach()
        known = {*self.network.unused, *(n for p in self.network.parameters.values() for n in p.names)}
        problems += [f"unexpected: {name} {list(t.shape)}" for name, t in params.items() if name not in known]
        if problems:
            raise ParametersError("the parameters do not fit this network", details=problems)
        _refuse_not_finite(found)
        return found

    # values --------------------------------------------------------------------------------------------------------
    def blocks(self) -> Iterable[slice]:
        """Runs of samples that are evaluated together."""
        widest = max(_entries(node.shape) for node in self.graph_for(1))
        step = max(1, min(self.samples, _BLOCK_ENTRIES // max(widest, 1)))
        return [slice(start, min(start + step, self.samples)) for start in range(0, self.samples, step)]

    def losses(self, params: Parameters | None = None) -> torch.Tensor:
        """The loss of each sample in float64; differentiable in the parameters."""
        given = self.parameters if params is None else params
        arithmetic = TorchArithmetic(torch.float64)
        lifted = {name: arithmetic.lift(given[name]) for name in self.network.parameters}
        parts = []
        for block in self.blocks():
            inputs = self._inputs(block)
            parts.append(evaluate(self.graph_for(block.stop - block.start), arithmetic, lifted, inputs)[0])
        return torch.cat(parts)

    def _inputs(self, block: slice) -> dict[str, torch.Tensor]:
        x, target = self.x[block], self.target[block]
        wide = x.double() if x.is_floating_point() else x
        return dict(zip(self._traced.inputs, (wide, target.double()), strict=True))

    def value(self, params: Parameters | None = None) -> float:
        """F in float64 (nats, or squared units of the output).

        Guarantee: numeric, within float64 rounding.
        """
        with torch.no_grad():
            return self.losses(self.canonical(params)).mean().item()

    def gradient(self, params: Parameters | None = None) -> dict[str, torch.Tensor]:
        """∇F with respect to the variables, in float64."""
        given = {name: p.double().clone() for name, p in self.canonical(params).items()}
        leaves = [given[name].requires_grad_() for name in self.variables]
        grads = torch.autograd.grad(self.losses(given).mean(), leaves, allow_unused=True)
        pairs = zip(self.variables, leaves, grads, strict=True)
        return {name: torch.zeros_like(leaf) if g is None else g for name, leaf, g in pairs}

    def predictions(self, params: Parameters | None = None) -> torch.Tensor:
        """The model's outputs in float64."""
        given = self.canonical(params)
        arithmetic = TorchArithmetic(torch.float64)
        lifted = {name: arithmetic.lift(tensor) for name, tensor in given.items()}
        graph = rebatch(self.network, dict.fromkeys(self.network.inputs, 0), self.samples)
        inputs = {self.network.inputs[0]: arithmetic.lift(self.x)}
        with torch.no_grad():
            return evaluate(graph, arithmetic, lifted, inputs)[0]

    def accuracy(self, params: Parameters | None = None) -> float:
        """Fraction of samples whose largest output is their class (cross-entropy only)."""
        return (self.predictions(params).argmax(dim=1) == self.y).double().mean().item()


@dataclass(frozen=True)
class Loss:
    """How targets are checked, and how the loss is appended to a program."""

    target: Callable[[torch.Tensor, tuple[int, ...], int], torch.Tensor]
    append: Callable[[Graph, torch.Tensor], Graph]


def _class_targets(y: torch.Tensor, outputs: tuple[int, ...], samples: int) -> torch.Tensor:
    if len(outputs) != 1:
        raise DataError("cross-entropy needs logits of shape [N, C]", got=f"outputs of shape [N, {outputs}]")
    if y.is_floating_point() or y.dim() != 1 or len(y) != samples:
        raise DataError(
            "cross-entropy needs one class number for each sample",
            got=f"targets {y.dtype} {list(y.shape)} for {samples} samples",
            fix="pass an integer tensor of shape [N]",
        )
    low, high = int(y.min()), int(y.max())
    if low < 0 or high >= outputs[0]:
        wrong = int(((y < 0) | (y >= outputs[0])).sum())
        raise DataError(
            "labels are out of range",
            got=f"labels from {low} to {high}, {wrong} of {samples} out of range; the model has {outputs[0]} outputs",
            fix=f"number the classes from 0 to {outputs[0] - 1}",
        )
    return nn.functional.one_hot(y.long(), outputs[0]).to(torch.uint8)


def _value_targets(y: torch.Tensor, outputs: tuple[int, ...], samples: int) -> torch.Tensor:
    if tuple(y.shape) != (samples, *outputs):
        raise DataError(
            "mean squared error needs targets of the output's shape",
            got=f"targets {list(y.shape)}, outputs {[samples, *outputs]}",
            why="broadcasting a target over outputs is rarely meant",
            fix="reshape the targets, for example y[:, None]",
        )
    return y if y.is_floating_point() else y.double()


def _appended(graph: Graph, target: torch.Tensor, emit: Callable[[Builder, Value, Value], Value]) -> Graph:
    """The network's program with a second input ``target`` and the loss of each sample as its output."""
    end = graph.node(graph.outputs[0])
    b = Builder(execute=False)
    b.nodes = [node for node in graph if node.op != "output"]
    b.constants = dict(graph.constants)
    b.reserve(node.name for node in graph)
    b.place = replace(b.place, name="loss", module="loss")
    last = Value(end.inputs[0], end.shape, getattr(torch, end.dtype))
    wanted = b.emit("input", (), (end.shape[0], *target.shape[1:]), dtype=last.dtype, stem="target", input="target")
    b.nodes[-1] = replace(b.nodes[-1], attributes={"input": wanted.name})
    losses = emit(b, last, wanted)
    out = b.emit("output", (losses,), losses.shape, stem="output:loss")
    return Graph(
        tuple(b.nodes),
        graph.parameters,
        (*graph.inputs, wanted.name),
        (out.name,),
        ("loss",),
        b.constants,
        graph.unused,
    )


def _cross_entropy(b: Builder, logits: Value, target: Value) -> Value:
    logs = b.emit("softmax", (logits,), logits.shape, axis=1, kind="log")
    return b.pointwise("neg", b.reduce("sum", b.pointwise("mul", logs, target), [1]))


def _squared_error(b: Builder, output: Value, target: Value) -> Value:
    difference = b.pointwise("sub", output, target)
    square = b.pointwise("mul", difference, difference)
    return b.reduce("mean", square, list(range(1, output.rank)))


LOSSES: dict[str, Loss] = {
    "cross_entropy": Loss(_class_targets, lambda graph, target: _appended(graph, target, _cross_entropy)),
    "mse": Loss(_value_targets, lambda graph, target: _appended(graph, target, _squared_error)),
}


def _arrays(data: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """Inputs and targets as tensors, whatever they came as."""
    if isinstance(data, DataLoader):
        batches = [_pair(batch) for batch in data]
        if not batches:
            raise DataError("the data loader yields no batches")
        data = tuple(torch.cat([batch[k] for batch in batches]) for k in (0, 1))
    x, y = _pair(data)
    if x.dim() == 0 or len(x) == 0:
        raise DataError("there are no samples", got=f"inputs of shape {list(x.shape)}")
    if y.dim() == 0 or len(y) != len(x):
        raise DataError("inputs and targets differ in number", got=f"{len(x)} inputs, targets {list(y.shape)}")
    for name, tensor in (("inputs", x), ("targets", y)):
        if tensor.is_floating_point() and not bool(tensor.isfinite().all()):
            raise DataError(f"the {name} are not finite", got=f"{int((~tensor.isfinite()).sum())} entries")
    return x.detach(), y.detach()


def _pair(data: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """A pair of real tensors from a pair of tensors or arrays."""
    if not isinstance(data, tuple | list) or len(data) != 2:
        raise DataError(
            "the data are not a pair of inputs and targets", got=type(data).__name__, fix="pass data=(x, y)"
        )
    tensors = []
    for name, value in zip(("inputs", "targets"), data, strict=True):
        try:
            dense = np.ascontiguousarray(value) if isinstance(value, np.ndarray) else value
            tensor = torch.as_tensor(dense)
        except (TypeError, ValueError, RuntimeError) as error:
            raise DataError(
                f"the {name} are not numbers", got=f"{type(value).__name__}: {str(error)[:200]}", fix="pass tensors"
            ) from error
        if tensor.is_complex():
            raise DataError(f"the {name} are complex", got=str(tensor.dtype), fix="pass real and imaginary parts apart")
        tensors.append(tensor)
    return tensors[0], tensors[1]


def _own_parameters(model: nn.Module, graph: Graph) -> dict[str, torch.Tensor]:
    state = model.state_dict()
    return {name: state[name].detach() for name in graph.parameters}


def _refuse_not_finite(parameters: Parameters) -> None:
    bad = {
        name: int((~tensor.isfinite()).sum())
        for name, tensor in parameters.items()
        if tensor.is_floating_point() and not bool(tensor.isfinite().all())
    }
    if bad:
        details = [f"not finite: {name} has {count} NaN or infinite entries" for name, count in bad.items()]
        raise ParametersError("the parameters are not finite", details=details)


def _entries(shape: tuple[int, ...]) -> int:
    count = 1
    for n in shape:
        count *= n
    return count
