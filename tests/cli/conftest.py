"""A folder with small models, weights and data; the command in this process and in one of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import save_file
from torch import nn

import orbitope
from orbitope.cli import application

MODELS = """
import sys
import torch
from torch import nn

print("user code talks on standard output")

X = torch.linspace(-1, 1, 20).reshape(5, 4)

def mlp(activation=nn.ReLU):
    layers = nn.Sequential(nn.Linear(4, 6), activation(), nn.Linear(6, 5), activation(), nn.Linear(5, 3))
    for k, p in enumerate(layers.parameters()):
        p.data = torch.sin(torch.arange(p.numel()) * (k + 1.3) + 0.3 * k).reshape(p.shape)
    return layers.eval()

def make(): return mlp(), (X,)
def tensor_only(): return mlp(), X
def named(): return Named().eval(), (), {"x": X}
def bare(): return mlp()
def training(): return mlp().train(), (X,)
def raising(): raise ValueError("the disk of this model is on fire")
def leaving(): sys.exit(3)
def number(): return 3
def branching(): return Branch().eval(), (X,)
def misfit(): return mlp(), (X[:, :3],)
def linear(): return nn.Sequential(nn.Linear(4, 3)).eval(), (X,)
def tied(): return Tied().eval(), (torch.arange(6).reshape(2, 3),)
def normed(): return nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Linear(6, 3)).eval(), (X,)
def bent(): return Bent().eval(), (X,)
def deep(): return Deep().eval(), (X,)
def attentive(): return Attentive().eval(), (torch.linspace(-1, 1, 24).reshape(2, 3, 4),)
model = mlp()

class Named(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = mlp()
    def forward(self, x): return {"logits": self.net(x)}

class Branch(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = mlp()
    def forward(self, x):
        if x.sum() > 0: return self.net(x)
        return -self.net(x)

class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(7, 4)
        self.hidden = nn.Linear(4, 4)
        self.head = nn.Linear(4, 7, bias=False)
        self.head.weight = self.embed.weight
    def forward(self, x): return self.head(torch.relu(self.hidden(self.embed(x))))

class Bent(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = mlp()
        self.idle = nn.Linear(2, 2)
    def forward(self, x): return torch.ops.orbitope_tests.bend(self.net(x))

class Deep(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Linear(4, 6)
        self.blocks = nn.Sequential(*[nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 6)) for _ in range(4)])
        self.head = nn.Linear(6, 3)
    def forward(self, x):
        x = self.stem(x)
        for block in self.blocks: x = x + block(x)
        return self.head(x)

class Attentive(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Linear(4, 8)
        self.q, self.k, self.v = nn.Linear(8, 6), nn.Linear(8, 6), nn.Linear(8, 15)
        self.mix, self.wide, self.deep = nn.Linear(15, 8), nn.Linear(8, 24), nn.Linear(24, 8)
        self.head = nn.Linear(8, 3)
    def forward(self, x):
        x = self.stem(x)
        q, k, v = (part(x).unflatten(-1, (3, -1)).transpose(1, 2) for part in (self.q, self.k, self.v))
        x = x + self.mix(((q @ k.transpose(-2, -1)).softmax(-1) @ v).transpose(1, 2).flatten(2))
        return self.head(x + self.deep(torch.relu(self.wide(x))))

if not hasattr(torch.ops.orbitope_tests, "bend"):  # an operation that no rule is written for
    @torch.library.custom_op("orbitope_tests::bend", mutates_args=())
    def bend(x: torch.Tensor) -> torch.Tensor: return x.cumsum(-1).flip(-1)
    @bend.register_fake
    def _(x): return torch.empty_like(x)
"""


@dataclass(frozen=True)
class Run:
    """What a command did."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        """Its standard output as JSON."""
        return json.loads(self.out)


METADATA = {"zero": "0", "format": "pt", "author": "somebody", "licence": 'none "at" all'}


def network(seed: int) -> nn.Module:
    """Of the shape of ``models.py:make``."""
    generator = torch.Generator().manual_seed(seed)
    layers = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3)).eval()
    for p in layers.parameters():
        p.data = torch.randn(p.shape, generator=generator)
    return layers


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files that most tests read."""
    home = tmp_path_factory.mktemp("home")
    (home / "models.py").write_text(MODELS)
    nets = {name: network(seed) for name, seed in (("a", 1), ("b", 2))}
    for name, net in nets.items():
        save_file(dict(net.state_dict()), home / f"{name}.safetensors", METADATA | {"note": name})
    x = np.linspace(-1, 1, 160, dtype=np.float32).reshape(40, 4) ** 3
    with torch.no_grad():
        y = nets["a"](torch.from_numpy(x)).argmax(1).numpy()
    np.savez(home / "data.npz", x=x, y=y)
    group = orbitope.symmetries(nets["a"], (torch.from_numpy(x[:3]),))
    (home / "symmetry.json").write_text(json.dumps(group.to_json()))
    return home


@pytest.fixture
def home(prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A fresh folder with links to the prepared files; the working folder."""
    for entry in prepared.iterdir():
        if entry.is_file():
            (tmp_path / entry.name).symlink_to(entry)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("COLUMNS", raising=False)
    return tmp_path


Runner = Callable[..., Run]


@pytest.fixture
def run(home: Path) -> Runner:
    """``run("inspect", "models.py:make")`` in this process."""

    def invoke(*args: object) -> Run:
        result = CliRunner().invoke(application, [str(arg) for arg in args])
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return Run(result.exit_code, result.stdout, result.stderr)

    return invoke


def environment(**more: str) -> dict[str, str]:
    """For a process of its own, which imports this very source."""
    source = str(Path(orbitope.__file__).parents[1])
    return {**os.environ, "PYTHONPATH": source, "COLUMNS": "80", **more}


@pytest.fixture
def shell(home: Path) -> Runner:
    """The same in a process of its own."""

    def invoke(*args: object, **more: Any) -> Run:
        done = subprocess.run(
            [sys.executable, "-m", "orbitope", *map(str, args)],
            capture_output=True,
            text=True,
            env=environment(),
            cwd=home,
            timeout=120,
            **more,
        )
        return Run(done.returncode, done.stdout, done.stderr)

    return invoke


# a small validator of JSON Schema ----------------------------------------------------------------------------------

TYPES = {
    "object": dict,
    "array": list,
    "string": str,
    "boolean": bool,
    "integer": int,
    "number": (int, float),
    "null": type(None),
}


def problems(value: Any, schema: dict[str, Any], root: dict[str, Any], at: str = "$") -> list[str]:
    """What of a value a schema does not allow; the keywords that ``schema.json`` uses."""
    found: list[str] = []
    if "$ref" in schema:
        found += problems(value, root["$defs"][schema["$ref"].removeprefix("#/$defs/")], root, at)
    if "const" in schema and (value != schema["const"] or type(value) is not type(schema["const"])):
        found.append(f"{at}: {value!r} is not {schema['const']!r}")
    if "enum" in schema and value not in schema["enum"]:
        found.append(f"{at}: {value!r} is none of {schema['enum']}")
    kinds = schema.get("type", [])
    kinds = [kinds] if isinstance(kinds, str) else kinds
    fits = [isinstance(value, TYPES[kind]) and (kind == "boolean" or not isinstance(value, bool)) for kind in kinds]
    if kinds and not any(fits):
        found.append(f"{at}: {type(value).__name__} is none of {kinds}")
    if isinstance(value, int | float) and value < schema.get("minimum", value):
        found.append(f"{at}: {value} is too small")
    if isinstance(value, dict):
        found += [f"{at}: {name} is missing" for name in schema.get("required", []) if name not in value]
        known = schema.get("properties", {})
        for name, part in value.items():
            if name in known:
                found += problems(part, known[name], root, f"{at}.{name}")
            elif schema.get("additionalProperties") is False:
                found.append(f"{at}: {name} is not known")
    if isinstance(value, list):
        if not schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", len(value)):
            found.append(f"{at}: {len(value)} items")
        for k, part in enumerate(value):
            found += problems(part, schema.get("items", {}), root, f"{at}[{k}]")
    if "oneOf" in schema:
        tried = [problems(value, branch, root, at) for branch in schema["oneOf"]]
        if sum(not each for each in tried) != 1:
            found += min(tried, key=len) or [f"{at}: several branches fit"]
    return found


@pytest.fixture(scope="session")
def schema() -> dict[str, Any]:
    """The published schema."""
    return json.loads((Path(orbitope.__file__).parent / "cli" / "schema.json").read_text())


@pytest.fixture
def valid(schema: dict[str, Any]) -> Callable[[Run], dict[str, Any]]:
    """The JSON of a run, after it was held against the schema."""

    def check(done: Run) -> dict[str, Any]:
        assert problems(done.json, schema, schema) == []
        return done.json

    return check
