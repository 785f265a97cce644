"""How many different series a customer may bring on one UTC day of arrival.

    row ──▶ stored already? ──yes──▶ passes, it costs nothing new
                 │ no
                 ▼
            series seen on its day of arrival? ──yes──▶ passes
                 │ no                      seen: what the store holds of that day, read once, then kept here
                 ▼
            fewer than the limit? ──yes──▶ passes and is seen from now on
                 │ no
                 ▼
              rejected

The day is that of the message's id, not today: a message that is delivered again meets the series that were stored
on its own day, at least as many as the first time, so what was rejected is rejected again.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Container
from typing import Final, TypeAlias

import pyarrow as pa

from raingauge.contract import Table
from raingauge.settings import Settings
from raingauge.store import schema
from raingauge.store.client import Session

DAY_MICROSECONDS: Final = 86_400_000_000
REMEMBERED_MAX: Final = 1_000_000
"""Series that are kept in memory for all customers together, about 70 MB; the rest is read from the store again."""

_Day: TypeAlias = tuple[str, str, int]
"""Table, customer, day of arrival."""


class SeriesLimits:
    """The series of the days that were looked at last. Used by the writer alone, under its lock."""

    def __init__(self, session: Session, settings: Settings, remembered_max: int = REMEMBERED_MAX) -> None:
        self._session = session
        self._settings = settings
        self._remembered_max = remembered_max
        self._seen: OrderedDict[_Day, set[int]] = OrderedDict()

    def over(self, table: Table, rows: pa.Table, stored: Container[int]) -> list[int]:
        """Indexes of the rows that are over their customer's limit; `stored` holds those of rows that are stored.

        The series of the other rows count as seen from now on: after a failed insert, call `forget`.
        """
        if table.series_limit is None:
            return []
        limit = self._settings[table.series_limit]
        days = [message_id // DAY_MICROSECONDS for message_id in rows["message_id"].to_pylist()]
        rejected: list[int] = []
        current: _Day | None = None
        seen: set[int] = set()
        columns = zip(rows["customer"].to_pylist(), days, rows[table.series].to_pylist(), strict=True)
        for row, (customer, day, series) in enumerate(columns):
            if row in stored:
                continue
            if current != (found := (table.name, customer, day)):
                current, seen = found, self._seen_on(table, found, limit)
            if series not in seen:
                if len(seen) >= limit:
                    rejected.append(row)
                else:
                    seen.add(series)
        self._shrink()
        return rejected

    def forget(self) -> None:
        """Read what is stored anew at the next need."""
        self._seen.clear()

    def _seen_on(self, table: Table, key: _Day, limit: int) -> set[int]:
        if key in self._seen:
            self._seen.move_to_end(key)
            return self._seen[key]
        _, customer, day = key
        # A row's insert has a higher number than its message, and inserts are found by their index.
        found = self._session.rows(
            f"SELECT DISTINCT {schema.name(table.series)} FROM {schema.name(table.name)}"
            " WHERE customer = {customer:String} AND batch >= {start:UInt64}"
            " AND message_id >= {start:UInt64} AND message_id < {end:UInt64} LIMIT {limit:UInt64}",
            {
                "customer": customer,
                "start": day * DAY_MICROSECONDS,
                "end": (day + 1) * DAY_MICROSECONDS,
                "limit": limit,
            },
        )
        self._seen[key] = {series for (series,) in found}
        return self._seen[key]

    def _shrink(self) -> None:
        remembered = sum(map(len, self._seen.values()))
        while remembered > self._remembered_max and len(self._seen) > 1:
            _, oldest = self._seen.popitem(last=False)
            remembered -= len(oldest)
