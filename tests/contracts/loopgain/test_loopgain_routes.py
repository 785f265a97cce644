"""Statuses, error codes and headers of the routes that read and reset."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, TypeAlias

import pytest

from raingauge.contracts.loopgain import LOOPGAIN

LoopGain: TypeAlias = Any
MakeLoop: TypeAlias = Callable[..., dict[str, Any]]

READS = ("/v1/stats", "/v1/profiles", "/v1/events", "/v1/event/51")
RESET = "/v1/aggregate/reset"
RULES = "/v1/alerts/rules"
DELIVERIES = "/v1/alerts/deliveries"
ARRIVED = 1_795_245_738_000_000


def outcome(answer: Any) -> tuple[int, str]:
    """Status and error code; a HEAD has no body."""
    return answer.status_code, answer.json()["error"] if answer.content else ""


@pytest.mark.parametrize("path", [*READS, DELIVERIES])
@pytest.mark.parametrize("method", ["HEAD", "POST", "PUT", "PATCH", "DELETE"])
def test_reads_are_only_read(routes: LoopGain, path: str, method: str) -> None:
    """Another method is refused before the credential is looked at."""
    expected = "" if method == "HEAD" else "method_not_allowed"
    assert (405, expected) == outcome(routes.ask(path, method, token="nobody"))


@pytest.mark.parametrize("path", [*READS, RULES, DELIVERIES])
def test_reads_need_a_credential(routes: LoopGain, path: str) -> None:
    """An unknown token is refused, and so is one that may only send."""
    assert (401, "unauthorized") == outcome(routes.ask(path, token="nobody"))
    assert (403, "forbidden") == outcome(routes.ask(path, token="acme-ingest"))


@pytest.mark.parametrize("path", [*READS, RULES, DELIVERIES, RESET])
def test_refusals_carry_the_headers_of_every_answer(routes: LoopGain, path: str) -> None:
    """JSON without a charset, never sniffed, stored or told on to other pages."""
    headers = routes.ask(path, token="nobody").headers
    assert {
        "content-type": "application/json",
        "x-content-type-options": "nosniff",
        "cache-control": "no-store",
        "referrer-policy": "no-referrer",
    } == {
        name: headers.get(name)
        for name in ("content-type", "x-content-type-options", "cache-control", "referrer-policy")
    }


def test_answers_carry_the_same_headers(routes: LoopGain) -> None:
    """A success is no more to be stored than an error."""
    headers = routes.ask(RULES).headers
    assert ("application/json", "nosniff", "no-store", "no-referrer") == (
        headers["content-type"],
        headers["x-content-type-options"],
        headers["cache-control"],
        headers["referrer-policy"],
    )


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "abc", "1_0", "inf", "nan", "1e-1", "5/6", "%20"])
def test_an_event_id_is_a_positive_integer(routes: LoopGain, text: str) -> None:
    """Anything else in its place is told apart from an unknown id."""
    assert (400, "invalid_event_id") == outcome(routes.ask(f"/v1/event/{text}"))


@pytest.mark.parametrize("text", ["9007199254740992", "1e300", "9" * 400])
def test_an_id_beyond_all_ids_is_unknown(routes: LoopGain, text: str) -> None:
    """Ids stay below 2^53, so no larger number needs to be looked up; what overflows is no integer."""
    status = 400 if len(text) > 300 else 404
    assert status == routes.ask(f"/v1/event/{text}").status_code


def test_an_unknown_id_is_not_found(loopgain: LoopGain) -> None:
    """A number that no loop has."""
    assert (404, "not_found") == outcome(loopgain.ask("/v1/event/51"))


def test_alert_lists_are_empty(routes: LoopGain) -> None:
    """The dashboard's alert screen finds both lists, with nothing in them."""
    assert ({"rules": []}, {"deliveries": []}) == (routes.get(RULES), routes.get(DELIVERIES))


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("POST", RULES, (501, "not_available")),
        ("PUT", f"{RULES}/7", (501, "not_available")),
        ("DELETE", f"{RULES}/7", (501, "not_available")),
        ("POST", f"{RULES}/7/test", (501, "not_available")),
        ("PUT", f"{RULES}/x", (400, "invalid_rule_id")),
        ("POST", f"{RULES}/0/test", (400, "invalid_rule_id")),
        ("PATCH", RULES, (405, "method_not_allowed")),
        ("GET", f"{RULES}/7", (405, "method_not_allowed")),
        ("GET", f"{RULES}/x", (400, "invalid_rule_id")),
    ],
)
def test_alerts_cannot_be_written(routes: LoopGain, method: str, path: str, expected: tuple[int, str]) -> None:
    """Writing is not offered, and says so to those with a credential only."""
    assert expected == outcome(routes.ask(path, method))
    assert (401, "unauthorized") == outcome(routes.ask(path, method, token="nobody"))


def test_trial_alerts_are_only_posted(routes: LoopGain) -> None:
    """Another method is refused before the credential is looked at."""
    assert (405, "method_not_allowed") == outcome(routes.ask(f"{RULES}/7/test", "GET", token="nobody"))


def test_reset_decides_in_order(routes: LoopGain) -> None:
    """Method, browser, credential, JSON, confirmation."""
    browser = {"Origin": "null"}
    body = json.dumps({"confirm": "yes"})
    assert (405, "method_not_allowed") == outcome(routes.ask(RESET, "PUT", token="nobody", headers=browser))
    assert (403, "browser_requests_not_allowed") == outcome(
        routes.ask(RESET, "POST", token="nobody", headers=browser, content="{")
    )
    assert (401, "unauthorized") == outcome(routes.ask(RESET, "POST", token="nobody", content="{"))
    assert (403, "forbidden") == outcome(routes.ask(RESET, "POST", token="acme-read", content="{"))
    assert (400, "invalid_json") == outcome(routes.ask(RESET, "POST", content="{"))
    assert (400, "confirm_required") == outcome(routes.ask(RESET, "POST", content=body))
    assert (400, "confirm_required") == outcome(routes.ask(RESET, "POST", content="[]"))
    assert (413, "payload_too_large") == outcome(routes.ask(RESET, "POST", content=b" " * 70_000))


def test_reset_deletes_the_callers_loops_only(loopgain: LoopGain, make_loop: MakeLoop) -> None:
    """All loops of one customer go, nobody else's, and a second call finds none."""
    loopgain.store({ARRIVED + 1: make_loop(), ARRIVED + 2: make_loop()})
    loopgain.store({ARRIVED + 3: make_loop()}, customer="cust_0000000000000001")
    body = '{"confirm":"reset"}'
    first, second = (loopgain.ask(RESET, "POST", content=body) for _ in range(2))
    expected = {"reset": True, "customer_id": "cust_a3f5b9c2d18e4710", "deleted": 2}
    assert (200, expected) == (first.status_code, first.json())
    assert expected | {"deleted": 0} == second.json()
    assert [] == loopgain.get("/v1/events")["events"]
    assert 1 == len(loopgain.get("/v1/events", token="other")["events"])


def test_the_health_members() -> None:
    """What published clients may look for in the health answer."""
    assert {
        "status": "ok",
        "schema_version": 4,
        "supported_schema_versions": [1, 2, 3, 4],
        "funnel_schema_version": 1,
        "service": "loopgain-telemetry-receiver",
    } == LOOPGAIN.health
