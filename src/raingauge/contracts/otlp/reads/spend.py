"""`/api/rollups` and `/api/cache-hit`: what was used, what it cost, and what came from the cache."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Annotated, Any, Final, Literal, NamedTuple

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
from litestar import get
from litestar.di import NamedDependency
from litestar.params import QueryParameter

from raingauge.contract import Facts, Page, Window
from raingauge.contracts.otlp.reads.choice import COST, Asked, Groups, added, by_group, sessions_in_groups, telling
from raingauge.contracts.otlp.reads.query import FILTERS, Filters, Range, labels, usd_of
from raingauge.contracts.otlp.reads.usage import usage
from raingauge.contracts.otlp.rollups import TOKENS


class Usage(msgspec.Struct, frozen=True, gc=False):
    """One UTC day of one group. Spend comes from one signal; what was done is counted from events, else spans."""

    day: str
    source: str
    user: str
    user_name: str | None
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


_TOKEN_SUMS: Final = {name.removesuffix("_tokens"): (name,) for name in TOKENS}
_DONE: Final = {"requested": ("requests",), "failed": ("errors",), "prompted": ("prompts",), "called": ("tool_calls",)}
_TOLD: Final = {"begun": ("session_starts",), "active_time": ("active_ms",)}
_GROUP: Final = ("day", "source", "user", "repo", "model", "query_source")
_ORDER: Final = [
    ("cost", "descending"),
    ("day", "descending"),
    ("requested", "descending"),
    *((name, "ascending") for name in _GROUP[1:]),
]


@get("/api/rollups", summary="Daily usage", tags=["agents"], dependencies=FILTERS)
async def rollups(
    facts: NamedDependency[Facts], window: NamedDependency[Window], filters: NamedDependency[Filters]
) -> Page[list[Usage]]:
    """Spend and activity by UTC day, tool, person, repository, model and kind of request; costliest first."""
    asked = Asked(Range.days(window), groups=_GROUP, spend=COST | _TOKEN_SUMS, done=_DONE, told=_TOLD, sessions="any")
    page = await usage(facts, window, filters, asked, _costliest)
    sums = await asyncio.to_thread(lambda: page.data.first(window.limit).sort_by(_ORDER).slice(0, window.limit))
    names = await facts.names([user for user in sums["user"].unique().to_pylist() if user])
    return Page(await asyncio.to_thread(_rows, sums, names), page.meta)


def _costliest(asked: Asked, rows: pa.Table) -> pa.Table:
    """The groups that tell of anything, with the number of their sessions, in order."""
    sums = by_group(asked, rows)
    sums = sums.append_column("sessions", sessions_in_groups(rows.filter(rows["doing"]), sums["of_group"]))
    return telling(sums, (*asked.spend, *asked.done, *asked.told, "sessions")).sort_by(_ORDER)


def _rows(sums: pa.Table, names: Mapping[str, str]) -> list[Usage]:
    day, source, user, *others = (sums[name].to_pylist() for name in _GROUP)
    return list(
        map(
            Usage,
            map(date.isoformat, day),
            source,
            user,
            map(names.get, user),
            *others,
            *(usd_of(sums[name]) for name in COST),
            *(sums[name].to_pylist() for name in (*_TOKEN_SUMS, "requested", "failed")),
            pc.max_element_wise(sums["sessions"], sums["begun"]).to_pylist(),
            *(sums[name].to_pylist() for name in ("prompted", "called")),
            pc.divide(sums["active_time"].cast(pa.float64()), 1000).to_pylist(),
        )
    )


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


_INPUTS: Final = ("input", "cache_read", "cache_creation")


class _CacheSums(NamedTuple):
    """Columns `_INPUTS` by key, and by day in order."""

    keys: pa.Table
    days: pa.Table


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
    asked = Asked(Range.of(window), groups=("day", by), spend={name: _TOKEN_SUMS[name] for name in _INPUTS})
    page = await usage(facts, window, filters, asked, _inputs)
    sums = await asyncio.to_thread(_cache_sums, page.data, by)
    found = await labels(facts, by, sums.keys[by].to_pylist())
    rows = [_cache_row(key, found[key], counts) for key, *counts in _lines(sums.keys)]
    rows.sort(key=lambda row: (-(row.input_tokens + row.cache_read_tokens + row.cache_creation_tokens), row.key))
    total = [sum(sums.days[name].to_pylist()) for name in _INPUTS]
    points = [
        CachePoint(day.isoformat(), hit_rate(whole, read, created), read, whole, created)
        for day, whole, read, created in _lines(sums.days)
    ]
    return Page(CacheHit(rows, _cache_row("", "total", total), points), page.meta)


def _inputs(asked: Asked, rows: pa.Table) -> pa.Table:
    return telling(by_group(asked, rows), _INPUTS)


def _cache_sums(groups: Groups, by: str) -> _CacheSums:
    sums = groups.all()
    # The cumulative sums of a producer may arrive in parts: cached tokens before the input that holds them.
    counted = {name: pc.max_element_wise(sums[name], 0) for name in _INPUTS}
    by_key, by_day = (added([pa.table({name: sums[name], **counted})], (name,)) for name in (by, "day"))
    return _CacheSums(by_key, by_day.sort_by("day"))


def _lines(sums: pa.Table) -> Iterable[tuple[Any, ...]]:
    return zip(*(column.to_pylist() for column in sums.columns), strict=True)


def _cache_row(key: str, label: str, counts: Sequence[int]) -> CacheRow:
    whole, read, created = counts
    return CacheRow(key, label, whole, read, created, hit_rate(whole, read, created))
