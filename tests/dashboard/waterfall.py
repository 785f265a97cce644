"""One prompt with as many steps as a dashboard must bear, as an agent's client sends it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import httpx

STEPS = 50_000
TRACE = "5eed" * 8
PROMPT = "00000000-0000-4000-8000-000000050000"
_AT_ONCE = 2_500
_STANDARD = {"user.email": "ada@example.com", "session.id": "11111111-0000-4000-8000-000000050000"}


def _attributes(values: dict[str, str | int]) -> list[dict[str, object]]:
    return [
        {"key": key, "value": {"intValue": str(value)} if isinstance(value, int) else {"stringValue": value}}
        for key, value in values.items()
    ]


def _span(
    number: int, parent: int | None, kind: str, start_ms: int, took_ms: int, **about: str | int
) -> dict[str, object]:
    return {
        "traceId": TRACE, "spanId": f"{number + 1:016x}", "name": f"claude_code.{kind}", "kind": 1,
        "parentSpanId": "" if parent is None else f"{parent + 1:016x}",
        "startTimeUnixNano": f"{start_ms}000000", "endTimeUnixNano": f"{start_ms + took_ms}000000",
        "attributes": _attributes({**_STANDARD, "span.type": kind, **about}), "status": {"code": 0},
    }  # fmt: skip


def spans(steps: int = STEPS) -> Iterator[dict[str, object]]:
    """The interaction, subagents below it, and below each a model request, then tools with their waiting and running."""
    begin_ms = int((datetime.now(UTC) - timedelta(hours=2)).timestamp() * 1000)
    yield _span(0, None, "interaction", begin_ms, steps * 100)
    agent = 0
    for number in range(1, steps):
        at_ms, place = begin_ms + number * 100, number % 500
        if place == 1:
            agent = number
            yield _span(number, 0, "tool", at_ms, 49_000, tool_name="Agent", agent_id=f"agent{number // 500}")
        elif place % 4 == 2:
            yield _span(
                number, agent, "llm_request", at_ms, 90, model="claude-sonnet-5", input_tokens=2_000, output_tokens=40
            )
        elif place % 4 == 3:
            yield _span(number, agent, "tool", at_ms, 290, tool_name="Bash", tool_use_id=f"toolu_{number}")
        elif place % 4 == 0:
            yield _span(number, number - 1 if place else agent, "tool.blocked_on_user", at_ms, 80, duration_ms=80)
        else:
            yield _span(number, number - 2, "tool.execution", at_ms, 90, duration_ms=90, success="true")


def send(http: httpx.Client, steps: int = STEPS) -> None:
    """Post all of it to a server; `http` presents a token that may send."""
    resource = {"attributes": _attributes({"service.name": "claude-code", "service.version": "2.1.329"})}
    scope = {"name": "com.anthropic.claude_code.tracing", "version": "1.0.0"}
    everything = list(spans(steps))
    for start in range(0, steps, _AT_ONCE):
        some = everything[start : start + _AT_ONCE]
        message = {"resourceSpans": [{"resource": resource, "scopeSpans": [{"scope": scope, "spans": some}]}]}
        _post(http, "/v1/traces", message)
    asked = {
        "timeUnixNano": everything[0]["startTimeUnixNano"], "traceId": TRACE, "spanId": f"{1:016x}",
        "body": {"stringValue": "claude_code.user_prompt"},
        "attributes": _attributes({**_STANDARD, "event.name": "user_prompt", "prompt.id": PROMPT, "prompt_length": 12}),
    }  # fmt: skip
    scope = {"name": "com.anthropic.claude_code.events", "version": "2.1.329"}
    _post(
        http,
        "/v1/logs",
        {"resourceLogs": [{"resource": resource, "scopeLogs": [{"scope": scope, "logRecords": [asked]}]}]},
    )


def _post(http: httpx.Client, path: str, message: object) -> None:
    body = json.dumps(message).encode()
    http.post(path, content=body, headers={"Content-Type": "application/json"}).raise_for_status()
