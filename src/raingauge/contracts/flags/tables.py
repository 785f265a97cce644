"""What is kept of flag logs: the columns, their identity and their lifetime."""

from __future__ import annotations

from typing import Final

from raingauge.contract import Column, Table
from raingauge.contracts.flags.knobs import FLAGS_RETENTION_DAYS

NAME: Final = "LowCardinality(String)"

SENDER: Final = (
    Column("resolver_id", NAME, "Label of the credential that sent it: which resolver this is."),
    Column("sdk", NAME, "Which SDK sent it, to tell one SDK's latency from another's."),
    Column("sdk_version", NAME, "Version of that SDK, to see what an upgrade changed."),
)

COUNTERS: Final = (
    Column("provider_inits", "UInt64", "Starts of the provider since the last flush."),
    Column("applies", "UInt64", "Applies that went through the SDK's own de-duplication since the last flush."),
    Column("applies_deduped", "UInt64", "Applies it left out as duplicates."),
    Column("applies_overflowed", "UInt64", "Applies it could not remember because its map was full."),
    Column("dedup_sweeps", "UInt64", "Times it cleaned its map."),
    Column("flushes_succeeded", "UInt64", "Flag log deliveries that worked, as the SDK counted them."),
    Column("flushes_failed", "UInt64", "Flag log deliveries that failed: data lost before it reached this server."),
    Column("events_published", "UInt64", "Events the SDK took from the application."),
    Column("event_batches_succeeded", "UInt64", "Event batches the SDK delivered."),
    Column("event_batches_failed", "UInt64", "Event batches it could not deliver."),
    Column("events_rejected", "UInt64", "Events the events service did not take."),
)
"""Deltas that are only ever summed."""

FLAG_DELTAS: Final = Table(
    name="flag_deltas",
    columns=(
        *SENDER,
        Column("resolver_version", NAME, "Version of the resolver inside the SDK."),
        Column("latency_sum_us", "UInt64", "Time spent resolving since the last flush, in microseconds."),
        Column("latency_count", "UInt64", "Resolves measured since the last flush."),
        Column("latency_buckets", "Map(UInt16, UInt64)", "How many of them fell into which latency bucket."),
        Column("observations_refused", "UInt64", "Bucket counts that no bucket can hold, from damaged messages."),
        Column("resolves", "Map(UInt8, UInt64)", "Resolves since the last flush by reason number; 255 is unknown."),
        Column("memory_bytes", "UInt64", "Memory of the resolver; 0 is unknown."),
        Column("state_updated_ms", "UInt64", "When the resolver last got its flag state, ms since 1970; 0 is unknown."),
        *COUNTERS,
        Column("dedup_map_size", "UInt64", "Entries in the SDK's de-duplication map."),
        Column("dedup_map_capacity", "UInt64", "Most entries that map may have; 0 is unknown."),
    ),
    order=("resolver_id",),
    retention_days=FLAGS_RETENTION_DAYS,
)
"""One row per telemetry delta. A delta carries no identity of its own, so it is one of its message."""

FLAG_EXPOSURES: Final = Table(
    name="flag_exposures",
    columns=(
        *SENDER,
        Column("applied_at", "DateTime64(9, 'UTC')", "When the flag was applied; time of arrival if not told."),
        Column("resolve_id", "String", "The resolve it belongs to. Not unique: SDKs repeat these ids."),
        Column("client_credential", NAME, "Resource name (not the secret) of the client credential."),
        Column("flag", NAME, "The flag."),
        Column("targeting_key", "String", "Keyed hash of the end user's id; the id itself is not kept."),
        Column("targeting_key_selector", NAME, "Name of the context field that the id came from."),
        Column("assignment_id", NAME, "The assignment within the rule."),
        Column("rule", NAME, "The rule that assigned it."),
        Column("segment", NAME, "The segment that matched."),
        Column("variant", NAME, "The variant shown; empty for a default assignment."),
        Column("default_reason", NAME, "Why the default was used; empty when a variant was assigned."),
        Column("fallthrough_rules", "Array(String)", "Rules passed on the way to this one."),
        Column("fallthrough_assignment_ids", "Array(String)", "The assignments in those rules, in the same order."),
    ),
    time="applied_at",
    person="targeting_key",
    identity=(
        "client_credential",
        "resolve_id",
        "flag",
        "targeting_key",
        "assignment_id",
        "rule",
        "applied_at",
    ),
    order=("flag",),
    retention_days=FLAGS_RETENTION_DAYS,
)
"""One row per applied flag. The resolve id alone would merge exposures of different users: fresh resolvers start
from the same sequence of ids."""

FLAG_COUNTS: Final = Table(
    name="flag_counts",
    columns=(
        Column("resolver_id", NAME, "Label of the credential that sent it."),
        Column("flag", NAME, "The flag."),
        Column("kind", NAME, "What is counted: variant, rule or assignment."),
        Column("rule", NAME, "The rule; empty for a variant count."),
        Column("name", NAME, "The variant or assignment; empty for a rule count, and for a variant if none matched."),
        Column("count", "UInt64", "Resolves since the last flush."),
    ),
    order=("flag",),
    retention_days=FLAGS_RETENTION_DAYS,
)
"""One row per count in a flag's resolve statistics."""
