"""How many LoopGain POSTs per second are on disk and acknowledged, and how long a sender waits.

References of the same run: the same HTTP server with an application that only says 202, one that says it after bodies are
written and synced to a plain file, many at once, and nothing else, and a program that writes and syncs the same bodies one
by one without any network.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.bench.load import Load, measure
from tests.bench.loops import body
from tests.bench.processes import cpu_seconds, family
from tests.bench.report import Report, Spread, figure, ratio
from tests.support.server import running

ORIGINAL_PER_SECOND = 118
"""What the original LoopGain receiver takes in its local mode on a machine with two cores."""

ROUNDS = 3
SECONDS = 3.0
CONNECTIONS = 32


async def says_202(scope, receive, send) -> None:  # type: ignore[no-untyped-def]
    """The least an ASGI application can do for a POST."""
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
        return
    await receive()
    await send({"type": "http.response.start", "status": 202, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body", "body": b""})


@contextmanager
def serving(application: str) -> Iterator[tuple[str, int]]:
    """Address and process of an application (Python text) behind our HTTP server."""
    program = (
        f"from raingauge.edge.serve import run; from tests.bench import synced; from tests.bench.receive import says_202; "
        f"run(lambda url: {application}, '127.0.0.1', 0)"
    )
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield process.stdout.readline().split()[-1], process.pid
    finally:
        process.terminate()
        process.wait()


def loaded(url: str, token: str, pid: int, *, kept: bool) -> tuple[Load, float]:
    """One round, and what it cost the busiest process of the server: the one that answers, in µs per POST."""
    before = {one: cpu_seconds(one) for one in family(pid)}
    found = measure(url, token, kept=kept, connections=CONNECTIONS, seconds=SECONDS)
    used = max(cpu_seconds(one) - seconds for one, seconds in before.items())
    return found, used / found.requests * 1e6


def synced_writes(directory: Path, count: int = 400) -> float:
    """Bodies per second that one thread can write and sync, each by itself."""
    made = random.Random(1)
    bodies = [body(made, number) for number in range(count)]
    descriptor = os.open(directory / "one-by-one", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    started = time.perf_counter()
    for one in bodies:
        os.write(descriptor, one)
        os.fdatasync(descriptor)
    seconds = time.perf_counter() - started
    os.close(descriptor)
    return count / seconds


def run(report: Report) -> None:
    writes: list[float] = []
    rounds: dict[tuple[str, bool], list[tuple[Load, float]]] = {}
    file = report.scratch / "synced"
    with (
        running(report.scratch / "receive") as server,
        serving("says_202") as (nothing, nothing_pid),
        serving(f"synced.Application({str(file)!r})") as (syncs, syncs_pid),
    ):
        loaded(server.url, server.token, server.pids[0], kept=True)
        for _ in range(ROUNDS):
            writes.append(synced_writes(report.scratch))
            for kept in (True, False):
                for name, url, pid in (
                    ("Raingauge", server.url, server.pids[0]),
                    ("says 202", nothing, nothing_pid),
                    ("only syncs", syncs, syncs_pid),
                ):
                    rounds.setdefault((name, kept), []).append(loaded(url, server.token, pid, kept=kept))
    rates = {key: Spread.of(load.per_second for load, _ in found) for key, found in rounds.items()}
    rows: list[tuple[object, ...]] = [
        (
            name,
            "kept" if kept else "fresh",
            rates[name, kept],
            Spread.of(load.p50_ms for load, _ in found),
            Spread.of(load.p99_ms for load, _ in found),
            Spread.of(cpu for _, cpu in found),
            ratio(rates[name, kept], rates["says 202", kept]),
            "" if name == "says 202" else f"{figure(rates[name, kept].median / ORIGINAL_PER_SECOND)}×",
        )
        for (name, kept), found in sorted(rounds.items())
    ]
    written = Spread.of(writes)
    rows.append(("write, fdatasync", "none", written, "", "", "", "", ""))
    report.table(
        "Receive: acknowledged LoopGain POSTs",
        f"{CONNECTIONS} connections, {ROUNDS} rounds of {SECONDS:g} s, load and storing on the same machine. "
        "Raingauge answers after check, encryption, commit and sync, and stores at the same time.",
        (
            "server",
            "connections",
            "POST/s",
            "p50 ms",
            "p99 ms",
            "server CPU µs/POST",
            "of says 202",
            f"of {ORIGINAL_PER_SECOND}/s",
        ),
        rows,
    )
