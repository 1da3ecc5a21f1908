"""``orbitope inspect``: the symmetry group of a network, and what is not in it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from math import prod
from typing import TYPE_CHECKING, Any

import click
from rich.console import Group as Lines
from rich.console import RenderableType
from rich.text import Text

from orbitope.cli import options
from orbitope.cli.application import command
from orbitope.cli.fixed import FixedAxes, causes, place, reductions, unused
from orbitope.cli.groups import guarantee, load_group
from orbitope.cli.loading import check, load_model, load_weights
from orbitope.cli.moves import families_to_json
from orbitope.cli.output import Prose, Result, columns, number, plural, stack, talk
from orbitope.cli.totals import sentences, summary, totals
from orbitope.cli.totals import to_json as totals_to_json
from orbitope.cli.tree import UnitsTree, factorials
from orbitope.cli.weights import check_output
from orbitope.errors import InputError
from orbitope.group.naming import home

if TYPE_CHECKING:
    from orbitope.comparison import Count
    from orbitope.graph import Graph
    from orbitope.group import SymmetryGroup


@command("inspect")
@options.optional_model
@options.symmetry
@options.inputs
@options.weights
@click.option("--scope", multiple=True, metavar="PATTERN", help="Let only parameters move that match, as features.*")
@click.option("--all", "everything", is_flag=True, help="Write out every layer and every axis, however many.")
@click.option("--specialise", is_flag=True, help="Accept a model that branches on its data: see the path taken only.")
@click.option("--svg", "picture", metavar="FILE.svg", help="Also draw the units and the parameters they tie together.")
@options.output(".json", "the group as a symmetry file, which other commands take instead of a model", required=False)
def inspect(
    model: str | None,
    symmetry: str | None,
    shapes: tuple[str, ...],
    weights: str | None,
    scope: tuple[str, ...],
    everything: bool,
    specialise: bool,
    picture: str | None,
    output: str | None,
) -> Result:
    """Show the symmetries: units, where they act, what is fixed.

    Every set of units stands under its module, with the parameter axes that it moves, as weight[0]; and so do signs,
    scales, matrices, rotations and shifts. With --weights the distinct copies of these very parameters are counted too,
    exactly.
    """
    if (model is None) == (symmetry is None):
        raise InputError("inspect takes either a MODEL or --symmetry", fix="orbitope inspect --help")
    if output is not None:
        check_output(output, ".json")
    if picture is not None:
        check_output(picture, ".svg")
    label = model or symmetry or ""
    graphs: Sequence[Graph] = ()
    if model is not None:
        from orbitope.infer import infer

        graphs = load_model(model, shapes, specialise).graphs()
        with talk().wait("finding symmetries"):
            group = infer(graphs, scope or None)
    else:
        group = load_group(None, symmetry)
    copies = _copies(group, weights) if weights is not None else None
    if output is not None:
        from orbitope.files import atomic_write

        atomic_write(output, (json.dumps(group.to_json(), indent=1, ensure_ascii=False) + "\n").encode())
    if picture is not None:
        from orbitope.files import atomic_write
        from orbitope.reports.units_figure import units_svg

        atomic_write(picture, units_svg(group, label, summary(group), _forward(graphs)))
    body = _body(label, group, graphs, copies, output, picture)
    return Result("inspect", body, _human(label, group, graphs, copies, everything, (output, picture)))


def _copies(group: SymmetryGroup, label: str) -> Count:
    from orbitope.comparison import count

    loaded = load_weights(label)
    check(group, loaded)
    with talk().wait("counting distinct copies"):
        return count(group, loaded.tensors)


def _unknown(graphs: Sequence[Graph]) -> dict[str, list[str]]:
    """Operations without a rule, by name, and where they stand."""
    found: dict[str, dict[str, None]] = {}
    for node in (node for graph in graphs for node in graph):
        if node.op == "opaque" and not node.attributes.get("carried"):
            found.setdefault(node.target, {})[node.place] = None
    return {name: list(places) for name, places in found.items()}


def _body(
    label: str,
    group: SymmetryGroup,
    graphs: Sequence[Graph],
    copies: Count | None,
    output: str | None,
    picture: str | None,
) -> dict[str, Any]:
    return {
        "model": label,
        "log10_order": group.log10_order,
        "order": factorials(group),
        "sign_bits": group.sign_bits,
        "dimension": group.dimension,
        **totals_to_json(group),
        "units": [
            {
                "name": unit.name,
                "size": unit.size,
                "role": unit.role,
                "module": home(unit),
                "over": [
                    {"name": name, "size": size, "role": group.by_name[name].role if name in group.by_name else None}
                    for name, size in zip(unit.over, unit.over_sizes, strict=True)
                ],
                "log10_order": unit.log10_order,
                "acts_on": [{"parameter": name, "axis": axis} for name, axis in unit.acts_on],
            }
            for unit in group.units
        ],
        "families": families_to_json(group),
        "reductions": list(reductions(group)),
        "roles": dict(Counter(unit.role for unit in group.units)),
        "parameters": {
            "tensors": len(group.placements),
            "entries": sum(prod(p.shape) for p in group.placements.values()),
            "moved": sum(bool(p.moved_by() & group.by_name.keys()) for p in group.placements.values()),
        },
        "fixed": [
            {"parameter": d.parameter, "axis": d.axis, "size": d.size, "reason": d.reason, "place": d.place}
            | {"unknown": d.unknown}
            for d in group.diagnostics
        ],
        "causes": [cause.to_json() for cause in causes(group)],
        "notes": list(group.notes),
        "unknown_operations": [{"operation": name, "places": places} for name, places in _unknown(graphs).items()],
        "unused": list(group.unused),
        "copies": None if copies is None else copies.to_json(),
        "guarantee": guarantee(group),
        "symmetry": output,
        "picture": picture,
    }


def _human(
    label: str,
    group: SymmetryGroup,
    graphs: Sequence[Graph],
    copies: Count | None,
    everything: bool,
    written: Sequence[str | None],
) -> RenderableType:
    placements = group.placements.values()
    title = Text.assemble((label, "bold"), (f"   {plural(len(placements), 'tensor')}, ", "dim"))
    title.append(f"{number(sum(prod(p.shape) for p in placements))} entries", "dim")
    unknown = _unknown(graphs)
    return stack(
        Lines(title, UnitsTree(group, everything)),
        Prose(told) if (told := totals(group)) is not None else None,
        Prose(sentences(group)),
        Prose(_distinct(copies)) if copies is not None else None,
        _section("what is fixed, and why", _reasons(group, everything)),
        _section("operations without a rule, which fix what they touch", _operations(unknown)) if unknown else None,
        _section("tied, moved as one", _tied(group)) if _tied(group) else None,
        _section("not read by the network, never moved", Prose(unused(group.unused))) if group.unused else None,
        _section("notes on the analysis", Lines(*map(Prose, group.notes))) if group.notes else None,
        Prose(f"wrote {' and '.join(filter(None, written))}") if any(written) else None,
    )


def _reasons(group: SymmetryGroup, everything: bool) -> RenderableType | None:
    """What is fixed, and what made matrices smaller."""
    axes = [FixedAxes(group, everything)] if group.diagnostics else []
    smaller = map(Prose, reductions(group, everything))
    parts = [*axes, *smaller]
    return Lines(*parts) if parts else None


def _tied(group: SymmetryGroup) -> RenderableType | None:
    """Tensors of several names."""
    tied = [" = ".join(placement.names) for placement in group.placements.values() if len(placement.names) > 1]
    return Lines(*map(Prose, tied)) if tied else None


def _section(heading: str, body: RenderableType | None) -> RenderableType | None:
    from rich.padding import Padding

    return None if body is None else Lines(Text(heading, "bold"), Padding(body, (0, 0, 0, 2)))


def _operations(unknown: dict[str, list[str]]) -> RenderableType:
    rows = [
        (name, place(places[0]) + (f" and {len(places) - 1} more" if len(places) > 1 else ""))
        for name, places in unknown.items()
    ]
    return columns(rows, ["yellow", ""])


def _forward(graphs: Sequence[Graph]) -> list[str]:
    """Parameters in the order in which the network uses them."""
    found: dict[str, None] = {}
    for graph in graphs:
        parameters = {node.name: node.attributes["parameter"] for node in graph if node.op == "parameter"}
        found |= dict.fromkeys(parameters[name] for node in graph for name in node.inputs if name in parameters)
    return list(found)


def _distinct(copies: Count) -> Text:
    big = copies.copies >= 10**15
    shown = f"10^{copies.log10:.2f}" if big else number(copies.copies)
    text = Text.assemble("With these weights, ", (shown, "bold green"), " of them are distinct")
    if copies.guarantee != "exact":
        text = Text.assemble("With these weights, at least ", (shown, "bold green"), " of them are distinct")
    text.append(f" ({copies.guarantee}).", "dim")
    if copies.duplicates:
        text.append("  " + "; ".join(map(str, copies.duplicates[:4])) + ("; …" if len(copies.duplicates) > 4 else "."))
    return text
