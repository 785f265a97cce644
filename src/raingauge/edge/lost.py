"""Senders that went away before their answer, and come back with the same body.

A sender that gives up after two seconds and retries without an identity would be counted twice. So the body of a
request whose client disconnected is remembered for a while, in memory: after a restart the retry counts again. The same
body that arrives while the first is still being committed waits for what becomes of it, because the news that the first
client left may well come later than the retry itself.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Coroutine
from typing import Any, Final, TypeAlias

from raingauge.edge.body import is_gone
from raingauge.edge.ports import Receive

MAX_ANSWERS: Final = 10_000

Key: TypeAlias = tuple[str, bytes]
"""Who sent it, and the digest of the body."""


class LostAnswers:
    """What was committed, or is being committed, for senders that may not hear of it."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        # The future is True when the message is on disk and its client has left.
        self._unheard: OrderedDict[Key, tuple[float, asyncio.Future[bool]]] = OrderedDict()

    async def unheard(self, key: Key) -> bool:
        """Whether this message is on disk already, although its client never heard of it."""
        expires_at, unheard = self._unheard.get(key, (0.0, None))
        if unheard is None or (unheard.done() and expires_at < self._clock()):
            return False
        found = await asyncio.shield(unheard)
        if found:
            # One retry per lost answer: the next equal body is another item, not the same one once more.
            self._unheard.pop(key, None)
        return found

    async def watched(
        self, commit: Coroutine[Any, Any, bool], receive: Receive, key: Key, remember_seconds: float
    ) -> bool:
        """The result of a commit; the message is remembered if its client disconnects meanwhile."""
        unheard = asyncio.get_running_loop().create_future()
        self._remember(key, unheard, remember_seconds)
        committed = False
        try:
            new = await commit
            committed = True
        finally:
            unheard.set_result(committed and is_gone(receive))
            if unheard.result():
                self._remember(key, unheard, remember_seconds)
            elif self._unheard.get(key, (0.0, None))[1] is unheard:
                del self._unheard[key]
        return new

    def _remember(self, key: Key, unheard: asyncio.Future[bool], seconds: float) -> None:
        now = self._clock()
        self._unheard[key] = (now + seconds, unheard)
        self._unheard.move_to_end(key)
        while len(self._unheard) > MAX_ANSWERS or next(iter(self._unheard.values()))[0] < now:
            self._unheard.popitem(last=False)
