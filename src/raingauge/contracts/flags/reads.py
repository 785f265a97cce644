"""`GET /api/flags/…`: latency, resolves and counts of flag resolvers over time.

Minutes and hours are read from single deltas and reach back as far as those are kept; days are read from the totals,
which never expire. Times are those of arrival: the messages carry none.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Annotated, Any, Final, Literal, NamedTuple, TypeAlias

import msgspec
from litestar import get
from litestar.di import NamedDependency, Provide
from litestar.params import QueryParameter

from raingauge.contract import Facts, Page, Window
from raingauge.contracts.flags.exposition import REASON_NAMES
from raingauge.contracts.flags.histogram import quantile_us, upper_bound_us
from raingauge.contracts.flags.rollups import FLAG_COUNT_TOTALS, FLAG_TOTALS
from raingauge.contracts.flags.tables import FLAG_DELTAS
from raingauge.contracts.flags.wire import flag_logs_pb2 as wire

Step: TypeAlias = Literal["minute", "hour", "day"]

ERRORS: Final = frozenset({
    wire.RESOLVE_REASON_TARGETING_KEY_ERROR,
    wire.RESOLVE_REASON_ERROR,
    wire.RESOLVE_REASON_UNRECOGNIZED_TARGETING_RULE,
    wire.RESOLVE_REASON_MATERIALIZATION_NOT_SUPPORTED,
    wire.RESOLVE_REASON_TYPE_MISMATCH,
    wire.RESOLVE_REASON_FLAG_NOT_FOUND,
})  # fmt: skip
"""Reasons that mean something is wrong; no match and an archived flag are ordinary outcomes."""

_KEYS: Final = {
    "total": "''",
    "resolver": "resolver_id",
    "sdk": "sdk",
    "version": "trim(concat(sdk, ' ', sdk_version))",
}
_STARTS: Final = {"minute": "toStartOfMinute(received_at)", "hour": "toStartOfHour(received_at)"}
_LONGEST: Final = {"minute": timedelta(hours=6), "hour": timedelta(days=14)}
_FILTER: Final = """customer = {customer:String} AND day BETWEEN {since_day:Date} AND {until_day:Date}
    AND ({resolver:String} = '' OR resolver_id = {resolver:String}) AND ({sdk:String} = '' OR sdk = {sdk:String})
    AND ({version:String} = '' OR sdk_version = {version:String})"""
_ARRIVED: Final = """message_id >= toUnixTimestamp64Micro({since:DateTime64(6)})
    AND message_id < toUnixTimestamp64Micro({until:DateTime64(6)})"""


class Bucket(msgspec.Struct, frozen=True):
    """Observations below `below_us` microseconds and not below the bucket before."""

    below_us: float
    count: int


class Latency(msgspec.Struct, frozen=True):
    """Resolve latency of one step in microseconds. Percentiles are None when all observations were unusable."""

    at: datetime
    key: str
    count: int
    mean_us: float
    p50_us: float | None
    p90_us: float | None
    p99_us: float | None
    buckets: list[Bucket]


class Resolves(msgspec.Struct, frozen=True):
    """Resolves of one step by reason, and the share of them that failed."""

    at: datetime
    key: str
    resolves: int
    errors: int
    error_rate: float
    reasons: dict[str, int]


class Counted(msgspec.Struct, frozen=True):
    """How often a flag gave a variant, used a rule or made an assignment. A count ends at 2^64 - 1."""

    flag: str
    rule: str
    name: str
    count: int


class FlagVersion(msgspec.Struct, frozen=True):
    """A version of an SDK and when it first reported: to the microsecond while that delta is kept, then to the day."""

    key: str
    first_at: datetime


class Selection(NamedTuple):
    """What both time series share: step, key and restrictions; the empty string restricts nothing."""

    step: Literal["auto", "minute", "hour", "day"]
    by: Literal["total", "resolver", "sdk", "version"]
    resolver: str
    sdk: str
    version: str

    def statement(self, facts: Facts, window: Window, sums: str, having: str) -> str:
        """SQL of `sums` by step and key."""
        step = self.step if self.step != "auto" else _step_for(window)
        start, source, bounds = (
            ("toDateTime(day, 'UTC')", facts.rolled(FLAG_TOTALS.table), _FILTER)
            if step == "day"
            else (_STARTS[step], FLAG_DELTAS.name, f"{_FILTER} AND {_ARRIVED}")
        )
        return (
            f"SELECT {start} AS at, {_KEYS[self.by]} AS key, {sums} FROM {source} WHERE {bounds}"  # noqa: S608
            f" GROUP BY at, key HAVING {having} ORDER BY at, key LIMIT {{limit:UInt32}}"
        )

    @property
    def parameters(self) -> dict[str, Any]:
        return {"resolver": self.resolver, "sdk": self.sdk, "version": self.version}


def _step_for(window: Window) -> Step:
    span = window.until - window.since
    if span <= _LONGEST["minute"]:
        return "minute"
    return "hour" if span <= _LONGEST["hour"] else "day"


async def _selection(
    step: Annotated[
        Literal["auto", "minute", "hour", "day"], QueryParameter(description="Time between two points.")
    ] = "auto",
    by: Annotated[
        Literal["total", "resolver", "sdk", "version"], QueryParameter(description="What the key of a row is.")
    ] = "total",
    resolver: Annotated[str, QueryParameter(description="Label of a token: only what was sent with it.")] = "",
    sdk: Annotated[str, QueryParameter(description="An SDK, such as SDK_ID_CLOUDFLARE_RESOLVER.")] = "",
    version: Annotated[str, QueryParameter(description="A version of the SDK.")] = "",
) -> Selection:
    return Selection(step, by, resolver, sdk, version)


_SELECTION: Final = {"selection": Provide(_selection)}


class _LatencySums(msgspec.Struct, frozen=True):
    at: datetime
    key: str
    observed: int
    sum_us: int
    buckets: dict[int, int]

    def point(self) -> Latency:
        p50_us, p90_us, p99_us = (quantile_us(self.buckets, quantile) for quantile in (0.5, 0.9, 0.99))
        buckets = [Bucket(round(upper_bound_us(index), 3), self.buckets[index]) for index in sorted(self.buckets)]
        mean_us = self.sum_us / self.observed
        return Latency(self.at, self.key, self.observed, mean_us, p50_us, p90_us, p99_us, buckets)


class _ReasonSums(msgspec.Struct, frozen=True):
    at: datetime
    key: str
    reasons: dict[int, int]

    def point(self) -> Resolves:
        resolves = sum(self.reasons.values())
        errors = sum(count for reason, count in self.reasons.items() if reason in ERRORS)
        named = {REASON_NAMES[reason]: count for reason, count in sorted(self.reasons.items())}
        return Resolves(self.at, self.key, resolves, errors, errors / resolves, named)


@get("/api/flags/latency", summary="Latency of flag resolves", tags=["flags"], dependencies=_SELECTION)
async def latency(
    facts: NamedDependency[Facts], window: NamedDependency[Window], selection: NamedDependency[Selection]
) -> Page[list[Latency]]:
    """Percentiles, mean and histogram over time; in total, by resolver, by SDK or by SDK version."""
    sums = "sum(latency_count) AS observed, sum(latency_sum_us) AS sum_us, sumMap(latency_buckets) AS buckets"
    sql = selection.statement(facts, window, sums, "observed > 0")
    page = await facts.page(window, sql, _LatencySums, **selection.parameters)
    return Page([row.point() for row in page.data], page.meta)


@get("/api/flags/resolves", summary="Flag resolves by reason", tags=["flags"], dependencies=_SELECTION)
async def resolves(
    facts: NamedDependency[Facts], window: NamedDependency[Window], selection: NamedDependency[Selection]
) -> Page[list[Resolves]]:
    """Resolves by reason and the error rate over time; in total, by resolver, by SDK or by SDK version."""
    sql = selection.statement(facts, window, "sumMap(resolves) AS reasons", "notEmpty(reasons)")
    page = await facts.page(window, sql, _ReasonSums, **selection.parameters)
    return Page([row.point() for row in page.data], page.meta)


@get("/api/flags/counts", summary="Flag variants, rules and assignments", tags=["flags"])
async def counts(
    facts: NamedDependency[Facts],
    window: NamedDependency[Window],
    of: Annotated[Literal["variant", "rule", "assignment"], QueryParameter(description="What is counted.")] = "variant",
    flag: Annotated[str, QueryParameter(description="Only this flag.")] = "",
) -> Page[list[Counted]]:
    """How often each flag gave each variant, used each rule or made each assignment, most frequent first."""
    sql = f"""
        SELECT flag, rule, name, toUInt64(least(sum(count), toUInt128(18446744073709551615))) AS counted,
            counted AS count
        FROM {facts.rolled(FLAG_COUNT_TOTALS.table)}
        WHERE customer = {{customer:String}} AND kind = {{of:String}} AND ({{flag:String}} = '' OR flag = {{flag:String}})
        GROUP BY flag, rule, name ORDER BY counted DESC, flag, rule, name LIMIT {{limit:UInt32}}
    """  # noqa: S608
    return await facts.page(window, sql, Counted, of=of, flag=flag)


_VERSIONS: Final = """
    SELECT days.key AS key, if(deltas.first_at > 0, deltas.first_at, toDateTime64(days.first_day, 6, 'UTC')) AS first_at
    FROM (
        SELECT $key AS key, min(day) AS first_day FROM $totals WHERE customer = {customer:String} GROUP BY key
    ) AS days LEFT JOIN (
        SELECT $key AS key, day, min(received_at) AS first_at FROM flag_deltas
        WHERE customer = {customer:String} GROUP BY key, day
    ) AS deltas ON deltas.key = days.key AND deltas.day = days.first_day
    ORDER BY first_at, key LIMIT {limit:UInt32}
"""


@get("/api/flags/versions", summary="Versions of flag SDKs", tags=["flags"])
async def versions(facts: NamedDependency[Facts], window: NamedDependency[Window]) -> Page[list[FlagVersion]]:
    """When each version of an SDK was first heard of, ever; the window does not matter."""
    everything = {"since_day": date(2020, 1, 1), "until_day": facts.now.date()}
    sql = _VERSIONS.replace("$totals", facts.rolled(FLAG_TOTALS.table)).replace("$key", _KEYS["version"])
    return await facts.page(window, sql, FlagVersion, **everything)
