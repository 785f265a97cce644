"""How long after its 202 a loop is in `/v1/events`. The reference is the read itself, without anything new."""

from __future__ import annotations

import random
import time

from tests.bench.loops import loop
from tests.bench.report import Report, Spread, percentile
from tests.support.server import running

SAMPLES = 12


def run(report: Report) -> None:
    made = random.Random(7)
    waits: list[float] = []
    reads: list[float] = []
    with running(report.scratch / "visible") as server, server.client() as http:
        for number in range(SAMPLES):
            name = f"visible-{number}"
            http.post("/v1/aggregate", json={**loop(made, number), "workload_id": name}).raise_for_status()
            acknowledged = time.perf_counter()
            while name not in http.get("/v1/events", params={"limit": 1000}).raise_for_status().text:
                time.sleep(0.01)
            waits.append(time.perf_counter() - acknowledged)
            started = time.perf_counter()
            http.get("/v1/events", params={"limit": 1000})
            reads.append(time.perf_counter() - started)
    rows = [
        (name, Spread.of(values), percentile(values, 0.95)) for name, values in (("visible", waits), ("a read", reads))
    ]
    report.table(
        "Visible: seconds from 202 to `/v1/events`",
        f"{SAMPLES} loops, one after the other, asked for every 10 ms. A lone loop waits 0.2 s for company by design.",
        ("what", "seconds", "p95 s"),
        [(name, spread, f"{p95:.3g}") for name, spread, p95 in rows],
    )
