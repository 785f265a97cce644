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
from raingauge.contracts.otlp.reads.choice import Asked, by_group, in_groups, sessions_in_groups
from raingauge.contracts.otlp.reads.query import FILTERS, Filters, Range, usd
from raingauge.contracts.otlp.reads.usage import usage

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
    first, last = days.since.date(), (days.until - timedelta(days=1)).date()
    asked = Asked(
        Range(before.since, days.until),
        groups=("user",),
        spend={"cost": ("cost_nano",)},
        done={"prompted": ("prompts",)},
        told={"begun": ("session_starts",)},
        sessions="active",
        since=first,
        only_people=True,
    )
    page = await usage(facts, window, filters, asked, _people)
    groups = await asyncio.to_thread(page.data.all)
    found = await asyncio.to_thread(_reach, groups, min(first, last - timedelta(days=MONTH_DAYS)), last)
    now, yesterday, last_week, last_month = (
        found[last - timedelta(days=back)] for back in (0, 1, WEEK_DAYS, MONTH_DAYS)
    )
    shown = [found[first + timedelta(days=n)] for n in range((last - first).days + 1)]
    people = await asyncio.to_thread(_costliest, groups, first, window.limit)
    names = await facts.names([row["user"] for row in people])
    return Page(
        ActiveUsers(
            shown, now.dau, now.wau, now.mau, yesterday.dau, last_week.wau, last_month.mau, _named(people, names)
        ),
        page.meta,
    )


def _people(asked: Asked, rows: pa.Table) -> pa.Table:
    """With the days on which they were active, as days since 1970, and how many sessions they had."""
    active = rows.filter(rows["active"])
    sums = by_group(asked, rows)
    days = pa.table({"of_group": active["of_group"], "on": active["day"].cast(pa.int32())})
    sums = sums.append_column("on", in_groups(days, "on", "distinct", sums["of_group"]))
    sums = sums.append_column("sessions", sessions_in_groups(active, sums["of_group"]))
    return sums.filter(pc.is_valid(sums["on"]))


def _reach(groups: pa.Table, first: date, last: date) -> dict[date, ActiveDay]:
    """Different people of each day from first to last, and of the 7 and 30 days that end with it."""
    people: defaultdict[int, list[str]] = defaultdict(list)
    for person, days in zip(groups["user"].to_pylist(), groups["on"].to_pylist(), strict=True):
        for day in days:
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


def _costliest(groups: pa.Table, first: date, limit: int) -> list[dict[str, Any]]:
    """Those who were active since the first day."""
    since = (first - _EPOCH).days
    people = [
        row | {"last_seen": max(days), "days": len(days)}
        for row in groups.to_pylist()
        if (days := [day for day in row["on"] if day >= since])
    ]
    people.sort(key=lambda row: (-row["cost"], row["user"]))
    return people[:limit]


def _named(people: Iterable[Mapping[str, Any]], names: Mapping[str, str]) -> list[ActiveUser]:
    return [
        ActiveUser(
            user=row["user"],
            user_name=names.get(row["user"]),
            last_seen=(_EPOCH + timedelta(days=row["last_seen"])).isoformat(),
            days=row["days"],
            sessions=max(row["sessions"], row["begun"]),
            prompts=row["prompted"],
            cost_usd=usd(row["cost"]),
        )
        for row in people
    ]
