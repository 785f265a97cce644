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
    of_everybody,
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
    WITH weeks AS (
        SELECT toMonday(day) AS week, groupBitmapMergeState(installations) AS active
        FROM $activity WHERE counted AND ({corrected:UInt8} = 0 OR NOT shared) AND $filter
        GROUP BY week
    )
    SELECT toString(first.week) AS cohort, intDiv(later.week - first.week, 7) AS week,
        bitmapCardinality(first.fresh) AS size, bitmapAndCardinality(first.fresh, later.active) AS active,
        active / size AS rate
    FROM (
        SELECT week, bitmapAndnot(active, groupBitmapMergeState(active) OVER (
            ORDER BY week ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
        )) AS fresh
        FROM weeks
    ) AS first CROSS JOIN weeks AS later
    WHERE first.week >= toMonday({cohorts_from:Date}) AND later.week >= first.week AND active > 0
    ORDER BY first.week, later.week LIMIT {limit:UInt32}
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
    sql = statement(facts, of_everybody(_SQL, filters), filters)
    return await facts.page(window, sql, Cohort, **{**bound(window, filters, view), **everything})
