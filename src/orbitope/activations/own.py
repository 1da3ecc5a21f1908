"""Functions of the user's own: what an activation must be, and one clear error for each way in which it is none."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable
from typing import Any, cast

import torch
from torch import nn

from orbitope.errors import InputError

Function = Callable[[torch.Tensor], torch.Tensor]


class ActivationError(InputError):
    """A function is no activation."""

    code = "E106"


class Held:
    """A module as a function: in float64 and evaluation mode, its parameters held fixed and not the network's."""

    def __init__(self, module: nn.Module) -> None:
        """Copy the module."""
        self.module = copy.deepcopy(module).double().eval().requires_grad_(False)

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """Its values."""
        return self.module(x)


FIX = "write a function of one floating tensor that returns, for each entry, a number computed from that entry alone"


def own(function: Any, name: str = "the activation") -> Function:
    """The function, once it is seen to be an activation; of a module, or its class, the parameters are held fixed.

    Raises:
        ActivationError: it does not run, or returns no real floating tensor of the same shape, NaN, other values at a
            second call, or values that depend on other entries; or it changes its input.

    Guarantee: heuristic; it is called on a few hundred numbers.
    """
    found = _callable(function, name)
    x = _sample()
    y = _checked(found, x, name)
    again = _called(found, x, name)
    if not torch.equal(y, again):
        apart = (y - again).abs().nan_to_num().argmax()
        raise ActivationError(
            f"{name} is random",
            got=f"two calls at x = {float(x.flatten()[apart]):.4g} give {float(y.flatten()[apart]):.6g} "
            f"and {float(again.flatten()[apart]):.6g}",
            why="F must be one function of the parameters",
            fix="use its mean: most random activations are not random in evaluation mode",
        )
    _entrywise(found, x, y, name)
    return found


def _callable(given: Any, name: str) -> Function:
    function: Any = given
    if inspect.isclass(given) and issubclass(given, nn.Module):
        try:
            function = given()
        except Exception as error:
            raise ActivationError(
                f"{name} cannot be made", got=f"{type(error).__name__}: {error}"[:300], fix="name a function instead"
            ) from error
    if isinstance(function, nn.Module):
        return Held(function)
    if not callable(function):
        raise ActivationError(f"{name} is no function", got=type(given).__name__, fix=FIX)
    return cast("Function", function)


def _sample() -> torch.Tensor:
    """Numbers of all sizes, in an order that is not theirs; some come twice."""
    base = torch.cat([torch.linspace(-8, 8, 161), torch.tensor([-50.0, -1e-3, 0.0, 1e-3, 50.0])]).double()
    every = torch.cat([base, base[::7]])
    order = torch.randperm(len(every), generator=torch.Generator().manual_seed(3))
    return every[order][: len(every) // 8 * 8].reshape(2, -1)


def _called(function: Function, x: torch.Tensor, name: str) -> Any:
    try:
        with torch.no_grad():
            return function(x)
    except Exception as error:  # whatever the user's function raises
        raise ActivationError(
            f"{name} does not run",
            got=f"{type(error).__name__}: {error}"[:300],
            why=f"it was called with one {str(x.dtype).removeprefix('torch.')} tensor of shape {list(x.shape)}",
            fix=FIX,
        ) from error


def _checked(function: Function, x: torch.Tensor, name: str) -> torch.Tensor:
    given = x.clone()
    y = _called(function, given, name)
    if not isinstance(y, torch.Tensor):
        raise ActivationError(f"{name} returns no tensor", got=type(y).__name__, fix=FIX)
    if y.shape != x.shape:
        raise ActivationError(
            f"{name} returns another shape", got=f"{list(y.shape)} for an input {list(x.shape)}", fix=FIX
        )
    if not y.is_floating_point() or y.dtype != x.dtype:
        raise ActivationError(
            f"{name} returns another kind of number",
            got=f"{str(y.dtype).removeprefix('torch.')} for an input float64",
            why="gaps are measured in float64, and whole numbers have no gradient",
            fix="leave out what casts: .long(), .float(), torch.tensor of another dtype",
        )
    if not torch.equal(given, x):
        raise ActivationError(f"{name} changes its input", fix="leave out operations in place, as x.relu_() or x += 1")
    if not bool(y.isfinite().all()):
        bad = (~y.isfinite()).nonzero()[0].tolist()
        raise ActivationError(
            f"{name} is not finite everywhere",
            got=f"{float(y[tuple(bad)]):g} at x = {float(x[tuple(bad)]):.4g}; "
            f"{int((~y.isfinite()).sum())} of {y.numel()} values between −50 and 50",
            why="inputs of an activation can be any numbers",
            fix="make it total, for instance with clamp or torch.where",
        )
    return y


def _entrywise(function: Function, x: torch.Tensor, y: torch.Tensor, name: str) -> None:
    """Entries alone, in another order and in another shape give the same values."""
    order = torch.randperm(x.numel(), generator=torch.Generator().manual_seed(5))
    alone = [(x.flatten()[k : k + 1], y.flatten()[k : k + 1]) for k in range(0, x.numel(), x.numel() // 12)]
    others = [
        *(("alone", a, b) for a, b in alone),
        ("in another order", x.flatten()[order].reshape(x.shape), y.flatten()[order].reshape(y.shape)),
        ("without the others", x[:, :1], y[:, :1]),
        ("in one row", x.flatten(), y.flatten()),
        ("in three axes", x.reshape(2, 2, -1), y.reshape(2, 2, -1)),
    ]
    for how, again, expected in others:
        found = _called(function, again.clone(), name)
        close = isinstance(found, torch.Tensor) and found.shape == expected.shape
        if close and torch.allclose(found, expected, rtol=1e-9, atol=1e-12):
            continue
        got = f"another shape for entries {how}"
        if close:
            k = (found - expected).abs().nan_to_num(torch.inf).flatten().argmax()
            at, was, now = (float(t.flatten()[k]) for t in (again, expected, found))
            got = f"x = {at:.4g} gives {was:.6g} among the others and {now:.6g} {how}"
        raise ActivationError(
            f"{name} does not treat entries one by one",
            got=got,
            why="units that the activation mixes cannot be exchanged one by one",
            fix="leave out what looks along an axis, as softmax, normalisation or sorting; or use inspect on the model",
        )
