"""`GET /api/analytics/funnel`: how the steps of the agent loop end, and how far sessions get."""

from __future__ import annotations

import asyncio
from itertools import accumulate
from operator import or_
from typing import Annotated, Final, Literal

import msgspec
from litestar import get
from litestar.di import NamedDependency
from litestar.params import QueryParameter

from raingauge.contract import Facts, Page, Reason, Refused, Window
from raingauge.contracts.analytics.parts import STAGES
from raingauge.contracts.analytics.reads.query import FILTERS, Filters, View, any_scheduled, bound, statement

DEFAULT_STEPS: Final = "loop_start,model_request,tool_call,loop_end"


class StageOutcome(msgspec.Struct, frozen=True):
    """`events` of the `stage_events` of a stage had this outcome; `error_rate` is the stage's, None without data."""

    module: str
    loop_stage: str
    outcome: str
    events: int
    stage_events: int
    error_rate: float | None


class Step(msgspec.Struct, frozen=True):
    """`sessions` came through this step and all before it; `seen` had it at all; `conversion` is to the first."""

    step: int
    loop_stage: str
    sessions: int
    seen: int
    conversion: float | None


class _Reached(msgspec.Struct, frozen=True):
    """A step before it is compared with the first."""

    step: int
    loop_stage: str
    sessions: int
    seen: int


_CONTRACT: Final = """
    SELECT module, loop_stage, outcome, sum(used) AS events,
        sum(sum(used)) OVER (PARTITION BY module, loop_stage) AS stage_events,
        sum(sumIf(used, outcome IN ('failed', 'aborted', 'timeout', 'denied')))
            OVER (PARTITION BY module, loop_stage) / stage_events AS error_rate
    FROM $steps WHERE used > 0 AND $filter
    GROUP BY module, loop_stage, outcome
    ORDER BY module, indexOf([$stages], loop_stage), loop_stage, outcome LIMIT {limit:UInt32}
"""
# Sums of all turns, and what to take from them.
_CORRECTED: Final = """
    WITH sums AS (
        SELECT module, sum(sign * part.models) AS models, sum(sign * part.bad_models) AS bad_models,
            sum(sign * part.good_calls) AS good_calls, sum(sign * part.bad_calls) AS bad_calls,
            sum(sign * part.asks) AS asks, sum(sign * part.denials) AS denials,
            sum(sign * part.ends) AS ends, sum(sign * part.good_ends) AS good_ends
        FROM (
            SELECT 'session' AS module, toInt8(1) AS sign, $loop_sums FROM $session_sets WHERE $sets_filter
            $less_scheduled
            UNION ALL
            SELECT module, 1,
                sumIf(used, loop_stage = 'model_request' AND outcome = 'success'),
                sumIf(raised, loop_stage = 'model_request'),
                sum(calls_worked), sumIf(raised, loop_stage = 'tool_call'),
                sumIf(used, loop_stage = 'permission_check' AND outcome = 'success'),
                sumIf(raised, loop_stage = 'permission_check'),
                sum(ended), sum(completed)
            FROM $steps WHERE module != 'session' AND $filter
            GROUP BY module
        ) AS part
        GROUP BY module
    )
    SELECT module, stage.1 AS loop_stage, outcome, stage.2 AS stage_events, stage.3 AS failures,
        if(outcome = 'failed', failures, stage_events - least(failures, stage_events)) AS events,
        failures / nullIf(stage_events, 0) AS error_rate
    FROM sums ARRAY JOIN [
        ('model_request', models, bad_models),
        ('tool_call', good_calls + bad_calls, bad_calls),
        ('permission_check', greatest(asks, denials), denials),
        ('loop_end', ends, ends - good_ends)
    ] AS stage ARRAY JOIN ['failed', 'success'] AS outcome
    WHERE stage_events + failures > 0
    ORDER BY module, indexOf([$stages], loop_stage), outcome LIMIT {limit:UInt32}
"""
_LESS_SCHEDULED: Final = """
            UNION ALL
            SELECT 'session' AS module, -1 AS sign, $loop_sums FROM $turns WHERE $filter AND $scheduled
"""
_LOOP_SUMS: Final = """
    sum(model_starts) AS models, sum(model_errors) AS bad_models, sum(calls_worked) AS good_calls,
    sum(call_errors) AS bad_calls, sum(asked) AS asks, sum(denied) AS denials, sum(ended) AS ends,
    sum(completed) AS good_ends
"""
_STEPS: Final = """
    SELECT step, {steps:Array(String)}[step] AS loop_stage,
        groupBitmapAnd(having) OVER (ORDER BY step ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS sessions,
        bitmapCardinality(having) AS seen
    FROM (
        SELECT step, groupBitmapMergeStateIf(sets.sessions, bitAnd(stages, {bits:Array(UInt16)}[step]) != 0) AS having
        FROM (
            SELECT stages, $set_of(sessions) AS sessions FROM $session_sets WHERE $sets_filter GROUP BY stages
        ) AS sets ARRAY JOIN arrayEnumerate({steps:Array(String)}) AS step
        GROUP BY step
    ) ORDER BY step
"""
# How many of them are there only because of scheduled turns.
_SCHEDULED_STEPS: Final = """
    SELECT step, loop_stage,
        countIf(bitAnd(all_stages, needed) = needed) - countIf(bitAnd(own_stages, needed) = needed) AS sessions,
        countIf(bitAnd(all_stages, bit) != 0) - countIf(bitAnd(own_stages, bit) != 0) AS seen
    FROM (
        SELECT groupBitOr(stages) AS all_stages, groupBitOrIf(stages, NOT $scheduled) AS own_stages
        FROM $turns WHERE session IN (SELECT session FROM $turns WHERE session != 0 AND $scheduled) AND $filter
        GROUP BY session
    ) ARRAY JOIN
        arrayEnumerate({steps:Array(String)}) AS step, {steps:Array(String)} AS loop_stage,
        {bits:Array(UInt16)} AS bit, {needed:Array(UInt16)} AS needed
    GROUP BY step, loop_stage ORDER BY step
"""


@get("/api/analytics/funnel", dependencies=FILTERS)
async def funnel(
    facts: NamedDependency[Facts],
    window: NamedDependency[Window],
    filters: NamedDependency[Filters],
    view: View = "contract",
    by: Annotated[
        Literal["stage", "session"], QueryParameter(description="stage: outcomes of each; session: a step funnel.")
    ] = "stage",
    steps: Annotated[
        str, QueryParameter(description="Stages of the step funnel in order, comma-separated.")
    ] = DEFAULT_STEPS,
) -> Page[list[StageOutcome]] | Page[list[Step]]:
    """Outcomes by module and loop stage with their error rates, or how many sessions came through each step."""
    values = bound(window, filters, view)
    scheduled_too = view == "corrected" and await any_scheduled(facts, values)
    if by == "stage":
        less = _LESS_SCHEDULED if scheduled_too else ""
        sql = (_CORRECTED if view == "corrected" else _CONTRACT).replace("$less_scheduled", less)
        return await facts.page(window, statement(facts, sql, filters, loop_sums=_LOOP_SUMS), StageOutcome, **values)
    stages = steps.split(",")
    if unknown := [stage for stage in stages if stage not in STAGES]:
        raise Refused(Reason.INVALID_PARAMETER, f"steps: {len(unknown)} unknown; known are {', '.join(STAGES)}")
    bits = [1 << (STAGES.index(stage) + 1) for stage in stages]
    values |= {"steps": stages, "bits": bits, "needed": list(accumulate(bits, or_))}
    reached = facts.page(window, statement(facts, _STEPS, filters), _Reached, **values)
    if not scheduled_too:
        page = await reached
        return Page(_converted(page.data, []), page.meta)
    sql = statement(facts, _SCHEDULED_STEPS, filters)
    page, scheduled = await asyncio.gather(reached, facts.rows(sql, _Reached, **values))
    return Page(_converted(page.data, scheduled), page.meta)


def _converted(reached: list[_Reached], scheduled: list[_Reached]) -> list[Step]:
    """The steps without what is due to scheduled turns, compared with the first."""
    none = _Reached(0, "", 0, 0)
    less = {found.step: found for found in scheduled}
    through = [found.sessions - less.get(found.step, none).sessions for found in reached]
    return [
        Step(
            step=found.step,
            loop_stage=found.loop_stage,
            sessions=sessions,
            seen=found.seen - less.get(found.step, none).seen,
            conversion=sessions / through[0] if through[0] else None,
        )
        for found, sessions in zip(reached, through, strict=True)
    ]
