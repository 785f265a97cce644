"""The official Python SDK sends protobuf to a running server, with settings exactly as `raingauge connect` prints them."""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path

import pytest
from tests.e2e.otlp_session import TEMPORALITY, exported, printed, told
from tests.support.server import Server

pytestmark = pytest.mark.e2e

PROGRAM = [sys.executable, str(Path(__file__).parent / "otlp_client.py")]


def codex_as_variables(text: str) -> dict[str, str]:
    """The variables that say what Codex's configuration says: it has an exporter, and its headers, per signal."""
    configured = tomllib.loads(text)["otel"]
    assert not configured["log_user_prompt"]
    variables = {"OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"}
    for signal, name in (("LOGS", "exporter"), ("TRACES", "trace_exporter"), ("METRICS", "metrics_exporter")):
        exporter = configured[name]["otlp-http"]
        assert "binary" == exporter["protocol"]
        variables[f"OTEL_EXPORTER_OTLP_{signal}_ENDPOINT"] = exporter["endpoint"]
        headers = ",".join(f"{key}={value}" for key, value in exporter["headers"].items())
        variables[f"OTEL_EXPORTER_OTLP_{signal}_HEADERS"] = headers
    return variables


@pytest.mark.parametrize(
    ("form", "temporality", "source"),
    [
        ("agent-sdk", "delta", "agent_sdk"),
        ("claude-code-shell", "delta", "claude_code"),
        ("codex", "cumulative", "claude_code"),
    ],
)
def test_sdk_exports_with_exactly_what_is_printed(server: Server, form: str, temporality: str, source: str) -> None:
    """Spans, logs and metrics of the official exporters are read back with their exact numbers."""
    text = printed(server, form)
    settings = codex_as_variables(text) if form == "codex" else exported(text)
    told(server, PROGRAM, f"python-{form}", {**settings, TEMPORALITY: temporality}).arrived(source)
