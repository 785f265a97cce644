"""Which tool sent it. The scope and service names decide the family, marks on the records the rest."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Final

from raingauge.contracts.otlp.attributes import Attributes, text


class Source(StrEnum):
    """Stands on every row; values are stored and part of the API."""

    CLAUDE_CODE = "claude_code"
    AGENT_SDK = "agent_sdk"
    COWORK = "cowork"
    CODEX = "codex"
    GEMINI_CLI = "gemini_cli"
    OPENCODE = "opencode"
    CURSOR = "cursor"
    GEN_AI = "gen_ai"
    OTHER = "other"


CLAUDE_FAMILY: Final = frozenset({Source.CLAUDE_CODE, Source.AGENT_SDK, Source.COWORK})
PREFIXES: Final[dict[str, Source]] = {
    "claude_code.": Source.CLAUDE_CODE,
    "claude_cowork.": Source.COWORK,
    "codex.": Source.CODEX,
    "gemini_cli.": Source.GEMINI_CLI,
    "opencode.": Source.OPENCODE,
    "cursor.": Source.CURSOR,
}
"""What the names of a producer's spans, metrics and events begin with."""

_SOURCES: Final[dict[str, Source]] = {str(source): source for source in Source}
_SERVICES: Final[dict[str, Source]] = {
    "cowork": Source.COWORK,
    "opencode": Source.OPENCODE,
    "cursor": Source.CURSOR,
    "gemini-cli": Source.GEMINI_CLI,
    "claude-code": Source.CLAUDE_CODE,
    "claude-code-desktop": Source.CLAUDE_CODE,
    "claude-desktop": Source.CLAUDE_CODE,
}
_CLAUDE_SCOPE: Final = "com.anthropic.claude_code"
_GEN_AI: Final = (
    "gen_ai.operation.name", "gen_ai.provider.name", "gen_ai.system", "gen_ai.usage.input_tokens",
    "gen_ai.usage.output_tokens", "gen_ai.request.model", "gen_ai.token.type",
)  # fmt: skip


class Origin:
    """Where the records of one resource and scope come from.

    `records` are the attributes of all of them: a headless session marks only some of its records as such, and
    one mark speaks for every record of that session beside it.
    """

    def __init__(self, resource: Attributes, scope: str, records: Iterable[Attributes]) -> None:
        self.service = text(resource.get("service.name"))
        service = self.service.lower()
        self._family = _SERVICES.get(service)
        # OTEL_SERVICE_NAME can say anything, the scope is fixed in the sender's code.
        if scope.startswith(_CLAUDE_SCOPE):
            if self._family not in CLAUDE_FAMILY:
                self._family = Source.AGENT_SDK if service else Source.CLAUDE_CODE
        elif self._family is None:
            if service.startswith("codex"):
                self._family = Source.CODEX
            elif scope.startswith("cursor.telemetry"):
                self._family = Source.CURSOR
        self._desktop = service == "claude-code-desktop"
        self._headless = {attributes.get("session.id") for attributes in records if _headless(attributes)}

    def source(self, name: str, attributes: Attributes) -> Source:
        """The source of the record called `name`, whose attributes include the resource's."""
        family = self._family
        if family is None:
            family = PREFIXES.get(name[: name.find(".") + 1])
        if (marker := attributes.get("raingauge.source")) in _SOURCES:
            return _SOURCES[text(marker)]
        if family in CLAUDE_FAMILY:
            return self._claude(family, name, attributes)
        return family or _foreign(name, attributes)

    def _claude(self, family: Source, name: str, attributes: Attributes) -> Source:
        if family is Source.COWORK or name.startswith("claude_cowork."):
            return Source.COWORK
        if not self._desktop and ("process.owner" in attributes or "workspace.host_paths" in attributes):
            return Source.COWORK
        entrypoint = attributes.get("app.entrypoint")
        if isinstance(entrypoint, str) and entrypoint:
            return Source.AGENT_SDK if entrypoint.startswith("sdk-") else Source.CLAUDE_CODE
        return Source.AGENT_SDK if attributes.get("session.id") in self._headless else family


def _headless(attributes: Attributes) -> bool:
    """Whether a record of the Claude family tells that nobody sat at a terminal."""
    get = attributes.get
    return get("terminal.type") == "non-interactive" or get("query_source") == "sdk" or get("parent.source") == "env"


def _foreign(name: str, attributes: Attributes) -> Source:
    if "originator" in attributes and "conversation.id" in attributes:
        return Source.CODEX
    if name.startswith("gen_ai.") or any(key in attributes for key in _GEN_AI):
        return Source.GEN_AI
    return Source.OTHER
