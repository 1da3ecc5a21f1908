"""The program of one run on real tensors, for models that ``torch.export`` does not take.

Every operation that the model calls is recorded while it runs. What Python is told on the way (``if x.sum() > 0``) is
recorded too, so that whoever reads the program knows on which values its path depended.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn
from torch._subclasses.functional_tensor import FunctionalTensor, FunctionalTensorMode, dispatch_functionalize
from torch.distributions import Distribution
from torch.export.graph_signature import (
    ConstantArgument,
    ExportGraphSignature,
    InputKind,
    InputSpec,
    OutputKind,
    OutputSpec,
    TensorArgument,
)
from torch.fx import traceback
from torch.fx.experimental.proxy_tensor import make_fx
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode
from torch.utils import _pytree as pytree

from orbitope.frontends.programs import Call, Traced


def record(model: nn.Module, args: Sequence[Any], kwargs: Mapping[str, Any], places: bool = True) -> Traced:
    """The program that a model follows on these inputs, functional, one operation after the other.

    Args:
        model: a module in evaluation mode.
        args: example inputs.
        kwargs: example inputs by name.
        places: also record source lines and module paths, which costs some time.

    Raises:
        Exception: whatever the model raises on these inputs.

    Guarantee: exact for inputs on which the values that it told Python are the same.
    """
    try:
        return _Recording(model, tuple(args), dict(kwargs)).run(places, exporting())
    except Exception as error:  # some models fail on the way that they take while they are exported, and on no other
        try:
            return _Recording(model, tuple(args), dict(kwargs)).run(places, nullcontext())
        except Exception:
            raise error from None


def input_names(model: nn.Module, args: Sequence[Any], kwargs: Mapping[str, Any]) -> list[str]:
    """A name for each tensor among the inputs: the argument of forward, and the path inside it."""
    accepted = [
        name
        for name, p in inspect.signature(model.forward).parameters.items()
        if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)
    ]
    named = [(accepted[k] if k < len(accepted) else f"argument_{k}", value) for k, value in enumerate(args)]
    found = []
    for name, value in [*named, *kwargs.items()]:
        for path, leaf in pytree.tree_flatten_with_path(value)[0]:
            if isinstance(leaf, torch.Tensor):
                found.append("_".join([name, *(str(key).strip(".[]'\"") for key in path)]))
    return found


def input_shapes(model: nn.Module, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, list[int]]:
    """The shape of every tensor among the inputs, by name."""
    tensors = [leaf for leaf in pytree.tree_leaves((tuple(args), dict(kwargs))) if isinstance(leaf, torch.Tensor)]
    return {name: list(x.shape) for name, x in zip(input_names(model, args, kwargs), tensors, strict=True)}


@dataclass
class _Recording:
    """One run of a model, and what is noted of it."""

    model: nn.Module
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    state: dict[str, torch.Tensor] = field(default_factory=dict)
    mutated: list[str] = field(default_factory=list)
    spec: pytree.TreeSpec | None = None

    def run(self, places: bool, mode: AbstractContextManager[None]) -> Traced:
        self.state = {
            **{name: p.detach() for name, p in self.model.named_parameters()},
            **{name: b.detach() for name, b in self.model.named_buffers()},
        }
        leaves, in_spec = pytree.tree_flatten((self.args, self.kwargs))
        tensors = [leaf for leaf in leaves if isinstance(leaf, torch.Tensor)]

        def call(state: dict[str, torch.Tensor], given: list[torch.Tensor]) -> list[Any]:
            fed = iter(given)
            filled = [next(fed) if isinstance(leaf, torch.Tensor) else leaf for leaf in leaves]
            args, kwargs = pytree.tree_unflatten(filled, in_spec)
            with _AsOutsideOfTraces():
                results, self.spec = pytree.tree_flatten(torch.func.functional_call(self.model, state, args, kwargs))
            self.mutated = [name for name, tensor in state.items() if _written(tensor)]
            return [*(state[name] for name in self.mutated), *results]

        functional = dispatch_functionalize(call, FunctionalTensorMode(pre_dispatch=True, export=True))
        tracer = make_fx(
            functional,
            tracing_mode="real",
            pre_dispatch=True,
            _error_on_data_dependent_ops=False,
            record_stack_traces=places,
        )
        with torch.no_grad(), mode, unchecked(), _module_paths(self.model if places else None):
            module = tracer(self.state, tensors)
        return self._program(module, input_names(self.model, self.args, self.kwargs), tensors)

    def _program(self, module: torch.fx.GraphModule, names: list[str], tensors: list[torch.Tensor]) -> Traced:
        placeholders = [node for node in module.graph.nodes if node.op == "placeholder"]
        kept = set(self.model.state_dict(keep_vars=True))
        trainable = {name for name, _ in self.model.named_parameters()}
        constants: dict[str, torch.Tensor] = {}
        specs: list[InputSpec] = []
        for node, (name, tensor) in zip(placeholders, self.state.items(), strict=False):
            kind = InputKind.PARAMETER if name in trainable else InputKind.BUFFER
            persistent = None if name in trainable else name in kept
            specs.append(InputSpec(kind, TensorArgument(node.name), name, persistent))
            node.meta["val"] = tensor
            if name not in kept:
                constants[name] = tensor
        for node, name, tensor in zip(placeholders[len(self.state) :], names, tensors, strict=True):
            if all(other.name != name for other in module.graph.nodes):
                node.name = name
            node.meta["val"] = tensor
            specs.append(InputSpec(InputKind.USER_INPUT, TensorArgument(node.name), None))
        for node in _lifted(module, constants):
            specs.append(InputSpec(InputKind.CONSTANT_TENSOR, TensorArgument(node.name), node.name))
        return Traced(
            module,
            ExportGraphSignature(specs, self._results(module)),
            {name: tensor.detach() for name, tensor in self.model.state_dict(keep_vars=True).items()},
            constants,
            tuple(tensors),
            Call(self.spec),
        )

    def _results(self, module: torch.fx.GraphModule) -> list[OutputSpec]:
        output = next(node for node in module.graph.nodes if node.op == "output")
        specs = []
        for k, result in enumerate(output.args[0]):
            own = k >= len(self.mutated)
            kind = OutputKind.USER_OUTPUT if own else OutputKind.BUFFER_MUTATION
            tensor = isinstance(result, torch.fx.Node)
            arg = TensorArgument(result.name) if tensor else ConstantArgument("", result)
            specs.append(OutputSpec(kind, arg, None if own else self.mutated[k]))
        return specs


def _written(tensor: Any) -> bool:
    """Whether the model wrote into a tensor."""
    asked: Any = torch  # which does not declare the function
    return isinstance(tensor, FunctionalTensor) and asked._functionalize_has_data_mutation(tensor.elem)


def _lifted(module: torch.fx.GraphModule, constants: dict[str, torch.Tensor]) -> Iterator[torch.fx.Node]:
    """Tensors that the model made in Python become operands, as an exported program has them."""
    graph = module.graph
    last = [node for node in graph.nodes if node.op == "placeholder"][-1:]
    made: dict[str, torch.fx.Node] = {}
    for node in [node for node in graph.nodes if node.op == "get_attr"]:
        tensor = getattr(module, str(node.target))
        if not isinstance(tensor, torch.Tensor):
            continue
        if str(node.target) not in made:
            with graph.inserting_after(*last) if last else graph.inserting_before(next(iter(graph.nodes))):
                made[str(node.target)] = new = graph.placeholder(f"constant{node.target}")
            new.meta["val"] = constants[new.name] = tensor.detach()
            last = [new]
            yield new
        node.replace_all_uses_with(made[str(node.target)])
        graph.erase_node(node)


class _AsOutsideOfTraces(TorchFunctionMode):
    """Two things that PyTorch does, and that a tracer refuses.

    Dropout in evaluation mode returns its operand, which may be written into. Numbers of positions may be given as a
    list of tensors with one entry each.
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """The call itself, with such operands as a tracer takes."""
        given = kwargs or {}
        if func is F.dropout and given.get("training", True) is False and not given.get("inplace", False):
            return args[0] if args else given["input"]
        if func in (torch.Tensor.__getitem__, torch.Tensor.__setitem__):
            places = args[1]
            found = tuple(map(_joined, places)) if isinstance(places, tuple) else _joined(places)
            args = (args[0], found, *args[2:])
        return func(*args, **given)


def _joined(places: Any) -> Any:
    """A list of tensors without axes as one tensor."""
    alone = isinstance(places, tuple | list) and places and all(isinstance(x, torch.Tensor) for x in places)
    return torch.stack(list(places)) if alone and not any(x.dim() for x in places) else places


@contextmanager
def unchecked() -> Iterator[None]:
    """Let distributions take their parameters as they are: a check of entries is no part of what is computed."""
    before = Distribution._validate_args
    Distribution.set_default_validate_args(False)
    try:
        yield
    finally:
        Distribution.set_default_validate_args(before)


@contextmanager
def exporting() -> Iterator[None]:
    """Let libraries take the way that they take while they are exported: without a look at the data."""
    flags = ("_is_exporting_flag", "_is_compiling_flag")
    before = {name: getattr(torch.compiler, name) for name in flags}
    try:
        for name in flags:
            setattr(torch.compiler, name, True)
        yield
    finally:
        for name in flags:
            setattr(torch.compiler, name, before[name])


@contextmanager
def _module_paths(model: nn.Module | None) -> Iterator[None]:
    """While it lasts every recorded operation notes the path of the module that called it."""
    if model is None:
        yield
        return
    stack: list[dict[str, Any]] = [{}]

    def enter(path: str, kind: type) -> None:
        stack.append({**stack[-1], path: (path, kind)})
        traceback.current_meta["nn_module_stack"] = stack[-1]

    def leave() -> None:
        stack.pop()
        traceback.current_meta["nn_module_stack"] = stack[-1]

    handles = []
    for path, module in model.named_modules():
        handles.append(module.register_forward_pre_hook(lambda m, _, path=path: enter(path, type(m))))
        handles.append(module.register_forward_hook(lambda *_: leave(), always_call=True))
    try:
        with traceback.preserve_node_meta():
            yield
    finally:
        for handle in handles:
            handle.remove()
        traceback.current_meta.pop("nn_module_stack", None)


__all__ = ["exporting", "input_names", "input_shapes", "record"]
