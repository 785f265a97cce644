"""Durations as people write them."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raingauge.durations import LONGEST, parse_duration


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("45s", timedelta(seconds=45)),
        ("30m", timedelta(minutes=30)),
        ("1h", timedelta(hours=1)),
        ("90d", timedelta(days=90)),
        ("0s", timedelta()),
        (" 7d ", timedelta(days=7)),
        ("36500d", LONGEST),
    ],
)
def test_a_number_and_a_unit(text: str, length: timedelta) -> None:
    """Each unit means what it says."""
    assert length == parse_duration(text)


@pytest.mark.parametrize("text", ["", "7", "d", "-1d", "1.5h", "1 h", "7D", "1w", "٣d", "1d2h", "1e3s", "7d\n7d"])
def test_anything_else_is_refused_with_the_text_and_the_form(text: str) -> None:
    """The error names what was written and how to write it."""
    with pytest.raises(ValueError, match="whole number") as caught:
        parse_duration(text)
    assert repr(text) in str(caught.value)


@pytest.mark.parametrize("text", ["36501d", "9999999999d", "999999999999999h"])
def test_a_duration_that_would_leave_the_calendar_is_refused(text: str) -> None:
    """No duration is so long that adding it to now fails."""
    with pytest.raises(ValueError, match="too long: at most 36500d"):
        parse_duration(text)


@given(st.text())
def test_no_text_breaks_it(text: str) -> None:
    """Every text is a duration or a ValueError."""
    with suppress(ValueError):
        assert timedelta() <= parse_duration(text) <= LONGEST
