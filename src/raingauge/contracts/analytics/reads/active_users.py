"""`GET /api/analytics/active-users`: the contract's number beside those that allow for shared ids."""

from __future__ import annotations

from typing import Annotated, Final, Literal

import msgspec
from litestar import get
from litestar.di import NamedDependency
from litestar.params import QueryParameter

from raingauge.contract import Facts, Page, Window
from raingauge.contracts.analytics.reads.query import FILTERS, Filters, bound, of_everybody, statement
from raingauge.contracts.analytics.tables import EVENTS


class ActiveUsers(msgspec.Struct, frozen=True):
    """One period, named by its first UTC day.

    `installations` and `instances` are the contract's numbers; both are too low where many machines report one id.
    `pairs` counts installation and instance together. `unshared` are the installations without the well-known
    shared ids, and `shared_sessions` the different sessions behind those ids: at least one user stands for the first
    of them. `all_versions` are the installations with any event of any version of the wire format.
    """

    period: str
    installations: int
    instances: int
    pairs: int
    unshared: int
    shared_sessions: int
    all_versions: int


class Repeats(msgspec.Struct, frozen=True):
    """Copies of events that one installation sent again; `conflicts` are those that differed from the stored event.

    `installation` is the client's hash. Many copies tell of a crash loop or a cloned home directory.
    """

    installation: str
    duplicates: int
    conflicts: int


_BUCKETS: Final = {
    "day": "day",
    "week": "toMonday(day)",
    "month": "toStartOfMonth(day)",
    "window": "{first_day:Date}",
}
# United first by what they are counted for, so that each set is read once.
_SQL: Final = """
    SELECT toString(bucket) AS period,
        groupBitmapMergeIf(u.installations, counted) AS installations,
        groupBitmapMergeIf(u.instances, counted) AS instances,
        groupBitmapMergeIf(u.pairs, counted) AS pairs,
        groupBitmapMergeIf(u.installations, counted AND NOT shared) AS unshared,
        groupBitmapMergeIf(u.shared_sessions, counted) AS shared_sessions,
        groupBitmapMerge(u.installations) AS all_versions
    FROM (
        SELECT $bucket AS bucket, counted, shared,
            groupBitmapMergeState(installations) AS installations, groupBitmapMergeState(instances) AS instances,
            groupBitmapMergeState(pairs) AS pairs, groupBitmapMergeStateIf(shared_sessions, shared) AS shared_sessions
        FROM $activity WHERE $filter
        GROUP BY bucket, counted, shared
    ) AS u
    GROUP BY bucket ORDER BY bucket LIMIT {limit:UInt32}
"""
_REPEATS: Final = """
    SELECT label AS installation, count() AS duplicates, countIf(conflict) AS conflicts
    FROM duplicates
    WHERE customer = {customer:String} AND day BETWEEN {first_day:Date} AND {last_day:Date} AND source = {source:String}
    GROUP BY installation ORDER BY duplicates DESC, installation LIMIT {limit:UInt32}
"""


@get("/api/analytics/active-users", dependencies=FILTERS)
async def active_users(
    facts: NamedDependency[Facts],
    window: NamedDependency[Window],
    filters: NamedDependency[Filters],
    period: Annotated[
        Literal["day", "week", "month", "window"],
        QueryParameter(description="Length of a period; weeks begin on Monday."),
    ] = "day",
    by: Annotated[
        Literal["period", "duplicates"],
        QueryParameter(description="duplicates: installations that sent events again; filters do not apply."),
    ] = "period",
) -> Page[list[ActiveUsers]] | Page[list[Repeats]]:
    """Active installations and instances by period, with and without shared ids; or who sends events twice."""
    if by == "duplicates":
        return await facts.page(window, _REPEATS, Repeats, source=EVENTS.name, **bound(window, filters))
    sql = statement(facts, of_everybody(_SQL, filters), filters, bucket=_BUCKETS[period])
    return await facts.page(window, sql, ActiveUsers, **bound(window, filters))
