"""A customer with too many series, through the running program."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.support.server import Server, balanced, running

pytestmark = pytest.mark.e2e


def metrics(*runs: str) -> dict[str, Any]:
    """A sum with one point for each run."""
    now = str(time.time_ns())
    points = [
        {"attributes": [{"key": "run", "value": {"stringValue": run}}], "timeUnixNano": now, "asDouble": 1.0}
        for run in runs
    ]
    metric = {"name": "runs", "sum": {"dataPoints": points, "aggregationTemporality": 1, "isMonotonic": True}}
    return {"resourceMetrics": [{"scopeMetrics": [{"metrics": [metric]}]}]}


def send(server: Server, body: dict[str, Any]) -> None:
    with server.client() as http:
        assert (200, {}) == ((answer := http.post("/v1/metrics", json=body)).status_code, answer.json())


def test_overflow_is_counted_and_survives_a_restart(tmp_path: Path) -> None:
    """Senders are not bothered; the overflow shows in the accounting and in our metrics, and adds up."""
    with running(tmp_path / "data", otlp_series_per_day=2) as server:
        send(server, metrics("a", "b", "c"))
        assert {"received": 3, "stored": 2, "rejected": 1} == server.accounting()["otlp"]
        server.stop()
        server.start()
        send(server, metrics("c", "a", "d"))
        counted = server.accounting()["otlp"]
        assert {"received": 6, "stored": 3, "rejected": 3} == counted
        assert balanced(counted)
        line = 'raingauge_items_total{contract="otlp",outcome="rejected",reason="series_limit"} 3.0'
        assert line in httpx.get(f"{server.url}/-/metrics").text.splitlines()
