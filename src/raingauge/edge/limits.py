"""How much one sender may send. Everything is in memory, bounded, and O(1) per request."""

from __future__ import annotations

import math
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Hashable, Iterable
from typing import Final

MAX_KEYS: Final = 100_000
MINUTES_PER_DAY: Final = 1_440


class Rate:
    """At most so many events per minute and key, evenly refilled, with a burst of one minute's worth.

    Kept as one number per key, the time at which its allowance is whole again (the generic cell rate algorithm,
    ITU-T I.371). The key that was used longest ago is forgotten first.
    """

    def __init__(
        self, per_minute: float, *, max_keys: int = MAX_KEYS, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._interval_seconds = 60 / per_minute if per_minute else 0.0
        self._burst_seconds = 60 - self._interval_seconds
        self._whole_at: OrderedDict[Hashable, float] = OrderedDict()
        self._max_keys = max_keys
        self._clock = clock

    def take(self, key: Hashable) -> int:
        """Count one event: 0 when it is within the limit, else the whole seconds until one is allowed again."""
        if not self._interval_seconds:
            return 0
        now = self._clock()
        whole_at = max(now, self._whole_at.get(key, now))
        excess_seconds = whole_at - now - self._burst_seconds
        # A millisecond of tolerance, so that rounding never costs the last event of a burst.
        if excess_seconds > 0.001:
            return math.ceil(excess_seconds)
        self._whole_at[key] = whole_at + self._interval_seconds
        self._whole_at.move_to_end(key)
        if len(self._whole_at) > self._max_keys:
            self._whole_at.popitem(last=False)
        return 0


class DailyCounts:
    """Accepted messages of the last 24 hours per key, by the minute."""

    def __init__(self, *, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._minutes: dict[Hashable, deque[list[int]]] = {}
        self._totals: dict[Hashable, int] = {}

    def reserve(self, key: Hashable, cap: int) -> bool:
        """Count one message unless the cap is reached; whether it was counted."""
        minute = int(self._clock() // 60)
        minutes = self._minutes.setdefault(key, deque())
        total = self._totals.get(key, 0)
        while minutes and minutes[0][0] <= minute - MINUTES_PER_DAY:
            total -= minutes.popleft()[1]
        counted = total < cap
        if counted:
            total += 1
            if minutes and minutes[-1][0] >= minute:
                minutes[-1][1] += 1
            else:
                minutes.append([minute, 1])
        self._totals[key] = total
        return counted

    def wait_seconds(self, key: Hashable) -> int:
        """Whole seconds until the oldest counted minute is over a day old, at least 1."""
        minutes = self._minutes.get(key)
        oldest_ends_at = (minutes[0][0] + MINUTES_PER_DAY) * 60 if minutes else 0
        return max(1, math.ceil(oldest_ends_at - self._clock()))

    def release(self, key: Hashable) -> None:
        """Take back the newest reservation: its message was not accepted."""
        minutes = self._minutes.get(key)
        if minutes:
            self._totals[key] -= 1
            minutes[-1][1] -= 1
            if not minutes[-1][1]:
                minutes.pop()

    def seed(self, key: Hashable, counts: Iterable[tuple[float, int]]) -> None:
        """Start from what was accepted before: (time in seconds since 1970, messages), in order of time."""
        minutes = deque([int(at // 60), count] for at, count in counts)
        self._minutes[key] = minutes
        self._totals[key] = sum(count for _, count in minutes)
