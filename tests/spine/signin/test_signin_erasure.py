"""What admins take out for good on the dashboard: people and customers."""

from __future__ import annotations

import json
from typing import Any

import pytest

from raingauge.contract import Person, Scope
from raingauge.contracts.otlp.people import person_key

Place = Any
CSRF = {"X-Raingauge-CSRF": "1"}


def known(place: Place, *names: str) -> None:
    """Give the customer people with these names, as decoding does."""
    key = place.system.vault.subkey("identity")
    people = [Person(person_key(key, place.customer, name), name) for name in names]
    place.system.people.remember(place.customer, people)


def names(visitor: Any) -> list[str]:
    """The names that the list shows."""
    return [person["name"] for person in visitor.get("/api/people").raise_for_status().json()["people"]]


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/api/people", None),
        ("POST", "/api/people/forget", {"person": "ada@example.com"}),
        ("DELETE", "/api/customers/cust_0", None),
    ],
)
def test_only_admins_erase(place: Place, method: str, path: str, body: Any) -> None:
    """Members and tokens that only read see no list of names and forget nobody."""
    known(place, "ada@example.com")
    options = {} if body is None else {"json": body}
    member = place.signed_in(place.member("m@example.com"), **CSRF)
    assert 401 == place.browser().request(method, path, **options).status_code
    assert 403 == member.request(method, path, **options).status_code
    assert 403 == place.with_token(place.token(Scope.READ).text).request(method, path, **options).status_code
    assert ["ada@example.com"] == names(place.with_token(place.token(Scope.ADMIN).text))


def test_a_forgotten_person_is_gone_and_others_stay(place: Place, other: Place) -> None:
    """A person is forgotten by name at the caller's customer alone; neighbours and other customers keep theirs."""
    for each in (place, other):
        known(each, "ben@example.com", "Ada@Example.com", "cleo@example.com")
    admin = place.with_token(place.token(Scope.ADMIN).text)
    assert ["Ada@Example.com", "ben@example.com", "cleo@example.com"] == names(admin)
    answer = admin.post("/api/people/forget", {"person": " ben@example.com "})
    assert (200, {"names": 1, "rows": {}}) == (answer.status_code, answer.json())
    assert ["Ada@Example.com", "cleo@example.com"] == names(admin)
    assert 3 == len(names(other.with_token(other.token(Scope.ADMIN).text)))


def test_a_person_is_forgotten_by_the_hash_that_is_shown(place: Place) -> None:
    """What reads show in place of a name is enough to forget it."""
    known(place, "ada@example.com")
    admin = place.with_token(place.token(Scope.ADMIN).text)
    (person,) = admin.get("/api/people").json()["people"]
    assert {"names": 1, "rows": {}} == admin.post("/api/people/forget", {"person": person["key"], "facts": True}).json()
    assert [] == names(admin)


@pytest.mark.parametrize("body", [{}, {"person": ""}, {"person": "  "}, {"person": 1}, {"person": "a", "rows": True}])
def test_nobody_is_forgotten_by_mistake(place: Place, body: Any) -> None:
    """A request that names nobody, or asks for what does not exist, is refused."""
    known(place, "ada@example.com")
    admin = place.with_token(place.token(Scope.ADMIN).text)
    assert 400 == admin.post("/api/people/forget", body).status_code
    assert ["ada@example.com"] == names(admin)


def test_a_long_list_of_people_says_that_there_are_more(place: Place) -> None:
    """A list is cut at its limit and says so."""
    known(place, *(f"person{number}@example.com" for number in range(5)))
    people, more = place.system.people.listed(place.customer, limit=4)
    assert (4, True) == (len(people), more)
    assert (5, False) == (
        len(place.system.people.listed(place.customer)[0]),
        place.system.people.listed(place.customer)[1],
    )


def test_an_operator_deletes_a_customer_but_not_its_own(installation: Place, place: Place) -> None:
    """Its tokens end at once; admins of other customers may not, and the operators' customer stays."""
    operator = installation.with_token(installation.token(Scope.ADMIN).text)
    added = operator.post("/api/customers", {"name": "gone", "admin_email": "gone@example.com"}).json()["customer"]
    gone = added["customer_id"]
    token = installation.token(Scope.READ, customer=gone).text
    outsider = place.with_token(place.token(Scope.ADMIN).text)
    assert 403 == outsider.request("DELETE", f"/api/customers/{gone}").status_code
    assert 409 == operator.request("DELETE", f"/api/customers/{installation.customer}").status_code
    answer = operator.request("DELETE", f"/api/customers/{gone}")
    assert (200, {"customer_id": gone, "tokens": 1, "rows": 0}) == (answer.status_code, answer.json())
    assert 401 == installation.with_token(token).get("/api/me").status_code
    assert 404 == operator.request("DELETE", f"/api/customers/{gone}").status_code


def test_snippets_are_shown_for_each_shell(place: Place) -> None:
    """Claude Code's settings come as JSON to paste and for three shells, all with the same new token."""
    admin = place.with_token(place.token(Scope.ADMIN).text)
    made = admin.post("/api/connections/claude-code").json()
    assert ["Claude Code, managed settings and shell", "bash, zsh", "fish", "PowerShell"] == [
        part["name"] for part in made["parts"]
    ]
    settings, bash, fish, powershell = (part["text"] for part in made["parts"])
    header = json.loads(settings)["env"]["OTEL_EXPORTER_OTLP_HEADERS"]
    assert header.startswith("Authorization=Bearer rgk_")
    assert f"export OTEL_EXPORTER_OTLP_HEADERS='{header}'" in bash
    assert f"set -gx OTEL_EXPORTER_OTLP_HEADERS '{header}'" in fish
    assert f"$env:OTEL_EXPORTER_OTLP_HEADERS = '{header}'" in powershell
    assert "managed-settings.json" in made["parts"][0]["notes"]
