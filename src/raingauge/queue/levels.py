"""How much is in the queue, in memory, so that asking costs nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from threading import Lock
from typing import Final

from raingauge.queue import Depth

HANDOVER_MAX_BYTES: Final = 64 * 1024 * 1024
"""Most that may wait in memory for the writer; a single larger body still passes when it is alone."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@lru_cache(maxsize=256)
def contract_of(intake: str) -> str:
    """The contract that an intake belongs to: its name up to the dot."""
    return intake.partition(".")[0]


def at(microseconds: int) -> datetime:
    """An aware UTC datetime from microseconds since 1970."""
    return _EPOCH + timedelta(microseconds=microseconds)


class Levels:
    """What waits on disk and what is on its way there. Safe from any thread; `oldest` is the writer's to set."""

    def __init__(self, max_bytes: int, max_age_seconds: float) -> None:
        self._max_bytes = max_bytes
        self._max_age_us = max_age_seconds * 1_000_000
        self._lock = Lock()
        self._messages: Counter[str] = Counter()
        self._stored_bytes = 0
        self._handover_bytes = 0
        self.dead_letters = 0
        self.oldest: int | None = None

    def full(self, now: int) -> bool:
        """Whether the limit of bytes or age is reached; `now` in microseconds since 1970."""
        oldest = self.oldest
        return (
            self._stored_bytes + self._handover_bytes >= self._max_bytes
            or self._handover_bytes >= HANDOVER_MAX_BYTES
            or (oldest is not None and now - oldest > self._max_age_us)
        )

    def hand_over(self, size_bytes: int, now: int) -> bool:
        """Make room in the handover; False when the queue is full."""
        with self._lock:
            if self.full(now):
                return False
            self._handover_bytes += size_bytes
            return True

    def handed_over(self, size_bytes: int) -> None:
        with self._lock:
            self._handover_bytes -= size_bytes

    def add(self, intake: str, stored_bytes: int, messages: int) -> None:
        """Messages of one intake with the sum of their sizes."""
        with self._lock:
            self._messages[contract_of(intake)] += messages
            self._stored_bytes += stored_bytes

    def arrived(self, messages: Iterable[tuple[str, int]]) -> None:
        """Intake and stored size of each message that waits from now on."""
        self._count(messages, 1)

    def left(self, messages: Iterable[tuple[str, int]]) -> None:
        """The same for messages that wait no more."""
        self._count(messages, -1)

    def _count(self, messages: Iterable[tuple[str, int]], sign: int) -> None:
        with self._lock:
            for intake, stored_bytes in messages:
                self._messages[contract_of(intake)] += sign
                self._stored_bytes += sign * stored_bytes

    def depth(self) -> Depth:
        with self._lock:
            by_contract = {contract: count for contract, count in self._messages.items() if count}
            oldest = self.oldest
            return Depth(
                messages=sum(by_contract.values()),
                size_bytes=self._stored_bytes,
                oldest_at=None if oldest is None else at(oldest),
                dead_letters=self.dead_letters,
                by_contract=by_contract,
            )
