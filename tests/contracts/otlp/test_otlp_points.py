"""Metrics: numbers of every kind, their identity, and their limits."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from raingauge.contract import Reject
from raingauge.contracts.otlp.wire import JSON, PROTOBUF
from raingauge.contracts.otlp.wire.buckets import explicit, exponential
from raingauge.errors import Reason

if TYPE_CHECKING:
    from tests.contracts.otlp.conftest import Otlp

ENCODINGS = (JSON, PROTOBUF)
CLAUDE = {"service.name": "claude-code"}
METRIC = "claude_code.token.usage"


def points(otlp: Otlp, *metrics: dict[str, Any], **settings: Any) -> list[dict[str, Any]]:
    return otlp.rows(otlp.decode("metrics", otlp.metrics(*metrics, resource=CLAUDE), **settings)).get("points", [])


def with_point(otlp: Otlp, **members: Any) -> dict[str, Any]:
    metric = otlp.sum(METRIC, 5.0)
    point = metric["sum"]["dataPoints"][0]
    point.pop("asDouble")
    point.update(members)
    return metric


@pytest.mark.parametrize(
    "value",
    [
        {"asDouble": 7},
        {"asDouble": 7.0},
        {"asDouble": "7"},
        {"asInt": 7},
        {"asInt": "7"},
        {"asInt": 7, "asDouble": None},
    ],
    ids=repr,
)
def test_values_are_read_in_every_spelling(otlp: Otlp, value: dict[str, Any]) -> None:
    """Integers, doubles and their texts are the same number."""
    body = msgspec.json.encode(otlp.metrics(with_point(otlp, **value)))
    assert [7.0] == [row["value"] for row in otlp.rows(otlp.decode_body("metrics", body))["points"]]


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ({"asDouble": "NaN"}, Reason.INVALID_FIELD),
        ({"asDouble": "-Infinity"}, Reason.INVALID_FIELD),
        ({}, Reason.MISSING_FIELD),
        ({"asDouble": 1, "flags": 1}, Reason.MISSING_FIELD),
        ({"asDouble": "many"}, Reason.MISSING_FIELD),
        ({"asDouble": [1]}, Reason.MISSING_FIELD),
    ],
    ids=repr,
)
def test_points_without_a_finite_value_are_rejected_alone(otlp: Otlp, value: dict[str, Any], reason: Reason) -> None:
    """What cannot be added up is counted as a reject; the point beside it is stored."""
    body = msgspec.json.encode(otlp.metrics(with_point(otlp, **value), otlp.sum(METRIC, 1.0)))
    decoded = otlp.decode_body("metrics", body)
    assert [Reject(reason, 0, "value", quarantined=True)] == decoded.rejects
    assert [1.0] == [row["value"] for row in otlp.rows(decoded)["points"]]


@pytest.mark.parametrize("broken", [{"attributes": 5}, {"attributes": [{"key": 1}]}, {"bucketCounts": "x"}], ids=repr)
def test_a_badly_typed_point_costs_only_itself(otlp: Otlp, broken: dict[str, Any]) -> None:
    """The neighbours in its metric are stored."""
    metric = otlp.sum(METRIC, 5.0)
    good = metric["sum"]["dataPoints"][0]
    metric["sum"]["dataPoints"] = [good, good | broken, good | {"timeUnixNano": 5}]
    decoded = otlp.decode_body("metrics", msgspec.json.encode(otlp.metrics(metric)))
    assert [Reject(Reason.INVALID_FIELD, 1, "dataPoints", quarantined=True)] == decoded.rejects
    assert [(0, "delta"), (2, "delta")] == [(r["position"], r["temporality"]) for r in otlp.rows(decoded)["points"]]


@pytest.mark.parametrize("metric", [5, {"name": 5, "sum": 5}, {"sum": {"dataPoints": 5}}, None], ids=repr)
def test_a_metric_that_cannot_be_opened_is_one_reject(otlp: Otlp, metric: Any) -> None:
    """The metrics beside it are stored."""
    body = msgspec.json.encode(otlp.metrics(otlp.sum(METRIC, 1.0), metric, otlp.sum(METRIC, 2.0)))
    decoded = otlp.decode_body("metrics", body)
    assert (3, 2, 1) == (decoded.items, len(decoded.rows["points"]), len(decoded.rejects))


@pytest.mark.parametrize("media_type", ENCODINGS)
def test_a_session_is_part_of_the_series_but_no_label(otlp: Otlp, media_type: str) -> None:
    """Two sessions count apart, as cumulative counters must, and neither id is stored."""
    request = otlp.metrics(*(otlp.sum(METRIC, 1.0, session__id=session) for session in ("one", "two", "one")))
    first, second, third = otlp.rows(otlp.decode("metrics", request, media_type))["points"]
    assert first["series"] == third["series"] != second["series"]
    assert not any("session" in row for row in (first, second, third))


def test_the_order_of_attributes_does_not_make_another_series(otlp: Otlp) -> None:
    """A retry through a relay that sorts attributes is still the same point."""
    one, other = points(otlp, otlp.sum(METRIC, 1.0, a="1", b="2"), otlp.sum(METRIC, 1.0, b="2", a="1"))
    assert one["series"] == other["series"]


def test_attributes_that_are_not_stored_still_tell_series_apart(otlp: Otlp) -> None:
    """Adding two streams up into one would make resets out of nothing."""
    rows = points(otlp, otlp.sum(METRIC, 1.0, team="a"), otlp.sum(METRIC, 1.0, team="b"), otlp.sum("other", 1.0))
    assert 3 == len({row["series"] for row in rows})


def test_a_message_with_too_many_series_keeps_the_first_ones(otlp: Otlp) -> None:
    """Further series are rejected visibly; further points of known series are stored."""
    metrics = [otlp.sum(METRIC, 1.0, run=str(run)) for run in (1, 2, 3, 1)]
    decoded = otlp.decode("metrics", otlp.metrics(*metrics), otlp_series_per_message=2)
    assert [Reject(Reason.SERIES_LIMIT, 2)] == decoded.rejects
    assert [0, 1, 3] == [row[0] for row in decoded.rows["points"]]


def test_explicit_buckets_keep_only_what_is_filled() -> None:
    """A histogram is stored as upper bounds and counts, the last bound being infinity."""
    assert ([10.0, math.inf], [3, 4]) == explicit([1.0, 10.0, 100.0], [0, 3, 0, 4])


@pytest.mark.parametrize(
    ("bounds", "counts"), [([1.0], [1]), ([], [1, 2]), ([2.0, 1.0], [1, 1, 1]), ([math.nan], [1, 1]), ([1.0], [])]
)
def test_contradictory_buckets_are_refused(bounds: list[float], counts: list[int]) -> None:
    """Counts that do not fit their bounds mean nothing."""
    assert None is explicit(bounds, counts)


def test_exponential_buckets_of_different_scales_share_their_bounds() -> None:
    """A coarse bucket's bound is found again, to the bit, among the finer ones, so counts can be merged."""
    coarse = exponential(0, (0.0, 0), (0, [1] * 20), (0, []))
    fine = exponential(4, (0.0, 0), (0, [1] * 20 * 16), (0, []))
    assert coarse is not None
    assert fine is not None
    assert set(coarse[0]) <= set(fine[0])


def test_exponential_buckets_run_from_negative_to_positive() -> None:
    """Bounds ascend through zero."""
    assert ([-2.0, -1.0, 0.5, 2.0, 4.0], [2, 1, 9, 3, 4]) == exponential(0, (0.5, 9), (0, [3, 4]), (0, [1, 2]))


@pytest.mark.parametrize("scale", [-(2**31), -65, 65, 2**31 - 1])
def test_absurd_scales_are_refused(scale: int) -> None:
    """A scale beyond what doubles can tell apart is no histogram."""
    assert None is exponential(scale, (0.0, 0), (0, [1]), (0, []))


@pytest.mark.parametrize("media_type", ENCODINGS)
def test_histograms_with_too_many_buckets_are_rejected(otlp: Otlp, media_type: str) -> None:
    """One point cannot take the room of thousands."""
    point = {"timeUnixNano": "1791795600000000000", "count": "9", "sum": 1, "scale": 5}
    point["positive"] = {"offset": 2**31 - 1, "bucketCounts": ["1"] * 2000}
    metric = {"name": "h", "exponentialHistogram": {"aggregationTemporality": 1, "dataPoints": [point]}}
    decoded = otlp.decode("metrics", otlp.metrics(metric), media_type)
    assert [Reject(Reason.TOO_LARGE, 0, "bucketCounts", quarantined=True)] == decoded.rejects


def test_impossible_counts_do_not_cost_the_message(otlp: Otlp) -> None:
    """Negative and enormous bucket counts are read as none."""
    point = {"timeUnixNano": "1791795600000000000", "count": "-1", "sum": 1, "explicitBounds": [1, 2]}
    point["bucketCounts"] = [-5, str(2**70), 3]
    metric = {"name": "h", "histogram": {"aggregationTemporality": 1, "dataPoints": [point]}}
    decoded = otlp.decode_body("metrics", msgspec.json.encode(otlp.metrics(metric)))
    assert [([math.inf], [3])] == [(r["bucket_bounds"], r["bucket_counts"]) for r in otlp.rows(decoded)["points"]]


def test_a_point_never_starts_after_it_was_read(otlp: Otlp) -> None:
    """Start and time of a point are an interval."""
    (row,) = points(otlp, with_point(otlp, asInt=1, startTimeUnixNano="1791795690000000000"))
    assert row["start"] == row["time"]
