from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from edge_parts import AUTH, OTHER_TOKEN, READ_TOKEN, TOKEN  # type: ignore[import-not-found]
from structlog.testing import capture_logs

Make = Callable[..., Any]


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def test_token_in_the_path_is_a_credential_for_ingest_routes(client: Any) -> None:
    """A client that cannot set a header sends to its own address, which wins over a header."""
    answer = client.post(f"/k/{OTHER_TOKEN}/v1/things", headers=AUTH)
    assert 202 == answer.status_code
    assert ["cust_other"] == [message.customer for message in client.parts.queue.messages]


@pytest.mark.parametrize("body", [b"fine", b"refuse me", b"crash"])
@pytest.mark.parametrize("rest", ["/v1/things", "/v1/unknown", "/crash", "//v1/things", ""])
def test_token_reaches_no_log_metric_or_answer(client: Any, rest: str, body: bytes) -> None:
    """Whatever goes wrong with such a request, the credential in its path is written nowhere."""
    with capture_logs() as lines:
        answer = client.post(f"/k/{TOKEN}{rest}?key={TOKEN}", body)
    shown = f"{lines}{answer.text}{answer.headers}{client.parts.scraped()}"
    assert TOKEN not in shown
    assert "a secret" not in shown
    assert 1 == len([line for line in lines if line["event"] == "request"])


def test_log_line_names_the_route_and_the_customer_but_no_address(client: Any) -> None:
    """An operator sees what was asked and how long it took, not from where."""
    with capture_logs() as lines:
        client.post("/v1/things", b"12345", headers=AUTH, address="203.0.113.99")
    (line,) = lines
    assert ("POST", "/v1/things", 202, 5, "cust_default", "", "info") == (
        line["method"],
        line["route"],
        line["status"],
        line["bytes_in"],
        line["customer"],
        line["reason"],
        line["log_level"],
    )
    assert "203.0.113" not in str(line)


def test_guessing_is_slowed_down_but_locks_nobody_out(make_client: Make) -> None:
    """After too many wrong credentials an address gets 429 for wrong ones, while a valid one still passes."""
    client = make_client(failed_auth_per_ip=3)
    wrong = [client.post("/v1/things", headers=bearer(f"wrong-{n}")).status_code for n in range(5)]
    assert [401, 401, 401, 429, 429] == wrong
    assert 429 == client.get("/api/me", headers=bearer("wrong-again")).status_code
    assert 202 == client.post("/v1/things", headers=AUTH).status_code
    assert 401 == client.post("/v1/things", headers=bearer("wrong"), address="203.0.113.8").status_code
    assert 401 == client.post("/v1/things").status_code


def test_jwts_that_nobody_vouches_for_are_guesses(make_client: Make) -> None:
    """Where no identity provider is set up, a JWT counts like any other refused credential."""
    client = make_client(failed_auth_per_ip=1)
    assert [200, 429] == [client.get("/api/me", headers=bearer("aaa.bbb.ccc")).status_code for _ in range(2)]


def test_rate_per_token_and_per_address(make_client: Make) -> None:
    """Each limit answers 429 with the time after which a request passes again."""
    per_token = make_client(rate_per_token=2)
    assert [202, 202, 429] == [per_token.post("/v1/things", headers=AUTH).status_code for _ in range(3)]
    assert 202 == per_token.post("/v1/things", headers=bearer(OTHER_TOKEN)).status_code
    refused = per_token.get("/api/me", headers=AUTH)
    assert ("rate_limited", "30") == (refused.json()["error"], refused.headers["retry-after"])
    per_address = make_client(rate_per_ip=1)
    assert [202, 429] == [per_address.post("/v1/things", headers=AUTH).status_code for _ in range(2)]
    assert 202 == per_address.post("/v1/things", headers=AUTH, address="203.0.113.8").status_code
    assert [200, 200] == [per_address.get("/health").status_code for _ in range(2)]


def test_daily_cap_counts_accepted_messages_only(client: Any) -> None:
    """A tier's cap is told with its size, and what was refused does not use it up."""
    assert 400 == client.post("/v1/capped", b"refuse me", headers=AUTH).status_code
    assert [202, 202, 429] == [client.post("/v1/capped", headers=AUTH).status_code for _ in range(3)]
    capped = client.post("/v1/capped", b"refuse me", headers=AUTH)
    assert (429, {"error": "daily_cap_reached", "tier": "free", "cap": 2}) == (capped.status_code, capped.json())
    assert [202] * 3 == [client.post("/v1/capped", headers=bearer(OTHER_TOKEN)).status_code for _ in range(3)]


def test_daily_cap_continues_after_a_restart(client: Any) -> None:
    """Counts that the application loads at its start are part of the 24 hours."""
    import time

    now = time.time()
    client.parts.edge.seed_daily("plain.capped", "cust_default", [(now - 90_000, 50), (now - 3_600, 1)])
    assert [202, 429] == [client.post("/v1/capped", headers=AUTH).status_code for _ in range(2)]


@pytest.mark.parametrize(
    ("path", "token", "status", "customer"),
    [
        ("/v1/open", None, 202, "everyone"),
        ("/v1/open", "garbage", 202, "everyone"),
        ("/v1/open", TOKEN, 202, "everyone"),
        ("/v1/open", READ_TOKEN, 202, "everyone"),
        ("/collect", None, 202, "cust_other"),
        ("/collect", "garbage", 401, None),
        ("/collect", TOKEN, 202, "cust_default"),
    ],
)
def test_public_routes_know_whose_rows_they_take(
    make_client: Make, path: str, token: str | None, status: int, customer: str | None
) -> None:
    """Rows of a route for everybody go to one customer; elsewhere a wrong credential never moves rows."""
    client = make_client(public_customer="cust_other")
    assert status == client.post(path, headers=bearer(token) if token else {}).status_code
    assert ([customer] if customer else []) == [message.customer for message in client.parts.queue.messages]


@pytest.mark.parametrize("setting", ["", "cust_deleted"])
def test_public_route_without_a_customer_is_closed(make_client: Make, setting: str) -> None:
    """Rows that would belong to nobody are not taken."""
    assert 401 == make_client(public_customer=setting).post("/collect").status_code


def test_api_learns_who_calls(client: Any) -> None:
    """The API gets the resolved credential, or None, and decides itself."""
    assert "cust_default" == client.get("/api/me", headers=AUTH).json()["customer"]
    assert None is client.get("/api/me", headers=bearer("wrong")).json()["customer"]
    assert None is client.get("/api/me").json()["customer"]
