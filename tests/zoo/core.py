"""What every model of the zoo is made with: cases, randomised weights, comparison of outputs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from math import factorial, prod

import torch
from torch import nn

from orbitope import SymmetryGroup, symmetries

Inputs = tuple[torch.Tensor, ...]
Params = Mapping[str, torch.Tensor]


@dataclass(frozen=True)
class Case:
    """One architecture.

    Attributes:
        build: makes the model in evaluation mode.
        inputs: makes example inputs.
        order: exact order of the permutation group; None where only soundness is claimed.
        notes: the derivation of the order, in one line.
        unknown: targets of the operations that must be reported as unknown.
        dead: parameters whose values do not change the function although it reads them.
        awaits: what inference does not know yet, so that its order falls short of the closed form; empty otherwise.
        home: the module that it is written in.
    """

    build: Callable[[], nn.Module]
    inputs: Callable[[], Inputs]
    order: int | None = None
    notes: str = ""
    unknown: tuple[str, ...] = ()
    dead: tuple[str, ...] = ()
    awaits: str = ""
    home: str = ""


ZOO: dict[str, Case] = {}
"""Small networks, one feature each."""
ARCHITECTURES: dict[str, Case] = {}
"""Miniatures of published architectures."""


class Made(nn.Module):
    """A model of named parts and a function of them."""

    def __init__(self, function: Callable[..., object], parts: dict[str, nn.Module | nn.Parameter]) -> None:
        super().__init__()
        self._function = function
        for name, part in parts.items():
            setattr(self, name, part)

    def forward(self, *xs: torch.Tensor) -> object:
        return self._function(self, *xs)


def model(function: Callable[..., object], **parts: nn.Module | nn.Parameter) -> nn.Module:
    """A model of named parts in evaluation mode."""
    return Made(function, parts).eval()


def randomise(net: nn.Module, seed: int = 0) -> nn.Module:
    """Fill every floating entry of the state dict with values that no default hides behind; returns the model.

    Running variances and norm gains stay positive and away from one, everything else is normal, scaled by its fan-in.
    """
    generator = torch.Generator().manual_seed(seed)
    norms = {
        f"{path}.weight".removeprefix(".")
        for path, module in net.named_modules()
        if isinstance(module, nn.modules.batchnorm._NormBase | nn.LayerNorm | nn.GroupNorm | nn.RMSNorm)
    }
    done: set[int] = set()
    for name, tensor in net.state_dict(keep_vars=True).items():
        if not tensor.is_floating_point() or tensor.data_ptr() in done:
            continue
        done.add(tensor.data_ptr())
        noise = torch.randn(tensor.shape, generator=generator, dtype=torch.float64)
        if name.endswith("running_var") or name in norms:
            value = 0.5 + noise.abs()
        elif tensor.dim() >= 2:
            value = noise * (2.0 / max(1, tensor[0].numel())) ** 0.5
        else:
            value = noise * 0.5
        tensor.data.copy_(value.to(tensor.dtype))
    return net


@dataclass(frozen=True)
class Prepared:
    """A randomised model in float64 with its inputs and its group. Nothing may change it: it is shared by tests."""

    net: nn.Module
    inputs: Inputs
    params: Params
    group: SymmetryGroup


def prepare(case: Case, seed: int = 0) -> Prepared:
    """Build, randomise, widen, infer."""
    net = randomise(case.build(), seed).double()
    inputs = tuple(x.double() if x.is_floating_point() else x for x in case.inputs())
    params = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    return Prepared(net, inputs, params, symmetries(net, inputs))


def case_of(name: str) -> Case:
    """The case of that name, small network or architecture."""
    return ARCHITECTURES[name] if name in ARCHITECTURES else ZOO[name]


@cache
def prepared(name: str) -> Prepared:
    """The prepared model of that name, made once."""
    return prepare(case_of(name))


def outputs(net: nn.Module, params: Params, inputs: Inputs) -> list[torch.Tensor]:
    """All output tensors, by PyTorch itself."""
    with torch.no_grad():
        returned = torch.func.functional_call(net, dict(params), inputs, tie_weights=False)
    return [x for x in torch.utils._pytree.tree_leaves(returned) if isinstance(x, torch.Tensor)]


def difference(first: Sequence[torch.Tensor], second: Sequence[torch.Tensor]) -> float:
    """Largest difference of outputs, relative to the largest entry of each; inf where one is not finite."""
    worst = 0.0
    for x, y in zip(first, second, strict=True):
        if not (x.isfinite().all() and y.isfinite().all() and x.abs().max() > 0):
            return float("inf")
        worst = max(worst, float((x - y).abs().max() / x.abs().max()))
    return worst


def fac(*sizes: int) -> int:
    """Product of factorials."""
    return prod(map(factorial, sizes))


def example(*shapes: tuple[int, ...]) -> Callable[[], Inputs]:
    """Makes normal inputs of these shapes, the same ones each time."""

    def inputs() -> Inputs:
        generator = torch.Generator().manual_seed(7)
        return tuple(torch.randn(shape, generator=generator) for shape in shapes)

    return inputs


def add(
    name: str,
    build: Callable[[], nn.Module],
    shapes: Sequence[tuple[int, ...]] | Callable[[], Inputs],
    order: int | None,
    notes: str,
    unknown: tuple[str, ...] = (),
    dead: tuple[str, ...] = (),
) -> None:
    """Enter a small network into the zoo."""
    ZOO[name] = Case(build, shapes if callable(shapes) else example(*shapes), order, notes, unknown, dead)


def architecture(
    name: str,
    build: Callable[[], nn.Module],
    inputs: Callable[[], Inputs],
    order: int,
    notes: str,
    *,
    unknown: tuple[str, ...] = (),
    dead: tuple[str, ...] = (),
    awaits: str = "",
) -> None:
    """Enter a miniature of a published architecture; ``build`` need not switch to evaluation mode."""
    assert name not in ARCHITECTURES and name not in ZOO, name
    ARCHITECTURES[name] = Case(lambda: build().eval(), inputs, order, notes, unknown, dead, awaits, build.__module__)


def seq(*parts: nn.Module) -> nn.Module:
    """A chain of modules in evaluation mode."""
    return nn.Sequential(*parts).eval()


L, C1, C2, C3 = nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d
relu = torch.relu


def between(middle: Callable[..., torch.Tensor], width: int, after: int | None = None, **parts: nn.Module) -> nn.Module:
    """``out(middle(relu(first(x))))`` with ``width`` units before the middle and ``after`` behind it."""

    def forward(m: nn.Module, x: torch.Tensor) -> torch.Tensor:
        return m.out(middle(m, relu(m.first(x))))

    return model(forward, first=L(3, width), out=L(after or width, 2), **parts)
