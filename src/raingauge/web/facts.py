"""One customer's view of the stored facts: what read handlers get as `facts`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVar

import pyarrow as pa
from prometheus_client import Histogram

from raingauge.auth.credential import Credential
from raingauge.contract import KeptT, Meta, Page, Parts, Window
from raingauge.control.people import People
from raingauge.errors import Reason, Refused
from raingauge.queue import Queue
from raingauge.settings import Settings
from raingauge.store.reader import Reader, Rows
from raingauge.store.writer import Writer

RowT = TypeVar("RowT")

ERASE_WAIT_SECONDS = 5.0
"""How long an erase waits for older messages of the queue to be stored, so that they go too."""


@dataclass(frozen=True, slots=True)
class Services:
    """What reads stand on; built once by the composition root."""

    settings: Settings
    reader: Reader
    writer: Writer
    queue: Queue
    people: People
    executor: Executor
    query_seconds: Histogram
    clock: Callable[[], datetime]

    def fresh_as_of(self) -> datetime:
        """Everything accepted before this moment is visible to reads."""
        return self.queue.depth().oldest_at or self.clock()


class CustomerFacts:
    """The `Facts` of one request."""

    def __init__(self, services: Services, credential: Credential) -> None:
        self._services = services
        self.customer = credential.customer
        self.tier = credential.tier
        self.settings = services.settings
        self.now = services.clock()

    async def rows(self, sql: str, row: type[RowT], /, **parameters: object) -> list[RowT]:
        found, _ = await self._query(sql, row, parameters)
        return found

    async def page(self, window: Window, sql: str, row: type[RowT], /, **parameters: object) -> Page[list[RowT]]:
        started = time.perf_counter()
        fresh = self._services.fresh_as_of()
        found, rows_read = await self._query(sql, row, _of_window(window) | parameters)
        return Page(found, self.meta(window, fresh, rows_read, _elapsed_ms(started)))

    async def columns(
        self, window: Window, statements: Mapping[str, str], /, **parameters: object
    ) -> Page[dict[str, pa.Table]]:
        started = time.perf_counter()
        fresh = self._services.fresh_as_of()
        bound = _of_window(window) | parameters | {"customer": self.customer}
        tables = await asyncio.gather(*(self._read_columns(sql, bound) for sql in statements.values()))
        looked = sum(sum(table["looked"].to_pylist()) for table in tables if "looked" in table.column_names)
        found = dict(zip(statements, tables, strict=True))
        return Page(found, self.meta(window, fresh, looked, _elapsed_ms(started)))

    async def newer(self, parts: Parts, select: str) -> list[pa.Table]:
        def look() -> list[pa.Table]:
            with self._services.query_seconds.time():
                return list(self._services.reader.newer.rows(parts, select, self.customer))

        return await self._in_thread(look)

    async def derived(
        self,
        window: Window,
        statements: Mapping[str, str],
        make: Callable[[dict[str, pa.Table]], KeptT],
        name: Hashable,
        /,
        **parameters: object,
    ) -> Page[KeptT]:
        started = time.perf_counter()
        fresh = self._services.fresh_as_of()
        bound = _of_window(window) | parameters | {"customer": self.customer}

        def derive() -> KeptT:
            with self._services.query_seconds.time():
                return self._services.reader.derived(statements, bound, make, name)

        found = await self._in_thread(derive)
        return Page(found, self.meta(window, fresh, found.looked, _elapsed_ms(started)))

    def meta(self, window: Window, fresh: datetime, rows_read: int, elapsed_ms: float) -> Meta:
        return Meta(_iso(window.since), _iso(window.until), _iso(fresh), rows_read, elapsed_ms)

    def rolled(self, table: str) -> str:
        return self._services.reader.rolled(table)

    def parts(self, table: str) -> Parts:
        return self._services.reader.parts(table)

    async def names(self, keys: Sequence[str]) -> dict[str, str]:
        people = self._services.people
        return await self._in_thread(lambda: people.names(self.customer, keys))

    async def erase(self, table: str) -> int:
        await self._stored_up_to_now()
        writer = self._services.writer
        return await self._in_thread(lambda: writer.erase(table, self.customer))

    async def _stored_up_to_now(self) -> None:
        """Wait for the messages that are queued now: what was sent before an erase must not reappear after it."""
        now = self._services.clock()
        until = int(now.timestamp() * 1_000_000)
        deadline = time.monotonic() + ERASE_WAIT_SECONDS
        while not self._services.queue.drained(until):
            if time.monotonic() > deadline:
                raise Refused(
                    Reason.QUEUE_FULL, "messages sent earlier are still being stored; ask again", retry_after_seconds=5
                )
            await asyncio.sleep(0.02)

    async def _query(self, sql: str, row: type[RowT], parameters: dict[str, object]) -> Rows[RowT]:
        reader = self._services.reader

        def read() -> Rows[RowT]:
            with self._services.query_seconds.time():
                return reader.rows(sql, {**parameters, "customer": self.customer}, row)

        return await self._in_thread(read)

    async def _read_columns(self, sql: str, parameters: Mapping[str, object]) -> pa.Table:
        def read() -> pa.Table:
            with self._services.query_seconds.time():
                return self._services.reader.columns(sql, parameters)

        return await self._in_thread(read)

    async def _in_thread(self, work: Callable[[], RowT]) -> RowT:
        return await asyncio.get_running_loop().run_in_executor(self._services.executor, work)


def _of_window(window: Window) -> dict[str, object]:
    first, last = window.days
    return {
        "since": window.since, "until": window.until, "since_day": first, "until_day": last, "limit": window.limit,
    }  # fmt: skip


def _elapsed_ms(started: float) -> float:
    return round((time.perf_counter() - started) * 1000, 1)


def _iso(when: datetime) -> str:
    return when.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
