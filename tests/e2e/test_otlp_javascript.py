"""The official JavaScript SDK, the one that most agents are built with, sends OTLP/JSON to a running server."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.e2e.otlp_session import TEMPORALITY, exported, printed, told
from tests.support.server import Server

pytestmark = pytest.mark.e2e

PROGRAM = ["node", str(Path(__file__).parent / "javascript" / "session.mjs")]


@pytest.mark.parametrize(("form", "temporality"), [("claude-code", "delta"), ("otel", "cumulative")])
def test_javascript_exporters_work_with_what_is_printed(server: Server, form: str, temporality: str) -> None:
    """Spans, logs and metrics are read back with their exact numbers: plain by managed settings, else with gzip."""
    text = printed(server, form)
    settings = json.loads(text[text.index("{") : text.rindex("}") + 1])["env"] if "{" in text else exported(text)
    told(server, PROGRAM, f"js-{form}", {**settings, TEMPORALITY: temporality}).read_back()


def test_javascript_exporters_work_with_what_gemini_gets(server: Server) -> None:
    """Gemini CLI hands its endpoint to these exporters and sends no headers, so the address carries the token."""
    gemini = exported(printed(server, "gemini"))
    assert ("true", "http", "false") == tuple(
        gemini[f"GEMINI_TELEMETRY_{name}"] for name in ("ENABLED", "OTLP_PROTOCOL", "LOG_PROMPTS")
    )
    settings = {"OTEL_EXPORTER_OTLP_ENDPOINT": gemini["GEMINI_TELEMETRY_OTLP_ENDPOINT"]}
    told(server, PROGRAM, "js-gemini", settings).arrived()
