"""The public surface: the names, and the README's examples as they stand."""

import re
import runpy
from pathlib import Path

import pytest

import orbitope

ROOT = Path(__file__).parent.parent
PUBLIC = {
    "Element",
    "Objective",
    "Outline",
    "SymmetryGroup",
    "Units",
    "align",
    "audit",
    "barrier",
    "check",
    "explain",
    "fold",
    "prove",
    "stationarity",
    "survey",
    "symmetries",
    "traits",
    "verify",
}


def test_all_is_the_contract():
    assert set(orbitope.__all__) == PUBLIC
    assert len(orbitope.__all__) <= 25
    for name in orbitope.__all__:
        assert callable(getattr(orbitope, name))


def _examples():
    for page in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))):
        for k, code in enumerate(re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)):
            yield pytest.param(code, id=f"{page.stem}-{k}")


@pytest.mark.parametrize("code", list(_examples()))
def test_examples_run(code, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "example.py").write_text(code, encoding="utf-8")
    runpy.run_path(str(tmp_path / "example.py"), run_name="__main__")
