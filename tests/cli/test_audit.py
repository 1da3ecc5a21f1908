"""audit: flat directions by the group and by measuring."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file
from tests.cli.conftest import Run, Runner

Valid = Callable[[Run], dict[str, Any]]


def test_all_is_explained(run: Runner, valid: Valid) -> None:
    body = valid(run("audit", "models.py:make", "--format", "json"))
    assert body["verdict"] == "explained" and body["parameters"] == 83 and not body["loss"]
    assert body["generic"]["explained"] == body["generic"]["measured"] == 11 and body["generic"]["rank"] == 72
    done = run("audit", "models.py:make")
    assert done.code == 0 and "11 of 11 flat directions explained" in done.out and "EXPLAINED" in done.out


def test_loss(run: Runner, valid: Valid) -> None:
    done = run("audit", "models.py:linear", "--loss", "--format", "json")
    # softmax forgets c·1 in the bias and in each of 4 columns
    assert done.code == 0 and valid(done)["generic"]["measured"] == 5
    assert valid(run("audit", "models.py:linear", "--format", "json"))["generic"]["measured"] == 0


SQUARED = """
import torch
from torch import nn

class Squared(nn.Module):
    def __init__(self):
        super().__init__()
        self.up, self.down = nn.Linear(3, 3, bias=False), nn.Linear(3, 1, bias=False)
    def forward(self, x): return self.down(self.up(x) ** 2)

def make(): return Squared().eval(), (torch.randn(5, 3),)
"""


def test_what_is_not_explained_is_named(run: Runner, home: Path, valid: Valid) -> None:
    (home / "squared.py").write_text(SQUARED)
    done = run("audit", "squared.py:make", "--seeds", 2)
    assert done.code == 1 and "3 of 6 flat directions explained" in done.out
    assert "3 unexplained directions live on up.weight" in done.out
    done = run("audit", "squared.py:make", "--seeds", 2, "--format", "json")
    body = valid(done)
    assert done.code == 1 and body["seeds"] == 2 and {*body["generic"]["shares"]} == {"up.weight", "down.weight"}


def test_given_weights_may_have_more(run: Runner, home: Path) -> None:
    weights = load_file(home / "a.safetensors")
    weights["2.weight"][1], weights["2.bias"][1] = 0.0, -1.0
    save_file(weights, home / "dead.safetensors")
    done = run("audit", "models.py:make", "--weights", "dead.safetensors")
    assert done.code == 0 and "dead.safetensors: " in done.out and "unexplained directions live on" in done.out


@pytest.mark.parametrize(
    ("args", "what"),
    [
        (["file.py:nothing"], "file.py"),
        (["models.py:bare"], "no example inputs"),
        (["models.py:training"], "training mode"),
        (["models.py:make", "--seeds", "0"], "seeds"),
        (["demo:digits-mlp"], "too large to be audited"),
        (["models.py:make", "--weights", "nowhere.safetensors"], "nowhere.safetensors"),
    ],
)
def test_bad_input(run: Runner, args: list[str], what: str) -> None:
    done = run("audit", *args)
    assert done.code == 2 and what in done.err and not done.out, done.err
