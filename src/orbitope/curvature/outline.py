"""An objective of which only shapes are known, or everything but the data: enough for curvature by composition."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from orbitope.curvature.walk import Program
from orbitope.errors import DataError, InputError
from orbitope.frontends import lower, trace
from orbitope.frontends.adapters import prepared
from orbitope.frontends.tracing import checked
from orbitope.graph import Graph
from orbitope.objective.appending import appended, module, traced
from orbitope.objective.losses import LOSSES, parse
from orbitope.primitives import rebatch

_CLASSES = ("cross_entropy", "nll", "multi_margin")
_WEIGHTS = (*_CLASSES, "bce_with_logits")
"""Losses whose data are labels, weights or probabilities, so that none is negative."""


@dataclass(frozen=True)
class Outline:
    """A model and a loss, whatever the data: a stand-in for an objective.

    What is proved with it holds for every set of data. Parameters on the meta device have any signs, and then it holds
    for all values of those that are held fixed, too.

    Attributes:
        model: the module. loss: name of the loss. weight_decay: λ of a term λ/2‖θ‖² over the variables.
        network: the program of the outputs. graph: the program of the losses. whole: whether samples mix.
        parameters: by canonical name, perhaps on the meta device.
        data: nothing. nonnegative: names of inputs of the graph that are never negative.
        samples: how many the example inputs were.
        output: the name of the output that the loss reads.
    """

    model: nn.Module
    loss: str
    network: Graph
    graph: Graph
    whole: bool
    parameters: Mapping[str, torch.Tensor]
    nonnegative: frozenset[str]
    samples: int
    output: str
    weight_decay: float = 0.0
    data: Mapping[str, torch.Tensor] = field(default_factory=dict)

    @staticmethod
    def of(
        model: nn.Module,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        *,
        loss: str | Callable[[Any, Any], Any] = "cross_entropy",
        target: torch.Tensor | None = None,
        output: str | None = None,
        weight_decay: float = 0.0,
    ) -> Outline:
        """Trace a model, on whatever device, and append a loss.

        Args:
            model: in evaluation mode.
            args: example inputs, of two samples or more.
            kwargs: example inputs by name.
            loss: as of an objective.
            target: an example of the targets; made up by default. Only its shape and dtype count.
            output: name of the output that the loss reads; ``logits`` or the first floating one by default.
            weight_decay: as of an objective.

        Raises:
            ExportError, TrainingModeError, LoweringError: the model cannot be traced.
            InputError: it has no such output, or the output no axis of samples.
        """
        args = checked(model, tuple(args))
        with prepared(model, kwargs or {}) as named:
            program = trace(model, args, named)
            network = lower(program)
        network = _reading(network, output)
        end = network.node(network.outputs[0])
        samples, outputs = end.shape[0], tuple(end.shape[1:])
        name, options = parse(loss) if isinstance(loss, str) else (getattr(loss, "__name__", type(loss).__name__), {})
        given = _target(name, samples, outputs) if target is None else torch.zeros(target.shape, dtype=target.dtype)
        if isinstance(loss, str):
            graph = appended(network, LOSSES[name].make(given, outputs, options))
        else:
            graph = traced(network, module(loss), torch.zeros(end.shape, dtype=getattr(torch, end.dtype)), given)
        extra = graph.inputs[len(network.inputs) :]
        single = _single(graph)
        state = model.state_dict()
        return Outline(
            model,
            name,
            network if single is None else (_single(network) or network),
            single or graph,
            single is None,
            {parameter: state[parameter].detach() for parameter in network.parameters},
            frozenset(extra) if name in _WEIGHTS else frozenset(),
            samples,
            network.output_names[0],
            weight_decay,
        )

    @property
    def variables(self) -> tuple[str, ...]:
        """Names of the trained parameters."""
        known = [p for p in self.network.parameters.values() if p.trainable]
        wanted = {n for n, p in self.model.named_parameters(remove_duplicate=False) if p.requires_grad}
        return tuple(p.name for p in known if not wanted or wanted & set(p.names))

    def canonical(self, params: Mapping[str, torch.Tensor] | None) -> Mapping[str, torch.Tensor]:
        """The parameters.

        Raises:
            InputError: others are given.
        """
        if params is not None:
            raise InputError("an outline has the parameters of its model", fix="load them into the model")
        return self.parameters

    def program(self) -> Program:
        """What curvature is followed through."""
        return Program(self.graph, self.parameters, {}, self.nonnegative)


def _reading(graph: Graph, wanted: str | None) -> Graph:
    """The graph with the one output that the loss reads."""
    pairs = dict(zip(graph.output_names, graph.outputs, strict=True))
    real = [name for name, node in pairs.items() if graph.node(node).dtype.startswith(("float", "bfloat"))]
    if wanted is not None and wanted not in real:
        raise InputError(
            "the model has no floating output of that name", got=wanted, fix=f"choose among {', '.join(real)}"
        )
    if not real:
        raise InputError("the model returns no floating tensor", got=", ".join(pairs) or "nothing")
    name = wanted or next((n for n in real if n.split(".")[-1] == "logits"), real[0])
    if not graph.node(pairs[name]).shape:
        raise InputError("the output has no axis of samples", got=f"{name} is one number")
    kept, stack = set[str](), [pairs[name]]
    while stack:
        node = graph.node(stack.pop())
        if node.name not in kept:
            kept.add(node.name)
            stack.extend(node.inputs)
    nodes = tuple(n for n in graph if n.name in kept or n.op == "input")
    return graph.with_nodes(nodes, outputs=(pairs[name],), output_names=(name,))


def _target(loss: str, samples: int, outputs: tuple[int, ...]) -> torch.Tensor:
    """Targets of the right shape: class numbers 0, signs 1, or zeros."""
    if loss in _CLASSES and outputs:
        rest = outputs[:-1] if len(outputs) == 2 else outputs[1:]
        return torch.zeros((samples, *rest), dtype=torch.int64)
    return torch.ones((samples, *outputs)) if loss == "hinge" else torch.zeros((samples, *outputs))


def _single(graph: Graph) -> Graph | None:
    """The program of one sample; None where samples mix."""
    try:
        return rebatch(graph, dict.fromkeys(graph.inputs, 0), 1)
    except (DataError, IndexError, NotImplementedError, RuntimeError):
        return None
