"""How a batch is looked at before it is queued, and what the client hears."""

from __future__ import annotations

import json
from typing import Any

import pytest

from raingauge.contract import Head
from raingauge.contracts.analytics.intake import COLLECT
from raingauge.errors import Reason, Refused

HEAD = Head("POST", "/collect", "", {"content-type": "application/json"})


def test_answer_counts_what_was_accepted(usage: Any) -> None:
    """One bad event of sixteen does not make the client send the others again."""
    body = json.dumps(usage.worked()).encode()
    COLLECT.check(HEAD, body)
    answer = COLLECT.dialect.accepted(HEAD, body)
    assert 202 == answer.status
    assert {"received": 16, "accepted": 15, "quarantined": 1} == json.loads(answer.body)


@pytest.mark.parametrize("body", [b"[]", b"[1,2]", b' [ {"a": 1} ] ', b'["\\ud800"]', b"[" * 3_000 + b"]" * 3_000])
def test_any_array_passes(body: bytes) -> None:
    """What stands inside the array is no reason to refuse it."""
    COLLECT.check(HEAD, body)
    answer = COLLECT.dialect.accepted(HEAD, body)
    assert 202 == answer.status
    assert 0 == json.loads(answer.body)["accepted"]


@pytest.mark.parametrize("body", [b"", b"{}", b'{"events":[]}', b"[1,]", b"nothing", b"[" * 3_000, b"\xff"])
def test_what_is_no_array_is_refused(body: bytes) -> None:
    """Only a body that is no JSON array gets 400."""
    with pytest.raises(Refused) as refused:
        COLLECT.check(HEAD, body)
    answer = COLLECT.dialect.refused(HEAD, refused.value)
    assert (400, "invalid_json") == (answer.status, json.loads(answer.body)["error"])


def test_missing_credential_says_what_to_do() -> None:
    """The client cannot send a header, so the 401 names the ways it can be told apart."""
    answer = COLLECT.dialect.refused(HEAD, Refused(Reason.UNAUTHORIZED))
    assert 401 == answer.status
    for way in ("/k/", "Authorization", "RAINGAUGE_PUBLIC_CUSTOMER"):
        assert way in json.loads(answer.body)["detail"]


def test_example_is_accepted() -> None:
    """The body that the documentation shows is a valid one."""
    answer = COLLECT.dialect.accepted(HEAD, COLLECT.example)
    assert {"received": 1, "accepted": 1, "quarantined": 0} == json.loads(answer.body)
