"""From a traced program to a Graph; every lowering is executed as it is made."""

from __future__ import annotations

import operator
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch.export.graph_signature import InputKind
from torch.utils import _pytree as pytree

from orbitope.arithmetic.floats import Operand
from orbitope.errors import InputError
from orbitope.frontends import execution, programs
from orbitope.frontends.builder import Builder, Place, Value
from orbitope.frontends.execution import flat
from orbitope.frontends.lowerings import LOWERINGS, TAILS, Refused
from orbitope.frontends.programs import Program, Traced
from orbitope.graph import Graph, Node, Parameter


def lower(program: Program, outputs: Sequence[str] | None = None) -> Graph:
    """The Graph of a traced program.

    Every operation is lowered and, where its operands are real tensors, executed at once next to the operation itself,
    on the same operands, in float64. Of a program on the meta device only what is computed from constants is executed.

    Args:
        program: as returned by :func:`trace`.
        outputs: names of the outputs that define the function; all by default.

    Raises:
        LoweringError: a lowering and the operation it stands for disagree.
        ExportError: an operation does not run on the example inputs.

    Guarantee: numeric, within rounding, on the example inputs of the trace; heuristic for what is not executed.
    """
    return _Lowering(program).run(outputs)


_NUMBERING = frozenset({torch.bool, torch.int16, torch.int32, torch.int64})
"""Types of tables of positions and masks; bytes may be quantised weights."""


class _Lowering:
    """One walk over the traced program."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.decisions: dict[str, tuple[Value, Place]] = {}
        self.builder = Builder()
        self.values: dict[str, Any] = {}
        self.parameters: dict[str, Parameter] = {}
        self.inputs: list[str] = []
        self.holders: Counter[str] = Counter()

    def run(self, wanted: Sequence[str] | None) -> Graph:
        """Placeholders, then operations, then outputs."""
        uses = {node.name: len(node.users) for node in self.program.graph.nodes}
        self._placeholders()
        self.holders.update(x.name for x in self.values.values() if isinstance(x, Value))
        with torch.no_grad():
            for node in self.program.graph.nodes:
                if node.op == "get_attr":
                    self.values[node.name] = getattr(self.program.graph_module, str(node.target))
                if node.op == "call_function":
                    emitted = len(self.builder.nodes)
                    self._operation(node)
                    self._forget(self.builder.nodes[emitted:], self.values[node.name])
                    for operand in node.all_input_nodes:
                        uses[operand.name] -= 1
                        if not uses[operand.name]:
                            self._release(self.values.get(operand.name))
        return self._finish(wanted)

    # placeholders --------------------------------------------------------------------------------------------------
    def _placeholders(self) -> None:
        program, b = self.program, self.builder
        ties = programs.ties(program.state_dict)
        leaves = iter(pytree.tree_leaves(program.example_inputs or ()))
        specs = {spec.arg.name: spec for spec in program.graph_signature.input_specs}
        for node in program.graph.nodes:
            if node.op != "placeholder":
                continue
            spec = specs[node.name]
            b.place = Place(node.name)
            if spec.kind == InputKind.USER_INPUT:
                self._input(node, next(leaves, None))
            elif spec.kind in (InputKind.PARAMETER, InputKind.BUFFER) and spec.target in program.state_dict:
                self._parameter(node, spec, ties)
            else:
                tensor = program.constants.get(spec.target or "")
                self.values[node.name] = b.constant(tensor, node.name) if isinstance(tensor, torch.Tensor) else None

    def _input(self, node: torch.fx.Node, example: Any) -> None:
        meta = node.meta.get("val")
        if not isinstance(meta, torch.Tensor):
            self.values[node.name] = meta
            return
        self.inputs.append(node.name)
        value = self._leaf(node.name, "input", meta, {"input": node.name})
        self._set(value, example)

    def _parameter(self, node: torch.fx.Node, spec: Any, ties: programs.Ties) -> None:
        owner = ties.owner[spec.target]
        tensor = self.program.state_dict[owner]
        if owner in self.parameters:
            known = self.parameters[owner]
            trainable = known.trainable or spec.kind == InputKind.PARAMETER
            self.parameters[owner] = replace(known, trainable=trainable)
            self.values[node.name] = self.values[owner]
            return
        self.parameters[owner] = Parameter(
            tuple(name for name, first in ties.owner.items() if first == owner),
            tuple(tensor.shape),
            str(tensor.dtype).removeprefix("torch."),
            spec.kind == InputKind.PARAMETER,
        )
        attributes = {"parameter": owner}
        if spec.target in ties.overlapping:
            attributes["frozen"] = f"{owner} shares memory with another parameter of another shape"
        elif spec.target in programs.mutated_buffers(self.program):
            attributes["frozen"] = f"{owner} is overwritten by every call"
        elif tensor.dtype in _NUMBERING:
            attributes["frozen"] = f"{owner} holds positions or a mask, no weights"
        value = self._leaf(node.name, "parameter", tensor, attributes)
        self.values[owner] = value
        self._set(value, tensor)

    def _leaf(self, name: str, op: str, tensor: torch.Tensor, attributes: dict[str, Any]) -> Value:
        value = self.builder.emit(op, (), tensor.shape, tensor.dtype, stem=name, **attributes)
        self.values[name] = value
        return value

    def _set(self, value: Value, tensor: Any) -> None:
        if isinstance(tensor, torch.Tensor) and not execution.is_abstract(tensor):
            self.builder.tensors[value.name] = execution.wide(tensor.detach())

    # operations ----------------------------------------------------------------------------------------------------
    def _operation(self, node: torch.fx.Node) -> None:
        if node.target is operator.getitem:
            source, index = node.args
            assert isinstance(source, torch.fx.Node)
            self.values[node.name] = self.values[source.name][index]
            return
        if isinstance(self.program, Traced):
            self._decisions(node)
        if node.meta.get("val") is None:  # an assertion about shapes or dtypes: no value
            self.values[node.name] = None
            return
        b = self.builder
        where = (node.name, programs.module_path(node), programs.source_line(node), str(node.target))
        b.place = Place(*where, strides=_strides(node))
        call = pytree.tree_map_only(torch.fx.Node, lambda x: self.values[x.name], programs.arguments(node))
        tensors = [x for x in pytree.tree_leaves(call) if isinstance(x, Value)]
        runs = all(x.name in b.tensors for x in tensors)
        runs = runs and not _means_nothing(node)
        if runs and all(b.known(x) is not None for x in tensors) and _aten(node) is not None:
            folded = execution.run_as_traced(b, _called(node), call)
            self.values[node.name] = pytree.tree_map_only(torch.Tensor, b.constant, folded)
            return
        expected = execution.run(b, _called(node), call) if runs else None
        before = len(b.nodes)
        result = self._lower(node, call)
        if result is None:
            del b.nodes[before:]
            result = self._opaque(node, call, tensors, expected)
        elif expected is not None:
            execution.compare(b, flat(result), flat(expected), tensors)
        self.values[node.name] = result

    def _decisions(self, node: torch.fx.Node) -> None:
        """Values that the path of a recorded program depended on; those that the program itself fixes are none."""
        for operand in programs.decisive(node):
            value = self.values[operand.name]
            if isinstance(value, Value) and self.builder.known(value) is None:
                place = Place(node.name, programs.module_path(node), programs.source_line(node), str(node.target))
                self.decisions.setdefault(value.name, (value, place))

    def _lower(self, node: torch.fx.Node, call: execution.Call) -> Any:
        """What the table of lowerings makes of an operation; None where it has nothing that covers this call."""
        lowering = LOWERINGS.get(str(node.target))
        if lowering is None:
            return None
        self.builder.tolerance, self.builder.ties = 0.0, False
        try:
            result = lowering(self.builder, *call[0], **call[1])
        except (Refused, AssertionError, IndexError, RuntimeError, TypeError, ValueError):
            return None  # arguments that the lowering does not foresee are as good as refused
        left_out = {k for k, x in enumerate(flat(result)) if x is None}
        return None if left_out & programs.read_results(node) else result

    def _opaque(self, node: torch.fx.Node, call: execution.Call, tensors: list[Value], expected: Any) -> Any:
        """Nodes that run the operation itself; of most nothing is known, of some that they carry leading axes."""
        b = self.builder
        several = isinstance(node.meta["val"], tuple | list)
        metas = flat(node.meta["val"])
        carried = self._carried(node, tensors, metas)
        if carried and len(tensors) > 1:  # entry by entry: make the broadcasting explicit
            spread = {x.name: b.broadcast(x, metas[0].shape) for x in tensors}
            call = pytree.tree_map_only(Value, lambda x: spread[x.name], call)
            tensors = [spread[x.name] for x in tensors]
        if carried and expected is not None and not execution.carries(b, _called(node), call, carried):
            carried = 0
        order = {x.name: k for k, x in enumerate(tensors)}
        args, kwargs = pytree.tree_map_only(Value, lambda x: Operand(order[x.name]), call)
        results: list[Any] = []
        for k, meta in enumerate(metas):
            if not isinstance(meta, torch.Tensor):
                results.append(meta)
                continue
            recorded = {"function": node.target, "args": args, "kwargs": kwargs, "select": k if several else None}
            computed = None if expected is None else execution.wide(flat(expected)[k])
            settings = {"call": recorded, "carried": carried}
            results.append(b.emit("opaque", tensors, meta.shape, meta.dtype, computed=computed, **settings))
        return tuple(results) if several else results[0]

    def _carried(self, node: torch.fx.Node, tensors: list[Value], metas: list[Any]) -> int:
        """How many leading axes an operation without a lowering carries: all of an entry-wise one, or as declared."""
        operation = _aten(node)
        if operation is None or not tensors or not all(isinstance(meta, torch.Tensor) for meta in metas):
            return 0
        tail = TAILS.get(str(node.target))
        if torch.Tag.pointwise in operation.tags or tail == 0:
            common = torch.broadcast_shapes(*(x.shape for x in tensors))
            return len(common) if all(tuple(meta.shape) == tuple(common) for meta in metas) else 0
        axes = 0 if tail is None or len(tensors) > 1 else tensors[0].rank - tail
        leading = tensors[0].shape[:axes]
        return axes if all(tuple(meta.shape[:axes]) == leading for meta in metas) else 0

    def _forget(self, emitted: Sequence[Node], result: Any) -> None:
        """Drop the tensors of intermediate nodes; count the names that stand for each result."""
        exposed = {item.name for item in flat(result) if isinstance(item, Value)}
        self.holders.update(exposed)
        for node in emitted:
            if node.name not in exposed and node.name not in self.builder.constants:
                self.builder.tensors.pop(node.name, None)

    def _release(self, value: Any) -> None:
        """A traced name was read for the last time; forget what no other name stands for."""
        for item in flat(value):
            if isinstance(item, Value):
                self.holders[item.name] -= 1
                kept = item.name in self.builder.constants or item.name in self.builder.masks
                if self.holders[item.name] <= 0 and not kept:
                    self.builder.tensors.pop(item.name, None)

    # outputs -------------------------------------------------------------------------------------------------------
    def _finish(self, wanted: Sequence[str] | None) -> Graph:
        b, program = self.builder, self.program
        returned = {name: self.values[node.name] for name, node in programs.user_outputs(program).items()}
        found = {name: value for name, value in returned.items() if isinstance(value, Value)}
        if wanted is not None:
            unknown = [name for name in wanted if name not in found]
            if unknown:
                raise InputError(
                    "the model has no output of that name",
                    got=", ".join(unknown),
                    fix=f"choose among {', '.join(found)}",
                )
            found = {name: found[name] for name in wanted}
        ends = []
        for name, value in found.items():
            b.place = Place(f"output:{name}")
            ends.append(b.emit("output", (value,), value.shape, value.dtype, stem=f"output:{name}").name)
        told = []
        for value, b.place in self.decisions.values():
            why = "it indexes a value that decides what is computed"
            told.append(b.emit("output", (value,), value.shape, value.dtype, stem="decision", why=why).name)
        kept = programs.reachable(b.nodes, [*ends, *told], self.inputs)
        read = {node.attributes["parameter"] for node in kept if node.op == "parameter"}
        used = {name for key in read for name in self.parameters[key].names}
        return Graph(
            nodes=tuple(kept),
            parameters={key: self.parameters[key] for key in self.parameters if key in read},
            inputs=tuple(self.inputs),
            outputs=tuple(ends),
            output_names=tuple(found),
            constants={node.name: b.constants[node.name] for node in kept if node.op == "constant"},
            unused=tuple(name for name in program.state_dict if name not in used),
            decisions=self._by_inputs(kept, told),
            unread={
                name: tuple(tensor.shape)
                for name, tensor in program.state_dict.items()
                if name not in used and tensor.is_floating_point()
            },
        )

    def _by_inputs(self, nodes: Sequence[Node], told: Sequence[str]) -> tuple[str, ...]:
        """Where values that depend on the inputs decided the path: other inputs may take another."""
        varies: set[str] = set()
        for node in nodes:
            drawn = node.op == "opaque" and programs.is_random(node.attributes["call"]["function"])
            if node.op == "input" or drawn or not varies.isdisjoint(node.inputs):
                varies.add(node.name)
        return tuple(dict.fromkeys(node.place for node in nodes if node.name in told and node.name in varies))


def _called(node: torch.fx.Node) -> Callable[..., Any]:
    """The function that a ``call_function`` node calls."""
    assert not isinstance(node.target, str)
    return node.target


def _aten(node: torch.fx.Node) -> torch._ops.OpOverload | None:
    """The operation that a node calls, unless it is drawn at random or none of torch's."""
    called = node.target
    drawn = isinstance(called, torch._ops.OpOverload) and torch.Tag.nondeterministic_seeded in called.tags
    return called if isinstance(called, torch._ops.OpOverload) and not drawn else None


def _strides(node: torch.fx.Node) -> tuple[int, ...] | None:
    """Of the first operand, unless it begins within its storage."""
    first = node.args[0].meta.get("val") if node.args and isinstance(node.args[0], torch.fx.Node) else None
    plain = isinstance(first, torch.Tensor) and first.layout == torch.strided and not first.storage_offset()
    return tuple(first.stride()) if plain and isinstance(first, torch.Tensor) else None


def _means_nothing(node: torch.fx.Node) -> bool:
    """Whether the value is memory that was only reserved, and is written before it is read."""
    return str(node.target).startswith(("aten.empty", "aten.new_empty"))
