"""fold: gains of norms go into the weights behind them, in a file that is whole or not there."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from tests.cli.conftest import Run, Runner
from torch import nn

Valid = Callable[[Run], dict[str, Any]]

NORMED = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, tied):
        super().__init__()
        self.embed, self.head = nn.Embedding(7, 4), nn.Linear(4, 7, bias=False)
        self.norm, self.last = nn.RMSNorm(4, eps=1e-5), nn.RMSNorm(4, eps=1e-5)
        self.up, self.down = nn.Linear(4, 5), nn.Linear(5, 4)
        if tied: self.head.weight = self.embed.weight
    def forward(self, ids):
        h = self.embed(ids)
        h = h + self.down(torch.tanh(self.up(self.norm(h))))
        return self.head(self.last(h))

def free(): return Net(False).eval(), (torch.arange(6).reshape(2, 3),)
def tied(): return Net(True).eval(), (torch.arange(6).reshape(2, 3),)
"""


def state(home: Path, dtype: torch.dtype = torch.float64, tied: bool = False) -> dict[str, torch.Tensor]:
    (home / "normed.py").write_text(NORMED)
    made: dict[str, object] = {}
    exec(NORMED, made)
    net = made["tied" if tied else "free"]()[0]  # type: ignore[operator]
    generator = torch.Generator().manual_seed(0)
    for p in net.parameters():
        p.data = torch.randn(p.shape, generator=generator)
    found = {name: tensor.clone().to(dtype) for name, tensor in net.state_dict().items()}
    save_file(found, home / "w.safetensors", {"note": "here"})
    return found


def test_fold(run: Runner, home: Path, valid: Valid) -> None:
    before = state(home)
    args = ("fold", "normed.py:free", "--weights", "w.safetensors", "-o", "f.safetensors")
    body = valid(run(*args, "--format", "json"))
    assert body["folded"] == {"norm.weight": ["up.weight"], "last.weight": ["head.weight"]} and not body["left"]
    assert [(r["size"], r["ones"]) for r in body["rotations"]] == [(4, False)]
    after = load_file(home / "f.safetensors")
    assert {*after} == {*before} and bool((after["norm.weight"] == 1).all())
    assert torch.equal(after["up.weight"], before["up.weight"] * before["norm.weight"])
    with safe_open(home / "f.safetensors", "pt") as file:
        assert file.metadata() == {"note": "here"}
    done = run("verify", "normed.py:free", "--weights", "w.safetensors", "--other", "f.safetensors")
    assert done.code == 0, done.out
    done = run(*args)
    assert done.code == 0 and "2 gains and biases folded" in done.out and "O(4) of" in done.out


def test_half_precision_stays_and_tied_tensors_stay_tied(run: Runner, home: Path) -> None:
    state(home, torch.bfloat16, tied=True)
    done = run("fold", "normed.py:tied", "--weights", "w.safetensors", "-o", "f.safetensors", "--format", "json")
    assert done.code == 0, done.err + done.out
    after = load_file(home / "f.safetensors")
    assert {tensor.dtype for tensor in after.values()} == {torch.bfloat16}
    assert torch.equal(after["embed.weight"], after["head.weight"])
    assert done.json["verification"]["max_rel"] < 1e-12 < done.json["rounding"] < 0.05
    assert "tied embedding" in done.json["left"]["last.weight"]


def test_weights_that_do_not_fit_leave_no_file(run: Runner, home: Path) -> None:
    before = state(home)
    before["up.weight"][0, 0] = torch.nan
    save_file(before, home / "w.safetensors")
    done = run("fold", "normed.py:free", "--weights", "w.safetensors", "-o", "f.safetensors")
    assert done.code == 2 and "not finite" in done.err and not (home / "f.safetensors").exists()


def test_nothing_to_fold(run: Runner, home: Path) -> None:
    save_file(dict(nn.Sequential(nn.Linear(4, 3)).state_dict()), home / "w.safetensors")
    done = run("fold", "models.py:linear", "--weights", "w.safetensors", "-o", "f.safetensors")
    assert done.code == 0 and "no gain could be folded" in done.out
