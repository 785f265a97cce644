"""Which tool sent it. The scope and service names decide the family, marks on the records the rest."""

from __future__ import annotations

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
    """Where the records of one resource and scope come from."""

    def __init__(self, resource: Attributes, scope: str) -> None:
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
        self._marker = _SOURCES.get(text(resource.get("raingauge.source")))

    def source(self, name: str, attributes: Attributes) -> Source:
        """The source of the record called `name`, whose attributes include the resource's."""
        family = self._family
        if family is None:
            family = PREFIXES.get(name[: name.find(".") + 1])
        if family in CLAUDE_FAMILY:
            return self._marked(attributes) or self._claude(family, name, attributes)
        return self._marked(attributes) or family or _foreign(name, attributes)

    def _marked(self, attributes: Attributes) -> Source | None:
        if "raingauge.source" in attributes:
            return _SOURCES.get(text(attributes["raingauge.source"])) or self._marker
        return None

    def _claude(self, family: Source, name: str, attributes: Attributes) -> Source:
        if family is Source.COWORK or name.startswith("claude_cowork."):
            return Source.COWORK
        if not self._desktop and ("process.owner" in attributes or "workspace.host_paths" in attributes):
            return Source.COWORK
        entrypoint = attributes.get("app.entrypoint")
        if isinstance(entrypoint, str) and entrypoint:
            return Source.AGENT_SDK if entrypoint.startswith("sdk-") else Source.CLAUDE_CODE
        if (
            attributes.get("query_source") == "sdk"
            or attributes.get("parent.source") == "env"
            or attributes.get("terminal.type") == "non-interactive"
        ):
            return Source.AGENT_SDK
        return family


def _foreign(name: str, attributes: Attributes) -> Source:
    if "originator" in attributes and "conversation.id" in attributes:
        return Source.CODEX
    if name.startswith("gen_ai.") or any(key in attributes for key in _GEN_AI):
        return Source.GEN_AI
    return Source.OTHER
