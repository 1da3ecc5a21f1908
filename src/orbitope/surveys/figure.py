"""The figure of a survey: the share of swaps with a bump, by activation and width, before and after training."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from orbitope.reports.style import INK, MUTED, PAPER, SMALL, WEIGHTS, new_figure, place, styled
from orbitope.surveys.records import Record
from orbitope.surveys.tables import groups

ROW, COLUMN = 0.26, 0.62
"""Inches of one cell."""


@styled
def figure(records: Sequence[Record]) -> Figure:
    """Two panels; number and colour are the share of swaps with a worse midpoint, a dot says all were proved."""
    names = list(dict.fromkeys(record["activation"] for record in records))
    widths = sorted({record["width"] for record in records})
    found = groups(records, "activation", "width")
    left, top, gap = 1.15, 0.62, 0.35
    wide, high = COLUMN * len(widths), ROW * len(names)
    drawn = new_figure(left + 2 * wide + gap + 0.15, high + top + 0.62)
    for k, (phase, title) in enumerate((("initial", "at initialisation"), ("trained", "after training"))):
        axes = place(drawn, left + k * (wide + gap), 0.55, wide, high, f"survey-{phase}")
        shares = np.full((len(names), len(widths)), np.nan)
        for i, name in enumerate(names):
            for j, width in enumerate(widths):
                some = found.get((name, width), [])
                swaps = sum(record[phase]["swaps"] for record in some)
                if swaps:
                    shares[i, j] = sum(record[phase]["bumps"] for record in some) / swaps
                proved = bool(some) and all(record[phase].get("proved") == "swap" for record in some)
                _cell(axes, i, j, shares[i, j], proved)
        axes.imshow(shares, cmap=WEIGHTS, vmin=-1.2, vmax=1.2, aspect="auto")
        axes.set_xticks(range(len(widths)), [str(width) for width in widths])
        axes.set_yticks(range(len(names)), names if k == 0 else [])
        axes.tick_params(length=0)
        for spine in axes.spines.values():
            spine.set_visible(False)
        axes.set_title(title, color=INK, loc="left")
        axes.set_xlabel("units of a layer")
    x = left / drawn.get_size_inches()[0]
    y = 1 - 0.22 / drawn.get_size_inches()[1]
    text = "Share of swaps whose midpoint is worse; • all networks of the cell proved by a swap; – no swap"
    drawn.text(x, y, text, color=MUTED, fontsize=SMALL)
    return drawn


def _cell(axes: object, i: int, j: int, share: float, proved: bool) -> None:
    text = "–" if np.isnan(share) else f"{share:.0%}{' •' if proved else ''}"
    colour = PAPER if not np.isnan(share) and share > 0.85 else INK
    axes.text(j, i, text, ha="center", va="center", fontsize=7.5, color=colour)  # type: ignore[attr-defined]
