"""``orbitope explain``: where the loss is convex, and where the composition rule breaks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from orbitope.cli import options
from orbitope.cli.application import command
from orbitope.cli.data import load_data
from orbitope.cli.loading import load_model, load_objective, own_or_loaded
from orbitope.cli.output import Prose, Result, stack, talk

if TYPE_CHECKING:
    from orbitope.curvature import Explanation, Finding


@command("explain")
@options.model
@options.weights
@options.data
@options.loss
@click.option(
    "--certificate",
    metavar="FILE.orbitope",
    help="A certificate of this loss, to be cited where it refutes convexity.",
)
def explain(model: str, weights: str | None, data: str, loss: str, certificate: str | None) -> Result:
    """Show where the loss is convex, and where that breaks.

    In the inputs, in each layer alone, and in all parameters jointly. "But ReLU is convex and non-decreasing": the
    answer names the operation where the composition rule breaks.
    """
    from orbitope import curvature

    evidence = None
    if certificate is not None:
        from orbitope.proof import Certificate

        evidence = Certificate.load(certificate)
    network = load_model(model)
    loaded = own_or_loaded(network, weights)
    given = load_data(data, network, loss)
    objective = load_objective(network, given, loss, loaded)
    with talk().wait("following curvature"):
        found = curvature.explain(objective, evidence)
    body: dict[str, Any] = {
        "model": model,
        "weights": loaded.source,
        "data": str(given),
        "loss": loss,
        "explanation": found.to_json(),
    }
    return Result("explain", body, _human(found))


COLOURS = {
    "PROVED CONVEX": "bold green",
    "PROVED CONCAVE": "bold green",
    "PROVED NON-CONVEX": "bold magenta",
    "UNKNOWN": "bold yellow",
}


def _human(found: Explanation) -> RenderableType:
    """Verdicts by axis, each with its reason and derivation, then the answer in sentences."""
    blocks = [(f"layer {a.name}" if a.name else "(root)", a.loss) for a in found.blocks]
    sections = [
        (
            "in the inputs, at these parameters",
            [("outputs", found.inputs.outputs), ("loss F", found.inputs.loss)],
        ),
        ("in the parameters of one module alone, all others held", blocks),
        ("in all parameters jointly", [("loss F", found.joint.loss)]),
    ]
    return stack(
        Prose(f"F is {found.function}."),
        *(Group(Text(title, "bold"), _findings(rows)) for title, rows in sections if rows),
        *map(Prose, (*found.summary, *found.notes)),
        Prose(Text(f"Guarantee: {found.guarantee}", "dim")),
    )


def _findings(rows: Sequence[tuple[str, Finding]]) -> RenderableType:
    table = Table.grid(padding=(0, 2))
    table.add_column(overflow="fold", max_width=24)
    table.add_column(overflow="fold")
    broken = None
    for label, finding in rows:
        lines: list[RenderableType] = [Text(finding.verdict, COLOURS.get(finding.verdict, ""))]
        if finding.broken is not None and finding.broken == broken:
            lines.append(Prose("the rule breaks at the same node"))
        else:
            lines.append(Prose(finding.reason))
            where = f"at {finding.broken.place}: " if finding.broken is not None else ""
            if where or finding.chain():
                lines.append(Prose(Text(where + finding.chain(), "dim")))
        broken = finding.broken
        table.add_row(Text(label), Group(*lines))
    return Padding(table, (0, 0, 0, 2))
