"""How agents are pointed here: settings to paste, complete as they are printed."""

from __future__ import annotations

import json
import shlex
from typing import Final

from raingauge.contract import Connection

_EXPORTERS: Final = {
    "OTEL_METRICS_EXPORTER": "otlp",
    "OTEL_LOGS_EXPORTER": "otlp",
    "OTEL_TRACES_EXPORTER": "otlp",
    "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
}
_SHORT_INTERVALS: Final = {
    # A session that ends within the default minute would send its metrics only on exit, if it still can.
    "OTEL_METRIC_EXPORT_INTERVAL": "10000",
    "OTEL_LOGS_EXPORT_INTERVAL": "5000",
    "OTEL_TRACES_EXPORT_INTERVAL": "5000",
}

_CLAUDE_HELP: Final = """\
# Claude Code: for a whole organisation, save the following JSON as managed settings, either in the admin console
# (Claude Code > Managed settings) or as a file on each machine:
#   macOS    /Library/Application Support/ClaudeCode/managed-settings.json
#   Linux    /etc/claude-code/managed-settings.json
#   Windows  C:\\Program Files\\ClaudeCode\\managed-settings.json
# For one person, the same "env" goes into ~/.claude/settings.json.
# Repositories: OTEL_METRICS_INCLUDE_REPOSITORY (Claude Code 2.1.269 or later) tells the repository's owner and name.
# For older releases add repo=<name> to OTEL_RESOURCE_ATTRIBUTES and start Raingauge with
# RAINGAUGE_OTLP_REPOSITORY_ATTRIBUTE=repo. Cost by team: OTEL_RESOURCE_ATTRIBUTES=team.id=<team>.
"""
_CLAUDE_SHELL: Final = "# Or for one shell:\n"


def _claude_environment(url: str, token: str) -> dict[str, str]:
    return {
        "CLAUDE_CODE_ENABLE_TELEMETRY": "1",
        "CLAUDE_CODE_ENHANCED_TELEMETRY_BETA": "1",
        **_EXPORTERS,
        "OTEL_EXPORTER_OTLP_ENDPOINT": url,
        # Written as in the vendor's own documentation, with a plain space.
        "OTEL_EXPORTER_OTLP_HEADERS": f"Authorization=Bearer {token}",
        **_SHORT_INTERVALS,
        "OTEL_METRICS_INCLUDE_REPOSITORY": "true",
    }


def _exports(environment: dict[str, str]) -> str:
    return "".join(f"export {name}={shlex.quote(value)}\n" for name, value in environment.items())


def _claude_code(url: str, token: str) -> str:
    environment = _claude_environment(url, token)
    settings = json.dumps({"env": environment}, indent=2)
    shell = "".join(f"#   {line}\n" for line in _exports(environment).splitlines())
    return f"{_CLAUDE_HELP}{settings}\n{_CLAUDE_SHELL}{shell}"


def _claude_code_shell(url: str, token: str) -> str:
    return _exports(_claude_environment(url, token))


def _agent_sdk(url: str, token: str) -> str:
    """The marker tells the SDK's sessions from those of people: they look alike otherwise."""
    environment = _claude_environment(url, token) | {
        "OTEL_METRICS_INCLUDE_ENTRYPOINT": "true",
        "OTEL_RESOURCE_ATTRIBUTES": "raingauge.source=agent_sdk",
    }
    return (
        "# Set these where the program runs that uses the Agent SDK; sessions it starts inherit them.\n"
        f"{_exports(environment)}"
    )


_CODEX: Final = """\
# ~/.codex/config.toml (Codex ignores this section in a project's own configuration)
[otel]
environment = "prod"
log_user_prompt = false

[otel.exporter.otlp-http]
endpoint = "{url}/v1/logs"
protocol = "binary"
headers = {{ "Authorization" = "Bearer {token}" }}

[otel.trace_exporter.otlp-http]
endpoint = "{url}/v1/traces"
protocol = "binary"
headers = {{ "Authorization" = "Bearer {token}" }}

[otel.metrics_exporter.otlp-http]
endpoint = "{url}/v1/metrics"
protocol = "binary"
headers = {{ "Authorization" = "Bearer {token}" }}
"""


def _codex(url: str, token: str) -> str:
    return _CODEX.format(url=url, token=token)


def _gemini(url: str, token: str) -> str:
    """The CLI sets no headers of its own, so the token is part of the address."""
    environment = {
        "GEMINI_TELEMETRY_ENABLED": "true",
        "GEMINI_TELEMETRY_TARGET": "local",
        "GEMINI_TELEMETRY_OTLP_PROTOCOL": "http",
        "GEMINI_TELEMETRY_OTLP_ENDPOINT": f"{url}/k/{token}",
        "GEMINI_TELEMETRY_LOG_PROMPTS": "false",
    }
    return (
        f"# Gemini CLI; it logs prompts unless told otherwise (Raingauge would not keep them).\n{_exports(environment)}"
    )


def _otel(url: str, token: str) -> str:
    environment = {
        **_EXPORTERS,
        "OTEL_EXPORTER_OTLP_ENDPOINT": url,
        # The specification wants this value percent-encoded.
        "OTEL_EXPORTER_OTLP_HEADERS": f"Authorization=Bearer%20{token}",
        "OTEL_EXPORTER_OTLP_COMPRESSION": "gzip",
    }
    return f"# Any OpenTelemetry SDK; http/json works as well.\n{_exports(environment)}"


CONNECTIONS: Final = (
    Connection("claude-code", "Claude Code, managed settings and shell", "json", _claude_code),
    Connection("claude-code-shell", "Claude Code, for one shell", "shell", _claude_code_shell, family="claude-code"),
    Connection("agent-sdk", "Claude Agent SDK", "shell", _agent_sdk),
    Connection("codex", "OpenAI Codex CLI", "toml", _codex),
    Connection("gemini", "Gemini CLI", "shell", _gemini),
    Connection("otel", "Any OpenTelemetry SDK", "shell", _otel),
)
