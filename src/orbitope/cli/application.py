"""The group of commands, and the boundary that turns whatever happens into a result, one message and an exit code.

0 done, proved, equal; 1 a valid run whose claim was not established; 2 bad input or an internal error;
130 interrupted.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import logging
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import click

from orbitope.cli.output import (
    DEBUG_KEY,
    FORMAT_KEY,
    FORMATS,
    STDOUT_KEY,
    Format,
    Result,
    emit,
    emit_error,
    silence,
    writing,
)
from orbitope.errors import InputError, OrbitopeError

CHAPTERS: dict[str, dict[str, str]] = {
    "See the symmetry": {"inspect": "inspection", "twin": "twins", "verify": "verification", "audit": "auditing"},
    "Prove what follows from it": {
        "prove": "proofs",
        "check": "proofs",
        "stationarity": "stationary",
        "explain": "explanation",
    },
    "Try it on other networks": {"activation": "activation", "survey": "surveying"},
    "Undo it": {"fold": "folding", "align": "alignments", "barrier": "alignments"},
    "The whole story": {"demo": "demonstration", "explore": "exploring"},
}
"""Headings of the help, the commands under each, and the module that defines each."""


class InternalError(OrbitopeError):
    """Something that should not happen."""

    code = "E999"


class Command(click.Command):
    """A command that returns a :class:`Result`. What other code prints meanwhile goes to standard error."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run it, with standard output kept for the result."""
        ctx.meta[STDOUT_KEY] = sys.stdout
        with contextlib.redirect_stdout(sys.stderr), _calm(bool(ctx.meta.get(DEBUG_KEY))):
            return super().invoke(ctx)


class Application(click.Group):
    """All commands, in the order of the story; their modules are imported when they are needed."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order of the story."""
        return [name for names in CHAPTERS.values() for name in names]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name."""
        homes = {name: home for names in CHAPTERS.values() for name, home in names.items()}
        if cmd_name not in homes:
            return None
        return getattr(importlib.import_module(f"orbitope.cli.{homes[cmd_name]}"), cmd_name)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Under their headings."""
        for heading, names in CHAPTERS.items():
            with formatter.section(heading):
                found = [(name, self.get_command(ctx, name)) for name in names]
                formatter.write_dl([(name, c.get_short_help_str(80)) for name, c in found if c is not None])

    def main(self, args: Sequence[str] | None = None, prog_name: str | None = None, **extra: Any) -> None:
        """Run a command line, and leave with its exit code."""
        given = [*(sys.argv[1:] if args is None else args)]
        stream, form, debug = sys.stdout, _requested(given), "--debug" in given
        for each in (sys.stdout, sys.stderr):
            if isinstance(each, io.TextIOWrapper):
                with contextlib.suppress(ValueError):
                    each.reconfigure(errors="replace")
        try:
            code = self._run(given, form, stream, extra)
        except (KeyboardInterrupt, click.Abort):
            click.echo("interrupted", err=True)
            code = 130
        except BrokenPipeError:
            silence(stream)
            code = 0
        except click.UsageError as error:
            emit_error(_usage(error), form, stream)
            code = 2
        except OrbitopeError as error:
            if debug:
                traceback.print_exc()
            emit_error(error, form, stream)
            code = 2
        except Exception as error:
            if debug:
                traceback.print_exc()
            emit_error(_internal(error), form, stream)
            code = 2
        sys.exit(code)

    def _run(self, args: list[str], form: Format, stream: Any, extra: dict[str, Any]) -> int:
        extra.pop("standalone_mode", None)
        prints_itself = not args or {"-h", "--help", "--version"} & {*args}
        with writing(stream) if prints_itself else contextlib.nullcontext():
            result = super().main(args, "orbitope", standalone_mode=False, **extra)
            stream.flush()
        if isinstance(result, Result):
            emit(result, form, stream)
            return result.exit_code
        return result if isinstance(result, int) else 0


def _requested(args: Sequence[str]) -> Format:
    """The format that a command line asks for, also where the rest of it cannot be parsed."""
    chosen: Format = "human"
    for arg, following in zip(args, [*args[1:], ""], strict=False):
        for form in FORMATS:
            if arg == f"--format={form}" or (arg == "--format" and following == form):
                chosen = form
        if arg == "--json":
            chosen = "json"
    return chosen


@contextmanager
def _calm(debug: bool) -> Iterator[None]:
    """Other libraries' warnings and logs are not for the reader of a result."""
    if debug:
        yield
        return
    before = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def _usage(error: click.UsageError) -> OrbitopeError:
    """A mistake on the command line, by the template."""
    path = error.ctx.command_path if error.ctx is not None else "orbitope"
    return InputError(error.format_message().rstrip("."), fix=f"{path} --help lists what is understood")


def _internal(error: Exception) -> OrbitopeError:
    first = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
    if isinstance(error, MemoryError) or "can't allocate memory" in first:
        return InternalError(
            "not enough memory", got=first[:200] or None, fix="use a machine with more of it, or less data"
        )
    return InternalError(
        f"something went wrong inside Orbitope: {type(error).__name__}{': ' if first else ''}{first[:300]}",
        why="this is a mistake of the program, not of its input",
        fix="run the same command with --debug and report what it prints, with the model if you can",
    )


# options that every command has -------------------------------------------------------------------------------


def _remember(key: str) -> Callable[[click.Context, click.Parameter, Any], None]:
    def keep(ctx: click.Context, parameter: click.Parameter, value: Any) -> None:
        if value:
            ctx.meta[key] = value

    return keep


def _as_json(ctx: click.Context, parameter: click.Parameter, value: bool) -> None:
    if value:
        ctx.meta[FORMAT_KEY] = "json"


def command(name: str) -> Callable[[Callable[..., Result | int]], click.Command]:
    """A subcommand; ``--format`` and ``--debug`` come after its own options."""

    def wrap(function: Callable[..., Result | int]) -> click.Command:
        settings = {"help_option_names": ["-h", "--help"], "max_content_width": 100}
        made = click.command(name, cls=Command, context_settings=settings)(function)
        made.params += [
            click.Option(
                ["--format"],
                type=click.Choice(FORMATS),
                default="human",
                show_default=True,
                expose_value=False,
                is_eager=True,
                callback=_remember(FORMAT_KEY),
                help="How to print the result.",
            ),
            click.Option(
                ["--json"],
                is_flag=True,
                expose_value=False,
                help="The same as --format json.",
                callback=_as_json,
            ),
            click.Option(
                ["--debug"],
                is_flag=True,
                expose_value=False,
                is_eager=True,
                callback=_remember(DEBUG_KEY),
                help="Show tracebacks, and what libraries log.",
            ),
        ]
        return made

    return wrap


def _version(ctx: click.Context, parameter: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        click.echo(f"orbitope {_installed('orbitope')} (Python {sys.version.split()[0]}, torch {_installed('torch')})")
        ctx.exit()


def _installed(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


@click.group(
    cls=Application,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes: 0 established, 1 a valid run whose claim was not established, 2 bad input, 130 interrupted.",
)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_version,
    help="Print it and leave.",
)
@click.pass_context
def application(ctx: click.Context) -> None:
    """Find the symmetries of a neural network, prove that its loss is not convex, and undo them.

    A MODEL is model.pt2 (written by torch.export.save), package.module:factory, file.py:factory, or demo:NAME with
    NAME one of digits-mlp, digits-cnn, digits-tanh, digits-linear. Every command has --help.
    """
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


def main() -> None:
    """The entry point of the console script."""
    application.main()
