"""The page and the library compute the same numbers, in both directions, and the page's programs run."""

from __future__ import annotations

import contextlib
import io
import json
import re
import runpy
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.explorer.fixtures import ACTIVATIONS, COMBINATIONS, FOLDER, flat, functions, network_case, orbit_average
from torch import nn

import orbitope

WEB = FOLDER.parent
TOLERANCE = 1e-12
SCREENS = 15
KINDS = {"double": torch.float64, "single": torch.float32, "half": torch.float16, "brain": torch.bfloat16}


def close(found: Any, wanted: Any, at: str = "$") -> list[str]:
    """Where two documents differ: lists of numbers by more than 1e-12 of their largest entry."""
    if isinstance(wanted, dict):
        assert found.keys() == wanted.keys(), at
        return [problem for key in wanted for problem in close(found[key], wanted[key], f"{at}.{key}")]
    if isinstance(wanted, list) and wanted and isinstance(wanted[0], dict | list):
        assert len(found) == len(wanted), at
        return [p for k, pair in enumerate(zip(found, wanted, strict=True)) for p in close(*pair, f"{at}[{k}]")]
    if isinstance(wanted, float) or (isinstance(wanted, list) and wanted and isinstance(wanted[0], float)):
        a, b = torch.tensor(found, dtype=torch.float64), torch.tensor(wanted, dtype=torch.float64)
        off = (a - b).abs().max().item() if a.shape == b.shape else float("inf")
        return [] if off <= TOLERANCE * b.abs().max().item() else [f"{at}: off by {off}"]
    return [] if found == wanted else [f"{at}: {found!r}, not {wanted!r}"]


def committed(name: str) -> Any:
    return json.loads((FOLDER / name).read_text(encoding="utf-8"))


@pytest.mark.parametrize("k", range(len(COMBINATIONS)), ids=[" ".join(each) for each in COMBINATIONS])
def test_the_networks_of_the_page_are_the_librarys(k):
    assert not close(committed("networks.json")[k], network_case(k))


def test_the_functions_of_the_page_are_torchs():
    assert len(committed("networks.json")) == len(COMBINATIONS)
    assert not close(committed("functions.json"), functions())


def test_a_changed_fixture_is_noticed():
    assert close([1.0, 2.0], [1.0, 2.0 + 1e-11])
    assert close({"a": [[1, "x"]]}, {"a": [[1, "y"]]})


@pytest.fixture(scope="session")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what the page computed of its screens and of weights that torch saved."""
    vite = WEB / "node_modules" / ".bin" / "vite"
    if not vite.exists() or shutil.which("node") is None:
        pytest.skip("the page's numbers were not compared: they need Node.js and `make web`")
    folder = tmp_path_factory.mktemp("page")
    built, values = folder / "built", folder / "values"
    values.mkdir()
    for name, kind in KINDS.items():
        save_file({key: value.to(kind) for key, value in weights().items()}, values / f"{name}.safetensors")
    settings = ["--config", "scripts/values.config.ts", "--outDir", str(built), "--logLevel", "error"]
    for command in ([str(vite), "build", *settings], ["node", str(built / "values.js"), str(values)]):
        done = subprocess.run(command, cwd=WEB, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stdout + done.stderr
    return values


def weights() -> dict[str, torch.Tensor]:
    """A network's weights, among them the smallest numbers that half precision knows."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        model = nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 4), nn.Tanh(), nn.Linear(4, 2))
    params = {f"net.{key}": value.detach().clone() for key, value in model.state_dict().items()}
    params["net.0.weight"][0] = torch.tensor([0.0, -6e-8, 65504.0])
    return params


def screens(folder: Path) -> list[dict[str, Any]]:
    return json.loads((folder / "values.json").read_text(encoding="utf-8"))["screens"]


def rebuilt(screen: dict[str, Any], saved: dict[str, torch.Tensor]) -> tuple[nn.Module, orbitope.Objective]:
    """The network and the objective of a screen, from its settings and the file it saved."""
    state, params = screen["state"], {key: value for key, value in saved.items() if not key.startswith("data.")}
    layers: list[nn.Module] = []
    for k in range(0, 2 * len(state["hidden"]) + 1, 2):
        rows, columns = params[f"{k}.weight"].shape
        layers += [nn.Linear(columns, rows), ACTIVATIONS[state["activation"]]()]
    model = nn.Sequential(*layers[:-1]).double().eval()
    model.load_state_dict(params)
    outputs = params[f"{2 * len(state['hidden'])}.bias"].numel()
    x = torch.tensor(screen["x"], dtype=torch.float64).reshape(-1, params["0.weight"].shape[1])
    classes = state["data"] not in ("sine", "step", "bumps", "line")
    y = torch.tensor(screen["y"], dtype=torch.int64 if classes else torch.float64)
    y = y if classes else y.reshape(-1, outputs)
    if classes and state["loss"] == "mse":
        y = nn.functional.one_hot(y, outputs).double()
    return model, orbitope.Objective(model, state["loss"], (x, y), weight_decay=state["decay"])


@pytest.mark.parametrize("k", range(SCREENS))
def test_the_library_agrees_with_the_page(page, k):
    screen = screens(page)[k]
    assert len(screens(page)) == SCREENS
    model, objective = rebuilt(screen, load_file(page / f"screen{k}.safetensors"))
    group = orbitope.symmetries(model, (objective.x[:4],))
    a = {key: value.clone() for key, value in model.state_dict().items()}
    average = orbit_average(group, a)
    assert flat(a) == screen["parameters"]
    found = {
        "outputs": screen["outputs"],
        "loss": screen["loss"],
        "gradient": screen["gradient"],
        "average": screen["average"],
    }
    wanted = {
        "outputs": model(objective.x).flatten().tolist(),
        "loss": objective.value(a),
        "gradient": flat(objective.gradient(a)),
        "average": {"parameters": flat(average), "loss": objective.value(average)},
    }
    if screen["accuracy"] is not None and objective.classifies:
        assert screen["accuracy"] == objective.accuracy(a)
    if "swap" in screen:
        layer, i, j = screen["state"]["swap"]
        b = group.swap(str(2 * layer), i, j).act(a)
        t = screen["state"]["t"]
        found["swap"] = screen["swap"]
        wanted["swap"] = {
            "parameters": flat(b),
            "loss": objective.value(b),
            "halfway": objective.value({key: (a[key] + b[key]) / 2 for key in a}),
            "t": objective.value({key: (1 - t) * a[key] + t * b[key] for key in a}),
        }
    assert not close(found, wanted)


@pytest.mark.parametrize("k", range(SCREENS))
@pytest.mark.parametrize("form", ["file", "inline"])
def test_the_programs_run_and_print_what_the_page_shows(page, k, form, tmp_path, monkeypatch):
    screen = screens(page)[k]
    program = tmp_path / "continued.py"
    shutil.copy(page / f"{form}{k}.py", program)
    if form == "file":
        shutil.copy(page / f"screen{k}.safetensors", tmp_path / "explorer.safetensors")
    monkeypatch.chdir(tmp_path)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        runpy.run_path(str(program), run_name="__main__")
    found = {key: float(number) for key, number in re.findall(r"^(loss .*) (\S+)$", printed.getvalue(), re.MULTILINE)}
    wanted = {"loss at A": screen["loss"], "loss at the average": screen["average"]["loss"]}
    moved = screen.get("swap") or screen.get("move")
    if moved:
        wanted |= {"loss at B": moved["loss"], "loss halfway": moved["halfway"]}
        if screen["state"]["t"] not in (0, 0.5, 1):
            wanted["loss at t"] = moved["t"]
    assert found.keys() == wanted.keys()
    assert not close(found, wanted)


@pytest.mark.parametrize("name", KINDS)
def test_the_page_reads_what_torch_saves(page, name):
    read = json.loads((page / "values.json").read_text(encoding="utf-8"))["read"]
    assert read[f"{name}.safetensors"] == flat({key: value.to(KINDS[name]) for key, value in weights().items()})


def test_the_digits_are_those_of_scikit_learn():
    from sklearn.datasets import load_digits

    shipped = json.loads((WEB / "src" / "digits.json").read_text(encoding="utf-8"))
    images, classes = load_digits(return_X_y=True)
    count = len(shipped["classes"])
    assert count == 500
    assert [ord(c) - ord("A") for c in shipped["pixels"]] == images[:count].flatten().astype(int).tolist()
    assert [int(c) for c in shipped["classes"]] == classes[:count].tolist()
