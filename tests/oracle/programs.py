"""A network around one traced operation whose symmetries are exactly those of the operation.

Every floating operand is a parameter, and so is a tensor P of the shape of the result y; the network returns Σ P·y. A
permutation of operands and P keeps that sum for all values if and only if the operation carries the permutation of its
operands to the permutation of P on its result. Index and mask operands are inputs of the network: they never move.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import torch
from tests.oracle.calls import Operand, Sample
from torch.export.graph_signature import (
    ExportGraphSignature,
    InputKind,
    InputSpec,
    OutputKind,
    OutputSpec,
    TensorArgument,
)
from torch.fx import Node
from torch.utils import _pytree as pytree

from orbitope.frontends import lower
from orbitope.frontends.programs import Call, Traced
from orbitope.graph import Graph

WEIGHTS = "P"
"""Name of the parameter that the result is multiplied by."""
ATEN = torch.ops.aten


def names(sample: Sample) -> list[str]:
    """For each tensor operand the name of its parameter or input."""
    return [f"x{k}" if x.moves else f"i{k}" for k, x in enumerate(sample.operands)]


def network(sample: Sample, select: int = 0) -> Graph:
    """The program Σ P·y, lowered; ``select`` says which of several results is y.

    Raises:
        LoweringError: the lowering and the operation disagree.
    """
    drawn = sample.draw(0)
    weights = torch.ones_like(sample.results(drawn)[select], dtype=torch.float64)
    made = _Program(sample)
    p = made.placeholder(WEIGHTS, weights, parameter=True)
    placeholders = [
        made.placeholder(name, tensor, x.moves)
        for name, tensor, x in zip(names(sample), drawn, sample.operands, strict=True)
    ]
    operands = [made.cast(x, node) for x, node in zip(sample.operands, placeholders, strict=True)]
    args, kwargs = sample.call(operands)
    y = made.call(sample.function, *args, **kwargs)
    if isinstance(y.meta["val"], tuple | list):
        y = made.call(operator.getitem, y, select)
    if y.meta["val"].is_complex():
        y = made.call(ATEN.view_as_real.default, made.call(ATEN.resolve_conj.default, y))
    return lower(made.finish(made.call(ATEN.sum.default, made.call(ATEN.mul.Tensor, y, p))))


class _Program:
    """A traced program, put together node by node."""

    def __init__(self, sample: Sample) -> None:
        self.sample = sample
        self.graph = torch.fx.Graph()
        self.specs: list[InputSpec] = []
        self.state: dict[str, torch.Tensor] = {}
        self.inputs: list[torch.Tensor] = []

    def placeholder(self, name: str, tensor: torch.Tensor, parameter: bool) -> Node:
        node = self.graph.placeholder(name)
        node.meta["val"] = tensor
        kind = InputKind.PARAMETER if parameter else InputKind.USER_INPUT
        self.specs.append(InputSpec(kind, TensorArgument(node.name), name if parameter else None))
        if parameter:
            self.state[name] = tensor
        else:
            self.inputs.append(tensor)
        return node

    def call(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Node:
        node = self.graph.call_function(function, args, kwargs)
        values = pytree.tree_map_only(Node, lambda x: x.meta["val"], (args, kwargs))
        node.meta["val"] = function(*values[0], **values[1])
        return node

    def cast(self, operand: Operand, node: Node) -> Node:
        """The operand, computed from its parameter."""
        match operand.kind:
            case "c":
                return self.call(ATEN.view_as_complex.default, node)
            case "n":
                return self.call(ATEN._to_copy.default, node, dtype=torch.int64)
            case "m":
                return self.call(ATEN.gt.Scalar, node, 0)
            case _:
                return node

    def finish(self, total: Node) -> Traced:
        output = self.graph.output((total,))
        output.meta["val"] = (total.meta["val"],)
        signature = ExportGraphSignature(
            self.specs, [OutputSpec(OutputKind.USER_OUTPUT, TensorArgument(total.name), None)]
        )
        module = torch.fx.GraphModule(torch.nn.Module(), self.graph)
        return Traced(module, signature, self.state, {}, tuple(self.inputs), Call(None))
