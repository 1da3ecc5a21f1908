"""Every bad input gets the template: what, where, got, why, fix; nothing is executed, nothing is left behind."""

from __future__ import annotations

import json
import os
import pickle
import warnings
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.cli.conftest import Runner

TWIN = ("twin", "--symmetry", "symmetry.json", "-o", "out.safetensors", "--weights")


class Canary:
    """Touches a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.system, (f"touch {self.path}",)


def write_bad_files(home: Path) -> None:
    """One file for each kind of damage."""
    good = (home / "a.safetensors").read_bytes()
    state = load_file(home / "a.safetensors")
    (home / "short.safetensors").write_bytes(good[: len(good) // 2])
    (home / "empty.safetensors").write_bytes(b"")
    (home / "pointer.safetensors").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    (home / "folder.safetensors").mkdir()
    (home / "shards").mkdir()
    (home / "shards" / "model.safetensors").write_bytes(good)
    torch.save(state, home / "whole.pt")
    (home / "short.pt").write_bytes((home / "whole.pt").read_bytes()[:700])
    (home / "renamed.safetensors").write_bytes((home / "whole.pt").read_bytes())
    torch.save({"epoch": 3, "lr": 0.1}, home / "other.pt")
    torch.save({"w": Canary(home / "canary")}, home / "evil.pt")
    (home / "evil.pth").write_bytes(pickle.dumps(Canary(home / "canary")))
    np.savez(home / "objects.npz", x=np.array([Canary(home / "canary")], dtype=object), y=np.zeros(1))
    (home / "short.npz").write_bytes((home / "data.npz").read_bytes()[:300])
    np.savez(home / "names.npz", inputs=np.zeros((3, 4)), labels=np.zeros(3))
    wrong = {name: tensor.clone() for name, tensor in state.items() if name != "0.bias"}
    wrong["2.weight"] = wrong["2.weight"][:, :3].contiguous()
    wrong["4.bias"][1] = torch.nan
    wrong["head.weight"] = torch.zeros(2)
    save_file(wrong, home / "wrong.safetensors")
    (home / "list.json").write_text("[1, 2]")
    (home / "broken.json").write_text('{"format": "orbitope symmetry", "version": 1')
    (home / "other.json").write_text('{"format": "something else", "version": 1}')
    half = json.loads((home / "symmetry.json").read_text())
    del half["units"]
    (home / "half.json").write_text(json.dumps(half))
    index = {
        "metadata": {},
        "weight_map": {"0.weight": "a.safetensors", "q": "a.safetensors", "r": "../b.safetensors"},
    }
    (home / "m.safetensors.index.json").write_text(json.dumps(index))


SNAPSHOTS = {
    "weights that are not there": (
        (*TWIN, "none.safetensors"),
        "error[E501] cannot read none.safetensors\n"
        "  at   none.safetensors\n"
        "  got  No such file or directory\n",
    ),
    "a folder for a file": (
        (*TWIN, "shards"),
        "error[E501] cannot read weights from shards\n"
        "  at   shards\n"
        "  got  a folder\n"
        "  fix  name a file in it, such as shards/model.safetensors\n",
    ),
    "a folder that is called as a file": (
        (*TWIN, "folder.safetensors"),
        "error[E501] cannot read weights from folder.safetensors\n"
        "  at   folder.safetensors\n"
        "  got  a folder\n"
        "  fix  name one of *.safetensors, *.safetensors.index.json, *.pt, *.pth, *.bin, *.ckpt\n",
    ),
    "a file of another kind": (
        (*TWIN, "data.npz"),
        "error[E501] cannot tell what kind of weights data.npz holds\n"
        "  at   data.npz\n"
        "  fix  name one of *.safetensors, *.safetensors.index.json, *.pt, *.pth, *.bin, *.ckpt\n",
    ),
    "a pointer of Git LFS": (
        (*TWIN, "pointer.safetensors"),
        "error[E501] cannot read weights from pointer.safetensors\n"
        "  at   pointer.safetensors\n"
        "  got  a Git LFS pointer, not the file that it stands for\n"
        "  fix  run git lfs pull in its repository\n",
    ),
    "a pickle with the ending of safetensors": (
        (*TWIN, "renamed.safetensors"),
        "error[E501] cannot read renamed.safetensors as safetensors\n"
        "  at   renamed.safetensors\n"
        "  got  a PyTorch file by its first bytes\n"
        "  why  the file is of another kind\n"
        "  fix  give it its right ending\n",
    ),
    "a checkpoint without a state dict": (
        (*TWIN, "other.pt"),
        "error[E501] other.pt holds no state dict\n"
        "  at   other.pt\n"
        "  got  epoch, lr\n"
        "  fix  save it with torch.save(model.state_dict(), path)\n",
    ),
    "a pickle that would run a command": (
        (*TWIN, "evil.pt"),
        "error[E502] refusing to load evil.pt\n"
        "  at   evil.pt\n"
        "  got  a pickle that asks for posix.system\n"
        "  why  it would have to execute code to be read; nothing in it was executed\n"
        "  fix  save the tensors alone: safetensors.torch.save_file(model.state_dict(), 'weights.safetensors')\n",
    ),
    "everything wrong with the weights at once": (
        (*TWIN, "wrong.safetensors"),
        "error[E201] the parameters do not fit this network\n"
        "  at   wrong.safetensors\n"
        "  why  a symmetry acts on every parameter that the function reads\n"
        "  fix  pass the state dict of the same architecture, trained to finite values\n"
        "  -    missing: 0.bias [6]\n"
        "  -    shape: 2.weight is [5, 3], expected [5, 6]\n"
        "  -    not finite: 4.bias has 1 NaN or infinite entries\n"
        "  -    unexpected: head.weight [2]\n",
    ),
    "an index that does not fit its shards": (
        (*TWIN, "m.safetensors.index.json"),
        "error[E501] m.safetensors.index.json does not fit its shards\n"
        "  at   m.safetensors.index.json\n"
        "  -    q: not in a.safetensors\n"
        "  -    shard ../b.safetensors: not a file beside the index\n",
    ),
    "no model of that form": (
        ("inspect", "resnet"),
        "error[E105] 'resnet' does not name a model\n"
        "  fix  a MODEL is one of model.pt2, package.module:factory, file.py:factory, a Hugging Face folder, "
        "demo:NAME\n",
    ),
    "an ONNX file": (
        ("inspect", "model.onnx"),
        "error[E105] 'model.onnx' does not name a model\n"
        "  got  an ONNX file, which is not supported yet\n"
        "  fix  name the PyTorch model that it was written from\n",
    ),
    "a folder that is none of Hugging Face": (
        ("inspect", "shards"),
        "error[E501] cannot read shards/config.json\n"
        "  at   shards\n"
        "  got  No such file or directory\n"
        "  why  a folder names a model if it is one of Hugging Face, with a config.json\n",
    ),
    "weights for a model": (
        ("inspect", "a.safetensors"),
        "error[E105] 'a.safetensors' does not name a model\n"
        "  got  weights, which do not say how they are used\n"
        "  fix  name a model (model.pt2, package.module:factory, file.py:factory, a Hugging Face folder, demo:NAME)"
        " and add --weights a.safetensors\n",
    ),
    "a symmetry file for a model": (
        ("inspect", "symmetry.json"),
        "error[E105] 'symmetry.json' does not name a model\n"
        "  got  a JSON file\n"
        "  fix  if it is a symmetry file, inspect, twin and align take it as --symmetry symmetry.json; others run the "
        "model\n",
    ),
    "a demonstration network that does not exist": (
        ("inspect", "demo:digits-resnet"),
        "error[E105] 'demo:digits-resnet' does not name a demonstration network\n"
        "  fix  demo: with one of digits-mlp, digits-cnn, digits-tanh, digits-linear;"
        " then, if wanted, ,trained and ,seed=1\n",
    ),
    "a factory that raises": (
        ("inspect", "models.py:raising"),
        "error[E105] models.py:raising: the factory failed\n"
        '  at   models.py:21: def raising(): raise ValueError("the disk of this model is on fire")\n'
        "  got  ValueError: the disk of this model is on fire\n"
        "  fix  it must run in this environment without arguments\n",
    ),
    "a factory that leaves": (
        ("inspect", "models.py:leaving"),
        "error[E105] models.py:leaving: the factory failed\n"
        "  at   models.py:22: def leaving(): sys.exit(3)\n"
        "  got  SystemExit: 3\n"
        "  fix  it must run in this environment without arguments\n",
    ),
    "a factory that returns something else": (
        ("inspect", "models.py:number"),
        "error[E105] models.py:number does not return a model\n"
        "  got  int\n"
        "  fix  return a module, (module, example_inputs) or (module, args, kwargs)\n",
    ),
    "a module that does not exist": (
        ("inspect", "nowhere.models:make"),
        "error[E105] nowhere.models:make: the module cannot be imported\n"
        "  at   nowhere.models:make\n"
        "  got  ModuleNotFoundError: No module named 'nowhere'\n"
        "  fix  it must run in this environment without arguments\n",
    ),
    "a Python file that does not exist": (
        ("inspect", "nowhere.py:make"),
        "error[E501] cannot read nowhere.py\n"
        "  at   nowhere.py\n"
        "  got  No such file or directory\n",
    ),
    "no example inputs": (
        ("inspect", "models.py:bare"),
        "error[E105] no example inputs for models.py:bare\n"
        "  why  a model is traced by running it once; only the shapes and dtypes matter\n"
        "  fix  return (module, example_inputs) from the factory, or give their shapes: --input 8x3x32x32\n",
    ),
    "a shape that is none": (
        ("inspect", "models.py:bare", "--input", "5,4"),
        "error[E105] '5,4' is not the shape of an input\n"
        "  fix  write sizes with x between them, batch first, and a dtype if it is not float32: 8x128:int64\n",
    ),
    "no such data": (
        ("explain", "models.py:make", "--data", "mnist"),
        "error[E301] 'mnist' does not name data\n"
        "  fix  name digits, digits:train, digits:test, a .safetensors, .npz or .pt file with arrays x and y, "
        "text:FILE, or random:SAMPLES,SEED\n",
    ),
    "data of other names": (
        ("explain", "models.py:make", "--data", "names.npz"),
        "error[E301] names.npz has no arrays x and y\n"
        "  at   names.npz\n"
        "  got  inputs, labels\n"
        "  fix  name the inputs x and the targets y\n",
    ),
    "data that are a pickle": (
        ("explain", "models.py:make", "--data", "objects.npz"),
        "error[E502] refusing to load objects.npz\n"
        "  at   objects.npz\n"
        "  got  an array of Python objects, which is a pickle\n"
        "  why  it would have to execute code to be read; nothing in it was executed\n"
        "  fix  save arrays of numbers: np.savez(path, x=x, y=y)\n",
    ),
    "an output of another kind": (
        (*TWIN[:4], "out.pt", "--weights", "a.safetensors"),
        "error[E100] cannot write out.pt\n"
        "  at   out.pt\n"
        "  why  what is written is of the kind .safetensors\n"
        "  fix  end the name in .safetensors\n",
    ),
    "an output folder that does not exist": (
        (*TWIN[:4], "deep/down/out.safetensors", "--weights", "a.safetensors"),
        "error[E501] cannot write deep/down/out.safetensors\n"
        "  at   deep/down/out.safetensors\n"
        "  got  there is no folder deep/down\n"
        "  why  nothing was left behind; what was there before is unchanged\n"
        "  fix  choose a place that exists, can be written and has room\n",
    ),
    "an output that is a folder": (
        (*TWIN[:4], "folder.safetensors", "--weights", "a.safetensors"),
        "error[E501] cannot write folder.safetensors\n"
        "  at   folder.safetensors\n"
        "  got  a folder\n"
        "  why  nothing was left behind; what was there before is unchanged\n"
        "  fix  choose a place that exists, can be written and has room\n",
    ),
    "a symmetry file that is cut off": (
        ("inspect", "--symmetry", "broken.json"),
        "error[E203] broken.json is not JSON\n"
        "  at   broken.json\n"
        "  got  Expecting ',' delimiter: line 1 column 45 (char 44)\n"
        "  fix  write it with: orbitope inspect MODEL -o symmetry.json\n",
    ),
    "both a model and a symmetry file": (
        ("twin", "models.py:make", "--symmetry", "symmetry.json", "-o", "out.safetensors"),
        "error[E100] twin takes either a MODEL or --symmetry\n"
        "  fix  orbitope twin --help\n",
    ),
    "a symmetry file without weights": (
        ("twin", "--symmetry", "symmetry.json", "-o", "out.safetensors"),
        "error[E100] --symmetry needs --weights\n"
        "  why  a symmetry file holds no parameters\n",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", SNAPSHOTS)
def test_messages(run: Runner, home: Path, name: str) -> None:
    write_bad_files(home)
    args, message = SNAPSHOTS[name]
    before = {*home.rglob("*")}
    done = run(*args)
    told = "".join(line + "\n" for line in done.err.splitlines() if not line.startswith(("user code", "note")))
    assert (done.code, done.out) == (2, "")
    assert told == message
    assert {entry for entry in home.rglob("*") if "__pycache__" not in str(entry)} == before, "nothing is left behind"


# messages that other parts of the package word ----------------------------------------------------------------------

CODES = {
    "training mode": (("inspect", "models.py:training"), "E102", "call model.eval() first"),
    "a model that cannot be exported": (("inspect", "models.py:branching"), "E101", "torch.where"),
    "inputs that do not fit": (("inspect", "models.py:misfit"), "E101", "[5, 3]"),
    "training mode, data": (("explain", "models.py:training", "--data", "data.npz"), "E102", "eval()"),
    "data of another shape": (("explain", "models.py:make", "--data", "digits"), "E301", "the data do not fit"),
    "labels out of range": (("explain", "models.py:make", "--data", "labels.npz"), "E301", "labels from -1 to 7"),
    "different numbers": (("explain", "models.py:make", "--data", "uneven.npz"), "E301", "differ in number"),
    "targets of another kind": (("explain", "models.py:make", "--data", "data.npz", "--loss", "mse"), "E301", "shape"),
    "truncated data": (("explain", "models.py:make", "--data", "short.npz"), "E501", "np.savez"),
    "missing data": (("explain", "models.py:make", "--data", "none.npz"), "E501", "No such file"),
    "NaN weights of a model": (("explain", "models.py:make", "--weights", "wrong.safetensors", "--data", "data.npz"),
                               "E201", "not finite: 4.bias has 1"),
    "NaN in the second": (("barrier", "models.py:make", "--weights", "a.safetensors", "wrong.safetensors",
                           "--data", "data.npz"), "E201", "missing: 0.bias [6]"),
    "truncated safetensors": ((*TWIN, "short.safetensors"), "E501", "truncated"),
    "empty safetensors": ((*TWIN, "empty.safetensors"), "E501", "truncated"),
    "truncated .pt": ((*TWIN, "short.pt"), "E501", "truncated"),
    "an old pickle": ((*TWIN, "evil.pth"), "E502", "nothing in it was executed"),
    "no certificate": (("check", "none.orbitope"), "E501", "none.orbitope"),
    "something else for a certificate": (("check", "symmetry.json"), "E401", "certificate"),
    "no such units": ((*TWIN, "a.safetensors", "--swap", "9", "0", "1"), "E202", "choose among 0, 2"),
    "no such positions": ((*TWIN, "a.safetensors", "--swap", "0", "0", "6"), "E202", "from 0 to 5"),
    "a JSON list": (("inspect", "--symmetry", "list.json"), "E203", "list"),
    "another format": (("inspect", "--symmetry", "other.json"), "E203", "something else"),
    "half a symmetry file": (("inspect", "--symmetry", "half.json"), "E203", "malformed"),
    "no symmetry file": (("inspect", "--symmetry", "none.json"), "E501", "No such file"),
    "an element that is none": ((*TWIN, "a.safetensors", "--element", "other.json"), "E202", "element"),
    "a scope that matches nothing": (("inspect", "models.py:make", "--scope", "features.*"), "E100", "features.*"),
}  # fmt: skip


@pytest.mark.parametrize("name", CODES)
def test_codes(run: Runner, home: Path, valid: Any, name: str) -> None:
    write_bad_files(home)
    x = np.load(home / "data.npz")["x"]
    np.savez(home / "labels.npz", x=x, y=np.where(np.arange(len(x)) % 2, -1, 7))
    np.savez(home / "uneven.npz", x=x, y=np.zeros(3, dtype=np.int64))
    args, code, part = CODES[name]
    done = run(*args, "--format", "json")
    error = valid(done)["error"]
    assert done.code == 2 and error["code"] == code and part in done.err
    assert f"error[{code}] {error['what']}\n" in done.err and "Traceback" not in done.err
    assert not list(home.glob("out.*")) and not list(home.glob(".*"))


def test_nothing_is_executed(run: Runner, home: Path) -> None:
    write_bad_files(home)
    for file in ("evil.pt", "evil.pth"):
        assert run(*TWIN, file).code == 2
    assert run("explain", "models.py:make", "--data", "objects.npz").code == 2
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.script(torch.nn.Linear(4, 3)).save(str(home / "script.pt"))
    done = run(*TWIN, "script.pt")
    assert done.code == 2 and "error[E502]" in done.err and "TorchScript" in done.err
    assert not (home / "canary").exists()


def test_the_canary_would_have_sung(home: Path) -> None:
    write_bad_files(home)
    pickle.loads((home / "evil.pth").read_bytes())
    assert (home / "canary").exists()


# certificates -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def certificate(prepared: Path) -> Path:
    """Of the small network, made once."""
    from click.testing import CliRunner

    from orbitope.cli import application

    path, here = prepared / "proof.orbitope", Path.cwd()
    os.chdir(prepared)
    try:
        args = [
            "prove",
            "models.py:make",
            "--weights",
            "a.safetensors",
            "--data",
            "data.npz",
            "-o",
            str(path),
        ]
        result = CliRunner().invoke(application, args)
    finally:
        os.chdir(here)
    assert result.exit_code == 0, result.output
    return path


def test_damaged_certificates(run: Runner, home: Path, certificate: Path, valid: Any) -> None:
    assert run("check", certificate).code == 0
    whole = certificate.read_bytes()
    text = json.loads(whole)
    text["enclosures"]["average"][0] = (0.0).hex()
    for name, data in {
        "short": whole[: len(whole) // 2],
        "empty": b"",
        "binary": bytes(range(256)),
        "altered": json.dumps(text, sort_keys=True, separators=(",", ":")).encode() + b"\n",
        "flipped": whole.replace(b'"violated":0', b'"violated":1'),
    }.items():
        (home / name).write_bytes(data)
        done = run("check", name, "--format", "json")
        assert (done.code, valid(done)["error"]["code"]) == (2, "E401"), name
        assert "Traceback" not in done.err
    assert run("check", home).err.startswith("error[E501]")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission(run: Runner, home: Path) -> None:
    (home / "locked").mkdir(mode=0o500)
    done = run(*TWIN[:4], "locked/out.safetensors", "--weights", "a.safetensors")
    assert done.code == 2 and "no permission to write into locked" in done.err


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_nothing_is_left_behind_when_writing_fails(
    run: Runner, home: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    from orbitope.cli import weights

    def half(tensors: object, path: Path, metadata: object) -> None:
        Path(path).write_bytes(b"half")
        raise error

    (home / "out.safetensors").write_bytes(b"what was there before")
    monkeypatch.setattr(weights, "save_file", half)
    done = run(*TWIN, "a.safetensors")
    assert done.code == (130 if isinstance(error, KeyboardInterrupt) else 2)
    assert (home / "out.safetensors").read_bytes() == b"what was there before"
    assert not list(home.glob(".*"))


def test_a_zip_that_is_no_archive(run: Runner, home: Path) -> None:
    with zipfile.ZipFile(home / "net.pt2", "w") as file:
        file.writestr("hello", "world")
    done = run("inspect", "net.pt2")
    assert done.code == 2 and "error[E50" in done.err
    (home / "text.pt2").write_text("hello")
    assert "it is not a zip archive" in run("inspect", "text.pt2").err
