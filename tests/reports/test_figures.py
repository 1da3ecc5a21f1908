"""The figures: they show the data they are given, in the same bytes each time."""

from __future__ import annotations

import sys
import xml.etree.ElementTree as ET
from collections.abc import Callable
from itertools import combinations

import matplotlib
import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.text import Text

from orbitope.errors import ElementError, FileError
from orbitope.reports.figures import (
    Layer,
    Path,
    Violation,
    contour_levels,
    draw_barrier,
    draw_collapse,
    draw_plane,
    draw_segment,
    draw_swap,
    save_figure,
    steepest_fall,
    to_png,
    to_svg,
)
from orbitope.reports.style import GREEN, GREY, RED

T = np.linspace(0, 1, 21)


def swapped(layer: Layer, i: int, j: int) -> Layer:
    order = np.arange(layer.incoming.shape[0])
    order[[i, j]] = j, i
    return Layer(layer.incoming[order], layer.outgoing[:, order], layer.loss)


def layer(hidden: int = 32, inputs: int = 64, outputs: int = 32, seed: int = 0) -> Layer:
    rng = np.random.default_rng(seed)
    return Layer(rng.normal(size=(hidden, inputs)), rng.normal(size=(outputs, hidden)), 0.0967)


def swap(narrow: bool = False, **shape: int) -> Figure:
    a = layer(**shape)
    last = a.incoming.shape[0] - 1
    return draw_swap(a, swapped(a, 0, last), (0, last), narrow=narrow)


def segment(narrow: bool = False) -> Figure:
    loss = 0.1 + 0.06 * np.sin(np.pi * T) ** 2
    return draw_segment(T, loss, directional=np.gradient(loss, T), gradient=np.sqrt(loss), narrow=narrow)


def plane(narrow: bool = False) -> Figure:
    x, y = np.linspace(-1, 7, 25), np.linspace(-2, 16, 19)
    loss = 0.09 + 0.01 * (y[:, None] ** 2 + 0.2 * np.sin(x)[None] ** 2)
    points = {"A": (0.0, 0.0), "B": (6.0, 0.0), "M": (3.0, 0.0), "O": (3.0, 14.0)}
    return draw_plane(x, y, loss, points, values={"A": 0.09, "O": 2.05}, narrow=narrow)


def barrier(narrow: bool = False) -> Figure:
    bump = np.sin(np.pi * T)
    paths = [
        Path("as trained", 0.1 + bump, 1 - bump / 4),
        Path("after alignment", 0.1 + 0.1 * bump, 1 - bump / 50),
    ]
    return draw_barrier(T, paths, narrow=narrow)


def collapse(narrow: bool = False) -> Figure:
    weights = layer().incoming
    return draw_collapse(weights, np.broadcast_to(weights.mean(0), weights.shape), narrow=narrow)


FIGURES = [swap, segment, plane, barrier, collapse]


def edges(figure: Figure) -> dict[str, Line2D]:
    found = {}
    for axes in figure.axes:
        for line in axes.lines:
            gid = str(line.get_gid())
            if ("-in-" in gid or "-out-" in gid) and "node" not in gid:
                found[gid] = line
    return found


def look(line: Line2D) -> tuple[object, ...]:
    return line.get_color(), line.get_linewidth(), line.get_linestyle(), line.get_alpha()


def ends(line: Line2D) -> list[tuple[float, float]]:
    return list(zip(*line.get_data(), strict=True))


@pytest.mark.parametrize("draw", FIGURES)
@pytest.mark.parametrize("narrow", [False, True])
def test_same_data_give_the_same_well_formed_bytes(draw: Callable[..., Figure], narrow: bool) -> None:
    first, second = draw(narrow), draw(narrow)
    assert to_svg(first) == to_svg(second) == to_svg(first)
    assert to_png(first, 60) == to_png(second, 60)
    text = to_svg(first)
    assert ET.fromstring(text).tag == "{http://www.w3.org/2000/svg}svg"
    assert b"date" not in text.lower()
    assert first.get_size_inches()[0] == (3.9 if narrow else 8.4)


@pytest.mark.parametrize("draw", FIGURES)
def test_bytes_do_not_depend_on_the_readers_settings(draw: Callable[..., Figure]) -> None:
    expected = to_svg(draw())
    with matplotlib.rc_context({"font.size": 30, "svg.hashsalt": "other", "axes.grid": True, "savefig.dpi": 11}):
        assert to_svg(draw()) == expected


def test_pyplot_is_not_touched() -> None:
    pyplot = sys.modules.get("matplotlib.pyplot")
    assert pyplot is None or not pyplot.get_fignums()


def written(figure: Figure) -> list[Text]:
    """Everything that can be read in the picture."""
    texts = [*figure.texts, *(text for legend in figure.legends for text in legend.get_texts())]
    for axes in figure.axes:
        texts += axes.texts
        if axes.axison:
            texts += [axes.xaxis.label, axes.yaxis.label]
            for axis in (axes.xaxis, axes.yaxis):
                low, high = sorted(axis.get_view_interval())
                texts += [tick.label1 for tick in axis.get_major_ticks() if low <= tick.get_loc() <= high]
                texts += [tick.label2 for tick in axis.get_major_ticks() if low <= tick.get_loc() <= high]
        texts.append(axes.title)
    return [text for text in texts if text.get_text() and text.get_visible()]


@pytest.mark.parametrize("draw", FIGURES)
@pytest.mark.parametrize("narrow", [False, True])
def test_no_text_leaves_the_picture_or_covers_another(draw: Callable[..., Figure], narrow: bool) -> None:
    figure = draw(narrow)
    to_png(figure, 100)
    wide, high = figure.get_size_inches() * figure.dpi
    boxes = [(text.get_text(), text.get_window_extent()) for text in written(figure)]
    assert len(boxes) > 3
    for name, box in boxes:
        assert box.x0 >= 0 and box.y0 >= 0 and box.x1 <= wide and box.y1 <= high, name
    for (name, box), (other, second) in combinations(boxes, 2):
        assert not box.padded(-1).overlaps(second.padded(-1)), (name, other)


def test_files_are_written_as_png_and_svg(tmp_path) -> None:
    png, svg = save_figure(swap(), tmp_path / "swap.v1")
    assert (png.name, svg.name) == ("swap.v1.png", "swap.v1.svg")
    assert png.read_bytes().startswith(b"\x89PNG") and ET.parse(svg)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["swap.v1.png", "swap.v1.svg"]
    with pytest.raises(FileError):
        save_figure(swap(), tmp_path / "missing" / "swap")


def test_edges_travel_with_their_unit() -> None:
    a = layer(hidden=9, inputs=6, outputs=5)
    i, j = 2, 7
    lines = edges(draw_swap(a, swapped(a, i, j), (i, j)))
    of_a = {gid: line for gid, line in lines.items() if gid.startswith("A")}
    assert len(of_a) == 4 * (4 + 3) == len(lines) / 2
    for gid, line in of_a.items():
        _, side, place, other = gid.split("-")
        target = {i: j, j: i}.get(int(place), int(place))
        moved, replaced = lines[f"B-{side}-{target}-{other}"], lines[f"A-{side}-{target}-{other}"]
        assert look(moved) == look(line)
        assert ends(moved) == ends(replaced)
        assert (ends(moved) == ends(line)) == (target == int(place))
        assert line.get_color() == {i: RED, j: GREEN}.get(int(place), GREY)


def test_nodes_exchange_places() -> None:
    a = layer(hidden=5)
    figure = draw_swap(a, swapped(a, 1, 3), (1, 3))
    nodes = {line.get_gid(): line for axes in figure.axes for line in axes.lines if "node" in str(line.get_gid())}
    for first, second in ((1, 3), (3, 1)):
        before, after = nodes[f"A-node-hidden-{first}"], nodes[f"B-node-hidden-{second}"]
        assert before.get_markerfacecolor() == after.get_markerfacecolor() == {1: RED, 3: GREEN}[first]
        assert ends(after) == ends(nodes[f"A-node-hidden-{second}"])


def test_width_is_size_and_dash_is_sign() -> None:
    a = layer(hidden=6, inputs=5, outputs=3, seed=4)
    for gid, line in edges(draw_swap(a, swapped(a, 0, 1), (0, 1), shown=(5, 6, 3))).items():
        if gid.startswith("A-in"):
            place, i = map(int, gid.split("-")[2:])
            assert line.is_dashed() == (a.incoming[place, i] < 0)
    positive = Layer(np.abs(a.incoming), np.abs(a.outgoing), a.loss)
    assert not any(line.is_dashed() for line in edges(draw_swap(positive, swapped(positive, 0, 1), (0, 1))).values())
    widths = {
        gid: line.get_linewidth()
        for gid, line in edges(draw_swap(a, swapped(a, 0, 1), (0, 1))).items()
        if gid[0] == "A"
    }
    sizes = {gid: abs(a.incoming[int(gid.split("-")[2]), int(gid.split("-")[3])]) for gid in widths if "-in-" in gid}
    assert sorted(sizes, key=sizes.__getitem__) == sorted(sizes, key=widths.__getitem__)


def test_largest_weights_are_drawn_and_the_rest_counted() -> None:
    a = layer(hidden=12, inputs=20, outputs=10)
    figure = draw_swap(a, swapped(a, 3, 8), (3, 8))
    drawn = {int(gid.split("-")[3]) for gid in edges(figure) if gid.startswith("A-in")}
    size = np.abs(a.incoming[[3, 8]]).max(axis=0)
    assert drawn == set(np.argsort(-size)[:4].tolist())
    caption = " ".join(text.get_text() for text in figure.texts)
    assert "16 previous and 7 next" in caption and "8 hidden" in caption and "differ in 60 of these 360" in caption


def test_cells_differ_where_the_parameters_do() -> None:
    a = layer(hidden=4)
    figure = draw_swap(a, swapped(a, 0, 2), (0, 2))
    cells = {p.get_gid(): p.get_facecolor() for axes in figure.axes for p in axes.patches if p.get_gid()}
    for place, target in ((0, 2), (2, 0), (1, 1), (3, 3)):
        for n in range(17):
            assert cells[f"A-cell-{place}-{n}"] == cells[f"B-cell-{target}-{n}"]
    assert any(cells[f"A-cell-0-{n}"] != cells[f"B-cell-0-{n}"] for n in range(17))


@pytest.mark.parametrize("hidden", [2, 3, 64])
@pytest.mark.parametrize("others", [(1, 1), (2, 1), (3, 40)])
def test_swap_at_any_width(hidden: int, others: tuple[int, int]) -> None:
    to_svg(swap(hidden=hidden, inputs=others[0], outputs=others[1]))


def test_zero_weights_are_not_drawn() -> None:
    zero = Layer(np.zeros((2, 3)), np.zeros((2, 2)), 0.0)
    figure = draw_swap(zero, zero, (0, 1))
    assert not edges(figure)
    to_svg(figure)


@pytest.mark.parametrize("units", [(0, 0), (0, 1), (-1, 0)])
def test_width_one_is_refused(units: tuple[int, int]) -> None:
    one = layer(hidden=1)
    with pytest.raises(ElementError, match="no two nodes"):
        draw_swap(one, one, units)


def test_a_picture_that_would_lie_is_refused() -> None:
    a = layer()
    wrong = Layer(swapped(a, 0, 1).incoming, a.outgoing, a.loss)
    for after in (a, wrong, swapped(a, 0, 2)):
        with pytest.raises(ElementError, match="not A with units 0 and 1 exchanged"):
            draw_swap(a, after, (0, 1))


@pytest.mark.parametrize("value", [0.0, 1e-9, 3.5, -2.0])
@pytest.mark.parametrize("narrow", [False, True])
def test_constant_loss(value: float, narrow: bool) -> None:
    flat = np.full_like(T, value)
    figure = draw_segment(T, flat, directional=0 * T, gradient=0 * T, narrow=narrow)
    to_svg(figure)
    texts = [text.get_text() for axes in figure.axes for text in axes.texts]
    assert any("no bump" in text for text in texts) and any("never falls" in text for text in texts)
    grid = np.full((5, 6), value)
    to_svg(draw_plane(np.arange(6), np.arange(5), grid, {"A": (0, 0)}, narrow=narrow))
    to_svg(draw_barrier(T, [Path("flat", flat)], narrow=narrow))


def test_segment_shows_the_gap_over_the_worse_end() -> None:
    figure = draw_segment([0, 0.4, 0.6, 1], [1.0, 3.0, 3.0, 2.0])
    (text,) = [t.get_text() for axes in figure.axes for t in axes.texts if t.get_gid() == "gap-text"]
    assert text == "F(M) = 3, 1 nats above the line"
    below = draw_segment([0, 0.5, 1], [1.0, 0.25, 1.0])
    assert "0.75 nats below" in " ".join(t.get_text() for t in below.axes[0].texts)


def test_fall_of_the_slope() -> None:
    fall = steepest_fall([0, 0.25, 0.5, 0.75, 1], [1, 3, 0, -2, 5])
    assert fall == Violation(0.25, 0.75, 3.0, -2.0, "numeric")
    assert steepest_fall([0, 0.5, 1], [-1, 0, 0]) is None
    certified = Violation(0.2, 0.8, 1.5, -1.5, "exact")
    figure = draw_segment(T, np.sin(T), directional=np.cos(T), violation=certified)
    assert any("(certified)" in t.get_text() for axes in figure.axes for t in axes.texts)


@pytest.mark.parametrize(
    ("low", "high"), [(0.09, 4.5), (1e-6, 2.0), (1.0, 1.5), (-3.0, 2.0), (0.0, 5.0), (2.0, 2.0), (0.1, 1e9)]
)
def test_levels_rise_and_cover(low: float, high: float) -> None:
    levels = contour_levels(low, high)
    assert levels == sorted(set(levels)) and levels[0] <= low and levels[-1] >= high and 2 <= len(levels) <= 60


def test_plane_survives_infinite_loss() -> None:
    grid = np.array([[0.1, 0.2, np.inf], [0.3, np.nan, 9.0]])
    to_svg(draw_plane([0, 1, 2], [0, 1], grid, {"A": (0, 0), "B": (2, 0), "O": (1, 1)}))


@pytest.mark.parametrize(("hidden", "inputs"), [(1, 64), (3, 64), (64, 64), (5, 10), (1, 1), (40, 7)])
def test_collapse_at_any_shape(hidden: int, inputs: int) -> None:
    weights = layer(hidden=hidden, inputs=inputs).incoming
    figure = draw_collapse(weights, np.broadcast_to(weights.mean(0), weights.shape))
    after = next(axes for axes in figure.axes if axes.get_gid() == "after").images[0].get_array()
    cells = np.ma.compressed(after)
    assert len(np.unique(cells[np.isfinite(cells)])) <= inputs
    to_svg(figure)


def test_barrier_without_accuracy_has_one_panel() -> None:
    assert len(draw_barrier(T, [Path("as trained", T)]).axes) == 1
    assert len(barrier().axes) == 2
