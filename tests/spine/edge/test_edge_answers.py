from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from edge_parts import AUTH, READ_TOKEN, TOKEN  # type: ignore[import-not-found]

from raingauge.errors import Reason, Refused

Make = Callable[..., Any]
LISTED = "http://localhost:5173"


@pytest.mark.parametrize(
    ("status", "error", "method", "path", "headers", "body"),
    [
        (202, None, "POST", "/v1/things", AUTH, b"hello"),
        (202, None, "POST", "/v1/things", AUTH, b""),
        (405, "method_not_allowed", "GET", "/v1/things", {}, b""),
        (405, "method_not_allowed", "OPTIONS", "/v1/open", {}, b""),
        (403, "browser_requests_not_allowed", "POST", "/v1/library", {"Origin": "null"}, b""),
        (401, "unauthorized", "POST", "/v1/things", {}, b"x"),
        (401, "unauthorized", "POST", "/v1/things", {"Authorization": "Bearer wrong"}, b"x"),
        (401, "unauthorized", "POST", "/v1/things", {"Authorization": f"bearer {TOKEN}"}, b"x"),
        (403, "forbidden", "POST", "/v1/things", {"Authorization": f"Bearer {READ_TOKEN}"}, b"x"),
        (413, "payload_too_large", "POST", "/v1/small", AUTH, b"x" * 1001),
        (202, None, "POST", "/v1/small", AUTH, b"x" * 1000),
        (413, "payload_too_large", "POST", "/v1/small", {**AUTH, "Content-Length": "-1"}, b"x"),
        (415, "unsupported_encoding", "POST", "/v1/things", {**AUTH, "Content-Encoding": "br"}, b"x"),
        (400, "invalid_body", "POST", "/v1/things", {**AUTH, "Content-Encoding": "gzip"}, b"no gzip"),
        (400, "invalid_payload", "POST", "/v1/things", AUTH, b"refuse me"),
        (400, "invalid_parameter", "POST", "/v1/things", {**AUTH, "Idempotency-Key": "k" * 256}, b"x"),
        (500, "internal_error", "POST", "/v1/things", AUTH, b"crash"),
        (404, "not_found", "POST", "/v1/things/", AUTH, b"x"),
        (404, "not_found", "POST", "http://edge//v1/things", AUTH, b"x"),
        (404, "not_found", "POST", f"/k/{TOKEN}/v1/things/", {}, b"x"),
        (404, "not_found", "GET", f"/k/{TOKEN}/api/me", {}, b""),
        (404, "not_found", "GET", f"/k/{TOKEN}", {}, b""),
        (404, "not_found", "GET", "/k/", {}, b""),
        (401, "unauthorized", "POST", "/k//v1/things", {}, b""),
    ],
)
def test_each_situation_has_its_status_and_code(
    client: Any, status: int, error: str | None, method: str, path: str, headers: dict[str, str], body: bytes
) -> None:
    """A sender can tell from status and code what to do, and only an accepted message is in the queue."""
    answer = client.request(method, path, headers=headers, content=body)
    assert status == answer.status_code
    assert error == answer.json().get("error")
    assert (1 if status == 202 else 0) == len(client.parts.queue.messages)


def test_message_keeps_the_bytes_and_says_whose_they_are(client: Any) -> None:
    """The queue gets the body as it was sent, with its types and the customer of the credential."""
    client.post("/v1/things", b"{}", headers={**AUTH, "Content-Type": "application/json; charset=utf-8"})
    (message,) = client.parts.queue.messages
    assert ("plain.things", "cust_default", b"{}", "application/json; charset=utf-8", "", "laptop") == (
        message.intake,
        message.customer,
        message.body,
        message.content_type,
        message.content_encoding,
        message.token_label,
    )
    assert ["tok_1"] == client.parts.directory.touched


@pytest.mark.parametrize("path", ["/v1/things", "/v1/things/", "/api/me", "/crash"])
@pytest.mark.parametrize("method", ["GET", "OPTIONS"])
def test_every_answer_carries_the_common_headers(client: Any, method: str, path: str) -> None:
    """No cache keeps an answer and no browser guesses its type."""
    headers = client.request(method, path).headers
    assert ("nosniff", "no-referrer", "no-store") == (
        headers["x-content-type-options"],
        headers["referrer-policy"],
        headers["cache-control"],
    )


def test_full_queue_says_so_at_once_with_a_short_retry_after(client: Any) -> None:
    """A sender learns within five seconds whether there is room again."""
    client.parts.queue.is_full = True
    answer = client.post("/v1/things", headers=AUTH)
    assert (503, "queue_full", "5") == (answer.status_code, answer.json()["error"], answer.headers["retry-after"])


@pytest.mark.parametrize(
    ("failure", "error"),
    [(OSError(28, "no space"), "queue_failed"), (Refused(Reason.QUEUE_FULL), "queue_full")],
    ids=["disk", "limit"],
)
def test_message_that_is_not_on_disk_is_not_acknowledged(client: Any, failure: BaseException, error: str) -> None:
    """A failing disk or a queue that filled up meanwhile asks the sender to come again."""
    client.parts.queue.failure = failure
    answer = client.post("/v1/things", headers=AUTH)
    assert (503, error, "5") == (answer.status_code, answer.json()["error"], answer.headers["retry-after"])


def test_idempotency_key_is_acknowledged_again_but_queued_once(client: Any) -> None:
    """A sender that names its message may send it as often as it likes."""
    headers = {**AUTH, "Idempotency-Key": "batch-7"}
    assert [202, 202] == [client.post("/v1/things", headers=headers).status_code for _ in range(2)]
    assert 1 == len(client.parts.queue.messages)
    assert 'raingauge_repeated_total{contract="plain"} 1.0' in client.parts.scraped()


def test_errors_of_the_api_never_show_a_traceback(client: Any) -> None:
    """A mistake of ours is a plain 500 that a listed page can read."""
    answer = client.get("/crash", headers={"Origin": LISTED})
    assert (500, {"error": "internal_error"}) == (answer.status_code, answer.json())
    assert LISTED == answer.headers["access-control-allow-origin"]


@pytest.mark.parametrize("path", ["/api/me", "/api/me/", "/crash", "/k/x/y"])
def test_listed_origin_may_read_every_api_answer(client: Any, path: str) -> None:
    """A dashboard on a listed origin can read errors as well; an unlisted one gets no allow header."""
    listed = client.get(path, headers={"Origin": LISTED}).headers
    assert LISTED == listed["access-control-allow-origin"]
    assert "Origin" == listed["vary"]
    assert "access-control-allow-origin" not in client.get(path, headers={"Origin": "https://evil.example"}).headers


@pytest.mark.parametrize("path", ["/", "/health"])
def test_any_origin_may_read_the_health_answer(client: Any, path: str) -> None:
    """Whether the service is up is no secret."""
    headers = client.get(path, headers={"Origin": "https://anywhere.example"}).headers
    assert ("*", "GET, OPTIONS", "Content-Type") == (
        headers["access-control-allow-origin"],
        headers["access-control-allow-methods"],
        headers["access-control-allow-headers"],
    )


@pytest.mark.parametrize("path", ["/v1/library", "/api/me", "/nowhere", "/api/me/"])
def test_preflight_needs_no_credential_and_is_never_limited(make_client: Make, path: str) -> None:
    """A browser asks before it may send a credential, so nothing can be required of it."""
    client = make_client(rate_per_ip=1)
    for _ in range(3):
        answer = client.request("OPTIONS", path, headers={"Origin": LISTED})
        assert (204, b"") == (answer.status_code, answer.content)
        assert "GET, POST, PUT, DELETE, OPTIONS" == answer.headers["access-control-allow-methods"]
        assert "Authorization, Content-Type" == answer.headers["access-control-allow-headers"]
        assert "86400" == answer.headers["access-control-max-age"]
        assert LISTED == answer.headers["access-control-allow-origin"]
        assert "content-length" not in answer.headers


def test_ingest_answers_allow_listed_origins_except_where_browsers_are_refused(client: Any) -> None:
    """A page may export telemetry; a route for libraries stays closed to it."""
    headers = {**AUTH, "Origin": LISTED}
    assert LISTED == client.post("/v1/things", headers=headers).headers["access-control-allow-origin"]
    assert "access-control-allow-origin" not in client.post("/v1/library", headers=headers).headers
    assert "access-control-allow-origin" not in client.post("/v1/things", headers=AUTH).headers


def test_wrong_method_names_the_right_one(client: Any) -> None:
    """A person who opens an ingest route in a browser sees what it is for (RFC 9110 section 15.5.6)."""
    assert "POST" == client.get("/v1/things").headers["allow"]


def test_requests_and_refusals_are_counted(client: Any) -> None:
    """Metrics tell how many requests each route answered and why some were refused."""
    client.post("/v1/things", headers=AUTH)
    client.post("/v1/things")
    client.get("/no/such/page")
    scraped = client.parts.scraped()
    assert 'raingauge_requests_total{contract="plain",route="/v1/things",status="202"} 1.0' in scraped
    assert 'raingauge_requests_total{contract="plain",route="/v1/things",status="401"} 1.0' in scraped
    assert 'raingauge_requests_total{contract="api",route="(unknown)",status="200"} 1.0' in scraped
    assert 'raingauge_refused_total{contract="plain",reason="unauthorized"} 1.0' in scraped
