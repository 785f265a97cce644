"""What all reads of product usage share: filters, ready-made audiences, the two views, whole UTC days."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import date, timedelta
from string import Template
from typing import Annotated, Any, Final, Literal, TypeAlias

from litestar.di import Provide
from litestar.params import QueryParameter

from raingauge.contract import Facts, Window
from raingauge.contracts.analytics.rollups import ACTIVITY, CRON_RUNS, FAILURES, STAGES, STEPS, TOOLS, TURNS, USERS

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


UNFILTERED: Final = Filters("", "", "", "", "", "", "", "all")


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


FILTERS: Final = {"filters": Provide(_filters)}
"""The dependency that gives a handler its `filters: Filters`."""

_DAYS: Final = "day BETWEEN {first_day:Date} AND {last_day:Date}"
_FILTER: Final = """(
    $days
    AND ({module:String} = '' OR module = {module:String})
    AND ({owner_module:String} = '' OR owner_module = {owner_module:String})
    AND ({execution_kind:String} = '' OR execution_kind = {execution_kind:String})
    AND ({phase:String} = '' OR phase = {phase:String})
    AND ({version:String} = '' OR app_version = {version:String})
    AND ({platform:String} = '' OR platform = {platform:String})
    AND ({deployment_mode:String} = '' OR deployment_mode = {deployment_mode:String})
    AND ({audience:String} != 'ordinary'
        OR module = 'session' AND owner_module = 'session' AND execution_kind = 'user_session')
    AND ({audience:String} != 'always_on' OR module = 'session' AND owner_module = 'always_on')
)""".replace("$days", _DAYS)
_ROLLUPS: Final = {
    "activity": ACTIVITY.table, "all_users": USERS.table, "steps": STEPS.table, "tools": TOOLS.table,
    "turns": TURNS.table, "cron_runs": CRON_RUNS.table, "failures": FAILURES.table,
}  # fmt: skip


def statement(facts: Facts, sql: str, view: View = "contract", **parts: str) -> str:
    """SQL with `$filter`, `$wanted`, `$stages` and the names of rollups (`$turns`, …) filled in.

    `$wanted` is the filter for turns: the corrected view leaves out those that a schedule began, which look like
    ordinary chat except for the id of their run. `parts` fill what else the statement leaves open: expressions of this
    folder, never what a caller sent.
    """
    wanted = "$filter AND run NOT IN (SELECT run FROM $cron_runs)" if view == "corrected" else "$filter"
    sql = sql.replace("$wanted", wanted)
    sources = {name: facts.rolled(table) for name, table in _ROLLUPS.items() if f"${name}" in sql}
    stages = ", ".join(f"'{stage}'" for stage in STAGES)
    return Template(sql).substitute(sources, filter=_FILTER, stages=f"[{stages}]", **parts)


def users(facts: Facts, sql: str, filters: Filters, **parts: str) -> str:
    """`statement` with `$users`: who was active, from the smallest table that knows all filters."""
    source, condition = ("$all_users", _DAYS) if filters == UNFILTERED else ("$activity", "$filter")
    return statement(facts, sql.replace("$users", source).replace("$filter", condition), "contract", **parts)


def bound(window: Window, filters: Filters, view: View = "contract") -> dict[str, Any]:
    """Values for the parameters of `statement`.

    The window counts in whole UTC days. A day more is looked at on either side, because a scheduled turn can begin or
    end across midnight.
    """
    first, last = window.days
    return {
        **asdict(filters),
        "first_day": first,
        "last_day": last,
        "since_day": max(first - timedelta(days=1), FIRST_DAY),
        "until_day": last + timedelta(days=1),
        "corrected": int(view == "corrected"),
    }
