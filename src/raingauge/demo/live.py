"""What goes on happening after the month: a little of everything, so that dashboards move."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from random import Random
from typing import Final, NoReturn

from raingauge.demo import flags, loops, story, usage, work
from raingauge.demo.send import Client
from raingauge.demo.senders import session_requests
from raingauge.demo.wire import Request

TICK_SECONDS: Final = 5
_FLUSHES: Final = flags.FLUSH_SECONDS // TICK_SECONDS
_PROMPTS: Final = 12
_LOOPS: Final = 12
_SESSIONS: Final = 4


def run(client: Client) -> NoReturn:
    """Send a few requests every tick, for ever. Raises Unwelcome."""
    random = story.seeded("live", datetime.now(UTC).isoformat())
    tick = 0
    while True:
        time.sleep(TICK_SECONDS)
        for request in _happening(random, datetime.now(UTC), tick):
            client.post(request)
        tick += 1


def _happening(random: Random, now: datetime, tick: int) -> Iterator[Request]:
    """Resolvers flush as often as real ones do; the rest happens more often than in life, so that it is seen."""
    for number, resolver in enumerate(flags.RESOLVERS):
        if tick % _FLUSHES == number % _FLUSHES:
            yield flags.request(random, resolver, now)
    if tick % _PROMPTS == 0:
        yield from session_requests(work.live_session(random, now))
    if tick % _LOOPS == 0:
        yield loops.request(random, now, now)
    if tick % _SESSIONS == 0:
        yield from usage.live_requests(random, now)
