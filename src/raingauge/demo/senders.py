"""Who sends what: the labels of tokens, and everything that is sent on one day."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Final

from raingauge.demo import claude, flags, loops, other_agents, usage, work
from raingauge.demo.wire import Request
from raingauge.demo.work import Session

SENDERS: Final = (claude.SENDER, loops.SENDER, usage.SENDER, *(resolver.label for resolver in flags.RESOLVERS))


def day_requests(now: datetime, day: datetime, scale: float) -> Iterator[Request]:
    """Everything that happened on one day before `now`, but for flags, which have no past."""
    for session in work.sessions(now, day, scale):
        yield from session_requests(session)
    yield from loops.requests(now, day, scale)
    yield from usage.requests(now, day, scale)


def session_requests(session: Session) -> Iterator[Request]:
    """What the agent of one session reports."""
    report = {"codex": other_agents.codex, "gemini_cli": other_agents.gemini}.get(session.person.tool, claude.requests)
    return report(session)
