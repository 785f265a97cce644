"""The ingest routes of Confidence flag logs.

Senders treat every status but 408, 429 and 5xx as final and throw the data away, so a body is refused only when
nothing of it can be read. Damaged items inside a readable body are counted later instead.
"""

from __future__ import annotations

from functools import partial
from typing import Final

import msgspec

from raingauge.contract import Answer, Head, Intake, Reason, Refused
from raingauge.contracts.flags.decode import decode_ingest, decode_write
from raingauge.contracts.flags.encoding import (
    JSON_TYPE,
    PROTOBUF_TYPES,
    batches_of_protobuf,
    is_json,
    members_of_json,
)
from raingauge.contracts.flags.split import Malformed, TooManyParts

PROTOBUF_TYPE: Final = "application/x-protobuf"
BODY_MAX_BYTES: Final = 16 * 1024 * 1024
"""Senders fill messages up to 4 MiB and add their telemetry afterwards; also after decompression."""
GRPC_METHOD: Final = "/confidence.flags.resolver.v1.InternalFlagLoggerService/ClientWriteFlagLogs"
PARTS_MAX: Final = 1_000_000
"""Far more than 16 MiB of real parts; a body with more is refused before anything is queued."""
LOST_ANSWER_SECONDS: Final = 10.0
"""Longer than the JavaScript provider waits before it sends a body again (5 s and a back-off of up to 1.1 s), shorter
than the 15 s after which two heartbeats with equal bytes are two heartbeats."""


def check(head: Head, body: bytes, *, wrapped: bool) -> None:
    """Refuse what is no flag log message as a whole; items are not looked at."""
    content_type = head.headers.get("content-type", "")
    if is_json(content_type, body):
        try:
            members_of_json(body, wrapped=wrapped)
        except Malformed:
            raise Refused(Reason.INVALID_JSON, "the body is not a JSON object") from None
    else:
        try:
            batches_of_protobuf(body, wrapped=wrapped, parts_max=PARTS_MAX)
        except TooManyParts as problem:
            raise Refused(Reason.PAYLOAD_TOO_LARGE, str(problem)) from None
        except Malformed:
            raise Refused(Reason.INVALID_BODY, "the body is not a protobuf message of flag logs") from None


class FlagLogsDialect:
    """An empty message in the encoding of the request; errors are JSON, which all senders only log."""

    def accepted(self, head: Head, body: bytes) -> Answer:
        if is_json(head.headers.get("content-type", ""), body):
            return Answer(200, b"{}", (("content-type", JSON_TYPE),))
        media_type = head.media_type if head.media_type in PROTOBUF_TYPES else PROTOBUF_TYPE
        return Answer(200, b"", (("content-type", media_type),))

    def refused(self, head: Head, refusal: Refused) -> Answer:  # noqa: ARG002 - the same for every request
        body = msgspec.json.encode({"error": refusal.code, "detail": refusal.detail, **refusal.extra})
        return Answer(refusal.status, body, (("content-type", JSON_TYPE),))


DIALECT: Final = FlagLogsDialect()

EXAMPLE: Final = (
    b'{"telemetryData":{"sdk":{"id":"SDK_ID_JS_LOCAL_SERVER_PROVIDER","version":"0.19.1"},'
    b'"resolveLatency":{"sum":3000,"count":1,"buckets":[{"offset":62,"counts":[1]}],"lnRatio":0.12792139405522476},'
    b'"resolveRate":[{"count":1,"reason":"RESOLVE_REASON_MATCH"}],"resolverVersion":"0.22.1"}}'
)

INTAKES: Final = (
    Intake(
        name="flags.write",
        path="/v1/clientFlagLogs:write",
        check=partial(check, wrapped=False),
        decode=decode_write,
        dialect=DIALECT,
        example=EXAMPLE,
        body_max_bytes=BODY_MAX_BYTES,
        lost_answer_seconds=LOST_ANSWER_SECONDS,
        grpc_method=GRPC_METHOD,
    ),
    Intake(
        name="flags.ingest",
        path="/v1/flagLogs:ingest",
        check=partial(check, wrapped=True),
        decode=decode_ingest,
        dialect=DIALECT,
        example=b'{"accountId":"accounts/example","batch":' + EXAMPLE + b"}",
        body_max_bytes=BODY_MAX_BYTES,
        lost_answer_seconds=LOST_ANSWER_SECONDS,
    ),
)
