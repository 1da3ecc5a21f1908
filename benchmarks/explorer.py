"""What the explorer's page costs: bytes, time to its first drawing, frames while dragging and training, and axe's word.

Run: python benchmarks/explorer.py [--json FILE] [--pictures FOLDER]

Needs the built page (make web), Playwright and Chromium. Frames are read from the browser's own trace: the time between
two frames that the main thread drew, and the processor time of all its tasks for one of them. The first says what a
reader sees on this machine, also where it is busy with other things or draws without a graphics processor; the second
is what the page asks for, of which 16.7 ms is there at 60 frames a second.
`--pictures` also writes the screens that docs/explorer.md shows.
"""

from __future__ import annotations

import argparse
import gzip
import json
import math
import shutil
import statistics
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, sync_playwright

from orbitope.explorer import load, single_page

NETWORK = "hidden=16,16"
WORK = ("Commit", "UpdateLayerTree")
TASKS = ("RunTask", "ThreadControllerImpl::RunTask")
CATEGORIES = ["devtools.timeline", "toplevel", "disabled-by-default-devtools.timeline"]
AXE = Path(__file__).parents[1] / "web" / "node_modules" / "axe-core" / "axe.min.js"
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
SIZES = {"desktop": (1280, 800), "phone": (390, 844)}


def sizes() -> dict[str, int]:
    """Bytes of the page as it is and compressed."""
    assets = load()
    single = single_page(assets)
    parts = (assets.page, assets.script, assets.style)
    return {
        "bytes": sum(map(len, parts)),
        "gzipped": sum(len(gzip.compress(part, 9, mtime=0)) for part in parts),
        "single file": len(single),
        "single file gzipped": len(gzip.compress(single, 9, mtime=0)),
    }


def first_drawing(browser: Browser, address: str) -> dict[str, float]:
    """Median over five fresh visits of the milliseconds until something is drawn."""
    found = []
    for _ in range(5):
        page = browser.new_page()
        page.goto(address)
        page.get_by_test_id("loss-a").wait_for()
        page.wait_for_timeout(300)
        code = "performance.getEntriesByName('first-contentful-paint')[0].startTime"
        found.append(page.evaluate(code))
        page.close()
    return {"first drawing, ms": round(statistics.median(found))}


def traced(page: Page, do: Callable[[], None]) -> dict[str, float]:
    """Frames while something is done."""
    session = page.context.new_cdp_session(page)
    events: list[dict[str, Any]] = []
    over: list[bool] = []
    session.on("Tracing.dataCollected", lambda part: events.extend(part["value"]))
    session.on("Tracing.tracingComplete", lambda _: over.append(True))
    session.send("Tracing.start", {"transferMode": "ReportEvents", "traceConfig": {"includedCategories": CATEGORIES}})
    do()
    session.send("Tracing.end")
    while not over:
        page.wait_for_timeout(50)
    session.detach()
    return frames(events)


def frames(events: list[dict[str, Any]]) -> dict[str, float]:
    """Time between frames, and the main thread's processor time for one, in milliseconds."""
    threads = Counter((e["pid"], e["tid"]) for e in events if e["name"] == "FireAnimationFrame")
    main = threads.most_common(1)[0][0]
    own = [e for e in events if (e["pid"], e["tid"]) == main]
    starts = sorted({e["ts"] / 1000 for e in own if e["name"] in WORK})
    gaps = sorted(b - a for a, b in pairwise(starts))
    work = [e["tdur"] / 1000 for e in own if e["name"] in TASKS and "tdur" in e]
    return {
        "frames": len(starts),
        "between, median": round(statistics.median(gaps), 1),
        "between, 95 %": round(gaps[int(0.95 * len(gaps))], 1),
        "processor per frame": round(sum(work) / len(starts), 1),
        "longest task": round(max(work), 1),
    }


def motion(browser: Browser, address: str) -> dict[str, dict[str, float]]:
    """Frames of a 2-16-16-2 network while it is dragged, trained, and moved along the segment."""
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    page.goto(f"{address}#{NETWORK}")
    page.wait_for_timeout(6000)

    def middle(name: str) -> tuple[float, float]:
        box = page.get_by_test_id(name).bounding_box()
        assert box is not None
        return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2

    def drag() -> None:
        (x, y), (_, end) = middle("node-0-2"), middle("node-0-9")
        page.mouse.move(x, y)
        page.mouse.down()
        for k in range(90):
            page.mouse.move(x + 30 * math.sin(k / 7), y + (end - y) * k / 89)
            page.wait_for_timeout(15)
        page.mouse.move(x, end)
        page.mouse.up()
        page.wait_for_timeout(400)

    def train() -> None:
        page.get_by_test_id("button-train").click()
        page.wait_for_timeout(2500)
        page.get_by_test_id("button-train").click()

    def slide() -> None:
        box = page.get_by_test_id("slider-t").bounding_box()
        assert box is not None
        page.mouse.move(box["x"] + box["width"] - 8, box["y"] + box["height"] / 2)
        page.mouse.down()
        for k in range(90):
            page.mouse.move(box["x"] + box["width"] * (1 - k / 90), box["y"] + box["height"] / 2)
            page.wait_for_timeout(15)
        page.mouse.up()

    found = {}
    for name, do in {"dragging": drag, "training": train, "sliding": slide}.items():
        found[name] = traced(page, do)
        page.wait_for_timeout(2500)
    page.close()
    return found


def judged(browser: Browser, address: str) -> dict[str, list[str]]:
    """What axe objects to on every screen, at two sizes and in two themes."""
    source, found = AXE.read_text(encoding="utf-8"), {}
    code = """async (rules) => (await axe.run(document, { runOnly: rules })).violations.map((v) => v.id)"""
    for size, (width, height) in SIZES.items():
        for theme in ("light", "dark"):
            view = {"width": width, "height": height}
            page = browser.new_page(viewport=view, color_scheme=theme, reduced_motion="reduce")  # pyright: ignore
            page.goto(address)
            page.get_by_test_id("button-suggest").click()
            page.evaluate(source)
            for name in screens(page, size):
                page.wait_for_timeout(150)
                found[f"{size} {theme} {name}"] = page.evaluate(code, RULES)
            page.close()
    return found


def screens(page: Page, size: str) -> Any:
    """Lead through every screen of the page, by name."""
    yield "exchanged"
    for tab in ("landscape", "output", "settings") if size == "phone" else ():
        page.get_by_test_id(f"tab-{tab}").click()
        yield tab
    for name in ("files", "python", "help"):
        page.get_by_test_id(f"button-{name}").click()
        yield name
        page.get_by_test_id("dialog-close").click()
    page.get_by_test_id("button-tour").click()
    for k in range(1, 9):
        page.get_by_test_id(f"tour-dot-{k}").click()
        yield f"question {k}"


def pictures(browser: Browser, address: str, folder: Path) -> None:
    """The screens of docs/explorer.md."""
    folder.mkdir(parents=True, exist_ok=True)
    views: list[tuple[str, str, str, list[str]]] = [
        ("exchange", "desktop", "light", ["button-suggest", "button-midpoint"]),
        ("average", "desktop", "dark", ["button-suggest", "button-average"]),
        ("tour", "desktop", "light", ["button-suggest", "button-tour", "tour-dot-8"]),
        ("phone", "phone", "light", ["button-suggest", "button-midpoint"]),
    ]
    for name, size, theme, clicks in views:
        width, height = SIZES[size]
        view = {"width": width, "height": height}
        page = browser.new_page(viewport=view, color_scheme=theme, reduced_motion="reduce")  # pyright: ignore
        page.goto(address)
        for click in clicks:
            page.get_by_test_id(click).click()
            page.wait_for_timeout(2000)
        page.evaluate("scrollTo(0, 0)")
        page.wait_for_timeout(200)
        page.screenshot(path=folder / f"explorer-{name}.png")
        page.close()
        _smaller(folder / f"explorer-{name}.png")


def _smaller(path: Path) -> None:
    """With 256 colours a screen takes a third of the bytes."""
    from PIL import Image

    with Image.open(path) as image:
        small = image.convert("RGB").quantize(256, dither=Image.Dither.NONE)
    small.save(path, optimize=True)


def main() -> None:
    """Measure, print, and write what was asked for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--json", type=Path, help="where to write the numbers")
    parser.add_argument("--pictures", type=Path, help="where to write the screens; nothing is measured")
    args = parser.parse_args()
    command = [sys.executable, "-m", "orbitope", "explore", "--no-open"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert server.stdout is not None
    address = server.stdout.readline().strip()
    try:
        with sync_playwright() as playwright:
            path = shutil.which("chromium") or shutil.which("google-chrome")
            browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
            if args.pictures:
                pictures(browser, address, args.pictures)
                return
            objections = judged(browser, address)
            result: dict[str, Any] = {
                **sizes(),
                **first_drawing(browser, address),
                **motion(browser, address),
                "screens judged by axe": len(objections),
                "axe": {where: ids for where, ids in objections.items() if ids},
            }
    finally:
        server.kill()
    print(json.dumps(result, indent=2))
    if args.json:
        args.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
