"""The page over HTTP on loopback: three files, strict headers, and nobody else's host name.

A browser sends any page's requests to a loopback address too, under a host name of that page's choice. Only requests
that name this server itself are answered.
"""

from __future__ import annotations

import contextlib
import socket
import webbrowser
from collections.abc import Callable
from threading import Timer
from typing import Any

from orbitope.errors import InputError
from orbitope.explorer.page import SCRIPT, STYLE, Assets
from orbitope.explorer.standalone import content_policy

try:
    import uvicorn
    from starlette.applications import Starlette
    from starlette.datastructures import Headers, MutableHeaders
    from starlette.middleware import Middleware
    from starlette.requests import Request
    from starlette.responses import PlainTextResponse, Response
    from starlette.routing import Route
    from starlette.types import ASGIApp, Message, Receive, Scope, Send
except ImportError as error:
    raise InputError(
        f"the explorer's server needs {error.name or 'Starlette and uvicorn'}, which is not installed",
        why="they are an extra: everything else works without a server",
        fix='pip install "orbitope[explore]", or write the page to a file with --export explorer.html',
    ) from error

LOOPBACK = "127.0.0.1"

HEADERS = {
    "content-security-policy": content_policy("'self'", "'self'") + "; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "cache-control": "no-store",
}
"""Of every answer, refusals included."""


def application(assets: Assets, port: int) -> Starlette:
    """The page's server.

    Args:
        assets: what it hands out.
        port: where it will listen; requests have to name it.
    """
    kinds = {"/": (assets.page, "text/html"), f"/{SCRIPT}": (assets.script, "text/javascript")}
    kinds[f"/{STYLE}"] = (assets.style, "text/css")
    routes = [Route(path, _handing_out(body, kind), methods=["GET"]) for path, (body, kind) in kinds.items()]
    hosts = frozenset({f"{LOOPBACK}:{port}", f"localhost:{port}"})
    handlers: dict[Any, Any] = {404: _refusal("There is no such page here.", 404)}
    handlers[405] = _refusal("This server only hands out its page.", 405)
    made = Starlette(routes=routes, middleware=[Middleware(Guard, hosts=hosts)], exception_handlers=handlers)
    made.router.redirect_slashes = False
    return made


def _handing_out(body: bytes, kind: str) -> Callable[[Request], Response]:
    return lambda _request: Response(body, media_type=kind)


def _refusal(sentence: str, status: int) -> Callable[[Request, Exception], Response]:
    return lambda _request, _error: PlainTextResponse(sentence + "\n", status)


class Guard:
    """Refuses requests that name another host or come from another origin, and puts the headers on every answer."""

    def __init__(self, app: ASGIApp, hosts: frozenset[str]) -> None:
        """Take the application and the hosts that it answers to, with their port."""
        self.app, self.hosts = app, hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        headers = Headers(scope=scope)
        answer = self.app
        if headers.getlist("host") != [headers.get("host", "")] or headers["host"].lower() not in self.hosts:
            answer = PlainTextResponse("This server answers only under its own address on this machine.\n", 400)
        elif not all(origin in {f"http://{host}" for host in self.hosts} for origin in headers.getlist("origin")):
            answer = PlainTextResponse("This server answers no requests of other pages.\n", 400)
        await answer(scope, receive, sending)


def bind(port: int) -> socket.socket:
    """A socket that listens on loopback.

    Args:
        port: which, or 0 for any that is free.

    Raises:
        InputError: the port is taken or not allowed.
    """
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((LOOPBACK, port))
        # Listening at once: a browser that comes before the loop runs waits instead of being turned away.
        listener.listen(128)
    except OSError as error:
        listener.close()
        raise InputError(
            f"cannot listen on port {port} of {LOOPBACK}",
            got=error.strerror or str(error),
            fix="leave --port out: a free one is then taken",
        ) from error
    return listener


def serve(assets: Assets, listener: socket.socket, browse: bool) -> None:
    """Hand out the page until interrupted.

    Args:
        assets: the page.
        listener: a socket from :func:`bind`.
        browse: whether to open the page in the user's browser.

    Raises:
        KeyboardInterrupt: that is how it ends.
    """
    port = listener.getsockname()[1]
    config = uvicorn.Config(
        application(assets, port),
        log_config=None,
        access_log=False,
        server_header=False,
        lifespan="off",
        ws="none",
        timeout_graceful_shutdown=1,
    )
    if browse:
        opening = Timer(0.3, _open, [f"http://{LOOPBACK}:{port}/"])
        opening.daemon = True
        opening.start()
    with contextlib.closing(listener):
        uvicorn.Server(config).run(sockets=[listener])


def _open(address: str) -> None:
    """Where there is no browser, the address that was printed has to do."""
    with contextlib.suppress(webbrowser.Error, OSError):
        webbrowser.open(address)
