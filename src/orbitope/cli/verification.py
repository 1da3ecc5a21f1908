"""``orbitope verify``: whether two sets of weights compute the same function."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import click
import torch

from orbitope.cli import options
from orbitope.cli.application import command
from orbitope.cli.groups import load_group
from orbitope.cli.loading import Weights, check, fit, load_model, load_weights, own_or_loaded
from orbitope.cli.output import Prose, Result, facts, number, stack, talk, verdict
from orbitope.cli.twins import choose, random_parts
from orbitope.errors import InputError
from orbitope.group import SymmetryGroup

if TYPE_CHECKING:
    from orbitope.comparison import Verification


@dataclass(frozen=True)
class Replacement:
    """Other weights where an element would stand: not a symmetry until the outputs say so.

    Attributes:
        group: knows no units.
        other: the weights.
    """

    group: SymmetryGroup
    other: Mapping[str, torch.Tensor]
    is_permutation: bool = True  # entries as they are stored, none of them computed

    def act(self, params: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """The other weights, under the names of the given ones."""
        return {name: self.other.get(name, tensor) for name, tensor in params.items()}


WORTH_A_LOOK = 1e-2
"""Outputs that differ by more, relative to the largest, do not differ by rounding of weights."""

MANY_ROUNDINGS = 16
"""Outputs may differ by so many times what one random rounding of every entry does."""


@dataclass(frozen=True)
class Rounding:
    """What rounding does to the outputs.

    Attributes:
        dtype: of the weights, the coarsest.
        change: the largest relative change where every entry is rounded at random, at either set of weights.
    """

    dtype: str
    change: float


def _rounding(compared: Callable[[Any, dict[str, torch.Tensor]], Verification], *sets: Mapping[str, Any]) -> Rounding:
    """Measured by moving every entry by a random share, at most half, of the distance to its neighbour."""
    generator = torch.Generator().manual_seed(0)
    coarsest, change = torch.float64, 0.0
    for tensors in sets:
        wide, nudged = {}, {}
        for name, tensor in tensors.items():
            if not (tensor.is_floating_point() or tensor.is_complex()):
                wide[name] = nudged[name] = tensor
                continue
            info = torch.finfo(tensor.dtype)
            coarsest = max(coarsest, tensor.dtype, key=lambda dtype: torch.finfo(dtype).eps)
            wide[name] = tensor.to(torch.complex128 if tensor.is_complex() else torch.float64)
            noise = torch.rand(tensor.shape, generator=generator, dtype=torch.float64) - 0.5
            nudged[name] = wide[name] * (1 + info.eps * noise)
        found = compared(Replacement(SymmetryGroup((), {}), nudged), wide)
        change = max(change, found.max_rel)
    return Rounding(str(coarsest).removeprefix("torch."), change)


def _within(found: Verification, rounding: Rounding) -> Verification:
    """The same comparison, held to what rounding explains."""
    tolerance = MANY_ROUNDINGS * rounding.change
    decisive = [each for each in found.outputs if each.run == found.dtype]
    if not decisive or any(each.reason or each.max_rel > tolerance for each in decisive):
        return found
    outputs = tuple(
        replace(each, tolerance=tolerance, equal=True) if each.run == found.dtype else each for each in found.outputs
    )
    note = (
        f"the tolerance is {MANY_ROUNDINGS} times what a random rounding of every entry to {rounding.dtype} changes: "
        "entries of weights that were computed are rounded where they are stored"
    )
    return replace(found, equal=True, reason="", tolerance=tolerance, outputs=outputs, notes=(*found.notes, note))


@command("verify")
@options.model
@options.inputs
@options.weights
@click.option("--other", metavar="FILE", help="Compare with these weights, whatever they are.")
@click.option("--element", metavar="FILE.json", help="Compare with the image under this element, as align wrote it.")
@click.option("--seed", type=int, help="Compare with the image under a random element. This is the default, with 0.")
@options.parts
@options.strength
def verify(
    model: str,
    shapes: tuple[str, ...],
    weights: str | None,
    other: str | None,
    element: str | None,
    seed: int | None,
    parts: str | None,
    strength: float | None,
) -> Result:
    """Compare the outputs of two sets of weights.

    The real model is run with both, in its own dtype and in float64. Exit code 0 where all outputs are equal within
    the tolerance, 1 where one is not. The tolerance is 1e-9 in float64. Weights of --other whose entries were computed
    and rounded, as by scales, may differ by as much as rounding every entry once more at random does.
    """
    from orbitope import comparison

    if sum(choice is not None for choice in (other, element, seed)) > 1:
        raise InputError("only one of --other, --element and --seed can be given")
    draw = random_parts(parts, strength, other is None and element is None)
    network = load_model(model, shapes)
    loaded = own_or_loaded(network, weights)
    network.demand_run("outputs are compared")
    if other is not None:
        twin = load_weights(other)
        fit(network, loaded, twin)
        g: Any = Replacement(SymmetryGroup((), {}), _same_names(loaded, twin))
    else:
        group = load_group(network, None)
        check(group, loaded)
        g = choose(group, seed or 0, None, element, draw, loaded.tensors)

    def compared(image: Any, start: dict[str, torch.Tensor]) -> Verification:
        return comparison.verify(network.program or network.module, image, network.inputs(), network.kwargs, start)

    rounding: Rounding | None = None
    with talk().wait("comparing outputs"):
        found = compared(g, loaded.tensors)
        if isinstance(g, Replacement) and not found.equal and found.max_rel < WORTH_A_LOOK:
            rounding = _rounding(compared, loaded.tensors, g.act(loaded.tensors))
            found = _within(found, rounding)
    against = other or f"its image under {element or f'a random element (seed {seed or 0}{draw})'}"
    body = {
        "model": model,
        "weights": loaded.source,
        "against": against,
        "equal": found.equal,
        "rounding": None if rounding is None else {"dtype": rounding.dtype, "change": rounding.change},
        "verification": found.to_json(),
        "guarantee": found.guarantee,
    }
    return Result("verify", body, _human(loaded.source, against, found), 0 if found.equal else 1)


def _same_names(first: Weights, second: Weights) -> dict[str, torch.Tensor]:
    """The second weights by the names that the first use."""
    return {name: second.tensors[name] for name in first.tensors if name in second.tensors}


def _human(source: str, against: str, found: Verification) -> Any:
    if found.equal:
        head = verdict("equal", True, f"{source} and {against} compute the same outputs")
    else:
        head = verdict("NOT EQUAL", False, f"{source} and {against} differ: {found.reason}")
    control = ""
    if found.equal and found.control is not None:
        left = found.control.parameter
        control = f"{found.control.change:.1e} relative change where {left} alone stays behind"
        control += "" if found.control.detected else ", too little to notice: the test says little"
    rows = [
        ("largest error", f"{found.max_rel:.1e} relative, {found.max_abs:.1e} absolute", found.guarantee),
        ("tolerance", f"{found.tolerance:.1e} relative", ""),
        ("ran in", f"{found.dtype} on {found.device}", ""),
        ("entries that differ", f"{number(found.entries_moved)} of {number(found.entries)}", ""),
        ("control", control, found.guarantee if control else ""),
    ]
    return stack(head, facts(rows), *(Prose(note) for note in found.notes))
