"""One-time sign-in links: a random code that works once and not for long. Only its SHA-256 is kept."""

from __future__ import annotations

import secrets
from datetime import datetime, timedelta

from sqlalchemy import Connection

from raingauge.control.sessions import Owner
from raingauge.control.tables import SIGNIN_LINKS
from raingauge.control.tokens import digest


def issue(db: Connection, owner: Owner, *, lifetime: timedelta, now: datetime) -> str:
    """A new code. Also clears away codes that nobody used in time."""
    db.execute(SIGNIN_LINKS.delete().where(SIGNIN_LINKS.c.expires_at <= now))
    code = secrets.token_urlsafe(24)
    db.execute(
        SIGNIN_LINKS.insert().values(
            code_hash=digest(code), email=owner.email, token_id=owner.token_id, expires_at=now + lifetime
        )
    )
    return code


def use(db: Connection, code: str, *, now: datetime) -> Owner | None:
    """Whose code it is, or None when it is unknown, expired or used. Of two that try at once one succeeds."""
    # One statement finds and deletes: whoever deletes the row has used the code.
    row = db.execute(
        SIGNIN_LINKS.delete()
        .where(SIGNIN_LINKS.c.code_hash == digest(code), SIGNIN_LINKS.c.expires_at > now)
        .returning(SIGNIN_LINKS.c.email, SIGNIN_LINKS.c.token_id)
    ).one_or_none()
    return None if row is None else Owner(row.email, row.token_id)


def address(base_url: str, code: str) -> str:
    """The link to open in a browser. `base_url` has no slash at the end."""
    return f"{base_url}/signin/{code}"
