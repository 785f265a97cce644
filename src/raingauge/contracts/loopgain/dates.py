"""The date forms that clients write, read like a JavaScript date parser does, but in UTC where no zone is given."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from email.utils import mktime_tz, parsedate_tz
from functools import lru_cache
from typing import Final

SKEW: Final = timedelta(hours=1)
"""How far in the future a client's clock may be."""

OLDEST: Final = datetime(1900, 1, 1, tzinfo=UTC)
"""The first time the store's DateTime64 holds."""

_PARTIAL_ISO: Final = re.compile(r"(\d{4})(?:-(\d\d))?")
_MIDNIGHT_24: Final = re.compile(r"[T ]24:00(?::00(?:\.0+)?)?(?=$|Z|[+-])")
_ZONE_NAME: Final = re.compile(r"\b(?:GMT|UTC)(?=[+-])")
_SLASHES: Final = re.compile(
    r"(?:(\d{4})/(\d{1,2})/(\d{1,2})|(\d{1,2})/(\d{1,2})/(\d{4}))(?: (\d{1,2}):(\d\d)(?::(\d\d))?)?"
)


@lru_cache(maxsize=1024)
def parse_date(text: str) -> datetime | None:
    """An aware UTC time, or None when no form fits.

    Forms: ISO 8601 with or without time and zone (also `2026` and `2026-11`), `Jan 1 2026`, `1 Jan 2026 07:00`,
    `Sat, 21 Nov 2026 07:00:00 GMT`, `2026/11/21` and `11/21/2026`. A time without a zone is UTC.
    """
    stripped = text.strip()
    try:
        found = _iso(stripped.upper()) or _slashes(stripped) or _named(stripped)
        return found.replace(tzinfo=UTC) if found and found.tzinfo is None else found and found.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def hour_of(text: str, now: datetime) -> datetime | None:
    """The hour in which a time lies, aware UTC; None when it cannot be read or is later than `now` plus SKEW."""
    found = parse_date(text)
    if found is None or not OLDEST <= found <= now + SKEW:
        return None
    return found.replace(minute=0, second=0, microsecond=0)


def _iso(text: str) -> datetime | None:
    if partial := _PARTIAL_ISO.fullmatch(text):
        return datetime(int(partial[1]), int(partial[2] or 1), 1)  # noqa: DTZ001 - the caller adds the zone
    day_after, ends_at_24 = _MIDNIGHT_24.subn("T00:00", text)
    try:
        found = datetime.fromisoformat(day_after)
    except ValueError:
        return None
    return found + timedelta(days=1) if ends_at_24 else found


def _slashes(text: str) -> datetime | None:
    if not (match := _SLASHES.fullmatch(text)):
        return None
    year, month, day = match.group(1, 2, 3) if match[1] else match.group(6, 4, 5)
    hour, minute, second = (int(part or 0) for part in match.group(7, 8, 9))
    return datetime(int(year), int(month), int(day), hour, minute, second)  # noqa: DTZ001


def _named(text: str) -> datetime | None:
    """Dates with a month's name, as RFC 5322 writes them and as people do."""
    text = _ZONE_NAME.sub("", text)
    parts = parsedate_tz(text) or parsedate_tz(f"{text} 00:00:00")
    if parts is None:
        return None
    datetime(*parts[:6])  # noqa: DTZ001 - refuses the 99th of a month, which mktime_tz would carry over
    return datetime.fromtimestamp(mktime_tz((*parts[:9], parts[9] or 0)), UTC)
