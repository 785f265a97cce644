"""What `/v1/aggregate` and `/v1/funnel` carry: every member that is read, its limits, and nothing else.

All four schema versions are checked alike: a member that is stored is checked, whatever the version says. Members
that are not named here are ignored. `parse_loop` and `parse_funnel` raise Refused with the contract's own codes;
the reason's detail names the member, never its value.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Final, NamedTuple

from raingauge.contracts.loopgain.dates import hour_of
from raingauge.contracts.loopgain.members import SAFE_INTEGER, Members, is_count, is_number, read_json, storable_text
from raingauge.contracts.loopgain.usual import (
    LABEL_MAX,
    SERIES_MAX,
    SHORT_TEXT_MAX,
    Trajectory,
    Usual,
    read_usual,
)
from raingauge.errors import Reason, Refused

SCHEMA_VERSIONS: Final = (1, 2, 3, 4)
FUNNEL_SCHEMA_VERSION: Final = 1

BODY_MAX_BYTES: Final = 262_144
FUNNEL_BODY_MAX_BYTES: Final = 65_536

FUNNEL_EVENTS_MAX: Final = 64
FUNNEL_OUTCOMES_MAX: Final = 16

_INSTANCE_ID: Final = re.compile("[0-9a-f]{32}")


class Loop(NamedTuple):
    """One finished loop. The order of the members is the order of the table's columns."""

    timestamp_hour: datetime
    workload_id: str | None
    framework: str | None
    loop_type: str | None
    team: str | None
    library_version: str
    outcome: str
    iterations_used: float
    savings_vs_fixed_cap: float | None
    rollback_triggered: bool
    best_index: float | None
    profile_min: float | None
    profile_max: float | None
    profile_median: float | None
    profile_samples: int | None
    gain_margin: float | None
    threshold_fast_converge: float
    threshold_converging: float
    threshold_stalling: float
    threshold_oscillating_upper: float
    smoothing_window: float
    actual_dollars_saved: float | None
    actual_dollars_spent: float | None
    trajectory: Trajectory | None


class FunnelEvent(NamedTuple):
    """One adoption event. The order of the members is the order of the table's columns."""

    ts_hour: datetime
    event: str
    instance_id: str
    library_version: str
    python: str | None
    os: str | None
    adapter: str | None
    session_seq: int | None
    outcomes: dict[str, int] | None


def parse_loop(body: bytes, now: datetime) -> Loop:
    """The loop in a body of `/v1/aggregate`.

    Raises Refused: INVALID_JSON, INVALID_PAYLOAD with the member's name, or INVALID_TIMESTAMP.
    """
    usual = read_usual(body)
    return _usual_loop(usual, now) if usual else read_loop(body, now)


def _usual_loop(usual: Usual, now: datetime) -> Loop:
    loop, summary, thresholds = usual.loop, usual.loop.convergence_profile_summary, usual.thresholds
    return Loop(
        _hour(usual.timestamp_hour, now),
        usual.workload_id,
        usual.framework,
        usual.loop_type,
        usual.team,
        usual.library_version,
        loop.outcome,
        loop.iterations_used,
        loop.savings_vs_fixed_cap,
        loop.rollback_triggered,
        loop.best_index,
        summary.min,
        summary.max,
        summary.median,
        summary.samples,
        loop.gain_margin,
        thresholds.fast_converge,
        thresholds.converging,
        thresholds.stalling,
        thresholds.oscillating_upper,
        usual.smoothing_window,
        usual.actual_dollars_saved,
        usual.actual_dollars_spent,
        usual.per_iteration,
    )


def read_loop(body: bytes, now: datetime) -> Loop:
    """The lenient reading of `parse_loop`: any text, any further members, and errors that name the member."""
    payload = Members(read_json(body))
    version = payload.get("schema_version")
    if not is_number(version) or version not in SCHEMA_VERSIONS:
        raise payload.invalid("schema_version", "1, 2, 3 or 4")
    payload.text("library", LABEL_MAX)
    stamp = payload.text("timestamp_hour", SHORT_TEXT_MAX)
    loop = payload.object("loop")
    summary = loop.object("convergence_profile_summary")
    thresholds = payload.object("thresholds")
    return Loop(
        workload_id=payload.text_or_none("workload_id", LABEL_MAX),
        framework=payload.text_or_none("framework", LABEL_MAX),
        loop_type=payload.text_or_none("loop_type", LABEL_MAX),
        team=payload.text_or_none("team", LABEL_MAX),
        library_version=payload.text("library_version", SHORT_TEXT_MAX),
        outcome=loop.text("outcome", SHORT_TEXT_MAX),
        iterations_used=loop.number("iterations_used", SAFE_INTEGER),
        savings_vs_fixed_cap=loop.number_or_null("savings_vs_fixed_cap", SAFE_INTEGER),
        rollback_triggered=loop.boolean("rollback_triggered"),
        best_index=loop.lenient_number("best_index", SAFE_INTEGER),
        profile_min=summary.number_or_null("min"),
        profile_max=summary.number_or_null("max"),
        profile_median=summary.number_or_null("median"),
        profile_samples=_samples(summary),
        gain_margin=loop.lenient_number("gain_margin"),
        threshold_fast_converge=thresholds.number("fast_converge"),
        threshold_converging=thresholds.number("converging"),
        threshold_stalling=thresholds.number("stalling"),
        threshold_oscillating_upper=thresholds.number("oscillating_upper"),
        smoothing_window=payload.number("smoothing_window"),
        actual_dollars_saved=payload.optional_number("actual_dollars_saved", SAFE_INTEGER, least=0),
        actual_dollars_spent=payload.optional_number("actual_dollars_spent", SAFE_INTEGER, least=0),
        trajectory=_trajectory(payload),
        # Last, because the shape decides first: a body that is wrong in both ways is an invalid payload.
        timestamp_hour=_hour(stamp, now),
    )


def _hour(stamp: str, now: datetime) -> datetime:
    hour = hour_of(stamp, now)
    if hour is None:
        raise Refused(Reason.INVALID_TIMESTAMP, "timestamp_hour: not a date, or in the future")
    return hour


def _samples(summary: Members) -> int | None:
    if summary.number_or_null("samples") is None:
        return None
    return summary.optional_count("samples")


def _trajectory(payload: Members) -> Trajectory | None:
    if payload.get("per_iteration") is None:
        return None
    series = payload.object("per_iteration")
    return Trajectory(
        error_history=_series(series, "error_history"),
        convergence_profile=_series(series, "convergence_profile"),
        truncated=series.boolean("truncated"),
        cap=series.number("cap"),
    )


def _series(members: Members, key: str) -> list[float | None]:
    """Numbers; the library writes null for its infinities, and other writers write 1e999."""
    entries = members.array(key, SERIES_MAX)
    if not all(entry is None or isinstance(entry, float) for entry in entries):
        raise members.invalid(key, "numbers or nulls")
    return [entry if is_number(entry) else None for entry in entries]


def parse_funnel(body: bytes, now: datetime) -> list[FunnelEvent]:
    """The events in a body of `/v1/funnel`; one bad event refuses the whole batch, as the clients expect.

    Raises Refused: INVALID_JSON, or INVALID_PAYLOAD with the member's name.
    """
    batch = Members(read_json(body))
    version = batch.get("schema_version")
    if not is_number(version) or version != FUNNEL_SCHEMA_VERSION:
        raise batch.invalid("schema_version", "1")
    if batch.get("library") != "loopgain":
        raise batch.invalid("library", "loopgain")
    entries = batch.array("events", FUNNEL_EVENTS_MAX)
    return [_funnel_event(Members(entry, f"events.{index}"), now) for index, entry in enumerate(entries)]


def _funnel_event(entry: Members, now: datetime) -> FunnelEvent:
    hour = hour_of(entry.text("ts_hour", SHORT_TEXT_MAX), now)
    if hour is None:
        raise entry.invalid("ts_hour", "a date that is not in the future")
    instance_id = entry.text("instance_id", 32).lower()
    if not _INSTANCE_ID.fullmatch(instance_id):
        raise entry.invalid("instance_id", "32 hexadecimal digits")
    return FunnelEvent(
        ts_hour=hour,
        event=entry.text("event", SHORT_TEXT_MAX, least=1),
        instance_id=instance_id,
        library_version=entry.text("library_version", SHORT_TEXT_MAX, least=1),
        python=entry.text_or_none("python", SHORT_TEXT_MAX),
        os=entry.text_or_none("os", SHORT_TEXT_MAX),
        adapter=entry.text_or_none("adapter", LABEL_MAX),
        session_seq=entry.optional_count("session_seq"),
        outcomes=_outcome_counts(entry),
    )


def _outcome_counts(entry: Members) -> dict[str, int] | None:
    if entry.get("outcomes") is None:
        return None
    counts = entry.object("outcomes").items()
    if len(counts) > FUNNEL_OUTCOMES_MAX:
        raise entry.invalid("outcomes", f"at most {FUNNEL_OUTCOMES_MAX} keys")
    named = [(storable_text(name, SHORT_TEXT_MAX), count) for name, count in counts]
    stored = {name: int(count) for name, count in named if name is not None and is_count(count)}
    if not all(name is not None and is_count(count) for name, count in named):
        raise entry.invalid("outcomes", "names of at most 64 characters with whole numbers from 0")
    return stored
