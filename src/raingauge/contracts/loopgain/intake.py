"""The two ingest routes: who may post, how much, what is well-formed, and how the answer looks."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

import msgspec

from raingauge.contract import Answer, Dialect, Head, Intake, Refused
from raingauge.contracts.loopgain.decode import decode_aggregate, decode_funnel
from raingauge.contracts.loopgain.members import read_json
from raingauge.contracts.loopgain.tables import LOOP_EVENTS
from raingauge.contracts.loopgain.wire import BODY_MAX_BYTES, FUNNEL_BODY_MAX_BYTES, parse_funnel, parse_loop
from raingauge.errors import Reason

HEADERS: Final = {
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
}
"""Carried by every answer of this contract, besides its Content-Type."""

INDIVIDUAL_DAILY_CAP: Final = 300
LOST_ANSWER_SECONDS: Final = 10.0
"""The library gives up on an answer after 2 s and tries twice more within the next 5 s."""


class LoopGainDialect:
    """JSON objects; errors are `{"error": code, "detail": sentence, …}`."""

    def accepted(self, head: Head, body: bytes) -> Answer:  # noqa: ARG002 - the dialect's signature
        return _ACCEPTED

    def refused(self, head: Head, refusal: Refused) -> Answer:  # noqa: ARG002
        detail = {"detail": refusal.detail} if refusal.detail else {}
        return json_answer(refusal.status, {"error": refusal.code, **detail, **refusal.extra})


class FunnelDialect(LoopGainDialect):
    """Says how many events were taken."""

    def accepted(self, head: Head, body: bytes) -> Answer:  # noqa: ARG002
        return json_answer(202, {"status": "ok", "accepted": len(read_json(body)["events"])})


DIALECT: Final[Dialect] = LoopGainDialect()


def json_answer(status: int, content: object) -> Answer:
    headers = (("Content-Type", "application/json"), *HEADERS.items())
    return Answer(status, msgspec.json.encode(content), headers)


_ACCEPTED: Final = json_answer(202, {"status": "ok"})


def admit_library(head: Head) -> None:
    """Only POST, and no web pages: a browser would send the token of whoever is signed in.

    Raises Refused(METHOD_NOT_ALLOWED) or Refused(BROWSER_REFUSED).
    """
    if head.method != "POST":
        raise Refused(Reason.METHOD_NOT_ALLOWED)
    refuse_browsers(head.headers)


def refuse_browsers(headers: Mapping[str, str]) -> None:
    """Raises Refused(BROWSER_REFUSED) for any Origin, `null` included."""
    if headers.get("origin"):
        raise Refused(Reason.BROWSER_REFUSED)


def check_aggregate(head: Head, body: bytes) -> None:  # noqa: ARG001 - content types do not matter
    """Everything that decoding needs: the library drops a refused loop for good, so it must hear why now."""
    parse_loop(body, datetime.now(UTC))


def check_funnel(head: Head, body: bytes) -> None:  # noqa: ARG001
    parse_funnel(body, datetime.now(UTC))


def daily_cap(tier: str) -> int | None:
    """Loops in 24 hours for one customer of this tier."""
    return INDIVIDUAL_DAILY_CAP if tier == "individual" else None


_LOOP_EXAMPLE: Final = {
    "schema_version": 4,
    "library": "loopgain",
    "library_version": "0.6.5",
    "workload_id": "rag-rewrite",
    "timestamp_hour": "2025-01-01T00:00:00+00:00",
    "loop": {
        "outcome": "converged",
        "iterations_used": 4,
        "savings_vs_fixed_cap": 6,
        "convergence_profile_summary": {"min": 0.375, "max": 0.4, "median": 0.3875, "samples": 2},
        "rollback_triggered": False,
        "best_index": 3,
    },
    "thresholds": {"fast_converge": 0.3, "converging": 0.85, "stalling": 0.95, "oscillating_upper": 1.05},
    "smoothing_window": 3,
}
_FUNNEL_EXAMPLE: Final = {
    "schema_version": 1,
    "library": "loopgain",
    "events": [
        {
            "event": "session",
            "instance_id": "0123456789abcdef0123456789abcdef",
            "ts_hour": "2025-01-01T00:00:00+00:00",
            "library_version": "0.6.5",
            "session_seq": 1,
            "outcomes": {"converged": 1},
        }
    ],
}

AGGREGATE: Final = Intake(
    name="loopgain.aggregate",
    path="/v1/aggregate",
    check=check_aggregate,
    decode=decode_aggregate,
    dialect=DIALECT,
    admit=admit_library,
    body_max_bytes=BODY_MAX_BYTES,
    daily_cap=daily_cap,
    daily_table=LOOP_EVENTS.name,
    lost_answer_seconds=LOST_ANSWER_SECONDS,
    example=msgspec.json.encode(_LOOP_EXAMPLE),
)

FUNNEL: Final = Intake(
    name="loopgain.funnel",
    path="/v1/funnel",
    check=check_funnel,
    decode=decode_funnel,
    dialect=FunnelDialect(),
    admit=admit_library,
    public=True,
    public_customer="public",
    body_max_bytes=FUNNEL_BODY_MAX_BYTES,
    preflight=False,
    example=msgspec.json.encode(_FUNNEL_EXAMPLE),
)
