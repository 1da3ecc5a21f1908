"""``orbitope explore`` on the command line."""

from __future__ import annotations

import http.client
import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from orbitope.cli import application
from orbitope.errors import FileError
from orbitope.explorer import load
from orbitope.explorer import page as module

PAGE = b'<meta charset="utf-8" /><script src="./explorer.js"></script><link href="./explorer.css"></body>'


@pytest.fixture
def built(tmp_path, monkeypatch) -> Path:
    """A page as the build leaves it; the command runs in a folder of its own."""
    folder = tmp_path / "package" / "assets"
    folder.mkdir(parents=True)
    for name, content in (("index.html", PAGE), ("explorer.js", b";"), ("explorer.css", b"p {}")):
        (folder / name).write_bytes(content)
    monkeypatch.setattr(module, "files", lambda _: folder.parent)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return folder


def run(*args: str) -> tuple[int, str, str]:
    done = CliRunner().invoke(application, ["explore", *args])
    return done.exit_code, done.stdout, done.stderr


def test_the_page_is_exported(built):
    assert run("--export", "explorer.html") == (0, "wrote explorer.html; open it in a browser\n", "")
    assert b"Content-Security-Policy" in Path("explorer.html").read_bytes()
    code, out, _ = run("--export", "explorer.html", "--json")
    document = {"format": "orbitope explore", "version": 1, "file": "explorer.html", "address": None}
    assert (code, json.loads(out)) == (0, document)


def test_the_page_is_exported_with_data(built):
    Path("mine.csv").write_text("1,2\n3,4\n")
    assert run("--data", "mine.csv", "--export", "explorer.html")[0] == 0
    assert b'{"name": "mine.csv", "text": "1,2\\n3,4\\n"}' in Path("explorer.html").read_bytes()
    for args in (["--data", "none.csv"], ["--data", "none.csv", "--export", "other.html"]):
        code, out, told = run(*args)
        assert (code, out) == (2, "")
        assert told.startswith("error[E501] cannot read none.csv")
    assert not Path("other.html").exists()


def test_a_page_that_cannot_be_written_is_one_error(built):
    code, out, told = run("--export", "missing/explorer.html")
    assert (code, out) == (2, "")
    assert told.startswith("error[E501] cannot write missing/explorer.html")


def test_a_page_that_was_not_built_is_one_error(built):
    (built / "explorer.js").unlink()
    for args in ([], ["--export", "explorer.html"]):
        code, out, told = run(*args)
        assert (code, out) == (2, "")
        assert told.startswith("error[E501] the explorer's page has not been built\n")
        assert "no explorer.js" in told
        assert "make web" in told


def test_an_interrupt_ends_with_130(built, monkeypatch):
    import orbitope.explorer.server as server

    def interrupted(assets, listener, browse):
        listener.close()
        asked.append(browse)
        raise KeyboardInterrupt

    asked: list[bool] = []
    monkeypatch.setattr(server, "serve", interrupted)
    code, out, told = run()
    assert code == 130
    assert out.startswith("http://127.0.0.1:")
    assert told.endswith("interrupted\n")
    code, out, told = run("--no-open", "--format", "quiet")
    assert (code, out, told.strip()) == (130, "", "interrupted")
    assert asked == [True, False]


@pytest.mark.parametrize("missing", ["starlette.applications", "uvicorn"])
def test_without_the_extra_it_says_what_to_install(built, monkeypatch, missing):
    monkeypatch.delitem(sys.modules, "orbitope.explorer.server", raising=False)
    monkeypatch.setitem(sys.modules, missing, None)
    code, out, told = run()
    assert (code, out) == (2, "")
    assert 'pip install "orbitope[explore]"' in told
    assert run("--export", "explorer.html")[0] == 0


@pytest.mark.parametrize("port", ["-1", "65536", "many"])
def test_a_port_that_is_none_is_one_error(built, port):
    code, out, told = run("--port", port)
    assert (code, out) == (2, "")
    assert told.startswith("error[E100]")


def test_the_real_command_serves_the_real_page_until_interrupted():
    try:
        assets = load()
    except FileError:
        pytest.skip("the built page was not served: it needs Node.js and `make web`")
    process = subprocess.Popen(
        [sys.executable, "-m", "orbitope", "explore", "--no-open"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    address = process.stdout.readline().strip()
    connection = http.client.HTTPConnection(address.removeprefix("http://").rstrip("/"), timeout=20)
    for path, wanted in (("/", assets.page), ("/explorer.js", assets.script), ("/explorer.css", assets.style)):
        connection.request("GET", path)
        assert connection.getresponse().read() == wanted
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=20)
    assert process.returncode == 130
    assert [*filter(None, told.splitlines())] == ["note  the explorer is at this address until Ctrl-C", "interrupted"]
