"""What is saved can be opened again; what cannot be opened is one sentence, and the screen stays."""

from __future__ import annotations

import json
import math
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save
from tests.explorer.browser.conftest import settings
from tests.explorer.browser.driver import Explorer, fragment

START = fragment([4, 3], seed=2)
OTHER = fragment([5], seed=9, activation="relu")


def test_a_saved_screen_is_opened_again(explorer, tmp_path):
    explorer.open(START)
    explorer.drag("node-1-0", "node-1-2")
    explorer.find("slider-t").fill("0.3")
    loss = explorer.value("loss-shown")
    first = explorer.save("json", tmp_path / "first.json")
    explorer.open(OTHER)
    assert explorer.value("loss-shown") != loss
    explorer.load("first.json", first.read_bytes())
    assert explorer.value("loss-shown") == loss
    assert "t = 0.30" in explorer.text("loss-t")
    assert explorer.save("json", tmp_path / "second.json").read_bytes() == first.read_bytes()


def test_a_saved_network_is_opened_again(explorer, tmp_path):
    explorer.open(START)
    loss = explorer.value("loss-a")
    first = explorer.save("safetensors", tmp_path / "first.safetensors")
    shapes = {name: tuple(value.shape) for name, value in load_file(first).items()}
    assert shapes["0.weight"] == (4, 2) and shapes["4.bias"] == (2,) and shapes["data.x"] == (60, 2)
    explorer.open(OTHER)
    explorer.load("first.safetensors", first.read_bytes())
    assert explorer.value("loss-a") == loss
    assert explorer.save("safetensors", tmp_path / "second.safetensors").read_bytes() == first.read_bytes()


def test_the_address_holds_the_screen(explorer):
    explorer.open(START)
    explorer.drag("node-0-1", "node-0-3")
    explorer.until("location.hash.includes('swap=0,1,3')")
    loss, where = explorer.value("loss-b"), explorer.page.url.partition("#")[2]
    explorer.open(OTHER)
    explorer.open(where)
    assert explorer.value("loss-b") == loss


def test_the_program_of_the_page_runs(explorer, tmp_path, monkeypatch, capsys):
    explorer.open(START)
    explorer.drag("node-0-1", "node-0-3")
    explorer.save("safetensors", tmp_path / "explorer.safetensors")
    explorer.click("button-python")
    program = explorer.find("python-text").inner_text()
    explorer.click("dialog-close")
    (tmp_path / "program.py").write_text(program, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    runpy.run_path("program.py")
    printed = capsys.readouterr().out
    for name, what in (("loss-a", "loss at A"), ("loss-b", "loss at B")):
        line = next(line for line in printed.splitlines() if line.startswith(what))
        assert float(line.rpartition(" ")[2]) == pytest.approx(explorer.value(name), rel=1e-12)


def test_data_of_the_readers_are_trained_on(explorer):
    explorer.open(START)
    rows = "".join(f"{k / 10},{math.sin(k / 3):.3f}\n" for k in range(40))
    explorer.load("mine.csv", f"x,y\n{rows}".encode())
    assert explorer.text("data-own") == "mine.csv"
    assert "40 samples" in explorer.text("output-text")
    assert explorer.find("trouble").count() == 0


def network(shapes: dict[str, tuple[int, ...]], value: float = 0.5) -> bytes:
    return save({name: torch.full(shape, value, dtype=torch.float64) for name, shape in shapes.items()})


def document(**changes: object) -> bytes:
    weights = {"0.weight": [[1, 2], [3, 4]], "0.bias": [0, 1], "2.weight": [[1, 2], [3, 4]], "2.bias": [0, 1]}
    common = {"format": "orbitope explorer", "version": 1, "hidden": [2], "parameters": weights}
    return json.dumps({**common, **changes}).encode()


GOOD = {"0.weight": (2, 2), "0.bias": (2,), "2.weight": (2, 2), "2.bias": (2,)}
BAD = {
    "other widths.json": document(hidden=[3]),
    "not a number.json": document().replace(b"4]]", b"NaN]]"),
    "infinite.json": document().replace(b"4]]", b"1e999]]"),
    "null.json": document().replace(b"4]]", b"null]]"),
    "wide.json": document(hidden=[10**9]),
    "deep.json": document(hidden=[2] * 9),
    "strange.json": b'{"format": "something else"}',
    "broken.json": b"{",
    "other data.safetensors": network({**GOOD, "0.weight": (2, 5)}),
    "uneven.safetensors": network({**GOOD, "2.weight": (2, 3)}),
    "nan.safetensors": network(GOOD, float("nan")),
    "cut.safetensors": network(GOOD)[:-9],
    "huge header.safetensors": b"\xff" * 64,
    "words.csv": b"1,2\n3,four\n",
    "empty.csv": b"",
    "ragged.csv": b"1,2,0\n3,4\n",
    "picture.png": b"\x89PNG",
}


def test_bad_files_are_one_sentence_and_change_nothing(explorer, tmp_path):
    explorer.open(START)
    explorer.drag("node-0-1", "node-0-3")
    before = explorer.state(tmp_path)
    for name, content in BAD.items():
        explorer.load(name, content)
        explorer.find("trouble").wait_for()
        sentence = explorer.find("trouble").locator("p").inner_text()
        assert name in sentence and one_sentence(sentence), (name, sentence)
        explorer.click("trouble-close")
    assert explorer.state(tmp_path) == before
    # And the same things in order are opened.
    explorer.load("good.safetensors", network(GOOD))
    explorer.load("good.json", document())
    explorer.load("good.csv", b"1,2\n3,4\n")
    assert explorer.find("trouble").count() == 0


def one_sentence(text: str) -> bool:
    return len(text) < 240 and "\n" not in text and text.endswith(".") and ". " not in text


@pytest.mark.parametrize(
    "where",
    [
        "hidden=1000000000",
        "hidden=6,6,6,6,6",
        "hidden=-1",
        "hidden=six",
        "activation=none",
        "seed=1e99",
        "parameters=AAAA",
        "parameters=%00",
        "swap=0,0,77",
        "nothing=1",
        f"{START[:-40]}",
    ],
)
def test_a_bad_address_is_one_sentence_and_changes_nothing(explorer, where):
    explorer.open(START)
    before = explorer.value("loss-a")
    explorer.page.evaluate("where => { location.hash = where; }", where)
    explorer.find("trouble").wait_for()
    sentence = explorer.find("trouble").locator("p").inner_text()
    assert sentence.startswith("The address") and one_sentence(sentence), sentence
    assert explorer.value("loss-a") == before
    explorer.click("trouble-close")
    # The address is that of the screen again.
    explorer.until(f"location.hash.endsWith('{START.rpartition('parameters=')[2]}')")


def test_a_bad_address_opens_the_page_all_the_same(explorer):
    explorer.open("hidden=1000000000")
    assert "The address" in explorer.text("trouble")
    assert explorer.find("node-0-5").is_visible()


def test_the_exported_file_works_from_disk_without_a_network(browser, tmp_path):
    path = tmp_path / "explorer.html"
    command = [sys.executable, "-m", "orbitope", "explore", "--export", str(path)]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    context = browser.new_context(**settings("desktop light"))
    context.set_offline(True)
    explorer = Explorer(context, path.as_uri())
    explorer.open(START)
    before = explorer.value("loss-a")
    explorer.drag("node-0-1", "node-0-3")
    explorer.find("loss-b").wait_for()
    explorer.until("location.hash.includes('swap=0,1,3')")
    explorer.page.reload()
    explorer.find("loss-b").wait_for()
    assert explorer.value("loss-a") == before
    assert explorer.value("loss-b") == pytest.approx(before, rel=1e-13)
    assert Path(explorer.save("json", tmp_path / "state.json")).stat().st_size > 200
    explorer.check()
    context.close()
