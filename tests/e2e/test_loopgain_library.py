"""The published LoopGain library, unmodified, against a running server."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import httpx
import pytest
from loopgain import LoopGain
from tests.support.server import Server, until


def run_loop(errors: list[float], target: float = 0.5) -> LoopGain:
    """A loop that reports these error magnitudes until the library says stop."""
    loop = LoopGain(target_error=target)
    for error in errors:
        loop.observe(error)
        if not loop.should_continue():
            break
    return loop


@pytest.fixture
def account(server: Server) -> dict[str, Any]:
    """A customer of its own."""
    return server.issue("--name", "loops")


def events(server: Server, token: str, count: int) -> list[dict[str, Any]]:
    """The customer's loops, once there are so many."""
    with server.client(token) as http:

        def look() -> list[dict[str, Any]] | None:
            found: list[dict[str, Any]] = http.get("/v1/events").raise_for_status().json()["events"]
            return found if len(found) >= count else None

        return until(look)


def test_a_reported_loop_is_read_back(server: Server, account: dict[str, Any]) -> None:
    """What the library measured comes back through the API, number by number."""
    loop = run_loop([10.0, 4.0, 1.5, 0.3])
    sent = loop.send_telemetry(
        endpoint=server.url, token=account["token"], workload_id="rag-rewrite", allow_insecure=True, team="search",
        actual_dollars_spent=0.04,
    )  # fmt: skip
    (event,) = events(server, account["token"], 1)
    assert sent is True
    assert (event["workload_id"], event["team"], event["outcome"]) == ("rag-rewrite", "search", "converged")
    assert (event["iterations_used"], event["best_index"], event["actual_dollars_spent"]) == (4, 3, 0.04)
    assert event["rollback_triggered"] == 0


def test_a_loop_with_infinite_gain_is_kept(server: Server, account: dict[str, Any]) -> None:
    """The library sends null for what is not finite, and such loops are the ones worth seeing."""
    loop = LoopGain(target_error=None)
    loop.observe(5e-324)
    loop.observe(1.0)
    assert loop.send_telemetry(endpoint=server.url, token=account["token"], workload_id="w", allow_insecure=True)
    assert len(events(server, account["token"], 1)) == 1


def test_a_customer_sees_only_its_own_loops(server: Server, account: dict[str, Any]) -> None:
    """The tenant comes from the credential."""
    run_loop([1.0, 0.1]).send_telemetry(
        endpoint=server.url, token=account["token"], workload_id="mine", allow_insecure=True
    )
    other = server.issue("--name", "other")
    events(server, account["token"], 1)
    with server.client(other["token"]) as http:
        assert http.get("/v1/events").json()["events"] == []


def test_the_librarys_own_doctor_is_content(server: Server, account: dict[str, Any]) -> None:
    """`loopgain doctor` is what a user runs first."""
    done = subprocess.run(
        [sys.executable, "-m", "loopgain", "doctor", "--endpoint", server.url, "--token", account["token"],
         "--allow-insecure"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")


def test_a_token_in_the_path_serves_clients_without_headers(server: Server, account: dict[str, Any]) -> None:
    """The endpoint of the library may carry a path prefix, so the token can stand there."""
    loop = run_loop([1.0, 0.1])
    assert loop.send_telemetry(
        endpoint=f"{server.url}/k/{account['token']}", token="unused", workload_id="w", allow_insecure=True
    )
    assert len(events(server, account["token"], 1)) == 1
    assert account["token"] not in server.log.read_text()


def test_an_unknown_token_is_refused(server: Server) -> None:
    """The library reports False, the log does not repeat the token."""
    loop = run_loop([1.0, 0.1])
    assert loop.send_telemetry(endpoint=server.url, token="rgk_nobody", workload_id="w", allow_insecure=True) is False
    assert "rgk_nobody" not in server.log.read_text()


def test_a_revoked_token_soon_ends(server: Server, account: dict[str, Any]) -> None:
    """The command line works while the server runs, and the server listens."""
    headers = {"Authorization": f"Bearer {account['token']}"}
    assert httpx.get(f"{server.url}/v1/stats", headers=headers, timeout=10).status_code == 200
    server.run("token", "revoke", account["token_id"])
    until(lambda: httpx.get(f"{server.url}/v1/stats", headers=headers, timeout=10).status_code == 401)
