"""The demonstration, told whole: the same seed gives the same folder, and its claims are checked again from outside."""

import hashlib
import io
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from rich.console import Console
from safetensors.torch import load_file

from orbitope.proof import check
from orbitope.reports import story
from orbitope.reports.digits import classifier, digits

QUESTIONS = ["Q1", "Q5", "Q2", "Q3", "Q4", "Q6", "Q9"]


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """Two runs of one seed with short training."""
    runs = []
    patch = pytest.MonkeyPatch()
    patch.setattr(story, "EPOCHS", 6)
    for name in ("first", "second"):
        folder = tmp_path_factory.mktemp("demo") / name
        console = Console(file=io.StringIO(), width=100)
        page = story.demo(folder, seed=3, console=console, errors=Console(file=io.StringIO()))
        runs.append((folder, page, console.file.getvalue()))
    patch.undo()
    return runs


def _digests(folder):
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in folder.iterdir()}


def test_the_same_seed_gives_the_same_report(told):
    (first, _, text), (second, _, again) = told
    assert _digests(first) == _digests(second)
    assert text == again


def test_everything_that_was_promised_is_there(told):
    folder, page, text = told[0]
    names = {file.name for file in folder.iterdir()}
    for figure in ("swap", "segment", "plane", "barrier", "collapse"):
        assert {f"{figure}.png", f"{figure}.svg"} <= names
    assert {"midpoint.orbitope", "orbit-average.orbitope", "first.safetensors", "twin.safetensors"} <= names
    assert page == folder / "report.html"
    html = page.read_text(encoding="utf-8")
    for number in QUESTIONS:
        assert f"{number}  " in text
        assert f">{number}<" in html
    assert [text.index(f"{n}  ") for n in QUESTIONS] == sorted(text.index(f"{n}  ") for n in QUESTIONS)


@pytest.mark.parametrize("name", ["midpoint.orbitope", "orbit-average.orbitope"])
def test_the_bare_checker_accepts_the_certificates(told, name):
    folder = told[0][0]
    command = [sys.executable, "-I", check.__file__, str(folder / name)]
    run = subprocess.run(command, capture_output=True, text=True, cwd=folder, timeout=300)
    assert run.returncode == 0, run.stdout + run.stderr
    assert run.stdout.startswith("ACCEPTED")


def test_the_twin_is_another_vector_and_the_same_function(told):
    folder = told[0][0]
    a, b = (load_file(folder / f"{name}.safetensors") for name in ("first", "twin"))
    assert any(not torch.equal(a[name], b[name]) for name in a)
    x, _ = digits()
    model = classifier().double()
    outputs = [torch.func.functional_call(model, {k: v.double() for k, v in p.items()}, (x.double(),)) for p in (a, b)]
    assert torch.allclose(*outputs, rtol=1e-12, atol=1e-12)


def test_alignment_lowers_the_barrier(told):
    import re

    text = told[0][2]
    before, after = (
        float(re.search(rf"barrier {word}\s+([0-9.]+) nats", text)[1]) for word in ("as trained", "after alignment")
    )
    assert after < before


def test_an_unwritable_folder_leaves_nothing(tmp_path):
    from orbitope.errors import FileError

    file = tmp_path / "taken"
    file.write_text("mine")
    with pytest.raises(FileError):
        story.demo(file / "inside", console=Console(file=io.StringIO()), errors=Console(file=io.StringIO()))
    assert file.read_text() == "mine" and list(Path(tmp_path).iterdir()) == [file]
