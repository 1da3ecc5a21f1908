"""The figures of a report, drawn from plain arrays: swap, segment, plane, barrier, collapse.

Each function returns a matplotlib ``Figure`` and touches no global state. With ``narrow=True`` it lays the
same content out for a telephone. The same data give the same bytes.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import BoundaryNorm
from matplotlib.contour import QuadContourSet
from matplotlib.figure import Figure
from matplotlib.patches import Polygon
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator
from numpy.typing import ArrayLike, NDArray

from orbitope.reports import style
from orbitope.reports.curves import Path, Violation, draw_barrier, draw_segment, steepest_fall
from orbitope.reports.style import save_figure, to_png, to_svg
from orbitope.reports.swap_figure import Layer, draw_swap

__all__ = [
    "Layer",
    "Path",
    "Violation",
    "contour_levels",
    "draw_barrier",
    "draw_collapse",
    "draw_plane",
    "draw_segment",
    "draw_swap",
    "save_figure",
    "steepest_fall",
    "to_png",
    "to_svg",
]

Array = NDArray[np.float64]


@style.styled
def draw_plane(
    x: ArrayLike,
    y: ArrayLike,
    loss: ArrayLike,
    points: Mapping[str, tuple[float, float]],
    *,
    values: Mapping[str, float] | None = None,
    triangle: tuple[str, ...] = ("A", "B", "O"),
    narrow: bool = False,
) -> Figure:
    """Draw the loss on a plane of parameter space as a map, with points and the slice of the orbitope on it.

    Args:
        x: distances along the first direction, from A; rising; units of the parameters.
        y: distances along the second direction.
        loss: [y, x], F at the grid points, nats.
        points: name to (x, y); by custom A, B, the midpoint M and the orbit average O.
        values: F at these points, nats, written beside the names.
        triangle: the points whose convex hull is outlined.
        narrow: lay it out for a telephone.

    Returns:
        The figure.
    """
    xs, ys, heights = (np.asarray(part, float) for part in (x, y, loss))
    finite = heights[np.isfinite(heights)]
    levels = contour_levels(float(finite.min()), float(finite.max()))
    ratio = float((ys[-1] - ys[0]) / (xs[-1] - xs[0]))
    width = style.NARROW if narrow else style.WIDE
    side = 0.15 if narrow else 1.25
    inner = width - 0.72 - side
    tall = float(np.clip(inner * ratio, 0.62 * inner, 1.2 * inner if narrow else 0.72 * inner))
    foot = 1.35 if narrow else 0.55
    figure = style.new_figure(width, foot + tall + 0.15)
    axes = style.place(figure, 0.72, foot, inner, tall, gid="plane")
    norm = BoundaryNorm(levels, 256, extend="neither")
    heights = np.clip(np.nan_to_num(heights, nan=levels[-1]), levels[0], levels[-1])
    shades: QuadContourSet = axes.contourf(xs, ys, heights, levels=levels, cmap="viridis", norm=norm)
    if len(levels) > 2:
        axes.contour(xs, ys, heights, levels=levels[1:-1], colors=style.PAPER, linewidths=0.5, alpha=0.55)
    axes.set_aspect("equal" if 0.62 <= ratio <= (1.2 if narrow else 0.72) else "auto")
    axes.set_xlim(xs[0], xs[-1])
    axes.set_ylim(ys[0], ys[-1])
    corners = [points[name] for name in triangle if name in points]
    if len(corners) > 2:
        outline = Polygon(corners, closed=True, fill=False, edgecolor=style.PAPER, linewidth=1.6, gid="orbitope")
        outline.set_path_effects(style.halo(3.0, style.INK))
        axes.add_patch(outline)
    _mark(axes, points, values or {})
    axes.set_xlabel("distance from A along A → B")
    axes.set_ylabel("distance from that line")
    if narrow:
        scale = style.place(figure, 0.3, 0.55, width - 0.6, 0.14, gid="scale")
    else:
        scale = style.place(figure, width - side + 0.18, foot, 0.16, tall, gid="scale")
    bar = figure.colorbar(shades, cax=scale, orientation="horizontal" if narrow else "vertical")
    bar.outline.set_visible(False)
    bar.locator = FixedLocator(_labelled(levels, 7 if narrow else 13))
    bar.formatter = FuncFormatter(lambda value, _: style.number(value))
    bar.minorlocator = NullLocator()
    bar.update_ticks()
    bar.set_label("loss F, nats", color=style.MUTED)
    return figure


def contour_levels(low: float, high: float) -> list[float]:
    """Rising levels from at most ``low`` to at least ``high``: 1–2–5 over decades, else even steps."""
    if not high - low > 1e-12 * max(1.0, abs(high)):
        margin = 1e-3 * max(0.5, abs(low))
        return [low - margin, high + margin]
    if low > 0 and high / low > 8:
        for steps in ((1, 2, 5), (1, 1.5, 2, 3, 4, 5, 7)):
            decades = range(int(np.floor(np.log10(low))) - 1, int(np.ceil(np.log10(high))) + 1)
            grid = [float(f"{step}e{decade}") for decade in decades for step in steps]
            inside = [level for level in grid if low < level < high]
            if len(inside) >= 8:
                break
        below, above = max(v for v in grid if v <= low), min(v for v in grid if v >= high)
        return [below, *inside, above]
    return [float(level) for level in MaxNLocator(12, steps=[1, 2, 2.5, 5, 10]).tick_values(low, high)]


def _labelled(levels: list[float], most: int) -> list[float]:
    """The levels that the scale names: all if they fit, else the round ones, else every so many."""
    inner = levels[1:-1]
    for leading in ("1 1.5 2 3 4 5 7", "1 2 5", "1"):
        chosen = [level for level in inner if f"{abs(level):e}".split("e")[0].rstrip("0.") in leading.split()]
        if 2 <= len(chosen) <= most:
            return chosen
    return inner[:: max(1, -(-len(inner) // most))] or levels


def _mark(axes: Axes, points: Mapping[str, tuple[float, float]], values: Mapping[str, float]) -> None:
    """The points with their names and losses; names of low points go below them, of high points above."""
    middle = float(np.mean([y for _, y in points.values()])) if points else 0.0
    for name, (x, y) in points.items():
        shape = {"M": "D", "O": "*"}.get(name, "o")
        axes.plot(
            [x], [y], shape, color=style.PAPER, markeredgecolor=style.INK, markeredgewidth=1.2, zorder=6,
            markersize=12 if shape == "*" else 7.5, gid=f"point-{name}",
        )  # fmt: skip
        text = f"$\\bf{{{name}}}$" + (f"\n{style.number(values[name])}" if name in values else "")
        down = y <= middle
        axes.annotate(
            text, (x, y), xytext=(0, -11 if down else 11), textcoords="offset points", ha="center",
            va="top" if down else "bottom", fontsize=9, color=style.INK, zorder=7, linespacing=1.2,
            bbox={"boxstyle": "round,pad=0.25", "facecolor": style.PAPER, "alpha": 0.86, "linewidth": 0},
            gid=f"name-{name}",
        )  # fmt: skip


@style.styled
def draw_collapse(
    before: ArrayLike,
    after: ArrayLike,
    *,
    image: tuple[int, int] | None = (8, 8),
    most: int = 32,
    narrow: bool = False,
) -> Figure:
    """Draw what the units of a first layer see before the orbit average, and after it: all the same.

    Args:
        before: [hidden, in]; row h is drawn as the picture of unit h.
        after: likewise, of the orbit average.
        image: rows and columns of one picture; with None, or where it does not fit, one row of cells each.
        most: draw at most this many units, the first ones.
        narrow: lay it out for a telephone.

    Returns:
        The figure.
    """
    pair = [np.asarray(part, float) for part in (before, after)]
    hidden, inputs = pair[0].shape
    shape = image if image is not None and image[0] * image[1] == inputs else (1, inputs)
    count = min(hidden, most)
    columns = min(count, 8) if shape[0] > 1 else 1
    rows = -(-count // columns)
    width = style.NARROW if narrow else style.WIDE
    block = width - 0.3 if narrow else (width - 0.7) / 2
    tall = block * rows / columns * shape[0] / shape[1] if shape[0] > 1 else min(0.14 * rows, 3.5)
    tall = float(np.clip(tall, 0.5, 4.2))
    foot, head = 0.85, 0.36
    figure = style.new_figure(width, foot + (2 if narrow else 1) * (tall + head) + 0.05)
    limit = float(np.abs(pair[0]).max()) or 1.0
    titles = (f"A: {hidden} units", "orbit average: every unit alike")
    for k, weights in enumerate(pair):
        left = 0.15 if narrow or not k else block + 0.55
        bottom = foot + (tall + head if narrow and not k else 0)
        axes = style.place(figure, left, bottom, block, tall, gid=("before", "after")[k])
        mosaic = _mosaic(weights[:count], shape, rows, columns)
        shades = axes.imshow(mosaic, cmap=style.WEIGHTS, vmin=-limit, vmax=limit, interpolation="nearest")
        shades.set_gid(("weights-before", "weights-after")[k])
        axes.set_aspect("equal" if shape[0] > 1 else "auto")
        axes.set_axis_off()
        axes.set_title(titles[k] + (f", {count} drawn" if count < hidden and not k else ""), fontsize=9.5, pad=5)
    wide = min(2.6, width - 0.8)
    scale = style.place(figure, (width - wide) / 2, 0.54, wide, 0.12, gid="scale")
    bar = figure.colorbar(shades, cax=scale, orientation="horizontal", ticks=[-limit, 0, limit])
    bar.outline.set_visible(False)
    bar.ax.set_xticklabels([style.number(v, 2) for v in (-limit, 0, limit)])
    bar.set_label("weight", color=style.MUTED, labelpad=1)
    return figure


def _mosaic(weights: Array, shape: tuple[int, int], rows: int, columns: int) -> Array:
    """The pictures of all units side by side with one blank cell between them."""
    high, wide = shape
    canvas = np.full((rows * (high + 1) - 1, columns * (wide + 1) - 1), np.nan)
    for k, row in enumerate(weights):
        y, x = divmod(k, columns)
        canvas[y * (high + 1) : y * (high + 1) + high, x * (wide + 1) : x * (wide + 1) + wide] = row.reshape(shape)
    return canvas
