"""One customer's facts over the store of a test, as handlers see them."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from datetime import datetime
from typing import Any

import pyarrow as pa

from raingauge.contract import Facts, KeptT, Meta, Page, Parts, Settings, Window
from raingauge.store.store import Store


class ReadFacts(Facts):
    """`now` is the time of every read; `people` are the readable names of keyed hashes."""

    tier = ""

    def __init__(self, store: Store, customer: str, now: datetime, people: Mapping[str, str] | None = None) -> None:
        self._store = store
        self._people = people or {}
        self.customer = customer
        self.now = now
        self.settings = Settings()

    async def rows(self, sql: str, row: type[Any], /, **parameters: object) -> list[Any]:
        return self._store.reader.rows(sql, {**parameters, "customer": self.customer}, row).rows

    async def page(self, window: Window, sql: str, row: type[Any], /, **parameters: object) -> Page[list[Any]]:
        return Page(await self.rows(sql, row, **(_bound(window) | parameters)), self._meta(window))

    def rolled(self, table: str) -> str:
        return self._store.reader.rolled(table)

    def parts(self, table: str) -> Parts:
        return self._store.reader.parts(table)

    async def columns(
        self, window: Window, statements: Mapping[str, str], /, **parameters: object
    ) -> Page[dict[str, pa.Table]]:
        values = _bound(window) | parameters | {"customer": self.customer}
        found = {name: self._store.reader.columns(sql, values) for name, sql in statements.items()}
        return Page(found, self._meta(window))

    async def newer(self, parts: Parts, select: str) -> list[pa.Table]:
        return list(self._store.reader.newer.rows(parts, select, self.customer))

    async def derived(
        self,
        window: Window,
        statements: Mapping[str, str],
        make: Callable[[dict[str, pa.Table]], KeptT],
        name: Hashable,
        /,
        **parameters: object,
    ) -> Page[KeptT]:
        values = _bound(window) | parameters | {"customer": self.customer}
        return Page(self._store.reader.derived(statements, values, make, name), self._meta(window))

    async def names(self, keys: Sequence[str]) -> dict[str, str]:
        return {key: self._people[key] for key in keys if key in self._people}

    async def erase(self, table: str) -> int:
        return self._store.writer.erase(table, self.customer)

    def _meta(self, window: Window) -> Meta:
        return Meta(str(window.since), str(window.until), str(self.now), 0, 0.0)


def _bound(window: Window) -> dict[str, object]:
    first, last = window.days
    return {
        "since": window.since, "until": window.until, "since_day": first, "until_day": last, "limit": window.limit,
    }  # fmt: skip
