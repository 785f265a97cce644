"""Names of people: readable with the master key, for the right customer, until they are forgotten."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import event, select, update
from structlog.testing import capture_logs

from raingauge.contract import Person
from raingauge.control import customers, people
from raingauge.control.database import Database
from raingauge.control.people import People
from raingauge.control.tables import PEOPLE

KEY = bytes(range(32))
NOW = datetime(2026, 5, 4, tzinfo=UTC)
ADA, BOB = Person("k-ada", "ada@example.com"), Person("k-bob", "Bob 🌧")


@pytest.fixture
def customer(database: Database) -> str:
    with database.write() as db:
        return customers.create(db, "Team", now=NOW).customer_id


@contextmanager
def counted_statements(database: Database) -> Iterator[list[str]]:
    """Collects every statement that reaches the database meanwhile."""
    seen: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        seen.append(statement)

    event.listen(database.engine, "before_cursor_execute", note)
    yield seen
    event.remove(database.engine, "before_cursor_execute", note)


def test_names_are_found_by_key(database: Database, customer: str) -> None:
    """Known keys give their names, unknown ones are left out."""
    kept = People(database, KEY)
    kept.remember(customer, [ADA, BOB])
    assert {ADA.key: ADA.name, BOB.key: BOB.name} == kept.names(customer, [ADA.key, "k-nobody", BOB.key])
    assert kept.names(customer, []) == {}


def test_names_survive_a_restart(database: Database, customer: str) -> None:
    """Another process with the same master key reads them."""
    People(database, KEY).remember(customer, [ADA])
    assert {ADA.key: ADA.name} == People(database, KEY).names(customer, [ADA.key])


def test_nothing_readable_is_stored(database: Database, customer: str) -> None:
    """The stored bytes do not contain the name, and two equal names do not look equal."""
    People(database, KEY).remember(customer, [ADA, Person("k-2", ADA.name)])
    with database.read() as db:
        first, second = db.execute(select(PEOPLE.c.name)).scalars()
    assert ADA.name.encode() not in first
    assert first != second


def test_another_customer_does_not_see_them(database: Database, customer: str) -> None:
    """The same key asked for by a neighbour has no name."""
    with database.write() as db:
        neighbour = customers.create(db, "Neighbour", now=NOW).customer_id
    kept = People(database, KEY)
    kept.remember(customer, [ADA])
    assert kept.names(neighbour, [ADA.key]) == {}


def test_a_name_moved_to_another_row_does_not_open(database: Database, customer: str) -> None:
    """Somebody who can write the database cannot put one person's name on another."""
    kept = People(database, KEY)
    kept.remember(customer, [ADA])
    with database.write() as db:
        db.execute(update(PEOPLE).values(person_key="k-eve"))
    with capture_logs() as lines:
        assert kept.names(customer, ["k-eve"]) == {}
    assert [(line["action"], line["count"]) for line in lines] == [("people.unreadable", 1)]


def test_another_master_key_leaves_names_out(database: Database, customer: str) -> None:
    """With a wrong key the read works on without names."""
    People(database, KEY).remember(customer, [ADA])
    with capture_logs():
        assert People(database, bytes(32)).names(customer, [ADA.key]) == {}


def test_seeing_a_person_again_costs_nothing(database: Database, customer: str) -> None:
    """Known people cause no statement; a changed name is stored."""
    kept = People(database, KEY)
    kept.remember(customer, [ADA, BOB])
    with counted_statements(database) as seen:
        kept.remember(customer, [BOB, ADA])
        kept.remember(customer, [])
    assert seen == []
    kept.remember(customer, [Person(ADA.key, "Ada L."), BOB])
    assert {ADA.key: "Ada L."} == kept.names(customer, [ADA.key])


def test_remembering_twice_in_two_processes_is_one_row(database: Database, customer: str) -> None:
    """Two servers that meet the same person at once do not collide, and the newer name stays."""
    first, second = People(database, KEY), People(database, KEY)
    first.remember(customer, [ADA])
    second.remember(customer, [Person(ADA.key, "newer"), Person(ADA.key, "newest")])
    assert {ADA.key: "newest"} == first.names(customer, [ADA.key])


def test_forgetting_one_leaves_the_others(database: Database, customer: str) -> None:
    """A forgotten name is gone from the database and comes back only when it is sent again."""
    kept = People(database, KEY)
    kept.remember(customer, [ADA, BOB])
    assert [kept.forget(customer, ADA.key), kept.forget(customer, ADA.key)] == [True, False]
    assert {BOB.key: BOB.name} == kept.names(customer, [ADA.key, BOB.key])
    kept.remember(customer, [ADA])
    assert {ADA.key: ADA.name} == kept.names(customer, [ADA.key])


def test_forgetting_all_of_a_customer_leaves_its_neighbours(database: Database, customer: str) -> None:
    """All names of one customer go, those of others stay, and new ones can be kept afterwards."""
    with database.write() as db:
        neighbour = customers.create(db, "Neighbour", now=NOW).customer_id
    kept = People(database, KEY)
    kept.remember(customer, [ADA, BOB])
    kept.remember(neighbour, [ADA])
    assert kept.forget_all(customer) == 2
    assert ({}, {ADA.key: ADA.name}) == (kept.names(customer, [ADA.key]), kept.names(neighbour, [ADA.key]))
    kept.remember(customer, [ADA])
    assert {ADA.key: ADA.name} == kept.names(customer, [ADA.key])


def test_deleting_the_customer_deletes_its_people(database: Database, customer: str) -> None:
    """No name outlives its customer, and none is added for one that is gone."""
    kept = People(database, KEY)
    kept.remember(customer, [ADA])
    with database.write() as db:
        customers.delete(db, customer)
    kept.remember(customer, [BOB])
    with database.read() as db:
        assert list(db.execute(select(PEOPLE.c.person_key))) == []


def test_more_people_than_memory_keeps_are_still_right(
    database: Database, customer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The memory of known people is bounded; the database has them all."""
    monkeypatch.setattr(people, "KNOWN_MAX", 10)
    kept = People(database, KEY)
    crowd = [Person(f"k-{number}", f"name {number}") for number in range(2_500)]
    kept.remember(customer, crowd)
    assert len(kept._known) == 10
    assert {person.key: person.name for person in crowd} == kept.names(customer, [person.key for person in crowd])


@given(name=st.text(st.characters(exclude_categories=["Cs"])))
def test_any_name_comes_back(name: str, any_database: Callable[[], tuple[Database, str]]) -> None:
    """Whatever a name consists of, it is read as it was written."""
    database, customer = any_database()
    kept = People(database, KEY)
    kept.remember(customer, [Person("k", name)])
    assert {"k": name} == kept.names(customer, ["k"])


@pytest.fixture(scope="module")
def any_database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], tuple[Database, str]]]:
    """One database for all examples of a property."""
    from raingauge.settings import Settings

    database = Database.open(Settings(), tmp_path_factory.mktemp("people"))
    with database.write() as db:
        customer = customers.create(db, "Team", now=NOW).customer_id
    yield lambda: (database, customer)
    database.close()
