"""The pages that the software writes, and the commands that a page promises."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner

from orbitope.activations import page as activations
from orbitope.cli import application
from orbitope.surveys.page import page
from orbitope.surveys.records import Records

DOCS = Path(__file__).parent.parent.parent / "docs"
LINE = re.compile(r"^(orbitope .*?)\s+# exit code (\d)$", re.MULTILINE)


def test_the_page_of_activations_is_what_is_declared() -> None:
    assert (DOCS / "activations.md").read_text(encoding="utf-8") == activations.page()


def test_the_page_of_the_survey_is_of_its_records(tmp_path: Path) -> None:
    copy = tmp_path / "records.jsonl"
    copy.write_bytes((DOCS / "survey.jsonl").read_bytes())
    records = tuple(Records(copy).found.values())
    assert (DOCS / "survey.md").read_text(encoding="utf-8") == page(records, "survey.jsonl")
    assert (DOCS / "survey.svg").stat().st_size > 1000


def commands() -> list[tuple[str, int]]:
    return [(found[1], int(found[2])) for found in LINE.finditer((DOCS / "answer.md").read_text(encoding="utf-8"))]


def test_every_command_of_the_answer_says_its_exit_code() -> None:
    blocks = re.findall(r"```sh\n(.*?)```", (DOCS / "answer.md").read_text(encoding="utf-8"), re.DOTALL)
    assert len(commands()) == sum(len(block.strip().splitlines()) for block in blocks) >= 12


@pytest.mark.slow
def test_every_command_of_the_answer_does_what_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    wrong = []
    for command, code in commands():
        done = CliRunner().invoke(application, shlex.split(command)[1:])
        if done.exit_code != code:
            wrong.append(f"{command}\n  exit code {done.exit_code}, not {code}\n{done.output[-500:]}")
    assert not wrong, "\n".join(wrong)
