"""`GET /api/loopgain/adoption`: how installations of the library come to use it, for whoever runs this server."""

from __future__ import annotations

from typing import Annotated, Final, Literal

import msgspec
from litestar import get
from litestar.di import NamedDependency
from litestar.params import QueryParameter

from raingauge.contract import Facts, Page, Scope, Window
from raingauge.contracts.loopgain.intake import FUNNEL


class Step(msgspec.Struct, frozen=True):
    """`share` is the part of the step before that got here, null where nobody did and for the first step."""

    step: Literal["installed", "observed", "recurring"]
    instances: int
    share: float | None


class Group(msgspec.Struct, frozen=True):
    """Instances whose newest report of the dimension is `value`; null for those that never reported it."""

    value: str | None
    installed: int
    observed: int
    recurring: int


class Cohort(msgspec.Struct, frozen=True):
    """Instances that were installed in the week beginning on this Monday (UTC)."""

    week: str
    installed: int
    observed: int
    recurring: int


class Adoption(msgspec.Struct, frozen=True):
    """`not_installed` are instances seen in the window whose installation was not: it was earlier, or got lost.

    They are in none of the other numbers. Groups come largest first, at most `limit`, weeks in order; both add up to
    the steps.
    """

    groups: list[Group]
    steps: list[Step]
    weeks: list[Cohort]
    not_installed: int


class _Line(msgspec.Struct, frozen=True):
    kind: Literal["group", "week", "all"]
    value: str | None
    week: str
    installed: int
    observed: int
    recurring: int
    not_installed: int


_NOBODY: Final = _Line("all", None, "", 0, 0, 0, 0)

Dimension = Literal["version", "os", "adapter", "python"]

_COLUMNS: Final[dict[Dimension, str]] = {
    "version": "library_version", "os": "os", "adapter": "adapter", "python": "python",
}  # fmt: skip
# One pass over the events makes one line per instance; grouping sets count those three ways at once.
_SQL: Final = """
    WITH instances AS (
        SELECT instance_id,
            argMaxIf({dimension}, (ts_hour, message_id, position), isNotNull({dimension})) AS value,
            minIf(ts_hour, event = 'first_init') AS installed_hour,
            countIf(event = 'first_init') > 0 AS has_installed,
            has_installed AND countIf(event = 'first_observe') > 0 AS has_observed,
            has_observed AND greatest(
                uniqExactIf((session_seq, if(isNull(session_seq), (message_id, position), (0, 0))), event = 'session'),
                ifNull(maxIf(session_seq, event = 'session'), 0)
            ) >= 2 AS has_recurred
        FROM funnel_events
        WHERE customer = {{customer:String}} AND day BETWEEN {{since_day:Date}} AND {{until_day:Date}}
            AND ts_hour >= {{since:DateTime64(6, 'UTC')}} AND ts_hour < {{until:DateTime64(6, 'UTC')}}
        GROUP BY instance_id
    )
    SELECT multiIf(grouping(value) = 0, 'group', grouping(week) = 0, 'week', 'all') AS kind, value,
        toString(toMonday(installed_hour)) AS week, countIf(has_installed) AS installed, countIf(has_observed) AS observed,
        countIf(has_recurred) AS recurring, countIf(NOT has_installed) AS not_installed
    FROM instances
    GROUP BY GROUPING SETS ((value), (week), ())
    HAVING installed > 0 OR kind = 'all'
    ORDER BY kind, week, installed DESC, value
    LIMIT {{limit:UInt32}} BY kind
"""


@get(
    "/api/loopgain/adoption",
    opt={"scope": Scope.ADMIN, "customer": FUNNEL.public_customer},
    summary="Adoption of the library",
    tags=["loopgain"],
)
async def adoption(
    facts: NamedDependency[Facts],
    window: NamedDependency[Window],
    by: Annotated[Dimension, QueryParameter(description="What to group instances by.")] = "version",
) -> Page[Adoption]:
    """Installed, first observe, recurring: for admins who look after this installation. CSV holds the groups."""
    lines = await facts.page(window, _SQL.format(dimension=_COLUMNS[by]), _Line)
    everyone = next((line for line in lines.data if line.kind == "all"), _NOBODY)
    found = Adoption(
        groups=[
            Group(line.value, line.installed, line.observed, line.recurring)
            for line in lines.data
            if line.kind == "group"
        ],
        steps=[
            Step("installed", everyone.installed, None),
            Step("observed", everyone.observed, _share(everyone.observed, everyone.installed)),
            Step("recurring", everyone.recurring, _share(everyone.recurring, everyone.observed)),
        ],
        weeks=[
            Cohort(line.week, line.installed, line.observed, line.recurring)
            for line in lines.data
            if line.kind == "week"
        ],
        not_installed=everyone.not_installed,
    )
    return Page(found, lines.meta)


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None
