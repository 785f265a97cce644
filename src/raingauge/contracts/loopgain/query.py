"""What the query strings of the LoopGain reads mean, as SQL.

`framework`, `loop_type`, `team` and `workload_id` filter by equality whenever they are present; an empty value means
the empty text, and rows without the label never match. Rows of the team `calibration` are deliberate overruns: they
are left out unless `include_calibration=true` or any team is asked for. Of a repeated parameter the first counts.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Final

LABELS: Final = ("framework", "loop_type", "team", "workload_id")
DEFAULT_WINDOW: Final = timedelta(days=30)
DEFAULT_LIMIT: Final = 5_000
LIMIT_MAX: Final = 50_000

COUNTED: Final = "ifNull(e.team != 'calibration', true)"
"""SQL condition: not a calibration row. Statements call the table `e`."""

_EVER_HOURS: Final = 24 * 36_500
_LEADING_INTEGER: Final = re.compile(r"\s*([+-]?\d{1,9})")
_FIRST_BELIEVED_DAY: Final = date(2020, 1, 1)
"""Rows of earlier days lie under 1970-01-01 in the store."""


def leading_integer(text: str | None) -> int | None:
    """The whole number that a text begins with (`2x` is 2, `1e3` is 1), at most nine digits of it; else None."""
    found = _LEADING_INTEGER.match(text or "")
    return int(found[1]) if found else None


def window(query: Mapping[str, str]) -> timedelta:
    """How far back a list goes: `since_hours`, or 30 days when it is missing, not a number, or not above 0."""
    hours = leading_integer(query.get("since_hours"))
    return timedelta(hours=min(hours, _EVER_HOURS)) if hours and hours > 0 else DEFAULT_WINDOW


def limit(query: Mapping[str, str]) -> int:
    """How many rows a list has at most: `limit` up to 50,000, or 5,000 when it is missing, no number, or below 1."""
    wanted = leading_integer(query.get("limit"))
    return min(wanted, LIMIT_MAX) if wanted and wanted > 0 else DEFAULT_LIMIT


def includes_calibration(query: Mapping[str, str]) -> bool:
    return "team" in query or query.get("include_calibration") == "true"


class Scope:
    """The rows that a read is about: a WHERE clause and its parameters.

    `since` is the first second of the window, in whole seconds since 1970; there is no upper end.
    """

    def __init__(self, query: Mapping[str, str], now: datetime, back: timedelta, *more: str) -> None:
        """`more` are further SQL conditions."""
        start = (now.astimezone(UTC) - back).replace(microsecond=0)
        self.since = int(start.timestamp())
        self.parameters: dict[str, object] = {
            "since": start,
            "first_day": start.date() if start.date() >= _FIRST_BELIEVED_DAY else date(1970, 1, 1),
        }
        conditions = [
            "e.customer = {customer:String}",
            "e.day >= {first_day:Date}",
            "e.timestamp_hour >= {since:DateTime64(0, 'UTC')}",
        ]
        for name in LABELS:
            if name in query:
                conditions.append(f"e.{name} = {{{name}:String}}")
                self.parameters[name] = query[name]
        self.where = " AND ".join((*conditions, *more))
