"""Flag logs: messages per second over HTTP and gRPC, and how long `GET /metrics` takes with ever more resolvers.

The load runs in its own process: `python -m tests.bench.flags`, options as JSON on standard input.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterable
from contextlib import closing
from datetime import UTC, datetime
from itertools import chain, count
from pathlib import Path

import grpc
from tests.bench.report import Report, Spread, percentile
from tests.e2e.test_grpc import WRITE, free_port
from tests.support.server import Server, running

from raingauge.contract import Scope, Settings
from raingauge.control import customers, tokens
from raingauge.control.database import Database

BODY = bytes.fromhex((Path(__file__).parents[1] / "contracts/flags/samples/local_sdk.hex").read_text())
"""What a resolver sends after four resolves and one exposure: 470 bytes."""
SENDERS = 32
SECONDS = 3.0
ROUNDS = 3
SCRAPES = 5
RESOLVERS = (1, 100, 10_000)


def main() -> None:
    """Latencies in seconds of as many messages as `SENDERS` can send one after the other in the time given."""
    given = json.load(sys.stdin)
    send = over_grpc if given["grpc"] else over_http
    json.dump(asyncio.run(send(given["target"], given["token"], given["seconds"])), sys.stdout)


async def repeated(call: Callable[[], Awaitable[object]], seconds: float) -> list[float]:
    latencies = []
    until = time.perf_counter() + seconds
    while (started := time.perf_counter()) < until:
        await call()
        latencies.append(time.perf_counter() - started)
    return latencies


async def over_http(target: str, token: str, seconds: float) -> list[float]:
    async def sender() -> list[float]:
        connection = Connection(*await asyncio.open_connection(*target.split(":")))
        return await repeated(lambda: connection.post(token), seconds)

    return list(chain.from_iterable(await asyncio.gather(*(sender() for _ in range(SENDERS)))))


async def over_grpc(target: str, token: str, seconds: float) -> list[float]:
    async with grpc.aio.insecure_channel(target) as channel:
        method = channel.unary_unary(WRITE)
        metadata = (("authorization", f"ClientSecret {token}"),)
        senders = (repeated(lambda: method(BODY, metadata=metadata), seconds) for _ in range(SENDERS))
        return list(chain.from_iterable(await asyncio.gather(*senders)))


class Connection:
    """One kept connection that posts flag logs."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def post(self, token: str) -> None:
        self._writer.write(
            b"POST /v1/clientFlagLogs:write HTTP/1.1\r\nHost: bench\r\nContent-Type: application/x-protobuf\r\n"
            b"Authorization: ClientSecret %b\r\nContent-Length: %d\r\n\r\n" % (token.encode(), len(BODY)) + BODY
        )
        answer = await self._reader.readuntil(b"\r\n\r\n")
        if not answer.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(f"answered {answer!r}")


async def post_each(target: str, issued: Iterable[str]) -> None:
    """One message of each token."""
    waiting = iter(issued)

    async def sender() -> None:
        connection = Connection(*await asyncio.open_connection(*target.split(":")))
        for token in waiting:
            await connection.post(token)

    await asyncio.gather(*(sender() for _ in range(SENDERS)))


def accepted(server: Server, grpc_port: int, *, grpc_: bool) -> list[float]:
    target = f"127.0.0.1:{grpc_port}" if grpc_ else server.url.removeprefix("http://")
    options = {"grpc": grpc_, "target": target, "token": server.token, "seconds": SECONDS}
    ran = subprocess.run(
        [sys.executable, "-m", "tests.bench.flags"],
        input=json.dumps(options),
        capture_output=True,
        text=True,
        check=True,
    )
    latencies: list[float] = json.loads(ran.stdout)
    return latencies


def with_resolvers(server: Server, how_many: int) -> str:
    """A customer with so many tokens, each of which has sent a message; one of them."""
    names = count(1)
    now = datetime.now(UTC)
    with closing(Database.open(Settings(), server.data_dir)) as database, database.write() as db:
        customer = customers.create(db, f"{how_many} resolvers", now=now).customer_id
        issued = [
            tokens.issue(db, customer, label=f"resolver-{next(names)}", scopes=[Scope.INGEST, Scope.READ], now=now).text
            for _ in range(how_many)
        ]
    server.honoured(issued[-1])
    asyncio.run(post_each(server.url.removeprefix("http://"), issued))
    server.accounting()
    return issued[0]


def scrapes(server: Server, token: str) -> tuple[list[float], int]:
    """Seconds of some scrapes, and the size of the page."""
    found = []
    with server.client(token) as http:
        for _ in range(SCRAPES):
            started = time.perf_counter()
            size_bytes = len(http.get("/metrics", timeout=60).raise_for_status().content)
            found.append(time.perf_counter() - started)
    return found, size_bytes


def run(report: Report) -> None:
    port = free_port()
    rounds: dict[str, list[list[float]]] = {"HTTP": [], "gRPC": []}
    with running(report.scratch / "flags", grpc_port=port, rollup_seconds=0) as server:
        for _ in range(ROUNDS):
            for name, latencies in rounds.items():
                latencies.append(accepted(server, port, grpc_=name == "gRPC"))
        pages = []
        for resolvers in RESOLVERS:
            token = with_resolvers(server, resolvers)
            fresh, _ = scrapes(server, token)
            server.run("rollup", "run")
            rolled, size_bytes = scrapes(server, token)
            pages.append((f"{resolvers:,}", f"{size_bytes / 1e6:.3g}", Spread.of(fresh), Spread.of(rolled)))
    report.table(
        "Flag logs: acknowledged messages",
        f"{SENDERS} senders, {ROUNDS} rounds of {SECONDS:g} s, {len(BODY)} bytes each, load on the same machine.",
        ("over", "messages/s", "p50 ms", "p99 ms"),
        [
            (
                name,
                Spread.of(len(latencies) / SECONDS for latencies in found),
                Spread.of(1000 * percentile(latencies, 0.5) for latencies in found),
                Spread.of(1000 * percentile(latencies, 0.99) for latencies in found),
            )
            for name, found in rounds.items()
        ],
    )
    report.table(
        "Flag logs: `GET /metrics`",
        f"{SCRAPES} scrapes of all 174 buckets, before and after the sums of the day were made.",
        ("resolvers", "MB", "seconds, fresh", "seconds, rolled up"),
        pages,
    )


if __name__ == "__main__":
    main()
