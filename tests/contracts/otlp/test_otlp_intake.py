"""What OTLP/HTTP clients are answered, in both encodings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from raingauge.contract import Head, Received, Refused
from raingauge.contracts.otlp.intake import DIALECT, INTAKES, RETRY_AFTER_MAX_SECONDS, ROOT_HINT, admit
from raingauge.contracts.otlp.wire import JSON, PROTOBUF
from raingauge.errors import VERDICTS, Reason

if TYPE_CHECKING:
    from tests.contracts.otlp.conftest import Otlp

ENCODINGS = (JSON, PROTOBUF)

SIGNALS = ("traces", "metrics", "logs")
RESPONSES: dict[str, Any] = {
    "traces": ExportTraceServiceResponse,
    "metrics": ExportMetricsServiceResponse,
    "logs": ExportLogsServiceResponse,
}
ENVELOPES = {"traces": "resourceSpans", "metrics": "resourceMetrics", "logs": "resourceLogs"}
REFUSALS = {
    Reason.INVALID_JSON: (400, 3),
    Reason.UNAUTHORIZED: (401, 16),
    Reason.FORBIDDEN: (403, 7),
    Reason.METHOD_NOT_ALLOWED: (405, 12),
    Reason.PAYLOAD_TOO_LARGE: (413, 8),
    Reason.UNSUPPORTED_ENCODING: (415, 3),
    Reason.RATE_LIMITED: (429, 8),
    Reason.INTERNAL: (500, 13),
    Reason.QUEUE_FULL: (503, 14),
}


@pytest.mark.parametrize("signal", SIGNALS)
def test_success_is_the_empty_response_of_the_request_encoding(otlp: Otlp, signal: str) -> None:
    """A client gets 200 with an Export response that reports no partial success."""
    as_json = DIALECT.accepted(otlp.head(signal, JSON), b"{}")
    as_protobuf = DIALECT.accepted(otlp.head(signal, PROTOBUF), b"")
    assert (200, b"{}", [("Content-Type", JSON)]) == (as_json.status, as_json.body, list(as_json.headers))
    assert (200, [("Content-Type", PROTOBUF)]) == (as_protobuf.status, list(as_protobuf.headers))
    assert RESPONSES[signal]() == RESPONSES[signal].FromString(as_protobuf.body)


@pytest.mark.parametrize("reason", REFUSALS, ids=str)
@pytest.mark.parametrize("detail", ["", "One sentence.", "ü" * 300], ids=["none", "short", "long"])
def test_failure_is_a_status_in_the_request_encoding(otlp: Otlp, reason: Reason, detail: str) -> None:
    """A client can read why from a google.rpc.Status in the encoding that it used."""
    refusal = Refused(reason, detail)
    as_json = DIALECT.refused(otlp.head("traces", JSON), refusal)
    as_protobuf = DIALECT.refused(otlp.head("traces", PROTOBUF), refusal)
    status, code = REFUSALS[reason]
    message = f"{reason}: {detail}" if detail else str(reason)
    assert {status} == {as_json.status, as_protobuf.status}
    assert {"code": code, "message": message} == msgspec.json.decode(as_json.body)
    assert Status(code=code, message=message) == Status.FromString(as_protobuf.body)
    assert ("Content-Type", PROTOBUF) in as_protobuf.headers


def test_no_client_is_told_to_wait_longer_than_it_can() -> None:
    """Exporters drop a batch whose retry lies beyond their own deadline."""
    waits = [verdict.retry_after_seconds for verdict in VERDICTS.values() if verdict.retry_after_seconds]
    assert max(waits) <= RETRY_AFTER_MAX_SECONDS


def test_only_post_is_admitted(otlp: Otlp) -> None:
    """A browser or a probe is told what the route is for."""
    with pytest.raises(Refused) as refused:
        admit(otlp.head("traces", JSON, "GET"))
    assert (405, Reason.METHOD_NOT_ALLOWED) == (refused.value.status, refused.value.reason)


@pytest.mark.parametrize("content_type", ["", "text/plain", "application/xml", "application/jsonx"])
def test_other_media_types_are_refused(content_type: str) -> None:
    """Only the two encodings of OTLP/HTTP are read."""
    with pytest.raises(Refused) as refused:
        admit(Head("POST", "/v1/traces", "", {"content-type": content_type}))
    assert (415, Reason.UNSUPPORTED_MEDIA_TYPE) == (refused.value.status, refused.value.reason)


@pytest.mark.parametrize("content_type", ["Application/JSON; charset=utf-8", "application/x-protobuf; v=1"])
def test_media_type_parameters_do_not_matter(otlp: Otlp, content_type: str) -> None:
    """A charset or version behind the media type changes nothing."""
    head = Head("POST", "/v1/traces", "", {"content-type": content_type})
    admit(head)
    otlp.intake("traces").check(head, b"{}" if "json" in content_type.lower() else b"")


@pytest.mark.parametrize("signal", SIGNALS)
def test_empty_requests_succeed(otlp: Otlp, signal: str) -> None:
    """A request without telemetry is fine and stores nothing."""
    envelope = ENVELOPES[signal]
    bodies = [b"{}", f'{{"{envelope}":[]}}'.encode(), f'{{"{envelope}":[{{}}]}}'.encode(), b'{"other":1}']
    bodies.append(f'{{"{envelope}":null}}'.encode())
    assert [0] * 5 == [otlp.decode_body(signal, body).items for body in bodies]
    assert 0 == otlp.decode_body(signal, b"", PROTOBUF).items


@pytest.mark.parametrize("signal", SIGNALS)
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"not json",
        b"\xff\xfe{}",
        b'{"a":"\xff"}',
        b"{}{}",
        b"\x00",
        b'{"ENVELOPE":5}',
        b'{"ENVELOPE":[5]}',
        b'{"ENVELOPE":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    ],
    ids=lambda body: repr(body[:20]),
)
def test_malformed_json_is_refused_before_it_is_queued(otlp: Otlp, signal: str, body: bytes) -> None:
    """The sender of something that is no OTLP/JSON hears so at once."""
    with pytest.raises(Refused) as refused:
        otlp.intake(signal).check(otlp.head(signal, JSON), body.replace(b"ENVELOPE", ENVELOPES[signal].encode()))
    assert (400, Reason.INVALID_JSON) == (refused.value.status, refused.value.reason)


@pytest.mark.parametrize("signal", SIGNALS)
@pytest.mark.parametrize("body", [b"{}", b"\x0a\xff", b"\xff" * 10, b"\x0a\x05hello"], ids=repr)
def test_malformed_protobuf_is_refused_before_it_is_queued(otlp: Otlp, signal: str, body: bytes) -> None:
    """The sender of something that is no protobuf message of this signal hears so at once."""
    with pytest.raises(Refused) as refused:
        otlp.intake(signal).check(otlp.head(signal, PROTOBUF), body)
    assert (400, Reason.INVALID_BODY) == (refused.value.status, refused.value.reason)


def test_nothing_that_was_sent_is_repeated_in_an_error(otlp: Otlp) -> None:
    """Error bodies do not echo payloads."""
    for media_type in ENCODINGS:
        with pytest.raises(Refused) as refused:
            otlp.intake("logs").check(otlp.head("logs", media_type), b"my private words")
        assert b"private" not in DIALECT.refused(otlp.head("logs", media_type), refused.value).body


@pytest.mark.parametrize("signal", SIGNALS)
def test_the_hint_for_a_post_to_the_root_names_every_route(signal: str) -> None:
    """Whoever configured an endpoint without a path is told the paths there are."""
    assert f"/v1/{signal}" in ROOT_HINT


def test_the_documented_examples_are_stored() -> None:
    """Whoever copies an example from the documentation finds its item: a priced request, a cost and a tool call."""
    told = {}
    for intake in INTAKES:
        intake.check(Head("POST", intake.path, "", {"content-type": JSON}), intake.example)
        decoded = intake.decode(intake.example, Received(1, "cust_1", JSON, identity_key=bytes(32)))
        assert (1, []) == (decoded.items, decoded.rejects)
        told[intake.name] = {name: len(rows) for name, rows in decoded.rows.items() if rows}
    assert {"otlp.traces": {"spans": 1}, "otlp.metrics": {"points": 1}, "otlp.logs": {"events": 1}} == told
