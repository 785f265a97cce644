"""The allow-list: the only attribute keys that are ever read, and how their values are read.

Whatever is not listed here is gone before a row is built, in both encodings. A listed key is not necessarily
stored: some only tell sources apart, some are hashed (people) or shortened (repositories). What is stored is said
column by column in `tables.py`.
"""

from __future__ import annotations

import math
import re
from functools import lru_cache
from typing import Final, TypeAlias

Value: TypeAlias = str | int | float | bool
Attributes: TypeAlias = dict[str, Value]
"""Allowed attributes of one record on top of those of its resource."""

_LISTED: Final[dict[str, tuple[str, ...]]] = {
    # Who and where, on any producer's resource or record
    "identity": (
        "service.name", "session.id", "conversation.id", "gen_ai.conversation.id", "cursor.conversation.id",
        "user.email", "user.account_uuid", "user.account_id", "user.id", "enduser.id", "enduser.sub", "installation.id",
        "vcs.owner.name", "vcs.repository.name", "vcs.repository.url.full",
    ),
    # Marks that tell sources apart; none of them is stored
    "source marks": (
        "raingauge.source", "app.entrypoint", "terminal.type", "parent.source", "process.owner", "workspace.host_paths",
        "originator", "gen_ai.operation.name", "gen_ai.provider.name", "gen_ai.system",
    ),
    # Claude Code, Agent SDK, Cowork, and opencode's plugin, which copies their names
    "claude": (
        "event.name", "event.timestamp", "event.sequence", "prompt.id", "model", "tool_name", "tool_name_safe",
        "tool_use_id", "request_id", "query_source", "query_source_safe", "agent_id", "parent_agent_id", "type",
        "input_tokens", "output_tokens", "cache_read_tokens", "cache_creation_tokens", "cost_usd", "cost_usd_micros",
        "duration_ms", "success", "status_code", "status", "error_class", "error_type", "error_category", "error_name",
        "error_code", "decision", "decision_type", "source", "decision_source", "start_type", "effort", "agent.name",
        "agent_type", "subagent_type",
    ),
    # Codex CLI and Gemini CLI
    "second tier": (
        "input_token_count", "output_token_count", "cached_token_count", "cached_content_token_count",
        "thoughts_token_count", "tool_token_count", "call_id", "prompt_id", "prompt_length", "function_name", "token_type",
        "tool_type", "cursor.event.id", "cursor.token.type",
    ),
    # https://opentelemetry.io/docs/specs/semconv/gen-ai/ and the general error and HTTP conventions
    "conventions": (
        "gen_ai.request.model", "gen_ai.response.model", "gen_ai.response.id", "gen_ai.tool.name",
        "gen_ai.tool.call.id", "gen_ai.agent.id", "gen_ai.token.type", "gen_ai.usage.input_tokens",
        "gen_ai.usage.output_tokens", "gen_ai.usage.cache_read.input_tokens",
        "gen_ai.usage.cache_creation.input_tokens", "error.type", "http.response.status_code",
    ),
}  # fmt: skip
"""Keys by the producers that made them common."""

ALLOWED: Final = frozenset(key for keys in _LISTED.values() for key in keys)
POINTS_ONLY: Final = frozenset({"tool"})
"""Old releases name the tool of a data point so; the same key holds content on a span's event."""
PRESENCE: Final = frozenset({"process.owner", "workspace.host_paths"})
"""Keys of which only the presence is read: their value becomes True, whatever it was."""
INDIVIDUAL: Final = frozenset({
    "event.timestamp", "event.sequence", "cursor.event.id", "tool_use_id", "request_id", "call_id", "gen_ai.tool.call.id",
    "gen_ai.response.id", "duration_ms", "cost_usd", "cost_usd_micros", "prompt_length", "input_tokens", "output_tokens",
    "cache_read_tokens", "cache_creation_tokens", "input_token_count", "output_token_count", "cached_token_count",
    "cached_content_token_count", "thoughts_token_count", "tool_token_count", "gen_ai.usage.input_tokens",
    "gen_ai.usage.output_tokens", "gen_ai.usage.cache_read.input_tokens", "gen_ai.usage.cache_creation.input_tokens",
})  # fmt: skip
"""Ids, counts and times of single records: their values say nothing of where a record comes from or how it ended."""

TEXT_MAX_CHARACTERS: Final = 256
"""Longer names and ids are cut: no column holds text of a person's making that could need more."""
COUNT_MAX: Final = 2**63 - 1
# Models are also named like `@cf/meta/llama-3` and `claude-opus-4-6[1m]`; paths and addresses are no names.
_LABEL: Final = re.compile(r"(?=.{1,128}\Z)(?![A-Za-z]:/)[\w@](?:[\w.:@+\-\[\]]|/(?!/))*")


@lru_cache(maxsize=16)
def allowed(*configured: str) -> frozenset[str]:
    """The allow-list with the operator's own attributes; an empty name is none."""
    return ALLOWED.union(filter(None, configured))


def text(value: Value | None) -> str:
    """A name or id as text of at most `TEXT_MAX_CHARACTERS`; empty when there is none."""
    if isinstance(value, str):
        return value[:TEXT_MAX_CHARACTERS]
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    # JavaScript has no integers: 5.0 and 5 are one value on their way through different encoders.
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)[:TEXT_MAX_CHARACTERS]


def label(value: Value | None) -> str:
    """A value from a producer's fixed set, such as an error class; empty when it reads like free text instead."""
    if value is None:
        return ""
    found = text(value)
    return found if _is_label(found) else ""


# Labels come from small sets, so nearly every one was looked at before.
@lru_cache(maxsize=8192)
def _is_label(found: str) -> bool:
    return _LABEL.fullmatch(found) is not None


def number(value: Value | None) -> float | None:
    """A finite number in whatever wire type it came: text, whole double, integer."""
    if value is None or isinstance(value, bool):
        return None
    try:
        found = float(value)
    except (ValueError, OverflowError):
        return None
    return found if math.isfinite(found) else None


def count(value: Value | None) -> int:
    """A whole number from 0 to 2^63 - 1 in whatever wire type it came; 0 when it is none."""
    if type(value) is int:
        return value if 0 <= value <= COUNT_MAX else 0
    if isinstance(value, str) and value.isdecimal() and len(value) < 20:
        found = int(value)
        return found if found <= COUNT_MAX else 0
    real = number(value)
    return int(real) if real is not None and 0 <= real < COUNT_MAX else 0


def flag(value: Value | None) -> bool | None:
    """A boolean or its text; None when it is neither."""
    if isinstance(value, bool):
        return value
    return {"true": True, "false": False}.get(value.lower()) if isinstance(value, str) else None
