"""`raingauge serve`: the whole system."""

from __future__ import annotations

import typer

from raingauge.cli.options import all_knobs, with_knobs
from raingauge.edge.ports import ASGIApp
from raingauge.edge.serve import run
from raingauge.settings import HOST, PORT, PUBLIC_URL, load


@with_knobs(all_knobs())
def command(options: dict[str, object]) -> None:
    """Run the whole system: receive, store, and answer reads, until SIGTERM."""
    settings = load(all_knobs(), options)

    def application(url: str) -> ASGIApp:
        # Imported in the server process: its parent only waits, and should take no more memory than that needs.
        from raingauge import log  # noqa: PLC0415
        from raingauge.app import Application  # noqa: PLC0415

        log.configure(settings)
        return Application(settings, settings[PUBLIC_URL].rstrip("/") or url)

    raise typer.Exit(run(application, settings[HOST], settings[PORT]))
