"""Adoption of the library through the running program: anonymous events in, the operator's view out."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.support.server import Server, running

pytestmark = pytest.mark.e2e
ADOPTION = "/api/loopgain/adoption"
OCTOBER = {"since": "2026-10-01", "until": "2026-11-01"}
MONDAY = datetime(2026, 10, 5, tzinfo=UTC)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running(Path(tmp_path_factory.mktemp("adoption")) / "data") as started:
        yield started


def event(instance: int, name: str, at: datetime = MONDAY, **more: Any) -> dict[str, Any]:
    """An event as the library writes it."""
    base = {"library_version": "0.6.5", "python": "3.11", "os": "Linux"}
    return {"event": name, "instance_id": f"{instance:032x}", "ts_hour": at.isoformat(), **base, **more}


def send(server: Server, *events: dict[str, Any]) -> None:
    """Post events without a credential and wait until they are stored."""
    for start in range(0, len(events), 64):
        batch = {"schema_version": 1, "library": "loopgain", "events": events[start : start + 64]}
        httpx.post(f"{server.url}/v1/funnel", json=batch).raise_for_status()
    server.accounting()


def ask(server: Server, **parameters: str) -> Any:
    with server.client() as http:
        return http.get(ADOPTION, params=parameters).raise_for_status().json()["data"]


def test_nobody_is_a_view_of_zeros(server: Server) -> None:
    """Before the first event there is an answer, with shares of nothing left open."""
    assert {
        "groups": [],
        "steps": [
            {"step": "installed", "instances": 0, "share": None},
            {"step": "observed", "instances": 0, "share": None},
            {"step": "recurring", "instances": 0, "share": None},
        ],
        "weeks": [],
        "not_installed": 0,
    } == ask(server, since="2026-01-01", until="2026-02-01")


def test_steps_groups_and_weeks(server: Server) -> None:
    """Five installations of two weeks: who observed, who came back, who never told of its beginning."""
    later = MONDAY + timedelta(days=9)
    send(
        server,
        # comes back, and tells its adapter only the second time
        event(1, "first_init"),
        event(1, "first_init"),
        event(1, "first_observe"),
        event(1, "session", session_seq=1),
        event(1, "session", later, session_seq=2, adapter="langgraph", library_version="0.7.0"),
        # the event of its first session got lost
        event(2, "first_init", os="Darwin"),
        event(2, "first_observe", os="Darwin"),
        event(2, "session", later, session_seq=2, os="Darwin"),
        # one session, told twice
        event(3, "first_init", later),
        event(3, "first_observe", later),
        event(3, "session", later, session_seq=1),
        event(3, "session", later, session_seq=1),
        # never observes, however often it is started
        event(4, "first_init", later),
        event(4, "session", later, session_seq=1),
        event(4, "session", later, session_seq=2),
        # installed before the window
        event(5, "first_init", datetime(2026, 9, 30, 23, tzinfo=UTC)),
        event(5, "session", session_seq=7),
    )
    found = ask(server, **OCTOBER)
    assert [("installed", 4, None), ("observed", 3, 0.75), ("recurring", 2, 2 / 3)] == [
        (step["step"], step["instances"], step["share"]) for step in found["steps"]
    ]
    assert [("2026-10-05", 2, 2, 2), ("2026-10-12", 2, 1, 0)] == [tuple(week.values()) for week in found["weeks"]]
    assert 1 == found["not_installed"]
    assert [("0.6.5", 3, 2, 1), ("0.7.0", 1, 1, 1)] == [tuple(group.values()) for group in found["groups"]]
    by_os = ask(server, **OCTOBER, by="os")["groups"]
    assert [("Linux", 3, 2, 1), ("Darwin", 1, 1, 1)] == [tuple(group.values()) for group in by_os]
    by_adapter = ask(server, **OCTOBER, by="adapter")["groups"]
    assert [(None, 3, 2, 1), ("langgraph", 1, 1, 1)] == [tuple(group.values()) for group in by_adapter]


def test_every_view_adds_up_to_a_plain_recount(server: Server) -> None:
    """A made-up crowd: each dimension and the weeks have the totals that counting event by event gives."""
    chance = random.Random(7)
    names = ("first_init", "first_observe", "session")
    start = datetime(2026, 6, 1, tzinfo=UTC)
    crowd = [
        event(
            chance.randrange(1000, 1060),
            chance.choice(names),
            start + timedelta(hours=chance.randrange(700)),
            os=chance.choice(["Linux", "Darwin", "Windows"]),
            python=chance.choice(["3.11", None]),
            **({"session_seq": chance.randrange(1, 3)} if chance.random() < 0.6 else {}),
        )
        for _ in range(250)
    ]
    send(server, *crowd)
    per: dict[str, Counter[str]] = {}
    sessions: dict[str, list[int | None]] = {}
    for one in crowd:
        per.setdefault(one["instance_id"], Counter())[one["event"]] += 1
        if one["event"] == "session":
            sessions.setdefault(one["instance_id"], []).append(one.get("session_seq"))
    installed = {key for key, counts in per.items() if counts["first_init"]}
    observed = {key for key in installed if per[key]["first_observe"]}
    recurring = set()
    for key in observed:
        numbers = sessions.get(key, [])
        numbered = {number for number in numbers if number is not None}
        if max(numbered, default=0) >= 2 or len(numbered) + numbers.count(None) >= 2:
            recurring.add(key)
    expected = [len(installed), len(observed), len(recurring)]
    assert 0 < expected[2] < expected[1] < expected[0] < len(per)
    for dimension in ("version", "os", "adapter", "python"):
        found = ask(server, since="2026-06-01", until="2026-07-01", by=dimension)
        assert expected == [step["instances"] for step in found["steps"]]
        for part in ("groups", "weeks"):
            sums = [sum(line[name] for line in found[part]) for name in ("installed", "observed", "recurring")]
            assert expected == sums
        assert len(per) - len(installed) == found["not_installed"]


def test_csv_holds_the_groups(server: Server) -> None:
    """What a spreadsheet opens."""
    send(server, event(77, "first_init", datetime(2026, 3, 3, tzinfo=UTC)))
    with server.client() as http:
        march = {"since": "2026-03-01", "until": "2026-04-01", "format": "csv", "by": "python"}
        assert ["value,installed,observed,recurring", "3.11,1,0,0"] == http.get(ADOPTION, params=march).text.split()
        assert 400 == http.get(ADOPTION, params={"by": "instance_id"}).status_code


def test_only_the_operator_sees_it(server: Server) -> None:
    """Neither readers nor admins of another customer, because the events are nobody's in particular."""
    reader = server.issue("--customer", server.customer, "--scope", "read")
    stranger = server.issue("--name", "stranger", "--scope", "admin")
    for account in (reader, stranger):
        with server.client(account["token"]) as http:
            answer = http.get(ADOPTION)
            assert (403, "forbidden") == (answer.status_code, answer.json()["error"])
