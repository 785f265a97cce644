"""The server is killed at random moments; what it acknowledged is there, once, and the accounting holds."""

from __future__ import annotations

import json
import os
import random
import signal
import threading
import time
from pathlib import Path

import httpx
from tests.support.server import Server, balanced, until

ROUNDS = 4
SENDERS = 4


def body(number: int) -> bytes:
    """A loop that can be told from every other by its workload."""
    return json.dumps({
        "schema_version": 4, "library": "loopgain", "library_version": "0.6.5", "workload_id": f"w{number}",
        "timestamp_hour": time.strftime("%Y-%m-%dT%H:00:00Z", time.gmtime()),
        "loop": {"outcome": "converged", "iterations_used": 4, "savings_vs_fixed_cap": 6, "rollback_triggered": False,
                 "convergence_profile_summary": {"min": 0.1, "max": 0.4, "median": 0.2, "samples": 3}},
        "thresholds": {"fast_converge": 0.3, "converging": 0.85, "stalling": 0.95, "oscillating_upper": 1.05},
        "smoothing_window": 3,
    }).encode()  # fmt: skip


class Ledger:
    """What was sent and what got a 2xx."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._next = 0
        self.acknowledged: set[str] = set()
        self.sent: set[str] = set()

    def take(self) -> int:
        with self._lock:
            self._next += 1
            self.sent.add(f"w{self._next}")
            return self._next

    def post_until(self, server: Server, stop: threading.Event) -> None:
        """Send loops, one after the other, until told to stop or the server is gone."""
        with server.client() as http:
            while not stop.is_set():
                number = self.take()
                try:
                    answer = http.post("/v1/aggregate", content=body(number))
                except httpx.TransportError:
                    return
                if answer.status_code == 202:
                    self.acknowledged.add(f"w{number}")


def test_sigkill_loses_nothing_acknowledged_and_doubles_nothing(tmp_path: Path) -> None:
    """Every loop that got a 2xx is readable after kills in the middle of commits, inserts and acknowledgements."""
    ledger = Ledger()
    server = Server(tmp_path / "data").start()
    moments = random.Random(20261121)
    for _ in range(ROUNDS):
        stop = threading.Event()
        senders = [threading.Thread(target=ledger.post_until, args=(server, stop)) for _ in range(SENDERS)]
        for sender in senders:
            sender.start()
        time.sleep(moments.uniform(0.3, 2.0))
        server.kill()
        stop.set()
        for sender in senders:
            sender.join()
        server.start()
    accounting = server.accounting()["loopgain"]
    with server.client() as http:
        rows = http.get("/v1/events", params={"limit": 50_000}).raise_for_status().json()["events"]
    stored = [row["workload_id"] for row in rows]
    assert server.stop() == 0
    assert sorted(set(stored)) == sorted(stored)
    assert ledger.acknowledged <= set(stored) <= ledger.sent
    assert balanced(accounting)
    assert accounting["stored"] == len(stored)


def test_the_server_process_is_started_again_when_it_dies(tmp_path: Path) -> None:
    """A crash of the process that serves costs seconds, not data, and nobody has to notice."""
    server = Server(tmp_path / "data").start()
    parent, child = server.pids[:2]
    with server.client() as http:
        assert http.post("/v1/aggregate", content=body(1)).status_code == 202
    os.kill(child, signal.SIGKILL)
    until(lambda: server.pids[1:2] not in ([], [child]), 30)

    def found() -> bool:
        try:
            with server.client() as http:
                return len(http.get("/v1/events").json()["events"]) == 1
        except httpx.TransportError:
            return False

    until(found, 30)
    assert server.pids[0] == parent
    assert server.stop() == 0


def test_a_stop_in_good_order_stores_what_was_accepted(tmp_path: Path) -> None:
    """SIGTERM drains the queue and exits 0."""
    server = Server(tmp_path / "data").start()
    with server.client() as http:
        for number in range(50):
            assert http.post("/v1/aggregate", content=body(number)).status_code == 202
    assert server.stop() == 0
    server.start()
    assert server.accounting()["loopgain"] == {"received": 50, "stored": 50}
    assert server.stop() == 0
