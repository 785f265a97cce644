"""The query parameters that every read shares: `since`, `until`, `limit`."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated

from litestar.params import QueryParameter

from raingauge.contract import Window
from raingauge.durations import parse_duration
from raingauge.errors import Reason, Refused

DEFAULT_SINCE = "7d"
DEFAULT_LIMIT = 1_000


def moment(text: str, now: datetime, name: str) -> datetime:
    """A point in time from ISO 8601 (without a zone: UTC) or an age such as `7d` or `24h`.

    Raises Refused(INVALID_PARAMETER).
    """
    try:
        return now - parse_duration(text)
    except ValueError:
        pass
    try:
        found = datetime.fromisoformat(text)
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, OverflowError):
        raise Refused(
            Reason.INVALID_PARAMETER, f"{name}: expected an ISO 8601 time or an age such as 24h or 7d"
        ) from None


def window(
    now: datetime,
    limit_max: int,
    since: str = DEFAULT_SINCE,
    until: str = "",
    limit: int = DEFAULT_LIMIT,
) -> Window:
    """The parsed window. Raises Refused(INVALID_PARAMETER) when it is empty or out of range."""
    end = moment(until, now, "until") if until else now
    start = moment(since, now, "since")
    if start >= end:
        raise Refused(Reason.INVALID_PARAMETER, "since: must be before until")
    if not 1 <= limit <= limit_max:
        raise Refused(Reason.INVALID_PARAMETER, f"limit: must be from 1 to {limit_max}")
    if end - start > timedelta(days=36_600):
        raise Refused(Reason.INVALID_PARAMETER, "since: more than 100 years before until")
    return Window(start, end, limit)


Since = Annotated[str, QueryParameter(description="Start: ISO 8601 or an age such as 24h or 7d.")]
Until = Annotated[str, QueryParameter(description="End, exclusive; empty is now.")]
Limit = Annotated[int, QueryParameter(description="Most rows to return.")]
