"""One session of an agent and one request to a shop, told by the official SDK; where to, and how, says the environment.

python otlp_client.py NAME  ──▶  {"turn", "shop"}: ids of the traces, as JSON

The name is the person's, and part of the ids of session and prompt. javascript/session.mjs tells the same.
"""

from __future__ import annotations

import json
import os
import sys
import time
from typing import Any, Final

from opentelemetry import trace
from opentelemetry._logs import LogRecord
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Span, StatusCode, Tracer

if os.environ["OTEL_EXPORTER_OTLP_PROTOCOL"] == "grpc":
    from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter
    from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
else:
    from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter  # type: ignore[assignment]
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter  # type: ignore[assignment]
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # type: ignore[assignment]

SCOPE: Final = "com.anthropic.claude_code"
NAME: Final = sys.argv[1]
WHO: Final = {"user.email": f"{NAME}@example.com", "session.id": f"{NAME}-session"}
TOKENS: Final = {"input": 10, "output": 20, "cacheRead": 60, "cacheCreation": 30}
USED: Final = {"input_tokens": 10, "output_tokens": 20, "cache_read_tokens": 60, "cache_creation_tokens": 30}
BEGIN_NS: Final = time.time_ns() - 20_000_000_000


def tracer_provider(service: str) -> TracerProvider:
    provider = TracerProvider(resource=Resource.create({"service.name": service}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return provider


def at(ms: int) -> int:
    return BEGIN_NS + ms * 1_000_000


def span(tracer: Tracer, parent: Span | None, name: str, from_ms: int, to_ms: int, **attributes: Any) -> Span:
    """Two underscores in the name of an attribute stand for a dot."""
    above = trace.set_span_in_context(parent) if parent else None
    named = {key.replace("__", "."): value for key, value in attributes.items()}
    made = tracer.start_span(name, above, attributes=named, start_time=at(from_ms))
    made.end(at(to_ms))
    return made


def agent_spans(tracer: Tracer) -> Span:
    who = {key.replace(".", "__"): value for key, value in WHO.items()}
    turn = span(tracer, None, "claude_code.interaction", 0, 10_000, **who, interaction__sequence=1)
    model = {"model": "claude-sonnet-5", "request_id": "req-1"}
    span(tracer, turn, "claude_code.llm_request", 0, 1_000, **who, **model, **USED, success=True)
    tool = span(tracer, turn, "claude_code.tool", 1_000, 6_000, **who, tool_name="Bash", tool_use_id="call-1")
    asked = {"decision": "accept", "source": "user_temporary"}
    span(tracer, tool, "claude_code.tool.blocked_on_user", 1_000, 4_000, **who, **asked)
    span(tracer, tool, "claude_code.tool.execution", 4_000, 6_000, **who, tool_use_id="call-1", success=True)
    return turn


def agent_logs(loggers: LoggerProvider, turn: Span) -> None:
    logger = loggers.get_logger(f"{SCOPE}.events", "2.1.329")
    bash = {"tool_name": "Bash", "tool_use_id": "call-1"}
    request = {
        "model": "claude-sonnet-5", "request_id": "req-1", "cost_usd": 0.75, "duration_ms": 1000,
        "query_source": "repl_main_thread", **USED,
    }  # fmt: skip
    told: tuple[tuple[str, int, dict[str, Any]], ...] = (
        ("user_prompt", 0, {"prompt_length": "9", "prompt": "my secret"}),
        ("api_request", 1_000, request),
        ("tool_decision", 1_000, {"tool_name": "Read", "decision": "accept", "source": "config"}),
        ("tool_decision", 4_000, {**bash, "decision": "accept", "source": "user_temporary"}),
        ("tool_result", 6_000, {**bash, "success": "true", "duration_ms": "2000"}),
    )
    for sequence, (name, ms, attributes) in enumerate(told):
        logger.emit(LogRecord(
            timestamp=at(ms), observed_timestamp=at(ms), context=trace.set_span_in_context(turn),
            body=f"claude_code.{name}",
            attributes={**WHO, "event.name": name, "event.sequence": sequence, "prompt.id": f"{NAME}-prompt", **attributes},
        ))  # fmt: skip


def agent_metrics(meters: MeterProvider) -> None:
    meter = meters.get_meter(SCOPE, "2.1.329")
    used = {**WHO, "model": "claude-sonnet-5", "query_source": "main"}
    cost = meter.create_counter("claude_code.cost.usage", unit="USD")
    tokens = meter.create_counter("claude_code.token.usage", unit="tokens")
    meter.create_counter("claude_code.session.count").add(1, {**WHO, "start_type": "fresh"})
    meter.create_counter("claude_code.active_time.total", unit="s").add(12.5, {**WHO, "type": "cli"})
    for kind, count in TOKENS.items():
        tokens.add(count, {**used, "type": kind})
    for _ in range(3):
        cost.add(0.25, used)
        meters.force_flush()


def main() -> None:
    resource = Resource.create({"service.name": "claude-code"})
    agent, shop = tracer_provider("claude-code"), tracer_provider("shop")
    loggers = LoggerProvider(resource=resource)
    loggers.add_log_record_processor(BatchLogRecordProcessor(OTLPLogExporter()))
    meters = MeterProvider([PeriodicExportingMetricReader(OTLPMetricExporter(), 3_600_000)], resource=resource)
    turn = agent_spans(agent.get_tracer(f"{SCOPE}.tracing", "1.0.0"))
    agent_logs(loggers, turn)
    agent_metrics(meters)
    tracer = shop.get_tracer("shop")
    basket = tracer.start_span("GET /basket", attributes={"http.response.status_code": 500}, start_time=at(0))
    basket.set_status(StatusCode.ERROR)
    basket.end(at(40))
    span(tracer, basket, "SELECT", 10, 25, db__query__text="my secret")
    for provider in (agent, shop, loggers, meters):
        provider.shutdown()
    ids = {"turn": turn.get_span_context().trace_id, "shop": basket.get_span_context().trace_id}
    print(json.dumps({name: f"{trace_id:032x}" for name, trace_id in ids.items()}))


if __name__ == "__main__":
    main()
