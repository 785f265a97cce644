"""What the directory answers from memory."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import event, insert

from raingauge.auth.credential import Credential
from raingauge.auth.directory import Directory
from raingauge.contract import Scope
from raingauge.control import customers, tokens
from raingauge.control.customers import Tier
from raingauge.control.database import Database
from raingauge.control.tables import TOKENS
from raingauge.settings import Settings

NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
NEVER_SECONDS = 3_600.0

Start = Callable[..., Directory]


@pytest.fixture
def start(database: Database) -> Iterator[Start]:
    """Starts directories that look at the database once and then only when told."""
    started: list[Directory] = []

    def one(clock: Callable[[], datetime] = lambda: NOW) -> Directory:
        started.append(Directory(database, refresh_seconds=NEVER_SECONDS, clock=clock))
        return started[-1]

    yield one
    for directory in started:
        directory.close()


def test_a_token_gives_its_credential(database: Database, start: Start) -> None:
    """Everything the server needs to know about the sender, and not the token."""
    with database.write() as db:
        owner = customers.create(db, "Ada", tier=Tier.TEAM, now=NOW)
        issued = tokens.issue(
            db, owner.customer_id, label="laptop", scopes=[Scope.INGEST], expires_at=NOW + HOUR, now=NOW
        )
    found = start().find(issued.text)
    assert found == Credential(
        customer=owner.customer_id,
        token_id=issued.record.token_id,
        label="laptop",
        scopes=frozenset({Scope.INGEST}),
        tier="team",
        expires_at=NOW + HOUR,
    )
    assert issued.text not in repr(found)


def test_changes_of_a_token_are_not_found(database: Database, start: Start) -> None:
    """Only the exact text counts: no prefix, no hash, no other case, no spaces around it."""
    with database.write() as db:
        issued = tokens.issue(db, customers.create(db, "Ada", now=NOW).customer_id, now=NOW)
    directory = start()
    near = [
        issued.text[:-1], issued.text + "A", f" {issued.text}", issued.text.swapcase(), tokens.digest(issued.text),
        issued.record.token_id, "",
    ]  # fmt: skip
    assert [directory.find(text) for text in near] == [None] * len(near)
    assert directory.find(issued.text) is not None


def test_a_token_ends_at_its_time(database: Database, start: Start) -> None:
    """Valid until just before its end and refused from then on, without a look at the database."""
    clock = [NOW]
    with database.write() as db:
        issued = tokens.issue(db, customers.create(db, "Ada", now=NOW).customer_id, expires_at=NOW + HOUR, now=NOW)
    directory = start(lambda: clock[0])
    valid = []
    for at in (NOW, NOW + HOUR - timedelta(microseconds=1), NOW + HOUR, NOW + 2 * HOUR):
        clock[0] = at
        valid.append(directory.find(issued.text) is not None)
    assert valid == [True, True, False, False]


def test_refresh_takes_over_changes_at_once(database: Database, start: Start) -> None:
    """A change made by the server itself need not wait for the next tick."""
    directory = start()
    with database.write() as db:
        owner = customers.create(db, "Ada", now=NOW)
        issued = tokens.issue(db, owner.customer_id, now=NOW)
    assert directory.find(issued.text) is None
    directory.refresh()
    assert directory.find(issued.text) is not None


def test_a_spray_of_unknown_tokens_costs_no_statement(database: Database, start: Start) -> None:
    """Guessing tokens never reaches the database, and neither do the finds and notes of valid ones."""
    with database.write() as db:
        issued = tokens.issue(db, customers.create(db, "Ada", now=NOW).customer_id, now=NOW)
    directory = start()
    sent: list[str] = []
    event.listen(database.engine, "before_cursor_execute", lambda *given: sent.append(given[2]))
    for _ in range(5_000):
        assert directory.find(f"rgk_{secrets.token_urlsafe(24)}") is None
        credential = directory.find(issued.text)
        assert credential is not None
        directory.touch(credential, NOW)
    assert sent == []


def test_ten_thousand_tokens_are_all_known(database: Database, start: Start) -> None:
    """A large installation loads completely."""
    texts = [f"rgk_{number:032d}" for number in range(10_000)]
    with database.write() as db:
        owner = customers.create(db, "Big", now=NOW)
        db.execute(
            insert(TOKENS),
            [
                {
                    "token_id": f"tok_{number:012x}", "customer_id": owner.customer_id,
                    "token_hash": tokens.digest(text), "label": "", "scopes": "ingest",
                    "created_at": NOW, "replaced_by": "",
                }
                for number, text in enumerate(texts)
            ],
        )  # fmt: skip
    directory = start()
    found = [directory.find(text) for text in texts]
    assert [f"tok_{number:012x}" for number in range(10_000)] == [one.token_id for one in found if one]


def test_closing_writes_the_last_uses(database: Database, start: Start) -> None:
    """Usage noted just before a shutdown is kept, per token and as the newest per customer."""
    with database.write() as db:
        owner = customers.create(db, "Ada", now=NOW)
        first, second, unused = (tokens.issue(db, owner.customer_id, now=NOW) for _ in range(3))
    directory = start()
    for issued, at in [(first, NOW + HOUR), (second, NOW + 3 * HOUR), (first, NOW + 2 * HOUR)]:
        credential = directory.find(issued.text)
        assert credential is not None
        directory.touch(credential, at)
    directory.close()
    with database.read() as db:
        used = {token.token_id: token.last_used_at for token in tokens.listed(db)}
        assert used == {
            first.record.token_id: NOW + 2 * HOUR,
            second.record.token_id: NOW + 3 * HOUR,
            unused.record.token_id: None,
        }
        assert customers.find(db, owner.customer_id).last_seen_at == NOW + 3 * HOUR


def test_an_older_note_never_turns_the_clock_back(database: Database, start: Start) -> None:
    """Of two servers that note the same token the later use stays."""
    with database.write() as db:
        owner = customers.create(db, "Ada", now=NOW)
        issued = tokens.issue(db, owner.customer_id, now=NOW)
    for at in (NOW + 2 * HOUR, NOW + HOUR):
        directory = start()
        credential = directory.find(issued.text)
        assert credential is not None
        directory.touch(credential, at)
        directory.close()
    with database.read() as db:
        assert customers.find(db, owner.customer_id).last_seen_at == NOW + 2 * HOUR


def test_use_of_a_token_whose_customer_is_gone_is_dropped(database: Database, start: Start) -> None:
    """A note about a deleted token harms nobody else's."""
    with database.write() as db:
        gone, stays = customers.create(db, "gone", now=NOW), customers.create(db, "stays", now=NOW)
        texts = [tokens.issue(db, owner.customer_id, now=NOW).text for owner in (gone, stays)]
    directory = start()
    for text in texts:
        credential = directory.find(text)
        assert credential is not None
        directory.touch(credential, NOW + HOUR)
    with database.write() as db:
        customers.delete(db, gone.customer_id)
    directory.close()
    with database.read() as db:
        assert [customer.last_seen_at for customer in customers.listed(db)] == [NOW + HOUR]


@pytest.fixture(scope="module")
def empty_directory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Directory]:
    database = Database.open(Settings(), tmp_path_factory.mktemp("directory"))
    directory = Directory(database, refresh_seconds=NEVER_SECONDS)
    yield directory
    directory.close()
    database.close()


@given(token=st.text(st.characters(exclude_categories=[])))
def test_no_text_breaks_a_search(token: str, empty_directory: Directory) -> None:
    """Whatever a client sends as a token, lone surrogates included, is merely unknown."""
    assert empty_directory.find(token) is None
