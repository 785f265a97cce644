"""What a start finds out from the database: how much waits, and what may have killed the process before."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from typing import Final

from raingauge.errors import Reason
from raingauge.queue import Failure, dead_letters
from raingauge.queue.levels import Levels, at
from raingauge.queue.schema import OLDEST, number
from raingauge.settings import QUEUE_MAX_AGE_SECONDS, QUEUE_MAX_BYTES, Settings

CRASHES: Final = 10
"""How often the process may die with one message in hand before that message is dead-lettered.

More than the tries of a failing decoder: a server may be killed several times in a row for reasons of its own, and
with decoding in worker processes a message can hardly do it.
"""


def suspects(db: sqlite3.Connection, held: Iterable[int], *, now: int) -> list[int]:
    """Messages that were leased when the last process died; one that was alone gets a failed try (see leases.py)."""
    found = "SELECT id FROM messages WHERE id = ?"
    waiting = [message_id for message_id in held if db.execute(found, (message_id,)).fetchone()]
    if len(waiting) != 1:
        return waiting
    failure = Failure(at(now), Reason.DECODER_CRASHED, "the whole process ended while this message was in work")
    db.execute("BEGIN IMMEDIATE")
    tries_left = dead_letters.note_failure(db, waiting[0], failure, tries=CRASHES, now=now)
    db.execute("COMMIT")
    return waiting if tries_left else []


def levels(db: sqlite3.Connection, settings: Settings) -> Levels:
    """Counted once; from then on the writer keeps them."""
    levels = Levels(settings[QUEUE_MAX_BYTES], settings[QUEUE_MAX_AGE_SECONDS])
    for row in db.execute("SELECT intake, sum(length(payload)), count(*) FROM messages GROUP BY intake"):
        levels.add(*row)
    levels.oldest = number(db, OLDEST) or None
    levels.dead_letters = number(db, "SELECT count(*) FROM dead_letters")
    return levels


def taken_back(db: sqlite3.Connection) -> set[int]:
    """Messages that were dead letters once and wait again."""
    return {message_id for (message_id,) in db.execute("SELECT id FROM messages WHERE waiting_since != id")}
