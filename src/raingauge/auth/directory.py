"""Who a token, a session or an e-mail address belongs to, answered from memory.

    receive path ──find──▶ snapshot ◀──reload── background thread ──▶ control database
                 ──touch─▶ usage    ──flush───▶      │  asks for the change number on each tick

A tick that finds the same change number as before costs one read of one row. Usage is written without raising that
number, so a server does not reload because of its own notes.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from threading import Event, Lock, Thread
from typing import Final, TypeAlias

import structlog
from sqlalchemy import Connection, bindparam, func, or_, select

from raingauge.auth.credential import Credential, Via
from raingauge.contract import Scope
from raingauge.control import customers, members
from raingauge.control.customers import Customer
from raingauge.control.database import Database
from raingauge.control.members import Member
from raingauge.control.tables import CHANGES, CUSTOMERS, SESSIONS, TOKENS
from raingauge.control.tokens import digest, parse_scopes

Clock: TypeAlias = Callable[[], datetime]

log = structlog.get_logger()

FLUSH_SECONDS: Final = 5.0
_LONG_AGO: Final = datetime.min.replace(tzinfo=UTC)
RELOAD_SECONDS: Final = 60.0
"""A full reload at least this often, so that rows changed by hand with SQL are honoured too."""


SESSION_IDLE: Final = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class _Session:
    credential: Credential
    last_seen_at: datetime


@dataclass(frozen=True, slots=True)
class _Snapshot:
    """Everything the finding methods need. Replaced as a whole, never changed."""

    number: int = -1
    credentials: dict[str, Credential] = field(default_factory=dict)
    members: dict[str, Credential] = field(default_factory=dict)
    sessions: dict[str, _Session] = field(default_factory=dict)
    customers: dict[str, Customer] = field(default_factory=dict)


def utc_now() -> datetime:
    return datetime.now(UTC)


class Directory:
    """All credentials in memory. Methods may be called from any thread; only the background thread waits for I/O."""

    def __init__(
        self,
        database: Database,
        refresh_seconds: float = 0.5,
        clock: Clock = utc_now,
        session_idle: timedelta = SESSION_IDLE,
    ) -> None:
        """Reads everything once. A session that is not used for `session_idle` ends. Raises what the database raises."""
        self._database = database
        self._refresh_seconds = refresh_seconds
        self._clock = clock
        self._snapshot = _Snapshot()
        self._session_idle = session_idle
        self._used: dict[str, tuple[str, datetime]] = {}
        self._sessions_used: dict[str, datetime] = {}
        self._reload_lock = Lock()
        self._stopped = Event()
        self._failing = False
        self._reload_due = self._flush_due = 0.0
        self.refresh()
        self._thread = Thread(target=self._follow, name="directory", daemon=True)
        self._thread.start()

    def find(self, token: str) -> Credential | None:
        """The credential of a valid token, or None for one that is unknown, revoked or expired. No I/O."""
        return self._unexpired(self._snapshot.credentials.get(digest(token)))

    def find_session(self, cookie: str) -> Credential | None:
        """The credential of a session that has neither ended nor lain idle too long. No I/O."""
        session = self._snapshot.sessions.get(digest(cookie))
        if session is None:
            return None
        last_seen_at = max(session.last_seen_at, self._sessions_used.get(session.credential.session, _LONG_AGO))
        return self._unexpired(session.credential) if self._clock() < last_seen_at + self._session_idle else None

    def find_member(self, email: str) -> Credential | None:
        """The credential of the member with this normalised address. No I/O."""
        return self._snapshot.members.get(email)

    def operates(self, credential: Credential) -> bool:
        """Whether the caller may look after the installation: an admin of its first customer."""
        return credential.may(Scope.ADMIN) and credential.customer == next(iter(self._snapshot.customers), "")

    def _unexpired(self, credential: Credential | None) -> Credential | None:
        if credential is None or credential.expires_at is None:
            return credential
        return credential if self._clock() < credential.expires_at else None

    def customer_exists(self, customer_id: str) -> bool:
        return customer_id in self._snapshot.customers

    def customer(self, customer_id: str) -> Customer | None:
        """The customer's record as of the last reload."""
        return self._snapshot.customers.get(customer_id)

    def customers(self) -> list[Customer]:
        """All customers as of the last reload."""
        return list(self._snapshot.customers.values())

    def touch(self, credential: Credential, at: datetime) -> None:
        """Note that a token or a session was used; written to the database within seconds."""
        if credential.session:
            self._sessions_used[credential.session] = at
        if not credential.email:
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
            people = members.listed(db)
            sessions = db.execute(_SESSIONS).all()
        credentials = {
            token_hash: Credential(customer, token_id, label, parse_scopes(scopes), known[customer].tier, expires_at)
            for token_hash, customer, token_id, label, scopes, expires_at in rows
            if customer in known
        }
        by_email = {one.email: _of_member(one, known[one.customer_id]) for one in people if one.customer_id in known}
        owners = by_email | {one.token_id: one for one in credentials.values()}
        signed_in = {
            session_hash: _Session(_of_session(owners[owner], session_hash, expires_at), last_seen_at)
            for session_hash, owner, last_seen_at, expires_at in sessions
            if owner in owners
        }
        return _Snapshot(number, credentials, by_email, signed_in, known)

    def _flush(self) -> None:
        # Popped one by one, because the receive path goes on writing into the same dict.
        used = {token_id: self._used.pop(token_id) for token_id in sorted(self._used)}
        sessions = {session: self._sessions_used.pop(session) for session in sorted(self._sessions_used)}
        if not used and not sessions:
            return
        seen: dict[str, datetime] = {}
        for customer, at in used.values():
            seen[customer] = max(at, seen.get(customer, at))
        try:
            with self._database.write() as db:
                for statement, moments in (
                    (_USED, {token_id: at for token_id, (_, at) in used.items()}),
                    (_SEEN, seen),
                    (_SESSION_USED, sessions),
                ):
                    if moments:
                        db.execute(statement, [{"id": key, "at": at} for key, at in sorted(moments.items())])
        except BaseException:
            for session, at in sessions.items():
                self._sessions_used.setdefault(session, at)
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


_SESSIONS: Final = select(
    SESSIONS.c.session_hash,
    func.coalesce(SESSIONS.c.email, SESSIONS.c.token_id),
    SESSIONS.c.last_seen_at,
    SESSIONS.c.expires_at,
)
_SESSION_USED: Final = (
    SESSIONS.update()
    .where(SESSIONS.c.session_hash == bindparam("id"), SESSIONS.c.last_seen_at < bindparam("at"))
    .values(last_seen_at=bindparam("at"))
)


def _of_member(member: Member, customer: Customer) -> Credential:
    # Not the address itself: ids of credentials may be counted by and shown, addresses may not.
    member_id = f"mem_{digest(member.email)[:12]}"
    return Credential(
        customer.customer_id, member_id, "", member.role.scopes, customer.tier, email=member.email, via=Via.OIDC
    )


def _of_session(owner: Credential, session_hash: str, expires_at: datetime) -> Credential:
    """The owner's credential for as long as both last."""
    ends_at = expires_at if owner.expires_at is None else min(expires_at, owner.expires_at)
    return replace(owner, via=Via.SESSION, session=session_hash, expires_at=ends_at)


def _change_number(db: Connection) -> int:
    number: int = db.execute(select(CHANGES.c.number)).scalar_one()
    return number
