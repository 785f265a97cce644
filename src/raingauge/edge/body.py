"""Reading a request body within its bounds of size, time and memory."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from raingauge.edge.ports import Receive
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
        parts: list[bytes] = []
        try:
            async with asyncio.timeout(self._timeout_seconds):
                await self._collect(receive, max_bytes, parts)
        except BaseException as error:
            self.release(sum(map(len, parts)))
            if isinstance(error, TimeoutError):
                raise Refused(Reason.SLOW_BODY, "The body did not arrive in time.") from None
            raise
        return parts[0] if len(parts) == 1 else b"".join(parts)

    async def _collect(self, receive: Receive, max_bytes: int, parts: list[bytes]) -> None:
        size_bytes = 0
        more = True
        while more:
            event = await receive()
            if event["type"] == "http.disconnect":
                raise Gone
            part = event.get("body", b"")
            more = event.get("more_body", False)
            size_bytes += len(part)
            if size_bytes > max_bytes:
                raise _too_large()
            if part:
                self._hold(len(part))
                parts.append(part)

    def _hold(self, size_bytes: int) -> None:
        if self._held_bytes + size_bytes > self._memory_bytes:
            raise Refused(Reason.QUEUE_FULL, "Too many bodies are being received.")
        self._held_bytes += size_bytes

    def release(self, size_bytes: int) -> None:
        """Give back the memory of a body that `read` returned."""
        self._held_bytes -= size_bytes


def _too_large() -> Refused:
    return Refused(Reason.PAYLOAD_TOO_LARGE, "The body is larger than this server takes.")
