"""The HTTP server of the one server process: uvicorn, with bounds it does not have by itself.

Why uvicorn: docs/decisions/0002-http-server.md.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import re
import resource
import signal
import socket
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, cast

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from raingauge.edge.ports import ASGIApp, Event, Receive, Scope, Send

HEAD_MAX_BYTES: Final = 64 * 1024
HEAD_SECONDS: Final = 15.0
KEEP_ALIVE_SECONDS: Final = 75.0
"""Longer than the pools of usual clients keep a connection, so that they close it and never meet a closed one."""

_UPGRADE: Final = re.compile(rb"\r\nupgrade:", re.IGNORECASE)

FINISH_SECONDS: Final = 3
"""How long a stop waits for requests in flight."""


def serve(app: ASGIApp, listener: socket.socket, url: str) -> int:
    """Serve on a listening socket until SIGTERM, then finish requests and run the application's shutdown.

    Returns the exit code; raises SystemExit(3) when the application's start-up fails. Prints the address when ready.
    """
    _allow_many_files()
    # Its warnings are about clients that do not speak HTTP: their mistake, and anybody can make it all day.
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
    config = uvicorn.Config(
        _with_reported_start(app),
        http=BoundedProtocol,
        ws="none",
        lifespan="on",
        loop="uvloop",
        interface="asgi3",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=int(KEEP_ALIVE_SECONDS),
        timeout_graceful_shutdown=FINISH_SECONDS,
    )
    _Server(config, url).run([listener])
    return 0


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, url: str) -> None:
        super().__init__(config)
        self._url = url

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            # What is loaded by now stays: looking through it again and again costs requests some milliseconds each time.
            gc.collect()
            gc.freeze()
            sys.stdout.write(f"Listening on {self._url}\n")
            sys.stdout.flush()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        # Unlike uvicorn's own, this does not raise the signal again at the end: a stop on request is a success.
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, self._stop)
        yield

    def _stop(self) -> None:
        self.should_exit = True


class BoundedProtocol(HttpToolsProtocol):
    """Closes connections whose request head is too long or too slow; uvicorn itself would wait and grow.

    Offers of another protocol are hidden from the parser, which would drop the body of such a request.
    """

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._in_head = self._before_body = True
        self._head_bytes = 0
        self._head_timer: asyncio.TimerHandle | None = self.loop.call_later(HEAD_SECONDS, transport.close)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head = True
        self._head_bytes = 0

    def on_headers_complete(self) -> None:
        self._in_head = self._before_body = False
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._before_body = True
        super().on_message_complete()

    def data_received(self, data: bytes) -> None:
        if self._before_body and b"pgrade:" in data:
            data = without_upgrade(data)
        super().data_received(data)
        # A head that came in one piece, the usual case, is already over here and cost nothing.
        if not self._in_head:
            self._stop_timer()
            return
        self._head_bytes += len(data)
        if self._head_bytes > HEAD_MAX_BYTES and not self.transport.is_closing():
            self.send_400_response("The request head is too long.")
        elif self._head_timer is None:
            self._head_timer = self.loop.call_later(HEAD_SECONDS, self.transport.close)

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        super().connection_lost(exc)

    def _stop_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None


def without_upgrade(data: bytes) -> bytes:
    """A request head whose `Upgrade` fields have a name that means nothing.

    A server may ignore an upgrade that a client offers (RFC 9110, section 7.8); Java's HTTP client offers HTTP/2 with
    its first POST.
    """
    head, end, rest = data.partition(b"\r\n\r\n")
    return _UPGRADE.sub(rb"\r\nX-Not-Upgraded:", head) + end + rest


def _with_reported_start(app: ASGIApp) -> ASGIApp:
    """Say on standard error why a start-up failed: a person waits for it, and no client's data is in it yet."""

    async def reporting(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            await app(scope, receive, send)
            return

        started = False

        async def report(event: Event) -> None:
            nonlocal started
            started = started or event["type"] == "lifespan.startup.complete"
            if event["type"] == "lifespan.startup.failed":
                lines = cast(str, event.get("message", "")).strip().splitlines()
                sys.stderr.write(f"raingauge: the start failed: {lines[-1] if lines else 'no reason given'}\n")
            await send(event)

        try:
            await app(scope, receive, report)
        except Exception:
            if not started:
                traceback.print_exc()
            raise

    return reporting


def _allow_many_files() -> None:
    """Every connection is a file, and the usual soft limit is 1,024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
