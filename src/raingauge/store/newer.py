"""What rollups would hold of facts that are newer than their sums, kept in memory until these are summed up as well.

    insert ──▶ one statement per rollup that was asked for lately ──▶ rows kept ◀── reads, without a statement

Each fact is looked at once. A read that asks for the first time in a while looks at all newer facts; from then on they
are looked at as they come, before they are said to be stored. That is done only on top of what is kept, and waits for
nobody: what it leaves out is looked at by the next read.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Mapping
from typing import Final, NamedTuple, TypeAlias

import pyarrow as pa

from raingauge.contract import Parts
from raingauge.errors import QueryError
from raingauge.rollup.windows import Windows
from raingauge.store.remembered import Remembered

WATCHED_SECONDS: Final = 60.0
"""How long newer facts are looked at as they come, after somebody asked."""

KEPT_UP_MAX: Final = 8
"""Statements after one insert; what is left is looked at when somebody asks."""

TABLES_MAX: Final = 16
"""Results of so many inserts are put together into one: each costs every read a little."""

_LOCKS: Final = 64

Key: TypeAlias = tuple[str, str, str]
"""Rollup, what is selected, customer."""


class _Rows(NamedTuple):
    """What inserts up to a number hold besides the sums."""

    since: str
    deletions: int
    up_to: int = 0
    tables: tuple[pa.Table, ...] = ()

    @property
    def nbytes(self) -> int:
        return sum(table.nbytes for table in self.tables)

    def with_more(self, found: pa.Table, up_to: int) -> _Rows:
        tables = (*self.tables, found) if found.num_rows else self.tables
        if len(tables) > TABLES_MAX:
            tables = (pa.concat_tables(tables).combine_chunks(),)
        return self._replace(up_to=up_to, tables=tables)


class Newer:
    """Safe to use from any thread."""

    def __init__(
        self,
        windows: Windows,
        look: Callable[[str, Mapping[str, object], bool], pa.Table],
        remembered: Remembered,
        deletions: Callable[[], int],
    ) -> None:
        """`look` runs a statement with its parameters, and waits for a free reader or raises QueryError."""
        self._windows = windows
        self._look = look
        self._remembered = remembered
        self._deletions = deletions
        # What is looked for by one read is not looked for by others at the same time.
        self._looking = [threading.Lock() for _ in range(_LOCKS)]
        self._asked_at: dict[Key, float] = {}

    def rows(self, parts: Parts, select: str, customer: str) -> tuple[pa.Table, ...]:
        """See `contract.Facts.newer`. Raises QueryError like any read."""
        if not parts.since:
            return ()
        key = parts.table, select, customer
        if parts.newest is None:
            return (self._looked_at(key, parts, 0, wait=True),)
        self._asked_at[key] = time.monotonic()
        with self._lock_of(key):
            known = self._kept(key, parts) or _Rows(parts.since, self._deletions())
            return self._extended(key, known, parts, wait=True).tables

    def keep_up(self, stored: Mapping[str, Collection[str]]) -> None:
        """Look at what was just stored, customers by table, for those who asked lately."""
        now = time.monotonic()
        done = 0
        for key, at in sorted(self._asked_at.copy().items(), key=lambda one: -one[1]):
            table, _, customer = key
            if now - at > WATCHED_SECONDS:
                self._asked_at.pop(key, None)
            elif done < KEPT_UP_MAX and customer in stored.get(self._windows.rollups[table].source, ()):
                done += 1
                self._keep_up(key)

    def _keep_up(self, key: Key) -> None:
        parts = self._windows.parts(key[0])
        lock = self._lock_of(key)
        if not lock.acquire(blocking=False):
            return
        try:
            if known := self._kept(key, parts):
                self._extended(key, known, parts, wait=False)
        except QueryError:
            # Whoever asks next is told.
            self._asked_at.pop(key, None)
        finally:
            lock.release()

    def _lock_of(self, key: Key) -> threading.Lock:
        return self._looking[hash(key) % _LOCKS]

    def _kept(self, key: Key, parts: Parts) -> _Rows | None:
        """What is kept, if it goes with these sums."""
        known: _Rows | None = self._remembered.get(key)
        current = (parts.since, self._deletions())
        return known if known is not None and (known.since, known.deletions) == current else None

    def _extended(self, key: Key, known: _Rows, parts: Parts, *, wait: bool) -> _Rows:
        if parts.newest is not None and parts.newest > known.up_to:
            known = known.with_more(self._looked_at(key, parts, known.up_to, wait=wait), parts.newest)
            self._remembered.put(key, known)
        return known

    def _looked_at(self, key: Key, parts: Parts, after: int, *, wait: bool) -> pa.Table:
        _, select, customer = key
        return self._look(self._windows.newer(parts, select, after), {"customer": customer}, wait)
