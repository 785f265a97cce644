from __future__ import annotations

import asyncio
import gzip
from pathlib import Path

import httpx
from edge_parts import AUTH, INTAKES, MemoryDirectory, MemoryQueue, api_for  # type: ignore[import-not-found]

from raingauge.edge.server import Edge
from raingauge.metrics import Metrics
from raingauge.queue.sqlite import SqliteQueue
from raingauge.settings import Settings
from raingauge.vault import Vault


def open_queue(directory: Path) -> SqliteQueue:
    return SqliteQueue.open(directory, Vault.open(directory, ""), Settings())


def test_acknowledged_messages_are_there_after_a_restart(tmp_path: Path) -> None:
    """What got a 202 over the edge is leased from the real queue by the next process, as it was sent."""
    queue = open_queue(tmp_path)
    edge = Edge(INTAKES, queue, MemoryDirectory(), Settings(), api_for(MemoryQueue()), Metrics())
    bodies = [gzip.compress(b"%d" % number) for number in range(40)]

    async def send_all() -> list[int]:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(edge), base_url="http://edge") as client:
            headers = {**AUTH, "Content-Encoding": "gzip"}
            answers = await asyncio.gather(
                *(client.post("/v1/things", content=body, headers=headers) for body in bodies)
            )
            return [answer.status_code for answer in answers]

    assert [202] * 40 == asyncio.run(send_all())
    queue.close()
    queue = open_queue(tmp_path)
    leased = [one.message for one in queue.lease(100, 1_000_000)]
    queue.close()
    assert sorted(bodies) == sorted(message.body for message in leased)
    assert {("plain.things", "cust_default", "gzip")} == {
        (message.intake, message.customer, message.content_encoding) for message in leased
    }
