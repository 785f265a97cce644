"""`raingauge demo`: the whole system with a month of made-up telemetry in it."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import typer

from raingauge.cli.options import all_knobs, with_knobs
from raingauge.edge.ports import ASGIApp
from raingauge.edge.serve import run
from raingauge.settings import HOST, LOG_FORMAT, LOG_LEVEL, PORT, PUBLIC_URL, Knob, Settings, load

DEMO_SCALE: Final = Knob(
    "demo_scale",
    1.0,
    "How much is made up: 1 is a team of 25 and 5,000 installations of a product, 0.1 a tenth of that.",
    check=lambda value: None if 0 < value <= 1 else "must be greater than 0 and at most 1",
)
# A line per request would bury the sign-in link under thousands.
_QUIET: Final = replace(LOG_LEVEL, default="warning")


@with_knobs((*(knob if knob is not LOG_LEVEL else _QUIET for knob in all_knobs()), DEMO_SCALE))
def command(options: dict[str, object]) -> None:
    """Run the whole system on an empty data directory, filled with 30 days of made-up telemetry, until SIGTERM.

    Everything is sent through the ingest routes by a process of its own. A directory that is not empty is only served;
    one that a demo has filled is never filled again.
    """
    settings = load((*all_knobs(), DEMO_SCALE), options)

    def application(url: str) -> ASGIApp:
        from raingauge import log  # noqa: PLC0415 - the parent stays small
        from raingauge.app import Application  # noqa: PLC0415
        from raingauge.demo.application import DemoApplication  # noqa: PLC0415

        log.configure(Settings({LOG_LEVEL.name: settings[_QUIET], LOG_FORMAT.name: settings[LOG_FORMAT]}))
        base_url = settings[PUBLIC_URL].rstrip("/") or url
        return DemoApplication(
            Application(settings, base_url, sign_in_link=False), settings, url, base_url, settings[DEMO_SCALE]
        )

    raise typer.Exit(run(application, settings[HOST], settings[PORT]))
