"""Durations as people write them: `45s`, `30m`, `24h`, `7d`."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Final

LONGEST: Final = timedelta(days=36_500)
"""A century: longer ones would leave the range of datetime when added to now."""

_FORM: Final = re.compile(r"(\d{1,15})([smhd])", re.ASCII)
_UNIT_SECONDS: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}


def parse_duration(text: str) -> timedelta:
    """The length of time that `text` stands for: a whole number and one of s, m, h, d; zero is allowed.

    Raises ValueError with a sentence for a person.
    """
    found = _FORM.fullmatch(text.strip())
    if not found:
        raise ValueError(f"{text!r} is not a duration: write a whole number and s, m, h or d, such as 90d or 1h")
    seconds = int(found[1]) * _UNIT_SECONDS[found[2]]
    if seconds > LONGEST.total_seconds():
        raise ValueError(f"{text!r} is too long: at most {LONGEST.days}d")
    return timedelta(seconds=seconds)
