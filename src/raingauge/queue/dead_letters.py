"""Failed tries and what becomes of a message after the last one: the statements, each part of an open transaction.

messages ──tries used up, or unreadable──▶ dead_letters ──DEAD_LETTER_DAYS or purge──▶ gone, still counted
▲                                          │
└────── taken back: fresh tries, ──────────┘
count taken back too
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from datetime import timedelta

import msgspec

from raingauge.queue import DeadLetter, Failure, accounts
from raingauge.queue.levels import at, contract_of
from raingauge.queue.schema import COLUMNS, Row

# Statements below are put together from constant lists of columns.
# ruff: noqa: S608

_failures = msgspec.json.Decoder(tuple[Failure, ...])


def note_failure(db: sqlite3.Connection, message_id: int, failure: Failure, *, tries: int, now: int) -> int:
    """Add a failed try to a waiting message and move it to the dead letters when it had `tries` of them.

    How many tries are left, 0 when it was moved. `now` in microseconds since 1970.
    """
    statement = "SELECT intake, tries, failures FROM messages WHERE id = ?"
    intake, tried, failures = db.execute(statement, (message_id,)).fetchone()
    history = msgspec.json.encode((*_failures.decode(failures), failure)).decode()
    changed = (tried + 1, history, message_id)
    db.execute("UPDATE messages SET tries = ?, failures = ? WHERE id = ?", changed)
    tries_left: int = max(tries - tried - 1, 0)
    if tries_left:
        return tries_left
    db.execute(
        f"INSERT INTO dead_letters (died_at, reason, {COLUMNS}) SELECT ?, ?, {COLUMNS} FROM messages WHERE id = ?",
        (now, failure.reason, message_id),
    )
    db.execute("DELETE FROM messages WHERE id = ?", (message_id,))
    accounts.add(db, accounts.quarantined(contract_of(intake), failure.reason))
    return 0


def take_back(db: sqlite3.Connection, message_ids: Sequence[int] | None, now: int) -> list[tuple[int, str, int]]:
    """Queue dead letters again (None: all); their id, intake and stored size."""
    taken = [
        row
        for message_id in _chosen(db, message_ids)
        for row in db.execute(
            "SELECT id, intake, length(payload), reason FROM dead_letters WHERE id = ?", (message_id,)
        )
    ]
    for message_id, intake, _size, reason in taken:
        db.execute(
            f"INSERT INTO messages ({COLUMNS}) SELECT {COLUMNS} FROM dead_letters WHERE id = ?",
            (message_id,),
        )
        db.execute("UPDATE messages SET tries = 0, waiting_since = ? WHERE id = ?", (now, message_id))
        db.execute("DELETE FROM dead_letters WHERE id = ?", (message_id,))
        accounts.add(db, accounts.quarantined(contract_of(intake), reason, -1))
    return [(message_id, intake, size) for message_id, intake, size, _reason in taken]


def purge(db: sqlite3.Connection, message_ids: Sequence[int] | None) -> int:
    """Delete dead letters (None: all); how many."""
    chosen = [(message_id,) for message_id in _chosen(db, message_ids)]
    return db.executemany("DELETE FROM dead_letters WHERE id = ?", chosen).rowcount if chosen else 0


def expire(db: sqlite3.Connection, died_before: int) -> int:
    """Delete dead letters that died before that time in microseconds since 1970; how many."""
    return db.execute("DELETE FROM dead_letters WHERE died_at <= ?", (died_before,)).rowcount


def newest(db: sqlite3.Connection, limit: int, days: float) -> list[DeadLetter]:
    rows = db.execute(
        "SELECT id, intake, customer, body_bytes, died_at, failures FROM dead_letters "
        "ORDER BY died_at DESC, id DESC LIMIT ?",
        (limit,),
    )
    return [
        DeadLetter(
            message_id=message_id,
            intake=intake,
            customer=customer,
            size_bytes=body_bytes,
            received_at=at(message_id),
            expires_at=at(died_at) + timedelta(days=days),
            failures=_failures.decode(failures),
        )
        for message_id, intake, customer, body_bytes, died_at, failures in rows
    ]


def find(db: sqlite3.Connection, message_id: int) -> Row | None:
    row = db.execute(f"SELECT {COLUMNS} FROM dead_letters WHERE id = ?", (message_id,)).fetchone()
    return Row(*row) if row else None


def _chosen(db: sqlite3.Connection, message_ids: Sequence[int] | None) -> Iterable[int]:
    if message_ids is None:
        return [message_id for (message_id,) in db.execute("SELECT id FROM dead_letters ORDER BY id")]
    return sorted(set(message_ids))
