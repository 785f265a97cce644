"""What all reads of product usage share: filters, ready-made audiences, the two views, whole UTC days."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from string import Template
from typing import Annotated, Any, Final, Literal, TypeAlias

import msgspec
from litestar.di import Provide
from litestar.params import QueryParameter

from raingauge.contract import Facts, Window
from raingauge.contracts.analytics.loops import HALVES, SESSION_AUDIENCES, SESSION_SETS, TIMES, TURNS
from raingauge.contracts.analytics.parts import AUDIENCES, STAGES
from raingauge.contracts.analytics.rollups import ACTIVITY, CRON_RUNS, FAILURES, STEPS, STOPS, TOOLS, USER_AUDIENCES

Audience: TypeAlias = Literal["all", "ordinary", "always_on"]
View: TypeAlias = Annotated[
    Literal["contract", "corrected"],
    QueryParameter(description="The contract's own formula, or the one that allows for what the client really sends."),
]

FIRST_DAY: Final = date(2020, 1, 1)
"""First day that is believed; events of broken clocks lie before it."""


@dataclass(frozen=True, slots=True)
class Filters:
    """Restrictions of a read; the empty string restricts nothing."""

    module: str
    owner_module: str
    execution_kind: str
    phase: str
    version: str
    platform: str
    deployment_mode: str
    audience: Audience

    @property
    def condition(self) -> str:
        """SQL that names only what is restricted: a column that is not named is not read from disk."""
        wanted = [f"{_COLUMNS.get(name, name)} = {{{name}:String}}" for name, value in self.values.items() if value]
        audience = AUDIENCES.get(self.audience)
        return " AND ".join((_DAYS, *wanted, *filter(None, [audience])))

    @property
    def values(self) -> dict[str, str]:
        """Each restriction but the audience by its name."""
        return {name: value for name, value in asdict(self).items() if name != "audience"}


UNFILTERED: Final = Filters("", "", "", "", "", "", "", "all")
_COLUMNS: Final = {"version": "app_version"}
_DAYS: Final = "day BETWEEN {first_day:Date} AND {last_day:Date}"


async def _filters(
    module: Annotated[str, QueryParameter(description="Business surface, such as session or router.")] = "",
    owner_module: Annotated[str, QueryParameter(description="Module the work was done for.")] = "",
    execution_kind: Annotated[str, QueryParameter(description="user_session, subagent, always_on, …")] = "",
    phase: Annotated[str, QueryParameter(description="Step of a background run.")] = "",
    version: Annotated[str, QueryParameter(description="Version of the application.")] = "",
    platform: Annotated[str, QueryParameter(description="linux, darwin, win32, …")] = "",
    deployment_mode: Annotated[str, QueryParameter(description="source, docker, npm_binary, …")] = "",
    audience: Annotated[
        Audience,
        QueryParameter(description="ordinary: users' own chats; always_on: background runs in the agent loop."),
    ] = "all",
) -> Filters:
    return Filters(module, owner_module, execution_kind, phase, version, platform, deployment_mode, audience)


class _Run(msgspec.Struct, frozen=True):
    run: int


FILTERS: Final = {"filters": Provide(_filters)}
"""The dependency that gives a handler its `filters: Filters`."""

_ROLLUPS: Final = {
    "activity": ACTIVITY.table, "users_by_audience": USER_AUDIENCES.table, "steps": STEPS.table, "stops": STOPS.table,
    "tools": TOOLS.table, "turns": TURNS.table, "times": TIMES.table, "halves": HALVES.table,
    "sessions": SESSION_SETS.table, "sessions_by_audience": SESSION_AUDIENCES.table,
    "cron_runs": CRON_RUNS.table, "failures": FAILURES.table,
}  # fmt: skip
_BY_DIMENSION: Final = {
    "activity_sets": "$activity", "session_sets": "$sessions", "sets_filter": "$filter",
    "number_of": "uniqExactArray", "set_of": "groupBitmapStateArray",
}  # fmt: skip
_BY_AUDIENCE: Final = {
    "activity_sets": "$users_by_audience", "session_sets": "$sessions_by_audience",
    "number_of": "groupBitmapMerge", "set_of": "groupBitmapMergeState",
}  # fmt: skip
"""Smaller tables for reads that want everybody or one audience, and how their sets are united."""
# Scheduled turns look like ordinary chat except for the id of their run.
_NAMES: Final = {
    "scheduled": "run IN (SELECT run FROM $cron_runs)",
    "stages": ", ".join(f"'{stage}'" for stage in STAGES),
}


def statement(
    facts: Facts, sql: str, filters: Filters = UNFILTERED, /, *, names_dimension: bool = False, **parts: str
) -> str:
    """SQL with `$filter`, `$scheduled`, `$stages`, the names of rollups (`$turns`, …) and `parts` filled in.

    `$scheduled` tells whether a turn was begun by a schedule. Sets are in `$activity_sets` and `$session_sets`, which
    are restricted by `$sets_filter` and united with `$number_of`, which counts their members, or `$set_of`; either can
    have `If` appended. `names_dimension` is whether the SQL itself uses one. `parts` are SQL of this folder, never what
    a caller sent.
    """
    audience = f"{_DAYS} AND audience = '{filters.audience}'" if filters.audience != "all" else _DAYS
    by_dimension = names_dimension or any(filters.values.values())
    sets = _BY_DIMENSION if by_dimension else _BY_AUDIENCE | {"sets_filter": audience}
    sql = Template(sql).safe_substitute(sets | parts)
    sql = Template(sql).safe_substitute(_NAMES | {"filter": filters.condition})
    sources = {name: facts.rolled(table) for name, table in _ROLLUPS.items() if f"${name}" in sql}
    return Template(sql).substitute(sources)


async def any_scheduled(facts: Facts, values: Mapping[str, Any]) -> bool:
    """Whether a schedule began any turn near the days of the read, whose parameters are `values`."""
    return bool(await facts.rows(statement(facts, "SELECT run FROM $cron_runs LIMIT 1"), _Run, **values))


def bound(window: Window, filters: Filters, view: View = "contract") -> dict[str, Any]:
    """Values for the parameters of `statement`.

    The window counts in whole UTC days. A day more is looked at on either side, because a scheduled turn can begin or
    end across midnight.
    """
    first, last = window.days
    return {
        **filters.values,
        "first_day": first,
        "last_day": last,
        "since_day": max(first - timedelta(days=1), FIRST_DAY),
        "until_day": last + timedelta(days=1),
        "corrected": int(view == "corrected"),
    }
