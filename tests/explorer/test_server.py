"""The server answers its own page to its own address, and nothing else to anybody."""

from __future__ import annotations

import http.client
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from orbitope.errors import InputError
from orbitope.explorer import Assets
from orbitope.explorer.server import HEADERS, bind

PAGE = Assets(b"<!doctype html><p>page</p>", b"export {};", b"p { color: red }")

PROGRAM = f"""
from orbitope.explorer import Assets
from orbitope.explorer.server import bind, serve
listener = bind(0)
print(listener.getsockname()[1], flush=True)
serve({PAGE!r}, listener, browse=False)
"""


@dataclass
class Server:
    process: subprocess.Popen[str]
    port: int

    def ask(self, path: str, method: str = "GET", **headers: str) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        connection.putrequest(method, path, skip_host=True)
        for name, value in {"host": f"127.0.0.1:{self.port}", **headers}.items():
            for each in value.split("|"):
                connection.putheader(name, each.format(port=self.port))
        connection.endheaders()
        answer = connection.getresponse()
        body = answer.read()
        connection.close()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, body


def start() -> Server:
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    return Server(process, int(process.stdout.readline()))


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    made = start()
    yield made
    made.process.kill()
    made.process.communicate()


@pytest.mark.parametrize(
    ("path", "kind", "body"),
    [
        ("/", "text/html; charset=utf-8", PAGE.page),
        ("/explorer.js", "text/javascript; charset=utf-8", PAGE.script),
        ("/explorer.css", "text/css; charset=utf-8", PAGE.style),
    ],
)
def test_it_hands_out_the_page(server, path, kind, body):
    status, headers, found = server.ask(path)
    assert (status, headers["content-type"], found) == (200, kind, body)
    assert {name: headers[name] for name in HEADERS} == HEADERS
    assert "server" not in headers
    assert server.ask(path, "HEAD")[0::2] == (200, b"")


def test_the_policy_allows_nothing_from_elsewhere(server):
    policy = dict(part.split(" ", 1) for part in server.ask("/")[1]["content-security-policy"].split("; "))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == "'self'"
    assert not re.search(r"unsafe|\*|http", " ".join(policy.values()))
    assert {"base-uri", "form-action", "frame-ancestors"} <= policy.keys()


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:{port}",
        "127.0.0.1",
        "127.0.0.1:1",
        "localhost.evil.example:{port}",
        "127.0.0.1:{port}.evil.example",
        "evil.example@127.0.0.1:{port}",
        "",
        "127.0.0.1:{port}|evil.example",
        "127.0.0.1:{port}, evil.example",
    ],
)
def test_another_host_is_refused_in_one_sentence(server, host):
    status, headers, body = server.ask("/", host=host)
    assert status == 400
    # Two hosts are refused before they come here, by the parser of HTTP.
    if "|" not in host:
        assert body == b"This server answers only under its own address on this machine.\n"
        assert {name: headers[name] for name in HEADERS} == HEADERS


@pytest.mark.parametrize("host", ["localhost:{port}", "LocalHost:{port}", "127.0.0.1:{port}"])
def test_its_own_names_are_answered(server, host):
    assert server.ask("/", host=host)[0] == 200


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "https://127.0.0.1:{port}", "http://127.0.0.1:1"])
def test_another_origin_is_refused(server, origin):
    assert server.ask("/", origin=origin)[::2] == (400, b"This server answers no requests of other pages.\n")
    assert server.ask("/", origin="http://127.0.0.1:{port}")[0] == 200


@pytest.mark.parametrize("path", ["/nothing", "/assets/", "/../server.py", "/..%2fserver.py", "//", "/explorer.js/"])
def test_there_is_nothing_else(server, path):
    status, headers, body = server.ask(path)
    assert (status, body) == (404, b"There is no such page here.\n")
    assert {name: headers[name] for name in HEADERS} == HEADERS


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
def test_it_takes_nothing(server, method):
    assert server.ask("/", method)[::2] == (405, b"This server only hands out its page.\n")


def test_it_listens_on_loopback_only(server):
    with socket.socket() as elsewhere:
        # Taken on 127.0.0.1 alone, the port is free on another loopback address.
        elsewhere.bind(("127.0.0.2", server.port))


def test_a_taken_port_is_one_clear_error(server):
    with pytest.raises(InputError, match=f"cannot listen on port {server.port} of 127.0.0.1"):
        bind(server.port)


def test_an_interrupt_ends_it_at_once_with_a_connection_open():
    made = start()
    assert made.ask("/")[0] == 200
    with socket.create_connection(("127.0.0.1", made.port)):
        made.process.send_signal(signal.SIGINT)
        _, told = made.process.communicate(timeout=20)
    assert made.process.returncode != 0
    assert told.rstrip().endswith("KeyboardInterrupt")
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", made.port))
