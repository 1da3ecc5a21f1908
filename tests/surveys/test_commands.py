"""``orbitope activation``, ``survey`` and ``stationarity`` on the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from tests.cli.conftest import problems

import orbitope
from orbitope.cli import application

OWN = """
import torch

def wiggle(x): return x + torch.sin(x) ** 2
def noise(x): return x + torch.randn_like(x)
def relu(x): return torch.relu(x)
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(OWN)
    x = torch.randn(20, 3, generator=torch.Generator().manual_seed(0)).numpy()
    np.savez(tmp_path / "data.npz", x=x, y=(np.arange(20) % 3))
    return tmp_path


def call(*args: str) -> Result:
    return CliRunner().invoke(application, list(args))


def valid(result: Result) -> dict[str, Any]:
    body = json.loads(result.stdout)
    schema = json.loads((Path(orbitope.__file__).parent / "cli" / "schema.json").read_text())
    assert problems(body, schema, schema) == []
    return body


def test_activation(home: Path) -> None:
    done = call("activation", "mine.py:wiggle", "--width", "3", "--json")
    body = valid(done)
    assert done.exit_code == 0 and body["argument"]["trained"]["proved"] == "swap"
    holding = {t["trait"] for t in body["traits"]["traits"] if t["holds"]}
    assert "shifted" in holding and "convex" not in holding
    narrow = call("activation", "relu", "--width", "1")
    assert narrow.exit_code == 1 and "no two units" in narrow.stdout
    plain = call("activation", "softplus", "--traits-only")
    assert plain.exit_code == 0 and "tilted" in plain.stdout and "PROVED" not in plain.stdout


def test_bad_activations(home: Path) -> None:
    for label, code in [
        ("mine.py:noise", "E106"),
        ("mine.py:absent", "E105"),
        ("mine.py", "E100"),
        ("absent.py:f", "E501"),
        ("rleu", "E100"),
    ]:
        done = call("activation", label)
        assert done.exit_code == 2 and done.stderr.startswith(f"error[{code}]"), done.stderr
        assert done.stdout == ""


def test_survey(home: Path) -> None:
    args = ("--width", "1,2", "--depth", "1", "--loss", "mse", "--seed", "0", "--data", "data.npz", "--jobs", "1")
    done = call("survey", "--activation", "tanh,relu", *args, "-o", "out", "--json")
    body = valid(done)
    assert done.exit_code == 0 and body["networks"] == body["measured_now"] == 4
    assert {Path(name).name for name in body["files"]} == {"survey.md", "survey.png", "survey.svg"}
    assert all(Path(name).stat().st_size > 500 for name in body["files"])
    again = valid(call("survey", "--activation", "relu", *args, "-o", "out", "--json"))
    assert (again["networks"], again["measured_now"]) == (2, 0)
    own = valid(call("survey", "--activation", "mine.py:relu", *args, "--no-proofs", "--json"))
    assert own["records"][0]["activation"] == "own relu" and "proved" not in own["records"][0]["trained"]


def test_bad_surveys(home: Path) -> None:
    for args, told in [
        (("--width", "0"), "width 0"),
        (("--width", "two"), "'two' is not a whole number"),
        (("--activation", "tanh,mine.py:relu"), "surveyed apart"),
        (("--loss", "nll"), "does not know the loss"),
        (("--data", "absent.npz"), "cannot read absent.npz"),
        (("-o", "data.npz"), "is not a folder"),
    ]:
        done = call("survey", *args)
        assert done.exit_code == 2 and told in done.stderr, done.stderr


def test_stationarity(home: Path) -> None:
    model = "demo:digits-tanh"
    done = call("stationarity", model, "--data", "digits:test", "--points", "9", "-o", "fall.orbitope", "--json")
    body = valid(done)
    assert body["to"].startswith("swap of") and len(body["stationarity"]["t"]) == 9
    if body["certificate"]:
        assert done.exit_code == 0 and orbitope.check("fall.orbitope").accepted
    else:
        assert done.exit_code == 1 and body["reason"]
    same = call("stationarity", model, "--data", "digits:test", "--to", model, "--points", "5")
    assert same.exit_code == 1 and "never falls" in same.stdout
    control = call("stationarity", "demo:digits-linear", "--data", "digits:test")
    assert control.exit_code == 2 and "there is no swap" in control.stderr
