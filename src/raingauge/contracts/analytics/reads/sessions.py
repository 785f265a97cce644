"""`GET /api/analytics/sessions`: turns, how they ended, how long they took, and their tools."""

from __future__ import annotations

import asyncio
from typing import Annotated, Final, Literal, NamedTuple

import msgspec
from litestar import get
from litestar.di import NamedDependency
from litestar.params import QueryParameter
from msgspec.structs import replace

from raingauge.contract import Facts, Page, Window
from raingauge.contracts.analytics.reads.query import FILTERS, Filters, View, bound, statement


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


class Duration(msgspec.Struct, frozen=True):
    """How long turns took, in seconds."""

    key: str
    seconds_p50: float
    seconds_p95: float


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


class _Key(NamedTuple):
    """What rows are grouped by: of one daily row, of a turn's daily rows together, and as text of the latter."""

    row: str
    turn: str
    text: str


_KEYS: Final = {
    "total": _Key("''", "0", "''"),
    "day": _Key("toString(day)", "max(day)", "toString(merged)"),
    "phase": _Key("phase", "max(phase)", "merged"),
    "version": _Key("app_version", "max(app_version)", "merged"),
}
_TURNS: Final = """
    SELECT $row AS key, sum(r.events) AS events,
        uniqExactIf(session, session != 0) AS sessions, uniqExact(installation) AS installations,
        sum(starts) AS turns,
        if({corrected:UInt8}, sum(r.ended), sum(end_rows)) AS ended,
        if({corrected:UInt8}, sum(r.completed), sum(end_rows_good)) AS completed,
        completed / nullIf(ended, 0) AS success_rate,
        uniqExactIf(session, session != 0 AND r.completed > 0) AS completed_sessions,
        uniqExactIf(session, session != 0 AND r.raised > 0) AS error_sessions,
        if({corrected:UInt8}, sum(calls_worked) + sum(call_errors), sum(call_rows)) AS tool_calls,
        if({corrected:UInt8}, sum(call_errors), sum(call_rows_bad)) AS tool_errors,
        tool_errors / nullIf(tool_calls, 0) AS tool_error_rate
    FROM $turns AS r WHERE $wanted GROUP BY key ORDER BY key LIMIT {limit:UInt32}
"""
# A turn over midnight lies in two daily rows; it counts where it ended.
_DURATIONS: Final = """
    SELECT $text AS key, quantilesExact(0.5, 0.95)(finished - started) AS took_ms,
        took_ms[1] / 1000 AS seconds_p50, took_ms[2] / 1000 AS seconds_p95
    FROM (
        SELECT $turn AS merged, min(started_ms) AS started, max(ended_ms) AS finished
        FROM $turns WHERE run != 0 AND starts + ended > 0 AND $wanted GROUP BY run
        HAVING finished >= started
    ) GROUP BY key
"""
_STOP_REASONS: Final = """
    SELECT arrayJoin(stop_reasons) AS stop_reason, count() AS turns, turns / sum(count()) OVER () AS share
    FROM $turns WHERE $wanted
    GROUP BY stop_reason ORDER BY turns DESC, stop_reason LIMIT {limit:UInt32}
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
        return await facts.page(window, statement(facts, _STOP_REASONS, view), StopReason, **values)
    if by == "tool":
        return await facts.page(window, statement(facts, _TOOLS, view), ToolUse, **values)
    key = _KEYS[by]
    page, durations = await asyncio.gather(
        facts.page(window, statement(facts, _TURNS, view, row=key.row), Turns, **values),
        facts.rows(statement(facts, _DURATIONS, view, turn=key.turn, text=key.text), Duration, **values),
    )
    took = {found.key: found for found in durations}
    rows = [
        replace(row, seconds_p50=found.seconds_p50, seconds_p95=found.seconds_p95)
        if (found := took.get(row.key))
        else row
        for row in page.data
    ]
    return Page(rows, page.meta)
