"""Daily sums of product events.

Installations, instances and sessions are kept as sets of small numbers (bitmaps): distinct counts over any range of days
and with any filter stay exact, and a busy day costs a read no more than a quiet one. The sums of the agent loop are in
`loops`.
"""

from __future__ import annotations

from typing import Final

from raingauge.contract import Column, Rollup
from raingauge.contracts.analytics.loops import HALVES, SESSION_AUDIENCES, SESSION_SETS, TIMES, TURNS
from raingauge.contracts.analytics.parts import (
    AUDIENCE,
    BITMAPS,
    DIMENSIONS,
    INSTALLATIONS,
    INSTANCES,
    LISTS,
    PACKED,
    PAIRS,
    ROLLUP_DAYS,
    SESSIONS,
    SET_OF,
    counts,
    flags,
    names,
    select,
    sets,
)
from raingauge.contracts.analytics.tables import EVENTS

_USERS: Final = """
    FROM (
        SELECT customer, day, $parts, $counted AS counted, installation_id IN ($shared) AS shared,
            $installation AS installation_value, $instance AS instance_value, instance_id != '' AS has_instance,
            $pair AS pair_value, $session AS session_value, session_id != '' AS has_session,
            countIf(counted AND $used) AS used, countIf(counted AND $raised) AS raised,
            countIf(counted AND $failed AND code != '') AS twins
        FROM $events WHERE {where}
        GROUP BY customer, day, $by, counted, shared, installation_value, instance_value, has_instance,
            pair_value, session_value, has_session
    ) AS e $numbered_installation $numbered_instance $numbered_pair $numbered_session
"""
_USER_SETS: Final = """
    $set_of(installation.number) AS installations, ${set_of}If(instance.number, has_instance) AS instances,
    $set_of(pair.number) AS pairs, ${set_of}If(session.number, shared AND has_session) AS shared_sessions
"""


def _user_columns(kind: str) -> tuple[Column, ...]:
    return (
        *flags(
            counted="whether the contract's formulas count the event",
            shared="whether many machines report this installation id",
        ),
        *sets(
            kind,
            installations="numbers of installations",
            instances="numbers of instances",
            pairs="numbers of installation and instance together",
            shared_sessions="numbers of sessions behind shared installation ids",
        ),
    )


_NUMBERINGS: Final = (INSTALLATIONS, INSTANCES, PAIRS, SESSIONS)

ACTIVITY: Final = Rollup(
    table="product_users_by",
    columns=(
        *names(*DIMENSIONS),
        *_user_columns(LISTS),
        *counts(used="feature_used events", raised="error_occurred events", twins="failed rows that repeat an error"),
    ),
    order=DIMENSIONS,
    source=EVENTS.name,
    select=select(
        f"""
        SELECT e.customer AS customer, day, $dimensions, counted, shared, {_USER_SETS},
            sum(e.used), sum(e.raised), sum(e.twins)
        {_USERS} GROUP BY e.customer, day, $dimensions, counted, shared
        """,
        parts="$dimensions",
        by="$dimensions",
        set_of=SET_OF[LISTS],
    ),
    retention_days=ROLLUP_DAYS,
    numberings=_NUMBERINGS,
)

# The same by audience only: most reads of users ask for all of them, or for one audience.
USER_AUDIENCES: Final = Rollup(
    table="product_users_by_audience",
    columns=(AUDIENCE, *_user_columns(BITMAPS)),
    order=("audience", "counted"),
    source=EVENTS.name,
    select=select(
        f"""
        SELECT e.customer AS customer, day, audience, counted, shared, {_USER_SETS}
        {_USERS} GROUP BY e.customer, day, audience, counted, shared
        """,
        parts="$audience AS audience",
        by="audience",
        set_of=SET_OF[BITMAPS],
    ),
    retention_days=ROLLUP_DAYS,
    numberings=_NUMBERINGS,
)

# Kept for ever: it holds no id of anything, and totals on /metrics must never fall.
STEPS: Final = Rollup(
    table="product_steps",
    columns=(
        *names(*DIMENSIONS, "loop_stage", "outcome", "event"),
        *counts(
            used="feature_used events",
            raised="error_occurred events",
            ended="turns that ended",
            completed="turns that ended as they should",
            calls_worked="tool calls that worked",
        ),
    ),
    order=("module", "loop_stage", "outcome"),
    source=EVENTS.name,
    select=select("""
        SELECT customer, day, $dimensions, loop_stage, outcome, event,
            countIf($used) AS used, countIf($raised) AS raised,
            countIf($ended) AS ended, countIf($ended AND stop_reason = 'completed') AS completed,
            countIf($call_worked) AS calls_worked
        FROM $events WHERE {where} AND $counted
        GROUP BY customer, day, $dimensions, loop_stage, outcome, event
    """),
)

STOPS: Final = Rollup(
    table="product_stops",
    columns=(*names(*DIMENSIONS, "stop_reason"), *counts(turns="turns that ended so")),
    order=("stop_reason",),
    source=EVENTS.name,
    select=select("""
        SELECT customer, day, $dimensions, stop_reason, count() AS turns
        FROM $events WHERE {where} AND $counted AND module = 'session' AND $ended
        GROUP BY customer, day, $dimensions, stop_reason
    """),
    retention_days=ROLLUP_DAYS,
)

TOOLS: Final = Rollup(
    table="product_tools",
    columns=(
        *names(*DIMENSIONS, "tool_name"),
        *counts(
            call_rows="feature_used rows of tool calls",
            call_rows_bad="those of them that say failed, aborted, timeout or denied",
            calls_worked="tool calls that worked",
            call_errors="tool calls that failed",
        ),
    ),
    order=("tool_name",),
    source=EVENTS.name,
    select=select("""
        SELECT customer, day, $dimensions, tool_name,
            countIf($used) AS call_rows, countIf($used AND outcome IN ($bad)) AS call_rows_bad,
            countIf($call_worked) AS calls_worked, countIf($raised) AS call_errors
        FROM $events WHERE {where} AND $counted AND loop_stage = 'tool_call' AND tool_name != ''
        GROUP BY customer, day, $dimensions, tool_name
    """),
    retention_days=ROLLUP_DAYS,
)

CRON_RUNS: Final = Rollup(
    table="product_cron_runs",
    columns=(Column("run", "UInt64", "hash of a scheduled turn's id, to leave it out of ordinary use", PACKED),),
    order=("run",),
    source=EVENTS.name,
    select=select("""
        SELECT customer, day, run FROM $events WHERE {where} AND $counted AND module = 'cron_job' AND run != 0
        GROUP BY customer, day, run
    """),
    retention_days=ROLLUP_DAYS,
)

FAILURES: Final = Rollup(
    table="product_errors",
    columns=(
        Column("failure", "UInt64", "hash of what an error and its failed twin have in common", PACKED),
        Column("installation", "UInt64", "hash of the installation id, to count installations", PACKED),
        *names(*DIMENSIONS, "error_category", "code", "provider", "model"),
        *counts(raised="error_occurred events", failed="failed feature_used events that are no tool result"),
    ),
    order=("error_category", "code"),
    source=EVENTS.name,
    select=select("""
        SELECT customer, day, sipHash64(occurred_at, installation_id, session_id, module, owner_module, execution_kind,
                phase, loop_stage, error_category, code, tool_name) AS failure, $installation AS installation,
            $dimensions, error_category, code, provider, model,
            countIf($raised) AS raised, countIf($failed) AS failed
        FROM $events WHERE {where} AND $counted AND ($raised OR $failed)
        GROUP BY customer, day, failure, installation, $dimensions, error_category, code, provider, model
    """),
    retention_days=ROLLUP_DAYS,
)

ROLLUPS: Final = (
    ACTIVITY, USER_AUDIENCES, STEPS, STOPS, TOOLS, TURNS, TIMES, HALVES, SESSION_SETS, SESSION_AUDIENCES, CRON_RUNS,
    FAILURES,
)  # fmt: skip
