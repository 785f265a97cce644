"""Daily totals that never expire. Days are days of arrival, so a day's rows are complete when it is over."""

from __future__ import annotations

from typing import Final

from raingauge.contract import Column, Rollup
from raingauge.contracts.flags.tables import COUNTERS, FLAG_COUNTS, FLAG_DELTAS, NAME, SENDER

_GROUP: Final = "resolver_id, sdk, sdk_version, resolver_version"
_COUNTERS: Final = ", ".join(f"sum({column.name}) AS {column.name}" for column in COUNTERS)

FLAG_TOTALS: Final = Rollup(
    table="flag_totals",
    columns=(
        *SENDER,
        Column("resolver_version", NAME, "Version of the resolver inside the SDK."),
        Column("latency_sum_us", "UInt64", "Time spent resolving, in microseconds."),
        Column("latency_count", "UInt64", "Resolves measured."),
        Column("latency_buckets", "Map(UInt16, UInt64)", "How many of them fell into which latency bucket."),
        Column("observations_refused", "UInt64", "Bucket counts that no bucket can hold."),
        Column("resolves", "Map(UInt8, UInt64)", "Resolves by reason number; 255 is unknown."),
        Column("memory", "Tuple(UInt64, UInt64)", "Message that last told the memory, and that memory in bytes."),
        *COUNTERS,
        Column(
            "dedup_map",
            "Tuple(UInt64, UInt64, UInt64)",
            "Message that last told of the de-duplication map, its size and its capacity.",
        ),
    ),
    order=("resolver_id", "sdk", "sdk_version", "resolver_version"),
    source=FLAG_DELTAS.name,
    # A gauge is the pair (message, value): the greatest pair is the newest value, and merging is again `max`.
    select=f"""
        SELECT customer, day, {_GROUP},
            sum(latency_sum_us) AS latency_sum_us, sum(latency_count) AS latency_count,
            sumMap(latency_buckets) AS latency_buckets, sum(observations_refused) AS observations_refused,
            sumMap(resolves) AS resolves, max((if(memory_bytes > 0, message_id, 0), memory_bytes)) AS memory,
            {_COUNTERS},
            max((if(dedup_map_capacity > 0, message_id, 0), dedup_map_size, dedup_map_capacity)) AS dedup_map
        FROM flag_deltas
        WHERE {{where}}
        GROUP BY customer, day, {_GROUP}
    """,  # noqa: S608 - names of columns only
)

FLAG_COUNT_TOTALS: Final = Rollup(
    table="flag_count_totals",
    columns=(
        Column("flag", NAME, "The flag."),
        Column("kind", NAME, "What is counted: variant, rule or assignment."),
        Column("rule", NAME, "The rule; empty for a variant count."),
        Column("name", NAME, "The variant or assignment."),
        Column("count", "UInt128", "Resolves. Single counts may be near 2^63, so 64 bits would not hold two of them."),
    ),
    order=("flag", "kind", "rule", "name"),
    source=FLAG_COUNTS.name,
    select="""
        SELECT customer, day, flag, kind, rule, name, sum(toUInt128(count)) AS count
        FROM flag_counts
        WHERE {where}
        GROUP BY customer, day, flag, kind, rule, name
    """,
)
