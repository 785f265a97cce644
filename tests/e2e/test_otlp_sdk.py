"""The official OpenTelemetry SDK against a running server, and settings exactly as `raingauge connect` prints them."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from typing import Any

import pytest
from tests.support.server import Server, until

PROGRAM = """
import sys, time
from opentelemetry import trace
from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

resource = Resource({"service.name": "claude-code"})
who = {"user.email": "sdk@example.com", "session.id": "sdk-session"}

tracers = TracerProvider(resource=resource)
tracers.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
tracer = tracers.get_tracer("com.anthropic.claude_code.tracing")
loggers = LoggerProvider(resource=resource)
loggers.add_log_record_processor(BatchLogRecordProcessor(OTLPLogExporter()))
logger = loggers.get_logger("com.anthropic.claude_code.events")
with tracer.start_as_current_span("claude_code.interaction", attributes=who) as root:
    context = trace.set_span_in_context(root)
    with tracer.start_as_current_span("claude_code.tool", attributes={**who, "tool_name": "Bash"}):
        pass
    now = time.time_ns()
    logger.emit(LogRecord(
        timestamp=now, observed_timestamp=now, context=context, severity_number=SeverityNumber.INFO,
        body="claude_code.user_prompt",
        attributes={**who, "event.name": "user_prompt", "event.sequence": 1, "prompt.id": "sdk-prompt"},
    ))

meters = MeterProvider([PeriodicExportingMetricReader(OTLPMetricExporter(), 3_600_000)], resource=resource)
counter = meters.get_meter("com.anthropic.claude_code").create_counter("claude_code.cost.usage", unit="USD")
for _ in range(3):
    counter.add(0.25, {**who, "model": "claude-sonnet-5"})
    meters.force_flush()
for provider in (tracers, loggers, meters):
    provider.shutdown()
"""


def exported(printed: str) -> dict[str, str]:
    """The variables of a shell form."""
    return dict(re.findall(r"^export (\w+)='?([^'\n]*)'?$", printed, re.MULTILINE))


def asked(server: Server, token: str, path: str, **query: str) -> Any:
    with server.client(token) as http:
        return http.get(f"/api/{path}", params=query).raise_for_status().json()["data"]


@pytest.mark.parametrize(("form", "temporality"), [("claude-code", "delta"), ("otel", "cumulative")])
def test_sdk_exports_with_exactly_what_is_printed(server: Server, form: str, temporality: str) -> None:
    """Spans, logs and metrics of the official exporters are read back with their exact numbers."""
    account = server.issue("--name", f"{form} {temporality}", "--scope", "ingest,read")
    printed = server.run("connect", form, "--endpoint", server.url, "--token", account["token"]).stdout
    settings = (
        json.loads(printed[printed.index("{") : printed.rindex("}") + 1])["env"]
        if form == "claude-code"
        else exported(printed)
    )
    environment = {
        "PATH": "/usr/bin:/bin",
        **settings,
        "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE": temporality,
    }
    done = subprocess.run([sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True, check=False)
    assert (0, "") == (done.returncode, done.stderr)
    token = account["token"]
    trend = until(lambda: (found := asked(server, token, "cost-trend"))["total_usd"] and found)
    assert (0.75, ["sdk@example.com"]) == (trend["total_usd"], [row["label"] for row in trend["totals"]])
    tree = until(lambda: (found := asked(server, token, "spans/tree", prompt="sdk-prompt"))["nodes"] and found)
    assert [("interaction", 0), ("tool", 1)] == [(node["kind"], node["depth"]) for node in tree["nodes"]]
    users = asked(server, token, "active-users")["users"]
    assert [("sdk@example.com", 1, 1, 0.75)] == [
        (row["user_name"], row["sessions"], row["prompts"], row["cost_usd"]) for row in users
    ]


def test_other_clients_get_the_address_and_the_token(server: Server) -> None:
    """What is printed for each client parses in its own syntax and names this server and the token."""
    token = server.issue("--name", "printed")["token"]

    def printed(client: str) -> str:
        return server.run("connect", client, "--endpoint", server.url, "--token", token).stdout

    codex = tomllib.loads(printed("codex"))["otel"]
    assert {
        "endpoint": f"{server.url}/v1/logs", "protocol": "binary", "headers": {"Authorization": f"Bearer {token}"},
    } == codex["exporter"]["otlp-http"]  # fmt: skip
    assert f"{server.url}/k/{token}" == exported(printed("gemini"))["GEMINI_TELEMETRY_OTLP_ENDPOINT"]
    sdk = exported(printed("agent-sdk"))
    assert ("raingauge.source=agent_sdk", server.url) == (
        sdk["OTEL_RESOURCE_ATTRIBUTES"],
        sdk["OTEL_EXPORTER_OTLP_ENDPOINT"],
    )
