"""Two random elements, tried on the lowered program and on the model itself."""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn
from torch.utils import _pytree as pytree

from orbitope.arithmetic import TorchArithmetic
from orbitope.comparison.execution import Execution
from orbitope.errors import OrbitopeError
from orbitope.graph import Graph
from orbitope.group import Element
from orbitope.primitives.evaluation import evaluate

Record = dict[str, Any]
_CONTROLS = 12  # parameters that are left in place, one at a time, until an output notices


class _Recasting(TorchArithmetic):
    """Masks that went through the arithmetic are integers; an operation that asks for booleans gets them back."""

    def __init__(self) -> None:
        super().__init__(torch.float64)
        self.recast = 0

    def call(self, target: str, xs: Sequence[torch.Tensor], **settings: Any) -> torch.Tensor:
        """The operation itself, and once more with integers of two values as booleans where it refuses."""
        try:
            return super().call(target, xs, **settings)
        except (RuntimeError, IndexError, TypeError):
            self.recast += 1
            flags = [x.bool() if x.dtype == torch.int64 and bool(((x == 0) | (x == 1)).all()) else x for x in xs]
            return super().call(target, flags, **settings)


def try_lowered(program: Any, graph: Graph, elements: Sequence[Element]) -> Record:
    """The lowered graph in float64, with the parameters and with their images: permuted, and under every part."""
    arithmetic = _Recasting()
    state = {name: program.state_dict[name].detach() for name in program.state_dict}
    leaves = [x for x in pytree.tree_leaves(program.example_inputs or ()) if isinstance(x, torch.Tensor)]
    inputs = {name: arithmetic.lift(x) for name, x in zip(graph.inputs, leaves, strict=True)}

    def run(params: Mapping[str, torch.Tensor]) -> tuple[torch.Tensor, ...]:
        lifted = {name: arithmetic.lift(params[name]) for name in graph.parameters}
        with torch.no_grad():
            return evaluate(graph, arithmetic, lifted, inputs)

    wide = {name: t.double() if t.is_floating_point() else t for name, t in state.items()}
    before = run(wide)
    errors = [_difference(before, run(g.act(wide))) for g in elements]
    group = elements[0].group
    every = group.sample(3, "all", strength=0.5, params=wide)
    live = [x for x in before if x.is_floating_point()]
    return {
        "error lowered": max(errors, default=0.0),
        "error every part": _difference(before, run(every.act(wide))),
        "self error lowered": _difference(before, run(wide)),  # of programs that draw random numbers
        "sensitivity": _difference(before, run(_rounded(wide))),
        "finite": all(bool(x.isfinite().all()) for x in live),
        "recast": arithmetic.recast,
        "varies": any(float(x.double().std()) > 0 for x in live if x.numel() > 1),
    }


def _rounded(params: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Parameters that differ by about one rounding: what a program makes of that is no fault of a symmetry."""
    generator = torch.Generator().manual_seed(0)
    moved = {}
    for name, tensor in params.items():
        noise = torch.rand(tensor.shape, generator=generator, dtype=torch.float64) - 0.5
        moved[name] = tensor * (1 + torch.finfo(torch.float64).eps * noise) if tensor.is_floating_point() else tensor
    return moved


def try_real(
    model: nn.Module, args: Sequence[Any], kwargs: Mapping[str, Any], graph: Graph, elements: Sequence[Element]
) -> Record:
    """The model itself, in float64 where it runs there; also whether its outputs notice when one parameter stays."""
    state = Execution(model, args, kwargs).state()
    group = elements[0].group

    def run(params: Mapping[str, torch.Tensor], wide: bool) -> dict[str, Any]:
        # a fresh copy each time: some models keep what they computed from their parameters at the first call
        return Execution(copy.deepcopy(model), args, kwargs).run(params, group, wide)

    wide, message = True, ""
    try:
        before = run(state, wide)
    except OrbitopeError as error:
        wide, message = False, str(error)
        before = run(state, wide)
    ends = tuple(f"_{_plain(name)}" for name in graph.output_names)
    wanted = [name for name, x in before.items() if isinstance(x, torch.Tensor) and f"_{_plain(name)}".endswith(ends)]
    if not wanted:
        wanted = [n for n, x in before.items() if isinstance(x, torch.Tensor)][: len(graph.output_names)]

    def values(found: Mapping[str, Any]) -> list[torch.Tensor]:
        return [found[name] for name in wanted]

    errors, control = [], 0.0
    for g in elements:
        image = g.act(state)
        errors.append(_difference(values(before), values(run(image, wide))))
    changed = [name for name in image if not torch.equal(image[name], state[name])]
    changed.sort(key=lambda n: -state[n].dim())
    for name in changed[:: max(1, len(changed) // _CONTROLS)]:
        placement = group.placement(name)
        stay = {alias: state[alias] for alias in (placement.names if placement else (name,)) if alias in state}
        broken = run({**image, **stay}, wide)
        control = max(control, _difference(values(before), values(broken)))
        if control > 1e-3:
            break
    return {
        "error real": max(errors),
        "real dtype": "float64" if wide else f"native ({message[:150]})",
        "self error": _difference(values(before), values(run(state, wide))),
        "moved": len(changed),
        "control": control,
    }


def _plain(name: str) -> str:
    """A path in a nested output without brackets, quotes and dots."""
    return re.sub(r"\W+", "_", name).strip("_")


def _difference(before: Sequence[torch.Tensor], after: Sequence[torch.Tensor]) -> float:
    """The largest relative difference; infinite where a value became or was NaN in one of the two only."""
    worst = 0.0
    for x, y in zip(before, after, strict=True):
        if x.numel() == 0:
            continue
        if x.shape != y.shape:
            return float("inf")
        x, y = (torch.view_as_real(t) if t.is_complex() else t for t in (x, y))
        x, y = x.double(), y.double()
        same = (x == y) | (x.isnan() & y.isnan())
        gap = (x - y).abs().masked_fill(same, 0.0)
        if bool(gap.isnan().any()):
            return float("inf")
        size = x.abs().masked_fill(~x.isfinite(), 0.0).max()
        worst = max(worst, float(gap.max() / size) if size > 0 else float(gap.max()))
    return worst
