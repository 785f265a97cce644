"""The durable queue between the edge and the pipeline: the interface, whatever it is built on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple, Protocol, TypeAlias

import msgspec

from raingauge.contract import Outcome, Reason


class Message(msgspec.Struct, frozen=True, gc=False):
    """A request as it arrived: `body` still carries `content_encoding` ("", "gzip", "deflate" or "zstd").

    `intake` is `Intake.name`. An `idempotency_key` that the same customer and intake sent before within 24 hours
    makes the message a duplicate: it is acknowledged to the client and not queued again.
    """

    intake: str
    customer: str
    body: bytes
    content_type: str = ""
    content_encoding: str = ""
    token_label: str = ""
    idempotency_key: str = ""


class Leased(msgspec.Struct, frozen=True, gc=False):
    """A queued message in the hands of the pipeline; `tries` counts the leases before this one."""

    message_id: int
    message: Message
    tries: int


class Appended(NamedTuple):
    """The message's id, and False when its idempotency key had been seen."""

    message_id: int
    new: bool


class Tally(NamedTuple):
    """What the accounting counts by. `reason` is empty for received, stored and plain duplicates."""

    contract: str
    outcome: Outcome
    reason: str = ""


Counts: TypeAlias = Mapping[Tally, int]


@dataclass(frozen=True, slots=True)
class Failure:
    """Why one try failed; `detail` names a place, never content."""

    at: datetime
    reason: Reason
    detail: str


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message that could not be decoded or stored."""

    message_id: int
    intake: str
    customer: str
    size_bytes: int
    received_at: datetime
    expires_at: datetime
    failures: tuple[Failure, ...]


@dataclass(frozen=True, slots=True)
class Depth:
    """What is waiting. `oldest_at` is None when nothing is; leased messages count as waiting."""

    messages: int
    size_bytes: int
    oldest_at: datetime | None
    dead_letters: int
    by_contract: Mapping[str, int]


class Queue(Protocol):
    """Safe to call from any thread. Errors of the disk surface as OSError or sqlite3.Error."""

    def full(self) -> bool:
        """Whether a byte or age limit is reached. Cheap: asked before a body is read."""
        ...

    def append(self, message: Message, done: Callable[[Appended | BaseException], None]) -> None:
        """Commit and sync a message, then call `done` from the writer's thread.

        `done` gets Refused(QUEUE_FULL) when a limit is reached and the error when the disk fails. A message that is
        refused without being written has `done` called at once, before `append` returns.
        """
        ...

    def lease(self, max_messages: int, max_bytes: int) -> list[Leased]:
        """The oldest waiting messages that are due, oldest first; none of them is leased again until `retry`.

        At least one when anything is due, however large. Leases end with the process.
        """
        ...

    def wait(self, timeout_seconds: float) -> bool:
        """Block until something is due or the time is over; whether something is due."""
        ...

    def acknowledge(self, message_ids: Sequence[int], counts: Counts) -> Future[None]:
        """Remove messages and add to the accounting in one transaction."""
        ...

    def retry(self, message_id: int, reason: Reason, detail: str) -> Future[bool]:
        """Note a failed try: the message is due again after a back-off, or dead-lettered after the last try.

        True when it was dead-lettered; it then counts as one received and one quarantined item.
        """
        ...

    def release(self, message_ids: Sequence[int]) -> None:
        """Give leases back after a failure that was not the messages' own: no try counts, due again in a second.

        Ids that are not leased are ignored.
        """
        ...

    @property
    def last_id(self) -> int:
        """The newest id ever given."""
        ...

    def depth(self) -> Depth: ...

    def accounting(self) -> dict[Tally, int]:
        """Everything ever counted, since the data directory was made."""
        ...

    def dead_letters(self, limit: int = 1000) -> list[DeadLetter]:
        """Newest first."""
        ...

    def dead_letter_body(self, message_id: int) -> bytes | None:
        """The decoded-from-its-encoding body of a dead letter, for a person with access to the machine."""
        ...

    def retry_dead_letters(self, message_ids: Sequence[int] | None) -> int:
        """Queue dead letters again with fresh tries (None: all); how many. Their quarantine count is taken back."""
        ...

    def purge_dead_letters(self, message_ids: Sequence[int] | None) -> int:
        """Delete dead letters for good (None: all); how many."""
        ...

    def housekeep(self) -> None:
        """Expire dead letters, forget old idempotency keys, rotate and destroy data keys. Called every minute."""
        ...

    def drained(self, message_id: int) -> bool:
        """Whether no message up to this id is waiting any more (dead letters do not wait)."""
        ...

    def close(self) -> None: ...
