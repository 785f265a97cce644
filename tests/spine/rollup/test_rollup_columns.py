"""Reads that ask for sums and newer facts apart, and whose results are remembered."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, NamedTuple

import pyarrow as pa
import pytest
from tests.support.steps import CONTRACT, CUSTOMER, walk

from raingauge.errors import QueryError
from raingauge.settings import QUERY_SUMS_MAX_ROWS
from raingauge.store.remembered import Remembered

if TYPE_CHECKING:
    from tests.conftest import StoredFacts, StoreFacts

DAYS = {"customer": CUSTOMER, "since_day": date(2026, 11, 1), "until_day": date(2026, 11, 30)}


@pytest.fixture
def walks(stored_facts: StoreFacts) -> StoredFacts:
    return stored_facts(CONTRACT)


def told(walks: StoredFacts) -> tuple[int, int]:
    """Metres in the sums, and in what is newer than them."""
    parts = walks.store.reader.parts("steps_daily")
    sums = walks.store.reader.columns(f"SELECT sum(metres) AS found FROM {parts.sums}", DAYS)
    if not parts.newer:
        return sums["found"][0].as_py(), 0
    newer = walks.store.reader.columns(f"SELECT sum(metres) AS found FROM steps WHERE {parts.newer}", DAYS)
    return sums["found"][0].as_py(), newer["found"][0].as_py()


def test_parts(walks: StoredFacts) -> None:
    """Every fact is in the sums or among the newer facts, before and after each roll-up, however often it is asked."""
    walk(walks, 1)
    assert [(0, 1)] * 2 == [told(walks), told(walks)]
    walks.store.rollups.run()
    assert [(1, 0)] * 2 == [told(walks), told(walks)]
    walk(walks, 2)
    assert (1, 2) == told(walks)
    walk(walks, 4)
    assert (1, 6) == told(walks)
    walks.store.rollups.run()
    assert (7, 0) == told(walks)


def test_later_facts_are_in_later_parts(walks: StoredFacts) -> None:
    """The parts that a read has taken name the same facts until it ends."""
    walk(walks, 1)
    parts = walks.store.reader.parts("steps_daily")
    walk(walks, 2)
    found = walks.store.reader.columns(f"SELECT sum(metres) AS found FROM steps WHERE {parts.newer}", DAYS)
    assert [1] == found["found"].to_pylist()


def test_forgotten_people_are_in_no_remembered_result(walks: StoredFacts) -> None:
    """A read after an erasure finds nothing of what it found before, in sums and newer facts."""
    walk(walks, 1)
    walk(walks, 2, "grace")
    walks.store.rollups.run()
    walk(walks, 4)
    assert (3, 4) == told(walks)
    walks.store.writer.erase("steps", CUSTOMER, ["ada"])
    assert (2, 0) == told(walks)
    walks.store.writer.erase("steps", CUSTOMER)
    assert (0, 0) == told(walks)


def test_what_was_not_asked_for_longest_is_forgotten_first() -> None:
    """Remembered results take no more room than they may, and one that is larger than that is not kept at all."""
    one = pa.table({"found": pa.array([1], pa.int64())})
    remembered = Remembered(2 * one.nbytes)
    for key in ("first", "second"):
        remembered.put(key, one)
    assert one is remembered.get("first")
    remembered.put("third", one)
    assert [one, None, one] == [remembered.get(key) for key in ("first", "second", "third")]
    remembered.put("large", pa.concat_tables([one] * 3))
    assert [one, one, None] == [remembered.get(key) for key in ("first", "third", "large")]


def test_columns_are_of_one_customer(walks: StoredFacts) -> None:
    """A statement that names no customer is not run, and another customer's facts are not found."""
    walk(walks, 1)
    parts = walks.store.reader.parts("steps_daily")
    with pytest.raises(QueryError):
        walks.store.reader.columns("SELECT sum(metres) AS found FROM steps", DAYS)
    sql = f"SELECT sum(metres) AS found FROM steps WHERE {parts.newer}"
    other = walks.store.reader.columns(sql, {**DAYS, "customer": "cust_fedcba9876543210"})
    assert [0] == other["found"].to_pylist()


def test_sums_may_have_more_rows_than_an_answer(walks: StoredFacts) -> None:
    """What goes on being computed with has a limit of its own."""
    sql = "SELECT number, {customer:String} AS customer FROM numbers(150000)"
    assert 150_000 == walks.store.reader.columns(sql, DAYS).num_rows
    with pytest.raises(QueryError):
        walks.store.reader.columns(sql.replace("150000", str(QUERY_SUMS_MAX_ROWS.default + 1)), DAYS)


class Metres(NamedTuple):
    """What was made of the sums."""

    found: int
    looked: int = 1
    nbytes: int = 64


def test_what_is_made_of_sums_is_kept_until_they_change(walks: StoredFacts) -> None:
    """It is made once, for each name, and again after a roll-up or an erasure."""
    made: list[str] = []

    def kept(name: str) -> int:
        sums = walks.store.reader.parts("steps_daily").sums

        def make(tables: dict[str, pa.Table]) -> Metres:
            made.append(name)
            return Metres(tables["sums"]["found"][0].as_py())

        sql = f"SELECT sum(metres) AS found FROM {sums}"
        return walks.store.reader.derived({"sums": sql}, DAYS, make, name).found

    walk(walks, 1)
    walks.store.rollups.run()
    walk(walks, 2)
    assert [1, 1, 1] == [kept("one"), kept("one"), kept("other")]
    assert ["one", "other"] == made
    walks.store.rollups.run()
    assert 3 == kept("one")
    walks.store.writer.erase("steps", CUSTOMER)
    assert 0 == kept("one")
    assert ["one", "other", "one", "one"] == made
