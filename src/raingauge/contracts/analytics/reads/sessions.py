"""`GET /api/analytics/sessions`: turns, how they ended, how long they took, and their tools."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from typing import Annotated, Any, Final, Literal, NamedTuple

import msgspec
from litestar import get
from litestar.di import NamedDependency
from litestar.params import QueryParameter

from raingauge.contract import Facts, Page, Window
from raingauge.contracts.analytics.reads.query import FILTERS, Filters, View, any_scheduled, bound, statement


class Turns(msgspec.Struct, frozen=True):
    """Turns of one day, phase or version, or all (`key` is empty).

    `contract` judges turns and tool calls by the outcome of their rows; `corrected` judges turns by their stop reason
    and tool calls by their result, and leaves out scheduled turns. Rates are None without data. Durations, in seconds,
    are of turns whose start and end were both seen.
    """

    key: str
    events: int
    sessions: int
    installations: int
    turns: int
    ended: int
    completed: int
    success_rate: float | None
    completed_sessions: int
    error_sessions: int
    tool_calls: int
    tool_errors: int
    tool_error_rate: float | None
    seconds_p50: float | None = None
    seconds_p95: float | None = None


class StopReason(msgspec.Struct, frozen=True):
    """Why turns ended: `share` of all `turns` that said why."""

    stop_reason: str
    turns: int
    share: float


class ToolUse(msgspec.Struct, frozen=True):
    """Calls of one tool. `contract` counts rows, `corrected` counts results."""

    tool_name: str
    calls: int
    errors: int
    error_rate: float | None


class _Sums(NamedTuple):
    """What is counted of one key."""

    events: int
    sessions: int
    installations: int
    turns: int
    ended: int
    completed: int
    completed_sessions: int
    error_sessions: int
    tool_calls: int
    tool_errors: int


class _Counted(msgspec.Struct, frozen=True):
    key: str
    sums: _Sums


class _Took(msgspec.Struct, frozen=True):
    key: str
    seconds_p50: float
    seconds_p95: float


class _Key(NamedTuple):
    """What rows are grouped by: of one row, and of several rows of one turn together."""

    row: str
    merged: str


_KEYS: Final = {
    "total": _Key("''", "''"),
    "day": _Key("day", "max(day)"),
    "phase": _Key("phase", "max(phase)"),
    "version": _Key("app_version", "max(app_version)"),
}
_ALL: Final = """
    SELECT toString($row) AS key, (
        sum(events), $number_of(sessions), $number_of(installations), sum(starts),
        if({corrected:UInt8}, sum(ended), sum(end_rows)), if({corrected:UInt8}, sum(completed), sum(end_rows_good)),
        ${number_of}If(sessions, completed_any), ${number_of}If(sessions, raised_any),
        if({corrected:UInt8}, sum(calls_worked) + sum(call_errors), sum(call_rows)),
        if({corrected:UInt8}, sum(call_errors), sum(call_rows_bad))
    ) AS sums
    FROM $session_sets WHERE $sets_filter GROUP BY key ORDER BY key LIMIT {limit:UInt32}
"""
# What all this would be less without scheduled turns, seen in everything about the sessions and installations that
# have any: a session with other turns as well stays.
_SCHEDULED: Final = """
    SELECT toString($row) AS key, (
        sumIf(events, begun), uniqExactIf(session, session != 0) - uniqExactIf(session, session != 0 AND NOT begun),
        uniqExact(installation) - uniqExactIf(installation, NOT begun), sumIf(starts, begun),
        sumIf(ended, begun), sumIf(completed, begun),
        uniqExactIf(session, session != 0 AND completed > 0)
            - uniqExactIf(session, session != 0 AND completed > 0 AND NOT begun),
        uniqExactIf(session, session != 0 AND raised > 0)
            - uniqExactIf(session, session != 0 AND raised > 0 AND NOT begun),
        sumIf(calls_worked + call_errors, begun), sumIf(call_errors, begun)
    ) AS sums
    FROM (SELECT *, $scheduled AS begun FROM $turns)
    WHERE $filter AND (
        session IN (SELECT session FROM $turns WHERE session != 0 AND $scheduled)
        OR installation IN (SELECT installation FROM $turns WHERE $scheduled)
    )
    GROUP BY key
"""
# A turn over midnight lies in two daily rows; it counts where it ended.
_DURATIONS: Final = """
    SELECT toString(bucket) AS key, quantilesExactArray(0.5, 0.95)(took) AS quantiles_ms,
        quantiles_ms[1] / 1000 AS seconds_p50, quantiles_ms[2] / 1000 AS seconds_p95
    FROM (
        $within_days
        UNION ALL
        SELECT $merged AS bucket, [max(ended_ms) - min(started_ms)] AS took FROM $halves WHERE $wanted
        GROUP BY run HAVING took[1] >= 0
    ) GROUP BY bucket
"""
_ALL_TIMES: Final = "SELECT $row AS bucket, took_ms AS took FROM $times WHERE $filter"
_UNSCHEDULED_TIMES: Final = "SELECT $row AS bucket, [took_ms] AS took FROM $turns WHERE took_ms >= 0 AND $wanted"
_STOP_REASONS: Final = """
    SELECT stop_reason, sum(ended) AS turns, turns / sum(sum(ended)) OVER () AS share FROM (
        SELECT stop_reason, toInt64(turns) AS ended FROM $stops WHERE $filter
        UNION ALL
        SELECT arrayJoin(stop_reasons), toInt64(-1) FROM $turns WHERE {corrected:UInt8} AND $filter AND $scheduled
    )
    GROUP BY stop_reason HAVING turns > 0 ORDER BY turns DESC, stop_reason LIMIT {limit:UInt32}
"""
_TOOLS: Final = """
    SELECT tool_name,
        if({corrected:UInt8}, sum(calls_worked) + sum(call_errors), sum(call_rows)) AS calls,
        if({corrected:UInt8}, sum(call_errors), sum(call_rows_bad)) AS errors,
        errors / nullIf(calls, 0) AS error_rate
    FROM $tools WHERE $filter
    GROUP BY tool_name HAVING calls > 0 ORDER BY calls DESC, tool_name LIMIT {limit:UInt32}
"""


@get("/api/analytics/sessions", dependencies=FILTERS)
async def sessions(
    facts: NamedDependency[Facts],
    window: NamedDependency[Window],
    filters: NamedDependency[Filters],
    view: View = "contract",
    by: Annotated[
        Literal["total", "day", "phase", "version", "stop_reason", "tool"], QueryParameter(description="What a row is.")
    ] = "total",
) -> Page[list[Turns]] | Page[list[StopReason]] | Page[list[ToolUse]]:
    """Turns of the agent loop: sessions, outcomes, durations; or stop reasons; or tools."""
    values = bound(window, filters, view)
    if by == "stop_reason":
        return await facts.page(window, statement(facts, _STOP_REASONS, filters), StopReason, **values)
    if by == "tool":
        return await facts.page(window, statement(facts, _TOOLS, filters), ToolUse, **values)
    key = _KEYS[by]
    if filters.module == "session":
        filters = replace(filters, module="")  # all turns are of this module, and sums of everybody are smaller
    scheduled_too = view == "corrected" and await any_scheduled(facts, values)
    durations = _DURATIONS.replace("$within_days", _UNSCHEDULED_TIMES if scheduled_too else _ALL_TIMES)
    wanted = "$filter AND NOT $scheduled" if scheduled_too else "$filter"
    everything = statement(facts, _ALL, filters, row=key.row, names_dimension=by in {"phase", "version"})
    page, took, scheduled = await asyncio.gather(
        facts.page(window, everything, _Counted, **values),
        facts.rows(
            statement(facts, durations, filters, wanted=wanted, row=key.row, merged=key.merged), _Took, **values
        ),
        _scheduled(facts, filters, key, values) if scheduled_too else _nothing(),
    )
    return Page([*_turns(page.data, scheduled, took)], page.meta)


async def _scheduled(facts: Facts, filters: Filters, key: _Key, values: dict[str, Any]) -> list[_Counted]:
    return await facts.rows(statement(facts, _SCHEDULED, filters, row=key.row), _Counted, **values)


async def _nothing() -> list[_Counted]:
    return []


def _turns(counted: list[_Counted], scheduled: list[_Counted], took: list[_Took]) -> Iterator[Turns]:
    """The sums without what is due to scheduled turns, and how long the others took."""
    less = {found.key: found.sums for found in scheduled}
    seconds = {found.key: (found.seconds_p50, found.seconds_p95) for found in took}
    for key, sums in ((found.key, found.sums) for found in counted):
        left = _Sums(*(all_ - some for all_, some in zip(sums, less[key], strict=True))) if key in less else sums
        if left.events:
            yield Turns(
                key, left.events, left.sessions, left.installations, left.turns, left.ended, left.completed,
                _rate(left.completed, left.ended), left.completed_sessions, left.error_sessions,
                left.tool_calls, left.tool_errors, _rate(left.tool_errors, left.tool_calls),
                *seconds.get(key, (None, None)),
            )  # fmt: skip


def _rate(part: int, whole: int) -> float | None:
    return part / whole if whole else None
