"""How the `loopgain` library and its dashboard are pointed at this server."""

from __future__ import annotations

from typing import Final

from raingauge.contract import Connection, Scope


def _library(url: str, token: str) -> str:
    insecure = url.startswith("http://")
    argument = ", allow_insecure=True" if insecure else ""
    note = "\n# allow_insecure: this server is reached without TLS." if insecure else ""
    return (
        f"export LOOPGAIN_TELEMETRY_ENDPOINT={url}\n"
        f"export LOOPGAIN_TELEMETRY_TOKEN={token}\n"
        f"\n# In the program, after the loop:{note}\n"
        f'#   loop.send_telemetry(workload_id="my-workload"{argument})\n'
        f"\nloopgain doctor{' --allow-insecure' if insecure else ''}"
    )


def _dashboard(url: str, token: str) -> str:
    return (
        "# Open LoopGain's dashboard with /?connect=1 and enter:\n"
        f"#   endpoint {url}\n"
        f"#   token    {token}\n"
        "# Its origin must be one of RAINGAUGE_CORS_ORIGINS."
    )


CONNECTIONS: Final = (
    Connection("loopgain", "LoopGain library", "shell", _library),
    Connection("loopgain-dashboard", "LoopGain's own dashboard", "text", _dashboard, Scope.READ),
)
