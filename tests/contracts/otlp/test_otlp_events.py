"""Logs: names, identities, decisions, and which of them carry spend."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from raingauge.contract import Reject
from raingauge.contracts.otlp.wire import JSON, PROTOBUF
from raingauge.errors import Reason

if TYPE_CHECKING:
    from tests.contracts.otlp.conftest import Otlp

ENCODINGS = (JSON, PROTOBUF)
CLAUDE = {"service.name": "claude-code"}


def events(otlp: Otlp, *logs: dict[str, Any], resource: dict[str, Any] | None = None) -> list[dict[str, Any]]:
    return otlp.rows(otlp.decode("logs", otlp.logs(*logs, resource=resource or CLAUDE)))["events"]


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ({"eventName": "claude_code.api_request"}, "api_request"),
        ({"eventName": "api_request"}, "api_request"),
        ({"body": {"stringValue": "claude_code.api_request"}}, "api_request"),
        ({"body": {"stringValue": "claude_code.api request of somebody"}}, None),
        ({"body": {"stringValue": "api_request"}}, None),
        ({"body": {"intValue": "5"}}, None),
        ({"eventName": "a sentence about somebody"}, None),
        ({}, None),
    ],
    ids=repr,
)
def test_names_are_found_where_senders_put_them(otlp: Otlp, members: dict[str, Any], expected: str | None) -> None:
    """The event name stands in its own member, in an attribute, or as the body; free text is never kept."""
    (row,) = events(otlp, otlp.log() | members)
    assert expected == row.get("name")


def test_the_name_attribute_wins_over_the_body(otlp: Otlp) -> None:
    """A body is only believed when nothing else names the event."""
    (row,) = events(otlp, otlp.log(event__name="tool_result") | {"body": {"stringValue": "claude_code.other"}})
    assert "tool_result" == row["name"]


def record(otlp: Otlp, **changes: Any) -> dict[str, Any]:
    base = {"event.name": "api_request", "session.id": "s", "event.sequence": 1, "event.timestamp": "t"}
    return otlp.log(**(base | {key.replace("__", "."): value for key, value in changes.items()}))


def test_a_record_sent_again_has_the_same_identity(otlp: Otlp) -> None:
    """A retry is recognised, also in the other encoding and when a number has become text on the way."""
    request = otlp.logs(record(otlp), record(otlp, event__sequence="1"), resource=CLAUDE)
    ids = [row["event_id"] for m in ENCODINGS for row in otlp.rows(otlp.decode("logs", request, m))["events"]]
    assert 1 == len(set(ids))


@pytest.mark.parametrize("change", ["event.name", "session.id", "event.sequence", "event.timestamp"])
def test_records_that_differ_in_their_key_are_different(otlp: Otlp, change: str) -> None:
    """Session, sequence, timestamp and name together tell events apart."""
    one, other = events(otlp, record(otlp), record(otlp, **{change: "2"}))
    assert one["event_id"] != other["event_id"]


def test_records_without_a_sequence_are_told_apart_by_their_order(otlp: Otlp) -> None:
    """Two equal log lines in one message are two events, and the same two when the message is sent again."""
    first = [row["event_id"] for row in events(otlp, otlp.log(), otlp.log())]
    again = [row["event_id"] for row in events(otlp, otlp.log(), otlp.log())]
    assert first == again
    assert 2 == len(set(first))


def test_only_one_event_of_a_call_carries_its_spend(otlp: Otlp) -> None:
    """Tokens that a second event repeats do not count again."""
    rows = events(
        otlp,
        record(otlp, input_tokens=5, cost_usd=1.5),
        record(otlp, event__name="assistant_response", input_tokens=5, cost_usd=1.5),
    )
    assert [(5, 1.5), (None, None)] == [(row.get("input_tokens"), row.get("cost_usd")) for row in rows]


def test_a_decision_is_a_row_of_its_own_besides_the_event(otlp: Otlp) -> None:
    """Decisions are stored once as event, which counts as the item, and once where approval rates are read."""
    log = record(otlp, event__name="tool_decision", decision="reject", source="user_reject", tool_name="Edit")
    decoded = otlp.decode("logs", otlp.logs(log, resource=CLAUDE))
    rows = otlp.rows(decoded)
    assert (1, 1, 1) == (decoded.items, len(rows["events"]), len(rows["tool_decisions"]))
    assert rows["events"][0]["event_id"] == rows["tool_decisions"][0]["event_id"]
    assert ("reject", "user_reject") == tuple(
        rows["tool_decisions"][0][name] for name in ("decision", "decision_source")
    )


@pytest.mark.parametrize(
    "broken", [5, {"attributes": 7}, {"eventName": []}, {"severityNumber": 1, "traceId": 5}], ids=repr
)
def test_a_badly_typed_record_costs_only_itself(otlp: Otlp, broken: Any) -> None:
    """The records beside it are stored."""
    body = msgspec.json.encode(otlp.logs(otlp.log(), broken, otlp.log()))
    decoded = otlp.decode_body("logs", body)
    assert [Reject(Reason.INVALID_FIELD, 1, "logRecords", quarantined=True)] == decoded.rejects
    assert [0, 2] == [row[0] for row in decoded.rows["events"]]


@pytest.mark.parametrize("duration", [10**30, "1e300", -5, "soon", 1.5], ids=repr)
def test_impossible_durations_do_not_cost_the_message(otlp: Otlp, duration: Any) -> None:
    """A duration is a number from zero to a few centuries."""
    body = msgspec.json.encode(otlp.logs(otlp.log(duration_ms={"doubleValue": duration})))
    assert 1 == len(otlp.decode_body("logs", body).rows["events"])


def test_the_observed_time_serves_records_without_their_own(otlp: Otlp) -> None:
    """A record that only says when it was seen is placed there."""
    (row,) = events(otlp, otlp.log() | {"timeUnixNano": 0, "observedTimeUnixNano": "1791795605000000000"})
    assert 1_791_795_605_000_000 == row["time"]
