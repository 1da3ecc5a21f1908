"""``orbitope twin``: other parameters that compute the same function."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click
import torch

from orbitope.cli import options
from orbitope.cli.application import command
from orbitope.cli.groups import WRITE_ELEMENT, guarantee, load_group, read_json
from orbitope.cli.loading import Model, check, load_model, load_weights, own_or_loaded
from orbitope.cli.moves import PARTS
from orbitope.cli.output import Prose, Result, facts, number, plural, stack, talk, verdict
from orbitope.cli.weights import check_output, write_weights
from orbitope.errors import ElementError, InputError
from orbitope.group.steps import Step

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
@options.parts
@options.strength
@options.output(".safetensors", "the twin")
def twin(
    model: str | None,
    symmetry: str | None,
    shapes: tuple[str, ...],
    weights: str | None,
    seed: int | None,
    swap: tuple[str, int, int] | None,
    element: str | None,
    parts: str | None,
    strength: float | None,
    output: str,
) -> Result:
    """Write other weights that compute the same function.

    A random element exchanges units; with --parts it also changes signs, scales, translates, and mixes by matrices.
    Names, dtypes and metadata of the file are kept. With a MODEL the outputs of both are compared; with --symmetry no
    model code is needed, and --weights is.
    """
    if (model is None) == (symmetry is None):
        raise InputError("twin takes either a MODEL or --symmetry", fix="orbitope twin --help")
    if sum(choice is not None for choice in (seed, swap, element)) > 1:
        raise InputError("only one of --seed, --swap and --element can choose the element")
    draw = random_parts(parts, strength, swap is None and element is None)
    check_output(output, ".safetensors")
    network = load_model(model, shapes) if model is not None else None
    if network is None and weights is None:
        raise InputError("--symmetry needs --weights", why="a symmetry file holds no parameters")
    loaded = own_or_loaded(network, weights) if network is not None else load_weights(weights or "")
    group = load_group(network, symmetry)
    check(group, loaded)
    g = choose(group, seed or 0, swap, element, draw, loaded.tensors)
    moved = g.act(loaded.tensors)
    verification = _verify(network, g, loaded.tensors) if network is not None else None
    if verification is None or verification.equal:
        write_weights(output, moved, loaded.metadata)
    body = {
        "model": model or symmetry,
        "weights": loaded.source,
        "output": output if verification is None or verification.equal else None,
        "chosen": _chosen(seed or 0, swap, element, draw),
        "element": g.to_json() if talk().format == "json" else None,  # matrices of a large network are many numbers
        "values": values(g),
        **changes(group, g, loaded.tensors, moved),
        "verification": None if verification is None else verification.to_json(),
        "guarantee": "exact" if verification is not None else guarantee(group),
    }
    return Result("twin", body, _human(body, g, verification), 0 if body["output"] else 1)


@dataclass(frozen=True)
class Draw:
    """What a random element is made of.

    Attributes:
        parts: names of parts.
        strength: of scales and translations.
    """

    parts: tuple[str, ...] = ("permutations",)
    strength: float = 1.0

    def __str__(self) -> str:
        """What differs from permutations alone: ``, of signs and scales``."""
        if self.parts == ("permutations",):
            return ""
        listed = " and ".join([", ".join(self.parts[:-1]), self.parts[-1]] if len(self.parts) > 1 else self.parts)
        return f", {listed} of strength {self.strength:g}"


def random_parts(parts: str | None, strength: float | None, random: bool = True) -> Draw:
    """What ``--parts`` and ``--strength`` ask for.

    Raises:
        InputError: the element is not random. ElementError: there is no such part.
    """
    if not random and (parts is not None or strength is not None):
        raise InputError("--parts and --strength are for random elements", fix="leave out --swap and --element")
    if parts is None:
        return Draw(strength=1.0 if strength is None else strength)
    from orbitope.group.sampling import chosen

    names = "all" if parts.strip() == "all" else [part.strip() for part in parts.split(",") if part.strip()]
    if not names:
        raise InputError("--parts names no part", got=parts, fix="--parts all, or for instance --parts signs,scales")
    return Draw(chosen(names), 1.0 if strength is None else strength)


def choose(
    group: SymmetryGroup,
    seed: int,
    swap: tuple[str, int, int] | None,
    element: str | None,
    draw: Draw = Draw(),
    params: dict[str, torch.Tensor] | None = None,
) -> Element:
    """The element that the options name.

    Raises:
        ElementError: the group has no such units or positions, or the file holds no element of it.
    """
    from orbitope.group import Element

    if element is not None:
        document = read_json(element, ElementError, WRITE_ELEMENT)
        try:
            return Element.from_json(group, document)
        except ElementError as error:
            error.at = error.at or element
            raise
    if swap is not None:
        return group.swap(*swap)
    return group.sample(seed, draw.parts, strength=draw.strength, params=params)


def _chosen(seed: int, swap: tuple[str, int, int] | None, element: str | None, draw: Draw) -> str:
    if element is not None:
        return element
    return f"seed {seed}{draw}" if swap is None else f"swap of {swap[1]} and {swap[2]} in {swap[0]}"


def values(g: Element) -> list[dict[str, Any]]:
    """For each part of an element besides permutations: how many families and numbers, and between which bounds."""
    found: dict[str, list[torch.Tensor]] = {}
    for step in g.steps:
        if isinstance(step, Step):
            found.setdefault(PARTS[type(step.family)], []).append(step.value)
    made: list[dict[str, Any]] = []
    for part, tables in found.items():
        numbers = torch.cat([_measured(part, table).flatten() for table in tables])
        made.append(
            {
                "part": part,
                "families": len(tables),
                "numbers": sum(table.numel() for table in tables),
                "least": float(numbers.min()),
                "most": float(numbers.max()),
                "changed": int(numbers.sum()) if part == "signs" else None,
            }
        )
    return made


def _measured(part: str, table: torch.Tensor) -> torch.Tensor:
    """What is told of a value: of matrices their condition numbers, of others their entries."""
    return torch.linalg.cond(table) if part == "matrices" else table.to(torch.float64)


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


def _verify(model: Model, g: Element, tensors: dict[str, torch.Tensor]) -> Verification | None:
    from orbitope.comparison import verify

    if not model.runs:
        talk().note("the model or its example inputs have no entries: outputs were not compared")
        return None
    with talk().wait("comparing outputs"):
        return verify(model.program or model.module, g, model.inputs(), model.kwargs, tensors)


def moved_units(body: dict[str, Any]) -> str:
    """In words: ``30 of 32 in 0, 31 of 32 in 2``."""
    moved = body["units_moved"]
    shown = ", ".join(f"{number(u['moved'])} of {number(u['of'])} in {u['name']}" for u in moved[:4])
    return shown + (f", and in {len(moved) - 4} more sets" if len(moved) > 4 else "") or "none"


def _told(item: dict[str, Any]) -> str:
    """``12 of 36 changed``, ``308 between 0.37 and 2.7``, ``96 of condition 10 at most``."""
    count, least, most = item["numbers"], item["least"], item["most"]
    match item["part"]:
        case "signs":
            return f"{number(item['changed'])} of {number(count)} changed"
        case "matrices":
            return f"{number(count)} entries, of condition {most:.3g} at most"
        case _:
            return f"{number(count)} between {least:.3g} and {most:.3g}"


def _human(body: dict[str, Any], g: Element, verification: Verification | None) -> Any:
    if body["output"] is None:
        return verdict("NOT WRITTEN", False, f"the outputs differ: {verification.reason if verification else ''}")
    head = verdict("written", True, f"{body['output']}, a twin of {body['weights']} ({body['chosen']})")
    entries = f"{number(body['entries_moved'])} of {number(body['entries'])}"
    rows = [
        ("positions moved", moved_units(body), "exact"),
        *((item["part"], _told(item), "") for item in body["values"]),
        ("entries changed", f"{entries}, in {plural(len(body['tensors_moved']), 'tensor')}", "exact"),
    ]
    if verification is not None:
        rows.append(("outputs agree to", f"{verification.max_rel:.1e} relative ({verification.dtype})", "numeric"))
    trivial = body["entries_moved"] == 0
    note = "The element moves nothing on these weights: the twin is the same point." if trivial else None
    return stack(head, facts(rows), Prose(note) if note else None)
