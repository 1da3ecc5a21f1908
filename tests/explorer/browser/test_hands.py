"""Two nodes are exchanged by mouse, finger and keys; nothing but positions changes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from tests.explorer.browser.conftest import VIEWS
from tests.explorer.browser.driver import Explorer, fragment, packed

START = fragment([5, 3])


def coloured(explorer: Explorer, name: str) -> tuple[bool, bool]:
    """Whether edges of a positive and of a negative weight begin or end at a node."""
    picture, corner, middle = explorer.pixels("network"), explorer.corner("network"), explorer.spot(name)
    row, column = round(middle.y - corner.y), round(middle.x - corner.x)
    rows = picture[row - 8 : row + 9]
    beside = np.concatenate([rows[:, column - 46 : column - 30], rows[:, column + 30 : column + 46]], axis=1)
    positive, negative = (
        int((np.linalg.norm(beside - explorer.colour(token), axis=2) < 0.2).sum())
        for token in ("--positive", "--negative")
    )
    return positive > 20, negative > 20


def keys(explorer: Explorer, first: str, second: str) -> None:
    """Exchange two nodes, the second being two places below the first, with nothing but keys."""
    press = explorer.page.keyboard.press
    explorer.page.evaluate("document.activeElement?.blur()")
    for _ in range(60):
        press("Tab")
        held = explorer.page.evaluate("document.activeElement?.dataset.testid ?? ''")
        if held.startswith("node-"):
            break
    assert held.startswith("node-0-")
    press("Home")
    for _ in range(int(first[-1])):
        press("ArrowDown")
    press("Enter")
    assert explorer.find(first).get_attribute("aria-pressed") == "true"
    for _ in range(int(second[-1]) - int(first[-1])):
        press("ArrowDown")
    press("Enter")


HANDS: dict[str, Callable[[Explorer, str, str], None]] = {
    "mouse": Explorer.drag,
    "finger": Explorer.touch,
    "keys": keys,
}


@pytest.mark.parametrize(
    ("view", "hand"),
    [(view, hand) for view in VIEWS for hand in HANDS if hand != "finger" or view.startswith("phone")],
)
def test_an_exchange_keeps_the_loss_and_moves_the_numbers(views, view, hand):
    explorer = views(view).open(START)
    before = explorer.value("loss-a")
    assert explorer.find("loss-b").count() == 0
    HANDS[hand](explorer, "node-0-1", "node-0-3")
    explorer.find("loss-b").wait_for()
    assert explorer.value("loss-a") == before
    assert explorer.value("loss-b") == pytest.approx(before, rel=1e-13)
    assert explorer.text("loss-b") == explorer.text("loss-a")
    # Two nodes with two weights and a bias coming in, and three weights going out.
    said = explorer.text("equality-text")
    assert said.startswith("Equal to ") and "though 12 of 41 numbers moved" in said
    picture = explorer.pixels("strips")
    half = len(picture) // 2
    assert np.abs(picture[:20] - picture[half + 4 : half + 24]).max() > 0.2
    assert "have exchanged places with all their edges" in explorer.text("said")
    explorer.check()


def test_nodes_of_different_layers_are_not_exchanged(explorer):
    explorer.open(START)
    explorer.carry("node-0-1", "node-1-1")
    assert explorer.page.get_by_text("Only nodes of the same layer can be exchanged.").first.is_visible()
    explorer.page.mouse.up()
    explorer.frames()
    assert explorer.find("loss-b").count() == 0


def test_a_node_let_go_in_the_open_goes_home(explorer):
    explorer.open(START)
    home = explorer.spot("node-0-0")
    explorer.carry("node-0-0", "loss-a", share=0.5)
    assert explorer.spot("node-0-0") != home
    explorer.page.mouse.up()
    explorer.until("""document.querySelector('[data-testid="node-0-0"]').style.transform === ''""")
    assert explorer.spot("node-0-0") == home
    assert explorer.find("loss-b").count() == 0


def test_edges_keep_their_colours_on_the_way(explorer):
    """The first node has nothing but positive edges, the second nothing but negative ones, all of one thickness."""
    blue, orange = (True, False), (False, True)
    signs = np.array([1.0, 1, -1, -1, 0.5, 0.5, 1, -1, 1, -1, 0.5, 0.5])
    explorer.open(packed([2], signs))
    explorer.frames(4)
    assert (coloured(explorer, "node-0-0"), coloured(explorer, "node-0-1")) == (blue, orange)
    one, other = explorer.spot("node-0-0"), explorer.spot("node-0-1")
    explorer.page.mouse.move(one.x, one.y)
    explorer.page.mouse.down()
    # Beside the way: the other node stays where it is.
    explorer.page.mouse.move(one.x + 60, one.y - 20, steps=6)
    explorer.frames()
    assert coloured(explorer, "node-0-0") == blue
    explorer.page.mouse.move(other.x, other.y, steps=6)
    explorer.frames()
    # The other one has given way, and is drawn where the first one was.
    assert abs(explorer.spot("node-0-1").y - one.y) < 2
    assert (coloured(explorer, "node-0-0"), coloured(explorer, "node-0-1")) == (blue, orange)
    explorer.page.mouse.up()
    explorer.page.mouse.move(5, 5)
    explorer.until("""document.querySelector('[data-testid="node-0-0"]').style.transform === ''""")
    explorer.frames(4)
    assert (coloured(explorer, "node-0-0"), coloured(explorer, "node-0-1")) == (orange, blue)


AWAY = (
    """() => [...document.querySelectorAll('[data-testid^="node-0-"]')].filter((node) => node.style.transform).length"""
)


@pytest.mark.parametrize("still", [True, False], ids=["reduced motion", "motion"])
def test_readers_who_asked_for_less_motion_see_none(views, still):
    explorer = views("desktop light", still).open(START)
    explorer.click("node-0-1")
    explorer.click("node-0-3")
    explorer.frames()
    assert explorer.page.evaluate(AWAY) == (0 if still else 2)
    explorer.until(f"({AWAY})() === 0")
    explorer.click("button-midpoint")
    explorer.frames()
    assert (float(explorer.find("slider-t").input_value()) == 0.5) == still
    explorer.until("""document.querySelector('[data-testid="slider-t"]').value === '0.5'""")
    explorer.check()
