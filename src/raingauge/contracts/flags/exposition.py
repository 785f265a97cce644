"""The totals as Prometheus families, named and numbered as in the resolvers' own text.

A resolver's page and ours can feed the same dashboard: same names, HELP, labels, bucket bounds and number formats.
Unlike theirs, samples are grouped by family over all resolvers, as the format demands. Labels are the customer's own
token labels and the fixed list of resolve reasons.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from datetime import date
from itertools import accumulate
from typing import Final, Literal, NamedTuple

import msgspec

from raingauge.contract import Facts, Family, Sample, label_text
from raingauge.contracts.flags.decode import UNKNOWN_REASON
from raingauge.contracts.flags.histogram import BUCKETS, BUCKETS_PER_DECADE, upper_bound_us
from raingauge.contracts.flags.rollups import FLAG_TOTALS
from raingauge.contracts.flags.tables import COUNTERS
from raingauge.contracts.flags.wire import flag_logs_pb2 as wire

REASON_NAMES: Final = {value.number: value.name for value in wire.ResolveReason.DESCRIPTOR.values} | {
    UNKNOWN_REASON: "UNKNOWN"
}
FIRST_DAY: Final = date(1970, 1, 1)
LAST_DAY: Final = date(2149, 6, 6)
"""The days that the store can hold."""


class ResolverTotals(msgspec.Struct, frozen=True):
    """Everything ever counted of one resolver. `memory` and `dedup_map` begin with the message that told them."""

    resolver_id: str
    latency_sum_us: int
    latency_count: int
    latency_buckets: dict[int, int]
    observations_refused: int
    resolves: dict[int, int]
    memory: tuple[int, int]
    dedup_map: tuple[int, int, int]
    provider_inits: int
    applies: int
    applies_deduped: int
    applies_overflowed: int
    dedup_sweeps: int
    flushes_succeeded: int
    flushes_failed: int
    events_published: int
    event_batches_succeeded: int
    event_batches_failed: int
    events_rejected: int

    @property
    def deduplicates(self) -> bool:
        return self.applies > 0 or self.dedup_map[0] > 0

    @property
    def flushes(self) -> bool:
        return self.flushes_succeeded + self.flushes_failed > 0

    @property
    def publishes(self) -> bool:
        return (
            self.events_published + self.event_batches_succeeded + self.event_batches_failed + self.events_rejected > 0
        )


class _Plain(NamedTuple):
    """A family with one sample for each resolver that told of it."""

    name: str
    kind: Literal["counter", "gauge"]
    help: str
    value: Callable[[ResolverTotals], int]
    told: Callable[[ResolverTotals], bool]


# Names and HELP texts are those of the resolvers, so that the families are the same ones to Prometheus.
_PLAIN: Final = (
    _Plain("confidence_memory_bytes", "gauge", "Current memory usage of the resolver in bytes.",
           lambda t: t.memory[1], lambda t: t.memory[1] > 0),
    _Plain("confidence_apply_dedup_applies", "counter", "Total flag apply events processed by dedup.",
           lambda t: t.applies, lambda t: t.deduplicates),
    _Plain("confidence_apply_dedup_deduped", "counter", "Duplicate apply events filtered out.",
           lambda t: t.applies_deduped, lambda t: t.deduplicates),
    _Plain("confidence_apply_dedup_overflow", "counter",
           "Unique apply events that passed the dedup filter but could not be cached (map full).",
           lambda t: t.applies_overflowed, lambda t: t.deduplicates),
    _Plain("confidence_apply_dedup_sweeps", "counter", "Number of dedup map sweep operations.",
           lambda t: t.dedup_sweeps, lambda t: t.deduplicates),
    _Plain("confidence_apply_dedup_map_size", "gauge", "Current entries in the dedup map.",
           lambda t: t.dedup_map[1], lambda t: t.deduplicates),
    _Plain("confidence_apply_dedup_map_capacity", "gauge", "Maximum entries allowed in the dedup map.",
           lambda t: t.dedup_map[2], lambda t: t.deduplicates),
    _Plain("confidence_flush_succeeded", "counter", "Successful WriteFlagLogs batch deliveries.",
           lambda t: t.flushes_succeeded, lambda t: t.flushes),
    _Plain("confidence_flush_failed", "counter", "Failed WriteFlagLogs batch deliveries.",
           lambda t: t.flushes_failed, lambda t: t.flushes),
    _Plain("confidence_events_published", "counter", "Total events published.",
           lambda t: t.events_published, lambda t: t.publishes),
    _Plain("confidence_event_batches_succeeded", "counter", "Successful event batch deliveries.",
           lambda t: t.event_batches_succeeded, lambda t: t.publishes),
    _Plain("confidence_event_batches_failed", "counter", "Failed event batch deliveries.",
           lambda t: t.event_batches_failed, lambda t: t.publishes),
    _Plain("confidence_events_rejected", "counter", "Total events rejected by the events service.",
           lambda t: t.events_rejected, lambda t: t.publishes),
    _Plain("confidence_provider_init", "counter", "Total provider initializations.",
           lambda t: t.provider_inits, lambda t: t.provider_inits > 0),
    _Plain("raingauge_flags_observations_refused", "counter",
           "Latency observations in damaged messages that no bucket can hold.",
           lambda t: t.observations_refused, lambda t: t.observations_refused > 0),
)  # fmt: skip

_SUMMED: Final = ("latency_sum_us", "latency_count", "observations_refused", *(column.name for column in COUNTERS))
_TOTALS: Final = ", ".join([
    *(f"sum({name}) AS {name}" for name in _SUMMED),
    *(f"sumMap({name}) AS {name}" for name in ("latency_buckets", "resolves")),
    *(f"max({name}) AS {name}" for name in ("memory", "dedup_map")),
])  # fmt: skip


async def families(facts: Facts, buckets_per_decade: int) -> Sequence[Family]:
    """All families of one customer's resolvers; those without data have no samples."""
    totals = await facts.rows(
        f"SELECT resolver_id, {_TOTALS} FROM {facts.rolled(FLAG_TOTALS.table)} AS totals"  # noqa: S608
        " WHERE customer = {customer:String} GROUP BY resolver_id ORDER BY resolver_id",
        ResolverTotals,
        since_day=FIRST_DAY,
        until_day=LAST_DAY,
    )
    return exposed(totals, buckets_per_decade)


def exposed(totals: Sequence[ResolverTotals], buckets_per_decade: int) -> list[Family]:
    """The families of these resolvers, in the order of the resolvers' own text."""
    return [
        Family(
            "confidence_resolve_latency_microseconds",
            "histogram",
            "Latency of flag resolve operations in microseconds.",
            _latency_samples(totals, buckets_per_decade),
        ),
        Family("confidence_resolves", "counter", "Total number of flag resolve operations.", _resolve_samples(totals)),
        *(Family(plain.name, plain.kind, plain.help, _plain_samples(totals, plain)) for plain in _PLAIN),
    ]


def bound_text(index: int) -> str:
    """The upper bound of a bucket as resolvers print it: six decimals and a bare exponent, `1.136464e3`."""
    mantissa, _, exponent = f"{upper_bound_us(index):.6e}".partition("e")
    return f"{mantissa}e{int(exponent)}"


def _latency_samples(totals: Sequence[ResolverTotals], buckets_per_decade: int) -> Iterator[Sample]:
    """All 174 buckets, thinned evenly to the density asked for, without the empty ones at the start."""
    stride = math.ceil(BUCKETS_PER_DECADE / buckets_per_decade)
    printed = [(index, f',le="{bound_text(index)}"') for index in range(stride - 1, BUCKETS, stride)]
    for resolver in totals:
        if not resolver.latency_count:
            continue
        labels = label_text(resolver_id=resolver.resolver_id)
        counts = [0] * BUCKETS
        for index, count in resolver.latency_buckets.items():
            counts[index] = count
        cumulative = list(accumulate(counts))
        for index, bound in printed:
            if cumulative[index]:
                yield Sample(labels + bound, cumulative[index], "_bucket")
        yield Sample(labels + ',le="+Inf"', resolver.latency_count, "_bucket")
        yield Sample(labels, resolver.latency_sum_us, "_sum")
        yield Sample(labels, resolver.latency_count, "_count")


def _resolve_samples(totals: Sequence[ResolverTotals]) -> Iterator[Sample]:
    for resolver in totals:
        for reason, count in sorted(resolver.resolves.items()):
            if count:
                yield Sample(label_text(resolver_id=resolver.resolver_id, reason=REASON_NAMES[reason]), count)


def _plain_samples(totals: Sequence[ResolverTotals], plain: _Plain) -> Iterator[Sample]:
    for resolver in totals:
        if plain.told(resolver):
            yield Sample(label_text(resolver_id=resolver.resolver_id), plain.value(resolver))
