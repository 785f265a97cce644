"""A server process for tests: the edge with a queue in memory, run as `raingauge serve` runs it.

    python edge_program.py <port> [setting=value …]

The API tells what is queued (`/stored`). Setting `commit_seconds` makes commits slow; `start` = fail, refuse or crash
breaks the start.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from raingauge.edge import serve


def build(url: str) -> Any:
    from edge_parts import Parts  # type: ignore[import-not-found]

    from raingauge import log
    from raingauge.contract import Settings
    from raingauge.errors import SettingError

    given = dict(argument.split("=", 1) for argument in sys.argv[2:])
    start = given.pop("start", "")
    if start == "fail":
        raise SettingError("RAINGAUGE_PORT=-1: must be a port number")
    commit_seconds = float(given.pop("commit_seconds", "0"))
    shutdown_seconds = float(given.pop("shutdown_seconds", "0"))
    log.configure(Settings({"log_format": "json"}))
    parts = Parts(**{name: float(value) for name, value in given.items()})
    if commit_seconds:
        write = parts.queue._write

        def slowly(*arguments: object) -> None:
            time.sleep(commit_seconds)
            write(*arguments)

        parts.queue._write = slowly

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] == "http" and scope["path"] == "/pid":
            body = str(os.getpid()).encode()
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": body})
            return

        if scope["type"] == "lifespan" and start == "refuse":
            await send({"type": "lifespan.startup.failed", "message": "the data directory is damaged"})
            return
        if scope["type"] == "lifespan" and start == "crash":
            raise ZeroDivisionError("while opening the store")

        async def send_late(event: dict[str, Any]) -> None:
            if event["type"] == "lifespan.shutdown.complete":
                time.sleep(shutdown_seconds)  # noqa: ASYNC251 - a shutdown that hangs is what is wanted
            await send(event)

        await parts.edge(scope, receive, send_late if scope["type"] == "lifespan" else send)

    app.answer_whole = parts.edge.answer_whole  # type: ignore[attr-defined]
    return app


if __name__ == "__main__":
    sys.exit(
        serve.run(build, "127.0.0.1", int(sys.argv[1]), stop_seconds=2 if "shutdown_seconds=60" in sys.argv else 9)
    )
