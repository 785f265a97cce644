"""gRPC calls against a real server: Confidence's flag logs and OTLP, with the SDKs' own exporters where they exist."""

from __future__ import annotations

import gzip
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status
from tests.e2e.otlp_session import TEMPORALITY, told
from tests.support.server import Server, balanced, running, until

pytestmark = pytest.mark.e2e

WRITE = "/confidence.flags.resolver.v1.InternalFlagLoggerService/ClientWriteFlagLogs"
TRACES = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
ONE_RESOLVE = bytes.fromhex(
    "1231120a08191a06302e31342e31221508b81710011a05083e120101218584f66dba5fc03f2a04080110014206302e32322e31"
)
"""One resolve of 3 ms that matched."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Caller:
    """Calls methods of one server with one credential."""

    def __init__(self, port: int, authorization: str) -> None:
        self.channel = grpc.insecure_channel(f"127.0.0.1:{port}", [("grpc.max_send_message_length", -1)])
        self.metadata = (("authorization", authorization),) if authorization else ()

    def __call__(self, method: str, message: bytes, **options: Any) -> bytes:
        response: bytes = self.channel.unary_unary(method)(message, metadata=self.metadata, timeout=20, **options)
        return response

    def error(self, method: str, message: bytes, **options: Any) -> Any:
        """The error that a call must end with."""
        with self.channel, pytest.raises(grpc.RpcError) as raised:
            self(method, message, **options)
        return raised.value


@pytest.fixture(scope="module")
def port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory, port: int) -> Iterator[Server]:
    with running(Path(tmp_path_factory.mktemp("grpc")) / "data", grpc_port=port) as server:
        yield server


def requests(server: Server, route: str, status: int) -> float:
    """How many requests the server's own metrics count."""
    contract = "otlp" if "opentelemetry" in route else "flags"
    name = f'raingauge_requests_total{{contract="{contract}",route="{route}",status="{status}"}}'
    with server.client() as http:
        lines = http.get("/-/metrics").text.splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(name))


def test_flag_logs_over_grpc_reach_the_prometheus_text(started: Server, port: int) -> None:
    """A message with `ClientSecret` and one with `Bearer`, plain and gzipped, count once each."""
    token = started.issue("--name", "flags over grpc")["token"]
    for scheme, compression in (("ClientSecret", grpc.Compression.NoCompression), ("Bearer", grpc.Compression.Gzip)):
        caller = Caller(port, f"{scheme} {token}")
        with caller.channel:
            assert b"" == caller(WRITE, ONE_RESOLVE, compression=compression)
    assert balanced(started.accounting()["flags"])
    with started.client(token) as http:
        text = http.get("/metrics").text
    assert "confidence_resolve_latency_microseconds_sum{" in text
    assert ["2", "6000"] == [
        line.rpartition(" ")[2]
        for start in ("confidence_resolves_total{", "confidence_resolve_latency_microseconds_sum{")
        for line in text.splitlines()
        if line.startswith(start)
    ]
    assert requests(started, WRITE, 200) >= 2


@pytest.mark.parametrize(
    ("temporality", "more"), [("delta", {"OTEL_EXPORTER_OTLP_COMPRESSION": "gzip"}), ("cumulative", {})]
)
def test_the_opentelemetry_sdk_exports_all_three_signals_over_grpc(
    started: Server, port: int, temporality: str, more: dict[str, str]
) -> None:
    """What the Python SDK's own gRPC exporters send is read back with its exact numbers."""
    before = requests(started, TRACES, 200)
    settings = {
        "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc",
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{port}",
        "OTEL_EXPORTER_OTLP_HEADERS": f"Authorization=Bearer {started.token}",
        TEMPORALITY: temporality,
        **more,
    }
    program = [sys.executable, str(Path(__file__).parent / "otlp_client.py")]
    told(started, program, f"grpc-{temporality}", settings).arrived()
    assert balanced(started.accounting()["otlp"])
    assert before + 2 == requests(started, TRACES, 200)


@pytest.mark.parametrize(
    ("authorization", "message", "code"),
    [
        ("", ONE_RESOLVE, grpc.StatusCode.UNAUTHENTICATED),
        ("ClientSecret rgk_unknown", ONE_RESOLVE, grpc.StatusCode.UNAUTHENTICATED),
        ("read-only", ONE_RESOLVE, grpc.StatusCode.PERMISSION_DENIED),
        ("valid", b"\xff\xff no protobuf", grpc.StatusCode.INVALID_ARGUMENT),
        ("valid", b"\x0a" + b"\x80" * 17 * 1024 * 1024, grpc.StatusCode.RESOURCE_EXHAUSTED),
    ],
    ids=["no credential", "unknown credential", "wrong scope", "no protobuf", "too large"],
)
def test_what_cannot_be_taken_ends_with_its_code(
    started: Server, port: int, authorization: str, message: bytes, code: grpc.StatusCode
) -> None:
    """None of these codes is one that a client repeats."""
    if authorization == "read-only":
        authorization = "Bearer " + started.issue("--name", "reader", "--scope", "read")["token"]
    elif authorization == "valid":
        authorization = f"Bearer {started.token}"
    error = Caller(port, authorization).error(WRITE, message)
    assert code == error.code()
    assert () == tuple(error.trailing_metadata())


def test_a_small_message_that_unpacks_to_a_large_one_is_refused(started: Server, port: int) -> None:
    """The limit holds after decompression: 40 MB of nothing travel as 40 KB."""
    message = b"\x0a\x80\x80\x80\x10" + bytes(40 * 1024 * 1024)
    assert len(gzip.compress(message)) < 100_000
    error = Caller(port, f"Bearer {started.token}").error(WRITE, message, compression=grpc.Compression.Gzip)
    assert grpc.StatusCode.RESOURCE_EXHAUSTED == error.code()


def test_an_unknown_method_is_unimplemented(started: Server, port: int) -> None:
    """Only what an intake names is served."""
    error = Caller(port, f"Bearer {started.token}").error("/confidence.Other/Method", b"")
    assert grpc.StatusCode.UNIMPLEMENTED == error.code()


def test_each_call_is_logged_like_a_request(started: Server, port: int) -> None:
    """Method, status, size and customer; neither the token nor the message."""
    with (caller := Caller(port, f"ClientSecret {started.token}")).channel:
        caller(WRITE, ONE_RESOLVE)

    def logged() -> list[dict[str, Any]]:
        lines = map(json.loads, filter(lambda line: WRITE in line, started.log.read_text().splitlines()))
        return [line for line in lines if line["status"] == 200 and line["customer"] == started.customer]

    lines = until(logged)
    assert (51, "") == (lines[-1]["bytes_in"], lines[-1]["reason"])
    assert started.token not in "".join(map(str, lines))


def test_an_answered_call_survives_sigkill(tmp_path: Path) -> None:
    """OK means on disk: every message that was answered is there after the server was killed."""
    port = free_port()
    with running(tmp_path / "data", grpc_port=port) as server:
        with (caller := Caller(port, f"ClientSecret {server.token}")).channel:
            for _ in range(20):
                caller(WRITE, ONE_RESOLVE)
        server.kill()
        server.start()
        assert {"received": 20, "stored": 20} == server.accounting()["flags"]


def test_limits_ask_the_client_to_come_back(tmp_path: Path) -> None:
    """Too much in hand and too many refused credentials are UNAVAILABLE, with a time to wait in the details."""
    port = free_port()
    with running(tmp_path / "data", grpc_port=port, bodies_max_bytes=1, failed_auth_per_ip=2) as server:
        for method in (WRITE, TRACES):
            full = Caller(port, f"Bearer {server.token}").error(method, ONE_RESOLVE)
            assert grpc.StatusCode.UNAVAILABLE == full.code()
            assert 5 == retry_seconds(full)
        codes = [Caller(port, "ClientSecret wrong").error(WRITE, ONE_RESOLVE) for _ in range(3)]
        assert [grpc.StatusCode.UNAUTHENTICATED] * 2 == [error.code() for error in codes[:2]]
        assert grpc.StatusCode.UNAVAILABLE == codes[2].code()
        assert retry_seconds(codes[2]) > 0


def retry_seconds(error: Any) -> int:
    """The wait in an error's RetryInfo."""
    status = Status.FromString(dict(error.trailing_metadata())["grpc-status-details-bin"])
    assert error.code().value[0] == status.code
    wait = RetryInfo()
    assert status.details[0].Unpack(wait)
    return int(wait.retry_delay.seconds)


def serve_output(environment: dict[str, str], tmp_path: Path) -> subprocess.CompletedProcess[str]:
    """A server that is expected not to start."""
    return subprocess.run(
        [sys.executable, "-m", "raingauge", "serve", "--port", "0", "--data-dir", str(tmp_path / "data")],
        check=False, env={**os.environ, **environment}, capture_output=True, text=True, timeout=60,
    )  # fmt: skip


def test_a_taken_port_stops_the_start(tmp_path: Path) -> None:
    """Two servers on one port would each get some of the calls."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = serve_output({"RAINGAUGE_GRPC_PORT": str(port)}, tmp_path)
    assert 3 == ended.returncode
    assert f"RAINGAUGE_GRPC_PORT={port}: cannot listen on 127.0.0.1:{port}" in ended.stderr


def test_without_the_extra_the_start_names_it(tmp_path: Path) -> None:
    """Setting the port without grpcio installed says what to install."""
    (tmp_path / "hidden").mkdir()
    (tmp_path / "hidden" / "grpc.py").write_text("raise ModuleNotFoundError('gone', name='grpc')")
    ended = serve_output({"RAINGAUGE_GRPC_PORT": "1", "PYTHONPATH": str(tmp_path / "hidden")}, tmp_path)
    assert 3 == ended.returncode
    assert "RAINGAUGE_GRPC_PORT=1 needs grpc: pip install 'raingauge[grpc]'" in ended.stderr
