"""Daily sums of product events.

Rows instead of set states: distinct counts over any range stay exact, and a day that was summed up in two parts is
read like one that was summed up at once. Every value is therefore a count, a bit set, a list or an end of a range.
"""

from __future__ import annotations

from string import Template
from typing import Final

from raingauge.contract import Column, Knob, Rollup
from raingauge.contracts.analytics.tables import EVENTS, positive

ROLLUP_DAYS: Final = Knob(
    "analytics_rollup_days",
    1_100,
    "How long daily sums of product usage are kept; they hold hashes of installations, not their ids.",
    "days",
    positive,
)

SHARED_INSTALLATIONS: Final = (
    "099a0cc69a6a6cdd3a21c9da",  # linux:x64:/root, every Docker container on x64
    "64666a7c9ea6fcff11968cc3",  # linux:arm64:/root
    "a614484a90d95151c5de2052",  # linux:x64:/home/node
    "e425ff892bd8758a616fd779",  # linux:x64:/home/ubuntu
    "1be15793b7f61c06d4b7e86b",  # linux:arm64:/home/ubuntu
    "ad2e82b359627feb047805cf",  # win32:x64:unknown-home
    "d42812b22021e4a095e6be4a",  # win32:arm64:unknown-home
    "f2ef07518691d2d6746b6705",  # linux:x64:unknown-home
    "58ed82271e1655de344ad319",  # darwin:arm64:unknown-home
)
"""Installation ids that many machines report: hashes of a platform and a home directory instead of a token."""

STAGES: Final = (
    "module_event", "loop_start", "model_request", "model_response", "tool_prepare", "tool_call",
    "permission_check", "loop_end",
)  # fmt: skip
"""Steps of the agent loop; a step's place, counted from 1, is its bit in `product_turns.stages`."""

NEVER_MS: Final = 2**63 - 1
"""Stands for the start of a turn that was not seen."""

_NAME: Final = "LowCardinality(String)"
_PACKED: Final = "ZSTD(1)"
_DIMENSIONS: Final = (
    "module", "owner_module", "execution_kind", "phase", "app_version", "platform", "deployment_mode",
)  # fmt: skip


def _names(*names: str) -> tuple[Column, ...]:
    return tuple(Column(name, _NAME, "as in product_events", _PACKED) for name in names)


def _hash(name: str, why: str) -> Column:
    return Column(name, "UInt64", why, _PACKED)


def _counts(**why: str) -> tuple[Column, ...]:
    return tuple(Column(name, "UInt32", text, _PACKED) for name, text in why.items())


_PARTS: Final = {
    "dimensions": ", ".join(_DIMENSIONS),
    "counted": "schema_version = 'analytics.v2' AND event_name IN ('feature_used', 'error_occurred')",
    "used": "event_name = 'feature_used'",
    "raised": "event_name = 'error_occurred'",
    # A failed row that repeats an error of the same millisecond has its code; the row after a tool call has `success`.
    "failed": "event_name = 'feature_used' AND outcome = 'failed' AND error_category != '' AND success = -1",
    "ended": "event_name = 'feature_used' AND loop_stage = 'loop_end' AND stop_reason != ''",
    "call_worked": (
        "event_name = 'feature_used' AND loop_stage = 'tool_call'"
        " AND (success = 1 OR execution_kind = 'subagent' AND outcome = 'success')"
    ),
    "shared": ", ".join(f"'{installation}'" for installation in SHARED_INSTALLATIONS),
    "stages": ", ".join(f"'{stage}'" for stage in STAGES),
    "bad": "'failed', 'aborted', 'timeout', 'denied'",
    "never": f"toInt64({NEVER_MS})",
    "events": EVENTS.name,
    "where": "{where}",
}


def _select(text: str) -> str:
    return Template(text).substitute(_PARTS)


ACTIVITY: Final = Rollup(
    table="product_activity",
    columns=(
        *_names(*_DIMENSIONS),
        Column("counted", "UInt8", "whether the contract's formulas count the event", _PACKED),
        _hash("installation", "hash of the installation id, to count installations"),
        _hash("instance", "hash of the instance id, to count instances"),
        Column("shared", "UInt8", "whether many machines report this installation id", _PACKED),
        _hash("shared_session", "hash of the session, for shared installation ids only"),
        *_counts(used="feature_used events", raised="error_occurred events", twins="failed rows that repeat an error"),
    ),
    order=(*_DIMENSIONS, "installation"),
    source=EVENTS.name,
    select=_select("""
        SELECT customer, day, $dimensions, $counted AS counted,
            sipHash64(installation_id) AS installation, if(instance_id = '', 0, sipHash64(instance_id)) AS instance,
            installation_id IN ($shared) AS shared,
            if(shared AND session_id != '', sipHash64(session_id), 0) AS shared_session,
            countIf(counted AND $used) AS used, countIf(counted AND $raised) AS raised,
            countIf(counted AND $failed AND code != '') AS twins
        FROM $events WHERE $where
        GROUP BY customer, day, $dimensions, counted, installation, instance, shared, shared_session
    """),
    retention_days=ROLLUP_DAYS,
)

# The same without dimensions, which is half the rows: most reads of users ask for all of them.
USERS: Final = Rollup(
    table="product_users",
    columns=tuple(
        column
        for column in ACTIVITY.columns
        if column.name in {"counted", "installation", "instance", "shared", "shared_session"}
    ),
    order=("installation",),
    source=EVENTS.name,
    select=_select("""
        SELECT DISTINCT customer, day, $counted AS counted,
            sipHash64(installation_id) AS installation, if(instance_id = '', 0, sipHash64(instance_id)) AS instance,
            installation_id IN ($shared) AS shared,
            if(shared AND session_id != '', sipHash64(session_id), 0) AS shared_session
        FROM $events WHERE $where
    """),
    retention_days=ROLLUP_DAYS,
)

# Kept for ever: it holds no id of anything, and totals on /metrics must never fall.
STEPS: Final = Rollup(
    table="product_steps",
    columns=(
        *_names(*_DIMENSIONS, "loop_stage", "outcome", "event"),
        *_counts(
            used="feature_used events",
            raised="error_occurred events",
            ended="turns that ended",
            completed="turns that ended as they should",
            calls_worked="tool calls that worked",
        ),
    ),
    order=("module", "loop_stage", "outcome"),
    source=EVENTS.name,
    select=_select("""
        SELECT customer, day, $dimensions, loop_stage, outcome, event,
            countIf($used) AS used, countIf($raised) AS raised,
            countIf($ended) AS ended, countIf($ended AND stop_reason = 'completed') AS completed,
            countIf($call_worked) AS calls_worked
        FROM $events WHERE $where AND $counted
        GROUP BY customer, day, $dimensions, loop_stage, outcome, event
    """),
)

TOOLS: Final = Rollup(
    table="product_tools",
    columns=(
        *_names(*_DIMENSIONS, "tool_name"),
        *_counts(
            call_rows="feature_used rows of tool calls",
            call_rows_bad="those of them that say failed, aborted, timeout or denied",
            calls_worked="tool calls that worked",
            call_errors="tool calls that failed",
        ),
    ),
    order=("tool_name",),
    source=EVENTS.name,
    select=_select("""
        SELECT customer, day, $dimensions, tool_name,
            countIf($used) AS call_rows, countIf($used AND outcome IN ($bad)) AS call_rows_bad,
            countIf($call_worked) AS calls_worked, countIf($raised) AS call_errors
        FROM $events WHERE $where AND $counted AND loop_stage = 'tool_call' AND tool_name != ''
        GROUP BY customer, day, $dimensions, tool_name
    """),
    retention_days=ROLLUP_DAYS,
)

TURNS: Final = Rollup(
    table="product_turns",
    columns=(
        *_names(*_DIMENSIONS),
        _hash("session", "hash of the session, to count sessions"),
        _hash("run", "hash of the turn's id; 0 for events that carry none"),
        _hash("installation", "hash of the installation id, to count installations"),
        Column("stages", "UInt16", "which steps of the loop were seen, one bit each", _PACKED),
        # Whole numbers: the store finds the least and greatest of them five times faster than of times.
        Column("started_ms", "Int64", "start of the turn since 1970, the greatest number when not here", _PACKED),
        Column("ended_ms", "Int64", "end of the turn since 1970, 0 when not here", _PACKED),
        Column("stop_reasons", "Array(LowCardinality(String))", "why the turn ended", _PACKED),
        *_counts(
            events="all events",
            raised="error_occurred events",
            starts="turns started",
            ended="turns that ended",
            completed="turns that ended as they should",
            model_starts="model requests begun",
            model_errors="model requests that failed",
            calls_worked="tool calls that worked",
            call_errors="tool calls that failed",
            asked="permissions asked for",
            denied="permissions denied",
            end_rows="feature_used rows at the end of the loop",
            end_rows_good="those of them that say success",
            call_rows="feature_used rows of tool calls",
            call_rows_bad="those of them that say failed, aborted, timeout or denied",
        ),
    ),
    order=("session", "run"),
    source=EVENTS.name,
    select=_select("""
        SELECT customer, day, $dimensions, if(session_id = '', 0, sipHash64(session_id)) AS session, run,
            sipHash64(installation_id) AS installation,
            groupBitOr(bitShiftLeft(toUInt16(1), indexOf([$stages], loop_stage))) AS stages,
            min(if($used AND loop_stage = 'loop_start', toUnixTimestamp64Milli(occurred_at), $never)) AS started_ms,
            maxIf(toUnixTimestamp64Milli(occurred_at), $ended) AS ended_ms,
            groupArrayIf(stop_reason, $ended) AS stop_reasons,
            count() AS events, countIf($raised) AS raised,
            countIf($used AND loop_stage = 'loop_start') AS starts,
            countIf($ended) AS ended, countIf($ended AND stop_reason = 'completed') AS completed,
            countIf($used AND loop_stage = 'model_request' AND outcome = 'success') AS model_starts,
            countIf($raised AND loop_stage = 'model_request') AS model_errors,
            countIf($call_worked) AS calls_worked, countIf($raised AND loop_stage = 'tool_call') AS call_errors,
            countIf($used AND loop_stage = 'permission_check' AND outcome = 'success') AS asked,
            countIf($raised AND loop_stage = 'permission_check') AS denied,
            countIf($used AND loop_stage = 'loop_end') AS end_rows,
            countIf($used AND loop_stage = 'loop_end' AND outcome = 'success') AS end_rows_good,
            countIf($used AND loop_stage = 'tool_call') AS call_rows,
            countIf($used AND loop_stage = 'tool_call' AND outcome IN ($bad)) AS call_rows_bad
        FROM $events WHERE $where AND $counted AND module = 'session'
        GROUP BY customer, day, $dimensions, session, run, installation
    """),
    retention_days=ROLLUP_DAYS,
)

CRON_RUNS: Final = Rollup(
    table="product_cron_runs",
    columns=(_hash("run", "hash of a scheduled turn's id, to leave it out of ordinary use"),),
    order=("run",),
    source=EVENTS.name,
    select=_select("""
        SELECT customer, day, run FROM $events WHERE $where AND $counted AND module = 'cron_job' AND run != 0
        GROUP BY customer, day, run
    """),
    retention_days=ROLLUP_DAYS,
)

FAILURES: Final = Rollup(
    table="product_failures",
    columns=(
        Column("occurred_at", "DateTime64(3, 'UTC')", "time of the error, to find its twin", _PACKED),
        _hash("installation", "hash of the installation id, to count installations"),
        _hash("session", "hash of the session, to find the error's twin"),
        *_names(*_DIMENSIONS, "loop_stage", "error_category", "code", "tool_name", "provider", "model"),
        *_counts(raised="error_occurred events", failed="failed feature_used events that are no tool result"),
    ),
    order=("installation", "session", "occurred_at"),
    source=EVENTS.name,
    select=_select("""
        SELECT customer, day, occurred_at, sipHash64(installation_id) AS installation,
            if(session_id = '', 0, sipHash64(session_id)) AS session,
            $dimensions, loop_stage, error_category, code, tool_name, provider, model,
            countIf($raised) AS raised, countIf($failed) AS failed
        FROM $events WHERE $where AND $counted AND ($raised OR $failed)
        GROUP BY customer, day, occurred_at, installation, session, $dimensions,
            loop_stage, error_category, code, tool_name, provider, model
    """),
    retention_days=ROLLUP_DAYS,
)

ROLLUPS: Final = (ACTIVITY, USERS, STEPS, TOOLS, TURNS, CRON_RUNS, FAILURES)
