"""`GET /api/analytics/versions`: when each release was first used."""

from __future__ import annotations

from typing import Final

import msgspec
from litestar import get
from litestar.di import NamedDependency

from raingauge.contract import Facts, Page, Window
from raingauge.contracts.analytics.reads.query import FIRST_DAY, statement


class Release(msgspec.Struct, frozen=True):
    """A version of the application and the first UTC day on which an installation reported it."""

    version: str
    first_day: str


_SQL: Final = """
    SELECT app_version AS version, toString(min(day)) AS first_day FROM $activity
    WHERE customer = {customer:String} AND app_version != '' AND day >= {since_day:Date}
    GROUP BY app_version ORDER BY first_day DESC, version LIMIT {limit:UInt32}
"""


@get("/api/analytics/versions", summary="First use of each version")
async def versions(facts: NamedDependency[Facts], window: NamedDependency[Window]) -> Page[list[Release]]:
    """When each version was first used, ever, newest first; the window does not matter."""
    everything = {"since_day": FIRST_DAY, "until_day": facts.now.date()}
    return await facts.page(window, statement(facts, _SQL, names_dimension=True), Release, **everything)
