"""The wire format of `POST /collect`: a JSON array of events, `analytics.v2` and older.

Source: the receiver contract of PilotDeck (docs/telemetry/receiver-contract.md in that repository) and what its
client sends. Only the envelope is typed here; what a property may be is in `privacy`.
"""

from __future__ import annotations

import re
from datetime import datetime
from itertools import pairwise
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

from raingauge.errors import Reason

V1: Final = "analytics.v1"
V2: Final = "analytics.v2"
FEATURE: Final = "feature_used"
ERROR: Final = "error_occurred"

EVENT_MAX_BYTES: Final = 16 * 1024
"""Largest single event; the real client sends about 600 bytes."""

_Text = Annotated[str, Meta(max_length=1_024)]
_Id = Annotated[str, Meta(pattern="^[A-Za-z0-9_-]{8,64}$")]


class Event(msgspec.Struct, rename="camel", frozen=True):
    """The envelope of one event. The first four members must be there; the rest may be missing or null.

    `schemaVersion` and `properties` may be anything: a client newer than this server is stored all the same.
    """

    event_id: Annotated[str, Meta(min_length=1, max_length=128)]
    event_name: Annotated[str, Meta(min_length=1, max_length=64)]
    occurred_at: Annotated[datetime, Meta(tz=True)]
    installation_id: _Id
    instance_id: _Id | None = None
    session_id: Annotated[str, Meta(max_length=8_192)] | None = None
    deployment_mode: _Text | None = None
    app_version: _Text | None = None
    platform: _Text | None = None
    schema_version: Any = None
    properties: Any = None


class Fault(msgspec.Struct, frozen=True):
    """Why one event cannot be kept. `field` names a member of the envelope, never a value."""

    reason: Reason
    field: str = ""


_split = msgspec.json.Decoder(list[msgspec.Raw])
_event = msgspec.json.Decoder(Event)

_MEMBER = re.compile(r"\$\.(\w+)|field `(\w+)`")
# A string is cut between two UTF-16 halves when a client shortens text by length; JSON then carries half a pair.
_ESCAPE = re.compile(rb"\\(?:[^u]|u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|u[0-9a-fA-F]{4})")
_HALF = re.compile(rb"\\u[dD][89a-fA-F][0-9a-fA-F]{2}")
_STRUCTURE = re.compile(rb'"(?:[^"\\]|\\.)*+"|[][{},]', re.DOTALL)


def split(body: bytes) -> list[msgspec.Raw]:
    """The elements of the array, undecoded. Raises msgspec.MsgspecError when `body` is no JSON array."""
    try:
        return _split.decode(body)
    except RecursionError:
        return _split_deep(body)
    except msgspec.ValidationError:
        raise
    except msgspec.DecodeError:
        body = _ESCAPE.sub(_whole, body)
    try:
        return _split.decode(body)
    except RecursionError:
        return _split_deep(body)


def read_event(raw: msgspec.Raw) -> Event | Fault:
    """One element as an event, or what is wrong with it. Never raises."""
    text = memoryview(raw)
    if len(text) > EVENT_MAX_BYTES:
        return Fault(Reason.TOO_LARGE)
    try:
        return _event.decode(text)
    except msgspec.ValidationError as error:
        found = _MEMBER.search(str(error))
        missing = "missing required" in str(error)
        return Fault(
            Reason.MISSING_FIELD if missing else Reason.INVALID_FIELD, (found[1] or found[2] or "") if found else ""
        )
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return Fault(Reason.INVALID_JSON)


def _whole(escape: re.Match[bytes]) -> bytes:
    return rb"\ufffd" if _HALF.fullmatch(escape[0]) else escape[0]


def _split_deep(body: bytes) -> list[msgspec.Raw]:
    """`split` for a body that nests deeper than a decoder goes, so that the other events are kept."""
    commas: list[int] = []
    depth = end = 0
    for token in _STRUCTURE.finditer(body):
        mark = token[0]
        if mark in (b"[", b"{"):
            depth += 1
        elif mark in (b"]", b"}"):
            depth -= 1
            end = token.start()
        elif mark == b"," and depth == 1:
            commas.append(token.start())
    start = body.find(b"[")
    if body[:start].strip() or depth or body[end:].strip() != b"]":
        raise msgspec.DecodeError("not an array")
    edges = [start, *commas, end]
    return [msgspec.Raw(body[left + 1 : right]) for left, right in pairwise(edges)]
