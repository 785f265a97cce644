"""`GET /api/analytics/active-users`: the contract's number beside those that allow for shared ids."""

from __future__ import annotations

from typing import Annotated, Final, Literal

import msgspec
from litestar import get
from litestar.di import NamedDependency
from litestar.params import QueryParameter

from raingauge.contract import Facts, Page, Window
from raingauge.contracts.analytics.reads.query import FILTERS, Filters, bound, statement
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
# An installation id is shared or not, so the two sets are disjoint and only the small one is built twice.
_SQL: Final = """
    SELECT toString($bucket) AS period,
        unshared + ${number_of}If(u.installations, counted AND shared) AS installations,
        ${number_of}If(u.instances, counted) AS instances,
        ${number_of}If(u.pairs, counted) AS pairs,
        ${number_of}If(u.installations, counted AND NOT shared) AS unshared,
        ${number_of}If(u.shared_sessions, counted) AS shared_sessions,
        $number_of(u.installations) AS all_versions
    FROM $activity_sets AS u WHERE $sets_filter
    GROUP BY period ORDER BY period LIMIT {limit:UInt32}
"""
# By arrival: a client that crashes again and again sends old events.
_REPEATS: Final = """
    SELECT label AS installation, count() AS duplicates, countIf(conflict) AS conflicts
    FROM duplicates
    WHERE customer = {customer:String} AND source = {source:String}
        AND toDate(received_at) BETWEEN {first_day:Date} AND {last_day:Date}
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
    sql = statement(facts, _SQL, filters, bucket=_BUCKETS[period])
    return await facts.page(window, sql, ActiveUsers, **bound(window, filters))
