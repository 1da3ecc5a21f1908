"""From a PyTorch module to a Graph, by way of ``torch.export``; every lowering is executed as it is made."""

from __future__ import annotations

import operator
import re
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.export import ExportedProgram
from torch.export.graph_signature import InputKind
from torch.utils import _pytree as pytree

from orbitope.arithmetic.floats import Operand
from orbitope.errors import ExportError, InputError, LoweringError, TrainingModeError
from orbitope.frontends.builder import Builder, Place, Value
from orbitope.frontends.lowerings import LOWERINGS, Refused
from orbitope.graph import Graph, Node, Parameter

_TORCH = str(Path(torch.__file__).parent)


def trace(
    model: nn.Module | ExportedProgram, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
) -> ExportedProgram:
    """The functional program of a model in evaluation mode.

    Args:
        model: a module, or a program that was exported already.
        args: example inputs.
        kwargs: example inputs by name.

    Raises:
        TrainingModeError: some module is in training mode.
        ExportError: the model cannot be traced with these inputs.
    """
    if isinstance(model, ExportedProgram):
        return _decomposed(model)
    training = [name or "the model" for name, module in model.named_modules() if module.training]
    if training:
        shown = ", ".join(training[:5]) + (f" and {len(training) - 5} more" if len(training) > 5 else "")
        raise TrainingModeError(
            "the model is in training mode",
            at=shown,
            why="dropout and batch statistics make its value random or dependent on the batch",
            fix="call model.eval() first",
        )
    try:
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            program = torch.export.export(model, tuple(args), dict(kwargs or {}), strict=False)
            return _decomposed(program)
    except InputError:
        raise
    except Exception as error:  # whatever the tracer or the model's own code raises
        raise _cannot_trace(error) from error


def _decomposed(program: ExportedProgram) -> ExportedProgram:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return program.run_decompositions({})


def _cannot_trace(error: Exception) -> ExportError:
    first = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
    place, code = _user_frame(error)
    text = f"{type(error).__name__} {error}"
    if re.search(r"data-dependent|Could not guard|GuardOnDataDependent|torch\.cond|Dynamic control flow", text):
        why = "the program depends on the values of its inputs (an if or a loop on tensor data), so one trace is not it"
        fix = "replace the branch by tensor operations (torch.where, masks), or analyse the parts between the branches"
    elif isinstance(error, TypeError) and "argument" in str(error):
        why = "the example inputs do not match the arguments of forward"
        fix = "pass the inputs that model(...) itself accepts"
    elif re.search(r"shape|size|mat1|Expected \d|expected input|must match|out of range|dtype", str(error)):
        why = "the model does not accept inputs of these shapes or dtypes"
        fix = "pass example inputs that model(...) itself accepts; try model(*args) first"
    else:
        why = "torch.export could not turn the model into one program"
        fix = "run torch.export.export(model, args, strict=False) to see its full report, and rewrite that construct"
    return ExportError(
        "the model cannot be exported",
        at=f"{place}: {code}" if place else None,
        got=f"{type(error).__name__}: {first[:300]}",
        why=why,
        fix=fix,
    )


def _user_frame(error: BaseException) -> tuple[str, str]:
    """File, line and code of the innermost frame that is the user's own."""
    found = ("", "")
    trace_back = error.__traceback__
    while trace_back is not None:
        name = trace_back.tb_frame.f_code.co_filename
        own = not name.startswith(_TORCH) and not name.startswith("<") and "orbitope" not in Path(name).parts[-4:]
        if own and "site-packages" not in name and Path(name).suffix == ".py":
            import linecache

            line = linecache.getline(name, trace_back.tb_lineno).strip()
            found = (f"{Path(name).name}:{trace_back.tb_lineno}", line)
        trace_back = trace_back.tb_next
    return found


def lower(program: ExportedProgram, outputs: Sequence[str] | None = None) -> Graph:
    """The Graph of an exported program.

    Every operation is lowered and, where the program holds real tensors, executed at once next to the operation
    itself, on the same operands, in float64.

    Args:
        program: as returned by :func:`trace`.
        outputs: names of the outputs that define the function; all by default.

    Raises:
        LoweringError: a lowering and the operation it stands for disagree.

    Guarantee: numeric, within rounding, on the example inputs of the trace.
    """
    return _Lowering(program).run(outputs)


class _Lowering:
    """One walk over the traced program."""

    def __init__(self, program: ExportedProgram) -> None:
        self.program = program
        inputs = program.example_inputs
        state = [*program.state_dict.values(), *program.constants.values()]
        tensors = [t for t in [*state, *pytree.tree_leaves(inputs)] if isinstance(t, torch.Tensor)]
        real = inputs is not None and not any(t.is_meta or _is_fake(t) for t in tensors)
        self.builder = Builder(execute=real)
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
        owners = _tied(program.state_dict)
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
                self._parameter(node, spec, owners[spec.target])
            else:
                tensor = program.constants.get(spec.target)
                self.values[node.name] = b.constant(tensor, node.name) if isinstance(tensor, torch.Tensor) else None

    def _input(self, node: torch.fx.Node, example: Any) -> None:
        meta = node.meta.get("val")
        if not isinstance(meta, torch.Tensor):
            self.values[node.name] = meta
            return
        self.inputs.append(node.name)
        value = self._leaf(node.name, "input", meta, {"input": node.name})
        self._set(value, example)

    def _parameter(self, node: torch.fx.Node, spec: Any, owner: str) -> None:
        tensor = self.program.state_dict[owner]
        if owner in self.parameters:
            known = self.parameters[owner]
            names = known.names if spec.target in known.names else (*known.names, spec.target)
            trainable = known.trainable or spec.kind == InputKind.PARAMETER
            self.parameters[owner] = replace(known, names=names, trainable=trainable)
            self.values[node.name] = self.values[owner]
            return
        self.parameters[owner] = Parameter(
            (owner,) if spec.target == owner else (owner, spec.target),
            tuple(tensor.shape),
            str(tensor.dtype).removeprefix("torch."),
            spec.kind == InputKind.PARAMETER,
        )
        value = self._leaf(node.name, "parameter", tensor, {"parameter": owner})
        self.values[owner] = value
        self._set(value, tensor)

    def _leaf(self, name: str, op: str, tensor: torch.Tensor, attributes: dict[str, Any]) -> Value:
        value = self.builder.emit(op, (), tensor.shape, tensor.dtype, stem=name, **attributes)
        self.values[name] = value
        return value

    def _set(self, value: Value, tensor: Any) -> None:
        if self.builder.execute and isinstance(tensor, torch.Tensor):
            self.builder.tensors[value.name] = _wide(tensor.detach())

    # operations ----------------------------------------------------------------------------------------------------
    def _operation(self, node: torch.fx.Node) -> None:
        if node.target is operator.getitem:
            source, index = node.args
            self.values[node.name] = self.values[source.name][index]  # type: ignore[union-attr]
            return
        b = self.builder
        b.place = Place(node.name, _module(node), _source(node), str(node.target))
        args, kwargs = _bind(node)
        args, kwargs = pytree.tree_map_only(torch.fx.Node, lambda x: self.values[x.name], (args, kwargs))
        tensors = [x for x in pytree.tree_leaves((args, kwargs)) if isinstance(x, Value)]
        expected = self._execute(node, args, kwargs, tensors)
        if expected is not None and all(b.known(x) is not None for x in tensors) and _is_aten(node):
            native = self._native(node, args, kwargs)
            self.values[node.name] = pytree.tree_map_only(torch.Tensor, b.constant, native)
            return
        before = len(b.nodes)
        result = self._lower(node, args, kwargs)
        if result is None:
            del b.nodes[before:]
            result = self._opaque(node, args, kwargs, tensors)
        elif expected is not None:
            self._compare(node, result, expected)
        self.values[node.name] = result

    def _lower(self, node: torch.fx.Node, args: Any, kwargs: Any) -> Any:
        lowering = LOWERINGS.get(str(node.target))
        if lowering is None:
            return None
        try:
            return lowering(self.builder, *args, **kwargs)
        except Refused:
            return None

    def _opaque(self, node: torch.fx.Node, args: Any, kwargs: Any, tensors: list[Value]) -> Any:
        """Nodes that run the operation itself and about which nothing is known."""
        b = self.builder
        order = {x.name: k for k, x in enumerate(tensors)}
        template = pytree.tree_map_only(Value, lambda x: Operand(order[x.name]), (args, kwargs))
        metas = node.meta["val"] if isinstance(node.meta["val"], tuple | list) else [node.meta["val"]]
        results: list[Value | None] = []
        for k, meta in enumerate(metas):
            if not isinstance(meta, torch.Tensor):
                results.append(meta)
                continue
            select = k if isinstance(node.meta["val"], tuple | list) else None
            call = {"function": node.target, "args": template[0], "kwargs": template[1], "select": select}
            results.append(b.emit("opaque", tensors, meta.shape, meta.dtype, call=call))
        return tuple(results) if isinstance(node.meta["val"], tuple | list) else results[0]

    # execution -----------------------------------------------------------------------------------------------------
    def _execute(self, node: torch.fx.Node, args: Any, kwargs: Any, tensors: list[Value]) -> Any:
        """What the operation itself returns on the lowered operands' float64 values; None where it cannot run."""
        b = self.builder
        if not b.execute or not all(x.name in b.tensors for x in tensors):
            return None
        real = pytree.tree_map_only(Value, lambda x: b.tensors[x.name], (args, kwargs))
        try:
            return node.target(*real[0], **real[1])  # type: ignore[operator]
        except (RuntimeError, TypeError, NotImplementedError):
            return self._native(node, args, kwargs)

    def _native(self, node: torch.fx.Node, args: Any, kwargs: Any) -> Any:
        """The same in the dtypes of the trace."""
        b = self.builder
        real = pytree.tree_map_only(Value, lambda x: b.tensors[x.name].to(x.dtype), (args, kwargs))
        return node.target(*real[0], **real[1])  # type: ignore[operator]

    def _compare(self, node: torch.fx.Node, result: Any, expected: Any) -> None:
        pairs = zip(_flat(result), _flat(expected), strict=False)
        for value, truth in pairs:
            if not isinstance(value, Value) or not isinstance(truth, torch.Tensor):
                continue
            ours = self.builder.tensors[value.name]
            if ours.shape != truth.shape:
                raise self._disagrees(node, f"shape {list(ours.shape)}, the operation gives {list(truth.shape)}")
            if truth.numel() == 0:
                continue
            scale = _magnitude(truth)
            coarse = truth.dtype if truth.dtype.is_floating_point else torch.float64
            allowed = 1e4 * torch.finfo(coarse).eps * max(scale, 1e-30)
            same = (ours == truth) | (ours.isnan() & truth.isnan()) if truth.is_floating_point() else ours == truth
            error = (ours.double() - truth.double()).abs().masked_fill(same, 0.0).max().item()
            if not error <= allowed:
                raise self._disagrees(node, f"largest difference {error:.3g} where values reach {scale:.3g}")

    def _disagrees(self, node: torch.fx.Node, got: str) -> LoweringError:
        place = self.builder.place
        return LoweringError(
            f"the lowering of {node.target} does not compute what the operation computes",
            at=f"node {node.name} ({place.source}) in {place.module or 'the model'}",
            got=got,
            why="a wrong lowering would make every result about this model wrong",
            fix="report this model; until then analyse the part that does not contain the operation",
        )

    def _forget(self, emitted: Sequence[Node], result: Any) -> None:
        """Drop the tensors of intermediate nodes; count the names that stand for each result."""
        exposed = {item.name for item in _flat(result) if isinstance(item, Value)}
        self.holders.update(exposed)
        for node in emitted:
            if node.name not in exposed and node.name not in self.builder.constants:
                self.builder.tensors.pop(node.name, None)

    def _release(self, value: Any) -> None:
        """A traced name was read for the last time; forget what no other name stands for."""
        for item in _flat(value):
            if isinstance(item, Value):
                self.holders[item.name] -= 1
                if self.holders[item.name] <= 0 and item.name not in self.builder.constants:
                    self.builder.tensors.pop(item.name, None)

    # outputs -------------------------------------------------------------------------------------------------------
    def _finish(self, wanted: Sequence[str] | None) -> Graph:
        b, program = self.builder, self.program
        output = next(node for node in program.graph.nodes if node.op == "output")
        nodes = [x for x in pytree.tree_leaves(output.args[0]) if isinstance(x, torch.fx.Node)]
        values = [self.values[x.name] for x in nodes]
        found = {name: value for name, value in zip(_names(program, nodes), values, strict=True) if isinstance(value, Value)}
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
        kept = _reachable(b.nodes, ends, self.inputs)
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
        )


def _names(program: ExportedProgram, nodes: list[torch.fx.Node]) -> list[str]:
    spec = program.call_spec.out_spec
    tree = pytree.tree_unflatten(list(range(spec.num_leaves)), spec) if spec is not None else None
    if spec is None or spec.num_leaves != len(nodes):
        return [f"output_{k}" for k in range(len(nodes))]
    if spec.num_leaves == 1 and tree == 0:
        return ["output"]
    paths, _ = pytree.tree_flatten_with_path(tree)
    return [pytree.keystr(path).strip(".[]'\"").replace("']['", ".").replace("][", ".") or "output" for path, _ in paths]


def _tied(state: Mapping[str, torch.Tensor]) -> dict[str, str]:
    """For each state-dict name the first name of the same tensor (storage, offset, shape and stride)."""
    first: dict[tuple[Any, ...], str] = {}
    owners: dict[str, str] = {}
    for name, tensor in state.items():
        if tensor.numel() == 0:
            owners[name] = name
            continue
        key = (tensor.untyped_storage()._cdata, tensor.storage_offset(), tuple(tensor.shape), tensor.stride())
        owners[name] = first.setdefault(key, name)
    return owners


def _bind(node: torch.fx.Node) -> tuple[list[Any], dict[str, Any]]:
    """All positional arguments with defaults filled in, and the keyword-only ones that were given."""
    schema = getattr(node.target, "_schema", None)
    if schema is None:
        return list(node.args), dict(node.kwargs)
    args, kwargs = list(node.args), dict(node.kwargs)
    positional = [argument for argument in schema.arguments if not argument.kwarg_only]
    for argument in positional[len(args) :]:
        args.append(kwargs.pop(argument.name, argument.default_value))
    return args, kwargs


def _flat(value: Any) -> list[Any]:
    return list(value) if isinstance(value, tuple | list) else [value]


def _is_aten(node: torch.fx.Node) -> bool:
    return isinstance(node.target, torch._ops.OpOverload) and torch.Tag.nondeterministic_seeded not in node.target.tags


def _is_fake(tensor: torch.Tensor) -> bool:
    return isinstance(tensor, torch._subclasses.FakeTensor)


def _wide(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.double() if tensor.is_floating_point() else tensor


def _magnitude(tensor: torch.Tensor) -> float:
    finite = tensor.double().abs()
    finite = finite[finite.isfinite()]
    return finite.max().item() if finite.numel() else 0.0


def _module(node: torch.fx.Node) -> str:
    stack = node.meta.get("nn_module_stack") or {}
    return list(stack.values())[-1][0] if stack else ""


def _source(node: torch.fx.Node) -> str:
    """``file.py:line`` of the innermost frame outside torch, or of the innermost at all."""
    frames = re.findall(r'File "([^"]+)", line (\d+)', node.meta.get("stack_trace") or "")
    own = [frame for frame in frames if not frame[0].startswith(_TORCH)]
    if not frames:
        return ""
    name, line = (own or frames)[-1]
    return f"{Path(name).name}:{line}"


def _reachable(nodes: list[Node], outputs: Sequence[str], inputs: Sequence[str]) -> list[Node]:
    """Nodes that some output needs, and the inputs."""
    needed = {*outputs, *inputs}
    kept = []
    for node in reversed(nodes):
        if node.name in needed:
            kept.append(node)
            needed.update(node.inputs)
    return kept[::-1]
