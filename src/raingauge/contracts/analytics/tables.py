"""What is stored of an event. Nothing that is not a column here stays."""

from __future__ import annotations

from typing import Final

from raingauge.contract import Column, Knob, Table


def positive(days: int) -> str | None:
    return None if days > 0 else "must be greater than 0"


RETENTION_DAYS: Final = Knob(
    "analytics_retention_days",
    400,
    "How long product usage events are kept after arrival; their ids stay, to know copies.",
    "days",
    lambda days: None if days >= 7 else "must be at least 7",
)

_NAME: Final = "LowCardinality(String)"
_PACKED: Final = "ZSTD(1)"


def _name(name: str, why: str) -> Column:
    return Column(name, _NAME, why, _PACKED)


EVENTS: Final = Table(
    name="product_events",
    columns=(
        # Random bits: a codec would only cost time.
        Column("event_id", "FixedString(16)", "the event's UUID, or a hash of another id: to store it once", "NONE"),
        Column("fingerprint", "UInt32", "checksum of the stored values, to tell a copy from a conflict", "NONE"),
        _name("schema_version", "version of the wire format"),
        _name("event_name", "feature_used, error_occurred or what older clients sent"),
        Column("occurred_at", "DateTime64(3, 'UTC')", "the client's time of the event", f"Delta(8), {_PACKED}"),
        Column("installation_id", "String", "the client's hash for one installation", _PACKED),
        Column("instance_id", "String", "the client's hash for one running instance", _PACKED),
        Column("session_id", "String", "hash of the session key; anything that is not a hash is hashed", _PACKED),
        Column("run", "UInt64", "hash of the turn's id, to tell turns apart", _PACKED),
        _name("deployment_mode", "how it was installed"),
        _name("app_version", "version of the application"),
        _name("platform", "operating system"),
        _name("module", "which part of the product"),
        _name("owner_module", "which part the work was done for"),
        _name("execution_kind", "user session, subagent, background run, …"),
        _name("phase", "step of a background run"),
        _name("loop_stage", "step of the agent loop"),
        _name("outcome", "how the step ended"),
        _name("error_category", "kind of error"),
        _name("code", "error code"),
        _name("stop_reason", "why a turn ended"),
        _name("event", "what a background module did"),
        _name("tool_name", "which tool was called"),
        _name("provider", "which model provider"),
        _name("model", "which model"),
        Column("success", "Int8", "whether a tool call worked: 1, 0, or -1 when not told", _PACKED),
        Column("turns", "UInt32", "model calls in the turn", _PACKED),
        Column("details", "String", "further listed properties as JSON, sorted by name", _PACKED),
        Column("dropped", "UInt16", "how many properties were not kept", _PACKED),
        Column("properties_missing", "Bool", "whether the event had no object of properties", _PACKED),
        Column("clock_suspect", "Bool", "whether the client's clock cannot be right", _PACKED),
    ),
    time="occurred_at",
    identity=("event_id",),
    identity_days=False,
    keep_identity=True,
    fingerprint="fingerprint",
    duplicate_label="installation_id",
    order=("installation_id", "session_id", "occurred_at"),
    retention_days=RETENTION_DAYS,
)
