"""``orbitope survey``: the argument of the swap on many small networks."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from orbitope.cli.activation import load_activation
from orbitope.cli.application import command
from orbitope.cli.output import Prose, Result, facts, number, stack, talk, verdict
from orbitope.errors import InputError

T = TypeVar("T")


def _several(read: Callable[[str], T], what: str) -> Callable[[Any, Any, tuple[str, ...]], tuple[T, ...]]:
    """Values with commas between them, in one option or several."""

    def parse(_ctx: Any, parameter: click.Parameter, values: tuple[str, ...]) -> tuple[T, ...]:
        found: list[T] = []
        for part in (part.strip() for value in values for part in value.split(",")):
            try:
                found.append(read(part))
            except ValueError:
                raise click.BadParameter(f"{part!r} is not {what}.", param=parameter) from None
        return tuple(dict.fromkeys(found))

    return parse


def _whole(text: str) -> int:
    if not re.fullmatch(r"-?\d{1,9}", text):
        raise ValueError(text)
    return int(text)


def _numbers(*names: str, default: str, text: str) -> Any:
    return click.option(
        *names,
        multiple=True,
        default=(default,),
        show_default=True,
        metavar="N,N",
        callback=_several(_whole, "a whole number"),
        help=text,
    )


@command("survey")
@click.option(
    "--activation",
    "activations",
    multiple=True,
    metavar="NAME,NAME",
    callback=_several(str, "a name"),
    help="Known ones by name, or file.py:function; all known ones by default.",
)
@_numbers("--width", "widths", default="1,2,3,8,32", text="Units of every hidden layer.")
@_numbers("--depth", "depths", default="1,2", text="Hidden layers.")
@click.option(
    "--loss",
    "losses",
    multiple=True,
    metavar="LOSS",
    callback=_several(str, "a loss"),
    help="mse, cross_entropy; both by default, where the data have classes.",
)
@_numbers("--seeds", "--seed", "seeds", default="0,1", text="Of the initial weights.")
@click.option(
    "--data",
    default="digits",
    show_default=True,
    metavar="DATA",
    help="digits (100 of them, 4 × 4 pixels), or a .safetensors, .npz or .pt file with arrays x and y.",
)
@click.option(
    "--weight-decay", type=float, default=1e-3, show_default=True, metavar="RATE", help="Added to every loss."
)
@click.option("--no-proofs", is_flag=True, help="Measure only; make no certificates.")
@click.option("--jobs", type=click.IntRange(min=1), metavar="N", help="Processes; the number of cores by default.")
@click.option(
    "-o", "--output", metavar="DIR", help="Where records, table and figure are kept; resumed if they are there."
)
def survey(
    activations: tuple[str, ...],
    widths: tuple[int, ...],
    depths: tuple[int, ...],
    losses: tuple[str, ...],
    seeds: tuple[int, ...],
    data: str,
    weight_decay: float,
    no_proofs: bool,
    jobs: int | None,
    output: str | None,
) -> Result:
    """Train small networks and try the argument on each.

    For every activation, width, depth, loss and seed: is the midpoint of a swap worse than the network, is the average
    of all exchanges, is it proved; at initialisation and after training. An interrupted survey goes on where it was
    when the same command is run again.
    """
    from orbitope.surveys import page, tables
    from orbitope.surveys.running import survey as measure

    chosen = _functions(activations)
    folder = None if output is None else Path(output)
    if folder is not None and folder.exists() and not folder.is_dir():
        raise InputError(f"{output} is not a folder", at=str(output), fix="name a folder with -o")
    with talk().wait("measuring") as tick:
        found = measure(
            chosen,
            widths=widths,
            depths=depths,
            losses=losses or None,
            seeds=seeds,
            data=None if data == "digits" else _data(data),
            weight_decay=weight_decay,
            prove=not no_proofs,
            folder=folder,
            jobs=jobs,
            progress=tick,
            label=Path(data).name,
        )
    written = page.write(found, folder) if folder is not None else ()
    totals = tables.totals(found.records)
    body = {
        "folder": output,
        "files": [str(path) for path in written],
        "networks": len(found.records),
        "measured_now": found.fresh,
        "totals": totals,
        "records": list(found.records),
        "guarantee": found.guarantee,
    }
    rows = [
        ("networks", f"{number(len(found.records))}, {number(found.fresh)} of them measured now", ""),
        ("nearly stationary", f"{totals['stationary']} of {totals['networks']}", "numeric"),
        ("a midpoint is worse", f"{totals['worse']} of {totals['wide']} with two units or more", "numeric"),
        ("… at initialisation", f"{totals['worse_initially']} of {totals['wide']}", "numeric"),
        ("the average is worse", f"{totals['average_worse']} of {totals['wide']}", "numeric"),
        ("… at initialisation", f"{totals['average_worse_initially']} of {totals['wide']}", "numeric"),
        ("proved by a swap", "" if no_proofs else f"{totals['swap']} of {totals['wide']}", "exact"),
        ("proved by anything", "" if no_proofs else f"{totals['proved']} of {totals['networks']}", "exact"),
    ]
    sentence = f"{totals['worse']} of {totals['wide']} trained networks have a swap whose midpoint is worse"
    wrote = Prose(f"wrote {', '.join(map(str, written))}") if written else None
    return Result("survey", body, stack(verdict("survey", True, sentence), facts(rows), wrote))


def _functions(labels: tuple[str, ...]) -> Any:
    """None for all known ones; names; or functions by name, where some are the user's own."""
    if not labels:
        return None
    loaded = {label: load_activation(label) for label in labels}
    if not any(loaded.values()):
        return list(loaded)
    from orbitope.activations import ACTIVATIONS

    known = [label for label, function in loaded.items() if function is None]
    if known:
        raise InputError(
            "known activations and your own are surveyed apart",
            got=", ".join(labels),
            fix="run the command twice with the same -o: records are kept together",
        )
    names = [label.rpartition(":")[2] for label in labels]
    free = [f"own {name}" if name in ACTIVATIONS else name for name in names]
    twice = sorted({name for name in free if free.count(name) > 1})
    if twice:
        raise InputError("two functions have one name", got=", ".join(twice))
    return dict(zip(free, loaded.values(), strict=True))


def _data(label: str) -> Any:
    """Inputs and targets of a file.

    Raises:
        DataError: it does not name a file of data.
    """
    from torch import nn

    from orbitope.cli.data import load_data
    from orbitope.cli.loading import Model

    found = load_data(label, Model(label, nn.Identity()))
    return (found.kwargs or (found.args if len(found.args) != 1 else found.args[0])), found.y
