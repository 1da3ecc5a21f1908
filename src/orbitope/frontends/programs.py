"""Reading an exported program: names, ties, arguments, places. Nothing here knows primitives."""

from __future__ import annotations

import operator
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch.export import ExportedProgram
from torch.export.graph_signature import ExportGraphSignature, InputKind, OutputKind
from torch.utils import _pytree as pytree

from orbitope.graph import Node

_TORCH = str(Path(torch.__file__).parent)


@dataclass(frozen=True)
class Call:
    """How the results of a program are nested.

    Attributes:
        out_spec: their tree.
    """

    out_spec: pytree.TreeSpec | None


@dataclass(frozen=True)
class Traced:
    """A program that was recorded while the model ran on real tensors, in the form of an exported one.

    Attributes:
        graph_module: the operations, and the tensors that they name.
        graph_signature: what its operands and results are.
        state_dict: tensors that the model keeps.
        constants: those that it does not, by the target of their placeholder.
        example_inputs: the tensors that it ran on.
        call_spec: how its results are nested.
    """

    graph_module: torch.fx.GraphModule
    graph_signature: ExportGraphSignature
    state_dict: dict[str, torch.Tensor]
    constants: dict[str, torch.Tensor]
    example_inputs: tuple[Any, ...]
    call_spec: Call

    @property
    def graph(self) -> torch.fx.Graph:
        """Its operations."""
        return self.graph_module.graph


Program = ExportedProgram | Traced

_UNTAGGED = {
    *("aten.is_nonzero.default", "aten.where.default", "aten.nonzero_numpy.default"),
    *("aten.repeat_interleave.self_Tensor", "aten.tensor_split.tensor_indices_or_sections"),
}
"""Operations that tell Python entries, or give their result a shape by them, although torch does not say so."""

_BY_MASK = {"aten.index.Tensor", "aten.masked_select.default", "aten.index_put.default"}
"""Operations of which a boolean operand alone decides the shape of the result."""


def decisive(node: torch.fx.Node) -> list[torch.fx.Node]:
    """The operands of an operation whose entries Python was told, or that gave its result its shape."""
    tags = getattr(node.target, "tags", ())
    told = torch.Tag.data_dependent_output in tags or str(node.target) in _UNTAGGED
    if (not told and torch.Tag.dynamic_output_shape not in tags) or _only_written(node):
        return []
    if str(node.target) == "aten.repeat_interleave.self_Tensor":
        return [x for x in pytree.tree_leaves(node.args[1:2]) if isinstance(x, torch.fx.Node)]
    if str(node.target) not in _BY_MASK:
        return node.all_input_nodes
    masks = (torch.bool, torch.uint8)
    places = pytree.tree_leaves(node.args[1:2])  # not what is read or written, which may be a mask too
    return [x for x in places if isinstance(x, torch.fx.Node) and getattr(x.meta.get("val"), "dtype", None) in masks]


def _only_written(node: torch.fx.Node) -> bool:
    """Whether one number is written where a mask holds, and nothing else is done with the list of these positions."""
    if str(node.target) not in ("aten.where.default", "aten.nonzero_numpy.default"):
        return False
    axes = sorted(node.users, key=lambda user: str(user.args[1:]))
    writes = {user for axis in axes for user in axis.users}
    return all(axis.target is operator.getitem for axis in axes) and all(
        str(user.target) == "aten.index_put.default"
        and isinstance(user.args[1], list | tuple)
        and list(user.args[1]) == axes
        and isinstance(user.args[2], torch.fx.Node)
        and user.args[2].meta["val"].numel() == 1
        and not user.args[3:]
        for user in writes
    )


def with_entries(program: Program, buffers: Mapping[str, torch.Tensor]) -> Program:
    """A program that was traced without the entries of its buffers, with them."""
    for held in (program.constants, program.state_dict):
        for name in held.keys() & buffers.keys():
            held[name] = buffers[name]
    return program


def is_random(target: Any) -> bool:
    """Whether an operation draws random numbers."""
    return torch.Tag.nondeterministic_seeded in getattr(target, "tags", ())


def told_by_inputs(program: Traced) -> list[torch.fx.Node]:
    """The operations that told Python something which depends on the inputs, or on chance."""
    specs = {spec.arg.name: spec for spec in program.graph_signature.input_specs}
    varies: set[torch.fx.Node] = set()
    for node in program.graph.nodes:
        given = node.op == "placeholder" and specs[node.name].kind == InputKind.USER_INPUT
        if given or is_random(node.target) or not varies.isdisjoint(node.all_input_nodes):
            varies.add(node)
    return [node for node in program.graph.nodes if not varies.isdisjoint(decisive(node))]


def user_outputs(program: Program) -> dict[str, torch.fx.Node]:
    """The returned tensors by a readable name, in order; mutated buffers and inputs are no outputs."""
    output = next(node for node in program.graph.nodes if node.op == "output")
    returned = list(output.args[0])
    specs = program.graph_signature.output_specs
    nodes = [x for x, spec in zip(returned, specs, strict=True) if spec.kind == OutputKind.USER_OUTPUT]
    named = zip(_names(program, len(nodes)), nodes, strict=True)
    return {name: node for name, node in named if isinstance(node, torch.fx.Node)}


def mutated_buffers(program: Program) -> frozenset[str]:
    """State-dict names of the buffers that a call overwrites."""
    return frozenset(program.graph_signature.buffers_to_mutate.values())


def _names(program: Program, count: int) -> list[str]:
    spec = program.call_spec.out_spec
    if spec is None or spec.num_leaves != count:
        return [f"output_{k}" for k in range(count)]
    tree = pytree.tree_unflatten(list(range(count)), spec)
    if count == 1 and tree == 0:
        return ["output"]
    paths, _ = pytree.tree_flatten_with_path(tree)
    return [
        pytree.keystr(path).strip(".[]'\"").replace("']['", ".").replace("][", ".") or "output" for path, _ in paths
    ]


@dataclass(frozen=True)
class Ties:
    """Which state-dict names are one tensor.

    Attributes:
        owner: for each name the first name of the same tensor (storage, offset, shape and stride).
        overlapping: names of tensors that share memory with another without being that tensor.
    """

    owner: Mapping[str, str]
    overlapping: frozenset[str]


def ties(state: Mapping[str, torch.Tensor]) -> Ties:
    """Ties and overlaps among the tensors of a state dict; works on the meta device too."""
    first: dict[tuple[Any, ...], str] = {}
    owner: dict[str, str] = {}
    spans: dict[int, list[tuple[int, int, str]]] = {}
    for name, tensor in state.items():
        owner[name] = name
        if tensor.numel() == 0:
            continue
        storage = tensor.untyped_storage()._cdata
        owner[name] = first.setdefault((storage, tensor.storage_offset(), tensor.shape, tensor.stride()), name)
        first_entry = int(tensor.storage_offset())
        last_entry = first_entry + sum((n - 1) * step for n, step in zip(tensor.shape, tensor.stride(), strict=True))
        spans.setdefault(storage, []).append((first_entry, int(last_entry), name))
    overlapping = {
        name
        for group in spans.values()
        for low, high, name in group
        if any(owner[other] != owner[name] and low <= end and start <= high for start, end, other in group)
    }
    return Ties(owner, frozenset(overlapping))


def arguments(node: torch.fx.Node) -> tuple[list[Any], dict[str, Any]]:
    """All positional arguments with defaults filled in, and the keyword-only ones that were given."""
    schema = getattr(node.target, "_schema", None)
    if schema is None:
        return list(node.args), dict(node.kwargs)
    args, kwargs = list(node.args), dict(node.kwargs)
    positional = [argument for argument in schema.arguments if not argument.kwarg_only]
    for argument in positional[len(args) :]:
        args.append(kwargs.pop(argument.name, argument.default_value))
    if str(node.target) == "aten.rms_norm.default" and args[3] is None:
        # the default is the rounding unit of the traced dtype: a number of the program, not of our arithmetic
        args[3] = torch.finfo(node.meta["val"].dtype).eps
    return args, kwargs


def read_results(node: torch.fx.Node) -> set[int]:
    """Which results of an operation with several are read."""
    read = (user.args[1] for user in node.users if user.target is operator.getitem and user.users)
    return {k for k in read if isinstance(k, int)}


def module_path(node: torch.fx.Node) -> str:
    """Path of the module that an operation belongs to."""
    stack = node.meta.get("nn_module_stack") or {}
    return list(stack.values())[-1][0] if stack else ""


def source_line(node: torch.fx.Node) -> str:
    """``file.py:line`` of the innermost frame outside torch, or of the innermost at all."""
    frames = re.findall(r'File "([^"]+)", line (\d+)', node.meta.get("stack_trace") or "")
    own = [frame for frame in frames if not frame[0].startswith(_TORCH)]
    if not frames:
        return ""
    name, line = (own or frames)[-1]
    return f"{Path(name).name}:{line}"


def reachable(nodes: list[Node], outputs: Sequence[str], inputs: Sequence[str]) -> list[Node]:
    """Nodes that some output needs, and the inputs."""
    needed = {*outputs, *inputs}
    kept = []
    for node in reversed(nodes):
        if node.name in needed:
            kept.append(node)
            needed.update(node.inputs)
    return kept[::-1]
