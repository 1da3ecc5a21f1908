"""A .pt2 archive is read as data: whatever would be executed in reading it is refused."""

from __future__ import annotations

import io
import json
import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from tests.cli.conftest import Runner
from torch import nn
from torch.export import Dim

from orbitope.cli.archives import _harmless, read_archive
from orbitope.errors import FileError, UnsafeFileError


class Net(nn.Module):
    """Dynamic sizes, a constant, keyword inputs, several outputs, a scope without gradients."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.fc = nn.Linear(4, 3)
        self.register_buffer("scale", torch.ones(3) * 2, persistent=False)

    def forward(self, x: torch.Tensor, *, shift: torch.Tensor | None = None) -> dict[str, torch.Tensor]:
        with torch.no_grad():
            places = torch.arange(x.shape[2])
        h = torch.nn.functional.gelu(self.norm(self.conv(x)), approximate="tanh")
        h = h.reshape(x.shape[0], 4, -1).mean(-1)
        return {"out": self.fc(h) * self.scale, "places": places.sum()}


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("archives") / "net.pt2"
    shapes = {"x": {0: Dim("b"), 2: Dim("h", min=4, max=64)}}
    program = torch.export.export(Net().eval(), (torch.randn(4, 1, 8, 8),), dynamic_shapes=shapes)
    torch.export.save(program, path)
    return path


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("archives") / "mlp.pt2"
    model = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3)).eval()
    torch.export.save(torch.export.export(model, (torch.randn(5, 4),), dynamic_shapes=({0: Dim("batch")},)), path)
    return path


def test_a_plain_archive_is_read(archive: Path, plain: Path, run: Runner) -> None:
    program = read_archive(str(archive))
    assert {*program.state_dict} >= {"conv.weight", "norm.running_mean", "fc.bias"}
    done = run("inspect", archive, "--format", "json")
    assert done.code == 0 and [u["size"] for u in done.json["units"]] == [4]
    assert run("verify", plain).code == 0
    assert "TORCH_FORCE_WEIGHTS_ONLY_LOAD" not in os.environ


def test_commands_on_an_archive(plain: Path, run: Runner, home: Path) -> None:
    x = torch.linspace(-1, 1, 48).reshape(12, 4) ** 3
    save_file({"x": x, "y": (x[:, 0] > 0).long()}, home / "d.safetensors")
    assert run("twin", plain, "-o", "t.safetensors").code == 0
    assert run("verify", plain, "--other", "t.safetensors").code == 0
    assert run("barrier", plain, "--weights", "t.safetensors", "t.safetensors", "--data", "d.safetensors").code == 0
    assert run("prove", plain, "--data", "d.safetensors", "-o", "p.orbitope").code in (0, 1)
    assert "shapes of its inputs were fixed" in run("inspect", plain, "--input", "5x4").err


class Canary:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.system, (f"touch {self.path}",)


def rewritten(source: Path, target: Path, change: Callable[[str, bytes], bytes | None], **more: bytes) -> str:
    """A copy with some records changed, dropped (None) or added."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        root = old.namelist()[0].split("/")[0]
        for name in old.namelist():
            data = change(name.partition("/")[2], old.read(name))
            if data is not None:
                new.writestr(name, data)
        for name, data in more.items():
            new.writestr(f"{root}/{name}", data)
    return str(target)


def in_json(edit: Callable[[Any], None], record: str = "models/model.json") -> Callable[[str, bytes], bytes]:
    def change(name: str, data: bytes) -> bytes:
        if name != record:
            return data
        document = json.loads(data)
        edit(document)
        return json.dumps(document).encode()

    return change


def graph(document: Any) -> Any:
    return document["graph_module"]["graph"]


def a_target(text: str) -> Callable[[Any], None]:
    return lambda d: graph(d)["nodes"][3].update(target=text)


def an_expression(document: Any) -> None:
    sizes = graph(document)["sym_int_values"]
    next(iter(sizes.values()))["as_expr"]["expr_str"] = "__import__('os').system('touch canary')"


def a_name(document: Any) -> None:
    graph(document)["inputs"][0]["as_tensor"]["name"] = "x, y=__import__('os').system('touch canary')"


def a_parameter(document: Any) -> None:
    spec = document["graph_module"]["signature"]["input_specs"][0]
    spec["parameter"]["parameter_name"] = 'a"), exec("open(0)"), ("'


def a_tree(document: Any) -> None:
    signature = document["graph_module"]["module_call_graph"][0]["signature"]
    spec = json.loads(signature["in_spec"])
    context = {"default_factory_module": "antigravity", "default_factory_name": "fly", "dict_context": []}
    spec[1]["type"], spec[1]["context"] = "collections.defaultdict", context
    signature["in_spec"] = json.dumps(spec)


PROGRAMS = {
    "a function of the system": a_target("torch.os.system"),
    "a function that opens files": a_target("torch.ops.aten.from_file.default"),
    "an operation that unpickles": a_target("torch.load"),
    "an attribute of the operator's class": a_target("torch.ops.aten.__class__.mro"),
    "a call of anything": a_target("_operator.methodcaller"),
    "a custom operation": a_target("torch.ops.mylib.run.default"),
    "an expression that is evaluated": an_expression,
    "guards that are executed": lambda d: d.update(guards_code=["exec('1')"]),
    "a name that is source": a_name,
    "a parameter that is source": a_parameter,
    "containers of other classes": a_tree,
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_programs_that_are_more_than_data(archive: Path, tmp_path: Path, name: str, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    path = rewritten(archive, tmp_path / "bad.pt2", in_json(PROGRAMS[name]))
    with pytest.raises(UnsafeFileError) as caught:
        read_archive(path)
    assert str(caught.value).startswith(f"error[E502] refusing to load {path}\n")
    assert not (tmp_path / "canary").exists()


def pickled(canary: Path) -> bytes:
    buffer = io.BytesIO()
    torch.save((Canary(canary), {}), buffer)
    return buffer.getvalue()


def test_pickles_are_refused_and_not_executed(archive: Path, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    evil = pickled(canary)
    weights, constants = (
        "data/weights/model_weights_config.json",
        "data/constants/model_constants_config.json",
    )

    def flagged(document: Any) -> None:
        next(iter(document["config"].values()))["use_pickle"] = True

    def renamed(document: Any) -> None:
        next(iter(document["config"].values()))["path_name"] = "opaque_obj_0"

    cases = {
        "examples": rewritten(
            archive, tmp_path / "1.pt2", lambda n, data: evil if n == "data/sample_inputs/model.pt" else data
        ),
        "a pickled weight": rewritten(
            archive,
            tmp_path / "2.pt2",
            lambda n, d: evil if n.endswith("weight_0") else in_json(flagged, weights)(n, d),
        ),
        "a pickled object": rewritten(
            archive,
            tmp_path / "3.pt2",
            in_json(renamed, constants),
            **{"data/constants/opaque_obj_0": pickle.dumps(Canary(canary))},
        ),
        "old weights": rewritten(archive, tmp_path / "4.pt2", lambda n, d: d, **{"data/weights/model.pt": evil}),
        "a compiled library": rewritten(
            archive, tmp_path / "5.pt2", lambda n, d: d, **{"data/aotinductor/m/a.so": b"x"}
        ),
    }
    for name, path in cases.items():
        with pytest.raises(UnsafeFileError):
            read_archive(path)
            pytest.fail(name)
    assert not canary.exists()


def test_an_old_archive_is_not_tried(archive: Path, tmp_path: Path) -> None:
    """The older format, which is unpickled, lies at the root of the zip file."""
    path = tmp_path / "old.pt2"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("version", "8.8")
        file.writestr("serialized_state_dict.pt", pickled(tmp_path / "canary"))
    with pytest.raises(FileError):
        read_archive(str(path))
    both = tmp_path / "both.pt2"
    both.write_bytes(archive.read_bytes())
    with zipfile.ZipFile(both, "a") as file:
        file.writestr("version", "8.8")
    with pytest.raises(FileError):
        read_archive(str(both))
    assert not (tmp_path / "canary").exists()


def test_damaged_archives(archive: Path, tmp_path: Path) -> None:
    whole = archive.read_bytes()
    for k, data in enumerate((whole[: len(whole) // 2], whole[:10], b"", b"PK\x03\x04" + bytes(500))):
        path = tmp_path / f"{k}.pt2"
        path.write_bytes(data)
        with pytest.raises(FileError, match="as a torch"):
            read_archive(str(path))
    with pytest.raises(FileError, match="cannot read"):
        read_archive(str(tmp_path / "none.pt2"))
    with pytest.raises(FileError, match="cannot read"):
        read_archive(str(tmp_path))
    path = rewritten(archive, tmp_path / "gone.pt2", lambda n, d: None if n.endswith("weight_1") else d)
    with pytest.raises(FileError):
        read_archive(path)


@pytest.mark.parametrize(
    ("text", "good"),
    [
        ("Symbol('s77', positive=True, integer=True)", True),
        ("2*s0 + 1", True),
        ("Max(1, FloorDiv(s0, 2))", True),
        ("Mod(s77*s53, 2) >= 0", True),
        ("L['x'].size()[0] <= 4", True),
        ("__import__('os')", False),
        ("eval('1')", False),
        ("getattr(s0, 'x')", False),
        ("(lambda: 0)()", False),
        ("s0.__class__", False),
        ("s0.size.__globals__", False),
        ("[x for x in s0]", False),
        ("'a b'", False),
        ("f'{s0}'", False),
        ("s0; s1", False),
        ("exec", False),
        ("L['x'].size()[0]()", False),
        ("(" * 300, False),
        ("", False),
    ],
)
def test_expressions(text: str, good: bool) -> None:
    assert _harmless(text) is good
