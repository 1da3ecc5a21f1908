"""One server and one browser for all tests of the page; where one cannot be had, one sentence says so."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from orbitope.errors import FileError
from orbitope.explorer import load

if TYPE_CHECKING:
    from playwright.sync_api import Browser
    from tests.explorer.browser.driver import Explorer

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
WITHOUT = "the tests of the explorer in a browser were not run: "
AXE = Path(__file__).parents[3] / "web" / "node_modules" / "axe-core" / "axe.min.js"
SIZES = {"desktop": (1280, 800), "phone": (390, 844)}
VIEWS = [f"{size} {theme}" for size in SIZES for theme in ("light", "dark")]


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    try:
        load()
    except FileError as error:
        pytest.skip(f"{WITHOUT}{error.args[0]}: make web")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        pytest.skip(f'{WITHOUT}Playwright is not installed: pip install "orbitope[dev]"')
    path = next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        pytest.skip(f"{WITHOUT}no Chromium was found (on Debian: apt-get install chromium)")
    with sync_playwright() as playwright:
        # Tests may run as root in a container, where Chromium's own sandbox cannot be made.
        launched = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"], timeout=120_000)
        yield launched
        launched.close()


@pytest.fixture(scope="session")
def address() -> Iterator[str]:
    """Where `orbitope explore` serves the page."""
    command = [sys.executable, "-m", "orbitope", "explore", "--no-open"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert server.stdout is not None
    line = server.stdout.readline().strip()
    assert line.startswith("http://127.0.0.1:"), line
    yield line
    server.kill()
    server.communicate()


@pytest.fixture(scope="session")
def views(browser, address) -> Iterator[Callable[..., Explorer]]:
    """Pages by name, such as `phone dark`: each opened once, and put back to a state by the tests."""
    from tests.explorer.browser.driver import Explorer

    opened: dict[tuple[str, bool], Explorer] = {}

    def view(name: str, still: bool = True) -> Explorer:
        if (name, still) not in opened:
            opened[name, still] = Explorer(browser.new_context(**settings(name, still)), address)
        return opened[name, still]

    yield view
    for explorer in opened.values():
        explorer.page.context.close()


@pytest.fixture
def explorer(views) -> Iterator[Explorer]:
    """The page on a desktop."""
    found = views("desktop light")
    yield found
    found.check()


def settings(name: str, still: bool = True) -> dict[str, Any]:
    """How a context of the browser is made for a view."""
    size, theme = name.split()
    width, height = SIZES[size]
    motion = "reduce" if still else "no-preference"
    common = {"viewport": {"width": width, "height": height}, "color_scheme": theme, "reduced_motion": motion}
    return {**common, "has_touch": size == "phone", "device_scale_factor": 1, "accept_downloads": True}
