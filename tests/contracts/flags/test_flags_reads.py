"""The JSON reads of flag telemetry."""

import csv
import io
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raingauge.contracts.flags.histogram import bucket_of, quantile_us, upper_bound_us

Body = Callable[[str], bytes]
WRITE = "/v1/clientFlagLogs:write"


def read(team: Any, path: str) -> list[dict[str, Any]]:
    answer = team.get(path)
    assert 200 == answer.status_code, answer.text
    data: list[dict[str, Any]] = answer.json()["data"]
    return data


@pytest.mark.parametrize("step", ["auto", "hour", "day"])
def test_latency_is_the_histogram_of_what_arrived(team: Any, protobuf: Body, step: str) -> None:
    """Counts, mean, percentiles and heat-map buckets are those of the posted observations, at every grain."""
    for name in ("one_match", "local_sdk"):
        team.post(WRITE, protobuf(name))
    points = read(team, f"/api/flags/latency?since=1h&step={step}")
    assert 5 == sum(point["count"] for point in points)
    found = Counter[float]()
    for point in points:
        found.update({bucket["below_us"]: bucket["count"] for bucket in point["buckets"]})
    assert {round(upper_bound_us(i), 3): n for i, n in {54: 2, 55: 1, 58: 1, 62: 1}.items()} == found
    assert 8400 == pytest.approx(sum(point["mean_us"] * point["count"] for point in points))
    assert all(1000 <= point["p50_us"] <= point["p90_us"] <= point["p99_us"] <= 3200 for point in points)
    assert {""} == {point["key"] for point in points}


def test_series_split_by_resolver_sdk_and_version(team: Any, protobuf: Body) -> None:
    """One resolver, SDK or version can be told from another and looked at alone."""
    team.post(WRITE, protobuf("one_match"))
    team.post(WRITE, protobuf("local_sdk"), token=team.issue("checkout"))
    counts = {
        by: {p["key"]: p["count"] for p in read(team, f"/api/flags/latency?since=1d&step=day&by={by}")}
        for by in ("resolver", "sdk", "version")
    }
    assert {
        "resolver": {"cf-resolver": 1, "checkout": 4},
        "sdk": {"SDK_ID_CLOUDFLARE_RESOLVER": 1, "SDK_ID_JS_LOCAL_SERVER_PROVIDER": 4},
        "version": {"SDK_ID_CLOUDFLARE_RESOLVER 0.14.1": 1, "SDK_ID_JS_LOCAL_SERVER_PROVIDER 0.19.1": 4},
    } == counts
    for only in ("resolver=checkout", "sdk=SDK_ID_JS_LOCAL_SERVER_PROVIDER", "version=0.19.1"):
        assert [4] == [point["count"] for point in read(team, f"/api/flags/latency?since=1d&step=day&{only}")]


def test_versions_tell_when_they_were_first_heard_of(team: Any, protobuf: Body) -> None:
    """Each SDK version has the moment of its first message, also when the window lies elsewhere; a later one does not move it."""
    before = datetime.now(UTC)
    team.post(WRITE, protobuf("one_match"))
    between = datetime.now(UTC)
    team.post(WRITE, protobuf("local_sdk"))
    team.post(WRITE, protobuf("one_match"))
    found = read(team, "/api/flags/versions?since=3d&until=2d")
    first = {row["key"]: datetime.fromisoformat(row["first_at"]) for row in found}
    old, new = "SDK_ID_CLOUDFLARE_RESOLVER 0.14.1", "SDK_ID_JS_LOCAL_SERVER_PROVIDER 0.19.1"
    assert [old, new] == list(first)
    assert before <= first[old] <= between <= first[new]


def test_resolves_tell_reasons_and_error_rate(team: Any, protobuf: Body) -> None:
    """Failing reasons make the error rate; no match is an ordinary outcome."""
    for name in ("one_match", "local_sdk", "damaged"):
        team.post(WRITE, protobuf(name))
    points = read(team, "/api/flags/resolves?since=1d&step=day")
    reasons = Counter[str]()
    for point in points:
        reasons.update(point["reasons"])
    assert {"RESOLVE_REASON_MATCH": 4, "RESOLVE_REASON_NO_SEGMENT_MATCH": 1, "RESOLVE_REASON_ERROR": 2} == reasons
    assert (7, 2) == (sum(p["resolves"] for p in points), sum(p["errors"] for p in points))
    assert [p["errors"] / p["resolves"] for p in points] == [p["error_rate"] for p in points]


def test_counts_name_variants_rules_and_assignments(team: Any, protobuf: Body) -> None:
    """The statistics that a resolver sends per flag add up and can be read by kind."""
    for _ in range(2):
        team.post(WRITE, protobuf("local_sdk"))
    on, rule = "flags/demo/variants/on", "flags/demo/rules/r1"
    expected = {
        "variant": [("flags/demo", "", on, 6), ("flags/demo", "", "", 2)],
        "rule": [("flags/demo", rule, "", 6)],
        "assignment": [("flags/demo", rule, on, 6)],
    }
    assert expected == {
        of: [tuple(row.values()) for row in read(team, f"/api/flags/counts?of={of}&flag=flags/demo")] for of in expected
    }
    assert [] == read(team, "/api/flags/counts?flag=flags/other")


def test_reads_keep_to_their_window_and_customer(team: Any, other_team: Any, protobuf: Body) -> None:
    """What another customer sent, or what arrived outside the window, is not in the answer."""
    team.post(WRITE, protobuf("one_match"))
    past = datetime.now(UTC) - timedelta(minutes=30)
    for step in ("minute", "hour"):
        assert 1 == len(read(team, f"/api/flags/resolves?since=1h&step={step}"))
        assert [] == read(team, f"/api/flags/resolves?since=5h&until={past:%Y-%m-%dT%H:%M:%S}&step={step}")
    for path in ("latency", "resolves", "counts"):
        assert [] == read(other_team, f"/api/flags/{path}?since=1d")
    assert "confidence" not in other_team.get("/metrics").text


def test_series_are_offered_as_csv(team: Any, protobuf: Body) -> None:
    """A spreadsheet can read the points."""
    team.post(WRITE, protobuf("one_match"))
    rows = list(csv.DictReader(io.StringIO(team.get("/api/flags/latency?since=1h&format=csv").text)))
    assert [("1", "3000.0")] == [(row["count"], row["mean_us"]) for row in rows]


@pytest.mark.parametrize("query", ["by=user", "step=second", "since=tomorrow", "limit=0"])
def test_bad_parameters_are_named_errors(shared_team: Any, query: str) -> None:
    """A wrong parameter is a clear 400 on every read."""
    answer = shared_team.get(f"/api/flags/latency?{query}")
    assert (400, "invalid_parameter") == (answer.status_code, answer.json()["error"])


@settings(deadline=None)
@given(values=st.lists(st.integers(1, 2**32 - 1), min_size=1, max_size=50), quantile=st.sampled_from([0.5, 0.9, 0.99]))
def test_percentiles_are_off_by_one_bucket_at_most(values: list[int], quantile: float) -> None:
    """The percentile of the histogram lies in the bucket of the true one."""
    found = quantile_us(Counter(map(bucket_of, values)), quantile)
    rank = max(1, -(-quantile * len(values) // 1))
    true = sorted(values)[int(rank) - 1]
    assert found is not None
    assert upper_bound_us(bucket_of(true) - 1) * 0.999 <= found <= upper_bound_us(bucket_of(true)) * 1.001
    assert quantile_us({}, quantile) is None
