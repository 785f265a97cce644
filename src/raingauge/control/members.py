"""Members: the people of a customer, by e-mail address. An address belongs to one customer."""

from __future__ import annotations

import re
import string
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from sqlalchemy import Connection, func, select

from raingauge.contract import Scope
from raingauge.control import customers
from raingauge.control.tables import CUSTOMERS, MEMBERS, note_change
from raingauge.errors import Conflict, NotFound

# RFC 5321 section 4.5.3.1.3 allows 254 characters without the angle brackets.
EMAIL_MAX_CHARS: Final = 254


class Role(StrEnum):
    """What a member may do: an admin also manages the customer's tokens and members."""

    ADMIN = "admin"
    MEMBER = "member"

    @property
    def scopes(self) -> frozenset[Scope]:
        return frozenset({Scope.READ, Scope.ADMIN} if self is Role.ADMIN else {Scope.READ})


@dataclass(frozen=True, slots=True)
class Member:
    """One person who may sign in."""

    email: str
    customer_id: str
    role: Role
    created_at: datetime


def normalised(email: str) -> str:
    """The form in which addresses are kept and compared. Raises ValueError when it is no address.

    Only A to Z become small letters: Unicode's own rules would make different addresses equal.
    """
    found = email.strip().translate(_SMALL)
    if len(found) > EMAIL_MAX_CHARS or not _EMAIL.fullmatch(found):
        raise ValueError("not an e-mail address")
    return found


def add(db: Connection, customer_id: str, email: str, role: Role, *, now: datetime) -> Member:
    """A new member of an existing customer.

    Raises ValueError, NotFound, and Conflict when the address is taken, by this customer or another.
    """
    customers.find(db, customer_id)
    member = Member(normalised(email), customer_id, role, now)
    taken = db.execute(select(MEMBERS.c.customer_id).where(MEMBERS.c.email == member.email)).scalar_one_or_none()
    if taken is not None:
        here = taken == customer_id
        raise Conflict("this e-mail address is a member already" if here else "this e-mail address cannot be added")
    db.execute(
        MEMBERS.insert().values(
            email=member.email, customer_id=customer_id, role=str(role), created_at=member.created_at
        )
    )
    note_change(db)
    return member


def find(db: Connection, email: str) -> Member:
    """Raises NotFound."""
    row = db.execute(select(MEMBERS).where(MEMBERS.c.email == _or_nobody(email))).one_or_none()
    if row is None:
        raise NotFound("nobody with this e-mail address is a member")
    return Member(row.email, row.customer_id, Role(row.role), row.created_at)


def listed(db: Connection, customer_id: str | None = None) -> list[Member]:
    """All members, or those of one customer, oldest first."""
    query = select(MEMBERS).order_by(MEMBERS.c.created_at, MEMBERS.c.email)
    if customer_id is not None:
        query = query.where(MEMBERS.c.customer_id == customer_id)
    return [Member(row.email, row.customer_id, Role(row.role), row.created_at) for row in db.execute(query)]


def set_role(db: Connection, customer_id: str, email: str, role: Role) -> Member:
    """The member with its new role. Raises NotFound, and Conflict for the last admin."""
    member = _held(db, customer_id, email, stays_admin=role is Role.ADMIN)
    db.execute(MEMBERS.update().where(MEMBERS.c.email == member.email).values(role=str(role)))
    note_change(db)
    return find(db, member.email)


def remove(db: Connection, customer_id: str, email: str) -> None:
    """Take a member away, with its sessions. Raises NotFound, and Conflict for the last admin."""
    member = _held(db, customer_id, email, stays_admin=False)
    db.execute(MEMBERS.delete().where(MEMBERS.c.email == member.email))
    note_change(db)


def _held(db: Connection, customer_id: str, email: str, *, stays_admin: bool) -> Member:
    """The member, after making sure that an admin is left."""
    # Locks the customer on PostgreSQL, so that two admins cannot remove each other at the same moment.
    db.execute(select(CUSTOMERS.c.customer_id).where(CUSTOMERS.c.customer_id == customer_id).with_for_update())
    member = find(db, email)
    if member.customer_id != customer_id:
        raise NotFound("nobody with this e-mail address is a member")
    if member.role is Role.ADMIN and not stays_admin:
        admins = select(func.count()).where(MEMBERS.c.customer_id == customer_id, MEMBERS.c.role == str(Role.ADMIN))
        if db.execute(admins).scalar_one() == 1:
            raise Conflict("the last admin stays: make somebody else admin first")
    return member


def _or_nobody(email: str) -> str:
    try:
        return normalised(email)
    except ValueError:
        return ""


_SMALL: Final = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)
_EMAIL: Final = re.compile(r"[^\s@\x00-\x1f\x7f]+@[^\s@\x00-\x1f\x7f]+")
