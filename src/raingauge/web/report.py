"""What `/api/system` says."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec

from raingauge import __version__
from raingauge.auth.credential import Credential
from raingauge.control import tokens
from raingauge.web.timings import Timing, timings

if TYPE_CHECKING:
    from raingauge.system import System


class ClientSeen(msgspec.Struct, frozen=True):
    """When a token of the caller's customer was last used, ISO 8601 UTC or null for never."""

    token_id: str
    label: str
    last_used_at: str | None


class Counted(msgspec.Struct, frozen=True):
    """One line of the accounting."""

    contract: str
    outcome: str
    reason: str
    items: int


class TableStored(msgspec.Struct, frozen=True):
    table: str
    rows: int
    bytes: int


class Forwarded(msgspec.Struct, frozen=True):
    """A contract whose messages are passed on. `settled` says how many messages ever ended how.

    `problem` is why the last delivery failed, empty after one that worked.
    """

    contract: str
    waiting_messages: int
    waiting_bytes: int
    waiting_max_bytes: int
    oldest_seconds: float
    problem: str
    settled: dict[str, int]


class Installation(msgspec.Struct, frozen=True):
    """What concerns all customers together; shown to admins of the first customer."""

    queue_messages: int
    queue_bytes: int
    queue_oldest_seconds: float
    dead_letters: int
    accounting: list[Counted]
    storage: list[TableStored]
    timings: list[Timing]
    forwarding: list[Forwarded]


class SystemReport(msgspec.Struct, frozen=True):
    """`lag_seconds` is the age of the oldest accepted message that no read can see yet."""

    version: str
    customer: str
    lag_seconds: float
    problems: list[str]
    clients: list[ClientSeen]
    installation: Installation | None


def of(system: System, credential: Credential) -> SystemReport:
    """The report as this credential may see it."""
    oldest = system.queue.depth().oldest_at
    with system.database.read() as db:
        clients = [
            ClientSeen(token.token_id, token.label, token.last_used_at.isoformat() if token.last_used_at else None)
            for token in tokens.listed(db, credential.customer)
        ]
    return SystemReport(
        version=__version__,
        customer=credential.customer,
        lag_seconds=_age_seconds(oldest),
        problems=system.problems(),
        clients=clients,
        installation=_installation(system) if system.directory.operates(credential) else None,
    )


def _installation(system: System) -> Installation:
    depth = system.queue.depth()
    return Installation(
        queue_messages=depth.messages,
        queue_bytes=depth.size_bytes,
        queue_oldest_seconds=_age_seconds(depth.oldest_at),
        dead_letters=depth.dead_letters,
        accounting=[Counted(*tally, items) for tally, items in sorted(system.queue.accounting().items())],
        storage=[TableStored(*size) for size in system.store.system()],
        timings=timings(system.metrics),
        forwarding=[
            Forwarded(
                contract=state.contract,
                waiting_messages=state.level.messages,
                waiting_bytes=state.level.size_bytes,
                waiting_max_bytes=state.max_bytes,
                oldest_seconds=_age_seconds(state.level.oldest_at),
                problem=state.problem,
                settled={str(how): messages for how, messages in state.level.settled.items()},
            )
            for state in system.forwards.states()
        ],
    )


def _age_seconds(when: datetime | None) -> float:
    return round(max(0.0, (datetime.now(UTC) - when).total_seconds()), 3) if when else 0.0
