"""``orbitope explore``: the page on which nodes are exchanged by hand."""

from __future__ import annotations

import sys

import click
from rich.text import Text

from orbitope.cli.application import command
from orbitope.cli.output import FORMAT_KEY, STDOUT_KEY, Prose, Result, emit, stack, talk


@command("explore")
@click.option("--export", "path", metavar="FILE", help="Write the page to one file that needs no server, and leave.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=0,
    metavar="N",
    help="Where to listen on this machine; by default any free port.",
)
@click.option("--no-open", is_flag=True, help="Do not open the page in the browser.")
@click.option(
    "--data",
    metavar="FILE",
    help="Begin with these data (.csv: one sample a line, its target last) or with a saved screen (.json).",
)
@click.pass_context
def explore(ctx: click.Context, path: str | None, port: int, no_open: bool, data: str | None) -> Result | int:
    """Exchange two hidden nodes by hand, in the browser.

    Serves a page on this machine only, until Ctrl-C. On it a network is drawn and trained; drag one node onto another,
    and see that the function stays while the loss halfway between does not.
    """
    from orbitope import explorer

    assets = explorer.load()
    if data is not None:
        assets = explorer.opening(assets, data)
    if path is not None:
        written = explorer.export(assets, path)
        body = {"file": str(written), "address": None}
        return Result("explore", body, Prose(f"wrote {written}; open it in a browser"))
    from orbitope.explorer.server import LOOPBACK, bind, serve

    listener = bind(port)
    address = f"http://{LOOPBACK}:{listener.getsockname()[1]}/"
    # The address is the result, and whoever waits for it needs it now.
    human = stack(Text(address, "bold"))
    form = ctx.meta.get(FORMAT_KEY, "human")
    emit(Result("explore", {"file": None, "address": address}, human), form, ctx.meta.get(STDOUT_KEY, sys.stdout))
    talk().note("the explorer is at this address until Ctrl-C")
    serve(assets, listener, browse=not no_open)
    return 0
