"""`GET /api/analytics/funnel`: how the steps of the agent loop end, and how far sessions get."""

from __future__ import annotations

from itertools import accumulate
from operator import or_
from typing import Annotated, Final, Literal

import msgspec
from litestar import get
from litestar.di import NamedDependency
from litestar.params import QueryParameter

from raingauge.contract import Facts, Page, Reason, Refused, Window
from raingauge.contracts.analytics.reads.query import FILTERS, Filters, View, bound, statement
from raingauge.contracts.analytics.rollups import STAGES

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


_CONTRACT: Final = """
    SELECT module, loop_stage, outcome, sum(used) AS events,
        sum(sum(used)) OVER (PARTITION BY module, loop_stage) AS stage_events,
        sum(sumIf(used, outcome IN ('failed', 'aborted', 'timeout', 'denied')))
            OVER (PARTITION BY module, loop_stage) / stage_events AS error_rate
    FROM $steps WHERE used > 0 AND $filter
    GROUP BY module, loop_stage, outcome
    ORDER BY module, indexOf($stages, loop_stage), loop_stage, outcome LIMIT {limit:UInt32}
"""
_CORRECTED: Final = """
    WITH sums AS (
        SELECT module, sum(model_starts) AS models, sum(model_errors) AS bad_models,
            sum(calls_worked) AS good_calls, sum(call_errors) AS bad_calls,
            sum(asked) AS asks, sum(denied) AS denials, sum(ended) AS ends, sum(completed) AS good_ends
        FROM $turns WHERE $wanted
        GROUP BY module
        UNION ALL
        SELECT module,
            sumIf(used, loop_stage = 'model_request' AND outcome = 'success'),
            sumIf(raised, loop_stage = 'model_request'),
            sum(calls_worked), sumIf(raised, loop_stage = 'tool_call'),
            sumIf(used, loop_stage = 'permission_check' AND outcome = 'success'),
            sumIf(raised, loop_stage = 'permission_check'),
            sum(ended), sum(completed)
        FROM $steps WHERE module != 'session' AND $filter
        GROUP BY module
    )
    SELECT module, stage.1 AS loop_stage, outcome, stage.2 AS stage_events, stage.3 AS failures,
        if(outcome = 'failed', failures, stage_events - least(failures, stage_events)) AS events,
        failures / nullIf(stage_events, 0) AS error_rate
    FROM sums ARRAY JOIN [
        ('model_request', models, bad_models),
        ('tool_call', good_calls + bad_calls, bad_calls),
        ('permission_check', greatest(asks, denials), denials),
        ('loop_end', ends, toUInt64(ends - good_ends))
    ] AS stage ARRAY JOIN ['failed', 'success'] AS outcome
    WHERE stage_events + failures > 0
    ORDER BY module, indexOf($stages, loop_stage), outcome LIMIT {limit:UInt32}
"""
_STEPS: Final = """
    SELECT step, {steps:Array(String)}[step] AS loop_stage,
        sumIf(number, bitAnd(seen_stages, {needed:Array(UInt16)}[step]) = {needed:Array(UInt16)}[step]) AS sessions,
        sumIf(number, bitAnd(seen_stages, {bits:Array(UInt16)}[step]) != 0) AS seen,
        sessions / nullIf(first_value(sessions) OVER (ORDER BY step), 0) AS conversion
    FROM (
        SELECT seen_stages, count() AS number FROM (
            SELECT groupBitOr(stages) AS seen_stages FROM $turns
            WHERE session != 0 AND $wanted
            GROUP BY session
        ) GROUP BY seen_stages
    ) ARRAY JOIN arrayEnumerate({steps:Array(String)}) AS step
    GROUP BY step ORDER BY step
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
    if by == "stage":
        sql = statement(facts, _CORRECTED if view == "corrected" else _CONTRACT, view)
        return await facts.page(window, sql, StageOutcome, **values)
    stages = steps.split(",")
    if unknown := [stage for stage in stages if stage not in STAGES]:
        raise Refused(Reason.INVALID_PARAMETER, f"steps: {len(unknown)} unknown; known are {', '.join(STAGES)}")
    bits = [1 << (STAGES.index(stage) + 1) for stage in stages]
    values |= {"steps": stages, "bits": bits, "needed": list(accumulate(bits, or_))}
    return await facts.page(window, statement(facts, _STEPS, view), Step, **values)
