"""Signing in to a server process, with the command line beside it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from tests.support.server import Server, running, until
from typer.testing import CliRunner

from raingauge.cli import app
from raingauge.contracts import CONTRACTS
from raingauge.errors import Conflict, NotFound

CSRF = {"X-Raingauge-CSRF": "1"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running(tmp_path_factory.mktemp("signin") / "data") as started:
        yield started


def visitor(server: Server) -> httpx.Client:
    """A browser without a token."""
    return httpx.Client(base_url=server.url, timeout=30, trust_env=False)


def command(server: Server, *arguments: str) -> Any:
    """What the command line prints as JSON, run in this process because starting one takes a while."""
    found = CliRunner().invoke(app, [*arguments, "--json", "--data-dir", str(server.data_dir)])
    assert 0 == found.exit_code, found.output
    return json.loads(found.stdout)


def refused(server: Server, *arguments: str) -> type[object]:
    """The error that a command ends with."""
    found = CliRunner().invoke(app, [*arguments, "--data-dir", str(server.data_dir)])
    return type(found.exception)


def link_for(server: Server, email: str) -> str:
    """The path of a sign-in link that the command line prints."""
    return str(urlsplit(command(server, "signin-link", "--email", email)["url"]).path)


def test_the_first_start_prints_a_link_that_signs_one_visitor_in(server: Server) -> None:
    """Of eight who open it at the same moment, one is in."""
    found = re.search(r"http://\S+/signin/\S+", server.log.read_text())
    assert found is not None
    with visitor(server) as http, ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda _: http.get(found[0]).status_code, range(8)))
        me = http.get("/api/me").json()
    assert [303] + [410] * 7 == sorted(answers)
    assert (server.customer, "session", True) == (me["customer"], me["via"], me["operator"])


def test_people_come_and_go_by_the_command_line(server: Server) -> None:
    """The first address becomes the admin; links, roles and removals count at once; nothing secret is logged."""
    offset = len(server.log.read_bytes())
    boss, ada = visitor(server), visitor(server)
    paths = [link_for(server, "boss@example.com")]
    assert 303 == boss.get(paths[0]).status_code
    assert "admin" == boss.get("/api/me").json()["role"]
    assert NotFound is refused(server, "signin-link", "--email", "ada@example.com")
    command(server, "member", "add", "ada@example.com")
    paths.append(link_for(server, "Ada@Example.com"))
    assert 303 == ada.get(paths[1]).status_code
    assert "member" == ada.get("/api/me").json()["role"]
    listed = command(server, "member", "list")
    assert {"boss@example.com": "admin", "ada@example.com": "member"} == {one["email"]: one["role"] for one in listed}
    command(server, "member", "remove", "ada@example.com")
    until(lambda: ada.get("/api/me").status_code == 401)
    assert Conflict is refused(server, "member", "remove", "boss@example.com")
    issued = boss.post("/api/tokens", json={"scopes": ["read"]}, headers=CSRF).json()["token"]
    assert 201 == ada.post("/api/session", json={"token": issued}).status_code
    logged = server.log.read_bytes()[offset:].decode()
    assert '"/signin/{code}"' in logged
    cookies = [*boss.cookies.values(), *ada.cookies.values()]
    secrets = [*(path.rpartition("/")[2] for path in paths), *cookies, issued, "example.com", "127.0.0.1"]
    assert [] == [secret for secret in secrets if secret in logged]
    boss.close()
    ada.close()


def test_a_restart_forgets_nothing(server: Server) -> None:
    """People stay signed in; who has sent all of a day's messages still waits, and is told how long."""
    (capped,) = [intake for contract in CONTRACTS for intake in contract.intakes if intake.daily_cap]
    token = command(server, "token", "issue", "--name", "small", "--tier", "individual")["token"]
    link = link_for(server, "boss@example.com")
    with visitor(server) as boss, server.client(token) as http:
        boss.get(link)
        until(lambda: http.get("/api/me").status_code == 200)
        for _ in range(300):
            assert 202 == http.post(capped.path, content=capped.example).status_code
        before = http.post(capped.path, content=capped.example)
        server.accounting()
        assert 0 == server.stop()
        server.start()
        after = http.post(capped.path, content=capped.example)
        assert "boss@example.com" == boss.get("/api/me").json()["email"]
    for answer in (before, after):
        assert (429, "daily_cap_reached") == (answer.status_code, answer.json()["error"])
        assert 85_000 < int(answer.headers["retry-after"]) <= 86_460
