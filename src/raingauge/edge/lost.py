"""Senders that went away before their answer, and come back with the same body.

A sender that gives up after two seconds and retries without an identity would be counted twice. So the body of a
request whose client disconnected is remembered for a while, in memory: after a restart the retry counts again.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from hashlib import sha256
from typing import Final, TypeAlias

from raingauge.edge.ports import Receive

MAX_ANSWERS: Final = 10_000

Commit: TypeAlias = "asyncio.Future[bool]"
"""Done when the message is on disk; carries the error when it could not be."""


class LostAnswers:
    """What was committed, or is being committed, for clients that did not wait."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._commits: OrderedDict[tuple[str, bytes], tuple[float, Commit]] = OrderedDict()

    async def answered(self, sender: str, body: bytes) -> bool:
        """Whether this sender's same body is on disk, although its client never heard of it."""
        if not self._commits:
            return False
        expires_at, commit = self._commits.get((sender, sha256(body).digest()), (0.0, None))
        if commit is None or expires_at < self._clock():
            return False
        await asyncio.wait([commit])
        return not commit.cancelled() and commit.exception() is None

    async def watched(self, commit: Commit, receive: Receive, sender: str, body: bytes, seconds: float) -> bool:
        """Wait for a commit; remember the body if the client disconnects meanwhile."""

        def note(watch: asyncio.Task[object]) -> None:
            if not watch.cancelled() and watch.exception() is None:
                self._remember(sender, body, commit, seconds)

        watch = asyncio.create_task(_disconnected(receive))
        watch.add_done_callback(note)
        try:
            return await commit
        finally:
            watch.cancel()

    def _remember(self, sender: str, body: bytes, commit: Commit, seconds: float) -> None:
        now = self._clock()
        self._commits[sender, sha256(body).digest()] = (now + seconds, commit)
        while len(self._commits) > MAX_ANSWERS or next(iter(self._commits.values()))[0] < now:
            self._commits.popitem(last=False)


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
