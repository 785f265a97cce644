"""Which bodies and requests are taken, and the exact answer to those that are not."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, TypeAlias

import pytest
import time_machine

from raingauge.contract import Answer, Head, Intake, Refused
from raingauge.contracts.loopgain.intake import AGGREGATE, FUNNEL
from raingauge.errors import Reason

MakeLoop: TypeAlias = Callable[..., dict[str, Any]]

NOW = datetime(2026, 11, 21, 7, 22, 18, tzinfo=UTC)
POST = Head("POST", "/v1/aggregate", "", {})
VERSIONS = (1, 2, 3, 4)
EMOJI = "\N{DROPLET}"
"""One character of two UTF-16 code units."""

EVENT = {
    "event": "session",
    "instance_id": "F51215FA18A64438A843A9130284D6DB",
    "ts_hour": "2026-11-21T07:45:00+00:00",
    "library_version": "0.6.5",
    "python": "3.11",
    "os": "Linux",
    "session_seq": 1,
    "adapter": None,
    "outcomes": {"converged": 1},
}


def answer(body: bytes | dict[str, Any], intake: Intake = AGGREGATE) -> Answer:
    """The answer to a body, as far as the contract decides it."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    with time_machine.travel(NOW, tick=False):
        try:
            intake.check(POST, raw)
        except Refused as refusal:
            return intake.dialect.refused(POST, refusal)
        return intake.dialect.accepted(POST, raw)


def verdict(body: bytes | dict[str, Any], intake: Intake = AGGREGATE) -> str:
    """`accepted`, or the error code with the member it names."""
    found = answer(body, intake)
    content = json.loads(found.body)
    if found.status == 202:
        return "accepted"
    assert 400 == found.status
    return f"{content['error']} {content.get('field', '')}".strip()


def batch(*events: Any, **changed: Any) -> dict[str, Any]:
    """A body of `/v1/funnel`; `changed` replaces its members."""
    return {"schema_version": 1, "library": "loopgain", "events": list(events), **changed}


def test_a_loop_is_accepted_with_202(make_loop: MakeLoop) -> None:
    """The answer of success and its headers are the ones that published clients know."""
    found = answer(make_loop())
    assert (202, b'{"status":"ok"}') == (found.status, found.body)
    assert {
        "Content-Type": "application/json",
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "no-store",
        "Referrer-Policy": "no-referrer",
    } == dict(found.headers)


def test_a_refusal_names_the_member_and_no_value(make_loop: MakeLoop) -> None:
    """A person can see what is wrong with a body; nothing of the body is repeated."""
    found = answer(make_loop(loop__iterations_used="secret"))
    assert {
        "error": "invalid_payload",
        "detail": "loop.iterations_used: expected a number",
        "field": "loop.iterations_used",
    } == json.loads(found.body)


ACCEPTED = {
    "version 4.0": {"schema_version": 4.0},
    "any library": {"library": ""},
    "an unknown key": {"model": "gpt"},
    "no workload": {"workload_id": ...},
    "an empty workload": {"workload_id": ""},
    "200 characters": {"workload_id": "x" * 200},
    "100 pairs": {"workload_id": EMOJI * 100},
    "no labels": {"framework": ..., "loop_type": ..., "team": None},
    "a free outcome": {"loop__outcome": "in_progress"},
    "an empty outcome": {"loop__outcome": ""},
    "no savings": {"loop__savings_vs_fixed_cap": None},
    "negative savings": {"loop__savings_vs_fixed_cap": -100},
    "fractions": {"loop__iterations_used": 1.5, "smoothing_window": -2.5},
    "not started": {"loop__iterations_used": 0, "loop__best_index": -1},
    "no best index": {"loop__best_index": ...},
    "a best index that is no number": {"loop__best_index": "3"},
    "an old gain margin": {"loop__gain_margin": 0.4, "loop__first_eta_prediction": 3},
    "a gain margin that is no number": {"loop__gain_margin": {"prompt": "x"}},
    "an empty summary": {
        "loop__convergence_profile_summary": {"min": None, "max": None, "median": None, "samples": None}
    },
    "odd bands": {"thresholds__stalling": -7.25},
    "dollars": {"actual_dollars_saved": 0, "actual_dollars_spent": 0.01},
    "no dollars": {"actual_dollars_saved": ..., "actual_dollars_spent": ...},
    "no series": {"per_iteration": ...},
    "null series": {"per_iteration": None},
    "infinite gains": {"per_iteration__convergence_profile": [None, 1.0]},
    "unknown keys in the series": {"per_iteration__prompt": "x"},
    "1024 entries": {"per_iteration__error_history": [1.0] * 1024},
}  # fmt: skip
REFUSED: dict[str, dict[str, Any]] = {
    "schema_version": {"text": "4", "true": True, "0": 0, "5": 5, "4.5": 4.5, "missing": ..., "null": None},
    "library": {"number": 1, "missing": ..., "201 characters": "x" * 201},
    "library_version": {"number": 1, "missing": ..., "65 characters": "x" * 65},
    "timestamp_hour": {"number": 2026, "missing": ..., "65 characters": "2" * 65},
    "workload_id": {"number": 1, "201 characters": "x" * 201, "101 pairs": EMOJI * 101, "object": {}},
    "framework": {"number": 1, "5000 characters": "x" * 5000, "object": {}},
    "loop_type": {"number": 1, "201 characters": "x" * 201},
    "team": {"number": 7, "201 characters": "x" * 201},
    "loop": {"missing": ..., "null": None, "list": []},
    "loop.outcome": {"missing": ..., "number": 1, "65 characters": "x" * 65},
    "loop.iterations_used": {"missing": ..., "text": "4", "true": True, "null": None, "1e300": 1e300},
    "loop.savings_vs_fixed_cap": {"missing": ..., "text": "abc", "true": True, "object": {}, "1e300": 1e300},
    "loop.rollback_triggered": {"missing": ..., "1": 1, "text": "true", "null": None},
    "loop.convergence_profile_summary": {"missing": ..., "null": None, "text": "x", "list": [1]},
    "loop.convergence_profile_summary.min": {"missing": ..., "text": "a", "list": [1]},
    "loop.convergence_profile_summary.max": {"missing": ..., "text": "zzz", "true": True},
    "loop.convergence_profile_summary.median": {"missing": ..., "text": "a"},
    "loop.convergence_profile_summary.samples": {"missing": ..., "text": "2", "1.5": 1.5, "-1": -1},
    "thresholds": {"missing": ..., "null": None, "list": [1]},
    "thresholds.fast_converge": {"missing": ..., "null": None, "text": "abc"},
    "thresholds.converging": {"missing": ..., "null": None, "list": [1]},
    "thresholds.stalling": {"missing": ..., "null": None},
    "thresholds.oscillating_upper": {"missing": ..., "null": None},
    "smoothing_window": {"missing": ..., "null": None, "text": "3"},
    "per_iteration": {"list": [], "false": False, "0": 0, "text": "x"},
    "per_iteration.error_history": {"missing": ..., "1025": [1] * 1025, "text": ["a"], "true": [True], "null": None},
    "per_iteration.convergence_profile": {"missing": ..., "1025": [1] * 1025, "object": [{"prompt": "x"}]},
    "per_iteration.truncated": {"missing": ..., "0": 0},
    "per_iteration.cap": {"missing": ..., "text": "256", "null": None},
    "actual_dollars_saved": {"true": True, "text": "1", "-0.01": -0.01, "1e300": 1e300},
    "actual_dollars_spent": {"true": True, "text": "1", "-99999": -99999},
}


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("changed", ACCEPTED.values(), ids=ACCEPTED)
def test_what_clients_may_send(make_loop: MakeLoop, version: int, changed: dict[str, Any]) -> None:
    """Whatever a published client has ever sent is taken, under each schema version."""
    assert "accepted" == verdict(make_loop(**{"schema_version": version, **changed}))


@pytest.mark.parametrize("field", REFUSED)
def test_what_is_refused_names_its_member(make_loop: MakeLoop, field: str) -> None:
    """A wrong or missing member is refused by its name, under each schema version alike."""
    path = field.replace(".", "__")
    for version in VERSIONS:
        for value in REFUSED[field].values():
            body = make_loop(**{"schema_version": version, path: value})
            assert f"invalid_payload {field}" == verdict(body)


@pytest.mark.parametrize("body", [b"[]", b"null", b"1", b'"x"'], ids=["list", "null", "number", "text"])
def test_a_body_must_be_an_object(body: bytes) -> None:
    """JSON that is no object is an invalid payload, not an error of the server."""
    assert "invalid_payload body" == verdict(body)


NOT_JSON = {
    "nothing": b"",
    "half": b'{"schema_version":',
    "NaN": b'{"a":NaN}',
    "Infinity": b'{"a":Infinity}',
    "-Infinity": b'{"a":-Infinity}',
    "single quotes": b"{'a':1}",
    "gzip": b"\x1f\x8b\x08\x00",
    "two values": b"{}{}",
    "very deep": b"[" * 100_000,
}


@pytest.mark.parametrize("body", NOT_JSON.values(), ids=NOT_JSON)
@pytest.mark.parametrize("intake", [AGGREGATE, FUNNEL], ids=["aggregate", "funnel"])
def test_what_is_not_json(intake: Intake, body: bytes) -> None:
    """Broken JSON, and the numbers that JSON does not have, are told apart from a wrong shape."""
    assert "invalid_json" == verdict(body, intake)


def test_lenient_syntax(make_loop: MakeLoop) -> None:
    """A byte order mark, broken UTF-8, half surrogate pairs and repeated keys are no errors."""
    text = json.dumps(make_loop()).encode()
    assert "accepted" == verdict(b"\xef\xbb\xbf" + text)
    assert "accepted" == verdict(text.replace(b"rag-rewrite", b"rag\xff"))
    assert "accepted" == verdict(text.replace(b"rag-rewrite", b"\\ud800"))
    assert "accepted" == verdict(text.replace(b'{"schema_version": 4', b'{"schema_version": 9, "schema_version": 4'))


@pytest.mark.parametrize(
    ("member", "expected"),
    [
        ("loop__savings_vs_fixed_cap", "accepted"),
        ("loop__best_index", "accepted"),
        ("loop__convergence_profile_summary__max", "accepted"),
        ("loop__convergence_profile_summary__samples", "accepted"),
        ("actual_dollars_spent", "accepted"),
        ("loop__iterations_used", "invalid_payload loop.iterations_used"),
        ("thresholds__stalling", "invalid_payload thresholds.stalling"),
        ("smoothing_window", "invalid_payload smoothing_window"),
        ("schema_version", "invalid_payload schema_version"),
    ],
)
def test_numbers_beyond_a_double(make_loop: MakeLoop, member: str, expected: str) -> None:
    """`1e999` is infinity: null where null may be stored, else refused."""
    body = json.dumps(make_loop(**{member: "@"})).replace('"@"', "1e999").encode()
    assert expected == verdict(body)


DATES = {
    "2026-11-21T07:00:00+00:00": "accepted",
    "2026-11-21T07:00:00.123456789Z": "accepted",
    "2026-11-21T07:00": "accepted",
    "2026-11-21t07:00:00z": "accepted",
    "2026-11-21 07:00": "accepted",
    "2026-11-20T24:00:00Z": "accepted",
    "2026-11-21T12:30:00+05:30": "accepted",
    "2026-11-21": "accepted",
    "2026-11": "accepted",
    "2026": "accepted",
    "1900": "accepted",
    "Jan 1 2026": "accepted",
    "January 1, 2026 07:00": "accepted",
    "Sat, 21 Nov 2026 07:00:00 GMT": "accepted",
    "Sat Nov 21 2026 07:00:00 GMT+0000 (Coordinated Universal Time)": "accepted",
    "2026/11/21": "accepted",
    "11/21/2026 07:00": "accepted",
    "2026-11-21T08:22:18Z": "accepted",
    "2026-11-21T08:22:19Z": "invalid_timestamp_hour",
    "2026-11-22": "invalid_timestamp_hour",
    "9999-12-31T23:00:00Z": "invalid_timestamp_hour",
    "9999-12-31T23:00:00-23:00": "invalid_timestamp_hour",
    "1899-12-31T23:00:00Z": "invalid_timestamp_hour",
    "0000": "invalid_timestamp_hour",
    "": "invalid_timestamp_hour",
    "yesterday": "invalid_timestamp_hour",
    "2026-13-01": "invalid_timestamp_hour",
    "Jan 99 2026": "invalid_timestamp_hour",
    "99/99/2026": "invalid_timestamp_hour",
}


@pytest.mark.parametrize("stamp", DATES)
def test_dates_of_the_past_in_any_usual_form(make_loop: MakeLoop, stamp: str) -> None:
    """All date forms that a JavaScript parser takes, up to an hour ahead of the server's clock."""
    assert DATES[stamp] == verdict(make_loop(timestamp_hour=stamp))


def test_the_shape_decides_before_the_date(make_loop: MakeLoop) -> None:
    """A body that is wrong in both ways is an invalid payload."""
    assert "invalid_payload smoothing_window" == verdict(make_loop(timestamp_hour="9999", smoothing_window=None))


FUNNEL_ACCEPTED: dict[str, dict[str, Any]] = {
    "no events": batch(),
    "64 events": batch(*[EVENT] * 64),
    "no options": batch({key: EVENT[key] for key in ("event", "instance_id", "ts_hour", "library_version")}),
    "null options": batch({**EVENT, "python": None, "os": None, "session_seq": None, "outcomes": None}),
    "an unknown event": batch({**EVENT, "event": "x" * 64}),
    "an unknown key": batch({**EVENT, "hostname": "ann"}),
    "version 1.0": batch(schema_version=1.0),
}
FUNNEL_REFUSED: dict[str, list[Any]] = {
    "schema_version": [2, "1", True, None],
    "library": ["other", None, 1],
    "events": [None, {}, "x", [EVENT] * 65],
}
FUNNEL_EVENT_REFUSED: dict[str, list[Any]] = {
    "event": ["", "x" * 65, 1, None],
    "instance_id": ["f5", "g" * 32, "f" * 33, None, "\N{KELVIN SIGN}" * 32],
    "ts_hour": [1, None, "soon", "9999", "x" * 65],
    "library_version": ["", "x" * 65, None],
    "python": [3.11, "x" * 65],
    "os": [{}, "x" * 65],
    "adapter": [1, "x" * 201],
    "session_seq": [-1, 1.5, "1", True],
    "outcomes": [[], {"a": -1}, {"a": 1.5}, {"a": "1"}, {"x" * 65: 1}, {str(n): 1 for n in range(17)}],
}


@pytest.mark.parametrize("body", FUNNEL_ACCEPTED.values(), ids=FUNNEL_ACCEPTED)
def test_funnel_batches_are_counted(body: dict[str, Any]) -> None:
    """The answer says how many events were taken."""
    found = answer(body, FUNNEL)
    assert (202, {"status": "ok", "accepted": len(body["events"])}) == (found.status, json.loads(found.body))


@pytest.mark.parametrize("field", FUNNEL_REFUSED)
def test_a_bad_funnel_batch_names_its_member(field: str) -> None:
    """A batch of another version, library or shape is refused."""
    for value in FUNNEL_REFUSED[field]:
        assert f"invalid_payload {field}" == verdict(batch(**{field: value}), FUNNEL)


@pytest.mark.parametrize("field", FUNNEL_EVENT_REFUSED)
def test_one_bad_funnel_event_refuses_the_batch(field: str) -> None:
    """The refusal names the event and the member; a date that cannot be read is an invalid payload here."""
    for value in FUNNEL_EVENT_REFUSED[field]:
        assert f"invalid_payload events.1.{field}" == verdict(batch(EVENT, {**EVENT, field: value}), FUNNEL)


@pytest.mark.parametrize("event", [1, None, []], ids=["number", "null", "list"])
def test_a_funnel_event_must_be_an_object(event: Any) -> None:
    """The refusal names the place of what is no event."""
    assert "invalid_payload events.1" == verdict(batch(EVENT, event), FUNNEL)


@pytest.mark.parametrize("intake", [AGGREGATE, FUNNEL], ids=["aggregate", "funnel"])
def test_only_libraries_may_post(intake: Intake) -> None:
    """Other methods are refused first, then anything that a browser sends."""
    assert intake.admit is not None
    intake.admit(POST)
    intake.admit(Head("POST", intake.path, "", {"origin": ""}))
    for origin in ("https://example.com", "null"):
        with pytest.raises(Refused) as refused:
            intake.admit(Head("POST", intake.path, "", {"origin": origin}))
        assert (Reason.BROWSER_REFUSED, 403) == (refused.value.reason, refused.value.status)
    for method in ("GET", "HEAD", "PUT", "OPTIONS"):
        with pytest.raises(Refused) as refused:
            intake.admit(Head(method, intake.path, "", {"origin": "null"}))
        assert 405 == refused.value.status


def test_limits_of_the_routes() -> None:
    """Size caps, the daily cap of one tier, and who needs a token."""
    assert (262_144, 65_536) == (AGGREGATE.body_max_bytes, FUNNEL.body_max_bytes)
    assert AGGREGATE.daily_cap is not None
    assert (300, None, None) == tuple(AGGREGATE.daily_cap(tier) for tier in ("individual", "team", ""))
    assert (False, True) == (AGGREGATE.public, FUNNEL.public)


def test_the_daily_cap_answer() -> None:
    """The refusal carries the tier and its cap."""
    refusal = Refused(Reason.DAILY_CAP, extra={"tier": "individual", "cap": 300})
    found = AGGREGATE.dialect.refused(POST, refusal)
    assert (429, {"error": "daily_cap_reached", "tier": "individual", "cap": 300}) == (
        found.status,
        json.loads(found.body),
    )


@pytest.mark.parametrize("intake", [AGGREGATE, FUNNEL], ids=["aggregate", "funnel"])
def test_the_documented_example_is_accepted(intake: Intake) -> None:
    """Whoever copies the example from the documentation gets a 202."""
    assert "accepted" == verdict(intake.example, intake)
