"""The load: its own process, little else than sockets, so that it takes as little as possible of a small machine.

Run by a section as `python -m tests.bench.load`, options as JSON on standard input, findings as JSON on standard output.
"""

from __future__ import annotations

import json
import random
import select
import socket
import subprocess
import sys
import time
from typing import NamedTuple

from tests.bench.loops import body
from tests.bench.report import percentile

BODIES = 4_000


class Load(NamedTuple):
    """Acknowledged requests per second and their latency."""

    per_second: float
    p50_ms: float
    p99_ms: float
    requests: int


def measure(url: str, token: str, *, kept: bool, connections: int, seconds: float) -> Load:
    """Post different loops over so many connections, each waiting for its answer; anything but 202 is an error."""
    options = {"url": url, "token": token, "kept": kept, "connections": connections, "seconds": seconds}
    finished = subprocess.run(
        [sys.executable, "-m", "tests.bench.load"],
        input=json.dumps(options),
        capture_output=True,
        text=True,
        check=False,
    )
    if finished.returncode:
        raise RuntimeError(finished.stderr)
    return Load(*json.loads(finished.stdout))


def requests(url: str, token: str, *, kept: bool) -> list[bytes]:
    made = random.Random(20261121)
    connection = "keep-alive" if kept else "close"
    found = []
    for number in range(BODIES):
        content = body(made, number)
        found.append(
            f"POST /v1/aggregate HTTP/1.1\r\nHost: {url.rpartition('/')[2]}\r\nAuthorization: Bearer {token}\r\n"
            f"User-Agent: loopgain/0.6.5\r\nAccept-Encoding: identity\r\nContent-Type: application/json\r\n"
            f"Connection: {connection}\r\nContent-Length: {len(content)}\r\n\r\n".encode()
            + content
        )
    return found


def is_whole(answer: bytes) -> bool:
    """Whether as much of the body is there as its head says; header names come in lower case from these servers."""
    head, end, content = answer.partition(b"\r\n\r\n")
    return bool(end) and len(content) >= int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0])


def main() -> None:
    given = json.load(sys.stdin)
    kept: bool = given["kept"]
    bodies = requests(given["url"], given["token"], kept=kept)
    host, port = given["url"].removeprefix("http://").split(":")
    poll = select.epoll()
    open_sockets: dict[int, tuple[socket.socket, float]] = {}
    unfinished: dict[int, bytes] = {}
    latencies: list[float] = []
    sent = 0

    def send(connection: socket.socket | None) -> None:
        nonlocal sent
        started = time.perf_counter()
        if connection is None:
            connection = socket.create_connection((host, int(port)))
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            poll.register(connection, select.EPOLLIN)
        open_sockets[connection.fileno()] = connection, started
        connection.sendall(bodies[sent % BODIES])
        sent += 1

    began = time.perf_counter()
    until = began + given["seconds"]
    for _ in range(given["connections"]):
        send(None)
    while time.perf_counter() < until:
        for descriptor, _event in poll.poll(0.1):
            connection, started = open_sockets[descriptor]
            answer = unfinished.pop(descriptor, b"") + connection.recv(65_536)
            if not answer.startswith(b"HTTP/1.1 202"):
                raise RuntimeError(f"answered {answer!r}")
            if not is_whole(answer):
                unfinished[descriptor] = answer
                continue
            latencies.append(1000 * (time.perf_counter() - started))
            if kept:
                send(connection)
            else:
                poll.unregister(descriptor)
                del open_sockets[descriptor]
                connection.close()
                send(None)
    seconds = time.perf_counter() - began
    json.dump(
        [len(latencies) / seconds, percentile(latencies, 0.5), percentile(latencies, 0.99), len(latencies)], sys.stdout
    )


if __name__ == "__main__":
    main()
