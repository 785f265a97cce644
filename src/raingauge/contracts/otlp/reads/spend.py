"""`/api/rollups`, `/api/cost-trend` and `/api/cache-hit`: what was used and what it cost."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Annotated, Final, Literal, NamedTuple

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
from litestar import get
from litestar.di import NamedDependency
from litestar.params import QueryParameter

from raingauge.contract import Facts, Page, Window
from raingauge.contracts.otlp.reads.query import FILTERS, Filters, Range, labels, looked_at, usd
from raingauge.contracts.otlp.reads.usage import Asked, Found, telling, usage
from raingauge.contracts.otlp.rollups import TOKENS

RUN_RATE_DAYS: Final = 7
MONTH_DAYS: Final = 30
_ALL_TOKENS: Final = " + ".join(f"${name}" for name in TOKENS)


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """One UTC day of one group. Spend comes from one signal; what was done is counted from events, else spans."""

    day: str
    source: str
    user: str
    user_name: str | None = None
    repo: str
    model: str
    query_source: str
    cost_usd: float
    estimated_usd: float
    input_tokens: int
    output_tokens: int
    cache_read_tokens: int
    cache_creation_tokens: int
    requests: int
    errors: int
    sessions: int
    prompts: int
    tool_calls: int
    active_seconds: float


_TOKEN_SUMS: Final = {name.removesuffix("_tokens"): f"${name}" for name in TOKENS}
_COST: Final = {"cost": "$cost_nano", "estimated": "$estimated_nano"}
_DONE: Final = {"requested": "$requests", "failed": "$errors", "prompted": "$prompts", "called": "$tool_calls"}
_TOLD: Final = {"begun": "$session_starts", "active_time": "$active_ms"}
_OTHER_GROUPS: Final = ("repo", "model", "query_source")
_GROUP: Final = ("source", "user", *_OTHER_GROUPS)


@get("/api/rollups", summary="Daily usage", tags=["agents"], dependencies=FILTERS)
async def rollups(
    facts: NamedDependency[Facts], window: NamedDependency[Window], filters: NamedDependency[Filters]
) -> Page[list[Usage]]:
    """Spend and activity by UTC day, tool, person, repository, model and kind of request; costliest first."""
    days = Range.days(window)
    # Rows of a group are found by one number sooner than by a day and five texts.
    group = f"cityHash64(day, {', '.join(f'${name}' for name in _GROUP)})"
    asked = Asked(
        days.condition("window", "$hour"),
        keys={
            "of_group": group,
            **{f"of_{name}": f"toString(${name})" for name in _OTHER_GROUPS},
            "of_session": "if($session = '', 0, cityHash64($session))",
        },
        spend=_COST | _TOKEN_SUMS,
        done=_DONE,
        told=_TOLD,
    )
    page = await usage(facts, window, filters, asked, **days.parameters("window"), **looked_at(days))
    sums = _costliest(page.data, window.limit)
    names = await facts.names(sorted({user for user in sums["user"].to_pylist() if user}))
    rows = [
        Usage(
            day=row["day"].isoformat(),
            source=row["source"],
            user=row["user"],
            user_name=names.get(row["user"]),
            **{name: row[f"of_{name}"] for name in _OTHER_GROUPS},
            cost_usd=usd(row["cost"]),
            estimated_usd=usd(row["estimated"]),
            **{name: row[name.removesuffix("_tokens")] for name in TOKENS},
            requests=row["requested"],
            errors=row["failed"],
            sessions=max(row["sessions"], row["begun"]),
            prompts=row["prompted"],
            tool_calls=row["called"],
            active_seconds=row["active_time"] / 1000,
        )
        for row in sums.to_pylist()
    ]
    return Page(rows, page.meta)


def _costliest(found: Found, limit: int) -> pa.Table:
    """The groups that tell of anything, with the number of their sessions."""
    sums = found.sums("of_group")
    rows = found.rows
    seen = telling(rows.select(["of_group", "of_session"]).filter(rows["doing"]), ["of_session"])
    sessions = seen.group_by("of_group", use_threads=False).aggregate([("of_session", "count_distinct")])
    counted = sessions["of_session_count_distinct"].take(pc.index_in(sums["of_group"], sessions["of_group"]))
    sums = sums.append_column("sessions", pc.fill_null(counted, 0))
    sums = telling(sums, (*found.asked.spend, *found.asked.done, *found.asked.told, "sessions"))
    row = pc.index_in(sums["of_group"], rows["of_group"])
    group = ("day", "source", "user", *(f"of_{name}" for name in _OTHER_GROUPS))
    for name in group:
        sums = sums.append_column(name, rows[name].take(row))
    order = [("cost", "descending"), ("day", "descending"), ("requested", "descending")]
    return sums.sort_by([*order, *((name, "ascending") for name in group[1:])]).slice(0, limit)


class CostPoint(msgspec.Struct, frozen=True):
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


_MOMENTS: Final = {"day": "roundDown(toUInt32($hour), {edges:Array(UInt32)})", "hour": "toUInt32($hour)"}
_PERIODS: Final = (1, 2, 4, 8)
IN_WINDOW, IN_PREVIOUS, IN_WEEK, IN_WEEK_BEFORE = _PERIODS


class _CostSums(NamedTuple):
    """Spend of one group, with the periods that it belongs to as a sum of the numbers above."""

    periods: int
    bucket: str
    key: str
    cost: int
    estimated: int
    tokens: int


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
    now = Range.of(window)
    today = facts.now.replace(hour=0, minute=0, second=0, microsecond=0)
    week = Range(today - timedelta(days=RUN_RATE_DAYS), today)
    ranges = {"window": now, "previous": now.before, "week": week, "week_before": week.before}
    edges = sorted({int(moment.timestamp()) for each in ranges.values() for moment in (each.since, each.until)})
    everything = Range(min(each.since for each in ranges.values()), max(each.until for each in ranges.values()))
    asked = Asked(
        everything.condition("all", "$hour"),
        # All hours between two edges belong to the same periods.
        keys={"moment": _MOMENTS[step], "key": f"toString(${by})"},
        spend=_COST | {"tokens": _ALL_TOKENS},
    )
    parameters = everything.parameters("all") | looked_at(everything)
    page = await usage(facts, window, filters, asked, **parameters, edges=edges)
    sums = telling(page.data.sums("day", "moment", "key"), ("cost", "tokens"))
    columns = (sums[name].to_pylist() for name in ("day", "moment", "key", "cost", "estimated", "tokens"))
    periods = {moment: _periods(moment, ranges.values()) for moment in sums["moment"].unique().to_pylist()}
    rows = [
        _CostSums(
            periods[moment],
            f"{datetime.fromtimestamp(moment, UTC):%Y-%m-%dT%H}:00:00Z" if step == "hour" else day.isoformat(),
            key,
            int(cost),
            int(estimated),
            tokens,
        )
        for day, moment, key, cost, estimated, tokens in zip(*columns, strict=True)
    ]
    found = await labels(facts, by, {row.key for row in rows})
    return Page(_trend(rows, found), page.meta)


def _periods(moment: int, ranges: Iterable[Range]) -> int:
    """The sum of the numbers of all periods that a moment, in seconds since 1970, is in."""
    within = (each.since.timestamp() <= moment < each.until.timestamp() for each in ranges)
    return sum(period for period, holds in zip(_PERIODS, within, strict=True) if holds)


def _trend(rows: list[_CostSums], named: dict[str, str]) -> CostTrend:
    points: defaultdict[tuple[str, str], list[_CostSums]] = defaultdict(list)
    cost: defaultdict[str, int] = defaultdict(int)
    previous: defaultdict[str, int] = defaultdict(int)
    for row in rows:
        if row.periods & IN_WINDOW:
            points[row.bucket, row.key].append(row)
            cost[row.key] += row.cost
        if row.periods & IN_PREVIOUS:
            previous[row.key] += row.cost
    total = sum(cost.values())
    keys = sorted({*cost, *previous}, key=lambda key: (-cost[key], -previous[key], key))
    return CostTrend(
        [_point(bucket, key, named[key], part) for (bucket, key), part in sorted(points.items())],
        [CostTotal(key, named[key], usd(cost[key]), usd(previous[key]), _share(cost[key], total)) for key in keys],
        usd(total),
        usd(sum(previous.values())),
        usd(cost[""]),
        usd(sum(row.estimated for row in rows if row.periods & IN_WINDOW)),
        _month(rows, IN_WEEK),
        _month(rows, IN_WEEK_BEFORE),
    )


def _share(cost: int, total: int) -> float:
    """Negative spend, which contradictory figures may add up to, is no part of the whole."""
    return min(max(cost / total, 0.0), 1.0) if total else 0.0


def _point(bucket: str, key: str, label: str, rows: list[_CostSums]) -> CostPoint:
    cost, estimated = sum(row.cost for row in rows), sum(row.estimated for row in rows)
    return CostPoint(bucket, key, label, usd(cost), usd(estimated), sum(row.tokens for row in rows))


def _month(rows: list[_CostSums], week: int) -> float:
    """Spend of 30 days like those of this week."""
    return usd(sum(row.cost for row in rows if row.periods & week)) * MONTH_DAYS / RUN_RATE_DAYS


class CacheRow(msgspec.Struct, frozen=True):
    """Input tokens of one group. `rate` is the share that came from the cache, None without any input."""

    key: str
    label: str
    input_tokens: int
    cache_read_tokens: int
    cache_creation_tokens: int
    rate: float | None


class CachePoint(msgspec.Struct, frozen=True):
    """One UTC day."""

    bucket: str
    rate: float | None
    cache_read_tokens: int
    input_tokens: int
    cache_creation_tokens: int


class CacheHit(msgspec.Struct, frozen=True):
    rows: list[CacheRow]
    total: CacheRow
    points: list[CachePoint]


class _CacheSums(NamedTuple):
    bucket: str
    key: str
    input: int
    cache_read: int
    cache_creation: int


def hit_rate(input_tokens: int, cache_read: int, cache_creation: int) -> float | None:
    """cache_read / (input + cache_read + cache_creation): what share of all input did not have to be computed."""
    whole = input_tokens + cache_read + cache_creation
    return min(max(cache_read / whole, 0.0), 1.0) if whole > 0 else None


@get("/api/cache-hit", summary="Prompt cache hit rate", tags=["agents"], dependencies=FILTERS)
async def cache_hit(
    facts: NamedDependency[Facts],
    window: NamedDependency[Window],
    filters: NamedDependency[Filters],
    by: Annotated[
        Literal["user", "model", "repo", "source"], QueryParameter(description="What tokens are split by.")
    ] = "user",
) -> Page[CacheHit]:
    """How much of the models' input came from the prompt cache, by group and by day."""
    now = Range.of(window)
    names = ("input", "cache_read", "cache_creation")
    asked = Asked(
        now.condition("window", "$hour"),
        keys={"key": f"toString(${by})"},
        spend={name: _TOKEN_SUMS[name] for name in names},
    )
    page = await usage(facts, window, filters, asked, **now.parameters("window"), **looked_at(now))
    sums = telling(page.data.sums("day", "key"), names).sort_by([("day", "ascending"), ("key", "ascending")])
    # The cumulative sums of a producer may arrive in parts: cached tokens before the input that holds them.
    counted = ([max(value, 0) for value in sums[name].to_pylist()] for name in names)
    rows = list(map(_CacheSums, map(str, sums["day"].to_pylist()), sums["key"].to_pylist(), *counted))
    found = await labels(facts, by, {row.key for row in rows})
    by_key: defaultdict[str, list[_CacheSums]] = defaultdict(list)
    by_day: defaultdict[str, list[_CacheSums]] = defaultdict(list)
    for row in rows:
        by_key[row.key].append(row)
        by_day[row.bucket].append(row)
    groups = [_cache_row(key, found[key], group) for key, group in by_key.items()]
    groups.sort(key=lambda row: (-(row.input_tokens + row.cache_read_tokens + row.cache_creation_tokens), row.key))
    days = [_cache_row(day, "", group) for day, group in by_day.items()]
    points = [
        CachePoint(day.key, day.rate, day.cache_read_tokens, day.input_tokens, day.cache_creation_tokens)
        for day in days
    ]
    return Page(CacheHit(groups, _cache_row("", "total", rows), points), page.meta)


def _cache_row(key: str, label: str, rows: list[_CacheSums]) -> CacheRow:
    whole, read, created = (
        sum(getattr(row, name) for row in rows) for name in ("input", "cache_read", "cache_creation")
    )
    return CacheRow(key, label, whole, read, created, hit_rate(whole, read, created))
