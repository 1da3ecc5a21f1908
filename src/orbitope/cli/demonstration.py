"""``orbitope demo``: the whole story on handwritten digits."""

from __future__ import annotations

from pathlib import Path

import click
from rich.console import Group
from rich.text import Text

from orbitope.cli.application import command
from orbitope.cli.output import Prose, Result, talk


@command("demo")
@click.option("--seed", type=int, default=0, show_default=True, help="The same seed gives the same report.")
@click.option(
    "-o",
    "--output",
    default="orbitope-demo",
    show_default=True,
    metavar="FOLDER",
    help="Where to write the report.",
)
def demo(seed: int, output: str) -> Result:
    """Tell the whole story on handwritten digits.

    Trains two small classifiers, measures and proves on them, and writes report.html, the certificates and the
    figures; nothing is downloaded. Takes less than a minute.
    """
    from orbitope.reports import story

    told, progress = talk().stages()
    report = Path(story.demo(output, seed, told, progress))
    files = sorted(entry.relative_to(output).as_posix() for entry in Path(output).rglob("*") if entry.is_file())
    body = {"folder": output, "report": str(report), "seed": seed, "files": files}
    return Result("demo", body, Group(Text(), Prose(f"wrote {report}; open it in a browser")))
