"""Why data was refused or not stored, and the exceptions that carry it.

    RaingaugeError            everything this package raises on purpose
    ├── Refused               a request is answered with an error; nothing was queued
    ├── Undecodable           a queued message cannot be decoded; it is tried again, then dead-lettered
    ├── SettingError          a setting has a value that cannot work; the process does not start
    ├── DataDirectoryError    the data directory cannot be used (owned by another process, damaged, too new)
    ├── NotFound              an id names nothing, or nothing that can still be worked on
    ├── Conflict              what was asked does not fit what is there
    └── QueryError            a read ran past its limits or the store could not answer it

One list of reasons serves every place that names one: API error codes, metric labels, the accounting
and the rejects table. Values are public: add, never rename.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Reason(StrEnum):
    """Why a request, a message or an item was not stored."""

    # Requests (the client is told)
    UNAUTHORIZED = "unauthorized"  # no credential, or one that is unknown, revoked or expired
    FORBIDDEN = "forbidden"  # a valid credential without the scope this route needs
    NOT_A_MEMBER = "not_a_member"  # a valid JWT of somebody whose e-mail address no customer has as a member
    CROSS_SITE = "cross_site_refused"  # a browser would write with its user's sign-in, but not from our own pages
    BROWSER_REFUSED = "browser_requests_not_allowed"  # an Origin header on a route for libraries
    METHOD_NOT_ALLOWED = "method_not_allowed"
    NOT_FOUND = "not_found"
    CONFLICT = "conflict"  # what was asked does not fit what is there
    UNSUPPORTED_MEDIA_TYPE = "unsupported_media_type"
    UNSUPPORTED_ENCODING = "unsupported_encoding"  # a Content-Encoding we cannot undo
    PAYLOAD_TOO_LARGE = "payload_too_large"  # as sent, or after decompression
    SLOW_BODY = "slow_body"  # the body did not arrive in time
    RATE_LIMITED = "rate_limited"
    DAILY_CAP = "daily_cap_reached"
    QUEUE_FULL = "queue_full"
    QUEUE_FAILED = "queue_failed"  # the disk did not take the message; the log says why
    SHUTTING_DOWN = "shutting_down"
    INVALID_BODY = "invalid_body"  # not decompressible, or not what its content type says
    INVALID_JSON = "invalid_json"
    INVALID_PAYLOAD = "invalid_payload"
    INVALID_TIMESTAMP = "invalid_timestamp_hour"
    INVALID_PARAMETER = "invalid_parameter"
    NOT_AVAILABLE = "not_available"
    QUERY_LIMIT = "query_limit"  # a read needed more time, rows or memory than allowed
    INTERNAL = "internal_error"

    # Messages and items (nobody can be told any more, so they are counted and kept visible)
    UNDECODABLE = "undecodable"
    DECODER_CRASHED = "decoder_crashed"
    DECODER_TIMEOUT = "decoder_timeout"
    STORE_REFUSED = "store_refused"
    UNKNOWN_VERSION = "unknown_version"
    MISSING_FIELD = "missing_field"
    INVALID_FIELD = "invalid_field"
    TOO_LARGE = "too_large"
    SERIES_LIMIT = "series_limit"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What HTTP says about a reason. `retry_after_seconds` is only set where a retry can help."""

    status: int
    retry_after_seconds: int | None = None


VERDICTS: Final[dict[Reason, Verdict]] = {
    Reason.UNAUTHORIZED: Verdict(401),
    Reason.FORBIDDEN: Verdict(403),
    Reason.NOT_A_MEMBER: Verdict(403),
    Reason.CROSS_SITE: Verdict(403),
    Reason.BROWSER_REFUSED: Verdict(403),
    Reason.METHOD_NOT_ALLOWED: Verdict(405),
    Reason.NOT_FOUND: Verdict(404),
    Reason.CONFLICT: Verdict(409),
    Reason.UNSUPPORTED_MEDIA_TYPE: Verdict(415),
    Reason.UNSUPPORTED_ENCODING: Verdict(415),
    Reason.PAYLOAD_TOO_LARGE: Verdict(413),
    Reason.SLOW_BODY: Verdict(408),
    Reason.RATE_LIMITED: Verdict(429, retry_after_seconds=1),
    Reason.DAILY_CAP: Verdict(429),
    Reason.QUEUE_FULL: Verdict(503, retry_after_seconds=5),
    Reason.QUEUE_FAILED: Verdict(503, retry_after_seconds=5),
    Reason.SHUTTING_DOWN: Verdict(503, retry_after_seconds=1),
    Reason.NOT_AVAILABLE: Verdict(501),
    Reason.QUERY_LIMIT: Verdict(503, retry_after_seconds=5),
    Reason.INTERNAL: Verdict(500),
}
"""Every reason that is not listed is the sender's mistake: 400."""


def verdict(reason: Reason) -> Verdict:
    """The HTTP meaning of `reason`."""
    return VERDICTS.get(reason, Verdict(400))


class RaingaugeError(Exception):
    """Everything this package raises on purpose."""


class Refused(RaingaugeError):
    """A request that is answered with an error.

    `detail` is one sentence for a person, free of anything the client sent.
    `extra` are further members of the error body that a dialect shows.
    `code` replaces the reason's text where a dialect has a name of its own for it.
    """

    def __init__(
        self,
        reason: Reason,
        detail: str = "",
        *,
        code: str = "",
        retry_after_seconds: int | None = None,
        extra: dict[str, str | int] | None = None,
    ) -> None:
        super().__init__(f"{reason}: {detail}" if detail else str(reason))
        self.reason = reason
        self.detail = detail
        self.code = code or str(reason)
        found = verdict(reason)
        self.status = found.status
        self.retry_after_seconds = found.retry_after_seconds if retry_after_seconds is None else retry_after_seconds
        self.extra = extra or {}


class Undecodable(RaingaugeError):
    """A whole message that no decoder can make sense of.

    `detail` names the place, never the content.
    """

    def __init__(self, detail: str, reason: Reason = Reason.UNDECODABLE) -> None:
        super().__init__(detail)
        self.reason = reason


class SettingError(RaingaugeError):
    """A setting whose value cannot work. The message names the key and the value."""


class DataDirectoryError(RaingaugeError):
    """The data directory cannot be used, with what to do about it."""


class NotFound(RaingaugeError):
    """An id that names nothing, or nothing that can still be worked on. The message names the id."""


class Conflict(RaingaugeError):
    """What was asked does not fit what is there, such as removing the last admin. The message says what to do."""


class QueryError(RaingaugeError):
    """A read that could not be answered."""

    def __init__(self, detail: str, reason: Reason = Reason.INTERNAL) -> None:
        super().__init__(detail)
        self.reason = reason
