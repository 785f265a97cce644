"""Which HTTP server acknowledges more with our real receive path? Run: `python tests/bench/server_choice.py`.

Each line is one server process loaded from this one: a LoopGain message per POST, authenticated, checked, and on disk
(the real queue) before its 202; beside it an application that only says 202. Figures are medians of
the rounds and only comparable within a run.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import uvloop

TOKEN = "rgk_bench-bench-bench-bench-bench-ben"
MESSAGE = {
    "schema_version": 4, "library": "loopgain", "library_version": "0.6.5", "workload_id": "bench",
    "timestamp_hour": "2026-01-01T07:00:00+00:00", "framework": None, "loop_type": None, "team": None,
    "actual_dollars_spent": None, "actual_dollars_saved": None, "smoothing_window": 3,
    "loop": {
        "outcome": "converged", "iterations_used": 4, "savings_vs_fixed_cap": 6, "rollback_triggered": False,
        "convergence_profile_summary": {"min": 0.38, "max": 0.4, "median": 0.39, "samples": 2}, "best_index": 3,
    },
    "thresholds": {"fast_converge": 0.3, "converging": 0.85, "stalling": 0.95, "oscillating_upper": 1.05},
    "per_iteration": {
        "error_history": [10.0, 4.0, 1.5, 0.3], "convergence_profile": [0.4, 0.3875], "truncated": False, "cap": 256,
    },
}  # fmt: skip


def application(kind: str, directory: Path) -> Callable[..., Awaitable[None]]:
    """The real edge over a real queue, or one that answers at once."""
    if kind == "noop":
        return noop
    from raingauge.auth.credential import Credential
    from raingauge.contract import Scope
    from raingauge.contracts.loopgain import LOOPGAIN
    from raingauge.edge.server import Edge
    from raingauge.log import configure
    from raingauge.metrics import Metrics
    from raingauge.queue.sqlite import SqliteQueue
    from raingauge.settings import Settings
    from raingauge.vault import Vault

    settings = Settings({"log_format": "json"})
    configure(settings)

    class OneCustomer:
        credential = Credential("cust_bench", "tok_bench", "bench", frozenset({Scope.INGEST}))

        def find(self, token: str) -> Credential | None:
            return self.credential if token == TOKEN else None

        def touch(self, credential: Credential, at: datetime) -> None: ...
        def customer_exists(self, customer_id: str) -> bool:
            return False

    queue = SqliteQueue.open(directory, Vault.open(directory, ""), settings)
    return Edge(LOOPGAIN.intakes, queue, OneCustomer(), settings, noop, Metrics())


async def noop(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        while (await receive())["type"] == "lifespan.startup":
            await send({"type": "lifespan.startup.complete"})
        await send({"type": "lifespan.shutdown.complete"})
        return
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 202, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body", "body": b""})


def serve(server: str, kind: str, directory: Path, port: int) -> None:
    app = application(kind, directory)
    if server == "uvicorn":
        from raingauge.edge.http import serve as serve_uvicorn
        from raingauge.edge.serve import _listen

        serve_uvicorn(app, _listen("127.0.0.1", port), "")
        return
    from granian.constants import HTTPModes, Interfaces
    from granian.server.embed import Server

    granian = Server(
        app,
        port=port,
        interface=Interfaces.ASGI,
        http=HTTPModes.http1,
        websockets=False,
        backlog=2048,
        log_enabled=False,
    )
    uvloop.run(granian.serve())


async def load(port: int, request: bytes, *, keep_alive: bool, connections: int, seconds: float) -> list[float]:
    """Latencies of the acknowledged requests."""
    latencies: list[float] = []
    until = time.perf_counter() + seconds

    async def client() -> None:
        reader = writer = None
        while (started := time.perf_counter()) < until:
            if writer is None:
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
            assert reader is not None
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 202"), head
            length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
            await reader.readexactly(length)
            latencies.append(time.perf_counter() - started)
            if not keep_alive:
                writer.close()
                writer = None

    await asyncio.gather(*(client() for _ in range(connections)))
    return latencies


def measure(
    server: str, kind: str, *, keep_alive: bool, connections: int, seconds: float, port: int
) -> tuple[float, float, float, float]:
    """Acknowledged requests per second, p50 and p99 of their latency in milliseconds, CPU of the server per request."""
    body = json.dumps(MESSAGE).encode()
    connection = "keep-alive" if keep_alive else "close"
    request = (
        f"POST /v1/aggregate HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {TOKEN}\r\nConnection: {connection}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    ).encode() + body
    with tempfile.TemporaryDirectory() as directory:
        process = subprocess.Popen(
            [sys.executable, __file__, "--serve", server, kind, directory, str(port)], stdout=subprocess.DEVNULL
        )
        try:
            wait_for(port)
            uvloop.run(load(port, request, keep_alive=keep_alive, connections=4, seconds=0.5))
            options = {"keep_alive": keep_alive, "connections": connections, "seconds": seconds}
            cpu_before = cpu_seconds(process.pid)
            latencies = sorted(uvloop.run(load(port, request, **options)))  # type: ignore[arg-type]
            cpu_us = (cpu_seconds(process.pid) - cpu_before) / len(latencies) * 1e6
        finally:
            process.kill()
            process.wait()
    p50, p99 = (1000 * latencies[int(len(latencies) * part)] for part in (0.5, 0.99))
    return len(latencies) / seconds, p50, p99, cpu_us


def cpu_seconds(pid: int) -> float:
    """User and system time of a process, which other load on the machine hardly changes (proc(5))."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def wait_for(port: int) -> None:
    import socket

    for _ in range(200):
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            time.sleep(0.05)
        else:
            return


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--serve", nargs=4)
    arguments.add_argument("--seconds", type=float, default=2.0)
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--connections", type=int, default=32)
    given = arguments.parse_args()
    if given.serve:
        server, kind, directory, port = given.serve
        serve(server, kind, Path(directory), int(port))
        return
    # Round by round, so that whatever else the machine does meets all of them alike.
    measured: dict[tuple[str, str, bool], list[tuple[float, ...]]] = {}
    ports = itertools.count(18_400)
    for _ in range(given.rounds):
        for keep_alive, kind, server in itertools.product((True, False), ("noop", "edge"), ("uvicorn", "granian")):
            options = {"connections": given.connections, "seconds": given.seconds, "port": next(ports)}
            found = measure(server, kind, keep_alive=keep_alive, **options)
            measured.setdefault((server, kind, keep_alive), []).append(found)
    print(
        "| server | application | connections | POST/s | p50 ms | p99 ms | server CPU µs per POST |\n|---|---|---|---|---|---|---|"
    )
    for (server, kind, keep_alive), rounds in measured.items():
        rate, p50, p99, cpu_us = (statistics.median(values) for values in zip(*rounds, strict=True))
        connection = "keep-alive" if keep_alive else "close"
        print(f"| {server} | {kind} | {connection} | {rate:,.0f} | {p50:.1f} | {p99:.1f} | {cpu_us:.0f} |")


if __name__ == "__main__":
    main()
