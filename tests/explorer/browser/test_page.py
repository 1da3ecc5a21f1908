"""The page opens quietly at both sizes and in both themes, leads through its tour, and can be used by everybody."""

from __future__ import annotations

import socket
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from tests.explorer.browser.conftest import AXE, VIEWS, WITHOUT
from tests.explorer.browser.driver import Explorer, fragment

START = fragment([5, 3])
QUESTIONS = 8
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]

RUN = """async (rules) => (await axe.run(document, { runOnly: rules, resultTypes: ["violations"] })).violations.map(
  (found) => `${found.id}: ${found.nodes.map((node) => node.target.join(" ")).join(", ")}`)"""


@pytest.mark.parametrize("view", VIEWS)
def test_the_page_opens_quietly_with_a_trained_network(views, view):
    explorer = views(view).open()
    assert explorer.page.locator("h1").inner_text().startswith("Orbitope")
    explorer.until("""document.querySelector('[data-testid="button-suggest"]') !== null""")
    assert 0 < explorer.value("loss-a") < 0.4
    dark = explorer.page.evaluate(
        "getComputedStyle(document.documentElement).backgroundColor.match(/[\\d.]+/g).slice(0, 3).every((v) => v < 100)"
    )
    assert dark == view.endswith("dark")
    # Nothing sticks out to the side.
    assert explorer.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    explorer.click("button-suggest")
    explorer.find("loss-b").wait_for()
    explorer.check()


@pytest.mark.parametrize("view", ["desktop light", "phone dark"])
def test_the_tour_leads_to_its_end(views, view):
    explorer = views(view).open(START)
    explorer.click("button-tour")
    titles = set()
    for k in range(1, QUESTIONS + 1):
        assert explorer.text("tour-place") == f"Question {k} of {QUESTIONS}"
        if k == 1:
            tour_exchange(explorer)
        titles.add(explorer.find("tour").locator("h2").inner_text())
        said = explorer.text("tour")
        assert len(said) > 200 and not any(wrong in said for wrong in ("NaN", "undefined", "not a number", "∞"))
        assert explorer.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        explorer.click("tour-next")
    assert len(titles) == QUESTIONS
    assert explorer.find("tour").count() == 0
    explorer.check()


def tour_exchange(explorer: Explorer) -> None:
    explorer.drag("node-0-0", "node-0-2")
    explorer.find("loss-b").wait_for()


@pytest.fixture(scope="session")
def axe() -> str:
    if not AXE.exists():
        pytest.skip(f"{WITHOUT}axe is not installed: make web")
    return Path(AXE).read_text(encoding="utf-8")


@pytest.mark.parametrize("view", VIEWS)
def test_axe_finds_nothing(views, view, axe):
    explorer = views(view).open(START)
    explorer.page.evaluate(axe)
    found: dict[str, list[str]] = {}

    def look(where: str) -> None:
        explorer.frames()
        found[where] = explorer.page.evaluate(RUN, RULES)

    explorer.drag("node-0-1", "node-0-3")
    look("exchanged")
    for name in ("landscape", "output", "settings"):
        if view.startswith("phone"):
            explorer.tab(name)
            look(name)
    for name in ("files", "python", "help"):
        explorer.click(f"button-{name}")
        look(name)
        explorer.click("dialog-close")
    explorer.click("button-tour")
    for k in (1, 4, 6, 7):
        explorer.click(f"tour-dot-{k}")
        look(f"question {k}")
    assert not {where: problems for where, problems in found.items() if problems}
    explorer.check()


def test_axe_finds_a_planted_fault(explorer, axe):
    explorer.open(START)
    explorer.page.evaluate(axe)
    explorer.page.evaluate("document.querySelector('[data-testid=slider-t]').removeAttribute('aria-label')")
    assert any(problem.startswith("label:") for problem in explorer.page.evaluate(RUN, RULES))


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1:1", "localhost.evil.example"])
def test_a_request_under_another_name_is_refused(address, host):
    at = urlsplit(address)
    with socket.create_connection((at.hostname, at.port), timeout=30) as wire:
        wire.sendall(f"GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        answer = b"".join(iter(lambda: wire.recv(65536), b""))
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"<script" not in answer
