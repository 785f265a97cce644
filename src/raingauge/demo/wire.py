"""A request as a client makes it, and the JSON form of OTLP that all agents share."""

from __future__ import annotations

import gzip
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal, NamedTuple

import msgspec

JSON: Final = "application/json"
PROTOBUF: Final = "application/x-protobuf"

Value = str | int | float | bool


class Request(NamedTuple):
    """One POST. `sender` is the label of the token it is sent with, `items` how much it carries.

    `credential` says where the token goes: after this word in the Authorization header, or into the path.
    """

    sender: str
    path: str
    body: bytes
    items: int
    content_type: str = JSON
    encoding: str = ""
    credential: Literal["Bearer", "ClientSecret", "path"] = "Bearer"


def attributes(values: Mapping[str, Value]) -> list[dict[str, Any]]:
    """OTLP attributes as the JavaScript exporter writes them: whole numbers are JSON numbers."""
    return [{"key": key, "value": {_KINDS[type(value)]: value}} for key, value in values.items()]


_KINDS: Final[dict[type, str]] = {str: "stringValue", int: "intValue", float: "doubleValue", bool: "boolValue"}


def envelope(
    signal: str, resource: Mapping[str, Value], scope: Mapping[str, str], records: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """An OTLP export request with one resource and one scope; `signal` is Spans, Metrics or Logs."""
    members = {"Spans": "spans", "Metrics": "metrics", "Logs": "logRecords"}
    scoped = {"scope": scope, members[signal]: records}
    about = {"attributes": attributes(resource), "droppedAttributesCount": 0}
    return {f"resource{signal}": [{"resource": about, f"scope{signal}": [scoped]}]}


def export(sender: str, signal: str, message: Mapping[str, Any], items: int) -> Request:
    """The POST of an export request: JSON, compressed."""
    path = {"Spans": "/v1/traces", "Metrics": "/v1/metrics", "Logs": "/v1/logs"}[signal]
    # Level 1: a telemetry client does not spend its user's time on compression.
    return Request(sender, path, gzip.compress(msgspec.json.encode(message), 1, mtime=0), items, JSON, "gzip")
