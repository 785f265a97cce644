"""The edge behind its real server, spoken to over real sockets."""

from __future__ import annotations

import gzip
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from edge_parts import AUTH, TOKEN  # type: ignore[import-not-found]

PROGRAM = Path(__file__).with_name("edge_program.py")
BEARER = f"Authorization: Bearer {TOKEN}\r\n"


class Program:
    """A running server process."""

    def __init__(self, directory: Path, *settings: str, port: int = 0) -> None:
        self.output = directory / f"output-{time.monotonic_ns()}"
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, str(PROGRAM), str(port), *settings], stdout=output, stderr=subprocess.STDOUT
            )

    def wait_until(self, condition: Callable[[], Any]) -> Any:
        """What the condition gives once it gives something."""
        for _ in range(400):
            found = condition()
            if found:
                return found
            time.sleep(0.05)
        raise AssertionError(f"it never happened; output:\n{self.text()}")

    def text(self) -> str:
        return self.output.read_text()

    def address(self) -> tuple[str, int]:
        found = self.wait_until(lambda: re.search(r"Listening on http://127.0.0.1:(\d+)\n", self.text()))
        return "127.0.0.1", int(found[1])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.address()[1]}"

    def stored(self) -> list[int]:
        return [one["size"] for one in httpx.get(f"{self.url}/stored").json()]

    def child(self) -> int:
        return int(httpx.get(f"{self.url}/pid").text)

    def connect(self) -> socket.socket:
        return socket.create_connection(self.address(), timeout=20)

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(20)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Program]]:
    """Starts server processes and ends them with the test."""
    started: list[Program] = []

    def begin(*settings: str, port: int = 0) -> Program:
        started.append(Program(tmp_path, *settings, port=port))
        return started[-1]

    yield begin
    for program in started:
        if program.process.poll() is None:
            program.process.kill()
            program.process.wait()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    """One server for the tests that only speak to it."""
    program = Program(tmp_path_factory.mktemp("edge"), "body_timeout_seconds=0.5")
    yield program
    assert 0 == program.stop()


def exchange(server: Program, *pieces: str | bytes) -> str:
    """Send pieces over one connection and read until the server closes it or has answered."""
    with server.connect() as connection:
        for piece in pieces:
            connection.sendall(piece.encode() if isinstance(piece, str) else piece)
        answer = b""
        while b"\r\n\r\n" not in answer:
            received = connection.recv(65536)
            if not received:
                break
            answer += received
        return answer.decode()


def post(path: str, headers: str) -> str:
    return f"POST {path} HTTP/1.1\r\nHost: edge\r\n{headers}\r\n"


def test_chunked_body_is_taken_as_a_whole(server: Program) -> None:
    """A sender that does not know the length in advance is as welcome."""
    before = server.stored()
    answer = exchange(
        server,
        post("/v1/things", BEARER + "Transfer-Encoding: chunked\r\n"),
        "5\r\nhello\r\n",
        "6\r\n world\r\n",
        "0\r\n\r\n",
    )
    assert "202" == answer.split()[1]
    assert [*before, 11] == server.stored()


def test_chunked_body_over_the_cap_is_refused_before_its_end(server: Program) -> None:
    """The cap holds for bodies without a declared length, and the rest is not waited for."""
    answer = exchange(
        server, post("/v1/small", BEARER + "Transfer-Encoding: chunked\r\n"), "3e9\r\n", b"x" * 0x3E9, "\r\n"
    )
    assert "413" == answer.split()[1]


def test_declared_size_over_the_cap_is_refused_before_the_body(server: Program) -> None:
    """Nobody uploads for minutes to hear that it was too much."""
    assert "413" == exchange(server, post("/v1/small", BEARER + "Content-Length: 1001\r\n")).split()[1]


def test_missing_credential_is_refused_before_the_body(server: Program) -> None:
    """A stranger's body is never read."""
    assert "401" == exchange(server, post("/v1/things", "Content-Length: 1000\r\n")).split()[1]


def test_slow_body_is_given_up(server: Program) -> None:
    """A body that stops arriving ends in 408, and the connection with it."""
    answer = exchange(server, post("/v1/things", BEARER + "Content-Length: 10\r\n"), "12345")
    assert "408" == answer.split()[1]
    assert "connection: close" in answer.lower()


def test_client_that_leaves_in_the_middle_leaves_nothing(server: Program) -> None:
    """Half a body is not a message."""
    before = server.stored()
    with server.connect() as connection:
        connection.sendall(post("/v1/things", BEARER + "Content-Length: 10\r\n").encode() + b"12345")
    server.wait_until(lambda: '"status":499' in server.text())
    assert before == server.stored()


def test_bomb_harms_nobody(server: Program) -> None:
    """A compressed gigabyte is refused, and the next request is served."""
    bomb = gzip.compress(bytes(200 * 1024 * 1024), compresslevel=1)
    headers = {**AUTH, "Content-Encoding": "gzip"}
    assert 413 == httpx.post(f"{server.url}/v1/things", content=bomb, headers=headers).status_code
    assert 202 == httpx.post(f"{server.url}/v1/things", content=b"x", headers=AUTH).status_code


@pytest.mark.parametrize(
    "head",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /\xff\xfe HTTP/1.1\r\nHost: edge\r\n\r\n",
        b"POST /v1/things HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx",
    ],
    ids=["TLS", "version", "path", "two lengths"],
)
def test_what_is_not_http_is_refused(server: Program, head: bytes) -> None:
    """Noise on the port gets a plain 400 and changes nothing."""
    assert "400" == exchange(server, head).split()[1]
    assert 200 == httpx.get(f"{server.url}/health").status_code


def test_endless_head_is_refused(server: Program) -> None:
    """Headers without end do not fill the memory."""
    with server.connect() as connection:
        connection.sendall(b"GET / HTTP/1.1\r\n")
        answer = b""
        try:
            for _ in range(2000):
                connection.sendall(b"X-Filler: " + b"x" * 1000 + b"\r\n")
            answer = connection.recv(65536)
        except (BrokenPipeError, ConnectionResetError):
            answer = b"closed"
    assert answer == b"closed" or answer.startswith(b"HTTP/1.1 400")


def answers(server: Program, sent: str | bytes, count: int) -> list[str]:
    """Send everything at once and read so many answers, each as its whole text."""
    with server.connect() as connection:
        connection.sendall(sent.encode() if isinstance(sent, str) else sent)
        text = ""
        while text.count("HTTP/1.1 ") < count or not text.endswith("}"):
            received = connection.recv(65536).decode()
            assert received, text
            text += received
    return [f"HTTP/1.1 {part}" for part in text.split("HTTP/1.1 ")[1:]]


def test_requests_sent_without_waiting_are_answered_in_order(server: Program) -> None:
    """A client may send the next request before it has the answer to the last one (RFC 9112, section 9.3.2)."""
    before = server.stored()
    sizes = [3, 70_000, 5, 1]
    sent = "".join(post("/v1/things", f"{BEARER}Content-Length: {size}\r\n") + "x" * size for size in sizes)
    found = answers(server, sent, len(sizes))
    assert [f'{{"size":{size}}}' for size in sizes] == [one.partition("\r\n\r\n")[2] for one in found]
    assert [*before, *sizes] == server.stored()


@pytest.mark.parametrize(
    ("version", "path", "headers", "body"),
    [
        ("1.1", "/v1/things", BEARER, "hello"),
        ("1.0", "/v1/things", BEARER, "hello"),
        ("1.1", "/v1/things", BEARER + "Connection: close\r\n", "hello"),
        ("1.1", "/v1/things", BEARER, "refuse me"),
        ("1.1", "/v1/things", "", "hello"),
        ("1.1", "/v1/small", BEARER, "x" * 1001),
        ("1.1", "/v1/things?a=b", BEARER + "Origin: https://example.org\r\n", "hello"),
        ("1.1", "/v1/nothing", BEARER, "hello"),
        ("1.1", "/v1/things", BEARER + "Content-Encoding: br\r\n", "hello"),
    ],
    ids=["stored", "old", "last", "refused", "stranger", "large", "browser", "no such route", "unknown encoding"],
)
def test_answer_does_not_depend_on_how_the_bytes_came(
    server: Program, version: str, path: str, headers: str, body: str
) -> None:
    """A request in one piece gets the same answer as one that comes in several."""
    head = post(path, f"{headers}Content-Length: {len(body)}\r\n").replace("HTTP/1.1", f"HTTP/{version}")

    def answered(*pieces: str) -> list[str]:
        with server.connect() as connection:
            for piece in pieces:
                connection.sendall(piece.encode())
                time.sleep(0.05)
            answer = http.client.HTTPResponse(connection)
            answer.begin()
            lines = [f"{name}: {value}" for name, value in answer.getheaders() if name != "date"]
            return [str(answer.status), *lines, answer.read().decode()]

    assert answered(head + body) == answered(head[:20], head[20:], body[:3], body[3:])


def test_memory_for_bodies_is_bounded_for_whole_requests_too(start: Callable[..., Program]) -> None:
    """What waits for its commit counts, however its bytes came."""
    program = start("bodies_max_bytes=4")
    request = post("/v1/things", BEARER + "Content-Length: 5\r\n")
    assert ["503", "503"] == [
        exchange(program, *pieces).split()[1] for pieces in ([request + "hello"], [request, "hello"])
    ]
    assert "202" == exchange(program, request.replace("5", "4") + "four").split()[1]


def test_upgrade_offer_with_a_body_is_taken_as_plain_http(server: Program) -> None:
    """Java's HTTP client offers HTTP/2 with its first POST; it is answered in HTTP/1.1."""
    offer = (
        "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAEAAEAAAAIAAAAAAAMAAAAAAAQBAAAA\r\n"
    )
    request = post("/v1/things", BEARER + offer + "Content-Length: 5\r\n")
    before = len(server.stored())
    for pieces in ([request, "hello"], [request + "hello"]):
        assert "202" == exchange(server, *pieces).split()[1]
    assert [5, 5] == server.stored()[before:]


def test_retry_of_an_unheard_answer_is_not_stored_twice(start: Callable[..., Program]) -> None:
    """A client that gave up waiting and sends the same again is told yes, and counted once."""
    program = start("commit_seconds=0.6")
    request = post("/v1/library", BEARER + "Content-Length: 5\r\nConnection: close\r\n") + "hello"
    with program.connect() as connection:
        connection.sendall(request.encode())
        time.sleep(0.2)
    assert "202" == exchange(program, request).split()[1]
    assert [5] == program.stored()
    assert "202" == exchange(program, request.replace("hello", "other")).split()[1]
    assert [5, 5] == program.stored()


def test_only_one_retry_stands_for_a_lost_answer(start: Callable[..., Program]) -> None:
    """Once the client has its answer, the same body again is another item."""
    program = start("commit_seconds=0.6")
    request = post("/v1/library", BEARER + "Content-Length: 5\r\nConnection: close\r\n") + "hello"
    with program.connect() as connection:
        connection.sendall(request.encode())
        time.sleep(0.2)
    assert ["202", "202"] == [exchange(program, request).split()[1] for _ in range(2)]
    assert [5, 5] == program.stored()


def test_output_is_json_lines_without_token_or_address(server: Program) -> None:
    """Every line of the log is one JSON object with an action, and holds nothing private."""
    httpx.post(f"{server.url}/k/{TOKEN}/v1/things?token={TOKEN}", content=b"crash")
    server.wait_until(lambda: '"places"' in server.text())
    text = server.text()
    lines = [json.loads(line) for line in text.splitlines() if not line.startswith("Listening")]
    assert all(line["action"] for line in lines)
    assert {"request", "request.failed"} <= {line["action"] for line in lines}
    for private in (TOKEN, "127.0.0.1", "secret"):
        assert private not in text.partition("\n")[2]


def test_killed_server_is_started_again_on_the_same_port(start: Callable[..., Program]) -> None:
    """A crash of the server process is repaired by its parent, and clients keep their address."""
    program = start()
    first = program.child()
    os.kill(first, signal.SIGKILL)
    second = program.wait_until(lambda: program.text().count("Listening on") == 2 and program.child())
    assert first != second
    assert "killed by signal 9" in program.text()
    assert 0 == program.stop()


def test_server_does_not_outlive_its_parent(start: Callable[..., Program]) -> None:
    """After the parent was killed no process is left that holds the port or the data."""
    program = start()
    child = program.child()
    program.process.kill()
    program.process.wait()
    program.wait_until(lambda: not Path(f"/proc/{child}").exists() or "Z" in Path(f"/proc/{child}/stat").read_text())
    with pytest.raises(ConnectionRefusedError):
        program.connect()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_stop_finishes_requests_in_flight_and_exits_0(start: Callable[..., Program], number: int) -> None:
    """Whoever was being served gets an answer, later ones are refused, and the end is a success."""
    program = start("commit_seconds=1")
    address = program.address()
    with program.connect() as connection:
        connection.sendall((post("/v1/things", BEARER + "Content-Length: 5\r\n") + "hello").encode())
        time.sleep(0.3)
        program.process.send_signal(number)
        assert b"202" == connection.recv(65536).split()[1]
    assert 0 == program.process.wait(20)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(address)


def test_hanging_shutdown_is_cut_off(start: Callable[..., Program]) -> None:
    """An application that does not end is killed in time, because a supervisor would do the same without a word."""
    program = start("shutdown_seconds=60")
    program.address()
    assert 0 == program.stop()
    assert "was killed; what it acknowledged is on disk" in program.text()


@pytest.mark.parametrize(
    ("how", "told"),
    [
        ("fail", "raingauge: RAINGAUGE_PORT=-1: must be a port number\n"),
        ("refuse", "raingauge: the start failed: the data directory is damaged\n"),
        ("crash", "ZeroDivisionError: while opening the store\n"),
    ],
)
def test_failed_start_is_told_and_not_repeated(start: Callable[..., Program], how: str, told: str) -> None:
    """What cannot work ends the program with a message and an exit code of its own."""
    program = start(f"start={how}")
    assert 3 == program.process.wait(20)
    assert 1 == program.text().count(told)
    assert "Listening" not in program.text()


def test_port_in_use_is_told(start: Callable[..., Program]) -> None:
    """A second server on the same port does not start."""
    taken = start().address()[1]
    second = start(port=taken)
    assert 0 != second.process.wait(20)
    assert f"cannot listen on 127.0.0.1, port {taken}: " in second.text()
