"""`POST /collect`: what is looked at before a batch is queued, and how the client is answered.

The client carries no credential and no key; it reads nothing but the status, and sends the same 20 events three
more times, at once, after any answer that is not 2xx. So one bad event must never turn the answer into an error.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import msgspec

from raingauge.contract import Answer, Head, Intake, Reason, Refused
from raingauge.contracts.analytics import wire
from raingauge.contracts.analytics.decode import decode

_JSON: Final = (("Content-Type", "application/json"),)
_NO_CUSTOMER: Final = (
    "nobody knows whose events these are: set ANALYTICS_BASE_URL to this server's address followed by /k/<token>, "
    "send 'Authorization: Bearer <token>', or start the server with RAINGAUGE_PUBLIC_CUSTOMER"
)


class _Counts(msgspec.Struct):
    """The body of the 202. A duplicate is an accepted event; it is found out later."""

    received: int
    accepted: int
    quarantined: int


class CollectDialect:
    """202 with counts, or `{"error": …, "detail": …}`."""

    def accepted(self, head: Head, body: bytes) -> Answer:  # noqa: ARG002 - the dialect's signature
        """Counts by the same function that decoding uses."""
        raws = wire.split(body)
        faults = sum(isinstance(wire.read_event(raw), wire.Fault) for raw in raws)
        return Answer(202, msgspec.json.encode(_Counts(len(raws), len(raws) - faults, faults)), _JSON)

    def refused(self, head: Head, refusal: Refused) -> Answer:  # noqa: ARG002
        detail = _NO_CUSTOMER if refusal.reason is Reason.UNAUTHORIZED else refusal.detail
        return Answer(refusal.status, msgspec.json.encode({"error": refusal.code, "detail": detail}), _JSON)


def check(head: Head, body: bytes) -> None:  # noqa: ARG001 - the seam's signature
    """Whether the body is a JSON array, of whatever. Raises Refused(INVALID_JSON)."""
    try:
        wire.split(body)
    except msgspec.MsgspecError:
        raise Refused(Reason.INVALID_JSON, "the body must be a JSON array of events") from None


_EXAMPLE: Final = {
    "schemaVersion": "analytics.v2",
    "eventId": "9f1c2f0e-6a35-4c1c-9f0b-3a4a5d0c7b11",
    "eventName": "feature_used",
    "occurredAt": "2026-08-20T12:00:00.000Z",
    "installationId": "a1a1a1a1a1a1a1a1a1a1a1a1",
    "instanceId": "111111111111111111111111",
    "deploymentMode": "source",
    "appVersion": "0.1.0",
    "platform": "linux",
    "properties": {
        "module": "session",
        "ownerModule": "session",
        "executionKind": "user_session",
        "loopStage": "loop_start",
        "outcome": "success",
    },
}

COLLECT: Final = Intake(
    name="analytics.collect",
    path="/collect",
    check=check,
    decode=decode,
    dialect=CollectDialect(),
    public=True,
    example=msgspec.json.encode([_EXAMPLE]),
)
COLLECT_SLASHES: Final = replace(COLLECT, path="//collect")
"""The client takes one slash off its base address; a base that ends in two gives this path."""
