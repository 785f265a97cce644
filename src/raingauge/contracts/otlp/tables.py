"""The stored columns. The times a sender gives are kept to the microsecond; text is cut to 256 characters."""

from __future__ import annotations

from typing import Final

from raingauge.contract import Column, Table
from raingauge.contracts.otlp.knobs import RETENTION_DAYS, SERIES_PER_DAY, SPAN_RETENTION_DAYS

_NAME: Final = "LowCardinality(String)"
_COUNT: Final = "UInt64"
_TIME: Final = "DateTime64(6, 'UTC')"
_TIME_CODEC: Final = "Delta(8), ZSTD(1)"
_COUNT_CODEC: Final = "T64, ZSTD(1)"

_ORIGIN: Final = (
    Column("source", _NAME, "which tool sent it: claude_code, agent_sdk, cowork, codex, …, other"),
    Column("service", _NAME, "the sender's service name"),
    Column("session", _NAME, "the tool's random session id, to group what belongs together"),
    Column("prompt", _NAME, "the tool's random id of the prompt, never its text"),
    Column("user", _NAME, "a keyed hash of the person's e-mail address, account or install id"),
    Column("repo", _NAME, "owner and name of the repository, without host, credentials or path"),
    Column("model", _NAME, "the model that was asked"),
    Column("tool", _NAME, "the tool the agent used; MCP tools are one name unless the operator allows more"),
    Column("team", _NAME, "the team, from the attribute that the operator names"),
    Column("effort", _NAME, "how hard the model was asked to think"),
    Column(
        "agent", _NAME, "which kind of subagent; those that people named are custom unless the operator allows more"
    ),
)
_OUTCOME: Final = (
    Column("status", _NAME, "ok, error, or the code that the sender gave"),
    Column("error_class", _NAME, "the kind of error, never its message"),
    Column("decision", _NAME, "whether a tool call was accepted or rejected"),
    Column("decision_source", _NAME, "whether a rule, a hook or a person decided"),
    Column("query_source", _NAME, "whether the main agent, a subagent or a helper asked: main, subagent, auxiliary"),
    Column("agent_id", _NAME, "random id of the subagent"),
    Column("parent_agent_id", _NAME, "random id of the subagent that started it"),
    Column("call_id", "UInt64", "hash of the tool call's or model request's id, which joins events and spans"),
)
_SPEND: Final = (
    Column("input_tokens", _COUNT, "tokens sent, without cached ones", _COUNT_CODEC),
    Column("output_tokens", _COUNT, "tokens received", _COUNT_CODEC),
    Column("cache_read_tokens", _COUNT, "tokens read from the prompt cache", _COUNT_CODEC),
    Column("cache_creation_tokens", _COUNT, "tokens written to the prompt cache", _COUNT_CODEC),
    Column("cost_usd", "Float64", "what it cost", "ZSTD(1)"),
    Column("cost_source", _NAME, "whether the cost was reported, estimated from list prices, or is not known"),
)
_TIMING: Final = Column("timing", _NAME, "late, future or untimed when the sender's clock and ours disagree")

SPANS: Final = Table(
    name="spans",
    columns=(
        Column("trace_id", "FixedString(16)", "random id of the trace", "ZSTD(1)"),
        Column("span_id", "FixedString(8)", "random id of the span", "ZSTD(1)"),
        Column("parent_span_id", "FixedString(8)", "id of the span above, zeros for none", "ZSTD(1)"),
        Column("time", _TIME, "when it started", _TIME_CODEC),
        Column("duration_us", _COUNT, "how long it took, in microseconds", _COUNT_CODEC),
        Column("name", _NAME, "what kind of work it was"),
        Column("kind", "Int32", "OTLP span kind"),
        *_ORIGIN,
        *_OUTCOME,
        *_SPEND,
        _TIMING,
    ),
    time="time",
    person="user",
    identity=("trace_id", "span_id"),
    # In the order of time within a trace, times and parents of neighbours are nearly alike and take little room.
    order=("trace_id", "time"),
    retention_days=SPAN_RETENTION_DAYS,
)

_EVENT: Final = (
    Column("event_id", "UInt64", "hash of what tells this record from all others, to find copies"),
    Column("time", _TIME, "when it happened", _TIME_CODEC),
)
_TRACE: Final = Column("trace_id", "FixedString(16)", "random id of the trace, zeros for none", "ZSTD(1)")

EVENTS: Final = Table(
    name="events",
    columns=(
        *_EVENT,
        Column("name", _NAME, "what happened, from the sender's own list of names"),
        _TRACE,
        Column("span_id", "FixedString(8)", "random id of the span, zeros for none", "ZSTD(1)"),
        Column("duration_us", _COUNT, "how long it took, in microseconds", _COUNT_CODEC),
        *_ORIGIN,
        *_OUTCOME,
        *_SPEND,
        _TIMING,
    ),
    time="time",
    person="user",
    identity=("event_id",),
    order=("time",),
    retention_days=RETENTION_DAYS,
)

TOOL_DECISIONS: Final = Table(
    name="tool_decisions",
    columns=(*_EVENT, _TRACE, *_ORIGIN, *_OUTCOME, _TIMING),
    time="time",
    person="user",
    identity=("event_id",),
    counts=False,
    order=("time",),
    retention_days=RETENTION_DAYS,
)

POINTS: Final = Table(
    name="points",
    columns=(
        Column("series", "UInt64", "keyed hash of everything that tells this series from others"),
        Column("start", _TIME, "when this series began to count, 1970 when it does not say", _TIME_CODEC),
        Column("time", _TIME, "when it was read", _TIME_CODEC),
        Column("metric", _NAME, "the name of the metric"),
        Column("kind", _NAME, "sum, gauge, histogram, exponential_histogram or summary"),
        Column("temporality", _NAME, "delta or cumulative, empty for gauges"),
        Column("value", "Float64", "the number, or the sum of a histogram", "ZSTD(1)"),
        Column("count", _COUNT, "how many values a histogram holds", _COUNT_CODEC),
        Column("min", "Nullable(Float64)", "the smallest value of a histogram", "ZSTD(1)"),
        Column("max", "Nullable(Float64)", "the largest value of a histogram", "ZSTD(1)"),
        Column("bucket_bounds", "Array(Float64)", "upper bounds of a histogram's filled buckets", "ZSTD(1)"),
        Column("bucket_counts", "Array(UInt64)", "how many values each of these buckets holds", "ZSTD(1)"),
        Column("type", _NAME, "the producer's kind of token, line, time, …"),
        Column("status", _NAME, "ok, error, accept, reject, or the code that the sender gave"),
        *(column for column in _ORIGIN if column.name not in {"session", "prompt"}),
        Column("query_source", _NAME, "whether the main agent, a subagent or a helper asked"),
        Column("measure", _NAME, "what the point adds to: cost, input, output, … or nothing"),
        Column("unit_cost_usd", "Float64", "what one unit of the value costs", "ZSTD(1)"),
        _TIMING,
    ),
    time="time",
    person="user",
    identity=("series", "start", "time"),
    series="series",
    series_limit=SERIES_PER_DAY,
    order=("metric", "series"),
    retention_days=RETENTION_DAYS,
)
