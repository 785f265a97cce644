"""The least that a server does which says 202 only for what is on disk: nothing is checked, sealed, decoded or stored.

It goes the short way of our HTTP server (`answer_whole`), and all bodies that wait are written and synced together. What
it reaches is the most that Raingauge could on this machine.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Final

from raingauge.edge.ports import Headers, Receive, Reply, Scope, Send

HEADERS: Final[Headers] = [(b"content-length", b"0")]


class Application:
    """An ASGI application for POSTs that come in one piece; others end the connection."""

    def __init__(self, file: str) -> None:
        self._file = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self._arrived: list[tuple[bytes, Reply]] = []
        self._waiting: SimpleQueue[list[tuple[bytes, Reply]]] = SimpleQueue()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["type"] == "lifespan"
        self._loop = asyncio.get_running_loop()
        threading.Thread(target=self._write, daemon=True).start()
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})

    def answer_whole(self, scope: Scope, body: bytes, is_gone: Callable[[], bool], reply: Reply) -> bool:
        self._arrived.append((body, reply))
        if len(self._arrived) == 1:
            self._loop.call_soon(self._hand_over)
        return True

    def _hand_over(self) -> None:
        arrived, self._arrived = self._arrived, []
        self._waiting.put(arrived)

    def _write(self) -> None:
        while True:
            group = self._waiting.get()
            try:
                while True:
                    group += self._waiting.get_nowait()
            except Empty:
                pass
            os.write(self._file, b"".join([body for body, _ in group]))
            os.fdatasync(self._file)
            self._loop.call_soon_threadsafe(_answer, [reply for _, reply in group])


def _answer(replies: list[Reply]) -> None:
    for reply in replies:
        reply(202, HEADERS, b"")
