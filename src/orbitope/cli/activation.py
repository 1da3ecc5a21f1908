"""``orbitope activation``: the traits of an activation, and the argument of the swap tried on it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click
from rich.console import RenderableType

from orbitope.cli.application import command
from orbitope.cli.factories import imported
from orbitope.cli.output import Result, columns, facts, stack, talk, verdict
from orbitope.errors import InputError

if TYPE_CHECKING:
    from orbitope.activations import Traits


@command("activation")
@click.argument("activation")
@click.option("--width", type=click.IntRange(1, 256), default=8, show_default=True, help="Units of the hidden layer.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of the initial weights.")
@click.option("--traits-only", is_flag=True, help="Do not train a network with it.")
def activation(activation: str, width: int, seed: int, traits_only: bool) -> Result:
    """Show the traits of an activation, and try the argument on it.

    ACTIVATION is the name of a known one (relu, tanh, gelu, …; a wrong name lists them), or file.py:function or
    package.module:function: a function of one tensor. A small network with it is trained on handwritten digits; two of
    its hidden units are exchanged, and the midpoint and the average of all exchanges are compared with it. Exit code 1
    where no swap proves that its loss is not convex.
    """
    from orbitope.activations import traits
    from orbitope.surveys.running import survey

    function = load_activation(activation)
    label = activation.rpartition(":")[2]
    with talk().wait(f"looking at {label}"):
        found = traits(activation if function is None else function, label)
    body: dict[str, Any] = {"activation": activation, "traits": found.to_json(), "argument": None}
    table = _table(found)
    if traits_only:
        return Result("activation", body, stack(verdict(label, True, found.formula or "your own"), table))
    chosen = [label] if function is None else {_free(label): function}
    with talk().wait("training a small network with it"):
        tried = survey(chosen, widths=(width,), depths=(1,), losses=("cross_entropy",), seeds=(seed,), jobs=1)
    record = tried.records[0]
    body["argument"] = record
    good = record["trained"]["proved"] == "swap"
    word, sentence = _sentence(record, good)
    blocks = stack(
        verdict(label, True, found.formula or "your own function"),
        table,
        verdict(word, good, sentence),
        facts(_argument(record)),
    )
    return Result("activation", body, blocks, 0 if good else 1)


def load_activation(label: str) -> Any:
    """The function of ``file.py:function`` or ``module:function``; None for a known name.

    Raises:
        InputError: no such known activation. ModelArgumentError: no such function, or its file cannot be run.
    """
    from orbitope.activations.known import known

    if ":" in label:
        return imported(label)
    if label.endswith(".py"):
        raise InputError(f"{label} names a file, not a function in it", fix=f"as {label}:function")
    known(label)
    return None


def _free(label: str) -> str:
    """A name for a function of the user's own, which must not be that of a known one."""
    from orbitope.activations import ACTIVATIONS

    return f"own {label}" if label in ACTIVATIONS else label


def _table(found: Traits) -> RenderableType:
    rows = []
    for each in found.verdicts:
        said = each.detail if each.holds else each.counterexample
        rows.append(("yes" if each.holds else "no", each.trait, said, each.guarantee))
    return columns(rows, ["bold", "", "", "italic dim"])


def _sentence(record: Mapping[str, Any], good: bool) -> tuple[str, str]:
    point = record["trained"]
    if good:
        return "PROVED", (
            f"with units {point['best_swap'][1]} and {point['best_swap'][2]} exchanged, the midpoint is worse than "
            f"both by at least {point['proved_gap']:.6g}: F is not convex, and the checker accepted the certificate"
        )
    if point["proved"]:
        return "NOT BY A SWAP", f"{point['reason']}; proved not convex by: {point['proved']}"
    return "NOT PROVEN", f"{point['reason']}. This is no proof of convexity."


def _argument(record: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    first, last = record["initial"], record["trained"]
    gap = "–" if last["best_gap"] is None else f"{last['best_gap']:.6g}"
    before = "–" if first["best_gap"] is None else f"{first['best_gap']:.6g}"
    accuracy = f", {last['accuracy']:.0%} right" if last["accuracy"] is not None else ""
    return [
        ("network", f"16 → {record['width']} → 10 on 100 digits, cross-entropy, weight decay 0.001", ""),
        ("loss", f"{first['loss']:.4g} at initialisation, {last['loss']:.4g} trained{accuracy}", "numeric"),
        ("gradient", f"{last['gradient_a']:.2g} at A" + _ties(last), "numeric"),
        ("midpoint of the best swap", f"{gap} above A; {before} at initialisation", "numeric"),
        ("swaps with a worse midpoint", f"{last['bumps']} of {last['swaps']}", "numeric"),
        ("average of all exchanges", f"{last['average_gap']:.6g} above A", "numeric"),
    ]


def _ties(point: Mapping[str, Any]) -> str:
    if not point.get("ties"):
        return ""
    return f"; {point['ties']} entries at kinks, a generalised gradient of {point['generalised_a']:.2g}"
