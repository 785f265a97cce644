"""Sessions: who is signed in with a browser. Only the SHA-256 of a cookie's value is kept."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Connection, or_, select

from raingauge.control.tables import SESSIONS, note_change
from raingauge.control.tokens import digest

SESSIONS_MAX: Final = 100
"""Most sessions of one member or token; beyond that the oldest end. All of them are kept in every server's memory."""


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose session or sign-in link it is: a member's, by e-mail address, or a token's, by its id."""

    email: str | None = None
    token_id: str | None = None


def start(db: Connection, owner: Owner, *, lifetime: timedelta, idle: timedelta, now: datetime) -> str:
    """Sign in; the value of the cookie, to be shown once. Also clears away sessions that have ended."""
    db.execute(SESSIONS.delete().where(or_(SESSIONS.c.expires_at <= now, SESSIONS.c.last_seen_at <= now - idle)))
    secret = secrets.token_urlsafe(32)
    db.execute(
        SESSIONS.insert().values(
            session_hash=digest(secret),
            email=owner.email,
            token_id=owner.token_id,
            created_at=now,
            last_seen_at=now,
            expires_at=now + lifetime,
        )
    )
    own = (SESSIONS.c.email == owner.email) if owner.email else (SESSIONS.c.token_id == owner.token_id)
    newest = select(SESSIONS.c.session_hash).where(own).order_by(SESSIONS.c.created_at.desc()).limit(SESSIONS_MAX)
    db.execute(SESSIONS.delete().where(own, SESSIONS.c.session_hash.not_in(newest)))
    note_change(db)
    return secret


def end(db: Connection, session_hash: str) -> None:
    """Sign out. Doing it again changes nothing."""
    db.execute(SESSIONS.delete().where(SESSIONS.c.session_hash == session_hash))
    note_change(db)
