"""The whole way: what a running server accepts goes on to a backend."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.spine.forward.conftest import Backend
from tests.support.server import Server, running, until

pytestmark = pytest.mark.e2e

BODY = bytes.fromhex(
    "1231120a08191a06302e31342e31221508b81710011a05083e120101218584f66dba5fc03f2a04080110014206302e32322e31"
)


def send(server: Server, body: bytes, **headers: str) -> None:
    with server.client() as http:
        sent = {"content-type": "application/x-protobuf", **headers}
        http.post("/v1/clientFlagLogs:write", content=body, headers=sent).raise_for_status()


def forwarding(server: Server) -> dict[str, Any]:
    """What `/api/system` says of the outbox."""
    with server.client() as http:
        [state] = http.get("/api/system").raise_for_status().json()["installation"]["forwarding"]
    return dict(state)


def test_accepted_flag_logs_go_on_and_count_once(tmp_path: Path, backends: Callable[..., Backend]) -> None:
    """Original bytes, the backend's own secret; a backend that fails first changes no number here, nor does doctor."""
    backend = backends((503, {}))
    settings = {"flags_forward_url": backend.url, "flags_forward_secret": "theirs", "decode_workers": 0}
    with running(tmp_path / "data", **settings) as server:
        packed = gzip.compress(BODY)
        send(server, packed, **{"content-encoding": "gzip"})
        assert {"received": 1, "stored": 1} == server.accounting()["flags"]
        until(lambda: forwarding(server)["settled"]["delivered"] == 1, 20)
        doctor = server.run("doctor", check=False).stdout
        assert "flags.write stored, flags.ingest stored, analytics.collect stored" in doctor
        assert 0 == forwarding(server)["waiting_messages"]
    # Asked twice, always for the same message: the examples that doctor sends around stay here.
    assert [packed, packed] == [body for _, _, body in backend.received]
    for path, headers, _ in backend.received:
        assert "/v1/clientFlagLogs:write" == path
        assert ("ClientSecret theirs", "gzip") == (headers["authorization"], headers["content-encoding"])
    assert 1 == len({headers["idempotency-key"] for _, headers, _ in backend.received})


def test_a_dead_backend_holds_nothing_up_and_loses_nothing(tmp_path: Path, backends: Callable[..., Backend]) -> None:
    """Messages are stored as usual, wait visibly, and are delivered after a restart with a backend that lives."""
    dead = {"flags_forward_url": "http://127.0.0.1:1", "decode_workers": 0}
    with running(tmp_path / "data", **dead) as server:
        for _ in range(5):
            send(server, BODY)
        assert {"received": 5, "stored": 5} == server.accounting()["flags"]
        until(lambda: forwarding(server)["problem"] == "ConnectError", 20)
        waiting = forwarding(server)
        assert 5 == waiting["waiting_messages"]
        assert 0 < waiting["waiting_bytes"] < waiting["waiting_max_bytes"]
        server.kill()
        backend = backends()
        server.environment["RAINGAUGE_FLAGS_FORWARD_URL"] = backend.url
        server.start()
        until(lambda: forwarding(server)["settled"]["delivered"] == 5, 30)
        assert {"received": 5, "stored": 5} == server.accounting()["flags"]
    assert [BODY] * 5 == [body for _, _, body in backend.received]
    assert 5 == len({headers["idempotency-key"] for _, headers, _ in backend.received})
