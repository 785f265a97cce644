"""Shared by the tests of this contract: both encodings of a request, and rows as readable dicts."""

from __future__ import annotations

import base64
from typing import Any, Final

import msgspec
import pytest
from google.protobuf import json_format

from raingauge.contract import Column, Decoded, Head, Intake, Received
from raingauge.contracts.otlp import OTLP
from raingauge.contracts.otlp.wire import JSON
from raingauge.contracts.otlp.wire.protobuf import REQUESTS
from raingauge.settings import Settings

COLUMNS: Final[dict[str, tuple[Column, ...]]] = {table.name: table.columns for table in OTLP.tables}
_IDS: Final = ("traceId", "spanId", "parentSpanId")


class Otlp:
    """One request of a signal, sent to the contract in either encoding."""

    customer = "cust_0123456789abcdef"
    identity_key = bytes(range(32))
    arrived_us = 1_791_795_670_000_000
    """2026-10-12 09:01:10 UTC, a minute after the samples' records."""

    def intake(self, signal: str) -> Intake:
        return next(intake for intake in OTLP.intakes if intake.name == f"otlp.{signal}")

    def head(self, signal: str, media_type: str, method: str = "POST") -> Head:
        return Head(method, f"/v1/{signal}", "", {"content-type": media_type})

    def body(self, signal: str, request: dict[str, Any], media_type: str) -> bytes:
        if media_type == JSON:
            return msgspec.json.encode(request)
        return json_format.ParseDict(_with_base64_ids(request), REQUESTS[signal]()).SerializeToString()

    def received(self, media_type: str = JSON, **settings: str | float | bool) -> Received:
        return Received(
            self.arrived_us, self.customer, media_type, identity_key=self.identity_key, settings=Settings(settings)
        )

    def decode_body(self, signal: str, body: bytes, media_type: str = JSON, **settings: Any) -> Decoded:
        """Decoded after the same check that the server makes."""
        intake = self.intake(signal)
        intake.check(self.head(signal, media_type), body)
        return intake.decode(body, self.received(media_type, **settings))

    def decode(self, signal: str, request: dict[str, Any], media_type: str = JSON, **settings: Any) -> Decoded:
        return self.decode_body(signal, self.body(signal, request, media_type), media_type, **settings)

    def rows(self, decoded: Decoded) -> dict[str, list[dict[str, Any]]]:
        """Rows by table, without the columns that hold nothing; ids as hexadecimal text."""
        return {name: [_readable(name, row) for row in rows] for name, rows in decoded.rows.items() if rows}

    def spans(self, *spans: dict[str, Any], resource: dict[str, Any] | None = None, scope: str = "") -> dict[str, Any]:
        return _request(("resourceSpans", "scopeSpans", "spans"), spans, resource, scope)

    def logs(self, *logs: dict[str, Any], resource: dict[str, Any] | None = None, scope: str = "") -> dict[str, Any]:
        return _request(("resourceLogs", "scopeLogs", "logRecords"), logs, resource, scope)

    def metrics(
        self, *metrics: dict[str, Any], resource: dict[str, Any] | None = None, scope: str = ""
    ) -> dict[str, Any]:
        return _request(("resourceMetrics", "scopeMetrics", "metrics"), metrics, resource, scope)

    def span(self, number: int = 1, /, **attributes: Any) -> dict[str, Any]:
        return {
            "traceId": f"{number:032x}",
            "spanId": f"{number:016x}",
            "name": "work",
            "startTimeUnixNano": "1791795600000000000",
            "endTimeUnixNano": "1791795601000000000",
            "attributes": pairs(attributes),
        }

    def log(self, **attributes: Any) -> dict[str, Any]:
        return {"timeUnixNano": "1791795600000000000", "attributes": pairs(attributes)}

    def sum(self, name: str, value: float, temporality: int = 1, /, **attributes: Any) -> dict[str, Any]:
        point = {
            "startTimeUnixNano": "1791795600000000000",
            "timeUnixNano": "1791795660000000000",
            "asDouble": value,
            "attributes": pairs(attributes),
        }
        return {"name": name, "sum": {"aggregationTemporality": temporality, "dataPoints": [point]}}


@pytest.fixture(scope="session")
def otlp() -> Otlp:
    return Otlp()


def pairs(attributes: dict[str, Any]) -> list[dict[str, Any]]:
    """OTLP attributes of plain values; two underscores in a name stand for a dot."""
    return [{"key": key.replace("__", "."), "value": _any_value(value)} for key, value in attributes.items()]


def _any_value(value: Any) -> dict[str, Any]:
    if isinstance(value, dict):
        return value
    kinds = {bool: "boolValue", int: "intValue", float: "doubleValue", str: "stringValue"}
    return {kinds[type(value)]: value}


def _request(
    path: tuple[str, str, str], items: tuple[Any, ...], resource: dict[str, Any] | None, scope: str
) -> dict[str, Any]:
    outer, middle, inner = path
    scoped = {"scope": {"name": scope}, inner: list(items)}
    return {outer: [{"resource": {"attributes": pairs(resource or {})}, middle: [scoped]}]}


def _readable(table: str, row: tuple[Any, ...]) -> dict[str, Any]:
    found: dict[str, Any] = {"position": row[0]}
    for column, value in zip(COLUMNS[table], row[1:], strict=True):
        shown = value.hex() if isinstance(value, bytes) else value
        if shown not in ("", 0, None, [], "none") and shown.strip("0") if isinstance(shown, str) else shown:
            found[column.name] = str(shown) if isinstance(shown, str) else shown
    return found


def _with_base64_ids(value: Any) -> Any:
    """The standard JSON mapping of protobuf, which differs from OTLP/JSON in the ids."""
    if isinstance(value, dict):
        return {
            key: base64.b64encode(bytes.fromhex(inner)).decode() if key in _IDS and inner else _with_base64_ids(inner)
            for key, inner in value.items()
        }
    return [_with_base64_ids(inner) for inner in value] if isinstance(value, list) else value
