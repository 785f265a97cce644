"""A small request of each signal, as Claude Code sends it: shown in the API documentation and sent by `raingauge doctor`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

_BEGIN_NS: Final = 1_767_225_600_000_000_000
"""2026-01-01 00:00 UTC."""
_END_NS: Final = _BEGIN_NS + 3_200_000_000
_TRACE_ID: Final = "0af7651916cd43dd8448eb211c80319c"
_SPAN_ID: Final = "b7ad6b7169203331"


def _attributes(**texts: str) -> list[dict[str, Any]]:
    return [{"key": key.replace("__", "."), "value": {"stringValue": text}} for key, text in texts.items()]


def _request(signal: str, scope: str, items: str, item: Mapping[str, Any]) -> bytes:
    told = {"scope": {"name": scope}, items: [item]}
    resource = {"attributes": _attributes(service__name="claude-code", service__version="2.1.289")}
    return msgspec.json.encode({f"resource{signal}": [{"resource": resource, f"scope{signal}": [told]}]})


EXAMPLES: Final[Mapping[str, bytes]] = {
    "traces": _request(
        "Spans",
        "com.anthropic.claude_code.tracing",
        "spans",
        {
            "traceId": _TRACE_ID,
            "spanId": _SPAN_ID,
            "name": "claude_code.llm_request",
            "kind": 1,
            "startTimeUnixNano": str(_BEGIN_NS),
            "endTimeUnixNano": str(_END_NS),
            "attributes": [
                *_attributes(session__id="7c6a1f0e-0000-4000-8000-000000000000", model="claude-sonnet-5"),
                {"key": "input_tokens", "value": {"intValue": "12"}},
                {"key": "output_tokens", "value": {"intValue": "310"}},
            ],
            "status": {"code": 0},
        },
    ),
    "metrics": _request(
        "Metrics",
        "com.anthropic.claude_code",
        "metrics",
        {
            "name": "claude_code.cost.usage",
            "unit": "USD",
            "sum": {
                "aggregationTemporality": 1,
                "isMonotonic": True,
                "dataPoints": [
                    {
                        "startTimeUnixNano": str(_BEGIN_NS),
                        "timeUnixNano": str(_END_NS),
                        "asDouble": 0.0042,
                        "attributes": _attributes(model="claude-sonnet-5"),
                    }
                ],
            },
        },
    ),
    "logs": _request(
        "Logs",
        "com.anthropic.claude_code.events",
        "logRecords",
        {
            "timeUnixNano": str(_END_NS),
            "body": {"stringValue": "claude_code.tool_result"},
            "attributes": [
                *_attributes(event__name="tool_result", tool_name="Bash", success="true", duration_ms="1990"),
                {"key": "event.sequence", "value": {"intValue": "7"}},
            ],
            "traceId": _TRACE_ID,
            "spanId": _SPAN_ID,
        },
    ),
}
"""OTLP/JSON by signal, one item each."""
