"""Sessions: what starts, ends and protects them."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from raingauge.auth.directory import Directory
from raingauge.contract import Scope
from raingauge.control import customers, members, sessions, tokens
from raingauge.control.database import Database
from raingauge.control.members import Role
from raingauge.control.sessions import SESSIONS_MAX, Owner
from raingauge.control.tables import SESSIONS
from raingauge.settings import Settings

Place = Any
CSRF = {"X-Raingauge-CSRF": "1"}
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
DAY = timedelta(days=1)


def outcome(answer: Any) -> tuple[int, str]:
    """Status and error code."""
    return answer.status_code, answer.json().get("error", "") if answer.content else ""


# ---- a pasted token ----------------------------------------------------------------------------------------


def test_a_read_token_is_pasted_once(place: Place) -> None:
    """The cookie that comes back does what the token may, and the token need not be sent again."""
    visitor = place.browser()
    answer = visitor.post("/api/session", {"token": f" {place.token(Scope.READ).text}\n"})
    assert 201 == answer.status_code
    assert (place.customer, None, "token", ["read"], "session") == tuple(
        answer.json()[name] for name in ("customer", "email", "role", "scopes", "via")
    )
    assert answer.json() == visitor.get("/api/me").json()


@pytest.mark.parametrize("text", ["", "rgk_unknown", "a.b.c", "\ud800", "x" * 10_000])
def test_what_is_no_token_signs_nobody_in(place: Place, text: str) -> None:
    """Whatever is pasted instead is told apart from a server error."""
    body = json.dumps({"token": text}).encode()
    answer = place.browser().request("POST", "/api/session", content=body, headers={"Content-Type": "application/json"})
    assert outcome(answer) in {(401, "unauthorized"), (400, "invalid_parameter")}
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b"{", b'{"token": 7}', b"\xff"])
def test_a_body_of_another_shape_is_refused(place: Place, body: bytes) -> None:
    """The error has the API's shape and repeats nothing of the body."""
    answer = place.browser().request("POST", "/api/session", content=body, headers={"Content-Type": "application/json"})
    assert (400, "invalid_parameter") == outcome(answer)


def test_a_token_that_may_only_send_signs_nobody_in(place: Place) -> None:
    """The dashboard would show nothing."""
    answer = place.browser().post("/api/session", {"token": place.token(Scope.INGEST).text})
    assert (403, "forbidden") == outcome(answer)


# ---- how sessions end --------------------------------------------------------------------------------------


def test_signing_out_ends_the_session(place: Place) -> None:
    """The cookie is taken away, and a copy of it is worthless."""
    visitor = place.signed_in(place.member("ada@example.com"))
    copy = {"Cookie": "; ".join(f"{name}={value}" for name, value in visitor.cookies.items())}
    answer = visitor.request("DELETE", "/api/session", headers=CSRF)
    assert 204 == answer.status_code
    assert {} == dict(visitor.cookies)
    assert 401 == place.browser().get("/api/me", headers=copy).status_code


def test_signing_out_twice_is_fine(place: Place) -> None:
    """Who is not signed in is signed out."""
    assert 204 == place.browser().request("DELETE", "/api/session").status_code


def test_a_session_ends_with_its_token(place: Place) -> None:
    """Revoking the token signs out whoever pasted it."""
    issued, admin = place.token(Scope.READ), place.with_token(place.token(Scope.ADMIN).text)
    visitor = place.browser()
    visitor.post("/api/session", {"token": issued.text})
    assert 200 == visitor.get("/api/me").status_code
    assert 200 == admin.post(f"/api/tokens/{issued.record.token_id}/revoke").status_code
    assert (401, "unauthorized") == outcome(visitor.get("/api/me"))


def test_a_session_ends_with_the_membership(place: Place) -> None:
    """A removed member is out at once, on every device."""
    place.member("boss@example.com", Role.ADMIN)
    devices = [place.signed_in("boss@example.com"), *(place.signed_in(place.member("ada@example.com")),)]
    boss, ada = devices
    assert 204 == boss.request("DELETE", "/api/members/ada@example.com", headers=CSRF).status_code
    assert (401, "unauthorized") == outcome(ada.get("/api/me"))
    assert 200 == boss.get("/api/me").status_code


def test_a_new_role_counts_at_once(place: Place) -> None:
    """Nobody keeps rights until the next sign-in."""
    boss = place.with_token(place.token(Scope.ADMIN).text)
    place.member("boss@example.com", Role.ADMIN)
    ada = place.signed_in(place.member("ada@example.com", Role.ADMIN))
    assert 200 == ada.get("/api/tokens").status_code
    boss.request("PUT", "/api/members/ada@example.com", json={"role": "member"})
    assert (403, "forbidden") == outcome(ada.get("/api/tokens"))
    assert ("member", ["read"]) == tuple(ada.get("/api/me").json()[name] for name in ("role", "scopes"))


@pytest.fixture
def kept(tmp_path: Path) -> Any:
    """A control database with one member and one token that ends in 10 days."""
    database = Database.open(Settings(), tmp_path)
    with database.write() as db:
        customer = customers.create(db, "acme", now=NOW)
        members.add(db, customer.customer_id, "ada@example.com", Role.MEMBER, now=NOW)
        issued = tokens.issue(db, customer.customer_id, expires_at=NOW + 10 * DAY, now=NOW)
    yield database, Owner("ada@example.com"), Owner(token_id=issued.record.token_id)
    database.close()


def test_sessions_end_after_30_days_or_7_days_unused_or_with_their_token(kept: Any) -> None:
    """Whatever comes first; each use starts the 7 days again."""
    database, member, token = kept
    clock = [NOW]
    with database.write() as db:
        busy, idle, bound = (
            sessions.start(db, owner, lifetime=30 * DAY, idle=7 * DAY, now=NOW) for owner in (member, member, token)
        )
    directory = Directory(database, refresh_seconds=3_600, clock=lambda: clock[0])
    alive: dict[str, list[int]] = {"busy": [], "idle": [], "bound": []}
    for day in range(32):
        clock[0] = NOW + day * DAY
        for name, cookie in (("busy", busy), ("idle", idle), ("bound", bound)):
            credential = directory.find_session(cookie)
            if credential:
                alive[name].append(day)
                if name != "idle":
                    directory.touch(credential, clock[0])
    directory.close()
    assert {"busy": [*range(30)], "idle": [*range(7)], "bound": [*range(10)]} == alive


def test_use_of_a_session_survives_a_restart(kept: Any) -> None:
    """The 7 days count from the last use, not from the last start of the server."""
    database, member, _ = kept
    with database.write() as db:
        cookie = sessions.start(db, member, lifetime=30 * DAY, idle=7 * DAY, now=NOW)
    first = Directory(database, refresh_seconds=3_600, clock=lambda: NOW + 6 * DAY)
    found = first.find_session(cookie)
    assert found is not None
    first.touch(found, NOW + 6 * DAY)
    first.close()
    second = Directory(database, refresh_seconds=3_600, clock=lambda: NOW + 12 * DAY)
    assert second.find_session(cookie) is not None
    second.close()


def test_sessions_of_one_owner_are_bounded(kept: Any) -> None:
    """Signing in again and again ends the oldest sessions instead of filling memory."""
    database, member, token = kept
    with database.write() as db:
        sessions.start(db, token, lifetime=30 * DAY, idle=7 * DAY, now=NOW)
        cookies = [
            sessions.start(db, member, lifetime=30 * DAY, idle=7 * DAY, now=NOW + timedelta(seconds=number))
            for number in range(SESSIONS_MAX + 5)
        ]
    directory = Directory(database, refresh_seconds=3_600, clock=lambda: NOW + timedelta(hours=1))
    found = [directory.find_session(cookie) is not None for cookie in cookies]
    directory.close()
    assert [False] * 5 + [True] * SESSIONS_MAX == found
    with database.read() as db:
        assert SESSIONS_MAX + 1 == db.execute(select(func.count()).select_from(SESSIONS)).scalar_one()


# ---- writes of strange pages -------------------------------------------------------------------------------

OWN = "http://gauge.example"


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, 403),
        (CSRF, 201),
        (CSRF | {"Origin": OWN}, 201),
        (CSRF | {"Origin": "https://evil.example"}, 403),
        (CSRF | {"Origin": "null"}, 403),
        (CSRF | {"Origin": "http://gauge.example:81"}, 403),
        (CSRF | {"Origin": "https://gauge.example"}, 403),
        (CSRF | {"Sec-Fetch-Site": "same-origin"}, 201),
        (CSRF | {"Sec-Fetch-Site": "same-site"}, 403),
        (CSRF | {"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Origin": OWN, "Sec-Fetch-Site": "same-origin"}, 403),
    ],
)
def test_a_cookie_writes_only_from_our_own_pages(place: Place, headers: dict[str, str], expected: int) -> None:
    """Another site can make a browser send the cookie, but not the header, and not pretend to be us."""
    boss = place.signed_in(place.member("boss@example.com", Role.ADMIN))
    answer = boss.post("/api/tokens", {"scopes": ["read"]}, headers=headers)
    assert (expected, "" if expected == 201 else "cross_site_refused") == outcome(answer)


def test_a_token_writes_from_anywhere(place: Place) -> None:
    """No browser sends an Authorization header by itself, so it needs no protection."""
    admin = place.with_token(place.token(Scope.ADMIN).text)
    answer = admin.post("/api/tokens", {"scopes": ["read"]}, headers={"Origin": "https://evil.example"})
    assert 201 == answer.status_code


def test_routes_of_contracts_are_protected_too(place: Place) -> None:
    """LoopGain's reset deletes, so a strange page must not be able to call it."""
    ada = place.signed_in(place.member("ada@example.com", Role.ADMIN))
    assert 403 == ada.post("/v1/aggregate/reset", {}, headers={"Origin": "https://evil.example"}).status_code


def test_a_strange_page_cannot_sign_anybody_in_or_out(place: Place) -> None:
    """Else its victim would work in the attacker's account without noticing."""
    evil = {"Origin": "https://evil.example"}
    token = place.token(Scope.READ).text
    assert (403, "cross_site_refused") == outcome(place.browser().post("/api/session", {"token": token}, headers=evil))
    ada = place.signed_in(place.member("ada@example.com"))
    assert 403 == ada.request("DELETE", "/api/session", headers=evil | CSRF).status_code
    assert 200 == ada.get("/api/me").status_code


@pytest.mark.parametrize("path", ["/v1/aggregate", "/v1/traces", "/v1/logs", "/v1/clientFlagLogs:write"])
def test_ingest_takes_no_cookie(place: Place, path: str) -> None:
    """Telemetry is sent by programs; a page in a browser must not be able to write it for its visitor."""
    boss = place.browser()
    boss.post("/api/session", {"token": place.token(*Scope).text})
    assert 200 == boss.get("/api/me").status_code
    assert 401 == boss.post(path, {}, headers=CSRF).status_code


@pytest.mark.parametrize("cookie", ["x", "raingauge_session=", "raingauge_session=x", "raingauge_session", ";;=;", "é"])
def test_other_cookies_are_nobody(place: Place, cookie: str) -> None:
    """A damaged or foreign cookie is as good as none."""
    headers = {"Cookie": cookie.encode("utf-8")}
    assert (401, "unauthorized") == outcome(place.browser().get("/api/me", headers=headers))


def test_a_cookie_that_ended_is_no_guess(open_place: Callable[..., Place]) -> None:
    """A browser sends it with everything, so it is neither counted as a refused credential nor in the way."""
    place = open_place(failed_auth_per_ip=1)
    stale = {"Cookie": "raingauge_session=ended"}
    assert [401] * 3 == [place.browser().get("/api/me", headers=stale).status_code for _ in range(3)]


def test_pasting_wrong_tokens_is_slowed_down(open_place: Callable[..., Place]) -> None:
    """Guesses are limited per address; a right token still gets through."""
    place = open_place(failed_auth_per_ip=2)
    visitor = place.browser()
    answers = [visitor.post("/api/session", {"token": f"wrong{number}"}) for number in range(3)]
    assert [401, 401, 429] == [answer.status_code for answer in answers]
    assert int(answers[2].headers["retry-after"]) > 0
    assert 201 == visitor.post("/api/session", {"token": place.token(Scope.READ).text}).status_code


def test_behind_a_tls_proxy_the_public_address_decides(open_place: Callable[..., Place]) -> None:
    """The proxy speaks plain HTTP to us; cookies are secure all the same, and its pages are ours."""
    place = open_place(public_url="https://gauge.example")
    boss = place.browser()
    answer = boss.get(f"/signin/{place.code(email=place.member('boss@example.com', Role.ADMIN))}")
    name, value = answer.headers["set-cookie"].partition(";")[0].split("=")
    assert "__Host-raingauge_session" == name
    assert "secure" in answer.headers["set-cookie"].lower()
    headers = CSRF | {"Cookie": f"{name}={value}", "Origin": "https://gauge.example"}
    assert 201 == boss.post("/api/tokens", {"scopes": ["read"]}, headers=headers).status_code


def test_other_servers_follow_within_a_moment(place: Place) -> None:
    """A removal by the command line or another server needs no restart here."""
    ada = place.signed_in(place.member("ada@example.com"))
    place.member("boss@example.com", Role.ADMIN)
    with place.system.database.write() as db:
        members.remove(db, place.customer, "ada@example.com")
    place.system.directory._tick()
    assert 401 == ada.get("/api/me").status_code
