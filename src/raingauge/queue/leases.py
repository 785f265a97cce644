"""Which waiting message is in whose hands. All of it is memory, so leases and back-off end with the process.

    fresh ──────lease──────▶ held ──acknowledge──▶ gone
    (id > cursor)            ▲  │
                             │  └──retry──▶ later ──back-off over──▶ ready ┐
                             └─────────────────────lease───────────────────┘ ◀── taken back from the dead letters

Fresh messages are found by a cursor: ids ascend in the order of commits, so whatever lies above it was never leased
by this process. The others are few and known by id.

A message that kills the whole process must not be tried for ever, but a synced write per lease would cost as much as
an append. So the held ids are written to a small file that is never synced: it survives the death of the process
(the page cache keeps it) and needs not survive a power cut, which is no message's fault. At the next start:

    one id in the file   ▶ it was alone when the process died: that counts as a crash of this message (recovery.py)
    several ids          ▶ any of them may be it: no try counts

Either way they are suspects: leased before all others, an eighth of them at a time, and each part has to be done
before anything else is leased. So every crash leaves fewer suspects until the killer is alone, and a kill that no
message is to blame for costs eight small leases. Its neighbours are stored in between.
"""

from __future__ import annotations

import heapq
import os
import sqlite3
import struct
import time
from collections.abc import Callable, Generator, Iterable
from contextlib import closing, suppress
from pathlib import Path
from threading import Condition, Lock
from typing import Final, NamedTuple

from raingauge.queue.schema import COLUMNS, Row

FILE: Final = "queue.leases"
_BY_ID: Final = f"SELECT {COLUMNS} FROM messages WHERE id = ?"  # noqa: S608 - a constant list of columns
# Rows that were taken back from the dead letters are known by id; the cursor must not find them a second time.
_FRESH: Final = f"SELECT {COLUMNS} FROM messages WHERE id > ? AND waiting_since = id ORDER BY id"  # noqa: S608


class Marker:
    """The file of held ids: a count and so many 8-byte integers."""

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def read(self) -> list[int]:
        content = os.pread(self._descriptor, os.fstat(self._descriptor).st_size, 0)
        numbers = [number for (number,) in struct.iter_unpack("<q", content[: len(content) // 8 * 8])]
        return numbers[1 : 1 + max(numbers[0], 0)] if numbers else []

    def write(self, ids: Iterable[int]) -> None:
        content = list(ids)
        # Losing it costs a crash-looping message some more crashes; a full disk must not stop the leases.
        with suppress(OSError):
            os.pwrite(self._descriptor, struct.pack(f"<{1 + len(content)}q", len(content), *content), 0)

    def close(self) -> None:
        os.close(self._descriptor)


class Held(NamedTuple):
    """What has to be known of a leased message to count it out again."""

    intake: str
    stored_bytes: int


class Leases:
    """Safe from any thread. `fresh` is how many messages wait besides the `suspects` and those `taken_back`."""

    def __init__(
        self,
        reader: sqlite3.Connection,
        marker: Marker,
        monotonic: Callable[[], float],
        *,
        fresh: int,
        suspects: Iterable[int],
        taken_back: Iterable[int],
    ) -> None:
        self._reader = reader
        self._marker = marker
        self._monotonic = monotonic
        self._leasing = Lock()  # one lease at a time; guards the reader and the cursor
        self._changed = Condition()  # guards all below; never held while the database is read
        self._cursor = 0
        self._fresh = fresh
        self._suspects = sorted(suspects)
        self._once_suspected = frozenset(self._suspects)
        self._part = max(1, len(self._suspects) // 8)
        self._isolated: frozenset[int] = frozenset()  # the suspects leased last
        self._ready = set(taken_back) - self._once_suspected
        self._later: list[tuple[float, int]] = []
        self._held: dict[int, Held] = {}
        self._closed = False

    def lease(self, max_messages: int, max_bytes: int) -> list[Row]:
        """The oldest rows that are due, at least one if any is; `max_bytes` counts bodies as they came."""
        with self._leasing:
            with self._changed:
                if self._closed or not self._due():
                    return []
                suspects = self._suspects[: self._part]
                known = suspects or heapq.nsmallest(max_messages, self._ready)
            with closing(self._rows(known, fresh=not suspects)) as rows:
                taken = _fitting(rows, max_messages, max_bytes)
            with self._changed:
                if suspects:
                    self._isolated = frozenset(row.id for row in taken)
                    del self._suspects[: len(taken)]
                self._hold(taken)
                self._marker.write(self._held)
        return taken

    def wait(self, timeout_seconds: float) -> bool:
        """Block until something is due, the time is over, or `close`; whether something is due."""
        deadline = time.monotonic() + timeout_seconds
        with self._changed:
            while not self._closed and not self._due():
                rest = deadline - time.monotonic()
                if rest <= 0:
                    return False
                if self._later:
                    rest = min(rest, max(self._later[0][0] - self._monotonic(), 0.001))
                self._changed.wait(rest)
            return not self._closed

    def held(self, message_id: int) -> Held:
        """Raises ValueError when nobody leased that message."""
        try:
            return self._held[message_id]
        except KeyError:
            raise ValueError(f"message {message_id} is not leased") from None

    def arrived(self, messages: int) -> None:
        """New messages were committed."""
        with self._changed:
            self._fresh += messages
            self._changed.notify_all()

    def taken_back(self, message_ids: Iterable[int]) -> None:
        """Dead letters were queued again."""
        with self._changed:
            self._ready.update(message_ids)
            self._changed.notify_all()

    def gone(self, message_ids: Iterable[int]) -> None:
        """Held messages have left the queue."""
        with self._changed:
            self._release(message_ids)

    def back_off(self, message_id: int, seconds: float) -> None:
        """A held message waits again, but not before so many seconds are over."""
        with self._changed:
            heapq.heappush(self._later, (self._monotonic() + seconds, message_id))
            self._release((message_id,))

    def give_back(self, message_ids: Iterable[int], seconds: float) -> None:
        """Those that are still held wait again, but not before so many seconds are over."""
        with self._changed:
            returned = [message_id for message_id in message_ids if message_id in self._held]
            for message_id in returned:
                heapq.heappush(self._later, (self._monotonic() + seconds, message_id))
            self._release(returned)

    def close(self) -> None:
        """A stop in good order leaves no suspects behind."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        with self._leasing:
            self._marker.write(())
            self._marker.close()
            self._reader.close()

    def _due(self) -> bool:
        """Whether a lease now would give something."""
        if not self._isolated.isdisjoint(self._held):
            return False
        now = self._monotonic()
        while self._later and self._later[0][0] <= now:
            self._ready.add(heapq.heappop(self._later)[1])
        return bool(self._suspects or self._ready) or self._fresh > 0

    def _rows(self, known: Iterable[int], *, fresh: bool) -> Generator[Row, None, None]:
        for message_id in known:
            yield Row(*self._reader.execute(_BY_ID, (message_id,)).fetchone())
        if fresh:
            # Closed with the generator: an open read would keep checkpoints from getting on.
            with closing(self._reader.execute(_FRESH, (self._cursor,))) as found:
                for row in map(Row._make, found):
                    if row.id not in self._once_suspected:
                        yield row

    def _hold(self, rows: Iterable[Row]) -> None:
        for row in rows:
            if row.id in self._ready:
                self._ready.remove(row.id)
            elif row.id not in self._isolated:
                self._cursor = row.id
                self._fresh -= 1
            self._held[row.id] = Held(row.intake, len(row.payload))

    def _release(self, message_ids: Iterable[int]) -> None:
        for message_id in message_ids:
            del self._held[message_id]
        self._marker.write(self._held)
        self._changed.notify_all()


def _fitting(rows: Iterable[Row], max_messages: int, max_bytes: int) -> list[Row]:
    taken: list[Row] = []
    total_bytes = 0
    for row in rows:
        total_bytes += row.body_bytes
        if taken and total_bytes > max_bytes:
            break
        taken.append(row)
        if len(taken) >= max_messages:
            break
    return taken
