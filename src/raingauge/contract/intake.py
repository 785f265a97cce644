"""The receive side: a route, what is refused on it, and what a body is decoded into."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol, TypeAlias

import msgspec

from raingauge.errors import Reason, Refused
from raingauge.settings import Settings


class Head(msgspec.Struct, frozen=True):
    """A request without its body. Header names are lower case; the path has no `/k/<token>` in front."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]

    @property
    def media_type(self) -> str:
        """The Content-Type in lower case without its parameters, or the empty string."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()


class Answer(msgspec.Struct, frozen=True):
    """A whole HTTP response. The server adds Content-Length and the headers that every answer carries."""

    status: int
    body: bytes = b""
    headers: Sequence[tuple[str, str]] = ()


class Dialect(Protocol):
    """How one contract says yes and no on its ingest routes."""

    def accepted(self, head: Head, body: bytes) -> Answer:
        """The 2xx, sent after the message is on disk. `body` is decompressed."""
        ...

    def refused(self, head: Head, refusal: Refused) -> Answer:
        """The error. The server adds Retry-After from `refusal.retry_after_seconds`."""
        ...


class Received(msgspec.Struct, frozen=True):
    """What is known about a queued message besides its bytes.

    `message_id` is the time of arrival in microseconds since 1970, made unique and ascending by the queue; it
    stays below 2^53, so a JSON reader keeps it exact. `received_at` is the same time as an aware UTC datetime.
    `token_label` names the credential that sent it. `identity_key` is 32 secret bytes of this installation, for
    keyed hashes of people. `settings` are the server's.
    """

    message_id: int
    customer: str
    content_type: str = ""
    token_label: str = ""
    idempotency_key: str = ""
    identity_key: bytes = b""
    settings: Settings = msgspec.field(default_factory=Settings)

    @property
    def received_at(self) -> datetime:
        return datetime.fromtimestamp(self.message_id // 1_000_000, UTC) + timedelta(
            microseconds=self.message_id % 1_000_000
        )


@dataclass(frozen=True, slots=True)
class Reject:
    """An item that is counted but not stored.

    `position` is the item's index in its message; `field` names the offending member of the wire format, never
    its value. `quarantined` marks items that were accepted from the sender but found unusable.
    """

    reason: Reason
    position: int
    field: str = ""
    quarantined: bool = False


@dataclass(frozen=True, slots=True)
class Person:
    """A readable name for a keyed hash; kept only in the encrypted people table."""

    key: str
    name: str


@dataclass(slots=True)
class Decoded:
    """What one message became.

    `rows` maps a table's name to tuples `(position, *values in the order of Table.columns)`. `items` is how many
    items the message carried; each of them is either one row in a table with `counts` or one reject.
    """

    items: int = 0
    rows: dict[str, list[tuple[Any, ...]]] = field(default_factory=dict)
    rejects: list[Reject] = field(default_factory=list)
    people: list[Person] = field(default_factory=list)


Check: TypeAlias = Callable[[Head, bytes], None]
"""The cheap look at a body before it is queued; raises Refused."""

Decode: TypeAlias = Callable[[bytes, Received], Decoded]
"""Pure: no clock, no disk, no socket. Raises Undecodable when the whole message is unusable."""


@dataclass(frozen=True, slots=True)
class Intake:
    """One ingest route.

    `name` is written into the queue (`loopgain.aggregate`): never rename it. `admit` runs before the body is read
    and before the credential is looked at; it may raise Refused. `public` intakes need no credential: their rows
    belong to `public_customer` whatever is presented, or if that is empty to the customer of the credential, else to
    the setting `RAINGAUGE_PUBLIC_CUSTOMER`, else they are refused with 401. `body_max_bytes` narrows the server's own cap.
    `daily_cap` gives the most messages a customer of this tier may send in 24 hours, or None; `daily_table` names the
    table in which a start counts what the last 24 hours brought.
    `preflight` False hands OPTIONS to `admit` like any other method.
    `lost_answer_seconds` is for clients that retry without an identity: when a client went away before its answer
    was sent, the same body of the same credential within this time is answered but not queued again.
    `retry_after_max_seconds` is for clients that give a message up when they are asked to wait longer.
    `example` is a small valid JSON body: the API documentation shows it and `raingauge doctor` sends it around.
    `grpc_method` names the unary method (`/package.Service/Method`) that takes the same message in protobuf; the body
    of the accepted answer, in the dialect's protobuf, is then the response message.
    """

    name: str
    path: str
    check: Check
    decode: Decode
    dialect: Dialect
    methods: tuple[str, ...] = ("POST",)
    admit: Callable[[Head], None] | None = None
    public: bool = False
    public_customer: str = ""
    body_max_bytes: int | None = None
    daily_cap: Callable[[str], int | None] | None = None
    daily_table: str = ""
    preflight: bool = True
    lost_answer_seconds: float = 0.0
    retry_after_max_seconds: int | None = None
    example: bytes = b""
    grpc_method: str = ""
