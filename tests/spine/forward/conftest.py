"""A backend that answers as told, and an outbox with a clock that is set by hand."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from raingauge.forward.outbox import Outbox
from raingauge.queue import Leased, Message
from raingauge.vault import Vault

KEY = b"k" * 32


@dataclass
class Backend:
    """A real HTTP server. `answers` are used up one by one: (status, headers); then 200."""

    answers: list[tuple[int, dict[str, str]]] = field(default_factory=list)
    received: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)
    url: str = ""


@pytest.fixture
def backends() -> Iterator[Callable[..., Backend]]:
    """Makes backends."""
    servers: list[ThreadingHTTPServer] = []

    def make(*answers: tuple[int, dict[str, str]]) -> Backend:
        backend = Backend(list(answers))
        lock = threading.Lock()

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                with lock:
                    headers = {name.lower(): value for name, value in self.headers.items()}
                    backend.received.append((self.path, headers, body))
                    status, extra = backend.answers.pop(0) if backend.answers else (200, {})
                self.send_response(status)
                for name, value in {**extra, "Content-Length": "0"}.items():
                    self.send_header(name, value)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
                """Nothing."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        servers.append(server)
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        backend.url = f"http://127.0.0.1:{server.server_address[1]}"
        return backend

    yield make
    for server in servers:
        server.shutdown()
        server.server_close()


class Clock:
    """Seconds since 1970, moved by hand."""

    def __init__(self) -> None:
        self.now = 1_790_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def open_outbox(tmp_path: Path, clock: Clock) -> Iterator[Callable[..., Outbox]]:
    """Opens the outbox of one directory, again and again; the last one is closed in the end."""
    opened: list[Outbox] = []

    def make(max_bytes: int = 1_000_000, max_age_seconds: float = 3600.0) -> Outbox:
        if opened:
            opened.pop().close()
        outbox = Outbox.open(
            tmp_path / "outbox",
            Vault(KEY),
            max_bytes=max_bytes,
            max_age_seconds=max_age_seconds,
            key_seconds=3600.0,
            clock=clock,
        )
        opened.append(outbox)
        return outbox

    yield make
    for outbox in opened:
        outbox.close()


def leased(message_id: int, body: bytes = b"body", customer: str = "cust_1", encoding: str = "gzip") -> Leased:
    """A message as the pipeline hands it over. With an encoding its size on disk is that of the body."""
    message = Message("flags.write", customer, body, "application/x-protobuf", encoding, "label")
    return Leased(message_id, message, 0)
