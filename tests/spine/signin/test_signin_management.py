"""The routes of the settings page: only admins, only their own customer, secrets shown once."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from raingauge.contract import Scope
from raingauge.contracts import CONTRACTS
from raingauge.control import members, tokens
from raingauge.control.members import Role, normalised
from raingauge.errors import Conflict

Place = Any
CSRF = {"X-Raingauge-CSRF": "1"}
ROUTES = [
    ("GET", "/api/tokens", None),
    ("POST", "/api/tokens", {"scopes": ["read"]}),
    ("POST", "/api/tokens/tok_000000000000/rotate", {}),
    ("POST", "/api/tokens/tok_000000000000/revoke", None),
    ("GET", "/api/members", None),
    ("POST", "/api/members", {"email": "new@example.com"}),
    ("PUT", "/api/members/new@example.com", {"role": "admin"}),
    ("DELETE", "/api/members/new@example.com", None),
    ("POST", "/api/members/new@example.com/signin-link", None),
    ("GET", "/api/connections", None),
    ("POST", "/api/connections/loopgain", None),
    ("GET", "/api/customers", None),
    ("POST", "/api/customers", {"name": "new", "admin_email": "new@example.com"}),
]


def outcome(answer: Any) -> tuple[int, str]:
    """Status and error code."""
    body = answer.json() if answer.content else ""
    return answer.status_code, body.get("error", "") if isinstance(body, dict) else ""


@pytest.fixture
def admin(place: Place) -> Any:
    """A visitor with a token of the scope admin."""
    return place.with_token(place.token(Scope.ADMIN).text)


@pytest.mark.parametrize(("method", "path", "body"), ROUTES)
def test_only_admins_get_in(place: Place, method: str, path: str, body: Any) -> None:
    """Members and tokens that read or send are refused by the server, with and without a valid body."""
    member = place.signed_in(place.member("ada@example.com"), **CSRF)
    reader = place.with_token(place.token(Scope.READ, Scope.INGEST).text)
    for given in (body, {"nonsense": 1}):
        options = {} if given is None else {"json": given}
        assert (401, "unauthorized") == outcome(place.browser().request(method, path, **options))
        assert (403, "forbidden") == outcome(member.request(method, path, **options))
        assert (403, "forbidden") == outcome(reader.request(method, path, **options))


# ---- tokens ------------------------------------------------------------------------------------------------


def test_a_token_is_shown_once_and_works(place: Place, admin: Any) -> None:
    """Its text comes with the answer to issuing and never again."""
    answer = admin.post("/api/tokens", {"label": "laptop", "scopes": ["ingest", "read"], "expires_days": 90})
    assert 201 == answer.status_code
    issued = answer.json()
    assert ("laptop", ["ingest", "read"]) == (issued["label"], issued["scopes"])
    assert 200 == place.with_token(issued["token"]).get("/api/me").status_code
    listed = admin.get("/api/tokens")
    assert issued["token"] not in listed.text
    (shown,) = [token for token in listed.json() if token["token_id"] == issued["token_id"]]
    assert ("valid", None) == (shown["state"], shown["replaced_by"])
    lasts = datetime.fromisoformat(shown["expires_at"]) - datetime.fromisoformat(shown["created_at"])
    assert timedelta(days=90) == lasts


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"scopes": []},
        {"scopes": ["root"]},
        {"scopes": "read"},
        {"scopes": ["read"], "expires_days": 0},
        {"scopes": ["read"], "expires_days": 1e9},
        {"scopes": ["read"], "label": "x" * 201},
        {"scopes": ["read"], "label": "two\nlines"},
        {"scopes": ["read"], "label": 7},
    ],
)
def test_a_token_that_makes_no_sense_is_refused(admin: Any, body: dict[str, Any]) -> None:
    """The answer has the API's shape, and no token was made."""
    before = len(admin.get("/api/tokens").json())
    assert (400, "invalid_parameter") == outcome(admin.post("/api/tokens", body))
    assert before == len(admin.get("/api/tokens").json())


def test_rotation_keeps_the_old_token_for_the_grace(place: Place, admin: Any) -> None:
    """The successor has the same rights; the old one can be rotated only once."""
    old = place.token(Scope.READ, label="laptop")
    path = f"/api/tokens/{old.record.token_id}/rotate"
    answer = admin.post(path, {"grace_seconds": 3_600})
    assert 201 == answer.status_code
    new = answer.json()
    assert ("laptop", ["read"]) == (new["label"], new["scopes"])
    assert [200, 200] == [place.with_token(text).get("/api/me").status_code for text in (old.text, new["token"])]
    assert (409, "conflict") == outcome(admin.post(path, {}))
    assert 201 == admin.post(f"/api/tokens/{new['token_id']}/rotate", {"grace_seconds": 0}).status_code
    assert 401 == place.with_token(new["token"]).get("/api/me").status_code


@pytest.mark.parametrize("grace", [-1, 1e12, "long", None, 0.5])
def test_a_grace_that_makes_no_sense_is_refused(place: Place, admin: Any, grace: Any) -> None:
    """The token stays as it was."""
    old = place.token(Scope.READ)
    path = f"/api/tokens/{old.record.token_id}/rotate"
    assert (400, "invalid_parameter") == outcome(admin.post(path, {"grace_seconds": grace}))
    assert 201 == admin.post(path, {}).status_code


def test_a_revoked_token_ends_at_once(place: Place, admin: Any) -> None:
    """It stays on the list with its state; doing it again is fine."""
    issued = place.token(Scope.READ)
    for _ in range(2):
        answer = admin.post(f"/api/tokens/{issued.record.token_id}/revoke")
        assert (200, "revoked") == (answer.status_code, answer.json()["state"])
        assert 401 == place.with_token(issued.text).get("/api/me").status_code


def test_use_of_a_token_for_reads_is_noted(place: Place, admin: Any) -> None:
    """Nobody revokes a token that is in use because it looks unused."""
    issued = place.token(Scope.READ)
    place.with_token(issued.text).get("/api/me")
    place.system.directory._flush()
    used = {token["token_id"]: token["last_used_at"] for token in admin.get("/api/tokens").json()}
    assert used[issued.record.token_id] is not None


# ---- members -----------------------------------------------------------------------------------------------


def test_members_are_added_changed_and_removed(place: Place, admin: Any) -> None:
    """Addresses are kept in small letters, and found in any."""
    answer = admin.post("/api/members", {"email": " Ada@Example.COM ", "role": "admin"})
    assert (201, "ada@example.com", "admin") == (answer.status_code, answer.json()["email"], answer.json()["role"])
    admin.post("/api/members", {"email": "bob@example.com"})
    assert 200 == admin.request("PUT", "/api/members/BOB@example.com", json={"role": "member"}).status_code
    roles = {member["email"]: member["role"] for member in admin.get("/api/members").json()}
    assert {"ada@example.com": "admin", "bob@example.com": "member"} == roles
    assert 204 == admin.request("DELETE", "/api/members/BOB@example.com").status_code
    assert ["ada@example.com"] == [member["email"] for member in admin.get("/api/members").json()]


@pytest.mark.parametrize("email", ["", "ada", "@", "ada@", "@example.com", "a b@example.com", "a@b@c", "x" * 300])
def test_what_is_no_address_is_refused(admin: Any, email: str) -> None:
    """A typing mistake is found when it is made."""
    assert (400, "invalid_parameter") == outcome(admin.post("/api/members", {"email": email}))


def test_addresses_that_only_look_alike_stay_different() -> None:
    """The Kelvin sign and the dotless i are other letters, whatever Unicode's case rules make of them."""
    assert "ki@example.com" == normalised("KI@Example.com")
    assert "\u212ai@example.com" == normalised("\u212aI@example.com")
    assert "k\u0131@example.com" == normalised("K\u0131@example.com")


def test_an_address_belongs_to_one_customer(place: Place, other: Place, admin: Any) -> None:
    """Else a JWT would not say whose rows its bearer may see."""
    other.member("ada@example.com")
    assert (409, "conflict") == outcome(admin.post("/api/members", {"email": "ada@example.com"}))
    assert 201 == admin.post("/api/members", {"email": "bob@example.com"}).status_code
    assert (409, "conflict") == outcome(admin.post("/api/members", {"email": "bob@example.com"}))


def test_the_last_admin_stays(place: Place, admin: Any) -> None:
    """Neither removal nor a lesser role can leave a customer without one."""
    place.member("boss@example.com", Role.ADMIN)
    place.member("ada@example.com")
    path = "/api/members/boss@example.com"
    assert (409, "conflict") == outcome(admin.request("DELETE", path))
    assert (409, "conflict") == outcome(admin.request("PUT", path, json={"role": "member"}))
    assert 200 == admin.request("PUT", "/api/members/ada@example.com", json={"role": "admin"}).status_code
    assert 204 == admin.request("DELETE", path).status_code


def test_an_admin_invites_with_a_link(place: Place, admin: Any) -> None:
    """Without an identity provider a member signs in by what the admin passes on."""
    place.member("ada@example.com")
    answer = admin.post("/api/members/ada@example.com/signin-link")
    assert 201 == answer.status_code
    url = answer.json()["url"]
    assert url.startswith("http://gauge.example/signin/")
    visitor = place.browser()
    assert 303 == visitor.get(url).status_code
    assert "ada@example.com" == visitor.get("/api/me").json()["email"]


def test_two_admins_cannot_remove_each_other_at_once(place: Place) -> None:
    """Whoever comes second finds that an admin must stay."""
    for name in ("ada", "bob"):
        place.member(f"{name}@example.com", Role.ADMIN)
    with place.system.database.write() as db:
        members.remove(db, place.customer, "ada@example.com")
    with place.system.database.write() as db, pytest.raises(Conflict):
        members.remove(db, place.customer, "bob@example.com")


# ---- tenants -----------------------------------------------------------------------------------------------


def test_an_admin_reaches_nobody_elses_things(place: Place, other: Place, admin: Any) -> None:
    """What belongs to another customer is as good as not there, and stays as it is."""
    theirs = other.token(Scope.READ)
    other.member("boss@example.com", Role.ADMIN)
    other.member("eve@example.com")
    assert [(404, "not_found")] * 5 == [
        outcome(admin.post(f"/api/tokens/{theirs.record.token_id}/revoke")),
        outcome(admin.post(f"/api/tokens/{theirs.record.token_id}/rotate", {})),
        outcome(admin.request("DELETE", "/api/members/eve@example.com")),
        outcome(admin.request("PUT", "/api/members/eve@example.com", json={"role": "admin"})),
        outcome(admin.post("/api/members/eve@example.com/signin-link")),
    ]
    assert theirs.record.token_id not in admin.get("/api/tokens").text
    assert "example.com" not in admin.get("/api/members").text
    assert [place.customer] == [customer["customer_id"] for customer in admin.get("/api/customers").json()]
    assert 200 == other.with_token(theirs.text).get("/api/me").status_code


def test_operators_see_and_add_customers(installation: Place, place: Place, admin: Any) -> None:
    """An admin of the first customer may; an admin of any other may not."""
    operator = installation.with_token(installation.token(Scope.ADMIN).text)
    assert operator.get("/api/me").json()["operator"]
    seen = {customer["customer_id"] for customer in operator.get("/api/customers").json()}
    assert {installation.customer, place.customer} <= seen
    body = {"name": "new", "admin_email": "first@new.example", "tier": "team"}
    assert (403, "forbidden") == outcome(admin.post("/api/customers", body))
    answer = operator.post("/api/customers", body)
    assert 201 == answer.status_code
    visitor = place.browser()
    assert 303 == visitor.get(answer.json()["link"]["url"]).status_code
    me = visitor.get("/api/me").json()
    assert ("new", "team", "admin", False) == (me["customer_name"], me["tier"], me["role"], me["operator"])
    assert me["customer"] == answer.json()["customer"]["customer_id"]


def test_a_customer_whose_admin_is_taken_is_not_added(installation: Place, place: Place) -> None:
    """All or nothing: no customer without an admin is left behind."""
    operator = installation.with_token(installation.token(Scope.ADMIN).text)
    place.member("ada@example.com")

    def customers() -> list[dict[str, Any]]:
        # When somebody was last seen is written now and then, also beside this test.
        return [{**one, "last_seen_at": None} for one in operator.get("/api/customers").json()]

    before = customers()
    body = {"name": "half", "admin_email": "ada@example.com"}
    assert (409, "conflict") == outcome(operator.post("/api/customers", body))
    assert before == customers()


def test_only_operators_see_the_whole_installation(installation: Place, admin: Any) -> None:
    """What all customers together send is not for an admin of one of them."""
    operator = installation.with_token(installation.token(Scope.ADMIN).text)
    assert operator.get("/api/system").json()["installation"] is not None
    assert admin.get("/api/system").json()["installation"] is None


# ---- connections -------------------------------------------------------------------------------------------


def test_every_client_can_be_connected(place: Place, admin: Any) -> None:
    """Each gets a snippet with our address and a token of its own that may do what the client needs, and no more."""
    listed = admin.get("/api/connections").json()
    assert [one.client for contract in CONTRACTS for one in contract.connections] == [one["client"] for one in listed]
    for one in listed:
        answer = admin.post(f"/api/connections/{one['client']}")
        assert 201 == answer.status_code
        assert "gauge.example" in answer.json()["text"]
        with place.system.database.read() as db:
            issued = tokens.find(db, answer.json()["token_id"])
        assert (place.customer, {one["scope"]}) == (issued.customer_id, set(issued.scopes))


def test_an_unknown_client_is_not_connected(admin: Any) -> None:
    """No token is issued for it."""
    before = len(admin.get("/api/tokens").json())
    assert (404, "not_found") == outcome(admin.post("/api/connections/toaster"))
    assert before == len(admin.get("/api/tokens").json())


# ---- beside it ---------------------------------------------------------------------------------------------


def test_own_metrics_name_their_charset_once(place: Place) -> None:
    """A scraper that reads the content type strictly understands it."""
    assert 1 == place.browser().get("/-/metrics").headers["content-type"].count("charset")


def test_the_documentation_lists_these_routes(place: Place) -> None:
    """OpenAPI is made from the code."""
    paths = place.browser().get("/openapi.json").json()["paths"]
    expected = {"/api/me", "/api/session", "/api/tokens", "/api/members", "/api/connections", "/api/customers"}
    assert expected <= set(paths)
