"""What the rows of all three signals have in common. Everything here is pure."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from typing import Final

from raingauge.contract import Received
from raingauge.contracts.otlp.attributes import Attributes, allowed, flag, label, text
from raingauge.contracts.otlp.knobs import (
    FUTURE_SECONDS,
    LATE_SECONDS,
    REPOSITORY_ATTRIBUTE,
    TEAM_ATTRIBUTE,
    TYPED_NAMES,
)
from raingauge.contracts.otlp.people import People
from raingauge.contracts.otlp.repository import repository_of
from raingauge.contracts.otlp.sources import CLAUDE_FAMILY, Source

_TIME_MAX_US: Final = 2**63 // 1000
_STATUS: Final = {0: "", 1: "ok", 2: "error"}
_HTTP_ERROR: Final = 400
_SESSIONS: Final = ("session.id", "conversation.id", "cursor.conversation.id", "gen_ai.conversation.id")
_CALLS: Final = ("tool_use_id", "gen_ai.tool.call.id", "call_id", "request_id", "gen_ai.response.id")
_NO_DECISION: Final = "", ""
_ERROR_KEYS: Final = ("error_class", "error.type", "error_type", "error_category", "error_name", "error_code")
_ERRORS: Final = frozenset(_ERROR_KEYS)
_AUXILIARY: Final = "auxiliary"
_ACCEPTED: Final = frozenset({"accept", "approved", "approved_for_session", "approve", "auto_accept", "modify"})
_REJECTED: Final = frozenset({"reject", "denied", "deny", "abort", "cancel"})

_AGENTS: Final = ("agent.name", "agent_type", "subagent_type")
_BUILT_IN_AGENTS: Final = frozenset({
    "general-purpose", "Explore", "Plan", "claude-code-guide", "statusline-setup", "output-style-setup", "fork", "default",
    "claude", "custom", "third-party",
})  # fmt: skip


def configured(received: Received) -> tuple[str, str]:
    """The attribute keys of the operator's choice."""
    return received.settings[REPOSITORY_ATTRIBUTE], received.settings[TEAM_ATTRIBUTE]


def listed(received: Received) -> frozenset[str]:
    """The attribute keys that are read from this customer's records."""
    return allowed(*configured(received))


class Clock:
    """The sender's times against our time of arrival."""

    def __init__(self, received: Received) -> None:
        self.arrived_us = received.message_id
        self._late_us = self.arrived_us - int(received.settings[LATE_SECONDS] * 1_000_000)
        self._future_us = self.arrived_us + int(received.settings[FUTURE_SECONDS] * 1_000_000)

    def placed(self, time_ns: int) -> tuple[int, str]:
        """The time in microseconds since 1970, and `late`, `future` or `untimed` when it is remarkable.

        Nothing is dropped for its time. What has none is placed at its arrival.
        """
        time_us = time_ns // 1000
        if self._late_us <= time_us <= self._future_us:
            return time_us, ""
        if not time_us or time_us > _TIME_MAX_US:
            return self.arrived_us, "untimed"
        return time_us, "late" if time_us < self._late_us else "future"


def session_of(source: Source, attributes: Attributes) -> str:
    """The session's id. In the Claude family a conversation id names a subagent, not the session."""
    get = attributes.get
    session = get("session.id")
    if session is not None or source in CLAUDE_FAMILY:
        return text(session)
    return next((text(found) for key in _SESSIONS if (found := get(key)) is not None), "")


def prompt_of(attributes: Attributes) -> str:
    return text(attributes.get("prompt.id", attributes.get("prompt_id")))


def model_of(attributes: Attributes) -> str:
    get = attributes.get
    return label(get("model", get("gen_ai.response.model", get("gen_ai.request.model"))))


class Tools:
    """Names of tools, with those that a person may have typed replaced unless the operator allows them."""

    def __init__(self, received: Received) -> None:
        self._typed = received.settings[TYPED_NAMES]

    def name(self, attributes: Attributes) -> str:
        get = attributes.get
        found = label(get("tool_name", get("gen_ai.tool.name", get("function_name"))))
        if (found.startswith("mcp__") or get("tool_type") == "mcp") and not self._typed:
            return label(get("tool_name_safe")) or "mcp_tool"
        return found


class Labels:
    """Team, effort and kind of subagent of a record."""

    def __init__(self, received: Received) -> None:
        self._team = received.settings[TEAM_ATTRIBUTE]
        self._typed = received.settings[TYPED_NAMES]

    def of(self, attributes: Attributes) -> tuple[str, str, str]:
        get = attributes.get
        agent = next((label(found) or "custom" for key in _AGENTS if (found := get(key)) is not None), "")
        if agent and not self._typed and agent not in _BUILT_IN_AGENTS:
            agent = "custom"
        return text(get(self._team)), label(get("effort")), agent


def status_of(code: int, attributes: Attributes) -> str:
    """`ok`, `error`, the sender's own code, or empty when nothing is known."""
    if code:
        return _STATUS.get(code) or str(code)
    get = attributes.get
    if (success := flag(get("success"))) is not None:
        return "ok" if success else "error"
    found = label(get("status", get("status_code", get("http.response.status_code"))))
    if found == "undefined":  # what Cowork says when the network failed
        return ""
    return "ok" if found.isdecimal() and int(found) < _HTTP_ERROR else found


class Who:
    """Where records come from: the columns of `tables.py` from `source` to `agent`."""

    def __init__(self, received: Received, people: People) -> None:
        self._people, self._tools, self._labels = people, Tools(received), Labels(received)
        self._repository_attribute = received.settings[REPOSITORY_ATTRIBUTE]

    def of(self, source: Source, service: str, model: str, attributes: Attributes) -> tuple[str, ...]:
        return (
            source,
            service,
            session_of(source, attributes),
            prompt_of(attributes),
            self._people.key(source, attributes),
            repository_of(attributes, self._repository_attribute),
            model,
            self._tools.name(attributes),
            *self._labels.of(attributes),
        )


def outcome_of(status: str, attributes: Attributes) -> tuple[str, ...]:
    """How it ended: the columns of `tables.py` from `status` to `parent_agent_id`."""
    return (
        status,
        error_class_of(attributes),
        *decision_of(attributes),
        query_source_of(attributes),
        text(attributes.get("agent_id", attributes.get("gen_ai.agent.id"))),
        text(attributes.get("parent_agent_id")),
    )


def error_class_of(attributes: Attributes) -> str:
    if _ERRORS.isdisjoint(attributes):
        return ""
    return next(label(attributes[key]) for key in _ERROR_KEYS if key in attributes)


def decision_of(attributes: Attributes) -> tuple[str, str]:
    """Whether a tool call was accepted and who decided: `config`, `hook` or `user…`. Unknown words are kept."""
    get = attributes.get
    raw = label(get("decision", get("decision_type")))
    if not raw:
        return _NO_DECISION
    decided_by = label(get("source", get("decision_source")))
    if not decided_by and "function_name" in attributes:  # Gemini tells only whether it asked
        decided_by = "config" if raw == "auto_accept" else "user"
    return "accept" if raw in _ACCEPTED else "reject" if raw in _REJECTED else raw, decided_by.lower()


@lru_cache(maxsize=1024)
def _query_class(raw: str) -> str:
    if raw in {"main", "subagent", _AUXILIARY}:
        return raw
    if raw == "sdk" or raw.startswith("repl_main_thread"):
        return "main"
    return "subagent" if raw.startswith(("agent:", "agent.")) or raw == "hook_agent" else _AUXILIARY


def query_source_of(attributes: Attributes) -> str:
    """`main`, `subagent` or `auxiliary`. Senders also name typed agents here, so the raw value is not kept."""
    raw = attributes.get("query_source", attributes.get("query_source_safe"))
    return _query_class(raw) if isinstance(raw, str) else ""


def call_id_of(attributes: Attributes) -> int:
    """64 bits that stand for the tool call or model request; 0 for none."""
    for key in _CALLS:
        if found := attributes.get(key):
            return hash64(text(found))
    return 0


def hash64(value: str, key: bytes = b"") -> int:
    found = _blake2b(key).copy()
    found.update(value.encode(errors="replace"))
    return int.from_bytes(found.digest(), "big")


# Copying a hash takes a third of the time of making one.
@lru_cache(maxsize=8)
def _blake2b(key: bytes) -> hashlib.blake2b:
    return hashlib.blake2b(digest_size=8, key=key)
