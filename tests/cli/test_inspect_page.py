"""docs/inspect.md and docs/continuous.md: what they show runs, and prints what the pages say that it prints."""

from __future__ import annotations

import contextlib
import io
import re
from pathlib import Path

import pytest
from tests.cli.conftest import Runner

DOCS = Path(__file__).parents[2] / "docs"


def blocks(page: str, language: str) -> list[str]:
    """The blocks of code of one language in a page."""
    return re.findall(rf"```{language}\n(.*?)```", (DOCS / page).read_text(encoding="utf-8"), re.DOTALL)


@pytest.mark.slow
@pytest.mark.parametrize(("page", "least"), [("inspect.md", 5), ("continuous.md", 2)])
def test_the_page_prints_what_the_program_prints(
    run: Runner, home: Path, monkeypatch: pytest.MonkeyPatch, page: str, least: int
) -> None:
    folder = home / "page"  # the page writes files, and those in the folder above are shared with other tests
    folder.mkdir()
    (folder / "docs").symlink_to(DOCS)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("COLUMNS", "80")
    shown = blocks(page, "console")
    assert len(shown) >= least
    for block in shown:
        commands = [line.removeprefix("$ orbitope ") for line in block.splitlines() if line.startswith("$ ")]
        expected = "\n".join(line for line in block.splitlines() if not line.startswith("$ "))
        done = [run(*command.split()) for command in commands]
        assert [each.code for each in done] == [0] * len(done), done
        assert "".join(each.out for each in done).rstrip() == expected.rstrip()


def test_the_example_in_python_prints_what_the_page_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(DOCS.parent))
    (code,), (printed,) = blocks("continuous.md", "python"), blocks("continuous.md", "text")
    with contextlib.redirect_stdout(io.StringIO()) as out:
        exec(compile(code, "continuous.md", "exec"), {})
    assert out.getvalue() == printed
