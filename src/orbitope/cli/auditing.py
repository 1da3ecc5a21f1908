"""``orbitope audit``: flat directions that the group explains beside those that are measured."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from orbitope.cli import options
from orbitope.cli.application import command
from orbitope.cli.loading import fit, hush, load_model, own_or_loaded
from orbitope.cli.output import Prose, Result, facts, number, stack, talk, verdict

if TYPE_CHECKING:
    from orbitope.flatness import Audit, Finding


@command("audit")
@options.model
@options.inputs
@options.weights
@click.option("--scope", multiple=True, metavar="PATTERN", help="Let only parameters vary that match, as features.*")
@click.option(
    "--loss", is_flag=True, help="Look at the log-softmax of the output, which is what a cross-entropy loss sees."
)
@click.option(
    "--seeds",
    type=click.IntRange(min=1),
    default=12,
    show_default=True,
    help="At most so many random parameters are looked at, until all that is flat at one of them is explained.",
)
def audit(
    model: str, shapes: tuple[str, ...], weights: str | None, scope: tuple[str, ...], loss: bool, seeds: int
) -> Result:
    """Count flat directions twice: by the group, and by measuring.

    The derivative of the outputs with respect to the trainable parameters is taken in float64 at random inputs; what
    it takes to zero is flat. Exit code 0 where the group explains all that is flat at generic parameters, 1 where it
    does not. Trained parameters may have more, which are counted apart. At most 3000 parameters.
    """
    from orbitope import flatness

    network = load_model(model, shapes)
    loaded = own_or_loaded(network, weights)
    fit(network, loaded)
    network.demand_run("flat directions are measured")
    with talk().wait("measuring flat directions"), hush():
        found = flatness.audit(
            network.program or network.module,
            network.inputs(),
            network.kwargs,
            loss=loss,
            seeds=seeds,
            scope=scope or None,
            params=loaded.tensors,
        )
    body: dict[str, Any] = {"model": model, "weights": loaded.source, **found.to_json()}
    return Result("audit", body, _human(loaded.source, found), 0 if found else 1)


def _human(source: str, found: Audit) -> Any:
    generic = found.generic
    words = {
        "explained": "EXPLAINED",
        "unexplained": "NOT ALL EXPLAINED",
        "undecided": "UNDECIDED",
        "unsound": "UNSOUND",
    }
    worst = found.own if found.own.verdict == "unsound" else generic
    head = verdict(words[found.verdict], bool(found), f"{_sentence(worst)}, at generic parameters")
    if found.verdict in ("undecided", "unsound"):
        head = verdict(words[found.verdict], False, str(worst).removeprefix("UNSOUND: "))
    rank = "the log-softmax of the outputs has rank" if found.loss else "the outputs have rank"
    rows = [
        ("with these parameters", _sentence(found.own), found.guarantee),
        ("parameters", f"{number(found.parameters)} entries vary; {rank} {number(generic.rank)}", ""),
        ("singular values", f"{generic.above:.0e} of the largest before the gap, {generic.below:.0e} behind it", ""),
        ("random parameters", f"{found.seeds} looked at", ""),
        ("at ε = 0 only", f"{found.approximate} more, not counted" if found.approximate else "", ""),
    ]
    where = [_where("generic parameters", generic), _where(source, found.own)]
    why = [Prose(f"In the way: {reason}.") for reason in found.reasons if generic.unexplained]
    return stack(head, facts(rows), *where, *why)


def _sentence(found: Finding) -> str:
    return f"{number(found.explained)} of {number(found.measured)} flat directions explained"


def _where(what: str, found: Finding) -> Any:
    if not found.shares:
        return None
    count = found.unexplained
    others = "1 unexplained direction lives" if count == 1 else f"{number(count)} unexplained directions live"
    unread = f" No output depended on {number(found.unread)} of their entries." if found.unread else ""
    return Prose(f"{what}: {others} on {found.where()}.{unread}")
