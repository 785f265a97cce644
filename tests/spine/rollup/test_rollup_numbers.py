"""Sets of numbers in daily sums: who was there, counted exactly over any days."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

import msgspec
import pyarrow as pa
import pytest

from raingauge.contract import Column, Contract, Numbering, Rollup, Table
from raingauge.store.arrow import build
from raingauge.store.store import Store
from raingauge.store.writer import InsertBatch

if TYPE_CHECKING:
    from tests.conftest import OpenStore

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
CUSTOMER, OTHER = "cust_0123456789abcdef", "cust_fedcba9876543210"

VISITS = Table(
    "visits",
    (Column("at", "DateTime64(3, 'UTC')", "when"), Column("who", "String", "who, hashed")),
    time="at",
)
PEOPLE = Numbering("visit_numbers", "sipHash64(customer, who)", "hash of whoever came")
DAILY = Rollup(
    table="visits_daily",
    columns=(
        Column("visits", "UInt64", "how many"),
        Column("people", "AggregateFunction(groupBitmap, UInt32)", "numbers of who came"),
    ),
    order=(),
    source="visits",
    select="""
        SELECT e.customer AS customer, day, count(), groupBitmapState(known.number)
        FROM (SELECT customer, day, sipHash64(customer, who) AS value FROM visits WHERE {where}) AS e
        INNER JOIN visit_numbers AS known ON known.value = e.value
        GROUP BY e.customer, day
    """,
    numberings=(PEOPLE,),
)
CONTRACT = Contract("visits", "Visits", (), (VISITS,), (DAILY,))


class Count(msgspec.Struct, frozen=True):
    people: int


class Number(msgspec.Struct, frozen=True, order=True):
    number: int


class Doors:
    """A store that is told who came, and says how many."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._sent = 0

    def come(self, *people: str, days_ago: int = 0, customer: str = CUSTOMER) -> None:
        self._sent += 1
        message_id = int(NOW.timestamp() * 1_000_000) + self._sent
        rows = [(place, NOW - timedelta(days=days_ago), who) for place, who in enumerate(people)]
        self.store.writer.insert(
            InsertBatch({"visits": pa.Table.from_batches([build(VISITS, customer, message_id, rows)])})
        )

    def people(self, customer: str = CUSTOMER) -> int:
        everything = {"customer": customer, "since_day": date(1970, 1, 1), "until_day": date(2149, 1, 1)}
        sql = f"SELECT groupBitmapMerge(people) AS people FROM {self.store.reader.rolled('visits_daily')}"
        return self.store.reader.rows(sql, everything, Count).rows[0].people

    def numbers(self, customer: str = CUSTOMER) -> list[int]:
        sql = "SELECT number FROM visit_numbers WHERE customer = {customer:String}"
        return [found.number for found in sorted(self.store.reader.rows(sql, {"customer": customer}, Number).rows)]


@pytest.fixture
def doors(open_store: OpenStore) -> Doors:
    return Doors(open_store(CONTRACT, clock=lambda: NOW))


def test_the_same_on_several_days_count_once(doors: Doors) -> None:
    """Sets of different days and of different runs are united, not added."""
    doors.come("ann", "bob", "ann")
    doors.come("bob", "cid", days_ago=3)
    doors.store.rollups.run()
    assert 3 == doors.people()
    doors.come("cid", "dan", days_ago=9)
    doors.store.rollups.run()
    assert 4 == doors.people()


def test_numbers_are_dense_and_never_change(doors: Doors) -> None:
    """However often a day is summed up anew, each value has one number and no number is left out."""
    doors.come("ann", "bob")
    doors.store.rollups.run()
    doors.come("cid")
    doors.store.rollups.run(NOW.date())
    doors.store.rollups.run(NOW.date())
    assert [1, 2, 3] == doors.numbers()
    assert 3 == doors.people()


def test_customers_are_numbered_apart(doors: Doors) -> None:
    """Each customer's numbers begin at 1, also when one run sums up both."""
    doors.come("ann", "bob")
    doors.come("ann", "cid", "dan", customer=OTHER)
    doors.store.rollups.run()
    assert ([1, 2], [1, 2, 3]) == (doors.numbers(), doors.numbers(OTHER))
    assert (2, 3) == (doors.people(), doors.people(OTHER))


def test_erasing_a_customer_forgets_its_numbers(doors: Doors) -> None:
    """Nothing about whoever came stays, and the others keep theirs."""
    doors.come("ann", "bob")
    doors.come("ann", customer=OTHER)
    doors.store.rollups.run()
    doors.store.writer.erase("visits", CUSTOMER)
    assert ([], [1]) == (doors.numbers(), doors.numbers(OTHER))
    doors.come("cid")
    doors.store.rollups.run()
    assert (1, [1]) == (doors.people(), doors.numbers())
