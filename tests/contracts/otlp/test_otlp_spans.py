"""Traces: what becomes of spans, well sent and badly sent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from raingauge.contract import Reject, Undecodable
from raingauge.contracts.otlp.wire import JSON, PROTOBUF
from raingauge.errors import Reason

if TYPE_CHECKING:
    from tests.contracts.otlp.conftest import Otlp

ENCODINGS = (JSON, PROTOBUF)

CLAUDE = {"service.name": "claude-code"}


def only(otlp: Otlp, request: dict[str, Any], media_type: str = JSON, **settings: Any) -> dict[str, Any]:
    rows = otlp.rows(otlp.decode("traces", request, media_type, **settings))["spans"]
    assert 1 == len(rows)
    return rows[0]


@pytest.mark.parametrize(
    ("spelling", "expected"),
    [
        ({"intValue": 387}, 387),
        ({"intValue": "387"}, 387),
        ({"doubleValue": 387.0}, 387),
        ({"doubleValue": 387}, 387),
        ({"doubleValue": "387"}, 387),
        ({"stringValue": "387"}, 387),
        ({"stringValue": "387.0"}, 387),
        ({"intValue": "-5"}, 0),
        ({"doubleValue": "NaN"}, 0),
        ({"doubleValue": "Infinity"}, 0),
        ({"stringValue": "many"}, 0),
        ({"intValue": None}, 0),
        ({"intValue": 10**30}, 0),
        ({"boolValue": True}, 0),
        ({"arrayValue": {"values": [{"intValue": 3}]}}, 0),
        ({"kvlistValue": {"values": []}}, 0),
        ({"bytesValue": "AAAA"}, 0),
        ({"stringValue": 387}, 0),
        ({}, 0),
    ],
    ids=repr,
)
def test_numbers_are_read_in_every_spelling(otlp: Otlp, spelling: dict[str, Any], expected: int) -> None:
    """A token count is the same number as text, integer or whole double, and nothing when it is no number."""
    row = only(otlp, otlp.spans(otlp.span(output_tokens=spelling), resource=CLAUDE))
    assert expected == row.get("output_tokens", 0)


@pytest.mark.parametrize(("value", "expected"), [("true", "ok"), ("FALSE", "error"), (True, "ok"), (False, "error")])
@pytest.mark.parametrize("media_type", ENCODINGS)
def test_booleans_are_read_as_text_too(otlp: Otlp, value: object, expected: str, media_type: str) -> None:
    """Success counts as such whether it came as a boolean or as its text."""
    assert expected == only(otlp, otlp.spans(otlp.span(success=value), resource=CLAUDE), media_type)["status"]


def test_ids_are_read_in_either_case(otlp: Otlp) -> None:
    """Upper-case hexadecimal ids are the same ids."""
    lower = otlp.span() | {"traceId": "ab" * 16, "spanId": "cd" * 8, "parentSpanId": "ef" * 8}
    upper = lower | {name: lower[name].upper() for name in ("traceId", "spanId", "parentSpanId")}
    assert otlp.decode("traces", otlp.spans(lower)) == otlp.decode("traces", otlp.spans(upper))


@pytest.mark.parametrize("parent", [None, "", "00", "zz" * 8, "0" * 16], ids=repr)
def test_a_span_without_a_usable_parent_is_a_root(otlp: Otlp, parent: str | None) -> None:
    """Missing and broken parent ids do not cost the span."""
    assert "parent_span_id" not in only(otlp, otlp.spans(otlp.span() | {"parentSpanId": parent}))


@pytest.mark.parametrize(
    ("member", "value"),
    [("traceId", ""), ("traceId", "00" * 16), ("traceId", "ab"), ("traceId", "xy" * 16), ("traceId", None),
     ("spanId", "00" * 8), ("spanId", "abc"), ("spanId", None)],
)  # fmt: skip
def test_a_span_without_its_own_ids_is_rejected(otlp: Otlp, member: str, value: str | None) -> None:
    """Without trace and span id a span cannot be told from its copies, so it is counted and not stored."""
    decoded = otlp.decode("traces", otlp.spans(otlp.span(1), otlp.span(2) | {member: value}, otlp.span(3)))
    assert [Reject(Reason.INVALID_FIELD, 1, member, quarantined=True)] == decoded.rejects
    assert (3, [0, 2]) == (decoded.items, [row[0] for row in decoded.rows["spans"]])


@pytest.mark.parametrize(
    "broken",
    [
        {"name": 5},
        {"traceId": 7},
        {"attributes": {}},
        {"attributes": [5]},
        {"attributes": [{"key": 5}]},
        {"attributes": [{"key": "model", "value": "text"}]},
        {"status": "OK"},
        {"startTimeUnixNano": 1e400},
    ],
    ids=repr,
)
def test_a_badly_typed_span_costs_only_itself(otlp: Otlp, broken: dict[str, Any]) -> None:
    """The neighbours of a span with wrong types are stored as if it were not there."""
    body = _json(otlp.spans(otlp.span(1), otlp.span(2) | broken, otlp.span(3), resource=CLAUDE))
    decoded = otlp.decode_body("traces", body)
    assert [Reject(Reason.INVALID_FIELD, 1, "spans", quarantined=True)] == decoded.rejects
    assert ["claude_code", "claude_code"] == [row["source"] for row in otlp.rows(decoded)["spans"]]


@pytest.mark.parametrize("span", [5, "text", [], None, True], ids=repr)
def test_something_that_is_no_span_costs_only_itself(otlp: Otlp, span: Any) -> None:
    """A list of spans may hold anything else; it is counted as one reject."""
    request = otlp.spans(otlp.span(1), span, otlp.span(3))
    decoded = otlp.decode_body("traces", msgspec.json.encode(request))
    assert (3, 2, 1) == (decoded.items, len(decoded.rows["spans"]), len(decoded.rejects))


def test_broken_envelopes_cost_only_themselves(otlp: Otlp) -> None:
    """A resource or scope that cannot be opened is one reject; the others are stored."""
    good = otlp.spans(otlp.span())["resourceSpans"][0]
    broken: list[Any] = [{"scopeSpans": 5}, {"scopeSpans": [{"spans": {}}]}, good | {"resource": 7}, good]
    decoded = otlp.decode_body("traces", msgspec.json.encode({"resourceSpans": broken}))
    assert (4, 2, 2) == (decoded.items, len(decoded.rows["spans"]), len(decoded.rejects))


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        (rb"cut \ud83d", "cut \ufffd"),
        (rb"\udc00 cut", "\ufffd cut"),
        (rb"\ud83d\ude00 \ud83d", "\U0001f600 \ufffd"),
        (rb"\\ud83d \ud83d", "\\ud83d \ufffd"),
    ],
    ids=repr,
)
def test_half_a_character_does_not_cost_the_message(otlp: Otlp, written: bytes, kept: str) -> None:
    """Text that JavaScript cut in the middle of an emoji is read with a replacement character."""
    body = msgspec.json.encode(otlp.spans(otlp.span() | {"name": "NAME"}))
    assert kept == otlp.rows(otlp.decode_body("traces", body.replace(b"NAME", written)))["spans"][0]["name"]


def test_deep_nesting_costs_only_its_own_span(otlp: Otlp) -> None:
    """A span nested beyond any parser's patience does not crash the decoder."""
    deep = b'{"arrayValue":{"values":[' * 90 + b"]}}" * 90
    marker = {"key": "model", "value": "MARKER"}
    body = msgspec.json.encode(otlp.spans(otlp.span(1), otlp.span(2) | {"attributes": [marker]}))
    decoded = otlp.decode_body("traces", body.replace(b'"MARKER"', deep))
    assert 2 == decoded.items
    assert 1 <= len(decoded.rows["spans"])


def test_bodies_that_slipped_past_the_check_are_undecodable(otlp: Otlp) -> None:
    """What is no request at all is left to the dead letters, in both encodings."""
    for media_type, body in ((JSON, b"[]"), (JSON, b'{"resourceSpans":5}'), (PROTOBUF, b"\xff")):
        with pytest.raises(Undecodable):
            otlp.intake("traces").decode(body, otlp.received(media_type))


def test_unknown_enums_are_kept_and_nonsense_is_not(otlp: Otlp) -> None:
    """A kind or status code of a later protocol is stored as it is."""
    row = only(otlp, otlp.spans(otlp.span() | {"kind": 17, "status": {"code": 9}}))
    assert (17, "9") == (row["kind"], row["status"])
    assert "kind" not in only(otlp, otlp.spans(otlp.span() | {"kind": "SPAN_KIND_SERVER"}))
    assert "kind" not in only(otlp, otlp.spans(otlp.span() | {"kind": 2**40}))


@pytest.mark.parametrize(
    ("offset_seconds", "timing"),
    [(-60, None), (-86_500, "late"), (-86_400 * 400, "late"), (200, None), (400, "future"), (86_400 * 365, "future")],
)
def test_late_and_future_spans_are_kept_and_marked(otlp: Otlp, offset_seconds: int, timing: str | None) -> None:
    """The sender's clock decides when, however far from ours, and the row says that it is far."""
    start_us = otlp.arrived_us + offset_seconds * 1_000_000
    row = only(otlp, otlp.spans(otlp.span() | {"startTimeUnixNano": str(start_us * 1000)}))
    assert (start_us, timing) == (row["time"], row.get("timing"))


@pytest.mark.parametrize("start", [None, 0, "0", "soon", -5, 2**64, 1.5, 2**64 - 1], ids=repr)
def test_a_span_without_a_start_is_placed_at_its_arrival(otlp: Otlp, start: object) -> None:
    """Unusable times do not cost the span; it is marked untimed."""
    row = only(otlp, otlp.spans(otlp.span() | {"startTimeUnixNano": start, "endTimeUnixNano": 0}))
    assert (otlp.arrived_us, "untimed") == (row["time"], row["timing"])


def test_a_span_that_ends_before_it_starts_has_no_duration(otlp: Otlp) -> None:
    """Durations are never negative."""
    assert "duration_us" not in only(otlp, otlp.spans(otlp.span() | {"endTimeUnixNano": "5"}))


@pytest.mark.parametrize(("typed_names", "expected"), [(False, "mcp_tool"), (True, "mcp__billing__charge")])
def test_names_of_mcp_tools_are_kept_on_request_only(otlp: Otlp, typed_names: bool, expected: str) -> None:
    """A name that a person may have typed is replaced unless the operator allows it."""
    request = otlp.spans(otlp.span(tool_name="mcp__billing__charge"), resource=CLAUDE)
    assert expected == only(otlp, request, otlp_typed_names=typed_names)["tool"]


@pytest.mark.parametrize(
    "model",
    ["claude-opus-4-6[1m]", "@cf/meta/llama-3", "claude-sonnet-4@20250514", "us.anthropic.claude-v1:0", "Qwen/Qwen3"],
)
def test_models_keep_the_names_that_makers_and_sellers_give(otlp: Otlp, model: str) -> None:
    """A suffix for a long context or a seller's path does not make a model unknown."""
    assert model == only(otlp, otlp.spans(otlp.span(model=model), resource=CLAUDE))["model"]


@pytest.mark.parametrize(
    "model",
    ["/home/ada/llama.gguf", "C:/Users/ada/llama.gguf", "file:///srv/llama", "https://ada:key@llm.example.com/v1",
     "~/llama", "my own model", "-", "m" * 129],
)  # fmt: skip
def test_paths_and_addresses_are_no_models(otlp: Otlp, model: str) -> None:
    """Local servers name a model by its file; where that lies is not kept."""
    assert "model" not in only(otlp, otlp.spans(otlp.span(model=model), resource=CLAUDE))


def test_resource_attributes_count_for_each_record_and_records_win(otlp: Otlp) -> None:
    """A session on the resource serves records that have none of their own."""
    spans = otlp.spans(otlp.span(1), otlp.span(2, session__id="own"), resource={**CLAUDE, "session.id": "shared"})
    assert ["shared", "own"] == [row["session"] for row in otlp.rows(otlp.decode("traces", spans))["spans"]]


def test_long_names_are_cut(otlp: Otlp) -> None:
    """No column takes more text than a name needs."""
    row = only(otlp, otlp.spans(otlp.span(session__id="s" * 5000) | {"name": "n" * 5000}))
    assert (256, 256) == (len(row["session"]), len(row["name"]))


def test_positions_count_through_all_envelopes(otlp: Otlp) -> None:
    """A span's position is its index in the message, whatever resource it belongs to."""
    first, second = otlp.spans(otlp.span(1), otlp.span(2)), otlp.spans(otlp.span(3))
    both = {"resourceSpans": [*first["resourceSpans"], {"scopeSpans": []}, *second["resourceSpans"]]}
    assert [0, 1, 2] == [row[0] for row in otlp.decode("traces", both).rows["spans"]]


def _json(request: dict[str, Any]) -> bytes:
    """JSON as other languages write it: numbers beyond a double."""
    import json

    return json.dumps(request).replace("Infinity", "1e400").encode()
