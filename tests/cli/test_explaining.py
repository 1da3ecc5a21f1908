"""explain: without data, with certificates, named blocks, trees and pictures."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as Tree

from tests.cli.conftest import Run, Runner

import orbitope

Valid = Callable[[Run], dict[str, Any]]
ARGS = ("explain", "models.py:make", "--weights", "a.safetensors")
F = ("--data", "data.npz")


def _verdicts(body: dict[str, Any], part: str = "blocks") -> dict[str, str]:
    return {a["name"]: a["loss"]["verdict"] for a in body["explanation"][part]}


def test_without_data_it_holds_for_all_data(run: Runner, home: Path, valid: Valid) -> None:
    done = run(*ARGS)
    said = " ".join(done.out.split())
    assert done.code == 0 and "whatever they are" in said and "for all data of these shapes" in said
    body = valid(run(*ARGS, "--loss", "huber", "--format", "json"))
    assert body["data"] == "any" and _verdicts(body) == {"0": "UNKNOWN", "2": "UNKNOWN", "4": "PROVED CONVEX"}


def test_prove_and_save(run: Runner, home: Path, valid: Valid) -> None:
    args = (*ARGS, *F, "--prove", "--save", "found", "--tensors", "--block", "*.bias, 4.*")
    body = valid(run(*args, "--format", "json"))
    assert _verdicts(body)["4"] == "PROVED CONVEX" and _verdicts(body)["0"] == "PROVED NON-CONVEX"
    assert body["explanation"]["joint"]["loss"]["verdict"] == "PROVED NON-CONVEX"
    assert set(_verdicts(body, "subsets")) == {"*.bias, 4.*"} and len(body["explanation"]["tensors"]) == 6
    files = body["certificates"]
    assert {"0", "joint", "0.weight"} <= set(files)
    for name, path in files.items():
        assert orbitope.check(home / path).accepted, name
        moved = {n for point in json.loads((home / path).read_text())["points"] for n in point}
        assert name != "0" or moved <= {"0.weight", "0.bias"}
    done = run(*ARGS, *F, "--prove")
    assert done.code == 0 and "PROVED NON-CONVEX" in done.out and "exceeds" in done.out


def test_trees_and_pictures(run: Runner, home: Path, valid: Valid) -> None:
    done = run(*ARGS, *F, "--tree")
    lines = [line.strip() for line in done.out.splitlines()]
    assert any(line.startswith("convex — layer 1 (activation.py:") for line in lines)
    assert any("the rule breaks here" in line for line in lines) and max(map(len, done.out.splitlines())) <= 80
    body = valid(run(*ARGS, *F, "--svg", "joint.svg", "--format", "json"))
    assert body["picture"] == "joint.svg" and Tree.parse(home / "joint.svg").getroot().tag.endswith("svg")
    assert run(*ARGS, "--svg", "block.svg", "--of", "4").code == 0
    assert "in layer 4 alone: PROVED CONVEX" in (home / "block.svg").read_text()


def test_bad_input(run: Runner, home: Path) -> None:
    for args, said in (
        (("--prove",), "without data"),
        ((*F, "--save", "found"), "--prove"),
        ((*F, "--block", "nothing.*"), "names no trainable parameter"),
        ((*F, "--svg", "x.svg", "--of", "nothing"), "nothing here is called 'nothing'"),
    ):
        done = run(*ARGS, *args)
        assert done.code == 2 and said in done.err, args
        assert not (home / "x.svg").exists()


def test_weight_decay(run: Runner, home: Path, valid: Valid) -> None:
    body = valid(run(*ARGS, *F, "--weight-decay", "0.5", "--format", "json"))
    assert "‖θ‖²" in body["explanation"]["function"]
    assert "weight decay" in next(a for a in body["explanation"]["blocks"] if a["name"] == "4")["loss"]["reason"]
