"""``orbitope twin``: other parameters that compute the same function."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click
import torch

from orbitope.cli import options
from orbitope.cli.application import command
from orbitope.cli.loading import Model, check, load_group, load_model, load_weights, own_or_loaded, read_json
from orbitope.cli.output import Prose, Result, facts, number, plural, stack, talk, verdict
from orbitope.cli.weights import check_output, write_weights
from orbitope.errors import ElementError, InputError

if TYPE_CHECKING:
    from orbitope.comparison import Verification
    from orbitope.group import Element, SymmetryGroup


@command("twin")
@options.optional_model
@options.symmetry
@options.inputs
@options.weights
@click.option(
    "--seed", type=int, help="Draw a random element; the same for the same seed. This is the default, with 0."
)
@click.option(
    "--swap",
    nargs=3,
    type=(str, int, int),
    metavar="UNITS I J",
    help="Exchange two positions of the units of that name, instead of a random element.",
)
@click.option("--element", metavar="FILE.json", help="Act with this element, as align wrote it.")
@options.output(".safetensors", "the twin")
def twin(
    model: str | None,
    symmetry: str | None,
    shapes: tuple[str, ...],
    weights: str | None,
    seed: int | None,
    swap: tuple[str, int, int] | None,
    element: str | None,
    output: str,
) -> Result:
    """Write other weights that compute the same function.

    Names, dtypes and metadata of the file are kept. With a MODEL the outputs of both are compared; with --symmetry no
    model code is needed, and --weights is.
    """
    if (model is None) == (symmetry is None):
        raise InputError("twin takes either a MODEL or --symmetry", fix="orbitope twin --help")
    if sum(choice is not None for choice in (seed, swap, element)) > 1:
        raise InputError("only one of --seed, --swap and --element can choose the element")
    check_output(output, ".safetensors")
    network = load_model(model, shapes) if model is not None else None
    if network is None and weights is None:
        raise InputError("--symmetry needs --weights", why="a symmetry file holds no parameters")
    loaded = own_or_loaded(network, weights) if network is not None else load_weights(weights or "")
    group = load_group(network, symmetry)
    check(group, loaded)
    g = choose(group, seed or 0, swap, element)
    moved = g.act(loaded.tensors)
    verification = _verify(network, g, loaded.tensors) if network is not None else None
    if verification is None or verification.equal:
        write_weights(output, moved, loaded.metadata)
    body = {
        "model": model or symmetry,
        "weights": loaded.source,
        "output": output if verification is None or verification.equal else None,
        "chosen": _chosen(seed or 0, swap, element),
        "element": g.to_json(),
        **changes(group, g, loaded.tensors, moved),
        "verification": None if verification is None else verification.to_json(),
        "guarantee": "exact",
    }
    return Result("twin", body, _human(body, g, verification), 0 if body["output"] else 1)


def choose(group: SymmetryGroup, seed: int, swap: tuple[str, int, int] | None, element: str | None) -> Element:
    """The element that the options name.

    Raises:
        ElementError: the group has no such units or positions, or the file holds no element of it.
    """
    from orbitope.group import Element

    if element is not None:
        return Element.from_json(group, read_json(element, ElementError))
    return group.sample(seed) if swap is None else group.swap(*swap)


def _chosen(seed: int, swap: tuple[str, int, int] | None, element: str | None) -> str:
    if element is not None:
        return element
    return f"seed {seed}" if swap is None else f"swap of {swap[1]} and {swap[2]} in {swap[0]}"


def changes(
    group: SymmetryGroup, g: Element, before: dict[str, torch.Tensor], after: dict[str, torch.Tensor]
) -> dict[str, Any]:
    """What an element moves: positions of units, parameters, entries."""
    units = {name: int((p != torch.arange(p.shape[-1])).sum()) for name, p in g.permutations.items()}
    entries = {name: int((before[name] != after[name]).sum()) for name in before if group.placement(name) is not None}
    return {
        "units_moved": [
            {"name": unit.name, "moved": units[unit.name], "of": unit.size * unit.copies}
            for unit in group.units
            if units.get(unit.name)
        ],
        "tensors_moved": [name for name, count in entries.items() if count],
        "entries_moved": sum(entries.values()),
        "entries": sum(tensor.numel() for tensor in before.values()),
    }


def _verify(model: Model, g: Element, tensors: dict[str, torch.Tensor]) -> Verification:
    from orbitope.comparison import verify

    with talk().wait("comparing outputs"):
        return verify(model.program or model.module, g, model.inputs(), model.kwargs, tensors)


def moved_units(body: dict[str, Any]) -> str:
    """In words: ``30 of 32 in 0, 31 of 32 in 2``."""
    moved = body["units_moved"]
    shown = ", ".join(f"{number(u['moved'])} of {number(u['of'])} in {u['name']}" for u in moved[:4])
    return shown + (f", and in {len(moved) - 4} more sets" if len(moved) > 4 else "") or "none"


def _human(body: dict[str, Any], g: Element, verification: Verification | None) -> Any:
    if body["output"] is None:
        return verdict("NOT WRITTEN", False, f"the outputs differ: {verification.reason if verification else ''}")
    head = verdict("written", True, f"{body['output']}, a twin of {body['weights']} ({body['chosen']})")
    entries = f"{number(body['entries_moved'])} of {number(body['entries'])}"
    rows = [
        ("positions moved", moved_units(body), "exact"),
        ("entries changed", f"{entries}, in {plural(len(body['tensors_moved']), 'tensor')}", "exact"),
    ]
    if verification is not None:
        rows.append(("outputs agree to", f"{verification.max_rel:.1e} relative ({verification.dtype})", "numeric"))
    trivial = body["entries_moved"] == 0
    note = "The element moves nothing on these weights: the twin is the same point." if trivial else None
    return stack(head, facts(rows), Prose(note) if note else None)
