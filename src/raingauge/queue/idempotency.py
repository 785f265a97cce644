"""Idempotency keys of the last 24 hours: what a client sent before is acknowledged and not queued again.

Only a keyed hash is kept, because clients may build their keys from things that can be guessed. The id of the message
is also the time at which the key was seen.
"""

from __future__ import annotations

import hashlib
import sqlite3
from typing import Final

import msgspec

from raingauge.queue import Message
from raingauge.queue.schema import number

REMEMBERED_US: Final = 24 * 3600 * 1_000_000


class SeenKeys:
    """Statements, each part of the transaction that is open."""

    def __init__(self, db: sqlite3.Connection, secret: bytes) -> None:
        self._db = db
        self._secret = secret

    def find(self, message: Message, now: int) -> int:
        """The id under which the same customer and intake sent this key, or 0; `now` in microseconds since 1970."""
        query = "SELECT max(message_id) FROM idempotency WHERE key_hash = ? AND message_id > ?"
        return number(self._db, query, (self._hash(message), now - REMEMBERED_US))

    def note(self, message: Message, message_id: int) -> None:
        self._db.execute("INSERT OR REPLACE INTO idempotency VALUES (?, ?)", (self._hash(message), message_id))

    def forget(self, now: int) -> None:
        self._db.execute("DELETE FROM idempotency WHERE message_id <= ?", (now - REMEMBERED_US,))

    def _hash(self, message: Message) -> bytes:
        parts = msgspec.json.encode((message.customer, message.intake, message.idempotency_key))
        return hashlib.blake2b(parts, key=self._secret, digest_size=32).digest()
