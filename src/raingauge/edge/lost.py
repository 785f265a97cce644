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
from collections.abc import Callable
from typing import Final, TypeAlias

MAX_ANSWERS: Final = 10_000

Key: TypeAlias = tuple[str, bytes]
"""Who sent it, and the digest of the body."""

Then: TypeAlias = Callable[[bool | Exception], None]
"""Called on the event loop with whether a message is new once it is on disk, or with why it is not there."""


class LostAnswers:
    """What was committed, or is being committed, for senders that may not hear of it."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        # The future is True when the message is on disk and its client has left.
        self._unheard: OrderedDict[Key, tuple[float, asyncio.Future[bool]]] = OrderedDict()

    def commit(
        self, key: Key, remember_seconds: float, start: Callable[[Then], None], is_gone: Callable[[], bool], then: Then
    ) -> None:
        """Have `start` commit the message, unless it is on disk already and its client never heard of it.

        `is_gone` tells at the end of a commit whether the client has left.
        """
        expires_at, unheard = self._unheard.get(key, (0.0, None))
        if unheard is None or (unheard.done() and expires_at < self._clock()):
            self._watch(key, remember_seconds, start, is_gone, then)
            return

        def known(found: asyncio.Future[bool]) -> None:
            if found.result():
                # One retry per lost answer: the next equal body is another item, not the same one once more.
                self._unheard.pop(key, None)
                then(False)
            else:
                self._watch(key, remember_seconds, start, is_gone, then)

        if unheard.done():
            known(unheard)
        else:
            unheard.add_done_callback(known)

    def _watch(
        self, key: Key, seconds: float, start: Callable[[Then], None], is_gone: Callable[[], bool], then: Then
    ) -> None:
        unheard = asyncio.get_running_loop().create_future()
        self._remember(key, unheard, seconds)

        def committed(result: bool | Exception) -> None:
            lost = not isinstance(result, Exception) and is_gone()
            unheard.set_result(lost)
            if lost:
                self._remember(key, unheard, seconds)
            elif self._unheard.get(key, (0.0, None))[1] is unheard:
                del self._unheard[key]
            then(result)

        start(committed)

    def _remember(self, key: Key, unheard: asyncio.Future[bool], seconds: float) -> None:
        now = self._clock()
        self._unheard[key] = (now + seconds, unheard)
        self._unheard.move_to_end(key)
        while len(self._unheard) > MAX_ANSWERS or next(iter(self._unheard.values()))[0] < now:
            self._unheard.popitem(last=False)
