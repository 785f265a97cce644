"""`GET /api/analytics/retention`: who comes back, by the week in which they were first seen."""

from __future__ import annotations

from typing import Final

import msgspec
from litestar import get
from litestar.di import NamedDependency

from raingauge.contract import Facts, Page, Window
from raingauge.contracts.analytics.reads.query import (
    FILTERS,
    FIRST_DAY,
    Filters,
    View,
    bound,
    statement,
)


class Cohort(msgspec.Struct, frozen=True):
    """`active` of the `size` installations first seen in the week of `cohort` were active `week` weeks later."""

    cohort: str
    week: int
    size: int
    active: int
    rate: float


_SQL: Final = """
    SELECT toString(first_week) AS cohort, intDiv(later.1 - first_week, 7) AS week,
        bitmapCardinality(fresh) AS size, bitmapAndCardinality(fresh, later.2) AS active, active / size AS rate
    FROM (
        SELECT first_week, groupArray((first_week, seen)) OVER () AS weeks, bitmapAndnot(seen, groupBitmapMergeState(seen)
            OVER (ORDER BY first_week ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)) AS fresh
        FROM (
            SELECT toMonday(day) AS first_week, $set_of(installations) AS seen
            FROM $activity_sets WHERE counted AND ({corrected:UInt8} = 0 OR NOT shared) AND $sets_filter
            GROUP BY first_week
        )
    ) ARRAY JOIN weeks AS later
    WHERE first_week >= toMonday({cohorts_from:Date}) AND later.1 >= first_week AND active > 0
    ORDER BY first_week, later.1 LIMIT {limit:UInt32}
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
    values = {**bound(window, filters, view), **everything}
    return await facts.page(window, statement(facts, _SQL, filters), Cohort, **values)
