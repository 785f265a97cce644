"""From the bytes of a queued message to rows. Pure: the time is the message's own."""

from __future__ import annotations

from typing import Any

import msgspec

from raingauge.contract import Decoded, Received, Reject
from raingauge.contracts.loopgain.tables import FUNNEL_EVENTS, LOOP_EVENTS, TRAJECTORIES
from raingauge.contracts.loopgain.wire import parse_funnel, parse_loop
from raingauge.errors import Refused


def decode_aggregate(body: bytes, received: Received) -> Decoded:
    """One row of `loop_events`."""
    try:
        loop = parse_loop(body, received.received_at)
    except Refused as refusal:
        return _unusable(refusal)
    keep = received.settings[TRAJECTORIES] == "keep"
    *values, trajectory = loop
    return Decoded(1, {LOOP_EVENTS.name: [(0, *values, _json(trajectory if keep else None))]})


def decode_funnel(body: bytes, received: Received) -> Decoded:
    """A row of `funnel_events` for each event of the batch."""
    try:
        events = parse_funnel(body, received.received_at)
    except Refused as refusal:
        return _unusable(refusal)
    rows: list[tuple[Any, ...]] = []
    for position, event in enumerate(events):
        *values, outcomes = event
        rows.append((position, *values, _json(outcomes)))
    return Decoded(len(rows), {FUNNEL_EVENTS.name: rows})


def _unusable(refusal: Refused) -> Decoded:
    """The check before the queue accepted this body, so only a clock that was set back leads here."""
    field = str(refusal.extra.get("field", ""))
    return Decoded(1, rejects=[Reject(refusal.reason, 0, field, quarantined=True)])


def _json(value: object) -> str:
    return "" if value is None else msgspec.json.encode(value).decode()
