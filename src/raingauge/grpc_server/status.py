"""What a refusal is called in gRPC, so that each client does the right thing.

    reason                              code                     Confidence providers    OTLP exporters
    ──────────────────────────────────  ───────────────────────  ──────────────────────  ────────────────
    full, rates, disk, slow             UNAVAILABLE + RetryInfo  repeat (Python, Java)   wait and repeat
    credential, scope                   UNAUTHENTICATED,         drop                    drop
                                        PERMISSION_DENIED
    too large                           RESOURCE_EXHAUSTED       drop                    drop
    unreadable                          INVALID_ARGUMENT         drop                    drop

Rates, too, are UNAVAILABLE: Confidence providers drop a message that is answered by anything else.
https://opentelemetry.io/docs/specs/otlp/#otlpgrpc-response
"""

from __future__ import annotations

from typing import Final, NamedTuple

import grpc
from google.protobuf.any_pb2 import Any
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status

from raingauge.errors import Reason, Refused

DETAILS_KEY: Final = "grpc-status-details-bin"
"""Trailing metadata that carries a google.rpc.Status, by convention of all gRPC libraries."""

_CODES: Final = {
    401: grpc.StatusCode.UNAUTHENTICATED,
    403: grpc.StatusCode.PERMISSION_DENIED,
    413: grpc.StatusCode.RESOURCE_EXHAUSTED,
    500: grpc.StatusCode.INTERNAL,
    501: grpc.StatusCode.UNIMPLEMENTED,
}


class Ending(NamedTuple):
    """How a refused call ends: the arguments of `ServicerContext.abort`."""

    code: grpc.StatusCode
    details: str
    trailing_metadata: tuple[tuple[str, bytes], ...]


def ending(refusal: Refused) -> Ending:
    """The end of a call that was refused."""
    details = f"{refusal.code}: {refusal.detail}" if refusal.detail else refusal.code
    if refusal.reason is Reason.SLOW_BODY:
        return Ending(grpc.StatusCode.UNAVAILABLE, details, ())
    if refusal.retry_after_seconds is None:
        return Ending(_CODES.get(refusal.status, grpc.StatusCode.INVALID_ARGUMENT), details, ())
    wait = Any()
    wait.Pack(RetryInfo(retry_delay=Duration(seconds=refusal.retry_after_seconds)))
    code = grpc.StatusCode.UNAVAILABLE
    status = Status(code=code.value[0], message=details, details=[wait])
    return Ending(code, details, ((DETAILS_KEY, status.SerializeToString()),))
