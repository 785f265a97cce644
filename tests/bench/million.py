"""A data directory with a million loops of one customer, filled through the real decoder and the real writer.

Filled by a process of its own, `python -m tests.bench.million CUSTOMER EVENTS`, before the server starts on it.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from functools import cache
from pathlib import Path
from typing import NamedTuple

from tests.bench.loops import body
from tests.support.server import Server

BATCH = 2_000
DISTINCT = 20_000


class Filled(NamedTuple):
    """A stopped server over its filled directory. Speeds are events per second of decoding and of inserting."""

    server: Server
    events: int
    decoded_per_second: float
    inserted_per_second: float
    size_bytes: int
    idle_resident: dict[int, tuple[int, int]]


@cache
def filled(directory: Path, events: int) -> Filled:
    """Made once per run, whichever section asks first."""
    from tests.bench.processes import family, resident_bytes

    server = Server(directory / "million").start()
    idle = {pid: resident_bytes(pid) for pid in family(server.pids[0])}
    server.stop()
    finished = subprocess.run(
        [sys.executable, "-m", "tests.bench.million", server.customer, str(events)],
        env=server.environment, stdout=subprocess.PIPE, text=True, check=True,
    )  # fmt: skip
    decoded, inserted, size_bytes = json.loads(finished.stdout.splitlines()[-1])
    return Filled(server, events, decoded, inserted, size_bytes, idle)


def fill(customer: str, events: int) -> tuple[float, float, int]:
    from raingauge.contracts import CONTRACTS
    from raingauge.decoding import InlineDecoder
    from raingauge.queue import Leased, Message
    from raingauge.settings import CORE_KNOBS, load
    from raingauge.store.store import Store
    from raingauge.store.writer import InsertBatch

    settings = load(CORE_KNOBS)
    decoder = InlineDecoder(settings, b"bench")
    made = random.Random(42)
    bodies = [body(made, number) for number in range(DISTINCT)]
    first = int(time.time() * 1_000_000)
    decoding = inserting = 0.0
    store = Store.open(settings, settings.data_dir, CONTRACTS)
    for start in range(0, events, BATCH):
        leased = [
            Leased(first + number, Message("loopgain.aggregate", customer, bodies[number % DISTINCT]), 0)
            for number in range(start, min(start + BATCH, events))
        ]
        began = time.perf_counter()
        batch = decoder.decode(leased)
        decoded = time.perf_counter()
        assert len(leased) == len(batch.decoded_ids)
        assert not batch.rejected
        store.writer.insert(InsertBatch(batch.tables))
        decoding += decoded - began
        inserting += time.perf_counter() - decoded
    (size_bytes,) = (size.size_bytes for size in store.system() if size.table == "loop_events")
    store.close()
    return events / decoding, events / inserting, size_bytes


if __name__ == "__main__":
    print(json.dumps(fill(sys.argv[1], int(sys.argv[2]))))
