"""Customers and tokens, on every database."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Connection, select

from raingauge.contract import Scope
from raingauge.control import customers, tokens
from raingauge.control.customers import Customer, Tier
from raingauge.control.database import Database
from raingauge.control.tables import CHANGES, TOKENS
from raingauge.control.tokens import Issued
from raingauge.errors import NotFound

NOW = datetime(2026, 5, 4, 12, 30, 15, 123456, tzinfo=UTC)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


def add(database: Database, name: str = "Ada") -> Customer:
    with database.write() as db:
        return customers.create(db, name, now=NOW)


def issue(database: Database, customer: Customer, **given: object) -> Issued:
    with database.write() as db:
        return tokens.issue(db, customer.customer_id, **({"now": NOW} | given))  # type: ignore[arg-type]


def change_number(database: Database) -> int:
    with database.read() as db:
        number: int = db.execute(select(CHANGES.c.number)).scalar_one()
        return number


# ---- customers ---------------------------------------------------------------------------------------------


def test_a_customer_reads_back_as_it_was_made(database: Database) -> None:
    """Name, address and tier come back unchanged, quotes and other alphabets included."""
    with database.write() as db:
        made = customers.create(db, "Zoë O'Neil 🌧", contact_email="z@example.com", tier=Tier.TEAM, now=NOW)
        bare = customers.create(db, "B", now=NOW + HOUR)
    with database.read() as db:
        assert made == customers.find(db, made.customer_id)
        assert [made, bare] == customers.listed(db)
    assert re.fullmatch(r"cust_[0-9a-f]{16}", made.customer_id)
    assert (made.tier, bare.tier, made.last_seen_at) == ("team", "", None)


def test_the_tier_can_be_changed(database: Database) -> None:
    """A new tier is stored and nothing else about the customer changes."""
    made = add(database)
    with database.write() as db:
        changed = customers.set_tier(db, made.customer_id, Tier.ENTERPRISE)
    assert ("enterprise", made.name, NOW) == (changed.tier, changed.name, changed.created_at)


def test_deleting_a_customer_takes_its_tokens_and_nobody_elses(database: Database) -> None:
    """After a deletion the neighbour's customer and token are still there."""
    gone, stays = add(database, "gone"), add(database, "stays")
    issue(database, gone)
    issue(database, gone)
    kept = issue(database, stays)
    with database.write() as db:
        assert customers.delete(db, gone.customer_id) == 2
    with database.read() as db:
        assert [stays] == customers.listed(db)
        assert [kept.record] == tokens.listed(db)


@pytest.mark.parametrize("customer_id", ["cust_0000000000000000", "", "' OR 1=1 --"])
def test_unknown_customers_are_errors_and_change_nothing(database: Database, customer_id: str) -> None:
    """Every operation on a customer that does not exist says so."""
    before = change_number(database)
    with pytest.raises(NotFound, match=re.escape(f"no customer {customer_id}")), database.write() as db:
        customers.find(db, customer_id)
    with pytest.raises(NotFound), database.write() as db:
        customers.set_tier(db, customer_id, Tier.TEAM)
    with pytest.raises(NotFound), database.write() as db:
        customers.delete(db, customer_id)
    with pytest.raises(NotFound), database.write() as db:
        tokens.issue(db, customer_id, now=NOW)
    with pytest.raises(NotFound), database.read() as db:
        tokens.listed(db, customer_id)
    assert before == change_number(database)


# ---- tokens ------------------------------------------------------------------------------------------------


def test_a_token_has_its_form_and_is_nowhere_in_the_database(database: Database) -> None:
    """The database holds the hash of a token and nothing it could be made from."""
    issued = issue(database, add(database), label="laptop")
    assert re.fullmatch(r"rgk_[A-Za-z0-9_-]{32}", issued.text)
    assert re.fullmatch(r"tok_[0-9a-f]{12}", issued.record.token_id)
    with database.read() as db:
        (row,) = db.execute(select(TOKENS))
    assert tokens.digest(issued.text) in row
    assert issued.text not in str(row)
    assert issued.text.removeprefix("rgk_") not in str(row)


def test_the_hash_is_the_published_one() -> None:
    """SHA-256 of the whole token, lower-case hex: a table made elsewhere can be taken over."""
    assert (
        tokens.digest("lgk_7tWf3rE9xN4PqL6KvY8mZcD1bH2GsR0a")
        == "980821084a989aa1e04a95d8070c8b1e8d8c041aade0961cf29320ce009555e7"
    )


def test_tokens_are_never_the_same(database: Database) -> None:
    """Two tokens of one customer share neither text nor id."""
    owner = add(database)
    issued = [issue(database, owner) for _ in range(20)]
    assert 20 == len({one.text for one in issued}) == len({one.record.token_id for one in issued})


def test_a_token_reads_back_as_it_was_issued(database: Database) -> None:
    """Label, scopes and end are listed as they were given."""
    owner = add(database)
    issued = issue(database, owner, label="CI", scopes=[Scope.ADMIN, Scope.INGEST], expires_at=NOW + DAY)
    with database.read() as db:
        assert [issued.record] == tokens.listed(db, owner.customer_id)
    assert tokens.in_order(issued.record.scopes) == [Scope.INGEST, Scope.ADMIN]
    assert [issued.record.state(at) for at in (NOW + DAY - HOUR, NOW + DAY)] == ["valid", "expired"]


def test_a_scope_of_a_later_version_grants_nothing() -> None:
    """Words that are not scopes are passed over, the others count."""
    assert frozenset({Scope.READ}) == tokens.parse_scopes("read,write,administrator,")


def test_revoking_is_final_and_repeatable(database: Database) -> None:
    """The second revocation succeeds and keeps the time of the first."""
    issued = issue(database, add(database))
    with database.write() as db:
        tokens.revoke(db, issued.record.token_id, now=NOW + HOUR)
        again = tokens.revoke(db, issued.record.token_id, now=NOW + DAY)
    assert (again.revoked_at, again.state(NOW)) == (NOW + HOUR, "revoked")


@pytest.mark.parametrize(
    ("old_end", "grace", "old_end_after"),
    [
        (None, HOUR, NOW + DAY + HOUR),
        (None, timedelta(), NOW + DAY),
        (NOW + 30 * DAY, HOUR, NOW + DAY + HOUR),
        (NOW + DAY + HOUR, DAY, NOW + DAY + HOUR),
    ],
    ids=["unlimited", "no grace", "long-lived", "ends within the grace"],
)
def test_rotation_keeps_the_old_token_for_the_grace(
    database: Database, old_end: datetime | None, grace: timedelta, old_end_after: datetime
) -> None:
    """The grace never makes a token live longer than it would have."""
    old = issue(database, add(database), label="laptop", scopes=[Scope.INGEST], expires_at=old_end)
    with database.write() as db:
        new = tokens.rotate(db, old.record.token_id, grace=grace, now=NOW + DAY)
        after = tokens.find(db, old.record.token_id)
    assert (old_end_after, new.record.token_id) == (after.expires_at, after.replaced_by)
    assert new.text != old.text
    assert (old.record.label, old.record.scopes, old.record.customer_id) == (
        new.record.label,
        new.record.scopes,
        new.record.customer_id,
    )


def test_a_rotated_token_lives_as_long_as_its_predecessor(database: Database) -> None:
    """Rotation never turns a token with an end into one without."""
    old = issue(database, add(database), expires_at=NOW + 90 * DAY)
    with database.write() as db:
        new = tokens.rotate(db, old.record.token_id, grace=HOUR, now=NOW + 80 * DAY)
    assert new.record.expires_at == NOW + 170 * DAY


def test_only_a_valid_token_that_was_not_rotated_can_be_rotated(database: Database) -> None:
    """Unknown, rotated, revoked and expired tokens are refused, each with its reason."""
    owner = add(database)
    revoked, expired, rotated = issue(database, owner), issue(database, owner, expires_at=NOW), issue(database, owner)
    with database.write() as db:
        tokens.revoke(db, revoked.record.token_id, now=NOW)
        successor = tokens.rotate(db, rotated.record.token_id, grace=HOUR, now=NOW)
        count = len(tokens.listed(db))
    for token_id, why in [
        ("tok_000000000000", "no token tok_000000000000"),
        (revoked.record.token_id, "revoked"),
        (expired.record.token_id, "expired"),
        (rotated.record.token_id, successor.record.token_id),
    ]:
        with pytest.raises(NotFound, match=why), database.write() as db:
            tokens.rotate(db, token_id, grace=HOUR, now=NOW)
    with database.read() as db:
        assert count == len(tokens.listed(db))


def test_revoking_an_unknown_token_is_an_error(database: Database) -> None:
    """A mistyped id is never taken for success."""
    with pytest.raises(NotFound, match="no token tok_1"), database.write() as db:
        tokens.revoke(db, "tok_1", now=NOW)


def test_every_change_raises_the_change_number(database: Database) -> None:
    """A server that watches the number misses nothing that concerns credentials."""
    owner = add(database)
    issued = issue(database, owner)
    changes: list[Callable[[Connection], object]] = [
        lambda db: customers.create(db, "B", now=NOW),
        lambda db: customers.set_tier(db, owner.customer_id, Tier.TEAM),
        lambda db: tokens.issue(db, owner.customer_id, now=NOW),
        lambda db: tokens.rotate(db, issued.record.token_id, grace=HOUR, now=NOW),
        lambda db: tokens.revoke(db, issued.record.token_id, now=NOW),
        lambda db: customers.delete(db, owner.customer_id),
    ]
    for change in changes:
        before = change_number(database)
        with database.write() as db:
            change(db)
        assert before < change_number(database)
