"""What the running server answers exporters, well and badly configured ones, in the encoding that each of them speaks."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from google.rpc.status_pb2 import Status
from tests.support.server import Server, running

from raingauge.contracts.otlp.wire import JSON, PROTOBUF

pytestmark = pytest.mark.e2e

SIGNALS = ("traces", "metrics", "logs")
EMPTY = {JSON: b"{}", PROTOBUF: b""}
GZIP = {"Content-Encoding": "gzip"}


def status(answer: httpx.Response) -> tuple[int, str]:
    """Code and first word of the message of a google.rpc.Status, in the encoding that the answer declares."""
    if answer.headers["content-type"] == PROTOBUF:
        told = Status.FromString(answer.content)
        return told.code, told.message.partition(":")[0]
    found = json.loads(answer.content)
    assert {"code", "message"} == set(found)
    return found["code"], found["message"].partition(":")[0]


@pytest.mark.parametrize("media_type", [JSON, PROTOBUF])
@pytest.mark.parametrize("signal", SIGNALS)
def test_every_way_to_send_is_taken(server: Server, signal: str, media_type: str) -> None:
    """Plain, gzipped, in chunks, with parameters, empty: 200 and the empty response, all in the request's encoding."""
    body = EMPTY[media_type]
    ways: list[tuple[Any, dict[str, str]]] = [
        (body, {}),
        (body, {"Content-Type": f"{media_type.upper()}; charset=utf-8"}),
        (gzip.compress(body), GZIP),
        (iter([gzip.compress(body)[:9], gzip.compress(body)[9:]]), GZIP),
        (iter([body]), {}),
    ]
    with server.client() as http:
        for content, headers in ways:
            answer = http.post(f"/v1/{signal}", content=content, headers={"Content-Type": media_type, **headers})
            told = answer.status_code, answer.content, answer.headers["content-type"]
            assert (200, EMPTY[media_type], media_type) == told
        token_in_path = httpx.post(
            f"{server.url}/k/{server.token}/v1/{signal}", content=body, headers={"Content-Type": media_type}
        )
        assert (200, EMPTY[media_type]) == (token_in_path.status_code, token_in_path.content)


@pytest.mark.parametrize("media_type", [JSON, PROTOBUF])
@pytest.mark.parametrize(
    ("method", "body", "headers", "expected"),
    [
        ("POST", b"\xff not a message", {}, (400, 3, "invalid_")),
        ("POST", b"no gzip", GZIP, (400, 3, "invalid_body")),
        ("POST", gzip.compress(b"{}")[:-4], GZIP, (400, 3, "invalid_body")),
        ("POST", b"", {"Authorization": "Bearer rgk_unknown"}, (401, 16, "unauthorized")),
        ("POST", b"", {"Authorization": "Basic YTpi"}, (401, 16, "unauthorized")),
        ("POST", b"", {"Authorization": "read only"}, (403, 7, "forbidden")),
        ("GET", b"", {}, (405, 12, "method_not_allowed")),
        ("PUT", b"", {}, (405, 12, "method_not_allowed")),
        ("POST", gzip.compress(bytes(100_000_000), 1), GZIP, (413, 8, "payload_too_large")),
        ("POST", b"", {"Content-Encoding": "br"}, (415, 3, "unsupported_encoding")),
    ],
    ids=lambda value: "-".join(map(str, value)) if isinstance(value, tuple) else "",
)  # fmt: skip
def test_every_refusal_is_a_status(
    server: Server, reader: str, media_type: str, method: str, body: bytes, headers: dict[str, str], expected: Any
) -> None:
    """What cannot be taken is refused for good, with a reason that the exporter can log; nothing of it is repeated later."""
    sent = {"Content-Type": media_type, "Authorization": f"Bearer {server.token}", **headers}
    if sent["Authorization"] == "read only":
        sent["Authorization"] = f"Bearer {reader}"
    with httpx.Client(base_url=server.url, trust_env=False) as http:
        answer = http.request(method, "/v1/logs", content=body, headers=sent)
    code, word = status(answer)
    assert (expected[0], expected[1], media_type) == (answer.status_code, code, answer.headers["content-type"])
    assert word.startswith(expected[2])
    assert "retry-after" not in answer.headers
    assert {401: "Bearer", 405: "POST"}.get(answer.status_code) == (
        answer.headers.get("www-authenticate") or answer.headers.get("allow")
    )


@pytest.fixture(scope="module")
def reader(server: Server) -> str:
    """A token that may read only."""
    return str(server.issue("--name", "a reader", "--scope", "read")["token"])


@pytest.mark.parametrize("media_type", ["", "text/plain", "application/protobuf"])
def test_other_media_types_are_named(server: Server, media_type: str) -> None:
    """Whoever sends something else is told, in JSON, what can be read."""
    with server.client() as http:
        answer = http.post("/v1/traces", content=b"", headers={"Content-Type": media_type} if media_type else {})
    assert (415, 3) == (answer.status_code, status(answer)[0])
    assert JSON in answer.text
    assert PROTOBUF in answer.text


@pytest.mark.parametrize("media_type", [JSON, PROTOBUF])
def test_an_endpoint_without_a_path_is_explained(server: Server, media_type: str) -> None:
    """A per-signal endpoint is used as it is given, so its telemetry may end up at the root."""
    with server.client() as http:
        answer = http.post("/", content=EMPTY[media_type], headers={"Content-Type": media_type})
    assert 404 == answer.status_code
    assert all(f"/v1/{signal}" in answer.text for signal in SIGNALS)
    assert "OTEL_EXPORTER_OTLP_ENDPOINT" in answer.text


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that has room for no body, and takes two requests a minute from each token."""
    data_dir = tmp_path_factory.mktemp("full") / "data"
    with running(data_dir, bodies_max_bytes=1, rate_per_token=2) as started:
        yield started


def test_a_limit_asks_to_come_back_soon(full: Server) -> None:
    """503 and 429 are the answers after which exporters try again, and they give up after ten seconds in all."""
    told = []
    with full.client() as http:
        for media_type in (JSON, PROTOBUF, JSON, PROTOBUF):
            body = b'{"resourceLogs":[]}' if media_type == JSON else b"\x0a\x00"
            answer = http.post("/v1/logs", content=iter([body]), headers={"Content-Type": media_type})
            assert media_type == answer.headers["content-type"]
            assert 1 <= int(answer.headers["retry-after"]) <= 5
            told.append((answer.status_code, *status(answer)))
    assert [503, 503, 429, 429] == [each[0] for each in told]
    assert [14, 14, 8, 8] == [each[1] for each in told]
