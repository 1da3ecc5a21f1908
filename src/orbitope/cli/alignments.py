"""``orbitope align`` and ``orbitope barrier``: undoing the symmetry between two networks, and what it is worth."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence

import click

from orbitope.cli import options
from orbitope.cli.application import command
from orbitope.cli.data import load_data
from orbitope.cli.groups import load_group
from orbitope.cli.loading import check, fit, load_model, load_objective, load_weights
from orbitope.cli.output import Prose, Result, facts, plain, stack, talk, verdict
from orbitope.cli.twins import changes, moved_units
from orbitope.cli.weights import check_output, write_weights
from orbitope.errors import InputError


@command("align")
@options.optional_model
@options.symmetry
@options.inputs
@options.two_weights
@click.option("--seed", type=int, default=0, show_default=True, help="Of what the search does at random.")
@click.option("--element", metavar="FILE.json", help="Also write the element that was found.")
@options.output(".safetensors", "the twin of B that is close to A")
def align(
    model: str | None,
    symmetry: str | None,
    shapes: tuple[str, ...],
    weights: tuple[str, str],
    seed: int,
    element: str | None,
    output: str,
) -> Result:
    """Bring weights as close to others as symmetry allows.

    The twin of B that is found near A is written; it computes the same function as B, exactly. That no other twin is
    closer is not claimed.
    """
    from orbitope import alignment
    from orbitope.files import atomic_write

    if (model is None) == (symmetry is None):
        raise InputError("align takes either a MODEL or --symmetry", fix="orbitope align --help")
    check_output(output, ".safetensors")
    if element is not None:
        check_output(element, ".json")
    a, b = map(load_weights, weights)
    group = load_group(load_model(model, shapes) if model is not None else None, symmetry)
    for each in (a, b):
        check(group, each)
    with talk().wait("aligning"):
        found = alignment.align(a.tensors, b.tensors, group, method="weights", seed=seed)
    aligned = found.element.act(b.tensors)
    if element is not None:
        atomic_write(element, (json.dumps(found.element.to_json()) + "\n").encode())
    write_weights(output, aligned, b.metadata)
    body = {
        "model": model or symmetry,
        "weights": list(weights),
        "output": output,
        "element": element,
        "method": "weights",
        "seed": seed,
        "distance_before": found.distance_before,
        "distance_after": found.distance_after,
        **changes(group, found.element, b.tensors, aligned),
        "guarantee": found.guarantee,
    }
    rows = [
        ("distance to A before", f"{found.distance_before:.6g}", "numeric"),
        ("distance to A after", f"{found.distance_after:.6g}", "numeric"),
        ("positions moved", moved_units(body), ""),
        ("the alignment", "weight matching, a local search", found.guarantee),
    ]
    head = verdict("written", True, f"{output}: {weights[1]} with its units in the order of {weights[0]}")
    return Result("align", body, stack(head, facts(rows), Prose(f"wrote {element}") if element else None))


# barrier --------------------------------------------------------------------------------------------------------

BLOCKS = "▁▂▃▄▅▆▇█"


@command("barrier")
@options.model
@options.two_weights
@options.data
@options.loss
@click.option("--points", type=click.IntRange(3, 10_001), default=25, show_default=True, help="Where F is evaluated.")
@click.option("--max-barrier", type=float, metavar="X", help="Exit with code 1 where the barrier is higher.")
def barrier(
    model: str, weights: tuple[str, str], data: str, loss: str, points: int, max_barrier: float | None
) -> Result:
    """Follow the loss on the line between two sets of weights.

    The height of the barrier is how far the loss rises above the line between its two ends.
    """
    from orbitope import landscapes

    if max_barrier is not None and math.isnan(max_barrier):
        raise InputError("--max-barrier is not a number", fix="give the height that is allowed, as 0.1")
    network = load_model(model)
    a, b = map(load_weights, weights)
    fit(network, a, b)
    given = load_data(data, network, loss)
    objective = load_objective(network, given, loss, a, b)
    with talk().wait("walking from A to B"):
        found = landscapes.barrier(objective, a.tensors, b.tensors, points=points)
    t, losses = plain(found.t), plain(found.losses)
    within = max_barrier is None or found.height <= max_barrier
    body = {
        "model": model,
        "weights": list(weights),
        "data": str(given),
        "loss": loss,
        "t": t,
        "losses": losses,
        "height": found.height,
        "midpoint": plain(found.midpoint),
        "accuracy": plain(found.accuracy),
        "max_barrier": max_barrier,
        "within": within,
        "guarantee": "numeric",
    }
    rows = [
        ("loss at A", _shown(losses[0]), "numeric"),
        ("half-way", _shown(losses[len(losses) // 2]) if points % 2 else "", "numeric"),
        ("loss at B", _shown(losses[-1]), "numeric"),
        ("accuracy", _accuracies(body["accuracy"]), "numeric"),
    ]
    sentence = f"{found.height:.6g} {objective.unit} above the line between the two ends"
    if max_barrier is not None:
        sentence += f"; up to {max_barrier:g} is allowed"
    word = "barrier" if within else "TOO HIGH"
    curve = Prose(f"  A {sparkline(losses)} B")
    return Result("barrier", body, stack(verdict(word, within, sentence), curve, facts(rows)), 0 if within else 1)


def _accuracies(values: Sequence[float] | None) -> str:
    """At A, where it is lowest, and at B."""
    return f"{values[0]:.1%} at A, lowest {min(values):.1%}, {values[-1]:.1%} at B" if values else ""


def _shown(value: float | None) -> str:
    return "not finite" if value is None else f"{value:.6g}"


def sparkline(values: Sequence[float | None], width: int = 60) -> str:
    """The values as blocks of eight heights, the lowest and the highest at the ends; ``?`` where not finite."""
    picked = values if len(values) <= width else [values[k * (len(values) - 1) // (width - 1)] for k in range(width)]
    known = [v for v in picked if v is not None and math.isfinite(v)]
    low, high = (min(known), max(known)) if known else (0.0, 0.0)
    step = (high - low) or 1.0
    return "".join("?" if v is None else BLOCKS[round((v - low) / step * (len(BLOCKS) - 1))] for v in picked)
