"""Work that is done again and again in the background."""

from __future__ import annotations

import threading
from collections.abc import Callable

import structlog

log = structlog.get_logger()


class Periodic:
    """Runs `work` every `seconds` in a thread of its own, the first time after one interval.

    A failing run is logged and the next one is tried: background work must never end quietly.
    """

    def __init__(self, name: str, seconds: float, work: Callable[[], object]) -> None:
        self._name = name
        self._seconds = seconds
        self._work = work
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._stop.wait(self._seconds):
            try:
                self._work()
            except Exception:
                log.exception("background work failed", action=f"{self._name}.failed")

    def close(self) -> None:
        """Wait for a run under way, then end."""
        self._stop.set()
        self._thread.join()
