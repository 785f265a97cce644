"""Tokens: `rgk_` and 24 random bytes. Only their SHA-256 is kept, so a token can be shown once and never again."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from sqlalchemy import Connection, Row, select

from raingauge.contract import Scope
from raingauge.control import customers
from raingauge.control.tables import TOKENS, note_change
from raingauge.errors import NotFound

DEFAULT_SCOPES: Final = frozenset({Scope.INGEST, Scope.READ})


@dataclass(frozen=True, slots=True)
class Token:
    """What is known about a token. `replaced_by` is the id of the token it was rotated to, else empty."""

    token_id: str
    customer_id: str
    label: str
    scopes: frozenset[Scope]
    created_at: datetime
    last_used_at: datetime | None
    expires_at: datetime | None
    revoked_at: datetime | None
    replaced_by: str

    def state(self, now: datetime) -> str:
        """`valid`, `expired` or `revoked`."""
        if self.revoked_at is not None:
            return "revoked"
        return "expired" if self.expires_at is not None and self.expires_at <= now else "valid"


class Issued(NamedTuple):
    """A new token in the clear, for its owner, and its record."""

    text: str
    record: Token


def digest(token: str) -> str:
    """Lower-case hex SHA-256 of the whole token; its 192 random bits need no salt. Never fails, whatever is sent."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def issue(
    db: Connection,
    customer_id: str,
    *,
    label: str = "",
    scopes: Iterable[Scope] = DEFAULT_SCOPES,
    expires_at: datetime | None = None,
    now: datetime,
) -> Issued:
    """A new token for an existing customer. Raises NotFound."""
    customers.find(db, customer_id)
    text = f"rgk_{secrets.token_urlsafe(24)}"
    record = Token(
        token_id=f"tok_{secrets.token_hex(6)}",
        customer_id=customer_id,
        label=label,
        scopes=frozenset(scopes),
        created_at=now,
        last_used_at=None,
        expires_at=expires_at,
        revoked_at=None,
        replaced_by="",
    )
    db.execute(
        TOKENS.insert().values(
            token_id=record.token_id,
            customer_id=record.customer_id,
            token_hash=digest(text),
            label=record.label,
            scopes=",".join(in_order(record.scopes)),
            created_at=record.created_at,
            expires_at=record.expires_at,
            replaced_by=record.replaced_by,
        )
    )
    note_change(db)
    return Issued(text, record)


def rotate(db: Connection, token_id: str, *, grace: timedelta, now: datetime) -> Issued:
    """A new token in place of an old one, which stays valid for `grace`.

    The new one has the old one's label, scopes and length of life. Raises NotFound for a token that is unknown or
    no longer valid, and for one that has been rotated already: its successor is the one to rotate.
    """
    # Locks the row on PostgreSQL, so that two rotations of one token do not both succeed.
    old = find(db, token_id, lock=True)
    if old.replaced_by:
        raise NotFound(f"token {token_id} has been rotated: rotate {old.replaced_by} instead")
    if old.state(now) != "valid":
        raise NotFound(f"token {token_id} is {old.state(now)}: issue a new one")
    issued = issue(
        db,
        old.customer_id,
        label=old.label,
        scopes=old.scopes,
        expires_at=None if old.expires_at is None else now + (old.expires_at - old.created_at),
        now=now,
    )
    ends_at = now + grace if old.expires_at is None else min(now + grace, old.expires_at)
    db.execute(
        TOKENS.update()
        .where(TOKENS.c.token_id == token_id)
        .values(expires_at=ends_at, replaced_by=issued.record.token_id)
    )
    return issued


def revoke(db: Connection, token_id: str, *, now: datetime) -> Token:
    """End a token at once. Doing it again changes nothing. Raises NotFound."""
    db.execute(
        TOKENS.update().where(TOKENS.c.token_id == token_id, TOKENS.c.revoked_at.is_(None)).values(revoked_at=now)
    )
    note_change(db)
    return find(db, token_id)


def listed(db: Connection, customer_id: str | None = None) -> list[Token]:
    """All tokens, or those of one customer, oldest first. Raises NotFound for an unknown customer."""
    query = select(*_COLUMNS).order_by(TOKENS.c.created_at, TOKENS.c.token_id)
    if customer_id is not None:
        customers.find(db, customer_id)
        query = query.where(TOKENS.c.customer_id == customer_id)
    return [_record(row) for row in db.execute(query)]


def in_order(scopes: Iterable[Scope]) -> list[Scope]:
    """Scopes in the order in which they are always written."""
    given = set(scopes)
    return [scope for scope in Scope if scope in given]


def parse_scopes(text: str) -> frozenset[Scope]:
    """The stored form of scopes. A word this version does not know grants nothing."""
    words = text.split(",")
    return frozenset(scope for scope in Scope if scope in words)


_COLUMNS: Final = tuple(column for column in TOKENS.c if column is not TOKENS.c.token_hash)


def find(db: Connection, token_id: str, *, lock: bool = False) -> Token:
    """Raises NotFound. `lock` keeps other writers away until the transaction ends."""
    query = select(*_COLUMNS).where(TOKENS.c.token_id == token_id)
    row = db.execute(query.with_for_update() if lock else query).one_or_none()
    if row is None:
        raise NotFound(f"no token {token_id}")
    return _record(row)


def _record(row: Row[tuple[object, ...]]) -> Token:
    values = dict(row._mapping)  # noqa: SLF001 - SQLAlchemy's public name for a row as a mapping
    values["scopes"] = parse_scopes(values["scopes"])
    return Token(**values)
