"""One self-contained HTML page from plain data: no script, no request, the same bytes for the same report.

All text is escaped. In running text three marks are understood: ``**strong**``, ``*emphasis*`` and `` `code`
``.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape
from matplotlib.figure import Figure

from orbitope.guarantee import GUARANTEES, Guarantee
from orbitope.reports.style import to_svg


@dataclass(frozen=True)
class Fact:
    """One measured or proved value.

    Attributes:
        label: what it is.
        value: the value with its unit, as text.
        guarantee: how sure it is.
    """

    label: str
    value: str
    guarantee: Guarantee

    def __post_init__(self) -> None:
        """Refuse an unknown guarantee: a reader could not tell what the value is worth."""
        if self.guarantee not in GUARANTEES:
            raise ValueError(f"guarantee must be one of {', '.join(GUARANTEES)}, not {self.guarantee!r}")


@dataclass(frozen=True, eq=False)
class Picture:
    """A figure on the page.

    Attributes:
        figure: the figure for wide screens and print.
        alt: what it shows, for those who cannot see it; must not be empty.
        caption: one or two sentences below it.
        narrow: the same figure laid out for a telephone; without it the wide one is scaled down.
        files: names of the files beside the page that hold the same figure, such as ``swap.png``.
    """

    figure: Figure
    alt: str
    caption: str = ""
    narrow: Figure | None = None
    files: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse a picture without words."""
        if not self.alt.strip():
            raise ValueError("a picture needs an alternative text")


@dataclass(frozen=True, eq=False)
class Section:
    """One question and its answer.

    Attributes:
        id: the anchor, unique on the page: letters, digits, ``-`` and ``_``.
        number: such as ``Q1``.
        heading: the question.
        paragraphs: running text.
        facts: the values that the text speaks of.
        pictures: the figures.
        certificates: names of certificate files beside the page.
        commands: command lines that repeat what is told here.
        short: the heading's short form for the table of contents.
    """

    id: str
    number: str
    heading: str
    paragraphs: tuple[str, ...] = ()
    facts: tuple[Fact, ...] = ()
    pictures: tuple[Picture, ...] = ()
    certificates: tuple[str, ...] = ()
    commands: tuple[str, ...] = ()
    short: str = ""

    def __post_init__(self) -> None:
        """Refuse an id that would not work as an anchor."""
        if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]*", self.id):
            raise ValueError(f"a section's id must be a letter, then letters, digits, - or _; not {self.id!r}")


@dataclass(frozen=True, eq=False)
class Report:
    """A page.

    Attributes:
        title: its heading.
        subtitle: one sentence below it.
        sections: in the order in which they are told.
        environment: what the run was made with, name to value; shown at the foot.
        highlights: the few values to see first.
        lead: paragraphs before the first section.
        language: of the text.
    """

    title: str
    subtitle: str = ""
    sections: tuple[Section, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    highlights: tuple[Fact, ...] = ()
    lead: tuple[str, ...] = ()
    language: str = "en"

    def __post_init__(self) -> None:
        """Refuse two sections with one anchor."""
        ids = [section.id for section in self.sections]
        if len(set(ids)) < len(ids):
            raise ValueError(f"section ids must differ: {', '.join(ids)}")


def render(report: Report) -> str:
    """The report as one HTML file that needs nothing else: styles and figures inside, no scripts.

    Args:
        report: the content.

    Returns:
        The file's text. It holds no time, no path and nothing random: the same report gives the same text.
    """
    environment = _environment()
    sheet = environment.get_template("report.css").render()
    digest = base64.b64encode(hashlib.sha256(sheet.encode()).digest()).decode()
    return environment.get_template("report.html.j2").render(
        report=report, guarantees=GUARANTEES, sheet=Markup(sheet), digest=digest
    )


@cache
def _environment() -> Environment:
    """Templates from this package, everything escaped, a missing name an error."""
    environment = Environment(
        loader=PackageLoader("orbitope.reports", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    filters: dict[str, Any] = {"marks": _marks, "picture": _data_address, "file": _file_address, "pixels": _pixels}
    environment.filters.update(filters)
    return environment


_MARK = re.compile(
    r"`(?P<code>[^`\n]+)`"
    r"|\*\*(?P<strong>\S(?:[^*\n]*\S)?)\*\*"
    r"|(?<![\w*])\*(?P<em>[^\s*](?:[^*\n]*[^\s*])?)\*(?![\w*])"
)


def _marks(text: str) -> Markup:
    """``text`` escaped, with its three marks turned into elements."""

    def element(match: re.Match[str]) -> str:
        name = match.lastgroup or ""
        return f"<{name}>{match[name]}</{name}>"

    return Markup(_MARK.sub(element, str(escape(text))))


def _data_address(figure: Figure) -> str:
    """The figure as a vector picture inside an address, so that its ids stay apart from the page's."""
    return "data:image/svg+xml;base64," + base64.b64encode(to_svg(figure)).decode()


def _file_address(name: str) -> str:
    """The relative address of a file beside the page; no name can turn it into another scheme or folder."""
    return "./" + quote(name, safe="")


def _pixels(figure: Figure) -> tuple[int, int]:
    """Width and height in CSS pixels, so that the page does not jump while it loads."""
    width, height = figure.get_size_inches()
    return round(width * 96), round(height * 96)
