"""How long the steps of the data path take, read from the histograms of our own metrics."""

from __future__ import annotations

import msgspec
from prometheus_client import Histogram

from raingauge.metrics import Metrics


class Timing(msgspec.Struct, frozen=True):
    """One step since the start of the process. Percentiles are the upper ends of the buckets they lie in, in seconds.

    Null means that nothing was measured, or that the value lies beyond the last bucket, which ends at `scale_seconds`.
    """

    step: str
    count: int
    mean_seconds: float | None
    p50_at_most_seconds: float | None
    p99_at_most_seconds: float | None
    scale_seconds: float


def timings(metrics: Metrics) -> list[Timing]:
    """The steps in the order of the data path."""
    return [
        _timing("commit", metrics.commit_seconds),
        _timing("decode", metrics.decode_seconds),
        _timing("insert", metrics.insert_seconds),
        _timing("visible", metrics.visible_lag_seconds),
        _timing("query", metrics.query_seconds),
    ]


def _timing(step: str, histogram: Histogram) -> Timing:
    samples = [sample for family in histogram.collect() for sample in family.samples]
    buckets = [(float(sample.labels["le"]), sample.value) for sample in samples if sample.name.endswith("_bucket")]
    count = next(sample.value for sample in samples if sample.name.endswith("_count"))
    total_seconds = next(sample.value for sample in samples if sample.name.endswith("_sum"))
    scale_seconds = buckets[-2][0]
    if not count:
        return Timing(step, 0, None, None, None, scale_seconds)
    p50, p99 = _rank(buckets, 0.5 * count), _rank(buckets, 0.99 * count)
    return Timing(step, int(count), total_seconds / count, p50, p99, scale_seconds)


def _rank(buckets: list[tuple[float, float]], rank: float) -> float | None:
    """The upper end of the first bucket that reaches the rank; `buckets` are cumulative and end with infinity."""
    bound = next(upper for upper, below in buckets if below >= rank)
    return bound if bound != float("inf") else None
