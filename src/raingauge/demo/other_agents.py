"""Sessions as Codex (OTLP/protobuf) and Gemini CLI (OTLP/JSON) report them: events only."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Final

from google.protobuf.json_format import ParseDict
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

from raingauge.demo.wire import PROTOBUF, Request, Value, attributes, envelope, export
from raingauge.demo.work import Call, Prompt, Session, Step

SENDER: Final = "agents"
_CODEX_VERSION: Final = "0.160.0"
_TOOLS: Final = {"Bash": "shell", "Edit": "apply_patch", "Write": "apply_patch"}
_GEMINI_TOOLS: Final = {
    "Bash": "run_shell_command", "Edit": "replace", "Write": "write_file", "Grep": "search_file_content",
    "WebFetch": "web_fetch",
}  # fmt: skip


def codex(session: Session) -> Iterator[Request]:
    """What one Codex conversation sends. It counts cached tokens as input and writes most numbers as text."""
    person = session.person
    common: dict[str, Value] = {
        "conversation.id": session.id, "app.version": _CODEX_VERSION, "originator": "codex_cli_rs",
        "user.account_id": f"account-{person.name.lower().replace(' ', '-')}", "user.email": person.email,
        "auth_mode": "ChatGPT", "model": person.model,
    }  # fmt: skip
    records = []
    for prompt in session.prompts:
        asked: dict[str, Value] = {"prompt_length": str(prompt.length), "prompt": "[REDACTED]"}
        records.append(_record(prompt.at_us, {"event.name": "codex.user_prompt", **common, **asked}))
        for step in _in_time(prompt):
            records += [_record(step.end_us, {**common, **about}) for about in _codex_events(step)]
    resource: dict[str, Value] = {
        "service.name": "codex_cli_rs", "service.version": _CODEX_VERSION, "env": "dev", "team.id": person.team,
        "vcs.repository.url.full": f"https://github.com/{person.repository}",
    }  # fmt: skip
    message = ParseDict(envelope("Logs", resource, {"name": "codex_otel"}, records), ExportLogsServiceRequest())
    body = gzip.compress(message.SerializeToString(), 1, mtime=0)
    yield Request(SENDER, "/v1/logs", body, len(records), PROTOBUF, "gzip")


def gemini(session: Session) -> Iterator[Request]:
    """What one session of Gemini CLI sends. It tells thinking and cached tokens apart and has no cost."""
    person = session.person
    common: dict[str, Value] = {
        "session.id": session.id, "installation.id": f"installation-{person.name.lower().replace(' ', '-')}",
        "user.email": person.email,
    }  # fmt: skip
    records = []
    for prompt in session.prompts:
        asked: dict[str, Value] = {"event.name": "gemini_cli.user_prompt", "prompt_length": prompt.length}
        records.append(_record(prompt.at_us, {**common, **asked, "prompt_id": prompt.id}, prompt.trace_id))
        for step in _in_time(prompt):
            about = {**common, **_gemini_event(step), "prompt_id": prompt.id}
            records.append(_record(step.end_us, about, prompt.trace_id))
    resource: dict[str, Value] = {
        "service.name": "gemini-cli", "service.version": "v22.20.0", "session.id": session.id, "team.id": person.team,
        "vcs.repository.url.full": f"https://github.com/{person.repository}",
    }  # fmt: skip
    yield export(SENDER, "Logs", envelope("Logs", resource, {"name": "gemini-cli"}, records), len(records))


def _in_time(prompt: Prompt) -> list[Step]:
    return sorted(prompt.walk(), key=lambda step: step.end_us)


def _codex_events(step: Step) -> Iterator[dict[str, Value]]:
    if isinstance(step, Call):
        if step.error:
            yield {
                "event.name": "codex.api_request",
                "duration_ms": str(step.duration_ms),
                "http.response.status_code": 503,
            }
            return
        whole = step.input_tokens + step.cache_read_tokens + step.cache_creation_tokens
        yield {
            "event.name": "codex.sse_event", "event.kind": "response.completed", "input_token_count": str(whole),
            "output_token_count": str(step.output_tokens), "cached_token_count": step.cache_read_tokens,
            "reasoning_token_count": step.output_tokens // 3, "duration_ms": str(step.duration_ms),
        }  # fmt: skip
        return
    use: dict[str, Value] = {"tool_name": _TOOLS.get(step.name, "shell"), "call_id": step.use_id}
    decision = "denied" if step.decision == "reject" else "approved"
    by = "Config" if step.decided_by == "config" else "User"
    yield {"event.name": "codex.tool_decision", "decision": decision, "source": by, **use}
    if step.decision == "accept":
        success = "false" if step.error else "true"
        yield {"event.name": "codex.tool_result", "duration_ms": str(step.run_ms), "success": success, **use}


def _gemini_event(step: Step) -> dict[str, Value]:
    if isinstance(step, Call):
        about: dict[str, Value] = {"model": step.model, "duration_ms": step.duration_ms}
        if step.error:
            return about | {"event.name": "gemini_cli.api_error", "status_code": 503}
        whole = step.input_tokens + step.cache_read_tokens + step.cache_creation_tokens
        thoughts = step.output_tokens // 4
        return about | {
            "event.name": "gemini_cli.api_response", "status_code": 200, "input_token_count": whole,
            "output_token_count": step.output_tokens - thoughts, "thoughts_token_count": thoughts,
            "cached_content_token_count": step.cache_read_tokens, "tool_token_count": 0,
            "total_token_count": whole + step.output_tokens,
        }  # fmt: skip
    asked = step.decided_by != "config"
    decision = "reject" if step.decision == "reject" else "accept" if asked else "auto_accept"
    return {
        "event.name": "gemini_cli.tool_call", "function_name": _GEMINI_TOOLS.get(step.name, "read_file"),
        "duration_ms": step.run_ms, "success": step.decision == "accept" and not step.error, "decision": decision,
        "tool_type": "native",
    }  # fmt: skip


def _record(at_us: int, about: dict[str, Value], trace_id: str = "") -> dict[str, Any]:
    at_ms = at_us // 1000
    moment = datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    record = {
        "timeUnixNano": f"{at_us}000", "observedTimeUnixNano": f"{at_us}000",
        "attributes": attributes({**about, "event.timestamp": moment}), "droppedAttributesCount": 0,
    }  # fmt: skip
    if trace_id:
        record |= {"traceId": trace_id, "spanId": trace_id[:16]}
    return record
