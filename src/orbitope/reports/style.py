"""What all figures share: colours, type, sizes, and bytes that depend on nothing but the data.

Colours are told apart by people with any colour vision, and never carry a meaning alone: the sign of a
weight is also a dash, the end points are also letters.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.patheffects import AbstractPathEffect, withStroke

from orbitope.files import atomic_write

P = ParamSpec("P")
R = TypeVar("R")

RED = "#c4361a"
GREEN = "#00936b"
BLUE = "#0b62a4"
GREY = "#a3abb5"
FAINT = "#dfe3e8"
MUTED = "#56606c"
INK = "#1b232d"
PAPER = "#ffffff"

WEIGHTS = LinearSegmentedColormap.from_list(
    "weights", ["#0d3f78", "#4b87c2", "#b9d0e6", "#f6f5f1", "#f0d08a", "#cf8d1e", "#7d4a00"]
)
"""Colours of signed weights: blue below zero, amber above."""

WIDE = 8.4
"""Width in inches of a figure for a page of 600 px and more."""

NARROW = 3.9
"""Width in inches of a figure for a telephone: the same type size on half the width."""

SMALL = 8.5
"""Type size in points of annotations."""

_SETTINGS: dict[str, Any] = {
    "axes.axisbelow": True,
    "axes.edgecolor": GREY,
    "axes.labelcolor": MUTED,
    "axes.labelsize": 9.5,
    "axes.linewidth": 0.8,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": 10.5,
    "axes.unicode_minus": True,
    "figure.facecolor": PAPER,
    "font.family": ["DejaVu Sans"],
    "font.size": 9.5,
    "grid.color": FAINT,
    "grid.linewidth": 0.7,
    "legend.frameon": False,
    "lines.scale_dashes": False,
    "mathtext.fontset": "dejavusans",
    "savefig.facecolor": PAPER,
    "svg.fonttype": "path",
    "svg.hashsalt": "orbitope",
    "text.color": INK,
    "xtick.color": GREY,
    "xtick.labelcolor": MUTED,
    "xtick.labelsize": 9.0,
    "ytick.color": GREY,
    "ytick.labelcolor": MUTED,
    "ytick.labelsize": 9.0,
}


def styled(function: Callable[P, R]) -> Callable[P, R]:
    """Run ``function`` under the figures' own settings, whatever the reader's matplotlib settings are."""

    @wraps(function)
    def inner(*args: P.args, **kwargs: P.kwargs) -> R:
        with style.context(["default", _SETTINGS]):
            return function(*args, **kwargs)

    return inner


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of ``width`` × ``height`` inches with its own canvas."""
    figure = Figure(figsize=(width, height))
    FigureCanvasAgg(figure)
    return figure


def place(figure: Figure, left: float, bottom: float, width: float, height: float, gid: str) -> Axes:
    """Axes at a place given in inches, so that margins do not grow with the figure."""
    total_width, total_height = figure.get_size_inches()
    axes = figure.add_axes((left / total_width, bottom / total_height, width / total_width, height / total_height))
    axes.set_gid(gid)
    return axes


def halo(width: float = 2.6, colour: str = PAPER) -> list[AbstractPathEffect]:
    """A rim around text and marks, so that they stay legible on lines."""
    return [withStroke(linewidth=width, foreground=colour)]


def number(value: float, digits: int = 3) -> str:
    """``value`` in few digits with a real minus sign: ``0.00182``, ``−12.3``, ``1.2e−07``."""
    return f"{value:.{digits}g}".replace("-", "−")


@styled
def to_svg(figure: Figure) -> bytes:
    """The figure as a vector picture; the same figure gives the same bytes."""
    stream = io.BytesIO()
    figure.savefig(stream, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    lines = stream.getvalue().decode().splitlines()
    return ("\n".join(line.rstrip() for line in lines) + "\n").encode()


@styled
def to_png(figure: Figure, dpi: float = 200) -> bytes:
    """The figure as a raster picture of ``dpi`` pixels per inch; the same figure gives the same bytes."""
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=dpi, metadata={"Software": None})
    return stream.getvalue()


def save_figure(figure: Figure, path_without_suffix: str | os.PathLike[str]) -> tuple[Path, Path]:
    """Write the figure as ``….png`` and ``….svg``, each whole or not at all.

    Args:
        figure: what to save.
        path_without_suffix: folder and name; the suffixes are appended.

    Returns:
        The two paths, PNG first.

    Raises:
        FileError: a file cannot be written.
    """
    base = os.fspath(path_without_suffix)
    raster, vector = to_png(figure), to_svg(figure)
    return atomic_write(f"{base}.png", raster), atomic_write(f"{base}.svg", vector)
