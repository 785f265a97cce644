"""`/api/tool-decisions`: who let tools run, and how often people said no."""

# ruff: noqa: S608 - SQL is built from names of this folder; values are bound
from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Final, Literal

import msgspec
from litestar import get
from litestar.di import NamedDependency
from litestar.params import QueryParameter

from raingauge.contract import Facts, Page, Window
from raingauge.contracts.otlp.reads.query import FILTERS, Filters, Range, labels, looked_at
from raingauge.contracts.otlp.rollups import DECISIONS, WHERE

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
    decisions: int
    accepted: int
    rejected: int


_SQL: Final = """
    SELECT toString($by) AS key, toString(part.decision_source) AS decision_source, sum(part.decisions) AS decisions,
        sumIf(part.decisions, part.decision = 'accept') AS accepted,
        sumIf(part.decisions, part.decision = 'reject') AS rejected, count() AS looked
    FROM ($decisions) AS part WHERE customer = {customer:String} AND $hours AND $wanted
    GROUP BY key, decision_source
"""


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
    wanted = filters.condition("user", "repo", "model", "source", "tool", "session")
    sql = _SQL.replace("$by", f"part.{by}").replace("$hours", hours.condition("window")).replace("$wanted", wanted)
    statements = {name: sql.replace("$decisions", decisions) for name, decisions in _decisions(facts).items()}
    known = {**filters.parameters, **hours.parameters("window"), **looked_at(hours)}
    page = await facts.columns(window, statements, **known)
    told = [row for part in page.data.values() for row in msgspec.convert(part.to_pylist(), list[_Sums])]
    groups: dict[str, list[_Sums]] = {}
    sources: dict[str, list[_Sums]] = {}
    for row in told:
        groups.setdefault(row.key, []).append(row)
        sources.setdefault(row.decision_source, []).append(row)
    named = await labels(facts, by, groups)
    rows = [_row(key, named[key], group) for key, group in groups.items()]
    rows.sort(key=lambda row: (-row.decisions, row.key))
    by_source = [
        DecidedBy(source, sum(row.accepted for row in group), sum(row.rejected for row in group))
        for source, group in sources.items()
    ]
    by_source.sort(key=lambda row: (-row.accepted - row.rejected, row.decision_source))
    return Page(ToolDecisions(rows[: window.limit], _row("", "total", told), by_source[:_SOURCES_MAX]), page.meta)


def _decisions(facts: Facts) -> dict[str, str]:
    """What was decided, summed up and newer."""
    parts = facts.parts(DECISIONS.table)
    newer = {"newer": DECISIONS.select.replace(WHERE, parts.newer)} if parts.newer else {}
    return {"sums": f"SELECT * FROM {parts.sums}", **newer}


def _row(key: str, label: str, group: Iterable[_Sums]) -> DecisionRow:
    decisions = accepted = rejected = automatic = human_accepted = human_rejected = 0
    for row in group:
        decisions += row.decisions
        accepted += row.accepted
        rejected += row.rejected
        if row.decision_source in {"config", "hook"}:
            automatic += row.decisions
        elif row.decision_source.startswith("user"):
            human_accepted += row.accepted
            human_rejected += row.rejected
    asked = human_accepted + human_rejected
    rate = human_accepted / asked if asked else None
    return DecisionRow(key, label, decisions, accepted, rejected, automatic, human_accepted, human_rejected, rate)
