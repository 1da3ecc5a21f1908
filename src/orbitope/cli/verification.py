"""``orbitope verify``: whether two sets of weights compute the same function."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click
import torch

from orbitope.cli import options
from orbitope.cli.application import command
from orbitope.cli.loading import Weights, check, fit, load_group, load_model, load_weights, own_or_loaded
from orbitope.cli.output import Prose, Result, facts, number, stack, talk, verdict
from orbitope.cli.twins import choose
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

    def act(self, params: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """The other weights, under the names of the given ones."""
        return {name: self.other.get(name, tensor) for name, tensor in params.items()}


@command("verify")
@options.model
@options.inputs
@options.weights
@click.option("--other", metavar="FILE", help="Compare with these weights, whatever they are.")
@click.option("--element", metavar="FILE.json", help="Compare with the image under this element, as align wrote it.")
@click.option("--seed", type=int, help="Compare with the image under a random element. This is the default, with 0.")
def verify(
    model: str,
    shapes: tuple[str, ...],
    weights: str | None,
    other: str | None,
    element: str | None,
    seed: int | None,
) -> Result:
    """Compare the outputs of two sets of weights.

    The real model is run with both, in its own dtype and in float64. Exit code 0 where all outputs are equal within
    the tolerance, 1 where one is not.
    """
    from orbitope import comparison

    if sum(choice is not None for choice in (other, element, seed)) > 1:
        raise InputError("only one of --other, --element and --seed can be given")
    network = load_model(model, shapes)
    loaded = own_or_loaded(network, weights)
    if other is not None:
        twin = load_weights(other)
        fit(network, loaded, twin)
        g: Any = Replacement(SymmetryGroup((), {}), _same_names(loaded, twin))
    else:
        group = load_group(network, None)
        check(group, loaded)
        g = choose(group, seed or 0, None, element)
    with talk().wait("comparing outputs"):
        found = comparison.verify(
            network.program or network.module, g, network.inputs(), network.kwargs, loaded.tensors
        )
    against = other or f"its image under {element or f'a random element (seed {seed or 0})'}"
    body = {
        "model": model,
        "weights": loaded.source,
        "against": against,
        "equal": found.equal,
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
