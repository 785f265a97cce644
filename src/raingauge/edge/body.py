"""Reading a request body within its bounds of size, time and memory."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from raingauge.edge.ports import Event, Receive
from raingauge.errors import Reason, Refused


class Gone(Exception):
    """The client closed the connection before its body was complete."""


def check_declared_size(headers: Mapping[str, str], max_bytes: int) -> None:
    """Refuse by the Content-Length, before anything is read; a chunked body has none.

    Raises Refused(PAYLOAD_TOO_LARGE) when it is larger than `max_bytes` or not a length at all.
    """
    text = headers.get("content-length", "0")
    if not (text.isascii() and text.isdigit()) or len(text) > 15 or int(text) > max_bytes:
        raise _too_large()


def check_size(size_bytes: int, max_bytes: int) -> None:
    """Refuse a body that turned out too large. Raises Refused(PAYLOAD_TOO_LARGE)."""
    if size_bytes > max_bytes:
        raise _too_large()


def at_hand(receive: Receive) -> Event | None:
    """What the server can tell at once; None when that would mean to wait.

    Asking takes nothing away as long as `receive` waits before it takes, as uvicorn's does. It saves a timer or a
    task for what is usually decided already.
    """
    asking = cast(Coroutine[Any, Any, Event], receive())
    try:
        asking.send(None)
    except StopIteration as told:
        return cast(Event, told.value)
    asking.close()
    return None


def is_gone(receive: Receive) -> bool:
    """Whether the client is known to have closed the connection; only after its body was read."""
    while (event := at_hand(receive)) is not None:
        if event["type"] == "http.disconnect":
            return True
    return False


@dataclass(slots=True)
class _Body:
    """What came so far."""

    max_bytes: int
    parts: list[bytes] = field(default_factory=list)
    size_bytes: int = 0


class Bodies:
    """Reads bodies; all that are being read or checked share one bound of memory."""

    def __init__(self, timeout_seconds: float, memory_bytes: int) -> None:
        self._timeout_seconds = timeout_seconds
        self._memory_bytes = memory_bytes
        self._held_bytes = 0

    async def read(self, receive: Receive, max_bytes: int) -> bytes:
        """The whole body as sent; `release` gives its memory back.

        Raises Refused(PAYLOAD_TOO_LARGE, SLOW_BODY or QUEUE_FULL), and Gone when the client went away.
        """
        body = _Body(max_bytes)
        try:
            # A small body comes with its head: no clock needs to run for it.
            event = at_hand(receive)
            if event is None or self._goes_on(body, event):
                async with asyncio.timeout(self._timeout_seconds):
                    while self._goes_on(body, await receive()):
                        pass
        except BaseException as error:
            self.release(sum(map(len, body.parts)))
            if isinstance(error, TimeoutError):
                raise Refused(Reason.SLOW_BODY, "The body did not arrive in time.") from None
            raise
        return body.parts[0] if len(body.parts) == 1 else b"".join(body.parts)

    def _goes_on(self, body: _Body, event: Event) -> bool:
        """Take a part of the body; whether there is more."""
        if event["type"] == "http.disconnect":
            raise Gone
        part = event.get("body", b"")
        body.size_bytes += len(part)
        check_size(body.size_bytes, body.max_bytes)
        if part:
            self.hold(len(part))
            body.parts.append(part)
        return bool(event.get("more_body", False))

    def hold(self, size_bytes: int) -> None:
        """Take memory for a part of a body. Raises Refused(QUEUE_FULL) when too much is held already."""
        if self._held_bytes + size_bytes > self._memory_bytes:
            raise Refused(Reason.QUEUE_FULL, "Too many bodies are being received.")
        self._held_bytes += size_bytes

    def release(self, size_bytes: int) -> None:
        """Give back the memory of a body that `read` returned or that was held."""
        self._held_bytes -= size_bytes


def _too_large() -> Refused:
    return Refused(Reason.PAYLOAD_TOO_LARGE, "The body is larger than this server takes.")
