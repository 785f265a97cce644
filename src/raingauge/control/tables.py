"""The tables of the control data, and the note that tells running servers of a change.

    customers ──┬── tokens ───┐  credentials: only the SHA-256 of a token is kept
                ├── members ──┼── sessions      who is signed in: only the SHA-256 of a cookie is kept
                │             └── signin_links  one-time codes: only their SHA-256 is kept
                └── people       encrypted names behind the keyed hashes in the facts
    changes                      one row: a number that every change to what servers keep in memory raises

A session and a sign-in link belong either to a member or to a token, and end with it.

Whatever belongs to a customer refers to it with ON DELETE CASCADE, so deleting the customer takes all of it along.
A change here needs a migration; a test compares the two.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from sqlalchemy import (
    CheckConstraint,
    Column,
    Connection,
    DateTime,
    Dialect,
    ForeignKey,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    TypeDecorator,
)

EMPTY_HASH: Final = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
"""SHA-256 of nothing. A row with it would let in every request that carries an empty token."""


class Moment(TypeDecorator[datetime]):
    """An aware UTC datetime. SQLite keeps no time zone, so it is added again on the way out."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a moment needs its time zone")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


METADATA: Final = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)

CUSTOMERS: Final = Table(
    "customers",
    METADATA,
    Column("customer_id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("contact_email", Text, nullable=False),
    Column("tier", Text, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("last_seen_at", Moment),
)

TOKENS: Final = Table(
    "tokens",
    METADATA,
    Column("token_id", Text, primary_key=True),
    Column("customer_id", ForeignKey(CUSTOMERS.c.customer_id, ondelete="CASCADE"), nullable=False, index=True),
    Column("token_hash", Text, nullable=False, unique=True),
    Column("label", Text, nullable=False),
    Column("scopes", Text, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("last_used_at", Moment),
    Column("expires_at", Moment),
    Column("revoked_at", Moment),
    Column("replaced_by", Text, nullable=False),
    CheckConstraint(f"length(token_hash) = 64 AND token_hash <> '{EMPTY_HASH}'", name="token_hash"),
)

MEMBERS: Final = Table(
    "members",
    METADATA,
    Column("email", Text, primary_key=True),
    Column("customer_id", ForeignKey(CUSTOMERS.c.customer_id, ondelete="CASCADE"), nullable=False, index=True),
    Column("role", Text, nullable=False),
    Column("created_at", Moment, nullable=False),
    CheckConstraint("role IN ('admin', 'member')", name="role"),
)

_ONE_OWNER: Final = "(email IS NULL) <> (token_id IS NULL)"

SESSIONS: Final = Table(
    "sessions",
    METADATA,
    Column("session_hash", Text, primary_key=True),
    Column("email", ForeignKey(MEMBERS.c.email, ondelete="CASCADE"), index=True),
    Column("token_id", ForeignKey(TOKENS.c.token_id, ondelete="CASCADE"), index=True),
    Column("created_at", Moment, nullable=False),
    Column("last_seen_at", Moment, nullable=False),
    Column("expires_at", Moment, nullable=False),
    CheckConstraint(_ONE_OWNER, name="owner"),
)

SIGNIN_LINKS: Final = Table(
    "signin_links",
    METADATA,
    Column("code_hash", Text, primary_key=True),
    Column("email", ForeignKey(MEMBERS.c.email, ondelete="CASCADE"), index=True),
    Column("token_id", ForeignKey(TOKENS.c.token_id, ondelete="CASCADE"), index=True),
    Column("expires_at", Moment, nullable=False),
    CheckConstraint(_ONE_OWNER, name="owner"),
)

PEOPLE: Final = Table(
    "people",
    METADATA,
    Column("customer_id", ForeignKey(CUSTOMERS.c.customer_id, ondelete="CASCADE"), primary_key=True),
    Column("person_key", Text, primary_key=True),
    Column("name", LargeBinary, nullable=False),
)

CHANGES: Final = Table("changes", METADATA, Column("number", Integer, nullable=False))


def note_change(db: Connection) -> None:
    """Tell running servers, with this transaction's commit, that customers, tokens, members or sessions are different."""
    db.execute(CHANGES.update().values(number=CHANGES.c.number + 1))
