"""The graph that everything downstream of a front end works on: named values and the nodes that compute them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import torch

Attributes = Mapping[str, Any]


@dataclass(frozen=True)
class Node:
    """One value and how it is computed.

    Attributes:
        name: unique within the graph; also the name of the value.
        op: the primitive, a key of the registry in ``orbitope.primitives``.
        inputs: names of the operands, in order.
        shape: shape of the value.
        dtype: torch dtype name without prefix, e.g. ``float32``.
        attributes: JSON-like settings of the primitive.
        module: path of the module that the traced operation belongs to, ``""`` for the root.
        source: ``file.py:line`` of the traced operation, where known.
        target: name of the traced operation, e.g. ``aten.linear.default``.
    """

    name: str
    op: str
    inputs: tuple[str, ...]
    shape: tuple[int, ...]
    dtype: str = "float32"
    attributes: Attributes = field(default_factory=dict)
    module: str = ""
    source: str = ""
    target: str = ""

    def __str__(self) -> str:
        """One line: ``name: dtype[shape] = op(inputs) {attributes}``."""
        shown = {key: value for key, value in self.attributes.items() if key != "call"}
        extra = f" {shown}" if shown else ""
        return f"{self.name}: {self.dtype}{list(self.shape)} = {self.op}({', '.join(self.inputs)}){extra}"

    @property
    def place(self) -> str:
        """Where the node stands, for messages: node, source line, module."""
        parts = [f"node {self.name}"]
        if self.source:
            parts.append(f"({self.source})")
        if self.module:
            parts.append(f"in {self.module}")
        return " ".join(parts)


@dataclass(frozen=True)
class Parameter:
    """A tensor of the state dict that enters the computation.

    Attributes:
        names: all its state-dict names; the first is the canonical one. Several when tensors are tied.
        shape: its shape.
        dtype: torch dtype name without prefix.
        trainable: False for buffers such as running statistics.
        members: empty, or the names of several tensors of one shape that stand one after the other along axis 0: the
            parameters of exchangeable modules, which are read as one.
        part: None, or where this parameter begins along axis 0 of its one member, and how long that is.
        orders: for axes that are read in another order than they are stored in, the stored position of each position
            that is read.
    """

    names: tuple[str, ...]
    shape: tuple[int, ...]
    dtype: str
    trainable: bool = True
    members: tuple[tuple[str, ...], ...] = ()
    part: tuple[int, int] | None = None
    orders: Mapping[int, tuple[int, ...]] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The canonical name."""
        return self.names[0]


@dataclass(frozen=True)
class Graph:
    """A program over few primitives, in topological order.

    Attributes:
        nodes: in an order in which every operand comes before its use.
        parameters: by canonical name.
        inputs: names of the input nodes, in calling order.
        outputs: names of the values returned, in order (numbers only, no nesting).
        output_names: a readable name for each output.
        constants: tensors fixed at trace time, by constant name.
        unused: state-dict names that the program never reads.
        decisions: places where a value that depends on the inputs decided what was traced: other inputs may take
            another path than the one that this program is.
        unread: shapes of the floating ones among the unused, by name.
        notes: what was assumed on the way from the model to this program, one sentence each.
    """

    nodes: tuple[Node, ...]
    parameters: Mapping[str, Parameter]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    output_names: tuple[str, ...]
    constants: Mapping[str, torch.Tensor]
    unused: tuple[str, ...] = ()
    decisions: tuple[str, ...] = ()
    unread: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def __iter__(self) -> Iterator[Node]:
        """Nodes in order."""
        return iter(self.nodes)

    def __str__(self) -> str:
        """One node a line, then what is returned."""
        return "\n".join([*map(str, self.nodes), f"return {', '.join(self.outputs)}"])

    def node(self, name: str) -> Node:
        """The node of that name."""
        return self.by_name[name]

    @cached_property
    def by_name(self) -> Mapping[str, Node]:
        """Nodes by name."""
        return {node.name: node for node in self.nodes}

    def canonical(self, name: str) -> str | None:
        """The canonical name of a state-dict name; None where the program does not read it."""
        for parameter in self.parameters.values():
            if name in parameter.names:
                return parameter.name
        return None

    def with_nodes(self, nodes: tuple[Node, ...], **changes: Any) -> Graph:
        """The same graph with other nodes."""
        return replace(self, nodes=nodes, **changes)
