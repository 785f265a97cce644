"""Customers: the tenants to whom rows belong."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy import Connection, select

from raingauge.control.tables import CUSTOMERS, TOKENS, note_change
from raingauge.errors import NotFound


class Tier(StrEnum):
    """What a customer has booked. LoopGain's routes make a difference between them, nothing else does."""

    INDIVIDUAL = "individual"
    TEAM = "team"
    ENTERPRISE = "enterprise"


@dataclass(frozen=True, slots=True)
class Customer:
    """One tenant. `contact_email` and `tier` are empty when they were not given."""

    customer_id: str
    name: str
    contact_email: str
    tier: str
    created_at: datetime
    last_seen_at: datetime | None


def create(db: Connection, name: str, *, contact_email: str = "", tier: Tier | None = None, now: datetime) -> Customer:
    """A new customer without tokens."""
    customer = Customer(f"cust_{secrets.token_hex(8)}", name, contact_email, str(tier or ""), now, None)
    db.execute(
        CUSTOMERS.insert().values(
            customer_id=customer.customer_id,
            name=customer.name,
            contact_email=customer.contact_email,
            tier=customer.tier,
            created_at=customer.created_at,
        )
    )
    note_change(db)
    return customer


def find(db: Connection, customer_id: str) -> Customer:
    """Raises NotFound."""
    row = db.execute(select(CUSTOMERS).where(CUSTOMERS.c.customer_id == customer_id)).one_or_none()
    if row is None:
        raise NotFound(f"no customer {customer_id}")
    return Customer(*row)


def listed(db: Connection) -> list[Customer]:
    """All customers, oldest first."""
    query = select(CUSTOMERS).order_by(CUSTOMERS.c.created_at, CUSTOMERS.c.customer_id)
    return [Customer(*row) for row in db.execute(query)]


def set_tier(db: Connection, customer_id: str, tier: Tier) -> Customer:
    """The customer with its new tier. Raises NotFound."""
    db.execute(CUSTOMERS.update().where(CUSTOMERS.c.customer_id == customer_id).values(tier=str(tier)))
    note_change(db)
    return find(db, customer_id)


def delete(db: Connection, customer_id: str) -> int:
    """Delete a customer with its tokens and people; how many tokens. Its facts are the store's. Raises NotFound."""
    find(db, customer_id)
    deleted = db.execute(TOKENS.delete().where(TOKENS.c.customer_id == customer_id)).rowcount
    db.execute(CUSTOMERS.delete().where(CUSTOMERS.c.customer_id == customer_id))
    note_change(db)
    return deleted
