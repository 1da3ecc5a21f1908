"""``orbitope stationarity``: the gradient between a network and its twin."""

from __future__ import annotations

from typing import Any

import click

from orbitope.cli import options
from orbitope.cli.alignments import sparkline
from orbitope.cli.application import command
from orbitope.cli.data import load_data
from orbitope.cli.loading import load_model, load_objective, load_weights, own_or_loaded
from orbitope.cli.output import Prose, Result, facts, plain, stack, talk, verdict
from orbitope.cli.weights import check_output


@command("stationarity")
@options.model
@options.weights
@click.option("--to", "other", metavar="FILE", help="Weights at the other end; by default a swap of two units.")
@options.data
@options.loss
@click.option(
    "--weight-decay", type=click.FloatRange(min=0), default=0.0, metavar="RATE", help="Added to the loss, as in prove."
)
@click.option("--points", type=click.IntRange(3, 10_001), default=33, show_default=True, help="Where F is evaluated.")
@click.option(
    "--tolerance",
    type=click.FloatRange(min=0),
    default=0.0,
    metavar="X",
    help="At the ends, entries within X of a kink count as on it; 0 by default.",
)
@options.output(".orbitope", "a certificate that the slope falls", required=False)
def stationarity(
    model: str,
    weights: str | None,
    other: str | None,
    data: str,
    loss: str,
    weight_decay: float,
    points: int,
    tolerance: float,
    output: str | None,
) -> Result:
    """Follow the gradient from a network to its twin.

    If F were convex, its slope along the way would never fall, and between two stationary points every point would be
    stationary. Exit code 1 where nothing contradicts that, or where -o is given and nothing is proved.
    """
    from orbitope import landscapes
    from orbitope.proof import Certificate
    from orbitope.surveys.segments import best_swap, certify_fall

    if output is not None:
        check_output(output)
    network = load_model(model)
    loaded = own_or_loaded(network, weights)
    given = load_data(data, network, loss)
    far = load_weights(other) if other is not None else None
    objective = load_objective(network, given, loss, loaded, *([far] if far else []), weight_decay=weight_decay)
    with talk().wait("walking from A to B"):
        if far is None:
            end, note = best_swap(objective, params=loaded.tensors)
        else:
            end, note = dict(far.tensors), f"from {loaded.source} to {far.source}"
        found = landscapes.stationarity(objective, loaded.tensors, end, points, tolerance=tolerance)
    body: dict[str, Any] = {
        "model": model,
        "weights": loaded.source,
        "to": note,
        "data": str(given),
        "loss": loss,
        "stationarity": plain(found.to_json()),
        "certificate": None,
        "reason": None,
    }
    told = None
    if output is not None:
        with talk().wait("proving"):
            proof = certify_fall(found, objective, loaded.tensors, end)
        if isinstance(proof, Certificate):
            proof.save(output)
            body["certificate"] = output
            told = Prose(f"wrote {output}; verify it with: orbitope check {output}")
        else:
            body["reason"] = proof.reason
            told = Prose(f"not proven: {proof.reason}")
    good = found.refuted and (output is None or body["certificate"] is not None)
    word = ("PROVED" if body["certificate"] else "FALLS") if good else "NOT PROVEN"
    rows = [
        ("segment", note, "heuristic" if far is None else ""),
        ("gradient at A", f"{found.norms[0]:.4g}", "numeric"),
        ("gradient at B", f"{found.norms[-1]:.4g}", "numeric"),
        ("longest between", f"{max(found.norms):.4g} at t = {found.least:.3g}", "numeric"),
        ("at A", str(found.a), found.a.guarantee),
        ("at B", str(found.b), found.b.guarantee),
    ]
    curves = Prose(f"  loss      A {sparkline(plain(found.losses))} B\n  gradient  A {sparkline(plain(found.norms))} B")
    head = verdict(word, good, str(found).splitlines()[1])
    return Result("stationarity", body, stack(head, curves, facts(rows), told), 0 if good else 1)
