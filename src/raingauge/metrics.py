"""Every Prometheus series of our own operation: name, type, labels, a sentence.

Labels come from fixed lists only, never from a client. `GET /-/metrics` renders it; `python -m raingauge.metrics`
prints the page `docs/metrics.md`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Protocol

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.registry import Collector

from raingauge import __version__
from raingauge.queue import Depth, Tally

MILLISECONDS: Final = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
SECONDS: Final = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
COUNTS: Final = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)


@dataclass(frozen=True, slots=True)
class Series:
    """One line of the catalogue. `buckets` are only used by histograms; the unit is the end of the name."""

    name: str
    kind: str
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()


REQUESTS = Series("raingauge_requests_total", "counter", "Answered requests.", ("contract", "route", "status"))
REFUSED = Series(
    "raingauge_refused_total", "counter", "Ingest requests that were answered with an error.", ("contract", "reason")
)
REPEATED = Series(
    "raingauge_repeated_total",
    "counter",
    "Messages that were answered but not queued again, because the sender had not waited for the first answer or "
    "had used the idempotency key before.",
    ("contract",),
)
RECEIVED_BYTES = Series(
    "raingauge_received_bytes_total", "counter", "Bodies of accepted messages, as sent.", ("contract",)
)
ITEMS = Series(
    "raingauge_items_total",
    "counter",
    "Items by where they ended; once the queue is empty, received = stored + duplicate + rejected + quarantined.",
    ("contract", "outcome", "reason"),
)
QUEUE_MESSAGES = Series("raingauge_queue_messages", "gauge", "Messages waiting to be stored.")
QUEUE_BYTES = Series("raingauge_queue_bytes", "gauge", "Size of the messages waiting to be stored.")
QUEUE_OLDEST = Series("raingauge_queue_oldest_seconds", "gauge", "Age of the oldest waiting message, 0 when none is.")
DEAD_LETTERS = Series("raingauge_dead_letters", "gauge", "Messages that could not be stored and wait for a person.")
COMMIT_SECONDS = Series(
    "raingauge_commit_seconds", "histogram", "Time of one durable commit of the queue.", (), MILLISECONDS
)
COMMIT_MESSAGES = Series(
    "raingauge_commit_messages", "histogram", "Messages that shared one durable commit.", (), COUNTS
)
DECODE_SECONDS = Series(
    "raingauge_decode_seconds", "histogram", "Time to decode one batch of messages.", (), MILLISECONDS
)
INSERT_SECONDS = Series("raingauge_insert_seconds", "histogram", "Time of one insert into the store.", (), SECONDS)
QUERY_SECONDS = Series("raingauge_query_seconds", "histogram", "Time of one read from the store.", (), SECONDS)
VISIBLE_LAG = Series(
    "raingauge_visible_lag_seconds",
    "histogram",
    "Time from the arrival of a message until reads can see it.",
    (),
    SECONDS,
)
BUILD_INFO = Series("raingauge_build_info", "gauge", "Always 1; the label says which version runs.", ("version",))

CATALOGUE: Final = (
    REQUESTS, REFUSED, REPEATED, RECEIVED_BYTES, ITEMS,
    QUEUE_MESSAGES, QUEUE_BYTES, QUEUE_OLDEST, DEAD_LETTERS, COMMIT_SECONDS, COMMIT_MESSAGES,
    DECODE_SECONDS, INSERT_SECONDS, QUERY_SECONDS, VISIBLE_LAG, BUILD_INFO,
)  # fmt: skip


class WatchedQueue(Protocol):
    """The part of a queue that is read at each scrape."""

    def depth(self) -> Depth: ...
    def accounting(self) -> dict[Tally, int]: ...


class Metrics:
    """The series as objects, in a registry of their own."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry(auto_describe=False)
        self.requests = self._counter(REQUESTS)
        self.refused = self._counter(REFUSED)
        self.repeated = self._counter(REPEATED)
        self.received_bytes = self._counter(RECEIVED_BYTES)
        self.commit_seconds = self._histogram(COMMIT_SECONDS)
        self.commit_messages = self._histogram(COMMIT_MESSAGES)
        self.decode_seconds = self._histogram(DECODE_SECONDS)
        self.insert_seconds = self._histogram(INSERT_SECONDS)
        self.query_seconds = self._histogram(QUERY_SECONDS)
        self.visible_lag_seconds = self._histogram(VISIBLE_LAG)
        build_info = Gauge(BUILD_INFO.name, BUILD_INFO.help, BUILD_INFO.labels, registry=self.registry)
        build_info.labels(__version__).set(1)

    def watch(self, queue: WatchedQueue) -> None:
        """Ask this queue for its depth and its accounting at each scrape."""
        self.registry.register(_QueueCollector(queue))

    def render(self) -> tuple[bytes, str]:
        """The scrape body and its content type. Reads the queue, so keep it off the event loop."""
        return generate_latest(self.registry), CONTENT_TYPE_PLAIN_0_0_4

    def _counter(self, series: Series) -> Counter:
        return Counter(series.name, series.help, series.labels, registry=self.registry)

    def _histogram(self, series: Series) -> Histogram:
        return Histogram(series.name, series.help, series.labels, registry=self.registry, buckets=series.buckets)


class _QueueCollector(Collector):
    def __init__(self, queue: WatchedQueue) -> None:
        self._queue = queue

    def collect(self) -> Iterator[Metric]:
        depth = self._queue.depth()
        oldest_seconds = (datetime.now(UTC) - depth.oldest_at).total_seconds() if depth.oldest_at else 0.0
        yield _gauge(QUEUE_MESSAGES, depth.messages)
        yield _gauge(QUEUE_BYTES, depth.size_bytes)
        yield _gauge(QUEUE_OLDEST, max(0.0, oldest_seconds))
        yield _gauge(DEAD_LETTERS, depth.dead_letters)
        items = CounterMetricFamily(ITEMS.name, ITEMS.help, labels=ITEMS.labels)
        for tally, count in sorted(self._queue.accounting().items()):
            items.add_metric([tally.contract, tally.outcome, tally.reason], count)
        yield items


def _gauge(series: Series, value: float) -> Metric:
    return GaugeMetricFamily(series.name, series.help, value=value)


def page() -> str:
    """`docs/metrics.md`."""
    rows = "".join(
        f"| `{series.name}` | {series.kind} | {', '.join(f'`{label}`' for label in series.labels)} | {series.help} |\n"
        for series in CATALOGUE
    )
    return (
        "# Metrics\n\n"
        "`GET /-/metrics` gives these series in the Prometheus text format. Units stand at the end of the names.\n"
        "This page is written by `python -m raingauge.metrics > docs/metrics.md`.\n\n"
        "| Name | Type | Labels | Meaning |\n|---|---|---|---|\n" + rows
    )


if __name__ == "__main__":
    sys.stdout.write(page())
