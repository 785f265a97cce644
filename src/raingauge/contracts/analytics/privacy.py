"""What may be kept of an event: which properties, and which values of them.

The client already filters, but it lets through scheduled prompts, raw base URLs, paths inside a sentence and
credentials in URLs. So every value passes here before it is stored or logged, and a value that fails is dropped
as a whole: a half-masked path still tells half of it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, Final
from urllib.parse import SplitResult, urlsplit

STRING_MAX: Final = 200
"""Longest string that is kept, in characters; longer ones are dropped, since a cut can end inside a secret."""
NUMBER_MAX: Final = 2**53 - 1

ATTRIBUTION: Final = frozenset(
    ("module", "ownerModule", "executionKind", "phase", "loopStage", "outcome", "errorCategory")
)
"""Properties that every event may carry."""

_ERROR: Final = frozenset(("code", "toolName", "provider", "model"))

LISTED: Final[dict[tuple[str, str], frozenset[str]]] = {
    key: frozenset(names.split())
    for key, names in {
        ("session", "loop_start"): "runId channelKey permissionMode",
        ("session", "model_request"): (
            "runId provider model providerBaseUrl permissionMode channelKey subagentType code"
        ),
        ("session", "model_response"): "runId subagentType",
        ("session", "tool_prepare"): "runId toolCount subagentType",
        ("session", "tool_call"): "runId toolName success subagentType code",
        ("session", "permission_check"): "runId toolName code",
        ("session", "loop_end"): "runId stopReason turns code",
        ("router", "module_event"): (
            "event attempt provider model scenarioType fromProvider fromModel toProvider toModel errorCode delayMs"
        ),
        ("router", "model_request"): "runId event attempt provider model providerBaseUrl code",
        ("router", "model_response"): "runId event attempt tier provider model",
        ("always_on", "module_event"): "runId event",
        ("always_on", "loop_end"): "code",
        ("memory", "loop_end"): "injected code",
        ("memory", "model_request"): "provider model providerBaseUrl requestLabel code",
        ("memory", "model_response"): "provider model providerBaseUrl requestLabel",
        ("cron_job", "module_event"): "runId scheduleType",
        ("cron_job", "loop_end"): "code",
    }.items()
}
"""Further properties of `feature_used`, by module and loop stage. Whatever is not here is not stored: among others
the `title` of a scheduled task (a prompt), `message`, `stack`, and the ids of tasks, plans, subagents and tool calls.
"""

STARTED: Final = frozenset(("channel",))
"""Properties of the old `app_started`."""


def allowed(event_name: str, module: str, stage: str) -> frozenset[str]:
    """The properties, besides the attribution, that may be kept of such an event."""
    if event_name == "feature_used":
        return LISTED.get((module, stage), frozenset())
    if event_name == "error_occurred":
        return _ERROR
    return STARTED if event_name == "app_started" else frozenset()


# ---- values ------------------------------------------------------------------------------------------------

# A path begins at the start of the text or after anything that cannot be part of a name.
_BEFORE: Final = r"(?<![\w./\\-])"
_ROOTS: Final = (
    "users|home|root|var|etc|tmp|opt|usr|mnt|media|private|volumes|workspace|app|srv|data|proc|run|library|applications"
)
_FORBIDDEN: Final = re.compile(
    "|".join(
        (
            r"^\s*(?:[a-z]:)?[\\/]",  # the client's own rule: a path, a UNC name, /help
            _BEFORE + r"[a-z]:[\\/](?!/)",  # C:\ and C:/
            r"\\\\",  # \\server\share
            _BEFORE + r"~[\w.-]*[\\/]",
            r"(?<![\w.-])\.\.?[\\/]",  # ./ and ../, also inside a path
            _BEFORE + rf"/(?:{_ROOTS})(?![\w-])",
            r"(?<!\w)file:",
            r"(?<!\w)data:\S",
            # parameters of signed URLs and of credentials, wherever they stand
            r"(?<![a-z0-9])(?:x-(?:amz|goog|ms)-[\w-]+|expires|sig|signature|se|sp|sv|token|key|accesstoken)\s*=",
            r"(?<![a-z0-9])(?:apikey|secret|passw(?:or)?d|pwd|auth|authorization|credential|session|code)\s*=",
            # secrets by their shape
            r"eyj[\w-]+\.[\w-]+\.",
            r"[\w-]{16,}\.[\w-]{16,}\.[\w-]{16,}",
            r"(?<![a-z0-9])(?:sk|rk|pk)[-_][\w-]{6,}",
            r"(?<![a-z0-9])(?:gh[pousr]_|github_pat_|glpat-|xox[a-z]-|hf_|aiza|ya29\.)\w{6,}",
            r"(?<![a-z0-9])(?:akia|asia)[0-9a-z]{12,}",
            r"(?<!\w)(?:bearer|basic)\s+\S",
            r"-----begin",
            r"(?<![0-9a-z])(?:[0-9a-f]{32,}|[0-9a-z]{40,})(?![0-9a-z])",
            # people and passwords
            r"[\w.+-]+@[\w-]+\.[a-z]{2,}",
            r"\w:[^\s/@]+@\w",
        )
    ),
    re.IGNORECASE,
)
_URL: Final = re.compile(r"[a-z][a-z0-9+.-]*://[^\s\"'<>]*", re.IGNORECASE)


@lru_cache(maxsize=8_192)
def text(value: str) -> str | None:
    """`value` with its URLs reduced to scheme, host, port and path; None when it must not be kept."""
    if len(value) > STRING_MAX or not value.isprintable():
        return None
    try:
        cleaned = _URL.sub(_bare_url, value) if "://" in value else value
    except ValueError:
        return None
    return None if _FORBIDDEN.search(cleaned) else cleaned


def scalar(value: object) -> str | int | float | bool | None:
    """A single property value that may be kept, or None; nested values are never kept."""
    if isinstance(value, bool):
        return value
    if isinstance(value, int | float):
        return value if -NUMBER_MAX <= value <= NUMBER_MAX else None
    return text(value) if isinstance(value, str) else None


def kept(properties: dict[str, Any], names: frozenset[str]) -> Iterator[tuple[str, str | int | float | bool]]:
    """The members of `properties` that are listed in `names` and whose value may be kept."""
    for name in properties.keys() & names:
        value = scalar(properties[name])
        if value is not None:
            yield name, value


def _bare_url(found: re.Match[str]) -> str:
    """The URL without user, query and fragment. Raises ValueError when its parts cannot be told apart."""
    parts: SplitResult = urlsplit(found[0])
    host = parts.hostname or ""
    if "@" in parts.path or "\\" in found[0] or not host:
        raise ValueError
    address = f"[{host}]" if ":" in host else host
    port = "" if parts.port is None else f":{parts.port}"
    return f"{parts.scheme}://{address}{port}{parts.path}"


# ---- ids ---------------------------------------------------------------------------------------------------

_SESSION = re.compile(r"[0-9a-f]{24}")


def session(value: str | None) -> str:
    """A session's hash as it is; anything else by the client's own hash of it, so old and new sessions join."""
    if not value:
        return ""
    if _SESSION.fullmatch(value):
        return value
    return hashlib.sha256(value.encode()).hexdigest()[:24]


def hash64(value: str) -> int:
    """A number that stands for an id which is only ever compared."""
    return int.from_bytes(hashlib.blake2b(value.encode(), digest_size=8).digest(), "big")
