"""What the edge needs of its surroundings."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from datetime import datetime
from typing import Any, Protocol, TypeAlias

from raingauge.auth.credential import Credential
from raingauge.queue import Appended, Message

# As in the ASGI specification: https://asgi.readthedocs.io/en/latest/specs/main.html
Scope: TypeAlias = MutableMapping[str, Any]
Event: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Event]]
Send: TypeAlias = Callable[[Event], Awaitable[None]]
ASGIApp: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]

Headers: TypeAlias = list[tuple[bytes, bytes]]
"""Response headers as ASGI wants them, names in lower case."""


Reply: TypeAlias = Callable[[int, Headers, bytes], None]
"""Sends a whole answer: status, headers, body."""


class Inbox(Protocol):
    """The end of the queue that messages go into; see `raingauge.queue.Queue`."""

    def full(self) -> bool: ...
    def append(self, message: Message, done: Callable[[Appended | BaseException], None], /) -> None: ...


class Directory(Protocol):
    """The credentials, in memory. Called on the event loop, so it must not wait for anything."""

    def find(self, token: str) -> Credential | None:
        """The credential of a token that is known, not revoked and not expired."""
        ...

    def touch(self, credential: Credential, at: datetime) -> None:
        """Note that a credential was used."""
        ...

    def customer_exists(self, customer_id: str) -> bool: ...


class Visitors(Protocol):
    """Those who call the API without a token."""

    async def identify(
        self, jwt: str | None, method: str, scheme: str, headers: Mapping[str, str], /
    ) -> Credential | None:
        """The caller behind a JWT or a cookie; raises Refused for one that must not be let in."""
        ...
