"""Who a token belongs to, answered from memory.

    receive path ──find──▶ snapshot ◀──reload── background thread ──▶ control database
                 ──touch─▶ usage    ──flush───▶      │  asks for the change number on each tick

A tick that finds the same change number as before costs one read of one row. Usage is written without raising that
number, so a server does not reload because of its own notes.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from threading import Event, Lock, Thread
from typing import Final, TypeAlias

import structlog
from sqlalchemy import Connection, bindparam, or_, select

from raingauge.auth.credential import Credential
from raingauge.control import customers
from raingauge.control.customers import Customer
from raingauge.control.database import Database
from raingauge.control.tables import CHANGES, CUSTOMERS, TOKENS
from raingauge.control.tokens import digest, parse_scopes

Clock: TypeAlias = Callable[[], datetime]

log = structlog.get_logger()

FLUSH_SECONDS: Final = 5.0
RELOAD_SECONDS: Final = 60.0
"""A full reload at least this often, so that rows changed by hand with SQL are honoured too."""


@dataclass(frozen=True, slots=True)
class _Snapshot:
    """Everything `find` needs. Replaced as a whole, never changed."""

    number: int = -1
    credentials: dict[str, Credential] = field(default_factory=dict)
    customers: dict[str, Customer] = field(default_factory=dict)


def utc_now() -> datetime:
    return datetime.now(UTC)


class Directory:
    """All credentials in memory. Methods may be called from any thread; only the background thread waits for I/O."""

    def __init__(self, database: Database, refresh_seconds: float = 0.5, clock: Clock = utc_now) -> None:
        """Reads everything once. Raises what the database raises."""
        self._database = database
        self._refresh_seconds = refresh_seconds
        self._clock = clock
        self._snapshot = _Snapshot()
        self._used: dict[str, tuple[str, datetime]] = {}
        self._reload_lock = Lock()
        self._stopped = Event()
        self._failing = False
        self._reload_due = self._flush_due = 0.0
        self.refresh()
        self._thread = Thread(target=self._follow, name="directory", daemon=True)
        self._thread.start()

    def find(self, token: str) -> Credential | None:
        """The credential of a valid token, or None for one that is unknown, revoked or expired. No I/O."""
        credential = self._snapshot.credentials.get(digest(token))
        if credential is None or credential.expires_at is None:
            return credential
        return credential if self._clock() < credential.expires_at else None

    def customer_exists(self, customer_id: str) -> bool:
        return customer_id in self._snapshot.customers

    def customer(self, customer_id: str) -> Customer | None:
        """The customer's record as of the last reload."""
        return self._snapshot.customers.get(customer_id)

    def touch(self, credential: Credential, at: datetime) -> None:
        """Note that a token was used; written to the database within seconds."""
        self._used[credential.token_id] = (credential.customer, at)

    def refresh(self) -> None:
        """Read everything again now. Raises what the database raises."""
        with self._reload_lock:
            self._snapshot = self._load()
            self._reload_due = time.monotonic() + RELOAD_SECONDS

    def close(self) -> None:
        """Stop following and write what usage is left."""
        self._stopped.set()
        self._thread.join()
        self._guarded(self._flush)

    # ---- the background thread ---------------------------------------------------------------------------------

    def _follow(self) -> None:
        while not self._stopped.wait(self._refresh_seconds):
            self._guarded(self._tick)

    def _tick(self) -> None:
        with self._database.read() as db:
            number = _change_number(db)
        if number != self._snapshot.number or time.monotonic() >= self._reload_due:
            self.refresh()
        if time.monotonic() >= self._flush_due:
            self._flush()
            self._flush_due = time.monotonic() + FLUSH_SECONDS

    def _guarded(self, step: Callable[[], None]) -> None:
        """Run a step and keep the last known state when it fails; one line per outage, not per tick."""
        try:
            step()
        except Exception:
            if not self._failing:
                log.exception("control database failed", action="directory.failed")
            self._failing = True
        else:
            if self._failing:
                log.info("control database is back", action="directory.recovered")
            self._failing = False

    def _load(self) -> _Snapshot:
        # The number first: what is committed between the statements is then read again, never missed.
        with self._database.read() as db:
            number = _change_number(db)
            known = {customer.customer_id: customer for customer in customers.listed(db)}
            rows = db.execute(_LIVE_TOKENS).all()
        credentials = {
            token_hash: Credential(customer, token_id, label, parse_scopes(scopes), known[customer].tier, expires_at)
            for token_hash, customer, token_id, label, scopes, expires_at in rows
            if customer in known
        }
        return _Snapshot(number, credentials, known)

    def _flush(self) -> None:
        # Popped one by one, because the receive path goes on writing into the same dict.
        used = {token_id: self._used.pop(token_id) for token_id in sorted(self._used)}
        if not used:
            return
        seen: dict[str, datetime] = {}
        for customer, at in used.values():
            seen[customer] = max(at, seen.get(customer, at))
        try:
            with self._database.write() as db:
                db.execute(_USED, [{"id": token_id, "at": at} for token_id, (_, at) in used.items()])
                db.execute(_SEEN, [{"id": customer, "at": at} for customer, at in sorted(seen.items())])
        except BaseException:
            for token_id, use in used.items():
                self._used.setdefault(token_id, use)
            raise


_LIVE_TOKENS: Final = select(
    TOKENS.c.token_hash,
    TOKENS.c.customer_id,
    TOKENS.c.token_id,
    TOKENS.c.label,
    TOKENS.c.scopes,
    TOKENS.c.expires_at,
).where(TOKENS.c.revoked_at.is_(None))

_USED: Final = (
    TOKENS.update()
    .where(TOKENS.c.token_id == bindparam("id"))
    .where(or_(TOKENS.c.last_used_at.is_(None), TOKENS.c.last_used_at < bindparam("at")))
    .values(last_used_at=bindparam("at"))
)
_SEEN: Final = (
    CUSTOMERS.update()
    .where(CUSTOMERS.c.customer_id == bindparam("id"))
    .where(or_(CUSTOMERS.c.last_seen_at.is_(None), CUSTOMERS.c.last_seen_at < bindparam("at")))
    .values(last_seen_at=bindparam("at"))
)


def _change_number(db: Connection) -> int:
    number: int = db.execute(select(CHANGES.c.number)).scalar_one()
    return number
