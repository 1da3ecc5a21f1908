"""The program of a model, followed by a loss."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from orbitope.errors import DataError, ExportError, InputError
from orbitope.frontends import lower, trace
from orbitope.frontends.builder import Builder, Value
from orbitope.graph import Graph
from orbitope.objective.loss import Loss


def appended(network: Graph, loss: Loss) -> Graph:
    """The network's program with the loss of each sample as its output, and inputs for what the loss is given."""
    end = network.node(network.outputs[0])
    b = _builder(network)
    last = Value(end.inputs[0], end.shape, getattr(torch, end.dtype))
    given = {name: _input(b, name, (end.shape[0], *t.shape[1:]), last.dtype, t) for name, t in loss.data.items()}
    return _closed(network, b, loss.emit(b, last, given), given)


def _builder(network: Graph) -> Builder:
    b = Builder(execute=False)
    b.nodes = [node for node in network if node.op != "output"]
    b.constants = dict(network.constants)
    b.reserve(node.name for node in network)
    b.place = replace(b.place, name="loss", module="loss")
    return b


def _input(b: Builder, name: str, shape: tuple[int, ...], floating: torch.dtype, data: torch.Tensor) -> Value:
    dtype = data.dtype if data.dtype == torch.int64 else floating
    value = b.emit("input", (), shape, dtype=dtype, stem=name, input=name)
    b.nodes[-1] = replace(b.nodes[-1], attributes={"input": value.name})
    return value


def _closed(network: Graph, b: Builder, losses: Value, given: Mapping[str, Value]) -> Graph:
    out = b.emit("output", (losses,), losses.shape, stem="output:loss")
    return network.with_nodes(
        tuple(b.nodes),
        inputs=(*network.inputs, *(value.name for value in given.values())),
        outputs=(out.name,),
        output_names=("loss",),
        constants=b.constants,
    )


# losses of the user's own ---------------------------------------------------------------------------------------
class _Called(nn.Module):
    """A loss as a model of two inputs."""

    def __init__(self, function: Callable[[Any, Any], Any]) -> None:
        """Keep the function."""
        super().__init__()
        self.function = function

    def forward(self, output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """The loss."""
        return self.function(output, target)


def module(function: Callable[[Any, Any], Any]) -> nn.Module:
    """A callable loss as a module in evaluation mode; a module is copied first."""
    own = copy.deepcopy(function) if isinstance(function, nn.Module) else function
    return _Called(own).eval()


def traced(network: Graph, loss: nn.Module, output: torch.Tensor, target: torch.Tensor) -> Graph:
    """The network's program followed by a traced loss.

    Args:
        network: for so many samples.
        loss: as returned by :func:`module`.
        output: what the network returns for them.
        target: theirs.

    Raises:
        DataError: the loss does not take them, or is not a number for each sample or for all.
    """
    try:
        graph = lower(trace(loss, (output, target)))
    except ExportError as error:
        raise DataError(
            "the loss cannot be traced with these outputs and targets",
            at=error.at,
            got=error.got,
            why=error.why,
            fix=error.fix,
        ) from error
    ends = [graph.node(name) for name in graph.outputs]
    samples = len(output)
    if len(ends) != 1 or ends[0].shape not in ((), (samples,)) or not getattr(torch, ends[0].dtype).is_floating_point:
        raise InputError(
            "a loss returns one number, or one for each sample",
            got=", ".join(f"{end.dtype}{list(end.shape)}" for end in ends) or "nothing",
            fix="return a scalar, or a tensor of shape [N]",
        )
    b = _builder(network)
    end = network.node(network.outputs[0])
    names: dict[str, str] = {}
    given: dict[str, Value] = {}
    state = loss.state_dict()
    for node in graph:
        if node.op == "output":
            continue
        if node.op == "input" and node.name == graph.inputs[0]:
            names[node.name] = end.inputs[0]
            continue
        if node.op == "input":
            value = _input(b, "target", node.shape, getattr(torch, node.dtype), target)
            given["target"] = value
        elif node.op == "parameter":
            value = b.constant(state[node.attributes["parameter"]], "loss.parameter")
        elif node.op == "constant":
            value = b.constant(graph.constants[node.attributes["constant"]], "loss.const")
        else:
            inputs = [Value(names[x], (), torch.float32) for x in node.inputs]
            dtype = getattr(torch, node.dtype)
            value = b.emit(node.op, inputs, node.shape, dtype, **dict(node.attributes))
            b.nodes[-1] = replace(b.nodes[-1], source=node.source, target=node.target)
        names[node.name] = value.name
    losses = Value(names[ends[0].inputs[0]], ends[0].shape, getattr(torch, ends[0].dtype))
    return _closed(network, b, losses, given)
