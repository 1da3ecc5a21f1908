"""prove, check, explain, align, barrier, demo."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.cli.conftest import Run, Runner, environment

import orbitope

Valid = Callable[[Run], dict[str, Any]]
F = ("--data", "data.npz")


def test_prove_and_check(run: Runner, home: Path, valid: Valid) -> None:
    done = run("prove", "models.py:make", "--weights", "a.safetensors", *F, "-o", "p.orbitope")
    assert done.code == 0 and done.out.startswith("PROVED  Let F be")
    assert "wrote p.orbitope; verify it with: orbitope check p.orbitope" in done.out
    assert json.loads((home / "p.orbitope").read_bytes())["claim"] == "midpoint"
    done = run("check", "p.orbitope")
    assert done.code == 0 and done.out.startswith("ACCEPTED  Let F be") and "exact integers" in done.out
    body = valid(run("check", "p.orbitope", "--format", "json"))
    assert body["accepted"] and body["gap_float"] > 0 and body["claim"] == "midpoint"
    done = run("check", "p.orbitope", "--limit", "10")
    assert done.code == 1 and done.out.startswith("REJECTED  the check needs")
    body = valid(run("check", "p.orbitope", "--limit", "10", "--format", "json"))
    assert not body["accepted"] and "limit" in body["reason"]
    assert (
        run("check", "p.orbitope", "--format", "quiet").code,
        run("check", "p.orbitope", "--format", "quiet").out,
    ) == (0, "")


def test_weight_decay_is_part_of_the_claim(run: Runner, home: Path) -> None:
    """What survives a rate is what the certificate without it says survives, less the rate."""
    args = ("prove", "models.py:make", "--weights", "a.safetensors", *F, "--claim", "swap")
    assert run(*args, "-o", "plain.orbitope").code == 0
    survived = orbitope.check(home / "plain.orbitope").weight_decay
    assert survived is not None and survived > 0
    assert run(*args, "-o", "half.orbitope", "--weight-decay", str(survived / 2)).code == 0
    assert orbitope.check(home / "half.orbitope").weight_decay >= survived / 2 * (1 - 1e-9)
    done = run(*args, "-o", "none.orbitope", "--weight-decay", "1000")
    assert done.code == 1 and "makes the loss higher" in done.out


def test_claims_are_those_of_the_library() -> None:
    from orbitope.cli.proofs import CLAIMS
    from orbitope.proof.prover import STRATEGIES

    assert set(CLAIMS) == set(STRATEGIES)


def test_prove_the_orbit_average(run: Runner, home: Path, valid: Valid) -> None:
    args = (
        "prove",
        "models.py:make",
        "--weights",
        "a.safetensors",
        *F,
        "--claim",
        "orbit-average",
        "-o",
        "o.orbitope",
    )
    body = valid(run(*args, "--format", "json"))
    assert body["proven"] and body["claim"] == "orbit-average" and body["gap"] > 0
    low, high = body["enclosures"]["start"]
    assert low <= high < body["enclosures"]["end"][0]
    assert run("check", "o.orbitope").code == 0


def test_the_standalone_checker_agrees(run: Runner, home: Path) -> None:
    run("prove", "models.py:make", "--weights", "a.safetensors", *F, "-o", "p.orbitope")
    checker = Path(orbitope.__file__).parent / "proof" / "check.py"
    done = subprocess.run([sys.executable, "-I", str(checker), "p.orbitope"], cwd=home, capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout.startswith("ACCEPTED")


def test_nothing_is_proved_of_a_convex_model(run: Runner, home: Path, valid: Valid) -> None:
    done = run("prove", "models.py:linear", *F, "-o", "p.orbitope")
    assert done.code == 1 and done.out.startswith("NOT PROVEN  ") and "no proof of convexity" in done.out
    assert not (home / "p.orbitope").exists()
    body = valid(run("prove", "models.py:linear", *F, "-o", "p.orbitope", "--format", "json"))
    assert not body["proven"] and body["reason"]


def test_prove_wants_a_place_that_can_be_written_before_it_works(run: Runner) -> None:
    done = run("prove", "nowhere.py:make", *F, "-o", "no/folder/p.orbitope")
    assert done.code == 2 and "cannot write no/folder/p.orbitope" in done.err


def test_mean_squared_error(run: Runner, home: Path, valid: Valid) -> None:
    x = np.load("data.npz")["x"]
    np.savez(home / "values.npz", x=x, y=np.stack([x[:, 0] * x[:, 1], x[:, 2], x[:, 3]], axis=1))
    args = (
        "prove",
        "models.py:make",
        "--weights",
        "a.safetensors",
        "--data",
        "values.npz",
        "--loss",
        "mse",
        "-o",
        "p.orbitope",
    )
    done = run(*args)
    assert done.code == 0 and "squared units of the output" in done.out
    assert run("check", "p.orbitope").code == 0


def test_data_and_weights_in_other_dtypes_are_never_rounded(run: Runner, home: Path) -> None:
    state = {name: tensor.double() + 1e-9 for name, tensor in load_file(home / "a.safetensors").items()}
    save_file(state, home / "wide.safetensors")
    done = run("prove", "models.py:make", "--weights", "wide.safetensors", *F, "-o", "p.orbitope")
    assert done.code == 0, done.err
    stored = orbitope_parameters(home / "p.orbitope")
    assert all(torch.equal(stored[name], tensor) for name, tensor in state.items())
    data = np.load("data.npz")
    save_file({"x": torch.from_numpy(data["x"]).double(), "y": torch.from_numpy(data["y"])}, home / "d.safetensors")
    done = run("prove", "models.py:make", "--weights", "a.safetensors", "--data", "d.safetensors", "-o", "p.orbitope")
    assert done.code == 0, done.err


def orbitope_parameters(path: Path) -> dict[str, torch.Tensor]:
    from orbitope.proof import Certificate

    return Certificate.load(path).parameters


# explain ------------------------------------------------------------------------------------------------------------


def test_explain(run: Runner, home: Path, valid: Valid) -> None:
    done = run("explain", "models.py:make", "--weights", "a.safetensors", *F)
    assert done.code == 0
    headings = [line for line in done.out.splitlines() if line.startswith("in ")]
    assert headings == [
        "in the inputs, at these parameters",
        "in the parameters of one module alone, all others held",
        "in all parameters jointly",
    ]
    assert "layer 4  PROVED CONVEX" in done.out and max(map(len, done.out.splitlines())) <= 80
    body = valid(run("explain", "models.py:make", "--weights", "a.safetensors", *F, "--format", "json"))
    assert body["explanation"]["joint"]["loss"]["verdict"] == "UNKNOWN"


def test_explain_cites_a_certificate(run: Runner, home: Path, valid: Valid) -> None:
    run("prove", "models.py:make", "--weights", "a.safetensors", *F, "-o", "p.orbitope")
    args = ("explain", "models.py:make", "--weights", "a.safetensors", *F, "--certificate", "p.orbitope")
    body = valid(run(*args, "--format", "json"))
    assert body["explanation"]["joint"]["loss"]["verdict"] == "PROVED NON-CONVEX"
    assert run(*args[:-1], "none.orbitope").err.splitlines()[-1:] != [] and run(*args[:-1], "none.orbitope").code == 2


# align and barrier --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("source", [("models.py:make",), ("--symmetry", "symmetry.json")])
def test_align_finds_a_twin(run: Runner, home: Path, valid: Valid, source: tuple[str, ...]) -> None:
    run(
        "twin",
        "--symmetry",
        "symmetry.json",
        "--weights",
        "a.safetensors",
        "-o",
        "t.safetensors",
        "--swap",
        "0",
        "1",
        "2",
    )
    args = (
        "align",
        *source,
        "--weights",
        "a.safetensors",
        "t.safetensors",
        "-o",
        "al.safetensors",
        "--element",
        "g.json",
    )
    body = valid(run(*args, "--format", "json"))
    assert body["distance_after"] == 0 < body["distance_before"] and body["guarantee"] == "heuristic"
    a, aligned = load_file(home / "a.safetensors"), load_file(home / "al.safetensors")
    assert all(torch.equal(a[name], aligned[name]) for name in a)
    done = run("verify", "models.py:make", "--weights", "t.safetensors", "--element", "g.json")
    assert done.code == 0
    done = run(
        "twin",
        "--symmetry",
        "symmetry.json",
        "--weights",
        "t.safetensors",
        "--element",
        "g.json",
        "-o",
        "u.safetensors",
    )
    assert done.code == 0 and torch.equal(load_file(home / "u.safetensors")["2.weight"], a["2.weight"])
    told = " ".join(run(*args).out.split())
    assert told.startswith("written al.safetensors: t.safetensors with its units in the order of a.safetensors")


def test_align_never_moves_away(run: Runner, valid: Valid) -> None:
    args = ("align", "models.py:make", "--weights", "a.safetensors", "b.safetensors", "-o", "al.safetensors")
    body = valid(run(*args, "--format", "json"))
    assert body["distance_after"] <= body["distance_before"]
    assert run("verify", "models.py:make", "--weights", "b.safetensors", "--other", "al.safetensors").code == 0


def test_barrier(run: Runner, home: Path, valid: Valid) -> None:
    run(
        "twin",
        "--symmetry",
        "symmetry.json",
        "--weights",
        "a.safetensors",
        "-o",
        "t.safetensors",
        "--seed",
        "1",
    )
    args = ("barrier", "models.py:make", "--weights", "a.safetensors", "t.safetensors", *F)
    body = valid(run(*args, "--points", "9", "--format", "json"))
    assert len(body["t"]) == len(body["losses"]) == 9 and body["within"] and body["height"] >= 0
    done = run(*args)
    assert done.code == 0 and done.out.startswith("barrier  ") and "nats above the line" in done.out
    assert sum(character in "▁▂▃▄▅▆▇█" for character in done.out) == 25
    assert body["height"] > 1e-3
    done = run(*args, "--max-barrier", "1e-6")
    assert done.code == 1 and done.out.startswith("TOO HIGH  ")
    done = run(*args[:3], "a.safetensors", "a.safetensors", *F, "--max-barrier", "1e-9", "--format", "json")
    assert valid(done)["height"] == pytest.approx(0, abs=1e-12) and done.code == 0
    assert run(*args, "--points", "2").code == 2


def test_sparkline() -> None:
    from orbitope.cli.alignments import sparkline

    assert sparkline([0.0, 1.0, 0.0]) == "▁█▁" and sparkline([2.0, 2.0]) == "▁▁" and sparkline([None, 1.0]) == "?▁"
    assert len(sparkline([float(k) for k in range(1000)])) == 60


# demo ---------------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_demo(home: Path, valid: Valid) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "orbitope", "demo", "-o", "story", "--format", "json"],
        capture_output=True,
        text=True,
        env=environment(),
        cwd=home,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    body = valid(Run(done.returncode, done.stdout, done.stderr))
    assert {"report.html", "midpoint.orbitope", "orbit-average.orbitope"} <= {*body["files"]}
    assert body["report"] == "story/report.html" and (home / "story" / "report.html").exists()


def test_demo_says_where_its_report_is(run: Runner, home: Path, monkeypatch: pytest.MonkeyPatch, valid: Valid) -> None:
    from orbitope.reports import story

    def told(folder: str, seed: int, console: Any, errors: Any) -> Path:
        console.print("[bold]Once upon a time[/bold]")
        errors.print("working")
        Path(folder).mkdir()
        (Path(folder) / "report.html").write_text(f"seed {seed}")
        return Path(folder) / "report.html"

    monkeypatch.setattr(story, "demo", told)
    done = run("demo", "-o", "one", "--seed", "3")
    assert done.out == "Once upon a time\n\nwrote one/report.html; open it in a browser\n" and done.err == "working\n"
    body = valid(run("demo", "-o", "two", "--format", "json"))
    assert body["files"] == ["report.html"] and body["seed"] == 0
    done = run("demo", "-o", "three", "--format", "quiet")
    assert (done.code, done.out, done.err) == (0, "", "")


def test_demo_refuses_a_folder_that_is_not_its_own(run: Runner, home: Path) -> None:
    (home / "mine").mkdir()
    (home / "mine" / "thesis.tex").write_text("years of work")
    done = run("demo", "-o", "mine")
    assert done.code == 2 and "refusing to replace mine" in done.err
    assert (home / "mine" / "thesis.tex").read_text() == "years of work"
