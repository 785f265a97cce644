"""`/v1/stats` over a million loops of one customer, through HTTP.

References of the same run: `/health`, which is what HTTP alone costs, and a plain SQLite table of the same size that is
asked for a small part of the same (SQLite is what the original keeps its events in).
"""

from __future__ import annotations

import random
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

from tests.bench.loops import FRAMEWORKS, OUTCOMES
from tests.bench.million import filled
from tests.bench.report import Report, Spread, figure, percentile

ORIGINAL_SECONDS = 25.8
ORIGINAL_EVENTS = 1_000_000
"""What the original LoopGain receiver takes for the same read of so many loops on a machine with two cores."""

READS = 20


def timed(read: Callable[[], object], times: int) -> list[float]:
    found = []
    for _ in range(times):
        started = time.perf_counter()
        read()
        found.append(time.perf_counter() - started)
    return found


def in_sqlite(path: Path, events: int) -> list[float]:
    """Seconds for counts and sums by outcome."""
    made = random.Random(3)
    db = sqlite3.connect(path)
    db.execute(
        "CREATE TABLE loops (customer TEXT, at INTEGER, outcome TEXT, framework TEXT, iterations REAL, gain REAL)"
    )
    rows = (
        ("cust", number, made.choice(OUTCOMES), made.choice(FRAMEWORKS), made.randint(1, 12), made.random())
        for number in range(events)
    )
    db.executemany("INSERT INTO loops VALUES (?, ?, ?, ?, ?, ?)", rows)
    db.execute("CREATE INDEX by_customer ON loops (customer, at)")
    db.commit()
    ask = "SELECT outcome, count(*), sum(iterations) FROM loops WHERE customer = 'cust' AND at >= 0 GROUP BY outcome"
    found = timed(lambda: db.execute(ask).fetchall(), 3)
    db.close()
    path.unlink()
    return found


def run(report: Report) -> None:
    million = filled(report.scratch, report.events)
    server = million.server.start()
    try:
        with server.client() as http:
            counted = http.get("/v1/stats").raise_for_status().json()["totals"]["event_count"]
            assert million.events == counted
            stats = timed(lambda: http.get("/v1/stats").raise_for_status(), READS)
            health = timed(lambda: http.get("/health").raise_for_status(), READS)
    finally:
        server.stop()
    sqlite = in_sqlite(report.scratch / "loops.sqlite", million.events)
    floor = Spread.of(stats).median
    gain = f"{figure(ORIGINAL_SECONDS / floor)}× faster" if million.events >= ORIGINAL_EVENTS else ""
    report.table(
        f"Stats: reading {million.events:,} loops of one customer",
        f"{READS} reads, one after the other. The original takes {ORIGINAL_SECONDS} s for /v1/stats.",
        ("what", "seconds", "p95 s", "/v1/stats is", "of the original"),
        [
            (
                "/v1/stats",
                Spread.of(stats),
                figure(percentile(stats, 0.95)),
                "",
                gain,
            ),
            (
                "/health",
                Spread.of(health),
                figure(percentile(health, 0.95)),
                f"{figure(floor / Spread.of(health).median)}×",
                "",
            ),
            ("SQLite, sums by outcome only", Spread.of(sqlite), "", f"{figure(floor / Spread.of(sqlite).median)}×", ""),
        ],
    )
    report.table(
        "Storing: loops through decoder and writer, batches of 2,000",
        "One process, one thread of ours; the store uses others.",
        ("step", "events/s", "µs/event"),
        [
            ("decode to Arrow", figure(million.decoded_per_second), figure(1e6 / million.decoded_per_second)),
            ("insert, deduplicated", figure(million.inserted_per_second), figure(1e6 / million.inserted_per_second)),
            ("on disk", f"{million.size_bytes / million.events:.1f} bytes/event", ""),
        ],
    )
