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
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import chain
from typing import Any, Final, TypeAlias, cast

import uvicorn
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from raingauge import log
from raingauge.edge.ports import ASGIApp, Event, Headers, Receive, Reply, Scope, Send

AnswerWhole: TypeAlias = Callable[[Scope, bytes, Callable[[], bool], Reply], bool]
"""An application's short way for requests that came in one piece; see `Edge.answer_whole`."""

HEAD_MAX_BYTES: Final = 64 * 1024
HEAD_SECONDS: Final = 15.0
KEEP_ALIVE_SECONDS: Final = 75.0
"""Longer than the pools of usual clients keep a connection, so that they close it and never meet a closed one."""

_UPGRADE: Final = re.compile(rb"\r\nupgrade:", re.IGNORECASE)

NEW_OBJECTS: Final = 20_000
"""How many objects may be made before cycles are looked for. Requests make next to none; the usual 700 are two dozen."""

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
        http=cast(type[asyncio.Protocol], partial(BoundedProtocol, getattr(app, "answer_whole", None))),
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
    log.flush()
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
            gc.set_threshold(NEW_OBJECTS)
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

    A POST that came in one piece is offered to `answer_whole` first: that costs no task and no event. Offers of another
    protocol are hidden from the parser, which would drop the body of such a request.
    """

    def __init__(self, answer_whole: AnswerWhole | None, *given: Any, **settings: Any) -> None:
        super().__init__(*given, **settings)
        self._answer_whole = answer_whole
        self._body: list[bytes] | None = None  # of a POST that may turn out to be whole

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
        if self._may_be_whole():
            self._body = []
        else:
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        if self._body is None:
            super().on_body(body)
        else:
            self._body.append(body)

    def on_message_complete(self) -> None:
        self._before_body = True
        if self._body is not None:
            if self._answered_whole(b"".join(self._body)):
                self._body = None
                return
            self._go_on()
        super().on_message_complete()

    def data_received(self, data: bytes) -> None:
        if self._before_body and b"pgrade:" in data:
            data = without_upgrade(data)
        super().data_received(data)
        if self._body is not None:
            self._go_on()
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

    def _may_be_whole(self) -> bool:
        """Whether it is worth while to wait for the rest of what was just received."""
        return (
            self._answer_whole is not None
            and self.parser.get_method() == b"POST"
            and b"%" not in self.url
            and (self.cycle is None or self.cycle.response_complete)
            and not self.flow.write_paused
        )

    def _answered_whole(self, body: bytes) -> bool:
        assert self._answer_whole is not None
        path, _, query = self.url.partition(b"?")
        scope = cast(Scope, self.scope)
        scope.update(method="POST", path=path.decode("latin-1"), query_string=query)
        parser = self.parser
        exchange = Exchange(keep_alive=parser.get_http_version() != "1.0" and parser.should_keep_alive())
        before, self.cycle = self.cycle, cast(RequestResponseCycle, exchange)
        if self._answer_whole(scope, body, exchange.is_gone, partial(self._reply, exchange)):
            return True
        self.cycle = before
        return False

    def _reply(self, exchange: Exchange, status: int, headers: Headers, body: bytes) -> None:
        if exchange.disconnected:
            return
        parts = [STATUS_LINE[status]]
        for name, value in chain(self.server_state.default_headers, headers):
            parts += name, b": ", value, b"\r\n"
        if not exchange.keep_alive:
            parts.append(b"connection: close\r\n")
        parts += b"\r\n", body
        self.transport.write(b"".join(parts))
        exchange.response_complete = True
        if not exchange.keep_alive:
            self.transport.close()
        self.on_response_complete()

    def _go_on(self) -> None:
        """Have uvicorn treat the request as any other."""
        parts, self._body = self._body or [], None
        super().on_headers_complete()
        for part in parts:
            super().on_body(part)

    def _stop_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None


class Exchange:
    """What uvicorn's protocol must know of a request that is being answered: the part of its own cycle that it looks at."""

    __slots__ = ("disconnected", "keep_alive", "message_event", "response_complete")

    def __init__(self, *, keep_alive: bool) -> None:
        self.keep_alive = keep_alive
        self.response_complete = False
        self.disconnected = False
        self.message_event = self

    def set(self) -> None:
        """Nobody waits for more of this message."""

    def is_gone(self) -> bool:
        return self.disconnected


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
