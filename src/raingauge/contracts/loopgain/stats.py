"""`GET /v1/stats`: one statement, so that all its numbers are of the same moment.

rows ──one scan──▶ sums per outcome ──▶ totals over all outcomes
└────one scan──▶ counts per workload, framework, loop type and team
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from raingauge.contract import Facts
from raingauge.contracts.loopgain.query import COUNTED, DEFAULT_WINDOW, Scope, includes_calibration

Number = int | float

GROUPS_MAX: Final = 5_000
LABELS_MAX: Final = 50


class OutcomeCount(msgspec.Struct, frozen=True):
    outcome: str
    count: int


class WorkloadCount(msgspec.Struct, frozen=True):
    workload_id: str | None
    count: int


class ValueCount(msgspec.Struct, frozen=True):
    value: str
    count: int


class OutcomeSums(msgspec.Struct, frozen=True):
    """The loops of one outcome; dollars are null when no loop has them."""

    outcome: str
    events: int
    iterations_used: Number
    iterations_avoided: Number
    actual_dollars_saved: Number | None


class Totals(msgspec.Struct, frozen=True):
    """Sums over all loops. The four counts "with" a value are null when there is no loop at all."""

    event_count: int = 0
    total_iterations: Number = 0
    total_savings: Number = 0
    rollbacks: int = 0
    total_actual_dollars_saved: Number | None = None
    event_count_with_actual_savings: int | None = None
    total_actual_dollars_spent: Number | None = None
    event_count_with_actual_spend: int | None = None
    total_iterations_with_actual_spend: Number = 0
    event_count_with_best_index: int | None = None
    total_iterations_past_best: Number = 0
    event_count_best_at_iter1: int | None = None


class Aggregates(msgspec.Struct, frozen=True):
    """Percentiles of each loop's largest loop gain, and the sums per outcome."""

    ab_median: Number | None
    ab_p99: Number | None
    by_outcome: list[OutcomeSums]


class Stats(msgspec.Struct, frozen=True):
    customer_id: str
    tier: str | None
    window_days: int
    since: int
    outcomes: list[OutcomeCount]
    totals: Totals
    workloads: list[WorkloadCount]
    frameworks: list[ValueCount]
    loop_types: list[ValueCount]
    teams: list[ValueCount]
    aggregates: Aggregates
    calibration_excluded: int
    calibration_included: bool


class Group(msgspec.Struct, frozen=True):
    """One group of rows: of `kind` outcome, totals, ranks, workload_id, framework, loop_type, team or all.

    `rows` also counts calibration rows, `events` only what the read is about. Sums exist for outcome and totals, the
    last three members for ranks.
    """

    kind: str
    value: str | None
    rows: int
    events: int
    iterations: Number | None
    savings: Number | None
    rollbacks: int | None
    dollars_saved: Number | None
    with_savings: int | None
    dollars_spent: Number | None
    with_spend: int | None
    iterations_with_spend: Number | None
    with_best: int | None
    past_best: Number | None
    best_first: int | None
    lower_median: Number | None
    upper_median: Number | None
    p99: Number | None


_SUMS: Final = {
    "iterations": "sum(iterations_used)",
    "savings": "sum(savings_vs_fixed_cap)",
    "rollbacks": "countIf(rollback_triggered)",
    "dollars_saved": "sum(actual_dollars_saved)",
    "with_savings": "count(actual_dollars_saved)",
    "dollars_spent": "sum(actual_dollars_spent)",
    "with_spend": "count(actual_dollars_spent)",
    "iterations_with_spend": "sumIf(iterations_used, isNotNull(actual_dollars_spent))",
    "with_best": "count(best_index)",
    "past_best": "sum(iterations_used - 1 - best_index)",
    "best_first": "countIf(ifNull(best_index = 0, false))",
}
# quantileExact(p) takes the value at position trunc(p·n), counted from 0. On negated values that counts from the
# largest, so 0.5 gives the lower of two middle ranks, and 0.01 the rank ceil(0.99·n).
_RANKS: Final = {
    "lower_median": "-quantileExact(0.5)(-profile_max)",
    "upper_median": "quantileExact(0.5)(profile_max)",
    "p99": "-quantileExact(0.01)(-profile_max)",
}


def _sql(scope: Scope, *, calibration: bool) -> str:
    """All scans as one statement; every row is a `Group`."""
    counted = "true" if calibration else COUNTED
    loops = f"loop_events AS e WHERE {scope.where} AND {counted}"
    sums = ", ".join(f"{sql} AS {name}" for name, sql in _SUMS.items())
    return f"""
        SELECT * FROM (
            SELECT if(grouping(o.outcome) = 0, 'outcome', 'totals') AS kind, o.outcome AS value,
                sum(o.events) AS rows, sum(o.events) AS events, {_columns({name: f"sum(o.{name})" for name in _SUMS})}
            FROM (SELECT outcome, count() AS events, {sums} FROM {loops} GROUP BY outcome) AS o
            GROUP BY GROUPING SETS ((o.outcome), ())
            ORDER BY kind, events DESC, value DESC LIMIT {GROUPS_MAX} BY kind)
        UNION ALL
        SELECT 'ranks' AS kind, NULL AS value, 0 AS rows, 0 AS events, {_columns(_RANKS)}
        FROM {loops}
        UNION ALL
        SELECT * FROM (
            SELECT multiIf(grouping(workload_id) = 0, 'workload_id', grouping(framework) = 0, 'framework',
                    grouping(loop_type) = 0, 'loop_type', grouping(team) = 0, 'team', 'all') AS kind,
                coalesce(workload_id, framework, loop_type, team) AS value,
                count() AS rows, countIf({counted}) AS events, {_columns({})}
            FROM loop_events AS e WHERE {scope.where}
            GROUP BY GROUPING SETS ((workload_id), (framework), (loop_type), (team), ())
            ORDER BY kind, if(kind = 'workload_id', events, rows) DESC, value DESC LIMIT {GROUPS_MAX} BY kind)
    """  # noqa: S608 - built from names of this file; values are bound


def _columns(given: Mapping[str, str]) -> str:
    """The columns of a `Group` from `rows` on: NULL where nothing is given."""
    return ", ".join(f"{given.get(name, 'NULL')} AS {name}" for name in (*_SUMS, *_RANKS))


async def read_stats(facts: Facts, query: Mapping[str, str]) -> Stats:
    """The caller's last 30 days. Raises QueryError."""
    calibration = includes_calibration(query)
    scope = Scope(query, facts.now, DEFAULT_WINDOW)
    groups = await facts.rows(_sql(scope, calibration=calibration), Group, **scope.parameters)
    outcomes = _ranked(groups, "outcome")
    totals = next((group for group in groups if group.kind == "totals" and group.events), None)
    ranks = next(group for group in groups if group.kind == "ranks")
    return Stats(
        customer_id=facts.customer,
        tier=facts.tier or None,
        window_days=DEFAULT_WINDOW.days,
        since=scope.since,
        outcomes=sorted((OutcomeCount(g.value or "", g.events) for g in outcomes), key=lambda count: count.outcome),
        totals=_totals(totals) if totals else Totals(),
        workloads=[WorkloadCount(g.value, g.events) for g in _ranked(groups, "workload_id") if g.events],
        frameworks=_values(groups, "framework"),
        loop_types=_values(groups, "loop_type"),
        teams=_values(groups, "team"),
        aggregates=Aggregates(_median(ranks), ranks.p99, [_outcome(g) for g in outcomes]),
        calibration_excluded=sum(g.rows - g.events for g in groups if g.kind == "all"),
        calibration_included=calibration,
    )


def _ranked(groups: Iterable[Group], kind: str) -> list[Group]:
    """Largest first; equal counts in descending order of their value, no value last."""
    found = [group for group in groups if group.kind == kind]
    return sorted(found, key=lambda g: (g.events, g.value is not None, g.value or ""), reverse=True)


def _values(groups: Iterable[Group], kind: str) -> list[ValueCount]:
    """A menu of labels: it offers calibration rows too, so they can be asked for."""
    found = [ValueCount(g.value, g.rows) for g in groups if g.kind == kind and g.value is not None]
    return sorted(found, key=lambda g: (g.count, g.value), reverse=True)[:LABELS_MAX]


def _outcome(group: Group) -> OutcomeSums:
    return OutcomeSums(group.value or "", group.events, group.iterations or 0, group.savings or 0, group.dollars_saved)


def _totals(group: Group) -> Totals:
    return Totals(
        event_count=group.events,
        total_iterations=group.iterations or 0,
        total_savings=group.savings or 0,
        rollbacks=group.rollbacks or 0,
        total_actual_dollars_saved=group.dollars_saved,
        event_count_with_actual_savings=group.with_savings,
        total_actual_dollars_spent=group.dollars_spent,
        event_count_with_actual_spend=group.with_spend,
        total_iterations_with_actual_spend=group.iterations_with_spend or 0,
        event_count_with_best_index=group.with_best,
        total_iterations_past_best=group.past_best or 0,
        event_count_best_at_iter1=group.best_first,
    )


def _median(ranks: Group) -> Number | None:
    if ranks.lower_median is None or ranks.upper_median is None:
        return None
    middle = (ranks.lower_median + ranks.upper_median) / 2
    return middle if math.isfinite(middle) else ranks.lower_median / 2 + ranks.upper_median / 2
