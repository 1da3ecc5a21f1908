"""What a command says: one result on standard output, progress and notes on standard error."""

from __future__ import annotations

import contextlib
import io
import json
import math
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Any, Literal, TextIO

import click
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from orbitope.errors import FileError, OrbitopeError

Format = Literal["human", "json", "quiet"]
FORMATS: tuple[Format, ...] = ("human", "json", "quiet")

VERSION = 1
"""Of the JSON that commands print; ``schema.json`` describes it."""

PROSE = 100
"""Sentences are broken at this column even where the terminal is wider."""

Tick = Callable[[int, int], None]


@dataclass(frozen=True)
class Result:
    """The result of one command.

    Attributes:
        command: its name.
        body: what the JSON carries besides format and version.
        human: the same for people.
        exit_code: 0, or 1 where the run was valid and its claim is not established.
    """

    command: str
    body: Mapping[str, Any]
    human: RenderableType
    exit_code: int = 0


# consoles -------------------------------------------------------------------------------------------------------


class Screen(Console):
    """A console that falls silent where its reader has gone away, and lets the work go on."""

    def on_broken_pipe(self) -> None:
        """Called when nobody reads any more."""
        self.quiet = True
        silence(self.file)


def console(stream: TextIO, *, markup: bool = False, width: int | None = None) -> Console:
    """A console that prints strings as they are: no markup, no guessed colours, nothing but text in a file."""
    return Screen(file=stream, highlight=False, markup=markup, emoji=False, width=width)


@dataclass(frozen=True)
class Talk:
    """The way a running command speaks to the person who waits: on standard error, and not at all when quiet."""

    format: Format
    debug: bool = False

    @property
    def _silent(self) -> bool:
        return self.format == "quiet"

    def note(self, text: str) -> None:
        """One line that is worth knowing but is no result."""
        if not self._silent:
            console(sys.stderr).print(Text("note  ", "dim") + Text(text), soft_wrap=True)

    @contextmanager
    def wait(self, text: str) -> Iterator[Tick]:
        """A line that lives while the block runs; on a terminal only.

        Yields:
            ``tick(done, total)``, which turns the line into a bar; calling it is optional.
        """
        screen = console(sys.stderr)
        if self._silent or not screen.is_terminal:
            yield lambda done, total: None
            return
        from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

        class Bar(BarColumn):
            """Shown once there is a total."""

            def render(self, task: Any) -> Any:
                return Text() if task.total is None else super().render(task)

        spinner, words = SpinnerColumn(), TextColumn("{task.description}", markup=False)
        with Progress(spinner, words, Bar(24), TimeElapsedColumn(), console=screen, transient=True) as bars:
            task = bars.add_task(text, total=None)
            yield lambda done, total: bars.update(task, completed=done, total=total)

    def stages(self) -> tuple[Console, Console]:
        """Two consoles for code that tells its result as it goes: for the result, and for progress."""
        nowhere = io.StringIO()
        context = click.get_current_context(silent=True)
        stream = context.meta.get(STDOUT_KEY, sys.stdout) if context is not None else sys.stdout
        told = stream if self.format == "human" else nowhere
        width = min(console(told).width, PROSE)
        return console(told, markup=True, width=width), console(nowhere if self._silent else sys.stderr, markup=True)


def talk() -> Talk:
    """The one of the running command."""
    context = click.get_current_context(silent=True)
    meta = context.meta if context is not None else {}
    return Talk(meta.get(FORMAT_KEY, "human"), meta.get(DEBUG_KEY, False))


FORMAT_KEY, DEBUG_KEY, STDOUT_KEY = "orbitope.format", "orbitope.debug", "orbitope.stdout"


# results --------------------------------------------------------------------------------------------------------


def emit(result: Result, form: Format, stream: TextIO) -> None:
    """Print a result in one of the three formats.

    Raises:
        FileError: standard output takes no more, for instance because the disk is full.
    """
    with writing(stream):
        if form == "json":
            stream.write(as_json(result.command, result.body))
        elif form == "human":
            _show(result.human, stream)
        stream.flush()


def _show(human: RenderableType, stream: TextIO) -> None:
    """Print it; in a file no line ends in the blanks that fill a table."""
    screen = console(stream)
    if screen.is_terminal:
        screen.print(human)
        return
    with screen.capture() as captured:
        screen.print(human)
    stream.write("".join(line.rstrip() + "\n" for line in captured.get().splitlines()))


def as_json(name: str, body: Mapping[str, Any]) -> str:
    """The JSON of a result: what it is, its version, its body."""
    document = {"format": f"orbitope {name}", "version": VERSION, **body}
    return json.dumps(plain(document), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def plain(value: Any) -> Any:
    """The same with JSON's own types only; a number that is not finite becomes null."""
    match value:
        case None | bool() | str():
            return value
        case int():
            return int(value)
        case float():
            return float(value) if math.isfinite(value) else None
        case Mapping():
            return {str(key): plain(part) for key, part in value.items()}
        case os.PathLike():
            return os.fspath(value)
        case _ if hasattr(value, "tolist"):
            return plain(value.tolist())
        case _:
            return [plain(part) for part in value]


def emit_error(error: OrbitopeError, form: Format, stream: TextIO) -> None:
    """The template on standard error; with JSON also one object on standard output, which stays valid JSON."""
    with contextlib.suppress(OSError):
        if form == "json":
            stream.write(as_json("error", {"error": error.to_json()}))
            stream.flush()
    with contextlib.suppress(OSError):
        screen = console(sys.stderr)
        screen.print(error_text(error) if screen.is_terminal else Text(str(error)), soft_wrap=not screen.is_terminal)


def error_text(error: OrbitopeError) -> RenderableType:
    """The template with colours and hanging indents, for a terminal."""
    head = Text.assemble((f"error[{error.code}]", "bold red"), " ", (error.what, "bold"))
    rows = Table.grid(padding=(0, 1))
    rows.add_column(width=6, no_wrap=True)
    rows.add_column(overflow="fold")
    for label in ("at", "got", "why", "fix"):
        text = getattr(error, label)
        if text:
            rows.add_row(Text(f"  {label}", "green" if label == "fix" else "dim"), Text(text))
    for detail in error.details:
        rows.add_row(Text("  -", "dim"), Text(detail))
    return Group(head, rows) if rows.row_count else head


@contextmanager
def writing(stream: TextIO) -> Iterator[None]:
    """A reader that has gone away is no error; a full disk is one.

    Raises:
        FileError: the stream takes no more.
    """
    try:
        yield
    except BrokenPipeError:
        silence(stream)
    except OSError as error:
        silence(stream)
        raise FileError(
            "cannot write the result to standard output",
            got=error.strerror or str(error),
            fix="redirect it to a place that has room",
        ) from error


def silence(stream: IO[str]) -> None:
    """Send what is still buffered nowhere, so that the interpreter does not complain when it ends."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


# building blocks ------------------------------------------------------------------------------------------------


class Prose:
    """Sentences, broken at word boundaries, at most :data:`PROSE` columns wide."""

    def __init__(self, text: Text | str) -> None:
        """Keep the text; strings are taken as they are."""
        self.text = Text(text) if isinstance(text, str) else text

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """The text at the width that is right here."""
        yield from console.render(self.text, options.update(width=min(options.max_width, PROSE)))


def verdict(word: str, good: bool, sentence: str) -> RenderableType:
    """One coloured word, then what it means."""
    row = Table.grid(padding=(0, 2))
    row.add_column(no_wrap=True)
    row.add_column()
    row.add_row(Text(word, "bold green" if good else "bold yellow"), Prose(sentence))
    return row


def facts(rows: Sequence[tuple[str, str, str]]) -> RenderableType:
    """Aligned rows of label, value and guarantee; rows without a value are left out."""
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True, style="dim")
    table.add_column(overflow="fold")
    table.add_column(no_wrap=True, style="italic dim")
    for label, value, guarantee in rows:
        if value:
            table.add_row(Text(label), Text(value), Text(guarantee))
    return Padding(table, (0, 0, 0, 2))


def columns(rows: Iterable[Sequence[str]], styles: Sequence[str]) -> Table:
    """Aligned columns of plain strings."""
    table = Table.grid(padding=(0, 2))
    for style in styles:
        table.add_column(overflow="fold", style=style)
    for row in rows:
        table.add_row(*map(Text, row))
    return table


def stack(*parts: RenderableType | None) -> RenderableType:
    """Blocks with an empty line between them; None is left out."""
    kept = [part for part in parts if part is not None]
    return Group(*(item for k, part in enumerate(kept) for item in ([Text(), part] if k else [part])))


def number(count: int) -> str:
    """A count with its digits in groups of three."""
    return f"{count:,}"


def plural(count: int, noun: str) -> str:
    """``1 set``, ``2 sets``."""
    return f"{number(count)} {noun}{'s' * (count != 1)}"
