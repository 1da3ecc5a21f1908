"""Packages carry the page: it is built where it is absent, and only there."""

from __future__ import annotations

import runpy
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


class Interface:
    """What hatchling hands to a hook, as far as this one asks."""

    def __init__(self, root: Path, target_name: str) -> None:
        self.root, self.target_name, self.warnings = str(root), target_name, []
        self.app = SimpleNamespace(display_warning=self.warnings.append)


@pytest.fixture
def hook(monkeypatch) -> Any:
    """The class in ``hatch_build.py``, without hatchling, which only builds need."""
    module: Any = ModuleType("hatchling.builders.hooks.plugin.interface")
    module.BuildHookInterface = Interface
    monkeypatch.setitem(sys.modules, module.__name__, module)
    return runpy.run_path(str(ROOT / "hatch_build.py"))["CustomBuildHook"]


@pytest.fixture
def commands(monkeypatch) -> list[Any]:
    """What would have been run, and where."""
    found: list[Any] = []
    monkeypatch.setattr(shutil, "which", lambda name: f"/bin/{name}")
    monkeypatch.setattr(subprocess, "run", lambda command, cwd, check: found.append((command, cwd, check)))
    return found


@pytest.mark.parametrize("target", ["wheel", "sdist"])
def test_a_page_that_is_absent_is_built(hook, commands, tmp_path, target):
    hook(tmp_path, target).initialize("standard", {})
    web = tmp_path / "web"
    assert commands == [(["/bin/npm", "ci"], web, True), (["/bin/npm", "run", "build"], web, True)]


def test_a_page_that_is_there_is_taken(hook, commands, tmp_path):
    page = tmp_path / "src" / "orbitope" / "explorer" / "assets" / "index.html"
    page.parent.mkdir(parents=True)
    page.touch()
    hook(tmp_path, "wheel").initialize("standard", {})
    assert not commands


def test_an_editable_installation_needs_none(hook, commands, tmp_path):
    hook(tmp_path, "wheel").initialize("editable", {})
    assert not commands


def test_without_npm_a_wheel_goes_without_it_and_says_so(hook, commands, monkeypatch, tmp_path):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    made = hook(tmp_path, "wheel")
    made.initialize("standard", {})
    assert "needs Node.js" in made.warnings[0]
    with pytest.raises(RuntimeError, match="building it needs Node"):
        hook(tmp_path, "sdist").initialize("standard", {})
    assert not commands


def test_packages_take_what_git_does_not_keep():
    build = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["hatch"]["build"]
    assert build["artifacts"] == ["/src/orbitope/explorer/assets"]
    assert {"/src", "/web", "/hatch_build.py"} <= {*build["targets"]["sdist"]["include"]}
    assert "custom" in build["hooks"]
