"""`/api/cost-trend`: what was spent over time, by whom, and where that leads."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Final, Literal, NamedTuple

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
from litestar import get
from litestar.di import NamedDependency
from litestar.params import QueryParameter

from raingauge.contract import Facts, Page, Window
from raingauge.contracts.otlp.reads.choice import COST, Asked, Groups, added, by_group, telling
from raingauge.contracts.otlp.reads.query import FILTERS, Filters, Range, labels, usd, usd_of
from raingauge.contracts.otlp.reads.usage import usage
from raingauge.contracts.otlp.rollups import TOKENS

RUN_RATE_DAYS: Final = 7
MONTH_DAYS: Final = 30


class CostPoint(msgspec.Struct, frozen=True, gc=False):
    """Spend of one group in one UTC day or hour."""

    bucket: str
    key: str
    label: str
    cost_usd: float
    estimated_usd: float
    tokens: int


class CostTotal(msgspec.Struct, frozen=True):
    """Spend of one group in the window, in the period of equal length before, and its share of the window's spend."""

    key: str
    label: str
    cost_usd: float
    previous_usd: float
    share: float


class CostTrend(msgspec.Struct, frozen=True):
    """`estimated_usd` is the part priced from public lists; `run_rate_usd` projects the last 7 full days to 30 days."""

    points: list[CostPoint]
    totals: list[CostTotal]
    total_usd: float
    previous_total_usd: float
    unattributed_usd: float
    estimated_usd: float
    run_rate_usd: float
    run_rate_previous_usd: float


_BUCKETS: Final = {"day": "day", "hour": "moment"}


class _Ranges(NamedTuple):
    """The window, the period of equal length before it, the last seven full days, and the seven before these."""

    window: Range
    previous: Range
    week: Range
    week_before: Range

    @classmethod
    def of(cls, window: Window, now: datetime) -> _Ranges:
        today = now.replace(hour=0, minute=0, second=0, microsecond=0)
        asked, week = Range.of(window), Range(today - timedelta(days=RUN_RATE_DAYS), today)
        return cls(asked, asked.before, week, week.before)


class _Spent(NamedTuple):
    """Spend by bucket and key in the window, in order, and by key in each range, in 10^-9 USD."""

    points: pa.Table
    estimated: int
    window: Mapping[str, int]
    previous: Mapping[str, int]
    week: Mapping[str, int]
    week_before: Mapping[str, int]


@get("/api/cost-trend", summary="Cost over time", tags=["agents"], dependencies=FILTERS)
async def cost_trend(
    facts: NamedDependency[Facts],
    window: NamedDependency[Window],
    filters: NamedDependency[Filters],
    by: Annotated[
        Literal["user", "repo", "model", "source", "query_source", "effort", "team"],
        QueryParameter(description="What spend is split by."),
    ] = "user",
    step: Annotated[Literal["day", "hour"], QueryParameter(description="Time between two points.")] = "day",
) -> Page[CostTrend]:
    """Spend by day or hour and group, beside the period before, the run-rate and what nobody can be named for."""
    ranges = _Ranges.of(window, facts.now)
    edges = sorted({int(moment.timestamp()) for each in ranges for moment in (each.since, each.until)})
    everything = Range(min(each.since for each in ranges), max(each.until for each in ranges))
    asked = Asked(
        everything,
        groups=("day", "moment", by),
        # All hours between two edges belong to the same ranges.
        edges=edges if step == "day" else [],
        spend={**COST, "tokens": TOKENS},
    )
    page = await usage(facts, window, filters, asked, _moments)
    spent = await asyncio.to_thread(_spent, page.data, ranges, _BUCKETS[step], by)
    found = await labels(facts, by, {*spent.window, *spent.previous})
    return Page(await asyncio.to_thread(_trend, spent, found), page.meta)


def _moments(asked: Asked, rows: pa.Table) -> pa.Table:
    return telling(by_group(asked, rows), ("cost", "tokens"))


def _spent(groups: Groups, ranges: _Ranges, bucket: str, by: str) -> _Spent:
    sums = (
        groups.all()
        .select(["day", "moment", by, *COST, "tokens"])
        .rename_columns(["day", "moment", "key", *COST, "tokens"])
    )
    moments = sums["moment"].unique().to_pylist()

    def within(each: Range) -> pa.Table:
        first, end = each.since.timestamp(), each.until.timestamp()
        chosen = [moment for moment in moments if first <= moment < end]
        return sums.filter(pc.is_in(sums["moment"], pa.array(chosen, sums["moment"].type)))

    window, *others = map(within, ranges)
    points = added([window.select([bucket, "key", *COST, "tokens"])], (bucket, "key"))
    return _Spent(
        points.sort_by([(bucket, "ascending"), ("key", "ascending")]),
        int(pc.sum(window["estimated"]).as_py() or 0),
        *map(_by_key, (window, *others)),
    )


def _by_key(rows: pa.Table) -> dict[str, int]:
    sums = added([rows.select(["key", "cost"])], ("key",))
    return {key: int(cost) for key, cost in zip(sums["key"].to_pylist(), sums["cost"].to_pylist(), strict=True)}


def _trend(spent: _Spent, named: Mapping[str, str]) -> CostTrend:
    cost, previous = spent.window, spent.previous
    total = sum(cost.values())
    keys = sorted({*cost, *previous}, key=lambda key: (-cost.get(key, 0), -previous.get(key, 0), key))
    return CostTrend(
        _points(spent.points, named),
        [
            CostTotal(key, named[key], usd(in_window), usd(previous.get(key, 0)), _share(in_window, total))
            for key in keys
            for in_window in (cost.get(key, 0),)
        ],
        usd(total),
        usd(sum(previous.values())),
        usd(cost.get("", 0)),
        usd(spent.estimated),
        _month(spent.week),
        _month(spent.week_before),
    )


def _points(sums: pa.Table, named: Mapping[str, str]) -> list[CostPoint]:
    """There may be tens of thousands, so that whatever can be done by columns is."""
    buckets, keys, tokens = (sums[name].to_pylist() for name in (sums.column_names[0], "key", "tokens"))
    written = {bucket: _written(bucket) for bucket in set(buckets)}
    cost, estimated = (usd_of(sums[name]) for name in COST)
    return list(
        map(CostPoint, map(written.__getitem__, buckets), keys, map(named.__getitem__, keys), cost, estimated, tokens)
    )


def _written(bucket: date | int) -> str:
    """A day, or an hour in seconds since 1970."""
    return (
        bucket.isoformat() if isinstance(bucket, date) else f"{datetime.fromtimestamp(bucket, UTC):%Y-%m-%dT%H}:00:00Z"
    )


def _share(cost: int, total: int) -> float:
    """Negative spend, which contradictory figures may add up to, is no part of the whole."""
    return min(max(cost / total, 0.0), 1.0) if total else 0.0


def _month(week: Mapping[str, int]) -> float:
    """Spend of 30 days like those of this week."""
    return usd(sum(week.values())) * MONTH_DAYS / RUN_RATE_DAYS
