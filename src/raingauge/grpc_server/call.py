"""One gRPC call, seen as a request with a body."""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import unquote

import grpc

from raingauge.edge.ports import Event, Scope


class Call:
    """The single message of a call, for the receiver to read like any other body.

    The handler is registered as one that reads a stream, which on the wire is the same: so the message is not read
    before its sender has shown a credential, and `reads` bounds how many are read at the same time.
    """

    def __init__(self, context: Any, reads: asyncio.Semaphore) -> None:
        self._context = context
        self._reads = reads
        self._reading: asyncio.Task[bytes | None] | None = None
        self._read = False
        self._left = asyncio.Event()

    @property
    def headers(self) -> dict[str, str]:
        """The metadata as headers; those that tell of the body are ours, because gRPC has read it by then."""
        told = {key: value for key, value in self._context.invocation_metadata() if isinstance(value, str)}
        ours = {"content-type": "application/x-protobuf", "content-encoding": "", "content-length": "0"}
        return {**told, **ours}

    @property
    def scope(self) -> Scope:
        """Who called, as much as `Addresses` needs to know."""
        kind, _, address = self._context.peer().partition(":")
        host = unquote(address.rpartition(":")[0]).strip("[]") if kind in ("ipv4", "ipv6") else ""
        headers = [(key.encode(), value.encode("latin-1")) for key, value in self.headers.items()]
        return {"client": (host, 0), "headers": headers}

    def leave(self) -> None:
        """The client is gone."""
        self._left.set()

    async def receive(self) -> Event:
        """The message, and after it nothing until the client is gone."""
        if not self._read and not self._left.is_set():
            if self._reading is None:
                self._reading = asyncio.ensure_future(self._message())
            # Whoever waits here may give up; the read goes on, because a message that was read and thrown away is lost.
            await asyncio.wait([self._reading])
            self._read = True
            message = self._reading.result()
            if message is not None:
                return {"type": "http.request", "body": message, "more_body": False}
            self._left.set()
        await self._left.wait()
        return {"type": "http.disconnect"}

    async def _message(self) -> bytes | None:
        """The message; None when the call ended without one, or with one that is too large for gRPC."""
        async with self._reads:
            try:
                message = await self._context.read()
            except grpc.RpcError:
                return None
        return message if isinstance(message, bytes) else None
