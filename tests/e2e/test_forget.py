"""Forgetting a person, with the real command on a running and on a stopped server."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from tests.support.server import Server, running

ADA, BOB = "ada@example.com", "bob@example.com"
ROWS = {"spans": 1, "events": 2, "tool_decisions": 1, "points": 1}


def value(**attributes: str) -> list[dict[str, Any]]:
    return [{"key": key.replace("_", ".", 1), "value": {"stringValue": text}} for key, text in attributes.items()]


def work(email: str) -> dict[str, dict[str, Any]]:
    """What an agent sends about a person: a request and a decision, a cost and a span."""
    resource = {"resource": {"attributes": value(service_name="claude-code")}}
    now = str(time.time_ns())
    about = {"user_email": email, "session_id": f"session of {email}"}
    records = [
        {
            "timeUnixNano": now,
            "attributes": value(event_name=name, tool_name="Bash", decision="accept", source="config", **about),
            "body": {},
        }
        for name in ("api_request", "tool_decision")
    ]
    cost = {"attributes": value(**about), "timeUnixNano": now, "asDouble": 0.25}
    span = {
        "traceId": email.encode().hex()[:16].ljust(32, "0"), "spanId": "00000000000000aa", "name": "claude_code.tool",
        "startTimeUnixNano": now, "endTimeUnixNano": now, "attributes": value(**about),
    }  # fmt: skip
    metric = {"name": "claude_code.cost.usage", "sum": {"dataPoints": [cost], "aggregationTemporality": 1}}
    return {
        "/v1/logs": {"resourceLogs": [{**resource, "scopeLogs": [{"logRecords": records}]}]},
        "/v1/metrics": {"resourceMetrics": [{**resource, "scopeMetrics": [{"metrics": [metric]}]}]},
        "/v1/traces": {"resourceSpans": [{**resource, "scopeSpans": [{"spans": [span]}]}]},
    }


def send(server: Server, token: str, *emails: str) -> None:
    with server.client(token) as http:
        for email in emails:
            for path, body in work(email).items():
                http.post(path, json=body).raise_for_status()
    server.accounting()


def people(server: Server, token: str) -> dict[str | None, str]:
    """Readable name, or null, and key of everybody who spent something."""
    with server.client(token) as http:
        rows = http.get("/api/rollups").raise_for_status().json()["data"]
    return {row["user_name"]: row["user"] for row in rows}


def forget(server: Server, *arguments: str) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(server.run("forget", *arguments, "--json").stdout)
    return told


@pytest.fixture
def account(server: Server) -> dict[str, Any]:
    return server.issue("--name", "team")


def test_a_forgotten_name_is_gone_and_the_facts_stay(server: Server, account: dict[str, Any]) -> None:
    """The person's rows keep their hash, everybody else keeps the name; a second time there is nothing to forget."""
    send(server, account["token"], ADA, BOB)
    before = people(server, account["token"])
    assert {ADA, BOB} == set(before)
    assert {"names": 1, "rows": {}} == forget(server, "Ada@Example.com", "--customer", account["customer_id"])
    assert {None: before[ADA], BOB: before[BOB]} == people(server, account["token"])
    assert {"names": 0, "rows": {}} == forget(server, ADA, "--customer", account["customer_id"])


def test_with_facts_nothing_about_the_person_is_left(server: Server, account: dict[str, Any]) -> None:
    """Every table loses the person's rows, the daily sums too, and nobody else's."""
    send(server, account["token"], ADA, BOB)
    server.run("rollup", "run")
    assert {"names": 1, "rows": ROWS} == forget(server, ADA, "--customer", account["customer_id"], "--facts")
    assert {BOB} == set(people(server, account["token"]))
    server.run("rollup", "run")
    assert {BOB} == set(people(server, account["token"]))
    assert {"names": 1, "rows": ROWS} == forget(server, BOB, "--customer", account["customer_id"], "--facts")
    assert {} == people(server, account["token"])


def test_a_key_names_a_person_too_and_other_customers_are_asked_for(server: Server) -> None:
    """What reads show can be forgotten; without a customer the person goes everywhere."""
    one, two = server.issue("--name", "one"), server.issue("--name", "two")
    for account in (one, two):
        send(server, account["token"], "cy@example.com")
    key = people(server, one["token"])["cy@example.com"]
    assert {"names": 1, "rows": {}} == forget(server, key)
    assert {None: key} == people(server, one["token"])
    assert ["cy@example.com"] == list(people(server, two["token"]))
    assert {"names": 1, "rows": {}} == forget(server, "cy@example.com")
    assert [None] == list(people(server, two["token"]))


def test_without_a_server_what_waits_is_forgotten_too(tmp_path: Path) -> None:
    """The command stores what a killed server left in the queue before it looks for the person."""
    with running(tmp_path / "data") as server:
        with server.client() as http:
            for path, body in work(ADA).items():
                http.post(path, json=body).raise_for_status()
        server.kill()
        assert {"names": 1, "rows": ROWS} == forget(server, ADA, "--facts")
        server.start()
        assert {} == people(server, server.token)


def test_unknown_customers_and_empty_names_are_told(server: Server) -> None:
    """A slip of the pen deletes nothing."""
    for arguments in (("ada@example.com", "--customer", "cust_0000000000000000"), (" ",)):
        done = server.run("forget", *arguments, check=False)
        assert (1, "raingauge: ") == (done.returncode, done.stderr[:11])
