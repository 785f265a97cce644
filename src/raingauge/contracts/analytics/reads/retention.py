"""`GET /api/analytics/retention`: who comes back, by the week in which they were first seen."""

from __future__ import annotations

from typing import Final

import msgspec
from litestar import get
from litestar.di import NamedDependency

from raingauge.contract import Facts, Page, Window
from raingauge.contracts.analytics.reads.query import FILTERS, FIRST_DAY, Filters, View, bound, users


class Cohort(msgspec.Struct, frozen=True):
    """`active` of the `size` installations first seen in the week of `cohort` were active `week` weeks later."""

    cohort: str
    week: int
    size: int
    active: int
    rate: float


_SQL: Final = """
    SELECT toString(first_week) AS cohort, intDiv(active_week - first_week, 7) AS week,
        max(count()) OVER (PARTITION BY first_week) AS size, count() AS active, active / size AS rate
    FROM (
        SELECT min(toMonday(day)) AS first_week, arrayJoin(groupUniqArray(toMonday(day))) AS active_week
        FROM $users WHERE counted AND ({corrected:UInt8} = 0 OR NOT shared) AND $filter
        GROUP BY installation
    )
    WHERE first_week >= toMonday({cohorts_from:Date})
    GROUP BY first_week, active_week ORDER BY first_week, active_week LIMIT {limit:UInt32}
"""


@get("/api/analytics/retention", dependencies=FILTERS)
async def retention(
    facts: NamedDependency[Facts],
    window: NamedDependency[Window],
    filters: NamedDependency[Filters],
    view: View = "contract",
) -> Page[list[Cohort]]:
    """Weekly cohorts of installations; `corrected` leaves out the well-known shared ids."""
    everything = {"since_day": FIRST_DAY, "first_day": FIRST_DAY, "cohorts_from": window.days[0]}
    return await facts.page(
        window, users(facts, _SQL, filters), Cohort, **{**bound(window, filters, view), **everything}
    )
