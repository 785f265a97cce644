"""Rows of facts that are newer than the sums: each fact looked at once, nothing left out, nothing kept too long."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest
from tests.support.steps import CONTRACT, CUSTOMER, walk

from raingauge.settings import READERS
from raingauge.store import newer
from raingauge.store.reader import Reader

if TYPE_CHECKING:
    from tests.conftest import StoredFacts, StoreFacts


@pytest.fixture
def walks(stored_facts: StoreFacts) -> StoredFacts:
    return stored_facts(CONTRACT)


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The statements that were run for columns."""
    run: list[str] = []
    looked_up = Reader.looked_up

    def noted(self: Reader, sql: str, parameters: Mapping[str, object], wait: bool = True) -> pa.Table:
        run.append(sql)
        return looked_up(self, sql, parameters, wait)

    monkeypatch.setattr(Reader, "looked_up", noted)
    return run


def told(walks: StoredFacts, customer: str = CUSTOMER) -> list[tuple[str, int]]:
    reader = walks.store.reader
    tables = reader.newer.rows(reader.parts("steps_daily"), "user, metres", customer)
    return sorted((row["user"], row["metres"]) for table in tables for row in table.to_pylist())


def test_each_fact_is_looked_at_once(looks: list[str], walks: StoredFacts) -> None:
    """A read looks at what came since the last one, and at nothing when nothing came."""
    assert [] == told(walks)
    walk(walks, 1)
    walk(walks, 2)
    assert [("ada", 3)] == told(walks) == told(walks)
    walk(walks, 4)
    assert [("ada", 3), ("ada", 4)] == told(walks) == told(walks)
    assert 2 == len(looks)


def test_many_inserts_are_put_together(walks: StoredFacts) -> None:
    """However many inserts there were, a read goes through few tables and misses none of their rows."""
    for metres in range(newer.TABLES_MAX + 5):
        walk(walks, metres)
        told(walks)
    reader = walks.store.reader
    tables = reader.newer.rows(reader.parts("steps_daily"), "user, metres", CUSTOMER)
    assert len(tables) <= newer.TABLES_MAX
    assert [("ada", metres) for metres in range(newer.TABLES_MAX + 5)] == told(walks)


def test_what_is_summed_up_is_not_newer(walks: StoredFacts) -> None:
    walk(walks, 1)
    parts = walks.store.reader.parts("steps_daily")
    assert [("ada", 1)] == told(walks)
    walks.store.rollups.run()
    assert [] == told(walks)
    walk(walks, 2)
    assert [("ada", 2)] == told(walks)
    # A read that began before the roll-up adds these to the sums of then.
    tables = walks.store.reader.newer.rows(parts, "user, metres", CUSTOMER)
    assert [1] == tables[0]["metres"].to_pylist()


def test_who_was_forgotten_is_not_told(walks: StoredFacts) -> None:
    walk(walks, 1)
    walk(walks, 2, "grace")
    assert [("ada", 1), ("grace", 2)] == told(walks)
    walks.store.writer.erase("steps", CUSTOMER, ["ada"])
    assert [("grace", 2)] == told(walks)


def test_customers_are_kept_apart(walks: StoredFacts) -> None:
    walk(walks, 1)
    assert [("ada", 1)] == told(walks)
    assert [] == told(walks, "cust_fedcba9876543210")


def test_kept_up_for_who_asked_lately(looks: list[str], walks: StoredFacts, monkeypatch: pytest.MonkeyPatch) -> None:
    """Facts of others and of tables that nobody asked about are left alone, and so are those of who asked long ago."""
    keep_up = walks.store.reader.newer.keep_up
    walk(walks, 1)
    keep_up({"steps": [CUSTOMER]})
    assert [] == looks
    told(walks)
    walk(walks, 2)
    for stored in ({"runs": [CUSTOMER]}, {"steps": ["cust_fedcba9876543210"]}):
        keep_up(stored)
    assert 1 == len(looks)
    keep_up({"steps": [CUSTOMER]})
    assert 2 == len(looks)
    assert [("ada", 1), ("ada", 2)] == told(walks)
    assert 2 == len(looks)
    monkeypatch.setattr(newer, "WATCHED_SECONDS", -1.0)
    walk(walks, 4)
    keep_up({"steps": [CUSTOMER]})
    assert 2 == len(looks)
    assert [("ada", 1), ("ada", 2), ("ada", 4)] == told(walks)


def test_what_is_not_kept_is_left_to_reads(looks: list[str], walks: StoredFacts) -> None:
    """Storing never waits for all newer facts to be looked at again, only for those that just came."""
    walk(walks, 1)
    told(walks)
    walks.store.rollups.run()
    walk(walks, 2)
    walks.store.reader.newer.keep_up({"steps": [CUSTOMER]})
    assert 1 == len(looks)
    assert [("ada", 2)] == told(walks)


def test_storing_does_not_wait_for_readers(looks: list[str], walks: StoredFacts) -> None:
    """While all readers are busy nothing is looked at; the next read does it."""
    walk(walks, 1)
    told(walks)
    walk(walks, 2)
    sql = "SELECT sleep(2) AS metres, {customer:String} AS customer"
    reads = [
        threading.Thread(target=walks.store.reader.looked_up, args=(sql, {"customer": CUSTOMER}))
        for _ in range(READERS.default)
    ]
    for read in reads:
        read.start()
    time.sleep(0.5)
    walks.store.reader.newer.keep_up({"steps": [CUSTOMER]})
    assert all(read.is_alive() for read in reads)
    for read in reads:
        read.join()
    before = len(looks)
    assert [("ada", 1), ("ada", 2)] == told(walks)
    assert before + 1 == len(looks)
