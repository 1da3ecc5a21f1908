"""The forms of --data and --loss beyond digits and arrays x and y."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from tests.cli.conftest import Runner

TOKENS = """
import torch
from torch import nn

class Tokens(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.embed, self.hidden, self.head = nn.Embedding(256, 4), nn.Linear(4, 6), nn.Linear(6, 256)
    def forward(self, input_ids, attention_mask=None):
        return {"other": self.embed(input_ids), "logits": self.head(torch.tanh(self.hidden(self.embed(input_ids))))}

def make(): return Tokens().eval(), (), {"input_ids": torch.arange(14).reshape(2, 7)}
def few(): return nn.Sequential(nn.Embedding(9, 4), nn.Linear(4, 9)).eval(), (torch.arange(6).reshape(2, 3),)
def cubed(output, target): return (output - target).abs().pow(3).mean(1)
"""

BARRIER = ("--weights", "a.safetensors", "b.safetensors", "--points", "3", "--format", "json")


@pytest.fixture(autouse=True)
def tokens(home: Path) -> None:
    (home / "tokens.py").write_text(TOKENS)


def losses(run: Runner, *args: object) -> list[float]:
    done = run("barrier", *args, *BARRIER)
    assert done.code == 0, done.err
    return done.json["losses"]


def logits(home: Path, name: str, x: torch.Tensor) -> torch.Tensor:
    from safetensors.torch import load_file
    from tests.cli.conftest import network

    net = network(0)
    net.load_state_dict(load_file(home / f"{name}.safetensors"))
    return net(x)


@pytest.mark.parametrize("loss", ["cross_entropy:label_smoothing=0.1", "tokens.py:cubed", "multi_margin:p=2"])
def test_losses(run: Runner, home: Path, loss: str) -> None:
    data = np.load("data.npz")
    x, y = torch.from_numpy(data["x"]), torch.from_numpy(data["y"])
    if "cubed" in loss:
        y = torch.randn(40, 3)
        np.savez(home / "values.npz", x=x, y=y)
    found = losses(run, "models.py:make", "--data", "values.npz" if "cubed" in loss else "data.npz", "--loss", loss)
    for value, name in zip((found[0], found[-1]), "ab", strict=True):
        output = logits(home, name, x)
        truth = {
            "c": lambda o: torch.nn.functional.cross_entropy(o, y, label_smoothing=0.1),
            "t": lambda o: (o - y).abs().pow(3).mean(),
            "m": lambda o: torch.nn.functional.multi_margin_loss(o, y, p=2),
        }[loss[0]](output)
        assert value == pytest.approx(truth.item(), rel=1e-5)


def test_named_inputs(run: Runner, home: Path) -> None:
    data = np.load("data.npz")
    torch.save({"x": torch.from_numpy(data["x"]), "labels": torch.from_numpy(data["y"])}, home / "data.pt")
    np.savez(home / "by_name.npz", input=data["x"], labels=data["y"])
    plain = losses(run, "models.py:make", "--data", "data.npz")
    assert losses(run, "models.py:make", "--data", "by_name.npz") == plain
    torch.save({"x": torch.from_numpy(data["x"]), "y": torch.from_numpy(data["y"])}, home / "data.pt")
    assert losses(run, "models.py:make", "--data", "data.pt") == plain


def test_bytes_of_a_text(run: Runner, home: Path) -> None:
    (home / "text.bin").write_bytes(bytes(range(3, 203)))
    done = run("explain", "tokens.py:make", "--data", "text:text.bin,5", "--format", "json")
    assert done.code == 0, done.err
    assert done.json["data"] == "text:text.bin,5 (5 samples)"
    (home / "short.bin").write_bytes(b"short")
    for args, words in (
        (("tokens.py:make", "--data", "text:short.bin"), "too short"),
        (("tokens.py:make", "--data", "text:none.bin"), "No such file"),
        (("models.py:make", "--data", "text:text.bin"), "takes no tokens"),
        (("tokens.py:few", "--data", "text:text.bin"), "E301"),
    ):
        done = run("explain", *args)
        assert done.code == 2 and words in done.err


def test_random_data(run: Runner, home: Path) -> None:
    first = losses(run, "models.py:make", "--data", "random:9,1")
    assert first == losses(run, "models.py:make", "--data", "random:9,1")
    assert first != losses(run, "models.py:make", "--data", "random:9,2")
    for loss in ("mse", "hinge", "bce_with_logits", "multi_margin"):
        assert losses(run, "models.py:make", "--data", "random:9", "--loss", loss)
    for args in (("tokens.py:make",), ("tokens.py:make", "--loss", "cross_entropy:shift=1,output=logits")):
        done = run("explain", *args, "--data", "random:6", "--format", "json")
        assert done.code == 0 and done.json["data"] == "random:6 (6 samples)", done.err
    for args, words in (
        (("models.py:make", "--data", "random:x"), "random:SAMPLES"),
        (("models.py:bare", "--data", "random"), "no example inputs"),
        (("models.py:make", "--data", "random", "--loss", "cross"), "unknown loss 'cross'"),
        (("models.py:make", "--data", "random", "--loss", "cross_entropy:output=none"), "no floating output"),
        (("models.py:make", "--data", "random", "--loss", "tokens.py:none"), "has no none"),
    ):
        done = run("explain", *args)
        assert done.code == 2 and words in done.err
