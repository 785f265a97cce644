"""`raingauge serve`: the whole system."""

from __future__ import annotations

from raingauge.cli.options import all_knobs, with_knobs
from raingauge.settings import load


@with_knobs(all_knobs())
def command(options: dict[str, object]) -> None:
    """Run the whole system: receive, store, and answer reads, until SIGTERM."""
    settings = load(all_knobs(), options)
    from raingauge.app import serve  # noqa: PLC0415 - everything heavy is behind this import

    serve(settings)
