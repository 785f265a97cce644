"""From the bytes of one `POST /collect` to rows of `product_events`. Pure."""

from __future__ import annotations

import hashlib
import re
import uuid
import zlib
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec

from raingauge.contract import Decoded, Received, Reject, Undecodable
from raingauge.contracts.analytics import privacy, wire
from raingauge.contracts.analytics.tables import EVENTS

FIRST_CLIENT: Final = datetime(2026, 5, 28, tzinfo=UTC)
"""Day of the first client: an older event comes from a clock that is wrong."""
FUTURE_MAX: Final = timedelta(days=1)

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_DAY_MS: Final = 86_400_000
_TIME_MS: Final = (-25_567 * _DAY_MS, 110_000 * _DAY_MS)
"""What the time column can hold: 1900 to 2271; times beyond it are stored as its ends."""
_UUID: Final = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_COLUMN: Final = {
    "module": "module", "ownerModule": "owner_module", "executionKind": "execution_kind", "phase": "phase",
    "loopStage": "loop_stage", "outcome": "outcome", "errorCategory": "error_category", "code": "code",
    "stopReason": "stop_reason", "event": "event", "toolName": "tool_name", "provider": "provider", "model": "model",
}  # fmt: skip
"""Properties with a text column of their own."""
_TEXTS: Final = tuple(_COLUMN.values())
_NO_TEXTS: Final = dict.fromkeys(_TEXTS, "")
_UINT32_MAX: Final = 2**32 - 1
_UINT16_MAX: Final = 2**16 - 1


def decode(body: bytes, received: Received) -> Decoded:
    """One row for each event that can be kept and one reject for each other, in wire order.

    Raises Undecodable when the body is no JSON array.
    """
    try:
        raws = wire.split(body)
    except msgspec.MsgspecError:
        raise Undecodable("the body is no JSON array") from None
    found = Decoded(items=len(raws))
    rows = found.rows[EVENTS.name] = []
    received_at = received.received_at
    for position, raw in enumerate(raws):
        event = wire.read_event(raw)
        if isinstance(event, wire.Fault):
            found.rejects.append(Reject(event.reason, position, event.field, quarantined=True))
        else:
            rows.append((position, *_row(event, received_at)))
    return found


def _row(event: wire.Event, received_at: datetime) -> tuple[Any, ...]:
    """The values of `EVENTS.columns`, in their order."""
    missing = not isinstance(event.properties, dict)
    properties: dict[str, Any] = {} if missing else event.properties
    texts, details, run, dropped = _properties(_label(event.event_name), properties)
    success = details.pop("success", -1)
    turns = details.pop("turns", 0)
    occurred_ms = _milliseconds(event.occurred_at)
    stored = (
        _label(event.schema_version) if isinstance(event.schema_version, str) else "",
        _label(event.event_name),
        occurred_ms,
        event.installation_id,
        event.instance_id or "",
        privacy.session(event.session_id),
        run,
        _label(event.deployment_mode),
        _label(event.app_version),
        _label(event.platform),
        *texts,
        int(success) if isinstance(success, bool) else -1,
        min(max(int(turns), 0), _UINT32_MAX) if isinstance(turns, int | float) else 0,
        msgspec.json.encode(details, order="deterministic").decode() if details else "",
        min(dropped, _UINT16_MAX),
        missing,
    )
    checksum = zlib.crc32(repr(stored).encode())
    suspect = not FIRST_CLIENT <= event.occurred_at <= received_at + FUTURE_MAX
    return (_event_id(event.event_id), checksum, *stored, suspect)


def _properties(event_name: str, properties: dict[str, Any]) -> tuple[tuple[str, ...], dict[str, Any], int, int]:
    """Values of the text columns, other listed properties, the turn's hash, and how many properties were not kept."""
    texts = dict(_NO_TEXTS)
    details: dict[str, Any] = {}
    run = 0
    stage = (properties.get("module"), properties.get("loopStage"))
    listed = privacy.allowed(event_name, *(name if isinstance(name, str) else "" for name in stage))
    if "runId" in listed and isinstance(run_id := properties.get("runId"), str):
        # Steps of a background run carry the run's id with a suffix such as `.execute`.
        run = privacy.hash64(run_id.partition(".")[0])
    kept = 1 if run else 0
    for name, value in privacy.kept(properties, (listed | privacy.ATTRIBUTION) - {"runId"}):
        if (column := _COLUMN.get(name)) is None:
            details[name] = value
        elif isinstance(value, str):
            texts[column] = value
        else:
            continue
        kept += 1
    return tuple(texts.values()), details, run, len(properties) - kept


def _label(value: str | None) -> str:
    return (value and privacy.text(value)) or ""


def _event_id(value: str) -> bytes:
    """16 bytes: those of the UUID, else of a hash."""
    if _UUID.fullmatch(value):
        return uuid.UUID(value).bytes
    return hashlib.blake2b(value.encode(), digest_size=16).digest()


def _milliseconds(when: datetime) -> int:
    return min(max((when - _EPOCH) // timedelta(milliseconds=1), _TIME_MS[0]), _TIME_MS[1])
