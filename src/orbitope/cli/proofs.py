"""``orbitope prove`` and ``orbitope check``: certificates of non-convexity."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from orbitope.cli import options
from orbitope.cli.application import command
from orbitope.cli.data import load_data
from orbitope.cli.loading import load_model, load_objective, own_or_loaded
from orbitope.cli.output import Prose, Result, Tick, columns, facts, number, plain, stack, talk, verdict
from orbitope.cli.weights import check_output

if TYPE_CHECKING:
    from orbitope.proof import Certificate, Claim, NotProven
    from orbitope.proof.check import Verdict


CLAIMS = (
    *("best", "midpoint", "swap", "exchange", "orbit-average", "sign-flip", "rescaling", "twin", "curvature"),
    *("slice", "slopes"),
)
"""What ``--claim`` may be; a test compares it with ``orbitope.proof.prover.STRATEGIES``."""


@command("prove")
@options.model
@options.weights
@options.data
@options.loss
@click.option(
    "--claim",
    type=click.Choice(CLAIMS),
    metavar="NAME",
    default="best",
    show_default=True,
    help="What to try: swap, exchange (several at once), orbit-average, sign-flip, rescaling, twin (built for the "
    "purpose), curvature, slice (most of the network off), slopes; midpoint is the first that averages two equivalent "
    "networks, best the first of all.",
)
@click.option(
    "--weight-decay",
    type=click.FloatRange(min=0),
    default=0.0,
    metavar="RATE",
    help="Prove it of the loss plus RATE/2 times the sum of the squares of all trainable parameters.",
)
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    help="Units of work that a check of the certificate may cost; give check the same number.",
)
@options.output(".orbitope", "the certificate")
def prove(
    model: str,
    weights: str | None,
    data: str,
    loss: str,
    claim: Claim,
    weight_decay: float,
    limit: int | None,
    output: str,
) -> Result:
    """Prove that the loss is not convex; write a certificate.

    The claim is about the loss as a function of the trainable parameters. The bounds are rigorous; orbitope check
    verifies the file without trusting this command. Exit code 1 where nothing is proved, with the reason.
    """
    from orbitope import proof

    check_output(output)
    network = load_model(model)
    loaded = own_or_loaded(network, weights)
    given = load_data(data, network, loss)
    objective = load_objective(network, given, loss, loaded, weight_decay=weight_decay)
    with talk().wait("proving") as tick:
        found = proof.prove(objective, claim=claim, limit=limit, progress=_narrow(tick))
    body: dict[str, Any] = {"model": model, "weights": loaded.source, "data": str(given), "loss": loss}
    if isinstance(found, proof.NotProven):
        return Result("prove", body | _refused(found), _not_proven(found), 1)
    found.save(output)
    body |= _proved(found) | {"certificate": output}
    return Result("prove", body, _proven(body, objective.unit))


def _narrow(tick: Tick) -> Callable[[str, int, int], None]:
    return lambda _, done, total: tick(done, total)


def _refused(found: NotProven) -> dict[str, Any]:
    return {"proven": False, "reason": found.reason, "tried": list(found.tried), "best_gap": found.best_gap}


def _proved(found: Certificate) -> dict[str, Any]:
    return {
        "proven": True,
        "claim": found.claim,
        "strategy": found.document["agreement"]["strategy"],
        "note": found.document["agreement"]["note"],
        "statement": found.statement,
        "gap": found.gap,
        "enclosures": plain(found.enclosures),
        "variables": list(found.variables),
        "guarantee": "exact",
    }


def _proven(body: dict[str, Any], unit: str) -> Any:
    bounds = body["enclosures"]
    named = [(f"loss at point {k + 1}", pair) for k, pair in enumerate(bounds["points"][:4])]
    named += [(f"loss at {WHERE[name]}", bounds[name]) for name in ("average", "start", "end") if bounds[name]]
    rows = [("found by", f"{body['strategy']}: {body['note']}", "heuristic")]
    rows.append(("gap, at least", f"{body['gap']:.9g} {unit}", "exact"))
    rows += [(name, _interval(*pair), "exact") for name, pair in named]
    return stack(
        verdict("PROVED", True, body["statement"]),
        facts(rows),
        Prose(f"wrote {body['certificate']}; verify it with: orbitope check {body['certificate']}"),
    )


WHERE = {"average": "their average", "start": "A, where the chain begins", "end": "its end, the average of all"}


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
    help="Refuse to begin beyond so many units of work; 10^9 by default, 6·10^9 with python-flint.",
)
def check(file: str, limit: int | None) -> Result:
    """Verify a certificate, independently of the prover.

    Every value is computed again, in exact integers, by one file that shares no code with the rest. Exit code 0 where
    it is accepted, 1 where its claim is not established, 2 where it is unreadable or was altered.
    """
    from orbitope.proof import check_certificate

    with talk().wait(f"checking {file}") as tick:
        found = check_certificate(file, progress=tick, limit=limit)
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
    ]
    if found.weight_decay is not None:
        decay = f"still not convex with (μ/2)‖variables‖² added, for μ < {found.weight_decay:.4g}"
        rows.append(("weight decay", decay, "exact"))
    if found.curvature is not None:
        somewhere = f"at most {found.curvature:.4g} somewhere on the segment, where the loss is twice differentiable"
        rows.append(("curvature", somewhere, "exact"))
    rows += [
        ("arithmetic", found.arithmetic, ""),
        ("cost", f"{number(found.multiply_adds)} units of work in {found.seconds:.1f} s", ""),
    ]
    return stack(verdict("ACCEPTED", True, found.statement), facts(rows))
