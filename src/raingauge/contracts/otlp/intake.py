"""The three ingest routes: what is checked before the 200, and how OTLP/HTTP answers.

https://opentelemetry.io/docs/specs/otlp/#otlphttp-response
"""

from __future__ import annotations

from typing import Final

import msgspec

from raingauge.contract import Answer, Decode, Head, Intake, Refused
from raingauge.contracts.otlp.decode.events import decode_logs
from raingauge.contracts.otlp.decode.points import decode_metrics
from raingauge.contracts.otlp.decode.spans import decode_traces
from raingauge.contracts.otlp.examples import EXAMPLES
from raingauge.contracts.otlp.wire import JSON, PROTOBUF, json, protobuf
from raingauge.errors import Reason

RETRY_AFTER_MAX_SECONDS: Final = 5
"""Exporters give up 10 s after the first attempt, so a longer wait would lose the batch."""

_RPC_CODES: Final = {400: 3, 401: 16, 403: 7, 404: 5, 405: 12, 408: 4, 413: 8, 415: 3, 429: 8, 501: 12, 503: 14}
_RPC_INTERNAL: Final = 13


class OtlpDialect:
    """Export…ServiceResponse or google.rpc.Status, in the encoding of the request."""

    def accepted(self, head: Head, body: bytes) -> Answer:  # noqa: ARG002 - the dialect's signature
        # An empty response message is `{}` in JSON and no bytes in protobuf.
        content = b"" if head.media_type == PROTOBUF else b"{}"
        return Answer(200, content, (("Content-Type", _answer_type(head)),))

    def refused(self, head: Head, refusal: Refused) -> Answer:
        code = _RPC_CODES.get(refusal.status, _RPC_INTERNAL)
        message = f"{refusal.code}: {refusal.detail}" if refusal.detail else refusal.code
        if head.media_type == PROTOBUF:
            content = _status(code, message)
        else:
            content = msgspec.json.encode({"code": code, "message": message})
        return Answer(refusal.status, content, (("Content-Type", _answer_type(head)),))


DIALECT: Final = OtlpDialect()


def _status(code: int, message: str) -> bytes:
    """A google.rpc.Status in protobuf: `code` is field 1, `message` field 2. Codes are below 128."""
    text = message.encode()
    length = bytearray()
    rest = len(text)
    while rest > 127:
        length.append(rest & 127 | 128)
        rest >>= 7
    return bytes((0x08, code, 0x12, *length, rest)) + text


def _answer_type(head: Head) -> str:
    return PROTOBUF if head.media_type == PROTOBUF else JSON


def admit(head: Head) -> None:
    """Before the body is read: POST, and one of the two encodings. Raises Refused."""
    if head.method != "POST":
        raise Refused(Reason.METHOD_NOT_ALLOWED, f"Send telemetry to {head.path} with POST.")
    if head.media_type not in (JSON, PROTOBUF):
        raise Refused(Reason.UNSUPPORTED_MEDIA_TYPE, f"Send Content-Type {JSON} or {PROTOBUF}.")


def _intake(signal: str, envelopes: str, decode: Decode) -> Intake:
    def check(head: Head, body: bytes) -> None:
        """Raises Refused when the body is not what its Content-Type says; what is inside is judged later."""
        if head.media_type == PROTOBUF:
            if not protobuf.well_formed(body, signal):
                raise Refused(Reason.INVALID_BODY, f"The body is not a protobuf {signal} request.")
        elif not json.well_formed(body, envelopes):
            raise Refused(Reason.INVALID_JSON, f"The body is not a JSON object with a list of {envelopes}.")

    package = "trace" if signal == "traces" else signal
    service = f"opentelemetry.proto.collector.{package}.v1.{package.title()}Service"
    return Intake(
        f"otlp.{signal}",
        f"/v1/{signal}",
        check,
        decode,
        DIALECT,
        admit=admit,
        retry_after_max_seconds=RETRY_AFTER_MAX_SECONDS,
        example=EXAMPLES[signal],
        grpc_method=f"/{service}/Export",
    )


INTAKES: Final = (
    _intake("traces", "resourceSpans", decode_traces),
    _intake("metrics", "resourceMetrics", decode_metrics),
    _intake("logs", "resourceLogs", decode_logs),
)

ROOT_HINT: Final = (
    "OTLP is received at /v1/traces, /v1/metrics and /v1/logs. Set OTEL_EXPORTER_OTLP_ENDPOINT to the address "
    "without a path, or give each per-signal endpoint its full path."
)
"""What POST / says: an exporter whose per-signal endpoint has no path sends everything there."""
