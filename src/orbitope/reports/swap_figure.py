"""The picture of one exchange of two hidden nodes, all their edges kept: parameters A become B."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import ConnectionPatch, Rectangle
from numpy.typing import NDArray

from orbitope.errors import ElementError
from orbitope.reports import style

Array = NDArray[np.floating]


@dataclass(frozen=True)
class Layer:
    """The weights around one hidden layer, and the loss of the network they belong to.

    Attributes:
        incoming: [hidden, in]; row h holds the weights into hidden unit h.
        outgoing: [out, hidden]; column h holds the weights out of hidden unit h.
        loss: F of the whole network, nats.
    """

    incoming: Array
    outgoing: Array
    loss: float


@dataclass(frozen=True)
class _Shown:
    """Which nodes are drawn, as indices in rising order; ``units`` are the two exchanged, c and d."""

    inputs: tuple[int, ...]
    hidden: tuple[int, ...]
    outputs: tuple[int, ...]
    units: tuple[int, int]
    scale: float


@style.styled
def draw_swap(
    before: Layer,
    after: Layer,
    units: tuple[int, int],
    *,
    shown: tuple[int, int, int] = (4, 4, 3),
    narrow: bool = False,
) -> Figure:
    """Draw A and B = A with two hidden units exchanged: each keeps all its edges.

    The unit called *c* and its edges are red, *d* and its edges are green, in both panels. Width is
    |weight|, a dashed line is a negative weight, a zero weight is not drawn. Below, the same weights as two
    strips of cells, which differ.

    Every line has an id ``A-in-PLACE-INPUT`` or ``A-out-PLACE-OUTPUT`` (``B-…`` likewise), every node
    ``A-node-…``.

    Args:
        before: the layer of A.
        after: the layer of B.
        units: the two places of the hidden layer whose units are exchanged; the first holds c in A.
        shown: how many inputs, hidden units and outputs to draw: those with the largest weights.
        narrow: lay it out for a telephone.

    Returns:
        The figure; what it leaves out is said in it.

    Raises:
        ElementError: ``units`` are not two units of this layer, or ``after`` is not ``before`` with them
            exchanged.
    """
    _check(before, after, units)
    nodes = _choose(before, units, shown)
    width = style.NARROW if narrow else style.WIDE
    panel = (width - 0.2, 2.75) if narrow else ((width - 0.7) / 2, 3.0)
    cells = (6, 3) if narrow else (12, 5)
    footer, strips = (1.36, 1.5) if narrow else (1.0, 1.55)
    height = footer + strips + (2 if narrow else 1) * (panel[1] + 0.1) + (0.5 if narrow else 0.1)
    figure = style.new_figure(width, height)
    top = height - 0.1 - panel[1]
    first = style.place(figure, 0.1, top, *panel, gid="panel-A")
    if narrow:
        second = style.place(figure, 0.1, top - panel[1] - 0.55, *panel, gid="panel-B")
        _say_exchange(figure, 0.5, (top - 0.23) / height, "↓")
    else:
        second = style.place(figure, 0.1 + panel[0] + 0.5, top, *panel, gid="panel-B")
        _say_exchange(figure, 0.5, (top + panel[1] * 0.47) / height, "→")
    _draw_network(first, "A", before, nodes, {u: u for u in nodes.hidden})
    c, d = units
    _draw_network(second, "B", after, nodes, {u: {c: d, d: c}.get(u, u) for u in nodes.hidden})
    strip = style.place(figure, 0.35, footer, width - 0.45, strips - 0.25, gid="strips")
    _draw_strips(strip, before, after, nodes, cells)
    _draw_footer(figure, before, after, nodes, narrow)
    return figure


def _check(before: Layer, after: Layer, units: tuple[int, int]) -> None:
    """Refuse a picture that would show something else than an exchange."""
    hidden = before.incoming.shape[0]
    c, d = units
    if c == d or not (0 <= c < hidden and 0 <= d < hidden):
        raise ElementError(
            "no two nodes to exchange",
            got=f"units {c} and {d} of a layer of width {hidden}",
            why="an exchange needs two different units of one layer",
            fix="choose a layer of width 2 or more and two of its units",
        )
    order = np.arange(hidden)
    order[[c, d]] = d, c
    same = (
        before.incoming.shape == after.incoming.shape
        and before.outgoing.shape == after.outgoing.shape
        and before.outgoing.shape[1] == hidden
        and np.array_equal(before.incoming[order], after.incoming)
        and np.array_equal(before.outgoing[:, order], after.outgoing)
    )
    if not same:
        raise ElementError(
            f"B is not A with units {c} and {d} exchanged",
            why="the picture would show an exchange that did not take place",
            fix="make B with group.swap(units, c, d).act(A), or draw the two units that were exchanged",
        )


def _choose(layer: Layer, units: tuple[int, int], shown: tuple[int, int, int]) -> _Shown:
    """The two units, and the neighbours and inputs and outputs that carry the largest weights."""
    pair = list(units)
    inputs = _largest(np.abs(layer.incoming[pair]).max(axis=0), shown[0])
    outputs = _largest(np.abs(layer.outgoing[:, pair]).max(axis=1), shown[2])
    size = np.maximum(
        np.abs(layer.incoming[:, list(inputs)]).max(axis=1), np.abs(layer.outgoing[list(outputs)]).max(axis=0)
    )
    size[pair] = np.inf
    hidden = _largest(size, max(shown[1], 2))
    drawn = [np.abs(layer.incoming[np.ix_(hidden, inputs)]), np.abs(layer.outgoing[np.ix_(outputs, hidden)])]
    scale = float(max(part.max() for part in drawn))
    return _Shown(inputs, hidden, outputs, units, scale or 1.0)


def _largest(values: Array, count: int) -> tuple[int, ...]:
    """Indices of the ``count`` largest values, in rising order; of equals the first."""
    return tuple(sorted(int(i) for i in np.argsort(-values, kind="stable")[:count]))


def _draw_network(axes: Axes, name: str, layer: Layer, nodes: _Shown, unit_at: dict[int, int]) -> None:
    """One panel. ``unit_at[place]`` is the unit, by its number in A, that sits at ``place``."""
    colours = {nodes.units[0]: style.RED, nodes.units[1]: style.GREEN}
    heights = [_heights(len(column)) for column in (nodes.inputs, nodes.hidden, nodes.outputs)]
    columns = [
        dict(zip(column, ys, strict=True))
        for column, ys in zip((nodes.inputs, nodes.hidden, nodes.outputs), heights, strict=True)
    ]
    axes.set_xlim(-0.28, 2.28)
    axes.set_ylim(-0.27, 1.24)
    axes.axis("off")
    axes.text(-0.26, 1.195, f"$\\bf{{{name}}}$", fontsize=14, va="center", color=style.INK)
    axes.text(
        -0.08,
        1.185,
        f"F({name}) = {style.number(layer.loss, 10)} nats",
        fontsize=10.5,
        va="center",
        color=style.INK,
    )
    for place in nodes.hidden:
        colour = colours.get(unit_at[place], style.GREY)
        for i in nodes.inputs:
            ends = (0.0, 1.0), (columns[0][i], columns[1][place])
            weight = float(layer.incoming[place, i])
            _draw_edge(axes, f"{name}-in-{place}-{i}", ends, weight / nodes.scale, colour)
        for o in nodes.outputs:
            ends = (1.0, 2.0), (columns[1][place], columns[2][o])
            weight = float(layer.outgoing[o, place])
            _draw_edge(axes, f"{name}-out-{place}-{o}", ends, weight / nodes.scale, colour)
    letters = dict(zip(nodes.inputs, "ab", strict=False))
    for i, y in columns[0].items():
        _draw_node(axes, f"{name}-node-in-{i}", (0.0, y), letters.get(i, ""))
    for place, y in columns[1].items():
        unit = unit_at[place]
        letter = {nodes.units[0]: "c", nodes.units[1]: "d"}.get(unit, "")
        _draw_node(axes, f"{name}-node-hidden-{place}", (1.0, y), letter, colours.get(unit))
    for o, y in columns[2].items():
        _draw_node(axes, f"{name}-node-out-{o}", (2.0, y), "")
    totals = layer.incoming.shape[1], layer.incoming.shape[0], layer.outgoing.shape[0]
    for x, label, column, total in zip(
        (0, 1, 2), ("previous layer", "hidden layer", "next layer"), columns, totals, strict=True
    ):
        if total > len(column):
            axes.text(x, -0.055, "⋮", ha="center", va="center", color=style.MUTED, fontsize=12)
        axes.text(
            x, -0.15, f"{label}\n{len(column)} of {total}", ha="center", va="top",
            color=style.MUTED, fontsize=8, linespacing=1.3,
        )  # fmt: skip


def _heights(count: int) -> list[float]:
    """Heights of the nodes of one column, the first on top."""
    return [1.06 - (k + 0.5) / count * 1.04 for k in range(count)]


def _draw_edge(
    axes: Axes, gid: str, ends: tuple[tuple[float, float], tuple[float, float]], weight: float, colour: str
) -> None:
    """One line: width by size, dashed if negative, grey ones behind."""
    if weight == 0:
        return
    width = 0.5 + 4.5 * abs(weight)
    marked = colour != style.GREY
    line = Line2D(
        *ends,
        color=colour,
        linewidth=width,
        linestyle=(0, (5.0, 2.6)) if weight < 0 else "solid",
        alpha=0.92 if marked else 0.55,
        solid_capstyle="butt",
        dash_capstyle="butt",
        zorder=3 if marked else 2,
        gid=gid,
    )
    axes.add_line(line)


def _draw_node(axes: Axes, gid: str, at: tuple[float, float], letter: str, colour: str | None = None) -> None:
    """One circle with its letter."""
    axes.plot(
        [at[0]],
        [at[1]],
        marker="o",
        markersize=19 if letter else 13,
        markerfacecolor=colour or style.PAPER,
        markeredgecolor=style.PAPER if colour else style.MUTED,
        markeredgewidth=1.4,
        zorder=5,
        gid=gid,
    )
    if letter:
        axes.annotate(
            letter,
            at,
            xytext=(0, -0.4),
            textcoords="offset points",
            ha="center",
            va="center",
            fontsize=11.5,
            fontstyle="italic",
            fontweight="bold",
            color=style.PAPER if colour else style.INK,
            zorder=6,
        )


def _say_exchange(figure: Figure, x: float, y: float, arrow: str) -> None:
    """The words between the panels."""
    gap = "\n" if arrow == "→" else "  "
    figure.text(
        x, y, f"exchange{gap}c and d{gap}{arrow}", ha="center", va="center", fontsize=8.5, color=style.MUTED,
        linespacing=1.35, style="italic",
    )  # fmt: skip


def _draw_strips(axes: Axes, before: Layer, after: Layer, nodes: _Shown, cells: tuple[int, int]) -> None:
    """The two parameter vectors as rows of cells, one block per drawn hidden place."""
    pair = list(nodes.units)
    inputs = _largest(np.abs(before.incoming[pair]).max(axis=0), cells[0])
    outputs = _largest(np.abs(before.outgoing[:, pair]).max(axis=1), cells[1])
    length = len(inputs) + len(outputs)
    rows = {"A": (before, 1.0), "B": (after, 0.0)}
    limit = max(float(np.abs(part).max()) for part in (before.incoming, before.outgoing)) or 1.0
    middle: dict[int, float] = {}
    for name, (layer, y) in rows.items():
        axes.text(-0.6, y, name, ha="right", va="center", fontweight="bold", fontsize=10.5)
        for k, at in enumerate(nodes.hidden):
            x = k * (length + 1.0)
            middle[at] = x + length / 2
            values = np.concatenate([layer.incoming[at, list(inputs)], layer.outgoing[list(outputs), at]])
            for n, value in enumerate(values):
                axes.add_patch(
                    Rectangle(
                        (x + n, y - 0.22),
                        1.0,
                        0.44,
                        facecolor=style.WEIGHTS(0.5 + 0.5 * float(np.clip(1.25 * value / limit, -1, 1))),
                        edgecolor=style.PAPER,
                        linewidth=0.5,
                        gid=f"{name}-cell-{at}-{n}",
                    )
                )
            unit = {nodes.units[0]: nodes.units[1], nodes.units[1]: nodes.units[0]}.get(at, at)
            unit = at if name == "A" else unit
            if unit in nodes.units:
                colour = style.RED if unit == nodes.units[0] else style.GREEN
                axes.add_patch(
                    Rectangle((x - 0.1, y - 0.27), length + 0.2, 0.54, fill=False, edgecolor=colour, linewidth=1.8)
                )
                letter = "c" if unit == nodes.units[0] else "d"
                axes.text(
                    x + length / 2, y + (0.4 if name == "A" else -0.42), letter, ha="center", va="center",
                    fontstyle="italic", fontweight="bold", color=colour,
                )  # fmt: skip
    for start, end, colour in ((*nodes.units, style.RED), (*nodes.units[::-1], style.GREEN)):
        axes.add_patch(
            ConnectionPatch(
                (middle[start], 0.71),
                (middle[end], 0.29),
                "data",
                arrowstyle="-|>",
                mutation_scale=9,
                linewidth=1.3,
                color=colour,
                zorder=1,
            )
        )
    axes.set_xlim(-1.6, len(nodes.hidden) * (length + 1.0) - 0.6)
    axes.set_ylim(-0.56, 1.56)
    axes.axis("off")


def _draw_footer(figure: Figure, layer: Layer, after: Layer, nodes: _Shown, narrow: bool) -> None:
    """What lines and cells mean, what is left out, and in how many weights A and B differ."""
    height = figure.get_size_inches()[1]

    def line(colour: str, label: str, dashed: bool = False) -> Line2D:
        kind = (0, (5.0, 2.6)) if dashed else "solid"
        return Line2D([], [], color=colour, linewidth=2.4, linestyle=kind, label=label)

    keys = [
        line(style.RED, "edges of c"),
        line(style.GREEN, "edges of d"),
        line(style.GREY, "other edges"),
        line(style.MUTED, "weight > 0"),
        line(style.MUTED, "weight < 0", dashed=True),
    ]
    legend = figure.legend(
        handles=keys,
        loc="lower center",
        bbox_to_anchor=(0.5, (0.76 if narrow else 0.66) / height),
        ncols=2 if narrow else 5,
        fontsize=style.SMALL,
        handlelength=2.6,
        columnspacing=1.6,
        borderpad=0.0,
        labelcolor=style.MUTED,
    )
    legend.set_gid("legend")
    left_out = (
        layer.incoming.shape[1] - len(nodes.inputs),
        layer.incoming.shape[0] - len(nodes.hidden),
        layer.outgoing.shape[0] - len(nodes.outputs),
    )
    pairs = ((layer.incoming, after.incoming), (layer.outgoing, after.outgoing))
    different = sum(int(np.count_nonzero(a != b)) for a, b in pairs)
    total = layer.incoming.size + layer.outgoing.size
    gap = abs(layer.loss - after.loss)
    same = "F(A) = F(B) to the last digit" if gap == 0 else f"F(A) and F(B) differ by {style.number(gap, 2)}"
    notes = [
        f"A and B differ in {different:,} of these {total:,} weights; {same}.".replace(",", "\u202f", 2),
        f"Left out: {left_out[0]} previous and {left_out[2]} next nodes with smaller weights at c and d,"
        f" {left_out[1]} hidden ones."
        if any(left_out)
        else "Every node of the three layers is drawn.",
        "Line width is |weight|. The cells are weights, blue below zero, amber above.",
    ]
    if narrow:
        notes = [textwrap.fill(" ".join(notes), 62)]
    figure.text(
        0.5,
        0.06 / height,
        "\n".join(notes),
        ha="center",
        va="bottom",
        fontsize=8,
        color=style.MUTED,
        linespacing=1.4,
    )
