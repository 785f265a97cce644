"""What one batch of events becomes."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raingauge.contract import Received, Undecodable
from raingauge.contracts.analytics.decode import decode
from raingauge.errors import Reason

AT = "2026-08-20T12:00:00.000Z"


def test_worked_set_is_fifteen_rows_and_one_quarantined(usage: Any) -> None:
    """Good events are kept beside a bad one, whose reason and field are named."""
    found = usage.decoded(usage.worked())
    assert 16 == found.items
    assert 15 == len(found.rows["product_events"])
    assert [(Reason.INVALID_FIELD, 15, "occurredAt", True)] == [
        (reject.reason, reject.position, reject.field, reject.quarantined) for reject in found.rejects
    ]


def test_copy_has_the_same_identity_and_checksum(usage: Any) -> None:
    """A second delivery cannot be told from the first one."""
    rows = usage.stored(usage.worked())
    first, copy = rows[1], rows[7]
    assert {**first, "position": 7} == copy


def test_changed_event_has_another_checksum(usage: Any) -> None:
    """A delivery that differs under the same id is recognised as a conflict."""
    first = usage.kept(usage.chat("loop_start", outcome="success"))
    other = usage.kept(usage.chat("loop_start", outcome="failed"))
    assert first["event_id"] == other["event_id"]
    assert first["fingerprint"] != other["fingerprint"]


def test_old_event_keeps_its_channel_and_loses_its_paths(usage: Any) -> None:
    """An event of version 1 is stored with its version, without project path and root."""
    row = usage.stored(usage.worked())[-1]
    assert ("analytics.v1", "app_started", '{"channel":"gateway"}', 1) == (
        row["schema_version"],
        row["event_name"],
        row["details"],
        row["dropped"],
    )


@pytest.mark.parametrize("version", [None, 3, "analytics.v3", ["analytics.v2"], {"a": 1}])
def test_unknown_versions_are_stored(usage: Any, version: Any) -> None:
    """A client newer than this server loses nothing."""
    row = usage.kept({"outcome": "x"}, schemaVersion=version)
    assert (version if isinstance(version, str) else "") == row["schema_version"]


def test_unknown_enum_values_are_stored_as_they_are(usage: Any) -> None:
    """New outcomes and modules show under their own names."""
    row = usage.kept({"module": "planner", "loopStage": "dream_start", "outcome": "postponed"})
    assert ("planner", "dream_start", "postponed") == (row["module"], row["loop_stage"], row["outcome"])


@pytest.mark.parametrize("properties", ["text", 3, [1], None])
def test_properties_of_another_type_are_an_empty_object(usage: Any, properties: Any) -> None:
    """Such an event still counts as activity, and is marked."""
    row = usage.stored([{**usage.event(1, AT, usage.ann, {}), "properties": properties}])[0]
    assert (True, "", "") == (row["properties_missing"], row["module"], row["details"])


@pytest.mark.parametrize(
    ("member", "value", "reason"),
    [
        ("eventId", 7, Reason.INVALID_FIELD),
        ("eventId", "", Reason.INVALID_FIELD),
        ("eventName", None, Reason.INVALID_FIELD),
        ("occurredAt", "2026-08-20", Reason.INVALID_FIELD),
        ("occurredAt", 1_787_000_000, Reason.INVALID_FIELD),
        ("installationId", "../../etc", Reason.INVALID_FIELD),
        ("instanceId", "x" * 65, Reason.INVALID_FIELD),
        ("sessionId", 5, Reason.INVALID_FIELD),
        ("platform", ["linux"], Reason.INVALID_FIELD),
    ],
)
def test_malformed_member_quarantines_its_event_only(usage: Any, member: str, value: Any, reason: Reason) -> None:
    """The neighbours of a malformed event are stored, and its value is nowhere."""
    good = usage.event(1, AT, usage.ann, {})
    found = usage.decoded([good, {**good, member: value}, good])
    assert 2 == len(found.rows["product_events"])
    assert [(reason, 1, member)] == [(reject.reason, reject.position, reject.field) for reject in found.rejects]


@pytest.mark.parametrize("member", ["eventId", "eventName", "occurredAt", "installationId"])
def test_missing_member_is_named(usage: Any, member: str) -> None:
    """An event without the least an event needs is quarantined with the name of what is missing."""
    found = usage.decoded([{k: v for k, v in usage.event(1, AT, usage.ann, {}).items() if k != member}])
    assert [(Reason.MISSING_FIELD, member)] == [(reject.reason, reject.field) for reject in found.rejects]


def test_session_key_of_old_clients_is_hashed_like_new_clients_do(usage: Any) -> None:
    """A raw session key joins with the hash that later versions send."""
    key = "cli:/home/ann/project"
    row = usage.kept({}, sessionId=key)
    assert hashlib.sha256(key.encode()).hexdigest()[:24] == row["session_id"]


def test_background_steps_share_the_run_of_their_parent(usage: Any) -> None:
    """The suffix that a step appends to a run's id does not make it another run."""
    parent = usage.kept({"module": "always_on", "loopStage": "module_event", "outcome": "success", "runId": "ao1"})
    step = usage.kept(usage.chat("loop_end", outcome="success", runId="ao1.execute"))
    assert parent["run"] == step["run"] != 0


def test_wrong_clock_is_marked(usage: Any) -> None:
    """Events from before the first client or from the future are stored and marked."""
    times = ["2026-05-27T23:59:59.999Z", "2026-05-28T00:00:00.000Z", "2026-08-23T00:00:00.000Z", "9999-12-31T00:00:00Z"]
    rows = usage.stored([usage.event(n, at, usage.ann, {}) for n, at in enumerate(times)])
    assert [True, False, False, True] == [row["clock_suspect"] for row in rows]


def test_half_a_character_costs_no_event(usage: Any) -> None:
    """A client that cut a string inside an emoji sends invalid JSON escapes; every event is still kept."""
    body = json.dumps([usage.event(1, AT, usage.ann, {"title": "\ud83d"}), usage.event(2, AT, usage.ann, {})]).encode()
    assert 2 == len(usage.stored(body))


@pytest.mark.parametrize("half", [b"", b'"\\ud83d",'])
def test_bottomless_event_harms_no_neighbour(usage: Any, half: bytes) -> None:
    """Nesting deeper than a decoder goes quarantines one event."""
    good = json.dumps(usage.event(1, AT, usage.ann, {})).encode()
    found = usage.decoded(b"[" + good + b"," + half + b"[" * 5_000 + b"]" * 5_000 + b"," + good + b"]")
    assert 2 == len(found.rows["product_events"])
    assert {True} == {reject.quarantined for reject in found.rejects}


def test_oversized_event_is_quarantined(usage: Any) -> None:
    """An event above 16 KB is not stored."""
    found = usage.decoded([usage.event(1, AT, usage.ann, {"x": "y" * 17_000}), usage.event(2, AT, usage.ann, {})])
    assert ([Reason.TOO_LARGE], 1) == ([r.reason for r in found.rejects], len(found.rows["product_events"]))


@pytest.mark.parametrize("body", [b"", b"{}", b"[", b"[1,]", b"null", b'"x"', b"\xff\xfe", b"[" * 5_000])
def test_body_that_is_no_array_is_undecodable(body: bytes) -> None:
    """What is no JSON array gives no rows."""
    with pytest.raises(Undecodable):
        decode(body, Received(0, "cust_1"))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_every_element_is_one_row_or_one_reject(usage: Any, data: st.DataObject) -> None:
    """Whatever stands in the array, each element is accounted for once."""
    members = ["eventId", "eventName", "occurredAt", "installationId", "sessionId", "properties", "schemaVersion"]
    spoilt = st.builds(
        lambda changes: {**usage.event(1, AT, usage.ann, {}), **changes},
        st.dictionaries(st.sampled_from(members), json_values),
    )
    found = usage.decoded(data.draw(st.lists(json_values | spoilt, max_size=6)))
    assert found.items == len(found.rows["product_events"]) + len(found.rejects)
