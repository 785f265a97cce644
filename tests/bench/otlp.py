"""Agents: spans per second until they can be read, bytes of a span on disk, panels over 30 days, a tree of 50,000 spans.

The panels are read through HTTP over a month of 100 people, ten facts per event that is asked for (10 million unless
`--events` says otherwise). Each is read twice in every round: after new facts came, so that nothing can be answered from
what is remembered, and once more. References: `/health`, which is what HTTP alone costs, and the rate at which one process
decodes the same bodies and does nothing else.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from functools import cache
from pathlib import Path
from typing import Any, Final, NamedTuple

import httpx
from tests.bench.otlp_least import least
from tests.bench.otlp_load import JSON, PROTOBUF, Posted, body, placeholder, post, trace_id
from tests.bench.otlp_month import LONG_SPANS
from tests.bench.processes import cpu_seconds, family
from tests.bench.report import Report, Spread, figure, percentile
from tests.support.server import Server, running, until

WORKERS: Final = os.cpu_count() or 1
"""Decoding takes most of the time, so the machine's cores decide."""
MARK_SPANS_PER_SECOND: Final = 60_000
MARK_SPAN_BYTES: Final = 40
MARK_PANEL_MS: Final = 50
ROUNDS: Final = 20
SECONDS: Final = 8.0
CONNECTIONS: Final = 8
SETTLE_SECONDS: Final = 120.0

PANELS: Final = (
    "rollups",
    *(f"cost-trend?by={by}" for by in ("user", "repo", "model", "source", "query_source", "effort", "team")),
    "cache-hit",
    "tool-decisions",
    "active-users",
    "top-prompts?limit=200",
    "top-prompts",
    "subagent-stats",
)
"""As the dashboard asks, and `top-prompts` with the 1,000 rows that are the default besides."""


class Month(NamedTuple):
    """A stopped server over its filled directory, and what filling it told."""

    server: Server
    facts: int
    found: dict[str, Any]


@cache
def month(directory: Path, facts: int) -> Month:
    """Made once per run."""
    server = Server(directory / "month").start()
    server.stop()
    finished = subprocess.run(
        [sys.executable, "-m", "tests.bench.otlp_month", server.customer, str(facts)],
        env=server.environment, stdout=subprocess.PIPE, text=True, check=True,
    )  # fmt: skip
    return Month(server, facts, json.loads(finished.stdout.splitlines()[-1]))


class Reads(NamedTuple):
    """Milliseconds of each read, and CPU of all the server's processes for one."""

    fresh_ms: list[float]
    again_ms: list[float]
    fresh_cpu_ms: float
    again_cpu_ms: float


def used(server: Server) -> float:
    return sum(cpu_seconds(pid) for pid in family(server.pids[0]))


def timed(http: httpx.Client, path: str) -> float:
    started = time.perf_counter()
    http.get(path).raise_for_status()
    return 1e3 * (time.perf_counter() - started)


def read(server: Server, http: httpx.Client, panel: str, since: str) -> Reads:
    """A panel over this window: each time with facts that came after the time before, and again without."""
    path = f"/api/{panel}{'&' if '?' in panel else '?'}since={since}"
    fresh: list[float] = []
    again: list[float] = []
    cpu = [0.0, 0.0]
    for _ in range(ROUNDS):
        arrive(http)
        for place, times in enumerate((fresh, again)):
            before = used(server)
            times.append(timed(http, path))
            cpu[place] += used(server) - before
    return Reads(fresh, again, *(1e3 * seconds / ROUNDS for seconds in cpu))


def arrive(http: httpx.Client) -> None:
    """Have an event and a span of each kind stored."""
    spans = body(JSON, 5, 0, time.time_ns()).replace(placeholder(JSON), trace_id(JSON))
    http.post("/v1/traces", content=spans, headers={"Content-Type": JSON}).raise_for_status()
    drained(http)


def drained(http: httpx.Client) -> None:
    until(lambda: http.get("/api/system").json()["installation"]["queue_messages"] == 0 or None, SETTLE_SECONDS)


def panels(report: Report) -> None:
    filled = month(report.scratch, 10 * report.events)
    server = filled.server.start()
    rows: list[tuple[object, ...]] = []
    try:
        with server.client() as http:
            for since in ("7d", "30d"):
                for panel in PANELS:
                    reads = read(server, http, panel, since)
                    rows.append(
                        (
                            f"{panel} {since}",
                            Spread.of(reads.fresh_ms),
                            figure(percentile(reads.fresh_ms, 0.95)),
                            figure(reads.fresh_cpu_ms),
                            Spread.of(reads.again_ms),
                            figure(percentile(reads.again_ms, 0.95)),
                            figure(reads.again_cpu_ms),
                        )
                    )
            tree = f"/api/spans/tree?session={filled.found['long_session']}&limit={LONG_SPANS}"
            drawn = http.get(tree).raise_for_status().json()["data"]
            assert (LONG_SPANS, False) == (drawn["spans"], drawn["truncated"])
            for name, path in ((f"tree of {LONG_SPANS:,} spans", tree), ("/health", "/health")):
                before = used(server)
                times = [timed(http, path) for _ in range(5)]
                cpu = 1e3 * (used(server) - before) / 5
                rows.append((name, Spread.of(times), figure(percentile(times, 0.95)), figure(cpu), "", "", ""))
    finally:
        server.stop()
    report.table(
        f"Agents: reading {filled.facts:,} facts of 30 days",
        f"{ROUNDS} rounds, through HTTP, one read at a time. The mark is {MARK_PANEL_MS} ms for 95 % of reads.",
        ("read", "after new facts, ms", "p95 ms", "CPU ms", "again, ms", "p95 ms", "CPU ms"),
        rows,
    )
    tables = filled.found["tables"]
    report.table(
        "Agents: on disk",
        f"Ids are random like real ones. The mark is {MARK_SPAN_BYTES} bytes per span. Summing up all days took "
        f"{figure(filled.found['sums'])} s.",
        ("table", "rows", "bytes/row"),
        [(name, f"{count:,}", f"{size / count:.1f}") for name, (count, size) in sorted(tables.items()) if count > 1000],
    )


def decoded_per_second(media_type: str, batch: int) -> Spread:
    """Spans that one process decodes in a second of its time, in rounds."""
    from raingauge.contract import Received
    from raingauge.contracts.otlp import OTLP

    (intake,) = (one for one in OTLP.intakes if one.name == "otlp.traces")
    bodies = [body(media_type, batch, variant, time.time_ns()) for variant in range(16)]
    received = Received(int(time.time() * 1e6), "cust_0123456789abcdef", media_type, identity_key=bytes(32))
    rates = []
    for _ in range(7):
        began = time.process_time()
        items = sum(intake.decode(one, received).items for one in bodies)
        rates.append(items / (time.process_time() - began))
    return Spread.of(rates)


def arrivals(report: Report) -> None:
    rows: list[tuple[object, ...]] = []
    for media_type, batch in ((JSON, 100), (PROTOBUF, 100), (JSON, 10), (PROTOBUF, 10)):
        name = f"{media_type.rpartition('/')[2]}, {batch} spans"
        data_dir = report.scratch / f"arrivals-{name.replace(' ', '')}"
        with running(data_dir, decode_workers=WORKERS) as server, server.client() as http:
            before = used(server)
            began = time.perf_counter()
            posted: Posted = post(server.url, server.token, media_type, batch, CONNECTIONS, SECONDS)
            drained(http)
            queryable_seconds = time.perf_counter() - began
            cpu = used(server) - before
            stored = server.accounting()["otlp"]
            assert posted.spans == stored["stored"], stored
        rows.append(
            (
                name,
                figure(posted.spans / posted.seconds),
                figure(posted.spans / queryable_seconds),
                figure(posted.p50_ms),
                figure(posted.p99_ms),
                figure(1e6 * cpu / posted.spans),
                figure(1e6 * posted.cpu_seconds / posted.spans),
                decoded_per_second(media_type, batch),
            )
        )
    report.table(
        "Agents: spans per second",
        f"{CONNECTIONS} connections for {SECONDS:g} s into an empty server with {WORKERS} decoding processes, sent from "
        "the same machine. Readable: until "
        f"the last one can be read. The mark is {MARK_SPANS_PER_SECOND:,} spans/s.",
        (
            "batches",
            "acknowledged/s",
            "readable/s",
            "ack p50 ms",
            "ack p99 ms",
            "server CPU µs/span",
            "sender CPU µs/span",
            "one process decodes/s",
        ),
        rows,
    )


def run(report: Report) -> None:
    arrivals(report)
    least(report, MARK_SPANS_PER_SECOND)
    panels(report)
