"""The user's own PyTorch model, run with other parameters and in another precision, and left as it was."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.export import ExportedProgram
from torch.func import functional_call
from torch.overrides import TorchFunctionMode

from orbitope.errors import InputError, ParametersError, TrainingModeError
from orbitope.group import SymmetryGroup

_WIDE = {
    torch.float32: torch.float64,
    torch.float16: torch.float64,
    torch.bfloat16: torch.float64,
    torch.complex64: torch.complex128,
    torch.complex32: torch.complex128,
}


_NARROWING = {torch.Tensor.float, torch.Tensor.half, torch.Tensor.bfloat16}


class Execution:
    """A model in evaluation mode on fixed inputs, as a function of its parameters.

    Args:
        model: never modified; its forward must not keep state outside of its buffers.
        args: inputs, as for ``model(*args)``; a single tensor is taken for the only input.
        kwargs: inputs by name.

    Raises:
        TrainingModeError: some module is in training mode.
    """

    def __init__(
        self, model: nn.Module | ExportedProgram, args: Sequence[Any], kwargs: Mapping[str, Any] | None
    ) -> None:
        """Refuse a model in training mode."""
        if isinstance(model, ExportedProgram):
            model = model.module(check_guards=False)
        elif training := [name or "the model" for name, module in model.named_modules() if module.training]:
            raise TrainingModeError(
                "the model is in training mode",
                at=", ".join(training[:5]),
                why="dropout and batch statistics make its value random or dependent on the batch",
                fix="call model.eval() first",
            )
        self.model = model
        self.args = (args,) if isinstance(args, torch.Tensor) else tuple(args)
        self.kwargs = dict(kwargs or {})
        self.own = {
            **{name: p.detach() for name, p in model.named_parameters(remove_duplicate=False)},
            **{name: b.detach() for name, b in model.named_buffers(remove_duplicate=False)},
        }
        self._buffers = {name for name, _ in model.named_buffers(remove_duplicate=False)}

    def state(self) -> dict[str, torch.Tensor]:
        """The model's state dict, detached."""
        saved = {*self.model.state_dict()} & {*self.own}
        return {name: tensor for name, tensor in self.own.items() if name in saved}

    @property
    def dtype(self) -> torch.dtype:
        """The narrowest floating dtype among the parameters; torch's default where there are none."""
        found = {t.dtype for t in self.own.values() if t.is_floating_point() or t.is_complex()}
        return min(found, key=lambda d: (torch.finfo(d).bits, str(d))) if found else torch.get_default_dtype()

    @property
    def device(self) -> str:
        """The devices of the parameters."""
        return ", ".join(sorted({str(t.device) for t in self.own.values() if not t.is_meta})) or "cpu"

    def check(self, params: Mapping[str, torch.Tensor]) -> None:
        """Refuse parameters that this model does not have, or has in another shape, all at once.

        Raises:
            ParametersError: listing them.
        """
        problems = []
        for name, tensor in params.items():
            if name not in self.own:
                problems.append(f"unexpected: {name} {list(tensor.shape)}")
            elif tensor.shape != self.own[name].shape:
                problems.append(f"shape: {name} is {list(tensor.shape)}, expected {list(self.own[name].shape)}")
        if problems:
            raise ParametersError(
                "the parameters do not fit this model",
                fix="pass the state dict of the same architecture",
                details=problems,
            )

    def run(self, params: Mapping[str, torch.Tensor], group: SymmetryGroup, wide: bool) -> dict[str, Any]:
        """The model's outputs by name.

        Args:
            params: by state-dict name; a name that is missing is looked up under its other names, then in the model.
            group: knows the other names.
            wide: in float64, with casts to narrower floats inside the model lifted.

        Raises:
            InputError: the model does not run on these inputs.
        """
        tensors = self._bound(params, group, wide)
        args = _mapped(widest, self.args) if wide else self.args
        kwargs = _mapped(widest, self.kwargs) if wide else self.kwargs
        try:
            with torch.no_grad(), _wide_arithmetic() if wide else _as_is():
                result = functional_call(self.model, tensors, args, kwargs, tie_weights=False, strict=True)
        except Exception as error:  # whatever the model's own code raises
            first = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
            raise InputError(
                "the model does not run on these inputs",
                got=f"{type(error).__name__}: {first[:300]}",
                fix="pass inputs that model(*args, **kwargs) accepts",
            ) from error
        return dict(_named("output", result))

    def _bound(self, params: Mapping[str, torch.Tensor], group: SymmetryGroup, wide: bool) -> dict[str, torch.Tensor]:
        """A tensor for every parameter and buffer of the model; tied ones are cast once."""
        cast: dict[tuple[Any, ...], torch.Tensor] = {}
        bound = {}
        for name, own in self.own.items():
            placement = group.placement(name)
            names = (name, *(placement.aliases(name) if placement is not None else ()))
            given = next((params[alias] for alias in names if alias in params), own).detach()
            dtype = _WIDE.get(own.dtype, own.dtype) if wide else own.dtype
            key = (given.data_ptr(), tuple(given.shape), given.stride(), given.dtype, dtype)
            if key not in cast:  # a model that was made without entries runs where those that are given are
                cast[key] = given.to(given.device if own.is_meta else own.device, dtype)
            # a forward may write into its buffers; the caller's tensors must not see it
            bound[name] = cast[key].clone() if name in self._buffers else cast[key]
        return bound


class _Lifted(TorchFunctionMode):
    """Casts to narrower floats become casts to float64, so that the model's own casts do not round."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """The same call with wide dtypes."""
        if func in _NARROWING:
            func = torch.Tensor.double
        wide = {key: _WIDE.get(v, v) if isinstance(v, torch.dtype) else v for key, v in (kwargs or {}).items()}
        return func(*(_WIDE.get(v, v) if isinstance(v, torch.dtype) else v for v in args), **wide)


@contextmanager
def _wide_arithmetic() -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        with _Lifted():
            yield
    finally:
        torch.set_default_dtype(before)


@contextmanager
def _as_is() -> Iterator[None]:
    yield


def widest(tensor: torch.Tensor) -> torch.Tensor:
    """A floating tensor in float64 or complex128; others as they are."""
    return tensor.to(_WIDE.get(tensor.dtype, tensor.dtype))


def _mapped(function: Callable[[torch.Tensor], torch.Tensor], value: Any) -> Any:
    """The same nested value with a function applied to its tensors."""
    match value:
        case torch.Tensor():
            return function(value)
        case Mapping():
            return _like(value, {key: _mapped(function, item) for key, item in value.items()})
        case tuple() if hasattr(value, "_fields"):
            return type(value)(*(_mapped(function, item) for item in value))
        case list() | tuple():
            return type(value)(_mapped(function, item) for item in value)
        case _:
            return value


def _like(value: Any, found: dict[Any, Any]) -> Any:
    """A mapping of the same type."""
    return type(value)(found)


def _named(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    """The leaves of a nested output with their paths."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _named(f"{name}.{key}", item)
    elif isinstance(value, list | tuple):
        fields = getattr(value, "_fields", None)
        for k, item in enumerate(value):
            yield from _named(f"{name}[{k}]" if fields is None else f"{name}.{fields[k]}", item)
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        for field in dataclasses.fields(value):
            yield from _named(f"{name}.{field.name}", getattr(value, field.name))
    elif value is not None:
        yield name, value
