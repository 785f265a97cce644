"""Finding the token in a request's headers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raingauge.auth.parse import presented


@pytest.mark.parametrize(
    ("value", "token"),
    [
        ("Bearer rgk_a", "rgk_a"),
        ("ClientSecret rgk_a", "rgk_a"),
        ("Bearer    rgk_a  ", "rgk_a"),
        ("Bearer rgk_a b", "rgk_a b"),
        ("Bearer ", None),
        ("Bearer    ", None),
        ("Bearer", None),
        ("Bearerrgk_a", None),
        ("Bearer\trgk_a", None),
        ("bearer rgk_a", None),
        ("BEARER rgk_a", None),
        (" Bearer rgk_a", None),
        ("clientsecret rgk_a", None),
        ("Basic cmdrX2E6", None),
        ("rgk_a", None),
        ("", None),
    ],
)
def test_the_scheme_is_exact_and_spaces_around_the_token_do_not_matter(value: str, token: str | None) -> None:
    """Clients of LoopGain and Confidence are let in and refused as their own receivers do it."""
    assert presented({"authorization": value}) == token


def test_other_headers_are_not_looked_at() -> None:
    """A token anywhere else is none."""
    assert presented({"x-authorization": "Bearer rgk_a", "cookie": "Bearer rgk_a"}) is None


@given(st.dictionaries(st.sampled_from(["authorization", "host"]), st.text()))
def test_no_header_breaks_it(headers: dict[str, str]) -> None:
    """Any header gives a token without spaces around it, or none."""
    token = presented(headers)
    assert token is None or (token and token == token.strip())
