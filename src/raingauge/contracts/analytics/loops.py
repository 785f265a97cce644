"""Daily sums of the agent loop: its turns one by one, and sets of its sessions.

Most is read from the sets. Turns are kept as well, because the corrected view leaves out those that a schedule began,
and which they are can be known later than their day is summed up.
"""

from __future__ import annotations

from typing import Final

from raingauge.contract import Column, Rollup
from raingauge.contracts.analytics.parts import (
    AUDIENCE,
    BITMAPS,
    DIMENSIONS,
    INSTALLATIONS,
    LISTS,
    PACKED,
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

NEVER_MS: Final = 2**63 - 1
"""Stands for the start of a turn that was not seen."""

_COUNTS: Final = {
    "events": ("count()", "all events"),
    "raised": ("countIf($raised)", "error_occurred events"),
    "starts": ("countIf($used AND loop_stage = 'loop_start')", "turns started"),
    "ended": ("countIf($ended)", "turns that ended"),
    "completed": ("countIf($ended AND stop_reason = 'completed')", "turns that ended as they should"),
    "model_starts": (
        "countIf($used AND loop_stage = 'model_request' AND outcome = 'success')",
        "model requests begun",
    ),
    "model_errors": ("countIf($raised AND loop_stage = 'model_request')", "model requests that failed"),
    "calls_worked": ("countIf($call_worked)", "tool calls that worked"),
    "call_errors": ("countIf($raised AND loop_stage = 'tool_call')", "tool calls that failed"),
    "asked": (
        "countIf($used AND loop_stage = 'permission_check' AND outcome = 'success')",
        "permissions asked for",
    ),
    "denied": ("countIf($raised AND loop_stage = 'permission_check')", "permissions denied"),
    "end_rows": ("countIf($used AND loop_stage = 'loop_end')", "feature_used rows at the end of the loop"),
    "end_rows_good": (
        "countIf($used AND loop_stage = 'loop_end' AND outcome = 'success')",
        "those of them that say success",
    ),
    "call_rows": ("countIf($used AND loop_stage = 'tool_call')", "feature_used rows of tool calls"),
    "call_rows_bad": (
        "countIf($used AND loop_stage = 'tool_call' AND outcome IN ($bad))",
        "those of them that say failed, aborted, timeout or denied",
    ),
}
_COUNT_COLUMNS: Final = counts(**{name: why for name, (_, why) in _COUNTS.items()})
_STAGES: Final = Column("stages", "UInt16", "which steps of the loop were seen, one bit each", PACKED)

_EVENTS: Final = """
    SELECT customer, day, $parts, $turn, $session AS session_value, session_id != '' AS has_session,
        $installation AS installation_value,
        groupBitOr(bitShiftLeft(toUInt16(1), indexOf([$stages], loop_stage))) AS stages, $sums
    FROM $events WHERE {where} AND $counted AND module = 'session'
    GROUP BY customer, day, $by, run, session_value, has_session, installation_value
"""
_ENDS: Final = f"""
    min(if($used AND loop_stage = 'loop_start', toUnixTimestamp64Milli(occurred_at), toInt64({NEVER_MS}))) AS started_ms,
    maxIf(toUnixTimestamp64Milli(occurred_at), $ended) AS ended_ms
"""
_SUMS: Final = ", ".join(f"{sql} AS {name}" for name, (sql, _) in _COUNTS.items())

TURNS: Final = Rollup(
    table="product_loop_turns",
    columns=(
        *names(*DIMENSIONS),
        Column("session", "UInt32", "number of the session; 0 for none", PACKED),
        Column("run", "UInt64", "hash of the turn's id; 0 for events that carry none", PACKED),
        Column("installation", "UInt32", "number of the installation", PACKED),
        _STAGES,
        Column("took_ms", "Int64", "from start to end, -1 unless both are on this day", PACKED),
        Column("stop_reasons", "Array(LowCardinality(String))", "why the turn ended", PACKED),
        *_COUNT_COLUMNS,
    ),
    order=("session", "run"),
    source=EVENTS.name,
    select=select(
        """
        SELECT e.customer AS customer, day, $dimensions, if(has_session, session.number, 0) AS session, run,
            installation.number AS installation, stages,
            if(run != 0 AND starts > 0 AND ended > 0 AND ended_ms >= started_ms, ended_ms - started_ms, -1) AS took_ms,
            stop_reasons, $counts
        FROM ($of_turns) AS e $numbered_installation $numbered_session
        """,
        counts=", ".join(_COUNTS),
        of_turns=select(
            _EVENTS,
            parts="$dimensions",
            by="$dimensions",
            turn=f"run, {_ENDS}, groupArrayIf(stop_reason, $ended) AS stop_reasons",
            sums=_SUMS,
        ),
    ),
    retention_days=ROLLUP_DAYS,
    numberings=(INSTALLATIONS, SESSIONS),
)

TIMES: Final = Rollup(
    table="product_turn_times",
    columns=(
        *names(*DIMENSIONS),
        Column("took_ms", "Array(UInt32)", "from start to end of each turn with both on this day", PACKED),
    ),
    order=DIMENSIONS,
    source=EVENTS.name,
    select=select(
        """
        SELECT customer, day, $dimensions, groupArray(toUInt32(ended_ms - started_ms)) AS took_ms FROM (
            SELECT customer, day, $dimensions, $ends
            FROM $events WHERE {where} AND $counted AND module = 'session' AND run != 0
            GROUP BY customer, day, $dimensions, run, session_id, installation_id
            HAVING ended_ms >= started_ms
        ) GROUP BY customer, day, $dimensions
        """,
        ends=_ENDS,
    ),
    retention_days=ROLLUP_DAYS,
)

# Turns over midnight, and those that were cut off.
HALVES: Final = Rollup(
    table="product_half_turns",
    columns=(
        *names(*DIMENSIONS),
        Column("run", "UInt64", "hash of the turn's id", PACKED),
        # Whole numbers: the store finds the least and greatest of them five times faster than of times.
        Column("started_ms", "Int64", "start of the turn since 1970, the greatest number when not on this day", PACKED),
        Column("ended_ms", "Int64", "end of the turn since 1970, 0 when not on this day", PACKED),
    ),
    order=("run",),
    source=EVENTS.name,
    select=select(
        """
        SELECT customer, day, $dimensions, run, $ends
        FROM $events WHERE {where} AND $counted AND module = 'session' AND run != 0
        GROUP BY customer, day, $dimensions, run, session_id, installation_id
        HAVING (countIf($used AND loop_stage = 'loop_start') > 0) != (countIf($ended) > 0)
        """,
        ends=_ENDS,
    ),
    retention_days=ROLLUP_DAYS,
)


def _sessions(table: str, kind: str, parts: tuple[Column, ...], sql: str) -> Rollup:
    by = ", ".join(part.name for part in parts)
    return Rollup(
        table=table,
        columns=(
            *parts,
            _STAGES,
            *flags(completed_any="whether a turn ended as it should", raised_any="whether there was an error"),
            *sets(kind, sessions="numbers of sessions", installations="numbers of installations"),
            *_COUNT_COLUMNS,
        ),
        order=(*(part.name for part in parts), "stages"),
        source=EVENTS.name,
        select=select(
            """
            SELECT e.customer AS customer, day, $by, stages, completed > 0 AS completed_any, raised > 0 AS raised_any,
                ${set_of}If(session.number, has_session) AS sessions,
                $set_of(installation.number) AS installations, $counts
            FROM ($of_sessions) AS e $numbered_installation $numbered_session
            GROUP BY e.customer, day, $by, stages, completed_any, raised_any
            """,
            by=by,
            set_of=SET_OF[kind],
            counts=", ".join(f"sum(e.{name})" for name in _COUNTS),
            of_sessions=select(_EVENTS, parts=sql, by=by, turn="toUInt64(0) AS run", sums=_SUMS),
        ),
        retention_days=ROLLUP_DAYS,
        numberings=(INSTALLATIONS, SESSIONS),
    )


SESSION_SETS: Final = _sessions("product_sessions_by", LISTS, names(*DIMENSIONS), "$dimensions")
SESSION_AUDIENCES: Final = _sessions("product_sessions_by_audience", BITMAPS, (AUDIENCE,), "$audience AS audience")
