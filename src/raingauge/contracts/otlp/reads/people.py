"""`/api/active-users`: how many people used agents, and who."""

# ruff: noqa: S608 - SQL is built from names of this folder; values are bound
from __future__ import annotations

from datetime import date, timedelta
from typing import Any, Final

import msgspec
from litestar import get
from litestar.di import NamedDependency

from raingauge.contract import Facts, Page, Window
from raingauge.contracts.otlp.reads.query import FILTERS, Filters, Range, any_usage, best, looked_at, present
from raingauge.contracts.otlp.rollups import TOKENS

WEEK_DAYS: Final = 7
MONTH_DAYS: Final = 30


class ActiveDay(msgspec.Struct, frozen=True):
    """Different people on a UTC day, in the 7 and in the 30 days that end with it."""

    day: str
    dau: int
    wau: int
    mau: int


class ActiveUser(msgspec.Struct, frozen=True):
    """One person in the window; `last_seen` is the last UTC day with any activity, `days` how many there were."""

    user: str
    user_name: str | None
    last_seen: str
    days: int
    sessions: int
    prompts: int
    cost_usd: float


class ActiveUsers(msgspec.Struct, frozen=True):
    """`dau`, `wau` and `mau` are those of the window's last day; the previous ones 1, 7 and 30 days earlier."""

    points: list[ActiveDay]
    dau: int
    wau: int
    mau: int
    previous_dau: int
    previous_wau: int
    previous_mau: int
    users: list[ActiveUser]


class _Person(msgspec.Struct, frozen=True):
    user: str
    last_seen: str
    days: int
    sessions: int
    prompts: int
    cost_usd: float


# Any use at all: an open but idle tool is none.
_ACTIVE: Final = (
    f"user != '' AND (requests + errors + prompts + tool_calls + session_starts + active_ms > 0 OR cost_nano != 0 OR"
    f" {' + '.join(TOKENS)} > 0)"
)


@get("/api/active-users", summary="Active people", tags=["agents"], dependencies=FILTERS)
async def active_users(
    facts: NamedDependency[Facts], window: NamedDependency[Window], filters: NamedDependency[Filters]
) -> Page[ActiveUsers]:
    """Daily, weekly and monthly active people over the window, and each person in it; costliest first."""
    days = Range.days(window)
    before = Range(days.since - timedelta(days=2 * MONTH_DAYS), days.since)
    both = "hour >= {before_since:DateTime64(6)} AND hour < {window_until:DateTime64(6)}"
    looked = looked_at(days, before)
    stored = await present(facts, looked)
    seen = any_usage(facts, filters, "day, user", f"{_ACTIVE} AND {both}", stored)
    reach = f"arrayJoin(range({MONTH_DAYS}))"
    sql = f"""
        SELECT toString(counted) AS day, uniqExactIf(user, age < 1) AS dau, uniqExactIf(user, age < {WEEK_DAYS}) AS wau,
            uniqExact(user) AS mau
        FROM (
            SELECT user, day + age AS counted, {reach} AS age
            FROM (
                SELECT DISTINCT day, user FROM ({seen}) WHERE {{customer:String}} != ''
            )
        )
        GROUP BY counted ORDER BY counted
    """
    parameters: dict[str, Any] = {
        **filters.parameters, **days.parameters("window"), **before.parameters("before"), **looked,
    }  # fmt: skip
    page = await facts.page(window, sql, ActiveDay, **parameters)
    people = await _people(facts, window, filters, days, stored)
    found = {point.day: point for point in page.data}
    last = (days.until - timedelta(days=1)).date()
    now, yesterday, last_week, last_month = (
        _on(found, last - timedelta(days=back)) for back in (0, 1, WEEK_DAYS, MONTH_DAYS)
    )
    shown = [_on(found, days.since.date() + timedelta(days=n)) for n in range((days.until - days.since).days)]
    return Page(
        ActiveUsers(shown, now.dau, now.wau, now.mau, yesterday.dau, last_week.wau, last_month.mau, people),
        page.meta,
    )


def _on(found: dict[str, ActiveDay], day: date) -> ActiveDay:
    return found.get(day.isoformat()) or ActiveDay(day.isoformat(), 0, 0, 0)


async def _people(
    facts: Facts, window: Window, filters: Filters, days: Range, stored: frozenset[str]
) -> list[ActiveUser]:
    sums = best(
        facts,
        filters,
        {"person_day": "day", "key": "toString(user)"},
        days.condition("window"),
        spend={"cost": "sumIf(cost_nano, $kept)"},
        done={"prompted": "sumIf(prompts, $kept)"},
        told={"used": f"sumIf(1, $kept AND {_ACTIVE})", "begun": "sumIf(session_starts, $kept)"},
        stored=stored,
    )
    # Sessions are counted over days, so they cannot be added up from sums of days.
    in_session = f"session != '' AND {_ACTIVE} AND {days.condition('window')}"
    # Points know no session.
    seen = any_usage(facts, filters, "user, session", in_session, stored - {"points", "cumulative"})
    sql = f"""
        SELECT key AS user, toString(max(person_day)) AS last_seen, toInt64(count()) AS days,
            greatest(toInt64(any(seen.sessions)), sum(begun)) AS sessions, sum(prompted) AS prompts,
            toFloat64(sum(cost)) / 1e9 AS cost_usd
        FROM (SELECT * FROM ({sums}) WHERE used > 0 AND {{customer:String}} != '') AS by_day
        LEFT JOIN (
            SELECT toString(user) AS person, uniqExact(session) AS sessions FROM ({seen}) GROUP BY person
        ) AS seen ON seen.person = by_day.key
        GROUP BY key ORDER BY cost_usd DESC, key LIMIT {{limit:UInt32}}
    """
    found = await facts.page(window, sql, _Person, **filters.parameters, **days.parameters("window"), **looked_at(days))
    names = await facts.names([row.user for row in found.data])
    return [
        ActiveUser(row.user, names.get(row.user), row.last_seen, row.days, row.sessions, row.prompts, row.cost_usd)
        for row in found.data
    ]
