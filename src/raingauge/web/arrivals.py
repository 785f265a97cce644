"""`GET /api/arrivals`: how much of each contract the caller's clients sent, and when it came."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Annotated, Final, Literal

import msgspec
from litestar import get
from litestar.di import NamedDependency
from litestar.handlers import HTTPRouteHandler
from litestar.params import QueryParameter

from raingauge.contract import Contract, Facts, Page, Window

_STARTS: Final = {
    "minute": "toStartOfMinute(received_at)",
    "hour": "toStartOfHour(received_at)",
    "day": "toStartOfDay(received_at)",
}
_LONGEST: Final = (("minute", timedelta(hours=6)), ("hour", timedelta(days=4)))


class Arrived(msgspec.Struct, frozen=True):
    """Items of one contract that were stored and arrived in the step that begins at `at`; the last of them `last_at`."""

    at: datetime
    contract: str
    title: str
    items: int
    last_at: datetime


class _Sum(msgspec.Struct, frozen=True):
    at: datetime
    contract: str
    items: int
    last_at: datetime


def handler(contracts: Sequence[Contract]) -> HTTPRouteHandler:
    """The route over the tables that hold one row per item."""
    titles = {contract.name: contract.title for contract in contracts}
    counted = [(contract.name, table.name) for contract in contracts for table in contract.tables if table.counts]

    @get("/api/arrivals", summary="What arrived, by contract", tags=["operation"])
    async def read_arrivals(
        facts: NamedDependency[Facts],
        window: NamedDependency[Window],
        step: Annotated[
            Literal["auto", "minute", "hour", "day"], QueryParameter(description="Time between two points.")
        ] = "auto",
    ) -> Page[list[Arrived]]:
        """Stored items by contract and time of arrival."""
        start = _STARTS[step if step != "auto" else _step_for(window)]
        parts = " UNION ALL ".join(
            f"SELECT {start} AS at, '{name}' AS contract, count() AS items, max(received_at) AS last_at FROM {table}"  # noqa: S608 - our own names
            " WHERE customer = {customer:String} AND message_id >= toUnixTimestamp64Micro({since:DateTime64(6)})"
            " AND message_id < toUnixTimestamp64Micro({until:DateTime64(6)}) GROUP BY at"
            for name, table in counted
        )
        sql = (
            f"SELECT at, contract, sum(items) AS items, max(last_at) AS last_at FROM ({parts})"  # noqa: S608
            " GROUP BY at, contract ORDER BY at, contract LIMIT {limit:UInt32}"
        )
        page = await facts.page(window, sql, _Sum)
        rows = [Arrived(row.at, row.contract, titles[row.contract], row.items, row.last_at) for row in page.data]
        return Page(rows, page.meta)

    return read_arrivals


def _step_for(window: Window) -> str:
    span = window.until - window.since
    return next((step for step, longest in _LONGEST if span <= longest), "day")
