"""Messages that wait to be passed on, in an SQLite file of their own per contract.

    pipeline: stored ─▶ put ─▶ acknowledged in the queue           take ─▶ delivery ─▶ settle (delete · count)
                         │                                           ▲         └─▶ later ─┐
                         └─▶ waiting [ id │ message_id, … │ payload ]┴────────────────────┘

A message is put before the queue lets go of it, so none is missed; after a crash between the two it is put again,
which its id makes harmless as long as it waits. One that was delivered in that moment is delivered twice, with the same
Idempotency-Key.

Payloads are sealed like the queue's, under keys of their own that are destroyed once nothing needs them. Bounded in
bytes and in age: the oldest make room for the newest and are counted as dropped.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Final, NamedTuple

import structlog

from raingauge.errors import DataDirectoryError
from raingauge.files import make_private
from raingauge.queue import Leased, Message
from raingauge.queue.envelope import Sealer, Unreadable, unseal
from raingauge.queue.keys import Keyring
from raingauge.vault import Vault

FILE: Final = "outbox.db"
DIRECTORY: Final = "outbox"

_TABLES: Final = """
CREATE TABLE IF NOT EXISTS waiting (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    message_id INTEGER NOT NULL UNIQUE,
    due_at INTEGER NOT NULL,         -- microseconds since 1970
    put_at INTEGER NOT NULL,
    key_name INTEGER NOT NULL,
    intake TEXT NOT NULL,
    customer TEXT NOT NULL,
    content_type TEXT NOT NULL,
    content_encoding TEXT NOT NULL,
    token_label TEXT NOT NULL,
    payload BLOB NOT NULL            -- see queue/envelope.py
);
CREATE INDEX IF NOT EXISTS waiting_due_at ON waiting (due_at);
CREATE TABLE IF NOT EXISTS settled (outcome TEXT PRIMARY KEY, messages INTEGER NOT NULL) WITHOUT ROWID;
"""

_log = structlog.get_logger(__name__)


class Settled(StrEnum):
    """Where a message of the outbox ended. Values are API text."""

    DELIVERED = "delivered"
    DELIVERED_TO_FALLBACK = "delivered_to_fallback"
    REFUSED = "refused"  # every destination answered with an error that repeating cannot change
    DROPPED = "dropped"  # too many bytes waited
    EXPIRED = "expired"  # it waited too long
    UNREADABLE = "unreadable"  # its key or its row is damaged


class Waiting(NamedTuple):
    """A message in the hands of a delivery."""

    id: int
    message_id: int
    message: Message


@dataclass(frozen=True, slots=True)
class Level:
    """What waits, and how many messages ever ended how."""

    messages: int
    size_bytes: int
    oldest_at: datetime | None
    settled: dict[Settled, int]


class Outbox:
    """Safe from any thread. Made by `open`."""

    def __init__(
        self, db: sqlite3.Connection, keys: Keyring, max_bytes: int, max_age_seconds: float, clock: Callable[[], float]
    ) -> None:
        self._db = db
        self._keys = keys
        self._max_bytes = max_bytes
        self._max_age_us = int(max_age_seconds * 1_000_000)
        self._clock = clock
        self._sealer = Sealer()
        self._changed = threading.Condition()  # guards everything
        self._held: set[int] = set()
        self._closed = False
        (last,) = db.execute("SELECT max(seq) FROM sqlite_sequence").fetchone()
        self._last_id = max(last or 0, keys.last_name)
        (self._size_bytes,) = db.execute("SELECT coalesce(sum(length(payload)), 0) FROM waiting").fetchone()
        db.execute("UPDATE waiting SET due_at = 0")

    @classmethod
    def open(
        cls,
        directory: Path,
        vault: Vault,
        *,
        max_bytes: int,
        max_age_seconds: float,
        key_seconds: float,
        clock: Callable[[], float] = time.time,
    ) -> Outbox:
        """The outbox in `directory`, which is made (0700). Raises DataDirectoryError when its file is damaged."""
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = directory / FILE
        try:
            make_private(path)
            db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            db.executescript("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA secure_delete = FAST;")
            db.executescript(_TABLES)
            keys = Keyring(directory, vault, key_seconds, time.monotonic)
            return cls(db, keys, max_bytes, max_age_seconds, clock)
        except (OSError, sqlite3.Error) as error:
            raise DataDirectoryError(
                f"{path} cannot be opened ({error}). Move it away to start with an empty outbox: messages that wait "
                "in it are then not passed on; what was stored here is not touched."
            ) from error

    def put(self, messages: Sequence[Leased]) -> None:
        """Keep messages to be passed on; when this returns they are on disk. Those that wait already stay as they are."""
        if not messages:
            return
        with self._changed:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                added_bytes = sum(self._insert(leased) for leased in messages)
                dropped_bytes = self._make_room(self._size_bytes + added_bytes)
                self._db.execute("COMMIT")
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._size_bytes += added_bytes - dropped_bytes
            self._changed.notify_all()

    def _insert(self, leased: Leased) -> int:
        # An id is used up even when the transaction fails: it is the nonce of what may have reached the disk.
        self._last_id += 1
        key_name, key = self._keys.sealing(self._last_id)
        message = leased.message
        payload = self._sealer.seal(key, self._last_id, message)
        now = self._now()
        inserted = self._db.execute(
            "INSERT OR IGNORE INTO waiting VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                self._last_id, leased.message_id, now, now, key_name, message.intake, message.customer,
                message.content_type, message.content_encoding, message.token_label, payload,
            ),
        )  # fmt: skip
        return len(payload) if inserted.rowcount else 0

    def _make_room(self, size_bytes: int) -> int:
        """Delete the oldest until the rest is within the bound; how many bytes went."""
        dropped: list[int] = []
        dropped_bytes = 0
        rows = self._db.execute("SELECT id, length(payload) FROM waiting ORDER BY id")
        while size_bytes - dropped_bytes > self._max_bytes:
            row_id, row_bytes = rows.fetchone()
            dropped.append(row_id)
            dropped_bytes += row_bytes
        rows.close()
        if dropped:
            self._db.executemany("DELETE FROM waiting WHERE id = ?", [(one,) for one in dropped])
            self._count(Settled.DROPPED, len(dropped))
            _log.warning("the outbox is full", action="forward.dropped", messages=len(dropped))
        return dropped_bytes

    def take(self, timeout_seconds: float) -> Waiting | None:
        """The message that is due longest and in nobody else's hands; None when there is none in time."""
        with self._changed:
            if (found := self._next()) is None:
                self._changed.wait(timeout_seconds)
                found = self._next()
            return found

    def _next(self) -> Waiting | None:
        if self._closed:
            return None
        rows = self._db.execute(
            "SELECT id, message_id, key_name, intake, customer, payload, content_type, content_encoding, token_label "
            "FROM waiting WHERE due_at <= ? ORDER BY due_at, id",
            (self._now(),),
        )
        for row_id, message_id, key_name, *columns in rows:
            if row_id in self._held:
                continue
            try:
                message = unseal(self._keys.get(key_name), row_id, Message(*columns))
            except Unreadable:
                self._delete(row_id, Settled.UNREADABLE)
                continue
            self._held.add(row_id)
            rows.close()
            return Waiting(row_id, message_id, message)
        return None

    def settle(self, waiting: Waiting, how: Settled) -> None:
        """A delivery ended for good."""
        with self._changed:
            self._held.discard(waiting.id)
            if not self._closed:
                self._delete(waiting.id, how)

    def later(self, waiting: Waiting, seconds: float) -> None:
        """A delivery failed; the message is due again after a while."""
        with self._changed:
            self._held.discard(waiting.id)
            if not self._closed:
                due_at = self._now() + int(seconds * 1_000_000)
                self._db.execute("UPDATE waiting SET due_at = ? WHERE id = ?", (due_at, waiting.id))

    def _delete(self, row_id: int, how: Settled) -> None:
        self._remove("id = ?", (row_id,), how)

    def _remove(self, where: str, values: tuple[object, ...], how: Settled | None) -> int:
        """Delete rows and count them; how many there were."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            (messages, size_bytes) = self._db.execute(
                f"SELECT count(*), coalesce(sum(length(payload)), 0) FROM waiting WHERE {where}",  # noqa: S608 - ours
                values,
            ).fetchone()
            if messages:
                self._db.execute(f"DELETE FROM waiting WHERE {where}", values)  # noqa: S608 - ours
                if how:
                    self._count(how, messages)
            self._db.execute("COMMIT")
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._size_bytes -= size_bytes
        return int(messages)

    def _count(self, how: Settled, messages: int) -> None:
        self._db.execute(
            "INSERT INTO settled VALUES (?, ?) ON CONFLICT (outcome) DO UPDATE SET messages = messages + excluded.messages",
            (how, messages),
        )

    def erase(self, customer: str) -> None:
        """Forget what waits of a customer."""
        with self._changed:
            self._remove("customer = ?", (customer,), None)

    def level(self) -> Level:
        """What waits now."""
        with self._changed:
            messages, oldest = self._db.execute("SELECT count(*), min(put_at) FROM waiting").fetchone()
            settled = dict(self._db.execute("SELECT outcome, messages FROM settled"))
            return Level(
                messages,
                self._size_bytes,
                datetime.fromtimestamp(oldest / 1_000_000, UTC) if oldest else None,
                {how: settled.get(how, 0) for how in Settled},
            )

    def housekeep(self) -> None:
        """Expire what waited too long, destroy keys that nothing needs any more. Called every minute."""
        with self._changed:
            self._remove("put_at < ?", (self._now() - self._max_age_us,), Settled.EXPIRED)
            self._keys.destroy_unused(self._needed)

    def _needed(self, first: int, end: int) -> bool:
        (found,) = self._db.execute(
            "SELECT EXISTS (SELECT 1 FROM waiting WHERE id >= ? AND id < ?)", (first, end)
        ).fetchone()
        return bool(found)

    def _now(self) -> int:
        return int(self._clock() * 1_000_000)

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._db.close()
            self._changed.notify_all()
