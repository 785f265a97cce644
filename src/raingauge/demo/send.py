"""Posting requests: a few at once over kept connections, and with patience when the server asks for it."""

from __future__ import annotations

import json
import secrets
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from http.client import HTTPConnection, HTTPException
from queue import Queue
from typing import Any, Final
from urllib.parse import urlsplit

from raingauge.demo.wire import Request
from raingauge.errors import RaingaugeError

AT_ONCE: Final = 8
_TIMEOUT_SECONDS: Final = 30.0
_PAUSE_SECONDS: Final = 0.5
_BUSY: Final = frozenset({429, 503})


class Unwelcome(RaingaugeError):
    """The server refused what the demo sent. The message names the route and the status."""


class Client:
    """One connection to the server, for one thread. `tokens` maps the labels of senders to their tokens.

    The standard library's client: thousands of small requests leave no time for a comfortable one, which needs five
    times as much for each.
    """

    def __init__(self, url: str, tokens: Mapping[str, str]) -> None:
        self._tokens = tokens
        self._connection = HTTPConnection(urlsplit(url).netloc, timeout=_TIMEOUT_SECONDS)

    def get(self, path: str, sender: str) -> tuple[int, Any]:
        """The status and the JSON of an answer."""
        headers = {"Authorization": f"Bearer {self._tokens[sender]}"}
        status, body, _ = self._ask("GET", path, None, headers)
        return status, json.loads(body)

    def post(self, request: Request) -> None:
        """Post until it is accepted. Raises Unwelcome for an answer that will not change."""
        token = self._tokens[request.sender]
        # A request whose answer was lost is sent again, and must not count again.
        headers = {"Content-Type": request.content_type, "Idempotency-Key": secrets.token_hex(8)}
        path = request.path
        if request.credential == "path":
            path = f"/k/{token}{path}"
        else:
            headers["Authorization"] = f"{request.credential} {token}"
        if request.encoding:
            headers["Content-Encoding"] = request.encoding
        while True:
            status, body, retry_after = self._ask("POST", path, request.body, headers)
            if 200 <= status < 300:
                return
            if status not in _BUSY:
                raise Unwelcome(f"POST {request.path}: {status} {body[:200].decode(errors='replace')}")
            time.sleep(float(retry_after or _PAUSE_SECONDS))

    def _ask(self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]) -> tuple[int, bytes, str]:
        """Status, body and Retry-After; asks again for as long as there is no answer at all."""
        while True:
            try:
                self._connection.request(method, path, body, headers)
                answer = self._connection.getresponse()
                return answer.status, answer.read(), answer.headers.get("Retry-After", "")
            except (HTTPException, OSError):
                self._connection.close()
                time.sleep(_PAUSE_SECONDS)


def post_all(client: Callable[[], Client], requests: Iterable[Request], sent: Callable[[Request], None]) -> None:
    """Post many requests, some at once and in no exact order, each thread with a client of its own.

    `sent` hears in the calling thread of each that was handed out. Raises Unwelcome.
    """
    waiting: Queue[Request | None] = Queue(2 * AT_ONCE)
    refused: list[Unwelcome] = []
    # Daemons: whoever is told to leave does not wait for answers.
    threads = [threading.Thread(target=_work, args=(client(), waiting, refused), daemon=True) for _ in range(AT_ONCE)]
    for thread in threads:
        thread.start()
    for request in requests:
        if refused:
            break
        waiting.put(request)
        sent(request)
    for _ in threads:
        waiting.put(None)
    for thread in threads:
        thread.join()
    if refused:
        raise refused[0]


def _work(client: Client, waiting: Queue[Request | None], refused: list[Unwelcome]) -> None:
    """Post what waits until there is a None; after a refusal only take it away, so that nobody waits for room."""
    while (request := waiting.get()) is not None:
        try:
            if not refused:
                client.post(request)
        except Unwelcome as error:
            refused.append(error)
