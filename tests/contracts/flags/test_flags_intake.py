"""How the ingest routes answer: the status decides whether a resolver keeps, repeats or loses its data."""

from collections.abc import Callable
from typing import Any

import pytest

from raingauge.contract import Head, Reason, Received, Refused
from raingauge.contracts.flags import FLAGS
from raingauge.contracts.flags.intake import DIALECT, INTAKES, PARTS_MAX

Body = Callable[[str], bytes]
WRITE, INGEST = "/v1/clientFlagLogs:write", "/v1/flagLogs:ingest"
PROTOBUF = "application/x-protobuf"


def head(content_type: str = "") -> Head:
    return Head("POST", WRITE, "", {"content-type": content_type} if content_type else {})


def total_count(team: Any) -> float:
    lines = [line for line in team.get("/metrics").text.splitlines() if "microseconds_count{" in line]
    return sum(float(line.rpartition(" ")[2]) for line in lines)


@pytest.mark.parametrize(
    ("content_type", "encoding", "answered", "body"),
    [
        ("application/x-protobuf", "protobuf", "application/x-protobuf", b""),
        ("application/protobuf", "protobuf", "application/protobuf", b""),
        ("application/json", "json", "application/json", b"{}"),
        ("application/json; charset=utf-8", "json", "application/json", b"{}"),
        ("", "protobuf", "application/x-protobuf", b""),
        ("", "json", "application/json", b"{}"),
    ],
)
def test_the_answer_has_the_encoding_of_the_request(
    shared_team: Any, protobuf: Body, json_body: Body, content_type: str, encoding: str, answered: str, body: bytes
) -> None:
    """Every content type that senders use, and none at all, is accepted with an empty message of its own kind."""
    sent = (protobuf if encoding == "protobuf" else json_body)("one_match")
    headers = {"content-type": content_type} if content_type else {}
    answer = shared_team.post(WRITE, sent, **headers)
    assert (200, body, answered) == (answer.status_code, answer.content, answer.headers["content-type"])


def test_either_scheme_and_an_empty_message_are_accepted(team: Any) -> None:
    """Bearer and ClientSecret name the same token; a heartbeat without content is fine."""
    for scheme in ("Bearer", "ClientSecret"):
        for path in (WRITE, INGEST):
            assert 200 == team.post(path, b"", authorization=f"{scheme} {team.token}").status_code
    assert {"raingauge_up 1"} == {line for line in team.get("/metrics").text.splitlines() if line[0] != "#"}


def test_a_wrong_secret_is_401_and_an_unreadable_body_400(shared_team: Any) -> None:
    """Both are final for every sender; nothing else about a body is."""
    assert 401 == shared_team.request("POST", WRITE, headers={}, content=b"").status_code
    for path, body, reason in (
        (WRITE, b"\xff", "invalid_body"), (WRITE, b"{]", "invalid_json"), (INGEST, b'{"batch":3}', "invalid_json"),
        (INGEST, b"\x12\x01\xff", "invalid_body"),
    ):  # fmt: skip
        answer = shared_team.post(path, body)
        assert (400, reason) == (answer.status_code, answer.json()["error"])


def test_partly_damaged_bodies_are_accepted(team: Any, protobuf: Body) -> None:
    """The good part is counted: an error would make the sender throw all of it away."""
    assert 200 == team.post(WRITE, b"\x12\x01\xff" + protobuf("one_match")).status_code
    assert 1 == total_count(team)


def test_equal_bodies_count_each_time_unless_they_name_one_request(team: Any, protobuf: Body) -> None:
    """Two equal deltas are two deltas; an Idempotency-Key makes the second one a retry."""
    for _ in range(2):
        team.post(WRITE, protobuf("one_match"))
    assert 2 == total_count(team)
    for _ in range(2):
        assert 200 == team.post(WRITE, protobuf("one_match"), **{"idempotency-key": "flush-1"}).status_code
    assert 3 == total_count(team)


@pytest.mark.parametrize("reason", [Reason.QUEUE_FULL, Reason.SHUTTING_DOWN, Reason.RATE_LIMITED])
def test_passing_trouble_makes_senders_wait(reason: Reason) -> None:
    """Only 429 and 5xx are tried again, after the time that the answer names."""
    refusal = Refused(reason)
    assert DIALECT.refused(head(PROTOBUF), refusal).status in {429, 503}
    assert refusal.retry_after_seconds is not None


@pytest.mark.parametrize("intake", INTAKES, ids=lambda intake: intake.name)
def test_the_example_is_a_message(intake: Any) -> None:
    """What the documentation shows is accepted and stored as one delta."""
    intake.check(head("application/json"), intake.example)
    received = Received(1, "cust_1", content_type="application/json")
    assert ["flag_deltas"] == list(intake.decode(intake.example, received).rows)


def test_a_body_of_a_million_parts_is_refused_while_it_is_read() -> None:
    """What no sender makes is a clear 413, and costs neither memory nor a place in the queue."""
    with pytest.raises(Refused) as caught:
        INTAKES[0].check(head(PROTOBUF), b"\x0a\x00" * (PARTS_MAX + 1))
    assert 413 == caught.value.status


def test_snippets_are_complete() -> None:
    """What is printed to paste holds address and token, and the Prometheus part is the configuration it claims."""
    texts = {one.client: one.snippet("https://rain.example.org/base", "rgk_x") for one in FLAGS.connections}
    assert """\
scrape_configs:
  - job_name: raingauge
    scheme: https
    metrics_path: /base/metrics
    authorization:
      credentials: rgk_x
    static_configs:
      - targets: ["rain.example.org"]
""" == texts["prometheus"]
    assert "fetch('https://rain.example.org/base' + pathname" in texts["confidence"]
    assert "ClientSecret rgk_x" in texts["confidence"]
