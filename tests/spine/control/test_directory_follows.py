"""A running directory follows what others do to the database, on every database."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import delete, event, text
from sqlalchemy.exc import DBAPIError
from structlog.testing import capture_logs

from raingauge.auth import directory as directory_module
from raingauge.auth.directory import Directory
from raingauge.control import customers, tokens
from raingauge.control.customers import Tier
from raingauge.control.database import Database
from raingauge.control.tables import CUSTOMERS
from raingauge.control.tokens import Issued

NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
OpenDatabase = Callable[[], Database]


def wait_until(seen: Callable[[], bool]) -> None:
    """Returns as soon as `seen` is true. The deadline only turns a hang into a failure."""
    deadline = time.monotonic() + 20
    while not seen():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.005)


@contextmanager
def statements(database: Database) -> Iterator[list[str]]:
    """Collects the statements that this user of the database sends meanwhile."""
    sent: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        sent.append(statement)

    event.listen(database.engine, "before_cursor_execute", note)
    yield sent
    event.remove(database.engine, "before_cursor_execute", note)


@pytest.fixture
def issued(database: Database) -> Issued:
    """A token of the customer `Ada` that is there before the directory starts."""
    with database.write() as db:
        owner = customers.create(db, "Ada", tier=Tier.TEAM, now=NOW)
        return tokens.issue(db, owner.customer_id, label="laptop", now=NOW)


@pytest.fixture
def served(open_database: OpenDatabase, issued: Issued) -> Database:
    """The server's own connections; `database` plays the command line next to it."""
    return open_database()


@pytest.fixture
def directory(served: Database) -> Iterator[Directory]:
    started = Directory(served, refresh_seconds=0.02, clock=lambda: NOW)
    yield started
    started.close()


def test_a_new_token_is_honoured(directory: Directory, database: Database) -> None:
    """A token issued while the server runs lets its owner in without a restart."""
    with database.write() as db:
        owner = customers.create(db, "Bob", tier=Tier.INDIVIDUAL, now=NOW)
        new = tokens.issue(db, owner.customer_id, now=NOW)
    wait_until(lambda: directory.find(new.text) is not None)
    assert directory.customer_exists(owner.customer_id)
    assert directory.customer(owner.customer_id) == owner


def test_a_revoked_token_is_refused(directory: Directory, database: Database, issued: Issued) -> None:
    """Revoking works on a running server."""
    assert directory.find(issued.text) is not None
    with database.write() as db:
        tokens.revoke(db, issued.record.token_id, now=NOW)
    wait_until(lambda: directory.find(issued.text) is None)


def test_a_rotated_token_is_honoured_for_its_grace(served: Database, database: Database, issued: Issued) -> None:
    """Old and new token work side by side until the grace is over; then only the new one does."""
    clock = [NOW]
    directory = Directory(served, refresh_seconds=0.02, clock=lambda: clock[0])
    with database.write() as db:
        new = tokens.rotate(db, issued.record.token_id, grace=HOUR, now=NOW)
    wait_until(lambda: directory.find(new.text) is not None)
    assert directory.find(issued.text) is not None
    clock[0] = NOW + HOUR
    assert directory.find(issued.text) is None
    assert directory.find(new.text) is not None
    directory.close()


def test_a_deleted_customer_is_gone(directory: Directory, database: Database, issued: Issued) -> None:
    """Deleting a customer ends its tokens on a running server."""
    with database.write() as db:
        customers.delete(db, issued.record.customer_id)
    wait_until(lambda: directory.find(issued.text) is None)
    assert not directory.customer_exists(issued.record.customer_id)
    assert directory.customer(issued.record.customer_id) is None


def test_a_new_tier_arrives_with_the_credential(directory: Directory, database: Database, issued: Issued) -> None:
    """A changed tier counts from then on."""
    with database.write() as db:
        customers.set_tier(db, issued.record.customer_id, Tier.ENTERPRISE)
    wait_until(lambda: (found := directory.find(issued.text)) is not None and found.tier == "enterprise")


def test_rows_deleted_by_hand_are_noticed(
    served: Database, database: Database, issued: Issued, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A customer removed with SQL, past our functions, is refused at the next full reload."""
    monkeypatch.setattr(directory_module, "RELOAD_SECONDS", 0.0)
    directory = Directory(served, refresh_seconds=0.02, clock=lambda: NOW)
    with database.write() as db:
        db.execute(delete(CUSTOMERS))
    wait_until(lambda: directory.find(issued.text) is None)
    directory.close()


def test_usage_is_written_and_does_not_make_the_directory_reload(
    directory: Directory, served: Database, database: Database, issued: Issued
) -> None:
    """Last use and last sight reach the database, and later ticks read only the change number."""
    credential = directory.find(issued.text)
    assert credential is not None

    def last_used() -> list[datetime | None]:
        with database.read() as db:
            return [token.last_used_at for token in tokens.listed(db)] + [
                customer.last_seen_at for customer in customers.listed(db)
            ]

    with statements(served) as sent:
        directory.touch(credential, NOW + HOUR)
        wait_until(lambda: last_used() == [NOW + HOUR, NOW + HOUR])
        written = len(sent)
        wait_until(lambda: sum("changes" in statement for statement in sent[written:]) >= 3)
    assert [statement for statement in sent if "SELECT tokens" in statement] == []


def test_an_outage_keeps_the_last_known_state_and_ends_by_itself(
    directory: Directory, database: Database, issued: Issued
) -> None:
    """While the database fails, known tokens work on and one line is logged; afterwards changes count again."""
    with capture_logs() as lines:
        with database.write() as db:
            db.execute(text("ALTER TABLE changes RENAME TO elsewhere"))
        wait_until(lambda: len(lines) > 0)
        assert directory.find(issued.text) is not None
        with pytest.raises(DBAPIError):
            directory.refresh()
        assert directory.find(issued.text) is not None
        with database.write() as db:
            db.execute(text("ALTER TABLE elsewhere RENAME TO changes"))
            tokens.revoke(db, issued.record.token_id, now=NOW)
        wait_until(lambda: directory.find(issued.text) is None)
        wait_until(lambda: len(lines) > 1)
    assert [line["action"] for line in lines] == ["directory.failed", "directory.recovered"]


def test_usage_during_an_outage_is_written_afterwards(directory: Directory, database: Database, issued: Issued) -> None:
    """What could not be written is kept in memory until it can be."""
    credential = directory.find(issued.text)
    assert credential is not None
    with capture_logs() as lines:
        with database.write() as db:
            db.execute(text("ALTER TABLE customers RENAME TO elsewhere"))
        directory.touch(credential, NOW + HOUR)
        directory.close()
        with database.write() as db:
            db.execute(text("ALTER TABLE elsewhere RENAME TO customers"))
    assert "directory.failed" in [line["action"] for line in lines]
    directory.close()
    with database.read() as db:
        assert [customer.last_seen_at for customer in customers.listed(db)] == [NOW + HOUR]
        assert [token.last_used_at for token in tokens.listed(db)] == [NOW + HOUR]
