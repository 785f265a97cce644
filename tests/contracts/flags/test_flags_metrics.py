"""The Prometheus text of the resolvers' totals."""

import re
from collections.abc import Callable
from itertools import accumulate
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_classic

from raingauge.contract import Family, Sample, label_text
from raingauge.contracts.flags.exposition import ResolverTotals, bound_text, exposed
from raingauge.web.prometheus import lines, wants_openmetrics

Body = Callable[[str], bytes]
MANTISSAS = [
    "1.136464", "1.291550", "1.467799", "1.668101", "1.895736", "2.154435", "2.448437", "2.782559", "3.162278",
    "3.593814", "4.084239", "4.641589", "5.274997", "5.994843", "6.812921", "7.742637", "8.799225",
]  # fmt: skip
BOUNDS = [f"{m}e{e}" for e in range(10) for m in [*(["1.000000"] if e else []), *MANTISSAS]][:174]
UP = """\
# HELP raingauge_up 1: this server answers and the page is complete.
# TYPE raingauge_up gauge
raingauge_up 1
"""
ONE_MATCH = """\
# HELP confidence_resolve_latency_microseconds Latency of flag resolve operations in microseconds.
# TYPE confidence_resolve_latency_microseconds histogram
confidence_resolve_latency_microseconds_bucket{resolver_id="cf-resolver",le="3.162278e3"} 1
...
confidence_resolve_latency_microseconds_bucket{resolver_id="cf-resolver",le="+Inf"} 1
confidence_resolve_latency_microseconds_sum{resolver_id="cf-resolver"} 3000
confidence_resolve_latency_microseconds_count{resolver_id="cf-resolver"} 1
# HELP confidence_resolves_total Total number of flag resolve operations.
# TYPE confidence_resolves_total counter
confidence_resolves_total{resolver_id="cf-resolver",reason="RESOLVE_REASON_MATCH"} 1
"""
TWO_MESSAGES = """\
# HELP confidence_resolve_latency_microseconds Latency of flag resolve operations in microseconds.
# TYPE confidence_resolve_latency_microseconds histogram
confidence_resolve_latency_microseconds_bucket{resolver_id="cf-resolver",le="1.136464e3"} 2
confidence_resolve_latency_microseconds_bucket{resolver_id="cf-resolver",le="1.291550e3"} 3
confidence_resolve_latency_microseconds_bucket{resolver_id="cf-resolver",le="1.467799e3"} 3
confidence_resolve_latency_microseconds_bucket{resolver_id="cf-resolver",le="1.668101e3"} 3
confidence_resolve_latency_microseconds_bucket{resolver_id="cf-resolver",le="1.895736e3"} 4
confidence_resolve_latency_microseconds_bucket{resolver_id="cf-resolver",le="2.154435e3"} 4
confidence_resolve_latency_microseconds_bucket{resolver_id="cf-resolver",le="2.448437e3"} 4
confidence_resolve_latency_microseconds_bucket{resolver_id="cf-resolver",le="2.782559e3"} 4
confidence_resolve_latency_microseconds_bucket{resolver_id="cf-resolver",le="3.162278e3"} 5
...
confidence_resolve_latency_microseconds_bucket{resolver_id="cf-resolver",le="+Inf"} 5
confidence_resolve_latency_microseconds_sum{resolver_id="cf-resolver"} 8400
confidence_resolve_latency_microseconds_count{resolver_id="cf-resolver"} 5
# HELP confidence_resolves_total Total number of flag resolve operations.
# TYPE confidence_resolves_total counter
confidence_resolves_total{resolver_id="cf-resolver",reason="RESOLVE_REASON_MATCH"} 4
confidence_resolves_total{resolver_id="cf-resolver",reason="RESOLVE_REASON_NO_SEGMENT_MATCH"} 1
# HELP confidence_memory_bytes Current memory usage of the resolver in bytes.
# TYPE confidence_memory_bytes gauge
confidence_memory_bytes{resolver_id="cf-resolver"} 2359296
"""
SIX_PER_DECADE = """\
# HELP confidence_resolve_latency_microseconds Latency of flag resolve operations in microseconds.
# TYPE confidence_resolve_latency_microseconds histogram
confidence_resolve_latency_microseconds_bucket{resolver_id="cf-resolver",le="1.467799e3"} 3.0
confidence_resolve_latency_microseconds_bucket{resolver_id="cf-resolver",le="2.154435e3"} 4.0
confidence_resolve_latency_microseconds_bucket{resolver_id="cf-resolver",le="3.162278e3"} 5.0
...
confidence_resolve_latency_microseconds_bucket{resolver_id="cf-resolver",le="+Inf"} 5.0
confidence_resolve_latency_microseconds_sum{resolver_id="cf-resolver"} 8400.0
confidence_resolve_latency_microseconds_count{resolver_id="cf-resolver"} 5.0
# HELP confidence_resolves Total number of flag resolve operations.
# TYPE confidence_resolves counter
confidence_resolves_total{resolver_id="cf-resolver",reason="RESOLVE_REASON_MATCH"} 4.0
confidence_resolves_total{resolver_id="cf-resolver",reason="RESOLVE_REASON_NO_SEGMENT_MATCH"} 1.0
# HELP confidence_memory_bytes Current memory usage of the resolver in bytes.
# TYPE confidence_memory_bytes gauge
confidence_memory_bytes{resolver_id="cf-resolver"} 2359296.0
"""


def padded(text: str, stride: int = 1) -> str:
    """The text with the buckets that `...` stands for: the line before it with all following bounds."""
    last = text[: text.index("\n...\n")].rpartition("\n")[2]
    bound = re.findall('le="(.*?)"', last)[0]
    following = [later for later in BOUNDS[stride - 1 :: stride] if float(later) > float(bound)]
    return text.replace("...\n", "".join(last.replace(bound, later) + "\n" for later in following))


def totals(**known: Any) -> ResolverTotals:
    plain = dict.fromkeys(ResolverTotals.__struct_fields__, 0)
    empty = {"resolver_id": "r", "latency_buckets": {}, "resolves": {}, "memory": (0, 0), "dedup_map": (0, 0, 0)}
    return ResolverTotals(**{**plain, **empty, **known})


def text(*found: ResolverTotals, buckets_per_decade: int = 18, openmetrics: bool = False) -> str:
    return "".join(lines(exposed(found, buckets_per_decade), openmetrics=openmetrics))


def test_one_request_reads_as_its_resolver_would_print_it(team: Any, protobuf: Body) -> None:
    """A message that was posted is on the page, to the character, with all buckets up to the last."""
    assert 200 == team.post("/v1/clientFlagLogs:write", protobuf("one_match")).status_code
    answer = team.get("/metrics")
    assert padded(ONE_MATCH) + UP == answer.text
    assert "text/plain; version=0.0.4; charset=utf-8" == answer.headers["content-type"]
    assert "no-store" == answer.headers["cache-control"]


def test_deltas_add_up_in_either_encoding_and_on_both_routes(team: Any, protobuf: Body, json_body: Body) -> None:
    """Two messages are the sum of both, before and after a rollup, at any density and in either text format."""
    team.post("/v1/flagLogs:ingest", protobuf("ingest"))
    team.post("/v1/clientFlagLogs:write", json_body("local_sdk"))
    assert padded(TWO_MESSAGES) + UP == team.get("/metrics").text
    team.roll_up()
    assert padded(TWO_MESSAGES) + UP == team.get("/metrics").text
    answer = team.get("/metrics?buckets_per_decade=6", accept="application/openmetrics-text")
    assert padded(SIX_PER_DECADE, 3) + UP.replace("up 1\n", "up 1.0\n# EOF\n") == answer.text
    assert "application/openmetrics-text; version=1.0.0; charset=utf-8" == answer.headers["content-type"]
    coarse = [
        line.split('",le=')[1] for line in team.get("/metrics?buckets_per_decade=1").text.splitlines() if "le=" in line
    ]
    assert [f'"1.000000e{decade}"}} 5' for decade in range(4, 10)] + ['"+Inf"} 5'] == coarse


def test_damage_and_sums_beyond_32_bits_are_shown(team: Any, protobuf: Body) -> None:
    """The last buckets, the whole sum and the refused observations of damaged messages are on the page."""
    for name in ("one_match", "local_sdk", "damaged"):
        team.post("/v1/clientFlagLogs:write", protobuf(name))
    page = team.get("/metrics").text
    start = 'confidence_resolve_latency_microseconds_bucket{resolver_id="cf-resolver",le='
    assert ['"4.084239e9"} 6', '"4.641589e9"} 7', '"+Inf"} 7'] == [
        line.removeprefix(start) for line in page.splitlines() if line.startswith(start)
    ][-3:]
    assert 'microseconds_sum{resolver_id="cf-resolver"} 4294975695\n' in page
    assert 'confidence_resolves_total{resolver_id="cf-resolver",reason="RESOLVE_REASON_ERROR"} 2\n' in page
    assert 'raingauge_flags_observations_refused_total{resolver_id="cf-resolver"} 21\n' in page


def test_resolvers_are_grouped_by_family(team: Any, protobuf: Body) -> None:
    """Several resolvers share one HELP and TYPE per family, so strict readers accept the page."""
    for label in ("b", "a"):
        team.post("/v1/clientFlagLogs:write", protobuf("local_sdk"), token=team.issue(label))
    page = team.get("/metrics").text
    assert len(re.findall("^# TYPE ", page, re.MULTILINE)) == len(set(re.findall("^# TYPE .*", page, re.MULTILINE)))
    samples = {
        s.labels["resolver_id"]: s.value
        for f in parse_classic(page)
        for s in f.samples
        if s.name == "confidence_memory_bytes"
    }
    assert {"a": 2359296.0, "b": 2359296.0} == samples
    assert ["a", "b"] == list(samples)


def test_nothing_yet_is_still_a_page(team: Any) -> None:
    """A scrape before the first message is valid and shows that the server is there."""
    assert UP == team.get("/metrics").text
    assert UP.replace("up 1\n", "up 1.0\n# EOF\n") == team.get("/metrics", accept="application/openmetrics-text").text


def test_without_a_credential_there_is_no_page(team: Any) -> None:
    """The totals belong to a customer: no valid credential, no answer."""
    credentials: list[dict[str, str]] = [{}, {"authorization": "ClientSecret wrong"}, {"authorization": "Basic abc"}]
    assert [401] * 3 == [team.request("GET", "/metrics", headers=sent).status_code for sent in credentials]


def test_client_secrets_with_the_read_scope_may_scrape(team: Any) -> None:
    """The header that resolvers use works for scraping too, but not for a token that may only send."""
    assert 200 == team.get("/metrics", authorization=f"ClientSecret {team.token}").status_code
    sender = team.issue("sender", ["ingest"])
    assert 403 == team.get("/metrics", authorization=f"ClientSecret {sender}").status_code


def test_impossible_densities_are_refused(team: Any) -> None:
    """A density outside 1 to 18 is an error and not silently another one."""
    for density in ("0", "19", "-1", "many"):
        answer = team.get(f"/metrics?buckets_per_decade={density}")
        assert (400, "invalid_parameter") == (answer.status_code, answer.json()["error"])


@pytest.mark.parametrize(
    ("per_decade", "count", "last"),
    [(1, 9, "1.000000e9"), (2, 19, "3.162278e9"), (3, 29, "4.641589e9"), (4, 34, "2.782559e9"), (5, 43, "3.593814e9"),
     (6, 58, "4.641589e9"), (8, 58, "4.641589e9"), (9, 87, "4.641589e9"), (17, 87, "4.641589e9"), (18, 174, "4.641589e9")],
)  # fmt: skip
def test_densities_print_every_nth_bound(per_decade: int, count: int, last: str) -> None:
    """Each density shows as many buckets, ending at the same bound, as resolvers do."""
    page = text(totals(latency_count=1, latency_buckets={0: 1}), buckets_per_decade=per_decade)
    bounds = re.findall('le="(.*?)"', page)
    assert (count, last, "+Inf") == (len(bounds) - 1, bounds[-2], bounds[-1])


def test_all_bounds_are_printed_as_resolvers_print_them() -> None:
    """174 bounds from eighteen mantissas, with a bare exponent."""
    assert BOUNDS == [bound_text(index) for index in range(174)]


def test_newer_families_appear_when_fed() -> None:
    """De-duplication, flushes and events have their own families once a resolver tells of them."""
    assert "" == text(totals())
    page = text(
        totals(applies=9, dedup_map=(5, 3, 100)), totals(resolver_id="s", flushes_succeeded=2, events_rejected=1)
    )
    found = {s.name: s.value for family in parse_classic(page) for s in family.samples}
    assert {
        "confidence_apply_dedup_applies_total": 9, "confidence_apply_dedup_deduped_total": 0,
        "confidence_apply_dedup_overflow_total": 0, "confidence_apply_dedup_sweeps_total": 0,
        "confidence_apply_dedup_map_size": 3, "confidence_apply_dedup_map_capacity": 100,
        "confidence_flush_succeeded_total": 2, "confidence_flush_failed_total": 0, "confidence_events_published_total": 0,
        "confidence_event_batches_succeeded_total": 0, "confidence_event_batches_failed_total": 0,
        "confidence_events_rejected_total": 1,
    } == found  # fmt: skip


whole = st.integers(0, 2**53)  # what the parsers' floats hold exactly
resolver_totals = st.builds(
    lambda label, buckets, refused, sum_us, reasons, memory: totals(
        resolver_id=label, latency_buckets=buckets, latency_count=sum(buckets.values()) + refused,
        latency_sum_us=sum_us, resolves=reasons, memory=(1, memory),
    ),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029"), max_size=12),
    st.dictionaries(st.integers(0, 173), st.integers(1, 2**40), max_size=12),
    st.integers(0, 5),
    whole,
    st.dictionaries(st.sampled_from([*range(12), 255]), whole, max_size=4),
    whole,
)  # fmt: skip


@settings(deadline=None)
@given(
    found=st.lists(resolver_totals, max_size=3, unique_by=lambda one: one.resolver_id),
    per_decade=st.integers(1, 18),
    openmetrics=st.booleans(),
)
def test_strict_parsers_read_back_what_was_counted(
    found: list[ResolverTotals], per_decade: int, openmetrics: bool
) -> None:
    """For any totals and labels both reference parsers accept the page and find the same numbers."""
    page = text(*found, buckets_per_decade=per_decade, openmetrics=openmetrics)
    parse = parse_openmetrics if openmetrics else parse_classic
    samples = [sample for family in parse(page) for sample in family.samples]
    for one in found:
        own = [sample for sample in samples if sample.labels["resolver_id"] == one.resolver_id]
        buckets = [s.value for s in own if s.name.endswith("_bucket")]
        assert sorted(buckets) == buckets
        assert set(buckets) <= {*accumulate(n for _, n in sorted(one.latency_buckets.items())), one.latency_count}
        assert [float(one.latency_count)] * bool(one.latency_count) == buckets[-1:]
        assert [one.latency_sum_us] * bool(one.latency_count) == [int(s.value) for s in own if s.name.endswith("_sum")]
        assert sum(one.resolves.values()) == sum(int(s.value) for s in own if "reason" in s.labels)
        memory = [int(s.value) for s in own if s.name == "confidence_memory_bytes"]
        assert [one.memory[1]] * bool(one.memory[1]) == memory


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("", False), ("*/*", False), ("text/plain", False), ("application/openmetrics-text", True),
        ("application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.1", True),
        ("application/openmetrics-text;q=0.2,text/plain;q=0.9", False), ("application/openmetrics-text;q=0", False),
        ("application/openmetrics-text;q=x", False), (";;,=,q", False),
    ],
)  # fmt: skip
def test_the_accept_header_chooses_the_format(accept: str, expected: bool) -> None:
    """OpenMetrics only for those who ask for it and do not prefer the classic text."""
    assert expected == wants_openmetrics(accept)


@pytest.mark.parametrize(
    ("value", "classic", "openmetrics"),
    [(7, "7", "7.0"), (0.5, "0.5", "0.5"), (float("inf"), "+Inf", "+Inf"), (float("nan"), "NaN", "NaN"), (2**64, "18446744073709551616", "18446744073709551616.0")],
)  # fmt: skip
def test_numbers_have_the_form_of_their_format(value: float, classic: str, openmetrics: str) -> None:
    """Whole numbers keep all digits, and every family has its HELP and TYPE once."""
    family = Family("money_spent", "counter", "Money.", [Sample(label_text(model='a"b\\'), value)])
    expected = '# HELP {0} Money.\n# TYPE {0} counter\nmoney_spent_total{{model="a\\"b\\\\"}} {1}\n'
    assert expected.format("money_spent_total", classic) == "".join(lines([family], openmetrics=False))
    assert expected.format("money_spent", openmetrics) + "# EOF\n" == "".join(lines([family], openmetrics=True))
