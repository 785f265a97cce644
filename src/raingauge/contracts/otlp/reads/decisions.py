"""`/api/tool-decisions`: who let tools run, and how often people said no."""

# ruff: noqa: S608 - SQL is built from names of this folder; values are bound
from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Annotated, Final, Literal

import msgspec
from litestar import get
from litestar.di import NamedDependency
from litestar.params import QueryParameter

from raingauge.contract import Facts, Page, Window
from raingauge.contracts.otlp.reads import live
from raingauge.contracts.otlp.reads.query import FILTERS, Filters, Range, labels, looked_at
from raingauge.contracts.otlp.rollups import DECISIONS

_SOURCES_MAX: Final = 100


class DecisionRow(msgspec.Struct, frozen=True):
    """Decisions about tool calls of one group.

    `automatic` were made by a rule or a hook; the human figures are those of a person, and `human_rate` is the share
    of these that let the tool run, None when nobody was asked.
    """

    key: str
    label: str
    decisions: int
    accepted: int
    rejected: int
    automatic: int
    human_accepted: int
    human_rejected: int
    human_rate: float | None


class DecidedBy(msgspec.Struct, frozen=True):
    """Decisions by who made them: `config`, `hook`, `user_permanent`, `user_temporary`, `user_abort`, …"""

    decision_source: str
    accepted: int
    rejected: int


class ToolDecisions(msgspec.Struct, frozen=True):
    rows: list[DecisionRow]
    total: DecisionRow
    by_source: list[DecidedBy]


class _Sums(msgspec.Struct, frozen=True):
    key: str
    decision_source: str
    made: int
    accepted: int
    rejected: int


_FILTERED: Final = ("user", "repo", "model", "source", "tool", "session")
_SUMS: Final = """sum(decisions) AS made, sumIf(decisions, decision = 'accept') AS accepted,
    sumIf(decisions, decision = 'reject') AS rejected"""
_NEWER: Final = f"""toUInt32(hour) AS hour, {", ".join(_FILTERED)}, decision_source, decisions AS made,
    if(decision = 'accept', decisions, 0) AS accepted, if(decision = 'reject', decisions, 0) AS rejected"""


@get("/api/tool-decisions", summary="Tool approvals", tags=["agents"], dependencies=FILTERS)
async def tool_decisions(
    facts: NamedDependency[Facts],
    window: NamedDependency[Window],
    filters: NamedDependency[Filters],
    by: Annotated[
        Literal["tool", "user", "source"], QueryParameter(description="What decisions are split by.")
    ] = "tool",
) -> Page[ToolDecisions]:
    """Decisions about tool calls, and how often the people who were asked agreed."""
    hours = Range.of(window)
    parts = facts.parts(DECISIONS.table)
    sql = f"""
        SELECT {by} AS key, decision_source, {_SUMS}, count() AS looked
        FROM {parts.sums} AND {hours.condition("window")} AND {filters.condition(*_FILTERED)}
        GROUP BY key, decision_source
    """
    known = {**filters.parameters, **hours.parameters("window"), **looked_at(hours)}
    page, newer = await asyncio.gather(facts.columns(window, {"sums": sql}, **known), facts.newer(parts, _NEWER))
    told = msgspec.convert(page.data["sums"].to_pylist(), list[_Sums])
    for table in newer:
        rows = live.wanted(live.within(table, hours), filters, *_FILTERED)
        told += msgspec.convert([row | {"key": row[by]} for row in rows.to_pylist()], list[_Sums])
    groups: dict[str, list[_Sums]] = {}
    sources: dict[str, list[_Sums]] = {}
    for row in told:
        groups.setdefault(row.key, []).append(row)
        sources.setdefault(row.decision_source, []).append(row)
    named = await labels(facts, by, groups)
    decided = [_row(key, named[key], group) for key, group in groups.items()]
    decided.sort(key=lambda row: (-row.decisions, row.key))
    by_source = [
        DecidedBy(source, sum(row.accepted for row in group), sum(row.rejected for row in group))
        for source, group in sources.items()
    ]
    by_source.sort(key=lambda row: (-row.accepted - row.rejected, row.decision_source))
    return Page(ToolDecisions(decided[: window.limit], _row("", "total", told), by_source[:_SOURCES_MAX]), page.meta)


def _row(key: str, label: str, group: Iterable[_Sums]) -> DecisionRow:
    decisions = accepted = rejected = automatic = human_accepted = human_rejected = 0
    for row in group:
        decisions += row.made
        accepted += row.accepted
        rejected += row.rejected
        if row.decision_source in {"config", "hook"}:
            automatic += row.made
        elif row.decision_source.startswith("user"):
            human_accepted += row.accepted
            human_rejected += row.rejected
    asked = human_accepted + human_rejected
    rate = human_accepted / asked if asked else None
    return DecisionRow(key, label, decisions, accepted, rejected, automatic, human_accepted, human_rejected, rate)
