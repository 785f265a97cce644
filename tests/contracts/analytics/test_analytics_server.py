"""Product usage through the running program: what the real client can do, and what is read back."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.support.server import Server, running

pytestmark = pytest.mark.e2e
AUGUST = {"since": "2026-08-01", "until": "2026-09-01"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running(Path(tmp_path_factory.mktemp("analytics")) / "data") as started:
        yield started


def test_worked_set_through_http(server: Server, usage: Any) -> None:
    """Sent twice, without a header, under the path with the token: counted once, quarantined each time."""
    body = json.dumps(usage.worked()).encode()
    for path in ("collect", "/collect"):
        answer = httpx.post(f"{server.url}/k/{server.token}/{path}", content=body, follow_redirects=False)
        assert (202, {"received": 16, "accepted": 15, "quarantined": 1}) == (answer.status_code, answer.json())
    assert {"received": 32, "stored": 14, "duplicate": 16, "quarantined": 2} == server.accounting()["analytics"]
    with server.client() as http:
        users = http.get("/api/analytics/active-users", params=AUGUST).json()["data"]
        assert [(1, 1), (2, 3)] == [(day["installations"], day["all_versions"]) for day in users]
        text = http.get("/api/analytics/modules", params={**AUGUST, "format": "csv"}).text
        assert ["module,events,errors,installations", "session,10,2,2", "always_on,1,0,1"] == text.split()


def test_without_a_customer_nothing_is_taken(server: Server) -> None:
    """A client that nobody can be told apart by hears how to change that."""
    answer = httpx.post(f"{server.url}/collect", content=b"[]")
    assert 401 == answer.status_code
    assert "/k/<token>" in answer.json()["detail"]


def test_log_holds_no_value_of_an_event(server: Server, usage: Any) -> None:
    """What is refused or quarantined leaves no trace of its content."""
    secret = "/home/ann/secret-project"
    bad = usage.event(77, secret, usage.ann, {"title": secret})
    httpx.post(f"{server.url}/k/{server.token}/collect", json=[bad])
    httpx.post(f"{server.url}/k/{server.token}/collect", content=f'{{"x": "{secret}"}}'.encode())
    assert 3 == server.accounting()["analytics"]["quarantined"]
    assert secret not in server.log.read_text()
