"""docs/inspect.md: its commands run, and print what the page says that they print."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tests.cli.conftest import Runner

DOCS = Path(__file__).parents[2] / "docs"
BLOCKS = re.findall(r"```console\n(.*?)```", (DOCS / "inspect.md").read_text(encoding="utf-8"), re.DOTALL)


@pytest.mark.slow
def test_the_page_prints_what_the_program_prints(run: Runner, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = home / "page"  # the page writes files, and those in the folder above are shared with other tests
    folder.mkdir()
    (folder / "docs").symlink_to(DOCS)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("COLUMNS", "80")
    assert len(BLOCKS) >= 5
    for block in BLOCKS:
        commands = [line.removeprefix("$ orbitope ") for line in block.splitlines() if line.startswith("$ ")]
        expected = "\n".join(line for line in block.splitlines() if not line.startswith("$ "))
        done = [run(*command.split()) for command in commands]
        assert [each.code for each in done] == [0] * len(done), done
        assert "".join(each.out for each in done).rstrip() == expected.rstrip()
