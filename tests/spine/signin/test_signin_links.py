"""One-time links: they sign in once, and tell who comes too late what to do."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from http.cookies import SimpleCookie
from threading import Barrier
from typing import Any

import pytest
from sqlalchemy import text

from raingauge.contract import Scope
from raingauge.control import links, tokens
from raingauge.control.sessions import Owner
from raingauge.system import utc_now

Place = Any


def test_a_link_signs_its_member_in(place: Place) -> None:
    """Opening it leads to the dashboard; from then on the server knows the person."""
    visitor = place.browser()
    answer = visitor.get(f"/signin/{place.code(email=place.member('ada@example.com'))}")
    assert (303, "/") == (answer.status_code, answer.headers["location"])
    assert {
        "customer": place.customer,
        "customer_name": "acme",
        "tier": "",
        "email": "ada@example.com",
        "role": "member",
        "scopes": ["read"],
        "via": "session",
        "operator": False,
    } == visitor.get("/api/me").json()


def test_a_link_of_a_token_gives_what_the_token_may(place: Place) -> None:
    """The link of a first start belongs to the first token, since no member is known yet."""
    issued = place.token(*Scope)
    visitor = place.browser()
    visitor.get(f"/signin/{place.code(token_id=issued.record.token_id)}")
    me = visitor.get("/api/me").json()
    assert (None, "token", ["ingest", "read", "admin"], "session") == (
        me["email"], me["role"], me["scopes"], me["via"],
    )  # fmt: skip


@pytest.mark.parametrize(
    ("base_url", "name", "secure"),
    [
        ("http://gauge.example", "raingauge_session", False),
        ("https://gauge.example", "__Host-raingauge_session", True),
    ],
)
def test_the_cookie_is_as_closed_as_the_connection_allows(place: Place, base_url: str, name: str, secure: bool) -> None:
    """No script reads it, no other site's form carries it, and with TLS no plain request does."""
    answer = place.browser(base_url).get(f"/signin/{place.code(email=place.member('ada@example.com'))}")
    (cookie,) = SimpleCookie(answer.headers["set-cookie"]).values()
    assert (name, True, "lax", "/", "", "2592000", secure) == (
        cookie.key, cookie["httponly"], cookie["samesite"].lower(), cookie["path"], cookie["domain"],
        cookie["max-age"], bool(cookie["secure"]),
    )  # fmt: skip
    assert "no-store" == answer.headers["cache-control"]


def test_a_link_works_once(place: Place) -> None:
    """The second visitor gets a page that says how to get a new link, and no cookie."""
    code = place.code(email=place.member("ada@example.com"))
    place.browser().get(f"/signin/{code}")
    late = place.browser()
    answer = late.get(f"/signin/{code}")
    assert 410 == answer.status_code
    assert "text/html; charset=utf-8" == answer.headers["content-type"]
    assert "raingauge signin-link" in answer.text
    assert "set-cookie" not in answer.headers
    assert 401 == late.get("/api/me").status_code


@pytest.mark.parametrize("code", ["x", "a" * 5_000, "..%2f", "%00", "%F0%9F%90%88", "%ed%a0%80", "'%20OR%201=1"])
def test_made_up_codes_sign_nobody_in(place: Place, code: str) -> None:
    """Whatever stands in the place of the code is merely unknown."""
    assert place.browser().get(f"/signin/{code}").status_code in (404, 410)


def test_an_old_link_is_as_good_as_a_used_one(place: Place) -> None:
    """After its time a code opens nothing."""
    code = place.code(email=place.member("ada@example.com"), lifetime=timedelta(0))
    assert 410 == place.browser().get(f"/signin/{code}").status_code


def test_of_many_who_open_a_link_at_once_one_is_signed_in(place: Place) -> None:
    """A race gives away no second session."""
    code = place.code(email=place.member("ada@example.com"))
    together = Barrier(8)

    def use() -> Owner | None:
        together.wait()
        with place.system.database.write() as db:
            return links.use(db, code, now=utc_now())

    with ThreadPoolExecutor(8) as threads:
        found = [future.result() for future in [threads.submit(use) for _ in range(8)]]
    assert [Owner("ada@example.com")] == [owner for owner in found if owner]


def test_a_link_ends_with_the_token_it_was_made_for(place: Place) -> None:
    """Revoking the first token also takes its unused link away."""
    issued = place.token(*Scope)
    code = place.code(token_id=issued.record.token_id)
    with place.system.database.write() as db:
        tokens.revoke(db, issued.record.token_id, now=utc_now())
    answer = place.browser().get(f"/signin/{code}")
    assert 410 == answer.status_code
    assert "set-cookie" not in answer.headers


def test_neither_codes_nor_cookies_are_kept(place: Place) -> None:
    """Who reads the database cannot sign in with what stands there."""
    code = place.code(email=place.member("ada@example.com"))
    unused = place.code(email="ada@example.com")
    visitor = place.browser()
    visitor.get(f"/signin/{code}")
    (cookie,) = visitor.cookies.values()
    with place.system.database.read() as db:
        kept = repr([list(db.execute(text(f"SELECT * FROM {table}"))) for table in ("sessions", "signin_links")])
    assert tokens.digest(cookie) in kept
    assert not [secret for secret in (code, unused, cookie) if secret in kept]
