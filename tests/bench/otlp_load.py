"""Spans as Claude Code sends them: bodies, and a process that posts them and measures how long each waits for its answer.

Run by the section as `python -m tests.bench.otlp_load`, options as JSON on standard input, findings on standard output.
Every body is sent with new trace ids, or the server would take it for a copy; nothing else is done between two requests.
"""

from __future__ import annotations

import base64
import json
import os
import select
import socket
import subprocess
import sys
import time
from typing import Any, Final, NamedTuple

import msgspec
from google.protobuf import json_format
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from tests.bench.load import is_whole
from tests.bench.report import percentile

JSON: Final = "application/json"
PROTOBUF: Final = "application/x-protobuf"
BODIES: Final = 16
_TRACE: Final = bytes(range(16))
"""Stands in a body where each request has another id."""


class Posted(NamedTuple):
    """What was acknowledged, over how long, and the latency of one request."""

    spans: int
    seconds: float
    p50_ms: float
    p99_ms: float
    cpu_seconds: float


def post(url: str, token: str, media_type: str, batch: int, connections: int, seconds: float) -> Posted:
    """Post batches of so many spans over so many connections; anything but 200 is an error."""
    options = {
        "url": url, "token": token, "media_type": media_type, "batch": batch, "connections": connections,
        "seconds": seconds,
    }  # fmt: skip
    finished = subprocess.run(
        [sys.executable, "-m", "tests.bench.otlp_load"],
        input=json.dumps(options), capture_output=True, text=True, check=False,
    )  # fmt: skip
    if finished.returncode:
        raise RuntimeError(finished.stderr)
    return Posted(*json.loads(finished.stdout))


def body(media_type: str, batch: int, variant: int, time_ns: int) -> bytes:
    """A request with one turn of an agent: its interaction and rounds of request, tool call, permission, execution."""
    request = _request(batch, variant, time_ns)
    if media_type == JSON:
        return msgspec.json.encode(request)
    return json_format.ParseDict(_with_base64_ids(request), ExportTraceServiceRequest()).SerializeToString()


def placeholder(media_type: str) -> bytes:
    """What stands for the trace id in a body of this encoding."""
    return _TRACE.hex().encode() if media_type == JSON else _TRACE


def trace_id(media_type: str) -> bytes:
    """A new one, to be put there."""
    made = os.urandom(16)
    return made.hex().encode() if media_type == JSON else made


def _request(batch: int, variant: int, time_ns: int) -> dict[str, Any]:
    resource = {
        "service.name": "claude-code", "service.version": "2.1.289", "os.type": "linux", "os.version": "6.8.0-00-generic",
        "host.arch": "amd64",
    }  # fmt: skip
    spans = [_span(number, variant, time_ns) for number in range(batch)]
    scope = {"name": "com.anthropic.claude_code.tracing", "version": "1.0.0"}
    return {
        "resourceSpans": [
            {"resource": {"attributes": _pairs(resource)}, "scopeSpans": [{"scope": scope, "spans": spans}]}
        ]
    }


def _span(number: int, variant: int, time_ns: int) -> dict[str, Any]:
    common = {
        "user.id": f"{variant:064x}", "session.id": f"7c6a1f0e-0000-4000-8000-{variant:012x}",
        "organization.id": "2f0c8a52-0000-4000-8000-000000000001", "user.email": f"somebody-{variant}@example.com",
        "user.account_uuid": f"5d5d5d5d-0000-4000-8000-{variant:012x}", "terminal.type": "vscode",
    }  # fmt: skip
    tool = {
        "tool_name": ("Bash", "Read", "Edit", "Grep")[number // 4 % 4],
        "tool_use_id": f"toolu_{variant:04}{number // 4:06}",
    }
    kinds: tuple[tuple[str, dict[str, Any]], ...] = (
        ("llm_request", {
            "model": "claude-sonnet-5", "gen_ai.system": "anthropic", "gen_ai.request.model": "claude-sonnet-5",
            "llm_request.context": "interaction", "duration_ms": 3200, "ttft_ms": 850, "input_tokens": 12,
            "output_tokens": 310, "cache_read_tokens": 18000 + number, "cache_creation_tokens": 900, "attempt": 1,
            "success": True, "stop_reason": "tool_use", "request_id": f"req_{variant:06}{number:06}",
            "gen_ai.response.finish_reasons": ["tool_use"],
        }),
        ("tool", {**tool, "duration_ms": 2100, "gen_ai.tool.call.id": tool["tool_use_id"]}),
        ("tool.blocked_on_user", {"duration_ms": 100, "decision": "accept", "source": "config"}),
        ("tool.execution", {**tool, "duration_ms": 1990, "success": True}),
    )  # fmt: skip
    interaction: dict[str, Any] = {
        "user_prompt": "<REDACTED>", "user_prompt_length": 42, "interaction.sequence": 1, "parent.source": "none",
        "interaction.duration_ms": 7400,
    }  # fmt: skip
    name, own = kinds[(number - 1) % 4] if number else ("interaction", interaction)
    start_ns = time_ns + number * 50_000_000
    span: dict[str, Any] = {
        "traceId": _TRACE.hex(), "spanId": f"{number + 1:016x}", "name": f"claude_code.{name}", "kind": 1,
        "startTimeUnixNano": str(start_ns), "endTimeUnixNano": str(start_ns + own.get("duration_ms", 7400) * 1_000_000),
        "attributes": _pairs({**common, "span.type": name, **own}), "droppedAttributesCount": 0, "events": [],
        "links": [], "status": {"code": 0}, "flags": 257,
    }  # fmt: skip
    if number:
        span["parentSpanId"] = f"{1 if (number - 1) % 4 < 2 else number:016x}"
    return span


def _pairs(attributes: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"key": key, "value": _value(value)} for key, value in attributes.items()]


def _value(value: Any) -> dict[str, Any]:
    if isinstance(value, list):
        return {"arrayValue": {"values": [_value(one) for one in value]}}
    return {{bool: "boolValue", int: "intValue", str: "stringValue"}[type(value)]: value}


def _with_base64_ids(value: Any) -> Any:
    """The standard JSON mapping of protobuf, which differs from OTLP/JSON in the ids."""
    if isinstance(value, dict):
        return {
            key: base64.b64encode(bytes.fromhex(one)).decode() if key in {"traceId", "spanId", "parentSpanId"}
            else _with_base64_ids(one)
            for key, one in value.items()
        }  # fmt: skip
    return [_with_base64_ids(one) for one in value] if isinstance(value, list) else value


def main() -> None:
    given = json.load(sys.stdin)
    media_type, batch = given["media_type"], given["batch"]
    host, port = given["url"].removeprefix("http://").split(":")
    bodies = [body(media_type, batch, variant, time.time_ns()) for variant in range(BODIES)]
    heads = [
        f"POST /v1/traces HTTP/1.1\r\nHost: {host}:{port}\r\nAuthorization: Bearer {given['token']}\r\n"
        f"User-Agent: OTel-OTLP-Exporter-JavaScript/0.208.0\r\nContent-Type: {media_type}\r\n"
        f"Content-Length: {len(one)}\r\n\r\n".encode()
        for one in bodies
    ]
    old = placeholder(media_type)
    poll = select.epoll()
    sockets: dict[int, tuple[socket.socket, float]] = {}
    unfinished: dict[int, bytes] = {}
    latencies: list[float] = []
    sent = 0

    def send(connection: socket.socket) -> None:
        nonlocal sent
        variant = sent % BODIES
        message = heads[variant] + bodies[variant].replace(old, trace_id(media_type))
        sockets[connection.fileno()] = connection, time.perf_counter()
        connection.sendall(message)
        sent += 1

    began, used = time.perf_counter(), time.process_time()
    for _ in range(given["connections"]):
        connection = socket.create_connection((host, int(port)))
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        poll.register(connection, select.EPOLLIN)
        send(connection)
    while sockets:
        over = time.perf_counter() > began + given["seconds"]
        for descriptor, _event in poll.poll(0.1):
            connection, started = sockets[descriptor]
            answer = unfinished.pop(descriptor, b"") + connection.recv(65_536)
            if not answer.startswith(b"HTTP/1.1 200"):
                raise RuntimeError(f"answered {answer!r}")
            if not is_whole(answer):
                unfinished[descriptor] = answer
                continue
            latencies.append(1000 * (time.perf_counter() - started))
            del sockets[descriptor]
            if over:
                connection.close()
            else:
                send(connection)
    seconds = time.perf_counter() - began
    found = Posted(
        sent * batch, seconds, percentile(latencies, 0.5), percentile(latencies, 0.99), time.process_time() - used
    )
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()
