"""`/api/rollups`, `/api/cost-trend` and `/api/cache-hit`: what was used and what it cost."""

# ruff: noqa: S608 - SQL is built from names of this folder; values are bound
from __future__ import annotations

from collections import defaultdict
from datetime import timedelta
from typing import Annotated, Any, Final, Literal

import msgspec
from litestar import get
from litestar.di import NamedDependency
from litestar.params import QueryParameter

from raingauge.contract import Facts, Page, Window
from raingauge.contracts.otlp.reads.query import FILTERS, Filters, Range, best, labels, looked_at, present, usd
from raingauge.contracts.otlp.rollups import TOKENS

RUN_RATE_DAYS: Final = 7
MONTH_DAYS: Final = 30
_BUCKETS: Final = {"day": "toString(day)", "hour": "formatDateTime(hour, '%Y-%m-%dT%H:00:00Z', 'UTC')"}
_ALL_TOKENS: Final = " + ".join(TOKENS)


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


def _kept(measure: str) -> str:
    return f"sumIf({measure}, $kept)"


_TOKEN_SUMS: Final = {
    "input": _kept("input_tokens"),
    "output": _kept("output_tokens"),
    "cache_read": _kept("cache_read_tokens"),
    "cache_creation": _kept("cache_creation_tokens"),
}
_GROUP: Final = ("source", "user", "repo", "model", "query_source")
_ANYTHING: Final = (
    "arrayExists(one -> one != 0, [toInt64(cost != 0), input, output, cache_read, cache_creation, requested, failed,"
    " toInt64(seen), begun, prompted, called, active])"
)


@get("/api/rollups", summary="Daily usage", tags=["agents"], dependencies=FILTERS)
async def rollups(
    facts: NamedDependency[Facts], window: NamedDependency[Window], filters: NamedDependency[Filters]
) -> Page[list[Usage]]:
    """Spend and activity by UTC day, tool, person, repository, model and kind of request; costliest first."""
    days = Range.days(window)
    looked = looked_at(days)
    sums = best(
        facts,
        filters,
        {"bucket": "toString(day)", **{f"g_{name}": f"toString({name})" for name in _GROUP}},
        days.condition("window"),
        spend={"cost": _kept("cost_nano"), "estimated": _kept("estimated_nano"), **_TOKEN_SUMS},
        done={
            "requested": _kept("requests"),
            "failed": _kept("errors"),
            "prompted": _kept("prompts"),
            "called": _kept("tool_calls"),
            "seen": "uniqExactIf(session, $kept AND session != '')",
        },
        told={"begun": _kept("session_starts"), "active": _kept("active_ms")},
        stored=await present(facts, looked),
    )
    group = ", ".join(f"g_{name} AS {name}" for name in _GROUP)
    tokens = ", ".join(f"{name.removesuffix('_tokens')} AS {name}" for name in TOKENS)
    sql = f"""
        SELECT bucket AS day, {group}, toFloat64(cost) / 1e9 AS cost_usd, toFloat64(estimated) / 1e9 AS estimated_usd,
            {tokens}, requested AS requests, failed AS errors, greatest(toInt64(seen), begun) AS sessions,
            prompted AS prompts, called AS tool_calls, active / 1000 AS active_seconds
        FROM ({sums}) WHERE {{customer:String}} != '' AND {_ANYTHING}
        ORDER BY cost DESC, day DESC, requests DESC, {", ".join(_GROUP)} LIMIT {{limit:UInt32}}
    """
    page = await facts.page(window, sql, Usage, **filters.parameters, **days.parameters("window"), **looked)
    names = await facts.names(sorted({row.user for row in page.data if row.user}))
    return Page([msgspec.structs.replace(row, user_name=names.get(row.user)) for row in page.data], page.meta)


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


IN_WINDOW, IN_PREVIOUS, IN_WEEK, IN_WEEK_BEFORE = 1, 2, 4, 8


class _CostSums(msgspec.Struct, frozen=True):
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
    within = [each.condition(name) for name, each in ranges.items()]
    periods = " + ".join(f"{2**place} * ({condition})" for place, condition in enumerate(within))
    looked = looked_at(*ranges.values())
    sums = best(
        facts,
        filters,
        {"periods": periods, "bucket": _BUCKETS[step], "key": f"toString({by})"},
        "periods > 0",
        spend={"cost": _kept("cost_nano"), "estimated": _kept("estimated_nano"), "tokens": _kept(f"({_ALL_TOKENS})")},
        stored=await present(facts, looked),
    )
    sql = f"""
        SELECT toUInt8(periods) AS periods, if(bitAnd(periods, {IN_WINDOW}), bucket, '') AS bucket, key,
            toInt64(sum(cost)) AS cost, toInt64(sum(estimated)) AS estimated, sum(tokens) AS tokens
        FROM ({sums}) AS spent WHERE {{customer:String}} != ''
        GROUP BY periods, bucket, key HAVING cost != 0 OR tokens != 0 ORDER BY bucket, key
    """
    parameters: dict[str, Any] = {}
    for name, each in ranges.items():
        parameters |= each.parameters(name)
    page = await facts.page(window, sql, _CostSums, **filters.parameters, **parameters, **looked)
    found = await labels(facts, by, {row.key for row in page.data})
    return Page(_trend(page.data, found), page.meta)


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
        [
            CostTotal(key, named[key], usd(cost[key]), usd(previous[key]), cost[key] / total if total else 0.0)
            for key in keys
        ],
        usd(total),
        usd(sum(previous.values())),
        usd(cost[""]),
        usd(sum(row.estimated for row in rows if row.periods & IN_WINDOW)),
        _month(rows, IN_WEEK),
        _month(rows, IN_WEEK_BEFORE),
    )


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


class _CacheSums(msgspec.Struct, frozen=True):
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
    looked = looked_at(now)
    sums = best(
        facts,
        filters,
        {"bucket": "toString(day)", "key": f"toString({by})"},
        now.condition("window"),
        spend={name: _TOKEN_SUMS[name] for name in names},
        stored=await present(facts, looked),
    )
    # The cumulative sums of a producer may arrive in parts: cached tokens before the input that holds them.
    some = " OR ".join(f"{name} != 0" for name in names)
    sql = f"""
        SELECT bucket, key, {", ".join(f"greatest({name}, 0) AS {name}" for name in names)}
        FROM ({sums}) AS sums WHERE {{customer:String}} != '' AND ({some}) ORDER BY bucket, key
    """
    page = await facts.page(window, sql, _CacheSums, **filters.parameters, **now.parameters("window"), **looked)
    found = await labels(facts, by, {row.key for row in page.data})
    by_key: defaultdict[str, list[_CacheSums]] = defaultdict(list)
    by_day: defaultdict[str, list[_CacheSums]] = defaultdict(list)
    for row in page.data:
        by_key[row.key].append(row)
        by_day[row.bucket].append(row)
    rows = [_cache_row(key, found[key], group) for key, group in by_key.items()]
    rows.sort(key=lambda row: (-(row.input_tokens + row.cache_read_tokens + row.cache_creation_tokens), row.key))
    days = [_cache_row(day, "", group) for day, group in by_day.items()]
    points = [
        CachePoint(day.key, day.rate, day.cache_read_tokens, day.input_tokens, day.cache_creation_tokens)
        for day in days
    ]
    return Page(CacheHit(rows, _cache_row("", "total", page.data), points), page.meta)


def _cache_row(key: str, label: str, rows: list[_CacheSums]) -> CacheRow:
    whole, read, created = (
        sum(getattr(row, name) for row in rows) for name in ("input", "cache_read", "cache_creation")
    )
    return CacheRow(key, label, whole, read, created, hit_rate(whole, read, created))
