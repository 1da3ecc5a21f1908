"""The page as tests hold it: opened at a state, clicked, dragged, read."""

from __future__ import annotations

import base64
import io
import json
import time
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit

import numpy as np
from matplotlib.colors import to_rgb
from matplotlib.image import imread

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, ConsoleMessage, Locator, Page, Request

PATIENCE = 30_000
"""Milliseconds that anything may take on a busy machine."""


def fragment(hidden: list[int], seed: int = 0, inputs: int = 2, outputs: int = 2, **settings: Any) -> str:
    """The address of a network with weights that are drawn here: no two of its nodes are alike."""
    random = np.random.default_rng(seed)
    widths = [inputs, *hidden, outputs]
    values = [random.normal(size=size) for before, after in pairwise(widths) for size in (before * after, after)]
    return packed(hidden, np.concatenate(values), **settings)


def packed(hidden: list[int], values: np.ndarray, **settings: Any) -> str:
    """The address of a network with these weights: map by map, a matrix by rows and its bias."""
    text = base64.urlsafe_b64encode(values.astype("<f8").tobytes()).decode().rstrip("=")
    parts = {"hidden": ",".join(map(str, hidden)), "samples": 60, **settings, "parameters": text}
    return urlencode(parts).replace("%2C", ",")


@dataclass(frozen=True)
class Spot:
    """The middle of something on the page."""

    x: float
    y: float


class Explorer:
    """One page, and what it has said and asked for."""

    def __init__(self, context: BrowserContext, address: str) -> None:
        """Take a context of the browser and where the page is."""
        self.page: Page = context.new_page()
        self.address = address
        self.said: list[str] = []
        self.page.set_default_timeout(PATIENCE)
        self.page.on("console", self._console)
        self.page.on("pageerror", lambda error: self.said.append(f"error: {error}"))
        self.page.on("request", self._request)

    def _console(self, message: ConsoleMessage) -> None:
        self.said.append(f"{message.type}: {message.text}")

    def _request(self, request: Request) -> None:
        asked, own = urlsplit(request.url), urlsplit(self.address)
        inside = asked.scheme in {"data", "blob", "about"}
        if not inside and (asked.scheme, asked.netloc) != (own.scheme, own.netloc):
            self.said.append(f"request: {request.url}")

    def check(self) -> None:
        """Nothing in the console, nothing asked of others."""
        said, self.said = self.said, []
        assert said == [], said

    def open(self, where: str = "") -> Explorer:
        """Load the page at a state."""
        self.page.goto("about:blank")
        self.page.goto(f"{self.address}#{where}" if where else self.address)
        self.find("loss-a").wait_for()
        return self

    # reading -----------------------------------------------------------------------------------------------------

    def find(self, name: str) -> Locator:
        """An element by its name for tests."""
        return self.page.get_by_test_id(name)

    def text(self, name: str) -> str:
        """What an element says."""
        return " ".join(self.find(name).inner_text().split())

    def value(self, name: str) -> float:
        """The unrounded number behind what an element says."""
        return float(self.find(name).get_attribute("data-value") or "nan")

    def until(self, condition: str) -> None:
        """Wait until an expression of JavaScript holds. The page's policy forbids Playwright's own way, an `eval`."""
        end = time.monotonic() + PATIENCE / 1000
        while not self.page.evaluate(condition):
            assert time.monotonic() < end, f"not true in time: {condition}"
            self.page.wait_for_timeout(30)

    def frames(self, count: int = 2) -> None:
        """Let the page draw."""
        self.page.evaluate(
            "n => new Promise(done => { const next = () => n-- > 0 ? requestAnimationFrame(next) : done(); next(); })",
            count,
        )

    def spot(self, name: str) -> Spot:
        """The middle of an element."""
        box = self.find(name).bounding_box()
        assert box is not None
        return Spot(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)

    def corner(self, name: str) -> Spot:
        """The upper left corner of an element."""
        box = self.find(name).bounding_box()
        assert box is not None
        return Spot(box["x"], box["y"])

    def pixels(self, name: str) -> np.ndarray:
        """How an element looks: rows, columns and the colours red, green, blue from 0 to 1."""
        return imread(io.BytesIO(self.find(name).screenshot()))[..., :3]

    def colour(self, token: str) -> np.ndarray:
        """A colour of the page's style by its name."""
        text = self.page.evaluate("t => getComputedStyle(document.documentElement).getPropertyValue(t).trim()", token)
        return np.array(to_rgb(text))

    # doing -------------------------------------------------------------------------------------------------------

    def click(self, name: str) -> None:
        """Click an element."""
        self.find(name).click()

    def tab(self, name: str) -> None:
        """On a narrow page, show a panel; on a wide one all are there."""
        if self.find(f"tab-{name}").count():
            self.click(f"tab-{name}")

    def drag(self, start: str, end: str) -> None:
        """Carry one element onto another with the mouse, and let go."""
        self.carry(start, end)
        self.page.mouse.up()
        self.frames()

    def carry(self, start: str, end: str, share: float = 1) -> None:
        """Carry one element towards another with the mouse, and hold it there."""
        one, other = self.spot(start), self.spot(end)
        self.page.mouse.move(one.x, one.y)
        self.page.mouse.down()
        goal = Spot(one.x + share * (other.x - one.x), one.y + share * (other.y - one.y))
        self.page.mouse.move(goal.x, goal.y, steps=8)
        self.frames()

    def touch(self, start: str, end: str) -> None:
        """Carry one element onto another with a finger."""
        one, other = self.spot(start), self.spot(end)
        session = self.page.context.new_cdp_session(self.page)

        def finger(kind: str, *points: Spot) -> None:
            touches = [{"x": point.x, "y": point.y} for point in points]
            session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": touches})

        finger("touchStart", one)
        for k in range(1, 9):
            finger("touchMove", Spot(one.x + k / 8 * (other.x - one.x), one.y + k / 8 * (other.y - one.y)))
        finger("touchEnd")
        session.detach()
        self.frames()

    # files -------------------------------------------------------------------------------------------------------

    def save(self, kind: str, path: Path) -> Path:
        """What the page saves as `json` or `safetensors`."""
        self.click("button-files")
        with self.page.expect_download() as waiting:
            self.click(f"save-{kind}")
        waiting.value.save_as(path)
        self.click("dialog-close")
        return path

    def state(self, folder: Path) -> dict[str, Any]:
        """The state that the page saves, as it stands in the document."""
        return json.loads(self.save("json", folder / "state.json").read_text(encoding="utf-8"))

    def load(self, name: str, content: bytes) -> None:
        """Give the page a file."""
        self.click("button-files")
        self.find("open-file").set_input_files({"name": name, "mimeType": "", "buffer": content})
        self.find("dialog-files").wait_for(state="hidden")
