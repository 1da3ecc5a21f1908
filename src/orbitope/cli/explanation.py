"""``orbitope explain``: where the loss is convex, and where the composition rule breaks."""

from __future__ import annotations

import os
import re
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
from orbitope.cli.loading import hush, load_model, load_objective, own_or_loaded, read_loss, with_weights
from orbitope.cli.output import Prose, Result, stack, talk
from orbitope.cli.weights import check_output
from orbitope.errors import InputError

if TYPE_CHECKING:
    from orbitope.curvature import Analysis, Explanation, Finding

SHOWN = 40
"""So many modules are shown to readers; the JSON form has all."""


@command("explain")
@options.model
@options.weights
@click.option(
    "--data",
    metavar="DATA",
    help="As for prove: digits, a file with arrays x and y, text:FILE, random:N. Without it, what is proved holds "
    "whatever the data are, and weights that have shapes only may have any signs.",
)
@options.loss
@click.option(
    "--weight-decay",
    type=click.FloatRange(min=0),
    default=0.0,
    metavar="RATE",
    help="Explain the loss plus RATE/2 times the sum of the squares of all trainable parameters.",
)
@click.option(
    "--block",
    "blocks",
    multiple=True,
    metavar="PATTERNS",
    help="Also vary these parameters together, as in 'layers.0.*,head.bias'; may be given several times.",
)
@click.option("--tensors", is_flag=True, help="Also vary every trainable tensor alone.")
@click.option(
    "--certificate",
    metavar="FILE.orbitope",
    help="A certificate of this loss, to be cited where it refutes convexity.",
)
@click.option("--prove", is_flag=True, help="Look for certificates of non-convexity wherever the rules prove nothing.")
@click.option("--save", metavar="FOLDER", help="With --prove: write the certificates there, for orbitope check.")
@click.option("--tree", is_flag=True, help="Show every derivation as an indented tree.")
@click.option("--svg", metavar="FILE.svg", help="Draw the program, coloured by curvature.")
@click.option(
    "--of",
    metavar="NAME",
    default="joint",
    show_default=True,
    help="What the picture is of: joint, inputs, or the name of a module, tensor or block.",
)
def explain(
    model: str,
    weights: str | None,
    data: str | None,
    loss: str,
    weight_decay: float,
    blocks: tuple[str, ...],
    tensors: bool,
    certificate: str | None,
    prove: bool,
    save: str | None,
    tree: bool,
    svg: str | None,
    of: str,
) -> Result:
    """Show where the loss is convex, and where that breaks.

    In the inputs, in each layer alone, and in all parameters jointly. "But ReLU is convex and non-decreasing": the
    answer names the operation where the composition rule breaks, and --prove finds parameters that refute convexity.
    """
    from orbitope.reports.explaining import explain as explained

    if save is not None and not prove:
        raise InputError("--save writes the certificates that --prove finds", fix="add --prove")
    if svg is not None:
        check_output(svg)
    evidence = None
    if certificate is not None:
        from orbitope.proof import Certificate

        evidence = Certificate.load(certificate)
    objective, source, given = _subject(model, weights, data, loss, weight_decay)
    named = [[part.strip() for part in text.split(",")] for text in blocks] or None
    with talk().wait("following curvature") as tick:
        found = explained(
            objective,
            evidence,
            prove=prove,
            blocks=named,
            tensors=tensors,
            progress=lambda _, done, total: tick(done, total),
        )
    body: dict[str, Any] = {
        "model": model,
        "weights": source,
        "data": given,
        "loss": loss,
        "explanation": found.to_json(),
    }
    notes: list[str] = []
    if save is not None:
        body["certificates"] = _saved(found, save)
        notes += [f"wrote {path}; verify it with: orbitope check {path}" for path in body["certificates"].values()]
    if svg is not None:
        body["picture"] = svg
        _draw(objective, found, of, svg, model)
        notes.append(f"wrote {svg}")
    return Result("explain", body, _human(found, tree, notes))


def _subject(model: str, weights: str | None, data: str | None, loss: str, decay: float) -> tuple[Any, str, str]:
    """The objective, or without data its outline; where the weights are from, and what the data are."""
    network = load_model(model)
    if data is not None:
        loaded = own_or_loaded(network, weights)
        given = load_data(data, network, loss)
        return load_objective(network, given, loss, loaded, weight_decay=decay), loaded.source, str(given)
    from orbitope.curvature import Outline
    from orbitope.frontends.adapters import on_meta

    args, source = network.inputs(), network.label
    if weights is not None or not on_meta(network.module):
        loaded = own_or_loaded(network, weights)
        network, source = with_weights(network, loaded), loaded.source
        args = network.inputs()
    else:
        talk().note(f"{network.label} comes without weights: their signs are not known")
    function, output = read_loss(loss)
    with talk().wait(f"tracing {network.label}"), hush():
        outline = Outline.of(network.module, args, network.kwargs, loss=function, output=output, weight_decay=decay)
    return outline, source, "any"


def _saved(found: Explanation, folder: str) -> dict[str, str]:
    """The certificates, one file for each analysis that has one."""
    os.makedirs(folder, exist_ok=True)
    paths: dict[str, str] = {}
    for analysis in found.analyses:
        proof: Any = analysis.certificate
        if proof is not None and hasattr(proof, "save"):
            name = re.sub(r"[^\w.-]+", "_", analysis.name) or ("joint" if analysis.axis == "joint" else "root")
            path = os.path.join(folder, f"{name}.orbitope")
            proof.save(path)
            paths[analysis.name or name] = path
    return paths


def _draw(objective: Any, found: Explanation, of: str, path: str, title: str) -> None:
    from orbitope.curvature import walked
    from orbitope.files import atomic_write
    from orbitope.reports.curvature_figure import curvature_svg

    names: dict[str, Analysis] = {a.name: a for a in found.analyses} | {"joint": found.joint, "inputs": found.inputs}
    if of not in names:
        raise InputError(f"nothing here is called {of!r}", fix=f"choose among {', '.join(n for n in names if n)[:300]}")
    atomic_write(path, curvature_svg(walked(objective, names[of]), title))


COLOURS = {
    "PROVED CONVEX": "bold green",
    "PROVED CONCAVE": "bold green",
    "PROVED NON-CONVEX": "bold magenta",
    "UNKNOWN": "bold yellow",
}


def _human(found: Explanation, tree: bool, notes: Sequence[str]) -> RenderableType:
    """Verdicts by axis, each with its reason and derivation, then the answer in sentences."""
    blocks = [(a.label if a.name else "(root)", a.loss) for a in found.blocks]
    inputs = [("outputs", found.inputs.outputs), ("loss F", found.inputs.loss)]
    inputs += [(f"outputs in {a.name}", a.outputs) for a in found.apart]
    sections = [
        ("in the inputs, at these parameters", inputs),
        ("in the parameters of one module alone, all others held", blocks),
        ("in one tensor alone, all others held", [(a.name, a.loss) for a in found.tensors]),
        ("in the parameters that you named, all others held", [(a.name, a.loss) for a in found.subsets]),
        ("in all parameters jointly", [("loss F", found.joint.loss)]),
    ]
    return stack(
        Prose(f"F is {found.function}."),
        *(Group(Text(title, "bold"), _findings(rows, tree)) for title, rows in sections if rows),
        *map(Prose, (*found.summary, *found.notes)),
        *map(Prose, notes),
        Prose(Text(f"Guarantee: {found.guarantee}", "dim")),
    )


def _findings(rows: Sequence[tuple[str, Finding]], tree: bool) -> RenderableType:
    table = Table.grid(padding=(0, 2))
    table.add_column(overflow="fold", max_width=24)
    table.add_column(overflow="fold")
    broken = None
    for label, finding in rows[:SHOWN]:
        lines: list[RenderableType] = [Text(finding.verdict, COLOURS.get(finding.verdict, ""))]
        if finding.broken is not None and finding.broken == broken and finding.verdict == "UNKNOWN":
            lines.append(Prose("the rule breaks at the same node"))
        else:
            lines.append(Prose(finding.reason))
            lines += _derivation(finding, tree)
        if finding.searched:
            lines.append(Prose(Text(f"no certificate: {finding.searched}", "dim")))
        broken = finding.broken
        table.add_row(Text(label), Group(*lines))
    if len(rows) > SHOWN:
        table.add_row(Text("…"), Prose(f"{len(rows) - SHOWN} more; --format json has all"))
    return Padding(table, (0, 0, 0, 2))


def _derivation(finding: Finding, tree: bool) -> list[RenderableType]:
    where = f"at {finding.broken.place}" if finding.broken is not None else ""
    if tree:
        return [Text(line, "dim") for line in [where, *finding.tree().splitlines()] if line]
    text = ": ".join(part for part in (where, finding.chain()) if part)
    return [Prose(Text(text, "dim"))] if text else []
