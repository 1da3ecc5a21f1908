"""The frame of all commands: help, formats, exit codes, and what happens when something goes wrong."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from tests.cli.conftest import Runner, environment, problems

from orbitope.cli import application, inspection

COMMANDS = [
    "inspect",
    "twin",
    "verify",
    "audit",
    "prove",
    "check",
    "stationarity",
    "explain",
    "activation",
    "survey",
    "fold",
    "align",
    "barrier",
    "demo",
    "explore",
]


NO_OPTION = "error[E100] No such option '--colour'\n  fix  orbitope inspect --help lists what is understood\n"


def test_bare_command_prints_help(run: Runner) -> None:
    done = run()
    assert done.code == 0 and done.err == ""
    shown = [line.split()[0] for line in done.out.splitlines() if line.startswith("  ") and line.split()[0] in COMMANDS]
    assert shown == COMMANDS
    assert done.out.count("...") == 1, "a summary was cut"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_and_the_common_options(run: Runner, name: str) -> None:
    done = run(name, "--help")
    assert done.code == 0
    assert all(text in done.out for text in ("--format [human|json|quiet]", "--debug", f"Usage: orbitope {name}"))
    assert run(name, "-h").out == done.out
    assert max(map(len, done.out.splitlines())) <= 80


def test_version(run: Runner) -> None:
    done = run("--version")
    assert done.code == 0 and done.out.startswith("orbitope ") and "torch" in done.out


def test_usage_errors(run: Runner) -> None:
    done = run("inspect", "models.py:make", "--colour")
    assert (done.code, done.out) == (2, "")
    assert done.err == NO_OPTION
    assert run("polish").err.startswith("error[E100] No such command 'polish'")
    assert run("check").err.startswith("error[E100] Missing argument 'FILE'")
    assert run("twin", "--seed", "x", "models.py:make").code == 2
    done = run("--format", "json")
    assert done.code == 2, "formats belong to commands"


def test_usage_errors_are_json_too(run: Runner, valid: Any) -> None:
    for args in (
        ("inspect", "--format", "json", "--no"),
        ("inspect", "--no", "--format=json"),
        ("check", "--format=json"),
    ):
        done = run(*args)
        assert done.code == 2 and valid(done)["error"]["code"] == "E100"
        assert done.err.startswith("error[E100]")


def test_results_on_stdout_and_all_else_on_stderr(shell: Runner) -> None:
    done = shell("inspect", "models.py:make", "--format", "json")
    assert done.code == 0
    json.loads(done.out)
    assert "user code talks on standard output" in done.err and "\x1b" not in done.out + done.err


def test_quiet_says_nothing(run: Runner) -> None:
    done = run("verify", "models.py:model", "--input", "5x4", "--format", "quiet")
    assert (done.code, done.out) == (0, "")
    assert "note" not in done.err
    assert run("check", "missing.orbitope", "--format", "quiet").err.startswith("error[E501]")


@pytest.mark.parametrize("width", [80, 120])
def test_no_trailing_blanks_and_no_overlong_lines(home: Path, width: int) -> None:
    done = CliRunner(env={"COLUMNS": str(width)}).invoke(application, ["inspect", "models.py:deep"])
    lines = done.stdout.splitlines()
    assert len(lines) > 8 and all(line == line.rstrip() and len(line) <= width for line in lines)


def test_ascii_terminals_get_replacements_not_a_traceback(home: Path) -> None:
    done = CliRunner(charset="ascii").invoke(application, ["inspect", "--symmetry", "symmetry.json"])
    assert done.exit_code == 0 and "give 6! ? 5! of them" in done.stdout.replace("\n", " ")


# unexpected errors -------------------------------------------------------------------------------------------------


def test_unexpected_errors_are_one_message(run: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("a gear broke\nand another line")

    monkeypatch.setattr(inspection, "load_model", fail)
    done = run("inspect", "models.py:make")
    assert (done.code, done.out) == (2, "")
    assert done.err == (
        "error[E999] something went wrong inside Orbitope: RuntimeError: a gear broke\n"
        "  why  this is a mistake of the program, not of its input\n"
        "  fix  run the same command with --debug and report what it prints, with the model if you can\n"
    )
    done = run("inspect", "models.py:make", "--debug")
    assert done.err.startswith("Traceback") and "a gear broke" in done.err and "error[E999]" in done.err


def test_not_enough_memory(run: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(inspection, "load_model", fail)
    assert run("inspect", "models.py:make").err.startswith("error[E999] not enough memory")


def test_interrupt_in_process(run: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(inspection, "load_model", interrupted)
    done = run("inspect", "models.py:make", "--format", "json")
    assert (done.code, done.out) == (130, "") and "interrupted" in done.err and "Traceback" not in done.err


def default_interrupts() -> None:
    """A test run in the background may ignore interrupts; its children must not."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_ctrl_c(home: Path) -> None:
    (home / "slow.py").write_text("import sys, time\ndef make():\n    print('ready', flush=True)\n    time.sleep(60)\n")
    command = [sys.executable, "-m", "orbitope", "twin", "slow.py:make", "-o", "twin.safetensors"]
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
        cwd=home,
        preexec_fn=default_interrupts,
    ) as process:
        assert process.stderr is not None
        assert process.stderr.readline().strip() == "ready"
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert out == "" and err.strip() == "interrupted"
    assert not list(home.glob("*twin*")) and not list(home.glob(".*"))


@pytest.mark.slow
def test_ctrl_c_during_the_demonstration_leaves_no_folder(home: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "orbitope", "demo", "-o", "story"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
        cwd=home,
        preexec_fn=default_interrupts,
    ) as process:
        deadline = time.monotonic() + 60
        while not list(home.glob(".story*")) and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)
        assert list(home.glob(".story*")), process.stderr.read() if process.stderr and process.poll() else "too slow"
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 130 and err.strip() == "interrupted"
    assert not list(home.glob("*story*")) and not list(home.glob(".story*"))


# readers that go away ----------------------------------------------------------------------------------------------


def test_broken_pipe_is_quiet(home: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "orbitope", "inspect", "--symmetry", "symmetry.json", "--format", "json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(),
        cwd=home,
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.close()
        err = process.stderr.read().decode()
    assert process.returncode == 0
    assert "Broken" not in err and "Traceback" not in err and "Exception" not in err


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_full_disk_is_an_error(home: Path) -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "orbitope", "inspect", "--symmetry", "symmetry.json"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            env=environment(),
            cwd=home,
        )
    assert done.returncode == 2
    assert "error[E501] cannot write the result to standard output" in done.stderr and "Traceback" not in done.stderr


# the schema --------------------------------------------------------------------------------------------------------


def test_the_validator_finds_faults(schema: dict[str, Any]) -> None:
    good = {"format": "orbitope demo", "version": 1, "folder": "f", "report": "r", "seed": 0, "files": []}
    assert problems(good, schema, schema) == []
    for change in ({"seed": "0"}, {"version": 2}, {"format": "orbitope other"}, {"files": [1]}, {"more": 1}):
        assert problems({**good, **change}, schema, schema), change
    assert problems({k: v for k, v in good.items() if k != "seed"}, schema, schema)


def test_every_command_is_in_the_schema(schema: dict[str, Any]) -> None:
    formats = schema["properties"]["format"]["enum"]
    assert {f"orbitope {name}" for name in COMMANDS} | {"orbitope error"} == {*formats}
    assert application.list_commands(None) == COMMANDS


def test_colours_only_on_a_terminal(home: Path) -> None:
    result = CliRunner().invoke(application, ["inspect", "models.py:make"], color=True)
    assert "\x1b" not in result.stdout
