"""``orbitope prove`` and ``orbitope check``: certificates of non-convexity."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from orbitope.cli import options
from orbitope.cli.application import command
from orbitope.cli.data import load_data
from orbitope.cli.loading import load_model, load_objective, own_or_loaded
from orbitope.cli.output import UNITS, Prose, Result, Tick, columns, facts, number, plain, stack, talk, verdict
from orbitope.cli.weights import check_output

if TYPE_CHECKING:
    from orbitope.proof import Certificate, Claim, NotProven
    from orbitope.proof.check import Verdict


@command("prove")
@options.model
@options.weights
@options.data
@options.loss
@click.option(
    "--claim",
    type=click.Choice(("midpoint", "orbit-average", "best")),
    default="midpoint",
    show_default=True,
    help="One swap and the point half-way; the average of all copies; or the first of the two that succeeds.",
)
@options.output(".orbitope", "the certificate")
def prove(model: str, weights: str | None, data: str, loss: str, claim: Claim, output: str) -> Result:
    """Prove that the loss is not convex; write a certificate.

    The claim is about the loss as a function of the trainable parameters. The bounds are rigorous; orbitope check
    verifies the file without trusting this command. Exit code 1 where nothing is proved, with the reason.
    """
    from orbitope import proof

    check_output(output)
    network = load_model(model)
    loaded = own_or_loaded(network, weights)
    given = load_data(data)
    objective = load_objective(network, given, loss, loaded)
    with talk().wait("proving") as tick:
        found = proof.prove(objective, claim=claim, progress=_narrow(tick))
    body: dict[str, Any] = {"model": model, "weights": loaded.source, "data": str(given), "loss": loss}
    if isinstance(found, proof.NotProven):
        return Result("prove", body | _refused(found), _not_proven(found), 1)
    found.save(output)
    body |= _proved(found) | {"certificate": output}
    return Result("prove", body, _proven(body, UNITS[loss]))


def _narrow(tick: Tick) -> Callable[[str, int, int], None]:
    return lambda what, done, total: tick(done, total)


def _refused(found: NotProven) -> dict[str, Any]:
    return {"proven": False, "reason": found.reason, "tried": list(found.tried), "best_gap": found.best_gap}


def _proved(found: Certificate) -> dict[str, Any]:
    return {
        "proven": True,
        "claim": found.claim,
        "statement": found.statement,
        "gap": found.gap,
        "enclosures": plain(found.enclosures),
        "variables": list(found.variables),
        "guarantee": "exact",
    }


def _proven(body: dict[str, Any], unit: str) -> Any:
    bounds = body["enclosures"]
    rows = [
        ("gap, at least", f"{body['gap']:.9g} {unit}", "exact"),
        ("loss at A", _interval(*bounds["start"]), "exact"),
        ("loss at M", _interval(*bounds["end"]), "exact"),
    ]
    if body["claim"] != "midpoint":
        rows.append(("loss at the step that violates", _interval(*bounds["average"]), "exact"))
    return stack(
        verdict("PROVED", True, body["statement"]),
        facts(rows),
        Prose(f"wrote {body['certificate']}; verify it with: orbitope check {body['certificate']}"),
    )


def _interval(low: float, high: float) -> str:
    return f"{(low + high) / 2:.9g} ± {(high - low) / 2:.1e}"


def _not_proven(found: NotProven) -> Any:
    tried = columns([(f"tried  {text}",) for text in found.tried], ["dim"]) if found.tried else None
    return stack(
        verdict("NOT PROVEN", False, found.reason),
        tried,
        Prose("This is no proof of convexity. Nothing was written."),
    )


# check ----------------------------------------------------------------------------------------------------------


@command("check")
@click.argument("file")
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    help="Refuse to begin beyond so many multiply-adds; 10^9 by default.",
)
def check(file: str, limit: int | None) -> Result:
    """Verify a certificate, independently of the prover.

    Every value is computed again, in exact integers, by one file that shares no code with the rest. Exit code 0 where
    it is accepted, 1 where its claim is not established, 2 where it is unreadable or was altered.
    """
    from orbitope.proof import check_certificate

    with talk().wait(f"checking {file}") as tick:
        found = check_certificate(file, progress=tick, **({} if limit is None else {"limit": limit}))
    body = {"certificate": file, **plain(found.to_json()), "guarantee": "exact"}
    return Result("check", body, _verdict(found), 0 if found.accepted else 1)


def _verdict(found: Verdict) -> Any:
    if not found.accepted:
        return stack(
            verdict("REJECTED", False, found.reason),
            Prose("The claim is not established; it may still be true."),
        )
    rows = [
        ("gap, at least", f"{found.gap_float:.9g}", "exact"),
        ("quasi-convexity", "refuted too" if found.quasiconvex_refuted else "not refuted", "exact"),
        (
            "weight decay",
            f"still not convex with (μ/2)‖variables‖² added, for μ < {found.weight_decay:.4g}",
            "exact",
        ),
        ("arithmetic", found.arithmetic, ""),
        ("cost", f"{number(found.multiply_adds)} multiply-adds in {found.seconds:.1f} s", ""),
    ]
    return stack(verdict("ACCEPTED", True, found.statement), facts(rows))
