"""How an application that sends `analytics.v2` events is pointed at this server."""

from __future__ import annotations

from typing import Final

from raingauge.contract import Connection


def _environment(url: str, token: str) -> str:
    return (
        "# The sender appends /collect and can carry a token only in the address.\n"
        f"export ANALYTICS_BASE_URL={url}/k/{token}\n"
        "export ANALYTICS_ENABLED=1\n"
        "# In server mode also: telemetry.enabled: true in pilotdeck.yaml"
    )


CONNECTIONS: Final = (Connection("analytics", "Applications that send analytics.v2 events", "shell", _environment),)
