"""Delivers what waits in an outbox, to a backend or to its fallback.

answer               what it means
───────────────────  ──────────────────────────────────────────────
2xx                  delivered
408, 429, 5xx, 3xx,  not now: the other destination, else again later
no answer
other 4xx            not there: the other destination, else refused
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

import httpx
import structlog

from raingauge.forward.outbox import Outbox, Settled, Waiting

WORKERS: Final = 4
"""Deliveries at the same time. A backend that does not answer holds up these threads and nothing else."""
BACK_OFF_MAX_SECONDS: Final = 60.0
RETRY_AFTER_MAX_SECONDS: Final = 600.0
IDLE_SECONDS: Final = 1.0
STOP_SECONDS: Final = 1.0

_log = structlog.get_logger(__name__)


class _Later(Exception):
    """A destination could not take a message now."""

    def __init__(self, problem: str, seconds: float = 0.0) -> None:
        super().__init__(problem)
        self.seconds = seconds


class Forwarder:
    """Threads that empty an outbox.

    `urls` are base addresses, the first is preferred; `paths` maps an intake's name to its path there. `secret` is
    the backend's own credential, since the senders' are ours and mean nothing to it. `origin` makes the keys by which
    a backend can recognise a repeated delivery differ between installations.
    """

    def __init__(
        self,
        outbox: Outbox,
        *,
        urls: Sequence[str],
        paths: Mapping[str, str],
        secret: str,
        origin: str,
        timeout_seconds: float,
    ) -> None:
        self._outbox = outbox
        self._urls = [url.rstrip("/") for url in urls]
        self._paths = paths
        self._origin = origin
        self._client = httpx.Client(
            timeout=timeout_seconds, headers={"Authorization": f"ClientSecret {secret}"} if secret else {}
        )
        self._stopping = threading.Event()
        self._problem = ""
        self._threads = [threading.Thread(target=self._run, name="forward", daemon=True) for _ in range(WORKERS)]
        for thread in self._threads:
            thread.start()

    @property
    def problem(self) -> str:
        """Why the last failed delivery failed; empty after one that worked."""
        return self._problem

    def _run(self) -> None:
        failures = 0
        while not self._stopping.is_set():
            try:
                waiting = self._outbox.take(IDLE_SECONDS)
                if waiting is None:
                    continue
                try:
                    settled = self._delivered(waiting)
                except _Later as later:
                    failures += 1
                    seconds = max(min(2.0 ** (failures - 1), BACK_OFF_MAX_SECONDS), later.seconds)
                    self._outbox.later(waiting, seconds)
                    self._note(str(later))
                    self._stopping.wait(seconds)
                else:
                    failures = 0
                    self._outbox.settle(waiting, settled)
                    self._note("" if settled is not Settled.REFUSED else "refused")
            except Exception:  # noqa: BLE001 - a delivery must not end the thread
                _log.exception("a delivery failed", action="forward.failed")
                self._stopping.wait(IDLE_SECONDS)

    def _delivered(self, waiting: Waiting) -> Settled:
        """Where the message went. Raises _Later when a destination may still take it."""
        not_now: list[_Later] = []
        for url, settled in zip(self._urls, (Settled.DELIVERED, Settled.DELIVERED_TO_FALLBACK), strict=False):
            try:
                if self._taken(url, waiting):
                    return settled
            except _Later as later:
                not_now.append(later)
        if not_now:
            raise min(not_now, key=lambda later: later.seconds)
        return Settled.REFUSED

    def _taken(self, url: str, waiting: Waiting) -> bool:
        """Whether a destination took the message; False when it never will. Raises _Later."""
        message = waiting.message
        headers = {"Idempotency-Key": f"{self._origin}-{waiting.message_id}"}
        if message.content_type:
            headers["Content-Type"] = message.content_type
        if message.content_encoding:
            headers["Content-Encoding"] = message.content_encoding
        try:
            answer = self._client.post(url + self._paths[message.intake], content=message.body, headers=headers)
        except httpx.HTTPError as error:
            raise _Later(type(error).__name__) from None
        if answer.is_success:
            return True
        if answer.is_client_error and answer.status_code not in (408, 429):
            _log.warning("a message was refused", action="forward.refused", status=answer.status_code)
            return False
        raise _Later(f"HTTP {answer.status_code}", _retry_after_seconds(answer))

    def _note(self, problem: str) -> None:
        if problem and problem != self._problem:
            _log.warning("the backend takes nothing", action="forward.failing", problem=problem)
        self._problem = problem

    def close(self) -> None:
        """Stop taking messages; what is under way is given a moment, and else delivered again after the next start."""
        self._stopping.set()
        for thread in self._threads:
            thread.join(STOP_SECONDS / len(self._threads))


def _retry_after_seconds(answer: httpx.Response) -> float:
    """Seconds that a Retry-After asks for (RFC 9110, section 10.2.3), in bounds."""
    text = answer.headers.get("retry-after", "").strip()
    if text.isascii() and text.isdigit():
        return min(float(text[:9]), RETRY_AFTER_MAX_SECONDS)
    try:
        at = parsedate_to_datetime(text)
    except ValueError:
        return 0.0
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    return min(max(0.0, (at - datetime.now(UTC)).total_seconds()), RETRY_AFTER_MAX_SECONDS)
