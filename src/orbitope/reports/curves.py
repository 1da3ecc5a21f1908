"""Pictures along one line in parameter space: from A to its twin B, and between two independent networks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from orbitope.reports import style

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Violation:
    """Two places t1 < t2 on the segment where the slope falls: φ′(t1) > φ′(t2), which no convex φ does.

    Attributes:
        t1: the earlier place, in [0, 1].
        t2: the later place.
        slope1: φ′(t1), nats per unit of t.
        slope2: φ′(t2).
        guarantee: ``exact`` (certified), ``numeric`` (measured).
    """

    t1: float
    t2: float
    slope1: float
    slope2: float
    guarantee: str = "numeric"


def steepest_fall(t: ArrayLike, directional: ArrayLike) -> Violation | None:
    """The pair t1 < t2 of samples with the largest fall of the slope, or None where it never falls."""
    places, slopes = np.asarray(t, float), np.asarray(directional, float)
    highest = np.maximum.accumulate(slopes)
    end = int(np.argmax(highest - slopes))
    if not highest[end] > slopes[end]:
        return None
    start = int(np.argmax(slopes[: end + 1]))
    return Violation(float(places[start]), float(places[end]), float(slopes[start]), float(slopes[end]))


@style.styled
def draw_segment(
    t: ArrayLike,
    loss: ArrayLike,
    end_points: tuple[float, float] | None = None,
    *,
    directional: ArrayLike | None = None,
    gradient: ArrayLike | None = None,
    violation: Violation | None = None,
    names: tuple[str, str] = ("A", "B"),
    narrow: bool = False,
) -> Figure:
    """Draw the loss φ(t) = F((1 − t)·A + t·B), the level no convex loss exceeds, and the midpoint.

    Args:
        t: places on the segment, rising from 0 to 1.
        loss: φ at these places, nats.
        end_points: F(A) and F(B), nats; by default the first and last ``loss``.
        directional: φ′ at these places, drawn in a panel of its own, nats per unit of t.
        gradient: Euclidean norm of the whole gradient ∇F, likewise, nats per unit of length.
        violation: where φ′ falls; by default the largest fall among the samples, marked as measured.
        names: what the ends are called.
        narrow: lay it out for a telephone.

    Returns:
        The figure.
    """
    places, values = np.asarray(t, float), np.asarray(loss, float)
    ends = (float(values[0]), float(values[-1])) if end_points is None else end_points
    width = style.NARROW if narrow else style.WIDE
    main, lower = (2.5, 1.45) if narrow else (3.1, 1.5)
    extra = [series for series in (directional, gradient) if series is not None]
    foot, gap = 0.62, 0.3
    figure = style.new_figure(width, foot + main + 0.12 + len(extra) * (lower + gap))
    left, inner = 0.72, width - 0.72 - 0.15
    bottoms = [foot + k * (lower + gap) for k in range(len(extra) + 1)][::-1]
    top = style.place(figure, left, bottoms[0], inner, main, gid="loss")
    _draw_loss(top, places, values, ends, names, narrow)
    panels = [top]
    if directional is not None:
        panels.append(style.place(figure, left, bottoms[1], inner, lower, gid="slope"))
        slopes = np.asarray(directional, float)
        _draw_slope(panels[-1], places, slopes, violation or steepest_fall(places, slopes), narrow)
    if gradient is not None:
        panels.append(style.place(figure, left, bottoms[-1], inner, lower, gid="gradient"))
        _draw_gradient(panels[-1], places, np.asarray(gradient, float))
    for panel in panels:
        panel.set_xlim(-0.03, 1.03)
        panel.set_xticks([0, 0.25, 0.5, 0.75, 1], ["", "", "", "", ""])
        panel.grid(axis="x")
    panels[-1].set_xticks([0, 0.25, 0.5, 0.75, 1], [f"0\n{names[0]}", "¼", "½\nM", "¾", f"1\n{names[1]}"])
    panels[-1].set_xlabel("t, the way from A to B".replace("A", names[0]).replace("B", names[1]), labelpad=1)
    return figure


def _draw_loss(
    axes: Axes, t: Array, loss: Array, ends: tuple[float, float], names: tuple[str, str], narrow: bool
) -> None:
    """The curve, the level of the worse end, the midpoint and its gap."""
    level, middle = max(ends), float(np.interp(0.5, t, loss))
    gap = middle - level
    axes.axhline(level, color=style.MUTED, linewidth=1.2, linestyle=(0, (5, 3)), gid="chord")
    axes.fill_between(
        t,
        loss,
        level,
        where=(loss > level).tolist(),
        color=style.BLUE,
        alpha=0.09,
        linewidth=0,
        interpolate=True,
    )
    axes.plot(t, loss, color=style.BLUE, linewidth=2.4, gid="curve", solid_capstyle="round")
    axes.plot([0, 1], ends, "o", color=style.INK, markersize=7, zorder=5, gid="ends", clip_on=False)
    axes.plot([0.5], [middle], "D", color=style.RED, markersize=7, zorder=5, gid="midpoint")
    low, high = _room(axes, np.append(loss, ends), below=0.34 if narrow else 0.2, above=0.2)
    sign = "above" if gap > 0 else "below"
    verdict = f"F(M) = {style.number(middle, 4)}, {style.number(abs(gap))} nats {sign} the line"
    if gap == 0:
        verdict = f"F(M) = {style.number(middle, 4)}, on the line: no bump here"
    axes.text(
        0.5,
        high,
        verdict,
        ha="center",
        va="top",
        fontsize=style.SMALL,
        color=style.RED,
        gid="gap-text",
        path_effects=style.halo(),
    )
    separator = "\n" if narrow else " "
    text = f"max(F({names[0]}), F({names[1]})) = {style.number(level, 4)}:{separator}"
    text += "a convex F is nowhere above this line"
    axes.text(
        0.5,
        low,
        text,
        ha="center",
        va="bottom",
        fontsize=style.SMALL,
        color=style.MUTED,
        path_effects=style.halo(),
    )
    if abs(gap) > 0.08 * (high - low):
        axes.annotate(
            "",
            (0.5, middle),
            (0.5, level),
            arrowprops={
                "arrowstyle": "<->",
                "color": style.RED,
                "linewidth": 1.3,
                "shrinkA": 0,
                "shrinkB": 5,
            },
        )
    axes.set_ylabel("loss, nats")


def _draw_slope(axes: Axes, t: Array, slopes: Array, fall: Violation | None, narrow: bool) -> None:
    """φ′ with the two places at which it falls."""
    axes.axhline(0, color=style.GREY, linewidth=0.8)
    axes.plot(t, slopes, color=style.BLUE, linewidth=2.0, gid="slope-curve")
    _, high = _room(axes, slopes, below=0.08, above=0.6 if narrow else 0.36)
    axes.set_ylabel("slope φ′")
    if fall is None:
        text = "φ′ never falls on these samples"
    else:
        axes.plot([fall.t1, fall.t2], [fall.slope1, fall.slope2], "s", color=style.RED, markersize=6, zorder=5)
        axes.annotate(
            "",
            (fall.t2, fall.slope2),
            (fall.t1, fall.slope1),
            arrowprops={
                "arrowstyle": "-|>", "color": style.RED, "linewidth": 1.1, "linestyle": "--", "shrinkA": 5,
                "shrinkB": 5,
            },
        )  # fmt: skip
        separator = "\n" if narrow else ""
        how = {"exact": "certified", "numeric": "measured"}.get(fall.guarantee, fall.guarantee)
        text = (
            f"φ′({fall.t1:.2f}) = {style.number(fall.slope1)} > {separator}"
            f"φ′({fall.t2:.2f}) = {style.number(fall.slope2)} ({how})"
        )
    axes.text(
        0.5,
        high,
        text,
        ha="center",
        va="top",
        fontsize=style.SMALL,
        color=style.RED,
        gid="fall-text",
        path_effects=style.halo(),
    )


def _draw_gradient(axes: Axes, t: Array, norms: Array) -> None:
    """The length of the whole gradient along the segment."""
    axes.fill_between(t, norms, 0, color=style.BLUE, alpha=0.09, linewidth=0)
    axes.plot(t, norms, color=style.BLUE, linewidth=2.0, gid="gradient-curve")
    axes.set_ylim(0, float(norms.max()) * 1.12 or 1.0)
    axes.set_ylabel("‖∇F‖")


def _room(axes: Axes, values: Array, below: float, above: float) -> tuple[float, float]:
    """Limits with room for one line of text under and over the curve; where that text goes, in data units."""
    low, high = float(np.min(values)), float(np.max(values))
    span = high - low
    if span <= 1e-12 * max(1.0, abs(high)):
        span = abs(high) * 0.1 or 1.0
        low, high = low - span / 2, high + span / 2
    axes.set_ylim(low - below * span, high + above * span)
    return low - (below - 0.03) * span, high + (above - 0.03) * span


@dataclass(frozen=True)
class Path:
    """One way between two networks.

    Attributes:
        label: what was done first, such as ``as trained`` or ``after alignment``.
        loss: at the shared places, nats.
        accuracy: likewise, in [0, 1], or None.
    """

    label: str
    loss: ArrayLike
    accuracy: ArrayLike | None = None


@style.styled
def draw_barrier(
    t: ArrayLike,
    paths: Sequence[Path],
    *,
    names: tuple[str, str] = ("network 1", "network 2"),
    narrow: bool = False,
) -> Figure:
    """Draw loss (and accuracy, where given) on the straight ways between two independent networks.

    Args:
        t: places on each way, rising from 0 to 1.
        paths: at most three ways; the first is dashed red, the second solid blue, the third dotted green.
        names: what the ends are called.
        narrow: lay it out for a telephone.

    Returns:
        The figure.
    """
    places = np.asarray(t, float)
    both = any(path.accuracy is not None for path in paths)
    width = style.NARROW if narrow else style.WIDE
    rows, columns = (1 + both, 1) if narrow else (1, 1 + both)
    tall, foot, head = 2.2 if narrow else 2.9, 0.62, 0.5
    quarters = ("", "½", "") if narrow else ("¼", "½", "¾")
    inner = (width - 0.85 * columns - 0.2 * columns) / columns
    figure = style.new_figure(width, rows * (tall + foot) + head)
    for k in range(1 + both):
        left = 0.72 + (0 if narrow else k * (inner + 1.0))
        bottom = foot + (0 if not narrow else (rows - 1 - k) * (tall + foot))
        axes = style.place(figure, left, bottom, inner, tall, gid=("barrier-loss", "barrier-accuracy")[k])
        for path, colour, line, marker in zip(
            paths,
            (style.RED, style.BLUE, style.GREEN),
            ((0, (5, 2.6)), "solid", (0, (1.5, 2))),
            "DoS",
            strict=False,
        ):
            series = path.accuracy if k else path.loss
            if series is None:
                continue
            values = np.asarray(series, float) * (100 if k else 1)
            axes.plot(places, values, color=colour, linestyle=line, linewidth=2.3, label=path.label)
            middle = float(np.interp(0.5, places, values))
            axes.plot([0.5], [middle], marker=marker.lower(), color=colour, markersize=6.5, zorder=5)
            axes.annotate(
                style.number(middle) + (" %" if k else ""), (0.5, middle),
                xytext=(0, -7 if k else 7), ha="center", va="top" if k else "bottom",
                textcoords="offset points", fontsize=style.SMALL, color=colour, path_effects=style.halo(),
            )  # fmt: skip
        axes.set_xlim(-0.03, 1.03)
        axes.margins(y=0.16)
        if k:
            axes.set_ylim(top=101.5)
        axes.set_xticks([0, 0.25, 0.5, 0.75, 1], [f"0\n{names[0]}", *quarters, f"1\n{names[1]}"])
        first, *_, last = axes.get_xticklabels()
        first.set_horizontalalignment("left" if narrow else "center")
        last.set_horizontalalignment("right" if narrow else "center")
        axes.set_ylabel("accuracy, %" if k else "loss, nats")
        axes.grid(axis="both")
        if not k:
            handles = axes.get_legend_handles_labels()
    figure.legend(
        *handles,
        loc="upper center",
        ncols=1 if narrow and len(paths) > 2 else len(paths),
        handlelength=3.0,
        fontsize=9,
        bbox_to_anchor=(0.5, 1.0),
    )
    return figure
