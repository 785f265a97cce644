"""The new messages of one group: written with few statements, told to their senders after the commit.

Every statement hands Python's lock to another thread and has to wait for it again, which costs more than the statement
itself as soon as the server is busy. So rows are gathered and written together.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import chain
from typing import Final, NamedTuple

from raingauge.queue import Appended
from raingauge.queue.schema import COLUMNS, Row

STATEMENT_MAX_ROWS: Final = 1024
"""SQLite takes 32,766 values in one statement; a row has twelve."""


class Inserted(NamedTuple):
    """A new message, the weight it had in the handover, and who waits for it."""

    row: Row
    handover_bytes: int
    done: Callable[[Appended | BaseException], None]


class Inserts:
    """Belongs to the writer's thread. `add` and `write` are part of an open transaction."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self._added: list[Inserted] = []
        self._written = 0

    def add(self, inserted: Inserted) -> None:
        self._added.append(inserted)

    def write(self) -> None:
        """Write the rows that were added since the last call; before anything that reads the table."""
        while waiting := len(self._added) - self._written:
            # Powers of two, so that a handful of prepared statements is enough for groups of every size.
            rows = min(1 << (waiting.bit_length() - 1), STATEMENT_MAX_ROWS)
            part = self._added[self._written : self._written + rows]
            self._db.execute(_insert(rows), list(chain.from_iterable(one.row for one in part)))
            self._written += rows

    def take(self) -> Sequence[Inserted]:
        """All that were added; the next group begins."""
        added, self._added, self._written = self._added, [], 0
        return added


@lru_cache
def _insert(rows: int) -> str:
    values = f"(?{', ?' * COLUMNS.count(',')})"
    return f"INSERT INTO messages ({COLUMNS}) VALUES {', '.join([values] * rows)}"  # noqa: S608 - only constants
