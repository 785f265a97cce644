"""`/api/active-users`: how many people used agents, and who."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from datetime import date, timedelta
from typing import Any, Final

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
from litestar import get
from litestar.di import NamedDependency

from raingauge.contract import Facts, Page, Window
from raingauge.contracts.otlp.reads.query import FILTERS, Filters, Range, looked_at, usd
from raingauge.contracts.otlp.reads.usage import Asked, Found, sessions_by, usage

WEEK_DAYS: Final = 7
MONTH_DAYS: Final = 30
_EPOCH: Final = date(1970, 1, 1)


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


@get("/api/active-users", summary="Active people", tags=["agents"], dependencies=FILTERS)
async def active_users(
    facts: NamedDependency[Facts], window: NamedDependency[Window], filters: NamedDependency[Filters]
) -> Page[ActiveUsers]:
    """Daily, weekly and monthly active people over the window, and each person in it; costliest first."""
    days = Range.days(window)
    before = Range(days.since - timedelta(days=2 * MONTH_DAYS), days.since)
    asked = Asked(
        f"{Range(before.since, days.until).condition('both', '$hour')} AND $user != ''",
        spend={"cost": "$cost_nano"},
        done={"prompted": "$prompts"},
        told={"begun": "$session_starts"},
        sessions="$is_active AND day >= {first_day:Date}",
    )
    first, last = days.since.date(), (days.until - timedelta(days=1)).date()
    parameters = Range(before.since, days.until).parameters("both") | looked_at(days, before)
    page = await usage(facts, window, filters, asked, **parameters, first_day=first)
    found = await asyncio.to_thread(_reach, page.data.rows, min(first, last - timedelta(days=MONTH_DAYS)), last)
    now, yesterday, last_week, last_month = (
        found[last - timedelta(days=back)] for back in (0, 1, WEEK_DAYS, MONTH_DAYS)
    )
    shown = [found[first + timedelta(days=n)] for n in range((last - first).days + 1)]
    people = await asyncio.to_thread(_people, page.data, first, window.limit)
    names = await facts.names([row["user"] for row in people])
    return Page(
        ActiveUsers(
            shown, now.dau, now.wau, now.mau, yesterday.dau, last_week.wau, last_month.mau, _named(people, names)
        ),
        page.meta,
    )


def _reach(rows: pa.Table, first: date, last: date) -> dict[date, ActiveDay]:
    """Different people of each day from first to last, and of the 7 and 30 days that end with it."""
    seen = rows.select(["day", "user"]).filter(rows["active"])
    seen = seen.group_by(["day", "user"], use_threads=False).aggregate([])
    # Days as numbers: dates are made one by one, and slowly.
    people: defaultdict[int, list[str]] = defaultdict(list)
    for day, person in zip(seen["day"].cast(pa.int32()).to_pylist(), seen["user"].to_pylist(), strict=True):
        people[day].append(person)
    last_seen: dict[str, int] = {}
    seen_last: Counter[int] = Counter()  # people, by the last day on which they were seen so far
    found: dict[date, ActiveDay] = {}
    for day in range((first - _EPOCH).days - MONTH_DAYS, (last - _EPOCH).days + 1):
        seen_last.subtract(last_seen[person] for person in people[day] if person in last_seen)
        last_seen.update(dict.fromkeys(people[day], day))
        seen_last[day] = len(people[day])
        recent = [seen_last[day - back] for back in range(MONTH_DAYS)]
        on = _EPOCH + timedelta(days=day)
        found[on] = ActiveDay(on.isoformat(), recent[0], sum(recent[:WEEK_DAYS]), sum(recent))
    return found


def _people(found: Found, first: date, limit: int) -> list[dict[str, Any]]:
    rows = found.rows.filter(pc.greater_equal(found.rows["day"], pa.scalar(first)))
    active = rows.select(["day", "user", "sessions"]).filter(rows["active"])
    sums = Found(found.asked, rows).sums("user")
    for counted, name in (
        (_by_person(active, "day", "max"), "last_seen"),
        (_by_person(active, "day", "count_distinct"), "days"),
        (sessions_by(active, "user"), "sessions"),
    ):
        place = pc.index_in(sums["user"], counted["user"])
        sums = sums.append_column(name, counted[1].take(place))
    sums = sums.filter(pc.is_valid(sums["last_seen"])).sort_by([("cost", "descending"), ("user", "ascending")])
    people: list[dict[str, Any]] = sums.slice(0, limit).to_pylist()
    return people


def _named(people: Iterable[Mapping[str, Any]], names: Mapping[str, str]) -> list[ActiveUser]:
    return [
        ActiveUser(
            user=row["user"],
            user_name=names.get(row["user"]),
            last_seen=row["last_seen"].isoformat(),
            days=row["days"],
            sessions=max(row["sessions"] or 0, row["begun"]),
            prompts=row["prompted"],
            cost_usd=usd(row["cost"]),
        )
        for row in people
    ]


def _by_person(rows: pa.Table, column: str, function: str) -> pa.Table:
    """Columns of the person and of the result."""
    counted = rows.group_by("user", use_threads=False).aggregate([(column, function)])
    return counted.select(["user", f"{column}_{function}"])
