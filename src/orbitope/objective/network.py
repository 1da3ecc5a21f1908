"""The program of a model for some samples, and the model itself as a reference."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn
from torch.export import ExportedProgram
from torch.utils import _pytree as pytree

from orbitope.errors import DataError, ExportError, InputError
from orbitope.frontends import lower, trace
from orbitope.frontends.adapters import prepared
from orbitope.frontends.programs import Program, is_random, user_outputs
from orbitope.frontends.tracing import checked, quiet
from orbitope.graph import Graph, Node
from orbitope.objective.data import Samples

Parameters = Mapping[str, torch.Tensor]


@dataclass(frozen=True)
class Network:
    """A model's program for some samples.

    Attributes:
        graph: one output; its inputs are data, inputs that are the same for all samples are constants in it.
        data: for each input the place of its tensor among the leaves of what the model is called with.
        output: name of the output that the loss reads.
        place: its place among the tensors that the model returns.
    """

    graph: Graph
    data: Mapping[str, int]
    output: str
    place: int


def network(model: nn.Module, samples: Samples, output: str | None) -> Network:
    """The program of a model for all of these samples.

    Raises:
        DataError: the samples do not fit the model, or a random operation decides its output.
        InputError: the model has no output of that name, or none that is floating.
    """
    with prepared(model, samples.kwargs) as kwargs:
        try:
            program = trace(model, samples.args, kwargs)
        except ExportError as error:
            raise DataError(
                "the data do not fit the model", at=error.at, got=error.got, why=error.why, fix=error.fix
            ) from error
        name, place = _chosen(program, output)
        try:
            graph = lower(program, [name])
        except (IndexError, RuntimeError, ValueError) as error:  # an operation refuses these entries, as a token
            got = f"{type(error).__name__}: {error}"[:300]
            fix = "check token ids against the size of the vocabulary, and run model(*inputs) first"
            raise DataError("the data do not fit the model", got=got, fix=fix) from error
        leaves = pytree.tree_leaves((samples.args, kwargs))
        places = _places(program, samples.args, kwargs)
    _refuse_random(graph)
    inputs = dict(zip(graph.inputs, places, strict=True))
    shared = {name: leaves[k] for name, k in inputs.items() if not samples.varies(leaves[k])}
    graph = _with_constants(graph, shared)
    return Network(graph, {name: inputs[name] for name in graph.inputs}, name, place)


def _chosen(program: Program, wanted: str | None) -> tuple[str, int]:
    """Name and place of the output that the loss reads: ``logits``, or the first that is floating."""
    found = user_outputs(program)
    tensors = {name: node.meta.get("val") for name, node in found.items()}
    floating = [n for n, t in tensors.items() if isinstance(t, torch.Tensor) and t.is_floating_point()]
    if wanted is not None and wanted not in floating:
        raise InputError(
            "the model has no floating output of that name", got=wanted, fix=f"choose among {', '.join(floating)}"
        )
    if not floating:
        raise InputError("the model returns no floating tensor", got=", ".join(found) or "nothing")
    name = wanted or next((n for n in floating if n.split(".")[-1] == "logits"), floating[0])
    return name, list(found).index(name)


def _places(program: Program, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> list[int]:
    """For each tensor input of a program, in order, its place among the leaves of the arguments."""
    paths = {
        pytree.keystr(path): (k, leaf)
        for k, (path, leaf) in enumerate(pytree.tree_flatten_with_path((tuple(args), dict(kwargs)))[0])
    }
    given = program.example_inputs if isinstance(program, ExportedProgram) else (tuple(args), dict(kwargs))
    order = [pytree.keystr(path) for path, leaf in pytree.tree_flatten_with_path(given)[0] if _tensor(leaf)]
    return [paths[path][0] for path in order]


def _tensor(leaf: Any) -> bool:
    return isinstance(leaf, torch.Tensor)


def _with_constants(graph: Graph, shared: Mapping[str, torch.Tensor]) -> Graph:
    """The graph with inputs that are the same for all samples as constants."""
    if not shared:
        return graph
    nodes: list[Node] = [
        replace(node, op="constant", attributes={"constant": node.name}) if node.name in shared else node
        for node in graph
    ]
    used = {x for node in nodes for x in node.inputs}
    nodes = [node for node in nodes if node.name in used or node.name not in shared]
    return graph.with_nodes(
        tuple(nodes),
        inputs=tuple(name for name in graph.inputs if name not in shared),
        constants={**graph.constants, **{name: t for name, t in shared.items() if name in used}},
    )


def _refuse_random(graph: Graph) -> None:
    for node in graph:
        if node.op == "opaque" and is_random(node.attributes["call"]["function"]):
            raise DataError(
                "the loss is not deterministic",
                at=node.place,
                got=f"{node.target} draws random numbers",
                why="F must be one function of the parameters",
                fix="switch it off (dropout, noise), or give its numbers as an input",
            )


# the model itself -------------------------------------------------------------------------------------------------
def run(model: nn.Module, samples: Samples, block: slice, place: int, params: Parameters | None = None) -> torch.Tensor:
    """The model's output for some samples: with other parameters in float64, with its own as it is.

    Raises:
        Exception: whatever the model raises.
    """
    wide = torch.float64 if params is not None else None
    args, kwargs = samples.inputs(block, wide)
    with torch.no_grad(), quiet(), prepared(model, kwargs) as named:
        if params is None:
            returned = model(*args, **named)
        else:
            own = dict([*model.named_parameters(remove_duplicate=False), *model.named_buffers(remove_duplicate=False)])
            state = {name: _wide(params.get(name, tensor)) for name, tensor in own.items()}
            returned = torch.func.functional_call(model, state, args, named, tie_weights=False)
    return [leaf for leaf in pytree.tree_leaves(returned) if _tensor(leaf)][place]


def _wide(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.detach().double() if tensor.is_floating_point() else tensor.detach()


def refuse_chance(model: nn.Module, samples: Samples) -> None:
    """Run a model twice.

    Raises:
        TrainingModeError: it is in training mode. InputError: it is no model.
        DataError: its outputs differ.
    """
    checked(model, samples.args)
    found: list[list[torch.Tensor]] = []
    args, kwargs = samples.inputs(slice(None))
    for _ in range(2):
        try:
            with torch.no_grad(), quiet(), prepared(model, kwargs) as named:
                returned = model(*args, **named)
        except Exception:  # whatever the model raises; the trace says it better
            return
        found.append([x for x in pytree.tree_leaves(returned) if _tensor(x) and x.is_floating_point()])
    pairs = list(zip(*found, strict=False))
    worst = max((_apart(a, b) for a, b in pairs), default=0.0)
    if worst <= 1e-6:
        return
    raise DataError(
        "the loss is not deterministic",
        got=f"two runs of the model on the same inputs differ by up to {worst:.3g} of the largest",
        why="F must be one function of the parameters",
        fix="switch off what is random (dropout, noise): model.eval(), or give its numbers as an input",
    )


def _apart(a: torch.Tensor, b: torch.Tensor) -> float:
    """The largest difference, as a share of the largest entry."""
    if a.shape != b.shape:
        return float("inf")
    if torch.equal(a, b) or not a.numel() or not bool(a.isfinite().all() & b.isfinite().all()):
        return 0.0
    return float((a - b).abs().max() / torch.maximum(a.abs().max(), b.abs().max()))
