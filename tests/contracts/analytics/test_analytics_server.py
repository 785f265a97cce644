"""Product usage through the running program: what the real client can do, and what is read back."""

from __future__ import annotations

import csv
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


READS = (
    *(f"active-users?period={period}" for period in ("day", "week", "month", "window")),
    *(f"modules?by={by}" for by in ("module", "event")),
    *(f"funnel?by={by}" for by in ("stage", "session")),
    *(f"sessions?by={by}" for by in ("total", "day", "phase", "version", "stop_reason", "tool")),
    "errors?",
    "retention?",
)
FILTERS = {
    "nothing": "",
    "a user": "&audience=ordinary&platform=linux&version=0.1.0&deployment_mode=docker",
    "the night": "&audience=always_on&phase=discovery&execution_kind=always_on",
    "modules": "&module=session&owner_module=session",
    "nobody": "&platform=plan9",
}


@pytest.mark.parametrize("filters", FILTERS)
@pytest.mark.parametrize("view", ["contract", "corrected"])
def test_every_read_is_the_same_table_as_csv(server: Server, usage: Any, view: str, filters: str) -> None:
    """Each read answers with each filter, in both views, and its CSV has the rows of its JSON."""
    httpx.post(f"{server.url}/k/{server.token}/collect", json=usage.worked()).raise_for_status()
    server.accounting()
    with server.client() as http:
        for read in READS:
            asked = f"/api/analytics/{read}&view={view}&since=2026-08-01&until=2026-09-01{FILTERS[filters]}"
            rows = http.get(asked).raise_for_status().json()["data"]
            text = http.get(f"{asked}&format=csv").raise_for_status().text
            assert len(rows) == len([*csv.DictReader(text.splitlines())]), asked
            assert filters != "nobody" or not rows, asked


def test_who_sends_twice_is_named(server: Server, usage: Any) -> None:
    """Copies and conflicts of each installation can be read, as JSON and as CSV."""
    first = usage.event(501, "2026-08-20T12:00:00.000Z", ("ab" * 12, "1" * 24, ""), {"outcome": "success"})
    for sent in (first, first, {**first, "platform": "win32"}):
        httpx.post(f"{server.url}/k/{server.token}/collect", json=[sent]).raise_for_status()
    server.accounting()
    asked = {"by": "duplicates", "since": "30d"}
    with server.client() as http:
        rows = http.get("/api/analytics/active-users", params=asked).raise_for_status().json()["data"]
        assert {"installation": "ab" * 12, "duplicates": 2, "conflicts": 1} in rows
        text = http.get("/api/analytics/active-users", params={**asked, "format": "csv"}).raise_for_status().text
    assert f"{'ab' * 12},2,1" in text.split()


def test_without_a_customer_nothing_is_taken(server: Server) -> None:
    """A client that nobody can be told apart by hears how to change that."""
    answer = httpx.post(f"{server.url}/collect", content=b"[]")
    assert 401 == answer.status_code
    assert "/k/<token>" in answer.json()["detail"]


def test_log_holds_no_value_of_an_event(server: Server, usage: Any) -> None:
    """What is refused or quarantined leaves no trace of its content."""
    secret = "/home/ann/secret-project"
    bad = usage.event(77, secret, usage.ann, {"title": secret})
    before = server.accounting().get("analytics", {}).get("quarantined", 0)
    httpx.post(f"{server.url}/k/{server.token}/collect", json=[bad])
    httpx.post(f"{server.url}/k/{server.token}/collect", content=f'{{"x": "{secret}"}}'.encode())
    assert before + 1 == server.accounting()["analytics"]["quarantined"]
    assert secret not in server.log.read_text()
